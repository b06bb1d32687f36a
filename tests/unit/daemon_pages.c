#include "daemon/courier_due.h"
#include "tests/unit/daemon_fixture.h"

/* ---- jobs ------------------------------------------------------------------------------------ */

TEST(jobs_are_frozen_once)
{
	static const char *const route[] = {"sydney", "ocr"}, *const other[] = {"ocr"},
				 *const bad[] = {"No Name"}, *const nine[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
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
	CHECK_INT(spool_job_freeze(f.spool, "auto", nine, 9, f.types, &c), -EINVAL);
	CHECK_INT(spool_job_freeze(f.spool, "auto", nine, 8, f.types, &c), 0);
	CHECK_INT(spool_job_freeze(f.spool, "a-name-of-thirty-three-characters", route, 2, f.types, &c), -EINVAL);

	fixture_reopen(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM jobs"), 4);
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
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), -EBADMSG);
	CHECK_INT(spool_job_freeze(f.spool, "universal", route, 1, f.types, &j), 0);
	CHECK_STR(p.job->type, "universal");
	CHECK_INT((int64_t)p.job->n_route, 1);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	fixture_end(&f);
}

/* Two that cannot be read, of which one is asked for again: the other stays as it is. */
TEST(jobs_are_mended_one_by_one)
{
	static const char *const routes[][1] = {{"sydney"}, {"ocr"}};
	const struct spool_job *j[2], *none;
	struct fixture f;

	fixture_begin(&f);
	for (size_t i = 0; i < 2; i++)
		CHECK_INT(spool_job_freeze(f.spool, "universal", routes[i], 1, f.types, &j[i]), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE jobs SET json = 'x' || json WHERE id IN (?, ?)", "ii", j[0]->id, j[1]->id), 0);
	fixture_reopen(&f);
	for (int64_t id = f.job->id + 1; id <= f.job->id + 2; id++)
		CHECK(spool_job_by_id(f.spool, id, &none) == 0 && !none);
	CHECK_INT(spool_job_freeze(f.spool, "universal", routes[1], 1, f.types, &j[1]), 0);
	CHECK_INT(j[1]->id, f.job->id + 2);
	CHECK_STR(j[1]->route[0], "ocr");
	CHECK(spool_job_by_id(f.spool, f.job->id + 1, &none) == 0 && !none);
	fixture_end(&f);
}

/* types/ is for a rebuild: what is there in its place is written over. */
TEST(types_are_written_again)
{
	static const char *const wrong[] = {"", "x"};
	_cleanup_buf_ struct buf was = {}, is = {};
	char name[SHA256_HEX_SIZE + 8], path[256];
	struct fixture f;

	fixture_begin(&f);
	str_format(name, sizeof(name), "%.64s.json", strstr(f.job->json, "\"typeset\":\"") + strlen("\"typeset\":\""));
	CHECK_INT(file_read(f.spool->types, name, 1 << 20, &was), 0);
	for (size_t i = 0; i < 3; i++) {
		_cleanup_buf_ struct buf same_length = {};

		CHECK_INT(buf_add(&same_length, was.data, was.len), 0);
		same_length.data[1] = '?';
		fixture_put("types", name, i < 2 ? wrong[i] : same_length.data, i < 2 ? strlen(wrong[i]) : was.len);
		fixture_reopen(&f);
		CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM jobs"), 1);
		CHECK_INT(file_read(f.spool->types, name, 1 << 20, &is), 0);
		CHECK_STR(buf_str(&is), buf_str(&was));
	}
	fixture_path(path, "types", name, "");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(mkdir(path, 0750), 0);
	fixture_reopen(&f);
	CHECK_INT(file_read(f.spool->types, name, 1 << 20, &is), 0);
	CHECK_STR(buf_str(&is), buf_str(&was));
	CHECK_INT(fixture_files("quarantine"), 2);
	fixture_end(&f);
}

/* Of the database, when nothing is asked for: but not from a row that is damaged. */
TEST(types_are_written_by_recovery)
{
	char name[SHA256_HEX_SIZE + 8], path[256];
	struct fixture f;

	fixture_begin(&f);
	str_format(name, sizeof(name), "%.64s.json", strstr(f.job->json, "\"typeset\":\"") + strlen("\"typeset\":\""));
	fixture_path(path, "types", name, "");
	CHECK_INT(unlink(path), 0);
	fixture_reconcile(&f);
	CHECK(fixture_exists("types", name, ""));
	CHECK_INT(unlink(path), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE typesets SET json = 'x' || json", ""), 0);
	f.spool->reconcile.phase = PHASE_TMP;
	fixture_reconcile(&f);
	CHECK(!fixture_exists("types", name, ""));
	fixture_end(&f);
}

/* An index that does not have what was written a moment ago: that is said, and nothing is made of it. */
TEST(rows_that_are_not_there_after_they_were_written)
{
	static const char *const route[] = {"ocr"};
	const struct spool_job *j = NULL;
	struct spool_meta m;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "CREATE TEMP TRIGGER no AFTER INSERT ON main.documents BEGIN DELETE FROM documents WHERE id = new.id; END", ""),
		0);
	CHECK_INT(fixture_try(&f, &m, NULL), -EIO);
	CHECK_INT(fixture_files("pages") + fixture_files("tmp"), 0);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "CREATE TEMP TRIGGER none AFTER INSERT ON main.jobs BEGIN DELETE FROM jobs WHERE id = new.id; END", ""),
		0);
	CHECK_INT(spool_job_freeze(f.spool, "auto", route, 1, f.types, &j), -EIO);
	CHECK(!j);
	fixture_end(&f);
}

