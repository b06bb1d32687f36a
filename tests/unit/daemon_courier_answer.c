/* From the reply to the commit: what was answered is recorded once, whatever fails in between, and what may have been billed
 * counts. */
#include "tests/unit/daemon_courier_fixture.h"

#include "daemon/keep.h"

#define SLOW_RETRY RIG_SYDNEY "Tries=2\n"

static int64_t begin(const char *config)
{
	courier_start(rig_begin(config));
	return rig_page();
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

/* The page is out at its first backend. */
static int64_t begin_sent(const char *config)
{
	int64_t seq = begin(config);

	kick();
	CHECK_INT(rig.sent, 1);
	return seq;
}

static int64_t count(const char *sql)
{
	return fixture_sql(&rig.f, sql);
}

/* What a backend says of a page is what the test says. */
static struct verdict said;

static int decode_said(const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret)
{
	*ret = said;
	return 0;
}

static int decode_without_memory(const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret)
{
	return -ENOMEM;
}

static struct extractor_ops ops;

static void answers_as_said(const char *name, enum page_outcome page, enum backend_state backend, bool billed)
{
	ops = bedrock_extractor;
	ops.decode = decode_said;
	said = (struct verdict){.page = page, .backend = backend, .billed = billed};
	str_copy(said.reason, sizeof(said.reason), "as-said");
	str_copy(said.message, sizeof(said.message), "as the test says");
	rig_backend(name)->extractor.ops = &ops;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static void reply_at(int64_t date_ms, int status, const char *body)
{
	rig_reply(&(struct reply){.error = TRANSPORT_OK, .sent = true, .sent_all = true, .status = status, .body = body,
		.len = strlen(body), .date_ms = date_ms});
}

TEST(skew_is_learned_from_aws)
{
	begin_sent(RIG_SYDNEY);
	reply_at(FIXTURE_NOW + 90000, 200, NOVA_HELLO);
	CHECK_INT(clock_skew_ms(rig.s.clock), 90000);
	rig_page();
	kick();
	reply_at(FIXTURE_NOW - 90000, 200, NOVA_HELLO);
	CHECK_INT(clock_skew_ms(rig.s.clock), -90000);
	rig_page();
	kick();
	reply_at(FIXTURE_NOW + 1500, 200, NOVA_HELLO); /* Date has whole seconds */
	CHECK_INT(clock_skew_ms(rig.s.clock), 0);
	rig_end();
}

/* Refused for its time: signed anew at once when that is another one, else tried as what may pass in a moment. */
TEST(a_clock_that_was_right_is_not_tried_at_once)
{
	static const char expired[] = "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired\"}";

	begin_sent(RIG_SYDNEY);
	reply_at(FIXTURE_NOW + 239000, 403, expired);
	CHECK(!rig.out);
	CHECK(!rig_backend("sydney")->health.again);
	CHECK_INT(backend_state(rig_backend("sydney")), BACKEND_DOWN);
	rig_end();
	begin_sent(RIG_SYDNEY);
	reply_at(FIXTURE_NOW + 240000, 403, expired);
	CHECK(rig_backend("sydney")->health.again);
	rig_turn();
	CHECK(rig.out);
	reply_at(FIXTURE_NOW + 240000, 200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE charged = 1 AND outcome != 'done'"), 0);
	rig_end();
}

TEST(skew_is_not_learned_in_the_house)
{
	begin_sent("[Backend sydney]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\n");
	reply_at(FIXTURE_NOW + 90000, 200, CHAT_HELLO);
	CHECK_INT(clock_skew_ms(rig.s.clock), 0);
	rig_end();
}

/* A model may do better with another try; it is one that counts, and was paid. */
TEST(answer_without_fields_is_tried_again)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	rig_reply_with(200, NOVA("end_turn", "{\"text\":\"I see a page.\"}"));
	CHECK_STR(rig.reason, "no-fields");
	CHECK_INT(rig_row(seq).tries, 1);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE charged = 1 AND outcome = 'retry' AND settled_pusd > 0"), 1);
	CHECK_INT(count("SELECT count(*) FROM results"), 0);
	rig_wait(60000);
	CHECK_INT(rig.sent, 2);
	rig_end();
}

/* OCR reads the same words every time. */
TEST(words_without_fields_hold_the_page)
{
	int64_t seq = begin_sent("[Route]\nBackends=ocr\n");

	CHECK(!rig.out->socket);
	rig_reply_words("[]");
	CHECK(rig_row(seq).state == STATE_HELD);
	CHECK_STR(rig_row(seq).reason, "no-fields: nothing in the answer could be read as fields (1 attempt at ocr)");
	rig_end();
}

TEST(answer_that_cannot_be_taken_in_is_paid_and_asked_again)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	ops = bedrock_extractor;
	ops.decode = decode_without_memory;
	rig_backend("sydney")->extractor.ops = &ops;
	rig_reply_with(200, NOVA_HELLO);
	CHECK_STR(rig.reason, "local");
	CHECK(rig_row(seq).state == STATE_QUEUED);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE settled_pusd = reserved_pusd AND settled_pusd > 0"), 1);
	rig_backend("sydney")->extractor.ops = &bedrock_extractor;
	rig_wait(60000);
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	rig_end();
}

/* Nothing was sent, and there is no memory to say why: nothing was billed. */
TEST(end_that_cannot_be_taken_in_unsent)
{
	begin_sent(RIG_SYDNEY);
	ops = bedrock_extractor;
	ops.decode = decode_without_memory;
	rig_backend("sydney")->extractor.ops = &ops;
	rig_reply_error(TRANSPORT_CONNECT, false);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE settled_pusd = 0 AND billed = 'no'"), 1);
	rig_end();
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

TEST(tries_are_used_up)
{
	int64_t seq = begin_sent(SLOW_RETRY "[Backend ocr]\nTries=1\n");

	answers_as_said("sydney", PAGE_RETRY, BACKEND_OK, true);
	rig_reply_with(200, "");
	rig_wait(60000);
	rig_reply_with(200, "");
	CHECK_INT(rig_row(seq).rung, 1);
	rig_turn();
	CHECK(rig.out && rig.out->helper);
	rig_reply_error(TRANSPORT_TIMEOUT, true);
	rig_end();
}

/* No try of the page's, for the server is taken to be in trouble; but paid for, and that has an end too. */
TEST(unproved_attempts_are_bounded)
{
	int64_t seq = begin_sent(RIG_SYDNEY "Tries=1\n");

	answers_as_said("sydney", PAGE_UNTOUCHED, BACKEND_BUSY, true);
	for (int i = 1; i < 10; i++) {
		rig_reply_with(200, "");
		CHECK_INT(rig_row(seq).rung, 0);
		rig_wait(120000);
		CHECK_INT(rig.sent, i + 1);
	}
	rig_reply_with(200, "");
	CHECK_INT(rig_row(seq).rung, 1);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE charged = 1"), 1);
	rig_end();
}

/* Nothing was billed: however often, the page waits. */
TEST(untouched_for_nothing_has_no_bound)
{
	int64_t seq = begin_sent(RIG_SYDNEY "Tries=1\n");

	answers_as_said("sydney", PAGE_UNTOUCHED, BACKEND_BUSY, false);
	for (int i = 0; i < 15; i++) {
		rig_reply_with(200, "");
		rig_wait(120000);
	}
	CHECK_INT(rig.sent, 16);
	CHECK_INT(rig_row(seq).rung, 0);
	rig_end();
}

TEST(reason_for_a_person_is_cut_to_fit)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	answers_as_said("sydney", PAGE_REJECT, BACKEND_OK, false);
	memset(said.message, 'x', sizeof(said.message) - 1);
	rig_reply_with(200, "");
	CHECK(rig_row(seq).state == STATE_HELD);
	CHECK_STR(rig_row(seq).reason, "as-said (1 attempt at sydney)");
	rig_end();
}

/* What has no reason is told without one. */
TEST(end_without_a_reason)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	answers_as_said("sydney", PAGE_RETRY, BACKEND_OK, false);
	said.reason[0] = said.message[0] = 0;
	rig_reply_with(200, "");
	CHECK_INT(rig.events[EVENT_ATTEMPT_ENDED], 1);
	CHECK_STR(rig.reason, "");
	CHECK(strstr(rig.logged, "retry"));
	CHECK(!strstr(rig.logged, "retry:"));
	CHECK_INT(rig_row(seq).tries, 1);
	rig_end();
}

