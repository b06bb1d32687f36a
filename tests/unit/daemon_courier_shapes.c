/* Renderings of pages that are asked together: which are made, what is told of each, and what becomes of a page that cannot be made to fit. */
#include "tests/unit/daemon_courier_fixture.h"

#include "daemon/document.h"

#define TOO_LARGE413 "{\"message\":\"too large\"}"
#define TOO_LARGE400 "{\"__type\":\"ValidationException\",\"message\":\"image is too large\"}"
#define HELLO        "[{\"t\":\"Word:\",\"b\":[100,100,100,30],\"c\":95,\"l\":[0,0,0]},{\"t\":\"hello\",\"b\":[220,100,100,30],\"c\":95,\"l\":[0,0,0]}]"

/* A document of n pages that has ended, so wide each. */
static void document_of(const char *name, size_t n, const uint32_t *width)
{
	struct spool_meta m = fixture_meta(&rig.f);
	struct document d;
	struct page_row p;

	m.document_name = name;
	for (size_t i = 0; i < n; i++) {
		fixture_width = width[i];
		rig.f.now += 1000;
		CHECK_INT(fixture_try(&rig.f, &m, &p), 0);
	}
	fixture_width = 0;
	CHECK_INT(document_find(rig.s.spool, name, m.owner, &d), 0);
	CHECK_INT(document_end(rig.s.spool, d.id), 0);
	courier_kick(rig.s.courier);
	rig_turn();
}

#define DOCUMENT(name, ...) document_of(name, ARRAY_SIZE(((uint32_t[]){__VA_ARGS__})), (uint32_t[]){__VA_ARGS__})

static void begin(const char *config, bool flatten)
{
	rig_open(config);
	if (flatten)
		rig_flatten();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
}

static void count_is(const char *sql, int64_t want)
{
	int64_t got = fixture_sql(&rig.f, sql);

	if (got != want)
		test_fail(__FILE__, __LINE__, "%s: %lld, not %lld", sql, (long long)got, (long long)want);
}

static void done(int64_t n)
{
	rig_reply_with(200, NOVA_HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'done'", n);
}

/* The bytes of the pictures that are out, in their order; 0 stands for a page as it was accepted. */
static void images_are(const char *want)
{
	int64_t accepted = fixture_sql(&rig.f, "SELECT bytes FROM pages WHERE seq = 1");
	char text[200] = "";

	CHECK(rig.out && !rig.out->frame);
	for (size_t i = 0; i < rig.out->req->n_segments; i++) {
		const struct segment *s = &rig.out->req->segments[i];
		int64_t more = (int64_t)s->len - accepted;
		size_t at = strlen(text);

		if (s->kind != SEGMENT_LITERAL)
			str_format(text + at, sizeof(text) - at, "%s%lld", at ? " " : "", more > -100 && more < 100 ? 0LL : (long long)s->len);
	}
	CHECK_STR(text, want);
}

static void rendered(uint32_t width, size_t bytes)
{
	rig_rendered(width, width * 2, bytes);
	rig_turn();
}

static void fails(const char *why)
{
	rig_rendered_with("", 0, -EPIPE, why);
	rig_turn();
}

/* What each page of the last attempt went as: ledger and both receipts say the same. */
#define AS_TOLD                                                                                                                   \
	"SELECT count(*) FROM attempt_pages t JOIN receipts r ON r.attempt = t.attempt JOIN pages p ON p.seq = t.page"               \
	" WHERE t.attempt = (SELECT max(id) FROM attempts) AND json_extract(r.body, '$.pages[' || (t.place - 1) || '].page') = p.page" \
	" AND json_extract(r.body, '$.pages[' || (t.place - 1) || '].content') = p.sha256"                                          \
	" AND json_extract(r.body, '$.pages[' || (t.place - 1) || '].rendering') IS json_extract(t.rendering, '$.sha256')"

TEST(what_the_type_wants_it_wants_of_each)
{
	_cleanup_json_ cJSON *shown = cJSON_CreateArray();

	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000, 1000);
	for (size_t i = 0; i < 3; i++) {
		CHECK_INT(rig.sent, 0);
		count_is("SELECT count(*) FROM attempts", 0);
		CHECK_INT(courier_in_flight(rig.s.courier), 1);
		CHECK_INT(rig_asked("flatten"), 1);
		CHECK_INT(rig_asked("max_side"), 2000);
		rendered(1000, 500 + i);
	}
	images_are("500 501 502");
	count_is("SELECT count(*) FROM attempt_pages WHERE json_extract(rendering, '$.bytes') = 499 + place", 3);
	count_is("SELECT json_extract(rendering, '$.bytes') FROM attempts", 500);
	count_is("SELECT count(*) FROM receipts WHERE json_extract(body, '$.rendering') = json_extract(body, '$.pages[0].rendering')", 1);
	done(3);
	count_is(AS_TOLD " AND t.rendering NOT NULL", 6);
	CHECK_INT(ledger_attempts_json(rig.s.spool, 2, shown), 0);
	CHECK_INT((int64_t)json_get_object(cJSON_GetArrayItem(shown, 0), "rendering")->child->next->next->valuedouble, 501);
	CHECK_INT(rig.renders, 3);
	CHECK_INT(rig.sent, 1);
	rig_end();
}

