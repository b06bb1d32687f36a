/* Watched folders without a folder: which names and when a file is complete, in virtual time; and the table of what was taken. */
#include "daemon/watch_rules.h"
#include "daemon/taken.h"
#include "tests/unit/daemon_fixture.h"

#define SETTLE 2000

TEST(names_of_pages)
{
	static const char *const fit[] = {"a.jpg", "A.JPG", "b.Jpeg", "c.png", "x.tmp.jpg", "-.png", "\xff\xfe.jpg"};
	static const char *const others[] = {"", ".", "..", ".jpg", ".a.jpg", "jpg", "a.jpg.part", "a.jpg.tmp", "a.jpg.filepart",
		"a.jpg.crdownload", "a.jpg~", "a.tif", "a.jpgx", "a.jpg "};
	char longest[300];

	for (size_t i = 0; i < ARRAY_SIZE(fit); i++)
		if (!watch_name_fits(fit[i]))
			test_fail(__FILE__, __LINE__, "%s does not fit", fit[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (watch_name_fits(others[i]))
			test_fail(__FILE__, __LINE__, "%s fits", others[i]);
	memset(longest, 'x', sizeof(longest));
	str_copy(longest + 252, 8, ".jpg");
	CHECK(!watch_name_fits(longest));
	CHECK(watch_name_fits(longest + 1));
}

static struct watch_look look(int64_t size, int64_t mtime_ns)
{
	return (struct watch_look){.dev = 1, .ino = 2, .size = size, .mtime_ns = mtime_ns, .ctime_ns = mtime_ns};
}

TEST(ready_after_two_looks_that_see_the_same)
{
	struct watch_file f = {.next_ms = 1000};
	struct watch_look a = look(100, 5), b = look(200, 6);

	watch_file_seen(&f, &a, 1000, SETTLE);
	CHECK(!f.ready);
	CHECK_INT(f.next_ms, 3000);
	watch_file_seen(&f, &a, 2500, SETTLE); /* too early */
	CHECK(!f.ready);
	CHECK_INT(f.next_ms, 3000);
	watch_file_seen(&f, &b, 3000, SETTLE); /* it grew: from the start */
	CHECK(!f.ready);
	CHECK_INT(f.next_ms, 5000);
	watch_file_seen(&f, &b, 5000, SETTLE);
	CHECK(f.ready);
	a = b;
	a.ctime_ns++; /* ready, and yet somebody was at it */
	watch_file_seen(&f, &a, 5001, SETTLE);
	CHECK(!f.ready);
}

TEST(every_part_of_a_look_counts)
{
	struct watch_look a = look(100, 5), b;

	CHECK(watch_look_same(&a, &a));
	for (int i = 0; i < 5; i++) {
		b = a;
		b.dev += i == 0;
		b.ino += i == 1;
		b.size += i == 2;
		b.mtime_ns += i == 3;
		b.ctime_ns += i == 4;
		CHECK(!watch_look_same(&a, &b));
	}
}

TEST(who_is_known_to_write_keeps_it)
{
	struct watch_file f = {.ready = true, .writing = true};

	/* The events say that it is open, and the kernel does not know better. */
	CHECK(!watch_file_free(&f, WRITER_UNKNOWN, 1000, SETTLE));
	CHECK(!f.ready);
	CHECK_INT(f.next_ms, 3000);
	/* Closed by then: the kernel knows for certain. */
	f.ready = true;
	CHECK(watch_file_free(&f, WRITER_NONE, 3000, SETTLE));
	CHECK(!f.writing);
	/* No event told of a writer, and yet there is one. */
	CHECK(!watch_file_free(&f, WRITER_SOME, 3000, SETTLE));
	CHECK(watch_file_free(&f, WRITER_UNKNOWN, 9000, SETTLE));
}

TEST(put_off_longer_and_longer)
{
	struct watch_file f = {.writing = true};
	int64_t now = 0, before = 0;

	for (int i = 0; i < 40; i++) {
		CHECK(!watch_file_free(&f, WRITER_UNKNOWN, now, 10));
		CHECK(f.next_ms - now >= before);
		before = f.next_ms - now;
		now = f.next_ms;
	}
	CHECK_INT(before, 30000);
	CHECK_INT(watch_backoff_ms(0), 100);
	CHECK_INT(watch_backoff_ms(1), 100);
	CHECK_INT(watch_backoff_ms(2), 200);
	CHECK_INT(watch_backoff_ms(UINT32_MAX), 30000);
}

static struct watch_file *add(struct watch_table *t, const char *name, int64_t mtime, uint32_t failures)
{
	struct watch_file *f = watch_table_add(t, name, 0, false, NULL);

	CHECK(f);
	f->ready = true;
	f->look.mtime_ns = mtime;
	f->failures = failures;
	return f;
}

TEST(the_oldest_comes_first_and_what_failed_last)
{
	struct watch_table t = {0};

	CHECK(!watch_table_oldest(&t));
	add(&t, "poison.jpg", 1, 2);
	add(&t, "b.jpg", 7, 0);
	add(&t, "a.jpg", 7, 0);
	add(&t, "c.jpg", 5, 0);
	add(&t, "wait.jpg", 2, 0)->ready = false;
	for (const char *const *name = (const char *const[]){"c.jpg", "a.jpg", "b.jpg", "poison.jpg", NULL}; *name; name++) {
		CHECK_STR(watch_table_oldest(&t)->name, *name);
		watch_table_remove(&t, watch_table_oldest(&t));
	}
	CHECK(!watch_table_oldest(&t));
	CHECK_STR(watch_table_due(&t, 0)->name, "wait.jpg");
	watch_file_wait(watch_table_find(&t, "wait.jpg"), 0, 77);
	CHECK(!watch_table_due(&t, 76));
	CHECK_INT(watch_table_next_ms(&t), 77);
	watch_table_clear(&t);
	CHECK_INT(watch_table_next_ms(&t), INT64_MAX);
}

TEST(a_full_table_keeps_what_it_knows)
{
	struct watch_table t = {0};
	bool lost = false;
	char name[32];

	for (int i = 0; i < WATCH_FILES_MAX; i++) {
		str_format(name, sizeof(name), "%d.jpg", i);
		watch_table_add(&t, name, 0, false, NULL)->writing = i != 9;
	}
	CHECK(watch_table_add(&t, "3.jpg", 0, false, NULL) == watch_table_find(&t, "3.jpg"));
	CHECK(!watch_table_add(&t, "new.jpg", 0, false, NULL));
	CHECK(watch_table_add(&t, "new.jpg", 0, true, &lost)); /* an event: in place of what the next walk finds again */
	CHECK(lost && !watch_table_find(&t, "9.jpg"));
	watch_table_find(&t, "new.jpg")->writing = true;
	CHECK(!watch_table_add(&t, "more.jpg", 0, true, &lost));
	CHECK_INT(t.n, WATCH_FILES_MAX);
	watch_table_clear(&t);
}

static const char *target(const char *name, const char *tag, unsigned int n, size_t room)
{
	static char out[256];

	return watch_target_name(name, tag, n, room, out, sizeof(out)) < 0 ? "" : out;
}

TEST(names_that_are_taken_get_a_tag)
{
	char longest[256], want[256];

	CHECK_STR(target("scan.jpg", "ID", 0, 0), "scan.jpg");
	CHECK_STR(target("scan.jpg", "ID", 1, 0), "scan.ID.jpg");
	CHECK_STR(target("scan.x.jpg", "ID", 2, 0), "scan.x.ID-2.jpg");
	memset(longest, 'x', 251);
	str_copy(longest + 251, 5, ".jpg");
	CHECK_STR(target(longest, "ID", 0, 0), longest);
	memset(want, 'x', 248);
	str_copy(want + 248, 8, ".ID.jpg");
	CHECK_STR(target(longest, "ID", 1, 0), want);
	CHECK_INT(strlen(target(longest, "ID", 0, 7)), 248); /* so that ".reason" fits */
	memcpy(longest + 247, "\xe2\x82\xac", 3);            /* a character where it is cut */
	longest[250] = 'x';
	CHECK_INT(strlen(target(longest, "ID", 1, 0)), 247 + 7);
}

TEST(taken_is_in_the_pages_own_commit)
{
	const struct taken_key key = {"scanner", "\xff.jpg", "100:5.000000006"};
	struct spool_meta m;
	struct taken_row row;
	struct page_row page;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	m.taken = &key;
	CHECK_INT(taken_find(f.spool, "scanner", "\xff.jpg", &row), 0);
	CHECK_INT(fixture_try(&f, &m, &page), 0);
	CHECK_INT(taken_find(f.spool, "scanner", "\xff.jpg", &row), 1);
	CHECK_STR(row.stamp, key.stamp);
	CHECK_STR(row.page, page.id);
	CHECK_INT(taken_find(f.spool, "another", "\xff.jpg", &row), 0);
	/* again with new content: one row, the newer */
	m.taken = &(const struct taken_key){"scanner", "\xff.jpg", "101:5.000000006"};
	CHECK_INT(fixture_try(&f, &m, &page), 0);
	CHECK_INT(taken_find(f.spool, "scanner", "\xff.jpg", &row), 1);
	CHECK_STR(row.page, page.id);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM taken"), 1);
	fixture_end(&f);
}

TEST(a_page_that_is_not_accepted_takes_nothing)
{
	struct spool_meta m;
	struct page_row page;
	struct fixture f;

	fixture_begin(&f);
	m = fixture_meta(&f);
	m.taken = &(const struct taken_key){"scanner", "a.jpg", "1:1"};
	CHECK(db_exec(spool_db(f.spool), "CREATE TEMP TRIGGER no BEFORE INSERT ON taken BEGIN SELECT raise(ABORT, 'no'); END", "") >= 0);
	CHECK(fixture_try(&f, &m, &page) < 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages"), 0);
	CHECK_INT(fixture_files("pages") + fixture_files("tmp"), 0);
	fixture_end(&f);
}

TEST(taken_rows_in_order)
{
	char names[2][TAKEN_NAME_SIZE];
	struct fixture f;

	fixture_begin(&f);
	for (const char *const *name = (const char *const[]){"c.jpg", "a.jpg", "b.jpg", NULL}; *name; name++)
		CHECK_INT(taken_put(f.spool, &(const struct taken_key){"x", *name, "1:1"}, ""), 0);
	CHECK_INT(taken_put(f.spool, &(const struct taken_key){"y", "z.jpg", "1:1"}, ""), 0);
	CHECK_INT(taken_names(f.spool, "x", "", names, 2), 2);
	CHECK_STR(names[0], "a.jpg");
	CHECK_STR(names[1], "b.jpg");
	CHECK_INT(taken_names(f.spool, "x", "b.jpg", names, 2), 1);
	CHECK_STR(names[0], "c.jpg");
	CHECK_INT(taken_remove(f.spool, "x", "c.jpg"), 0);
	CHECK_INT(taken_names(f.spool, "x", "b.jpg", names, 2), 0);
	CHECK_INT(taken_remove(f.spool, "x", "c.jpg"), 0);
	fixture_end(&f);
}

TEST(a_stamp_is_size_and_time)
{
	const struct stat st = {.st_dev = 9, .st_ino = 8, .st_size = 52133, .st_mtim = {1795238000, 120000000}};
	char stamp[TAKEN_STAMP_SIZE];

	taken_stamp(&st, stamp);
	CHECK_STR(stamp, "52133:1795238000.120000000");
}
