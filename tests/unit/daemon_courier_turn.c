/* Which page goes where now: what stands in the courier's own way, what it holds by itself, and how it goes on after that. */
#include "tests/unit/daemon_courier_fixture.h"

static struct courier *begin(const char *config)
{
	struct courier *c = rig_begin(config);

	courier_start(c);
	return c;
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

static int64_t count(const char *sql)
{
	return fixture_sql(&rig.f, sql);
}

/* Jobs are kept in memory once read: this forgets them. */
static void reopen(void)
{
	spool_close(rig.f.spool);
	CHECK_INT(fixture_open_spool(&rig.f, 0), 0);
	rig.s.spool = rig.f.spool;
}

static void run_sql(const char *sql)
{
	CHECK_INT(db_exec(spool_db(rig.f.spool), sql, ""), 0);
}

static void expect_all_held(int64_t n, const char *reason)
{
	CHECK_INT(count("SELECT count(*) FROM pages WHERE state = 'held'"), n);
	CHECK_STR(rig_row(1).reason, reason);
	CHECK_INT(rig.events[EVENT_PAGE_HELD], n);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(count("SELECT count(*) FROM attempts"), 0);
}

/* ---- pages for which nobody can be asked ------------------------------------------------------------------------- */

/* What the configuration has none of: the fixture's route is sydney, then ocr. */
static void forget_backend(const char *name)
{
	struct courier *c = rig.s.courier;
	struct backend *b = rig_backend(name), *last = &c->backends[c->n_backends - 1];

	*b = *last;
	c->n_backends--;
}

static const char no_backend[] = "no-backend: the configuration has none of the backends of its route";

TEST(route_without_backends)
{
	begin(RIG_SYDNEY);
	forget_backend("sydney");
	forget_backend("ocr");
	rig_page();
	rig_page();
	kick();
	expect_all_held(2, no_backend);
	rig_end();
}

TEST(fallback_answered_and_the_better_backend_is_gone)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n");
	rig_page();
	kick();
	rig_reply_error(TRANSPORT_CONNECT, false);
	rig_turn();
	rig_reply_words(WORDS_HELLO);
	CHECK(rig_row(1).state == STATE_PROVISIONAL);
	forget_backend("sydney");
	kick();
	CHECK(rig_row(1).state == STATE_HELD);
	CHECK(strstr(rig_row(1).reason, "it has a fallback's answer"));
	rig_end();
}

/* A route whose first backend the configuration does not have goes on with its second. */
TEST(first_of_the_route_is_gone)
{
	begin(RIG_SYDNEY);
	forget_backend("sydney");
	rig_page();
	kick();
	CHECK(rig.out && rig.out->helper);
	rig_reply_words(WORDS_HELLO);
	CHECK(rig_row(1).state == STATE_DONE);
	rig_end();
}

TEST(job_that_is_damaged)
{
	rig_open(RIG_SYDNEY);
	rig_page();
	run_sql("UPDATE jobs SET json = '{}'");
	reopen();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig_turn();
	expect_all_held(1, "job: what was asked of it cannot be read");
	rig_end();
}

TEST(rung_that_no_route_has)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig_page();
	run_sql("UPDATE pages SET rung = CASE seq WHEN 1 THEN -2 ELSE 7 END");
	kick();
	expect_all_held(2, no_backend);
	rig_end();
}

/* Each is a commit: what a turn has no time for is left to the next, and nothing is left out. */
TEST(turn_ends_among_hopeless_pages)
{
	begin(RIG_SYDNEY);
	forget_backend("sydney");
	forget_backend("ocr");
	for (int i = 0; i < 40; i++)
		rig_page();
	rig.tick_ms = 3;
	rig_turn();
	CHECK(rig.events[EVENT_PAGE_HELD] > 0);
	for (int i = 0; i < 40 && rig.events[EVENT_PAGE_HELD] < 40; i++) {
		CHECK_INT(count("SELECT count(*) FROM pages WHERE state = 'held'"), rig.events[EVENT_PAGE_HELD]);
		rig_wait(1);
	}
	rig.tick_ms = 0;
	expect_all_held(40, no_backend);
	rig_end();
}

