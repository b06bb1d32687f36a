#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "daemon/jpegcomment.h"
#include "tests/unit/daemon_fixture.h"

/* ---- accept ---------------------------------------------------------------------------------- */

TEST(accept_a_page)
{
	_cleanup_buf_ struct buf jpeg = {}, file = {}, comment = {};
	struct spool_meta m;
	char hex[SHA256_HEX_SIZE], name[PAGE_FILE_SIZE];
	struct page_row p, q;
	struct spool_writer *w;
	struct fixture f;
	struct stat st;

	fixture_begin(&f);
	m = fixture_meta(&f);
	fixture_jpeg(&jpeg, 70000);
	sha256_hex_of(jpeg.data, jpeg.len, hex);
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	CHECK_INT(fixture_files("tmp"), 1);
	/* in uneven pieces, the first of them shorter than SOI and APP0 */
	for (size_t at = 0, n = 3; at < jpeg.len; at += n, n = n * 7 % 9973 + 1)
		CHECK_INT(spool_page_write(w, jpeg.data + at, MIN(n, jpeg.len - at)), 0);
	CHECK_INT(spool_page_commit(w, 100, 200, hex, "{\"ms\":1}", &p), 0);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK(starts_with(p.id, "20300102T030405-"));
	CHECK_INT(p.state, STATE_QUEUED);

	page_file_name(p.id, name);
	CHECK_INT(file_read(f.spool->pages, name, 1 << 20, &file), 0);
	CHECK_INT((int64_t)file.len, p.bytes);
	sha256_hex_of(file.data, file.len, hex);
	CHECK_STR(p.sha256, hex);
	CHECK_INT(jpeg_comment_read((const uint8_t *)file.data, file.len, &comment), 0);
	CHECK(starts_with(buf_str(&comment), "pageferry1 {\"id\":\"20300102T030405-"));
	CHECK(strstr(buf_str(&comment), "\"trust\":\"plausible\",\"doc\":\"20300102T030405-"));
	CHECK(strstr(buf_str(&comment), "\"pos\":1,\"lane\":0,\"src\":\"file\",\"job\":{\"v\":1,\"type\":"
					"\"auto\",\"route\":[\"sydney\",\"ocr\"],"
					"\"typeset\":\""));
	/* without the comment it is the encoder's file again */
	CHECK_INT((int64_t)(file.len - comment.len - 4), (int64_t)jpeg.len);
	CHECK(memcmp(file.data + 20 + comment.len + 4, jpeg.data + 20, jpeg.len - 20) == 0);
	CHECK_INT(fstatat(f.spool->pages, name, &st, 0), 0);
	CHECK_INT(st.st_mode & 07777, 0640 & ~022);

	fixture_reopen(&f);
	CHECK_INT(spool_page_find(f.spool, p.id, &q), 0);
	CHECK_INT(q.seq, p.seq);
	CHECK_STR(q.sha256, p.sha256);
	CHECK_STR(q.document, p.id);
	CHECK_STR(q.name, "a.jpg");
	CHECK_INT(q.owner, 1000);
	CHECK_INT(q.width, 100);
	CHECK_INT(q.bytes, p.bytes);
	CHECK_INT(q.accepted_ms, FIXTURE_NOW);
	CHECK_STR(q.job->type, "auto");
	CHECK_INT((int64_t)q.job->n_route, 2);
	fixture_end(&f);
}

static void refuse(struct fixture *f, const void *data, size_t len, const char *sha256, int want)
{
	struct spool_meta m = fixture_meta(f);
	struct spool_writer *w;
	int r;

	CHECK_INT(spool_page_begin(f->spool, &m, &w), 0);
	r = spool_page_write(w, data, len);
	if (r < 0)
		CHECK_INT(r, want);
	CHECK_INT(spool_page_commit(w, 1, 1, sha256, NULL, NULL), want);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(fixture_sql(f, "SELECT count(*) FROM pages"), 0);
	CHECK_INT(fixture_sql(f, "SELECT count(*) FROM documents"), 0);
}

