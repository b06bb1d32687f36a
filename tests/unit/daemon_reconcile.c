#include "daemon/jpegcomment.h"
#include "tests/unit/daemon_fixture.h"

/* ---- opening --------------------------------------------------------------------------------- */

TEST(open_is_exclusive)
{
	struct spool *second = NULL;
	struct spool_options o;
	struct fixture f;
	char why[256];

	fixture_begin(&f);
	o = (struct spool_options){.directory = test_tmpdir(), .clock = f.clock};
	CHECK_INT(spool_open(&o, &second, why, sizeof(why)), -EBUSY);
	CHECK(strstr(why, "in use by another pageferryd"));
	CHECK(!second);
	fixture_reopen(&f);
	fixture_end(&f);
}

TEST(open_refuses_a_newer_version)
{
	struct fixture f;
	struct page_row p;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool), "PRAGMA user_version = 4", ""), 0);
	spool_close(f.spool);
	f.spool = NULL;
	CHECK_INT(fixture_open_spool(&f, 0), -ENOTSUP);
	CHECK(strstr(f.why, "newer"));
	CHECK(fixture_exists("", "spool.db", ""));
	CHECK_INT(fixture_files("quarantine"), 0);
	fixture_end(&f);
}

TEST(open_needs_the_folder)
{
	struct spool_options o;
	struct fixture f;

	fixture_begin(&f);
	spool_close(f.spool);
	f.spool = NULL;
	o = (struct spool_options){.directory = "/nonexistent/spool", .clock = f.clock};
	CHECK_INT(spool_open(&o, &f.spool, f.why, sizeof(f.why)), -ENOENT);
	CHECK(strstr(f.why, "/nonexistent/spool"));
	fixture_end(&f);
}

TEST(open_raises_the_clocks_floor)
{
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	f.synchronised = true;
	fixture_page(&f, &p);
	CHECK_INT(p.accepted_trust, TIME_TRUSTED);
	/* A time server may be wrong. */
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM meta WHERE key = 'stamp_ms'"), 0);
	clock_learn_date(f.clock, FIXTURE_NOW, 100);
	fixture_page(&f, &p);
	CHECK_INT(fixture_sql(&f, "SELECT value FROM meta WHERE key = 'stamp_ms'"), FIXTURE_NOW - 86400000);
	spool_close(f.spool);
	clock_free(f.clock);
	f.synchronised = false;
	f.now = FIXTURE_NOW - 86400000 - 1000;
	CHECK_INT(clock_new(&fixture_clock, &f, &f.clock), 0);
	CHECK_INT(clock_trust(f.clock), TIME_PLAUSIBLE);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK_INT(clock_trust(f.clock), TIME_UNTRUSTED);
	fixture_freeze(&f);
	fixture_page(&f, &p); /* scanning goes on */
	CHECK_INT(p.accepted_trust, TIME_UNTRUSTED);
	fixture_end(&f);
}

/* ---- reconcile ------------------------------------------------------------------------------- */

TEST(reconcile_of_a_clean_spool_changes_nothing)
{
	const struct spool_reconciled *c;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	c = spool_reconciled(f.spool);
	CHECK_INT(c->tmp_removed + c->not_acknowledged + c->lost + c->attempts_crashed + c->quarantined, 0);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(spool_reconcile(f.spool), 0); /* and stays finished */
	fixture_end(&f);
}

TEST(reconcile_empties_tmp_but_for_pages_being_written)
{
	struct spool_meta m;
	struct spool_writer *w;
	_cleanup_buf_ struct buf jpeg = {};
	struct page_row p;
	struct fixture f;
	char path[256];

	fixture_begin(&f);
	m = fixture_meta(&f);
	for (int i = 0; i < 600; i++) {
		str_format(path, sizeof(path), "left-%d", i);
		fixture_put("tmp", path, "x", 1);
	}
	fixture_path(path, "tmp", "folder", "");
	CHECK_INT(mkdir(path, 0700), 0);
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	CHECK_INT(spool_reconcile(f.spool), 1); /* a slice at a time */
	CHECK(fixture_files("tmp") > 300);
	fixture_reconcile(&f);
	CHECK_INT(fixture_files("tmp"), 1);
	CHECK_INT(spool_reconciled(f.spool)->tmp_removed, 600);
	CHECK_INT(spool_reconciled(f.spool)->quarantined, 1);
	fixture_jpeg(&jpeg, 10);
	CHECK_INT(spool_page_write(w, jpeg.data, jpeg.len), 0);
	CHECK_INT(spool_page_commit(w, 1, 1, NULL, NULL, &p), 0);
	fixture_end(&f);
}

TEST(reconcile_a_row_without_its_file_is_lost)
{
	char name[PAGE_FILE_SIZE];
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	page_file_name(p.id, name);
	CHECK_INT(unlinkat(f.spool->pages, name, 0), 0);
	page_file_name(q.id, name);
	fixture_put("pages", name, "cut", 3);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->lost, 1);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_HELD);
	CHECK_STR(p.reason, "lost: its page file is missing");
	CHECK_INT(spool_page_get(f.spool, q.seq, &q), 0);
	CHECK_INT(q.state, STATE_HELD);
	CHECK(starts_with(q.reason, "damaged: its page file has 3 bytes"));
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), -ENOENT);
	CHECK_INT(spool_page_retry(f.spool, q.seq, NULL), -EBADMSG);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->lost, 0); /* told once */
	fixture_end(&f);
}

