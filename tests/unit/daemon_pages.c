#include "daemon/courier_due.h"
#include "tests/unit/daemon_fixture.h"

/* ---- jobs ------------------------------------------------------------------------------------ */

TEST(jobs_are_frozen_once)
{
	static const char *const route[] = {"sydney", "ocr"}, *const other[] = {"ocr"},
				 *const bad[] = {"No Name"};
	const struct spool_job *a, *b, *c, *none;
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(spool_job_freeze(f.spool, "auto", route, 2, f.types, &a), 0);
	CHECK(a == f.job);
	CHECK_INT(spool_job_freeze(f.spool, "auto", other, 1, f.types, &b), 0);
	CHECK(b->id != a->id);
	CHECK_INT(spool_job_freeze(f.spool, "universal", route, 2, f.types, &c), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM jobs"), 3);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM typesets"),
		1); /* of "auto" and "universal" it is the same here */
	CHECK_INT(fixture_files("types"), 1);
	CHECK_INT(spool_job_freeze(f.spool, "no-such", route, 2, f.types, &c), -ENOENT);
	CHECK_INT(spool_job_freeze(f.spool, "auto", bad, 1, f.types, &c), -EINVAL);
	CHECK_INT(spool_job_freeze(f.spool, "auto", route, 0, f.types, &c), -EINVAL);

	fixture_reopen(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM jobs"), 3);
	CHECK_STR(f.job->types->types[0]->name, "universal");
	CHECK(spool_job_by_id(f.spool, 999, &none) == 0 && !none);
	fixture_end(&f);
}

TEST(jobs_that_cannot_be_read_are_held_and_mended)
{
	static const char *const route[] = {"sydney"};
	const struct spool_job *j;
	struct spool_meta m;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(spool_job_freeze(f.spool, "universal", route, 1, f.types, &j), 0);
	m = fixture_meta(&f);
	m.job = j;
	CHECK_INT(fixture_try(&f, &m, &p), 0);
	CHECK_INT(
		db_exec(spool_db(f.spool), "UPDATE jobs SET json = '{\"v\":9}' WHERE id = ?", "i", j->id), 0);
	fixture_reopen(&f);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_STR(p.job->type, "unknown");
	CHECK(spool_job_by_id(f.spool, p.job->id, &j) == 0 && !j);
	fixture_reconcile(&f);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_HELD);
	CHECK_INT(spool_page_retry(f.spool, p.seq), -EBADMSG);
	CHECK_INT(spool_job_freeze(f.spool, "universal", route, 1, f.types, &j), 0);
	CHECK_STR(p.job->type, "universal");
	CHECK_INT((int64_t)p.job->n_route, 1);
	CHECK_INT(spool_page_retry(f.spool, p.seq), 0);
	fixture_end(&f);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static unsigned int sequence;
static void counted(void *out, size_t len)
{
	uint8_t *p = out;

	memset(p, 0, len);
	p[5] = (uint8_t)(sequence & 31);
	p[4] = (uint8_t)(sequence >> 5 & 31);
	sequence++;
}

TEST(find_by_a_start)
{
	struct page_row p, q, r;
	struct fixture f;

	fixture_begin(&f);
	sequence = 0;
	f.spool->random = counted;
	fixture_page(&f, &p); /* -000000 */
	fixture_page(&f, &q); /* -000001 */
	f.now += 1000;
	fixture_page(&f, &r); /* a second later, -000002 */
	CHECK_INT(spool_page_find(f.spool, "20300102T030406", &p), 0);
	CHECK_STR(p.id, r.id);
	CHECK_INT(spool_page_find(f.spool, "20300102T030405", &p), -ENOTUNIQ);
	CHECK_INT(spool_page_find(f.spool, q.id, &p), 0);
	CHECK_STR(p.id, q.id);
	CHECK_INT(spool_page_find(f.spool, "203", &p), -ENOENT);
	CHECK_INT(spool_page_find(f.spool, "2031", &p), -ENOENT);
	CHECK_INT(spool_page_find(f.spool, "%%%%", &p), -ENOENT);
	CHECK_INT(spool_page_find(f.spool, "", &p), -ENOENT);
	CHECK_INT(spool_page_get(f.spool, 99, &p), -ENOENT);
	fixture_end(&f);
}

TEST(list_pages_by_page)
{
	struct page_row rows[8], p;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 0; i < 7; i++)
		fixture_page(&f, &p);
	CHECK_INT(spool_page_hold(f.spool, 2, "why"), 0);
	CHECK_INT(spool_page_hold(f.spool, 5, "why"), 0);
	CHECK_INT(spool_page_list(f.spool, -1, 0, rows, 3), 3);
	CHECK_INT(rows[0].seq, 7);
	CHECK_INT(rows[2].seq, 5);
	CHECK_INT(spool_page_list(f.spool, -1, 5, rows, 8), 4);
	CHECK_INT(rows[0].seq, 4);
	CHECK_INT(rows[3].seq, 1);
	CHECK_INT(spool_page_list(f.spool, -1, 1, rows, 8), 0);
	CHECK_INT(spool_page_list(f.spool, STATE_HELD, 0, rows, 8), 2);
	CHECK_INT(rows[0].seq, 5);
	CHECK_INT(rows[1].seq, 2);
	CHECK_INT(spool_page_list(f.spool, STATE_HELD, 5, rows, 8), 1);
	CHECK_INT(spool_page_list(f.spool, -1, 0, rows, 0), 0);
	fixture_end(&f);
}

