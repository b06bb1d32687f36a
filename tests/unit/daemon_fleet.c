/*
 * Many devices with the same backlog whose outage ends at the same moment: what daemon/courier_health.c and daemon/pace.c make of it, over
 * virtual time, with a seed a device. Without a seed of its own each would ask when all others do, which is shown too. So it is where power
 * returns to all of them: each starts anew, and nothing of what it learned is left.
 */
#include "daemon/courier_health.h"
#include "daemon/pace.h"
#include "tests/unit/test.h"

#define DEVICES   400
#define SECOND    INT64_C(1000)
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define BASE      (2 * SECOND)   /* Backoff= and BackoffMax= as they come */
#define CAP       (15 * MINUTE)
#define OUTAGE    (3 * HOUR)
#define SECONDS   (4 * 3600)
#define PAGES     40

struct device {
	struct health health;
	struct pace pace;
	uint64_t random;
	int64_t next_ms;      /* it looks again */
	int64_t ends_ms;      /* of the request that is out; 0: none is */
	int64_t first_ms;     /* its first request after the outage */
	int64_t spread_ms;    /* until then it keeps what it has from before its start */
	int left;             /* pages */
};

struct fleet {
	struct device devices[DEVICES];
	int64_t outage_ms;
	int64_t a_second;     /* as many are taken; the others are throttled */
	int asked[SECONDS], taken[SECONDS]; /* requests that came in each second, and of them those that were taken */
	int first[SECONDS];                 /* those that were a device's first after the outage */
	int refused;
};

static uint32_t device_random(struct device *d)
{
	d->random = d->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(d->random >> 32);
}

static void end(struct fleet *f, struct device *d, int64_t now)
{
	int64_t began = d->ends_ms - SECOND;
	int *taken = &f->taken[began / SECOND];
	struct health_end e = {.seq = 1 + PAGES - d->left, .page = PAGE_DONE, .base_ms = BASE, .cap_ms = CAP, .concurrency = 1,
		.random = device_random(d)};

	d->ends_ms = 0;
	if (began < f->outage_ms) {
		e.page = PAGE_UNTOUCHED;
		e.backend = BACKEND_DOWN;
		e.wait = WAIT_TRANSIENT;
	} else if (*taken >= f->a_second) {
		e.page = PAGE_UNTOUCHED;
		e.backend = BACKEND_BUSY;
		e.wait = WAIT_THROTTLED;
		f->refused++;
		pace_throttled(&d->pace, now, began);
	} else {
		(*taken)++;
		d->left--;
		pace_answered(&d->pace, now);
	}
	health_end(&d->health, now, &e);
}

static void look(struct fleet *f, struct device *d, int64_t now)
{
	if (d->ends_ms && now >= d->ends_ms)
		end(f, d, now);
	if (d->ends_ms || d->left == 0 || now < d->spread_ms)
		return;
	if (health_rung(&d->health, 1, now, HOUR, false) != RUNG_READY || !health_room(&d->health, now, 0, 1) || pace_wait_ms(&d->pace, now) > 0)
		return;
	health_begin(&d->health, now, device_random(d));
	pace_begin(&d->pace, now);
	d->ends_ms = now + SECOND;
	f->asked[now / SECOND]++;
	if (now >= f->outage_ms && d->first_ms == 0) {
		d->first_ms = now;
		f->first[now / SECOND]++;
	}
}

static void run(struct fleet *f, int64_t outage_ms, int64_t a_second, bool own_seeds)
{
	memset(f, 0, sizeof(*f));
	f->outage_ms = outage_ms;
	f->a_second = a_second;
	for (int i = 0; i < DEVICES; i++)
		f->devices[i] = (struct device){.random = own_seeds ? (uint64_t)i * 7919 + 12345 : 1, .left = PAGES};
	for (int64_t now = 1; now < SECONDS * SECOND; now += 20)
		for (int i = 0; i < DEVICES; i++)
			look(f, &f->devices[i], now);
}

static int most(const int *counts, int64_t from_ms, int64_t to_ms)
{
	int n = 0;

	for (int64_t s = from_ms / SECOND; s < to_ms / SECOND && s < SECONDS; s++)
		n = MAX(n, counts[s]);
	return n;
}

static int first_before(const struct fleet *f, int64_t ms)
{
	int n = 0;

	for (int i = 0; i < DEVICES; i++)
		n += f->devices[i].first_ms > 0 && f->devices[i].first_ms < ms;
	return n;
}

static struct fleet fleet;