TEST(reconcile_a_file_without_its_row_is_not_acknowledged)
{
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool), "DELETE FROM pages", ""), 0);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->not_acknowledged, 1);
	CHECK_INT(spool_page_find(f.spool, p.id, &q), 0);
	CHECK_INT(q.state, STATE_HELD);
	CHECK(starts_with(q.reason, "not acknowledged: "));
	CHECK(q.seq > p.seq); /* an order is never given twice */
	CHECK_INT(f.spool->pages_bytes, p.bytes);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->not_acknowledged, 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 1);
	fixture_end(&f);
}

TEST(reconcile_sets_foreign_files_aside)
{
	_cleanup_buf_ struct buf jpeg = {}, text = {};
	char long_name[251], path[256];
	struct fixture f;

	fixture_begin(&f);
	fixture_jpeg(&jpeg, 100);
	fixture_put("pages", "notes.txt", "x", 1);
	fixture_put("pages", "20300102T030405-00000.jpg", "x", 1);
	fixture_put("pages", "20300102T030405-000000.jpg", jpeg.data,
		jpeg.len); /* a whole JPEG without our comment */
	fixture_put("pages", "20300102T030405-000001.jpg", "", 0);
	memset(long_name, 'n', sizeof(long_name));
	long_name[250] = 0;
	fixture_put("pages", long_name, "x", 1);
	fixture_path(path, "pages", "folder", "");
	CHECK_INT(mkdir(path, 0700), 0);
	fixture_path(path, "pages", "20300102T030405-000002.jpg", "");
	CHECK_INT(symlink("/etc/passwd", path), 0);
	fixture_put("quarantine", "notes.txt", "earlier", 7);
	fixture_reconcile(&f);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(spool_reconciled(f.spool)->quarantined, 7);
	CHECK(fixture_exists("quarantine", "notes.txt.1", ""));
	CHECK(fixture_exists("quarantine", "20300102T030405-000000.jpg", ".reason"));
	CHECK_INT(file_read(f.spool->quarantine, "notes.txt", 100, &text), 0);
	CHECK_STR(buf_str(&text), "earlier");
	CHECK_INT(file_read(f.spool->quarantine, "notes.txt.1.reason", 1000, &text), 0);
	CHECK(strstr(buf_str(&text), "found in pages/"));
	fixture_end(&f);
}

/* The comment speaks of another page, or of document types that are nowhere. */
TEST(reconcile_sets_files_aside_that_cannot_be_explained)
{
	_cleanup_buf_ struct buf file = {};
	char name[PAGE_FILE_SIZE];
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	page_file_name(p.id, name);
	CHECK_INT(file_read(f.spool->pages, name, 1 << 20, &file), 0);
	fixture_put("pages", "20300102T030405-zzzzzz.jpg", file.data, file.len);
	CHECK_INT(db_exec(spool_db(f.spool), "DELETE FROM pages WHERE seq = ?", "i", q.seq), 0);
	memcpy((char *)memmem(file.data, file.len, "\"typeset\":\"", 11) + 11, "0000", 4);
	page_file_name(q.id, name);
	fixture_put("pages", name, file.data, file.len);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->quarantined, 2);
	CHECK_INT(fixture_files("pages"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 1);
	fixture_end(&f);
}

TEST(reconcile_of_many_goes_in_slices)
{
	int slices = 0, r;
	struct fixture f;
	char name[64];

	fixture_begin(&f);
	for (int i = 0; i < 700; i++) {
		str_format(name, sizeof(name), "stray-%d", i);
		fixture_put("pages", name, "x", 1);
	}
	while ((r = spool_reconcile(f.spool)) > 0)
		slices++;
	CHECK_INT(r, 0);
	CHECK(slices >= 5);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(spool_reconciled(f.spool)->quarantined, 700);
	fixture_end(&f);
}

/* One a slice, as each may be written and synced. */
TEST(document_types_are_restored_in_slices)
{
	int slices = 0, before, r;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 1; i <= 5; i++) {
		char json[40], hash[SHA256_HEX_SIZE];

		str_format(json, sizeof(json), "[\"types %d\"]", i);
		sha256_hex_of(json, strlen(json), hash);
		CHECK_INT(db_exec(f.spool->db, "INSERT INTO typesets (hash, json) VALUES (?, ?)", "ss", hash, i == 3 ? "damaged" : json), 0);
	}
	before = fixture_files("types");
	CHECK(before >= 1);
	while ((r = spool_reconcile(f.spool)) > 0)
		slices++;
	CHECK_INT(r, 0);
	CHECK(slices >= before + 5);
	CHECK_INT(fixture_files("types"), before + 4);
	fixture_end(&f);
}
