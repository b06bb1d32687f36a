/* What a long backlog costs, in steps of SQLite's machine: every statement that the service runs while it works is counted, by its
 * own text, with few rows and with many. */
#include <sqlite3.h>

#include "daemon/courier_due.h"
#include "daemon/delivery.h"
#include "daemon/ledger.h"
#include "tests/unit/daemon_fixture.h"

#define FEW         3000
#define MANY        40000
#define STATEMENTS  256
#define STEPS_GIVEN 64 /* that a statement may take more with many rows; those of a scan would be thousands */

/* The most that one run of a statement took. */
struct cost {
	char sql[400];
	int steps, scanned;
};
static struct {
	struct cost costs[STATEMENTS];
	size_t n;
	bool on;
} counted;

static int on_profile(unsigned int type, void *ud, void *statement, void *ns)
{
	int steps = sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
	int scanned = sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
	const char *sql = sqlite3_sql(statement);
	size_t i = 0;

	if (!counted.on || !sql)
		return 0;
	while (i < counted.n && strncmp(counted.costs[i].sql, sql, sizeof(counted.costs[i].sql) - 1) != 0)
		i++;
	if (i == STATEMENTS)
		return 0;
	if (i == counted.n) {
		counted.costs[counted.n++] = (struct cost){};
		snprintf(counted.costs[i].sql, sizeof(counted.costs[i].sql), "%s", sql);
	}
	counted.costs[i].steps = MAX(counted.costs[i].steps, steps);
	counted.costs[i].scanned = MAX(counted.costs[i].scanned, scanned);
	return 0;
}

/* Each commit takes its time, by the clock of the fixture. */
static struct {
	struct fixture *fixture;
	int64_t n;
} commits;

static int on_commit(void *ud)
{
	commits.n++;
	if (commits.fixture)
		commits.fixture->boot += 60;
	return 0;
}

/* Called for each database that is opened: sqlite3_auto_extension(). */
static int watch(sqlite3 *db, char **why, const struct sqlite3_api_routines *api)
{
	sqlite3_commit_hook(db, on_commit, NULL);
	return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, on_profile, NULL);
}

/* Pages of every state, both lanes, 0 to 5 tries; half with an answer, of which each tenth is undelivered. */
static void add_pages(struct fixture *f, int64_t from, int64_t to)
{
	static const char *const sql[] = {
		"WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
		" INSERT INTO documents (id, document, created_ms) SELECT i, 'd' || i, i FROM n",
		"WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
		" INSERT INTO pages (seq, page, document, position, job, lane, state, reason, accepted_ms, accepted_trust, source, owner,"
		" sha256, bytes, width, height, tries, tried_ms, version, kept_ms)"
		" SELECT i, printf('20300101T%06d-aaaaaa', i), i, 1, 1, i / 4 % 2,"
		" CASE i % 4 WHEN 0 THEN 'queued' WHEN 1 THEN 'provisional' WHEN 2 THEN 'done' ELSE 'held' END,"
		" CASE i % 4 WHEN 3 THEN 'refused' END, i, 'trusted', 'file', 1000, printf('%064x', i), 1000, 1, 1, i / 8 % 6,"
		" CASE i / 8 % 6 WHEN 0 THEN 0 ELSE i END, i % 4 IN (1, 2),"
		" CASE i % 4 WHEN 2 THEN 9000000000000 + i END FROM n",
		"WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
		" INSERT INTO attempts (id, page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome, charged, billed,"
		" settled_pusd) SELECT i, i, 'ocr', 1893553445000 + i, 'trusted', 0, i, 'done', 1, 'no', 0 FROM n",
		"WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
		" INSERT INTO results (page, version, attempt, authoritative, type, created_ms, json, raw)"
		" SELECT i, 1, i, 0, 'universal', i, '{}', '' FROM n WHERE i % 4 IN (1, 2)",
		"WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
		" INSERT INTO deliveries (page, version, sink, done_ms) SELECT i, 1, 'results', CASE i / 4 % 10 WHEN 0 THEN NULL ELSE i END"
		" FROM n WHERE i % 4 IN (1, 2)",
	};

	CHECK_INT(db_begin(spool_db(f->spool)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sql); i++)
		CHECK_INT(db_exec(spool_db(f->spool), sql[i], "ii", from, to), 0);
	CHECK_INT(db_commit(spool_db(f->spool)), 0);
	spool_counts_forget(f->spool);
}

