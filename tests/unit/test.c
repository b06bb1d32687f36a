#include "tests/unit/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/socket.h>

#define TESTS_MAX 512

static struct {
	const char *name;
	test_fn fn;
} tests[TESTS_MAX];
static size_t n_tests;
static sigjmp_buf leave;
static const char *current;
static char tmpdir[64];

enum { LEAVE_FAIL = 1, LEAVE_SKIP };

void test_register(const char *name, test_fn fn)
{
	if (n_tests == TESTS_MAX)
		abort();
	tests[n_tests].name = name;
	tests[n_tests++].fn = fn;
}

_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("not ok %s: %s:%d: ", current, file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	siglongjmp(leave, LEAVE_FAIL);
}

_Noreturn void test_skip(const char *why)
{
	printf("skip %s: %s\n", current, why);
	siglongjmp(leave, LEAVE_SKIP);
}

void test_needs_peer_groups(void)
{
	socklen_t len = 0;
	int pair[2];
	bool missing;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	missing = getsockopt(pair[0], SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE;
	close(pair[0]);
	close(pair[1]);
	if (missing)
		test_skip("SO_PEERGROUPS is not known here");
}

void test_check_str(const char *file, int line, const char *expr, const char *got, const char *want)
{
	if (!got != !want || (got && strcmp(got, want) != 0))
		test_fail(file, line, "%s: got \"%s\", want \"%s\"", expr, got ? got : "(null)", want ? want : "(null)");
}

void test_check_int(const char *file, int line, const char *expr, int64_t got, int64_t want)
{
	if (got != want)
		test_fail(file, line, "%s: got %lld, want %lld", expr, (long long)got, (long long)want);
}

unsigned int test_stride(unsigned int n)
{
	const char *emulated = getenv("EMULATED");

	return emulated && streq(emulated, "1") ? n : 1;
}

const char *test_data(void)
{
	const char *d = getenv("TEST_DATA");

	return d ? d : "tests/data/";
}

void test_write(int dirfd, const char *name, const char *text, unsigned int mode)
{
	_cleanup_close_ int fd = -1;

	(void)unlinkat(dirfd, name, 0); /* not over it: a script may be running */
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		test_fail(__FILE__, __LINE__, "cannot write %s", name);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tmpdir(void)
{
	if (tmpdir[0])
		nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	tmpdir[0] = 0;
}

const char *test_tmpdir(void)
{
	if (!tmpdir[0]) {
		strcpy(tmpdir, "/tmp/pageferry-test.XXXXXX");
		if (!mkdtemp(tmpdir))
			abort();
	}
	return tmpdir;
}

/* Names on the command line choose tests; none means all. */
int main(int argc, char **argv)
{
	static volatile int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (volatile size_t i = 0; i < n_tests; i++) {
		bool wanted = argc < 2;

		for (int a = 1; a < argc; a++)
			wanted |= streq(argv[a], tests[i].name);
		if (!wanted)
			continue;
		current = tests[i].name;
		switch (sigsetjmp(leave, 0)) {
		case 0:
			tests[i].fn();
			printf("ok %s\n", current);
			break;
		case LEAVE_FAIL:
			failed = 1;
			break;
		}
		remove_tmpdir();
	}
	return failed;
}
