/* From frames of the capture helper to accepted pages; the service around it is stood in for here. */
#include "daemon/intake_internal.h"
#include "daemon/spool_internal.h"
#include "daemon/scanner.h"
#include "tests/unit/daemon_fixture.h"

static struct {
	int accepted, rejected, storage, scanner_well, idle;
	int held;
	char scanner[48];
	char reason[48];
	char doubt[48]; /* of the page accepted last */
	bool look_again;
} seen;

void service_event(struct service *s, const struct event *e)
{
	seen.accepted += e->kind == EVENT_PAGE_ACCEPTED;
	seen.rejected += e->kind == EVENT_PAGE_REJECTED;
	seen.held += e->kind == EVENT_PAGE_HELD;
	if (e->kind == EVENT_PAGE_ACCEPTED) {
		str_copy(seen.doubt, sizeof(seen.doubt), e->reason ? e->reason : "");
		seen.look_again = e->look_again;
		CHECK(!e->reason == !e->message);
	}
	if (e->kind == EVENT_PAGE_REJECTED)
		str_copy(seen.reason, sizeof(seen.reason), e->reason);
}

void service_storage(struct service *s, int error)
{
	seen.storage = error;
}

void scanner_note(struct scanner *c, const char *reason, const char *message)
{
	seen.scanner_well += reason == NULL;
	str_copy(seen.scanner, sizeof(seen.scanner), reason ? reason : "");
}

int intake_idle(struct intake_run *r)
{
	seen.idle++;
	return 0;
}

int intake_rests(struct intake_run *r)
{
	seen.idle += 100;
	return 0;
}

struct world {
	struct fixture f;
	struct service service;
	struct intake_run run;
	struct buf jpeg;
	char sha256[SHA256_HEX_SIZE];
};

static void begin(struct world *w)
{
	memset(&seen, 0, sizeof(seen));
	*w = (struct world){0};
	fixture_begin(&w->f);
	w->service.spool = w->f.spool;
	w->run = (struct intake_run){.service = &w->service, .fd = -1, .job = w->f.job, .owner = 1000};
	fixture_jpeg(&w->jpeg, 500);
	sha256_hex_of(w->jpeg.data, w->jpeg.len, w->sha256);
}

static void end(struct world *w)
{
	intake_page_drop(&w->run);
	buf_free(&w->jpeg);
	fixture_end(&w->f);
}

/* A frame as the reader hands it on: its payload, if any, and its end. */
static int frame(struct world *w, const char *text, const void *data, size_t len)
{
	_cleanup_json_ cJSON *head = NULL;
	struct frame_piece piece = {.bytes = len, .data = data, .len = len};
	int r = 0;

	CHECK_INT(json_parse(text, strlen(text), &head, NULL), 0);
	piece.head = head;
	piece.type = json_get_string(head, "type");
	if (len)
		r = intake_frame(&w->run, FRAME_DATA, &piece);
	return r < 0 ? r : intake_frame(&w->run, FRAME_DONE, &piece);
}

static int page(struct world *w, const char *capture)
{
	char text[400];

	CHECK(str_format(text, sizeof(text),
		      "{\"type\":\"page\",\"index\":1,\"name\":\"a\",\"width\":100,\"height\":200%s%s}",
		      capture ? ",\"capture\":" : "", capture ? capture : "") > 0);
	return frame(w, text, NULL, 0);
}

static int page_end(struct world *w, size_t bytes, const char *more)
{
	char text[400];

	CHECK(str_format(text, sizeof(text), "{\"type\":\"page-end\",\"bytes_total\":%zu,\"sha256\":\"%s\"%s}", bytes, w->sha256,
		      more) > 0);
	return frame(w, text, NULL, 0);
}

static bool capture_is(struct world *w, const char *want)
{
	return fixture_sql(&w->f, "SELECT count(*) FROM pages") == 1 &&
	       db_get_i64(spool_db(w->f.spool), &(int64_t){0}, "SELECT 1 FROM pages WHERE capture IS ?", "s", want) == 1;
}

