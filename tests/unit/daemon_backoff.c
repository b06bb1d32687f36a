#include "daemon/backoff.h"

#include "tests/unit/test.h"

#define SECOND_MS INT64_C(1000)

/* A small fixed generator: the distribution is checked, not the kernel's randomness. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 32);
}

TEST(first_failure_is_within_base)
{
	CHECK_INT(backoff_ms(2000, 60000, 1, 0, 0), 0);
	CHECK_INT(backoff_ms(2000, 60000, 1, UINT32_MAX, 0), 2000);
	CHECK_INT(backoff_ms(2000, 60000, 1, UINT32_MAX / 2, 0), 1000);
}

TEST(span_doubles_until_the_cap)
{
	const int64_t want[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};

	for (uint32_t n = 1; n <= ARRAY_SIZE(want); n++)
		CHECK_INT(backoff_ms(2000, 60000, n, UINT32_MAX, 0), want[n - 1]);
	CHECK_INT(backoff_ms(2000, 60000, UINT32_MAX, UINT32_MAX, 0), 60000);
	CHECK_INT(backoff_ms(2000, 60000, 0, UINT32_MAX, 0), 2000);
}

TEST(huge_values_do_not_overflow)
{
	CHECK_INT(backoff_ms(INT64_MAX / 2, INT64_MAX, 60, 0, 0), 0);
	CHECK(backoff_ms(INT64_MAX / 2, INT64_MAX, 60, UINT32_MAX, 0) > INT64_MAX / 2);
	CHECK(backoff_ms(1, INT64_C(1) << 40, 64, UINT32_MAX, 0) <= INT64_C(1) << 40);
	CHECK_INT(backoff_ms(-5, -5, 3, UINT32_MAX, 0), 0);
}

TEST(hint_is_a_lower_bound)
{
	CHECK_INT(backoff_ms(2000, 60000, 1, 0, 5000), 5000);
	CHECK_INT(backoff_ms(2000, 60000, 4, UINT32_MAX, 5000), 16000);
	/* A server may ask for more than our own cap: it is believed. */
	CHECK_INT(backoff_ms(2000, 60000, 9, UINT32_MAX, 90000), 90000);
}

TEST(jitter_is_uniform)
{
	unsigned int buckets[10] = {0};
	uint64_t state = 42;

	for (int i = 0; i < 100000; i++) {
		int64_t d = backoff_ms(1000, 64000, 5, next_random(&state), 0);

		CHECK(d >= 0 && d <= 16000);
		buckets[MIN(d / 1600, 9)]++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(buckets); i++)
		CHECK(buckets[i] > 9500 && buckets[i] < 10500);
}

TEST(closed_breaker_allows)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	CHECK(breaker_allows(&b, 0));
	CHECK_INT(breaker_wait_ms(&b, 0), 0);
}

TEST(open_breaker_allows_one_probe)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_down(&b, 100, 50);
	CHECK(b.state == BREAKER_OPEN);
	CHECK(!breaker_allows(&b, 149));
	CHECK_INT(breaker_wait_ms(&b, 149), 1);
	CHECK(breaker_allows(&b, 150));
	CHECK(b.state == BREAKER_PROBING);
	CHECK(!breaker_allows(&b, 151));
	CHECK(!breaker_allows(&b, 1000 * SECOND_MS));
	CHECK_INT(breaker_wait_ms(&b, 151), -1);
}

TEST(failed_probe_opens_again_and_keeps_the_time_of_the_first_failure)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_down(&b, 100, 50);
	CHECK(breaker_allows(&b, 200));
	breaker_down(&b, 210, 70);
	CHECK(b.state == BREAKER_OPEN);
	CHECK_INT(b.failures, 2);
	CHECK_INT(b.down_since_ms, 100);
	CHECK_INT(b.until_ms, 280);
}

TEST(good_probe_closes)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_down(&b, 100, 50);
	CHECK(breaker_allows(&b, 200));
	breaker_ok(&b);
	CHECK(b.state == BREAKER_CLOSED);
	CHECK_INT(b.failures, 0);
	CHECK_INT(b.down_since_ms, 0);
}

TEST(down_at_time_zero_counts_as_down)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_down(&b, 0, 10);
	CHECK(b.down_since_ms != 0);
}

TEST(busy_waits_and_is_not_down)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_busy(&b, 100, 30);
	CHECK(!breaker_allows(&b, 129));
	CHECK_INT(breaker_wait_ms(&b, 120), 10);
	CHECK_INT(b.down_since_ms, 0);
	CHECK(breaker_allows(&b, 130));
	CHECK(b.state == BREAKER_CLOSED);
}

TEST(second_throttle_never_shortens_the_wait)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_busy(&b, 100, 1000);
	breaker_busy(&b, 110, 10);
	CHECK_INT(b.until_ms, 1100);
	CHECK_INT(b.failures, 2);
}

TEST(throttled_probe_is_a_sign_of_life)
{
	struct breaker b = {.state = BREAKER_CLOSED};

	breaker_down(&b, 100, 50);
	CHECK(breaker_allows(&b, 200));
	breaker_busy(&b, 210, 20);
	CHECK(b.state == BREAKER_BUSY);
	CHECK_INT(b.down_since_ms, 0);
}

TEST(failures_do_not_wrap)
{
	struct breaker b = {.failures = UINT32_MAX - 1};

	breaker_down(&b, 1000, 500);
	breaker_down(&b, 1000, 500);
	CHECK_INT(b.failures, UINT32_MAX);
	breaker_busy(&b, 1000, 500);
	CHECK_INT(b.failures, UINT32_MAX);
}

TEST(quick_tries_are_two_with_full_jitter)
{
	struct quick q = {0};

	CHECK_INT(quick_ms(&q, false, 1, UINT32_MAX), 50);
	CHECK_INT(quick_ms(&q, false, 2, UINT32_MAX), 100);
	CHECK_INT(quick_ms(&q, false, 3, UINT32_MAX), -1);
	CHECK_INT(quick_ms(&q, true, 1, UINT32_MAX), 1000);
	CHECK_INT(quick_ms(&q, true, 2, UINT32_MAX), 2000);
	CHECK_INT(quick_ms(&q, true, 2, 0), 0);
}

/* 500 tokens; 14 or 5 a try; an answer gives back what the try before it cost, or 1. */
TEST(the_bucket_runs_dry_and_fills)
{
	struct quick q = {0};
	int n = 0;

	while (quick_ms(&q, false, 1, 0) >= 0)
		n++;
	CHECK_INT(n, 500 / 14);
	CHECK_INT(quick_ms(&q, true, 1, 0), 0); /* 10 were left */
	quick_answered(&q);
	CHECK_INT(q.spent, 490);
	quick_answered(&q);
	CHECK_INT(q.spent, 489);
	CHECK_INT(quick_ms(&q, false, 1, 0), -1);
	for (int i = 0; i < 1000; i++)
		quick_answered(&q);
	CHECK_INT(q.spent, 0);
}

TEST(a_hint_makes_a_wait_longer_by_5_s_at_most)
{
	CHECK_INT(hinted_ms(1000, 0), 1000);
	CHECK_INT(hinted_ms(1000, 200), 1000);
	CHECK_INT(hinted_ms(1000, 3000), 3000);
	CHECK_INT(hinted_ms(1000, 90000), 6000);
}
