#include "daemon/pace.h"

#define MINUTE_MS 60000
#define SCALE     1000    /* of rates, and of the curve */
#define CUT       300     /* thousandths that a throttle takes away */
#define BACK_MS   600000  /* of use, until it is back where it was throttled */
#define FORGET    (-4)    /* times BACK_MS beyond that: twenty times the rate without a throttle is no limit */
#define LEAST     SCALE   /* one a minute: beyond that the backoff waits */

static int64_t interval_ms(const struct pace *p)
{
	return p->limit > 0 ? (int64_t)MINUTE_MS * SCALE / p->limit : 0;
}

int64_t pace_wait_ms(const struct pace *p, int64_t now_ms)
{
	return p->limit > 0 ? MAX(p->next_ms - now_ms, INT64_C(0)) : 0;
}

void pace_begin(struct pace *p, int64_t now_ms)
{
	p->next_ms = now_ms + interval_ms(p);
}

/* The curve: x goes from 1 at the cut over 0 where it was throttled on to FORGET. */
static int64_t limit_at(const struct pace *p)
{
	int64_t x = SCALE - p->used_ms * SCALE / BACK_MS;

	if (x < FORGET * SCALE)
		return 0;
	return MAX(p->top * (SCALE - CUT * x / SCALE * x / SCALE * x / SCALE) / SCALE, (int64_t)LEAST);
}

void pace_answered(struct pace *p, int64_t now_ms)
{
	/* What is not asked often does not show how often it may be. */
	int64_t used = MIN(now_ms - p->answered_ms, 2 * interval_ms(p));

	rate_count(&p->answered, now_ms, now_ms, 0);
	p->answered_ms = now_ms;
	p->proved = true;
	if (p->limit == 0)
		return;
	p->used_ms += MAX(used, INT64_C(0));
	p->limit = limit_at(p);
}

void pace_throttled(struct pace *p, int64_t now_ms, int64_t began_ms)
{
	int64_t answered, tokens;

	if (p->limit > 0 && (began_ms < p->cut_ms || !p->proved))
		return;
	/* Where nothing was answered there is no rate: the backoff waits. */
	rate_sums(&p->answered, now_ms, &answered, &tokens);
	if (answered == 0)
		return;
	p->top = p->limit > 0 ? MIN(p->limit, answered * SCALE) : answered * SCALE;
	p->used_ms = 0;
	p->limit = limit_at(p);
	p->cut_ms = now_ms;
	p->proved = false;
	p->next_ms = now_ms + interval_ms(p);
}

int64_t pace_per_minute(const struct pace *p)
{
	return p->limit > 0 ? MAX((p->limit + SCALE / 2) / SCALE, INT64_C(1)) : 0;
}
