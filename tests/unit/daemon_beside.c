/* What lies beside a page's file: it comes whole or not at all, goes with the file, and never stands in a page's way. */
#include "daemon/beside.h"
#include "tests/unit/daemon_fixture.h"

#include <sys/syscall.h>

static int synced;

int fsync(int fd)
{
	synced++;
	return (int)syscall(SYS_fsync, fd);
}

static const char content[] = "what came from the camera";

static void hash_of(const void *data, size_t len, char hex[static SHA256_HEX_SIZE])
{
	sha256_hex_of(data, len, hex);
}

static int put(struct fixture *f, const char *id, enum beside_kind k)
{
	char hex[SHA256_HEX_SIZE];
	struct beside_writer *w;
	int r = beside_begin(f->spool, id, k, &w);

	if (r < 0)
		return r;
	hash_of(content, sizeof(content), hex);
	CHECK_INT(beside_write(w, content, 10), 0);
	CHECK_INT(beside_write(w, content + 10, sizeof(content) - 10), 0);
	return beside_commit(w, hex);
}

static int64_t both(struct fixture *f, const char *id)
{
	return beside_size(f->spool, id, BESIDE_THUMBNAIL) + beside_size(f->spool, id, BESIDE_ORIGINAL);
}

TEST(it_comes_whole_or_not_at_all)
{
	struct beside_writer *w;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	CHECK_INT(beside_begin(f.spool, p.id, BESIDE_ORIGINAL, &w), 0);
	CHECK_INT(beside_write(w, content, 10), 0);
	CHECK_INT(fixture_files("tmp"), 1);
	beside_abort(w);
	CHECK_INT(beside_begin(f.spool, p.id, BESIDE_ORIGINAL, &w), 0);
	CHECK_INT(beside_write(w, content, 10), 0);
	CHECK_INT(beside_commit(w, p.sha256), -EBADMSG); /* another content */
	CHECK_INT(fixture_files("tmp") + fixture_files("beside"), 0);
	CHECK_INT(f.spool->beside_bytes, 0);
	CHECK_INT(put(&f, p.id, BESIDE_ORIGINAL), 0);
	CHECK_INT(put(&f, p.id, BESIDE_THUMBNAIL), 0);
	CHECK(put(&f, p.id, BESIDE_THUMBNAIL) < 0); /* once */
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(both(&f, p.id), 2 * sizeof(content));
	CHECK_INT(f.spool->beside_bytes, 2 * sizeof(content));
	fixture_end(&f);
}

/* A page that is dropped, or whose file ages out, takes it along. */
TEST(it_goes_with_the_page)
{
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	CHECK_INT(put(&f, p.id, BESIDE_ORIGINAL), 0);
	CHECK_INT(put(&f, p.id, BESIDE_THUMBNAIL), 0);
	CHECK_INT(put(&f, q.id, BESIDE_ORIGINAL), 0);
	CHECK_INT(keep_drop(f.spool, p.seq, "dropped"), 0);
	CHECK_INT(both(&f, p.id), 0);
	CHECK_INT(fixture_files("beside"), 1);
	CHECK_INT(f.spool->beside_bytes, sizeof(content));
	/* Done long ago. */
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome, billed)"
			  " VALUES (?, 'b', 1, 'trusted', 0, 2, 'done', 'no')",
			  "i", q.seq),
		0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = 'done', kept_ms = 1 WHERE seq = ?", "i", q.seq), 0);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO meta (key, value) VALUES ('keep_ms', '900000000') ON CONFLICT (key) DO UPDATE SET value = '900000000'",
			  ""),
		0);
	CHECK_INT(keep_run(f.spool, &(struct keep_options){.pages_ms = 1000}, 10), 1);
	CHECK(!fixture_exists("pages", q.id, ".jpg"));
	CHECK_INT(fixture_files("beside"), 0);
	CHECK_INT(f.spool->beside_bytes, 0);
	fixture_end(&f);
}

TEST(a_start_puts_it_in_order)
{
	struct page_row p, q;
	struct fixture f;
	char name[64];

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	fixture_page(&f, &q);
	CHECK_INT(put(&f, p.id, BESIDE_ORIGINAL), 0);
	CHECK_INT(keep_drop(f.spool, q.seq, "dropped"), 0);
	str_format(name, sizeof(name), "%s.original.jpg", q.id);
	fixture_put("beside", name, "x", 1); /* a crash after the commit left it */
	fixture_put("beside", "20300102T030405-zzzzzz.thumbnail.jpg", "x", 1);
	fixture_put("beside", "notes.txt", "x", 1);
	fixture_reopen(&f);
	CHECK_INT(f.spool->beside_bytes, 0);
	fixture_reconcile(&f);
	CHECK_INT(fixture_files("beside"), 1);
	CHECK_INT(both(&f, p.id), sizeof(content));
	CHECK_INT(f.spool->beside_bytes, sizeof(content));
	CHECK(fixture_exists("quarantine", "notes.txt", ""));
	CHECK(fixture_exists("quarantine", "20300102T030405-zzzzzz.thumbnail.jpg", ""));
	CHECK(!fixture_exists("quarantine", name, ""));
	CHECK_INT(spool_reconciled(f.spool)->leftovers, 1);
	fixture_end(&f);
}

