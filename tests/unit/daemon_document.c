/* Documents of several pages: which pages are asked together, and that they have one state. */
#include "daemon/document.h"

#include "daemon/courier_due.h"
#include "daemon/delivery.h"
#include "daemon/keep.h"
#include "daemon/ledger.h"
#include "extract/extractor.h"
#include "tests/unit/daemon_fixture.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void page_of(struct fixture *f, const char *name, struct page_row *ret)
{
	struct spool_meta m = fixture_meta(f);

	m.document_name = name;
	CHECK_INT(fixture_try(f, &m, ret), 0);
}

static void held_page_of(struct fixture *f, const char *name, struct page_row *ret)
{
	_cleanup_buf_ struct buf jpeg = {};
	struct spool_meta m = fixture_meta(f);
	struct spool_writer *w;

	m.document_name = name;
	fixture_jpeg(&jpeg, 3000);
	CHECK_INT(spool_page_begin(f->spool, &m, &w), 0);
	spool_page_begin_held(w, "blank page");
	CHECK_INT(spool_page_write(w, jpeg.data, jpeg.len), 0);
	CHECK_INT(spool_page_commit(w, 100, 200, NULL, NULL, ret), 0);
}

static void end(struct fixture *f, const char *name)
{
	struct document d;

	CHECK_INT(document_find(f->spool, name, 1000, &d), 0);
	CHECK_INT(document_end(f->spool, d.id), 0);
}

/* A document of n pages that has ended; its leader. */
static int64_t document_of(struct fixture *f, int n)
{
	struct page_row p, first = {};

	for (int i = 0; i < n; i++) {
		f->now += 1000; /* a rebuild goes by the times of acceptance */
		page_of(f, "d", &p);
		if (i == 0)
			first = p;
	}
	end(f, "d");
	return first.seq;
}

static int64_t due(struct fixture *f)
{
	struct due_class k = {.state = STATE_QUEUED, .lane = -1};
	struct due_page pages[8];
	int64_t n = 0;

	while (due_class_next(f->spool, &k) > 0)
		n += due_pages(f->spool, &k, pages, ARRAY_SIZE(pages));
	return n;
}

static struct page_row row(struct fixture *f, int64_t seq)
{
	struct page_row p;

	CHECK_INT(spool_page_get(f->spool, seq, &p), 0);
	return p;
}

static void counts_hold(struct fixture *f)
{
	struct spool_counts c;

	CHECK_INT(spool_counts(f->spool, &c), 0);
	CHECK_INT(c.queued, fixture_sql(f, "SELECT count(*) FROM pages WHERE state = 'queued'"));
	CHECK_INT(c.provisional, fixture_sql(f, "SELECT count(*) FROM pages WHERE state = 'provisional'"));
	CHECK_INT(c.done, fixture_sql(f, "SELECT count(*) FROM pages WHERE state = 'done'"));
	CHECK_INT(c.held, fixture_sql(f, "SELECT count(*) FROM pages WHERE state = 'held'"));
}

TEST(nothing_is_due_before_the_end)
{
	struct document d;
	struct page_row a, b;
	struct fixture f;

	fixture_begin(&f);
	page_of(&f, "lease", &a);
	page_of(&f, "lease", &b);
	CHECK_STR(a.document, a.id);
	CHECK_STR(b.document, a.id);
	CHECK_INT(b.position, 2);
	CHECK_INT(b.leader, a.seq);
	CHECK_INT(due(&f), 0);
	CHECK_INT(document_find(f.spool, "lease", 1000, &d), 0);
	CHECK_INT(d.pages, 2);
	CHECK_INT(d.last_position, 2);
	CHECK_INT(document_find(f.spool, "lease", 1001, &d), -ENOENT);
	CHECK_INT(document_end(f.spool, d.id), 0);
	CHECK_INT(document_end(f.spool, d.id), -EALREADY);
	CHECK_INT(due(&f), 1);
	/* The name is free again. */
	page_of(&f, "lease", &b);
	CHECK_STR(b.document, b.id);
	fixture_end(&f);
}