TEST(page_is_accepted_with_the_times_of_all_stages)
{
	struct world w;

	begin(&w);
	CHECK_INT(page(&w, "{\"format\":\"jpeg\",\"ms\":{\"grab\":1}}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	CHECK_INT(page_end(&w, w.jpeg.len, ",\"ms\":{\"grab\":1,\"decode\":7}"), 0);
	CHECK_INT(seen.accepted, 1);
	CHECK_INT(seen.storage, 0);
	CHECK(capture_is(&w, "{\"format\":\"jpeg\",\"ms\":{\"grab\":1,\"decode\":7}}"));
	end(&w);
}

static void take(struct world *w, const char *capture, const char *more)
{
	CHECK_INT(page(w, capture), 0);
	CHECK_INT(frame(w, "{\"type\":\"data\"}", w->jpeg.data, w->jpeg.len), 0);
	CHECK_INT(page_end(w, w->jpeg.len, more), 0);
}

TEST(what_was_found_joins_what_was_done)
{
	struct world w;

	begin(&w);
	take(&w, "{\"sense\":{\"square\":{\"done\":\"nothing\"}}}", ",\"sense\":{\"gate\":{\"verdict\":\"good\"}}");
	CHECK(capture_is(&w, "{\"sense\":{\"square\":{\"done\":\"nothing\"},\"gate\":{\"verdict\":\"good\"}}}"));
	CHECK_STR(seen.doubt, "");
	CHECK_INT(db_exec(spool_db(w.f.spool), "DELETE FROM pages", ""), 0);
	take(&w, "{\"sense\":7}", ",\"sense\":{\"gate\":{\"verdict\":\"good\"}}");
	CHECK(capture_is(&w, "{\"sense\":{\"gate\":{\"verdict\":\"good\"}}}"));
	end(&w);
}

/* Whatever it looks like, the page is accepted, and queued. */
TEST(the_verdict_comes_with_the_page)
{
	static const struct {
		const char *sense, *doubt;
		bool look_again;
	} said[] = {
		{"{\"gate\":{\"verdict\":\"nothing\"},\"blank\":{\"blank\":true}}", "nothing", true},
		{"{\"gate\":{\"verdict\":\"blurred\"}}", "blurred", true},
		{"{\"gate\":{\"verdict\":\"glare\"}}", "glare", true},
		{"{\"gate\":{\"verdict\":\"cut-off\"}}", "cut-off", true},
		{"{\"gate\":{\"verdict\":\"good\"},\"blank\":{\"blank\":true}}", "blank", false},
		{"{\"gate\":{\"verdict\":\"good\"},\"blank\":{\"blank\":false}}", "", false},
		{"{\"gate\":{\"verdict\":\"unjudged\"}}", "", false},
		{"{\"gate\":{\"verdict\":\"lovely\"}}", "", false},
		{"{\"gate\":7,\"blank\":[]}", "", false},
	};

	struct world w;

	begin(&w);
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		char more[200];

		str_format(more, sizeof(more), ",\"sense\":%s", said[i].sense);
		take(&w, "{}", more);
		CHECK_INT(seen.accepted, i + 1);
		CHECK_INT(seen.held, 0);
		CHECK_STR(seen.doubt, said[i].doubt);
		CHECK_INT(seen.look_again, said[i].look_again);
		CHECK_INT(fixture_sql(&w.f, "SELECT count(*) FROM pages WHERE state = 'queued'"), i + 1);
	}
	end(&w);
}