TEST(accept_refuses_what_is_no_whole_page)
{
	_cleanup_buf_ struct buf jpeg = {};
	char zeros[SHA256_HEX_SIZE];
	struct fixture f;

	fixture_begin(&f);
	fixture_jpeg(&jpeg, 1000);
	memset(zeros, '0', sizeof(zeros));
	zeros[64] = 0;
	refuse(&f, "", 0, NULL, -EBADMSG);
	refuse(&f, "\xff", 1, NULL, -EBADMSG);
	refuse(&f, "hello, world", 12, NULL, -EBADMSG);
	refuse(&f, jpeg.data, 10, NULL, -EBADMSG);           /* APP0 cut */
	refuse(&f, jpeg.data, jpeg.len - 1, NULL, -EBADMSG); /* half of EOI */
	refuse(&f, jpeg.data, jpeg.len / 2, NULL, -EBADMSG);
	refuse(&f, jpeg.data, jpeg.len, zeros, -EBADMSG); /* another hash than the helper's */
	fixture_end(&f);
}

TEST(accept_checks_what_it_is_told)
{
	struct spool_meta m;
	struct spool_writer *w;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	m.position = 0;
	CHECK_INT(spool_page_begin(f.spool, &m, &w), -EINVAL);
	m = fixture_meta(&f);
	m.document = "../../etc/passwd";
	CHECK_INT(spool_page_begin(f.spool, &m, &w), -EINVAL);
	m = fixture_meta(&f);
	m.job = NULL;
	CHECK_INT(spool_page_begin(f.spool, &m, &w), -EINVAL);
	m = fixture_meta(&f);
	m.job = &(struct spool_job){.type = "unknown"};
	CHECK_INT(spool_page_begin(f.spool, &m, &w), -EINVAL);
	m = fixture_meta(&f);
	m.source = "longer than seventeen";
	CHECK_INT(spool_page_begin(f.spool, &m, &w), -EINVAL);
	CHECK_INT(fixture_files("tmp"), 0);
	fixture_end(&f);
}

/* Sizes of the pieces: the first ones, then all the rest at once. */
static void accept_in_pieces(struct fixture *f, size_t body, const size_t *pieces, size_t n)
{
	_cleanup_buf_ struct buf jpeg = {};
	struct spool_meta m = fixture_meta(f);
	struct spool_writer *w;
	struct page_row p;
	size_t at = 0;
	int fd;

	fixture_jpeg(&jpeg, body);
	CHECK_INT(spool_page_begin(f->spool, &m, &w), 0);
	for (size_t i = 0; i < n; at += pieces[i++])
		CHECK_INT(spool_page_write(w, jpeg.data + at, pieces[i]), 0);
	CHECK_INT(spool_page_write(w, jpeg.data + at, jpeg.len - at), 0);
	CHECK_INT(spool_page_commit(w, 100, 200, NULL, NULL, &p), 0);
	CHECK_INT(spool_page_get(f->spool, p.seq, &p), 0);
	CHECK(p.bytes > (int64_t)(jpeg.len + strlen(p.job->json)));
	fd = spool_page_open(f->spool, &p);
	CHECK(fd >= 0);
	CHECK_INT(spool_page_verify(fd, &p), 0);
	close(fd);
}

TEST(accept_in_pieces_of_any_size)
{
	static const size_t single[] = {1, 1, 1, 1, 1, 1, 14, 1, 1}, to_app0[] = {20}, none[] = {0, 0};
	struct fixture f;

	fixture_begin(&f);
	accept_in_pieces(&f, 3000, single, ARRAY_SIZE(single));
	accept_in_pieces(&f, 3000, to_app0, ARRAY_SIZE(to_app0));
	accept_in_pieces(&f, 3000, none, ARRAY_SIZE(none));
	accept_in_pieces(&f, 300000, none, 0); /* more at once than is looked at for the comment's place */
	accept_in_pieces(&f, 300000, to_app0, 1);
	fixture_end(&f);
}