TEST(a_crash_leaves_the_hashes_in_its_receipt)
{
	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000);
	rendered(1000, 500);
	rendered(1000, 501);
	CHECK_INT(rig.sent, 1);
	http_cancel(take_ptr(rig.s.courier->attempts->transfer));
	attempt_free(take_ptr(rig.s.courier->attempts));
	fixture_reopen(&rig.f);
	fixture_reconcile(&rig.f);
	rig.s.spool = rig.f.spool;
	count_is("SELECT count(*) FROM receipts WHERE kind = 'crashed'", 1);
	count_is(AS_TOLD " AND t.rendering NOT NULL", 4);
	rig_end();
}

/* One page that is too large by itself is no reason to ask for the others without it. */
TEST(a_large_one_among_them_is_made_smaller_alone)
{
	begin(RIG_SYDNEY, false);
	DOCUMENT("d", 1000, 4500, 1000);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig_asked("max_side"), 9000);
	rendered(4500, 900);
	CHECK_INT(rig_asked("max_side"), 6300);
	rendered(3150, 700);
	CHECK_INT(rig.sent, 1);
	images_are("0 700 0");
	done(3);
	count_is("SELECT count(*) FROM attempt_pages WHERE rendering NOT NULL AND place = 2", 1);
	count_is("SELECT count(*) FROM attempts WHERE rendering NOT NULL", 0);
	count_is(AS_TOLD, 6);
	CHECK_INT(rig.renders, 2);
	rig_end();
}

TEST(one_that_cannot_be_made_smaller_does_not_stop_the_others)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n", false);
	DOCUMENT("d", 1000, 4500, 1000);
	fails("no helper");
	/* Those before it go; it begins a group of its own, and there it is by itself in the end. */
	images_are("0");
	count_is("SELECT leader FROM pages WHERE seq = 3", 2);
	done(1);
	fails("no helper");
	count_is("SELECT count(*) FROM pages WHERE leader NOT NULL", 0);
	fails("no helper");
	count_is("SELECT tries FROM pages WHERE seq = 2", 1);
	count_is("SELECT count(*) FROM attempts WHERE page = 2 AND reason = 'rendering' AND charged", 1);
	images_are("0");
	done(2);
	count_is("SELECT count(*) FROM pages WHERE seq = 2 AND state = 'queued'", 1);
	rig_end();
}

TEST(light_that_cannot_be_evened_out_stops_nothing)
{
	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000, 1000);
	rendered(1000, 500);
	fails("as the test says");
	rendered(1000, 502);
	images_are("500 0 502");
	done(3);
	count_is("SELECT json_extract(rendering, '$.failed') = 'as the test says' FROM attempt_pages WHERE place = 2", 1);
	count_is(AS_TOLD, 6);
	rig_end();
}

/* The whole is halved; one page is made smaller. */
TEST(refused_they_are_halved_and_then_made_smaller)
{
	begin(RIG_SYDNEY, false);
	DOCUMENT("d", 1024, 1024);
	images_are("0 0");
	rig_reply_with(413, TOO_LARGE413);
	rig_turn();
	CHECK_INT(rig.renders, 0);
	images_are("0");
	rig_reply_with(413, TOO_LARGE413);
	rig_turn();
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1024, 600);
	images_are("600");
	done(1);
	/* What it has learned holds for the other. */
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1024, 601);
	done(2);
	count_is("SELECT count(*) FROM attempts WHERE reason = 'too-large' AND charged = 0", 2);
	count_is("SELECT count(*) FROM attempts", 4);
	rig_end();
}

/* What a backend has refused of one picture says nothing of how many of them it takes. */
TEST(a_pictures_limit_is_not_that_of_all)
{
	begin(RIG_SYDNEY, false);
	DOCUMENT("a", 1000);
	rig_reply_with(400, TOO_LARGE400);
	rig_turn();
	count_is("SELECT count(*) FROM attempts WHERE reason = 'too-large'", 1);
	rendered(700, 600);
	done(1);
	DOCUMENT("b", 700, 700, 700);
	images_are("0 0 0");
	rig_reply_with(400, TOO_LARGE400);
	rig_turn();
	images_are("0");
	done(2);
	images_are("0 0");
	done(4);
	/* That was too much for one request: it is not sent again. */
	DOCUMENT("c", 700, 700, 700);
	images_are("0 0");
	done(6);
	done(7);
	count_is("SELECT count(*) FROM attempts WHERE reason = 'too-large'", 2);
	rig_end();
}