TEST(reason_for_a_person_counts_attempts)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	answers_as_said("sydney", PAGE_RETRY, BACKEND_OK, false);
	rig_reply_with(200, "");
	rig_wait(60000);
	said.page = PAGE_REJECT;
	rig_reply_with(200, "");
	CHECK_STR(rig_row(seq).reason, "as-said: as the test says (2 attempts at sydney)");
	/* And where the message is too long. */
	seq = rig_page();
	said.page = PAGE_RETRY;
	kick();
	rig_reply_with(200, "");
	rig_wait(60000);
	said.page = PAGE_REJECT;
	memset(said.message, 'x', sizeof(said.message) - 1);
	rig_reply_with(200, "");
	CHECK_STR(rig_row(seq).reason, "as-said (2 attempts at sydney)");
	rig_end();
}

/* ---- what a person did meanwhile --------------------------------------------------------------------------------- */

TEST(held_while_it_is_out)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	CHECK_INT(spool_page_hold(rig.f.spool, seq, "held by uid 0: a test"), 0);
	answers_as_said("sydney", PAGE_RETRY, BACKEND_OK, false);
	rig_reply_with(200, "");
	CHECK(rig_row(seq).state == STATE_HELD);
	CHECK_STR(rig_row(seq).reason, "held by uid 0: a test");
	CHECK_INT(rig.events[EVENT_PAGE_HELD], 1);
	rig_end();
}

