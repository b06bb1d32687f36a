/* What goes in a page's place: how small, how often, what is remembered, and that no failure of it stops a page. */
#include "tests/unit/daemon_courier_fixture.h"

#include <sys/stat.h>

#define TOO_LARGE413 "{\"message\":\"too large\"}"

static void begin(const char *config, uint32_t width)
{
	fixture_width = width;
	courier_start(rig_begin(config));
}

static void end(void)
{
	fixture_width = 0;
	rig_end();
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

/* A page of that width, due to be sent to Sydney. */
static int64_t begin_with_page(uint32_t width)
{
	int64_t seq;

	begin(RIG_SYDNEY, width);
	seq = rig_page();
	kick();
	return seq;
}

static void refused(void)
{
	rig_reply_with(413, TOO_LARGE413);
	rig_turn();
}

static void rendered(uint32_t width, uint32_t height, size_t bytes)
{
	rig_rendered(width, height, bytes);
	rig_turn();
}

static bool image_is(const struct request *q, uint64_t bytes)
{
	for (size_t i = 0; i < q->n_segments; i++)
		if (q->segments[i].kind == SEGMENT_FILE_BASE64)
			return q->segments[i].len == bytes;
	return false;
}

/* ---- how small ---------------------------------------------------------------------------------------------------- */

static void steps_are(uint32_t width, uint32_t height, const char *want)
{
	struct job_image page = {.width = width, .height = height};
	struct render_how how;
	char text[200] = "";

	for (unsigned int i = 0; render_step(&page, 85, i, &how); i++) {
		size_t at = strlen(text);

		CHECK(i < 20);
		CHECK(str_format(text + at, sizeof(text) - at, "%s%u/%d", i ? " " : "", how.max_side, how.quality) > 0);
	}
	CHECK_STR(text, want);
}

TEST(steps_go_down_to_what_can_be_read)
{
	steps_are(1448, 2048, "2048/85 2048/70 1428/70 1024/60");
	steps_are(2048, 1448, "2048/85 2048/70 1428/70 1024/60");
	steps_are(5793, 8192, "8192/85 8192/70 5733/70 4011/70 2807/70 1960/70 1372/70 1024/60");
	steps_are(700, 1000, "1000/85 1000/60");
	steps_are(100, 200, "200/85 200/60");
	steps_are(1, 1, "16/85 16/60");
	steps_are(307, 2048, "2048/85 2048/70 1428/60"); /* a till roll: its width would go first */
	steps_are(900, 4000, "4000/85 4000/70 2800/60");
	steps_are(0, 0, "16/85 16/60");
}

TEST(quality_is_never_raised)
{
	struct job_image page = {.width = 2048, .height = 2048};
	struct render_how how;

	CHECK(render_step(&page, 50, 0, &how));
	CHECK_INT(how.quality, 50);
	CHECK(render_step(&page, 50, 2, &how));
	CHECK_INT(how.quality, 50);
}

/* ---- known before it is sent -------------------------------------------------------------------------------------- */

/* 9000 pixels are more than Bedrock takes: less quality does not help, three tenths less do. */
TEST(page_over_the_limit_is_made_smaller_and_goes)
{
	char sum[SHA256_HEX_SIZE], content[160];
	int64_t seq = begin_with_page(4500);

	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig.events[EVENT_ATTEMPT_STARTED], 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	CHECK_INT(rig_asked("max_side"), 9000);
	CHECK_INT(rig_asked("quality"), 70);
	CHECK_INT(rig_asked("flatten"), 0);
	CHECK_INT((int64_t)rig.out->req->segments[1].len, rig_row(seq).bytes);
	rendered(4500, 9000, 2000);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig_asked("max_side"), 6300);
	rendered(3150, 6300, 1000);
	CHECK_INT(rig.sent, 1);
	CHECK(image_is(rig.out->req, 1000));
	/* What left is written down before it does. */
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE json_extract(rendering, '$.width') = 3150 AND"
				      " json_extract(rendering, '$.step') = 2 AND json_extract(rendering, '$.bytes') = 1000 AND"
				      " json_extract(rendering, '$.sense.flatten.gain') = 2 AND closed_ms IS NULL"), 1);
	str_copy(sum, sizeof(sum), rig_row(seq).sha256);
	str_format(content, sizeof(content), "SELECT count(*) FROM receipts WHERE json_extract(body, '$.content') = '%s'", sum);
	CHECK_INT(fixture_sql(&rig.f, content), 1);
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts r JOIN attempts a ON a.id = r.attempt WHERE"
				      " json_extract(r.body, '$.rendering') = json_extract(a.rendering, '$.sha256')"), 2);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 1);
	CHECK_STR(rig_row(seq).sha256, sum);
	end();
}

