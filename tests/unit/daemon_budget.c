/* The budget: its clock, and that no order of sending, losing, crashing and restarting spends more than it. */
#include "daemon/budget.h"
#include "daemon/ledger.h"
#include "tests/unit/daemon_fixture.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HOUR INT64_C(3600000)
#define DAY  (24 * HOUR)

/* ---- its clock --------------------------------------------------------------------------------------------------------------- */

TEST(the_first_trusted_look_sets_the_clock)
{
	struct budget_clock c = {.ms = 10 * DAY, .boot_ms = 5000};

	budget_clock_move(&c, 5000 + HOUR, -1);
	CHECK_INT(c.ms, 10 * DAY + HOUR);
	CHECK(!c.known);
	budget_clock_move(&c, 5000 + HOUR, 300 * DAY);
	CHECK_INT(c.ms, 300 * DAY);
	/* however far, and back as well */
	c = (struct budget_clock){.ms = 1000 * DAY};
	budget_clock_move(&c, 0, 300 * DAY);
	CHECK_INT(c.ms, 300 * DAY);
}

TEST(a_clock_that_is_set_makes_no_fresh_day)
{
	struct budget_clock c = {.ms = 300 * DAY, .known = true};
	int64_t boot = 0;

	/* a year on, and a month back: looked at every second for an hour */
	for (int i = 0; i < 3600; i++)
		budget_clock_move(&c, boot += 1000, 665 * DAY);
	CHECK_INT(c.ms, 300 * DAY + HOUR + HOUR / 8);
	for (int i = 0; i < 3600; i++)
		budget_clock_move(&c, boot += 1000, 270 * DAY);
	CHECK_INT(c.ms, 300 * DAY + 2 * HOUR);
	/* nothing has passed */
	budget_clock_move(&c, boot, 900 * DAY);
	budget_clock_move(&c, boot - 1000, 900 * DAY);
	CHECK_INT(c.ms, 300 * DAY + 2 * HOUR);
}

TEST(a_clock_that_runs_a_little_wrong_is_followed)
{
	struct budget_clock c = {.ms = 300 * DAY, .known = true};

	budget_clock_move(&c, HOUR, 300 * DAY + HOUR + 7000);
	CHECK_INT(c.ms, 300 * DAY + HOUR + 7000);
	budget_clock_move(&c, 2 * HOUR, 300 * DAY + 2 * HOUR - 7000);
	CHECK_INT(c.ms, 300 * DAY + 2 * HOUR - 7000);
}

/* ---- the room ---------------------------------------------------------------------------------------------------------------- */

TEST(what_is_open_counts_as_spent)
{
	struct budget_sums u = {.day_pusd = 40, .month_pusd = 900, .open_pusd = 30};

	CHECK_INT(budget_room(&(struct budget_limits){0}, &u, INT64_MAX), BUDGET_ROOM);
	CHECK_INT(budget_room(&(struct budget_limits){.day_pusd = 100}, &u, 30), BUDGET_ROOM);
	CHECK_INT(budget_room(&(struct budget_limits){.day_pusd = 100}, &u, 31), BUDGET_FULL);
	CHECK_INT(budget_room(&(struct budget_limits){.day_pusd = 100}, &u, 101), BUDGET_NEVER);
	CHECK_INT(budget_room(&(struct budget_limits){.day_pusd = 100, .month_pusd = 959}, &u, 30), BUDGET_FULL);
	CHECK_INT(budget_room(&(struct budget_limits){.month_pusd = 960}, &u, 30), BUDGET_ROOM);
	/* sums that pass 64 bits have no room */
	u.day_pusd = INT64_MAX;
	CHECK_INT(budget_room(&(struct budget_limits){.day_pusd = INT64_MAX}, &u, 1), BUDGET_FULL);
}

/* ---- the ledger -------------------------------------------------------------------------------------------------------------- */

static struct attempt_open open_of(const struct page_row *p, int64_t reserved, const struct budget_limits *l)
{
	return (struct attempt_open){.page = p, .backend = "sydney", .model = "m", .body_sha256 = HASH, .reserved_pusd = reserved, .budget = l};
}

TEST(nothing_is_written_when_there_is_no_room)
{
	const struct budget_limits l = {.day_pusd = 12000};
	struct attempt_open open;
	struct fixture f;
	struct page_row p;

	fixture_begin(&f);
	fixture_page(&f, &p);
	open = open_of(&p, 8000, &l);
	CHECK(ledger_open(f.spool, &open) > 0);
	CHECK_INT(ledger_open(f.spool, &open), -EDQUOT);
	open.reserved_pusd = 12001;
	CHECK_INT(ledger_open(f.spool, &open), -EFBIG);
	open.reserved_pusd = 0; /* costs nothing */
	CHECK(ledger_open(f.spool, &open) > 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM attempts"), 2);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM receipts"), 2);
	/* the next start settles them; the day goes on where it was, and ends */
	fixture_reopen(&f);
	fixture_reconcile(&f);
	open = open_of(&p, 8000, &l);
	CHECK_INT(ledger_open(f.spool, &open), -EDQUOT);
	f.boot += DAY;
	CHECK(ledger_open(f.spool, &open) > 0);
	fixture_end(&f);
}