/* In the commit that accepts it: it is never due. */
TEST(a_blank_page_is_held_where_that_is_wanted)
{
	struct spool_counts n;
	struct world w;

	begin(&w);
	w.service.config.blank_pages = BLANK_HOLD;
	take(&w, "{}", ",\"sense\":{\"blank\":{\"blank\":true}}");
	CHECK_INT(seen.accepted, 1);
	CHECK_INT(seen.held, 1);
	CHECK_INT(fixture_sql(&w.f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'blank page%'"), 1);
	CHECK_INT(spool_counts(w.f.spool, &n), 0);
	CHECK(n.held == 1 && n.queued == 0);
	take(&w, "{}", ",\"sense\":{\"blank\":{\"blank\":false}}");
	CHECK_INT(spool_counts(w.f.spool, &n), 0);
	CHECK(n.held == 1 && n.queued == 1);
	CHECK_INT(seen.held, 1);
	end(&w);
}

static int beside(struct world *w, const char *what, const char *data)
{
	char text[100];

	str_format(text, sizeof(text), "{\"type\":\"beside\",\"what\":\"%s\"}", what);
	return frame(w, text, data, strlen(data));
}

static int beside_end(struct world *w, const char *what, const char *data)
{
	char text[200], hex[SHA256_HEX_SIZE];

	sha256_hex_of(data, strlen(data), hex);
	str_format(text, sizeof(text), "{\"type\":\"beside-end\",\"what\":\"%s\",\"sha256\":\"%s\"}", what, hex);
	return frame(w, text, NULL, 0);
}

TEST(what_comes_after_a_page_lies_beside_it)
{
	struct world w;

	begin(&w);
	fixture_reconcile(&w.f);
	/* Before any page it belongs nowhere. */
	CHECK_INT(beside(&w, "thumbnail", "early"), 0);
	CHECK_INT(beside_end(&w, "thumbnail", "early"), 0);
	take(&w, "{}", "");
	CHECK_INT(beside(&w, "thumbnail", "small"), 0);
	CHECK_INT(beside_end(&w, "thumbnail", "small"), 0);
	CHECK_INT(beside(&w, "original", "la"), 0);
	CHECK_INT(beside(&w, "original", "rge"), 0);
	CHECK_INT(beside_end(&w, "original", "large"), 0);
	CHECK_INT(fixture_files("beside"), 2);
	CHECK_INT(fixture_files("tmp"), 0);
	/* Of the second page: one that is cut off by the next page, one of another content, one that was never ended. */
	take(&w, "{}", "");
	CHECK_INT(beside(&w, "original", "cut"), 0);
	take(&w, "{}", "");
	CHECK_INT(beside(&w, "thumbnail", "one"), 0);
	CHECK_INT(beside_end(&w, "thumbnail", "other"), 0);
	CHECK_INT(beside(&w, "original", "open"), 0);
	intake_page_drop(&w.run);
	CHECK_INT(fixture_files("beside"), 2);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(seen.accepted, 3);
	end(&w);
}

/* Without room for what is beside it, a page is accepted all the same, and so is the next. */
TEST(what_cannot_be_kept_beside_a_page_costs_no_page)
{
	struct world w;

	begin(&w);
	fixture_reconcile(&w.f);
	take(&w, "{}", "");
	w.f.spool->cap_bytes = 1;
	CHECK_INT(beside(&w, "original", "la"), 0);
	w.f.spool->cap_bytes = 0;
	CHECK_INT(beside(&w, "original", "rge"), 0); /* too late for this one */
	CHECK_INT(beside_end(&w, "original", "large"), 0);
	CHECK_INT(fixture_files("beside") + fixture_files("tmp"), 0);
	take(&w, "{}", "");
	CHECK_INT(beside(&w, "original", "large"), 0);
	CHECK_INT(beside_end(&w, "original", "large"), 0);
	CHECK_INT(fixture_files("beside"), 1);
	CHECK_INT(seen.accepted, 2);
	CHECK_INT(beside(&w, "secret", "x"), -EBADMSG);
	end(&w);
}

TEST(page_without_a_word_about_itself_is_accepted)
{
	struct world w;

	begin(&w);
	CHECK_INT(page(&w, NULL), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	CHECK_INT(page_end(&w, w.jpeg.len, ",\"ms\":{\"grab\":1}"), 0);
	CHECK(capture_is(&w, NULL));
	end(&w);
}

TEST(page_of_another_length_or_content_is_not_accepted)
{
	struct world w;

	begin(&w);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	CHECK_INT(page_end(&w, w.jpeg.len + 1, ""), -EBADMSG);
	intake_page_drop(&w.run);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	w.sha256[0] = w.sha256[0] == '0' ? '1' : '0';
	CHECK_INT(page_end(&w, w.jpeg.len, ""), 0);
	CHECK_STR(seen.reason, "damaged");
	CHECK_INT(seen.accepted, 0);
	CHECK_INT(fixture_files("pages") + fixture_files("tmp"), 0);
	end(&w);
}

TEST(rejected_page_is_taken_back_and_the_next_is_taken)
{
	struct world w;

	begin(&w);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, 40), 0);
	CHECK_INT(frame(&w, "{\"type\":\"reject\",\"reason\":\"truncated\",\"message\":\"cut\"}", NULL, 0), 0);
	CHECK_STR(seen.reason, "truncated");
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", "no JPEG at all", 14), 0);
	CHECK_INT(seen.rejected, 2);
	CHECK_INT(page_end(&w, 14, ""), 0); /* its rest is let go by */
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	CHECK_INT(page_end(&w, w.jpeg.len, ""), 0);
	CHECK_INT(seen.accepted, 1);
	end(&w);
}

TEST(a_watched_file_that_changes_is_not_accepted)
{
	char path[256], stamp[TAKEN_STAMP_SIZE];
	struct world w;
	struct stat st;

	begin(&w);
	fixture_put("", "in.jpg", "content", 7);
	fixture_path(path, "", "in.jpg", "");
	w.run.fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(w.run.fd >= 0 && fstat(w.run.fd, &st) == 0);
	taken_stamp(&st, stamp);
	w.run.taken = (struct taken_key){"scanner", "in.jpg", stamp};
	for (int i = 0; i < 2; i++) {
		CHECK_INT(page(&w, "{}"), 0);
		CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
		if (i == 1)
			fixture_put("", "in.jpg", "another content", 15);
		CHECK_INT(page_end(&w, w.jpeg.len, ""), i == 0 ? 0 : -ESTALE);
		intake_page_drop(&w.run);
	}
	CHECK_INT(seen.accepted, 1);
	CHECK_INT(seen.storage, 0);
	CHECK_INT(fixture_sql(&w.f, "SELECT count(*) FROM pages WHERE source = 'watch'"), 1);
	CHECK_INT(fixture_sql(&w.f, "SELECT count(*) FROM taken WHERE folder = 'scanner' AND name = 'in.jpg'"), 1);
	CHECK_INT(fixture_files("tmp"), 0);
	close(w.run.fd);
	end(&w);
}

TEST(frames_out_of_order_end_the_run)
{
	struct world w;

	begin(&w);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", "x", 1), -EBADMSG);
	CHECK_INT(page_end(&w, 1, ""), -EBADMSG);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(page(&w, "{}"), -EBADMSG);
	CHECK_INT(frame(&w, "{\"type\":\"dance\"}", NULL, 0), -EBADMSG);
	end(&w);
}

/* What a scan says about its source; a file says nothing. */
TEST(scans_tell_how_the_source_does)
{
	struct world w;

	begin(&w);
	CHECK_INT(frame(&w, "{\"type\":\"reject\",\"index\":1,\"reason\":\"no-device\",\"message\":\"gone\"}", NULL, 0), 0);
	CHECK_STR(seen.scanner, "");
	w.run.source = (char *)"v4l2:auto";
	CHECK_INT(frame(&w, "{\"type\":\"reject\",\"index\":1,\"reason\":\"no-device\",\"message\":\"gone\"}", NULL, 0), 0);
	CHECK_STR(seen.scanner, "no-device");
	CHECK_INT(seen.scanner_well, 0);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"idle\"}", NULL, 0), -EBADMSG); /* in the middle of a page */
	intake_page_drop(&w.run);
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	CHECK_INT(page_end(&w, w.jpeg.len, ""), 0);
	CHECK_INT(seen.scanner_well, 1);
	CHECK_INT(frame(&w, "{\"type\":\"idle\"}", NULL, 0), 0);
	CHECK_INT(seen.idle, 1);
	/* An original whose end does not come: the helper stays, that does not. */
	CHECK_INT(page(&w, "{}"), 0);
	CHECK_INT(frame(&w, "{\"type\":\"data\"}", w.jpeg.data, w.jpeg.len), 0);
	CHECK_INT(page_end(&w, w.jpeg.len, ""), 0);
	CHECK_INT(frame(&w, "{\"type\":\"beside\",\"what\":\"original\"}", "x", 1), 0);
	CHECK_INT(fixture_files("tmp"), 1);
	CHECK_INT(frame(&w, "{\"type\":\"idle\"}", NULL, 0), 0);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(seen.idle, 2);
	w.run.parked = true; /* nobody asked it for a page */
	CHECK_INT(frame(&w, "{\"type\":\"rests\"}", NULL, 0), 0);
	CHECK_INT(seen.idle, 102);
	CHECK_INT(page(&w, "{}"), -EBADMSG);
	end(&w);
}
