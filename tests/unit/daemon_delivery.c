#include "base/json.h"
#include "daemon/delivery.h"
#include "tests/unit/daemon_fixture.h"

/* A result version as ledger_close() leaves it. */
static void result(struct fixture *f, const struct page_row *p, int64_t version)
{
	char json[100];

	str_format(json, sizeof(json), "{\"pageferry\":1,\"version\":%lld}", (long long)version);
	CHECK_INT(db_exec(spool_db(f->spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd)"
			  " VALUES (?, 'b', 1, 'trusted', 0)",
			  "i", p->seq),
		0);
	CHECK_INT(db_exec(spool_db(f->spool),
			  "INSERT INTO results (page, version, attempt, authoritative, type, created_ms, "
			  "json, raw)"
			  " VALUES (?, ?, ?, 1, 't', 1, ?, '')",
			  "iiis", p->seq, version, db_last_id(spool_db(f->spool)), json),
		0);
	CHECK_INT(db_exec(spool_db(f->spool),
			  "INSERT INTO deliveries (page, version, sink) VALUES (?, ?, 'results')", "ii",
			  p->seq, version),
		0);
	CHECK_INT(db_exec(spool_db(f->spool), "UPDATE pages SET version = ? WHERE seq = ?", "ii", version,
			  p->seq),
		0);
}

static void check_file(struct fixture *f, const struct page_row *p, int64_t version)
{
	_cleanup_buf_ struct buf text = {};
	_cleanup_json_ cJSON *j = NULL;
	char name[64];
	int64_t v;

	str_format(name, sizeof(name), "%s.json", p->id);
	CHECK_INT(file_read(f->spool->results, name, 4096, &text), 0);
	CHECK(text.len > 0 && text.data[text.len - 1] == '\n');
	CHECK_INT(json_parse(text.data, text.len, &j, NULL), 0);
	CHECK_INT(json_get_i64(j, "version", &v), 0);
	CHECK_INT(v, version);
}

static void count(void *ud, const char *page, int64_t version, const char *sink)
{
	CHECK_STR(sink, "results");
	*(int64_t *)ud += version;
}

TEST(results_are_delivered_once)
{
	int64_t told = 0;
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	result(&f, &p, 1);
	result(&f, &q, 1);
	CHECK_INT(delivery_run(f.spool, 1, count, &told), 1);
	CHECK_INT(told, 1);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 2);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 2);
	check_file(&f, &p, 1);
	check_file(&f, &q, 1);
	CHECK_INT(fixture_files("results"), 2);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries WHERE done_ms IS NULL"), 0);
	fixture_end(&f);
}

TEST(a_superseded_version_is_not_written_over_the_newer)
{
	int64_t told = 0;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	result(&f, &p, 1);
	result(&f, &p, 2);
	/* the newer first, as after a failure of the older */
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE deliveries SET tries = 3 WHERE version = 1", ""), 0);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 2);
	check_file(&f, &p, 2);
	result(&f, &p, 3);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	check_file(&f, &p, 3);
	fixture_end(&f);
}

TEST(a_failure_keeps_the_row)
{
	int64_t told = 0;
	struct page_row p;
	struct fixture f;
	char name[300];

	fixture_begin(&f);
	fixture_page(&f, &p);
	result(&f, &p, 1);
	/* the folder is gone while we have it open */
	fixture_path(name, "results", "", "");
	CHECK_INT(rmdir(name), 0);
	CHECK(delivery_run(f.spool, 10, count, &told) < 0);
	CHECK_INT(told, 0);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries WHERE done_ms IS NULL AND tries = 1 AND "
				  "error IS NOT NULL"),
		1);
	fixture_reopen(&f);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 1);
	check_file(&f, &p, 1);
	fixture_end(&f);
}

TEST(what_is_in_the_place_of_a_result_is_set_aside)
{
	int64_t told = 0;
	struct page_row p;
	struct fixture f;
	char name[300];

	fixture_begin(&f);
	fixture_page(&f, &p);
	result(&f, &p, 1);
	fixture_path(name, "results", p.id, ".json");
	CHECK_INT(mkdir(name, 0700), 0);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 1);
	check_file(&f, &p, 1);
	CHECK_INT(fixture_files("quarantine"), 2);
	fixture_end(&f);
}

TEST(a_damaged_result_does_not_stop_the_others)
{
	int64_t told = 0;
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	result(&f, &p, 1);
	result(&f, &q, 1);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE results SET json = '{' WHERE page = 1", ""), 0);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 1);
	check_file(&f, &q, 1);
	CHECK_INT(fixture_files("results"), 1);
	fixture_end(&f);
}

TEST(missing_exports_are_made_again)
{
	int64_t told = 0, cursor = 0, slices = 0;
	char name[64];
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	result(&f, &p, 1);
	result(&f, &p, 2);
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	while (delivery_reconcile(f.spool, &cursor) > 0)
		slices++;
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 2); /* nothing was missing */
	str_format(name, sizeof(name), "%s.json", p.id);
	CHECK_INT(unlinkat(f.spool->results, name, 0), 0);
	cursor = 0;
	while (delivery_reconcile(f.spool, &cursor) > 0)
		slices++;
	CHECK_INT(delivery_run(f.spool, 10, count, &told), 0);
	CHECK_INT(told, 4);
	check_file(&f, &p, 2);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries"), 2);
	fixture_end(&f);
}

TEST(many_exports_are_looked_at_in_slices)
{
	int64_t cursor = 0;
	int slices = 0;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
			  " INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, "
			  "accepted_trust, source,"
			  " sha256, bytes, width, height) SELECT 'p' || i, 1, i, 1, 0, 'queued', i, "
			  "'trusted', 'file', 'x', 1, 1, 1"
			  " FROM n",
			  ""),
		0);
	while (delivery_reconcile(f.spool, &cursor) > 0)
		CHECK(++slices < 100);
	CHECK_INT(slices, 3);
	CHECK_INT(cursor, 1001);
	fixture_end(&f);
}
