/*
 * Faults at named steps (base/step.h), for the crash suites. Only in builds with VARIANT=fault.
 *
 *   PAGEFERRY_FAULT=kill:NAME[:N]   SIGKILL to this process when it reaches step NAME for the N-th time
 * (default: the first) PAGEFERRY_BUG=NAME,NAME         bugs that are planted, for suites that must catch them
 *   PAGEFERRY_STEP_LOG=FILE         each step reached is appended to FILE, a line each, before anything else
 * happens
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "base/step.h"
#include "tests/fault.h"

static const char *const names[STEP_COUNT] = {
#define STEP_NAME(id, name) [STEP_##id] = name,
	STEPS(STEP_NAME)
#undef STEP_NAME
};

/* A suite with a wrong name must not pass because nothing was killed. */
static _Noreturn void misuse(const char *what, const char *text)
{
	fprintf(stderr, "fault: %s: %s\n", what, text);
	abort();
}

static void log_step(enum step s)
{
	const char *file = getenv("PAGEFERRY_STEP_LOG");
	_cleanup_close_ int fd = -1;
	char line[64];
	int len;

	if (!file || !*file)
		return;
	len = str_format(line, sizeof(line), "%s\n", names[s]);
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (len < 0 || fd < 0 || write_all(fd, line, (size_t)len) < 0)
		misuse("cannot write PAGEFERRY_STEP_LOG", file);
}

static int step_by_name(const char *name, size_t len)
{
	for (int i = 0; i < STEP_COUNT; i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return i;
	return -ENOENT;
}

/* Is this the time to die? */
static bool is_chosen(enum step s, uint64_t times)
{
	const char *fault = getenv("PAGEFERRY_FAULT"), *name, *colon;
	uint64_t nth = 1;
	int chosen;

	if (!fault || !*fault)
		return false;
	if (!starts_with(fault, "kill:"))
		misuse("PAGEFERRY_FAULT is not kill:NAME[:N]", fault);
	name = fault + strlen("kill:");
	colon = strchr(name, ':');
	if (colon && parse_u64(colon + 1, 1, UINT32_MAX, &nth) < 0)
		misuse("PAGEFERRY_FAULT is not kill:NAME[:N]", fault);
	chosen = step_by_name(name, colon ? (size_t)(colon - name) : strlen(name));
	if (chosen < 0)
		misuse("PAGEFERRY_FAULT names no step", fault);
	return chosen == (int)s && times == nth;
}

void __gcov_dump(void) __attribute__((weak));

_Noreturn void fault_die(void)
{
	if (__gcov_dump)
		__gcov_dump();
	kill(getpid(), SIGKILL);
	for (;;) /* it may take a moment; nothing more may happen here */
		pause();
}

static uint64_t reached[STEP_COUNT];

uint64_t fault_step_count(enum step s)
{
	return reached[s];
}

const char *fault_step_name(enum step s)
{
	return names[s];
}

void step_reached(enum step s)
{
	log_step(s);
	if (is_chosen(s, ++reached[s]))
		fault_die();
}

int bug_planted(const char *name)
{
	const char *state = getenv("PAGEFERRY_BUG");
	char word[64];
	int r;

	while ((r = parse_word(&state, word, sizeof(word))) != 0)
		if (r > 0 && streq(word, name))
			return 1;
	return 0;
}
