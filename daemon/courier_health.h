/*
 * How a backend is: its breaker, and the page that alone makes it fail. Pure, so that outages and bad pages are simulated.
 *
 * Two kinds of failure open the breaker: one that says plainly that no page would fare better (no connection, no access), at
 * once; and one that may be the page's fault (a 5xx, silence after the page was sent) when it hits a second page in a row, or
 * the page that was the probe. Until then the one page that fails is kept from this backend for a while, others are not.
 *
 * What may pass in a moment (WAIT_TRANSIENT, WAIT_THROTTLED) is tried twice more as AWS's SDKs do; then, and after all else,
 * the waits are Backoff= doubled up to BackoffMax=. What was just learned (the time) is tried once, at once.
 *
 * It begins gently, at start and when it is back: one request in flight, and one more after each page that is answered, up to
 * Concurrency=. A throttle halves what may be in flight. After a long outage requests are also kept apart, by a gap with
 * jitter that halves with each answer, so that a fleet which was cut off together does not come back as one.
 */
#pragma once

#include "daemon/backoff.h"
#include "daemon/courier_route.h"

struct health {
	struct breaker breaker;
	int64_t solo_seq;       /* the page that failed alone; 0: none */
	uint32_t solo_failures; /* in a row */
	int64_t solo_since_ms, solo_until_ms;
	bool solo_proved;       /* another page was answered since: the server is fine */
	uint32_t more;          /* in flight beyond one, up to Concurrency= */
	int64_t gap_ms;         /* between two requests, about; 0: none */
	int64_t next_ms;        /* boottime of the next one at the earliest */
	struct quick quick;
	bool again;             /* what was learned has been tried (WAIT_AGAIN), and nothing was answered since */
};

/* How it looks to this page at `now`. `own_probe`: an open breaker is probed by a request of its own, never by a page. */
enum rung_state health_rung(const struct health *h, int64_t seq, int64_t now_ms, int64_t fallback_after_ms, bool own_probe);
/* When health_rung() may next change by itself; INT64_MAX: not by time. */
int64_t health_wake_ms(const struct health *h, int64_t now_ms, int64_t fallback_after_ms);
/* May one more start, when it is ready and so many are in flight? */
bool health_room(const struct health *h, int64_t now_ms, size_t in_flight, int64_t concurrency);
/* So many may be in flight now. */
int64_t health_most(const struct health *h, int64_t concurrency);
/* A request starts; `random` is for the jitter. */
void health_begin(struct health *h, int64_t now_ms, uint32_t random);

struct health_end {
	int64_t seq;               /* the page; 0: a probe without one */
	enum page_outcome page;
	enum backend_state backend;
	bool ambiguous;            /* DOWN: it may be the page's fault */
	enum wait_class wait;
	int64_t least_ms;          /* the table's; 0 */
	int64_t hint_ms;           /* the server's; 0 */
	int64_t base_ms, cap_ms;   /* backoff */
	int64_t concurrency;
	uint32_t random;
};
/* It has ended. What the page is charged: a dead server charges none. */
enum page_outcome health_end(struct health *h, int64_t now_ms, const struct health_end *e);
enum backend_state health_state(const struct health *h, int64_t now_ms);
