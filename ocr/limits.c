#include "ocr/limits.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/util.h"

#define TO_TEXT(x) #x
#define NUMBER(x)  TO_TEXT(x)
#define MEMORY_LINE                                                                                          \
	"{\"type\":\"end\",\"ok\":false,\"reason\":\"memory\",\"message\":\"the page takes more "            \
	"than " NUMBER(LIMIT_MEMORY_MIB) " MiB, or the engine failed\"}\n"
#define TIME_LINE                                                                                            \
	"{\"type\":\"end\",\"ok\":false,\"reason\":\"timeout\",\"message\":\"the page takes more "           \
	"than " NUMBER(LIMIT_CPU_SECONDS) " s of CPU time\"}\n"

static volatile sig_atomic_t armed_fd = -1;

void limits_single_thread(char **argv)
{
	const char *now = getenv("OMP_THREAD_LIMIT");

	if (now && streq(now, "1"))
		return;
	setenv("OMP_THREAD_LIMIT", "1", 1);
	execv("/proc/self/exe", argv);
	log_warning("cannot start again with one thread: %s", errno_text(-errno));
}

/* Async-signal-safe: write() and _exit() only. */
static void on_limit(int sig)
{
	const char *line = sig == SIGXCPU ? TIME_LINE : MEMORY_LINE;

	if (armed_fd >= 0 && write(armed_fd, line, strlen(line)) < 0)
		_exit(2);
	_exit(1);
}

static int limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard)
{
	struct rlimit now, l = {.rlim_cur = soft, .rlim_max = hard};

	if (getrlimit(what, &now) < 0)
		return -errno;
	l.rlim_cur = MIN(l.rlim_cur, now.rlim_max);
	l.rlim_max = MIN(l.rlim_max, now.rlim_max);
	return setrlimit(what, &l) < 0 ? -errno : 0;
}

int limits_set(void)
{
	rlim_t memory = (rlim_t)LIMIT_MEMORY_MIB << 20;
	int r;

	r = limit(RLIMIT_CPU, LIMIT_CPU_SECONDS, LIMIT_CPU_SECONDS + 5);
#ifdef __SANITIZE_ADDRESS__
	memory = RLIM_INFINITY; /* the sanitizer's shadow takes terabytes of address space */
#endif
	if (r >= 0 && memory != RLIM_INFINITY)
		r = limit(RLIMIT_AS, memory, memory);
	return r;
}

void limits_arm(int fd)
{
	struct sigaction sa = {.sa_handler = fd >= 0 ? on_limit : SIG_DFL};

	armed_fd = fd;
	sigaction(SIGABRT, &sa, NULL);
	sigaction(SIGXCPU, &sa, NULL);
}
