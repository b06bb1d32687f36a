#include "daemon/jpegcomment.h"
#include "tests/unit/daemon_fixture.h"

/* ---- damage to the database ------------------------------------------------------------------ */

/* Pages of a lost database are queued again. What was spent is no longer known: that is noted. */
static void check_queued(struct fixture *f, const struct page_row *p)
{
	struct page_row q;

	fixture_reconcile(f);
	CHECK_INT(fixture_sql(f, "SELECT value FROM meta WHERE key = 'rebuilt'"), 0);
	CHECK_INT(spool_ledger_lost(f->spool), 1);
	CHECK(!fixture_exists("", "damaged", ""));
	CHECK_INT(spool_page_find(f->spool, p->id, &q), 0);
	CHECK_INT(q.state, STATE_QUEUED);
	CHECK_STR(q.reason, "");
	CHECK_STR(q.sha256, p->sha256);
	CHECK_INT(q.bytes, p->bytes);
	CHECK_INT(q.width, 100);
	CHECK_INT(q.height, 200);
	CHECK_INT(q.accepted_ms, p->accepted_ms);
	CHECK_STR(q.source, p->source);
	CHECK_INT((int64_t)q.job->n_route, 2);
	CHECK_STR(q.job->json, p->job->json);
	CHECK_INT(spool_page_retry(f->spool, q.seq, NULL), 0);
}

static void check_rebuilt(struct fixture *f, const struct page_row *p)
{
	CHECK_INT(fixture_sql(f, "SELECT value FROM meta WHERE key = 'rebuilt'"), 1);
	check_queued(f, p);
}

static void start_with(struct fixture *f, struct page_row *p)
{
	fixture_begin(f);
	fixture_page(f, p);
	spool_close(f->spool);
	f->spool = NULL;
}

static void ends_rebuilt(struct fixture *f, struct page_row *p)
{
	fixture_freeze(f);
	p->job = f->job;
	check_rebuilt(f, p);
	fixture_end(f);
}

TEST(damage_garbage_is_set_aside)
{
	char garbage[5000];
	struct page_row p;
	struct fixture f;

	start_with(&f, &p);
	memset(garbage, 'x', sizeof(garbage));
	fixture_put("", "spool.db", garbage, sizeof(garbage));
	p.job = NULL;
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK(fixture_files("quarantine") >= 2); /* it and its reason */
	ends_rebuilt(&f, &p);
}

TEST(what_seemed_damaged_and_is_sound_stays)
{
	struct page_row p;
	struct fixture f;

	start_with(&f, &p);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK_INT(spool_mark_damaged(f.spool), 0);
	fixture_reopen(&f);
	CHECK(!fixture_exists("", "damaged", ""));
	CHECK_INT(fixture_files("quarantine"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'queued'"), 1);
	fixture_end(&f);
}

TEST(damage_found_while_running_is_set_aside_at_the_next_start)
{
	struct page_row p;
	struct fixture f;
	char path[256];
	int fd;

	start_with(&f, &p);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK_INT(spool_mark_damaged(f.spool), 0);
	spool_close(f.spool);
	f.spool = NULL;
	/* in the last page, which no start looks at by itself */
	fixture_path(path, "", "spool.db", "");
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, lseek(fd, 0, SEEK_END) - 4096), 8);
	close(fd);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	fixture_freeze(&f);
	CHECK(!fixture_exists("", "damaged", ""));
	p.job = f.job;
	check_rebuilt(&f, &p);
	fixture_reopen(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 1);
	fixture_end(&f);
}

TEST(damage_inside_the_file_is_noted)
{
	char zeros[4096] = {};
	struct page_row p;
	struct fixture f;
	char path[256];
	off_t size;
	int fd, r;

	start_with(&f, &p);
	fixture_path(path, "", "spool.db", "");
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	CHECK(size > 8 * 4096);
	/* all but the first page, where the header and the list of tables are */
	for (off_t at = 4096; at < size; at += 4096)
		CHECK_INT(pwrite(fd, zeros, sizeof(zeros), at), sizeof(zeros));
	close(fd);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	while ((r = spool_reconcile(f.spool)) > 0)
		;
	CHECK(r == 0 || (r == -EUCLEAN && fixture_exists("", "damaged", "")));
	fixture_reopen(&f);
	p.job = f.job;
	/* found when it was opened, or by the walk and set aside at the next start */
	check_queued(&f, &p);
	fixture_end(&f);
}

