/*
 * How fast a backend takes requests, learned from its throttling. Pure; every time is boottime and handed in.
 *
 * Until it throttles there is no limit. Then requests are kept apart: at 0.7 of the rate at which it answered in the last minute,
 * from where the rate grows as TCP's CUBIC does (RFC 9438): quickly back towards the rate it was throttled at, slowly near that,
 * quickly again beyond it. AWS's SDKs do the same in their adaptive mode, but with a curve for hundreds of requests a second that is
 * back within a second. Quotas of pages are counted by the minute: here it takes ten minutes, so that near a quota that nobody
 * has told us one request in a hundred finds it used up, not one in five. The curve is one of the rate's own size: a quota that
 * several devices share is shared, and a raised one is found within half an hour.
 *
 * Only time in which pages are answered counts: a night without pages teaches nothing.
 */
#pragma once

#include "daemon/rate.h"

struct pace {
	struct rate answered;     /* of the last minute */
	int64_t limit, top;       /* thousandths of a request a minute: now, and where it was throttled; 0: never was */
	int64_t used_ms;          /* time of use since the last cut */
	int64_t cut_ms, answered_ms, next_ms; /* boottime: of the cut, of the last answer, of the next start at the earliest */
	bool proved;              /* something was answered since the cut */
};

/* Until the next may start; 0: now. */
int64_t pace_wait_ms(const struct pace *p, int64_t now_ms);
/* One starts. */
void pace_begin(struct pace *p, int64_t now_ms);
void pace_answered(struct pace *p, int64_t now_ms);
/* One that began then was refused for its rate. Those that were out together are one reason to slow down, not many. */
void pace_throttled(struct pace *p, int64_t now_ms, int64_t began_ms);
/* Requests a minute, at least 1; 0: no limit is known. */
int64_t pace_per_minute(const struct pace *p);
