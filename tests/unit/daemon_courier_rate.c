/* RequestsPerMinute=, TokensPerMinute= and StartSpread=, as the courier keeps to them. */
#include "tests/unit/daemon_courier_fixture.h"

static void begin(const char *config)
{
	courier_start(rig_begin(config));
	rig_turn();
}

/* Takes a page to sydney and answers it. */
static void one_page(void)
{
	int sent = rig.sent;

	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.sent, sent + 1);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
}

static void one_more_waits(void)
{
	int sent = rig.sent;

	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.sent, sent);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_OK); /* nothing is wrong with it */
}

/* By its own timer. */
static void sent_after(int64_t ms)
{
	int sent = rig.sent;

	rig_wait(ms - 1000);
	CHECK_INT(rig.sent, sent);
	rig_wait(1000);
	CHECK_INT(rig.sent, sent + 1);
	rig_reply_with(200, NOVA_HELLO);
	rig_end();
}

TEST(requests_a_minute)
{
	begin(RIG_SYDNEY "RequestsPerMinute=2\n");
	one_page();
	one_page();
	one_more_waits();
	sent_after(61000);
}

/* A page may take thousands of tokens more than the 2020 that it took: the second one finds them free again. */
TEST(tokens_a_minute_are_put_right_by_the_reply)
{
	int64_t requests, tokens;
	struct backend *b;

	begin(RIG_SYDNEY);
	b = rig_backend("sydney");
	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
	rate_sums(&b->rate, rig.f.boot, &requests, &tokens);
	CHECK(requests == 1 && tokens > 4096);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	b->limit.tokens = tokens + 2020;
	rate_sums(&b->rate, rig.f.boot, &requests, &tokens);
	CHECK_INT(tokens, 2020);
	one_page();
	one_more_waits();
	sent_after(61000);
}

TEST(tokens_that_are_out_count_in_full)
{
	begin(RIG_SYDNEY "TokensPerMinute=6000\n");
	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
	rig_reply_with(500, "{}"); /* and nobody says what it took */
	rig_turn();
	one_more_waits();
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 1);
	CHECK_INT(rig_row(2).tries, 0);
	sent_after(61000);
}

TEST(a_restart_does_not_forget_what_was_sent)
{
	begin(RIG_SYDNEY "RequestsPerMinute=2\n");
	one_page();
	rig_wait(10000);
	one_page();
	rig_stop();
	rig_wait(20000);
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig_turn();
	one_more_waits();
	sent_after(31000);
}

/* A quota that nobody has told us: what was answered in the last minute says how fast it goes on, and people see it. */
TEST(a_throttle_teaches_a_pace)
{
	cJSON *j = NULL;
	int64_t slowed = 0;
	int sent;

	begin(RIG_SYDNEY);
	for (int i = 0; i < 8; i++)
		one_page();
	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
	rig_reply_with(429, "{\"__type\":\"ThrottlingException\"}");
	sent = rig.sent;
	CHECK_INT(courier_backend_json(rig.s.courier, "sydney", &j), 0);
	CHECK_INT(json_get_i64(j, "slowedTo", &slowed), 0);
	cJSON_Delete(j);
	CHECK_INT(slowed, 6); /* 0.7 of 8 */
	rig_wait(60000 * 10 / 56 - 500);
	CHECK_INT(rig.sent, sent);
	rig_wait(1000);
	CHECK_INT(rig.sent, sent + 1);
	rig_reply_with(200, NOVA_HELLO);
	rig_end();
}

/* The doctor's question, to the same account: it takes a page's place in the minute, and pages take its. */
TEST(what_carries_no_page_counts_too)
{
	struct verdict v = {.page = PAGE_DONE, .backend = BACKEND_OK, .usage = {.reported = true, .input = 12, .output = 3}};
	int64_t requests, tokens, began;
	struct courier *c;

	begin(RIG_SYDNEY "RequestsPerMinute=2\nTokensPerMinute=100000\n");
	c = rig.s.courier;
	CHECK_INT(courier_aside_wait_ms(c, "sydney", 600), 0);
	began = courier_aside_begin(c, "sydney", 600);
	rate_sums(&rig_backend("sydney")->rate, rig.f.boot, &requests, &tokens);
	CHECK(requests == 1 && tokens == 600);
	courier_aside_end(c, "sydney", began, 600, &v);
	rate_sums(&rig_backend("sydney")->rate, rig.f.boot, &requests, &tokens);
	CHECK(requests == 1 && tokens == 15);
	one_page();
	CHECK_INT(courier_aside_wait_ms(c, "sydney", 600), 61000 - rig.f.boot % 1000);
	one_more_waits();
	CHECK_INT(courier_aside_wait_ms(c, "nobody", 600), 0);
	sent_after(61000);
}