TEST(damage_a_missing_database_is_rebuilt)
{
	char path[256];
	struct page_row p;
	struct fixture f;

	start_with(&f, &p);
	fixture_path(path, "", "spool.db", "");
	CHECK_INT(unlink(path), 0);
	fixture_put("results", "x.json", "{}", 2);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	ends_rebuilt(&f, &p);
}

TEST(damage_an_empty_database_and_a_stray_wal)
{
	struct page_row p;
	struct fixture f;

	start_with(&f, &p);
	fixture_put("", "spool.db", "", 0);
	fixture_put("", "spool.db-wal", "stray", 5);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK(fixture_files("quarantine") >= 2);
	ends_rebuilt(&f, &p);
}

TEST(damage_a_database_of_another_program_is_set_aside)
{
	struct page_row p;
	struct fixture f;

	start_with(&f, &p);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "PRAGMA application_id = 1", ""), 0);
	fixture_reopen(&f);
	CHECK(fixture_files("quarantine") >= 2);
	fixture_end(&f);
}

TEST(rebuild_without_page_files_still_knows_that_the_ledger_is_lost)
{
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 0);
	CHECK_INT(spool_mark(f.spool, "asked for"), 0);
	fixture_reopen(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 1);
	fixture_reconcile(&f);
	fixture_reopen(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 1);
	CHECK_INT(spool_confirm(f.spool), 0);
	fixture_reopen(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 0);
	fixture_end(&f);
}

/* Each page has aged out or was dropped, and then the database goes: what was spent that day is not nothing. */
TEST(a_spool_that_was_used_knows_that_its_ledger_is_lost)
{
	struct fixture f;
	struct page_row p;
	char path[256];

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(keep_drop(f.spool, p.seq, "a test"), 0);
	CHECK_INT(fixture_files("pages") + fixture_files("results"), 0);
	spool_close(f.spool);
	f.spool = NULL;
	fixture_path(path, "", "spool.db", "");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	CHECK_INT(spool_ledger_lost(f.spool), 1);
	fixture_end(&f);
}

/* The name of one is that of the other's reason, in whatever order the folder gives them. */
TEST(what_is_set_aside_is_not_written_over_by_a_reason)
{
	_cleanup_buf_ struct buf text = BUF_MAX(100);
	char name[SHA256_HEX_SIZE];
	struct fixture f;

	fixture_begin(&f);
	fixture_put("pages", "scan.txt.reason", "first", 5);
	CHECK_INT(quarantine_move(f.spool, f.spool->pages, "scan.txt.reason", "a test"), 0);
	fixture_put("pages", "scan.txt", "second", 6);
	CHECK_INT(quarantine_move(f.spool, f.spool->pages, "scan.txt", "a test"), 0);
	CHECK_INT(fixture_files("quarantine"), 4);
	sha256_hex_of("scan.txt.reason", strlen("scan.txt.reason"), name);
	CHECK_INT(file_read(f.spool->quarantine, name, 100, &text), 0);
	CHECK_STR(buf_str(&text), "first");
	fixture_end(&f);
}

TEST(rebuild_holds_a_page_that_has_an_answer)
{
	char name[PAGE_ID_SIZE + 8];
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	str_format(name, sizeof(name), "%s.json", p.id);
	fixture_put("results", name, "{}", 2);
	CHECK_INT(spool_mark(f.spool, "asked for"), 0);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->rebuilt, 2);
	CHECK_INT(spool_reconciled(f.spool)->not_acknowledged, 0);
	CHECK_INT(spool_page_find(f.spool, p.id, &p), 0);
	CHECK_INT(p.state, STATE_HELD);
	CHECK(strstr(p.reason, "an answer is in results/"));
	CHECK_INT(spool_page_find(f.spool, q.id, &q), 0);
	CHECK_INT(q.state, STATE_QUEUED);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	fixture_end(&f);
}