TEST(hold_and_retry)
{
	struct spool_counts n;
	struct page_row p;
	struct fixture f;
	char reason[1000];

	fixture_begin(&f);
	fixture_page(&f, &p);
	memset(reason, 'r', sizeof(reason));
	reason[999] = 0;
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(n.queued, 1);
	CHECK_INT(spool_page_hold(f.spool, p.seq, reason), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_HELD);
	CHECK_INT((int64_t)strlen(p.reason), sizeof(p.reason) - 1);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(n.queued, 0);
	CHECK_INT(n.held, 1);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET rung = 1, tries = 3, tried_ms = 9", ""), 0);
	CHECK_INT(spool_page_retry(f.spool, p.seq), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(p.rung + p.tries + p.tried_ms, 0);
	CHECK_STR(p.reason, "");
	CHECK_INT(
		db_exec(spool_db(f.spool), "UPDATE pages SET version = 1, state = 'held', reason = 'x'", ""),
		0);
	CHECK_INT(spool_page_retry(f.spool, p.seq), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED); /* whoever gave that answer is asked again too */
	CHECK_INT(p.version, 1);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = 'provisional', tries = 2", ""), 0);
	CHECK_INT(spool_page_retry(f.spool, p.seq), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_PROVISIONAL);
	CHECK_INT(p.tries, 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = 'done'", ""), 0);
	CHECK_INT(spool_page_retry(f.spool, p.seq), -EALREADY);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "x"), -EALREADY);
	CHECK_INT(spool_page_hold(f.spool, 77, "x"), -ENOENT);
	CHECK_INT(spool_page_retry(f.spool, 77), -ENOENT);
	fixture_end(&f);
}

TEST(release_what_was_held_by_hand)
{
	struct spool_counts n;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(spool_page_release(f.spool, p.seq), -EALREADY);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "not by hand: x"), 0);
	CHECK_INT(spool_page_release(f.spool, p.seq), -EPERM);
	CHECK_INT(spool_page_hold(f.spool, p.seq, HELD_BY_HAND " x"), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET rung = 1, tries = 3, tried_ms = 9", ""), 0);
	CHECK_INT(spool_page_release(f.spool, p.seq), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(p.rung, 1);
	CHECK_INT(p.tries, 3);
	CHECK_INT(p.tried_ms, 9);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET version = 1", ""), 0);
	CHECK_INT(spool_page_hold(f.spool, p.seq, HELD_BY_HAND " x"), 0);
	CHECK_INT(spool_page_release(f.spool, p.seq), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_PROVISIONAL);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(n.provisional, 1);
	CHECK_INT(n.queued + n.held, 0);
	CHECK_INT(spool_page_release(f.spool, 77), -ENOENT);
	fixture_end(&f);
}

TEST(reroute_keeps_what_cannot_be_read)
{
	static const char *const route[] = {"ocr"};
	const struct spool_job *other;
	char name[PAGE_FILE_SIZE];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(spool_job_freeze(f.spool, "auto", route, 1, f.types, &other), 0);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "no-backend: x"), 0);
	CHECK_INT(spool_page_reroute(f.spool, p.seq, other), 0);
	fixture_reopen(&f);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT((int64_t)p.job->n_route, 1);
	CHECK_STR(p.job->route[0], "ocr");
	page_file_name(p.id, name);
	CHECK_INT(unlinkat(f.spool->pages, name, 0), 0);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "lost: x"), 0);
	CHECK_INT(spool_page_reroute(f.spool, p.seq, f.job), -ENOENT);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_STR(p.job->route[0], "ocr");
	CHECK_STR(p.reason, "lost: x");
	fixture_end(&f);
}

TEST(find_what_is_gone)
{
	struct spool_gone g;
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO gone VALUES (5, '20300102T030405-aaaaaa', '', 1, 2000, 'aged out'),"
			  " (6, '20300102T030405-aaaaab', '', 1, 2, 'dropped')",
			  ""),
		0);
	CHECK_INT(spool_gone_find(f.spool, "20300102T030405-aaaaaa", &g), 0);
	CHECK_INT(g.seq, 5);
	CHECK_STR(g.id, "20300102T030405-aaaaaa");
	CHECK_STR(g.reason, "aged out");
	CHECK_INT(g.gone_ms, 2000);
	CHECK_INT(spool_gone_find(f.spool, "2030", &g), -ENOTUNIQ);
	CHECK_INT(spool_gone_find(f.spool, "20300102T030405-aaaaab", &g), 0);
	CHECK_INT(spool_gone_find(f.spool, "203", &g), -ENOENT);
	CHECK_INT(spool_gone_find(f.spool, "2031", &g), -ENOENT);
	CHECK_INT(spool_gone_find(f.spool, "20300102T030405-aaaaabc", &g), -ENOENT);
	fixture_end(&f);
}