/* Even where a look alone takes longer than a turn has. */
TEST(slow_look_finds_hopeless_pages)
{
	begin(RIG_SYDNEY);
	forget_backend("sydney");
	forget_backend("ocr");
	for (int i = 0; i < 3; i++)
		rig_page();
	rig.tick_ms = 60;
	kick();
	rig.tick_ms = 0;
	expect_all_held(3, no_backend);
	rig_end();
}

/* Seen as due by one backend's look, held by then: another's turn does not send it. */
TEST(page_held_meanwhile_is_not_sent)
{
	struct courier *c = begin(RIG_SYDNEY);

	rig_page();
	CHECK_INT(spool_page_hold(rig.f.spool, 1, "held by uid 0: a test"), 0);
	CHECK_INT(attempt_start(c, rig_backend("sydney"), 0, 1), 0);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(count("SELECT count(*) FROM attempts"), 0);
	rig_end();
}

/* ---- storage that fails ------------------------------------------------------------------------------------------ */

/* Nothing is sent or held, and when it works again nothing is forgotten. */
static void expect_rest(const char *sql)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.sql = sql;
	kick();
	kick();
	CHECK_INT(rig.storage, -EIO);
	CHECK_INT(rig.sent, 0);
	rig.sql = NULL;
	CHECK_INT(count("SELECT count(*) FROM pages WHERE state = 'held'"), 0);
	rig_wait(5000);
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(classes_cannot_be_read)
{
	expect_rest("ORDER BY lane, job, rung, tries LIMIT 1");
}

TEST(pages_cannot_be_read)
{
	expect_rest("ORDER BY p.tried_ms, p.seq");
}

TEST(whether_the_ledger_is_lost_cannot_be_read)
{
	expect_rest("FROM meta");
}

TEST(job_cannot_be_read_for_now)
{
	rig_open(RIG_SYDNEY);
	rig_page();
	reopen();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig.sql = "FROM jobs j";
	rig_turn();
	CHECK_INT(rig.storage, -EIO);
	rig.sql = NULL;
	CHECK_INT(count("SELECT count(*) FROM pages WHERE state = 'held'"), 0);
	rig_wait(5000);
	CHECK_INT(rig.sent, 1);
	rig_end();
}

/* What it would hold it holds later. */
static void expect_held_later(const char *sql)
{
	begin(RIG_SYDNEY);
	forget_backend("sydney");
	forget_backend("ocr");
	rig_page();
	rig.sql = sql;
	kick();
	CHECK_INT(rig.storage, -EIO);
	CHECK_INT(rig.events[EVENT_PAGE_HELD], 0);
	rig.sql = NULL;
	rig_wait(5000);
	CHECK_STR(rig_row(1).reason, no_backend);
	rig_end();
}

TEST(page_cannot_be_held)
{
	expect_held_later("UPDATE pages SET state");
}

/* A fallback that may have failed the page is not asked while nobody can tell. */
TEST(tries_of_a_fallback_cannot_be_read)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n");
	rig_page();
	run_sql("UPDATE pages SET tried_ms = 1");
	kick();
	CHECK(rig.out && !rig.out->helper);
	rig_reply_error(TRANSPORT_CONNECT, false);
	rig.sql = "SELECT sum(charged)";
	rig_turn();
	CHECK(!rig.out);
	rig.sql = NULL;
	kick();
	CHECK(rig.out && rig.out->helper);
	rig_end();
}

TEST(fallback_that_failed_is_not_asked_again)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n[Backend ocr]\nTries=1\n");
	rig_page();
	kick();
	rig_reply_error(TRANSPORT_CONNECT, false);
	rig_turn();
	rig_reply_error(TRANSPORT_TOO_LARGE, true); /* OCR never can */
	CHECK(rig_row(1).state == STATE_QUEUED);
	for (int i = 0; i < 5; i++) {
		rig_wait(70000);
		CHECK(rig.out && !rig.out->helper);
		rig_reply_error(TRANSPORT_CONNECT, false);
	}
	rig_end();
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

