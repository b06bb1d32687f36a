/* The database's file: each of its pages, its header and its schema; and what no reading finds. */
#include "tests/unit/daemon_damage_fixture.h"

/* ---- the pages of the database ------------------------------------------------------------------- */

static void damage_page(const struct spoiled *d, off_t at, int kind)
{
	uint8_t page[4096];
	char path[100];
	int fd;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	/* of zeros, of noise, another page's, or its front half */
	CHECK_INT(pread(fd, page, sizeof(page), kind == 2 ? (at ? at - 4096 : 4096) : at), sizeof(page));
	for (size_t i = kind == 3 ? 2048 : 0; i < sizeof(page) && kind != 2; i++)
		page[i] = kind == 0 ? 0 : (uint8_t)(i * 131 + 17);
	CHECK_INT(pwrite(fd, page, sizeof(page), at), sizeof(page));
	close(fd);
}

TEST(it_starts_whatever_page_of_the_database_is_damaged)
{
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};
	char path[100], what[60];
	off_t size;

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	str_format(path, sizeof(path), "%s/spool.db", d.template);
	size = size_of(path);
	CHECK(size > 20 * 4096);
	for (off_t at = 0; at < size; at += 4096 * (off_t)test_stride(7))
		for (int kind = 0; kind < 4; kind++) {
			case_begin(&d);
			damage_page(&d, at, kind);
			str_format(what, sizeof(what), "database page %d, kind %d", (int)(at / 4096) + 1, kind);
			check_case(&d, sound, what);
			case_end(&d);
		}
	spoiled_end(&d);
}

static void write_byte(const struct spoiled *d, off_t at, uint8_t byte)
{
	char path[100];
	int fd;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

TEST(it_starts_whatever_byte_of_the_databases_header_is_changed)
{
	const bool sound[PAGES] = {true, true, true, true};
	static const uint8_t bytes[] = {0, 3, 0x2a, 0xff};
	struct spoiled d = {};
	char what[60];

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	for (off_t at = 0; at < 100; at += test_stride(9)) {
		if (at >= 60 && at < 64)
			continue; /* user_version: greater ones are of a newer pageferry */
		for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
			case_begin(&d);
			write_byte(&d, at, bytes[i]);
			str_format(what, sizeof(what), "byte %d of the header is %d", (int)at, bytes[i]);
			check_case(&d, sound, what);
			case_end(&d);
		}
	}
	spoiled_end(&d);
}

/* Each time the last letter, in each place. */
static void misspell(const struct spoiled *d, const char *word)
{
	_cleanup_buf_ struct buf file = BUF_MAX(8 << 20);
	char path[100], *at;
	int fd, n = 0;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	CHECK_INT(file_read(AT_FDCWD, path, 8 << 20, &file), 0);
	for (at = file.data; (at = memmem(at, (size_t)(file.data + file.len - at), word, strlen(word))); at += strlen(word), n++)
		at[strlen(word) - 1] = '0';
	CHECK(n > 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, file.data, file.len), 0);
	close(fd);
}

/* Tables, columns and indexes that are there under another name. */
TEST(it_starts_when_the_schema_is_misspelt)
{
	static const char *const words[] = {"documents", "tried_boot_ms", "pages_state", "retried", "settled_pusd", "pages", "value", "done_ms",
		"authoritative", "typeset", "gone_ms", "kind"};
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		case_begin(&d);
		misspell(&d, words[i]);
		check_case(&d, sound, words[i]);
		case_end(&d);
	}
	spoiled_end(&d);
}

/* ---- damage that reading all of it does not find ------------------------------------------------- */

/* To SQLite a sqlite_sequence of three columns is damage, but only when it is needed: for a new page. */
static void damage_sequence(const struct spoiled *d)
{
	static const char sql[] = "PRAGMA writable_schema = ON;"
				  "UPDATE sqlite_master SET sql = 'CREATE TABLE sqlite_sequence(name,seq,x)' WHERE name = 'sqlite_sequence'";
	char path[100];
	sqlite3 *db;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	CHECK_INT(sqlite3_changes(db), 1);
	CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

/* A start, then after `wait_ms` a new page, at which the damage is met. */
static void life_that_fails(struct spoiled *d, int64_t wait_ms)
{
	struct spool_meta m;
	struct page_row p;

	CHECK_INT(open_once(d), 0);
	CHECK(!d->f.spool->rebuilt);
	CHECK_INT(one_life(d), 0);
	CHECK(!db_damaged(spool_db(d->f.spool)));
	d->f.boot += wait_ms;
	fixture_freeze(&d->f);
	m = fixture_meta(&d->f);
	CHECK_INT(fixture_try(&d->f, &m, &p), -EUCLEAN);
	spool_close(take_ptr(d->f.spool));
}

TEST(damage_that_no_reading_finds_is_set_aside)
{
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	case_begin(&d);
	damage_sequence(&d);
	life_that_fails(&d, 0);
	life_that_fails(&d, 0); /* read as a whole before, and sound */
	CHECK_INT(open_once(&d), 0);
	CHECK(d.f.spool->rebuilt);
	CHECK_INT(one_life(&d), 0);
	check_pages(&d, sound, "set aside");
	check_new_page(&d, sound, "set aside");
	check_told_once(&d, "set aside");
	case_end(&d);
	spoiled_end(&d);
}

/* A disk that fails to read once in a while costs no ledger. */
TEST(what_fails_long_after_it_was_found_sound_is_read_again)
{
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	case_begin(&d);
	damage_sequence(&d);
	for (int i = 0; i < 3; i++)
		life_that_fails(&d, 60 * 60 * 1000);
	life_that_fails(&d, 60 * 60 * 1000 - 1);
	CHECK_INT(open_once(&d), 0);
	CHECK(d.f.spool->rebuilt);
	spool_close(take_ptr(d.f.spool));
	case_end(&d);
	spoiled_end(&d);
}