TEST(counts_kept_are_counts_counted)
{
	struct spool_counts kept, counted_now;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(spool_counts(f.spool, &kept), 0);
	for (int i = 0; i < 5; i++)
		fixture_page(&f, &p);
	CHECK_INT(spool_page_hold(f.spool, 1, "x"), 0);
	CHECK_INT(spool_page_hold(f.spool, 1, "y"), 0);
	CHECK_INT(spool_page_hold(f.spool, 2, "x"), 0);
	CHECK_INT(spool_page_retry(f.spool, 2), 0);
	CHECK_INT(spool_counts(f.spool, &kept), 0);
	spool_counts_forget(f.spool);
	CHECK_INT(spool_counts(f.spool, &counted_now), 0);
	CHECK(memcmp(&kept, &counted_now, sizeof(kept)) == 0);
	CHECK_INT(kept.queued, 4);
	CHECK_INT(kept.held, 1);
	fixture_end(&f);
}

TEST(page_file_is_checked_when_opened)
{
	char name[PAGE_FILE_SIZE];
	struct page_row p;
	struct fixture f;
	int fd;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fd = spool_page_open(f.spool, &p);
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	page_file_name(p.id, name);
	fixture_put("pages", name, "short", 5);
	CHECK_INT(spool_page_open(f.spool, &p), -EBADMSG);
	CHECK_INT(unlinkat(f.spool->pages, name, 0), 0);
	CHECK_INT(symlinkat("/etc/passwd", f.spool->pages, name), 0);
	CHECK_INT(spool_page_open(f.spool, &p), -ELOOP);
	fixture_end(&f);
}

/* ---- many pages: the due order is read off the index ----------------------------------------- */

static bool plan_has(struct fixture *f, const char *sql, const char *types, const char *what)
{
	bool found = false;
	struct stmt *st;

	if (streq(types, "siiii"))
		CHECK_INT(db_query(spool_db(f->spool), &st, sql, types, "queued", (int64_t)0, (int64_t)1,
				  (int64_t)0, (int64_t)0),
			0);
	else
		CHECK_INT(db_query(spool_db(f->spool), &st, sql, types), 0);
	while (stmt_next(st) > 0)
		found |= strstr(stmt_text(st, 3), what) != NULL;
	return found;
}

TEST(head_of_many_is_read_off_the_index)
{
	/* as in courier_due.c */
	static const char head[] =
		"EXPLAIN QUERY PLAN SELECT p.seq, a.backend FROM pages p INDEXED BY pages_due"
		" LEFT JOIN results r ON r.page = p.seq AND r.version = p.version LEFT JOIN attempts a ON a.id = r.attempt"
		" WHERE p.state = ? AND p.lane = ? AND p.job = ? AND p.rung = ? AND p.tries = ?"
		" ORDER BY p.tried_ms, p.seq LIMIT 1";
	static const char due[] =
		"EXPLAIN QUERY PLAN SELECT d.id FROM deliveries d CROSS JOIN pages p ON p.seq = d.page"
		" CROSS JOIN results r ON r.page = d.page AND r.version = d.version"
		" WHERE d.done_ms IS NULL AND d.sink = 'results' ORDER BY d.tries, d.tried_ms, d.id LIMIT 1";
	struct due_class k = {.state = STATE_QUEUED, .lane = -1};
	struct due_page first[2];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
			  " INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, "
			  "accepted_trust, source,"
			  " sha256, bytes, width, height, tried_ms) SELECT 'p' || i, 1, i, 1, 0, 'queued', "
			  "i, 'trusted', 'file', 'x',"
			  " 1, 1, 1, 20000 - i FROM n",
			  ""),
		0);
	CHECK(plan_has(&f, head, "siiii", "USING COVERING INDEX pages_due") ||
		plan_has(&f, head, "siiii", "USING INDEX pages_due"));
	CHECK(!plan_has(&f, head, "siiii", "TEMP B-TREE"));
	CHECK(plan_has(&f, due, "", "deliveries_due"));
	CHECK(!plan_has(&f, due, "", "TEMP B-TREE"));
	CHECK_INT(due_class_next(f.spool, &k), 1);
	CHECK_INT(due_pages(f.spool, &k, first, 2), 2);
	CHECK_INT(first[0].tried_ms, 0);
	CHECK_INT(first[0].seq, 1);
	CHECK_INT(first[1].seq, 20001);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET tried_ms = 50000 WHERE seq IN (1, 20001)", ""),
		0);
	CHECK_INT(due_pages(f.spool, &k, first, 2), 2);
	CHECK_INT(first[0].seq, 20000);
	CHECK_INT(due_class_next(f.spool, &k), 0);
	fixture_end(&f);
}