TEST(nothing_before_the_start_and_after_the_stop)
{
	struct courier *c = rig_begin(RIG_SYDNEY);

	rig_page();
	kick();
	CHECK_INT(rig.sent, 0);
	courier_start(c);
	courier_stop(c); /* the turn is on its way */
	rig_turn();
	kick();
	CHECK_INT(rig.sent, 0);
	rig_end();
}

TEST(no_turn_for_lack_of_memory)
{
	begin(RIG_SYDNEY);
	rig_turn();
	rig_page();
	rig.no_defer = true;
	kick();
	CHECK(strstr(rig.logged, "it looks again with the next event"));
	courier_deliver(rig.s.courier);
	CHECK(strstr(rig.logged, "tried again with the next result"));
	CHECK_INT(rig.sent, 0);
	rig.no_defer = false;
	kick();
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(no_timer_for_lack_of_memory)
{
	begin(RIG_SYDNEY);
	rig.no_timer = true;
	rig_page();
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK(strstr(rig.logged, "no timer"));
	rig_end();
}

TEST(no_courier_for_lack_of_memory)
{
	struct courier *c = NULL;

	MEMORY_SKIP();
	rig_open(RIG_SYDNEY);
	memory_fail_at(1);
	CHECK_INT(courier_new(&rig.s, &c), -ENOMEM);
	CHECK(memory_failed() && !c);
	courier_free(NULL);
	attempt_free(NULL);
	rig_end();
}

/* A turn sends so many and no more; the rest goes in the next ones, after whatever else waits for the loop. */
TEST(turn_sends_a_bounded_number)
{
	struct courier *c = begin("[Backend sydney]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\nConcurrency=8\n");

	rig_backend("sydney")->health.more = 100;
	((struct backend_config *)rig_backend("sydney")->config)->concurrency = 40;
	for (int i = 0; i < 40; i++)
		rig_page();
	rig_turn();
	CHECK_INT(rig.sent, 40);
	CHECK_INT(courier_in_flight(c), 40);
	rig_end();
}

/* Where all is so slow that a turn's time is over before it looks, pages go all the same. */
TEST(slow_turn_sends)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.tick_ms = 60;
	kick();
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(requests_that_hang)
{
	struct courier *c = begin(RIG_SYDNEY RIG_JETSON);

	rig_page();
	kick();
	CHECK(!courier_hangs(c));
	rig.f.boot += 3600000;
	CHECK_STR(courier_hangs(c), "courier: a request is past its deadline");
	rig.f.boot -= 3600000;
	backend_trouble(rig_backend("jetson"), "a-test", "a test");
	rig_wait(20000);
	CHECK_INT(rig.probes, 1);
	CHECK(!courier_hangs(c));
	while (rig.out->req->method && streq(rig.out->req->method, "POST"))
		rig_reply_with(200, NOVA_HELLO);
	rig.f.boot += 3600000;
	CHECK(courier_hangs(c));
	rig_end();
}

/* ---- who goes first ---------------------------------------------------------------------------------------------- */

static void backlog(int n)
{
	struct spool_meta m = fixture_meta(&rig.f);
	struct page_row p;

	m.lane = LANE_BACKLOG;
	for (int i = 0; i < n; i++)
		CHECK_INT(fixture_try(&rig.f, &m, &p), 0);
}

/* The lane of each page that goes, in order: N now, B backlog. */
static void expect_order(const char *want)
{
	char got[64] = "";

	for (size_t i = 0; i < strlen(want); i++) {
		const struct attempt *a = rig.s.courier->attempts;

		if (!a)
			test_fail(__FILE__, __LINE__, "only %s", got);
		got[i] = a->row.lane == LANE_NOW ? 'N' : 'B';
		rig_reply_with(200, NOVA_HELLO);
		rig_turn();
	}
	CHECK_STR(got, want);
}

TEST(backlog_has_its_share)
{
	begin(RIG_SYDNEY);
	rig_backend_config("sydney")->concurrency = 1;
	backlog(3);
	for (int i = 0; i < 9; i++)
		rig_page();
	kick();
	expect_order("NNNBNNNBNNNB");
	rig_end();
}

TEST(backlog_alone)
{
	begin(RIG_SYDNEY);
	backlog(3);
	kick();
	expect_order("BBB");
	rig_end();
}

/* What was scanned just now goes before what lies in its lane for longer, which keeps a share. */
TEST(fresh_pages_go_first)
{
	struct courier *c;
	char got[16] = "";

	rig_open(RIG_SYDNEY);
	for (int i = 0; i < 12; i++)
		rig_page();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	c = rig.s.courier;
	courier_start(c);
	for (int i = 0; i < 7; i++)
		rig_page();
	rig_turn();
	for (int i = 0; i < 12; i++) {
		CHECK(c->attempts);
		got[i] = c->attempts->row.seq > 12 ? 'F' : 'o';
		rig_reply_with(200, NOVA_HELLO);
		rig_turn();
	}
	CHECK_STR(got, "FFFoFFFoFooo");
	rig_end();
}

/* What came in for five minutes is not fresh for ever; nor does it matter when that cannot be looked up for once. */
TEST(fresh_moves_on)
{
	struct courier *c = begin(RIG_SYDNEY);
	int64_t after;

	rig_page();
	rig_turn();
	after = c->fresh_next;
	rig_reply_with(200, NOVA_HELLO);
	rig.sql = "SELECT coalesce(max(seq), 0) FROM pages";
	rig_wait(310000);
	CHECK_INT(c->fresh_next, after);
	rig.sql = NULL;
	rig_wait(310000);
	CHECK(c->fresh_next > after);
	rig_end();
}

/* More wait at the head of a class, each for its next try, than a look takes in: those behind are found all the same. */
TEST(pages_behind_many_that_wait)
{
	begin(RIG_SYDNEY "FallbackAfter=10d\n");
	for (int i = 0; i < 30; i++)
		rig_page();
	run_sql("UPDATE pages SET rung = 1, tries = 1, tried_ms = 1"); /* at OCR, once tried and failed: their turn comes */
	rig_turn();
	CHECK(rig.out && rig.out->helper);
	rig_end();
}

/* ---- deliveries -------------------------------------------------------------------------------------------------- */

TEST(deliveries_in_slices)
{
	begin(RIG_SYDNEY);
	for (int i = 0; i < 40; i++) {
		rig_page();
		kick();
		rig.sql = "ORDER BY d.tries, d.tried_ms";
		rig_reply_with(200, NOVA_HELLO);
	}
	CHECK_INT(rig.events[EVENT_DELIVERED], 0);
	rig.sql = NULL;
	courier_deliver(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.events[EVENT_DELIVERED], 40);
	CHECK_INT(count("SELECT count(*) FROM deliveries WHERE done_ms IS NULL"), 0);
	rig_end();
}

/* Tried again by itself, said once, and less often while it goes on. */
TEST(deliveries_that_fail)
{
	struct courier *c = begin(RIG_SYDNEY);

	rig_page();
	kick();
	rig.sql = "ORDER BY d.tries, d.tried_ms";
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	CHECK(strstr(rig.logged, "results cannot be delivered"));
	for (uint32_t i = 1; i < 5; i++) {
		CHECK_INT(c->delivery_failures, i);
		rig_wait(600000);
	}
	rig.sql = NULL;
	rig_wait(600000);
	CHECK_INT(c->delivery_failures, 0);
	CHECK_INT(rig.events[EVENT_DELIVERED], 1);
	rig_end();
}

/* The row is not to be read for the telling: delivered it is. */
TEST(delivery_cannot_be_told)
{
	begin(RIG_SYDNEY);
	rig_page();
	kick();
	rig_reply_with(200, NOVA_HELLO);
	rig.sql = "WHERE p.page >= ?";
	rig_turn();
	rig.sql = NULL;
	CHECK_INT(rig.events[EVENT_DELIVERED], 0);
	CHECK_INT(count("SELECT count(*) FROM deliveries WHERE done_ms IS NULL"), 0);
	rig_end();
}
