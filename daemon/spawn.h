/* fork and exec of another program: a clean start for it, nothing of ours left open, and no way for it to outlive us. */
#pragma once

#include <sys/types.h>

#include "base/util.h"

struct spawn {
	char *const *argv;        /* NULL-ended; argv[0] is a path */
	const char *const *set;   /* NULL-ended: its environment ("LANG=C.UTF-8"), and ... */
	const char *const *kept;  /* ... NULL-ended: beginnings of entries of ours that it gets too ("PATH=") */
	int in, out, err;         /* its standard streams, borrowed; err -1: it has ours */
	bool group;               /* of a process group of its own, so that what it starts can be ended with it */
};

/* 0, or negative errno: it cannot be started. What fails behind the fork is an exit with 127. */
int spawn(const struct spawn *s, pid_t *ret_pid);
