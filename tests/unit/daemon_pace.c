#include "daemon/pace.h"
#include "tests/unit/test.h"

#define MINUTE INT64_C(60000)

/* Answers as fast as it lets us, each after 3 s, from `now` until `end`; a server that takes `quota` in any 60 s refuses the others. */
struct run {
	struct pace pace;
	struct rate server;
	int64_t now, answered, refused;
};

static void run(struct run *r, int64_t end, int64_t quota)
{
	const struct rate_limit limit = {.requests = quota};

	while (r->now < end) {
		int64_t began = r->now;

		pace_begin(&r->pace, began);
		if (rate_wait_ms(&r->server, began, &limit, 0) == 0) {
			rate_count(&r->server, began, began, 0);
			r->now += 3000;
			pace_answered(&r->pace, r->now);
			r->answered++;
		} else {
			r->now += 100;
			pace_throttled(&r->pace, r->now, began);
			r->refused++;
		}
		r->now += pace_wait_ms(&r->pace, r->now);
	}
}

TEST(without_a_throttle_nothing_waits)
{
	struct run r = {.now = 5};

	run(&r, 60 * MINUTE, 1000);
	CHECK_INT(r.refused, 0);
	CHECK_INT(pace_wait_ms(&r.pace, r.now), 0);
	CHECK_INT(pace_per_minute(&r.pace), 0);
}

TEST(a_throttle_takes_a_third_of_what_was_answered)
{
	struct pace p = {0};

	for (int i = 0; i < 20; i++) {
		pace_begin(&p, i * 2000);
		pace_answered(&p, i * 2000 + 1000);
	}
	pace_begin(&p, 40000);
	pace_throttled(&p, 40100, 40000);
	CHECK_INT(pace_per_minute(&p), 14);
	CHECK_INT(pace_wait_ms(&p, 40100), 60000 / 14);
	pace_begin(&p, 50000);
	CHECK_INT(pace_wait_ms(&p, 50000), 60000 / 14);
}

TEST(those_that_were_out_together_are_one_reason)
{
	struct pace p = {0};

	for (int i = 0; i < 30; i++)
		pace_answered(&p, i * 1000);
	pace_throttled(&p, 30100, 30000);
	CHECK_INT(pace_per_minute(&p), 21);
	pace_throttled(&p, 30200, 30050);
	pace_answered(&p, 30300);
	pace_throttled(&p, 30400, 30060);
	CHECK_INT(pace_per_minute(&p), 21);
	/* And nothing is known anew before something was answered: then the backoff waits. */
	pace_throttled(&p, 33000, 32000);
	CHECK(pace_per_minute(&p) < 21);
	pace_throttled(&p, 38000, 37000);
	CHECK(pace_per_minute(&p) >= 14);
}

TEST(near_a_quota_few_are_refused_and_most_of_it_is_used)
{
	static const int64_t quotas[] = {4, 7, 10, 19};

	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		struct run r = {0};

		run(&r, 60 * MINUTE, quotas[i]);
		r.answered = r.refused = 0;
		run(&r, 11 * 60 * MINUTE, quotas[i]);
		if (r.refused * 100 > r.answered * 4)
			test_fail(__FILE__, __LINE__, "quota %lld: %lld refused of %lld", (long long)quotas[i], (long long)r.refused,
				(long long)(r.answered + r.refused));
		if (r.answered * 100 < quotas[i] * 600 * 85)
			test_fail(__FILE__, __LINE__, "quota %lld: only %lld answered", (long long)quotas[i], (long long)r.answered);
	}
}

TEST(a_raised_quota_is_found_and_a_lowered_one)
{
	struct run r = {0};
	int64_t before;

	run(&r, 60 * MINUTE, 5);
	run(&r, 100 * MINUTE, 15);
	before = r.answered;
	run(&r, 130 * MINUTE, 15);
	CHECK(r.answered - before > 30 * 11);
	run(&r, 140 * MINUTE, 3);
	r.answered = r.refused = 0;
	run(&r, 200 * MINUTE, 3);
	CHECK(r.answered > 60 * 2);
	CHECK(r.refused * 10 < r.answered);
}

TEST(a_night_teaches_nothing)
{
	struct run r = {0};
	int64_t before;

	run(&r, 60 * MINUTE, 10);
	before = pace_per_minute(&r.pace);
	CHECK(before > 0);
	r.now += 12 * 60 * MINUTE;
	pace_answered(&r.pace, r.now);
	CHECK(pace_per_minute(&r.pace) <= before + 1);
}

TEST(a_backend_that_has_answered_nothing_has_no_rate)
{
	struct pace p = {0};

	pace_begin(&p, 1000);
	pace_throttled(&p, 1100, 1000);
	CHECK_INT(pace_per_minute(&p), 0);
	CHECK_INT(pace_wait_ms(&p, 1100), 0);
}

TEST(it_never_falls_below_one_a_minute)
{
	struct pace p = {0};

	for (int i = 1; i < 50; i++) {
		pace_answered(&p, i * 120000);
		pace_throttled(&p, i * 120000 + 500, i * 120000 + 400);
	}
	CHECK_INT(pace_per_minute(&p), 1);
	CHECK_INT(pace_wait_ms(&p, 49 * 120000 + 500), 60000);
}

TEST(without_throttles_the_limit_goes)
{
	struct run r = {0};

	run(&r, 5 * MINUTE, 10);
	CHECK(pace_per_minute(&r.pace) > 0);
	run(&r, 100 * MINUTE, 1000);
	CHECK_INT(pace_per_minute(&r.pace), 0);
	CHECK_INT(pace_wait_ms(&r.pace, r.now), 0);
}