/* What has failed has failed: a page with a hole in it is none. */
TEST(accept_takes_no_more_after_a_failure)
{
	_cleanup_free_ uint8_t *much = calloc(1, PAGE_BYTES_MAX + 1);
	_cleanup_buf_ struct buf jpeg = {};
	struct spool_meta m;
	struct spool_writer *w;
	struct fixture f;

	fixture_begin(&f);
	CHECK(much);
	m = fixture_meta(&f);
	fixture_jpeg(&jpeg, 1000);
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	CHECK_INT(spool_page_write(w, jpeg.data, 500), 0);
	CHECK_INT(spool_page_write(w, much, PAGE_BYTES_MAX + 1), -EFBIG);
	CHECK_INT(spool_page_write(w, jpeg.data + 500, jpeg.len - 500), -EFBIG);
	CHECK_INT(spool_page_commit(w, 1, 1, NULL, NULL, NULL), -EFBIG);
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	CHECK_INT(spool_page_write(w, much, 200000), -EBADMSG); /* no JPEG, and more of it than is kept */
	spool_page_abort(w);
	CHECK_INT(fixture_files("tmp") + fixture_files("pages"), 0);
	fixture_end(&f);
}

/* Several at once, ended in any order; and what is still open when the spool is closed. */
TEST(accept_of_several_at_a_time)
{
	struct spool_writer *a, *b, *c;
	struct spool_meta m;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	CHECK_INT(spool_page_begin(f.spool, &m, &a), 0);
	CHECK_INT(spool_page_begin(f.spool, &m, &b), 0);
	CHECK_INT(spool_page_begin(f.spool, &m, &c), 0);
	fixture_reconcile(&f); /* tmp/ is not emptied of them */
	CHECK_INT(fixture_files("tmp"), 3);
	spool_page_abort(a);
	spool_page_abort(c);
	CHECK_INT(fixture_files("tmp"), 1);
	fixture_reopen(&f);
	CHECK_INT(fixture_files("tmp"), 0);
	fixture_end(&f);
}

/* A clock before 1970 or after 9999 makes an id all the same. */
TEST(accept_with_any_clock)
{
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	f.now = -5000;
	fixture_page(&f, &p);
	CHECK(starts_with(p.id, "19700101T000000-"));
	f.now = INT64_MAX / 2;
	fixture_page(&f, &p);
	CHECK(starts_with(p.id, "99991231T235959-"));
	fixture_end(&f);
}

TEST(accept_abort_leaves_nothing)
{
	struct spool_meta m;
	struct spool_writer *w;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	spool_page_abort(w);
	spool_page_abort(NULL);
	CHECK_INT(fixture_files("tmp"), 0);
	fixture_end(&f);
}