TEST(names)
{
	char longest[DOCUMENT_NAME_SIZE + 1];

	memset(longest, 'x', sizeof(longest));
	longest[DOCUMENT_NAME_SIZE] = 0;
	CHECK_INT(document_name_valid(longest), false);
	longest[DOCUMENT_NAME_SIZE - 1] = 0;
	CHECK_INT(document_name_valid(longest), true);
	CHECK_INT(document_name_valid(""), false);
	CHECK_INT(document_name_valid("a\nb"), false);
	CHECK_INT(document_name_valid("\xff"), false);
	CHECK_INT(document_name_valid("Müller 7"), true);
}

TEST(open_ones_survive_a_restart)
{
	struct document d[2];
	struct page_row a;
	struct fixture f;

	fixture_begin(&f);
	page_of(&f, "one", &a);
	page_of(&f, "two", &a);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(document_list(f.spool, d, 2), 2);
	CHECK_STR(d[0].name, "one");
	CHECK_STR(d[1].document, a.id);
	CHECK_STR(d[1].job->type, "auto");
	CHECK_INT(due(&f), 0);
	fixture_end(&f);
}

TEST(groups_have_a_bound)
{
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 0; i < JOB_IMAGES_MAX + 3; i++)
		page_of(&f, "long", &p);
	CHECK_INT(p.leader, JOB_IMAGES_MAX + 1);
	end(&f, "long");
	CHECK_INT(due(&f), 2);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE leader = 1"), JOB_IMAGES_MAX - 1);
	fixture_end(&f);
}

TEST(a_blank_page_is_held_by_itself)
{
	struct page_row a, blank, b;
	struct fixture f;

	fixture_begin(&f);
	held_page_of(&f, "duplex", &blank);
	page_of(&f, "duplex", &a);
	page_of(&f, "duplex", &b);
	CHECK_INT(blank.leader, 0);
	CHECK_INT(a.leader, 0);
	CHECK_INT(b.leader, a.seq);
	end(&f, "duplex");
	CHECK_INT(row(&f, blank.seq).state, STATE_HELD);
	CHECK_INT(due(&f), 1);
	/* Wanted after all, it is asked by itself. */
	CHECK_INT(spool_page_retry(f.spool, blank.seq, NULL), 0);
	CHECK_INT(due(&f), 2);
	counts_hold(&f);
	fixture_end(&f);
}

