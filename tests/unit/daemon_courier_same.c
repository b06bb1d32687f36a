/* The same content is paid for once: the second page takes over the first one's answer, or waits for it; unless it is asked for. */
#include "tests/unit/daemon_courier_fixture.h"

#define FOUR RIG_SYDNEY "Concurrency=4\n"

/* Pages from now on have one content; the backend has answered before, so that it takes more than one at a time. */
static void begin(const char *config)
{
	courier_start(rig_begin(config));
	rig.f.next_content = 0;
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

static int64_t page_again(void)
{
	struct spool_meta m = fixture_meta(&rig.f);
	struct page_row p;

	m.again = true;
	CHECK_INT(fixture_try(&rig.f, &m, &p), 0);
	return p.seq;
}

/* A page that is asked about and answered. */
static int64_t paid(void)
{
	int64_t seq = rig_page();
	int before = rig.sent;

	kick();
	CHECK_INT(rig.sent, before + 1);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	CHECK(rig_row(seq).state == STATE_DONE);
	return seq;
}

static void result_of(int64_t seq, cJSON **ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	const char *text;

	CHECK_INT(db_query(spool_db(rig.f.spool), &st, "SELECT json FROM results WHERE page = ?", "i", seq), 0);
	CHECK_INT(stmt_next(st), 1);
	text = stmt_text(st, 0);
	CHECK_INT(json_parse(text, strlen(text), ret, NULL), 0);
}

TEST(an_answer_is_taken_over)
{
	_cleanup_json_ cJSON *j = NULL;
	int64_t first, second, bad;
	bool authoritative = false;

	begin(RIG_SYDNEY);
	first = paid();
	second = rig_page();
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK(rig_row(second).state == STATE_DONE);
	result_of(second, &j);
	CHECK_STR(json_get_string(j, "same_as"), rig_row(first).id);
	CHECK_STR(json_get_string(j, "cost_pico_usd"), "0");
	CHECK_STR(json_get_string(j, "backend"), "sydney");
	CHECK_STR(json_get_string(j, "model"), "amazon.nova-pro-v1:0");
	CHECK_STR(json_get_string(json_get_object(json_get_object(j, "fields"), "word"), "value"), "hello");
	CHECK_INT(json_get_bool(j, "authoritative", &authoritative), 0);
	CHECK(authoritative);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE outcome = 'done'"), 2);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE settled_pusd = 0 AND billed = 'no' AND reason = 'same-content'"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts WHERE kind = 'sent'"), 1);
	CHECK_INT(receipt_verify(rig.f.spool, &bad), 3);
	CHECK_INT(fixture_sql(&rig.f, "SELECT attempts * 1000 + answers * 100 + pages * 10 + reused FROM usage"), 2221);
	/* and one more from the one that took it over, whose own is gone */
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE pages SET version = 0 WHERE seq = ?", "i", first), 0);
	rig_page();
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 3);
	rig_end();
}

TEST(a_page_waits_for_one_that_is_out)
{
	int64_t other;

	begin(FOUR);
	paid();
	rig.f.content++;
	rig_page();
	rig_page();
	rig_page();
	rig.f.content++;
	other = rig_page();
	kick();
	CHECK_INT(rig.sent, 3); /* and not the two others */
	kick();
	rig_wait(10000);
	CHECK_INT(rig.sent, 3);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE closed_ms IS NULL"), 2);
	rig_reply_with(200, NOVA_HELLO); /* the last one that went */
	rig_turn();
	CHECK(rig_row(other).state == STATE_DONE);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	CHECK_INT(rig.sent, 3);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 5);
	CHECK_INT(fixture_sql(&rig.f, "SELECT reused FROM usage"), 2);
	rig_end();
}