/* Ids are of the same second or not, names in any order: the time of acceptance decides. */
TEST(rebuild_keeps_the_order_of_acceptance)
{
	enum { PAGES = 60 };
	char ids[PAGES][PAGE_ID_SIZE];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 0; i < PAGES; i++) {
		f.now = FIXTURE_NOW + i * 137;
		fixture_page(&f, &p);
		memcpy(ids[i], p.id, sizeof(p.id));
	}
	CHECK_INT(spool_mark(f.spool, "asked for"), 0);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->rebuilt, PAGES);
	for (int i = 0; i < PAGES; i++) {
		CHECK_INT(spool_page_get(f.spool, i + 1, &p), 0);
		CHECK_STR(p.id, ids[i]);
	}
	fixture_end(&f);
}

/* More names than one list holds. What is between first and last is one file of a newer version by many names: it is left. */
TEST(rebuild_of_many_goes_in_lists)
{
	_cleanup_buf_ struct buf jpeg = {}, file = {};
	struct page_row first, last, p;
	char name[PAGE_FILE_SIZE];
	struct fixture f;

	fixture_begin(&f);
	f.now = FIXTURE_NOW - 10000;
	fixture_page(&f, &first);
	f.now = FIXTURE_NOW + INT64_C(86400000) * 365;
	fixture_page(&f, &last);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 2);
	fixture_jpeg(&jpeg, 10);
	CHECK_INT(buf_add(&file, jpeg.data, 20), 0);
	CHECK_INT(jpeg_comment_segment("pageferry2 {}", &file), 0);
	CHECK_INT(buf_add(&file, jpeg.data + 20, jpeg.len - 20), 0);
	fixture_put("pages", "20300102T040000-000000.jpg", file.data, file.len);
	for (int i = 1; i < 9000; i++) {
		str_format(name, sizeof(name), "20300102T%02d%02d%02d-000000.jpg", 4 + i / 3600, i / 60 % 60, i % 60);
		CHECK_INT(linkat(f.spool->pages, "20300102T040000-000000.jpg", f.spool->pages, name, 0), 0);
	}
	spool_close(f.spool);
	f.spool = NULL;
	fixture_put("", "damaged", "x", 1);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->rebuilt, 2);
	CHECK_INT(f.spool->newer, 9000);
	CHECK_INT(fixture_files("pages"), 9002);
	CHECK_INT(spool_page_get(f.spool, 1, &p), 0);
	CHECK_STR(p.id, first.id);
	CHECK_INT(spool_page_get(f.spool, 2, &p), 0);
	CHECK_STR(p.id, last.id);
	fixture_end(&f);
}

/* Whoever wrote it knows what it says. It is neither changed nor moved. */
TEST(reconcile_leaves_a_page_file_of_a_newer_version)
{
	_cleanup_buf_ struct buf file = {}, after = {};
	char names[2][PAGE_FILE_SIZE];
	static const char *const old[] = {"pageferry1 ", "{\"v\":1"}, *const new[] = {"pageferry2 ", "{\"v\":2"};
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 0; i < 2; i++) {
		fixture_page(&f, &p);
		page_file_name(p.id, names[i]);
		CHECK_INT(file_read(f.spool->pages, names[i], 1 << 20, &file), 0);
		memcpy(memmem(file.data, file.len, old[i], strlen(old[i])), new[i], strlen(new[i]));
		fixture_put("pages", names[i], file.data, file.len);
	}
	CHECK_INT(db_exec(spool_db(f.spool), "DELETE FROM pages", ""), 0);
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(f.spool->newer, 2);
	CHECK_INT(fixture_files("quarantine"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 0);
	CHECK_INT(file_read(f.spool->pages, names[1], 1 << 20, &after), 0);
	CHECK(after.len == file.len && memcmp(after.data, file.data, file.len) == 0);
	fixture_end(&f);
}
