#include "base/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

/* A line longer than this is cut, visibly. */
#define LINE_SIZE 4096

static enum log_level level_max = LOG_LEVEL_INFO;
static log_sink_fn sink_now;

void log_set_level(enum log_level max)
{
	level_max = max;
}

void log_set_sink(log_sink_fn sink)
{
	sink_now = sink;
}

bool log_stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	char want[64];
	struct stat st;

	/* systemd.exec(5): decimal device and inode of the stream. */
	return s && fstat(STDERR_FILENO, &st) == 0 &&
	       str_format(want, sizeof(want), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino) > 0 &&
	       streq(s, want);
}

/* One write() a line, so that the lines of several processes do not mix. */
static void to_stderr(enum log_level level, const char *text)
{
	static int journal = -1;
	char line[LINE_SIZE + 8];
	size_t len;
	int n;

	if (journal < 0)
		journal = log_stderr_is_journal();
	n = journal ? snprintf(line, sizeof(line) - 1, "<%d>%s", (int)level, text)
		    : snprintf(line, sizeof(line) - 1, "%s", text);
	if (n < 0)
		return;
	len = MIN((size_t)n, sizeof(line) - 2);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to complain */
}

static _printf_(5, 0) void emit(enum log_level level, const char *message_id, const struct log_field *fields,
	size_t n, const char *fmt, va_list ap)
{
	static const char cut[] = "...";
	char text[LINE_SIZE];
	int e = errno, len;

	if (level > level_max)
		return;
	len = vsnprintf(text, sizeof(text), fmt, ap);
	if (len < 0)
		text[0] = 0;
	else if ((size_t)len >= sizeof(text))
		memcpy(text + sizeof(text) - sizeof(cut), cut, sizeof(cut));
	for (char *p = text; *p; p++) /* one event is one line */
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	if (sink_now)
		sink_now(level, message_id, fields, n, text);
	else
		to_stderr(level, text);
	errno = e;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(level, NULL, NULL, 0, fmt, ap);
	va_end(ap);
}

void log_event(enum log_level level, const char *message_id, const struct log_field *fields, size_t n,
	const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(level, message_id, fields, n, fmt, ap);
	va_end(ap);
}

const char *errno_text(int negative_errno)
{
	const char *s =
		negative_errno > 0 || negative_errno == INT_MIN ? NULL : strerrordesc_np(-negative_errno);

	return s ? s : "Unknown error";
}