/* A row that cannot be inserted: what was renamed is taken back, what was there before stays. */
TEST(accept_takes_back_only_its_own)
{
	struct spool_meta m;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "CREATE TEMP TRIGGER no BEFORE INSERT ON main.pages BEGIN SELECT raise(ABORT, "
			  "'no'); END",
			  ""),
		0);
	CHECK_INT(fixture_try(&f, &m, NULL), -EEXIST);
	CHECK_INT(fixture_files("pages"), 1);
	CHECK_INT(fixture_files("tmp"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM documents"), 1);
	fixture_end(&f);
}

static void always_seven(void *out, size_t len)
{
	memset(out, 7, len);
}

/* A file that is already there under the name is neither replaced nor removed. */
TEST(accept_never_replaces)
{
	_cleanup_buf_ struct buf jpeg = {}, got = {};
	static const char name[] = "20300102T030405-777777.jpg";
	struct spool_meta m;
	struct spool_writer *w;
	struct fixture f;

	fixture_begin(&f);
	f.spool->random = always_seven;
	m = fixture_meta(&f);
	fixture_jpeg(&jpeg, 10);
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	fixture_put("pages", name, "other", 5);
	CHECK_INT(spool_page_write(w, jpeg.data, jpeg.len), 0);
	CHECK_INT(spool_page_commit(w, 1, 1, NULL, NULL, NULL), -EEXIST);
	CHECK_INT(file_read(f.spool->pages, name, 100, &got), 0);
	CHECK_STR(buf_str(&got), "other");
	CHECK_INT(fixture_files("tmp"), 0);
	fixture_end(&f);
}

static unsigned int draws;
static void unlucky(void *out, size_t len)
{
	memset(out, draws++ < 5 ? 7 : (int)draws, len);
}

TEST(accept_ids_are_unique)
{
	struct page_row p, q;
	struct fixture f;

	fixture_begin(&f);
	draws = 0;
	f.spool->random = unlucky;
	fixture_page(&f, &p);
	CHECK_STR(p.id, "20300102T030405-777777");
	fixture_put("tmp", "20300102T030405-666666.jpg", "other", 5);
	fixture_page(&f, &q); /* draws 7 four times more, 6, which is in tmp/, 7, and 8 */
	CHECK_STR(q.id, "20300102T030405-888888");
	CHECK_INT(draws, 8);
	CHECK(fixture_exists("tmp", "20300102T030405-666666.jpg", ""));
	fixture_end(&f);
}

TEST(accept_gives_up_without_a_free_id)
{
	struct spool_meta m;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	f.spool->random = always_seven;
	fixture_page(&f, &p);
	CHECK_INT(fixture_try(&f, &m, &p), -EEXIST);
	CHECK_INT(fixture_files("pages"), 1);
	fixture_end(&f);
}

TEST(accept_pages_of_one_document)
{
	struct page_row p, q;
	struct spool_meta m;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	m = fixture_meta(&f);
	m.document = p.id;
	m.position = 2;
	m.lane = LANE_BACKLOG;
	m.name = NULL;
	m.owner = -1;
	CHECK_INT(fixture_try(&f, &m, &q), 0);
	CHECK_INT(spool_page_get(f.spool, q.seq, &q), 0);
	CHECK_STR(q.document, p.id);
	CHECK_INT(q.position, 2);
	CHECK_INT(q.lane, LANE_BACKLOG);
	CHECK_INT(q.owner, -1);
	CHECK_STR(q.name, "");
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM documents"), 1);
	fixture_end(&f);
}

TEST(accept_makes_names_harmless)
{
	struct spool_meta m;
	struct page_row p;
	struct fixture f;
	char longest[1001];

	fixture_begin(&f);
	m = fixture_meta(&f);
	m.name = "a\x1b[2J\xff.jpg";
	CHECK_INT(fixture_try(&f, &m, &p), 0);
	CHECK(!strchr(p.name, 0x1b));
	memset(longest, 'x', 1000);
	longest[1000] = 0;
	m.name = longest;
	CHECK_INT(fixture_try(&f, &m, &p), 0);
	CHECK(strlen(p.name) < sizeof(p.name));
	fixture_end(&f);
}

/* ---- on a file system with hardly any room --------------------------------------------------- */

enum { NO_RIGHT = 77 };

/* Fills what is left, so that the database meets the end of the disk as well. */
static void fill_disk(const char *file)
{
	static uint8_t filler[4096];
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	while (fd >= 0 && write(fd, filler, sizeof(filler)) > 0)
		;
	close(fd);
}

static int accept_one(struct fixture *f, const struct buf *jpeg)
{
	struct spool_meta m = fixture_meta(f);
	struct spool_writer *w;
	int r = spool_page_begin(f->spool, &m, &w);

	if (r < 0)
		return r;
	spool_page_write(w, jpeg->data, jpeg->len);
	return spool_page_commit(w, 1, 1, NULL, NULL, NULL);
}

/* Whatever fails, nothing is left behind, and the rows say what the files say. 0, or the line that did not
 * hold. */
static int on_a_full_disk(struct fixture *f)
{
	_cleanup_buf_ struct buf jpeg = {};
	int64_t accepted = 0, failed = 0;
	struct spool_options o;
	char path[256], filler[300];

	str_format(path, sizeof(path), "%s/small", test_tmpdir());
	str_format(filler, sizeof(filler), "%s/filler", path);
	if (unshare(CLONE_NEWNS) < 0 || mkdir(path, 0700) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", path, "tmpfs", 0, "size=1m") < 0)
		return NO_RIGHT;
	o = (struct spool_options){.directory = path, .clock = f->clock};
	spool_close(f->spool);
	if (spool_open(&o, &f->spool, f->why, sizeof(f->why)) < 0)
		return 1;
	fixture_freeze(f);
	fixture_jpeg(&jpeg, 60000);
	for (int i = 0; i < 40; i++) {
		int r = accept_one(f, &jpeg);

		if (r < 0 && r != -ENOSPC)
			return 2;
		*(r < 0 ? &failed : &accepted) += 1;
		if (failed == 1)
			fill_disk(filler);
	}
	if (accepted == 0 || failed == 0 || spool_room(f->spool, f->why, sizeof(f->why)) != -ENOSPC)
		return 3;
	if (fixture_files("small/pages") != accepted || fixture_files("small/tmp") != 0)
		return 4;
	spool_close(f->spool);
	f->spool = NULL;
	unlink(filler);
	if (spool_open(&o, &f->spool, f->why, sizeof(f->why)) < 0)
		return 5;
	return fixture_sql(f, "SELECT count(*) FROM pages") == accepted ? 0 : 6;
}

TEST(accept_on_a_full_disk)
{
	struct fixture f;
	pid_t child;
	int status;

	/* In a child with its own mounts: they go with it. */
	fixture_begin(&f);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		exit(on_a_full_disk(&f)); /* with the counters of a coverage build */
	CHECK_INT(waitpid(child, &status, 0), child);
	fixture_end(&f);
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_RIGHT)
		test_skip("no right to mount a small file system");
	CHECK_INT(WEXITSTATUS(status), 0);
}

/* ---- room ------------------------------------------------------------------------------------ */

TEST(room_is_kept)
{
	char why[256] = "";
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), 0);
	f.spool->floor_bytes = INT64_MAX / 2;
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -ENOSPC);
	CHECK(strstr(why, "must stay free"));
	f.spool->floor_bytes = 0;
	f.spool->floor_inodes = INT64_MAX;
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -ENOSPC);
	fixture_end(&f);
}

