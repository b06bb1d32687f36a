/*
 * Runs a program for its output: no shell, standard input empty, standard error thrown away (it may hold secrets), an
 * environment of a few variables, a deadline after which its whole process group is killed. SIGCHLD must be blocked.
 */
#pragma once

#include <systemd/sd-event.h>

#include "extract/extractor.h"

struct program;

struct program_options {
	char *const *argv;   /* NULL-ended; argv[0] is an absolute path */
	int64_t timeout_ms;
	size_t max_output;   /* bytes */
};

/* What came of it as a reply: TRANSPORT_OK with its exit status as `status` and what it printed as body; TRANSPORT_TIMEOUT,
 * TRANSPORT_TOO_LARGE, TRANSPORT_BROKEN (a signal) or TRANSPORT_LOCAL with `detail`. Borrowed for the call, and wiped after. */
typedef void (*program_done_fn)(void *ud, const struct reply *reply);

/* done is called exactly once, never from inside. 0, or negative errno: it could not be started, and done is not called. */
int program_run(sd_event *e, const struct program_options *o, program_done_fn done, void *ud, struct program **ret);
/* Kills it without calling back. NULL is fine. */
void program_cancel(struct program *p);