/* An answer of a fallback is there, and a better one is asked for. */
static int64_t begin_provisional(void)
{
	int64_t seq = begin_sent(RIG_SYDNEY "FallbackAfter=0\n");

	rig_reply_error(TRANSPORT_CONNECT, false);
	rig_turn();
	rig_reply_words(WORDS_HELLO);
	CHECK(rig_row(seq).state == STATE_PROVISIONAL);
	CHECK_INT(rig.events[EVENT_PAGE_PROVISIONAL], 1);
	rig_wait(60000);
	CHECK(rig.out && !rig.out->helper);
	return seq;
}

TEST(better_answer_supersedes)
{
	int64_t seq = begin_provisional();

	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(rig_row(seq).version, 2);
	rig_end();
}

TEST(retried_while_it_is_out)
{
	int64_t seq = begin_provisional();

	CHECK_INT(spool_page_hold(rig.f.spool, seq, "held by uid 0: a test"), 0);
	CHECK_INT(spool_page_retry(rig.f.spool, seq, NULL), 0);
	answers_as_said("sydney", PAGE_REJECT, BACKEND_OK, false);
	rig_reply_with(200, "");
	CHECK(rig_row(seq).state == STATE_QUEUED);
	CHECK_INT(rig.events[EVENT_PAGE_QUEUED], 1);
	/* And what it answers then goes over the answer from before. */
	rig_backend("sydney")->extractor.ops = &bedrock_extractor;
	rig_turn();
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(rig_row(seq).version, 2);
	rig_end();
}

/* It was closed by others (a recovery that began again): the courier takes it as ended. */
TEST(attempt_closed_meanwhile)
{
	begin_sent(RIG_SYDNEY);
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE attempts SET closed_ms = 1, outcome = 'crashed'", ""), 0);
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(rig.events[EVENT_ATTEMPT_ENDED], 0);
	CHECK_INT(count("SELECT count(*) FROM results"), 0);
	rig_end();
}

TEST(attempt_gone_meanwhile)
{
	begin_sent(RIG_SYDNEY);
	CHECK_INT(db_exec(spool_db(rig.f.spool), "DELETE FROM receipts", ""), 0);
	CHECK_INT(db_exec(spool_db(rig.f.spool), "DELETE FROM attempts", ""), 0);
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(rig.events[EVENT_ATTEMPT_ENDED], 0);
	rig_end();
}

/* ---- a ledger that cannot be used after the reply ---------------------------------------------------------------- */

/* What was answered is kept, and recorded once when the disk works again. */
static void expect_settled_later(const char *sql)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	rig.sql = sql;
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(rig.storage, -EIO);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	rig_wait(5000);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	CHECK(!courier_hangs(rig.s.courier));
	rig_wait(3600000); /* and a request that was answered is past no deadline */
	CHECK(!courier_hangs(rig.s.courier));
	rig.sql = NULL;
	rig_wait(5000);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(rig.storage, 0);
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(count("SELECT count(*) FROM results WHERE json LIKE '%hello%'"), 1);
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(commit_fails)
{
	expect_settled_later("COMMIT");
}

TEST(result_cannot_be_stored)
{
	expect_settled_later("INSERT INTO results");
}

TEST(tries_cannot_be_counted_after_the_reply)
{
	expect_settled_later("SELECT sum(charged)");
}

TEST(answer_before_cannot_be_looked_up)
{
	int64_t seq = begin_provisional();

	rig.sql = "SELECT a.backend FROM results";
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	rig.sql = NULL;
	rig_wait(5000);
	CHECK(rig_row(seq).state == STATE_DONE);
	rig_end();
}

/* Several are kept, and settled together with what is still out left alone. */
TEST(some_are_settled_later)
{
	begin("[Backend sydney]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\nConcurrency=3\n");
	rig_backend("sydney")->health.more = 2;
	rig_page();
	rig_page();
	kick();
	CHECK_INT(rig.sent, 3);
	rig.sql = "COMMIT";
	rig_reply_with(200, CHAT_HELLO);
	rig_reply_with(200, CHAT_HELLO);
	rig_wait(5000);
	CHECK_INT(courier_in_flight(rig.s.courier), 3);
	rig.sql = NULL;
	rig_wait(5000);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	rig_reply_with(200, CHAT_HELLO);
	CHECK_INT(count("SELECT count(*) FROM pages WHERE state = 'done'"), 3);
	rig_end();
}

