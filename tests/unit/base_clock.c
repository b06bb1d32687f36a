#include "tests/unit/test.h"

#include "base/clock.h"
#include "build-date.h"

struct fake {
	int64_t boot, real;
	bool synchronised;
};

static int64_t fake_boot(void *ud)
{
	return ((struct fake *)ud)->boot;
}
static int64_t fake_real(void *ud)
{
	return ((struct fake *)ud)->real;
}
static bool fake_sync(void *ud)
{
	return ((struct fake *)ud)->synchronised;
}
static const struct clock_ops fake_ops = {fake_boot, fake_real, fake_sync};
#define _cleanup_clock_ _cleanup_(clock_freep)
static void clock_freep(struct clock **c)
{
	clock_free(*c);
}

#define BUILD_MS ((int64_t)PAGEFERRY_BUILD_DATE * 1000)

TEST(below_the_floor_nothing_is_signed)
{
	struct fake f = {
		.boot = 5000, .real = 20000, .synchronised = true}; /* 1970, whatever the kernel says */
	_cleanup_clock_ struct clock *c = NULL;
	int64_t t = -1;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	CHECK_INT(clock_trust(c), TIME_UNTRUSTED);
	CHECK_INT(clock_signing_time(c, &t), -ETIME);
	CHECK_INT(t, -1);
	f.real = BUILD_MS - 1;
	CHECK_INT(clock_signing_time(c, &t), -ETIME);
	f.real = BUILD_MS;
	CHECK_INT(clock_signing_time(c, &t), 0);
	CHECK_INT(t, PAGEFERRY_BUILD_DATE);
	CHECK_INT(clock_trust(c), TIME_TRUSTED);
	f.synchronised = false;
	CHECK_INT(clock_trust(c), TIME_PLAUSIBLE);
}

TEST(floor_only_rises)
{
	struct fake f = {.real = BUILD_MS + 5000};
	_cleanup_clock_ struct clock *c = NULL;
	int64_t t;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	clock_raise_floor(c, BUILD_MS + 10000);
	CHECK_INT(clock_trust(c), TIME_UNTRUSTED);
	CHECK_INT(clock_signing_time(c, &t), -ETIME);
	clock_raise_floor(c, 0);
	clock_raise_floor(c, -1);
	f.real = BUILD_MS + 9999;
	CHECK_INT(clock_signing_time(c, &t), -ETIME);
	f.real = BUILD_MS + 10000;
	CHECK_INT(clock_signing_time(c, &t), 0);
}

TEST(skew_is_for_signing_only)
{
	struct fake f = {.boot = 1000, .real = BUILD_MS + 1000000};
	_cleanup_clock_ struct clock *c = NULL;
	int64_t t;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	CHECK_INT(clock_skew_ms(c), 0);
	clock_learn_skew(c, 600000);
	CHECK_INT(clock_skew_ms(c), 600000);
	CHECK_INT(clock_realtime_ms(c), BUILD_MS + 1000000);
	CHECK_INT(clock_signing_time(c, &t), 0);
	CHECK_INT(t, PAGEFERRY_BUILD_DATE + 1600);
	CHECK_INT(clock_trust(c), TIME_PLAUSIBLE); /* ten minutes off is not confirmed */
	f.synchronised = true;
	CHECK_INT(clock_trust(c), TIME_PLAUSIBLE); /* whatever its time server says */
	f.synchronised = false;
	clock_learn_skew(c, -2000);
	CHECK_INT(clock_trust(c), TIME_TRUSTED);
	f.boot += 86400000;
	f.real += 86400000;
	CHECK_INT(clock_skew_ms(c), -2000);
}

TEST(a_step_of_realtime_moves_the_skew)
{
	struct fake f = {.boot = 1000, .real = BUILD_MS + 1000000};
	_cleanup_clock_ struct clock *c = NULL;
	int64_t before, after;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	clock_learn_skew(c, 600000);
	CHECK_INT(clock_signing_time(c, &before), 0);
	f.real += 600000; /* the network came and set it right */
	CHECK_INT(clock_skew_ms(c), 0);
	CHECK_INT(clock_trust(c), TIME_TRUSTED);
	CHECK_INT(clock_signing_time(c, &after), 0);
	CHECK_INT(after, before);
}

