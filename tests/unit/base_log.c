#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/journal.h"
#include "base/log.h"

static struct {
	int lines;
	enum log_level level;
	char id[40], text[5000], field[64];
} seen;

static void sink(enum log_level level, const char *message_id, const struct log_field *fields, size_t n,
	const char *text)
{
	seen.lines++;
	seen.level = level;
	str_copy(seen.id, sizeof(seen.id), message_id ? message_id : "");
	str_copy(seen.text, sizeof(seen.text), text);
	str_copy(seen.field, sizeof(seen.field), n > 0 && fields[0].value ? fields[0].value : "");
}

static void start(void)
{
	memset(&seen, 0, sizeof(seen));
	log_set_sink(sink);
	log_set_level(LOG_LEVEL_INFO);
}

TEST(levels)
{
	start();
	log_debug("hidden");
	CHECK_INT(seen.lines, 0);
	log_info("shown %d", 1);
	CHECK_INT(seen.lines, 1);
	CHECK_STR(seen.text, "shown 1");
	CHECK_INT(seen.level, LOG_LEVEL_INFO);
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("hidden");
	CHECK_INT(seen.lines, 1);
	log_error("shown");
	CHECK_INT(seen.lines, 2);
	log_set_sink(NULL);
}

TEST(events_carry_fields)
{
	start();
	log_event(LOG_LEVEL_NOTICE, "00112233445566778899aabbccddeeff",
		(struct log_field[]){{"PAGE_ID", "x1"}}, 1, "page %s", "x1");
	CHECK_STR(seen.id, "00112233445566778899aabbccddeeff");
	CHECK_STR(seen.field, "x1");
	log_set_sink(NULL);
}

TEST(one_event_is_one_line)
{
	char text[9000];

	start();
	log_info("a\nb\r\nc");
	CHECK_STR(seen.text, "a b  c");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_info("%s", text);
	CHECK_INT(strlen(seen.text), 4095);
	CHECK_STR(seen.text + 4092, "...");
	log_set_sink(NULL);
}

TEST(errno_is_kept)
{
	start();
	errno = EPIPE;
	log_info("x");
	CHECK_INT(errno, EPIPE);
	log_set_sink(NULL);
}

TEST(errno_names)
{
	const char *a = errno_text(-ENOENT), *b = errno_text(-EIO);

	CHECK_STR(a, "No such file or directory"); /* still, after the second call */
	CHECK_STR(b, "Input/output error");
	CHECK_STR(errno_text(-99999), "Unknown error");
	CHECK_STR(errno_text(INT32_MIN), "Unknown error");
	CHECK_STR(errno_text(5), "Unknown error");
}

/* What a child writes to standard error, with JOURNAL_STREAM naming it or not. */
static void child_lines(bool journal, char *out, size_t size)
{
	char path[128];
	int fd, status;
	ssize_t n;
	pid_t pid;

	str_format(path, sizeof(path), "%s/err", test_tmpdir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	pid = fork();
	if (pid == 0) {
		char stream[64];
		struct stat st;

		dup2(fd, STDERR_FILENO);
		fstat(fd, &st);
		str_format(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
			(unsigned long long)st.st_ino + (journal ? 0 : 1));
		setenv("JOURNAL_STREAM", stream, 1);
		log_set_sink(NULL);
		log_warning("careful\n%s", "now");
		if (!journal && journal_attach() != 0)
			_exit(1);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	n = pread(fd, out, size - 1, 0);
	out[MAX(n, (ssize_t)0)] = 0;
	close(fd);
}

TEST(standard_error)
{
	char out[128];

	child_lines(false, out, sizeof(out));
	CHECK_STR(out, "careful now\n");
	child_lines(true, out, sizeof(out));
	CHECK_STR(out, "<4>careful now\n");
}
