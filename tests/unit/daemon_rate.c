#include "daemon/rate.h"
#include "tests/unit/test.h"

#define MINUTE 60000

static uint64_t random_state = 7;

static int64_t between(int64_t low, int64_t high)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return low + (int64_t)((random_state >> 33) % (uint64_t)(high - low + 1));
}

TEST(without_limits_nothing_waits)
{
	struct rate r = {0};

	for (int i = 0; i < 10000; i++)
		rate_count(&r, 5, 5, 1000000);
	CHECK_INT(rate_wait_ms(&r, 5, &(struct rate_limit){0}, 1000000), 0);
}

TEST(the_next_goes_when_the_oldest_leaves)
{
	const struct rate_limit limit = {.requests = 2};
	struct rate r = {0};

	rate_count(&r, 100, 100, 0);
	CHECK_INT(rate_wait_ms(&r, 100, &limit, 0), 0);
	rate_count(&r, 30000, 30000, 0);
	CHECK_INT(rate_wait_ms(&r, 30000, &limit, 0), 61000 - 30000);
	CHECK_INT(rate_wait_ms(&r, 60999, &limit, 0), 1);
	CHECK_INT(rate_wait_ms(&r, 61000, &limit, 0), 0);
}

TEST(tokens_are_put_right)
{
	const struct rate_limit limit = {.tokens = 10000};
	struct rate r = {0};

	rate_count(&r, 0, 0, 6000);
	CHECK_INT(rate_wait_ms(&r, 10, &limit, 6000), 61000 - 10);
	rate_correct(&r, 2000, 0, 6000, 4000);
	CHECK_INT(rate_wait_ms(&r, 2000, &limit, 6000), 0);
	rate_correct(&r, 3000, 0, 4000, 9000); /* more than was thought */
	CHECK(rate_wait_ms(&r, 3000, &limit, 6000) > 0);
	rate_correct(&r, 70000, 0, 9000, 0); /* long gone */
	CHECK_INT(rate_wait_ms(&r, 70000, &limit, 10000), 0);
}

TEST(one_larger_than_the_limit_goes_alone)
{
	const struct rate_limit limit = {.tokens = 1000};
	struct rate r = {0};

	CHECK_INT(rate_wait_ms(&r, 0, &limit, 5000), 0);
	rate_count(&r, 0, 0, 5000);
	CHECK(rate_wait_ms(&r, 1000, &limit, 1) > 0);
	CHECK_INT(rate_wait_ms(&r, 61000, &limit, 5000), 0);
}

/* What was sent before a restart may be older than this boot. */
TEST(before_the_boot)
{
	const struct rate_limit limit = {.requests = 1};
	struct rate r = {0};

	rate_count(&r, 5000, -30000, 0);
	CHECK_INT(rate_wait_ms(&r, 5000, &limit, 0), 31000 - 5000);
	rate_count(&r, 5000, -70000, 0); /* too long ago to count */
	CHECK_INT(rate_wait_ms(&r, 31000, &limit, 0), 0);
}

/* Whoever waits as told gets through, and in no minute too much is sent. */
TEST(never_more_in_any_minute)
{
	for (int round = 0; round < 200; round++) {
		const struct rate_limit limit = {.requests = between(1, 40), .tokens = between(500, 20000)};
		int64_t sent_ms[400], tokens[400], now = between(0, 100000);
		struct rate r = {0};

		for (size_t i = 0; i < ARRAY_SIZE(sent_ms); i++) {
			int64_t wait, sum = 0, n = 0;

			tokens[i] = between(1, 500);
			now += between(0, 3) ? between(0, 500) : between(0, 90000);
			wait = rate_wait_ms(&r, now, &limit, tokens[i]);
			CHECK(wait >= 0 && wait <= MINUTE + 1000);
			now += wait;
			CHECK_INT(rate_wait_ms(&r, now, &limit, tokens[i]), 0);
			rate_count(&r, now, now, tokens[i]);
			sent_ms[i] = now;
			for (size_t k = i + 1; k-- > 0 && sent_ms[k] > now - MINUTE; n++)
				sum += tokens[k];
			CHECK(n <= limit.requests && sum <= limit.tokens);
		}
	}
}