TEST(a_clock_that_is_behind_can_sign_once_taught)
{
	struct fake f = {.boot = 1000, .real = BUILD_MS - 3600000};
	_cleanup_clock_ struct clock *c = NULL;
	int64_t t;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	clock_learn_skew(c, 7200000);
	CHECK_INT(clock_signing_time(c, &t), 0);
	CHECK_INT(t, PAGEFERRY_BUILD_DATE + 3600);
	CHECK_INT(clock_trust(c), TIME_UNTRUSTED); /* stamps are still wrong */
}

TEST(a_date_is_as_old_as_its_exchange)
{
	struct fake f = {.boot = 1000, .real = BUILD_MS + 1000000};
	_cleanup_clock_ struct clock *c = NULL;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	/* It was made when the exchange of a minute began. */
	CHECK(!clock_learn_date(c, f.real - 61000, 60000));
	CHECK_INT(clock_skew_ms(c), 0);
	CHECK(!clock_learn_date(c, f.real - 61000, 40000));
	CHECK_INT(clock_skew_ms(c), -41000);
	CHECK(!clock_learn_date(c, f.real + 3000, 60000));
	CHECK_INT(clock_skew_ms(c), 3000);
	/* Who took a quarter of an hour teaches nothing. */
	CHECK(!clock_learn_date(c, f.real + 3600000, 15 * 60000 + 1));
	CHECK_INT(clock_skew_ms(c), 3000);
}

TEST(news_is_what_changes_a_signature)
{
	struct fake f = {.boot = 1000, .real = BUILD_MS + 1000000};
	_cleanup_clock_ struct clock *c = NULL;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	CHECK(!clock_learn_date(c, f.real + 239000, 0));
	CHECK(clock_learn_date(c, f.real - 1000, 0) == false);
	CHECK(clock_learn_date(c, f.real + 240000, 0));
	CHECK(!clock_learn_date(c, f.real + 240000, 0));
	CHECK(clock_learn_date(c, f.real, 0));
}

TEST(only_a_server_proves_a_floor)
{
	struct fake f = {.boot = 1000, .real = BUILD_MS + INT64_C(40) * 365 * 86400000, .synchronised = true};
	_cleanup_clock_ struct clock *c = NULL;

	CHECK_INT(clock_new(&fake_ops, &f, &c), 0);
	CHECK_INT(clock_trust(c), TIME_TRUSTED);
	CHECK_INT(clock_proven_floor_ms(c), 0);
	clock_learn_date(c, BUILD_MS + INT64_C(10) * 86400000, 0);
	CHECK_INT(clock_proven_floor_ms(c), BUILD_MS + INT64_C(9) * 86400000);
	f.boot += 86400000;
	CHECK_INT(clock_proven_floor_ms(c), BUILD_MS + INT64_C(10) * 86400000);
	/* And not just anything. */
	clock_learn_date(c, f.real, 100);
	CHECK_INT(clock_proven_floor_ms(c), BUILD_MS + INT64_C(20) * 366 * 86400000);
}

TEST(system_clock_moves)
{
	_cleanup_clock_ struct clock *c = NULL;
	int64_t a, b;

	CHECK_INT(clock_new(NULL, NULL, &c), 0);
	a = clock_boottime_ms(c);
	b = clock_boottime_ms(c);
	CHECK(a > 0 && b >= a);
	CHECK(clock_realtime_ms(c) > 0);
	CHECK(time_trust_name(clock_trust(c)));
	clock_free(NULL);
}

TEST(stamps)
{
	char out[TIMESTAMP_SIZE];

	timestamp_format(0, false, out);
	CHECK_STR(out, "1970-01-01T00:00:00Z");
	timestamp_format(INT64_C(1795219200007), false, out);
	CHECK_STR(out, "2026-11-21T00:00:00Z");
	timestamp_format(INT64_C(1795219200007), true, out);
	CHECK_STR(out, "2026-11-21T00:00:00.007Z");
	timestamp_format(INT64_C(4102444800000), true, out); /* after 2038 */
	CHECK_STR(out, "2100-01-01T00:00:00.000Z");
	timestamp_format(INT64_MIN, true, out);
	CHECK_STR(out, "1970-01-01T00:00:00.000Z");
	timestamp_format(INT64_MAX, true, out);
	CHECK_STR(out, "9999-12-31T23:59:59.999Z");
}

TEST(trust_names)
{
	for (int t = TIME_UNTRUSTED; t <= TIME_TRUSTED; t++) {
		enum time_trust back;

		CHECK_INT(time_trust_parse(time_trust_name((enum time_trust)t), &back), 0);
		CHECK_INT(back, t);
	}
	CHECK_INT(time_trust_parse("Trusted", &(enum time_trust){TIME_TRUSTED}), -EINVAL);
}