TEST(a_page_that_fits_goes_as_it_is)
{
	begin_with_page(1000);
	CHECK_INT(rig.renders, 0);
	CHECK_INT(rig.sent, 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE rendering IS NULL"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts WHERE json_extract(body, '$.rendering') IS NULL"), 1);
	rig_reply_with(200, NOVA_HELLO);
	end();
}

/* ---- said by the backend ------------------------------------------------------------------------------------------ */

/* Every attempt that was too large is paid for perhaps: the next one is smaller, at once, and counts as no try. */
TEST(refused_as_too_large_it_goes_again_smaller)
{
	int64_t seq = begin_with_page(1024);

	CHECK(image_is(rig.out->req, (uint64_t)rig_row(seq).bytes));
	refused();
	CHECK_INT(rig_row(seq).rung, 0);
	CHECK_INT(rig_row(seq).tries, 0);
	CHECK_INT(rig_asked("max_side"), 2048);
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1024, 2048, 1500);
	CHECK_INT(rig.sent, 2);
	refused();
	CHECK_INT(rig_asked("max_side"), 1428);
	rendered(714, 1428, 700);
	CHECK_INT(rig.sent, 3);
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE outcome = 'retry' AND reason = 'too-large' AND charged = 0"), 2);
	end();
}

/* There is an end to it: the smallest was refused too. */
TEST(no_more_is_paid_than_there_are_steps)
{
	int64_t seq = begin_with_page(100);

	refused();
	rendered(100, 200, 1500);
	CHECK_INT(rig.sent, 2);
	refused();
	CHECK_INT(rig_row(seq).rung, 1);
	CHECK_INT(rig.sent, 3);
	CHECK(rig.out->helper && !rig.out->frame); /* OCR */
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE outcome = 'next' AND reason = 'too-large'"), 1);
	end();
}

/* After a restart too. */
TEST(what_was_refused_is_not_sent_again)
{
	int64_t seq = begin_with_page(1024);

	rig_reply_with(413, TOO_LARGE413);
	rig_stop();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.sent, 1);
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1024, 2048, 1500);
	CHECK_INT(rig.sent, 2);
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	end();
}

/* The next page is made smaller before anything is paid for it; one that is small enough goes as it is. */
TEST(the_limit_is_kept_for_the_backend)
{
	begin_with_page(1024);
	refused();
	rendered(1024, 2048, 1500);
	rig_reply_with(200, NOVA_HELLO);
	rig_page();
	kick();
	CHECK_INT(rig.sent, 2);
	CHECK_INT(rig_asked("quality"), 70);
	rendered(1024, 2048, 1400);
	CHECK_INT(rig.sent, 3);
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE reason = 'too-large'"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 2);
	end();
}

