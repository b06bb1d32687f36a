/* Page files without a row: whatever their comment says, and whatever they are. And what is set aside. */
#include "daemon/jpegcomment.h"
#include "daemon/keep.h"
#include "tests/unit/daemon_fixture.h"

/* The comment of a page that was accepted; its row is gone. */
static void orphan(struct fixture *f, struct page_row *p, struct buf *comment)
{
	_cleanup_buf_ struct buf file = {};
	char name[PAGE_FILE_SIZE];

	fixture_page(f, p);
	page_file_name(p->id, name);
	CHECK_INT(file_read(f->spool->pages, name, 1 << 20, &file), 0);
	CHECK_INT(jpeg_comment_read((const uint8_t *)file.data, file.len, comment), 0);
	CHECK_INT(db_exec(spool_db(f->spool), "DELETE FROM pages", ""), 0);
}

/* pages/ID.jpg with that comment and `body` bytes of image. */
static void put_page(const char *id, const char *comment, size_t body)
{
	_cleanup_buf_ struct buf jpeg = {}, file = {};
	char name[PAGE_FILE_SIZE];

	fixture_jpeg(&jpeg, body);
	CHECK_INT(buf_add(&file, jpeg.data, 20), 0);
	CHECK_INT(jpeg_comment_segment(comment, &file), 0);
	CHECK_INT(buf_add(&file, jpeg.data + 20, jpeg.len - 20), 0);
	page_file_name(id, name);
	fixture_put("pages", name, file.data, file.len);
}

/* ---- comments -------------------------------------------------------------------------------- */

static void replaced(const char *text, const char *from, const char *to, struct buf *out)
{
	const char *at = strstr(text, from);

	CHECK(at);
	CHECK_INT(buf_add(out, text, (size_t)(at - text)), 0);
	CHECK_INT(buf_adds(out, to), 0);
	CHECK_INT(buf_adds(out, at + strlen(from)), 0);
}

static const struct {
	const char *from, *to;
} unexplained[] = {
	{"{\"id\":", "[\"id\":"},
	{"\"id\":", "\"ie\":"},
	{"\"id\":\"2030", "\"id\":\"2031"},
	{"\"t\":", "\"u\":"},
	{"\"trust\":", "\"trusu\":"},
	{"\"trust\":\"plausible\"", "\"trust\":\"sure\""},
	{"\"doc\":", "\"dod\":"},
	{"\"doc\":\"2030", "\"doc\":\"x030"},
	{"\"pos\":", "\"pot\":"},
	{"\"pos\":1", "\"pos\":0"},
	{"\"lane\":", "\"lanf\":"},
	{"\"lane\":0", "\"lane\":2"},
	{"\"src\":", "\"srd\":"},
	{"\"job\":", "\"joc\":"},
	{"\"job\":{", "\"job\":7,\"x\":{"},
	{"\"v\":1,", ""},
	{"\"v\":1", "\"v\":0"},
	{"\"type\":\"auto\",", ""},
	{"\"type\":\"auto\"", "\"type\":\"No Name\""},
	{"\"route\":[\"sydney\",\"ocr\"],", ""},
	{"\"route\":[\"sydney\",\"ocr\"]", "\"route\":[]"},
	{"\"route\":[\"sydney\"", "\"route\":[7"},
	{"\"route\":[\"sydney\"", "\"route\":[\"No Name\""},
	{"\"route\":[\"sydney\"", "\"route\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\""},
	{"\"typeset\":", "\"typesev\":"},
	{"\"typeset\":\"", "\"typeset\":\"zz"},
};

TEST(a_comment_that_does_not_tell_is_set_aside)
{
	_cleanup_buf_ struct buf comment = {}, jpeg = {};
	char content[SHA256_HEX_SIZE];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	orphan(&f, &p, &comment);
	for (size_t i = 0; i < ARRAY_SIZE(unexplained); i++) {
		_cleanup_buf_ struct buf text = {};
		char name[PAGE_FILE_SIZE];

		replaced(buf_str(&comment), unexplained[i].from, unexplained[i].to, &text);
		put_page(p.id, buf_str(&text), 100);
		page_file_name(p.id, name);
		CHECK_INT(spool_adopt(f.spool, name), 0);
		if (fixture_exists("pages", name, "") || f.spool->reconcile.counts.quarantined != (int64_t)i + 1)
			test_fail(__FILE__, __LINE__, "%s: it is not set aside", unexplained[i].to);
	}
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 0);
	/* as it was it is taken */
	put_page(p.id, buf_str(&comment), 100);
	fixture_reconcile(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'held'"), 1);
	CHECK_INT(spool_page_find(f.spool, p.id, &p), 0);
	fixture_jpeg(&jpeg, 100);
	sha256_hex_of(jpeg.data, jpeg.len, content); /* without the comment */
	CHECK_STR(p.content, content);
	fixture_end(&f);
}

