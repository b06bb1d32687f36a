/* Delays, pure: the courier's arithmetic, tested and simulated by itself. */
#pragma once

#include "base/util.h"

/* Capped exponential backoff with full jitter: uniform in [0, min(cap, base * 2^(n-1))], at least `hint` when that is > 0.
 * n is the number of failures so far (1..), random a uniform 32-bit number. Source: AWS Architecture Blog, "Exponential
 * Backoff And Jitter" (full jitter). */
int64_t backoff_ms(int64_t base_ms, int64_t cap_ms, uint32_t n, uint32_t random, int64_t hint_ms);

/* A moment of so many milliseconds (31 bits), each as likely as the others. */
int64_t spread_ms(int64_t ms, uint32_t random);

/*
 * The quick tries of AWS's SDKs since 2026: two after the first, full jitter, from 50 ms (transient) or 1 s (throttled) up to
 * 20 s, as long as a bucket of 500 tokens lasts: a try costs 14 or 5 of them; an answer gives back what the try before it cost,
 * or 1 when it came at once. So a server in trouble is not asked three times as much by all. Zeros are a full bucket.
 */
#define QUICK_TRIES 2
struct quick {
	uint32_t spent, last; /* tokens; of the last try */
};
/* The wait before quick try n (1..), or -1: there is none. */
int64_t quick_ms(struct quick *q, bool throttled, uint32_t n, uint32_t random);
void quick_answered(struct quick *q);
/* A server's hint (x-amz-retry-after, Retry-After; 0: none) makes a delay longer, by 5 s at most. */
int64_t hinted_ms(int64_t delay_ms, int64_t hint_ms);

/* A backend's breaker. DOWN opens after failures of distinct pages or a failed probe; then one probe at a time. */
struct breaker {
	enum { BREAKER_CLOSED, BREAKER_BUSY, BREAKER_OPEN, BREAKER_PROBING } state;
	uint32_t failures;   /* in a row */
	int64_t until_ms;    /* boottime: BUSY and OPEN end here */
	int64_t down_since_ms; /* boottime of the first failure in a row; 0: up */
};
/* May a request start at `now`? An open breaker whose time has come answers true once and goes to PROBING. */
bool breaker_allows(struct breaker *b, int64_t now_ms);
/* Milliseconds until it may allow: 0 now, -1 only after a result (a probe is out). */
int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms);
void breaker_ok(struct breaker *b);
/* Closed again by a probe that is no page: failures still count on until a page is answered. */
void breaker_alive(struct breaker *b);
void breaker_busy(struct breaker *b, int64_t now_ms, int64_t delay_ms);
void breaker_down(struct breaker *b, int64_t now_ms, int64_t delay_ms);