/* That a model's context is too small is about the picture's size: less quality would be refused again. */
TEST(a_small_context_needs_fewer_pixels)
{
	static const char body[] = "{\"error\":{\"code\":400,\"type\":\"exceed_context_size_error\",\"message\":\"too many tokens\"}}";
	static const char *const route[] = {"jetson"};

	rig_open(RIG_JETSON);
	fixture_width = 1024;
	CHECK_INT(spool_job_freeze(rig.f.spool, "auto", route, 1, rig.f.types, &rig.f.job), 0);
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig_page();
	kick();
	rig_reply_with(400, body);
	rig_turn();
	CHECK_INT(rig_asked("max_side"), 1428);
	rendered(714, 1428, 900);
	rig_reply_with(200, CHAT_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
	end();
}

/* ---- the document type wants it ----------------------------------------------------------------------------------- */

static void begin_flat(void)
{
	rig_open(RIG_SYDNEY);
	rig_flatten();
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	fixture_width = 1000;
}

TEST(a_type_wants_its_pages_flattened)
{
	int64_t seq;

	begin_flat();
	seq = rig_page();
	kick();
	CHECK_INT(rig_asked("flatten"), 1);
	CHECK_INT(rig_asked("contrast"), 0);
	CHECK_INT(rig_asked("max_side"), 2000);
	CHECK_INT(rig_asked("quality"), 85);
	rendered(1000, 2000, 1200);
	CHECK_INT(rig.sent, 1);
	CHECK(image_is(rig.out->req, 1200));
	rig_reply_with(400, "{\"__type\":\"ValidationException\",\"message\":\"image cannot be read\"}");
	rig_turn();
	CHECK_INT(rig_row(seq).rung, 1);
	/* OCR gets the same. */
	CHECK_INT(rig_asked("flatten"), 1);
	rendered(1000, 2000, 1200);
	CHECK(rig.out->helper && rig.out->req->segments[1].len == 1200);
	rig_reply_words(WORDS_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	end();
}

/* A page is worth more than its looks. */
TEST(without_a_rendering_it_goes_as_it_was_accepted)
{
	static const char reject[] = "{\"type\":\"reject\",\"reason\":\"damaged\",\"message\":\"no\\u0007\"}\n{\"type\":\"end\",\"ok\":true}\n";
	int64_t seq;

	begin_flat();
	seq = rig_page();
	kick();
	rig_rendered_with(reject, strlen(reject), 0, NULL);
	rig_turn();
	CHECK_INT(rig.sent, 1);
	CHECK(image_is(rig.out->req, (uint64_t)rig_row(seq).bytes));
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE json_extract(rendering, '$.failed') LIKE 'damaged: no_'"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts WHERE json_extract(body, '$.rendering') IS NULL"), 1);
	rig_reply_with(200, NOVA_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	end();
}

/* ---- what may go wrong on the way --------------------------------------------------------------------------------- */

/* It counts as a try, so that it ends; and the page's file was looked at before its rendering was blamed. */
TEST(a_rendering_that_fails_counts_as_a_try)
{
	int64_t seq = begin_with_page(4500);

	rig_rendered_with("", 0, -ETIMEDOUT, "capture took too long and was ended");
	rig_turn();
	CHECK_INT(rig_row(seq).tries, 1);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE outcome = 'retry' AND reason = 'rendering' AND charged = 1"
				      " AND message LIKE '%took too long%'"), 1);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_OK);
	rig_wait(60000);
	CHECK_INT(rig_asked("max_side"), 9000);
	end();
}

TEST(no_helper_no_rendering)
{
	int64_t seq;

	begin(RIG_SYDNEY, 4500);
	seq = rig_page();
	rig.send_error = -ENOENT;
	kick();
	CHECK_INT(rig_row(seq).tries, 1);
	rig.send_error = 0;
	rig_wait(60000);
	CHECK_INT(rig.renders, 1);
	end();
}

TEST(a_damaged_page_is_held_not_its_rendering_blamed)
{
	char path[256];
	int64_t seq;
	struct page_row p;

	seq = begin_with_page(4500);
	p = rig_row(seq);
	fixture_path(path, "pages", p.id, ".jpg");
	CHECK_INT(truncate(path, 100), 0);
	rig_rendered_with("", 0, -EPIPE, "gone");
	rig_turn();
	CHECK(rig_row(seq).state == STATE_HELD);
	CHECK_STR(rig_row(seq).reason, "damaged: its file is not what was accepted");
	end();
}