TEST(one_state_for_all)
{
	struct fixture f;
	int64_t leader;

	fixture_begin(&f);
	leader = document_of(&f, 3);
	counts_hold(&f);
	CHECK_INT(spool_page_hold(f.spool, leader + 2, HELD_BY_HAND " a test"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'by hand%'"), 3);
	counts_hold(&f);
	CHECK_INT(spool_page_release(f.spool, leader + 1), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'queued'"), 3);
	CHECK_INT(spool_page_hold(f.spool, leader, "a reason"), 0);
	CHECK_INT(spool_page_retry(f.spool, leader + 2, NULL), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'queued' AND reason IS NULL"), 3);
	CHECK_INT(due(&f), 1);
	counts_hold(&f);
	fixture_end(&f);
}

TEST(retry_does_not_end_a_document)
{
	struct page_row a;
	struct fixture f;

	fixture_begin(&f);
	page_of(&f, "d", &a);
	CHECK_INT(spool_page_hold(f.spool, a.seq, HELD_BY_HAND " wait"), 0);
	/* What comes meanwhile is as the others are. */
	page_of(&f, "d", &a);
	CHECK_INT(a.state, STATE_HELD);
	CHECK_INT(spool_page_retry(f.spool, a.seq, NULL), 0);
	CHECK_INT(due(&f), 0);
	end(&f, "d");
	CHECK_INT(due(&f), 1);
	counts_hold(&f);
	fixture_end(&f);
}

TEST(a_page_that_is_lost_goes_alone)
{
	struct fixture f;
	int64_t leader;

	fixture_begin(&f);
	leader = document_of(&f, 4);
	CHECK_INT(spool_page_hold(f.spool, leader + 1, "lost: its file is gone"), 0);
	CHECK_STR(row(&f, leader + 1).reason, "lost: its file is gone");
	CHECK_INT(row(&f, leader + 1).leader, 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'a page of its document%'"), 3);
	CHECK_INT(spool_page_retry(f.spool, leader + 3, NULL), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'queued'"), 3);
	/* The leader itself: the next one leads. */
	CHECK_INT(spool_page_hold(f.spool, leader, "damaged: its file"), 0);
	CHECK_INT(row(&f, leader + 2).leader, 0);
	CHECK_INT(row(&f, leader + 3).leader, leader + 2);
	CHECK_INT(spool_page_retry(f.spool, leader + 2, NULL), 0);
	CHECK_INT(due(&f), 1);
	counts_hold(&f);
	fixture_end(&f);
}

TEST(split)
{
	struct page_row rows[JOB_IMAGES_MAX];
	struct fixture f;
	int64_t leader;

	fixture_begin(&f);
	leader = document_of(&f, 5);
	CHECK_INT(group_split(f.spool, leader, 2), 0);
	CHECK_INT(group_rows(f.spool, leader, rows, JOB_IMAGES_MAX), 1);
	CHECK_INT(group_rows(f.spool, leader + 2, rows, JOB_IMAGES_MAX), 2);
	CHECK_INT(rows[1].position, 5);
	CHECK_INT(due(&f), 2);
	CHECK_INT(group_split(f.spool, leader, 1), 0);
	CHECK_INT(due(&f), 3);
	counts_hold(&f);
	fixture_end(&f);
}

/* ---- one request for all ----------------------------------------------------------------------------------- */

struct exchange {
	struct page_row page, more[JOB_IMAGES_MAX];
	struct attempt_open open;
	int64_t attempt;
};

static void exchange_open(struct fixture *f, int64_t leader, struct exchange *x)
{
	ssize_t n;

	*x = (struct exchange){.page = row(f, leader)};
	n = group_rows(f->spool, leader, x->more, JOB_IMAGES_MAX);
	CHECK(n >= 0);
	x->open = (struct attempt_open){.page = &x->page, .more = x->more, .n_more = (size_t)n, .backend = "sydney", .model = "m",
		.region = "ap-southeast-2", .host = "h", .body_sha256 = HASH, .body_bytes = 7, .reserved_pusd = 100};
	x->attempt = ledger_open(f->spool, &x->open);
	CHECK(x->attempt > 0);
}

static void exchange_answer(struct fixture *f, struct exchange *x)
{
	static const char raw[] = "{\"word\": \"hello\"}";
	struct answer *answer = NULL;
	struct verdict v = {.billed = true, .usage = {.input = 10, .output = 5, .reported = true}};
	int64_t version;

	CHECK_INT(answer_parse(f->job->types->types[0], raw, strlen(raw), &answer), 0);
	verdict_set(&v, PAGE_DONE, BACKEND_OK, "", "%s", "");
	CHECK_INT(ledger_close(f->spool,
			  &(struct attempt_close){.attempt = x->attempt, .page = &x->page, .open = &x->open, .verdict = &v, .settled_pusd = 50,
				  .state = STATE_DONE, .authoritative = true, .answer = answer, .raw = raw},
			  &version), 0);
	CHECK_INT(version, 1);
	answer_free(answer);
}

static int64_t found(struct fixture *f, const char *sql, const char *text)
{
	int64_t n = -1;

	CHECK(db_get_i64(spool_db(f->spool), &n, sql, "s", text) >= 0);
	return n;
}

TEST(one_attempt_names_every_page)
{
	char pages[400];
	struct exchange x;
	struct fixture f;
	int64_t leader, bad;

	fixture_begin(&f);
	leader = document_of(&f, 3);
	exchange_open(&f, leader, &x);
	exchange_answer(&f, &x);
	str_format(pages, sizeof(pages), "\"pages\":[{\"page\":\"%s\",\"content\":\"%s\"},{\"page\":\"%s\",\"content\":\"%s\"},{\"page\":\"%s\",\"content\":\"%s\"}]",
		x.page.id, x.page.sha256, x.more[0].id, x.more[0].sha256, x.more[1].id, x.more[1].sha256);
	CHECK_INT(found(&f, "SELECT count(*) FROM receipts WHERE instr(body, ?) > 0", pages), 2);
	CHECK_INT(receipt_verify(f.spool, &bad), 2);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'done'"), 3);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM results"), 1);
	CHECK_INT(found(&f, "SELECT json_extract(json, '$.pages[2].page') = ? FROM results", x.more[1].id), 1);
	counts_hold(&f);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_json_ cJSON *attempts = cJSON_CreateArray();
		int64_t cost;

		CHECK_INT(ledger_attempts_json(f.spool, x.more[i].seq, attempts), 0);
		CHECK_INT(cJSON_GetArraySize(attempts), 1);
		CHECK_INT(ledger_page_cost(f.spool, x.more[i].seq, &cost), 0);
		CHECK_INT(cost, 0); /* it is counted once */
	}
	/* All of them are kept from the same moment on. */
	CHECK_INT(delivery_run(f.spool, 10, NULL, NULL), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE kept_ms IS NOT NULL"), 3);
	CHECK_INT(fixture_sql(&f, "SELECT count(DISTINCT kept_ms) FROM pages"), 1);
	fixture_end(&f);
}

TEST(a_crash_names_every_page)
{
	struct exchange x;
	struct fixture f;
	int64_t leader;

	fixture_begin(&f);
	leader = document_of(&f, 2);
	for (int i = 0; i < 3; i++) {
		exchange_open(&f, leader, &x);
		fixture_reopen(&f);
		fixture_reconcile(&f);
	}
	CHECK_INT(found(&f, "SELECT count(*) FROM receipts WHERE kind = 'crashed' AND json_extract(body, '$.pages[1].page') = ?", x.more[0].id), 3);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'crashed 3 times%'"), 2);
	counts_hold(&f);
	fixture_end(&f);
}

TEST(dropped_together)
{
	struct exchange x;
	struct fixture f;
	int64_t leader;

	fixture_begin(&f);
	leader = document_of(&f, 3);
	exchange_open(&f, leader, &x);
	CHECK_INT(keep_drop(f.spool, leader + 1, "a test"), -EBUSY);
	exchange_answer(&f, &x);
	CHECK_INT(keep_drop(f.spool, leader + 1, "a test"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM documents"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM gone"), 3);
	CHECK_INT(fixture_files("pages"), 0);
	counts_hold(&f);
	fixture_end(&f);
}

/* ---- the database is lost ---------------------------------------------------------------------------------- */

static void lose_database(struct fixture *f)
{
	char path[256];

	spool_close(f->spool);
	f->spool = NULL;
	for (size_t i = 0; i < 3; i++) {
		fixture_path(path, "", "spool.db", i == 0 ? "" : i == 1 ? "-wal" : "-shm");
		unlink(path);
	}
	if (fixture_open_spool(f, 0) < 0)
		test_fail(__FILE__, __LINE__, "%s", f->why);
	fixture_reconcile(f);
}

TEST(a_rebuild_keeps_pages_together)
{
	struct fixture f;

	fixture_begin(&f);
	document_of(&f, 3);
	lose_database(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'queued'"), 3);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE leader = 1 AND rung = -1"), 2);
	CHECK_INT(due(&f), 1);
	counts_hold(&f);
	fixture_end(&f);
}

TEST(a_rebuild_does_not_ask_again)
{
	struct exchange x;
	struct fixture f;
	int64_t leader;

	fixture_begin(&f);
	leader = document_of(&f, 3);
	exchange_open(&f, leader, &x);
	exchange_answer(&f, &x);
	CHECK_INT(delivery_run(f.spool, 10, NULL, NULL), 0);
	lose_database(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'rebuilt:%'"), 3);
	CHECK_INT(due(&f), 0);
	/* A person may, and then it is one request. */
	CHECK_INT(spool_page_retry(f.spool, 2, NULL), 0);
	CHECK_INT(due(&f), 1);
	fixture_end(&f);
}

/* ---- nobody ends it ---------------------------------------------------------------------------------------- */

static bool is_busy(void *ud, const struct document *d)
{
	return ud && streq(d->name, ud);
}

TEST(one_that_gets_no_page_ends)
{
	struct document_ages ages = {};
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	page_of(&f, "a", &p);
	page_of(&f, "b", &p);
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, NULL), 0);
	f.boot += 999;
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, NULL), 0);
	page_of(&f, "b", &p);
	f.boot += 1;
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, (char *)"a"), 0);
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, NULL), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM documents WHERE closed = 0 AND name = 'b'"), 1);
	/* A clock that is set ends nothing; a restart begins the time again. */
	f.now += INT64_C(86400000) * 365;
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, NULL), 0);
	ages = (struct document_ages){};
	f.boot += 1000;
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, NULL), 0);
	f.boot += 1000;
	CHECK_INT(document_end_idle(f.spool, &ages, 1000, is_busy, NULL), 1);
	CHECK_INT(due(&f), 2);
	fixture_end(&f);
}
