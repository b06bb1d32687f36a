/* Which backend of its route a page is for, and what becomes of a page after an attempt: pure, so that every case is tested. */
#pragma once

#include "daemon/spool.h"
#include "extract/extractor.h"

enum rung_state {
	RUNG_ABSENT, /* the configuration no longer has this backend: as if the route did not name it */
	RUNG_READY,  /* takes a request now */
	RUNG_WAIT,   /* at its bound, throttled, or down for less than its FallbackAfter=: the page stays here */
	RUNG_DOWN,   /* down for longer: the next of the route may be asked */
	RUNG_PASSED, /* a fallback that already failed this page: not asked again */
};

#define ROUTE_WAIT   (-1) /* nobody now */
#define ROUTE_NOBODY (-2) /* nobody ever: the configuration has none of the backends that are left */

/* The first backend from `rung` on that exists: the authoritative one for the page now. n if there is none. */
size_t route_first(const enum rung_state *rungs, size_t n, size_t rung);
/* The index to send to, ROUTE_WAIT or ROUTE_NOBODY. `answered` is the index that gave the page's provisional answer (n: none):
 * only better ones are asked then. */
int route_target(const enum rung_state *rungs, size_t n, size_t rung, size_t answered);

struct route_case {
	const enum rung_state *rungs;
	size_t n;
	size_t rung;              /* the page's */
	size_t answered;          /* n: no answer yet */
	enum page_state state;    /* the page's */
	size_t asked;             /* index of the backend that was asked */
	enum page_outcome outcome;
	bool exhausted;           /* this was the last try that the backend has for the page */
};
struct route_decision {
	enum page_state state;
	size_t rung;
	bool charged;       /* counts as a try */
	bool authoritative; /* the answer is final */
	bool passed;        /* do not ask this fallback for this page again */
};
void route_decide(const struct route_case *c, struct route_decision *ret);
