/* Table usage, and version 2 of the database, which had none. */
#include "daemon/ledger.h"
#include "daemon/usage.h"
#include "tests/unit/daemon_older.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* A page that is asked of `backend`: with an answer, or with a failure whose usage is not reported. */
static void exchange(struct fixture *f, const char *backend, bool answered, int64_t settled)
{
	static const char raw[] = "{\"word\": \"hello\"}";
	struct attempt_open open = {.backend = backend, .model = "amazon.nova-pro-v1:0", .body_sha256 = HASH, .reserved_pusd = 5000};
	struct attempt_close close = {.open = &open, .settled_pusd = settled, .state = answered ? STATE_DONE : STATE_QUEUED};
	struct verdict verdict = {};
	struct answer *answer = NULL;
	struct page_row p;

	fixture_page(f, &p);
	open.page = close.page = &p;
	close.attempt = ledger_open(f->spool, &open);
	CHECK(close.attempt > 0);
	verdict_set(&verdict, answered ? PAGE_DONE : PAGE_RETRY, BACKEND_OK, answered ? "" : "silent", "%s", "");
	verdict.billed = true;
	close.verdict = &verdict;
	if (answered) {
		verdict.usage = (struct usage){.input = 1500, .output = 90, .cached = 7, .reported = true};
		CHECK_INT(answer_parse(f->job->types->types[0], raw, strlen(raw), &answer), 0);
		close.answer = answer;
		close.raw = raw;
		close.authoritative = true;
	}
	CHECK_INT(ledger_close(f->spool, &close, NULL), 0);
	answer_free(answer);
}

/* Nothing is missing, nothing is counted twice: by day and backend, as fsck looks. */
static void check_sums(struct fixture *f)
{
	CHECK_INT(fixture_sql(f,
			  "SELECT count(*) FROM (SELECT day, backend FROM (SELECT coalesce(day, closed_ms / 86400000) AS day, backend,"
			  " settled_pusd AS pusd, 1 AS n FROM attempts WHERE closed_ms IS NOT NULL"
			  " UNION ALL SELECT day, backend, -settled_pusd, -attempts FROM usage)"
			  " GROUP BY day, backend HAVING sum(pusd) <> 0 OR sum(n) <> 0)"),
		0);
}