/* What is not whole is not sent; nor what is more than there is room for. */
TEST(what_the_helper_says_is_not_believed)
{
#define PAGE "{\"type\":\"page\",\"index\":1,\"width\":10,\"height\":20}\n"
#define END  "{\"type\":\"end\",\"ok\":true}\n"
	static const char *const said[] = {
		END,
		PAGE END,
		PAGE "{\"type\":\"page-end\",\"sha256\":\"\"}\n" END,
		PAGE "{\"type\":\"data\",\"bytes\":3}\nabc{\"type\":\"page-end\",\"sha256\":\"00\"}\n" END,
		PAGE "{\"type\":\"data\",\"bytes\":3}\nabc{\"type\":\"page-end\"}\n" END,
		PAGE PAGE END,
		"{\"type\":\"data\",\"bytes\":3}\nabc" END,
		"{\"type\":\"page\",\"index\":1,\"width\":0,\"height\":20}\n" END,
		"{\"type\":\"page\",\"index\":1,\"width\":10,\"height\":70000}\n" END,
		"{\"type\":\"words\",\"bytes\":3}\nabc" END,
		"{\"type\":\"rests\"}\n" END,
	};

	begin_flat();
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		rig_page();
		kick();
		rig_rendered_with(said[i], strlen(said[i]), 0, NULL);
		rig_turn();
		CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE json_extract(rendering, '$.failed') != ''"), (int64_t)i + 1);
		CHECK_INT(rig.sent, (int)i + 1);
		rig_reply_with(200, NOVA_HELLO);
	}
	end();
#undef PAGE
#undef END
}

TEST(a_rendering_over_its_bound_is_made_smaller)
{
	begin_flat();
	rig_page();
	kick();
	rendered(1000, 2000, RENDERING_MAX + 1);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig_asked("quality"), 70);
	CHECK_INT(rig_asked("flatten"), 1);
	rendered(1000, 2000, 1000);
	CHECK_INT(rig.sent, 1);
	end();
}

/* A person held it, or the backend went, meanwhile. */
TEST(what_happened_meanwhile_goes_first)
{
	int64_t seq = begin_with_page(4500);

	CHECK_INT(spool_page_hold(rig.f.spool, seq, "by hand"), 0);
	rendered(4500, 9000, 100);
	CHECK_INT(rig.renders, 1);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	end();

	begin_with_page(4500);
	backend_trouble(rig_backend("sydney"), "local", "gone");
	rendered(4500, 9000, 100);
	CHECK_INT(rig.renders, 1);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	end();
}

/* Two at once; the others wait for their turn, and none is forgotten. */
TEST(few_at_once)
{
	begin("[Credentials aws]\nSource=file\nFile=%s/keys\n[Backend sydney]\nKind=bedrock\nConcurrency=8\n", 4500);
	rig_backend("sydney")->health.more = 7;
	for (int i = 0; i < 6; i++)
		rig_page();
	kick();
	CHECK_INT(rig.renders, 2);
	CHECK_INT(courier_in_flight(rig.s.courier), 6);
	for (int i = 0; i < 12; i++) {
		bool small = rig_asked("max_side") < 9000;

		rig_rendered(small ? 3150 : 4500, small ? 6300 : 9000, 100);
		while (rig.out && !rig.out->frame)
			rig_reply_with(200, NOVA_HELLO);
		rig_turn();
	}
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 6);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	end();
}

/* Nothing was begun, so nothing is written. */
TEST(a_service_that_stops_leaves_nothing_of_it)
{
	begin_with_page(4500);
	rig_stop();
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	end();

	begin_with_page(4500);
	courier_stop(rig.s.courier);
	rig_rendered(4500, 9000, 100);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(rig.renders, 1);
	end();
}

TEST(a_crashed_attempts_receipt_says_what_left)
{
	begin_flat();
	rig_page();
	kick();
	rendered(1000, 2000, 500);
	CHECK_INT(rig.sent, 1);
	http_cancel(take_ptr(rig.s.courier->attempts->transfer));
	attempt_free(take_ptr(rig.s.courier->attempts));
	fixture_reopen(&rig.f);
	fixture_reconcile(&rig.f);
	rig.s.spool = rig.f.spool;
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(DISTINCT json_extract(body, '$.rendering')) FROM receipts"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts WHERE json_extract(body, '$.rendering') != ''"), 2);
	end();
}

