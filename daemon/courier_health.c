#include "daemon/courier_health.h"

#define GAP_SHARE  64   /* the first gap after an outage is this part of it, */
#define GAP_MAX_MS 8000 /* but no longer: eight answers later it is gone */
#define GAP_MIN_MS 50

static bool waited_long(int64_t since_ms, int64_t now_ms, int64_t fallback_after_ms)
{
	return now_ms - since_ms >= fallback_after_ms;
}

enum rung_state health_rung(const struct health *h, int64_t seq, int64_t now_ms, int64_t fallback_after_ms, bool own_probe)
{
	const struct breaker *b = &h->breaker;

	switch (b->state) {
	case BREAKER_BUSY:
		if (now_ms < b->until_ms)
			return RUNG_WAIT;
		break;
	case BREAKER_OPEN:
		if (now_ms >= b->until_ms && !own_probe)
			break;
		/* fallthrough */
	case BREAKER_PROBING:
		return waited_long(b->down_since_ms, now_ms, fallback_after_ms) ? RUNG_DOWN : RUNG_WAIT;
	case BREAKER_CLOSED:
		break;
	}
	if (seq != 0 && seq == h->solo_seq && now_ms < h->solo_until_ms)
		return waited_long(h->solo_since_ms, now_ms, fallback_after_ms) ? RUNG_DOWN : RUNG_WAIT;
	return RUNG_READY;
}

static int64_t sooner(int64_t a, int64_t b, int64_t now_ms)
{
	return b > now_ms ? MIN(a, b) : a;
}

int64_t health_wake_ms(const struct health *h, int64_t now_ms, int64_t fallback_after_ms)
{
	int64_t wake = INT64_MAX;

	if (h->breaker.state == BREAKER_BUSY || h->breaker.state == BREAKER_OPEN)
		wake = sooner(wake, h->breaker.until_ms, now_ms);
	if (h->breaker.state == BREAKER_OPEN || h->breaker.state == BREAKER_PROBING)
		wake = sooner(wake, h->breaker.down_since_ms + fallback_after_ms, now_ms);
	if (h->solo_seq) {
		wake = sooner(wake, h->solo_until_ms, now_ms);
		wake = sooner(wake, h->solo_since_ms + fallback_after_ms, now_ms);
	}
	return sooner(wake, h->next_ms, now_ms);
}

/* ---- how much of it ------------------------------------------------------------------------------------------------------- */

int64_t health_most(const struct health *h, int64_t concurrency)
{
	return MIN((int64_t)h->more + 1, MAX(concurrency, INT64_C(1)));
}

bool health_room(const struct health *h, int64_t now_ms, size_t in_flight, int64_t concurrency)
{
	return (int64_t)in_flight < health_most(h, concurrency) && now_ms >= h->next_ms;
}

void health_begin(struct health *h, int64_t now_ms, uint32_t random)
{
	/* The caller has looked: this only moves an open breaker on to its probe. */
	breaker_allows(&h->breaker, now_ms);
	/* Half to one and a half of the gap. */
	if (h->gap_ms > 0)
		h->next_ms = now_ms + h->gap_ms / 2 + (int64_t)((uint64_t)h->gap_ms * random >> 32);
}

/* Down, or back from it: from the beginning. */
static void ramp_restart(struct health *h, int64_t outage_ms)
{
	int64_t gap = MIN(outage_ms / GAP_SHARE, (int64_t)GAP_MAX_MS);

	h->more = 0;
	if (gap >= GAP_MIN_MS)
		h->gap_ms = MAX(h->gap_ms, gap);
}

static void ramp_throttled(struct health *h, int64_t concurrency)
{
	h->more = (uint32_t)MIN((int64_t)h->more + 1, MAX(concurrency, 1)) / 2;
	h->more -= h->more > 0;
}

static void ramp_answered(struct health *h, int64_t concurrency)
{
	if ((int64_t)h->more + 1 < concurrency)
		h->more++;
	h->gap_ms = h->gap_ms / 2 < GAP_MIN_MS ? 0 : h->gap_ms / 2;
	if (h->gap_ms == 0)
		h->next_ms = 0;
}

enum backend_state health_state(const struct health *h, int64_t now_ms)
{
	switch (h->breaker.state) {
	case BREAKER_CLOSED:
		return BACKEND_OK;
	case BREAKER_BUSY:
		return now_ms < h->breaker.until_ms ? BACKEND_BUSY : BACKEND_OK;
	case BREAKER_OPEN:
	case BREAKER_PROBING:
		break;
	}
	return BACKEND_DOWN;
}