TEST(a_day_has_the_sum_of_its_attempts)
{
	struct fixture f;

	fixture_begin(&f);
	exchange(&f, "sydney", true, 2500);
	exchange(&f, "sydney", true, 2501);
	exchange(&f, "sydney", false, 5000);
	exchange(&f, "jetson", true, 0);
	f.now += INT64_C(86400000);
	f.boot += INT64_C(86400000);
	exchange(&f, "sydney", true, 1);
	CHECK_INT(fixture_sql(&f, "SELECT settled_pusd FROM usage WHERE backend = 'sydney' AND type = 'universal' AND day = 1893553445000 / 86400000"),
		5001);
	CHECK_INT(fixture_sql(&f, "SELECT answers FROM usage WHERE backend = 'sydney' AND type = 'universal' AND day = 1893553445000 / 86400000"), 2);
	CHECK_INT(fixture_sql(&f, "SELECT tokens_input * 1000000 + tokens_output * 100 + tokens_cached FROM usage WHERE backend = 'sydney'"
				  " AND type = 'universal' ORDER BY day"), INT64_C(3000018014));
	/* what was not answered counts by the type that was asked */
	CHECK_INT(fixture_sql(&f, "SELECT possibly_pusd + unreported FROM usage WHERE type = 'auto'"), 5001);
	CHECK_INT(fixture_sql(&f, "SELECT settled_pusd FROM usage ORDER BY day DESC LIMIT 1"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM usage"), 4);
	CHECK_INT(fixture_sql(&f, "SELECT sum(pages) FROM usage"), 5);
	check_sums(&f);
	fixture_end(&f);
}

TEST(a_page_that_is_asked_twice_is_one)
{
	struct attempt_open open = {.backend = "sydney", .model = "m", .body_sha256 = HASH, .reserved_pusd = 5000};
	struct attempt_close close = {.open = &open, .settled_pusd = 5000, .state = STATE_QUEUED};
	struct verdict verdict = {};
	struct fixture f;
	struct page_row p;

	fixture_begin(&f);
	verdict_set(&verdict, PAGE_RETRY, BACKEND_OK, "silent", "%s", "");
	close.verdict = &verdict;
	fixture_page(&f, &p);
	open.page = close.page = &p;
	for (int i = 0; i < 4; i++) {
		open.model = i < 3 ? "m" : "n";
		close.attempt = ledger_open(f.spool, &open);
		CHECK_INT(ledger_close(f.spool, &close, NULL), 0);
	}
	CHECK_INT(fixture_sql(&f, "SELECT pages * 10 + attempts FROM usage WHERE model = 'm'"), 13);
	CHECK_INT(fixture_sql(&f, "SELECT pages * 10 + attempts FROM usage WHERE model = 'n'"), 11);
	fixture_end(&f);
}

TEST(pages_that_are_asked_together_all_count)
{
	struct attempt_open open = {.backend = "sydney", .model = "m", .body_sha256 = HASH, .reserved_pusd = 5000};
	struct attempt_close close = {.open = &open, .settled_pusd = 5000, .state = STATE_QUEUED};
	struct verdict verdict = {};
	struct fixture f;
	struct page_row p[3];

	fixture_begin(&f);
	verdict_set(&verdict, PAGE_RETRY, BACKEND_OK, "silent", "%s", "");
	close.verdict = &verdict;
	for (int i = 0; i < 3; i++)
		fixture_page(&f, &p[i]);
	/* All three, then two of them, then the second alone. */
	for (int i = 0; i < 3; i++) {
		open.page = close.page = i < 2 ? &p[0] : &p[1];
		open.more = &p[1];
		open.n_more = (size_t)(2 - i);
		close.attempt = ledger_open(f.spool, &open);
		CHECK_INT(ledger_close(f.spool, &close, NULL), 0);
	}
	CHECK_INT(fixture_sql(&f, "SELECT pages * 10 + attempts FROM usage WHERE model = 'm'"), 33);
	fixture_end(&f);
}

TEST(what_a_crash_cut_off_counts_at_its_reservation)
{
	struct attempt_open open = {.backend = "sydney", .model = "m", .body_sha256 = HASH, .reserved_pusd = 5000};
	struct fixture f;
	struct page_row p;

	fixture_begin(&f);
	fixture_page(&f, &p);
	open.page = &p;
	CHECK(ledger_open(f.spool, &open) > 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM usage"), 0);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(fixture_sql(&f, "SELECT settled_pusd + possibly_pusd FROM usage WHERE type = 'auto' AND unreported = 1"), 10000);
	check_sums(&f);
	fixture_end(&f);
}

/* ---- version 2 ------------------------------------------------------------------------------------------------------------- */

/* As the service finds it after an upgrade: with pages, answers, and an attempt that is open. */
static void older_begin(struct fixture *f)
{
	struct attempt_open open = {.backend = "sydney", .body_sha256 = HASH, .reserved_pusd = 5000};
	struct page_row p;

	fixture_begin(f);
	exchange(f, "sydney", true, 2500);
	exchange(f, "sydney", false, 5000);
	f->now += INT64_C(86400000);
	exchange(f, "jetson", true, 0);
	fixture_page(f, &p);
	open.page = &p;
	CHECK(ledger_open(f->spool, &open) > 0);
	spool_close(f->spool);
	f->spool = NULL;
	older_make_from(test_data());
}

TEST(a_database_of_version_2_is_brought_up_to_date)
{
	struct fixture f;
	char why[256];
	int64_t bad;

	older_begin(&f);
	fixture_reopen(&f);
	CHECK_INT(fixture_sql(&f, "PRAGMA user_version"), 3);
	CHECK_INT(db_verify(spool_db(f.spool), why, sizeof(why)), 0);
	CHECK_INT(fixture_files("quarantine"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 4);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM results"), 2);
	CHECK_INT(fixture_sql(&f, "SELECT settled_pusd FROM usage WHERE type = 'universal' AND backend = 'sydney'"), 2500);
	CHECK_INT(fixture_sql(&f, "SELECT possibly_pusd FROM usage WHERE type = 'auto' AND unreported = 1"), 5000);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM usage"), 3);
	CHECK_INT(fixture_sql(&f, "SELECT sum(pages) FROM usage"), 3);
	check_sums(&f);
	CHECK_INT(receipt_verify(f.spool, &bad), 7);
	/* and it goes on: on the same day, in the same rows */
	fixture_reconcile(&f);
	exchange(&f, "jetson", true, 0);
	CHECK_INT(fixture_sql(&f, "SELECT answers FROM usage WHERE backend = 'jetson'"), 2);
	check_sums(&f);
	fixture_reopen(&f);
	fixture_end(&f);
}

/* What is only looked at cannot be brought up to date: it is not damaged for that. */
TEST(a_database_of_version_2_is_not_looked_at)
{
	struct db *d = NULL;
	struct fixture f;
	char why[256];

	older_begin(&f);
	CHECK_INT(db_open_readonly(test_tmpdir(), &d, why, sizeof(why)), -ENOTSUP);
	CHECK(strstr(why, "older version"));
	fixture_end(&f);
}

TEST(a_database_of_version_2_without_a_table_is_damage)
{
	struct fixture f;
	char path[256];
	sqlite3 *db;

	older_begin(&f);
	fixture_path(path, "", "spool.db", "");
	CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
	older_sql(db, "DROP TABLE taken");
	sqlite3_close(db);
	fixture_reopen(&f);
	CHECK(fixture_exists("quarantine", "spool.db.1", ""));
	CHECK_INT(fixture_sql(&f, "PRAGMA user_version"), 3);
	fixture_end(&f);
}

/* It has the tables, and not what the step needs of them. */
TEST(a_database_of_version_2_that_cannot_be_brought_up_to_date_is_damage)
{
	struct fixture f;
	char path[256];
	sqlite3 *db;

	older_begin(&f);
	fixture_path(path, "", "spool.db", "");
	CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
	older_sql(db, "ALTER TABLE attempts RENAME COLUMN settled_pusd TO settled_pusb");
	sqlite3_close(db);
	fixture_reopen(&f);
	CHECK(fixture_exists("quarantine", "spool.db.1", ""));
	fixture_end(&f);
}
