/*
 * How much goes to a backend in a minute: RequestsPerMinute= and TokensPerMinute=. Pure; every time is boottime and handed in.
 *
 * Seconds are counted whole, and the one that has just left the minute still counts: so in no 60 s, wherever they begin, more
 * is sent than allowed. Tokens are counted at their upper bound when a request starts and put right when it is answered.
 */
#pragma once

#include "base/util.h"

#define RATE_SECONDS 61

struct rate {
	int64_t newest; /* the second of slot newest % RATE_SECONDS; older slots are behind it */
	uint32_t requests[RATE_SECONDS];
	int64_t tokens[RATE_SECONDS];
};
struct rate_limit {
	int64_t requests, tokens; /* a minute; 0: no limit */
};

/* Milliseconds until one more of so many tokens may start: 0 now. One that is larger than the limit itself goes alone. */
int64_t rate_wait_ms(struct rate *r, int64_t now_ms, const struct rate_limit *limit, int64_t tokens);
void rate_count(struct rate *r, int64_t now_ms, int64_t then_ms, int64_t tokens);
/* One that was counted `then` with so many has taken `actual`. */
void rate_correct(struct rate *r, int64_t now_ms, int64_t then_ms, int64_t counted, int64_t actual);
/* Of the last minute, for people. */
void rate_sums(struct rate *r, int64_t now_ms, int64_t *ret_requests, int64_t *ret_tokens);