static void look_for_due(struct fixture *f, int64_t newest)
{
	struct due_history h;
	struct due_page p[8];

	for (int state = STATE_QUEUED; state <= STATE_PROVISIONAL; state++) {
		struct due_class k = {.state = (enum page_state)state, .lane = -1};
		int classes = 0;

		for (; due_class_next(f->spool, &k) > 0; classes++) {
			CHECK(due_pages(f->spool, &k, p, ARRAY_SIZE(p)) > 0);
			CHECK(due_pages_after(f->spool, &k, newest - 100, p, ARRAY_SIZE(p)) >= 0);
			CHECK_INT(due_history(f->spool, p[0].seq, p[0].retried, "ocr", &h), 0);
		}
		CHECK(classes >= 6);
	}
}

static void look_at_rows(struct fixture *f, int64_t newest)
{
	struct page_row rows[50];
	struct budget_sums sums;
	struct spool_counts n;
	char text[200];
	int64_t pusd;

	CHECK_INT(spool_counts(f->spool, &n), 0);
	for (int state = -1; state <= STATE_HELD; state++) {
		CHECK_INT(spool_page_list(f->spool, state, 0, rows, ARRAY_SIZE(rows)), ARRAY_SIZE(rows));
		CHECK_INT(spool_page_list(f->spool, state, newest / 2 + 10, rows, ARRAY_SIZE(rows)), ARRAY_SIZE(rows));
	}
	CHECK_INT(spool_page_find(f->spool, "20300101T000100-aaaaaa", &rows[0]), 0);
	CHECK_INT(spool_page_find(f->spool, "20300101T0001", &rows[0]), -ENOTUNIQ);
	CHECK_INT(spool_page_get(f->spool, newest / 2, &rows[0]), 0);
	CHECK_INT(ledger_page_cost(f->spool, newest / 2, &pusd), 0);
	CHECK_INT(budget_sums(f->spool, &sums), 0);
	CHECK(ledger_answered(f->spool, &rows[0], text) >= 0);
	CHECK_INT(spool_room(f->spool, text, sizeof(text)), 0);
}

/* A page's whole life beside the others. */
static void carry_one(struct fixture *f)
{
	static const char raw[] = "{\"word\": \"hello\"}";
	struct verdict v = {};
	struct answer *answer;
	struct page_row p;
	struct attempt_open open = {.page = &p, .backend = "ocr", .reserved_pusd = 0};
	struct attempt_close close = {.page = &p, .open = &open, .verdict = &v, .state = STATE_DONE, .authoritative = true, .raw = raw};
	int64_t version;

	fixture_page(f, &p);
	CHECK_INT(spool_page_hold(f->spool, p.seq, "a person wants it"), 0);
	CHECK_INT(spool_page_retry(f->spool, p.seq, NULL), 0);
	CHECK_INT(spool_page_get(f->spool, p.seq, &p), 0);
	close.attempt = ledger_open(f->spool, &open);
	CHECK(close.attempt > 0);
	CHECK_INT(answer_parse(f->job->types->types[0], raw, strlen(raw), &answer), 0);
	close.answer = answer;
	verdict_set(&v, PAGE_DONE, BACKEND_OK, "", "%s", "");
	CHECK_INT(ledger_close(f->spool, &close, &version), 0);
	answer_free(answer);
	verdict_clear(&v);
	CHECK(delivery_run(f->spool, 2, NULL, NULL) >= 0);
	CHECK_INT(keep_drop(f->spool, p.seq, "enough seen"), 0);
}