/* The order of a rebuild: what does not tell its time comes last. */
TEST(a_time_that_is_not_told)
{
	static const char id[] = "20300102T030405-zzzzzz", name[] = "20300102T030405-zzzzzz.jpg";
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(page_file_time(f.spool, name), INT64_MAX);
	fixture_put("pages", name, "", 0);
	CHECK_INT(page_file_time(f.spool, name), INT64_MAX);
	fixture_put("pages", name, "no page at all", 14);
	CHECK_INT(page_file_time(f.spool, name), INT64_MAX);
	put_page(id, "pageferry1 {", 100);
	CHECK_INT(page_file_time(f.spool, name), INT64_MAX);
	put_page(id, "pageferry1 {\"id\":\"x\"}", 100);
	CHECK_INT(page_file_time(f.spool, name), INT64_MAX);
	put_page(id, "pageferry1 {\"t\":77}", 100);
	CHECK_INT(page_file_time(f.spool, name), 77);
	fixture_end(&f);
}

/* ---- document types -------------------------------------------------------------------------- */

static void types_file(const struct fixture *f, char out[static SHA256_HEX_SIZE + 8])
{
	const char *at = strstr(f->job->json, "\"typeset\":\"");

	CHECK(at);
	str_format(out, SHA256_HEX_SIZE + 8, "%.64s.json", at + strlen("\"typeset\":\""));
}

/* The database is new, and types/ has under the hash `text`, or nothing. */
static void check_types(const char *text, const char *why)
{
	_cleanup_buf_ struct buf comment = {}, reason = {};
	char types[SHA256_HEX_SIZE + 8], name[PAGE_FILE_SIZE + 8];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	orphan(&f, &p, &comment);
	types_file(&f, types);
	spool_close(take_ptr(f.spool));
	fixture_put("", "damaged", "a test", 6);
	if (text)
		fixture_put("types", types, text, strlen(text));
	CHECK_INT(fixture_open_spool(&f, 0), 0);
	if (!text)
		CHECK_INT(unlinkat(f.spool->types, types, 0), 0);
	fixture_reconcile(&f);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 0);
	str_format(name, sizeof(name), "%s.jpg.reason", p.id);
	CHECK_INT(file_read(f.spool->quarantine, name, 1000, &reason), 0);
	CHECK(strstr(buf_str(&reason), why));
	fixture_end(&f);
}

TEST(types_that_are_gone)
{
	check_types(NULL, "whose document types are gone");
}

TEST(types_that_are_not_those_of_the_hash)
{
	check_types("[]", "does not say what it is");
}

/* The hash is right, and yet they are no document types. */
TEST(types_that_cannot_be_read)
{
	_cleanup_buf_ struct buf comment = {}, text = {};
	char hex[SHA256_HEX_SIZE], types[SHA256_HEX_SIZE + 8], name[PAGE_FILE_SIZE];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	orphan(&f, &p, &comment);
	sha256_hex_of("{}", 2, hex);
	str_format(types, sizeof(types), "%s.json", hex);
	fixture_put("types", types, "{}", 2);
	memcpy(strstr(comment.data, "\"typeset\":\"") + strlen("\"typeset\":\""), hex, 64);
	put_page(p.id, buf_str(&comment), 100);
	page_file_name(p.id, name);
	CHECK_INT(spool_adopt(f.spool, name), 0);
	CHECK_INT(f.spool->reconcile.counts.quarantined, 1);
	fixture_end(&f);
}

/* ---- files ----------------------------------------------------------------------------------- */