/* Down for good: the pages go to OCR. */
TEST(ocr_gets_each_as_it_is_wanted)
{
	begin(RIG_SYDNEY "FallbackAfter=0\n[Backend ocr]\nKind=ocr\nMaxPixels=2500000\n", true);
	DOCUMENT("d", 1000, 1500);
	rendered(1000, 500);
	rendered(1500, 501);
	rig_reply_with(403, DENIED);
	rig_turn();
	/* The second is too large for it: with its light evened out first, then less good, then smaller. */
	rendered(1000, 510);
	CHECK_INT(rig_asked("max_side"), 3000);
	rendered(1500, 511);
	CHECK_INT(rig_asked("max_side"), 3000);
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1500, 512);
	CHECK_INT(rig_asked("max_side"), 2100);
	CHECK_INT(rig_asked("flatten"), 1);
	rendered(1050, 513);
	images_are("510");
	count_is("SELECT count(*) FROM attempt_pages WHERE attempt = 2 AND json_extract(rendering, '$.bytes') IN (510, 513)", 2);
	rig_reply_words("[]");
	images_are("513");
	rig_reply_words(HELLO);
	rig_turn();
	count_is("SELECT count(*) FROM pages WHERE state = 'provisional'", 2);
	count_is(AS_TOLD " AND t.rendering NOT NULL", 4);
	rig_end();
}

/* Meanwhile a page was lost, or a person had it held: what was begun is not what is wanted any more. */
TEST(what_happened_meanwhile_goes_first)
{
	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000, 1000);
	rendered(1000, 500);
	{
		struct page_row p = rig_row(3);

		CHECK_INT(group_take_out(rig.s.spool, &p, "lost"), 0);
		CHECK_INT(spool_page_retry(rig.s.spool, 1, NULL), 0);
	}
	rendered(1000, 501);
	rendered(1000, 502);
	CHECK_INT(rig.sent, 0);
	count_is("SELECT count(*) FROM attempts", 0);
	rendered(1000, 500);
	rendered(1000, 501);
	images_are("500 501");
	done(2);
	rig_end();
}

TEST(dropped_meanwhile_it_is_no_trouble)
{
	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000);
	CHECK_INT(keep_drop(rig.s.spool, 1, "a test"), 0);
	rig_page();
	rendered(1000, 500);
	rendered(1000, 501);
	rendered(1000, 502);
	images_are("502");
	rig_end();
}

TEST(stopped_in_the_middle_nothing_is_written)
{
	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000);
	rendered(1000, 500);
	courier_stop(rig.s.courier);
	rendered(1000, 501);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig.renders, 2);
	rig_stop();
	count_is("SELECT count(*) FROM attempts", 0);
	rig_end();
}

/* ---- room ------------------------------------------------------------------------------------------------------------------------ */

#define SIDE_BY_SIDE "[Credentials aws]\nSource=file\nFile=%s/keys\n[Backend sydney]\nKind=bedrock\nConcurrency=8\n"

static size_t out(void)
{
	size_t n = 0;

	for (struct http_transfer *t = rig.out; t; t = t->next)
		n += !t->frame;
	return n;
}

/* Two groups have room for theirs; the third begins when one of them has ended. */
TEST(few_groups_at_once)
{
	begin(SIDE_BY_SIDE, true);
	rig_backend("sydney")->health.more = 7;
	DOCUMENT("a", 1000, 1000);
	DOCUMENT("b", 1000, 1000);
	DOCUMENT("c", 1000, 1000);
	CHECK_INT(rig.renders, 2);
	for (int i = 0; i < 4; i++) {
		while (rig.out && !rig.out->frame) {
			struct http_transfer *t = rig.out; /* the others first */

			rig.out = t->next;
			t->next = NULL;
			for (struct http_transfer **p = &rig.out; ; p = &(*p)->next)
				if (!*p) {
					*p = t;
					break;
				}
		}
		rendered(1000, 500);
	}
	CHECK_INT((int64_t)out(), 2);
	CHECK_INT(rig.renders, 4);
	CHECK_INT(courier_in_flight(rig.s.courier), 3);
	done(2);
	CHECK_INT(rig.renders, 5);
	rig_end();
}

/* Together they have room for four of the largest. */
TEST(all_of_a_group_have_their_bound)
{
	begin(RIG_SYDNEY, true);
	DOCUMENT("d", 1000, 1000, 1000, 1000, 1000);
	for (int i = 0; i < 3; i++)
		rendered(1000, RENDERING_MAX);
	rendered(1000, RENDERING_MAX - 1000);
	rendered(1000, 1001);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1000, 1000);
	/* So many bytes are more than the model takes: those that it takes go, the others after them. */
	images_are("8388608 8388608");
	rig_end();
}
