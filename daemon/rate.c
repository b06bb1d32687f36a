#include "daemon/rate.h"

static int64_t second_of(int64_t ms)
{
	return ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);
}

static size_t slot_of(int64_t second)
{
	return (size_t)((second % RATE_SECONDS + RATE_SECONDS) % RATE_SECONDS);
}

/* The seconds that have come since are empty. */
static void move(struct rate *r, int64_t now_ms)
{
	int64_t now = second_of(now_ms);

	if (now - r->newest >= RATE_SECONDS) {
		*r = (struct rate){.newest = now};
		return;
	}
	while (r->newest < now) {
		r->newest++;
		r->requests[slot_of(r->newest)] = 0;
		r->tokens[slot_of(r->newest)] = 0;
	}
}

void rate_sums(struct rate *r, int64_t now_ms, int64_t *ret_requests, int64_t *ret_tokens)
{
	int64_t requests = 0, tokens = 0;

	move(r, now_ms);
	for (size_t i = 0; i < RATE_SECONDS; i++) {
		requests += r->requests[i];
		tokens += r->tokens[i];
	}
	*ret_requests = requests;
	*ret_tokens = tokens;
}

static bool has_room(const struct rate_limit *limit, int64_t requests, int64_t tokens, int64_t more)
{
	return (limit->requests <= 0 || requests < limit->requests) &&
		(limit->tokens <= 0 || tokens <= limit->tokens - MIN(more, limit->tokens));
}

int64_t rate_wait_ms(struct rate *r, int64_t now_ms, const struct rate_limit *limit, int64_t tokens)
{
	int64_t requests, counted;

	rate_sums(r, now_ms, &requests, &counted);
	if (has_room(limit, requests, counted, tokens))
		return 0;
	/* Second by second the oldest ones leave. */
	for (int64_t s = r->newest - RATE_SECONDS + 1; s <= r->newest; s++) {
		requests -= r->requests[slot_of(s)];
		counted -= r->tokens[slot_of(s)];
		if (has_room(limit, requests, counted, tokens))
			return (s + RATE_SECONDS) * 1000 - now_ms;
	}
	return RATE_SECONDS * 1000;
}

void rate_count(struct rate *r, int64_t now_ms, int64_t then_ms, int64_t tokens)
{
	int64_t then = second_of(MIN(then_ms, now_ms));

	move(r, now_ms);
	if (then <= r->newest - RATE_SECONDS)
		return;
	r->requests[slot_of(then)]++;
	r->tokens[slot_of(then)] += MAX(tokens, 0);
}

void rate_correct(struct rate *r, int64_t now_ms, int64_t then_ms, int64_t counted, int64_t actual)
{
	int64_t then = second_of(MIN(then_ms, now_ms));

	move(r, now_ms);
	if (then <= r->newest - RATE_SECONDS)
		return;
	r->tokens[slot_of(then)] = MAX(r->tokens[slot_of(then)] + actual - counted, 0);
}