/* A slice each of what runs beside the work. */
static void keep_house(struct fixture *f)
{
	int64_t cursor = 0;

	CHECK_INT(keep_tick(f->spool), 0);
	CHECK_INT(keep_run(f->spool, &(struct keep_options){.pages_ms = 1000, .results_ms = 1000}, 16), 0);
	CHECK_INT(spool_recount(f->spool), 1);
	CHECK_INT(delivery_reconcile(f->spool, &cursor), 1);
}

static void work(struct fixture *f, int64_t newest)
{
	struct spool_counts n;

	/* Once: then it is kept. */
	CHECK_INT(spool_counts(f->spool, &n), 0);
	counted.n = 0;
	counted.on = true;
	look_for_due(f, newest);
	look_at_rows(f, newest);
	carry_one(f);
	keep_house(f);
	counted.on = false;
	CHECK(counted.n > 20);
}

static const struct cost *cost_find(const struct cost *costs, size_t n, const char *sql)
{
	for (size_t i = 0; i < n; i++)
		if (streq(costs[i].sql, sql))
			return &costs[i];
	return NULL;
}

TEST(no_statement_takes_longer_with_a_long_backlog)
{
	static struct cost few[STATEMENTS];
	struct fixture f;
	size_t n;

	CHECK_INT(sqlite3_auto_extension((void (*)(void))watch), SQLITE_OK);
	fixture_begin(&f);
	add_pages(&f, 1, FEW);
	carry_one(&f); /* jobs are loaded, the keep clock is set */
	keep_house(&f);
	work(&f, FEW);
	memcpy(few, counted.costs, sizeof(few));
	n = counted.n;
	add_pages(&f, FEW + 100, MANY);
	work(&f, MANY);
	for (size_t i = 0; i < counted.n; i++) {
		const struct cost *many = &counted.costs[i], *was = cost_find(few, n, many->sql);

		if (!was || many->steps > was->steps + STEPS_GIVEN || many->scanned > was->scanned + STEPS_GIVEN)
			test_fail(__FILE__, __LINE__, "%d steps (%d scanned) with %d rows, %d (%d) with %d: %s", many->steps, many->scanned,
				MANY, was ? was->steps : 0, was ? was->scanned : 0, FEW, many->sql);
	}
	fixture_end(&f);
	sqlite3_cancel_auto_extension((void (*)(void))watch);
}

/* Recovery of what a lost folder leaves: on slow flash each slice is over soon, and the loop has its turn. */
TEST(slices_of_recovery_are_bounded_in_time)
{
	int64_t cursor = 0, before;
	struct fixture f;
	int r;

	CHECK_INT(sqlite3_auto_extension((void (*)(void))watch), SQLITE_OK);
	fixture_begin(&f);
	add_pages(&f, 1, 800);
	commits.n = 0;
	while ((r = delivery_reconcile(f.spool, &cursor)) > 0)
		;
	CHECK_INT(r, 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries WHERE done_ms IS NULL"), 400);
	CHECK(commits.n > 0 && commits.n <= 800 / 64 + 1);
	commits.fixture = &f;
	cursor = 0;
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE deliveries SET done_ms = 1", ""), 0);
	for (int i = 0; i < 2; i++) {
		before = commits.n;
		CHECK_INT(delivery_reconcile(f.spool, &cursor), 1);
		CHECK_INT(commits.n - before, 200 / 60 + 1);
	}
	/* Rows whose file is missing: a commit each. */
	do {
		before = commits.n;
		r = spool_reconcile(f.spool);
		CHECK(commits.n - before <= 200 / 60 + 1);
	} while (r > 0);
	CHECK_INT(r, 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'lost:%'"), 600);
	commits.fixture = NULL;
	fixture_end(&f);
	sqlite3_cancel_auto_extension((void (*)(void))watch);
}