/* The configuration lost the backend meanwhile, say. */
TEST(what_is_asked_of_no_backend_counts_nowhere)
{
	struct verdict v = {.page = PAGE_UNTOUCHED, .backend = BACKEND_BUSY, .wait = WAIT_THROTTLED, .usage = {.reported = true, .input = 2000}};
	int64_t requests, tokens, began;

	begin(RIG_SYDNEY "RequestsPerMinute=1\nTokensPerMinute=2500\n");
	began = courier_aside_begin(rig.s.courier, "nobody", 2500);
	CHECK_INT(began, rig.f.boot);
	courier_aside_end(rig.s.courier, "nobody", began, 2500, &v);
	rate_sums(&rig_backend("sydney")->rate, rig.f.boot, &requests, &tokens);
	CHECK(requests == 0 && tokens == 0);
	CHECK_INT(courier_aside_wait_ms(rig.s.courier, "sydney", 2500), 0);
	one_page();
	rig_end();
}

TEST(what_carries_no_page_may_have_no_tokens_left)
{
	begin(RIG_SYDNEY "TokensPerMinute=2500\n");
	one_page(); /* 2020 */
	CHECK_INT(courier_aside_wait_ms(rig.s.courier, "sydney", 400), 0);
	CHECK(courier_aside_wait_ms(rig.s.courier, "sydney", 600) > 0);
	CHECK(backend_rung(rig_backend("sydney"), 0) == RUNG_READY); /* nor does it make pages wait for what it did not get */
	rig_end();
}

/* One that is throttled slows the pages down. */
TEST(what_carries_no_page_teaches_a_pace)
{
	const struct verdict v = {.page = PAGE_UNTOUCHED, .backend = BACKEND_BUSY, .wait = WAIT_THROTTLED};
	struct courier *c;
	int64_t began;

	begin(RIG_SYDNEY);
	c = rig.s.courier;
	one_page();
	began = courier_aside_begin(c, "sydney", 600);
	courier_aside_end(c, "sydney", began, 600, &v);
	CHECK(courier_aside_wait_ms(c, "sydney", 600) > 0);
	one_more_waits();
	sent_after(60000);
}

/* ---- the start ------------------------------------------------------------------------------------------- */

/* Two pages wait, and the service starts. */
static int64_t begin_with_backlog(void)
{
	rig_open("[Route]\nStartSpread=20s\n" RIG_SYDNEY);
	rig_page();
	rig_page();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig_turn();
	return rig_backend("sydney")->spread_ms - rig.f.boot;
}

TEST(what_waited_before_the_start_goes_at_a_moment_of_its_own)
{
	int64_t moments[8];

	for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
		moments[i] = begin_with_backlog();
		CHECK(moments[i] >= 0 && moments[i] <= 20000);
		if (moments[i] > 1000) {
			rig_wait(moments[i] - 1000);
			CHECK_INT(rig.sent, 0);
			CHECK(backend_state(rig_backend("sydney")) == BACKEND_OK); /* nothing is wrong with it */
		}
		rig_wait(MIN(moments[i], INT64_C(1000)));
		CHECK_INT(rig.sent, 1); /* by its own timer; one at first, as ever */
		rig_end();
	}
	for (size_t i = 1; i < ARRAY_SIZE(moments); i++)
		if (moments[i] != moments[0])
			return;
	test_fail(__FILE__, __LINE__, "each start has the same moment");
}

/* Somebody waits for it. Its answer lets none of the others go before their time. */
TEST(what_is_handed_in_after_the_start_goes_at_once)
{
	int64_t moment;

	while ((moment = begin_with_backlog()) < 2000)
		rig_end();
	one_page();
	rig_turn();
	CHECK_INT(rig.sent, 1);
	CHECK(rig_row(3).state == STATE_DONE && rig_row(1).state == STATE_QUEUED);
	rig_wait(moment);
	CHECK_INT(rig.sent, 2);
	rig_end();
}

TEST(a_start_without_a_backlog_waits_for_nothing)
{
	begin("[Route]\nStartSpread=20s\n" RIG_SYDNEY);
	CHECK_INT(rig_backend("sydney")->spread_ms, 0);
	CHECK_INT(rig_backend("ocr")->spread_ms, 0);
	one_page();
	rig_end();
}