TEST(room_under_the_cap)
{
	struct spool_meta m;
	struct spool_writer *w;
	struct page_row p;
	char why[256];
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	fixture_page(&f, &p);
	CHECK_INT(f.spool->pages_bytes, p.bytes);
	f.spool->cap_bytes = PAGE_ROOM + p.bytes;
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), 0);
	/* one that is being written has its room promised */
	CHECK_INT(spool_page_begin(f.spool, &m, &w), 0);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -EDQUOT);
	spool_page_abort(w);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), 0);
	fixture_page(&f, &p);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -EDQUOT);
	fixture_reopen(&f);
	CHECK_INT(f.spool->pages_bytes, 2 * p.bytes);
	fixture_end(&f);
}

/* A commit that SQLite finds nothing to write for proves nothing of the disk. */
TEST(a_probe_writes_each_time)
{
	struct stat before, after;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(fstatat(f.spool->dirfd, "spool.db-wal", &before, 0), 0);
		CHECK_INT(spool_probe(f.spool), 0);
		CHECK_INT(fstatat(f.spool->dirfd, "spool.db-wal", &after, 0), 0);
		CHECK(after.st_size > before.st_size);
	}
	fixture_end(&f);
}

/* ---- after the database was lost ------------------------------------------------------------- */

TEST(ledger_lost_until_a_person_confirms)
{
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 0);
	CHECK_INT(spool_confirm(f.spool), 0);
	CHECK_INT(spool_meta_set_i64(f.spool, "ledger_lost", 1), 0);
	CHECK_INT(spool_ledger_lost(f.spool), 1);
	fixture_reopen(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 1);
	CHECK_INT(spool_confirm(f.spool), 0);
	CHECK_INT(spool_ledger_lost(f.spool), 0);
	fixture_reopen(&f);
	CHECK_INT(spool_ledger_lost(f.spool), 0);
	fixture_end(&f);
}
