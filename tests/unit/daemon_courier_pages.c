/* Requests of several pages: how many go, what is told of them, and page by page. */
#include "tests/unit/daemon_courier_fixture.h"

#include "daemon/document.h"

#define TOO_LARGE413 "{\"message\":\"too large\"}"
#define HELLO        "[{\"t\":\"Word:\",\"b\":[100,100,100,30],\"c\":95,\"l\":[0,0,0]},{\"t\":\"hello\",\"b\":[220,100,100,30],\"c\":95,\"l\":[0,0,0]}]"
#define NOTHING      "[]"

/* A document of n pages that has ended. */
static void document_of(int n)
{
	struct spool_meta m = fixture_meta(&rig.f);
	struct document d;
	struct page_row p;

	m.document_name = "d";
	for (int i = 0; i < n; i++) {
		rig.f.now += 1000;
		CHECK_INT(fixture_try(&rig.f, &m, &p), 0);
	}
	CHECK_INT(document_find(rig.s.spool, "d", m.owner, &d), 0);
	CHECK_INT(document_end(rig.s.spool, d.id), 0);
}

static void begin(const char *config, int pages)
{
	courier_start(rig_begin(config));
	document_of(pages);
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

static size_t images(void)
{
	size_t n = 0;

	CHECK(rig.out);
	for (size_t i = 0; i < rig.out->req->n_segments; i++)
		n += rig.out->req->segments[i].kind != SEGMENT_LITERAL;
	return n;
}

static void count_is(const char *sql, int64_t want)
{
	int64_t got = fixture_sql(&rig.f, sql);

	if (got != want)
		test_fail(__FILE__, __LINE__, "%s: %lld, not %lld", sql, (long long)got, (long long)want);
}

TEST(all_of_them_at_once)
{
	begin(RIG_SYDNEY, 3);
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK_INT(images(), 3);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'done'", 3);
	count_is("SELECT count(*) FROM results", 1);
	CHECK_INT(rig.events[EVENT_PAGE_DONE], 3);
	CHECK_INT(rig.events[EVENT_ATTEMPT_STARTED], 1);
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(as_many_as_the_first_backend_takes)
{
	begin(RIG_SYDNEY "PagesPerRequest=2\n", 5);
	kick();
	CHECK_INT(images(), 2);
	count_is("SELECT count(*) FROM pages WHERE rung = 0 AND leader IS NULL", 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	kick();
	CHECK_INT(images(), 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	kick();
	CHECK_INT(images(), 1);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'done'", 5);
	count_is("SELECT count(*) FROM results", 3);
	rig_end();
}

/* What is left of a group may be what was paid for, though the whole was not. */
TEST(divided_they_are_not_paid_for_again)
{
	begin(RIG_SYDNEY "PagesPerRequest=1\n", 1);
	kick();
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	rig.f.content -= rig.f.next_content;
	document_of(2);
	kick();
	count_is("SELECT count(*) FROM attempts WHERE page = 2 AND reason = 'same-content' AND reserved_pusd = 0", 1);
	count_is("SELECT count(*) FROM pages WHERE state = 'done'", 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'done'", 3);
	CHECK_INT(rig.sent, 2);
	rig_end();
}

TEST(refused_as_a_whole_it_is_halved)
{
	begin(RIG_SYDNEY, 4);
	kick();
	CHECK_INT(images(), 4);
	rig_reply_with(413, TOO_LARGE413);
	rig_turn();
	/* That is no try of the page. */
	count_is("SELECT count(*) FROM attempts WHERE charged", 0);
	count_is("SELECT tries FROM pages WHERE seq = 1", 0);
	kick();
	CHECK_INT(images(), 2);
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'done'", 2);
	count_is("SELECT count(*) FROM pages WHERE state = 'queued' AND rung = 0", 1);
	rig_end();
}

TEST(more_than_the_budget_has_for_all)
{
	begin(RIG_SYDNEY, 4);
	rig.s.config.budget.day_pusd = 1;
	kick();
	rig_turn();
	/* Divided until each is by itself; then it is said of the page, and the next of its route is asked. */
	count_is("SELECT count(*) FROM pages WHERE leader IS NULL", 4);
	count_is("SELECT count(*) > 0 FROM attempts WHERE reason = 'over-budget'", 1);
	count_is("SELECT count(*) FROM attempts WHERE backend = 'sydney' AND reason <> 'over-budget'", 0);
	rig_end();
}

TEST(a_fallback_that_takes_fewer_is_passed_over)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n[Backend ocr]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\n", 2);
	kick();
	rig_reply_with(403, DENIED);
	rig_turn();
	kick();
	count_is("SELECT count(*) FROM attempts WHERE backend = 'ocr' AND reason = 'too-many-pages'", 1);
	count_is("SELECT count(*) FROM pages WHERE leader = 1", 1);
	count_is("SELECT count(*) FROM pages WHERE state = 'queued'", 2);
	rig_end();
}

/* Down for good: the pages go to OCR. */
static void begin_ocr(int pages)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n", pages);
	kick();
	rig_reply_with(403, DENIED);
	rig_turn();
	kick();
	CHECK(rig.out && rig.out->helper);
	CHECK_INT(images(), 1);
}

TEST(ocr_reads_one_after_the_other)
{
	begin_ocr(3);
	rig_reply_words(NOTHING);
	CHECK(rig.out && rig.out->helper);
	rig_reply_words(HELLO);
	CHECK(rig.out && rig.out->helper);
	count_is("SELECT count(*) FROM results", 0);
	rig_reply_words(NOTHING);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'provisional'", 3);
	count_is("SELECT count(*) FROM attempts WHERE backend = 'ocr'", 1);
	count_is("SELECT json_extract(json, '$.fields.word.page') FROM results", 2);
	CHECK_INT(rig.events[EVENT_PAGE_PROVISIONAL], 3);
	rig_end();
}

TEST(ocr_finds_nothing_on_any)
{
	begin_ocr(2);
	rig_reply_words(NOTHING);
	rig_reply_words(NOTHING);
	rig_turn();
	count_is("SELECT count(*) FROM results", 0);
	count_is("SELECT count(*) FROM attempts WHERE backend = 'ocr' AND outcome = 'next'", 1);
	count_is("SELECT count(*) FROM pages WHERE state = 'queued'", 2);
	rig_end();
}

TEST(ocr_dies_on_one)
{
	begin_ocr(3);
	rig_reply_words(HELLO);
	rig_reply_error(TRANSPORT_BROKEN, true);
	rig_turn();
	count_is("SELECT count(*) FROM results", 0);
	count_is("SELECT count(*) FROM attempts WHERE closed_ms IS NULL", 0);
	count_is("SELECT count(*) FROM pages WHERE state = 'queued'", 3);
	rig_end();
}

TEST(ocr_cannot_be_started_again)
{
	begin_ocr(2);
	rig.send_error = -ENOENT;
	rig_reply_words(HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM results", 0);
	count_is("SELECT count(*) FROM pages WHERE state = 'queued'", 2);
	count_is("SELECT count(*) FROM attempts WHERE closed_ms IS NULL", 0);
	rig_end();
}

TEST(stopped_between_two_pages)
{
	begin_ocr(2);
	rig_reply_words(HELLO);
	rig_stop();
	count_is("SELECT count(*) FROM results", 0);
	count_is("SELECT count(*) FROM attempts WHERE backend = 'ocr' AND reason = 'stopped'", 1);
	rig_end();
}

TEST(a_page_of_it_is_damaged)
{
	char path[256];
	struct page_row p;

	begin(RIG_SYDNEY, 3);
	p = rig_row(2);
	fixture_path(path, "pages", p.id, ".jpg");
	CHECK_INT(truncate(path, 100), 0);
	kick();
	CHECK_INT(rig.sent, 0);
	count_is("SELECT count(*) FROM pages WHERE state = 'held'", 3);
	count_is("SELECT count(*) FROM pages WHERE reason LIKE 'damaged:%'", 1);
	CHECK_INT(rig.events[EVENT_PAGE_HELD], 3);
	CHECK_INT(spool_page_retry(rig.s.spool, 3, NULL), 0);
	kick();
	CHECK_INT(images(), 2);
	rig_end();
}

TEST(its_pages_cannot_be_looked_up)
{
	begin(RIG_SYDNEY, 2);
	rig.sql = "WHERE leader = ?";
	kick();
	CHECK_INT(rig.sent, 0);
	rig.sql = NULL;
	count_is("SELECT count(*) FROM pages WHERE state = 'queued'", 2);
	rig_wait(10000);
	kick();
	CHECK_INT(images(), 2);
	rig_end();
}

TEST(it_cannot_be_divided)
{
	begin(RIG_SYDNEY "PagesPerRequest=1\n", 2);
	rig.sql = "OFFSET";
	kick();
	CHECK_INT(rig.sent, 0);
	rig.sql = NULL;
	rig_wait(10000);
	kick();
	CHECK_INT(images(), 1);
	rig_end();
}