/* The database is lost: the page has its row again, and what lies beside it stays. */
TEST(a_rebuild_leaves_it)
{
	struct page_row p;
	struct fixture f;
	char path[256];

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	CHECK_INT(put(&f, p.id, BESIDE_THUMBNAIL), 0);
	spool_close(f.spool);
	f.spool = NULL;
	fixture_path(path, "", "spool.db", "");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	fixture_reconcile(&f);
	CHECK_INT(spool_page_find(f.spool, p.id, &p), 0);
	CHECK_INT(both(&f, p.id), sizeof(content));
	CHECK_INT(f.spool->beside_bytes, sizeof(content));
	fixture_end(&f);
}

TEST(it_counts_for_the_cap_and_is_not_kept_without_room)
{
	struct page_row p;
	struct fixture f;
	char why[200];

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	f.spool->cap_bytes = p.bytes + (INT64_C(4) << 20) + (int64_t)sizeof(content) - 1;
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), 0);
	CHECK_INT(put(&f, p.id, BESIDE_THUMBNAIL), 0);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -EDQUOT);
	CHECK_INT(put(&f, p.id, BESIDE_ORIGINAL), -EDQUOT);
	CHECK_INT(fixture_files("tmp"), 0);
	fixture_end(&f);
}

/* An original is large: what has come of it counts already. */
TEST(the_cap_is_heeded_while_it_arrives)
{
	static const char piece[1 << 20];
	struct beside_writer *w;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	f.spool->cap_bytes = p.bytes + (INT64_C(8) << 20) - 1; /* a page's room, and not quite as much again */
	CHECK_INT(beside_begin(f.spool, p.id, BESIDE_ORIGINAL, &w), 0);
	for (int i = 0; i < 4; i++)
		CHECK_INT(beside_write(w, piece, sizeof(piece)), 0);
	CHECK_INT(beside_write(w, piece, sizeof(piece)), -EDQUOT);
	beside_abort(w);
	fixture_end(&f);
}

/* No one sync of an original is long. */
TEST(it_is_synced_piece_by_piece)
{
	static const char piece[1 << 20];
	struct beside_writer *w;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	CHECK_INT(beside_begin(f.spool, p.id, BESIDE_ORIGINAL, &w), 0);
	synced = 0;
	for (int i = 0; i < 9; i++)
		CHECK_INT(beside_write(w, piece, sizeof(piece)), 0);
	CHECK_INT(synced, 2);
	beside_abort(w);
	fixture_end(&f);
}

/* The page is dropped while its original still arrives. */
TEST(nothing_is_kept_of_a_page_that_is_gone)
{
	char hex[SHA256_HEX_SIZE];
	struct beside_writer *w;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_reconcile(&f);
	fixture_page(&f, &p);
	CHECK_INT(beside_begin(f.spool, p.id, BESIDE_ORIGINAL, &w), 0);
	CHECK_INT(beside_write(w, content, sizeof(content)), 0);
	CHECK_INT(keep_drop(f.spool, p.seq, "dropped"), 0);
	hash_of(content, sizeof(content), hex);
	CHECK_INT(beside_commit(w, hex), -ENOENT);
	CHECK_INT(fixture_files("beside") + fixture_files("tmp"), 0);
	CHECK_INT(f.spool->beside_bytes, 0);
	fixture_end(&f);
}

/* tmp/ is emptied while something is written there. */
TEST(recovery_leaves_what_is_being_written)
{
	char hex[SHA256_HEX_SIZE];
	struct beside_writer *w;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(beside_begin(f.spool, p.id, BESIDE_ORIGINAL, &w), 0);
	CHECK_INT(beside_write(w, content, sizeof(content)), 0);
	fixture_put("tmp", "20300102T030405-zzzzzz.original.jpg", "x", 1);
	fixture_reconcile(&f);
	CHECK_INT(fixture_files("tmp"), 1);
	hash_of(content, sizeof(content), hex);
	CHECK_INT(beside_commit(w, hex), 0);
	CHECK_INT(both(&f, p.id), sizeof(content));
	fixture_end(&f);
}

TEST(only_names_of_ours)
{
	static const char *const bad[] = {"", "x", "20300102T030405-zzzzzz", "20300102T030405-zzzzzz.jpg", "20300102T030405-zzzzzz.original.jpg2",
		"20300102T030405-zzzzzz.Original.jpg", "20300102T03040--zzzzzz.original.jpg", "..original.jpg"};
	char id[PAGE_ID_SIZE];
	enum beside_kind k;

	CHECK(beside_from_name("20300102T030405-zzzzzz.original.jpg", id, &k));
	CHECK_STR(id, "20300102T030405-zzzzzz");
	CHECK_INT(k, BESIDE_ORIGINAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!beside_from_name(bad[i], id, &k));
}