TEST(one_that_fails_blocks_nobody)
{
	static const char *const route[] = {"sydney"};
	int64_t first, second;

	begin(FOUR);
	CHECK_INT(spool_job_freeze(rig.f.spool, "auto", route, 1, rig.f.types, &rig.f.job), 0);
	first = rig_page();
	second = rig_page();
	kick();
	CHECK_INT(rig.sent, 1);
	rig_reply_with(400, "{\"__type\":\"ValidationException\",\"message\":\"The provided image is not valid\"}");
	rig_turn();
	CHECK(rig_row(first).state == STATE_HELD);
	CHECK_INT(rig.sent, 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	CHECK(rig_row(second).state == STATE_DONE);
	rig_end();
}

TEST(a_held_one_blocks_nobody)
{
	int64_t first;

	begin(RIG_SYDNEY);
	first = rig_page();
	CHECK_INT(spool_page_hold(rig.f.spool, first, "by hand: x"), 0);
	CHECK(paid() != first);
	/* and retried it costs nothing any more */
	CHECK_INT(spool_page_retry(rig.f.spool, first, NULL), 0);
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK(rig_row(first).state == STATE_DONE);
	rig_end();
}

TEST(who_asks_for_it_pays_again)
{
	int64_t seq;

	begin(FOUR);
	paid();
	seq = page_again();
	kick();
	CHECK_INT(rig.sent, 2);
	/* one that does not ask for it waits for the new answer */
	rig_page();
	kick();
	CHECK_INT(rig.sent, 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 3);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE settled_pusd > 0"), 2);
	rig_end();
}

TEST(a_retry_may_ask_for_it)
{
	int64_t seq;

	begin(RIG_SYDNEY);
	paid();
	seq = rig_page();
	CHECK_INT(spool_page_hold(rig.f.spool, seq, "by hand: x"), 0);
	CHECK_INT(spool_page_pay_again(rig.f.spool, seq), 0);
	CHECK_INT(spool_page_retry(rig.f.spool, seq, NULL), 0);
	kick();
	CHECK_INT(rig.sent, 2);
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	rig_end();
}

TEST(another_model_is_another_question)
{
	begin(RIG_SYDNEY);
	paid();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE attempts SET model = 'amazon.nova-lite-v1:0'", ""), 0);
	paid();
	rig_end();
}

TEST(other_types_are_another_question)
{
	static const char *const route[] = {"sydney", "ocr"};
	struct typeset *other = NULL;
	char text[sizeof(rig_types)];

	begin(RIG_SYDNEY);
	paid();
	str_copy(text, sizeof(text), rig_types);
	*(strstr(text, "\"prompt\":\"p\"") + strlen("\"prompt\":\"")) = 'q';
	CHECK_INT(typeset_parse(text, strlen(text), &other, rig.f.why, sizeof(rig.f.why)), 0);
	CHECK_INT(spool_job_freeze(rig.f.spool, "auto", route, 2, other, &rig.f.job), 0);
	rig_page();
	kick();
	CHECK_INT(rig.sent, 2);
	rig_reply_with(200, NOVA_HELLO);
	typeset_free(other);
	rig_end();
}

/* But another route is not: it is the same model that answers. */
TEST(another_route_is_the_same_question)
{
	static const char *const route[] = {"sydney"};

	begin(RIG_SYDNEY);
	paid();
	CHECK_INT(spool_job_freeze(rig.f.spool, "auto", route, 1, rig.f.types, &rig.f.job), 0);
	rig_page();
	kick();
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(what_is_not_known_is_paid_for)
{
	begin(RIG_SYDNEY);
	paid();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE pages SET content = NULL", ""), 0);
	paid();
	rig_page();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE pages SET content = NULL WHERE state = 'queued'", ""), 0);
	kick();
	CHECK_INT(rig.sent, 3);
	rig_reply_with(200, NOVA_HELLO);
	rig_end();
}

TEST(an_answer_that_cannot_be_read_is_asked_for_anew)
{
	begin(RIG_SYDNEY);
	paid();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE results SET raw = ''", ""), 0);
	paid();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE results SET type = 'gone'", ""), 0);
	paid();
	rig_end();
}

TEST(nothing_is_sent_while_the_database_cannot_tell)
{
	int64_t seq;

	begin(RIG_SYDNEY);
	paid();
	seq = rig_page();
	rig.sql = "INDEXED BY pages_content";
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK(rig_row(seq).state == STATE_QUEUED);
	CHECK_INT(rig.storage, -EIO);
	rig.sql = NULL;
	rig_wait(20000);
	CHECK_INT(rig.sent, 1);
	CHECK(rig_row(seq).state == STATE_DONE);
	rig_end();
}

/* A fallback that costs nothing reads each page by itself. */
TEST(ocr_reads_each_page)
{
	begin(RIG_SYDNEY "[Route]\nBackends=ocr\n");
	rig.s.config.backends[0].fallback_after_ms = 0;
	for (int i = 0; i < 2; i++) {
		static const char *const route[] = {"ocr"};

		CHECK_INT(spool_job_freeze(rig.f.spool, "auto", route, 1, rig.f.types, &rig.f.job), 0);
		rig_page();
		kick();
		CHECK_INT(rig.sent, i + 1);
		rig_reply_words(WORDS_HELLO);
		rig_turn();
	}
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 2);
	rig_end();
}

static bool is_same(int64_t seq)
{
	struct page_row p = rig_row(seq);
	struct ledger_same same = {};
	int r = ledger_same(rig.f.spool, &p, "amazon.nova-pro-v1:0", &same);

	CHECK(r >= 0);
	free(same.raw);
	return r > 0;
}

static int64_t page_with(int64_t leader, uint32_t content)
{
	int64_t seq;

	rig.f.content = content;
	seq = rig_page();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE pages SET leader = ?, rung = -1 WHERE seq = ?", "ii", leader, seq), 0);
	rig.f.content = 0;
	return seq;
}

/* Pages that are asked together are one question. */
TEST(documents_are_the_same_when_all_their_pages_are)
{
	int64_t first, second, other;

	begin(RIG_SYDNEY);
	first = paid();
	second = rig_page();
	CHECK(is_same(second));
	page_with(first, 7);
	CHECK(!is_same(second));
	other = page_with(second, 7);
	CHECK(is_same(second));
	page_with(first, 8);
	CHECK(!is_same(second));
	page_with(second, 8);
	CHECK(is_same(second));
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE pages SET content = NULL WHERE seq = ?", "i", other), 0);
	CHECK(!is_same(second));
	rig_end();
}