static void solo_clear(struct health *h)
{
	h->solo_seq = 0;
	h->solo_failures = 0;
	h->solo_since_ms = h->solo_until_ms = 0;
	h->solo_proved = false;
}

/* After so many failures in a row. */
static int64_t delay_after(struct health *h, const struct health_end *e, uint32_t failures)
{
	bool quick = e->wait == WAIT_TRANSIENT || e->wait == WAIT_THROTTLED;
	int64_t delay = quick ? quick_ms(&h->quick, e->wait == WAIT_THROTTLED, failures, e->random) : -1;

	/* The slow ones begin at Backoff= whatever went before. */
	if (delay < 0)
		delay = backoff_ms(e->base_ms, e->cap_ms, quick && failures > QUICK_TRIES ? failures - QUICK_TRIES : failures, e->random, 0);
	return hinted_ms(MAX(delay, e->least_ms), e->hint_ms);
}

static void open_breaker(struct health *h, int64_t now_ms, const struct health_end *e)
{
	int64_t first = h->solo_since_ms;

	/* What was in flight when it opened tells nothing new; once its time has come, a failure opens it again. */
	if (h->breaker.state == BREAKER_OPEN && now_ms < h->breaker.until_ms)
		return;
	breaker_down(&h->breaker, now_ms, delay_after(h, e, h->breaker.failures + 1));
	ramp_restart(h, 0);
	if (first && first < h->breaker.down_since_ms)
		h->breaker.down_since_ms = first;
	solo_clear(h);
}

/* One page failed where others may not. */
static enum page_outcome failed_alone(struct health *h, int64_t now_ms, const struct health_end *e)
{
	bool charge = e->page == PAGE_RETRY || (h->solo_seq == e->seq && h->solo_proved);

	if (h->solo_seq != e->seq) {
		solo_clear(h);
		h->solo_seq = e->seq;
		h->solo_since_ms = MAX(now_ms, 1);
	}
	h->solo_proved = false;
	if (h->solo_failures < UINT32_MAX)
		h->solo_failures++;
	h->solo_until_ms = now_ms + delay_after(h, e, h->solo_failures);
	return charge ? PAGE_RETRY : e->page;
}

static enum page_outcome ended_down(struct health *h, int64_t now_ms, const struct health_end *e)
{
	bool second = h->solo_seq != 0 && h->solo_seq != e->seq && !h->solo_proved;

	if (e->ambiguous && e->seq != 0 && !second && h->breaker.state == BREAKER_CLOSED)
		return failed_alone(h, now_ms, e);
	open_breaker(h, now_ms, e);
	return e->page == PAGE_RETRY ? PAGE_UNTOUCHED : e->page;
}

enum page_outcome health_end(struct health *h, int64_t now_ms, const struct health_end *e)
{
	if (e->wait == WAIT_AGAIN && !h->again) {
		h->again = true;
		/* The page that was the probe may be it once more. */
		if (h->breaker.state == BREAKER_PROBING) {
			h->breaker.state = BREAKER_OPEN;
			h->breaker.until_ms = now_ms;
		}
		return e->page;
	}
	switch (e->backend) {
	case BACKEND_DOWN:
		return ended_down(h, now_ms, e);
	case BACKEND_BUSY:
		if (h->breaker.down_since_ms)
			ramp_restart(h, now_ms - h->breaker.down_since_ms);
		breaker_busy(&h->breaker, now_ms, delay_after(h, e, h->breaker.failures + 1));
		ramp_throttled(h, e->concurrency);
		return e->page;
	case BACKEND_OK:
		break;
	}
	/* "As if never asked" of a backend that is well would ask again at once, for ever. */
	if (e->page == PAGE_UNTOUCHED && e->seq != 0) {
		breaker_busy(&h->breaker, now_ms, delay_after(h, e, h->breaker.failures + 1));
		return e->page;
	}
	/* A probe that is no page proves that somebody is there, not that pages are answered (a server without its vision part
	 * is "healthy"): the count goes on, so that probe, page, failure in turn slow down. */
	if (h->breaker.down_since_ms)
		ramp_restart(h, now_ms - h->breaker.down_since_ms);
	else if (e->seq != 0)
		ramp_answered(h, e->concurrency);
	if (e->seq == 0) {
		breaker_alive(&h->breaker);
	} else {
		breaker_ok(&h->breaker);
		quick_answered(&h->quick);
		h->again = false;
	}
	if (e->seq == h->solo_seq)
		solo_clear(h);
	else if (h->solo_seq)
		h->solo_proved = true;
	return e->page;
}
