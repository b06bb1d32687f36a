/*
 * Faults for the crash suites, in builds with VARIANT=fault. tests/fault.c kills a process at a named step (base/step.h);
 * tests/fault_io.c, linked into tests/crash/sequence alone, acts at any call that touches storage, any SQLite step and any
 * allocation inside an armed window.
 */
#pragma once

#include "base/step.h"
#include "base/util.h"

/* Counters of a coverage build are written first: SIGKILL would lose them. */
_Noreturn void fault_die(void);
/* How often a step was reached in this process. */
uint64_t fault_step_count(enum step s);
const char *fault_step_name(enum step s);

enum fault_kind {
	FAULT_NONE,
	FAULT_KILL,       /* SIGKILL instead of the call */
	FAULT_KILL_AFTER, /* SIGKILL when the call has been made */
	FAULT_FAIL,       /* the call is not made; it gives `error` */
	FAULT_FAIL_LATE,  /* the call is made, and gives `error` all the same */
	FAULT_FAIL_ON,    /* this and every later call that can give `error` does */
	FAULT_SHORT,      /* half of it is written */
	FAULT_SHORT_FULL, /* half of it is written, and from then on the disk is full */
};

struct fault {
	enum fault_kind kind;
	int error;     /* errno, positive */
	int64_t point; /* which call of the window, from 0 */
	bool dies;     /* whoever was told of the failure is killed then: tests/crash/sequence.c */
};

/* One call of a window, and what can happen to it in reality. */
struct fault_point {
	const char *call;
	unsigned int can; /* bits FAULT_CAN_* */
	bool inner;       /* of sqlite3_exec(), sqlite3_prepare_v3() or a read of the schema, which are points as a whole */
};

enum {
	FAULT_CAN_EIO = 1 << 0,
	FAULT_CAN_ENOSPC = 1 << 1,
	FAULT_CAN_EDQUOT = 1 << 2,
	FAULT_CAN_EROFS = 1 << 3,
	FAULT_CAN_EINTR = 1 << 4,
	FAULT_CAN_ENOMEM = 1 << 5,
	FAULT_CAN_LATE = 1 << 6,
	FAULT_CAN_SHORT = 1 << 7,
};
unsigned int fault_can(int error); /* the bit of an errno */

/* From here on calls are points. The first `size` of them are noted in `points` (may be NULL). */
void fault_arm(const struct fault *f, struct fault_point *points, size_t size);
/* How many calls there were; harmless when it is not armed. */
int64_t fault_disarm(void);
/* Allocations of this process that have not been freed. */
int64_t fault_allocations(void);