/* ---- rows ------------------------------------------------------------------------------------ */

TEST(ids_and_nothing_else)
{
	CHECK(page_id_valid("20300102T030405-a0z9bc"));
	CHECK(!page_id_valid("20300102T030405-a0z9b"));
	CHECK(!page_id_valid("2030010xT030405-a0z9bc"));
	CHECK(!page_id_valid("2030010/T030405-a0z9bc"));
	CHECK(!page_id_valid("20300102t030405-a0z9bc"));
	CHECK(!page_id_valid("20300102T030405/a0z9bc"));
	CHECK(!page_id_valid("20300102T030405-a0Z9bc"));
	CHECK(!page_id_valid("20300102T030405-a0z9b~"));
	CHECK(!page_id_valid("20300102T030405-a0z9b/"));
}

TEST(text_is_cut_between_characters)
{
	char out[6];

	text_cut(out, sizeof(out), "abcde");
	CHECK_STR(out, "abcde");
	text_cut(out, sizeof(out), "abcdef");
	CHECK_STR(out, "abcde");
	text_cut(out, sizeof(out), "abc\xe2\x82\xac");
	CHECK_STR(out, "abc");
	text_cut(out, sizeof(out), "\x80\x80\x80\x80\x80\x80\x80");
	CHECK_STR(out, "");
}

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
	CHECK_INT(spool_page_find(f.spool, "20300102T030405-0000000000", &p), -ENOENT);
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
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(p.rung + p.tries + p.tried_ms, 0);
	CHECK_STR(p.reason, "");
	CHECK_INT(
		db_exec(spool_db(f.spool), "UPDATE pages SET version = 1, state = 'held', reason = 'x'", ""),
		0);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED); /* whoever gave that answer is asked again too */
	CHECK_INT(p.version, 1);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = 'provisional', tries = 2", ""), 0);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_PROVISIONAL);
	CHECK_INT(p.tries, 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = 'done'", ""), 0);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), -EALREADY);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "x"), -EALREADY);
	CHECK_INT(spool_page_hold(f.spool, 77, "x"), -ENOENT);
	CHECK_INT(spool_page_retry(f.spool, 77, NULL), -ENOENT);
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
	CHECK_INT(spool_page_retry(f.spool, p.seq, other), 0);
	fixture_reopen(&f);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT((int64_t)p.job->n_route, 1);
	CHECK_STR(p.job->route[0], "ocr");
	page_file_name(p.id, name);
	CHECK_INT(unlinkat(f.spool->pages, name, 0), 0);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "lost: x"), 0);
	CHECK_INT(spool_page_retry(f.spool, p.seq, f.job), -ENOENT);
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
	CHECK_INT(spool_page_retry(f.spool, 2, NULL), 0);
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
	CHECK_INT(spool_page_open(f.spool, &(struct page_row){.id = "../spool.db"}), -EBADMSG);
	CHECK_INT(spool_page_open(f.spool, &(struct page_row){.id = "20300102T030405-zzzzzz", .aged_out = true}), -ENODATA);
	fixture_put("pages", name, "short", 5);
	CHECK_INT(spool_page_open(f.spool, &p), -EBADMSG);
	fd = openat(f.spool->pages, name, O_RDONLY | O_CLOEXEC);
	CHECK_INT(spool_page_verify(fd, &p), -EBADMSG);
	close(fd);
	CHECK_INT(spool_page_verify(f.spool->pages, &p), -EISDIR);
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