TEST(a_month_ends_with_its_last_day)
{
	const struct budget_limits l = {.month_pusd = 12000};
	struct attempt_open open;
	struct fixture f;
	struct page_row p;

	fixture_begin(&f); /* the 2nd of a month of 31 days */
	fixture_page(&f, &p);
	open = open_of(&p, 8000, &l);
	CHECK(ledger_open(f.spool, &open) > 0);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	f.boot += 29 * DAY;
	CHECK_INT(ledger_open(f.spool, &open), -EDQUOT);
	f.boot += DAY;
	CHECK(ledger_open(f.spool, &open) > 0);
	fixture_end(&f);
}

/* ---- promise 4 --------------------------------------------------------------------------------------------------------------- */

#define RESERVED 10000
#define LIMIT    (RESERVED * 12)
#define OUT_MAX  6

/* A server that bills as it likes, up to the worst case, and whose replies may be lost. */
struct world {
	struct fixture f;
	uint64_t seed;
	int64_t out[OUT_MAX], cost[OUT_MAX]; /* attempts that are out; what the server bills for each */
	size_t n_out;
	int64_t billed, most; /* in this day; in any */
	int64_t day;
	struct page_row page;
};

static uint32_t dice(struct world *w, uint32_t sides)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(w->seed >> 33) % sides;
}

/* It bills the moment it is asked. */
static void send_one(struct world *w, const struct budget_limits *l)
{
	struct attempt_open open = open_of(&w->page, RESERVED - dice(w, 3000), l);
	int64_t id = w->n_out == OUT_MAX ? 0 : ledger_open(w->f.spool, &open);

	if (id <= 0)
		return;
	w->out[w->n_out] = id;
	w->cost[w->n_out++] = open.reserved_pusd - dice(w, 5000);
	w->billed += w->cost[w->n_out - 1];
	w->most = MAX(w->most, w->billed);
}

/* A reply that tells its usage, or none at all. */
static void end_one(struct world *w)
{
	struct attempt_open open = open_of(&w->page, RESERVED, NULL);
	struct verdict v = {.billed = true};
	struct attempt_close close = {.page = &w->page, .open = &open, .verdict = &v, .state = STATE_QUEUED};
	size_t i = w->n_out > 0 ? dice(w, (uint32_t)w->n_out) : 0;

	if (w->n_out == 0)
		return;
	verdict_set(&v, PAGE_UNTOUCHED, BACKEND_OK, "test", "%s", "");
	v.usage.reported = dice(w, 3) > 0;
	close.attempt = w->out[i];
	close.settled_pusd = v.usage.reported ? w->cost[i] : RESERVED;
	CHECK_INT(ledger_close(w->f.spool, &close, NULL), 0);
	w->n_out--;
	w->out[i] = w->out[w->n_out];
	w->cost[i] = w->cost[w->n_out];
}

static void crash(struct world *w)
{
	w->n_out = 0;
	fixture_reopen(&w->f);
	fixture_reconcile(&w->f);
}

static int64_t most_billed(struct world *w, int steps, const struct budget_limits *l)
{
	w->billed = w->most = 0;
	for (int i = 0; i < steps; i++) {
		uint32_t what = dice(w, 20);

		if (what < 10)
			send_one(w, l);
		else if (what < 16)
			end_one(w);
		else if (what < 17)
			crash(w);
		else if (what < 18)
			w->f.now += ((int64_t)dice(w, 800) - 400) * DAY; /* set, and believed */
		else {
			w->f.boot += HOUR / 2;
			w->f.now += HOUR / 2;
		}
		if (budget_day(w->f.spool) != w->day)
			w->billed = 0;
		w->day = budget_day(w->f.spool);
	}
	return w->most;
}

TEST(no_schedule_spends_more_than_the_budget)
{
	const struct budget_limits l = {.day_pusd = LIMIT}, none = {0};
	struct world w = {.seed = 1};
	int64_t most;

	fixture_begin(&w.f);
	w.f.synchronised = true;
	fixture_page(&w.f, &w.page);
	w.day = budget_day(w.f.spool);
	most = most_billed(&w, 2500, &l);
	CHECK(most <= LIMIT);
	CHECK(most > LIMIT / 2); /* it was used */
	CHECK(most_billed(&w, 300, &none) > LIMIT); /* and without it the same schedule spends more */
	fixture_end(&w.f);
}