TEST(what_is_no_page_file_is_set_aside)
{
	_cleanup_buf_ struct buf comment = {};
	char path[256], name[PAGE_FILE_SIZE];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	orphan(&f, &p, &comment);
	page_file_name(p.id, name);
	fixture_path(path, "pages", name, "");
	/* its end is not that of a JPEG */
	CHECK_INT(truncate(path, p.bytes + 1), 0);
	CHECK_INT(spool_adopt(f.spool, name), 0);
	put_page(p.id, buf_str(&comment), 100);
	CHECK_INT(truncate(path, PAGE_BYTES_MAX + 1), 0);
	CHECK_INT(spool_adopt(f.spool, name), 0);
	CHECK_INT(mkfifo(path, 0640), 0);
	CHECK_INT(spool_adopt(f.spool, name), 0);
	fixture_put("pages", "20300102T030405-zzzzzz.png", "x", 1);
	CHECK_INT(spool_adopt(f.spool, "20300102T030405-zzzzzz.png"), 0);
	CHECK_INT(f.spool->reconcile.counts.quarantined, 4);
	CHECK_INT(fixture_files("pages"), 0);
	fixture_end(&f);
}

/* Of any length: also one whose last byte is alone in what is read last, and one longer than what is looked at for a comment. */
TEST(pages_of_any_length_are_taken)
{
	_cleanup_buf_ struct buf comment = {};
	size_t overhead;
	struct page_row p;
	struct fixture f;
	char name[PAGE_FILE_SIZE];

	fixture_begin(&f);
	orphan(&f, &p, &comment);
	overhead = (size_t)p.bytes - 3000;
	page_file_name(p.id, name);
	for (size_t i = 0; i < 2; i++) {
		size_t size = i == 0 ? 2 * 16384 + 1 : 400000;

		put_page(p.id, buf_str(&comment), size - overhead);
		CHECK_INT(spool_adopt(f.spool, name), 0);
		CHECK_INT(fixture_sql(&f, "SELECT bytes FROM pages"), (int64_t)size);
		CHECK_INT(db_exec(spool_db(f.spool), "DELETE FROM pages", ""), 0);
	}
	fixture_end(&f);
}

/* Dropped, and then the service ended before its file was removed. */
TEST(leftovers_of_what_is_gone)
{
	char path[256], name[PAGE_FILE_SIZE];
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	page_file_name(p.id, name);
	fixture_path(path, "pages", name, "");
	CHECK_INT(keep_drop(f.spool, p.seq, "a test"), 0);
	CHECK_INT(spool_adopt(f.spool, name), 0); /* removed by now */
	CHECK_INT(f.spool->reconcile.counts.leftovers, 0);
	fixture_put("pages", name, "x", 1);
	CHECK_INT(spool_adopt(f.spool, name), 0);
	CHECK_INT(f.spool->reconcile.counts.leftovers, 1);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(f.spool->stuck_files, 0);
	CHECK_INT(mkdir(path, 0750), 0); /* not what was left: it stays */
	CHECK_INT(spool_adopt(f.spool, name), 0);
	CHECK_INT(f.spool->stuck_files, 1);
	fixture_end(&f);
}

/* ---- quarantine/ ----------------------------------------------------------------------------- */

TEST(names_in_quarantine_are_not_taken_twice)
{
	char name[201];
	struct fixture f;

	fixture_begin(&f);
	memset(name, 'n', 200);
	name[200] = 0;
	for (int i = 0; i < 2; i++) {
		fixture_put("pages", name, "x", 1);
		CHECK_INT(quarantine_move(f.spool, f.spool->pages, name, "a test"), 0);
	}
	CHECK_INT(fixture_files("quarantine"), 4);
	for (int i = 0; i < 100; i++) {
		fixture_put("pages", "a", "x", 1);
		CHECK_INT(quarantine_move(f.spool, f.spool->pages, "a", "a test"), 0);
	}
	/* There are as many as there can be: it stays where it is. */
	fixture_put("pages", "a", "x", 1);
	CHECK_INT(quarantine_move(f.spool, f.spool->pages, "a", "a test"), -EEXIST);
	CHECK(fixture_exists("pages", "a", ""));
	fixture_reconcile(&f);
	CHECK(fixture_exists("pages", "a", ""));
	CHECK_INT(f.spool->reconcile.counts.quarantined, 0);
	fixture_end(&f);
}