/* The time that is left of a wait of up to BackoffMax= is spread over all of it, more at its beginning: 19 % in the first tenth. */
TEST(first_requests_after_an_outage_are_spread)
{
	run(&fleet, OUTAGE, 1000, true);
	CHECK_INT(first_before(&fleet, OUTAGE + CAP + 20), DEVICES);
	for (int tenth = 1; tenth < 10; tenth++) {
		int n = first_before(&fleet, OUTAGE + CAP * tenth / 10), want = DEVICES * (100 - (10 - tenth) * (10 - tenth)) / 100;

		if (n < want - DEVICES / 10 || n > want + DEVICES / 10)
			test_fail(__FILE__, __LINE__, "%d devices of %d asked in the first %d tenths, %d were expected", n, DEVICES, tenth, want);
	}
	CHECK(most(fleet.first, OUTAGE, OUTAGE + CAP) <= DEVICES * 3 / 100);
	CHECK(most(fleet.asked, OUTAGE, OUTAGE + HOUR) <= DEVICES / 5);
}

TEST(devices_of_one_seed_would_come_as_one)
{
	run(&fleet, OUTAGE, 1000, false);
	CHECK_INT(most(fleet.asked, OUTAGE, OUTAGE + CAP), DEVICES);
}

/* It comes back with room for a twentieth of them in a second. */
TEST(a_server_that_is_back_with_little_room_is_not_run_down)
{
	int wasted = 0, left = 0;

	run(&fleet, OUTAGE, DEVICES / 20, true);
	for (int i = 0; i < DEVICES; i++)
		left += fleet.devices[i].left;
	wasted = fleet.refused * 100 / (DEVICES * PAGES);
	CHECK_INT(left, 0);
	if (wasted > 5)
		test_fail(__FILE__, __LINE__, "%d %% of the pages' requests were refused", wasted);
}

/* A short one, after which the quick tries of all are still going on. */
TEST(retries_of_a_short_outage_are_spread)
{
	run(&fleet, 30 * SECOND, 1000, true);
	CHECK(most(fleet.asked, 10 * SECOND, 30 * SECOND) <= DEVICES / 3);
	CHECK(most(fleet.first, 30 * SECOND, 2 * MINUTE) <= DEVICES / 8);
	CHECK(first_before(&fleet, 2 * MINUTE) >= DEVICES * 95 / 100);
}

/* ---- power returns ------------------------------------------------------------------------------------- */

#define RETURNS (2 * HOUR)
#define SPREAD  (30 * SECOND) /* StartSpread= as it comes */

/* All start at RETURNS, at a server that is well. */
static void run_start(int64_t spread, int64_t a_second)
{
	memset(&fleet, 0, sizeof(fleet));
	fleet.a_second = a_second;
	for (int i = 0; i < DEVICES; i++) {
		struct device *d = &fleet.devices[i];

		*d = (struct device){.random = (uint64_t)i * 7919 + 12345, .left = PAGES};
		d->spread_ms = RETURNS + spread_ms(spread, device_random(d));
	}
	for (int64_t now = RETURNS; now < RETURNS + 2 * SPREAD; now += 20)
		for (int i = 0; i < DEVICES; i++)
			look(&fleet, &fleet.devices[i], now);
}

TEST(devices_that_start_together_would_ask_together)
{
	run_start(0, 1000);
	CHECK_INT(fleet.first[RETURNS / SECOND], DEVICES);
}

/* A thirtieth of them in each second, about. */
TEST(devices_that_start_together_ask_one_after_the_other)
{
	run_start(SPREAD, 1000);
	CHECK_INT(first_before(&fleet, RETURNS + SPREAD + 20), DEVICES);
	CHECK(most(fleet.first, RETURNS, RETURNS + SPREAD + SECOND) <= DEVICES * 7 / 100);
	for (int tenth = 1; tenth < 10; tenth++) {
		int n = first_before(&fleet, RETURNS + SPREAD * tenth / 10);

		if (n < DEVICES * tenth / 10 - DEVICES / 10 || n > DEVICES * tenth / 10 + DEVICES / 10)
			test_fail(__FILE__, __LINE__, "%d devices asked in the first %d tenths", n, tenth);
	}
}

static int refused_at_first(void)
{
	int n = 0;

	for (int64_t s = RETURNS / SECOND; s < (RETURNS + 10 * SECOND) / SECOND; s++)
		n += fleet.asked[s] - fleet.taken[s];
	return n;
}

/* With little room at the server, they find some. */
TEST(a_spread_start_is_refused_less)
{
	int together;

	run_start(0, DEVICES / 10);
	together = refused_at_first();
	run_start(SPREAD, DEVICES / 10);
	if (refused_at_first() * 3 > together)
		test_fail(__FILE__, __LINE__, "%d were refused, and %d without a spread", refused_at_first(), together);
}
