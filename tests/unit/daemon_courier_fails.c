/* One allocation fails, or one step of SQLite, anywhere on the way of a page that is made smaller, of a document or of a page that goes by
 * a bucket: all of it comes to its end all the same, answered once. A page that goes as it is: daemon_courier_answer.c. */
#include "tests/unit/daemon_courier_fixture.h"

#include "daemon/document.h"

#define ROUNDS       12 /* within which all is done if nothing fails */
#define STRIDE       5  /* of the allocations: most lines make several */
#define TOO_LARGE413 "{\"message\":\"too large\"}"

struct way {
	const char *config;
	uint32_t width; /* of the pages; 4500: more than Bedrock takes */
	int pages;      /* more than one: a document */
	bool refused;   /* the first request, as too large */
};

static int64_t count(const char *sql)
{
	return fixture_sql(&rig.f, sql);
}

static void bring(const struct way *w)
{
	struct spool_meta m = fixture_meta(&rig.f);
	struct document d;
	struct page_row p;

	fixture_width = w->width;
	m.document_name = w->pages > 1 ? "d" : m.document_name;
	for (int i = 0; i < w->pages; i++) {
		rig.f.now += 1000;
		CHECK_INT(fixture_try(&rig.f, &m, &p), 0);
	}
	fixture_width = 0;
	if (w->pages > 1) {
		CHECK_INT(document_find(rig.s.spool, "d", m.owner, &d), 0);
		CHECK_INT(document_end(rig.s.spool, d.id), 0);
	}
	courier_kick(rig.s.courier);
}

static void reply_as_aws(bool refused)
{
	const char *method = rig.out->req->method;

	if (streq(method, "HEAD"))
		rig_reply_header(200, "x-amz-bucket-region", "ap-southeast-2");
	else if (streq(method, "PUT") || streq(method, "DELETE"))
		rig_reply_with(streq(method, "PUT") ? 200 : 204, "");
	else if (streq(method, "GET"))
		rig_reply_with(200, CHAT_HELLO);
	else if (strstr(rig.out->req->url, "async-invocations"))
		rig_reply_header(202, "x-amzn-sagemaker-outputlocation", RIG_OUTPUT);
	else if (refused)
		rig_reply_with(413, TOO_LARGE413);
	else
		rig_reply_with(200, NOVA_HELLO);
}

/* Time passes, and what is out comes back. */
static void go_on(bool refused)
{
	rig_turn();
	while (rig.out) {
		if (rig.out->frame)
			rig_rendered(900, 1800, 4);
		else if (rig.out->helper)
			rig_reply_words(WORDS_HELLO);
		else
			reply_as_aws(refused);
		refused = false;
		rig_turn();
	}
	rig_wait(70000);
}

static void all_is_well(const struct way *w, const char *what, int64_t n)
{
	if (count("SELECT count(*) FROM pages WHERE state <> 'done'") != 0)
		test_fail(__FILE__, __LINE__, "%s %lld: %lld pages are not done, %lld are held", what, (long long)n,
			(long long)count("SELECT count(*) FROM pages WHERE state <> 'done'"), (long long)count("SELECT count(*) FROM pages WHERE state = 'held'"));
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE closed_ms IS NULL"), 0);
	CHECK_INT(count("SELECT count(*) FROM results WHERE json NOT LIKE '%\"value\":\"hello\"%'"), 0);
	/* Each page is in one answer. */
	CHECK_INT(count("SELECT count(*) FROM (SELECT 1 FROM results GROUP BY page HAVING count(*) > 1)"), 0);
	CHECK_INT(count("SELECT count(*) FROM pages WHERE coalesce(leader, seq) NOT IN (SELECT page FROM results)"), 0);
}

static bool one_fails(const struct way *w, bool memory, int64_t n)
{
	int done = rig.events[EVENT_PAGE_DONE] + w->pages;
	bool failed;

	bring(w);
	if (memory)
		memory_fail_at(n);
	else
		rig.sql_steps = n;
	for (int i = 0; i < ROUNDS && rig.events[EVENT_PAGE_DONE] < done; i++)
		go_on(w->refused && i == 0);
	failed = memory ? memory_failed() : rig.sql_steps == 0;
	rig.sql_steps = 0;
	for (int i = 0; i < ROUNDS && rig.events[EVENT_PAGE_DONE] < done; i++)
		go_on(false);
	all_is_well(w, memory ? "allocation" : "step", n);
	return failed;
}

static void each_fails(const struct way *w, bool memory)
{
	int64_t n = 1;

	if (memory)
		MEMORY_SKIP();
	courier_start(rig_begin(w->config));
	while (one_fails(w, memory, n))
		n += memory ? STRIDE : 1;
	CHECK(n > 50);
	rig_end();
}

#define BEDROCK RIG_SYDNEY "Tries=100\nFallbackAfter=10d\n"

static const struct way smaller = {.config = BEDROCK, .width = 4500, .pages = 1};
static const struct way document = {.config = BEDROCK, .pages = 3};
static const struct way divided = {.config = BEDROCK, .pages = 3, .refused = true};
static const struct way by_page = {.config = "[Route]\nBackends=ocr\n", .pages = 2};

static const struct way by_bucket = {.config = RIG_ASYNC, .pages = 1};

TEST(each_allocation_of_a_page_that_is_made_smaller)
{
	each_fails(&smaller, true);
}

TEST(each_step_of_a_page_that_is_made_smaller)
{
	each_fails(&smaller, false);
}

TEST(each_allocation_of_a_document)
{
	each_fails(&document, true);
}

TEST(each_step_of_a_document)
{
	each_fails(&document, false);
}

TEST(each_step_of_a_document_that_is_divided)
{
	each_fails(&divided, false);
}

TEST(each_allocation_of_a_document_that_is_read_page_by_page)
{
	each_fails(&by_page, true);
}

TEST(each_step_of_a_document_that_is_read_page_by_page)
{
	each_fails(&by_page, false);
}

TEST(each_allocation_of_a_page_that_goes_by_a_bucket)
{
	each_fails(&by_bucket, true);
}

TEST(each_step_of_a_page_that_goes_by_a_bucket)
{
	each_fails(&by_bucket, false);
}