/* Where even the timer fails, the next reply or the stop settles it. */
TEST(no_timer_for_settling)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	rig.sql = "COMMIT";
	rig.no_timer = true;
	rig_reply_with(200, NOVA_HELLO);
	CHECK(strstr(rig.logged, "no timer"));
	rig.sql = NULL;
	rig_wait(60000);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	rig_stop();
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(count("SELECT count(*) FROM results"), 1);
	rig_end();
}

/* The page's row cannot be read for the telling: it was recorded all the same. */
TEST(telling_fails)
{
	int64_t seq = begin_sent(RIG_SYDNEY), steps = 0;

	/* Step by step later, until what fails is behind the commit. */
	do {
		rig.sql_steps = ++steps;
		rig_reply_with(200, NOVA_HELLO);
		rig.sql_steps = 0;
		rig_wait(5000);
		CHECK(rig_row(seq).state == STATE_DONE);
		CHECK(steps < 200);
		if (rig.events[EVENT_ATTEMPT_ENDED] == steps - 1)
			break;
		seq = rig_page();
		kick();
	} while (true);
	CHECK_INT(count("SELECT count(*) FROM results"), steps);
	rig_end();
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

TEST(stopped_while_it_is_out)
{
	int64_t seq = begin_sent(RIG_SYDNEY);

	rig_stop();
	CHECK(!rig.out);
	CHECK(rig_row(seq).state == STATE_QUEUED);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE billed = 'possibly' AND settled_pusd = reserved_pusd AND settled_pusd > 0"
			" AND reason = 'stopped'"), 1);
	rig_end();
}

TEST(stopped_while_the_ledger_fails)
{
	int64_t seq = begin_sent("[Route]\nBackends=ocr\n");

	rig.sql = "COMMIT";
	rig_stop();
	CHECK(!rig.out);
	CHECK(strstr(rig.logged, "stays open"));
	rig.sql = NULL;
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE closed_ms IS NULL"), 1);
	fixture_reopen(&rig.f);
	rig.s.spool = rig.f.spool;
	fixture_reconcile(&rig.f);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE closed_ms IS NULL"), 0);
	CHECK(rig_row(seq).state == STATE_QUEUED);
	rig_end();
}

/* ---- each allocation, each step of SQLite ------------------------------------------------------------------------ */

/* With memory and disk back the page comes to its end: answered, once; and nothing is left in flight. */
static void recovers(int64_t seq, const char *what, int64_t n)
{
	for (int i = 0; i < 20 && rig_row(seq).state != STATE_DONE; i++) {
		rig_wait(70000);
		if (rig.out && rig.out->req->method)
			rig_reply_with(200, NOVA_HELLO);
	}
	rig_turn();
	if (rig_row(seq).state != STATE_DONE)
		test_fail(__FILE__, __LINE__, "%s %lld: the page is %s", what, (long long)n, page_state_name(rig_row(seq).state));
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE closed_ms IS NULL"), 0);
	CHECK_INT(count("SELECT count(*) FROM (SELECT 1 FROM results GROUP BY page HAVING count(*) > 1)"), 0);
	CHECK_INT(count("SELECT count(*) FROM results WHERE json NOT LIKE '%\"value\":\"hello\"%'"), 0);
	CHECK_INT(count("SELECT count(*) FROM pages WHERE state = 'held'"), 0);
}

/* Does something fail in the turn that sends (or else when the reply comes)? */
static bool one_fails(bool turn, bool memory, int64_t n)
{
	int64_t seq;
	bool failed;

	rig_wait(60000); /* what is apart after an outage is over */
	seq = rig_page();
	if (!turn) {
		kick();
		CHECK(rig.out);
	}
	courier_kick(rig.s.courier);
	if (memory)
		memory_fail_at(n);
	else
		rig.sql_steps = n;
	if (turn)
		rig_turn();
	else
		rig_reply_with(200, NOVA_HELLO);
	failed = memory ? memory_failed() : rig.sql_steps == 0;
	rig.sql_steps = 0;
	CHECK(failed || rig_row(seq).state == STATE_DONE || rig.out); /* all of it was gone through */
	recovers(seq, memory ? "allocation" : "step", n);
	return failed;
}

static void each_fails(bool turn, bool memory)
{
	int64_t n = 1;

	if (memory)
		MEMORY_SKIP();
	courier_start(rig_begin(RIG_SYDNEY "Tries=100\nFallbackAfter=10d\n"));
	while (one_fails(turn, memory, n))
		n++;
	CHECK(n > 10);
	rig_end();
}

TEST(each_allocation_of_a_send)
{
	each_fails(true, true);
}

TEST(each_allocation_of_a_reply)
{
	each_fails(false, true);
}

TEST(each_step_of_a_send)
{
	each_fails(true, false);
}

TEST(each_step_of_a_reply)
{
	each_fails(false, false);
}
