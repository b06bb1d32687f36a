/* Delays and the breaker: arithmetic only, every time is handed in. */
#include "daemon/backoff.h"

int64_t backoff_ms(int64_t base_ms, int64_t cap_ms, uint32_t n, uint32_t random, int64_t hint_ms)
{
	int64_t span = MAX(base_ms, 0), delay;

	cap_ms = MAX(cap_ms, 0);
	/* Doubled step by step, so that nothing overflows whatever n is. */
	for (uint32_t i = 1; i < n && span < cap_ms; i++)
		span = span > cap_ms / 2 ? cap_ms : span * 2;
	span = MIN(span, cap_ms);
	/* [0, span] by 32 bits of randomness; span in two halves, since span * 2^32 may not fit. */
	delay = (span >> 32) * (int64_t)random + (int64_t)(((uint64_t)(span & UINT32_MAX) * random + UINT32_MAX / 2) / UINT32_MAX);
	delay = MIN(delay, span);
	return hint_ms > 0 ? MAX(delay, hint_ms) : delay;
}

#define QUICK_BUCKET    500
#define QUICK_COST      14
#define THROTTLED_COST  5
#define QUICK_BASE      50
#define THROTTLED_BASE  1000
#define QUICK_CAP       20000
#define HINT_MORE       5000

int64_t quick_ms(struct quick *q, bool throttled, uint32_t n, uint32_t random)
{
	uint32_t cost = throttled ? THROTTLED_COST : QUICK_COST;

	if (n > QUICK_TRIES || q->spent + cost > QUICK_BUCKET)
		return -1;
	q->spent += cost;
	q->last = cost;
	return backoff_ms(throttled ? THROTTLED_BASE : QUICK_BASE, QUICK_CAP, n, random, 0);
}

void quick_answered(struct quick *q)
{
	q->spent -= MIN(q->spent, MAX(q->last, 1U));
	q->last = 0;
}

int64_t hinted_ms(int64_t delay_ms, int64_t hint_ms)
{
	return MAX(delay_ms, MIN(hint_ms, delay_ms + HINT_MORE));
}

bool breaker_allows(struct breaker *b, int64_t now_ms)
{
	switch (b->state) {
	case BREAKER_CLOSED:
		return true;
	case BREAKER_BUSY:
		if (now_ms < b->until_ms)
			return false;
		b->state = BREAKER_CLOSED;
		return true;
	case BREAKER_OPEN:
		if (now_ms < b->until_ms)
			return false;
		b->state = BREAKER_PROBING;
		return true;
	case BREAKER_PROBING:
		break;
	}
	return false;
}

int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms)
{
	switch (b->state) {
	case BREAKER_CLOSED:
		return 0;
	case BREAKER_BUSY:
	case BREAKER_OPEN:
		return MAX(b->until_ms - now_ms, 0);
	case BREAKER_PROBING:
		break;
	}
	return -1;
}

void breaker_ok(struct breaker *b)
{
	*b = (struct breaker){.state = BREAKER_CLOSED};
}

void breaker_alive(struct breaker *b)
{
	b->state = BREAKER_CLOSED;
	b->until_ms = 0;
}

/* A throttle is a sign of life: the backend is not down, and a wait that is already longer is kept. */
void breaker_busy(struct breaker *b, int64_t now_ms, int64_t delay_ms)
{
	int64_t until = now_ms + MAX(delay_ms, 0);

	if (b->state == BREAKER_BUSY)
		until = MAX(until, b->until_ms);
	if (b->failures < UINT32_MAX)
		b->failures++;
	b->state = BREAKER_BUSY;
	b->until_ms = until;
	b->down_since_ms = 0;
}

void breaker_down(struct breaker *b, int64_t now_ms, int64_t delay_ms)
{
	if (b->failures < UINT32_MAX)
		b->failures++;
	b->state = BREAKER_OPEN;
	b->until_ms = now_ms + MAX(delay_ms, 0);
	/* 0 means "up", so a failure in the very first millisecond counts from the next. */
	if (b->down_since_ms == 0)
		b->down_since_ms = MAX(now_ms, 1);
}

int64_t spread_ms(int64_t ms, uint32_t random)
{
	return (int64_t)((uint64_t)ms * random >> 32);
}
