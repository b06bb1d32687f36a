#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "daemon/db.h"
#include "tests/unit/test.h"

static struct db *open_db(void)
{
	struct db *d = NULL;
	char why[256];

	if (db_open(test_tmpdir(), &d, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	return d;
}

static int64_t number(struct db *d, const char *sql)
{
	int64_t v = -1;

	CHECK_INT(db_get_i64(d, &v, sql, ""), 1);
	return v;
}

static const char *text(struct db *d, const char *sql, char out[static 64])
{
	struct stmt *s;

	CHECK_INT(db_query(d, &s, sql, ""), 0);
	CHECK_INT(stmt_next(s), 1);
	CHECK(str_copy(out, 64, stmt_text(s, 0)) >= 0);
	stmt_done(s);
	return out;
}

TEST(a_new_database_is_set_up_to_be_safe)
{
	struct db *d = open_db();
	struct stat st;
	char file[128], t[64];

	CHECK_STR(text(d, "PRAGMA journal_mode", t), "wal");
	CHECK_INT(number(d, "PRAGMA synchronous"), 2); /* FULL */
	CHECK_INT(number(d, "PRAGMA foreign_keys"), 1);
	CHECK_INT(number(d, "PRAGMA user_version"), 3);
	CHECK_INT(number(d, "PRAGMA application_id"), 0x70666572);
	CHECK_INT(number(d, "PRAGMA trusted_schema"), 0);
	CHECK_INT(number(d, "PRAGMA cell_size_check"), 1);
	CHECK_INT(number(d, "PRAGMA mmap_size"), 0);
	CHECK_INT(number(d, "SELECT count(*) FROM pages"), 0);
	str_format(file, sizeof(file), "%s/spool.db-wal", test_tmpdir());
	CHECK_INT(stat(file, &st), 0);
	CHECK_INT(st.st_mode & 07, 0);
	db_close(d);
	db_close(NULL);
}

TEST(values_come_back_as_they_went)
{
	static const char bytes[] = "not the end";
	struct db *d = open_db();
	struct stmt *s;

	CHECK_INT(db_exec(d, "CREATE TABLE t (a, b, c, d)", ""), 0);
	CHECK_INT(
		db_exec(d, "INSERT INTO t VALUES (?, ?, ?, ?)", "istn", INT64_MIN, "text", bytes, (size_t)3),
		0);
	CHECK_INT(db_last_id(d), 1);
	CHECK_INT(db_exec(d, "INSERT INTO t VALUES (?, ?, ?, ?)", "istn", INT64_MAX, NULL, bytes, (size_t)0),
		0);
	CHECK_INT(db_query(d, &s, "SELECT a, b, c, d FROM t ORDER BY rowid", ""), 0);
	CHECK_INT(stmt_next(s), 1);
	CHECK_INT(stmt_i64(s, 0), INT64_MIN);
	CHECK_STR(stmt_text(s, 1), "text");
	CHECK_STR(stmt_text(s, 2), "not");
	CHECK(stmt_null(s, 3));
	CHECK_INT(stmt_i64(s, 3), 0);
	CHECK_STR(stmt_text(s, 3), "");
	CHECK_INT(stmt_next(s), 1);
	CHECK_INT(stmt_i64(s, 0), INT64_MAX);
	CHECK(stmt_null(s, 1));
	CHECK(!stmt_null(s, 2));
	CHECK_INT(stmt_next(s), 0);
	stmt_done(s);
	stmt_done(NULL);
	db_close(d);
}

/* The same text in use twice at a time, and given back early. */
TEST(statements_nest)
{
	static const char sql[] = "SELECT x FROM n WHERE x > ? ORDER BY x";
	struct db *d = open_db();
	struct stmt *outer, *inner;
	int64_t n = 0;

	CHECK_INT(db_exec(d, "CREATE TABLE n (x INTEGER)", ""), 0);
	CHECK_INT(db_exec(d, "INSERT INTO n VALUES (1), (2), (3)", ""), 0);
	CHECK_INT(db_query(d, &outer, sql, "i", (int64_t)0), 0);
	while (stmt_next(outer) > 0) {
		CHECK_INT(db_query(d, &inner, sql, "i", (int64_t)1), 0);
		CHECK(inner != outer);
		CHECK_INT(stmt_next(inner), 1);
		n += stmt_i64(outer, 0) * 10 + stmt_i64(inner, 0);
		stmt_done(inner);
	}
	CHECK_INT(n, 66);
	CHECK_INT(db_query(d, &outer, sql, "i", (int64_t)0), 0);
	CHECK_INT(db_query(d, &inner, sql, "i", (int64_t)0), 0);
	stmt_done(outer);
	stmt_done(inner);
	db_close(d);
}

TEST(transactions)
{
	struct db *d = open_db();

	CHECK_INT(db_begin(d), 0);
	CHECK_INT(db_exec(d, "INSERT INTO meta VALUES ('a', '1')", ""), 0);
	db_rollback(d);
	db_rollback(d);
	CHECK_INT(number(d, "SELECT count(*) FROM meta"), 0);
	CHECK_INT(db_begin(d), 0);
	CHECK_INT(db_exec(d, "INSERT INTO meta VALUES ('a', '1')", ""), 0);
	CHECK_INT(db_commit(d), 0);
	CHECK_INT(db_exec(d, "INSERT INTO meta VALUES ('a', '2')", ""), -EEXIST);
	/* a foreign key is looked at when the statement ends */
	CHECK_INT(db_exec(d, "INSERT INTO jobs (hash, json, typeset) VALUES ('h', 'j', 'nowhere')", ""),
		-EEXIST);
	db_close(d);
	d = open_db();
	CHECK_INT(number(d, "SELECT count(*) FROM meta"), 1);
	db_close(d);
}

/* Deferred until the commit: the commit fails, and nothing stays open. */
TEST(a_commit_that_fails_rolls_back)
{
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "CREATE TABLE child (x REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED)", ""),
		0);
	CHECK_INT(db_begin(d), 0);
	CHECK_INT(db_exec(d, "INSERT INTO child VALUES (5)", ""), 0);
	CHECK_INT(db_commit(d), -EEXIST);
	CHECK_INT(number(d, "SELECT count(*) FROM child"), 0);
	CHECK_INT(db_begin(d), 0);
	CHECK_INT(db_commit(d), 0);
	db_close(d);
}

TEST(no_row_is_told)
{
	struct db *d = open_db();
	int64_t v = 5;

	CHECK_INT(db_get_i64(d, &v, "SELECT 1 FROM meta WHERE key = ?", "s", "none"), 0);
	CHECK_INT(v, 5);
	CHECK(!db_damaged(d));
	db_close(d);
}

/* SQLite does not mind a letter that has changed in the text of the schema: our statements do. */
static void check_lacks(const char *change, const char *sql, const char *what)
{
	struct db *d = open_db();
	char why[256];
	int64_t v;

	CHECK_INT(db_verify(d, why, sizeof(why)), 0);
	CHECK_INT(db_exec(d, change, ""), 0);
	CHECK_INT(db_get_i64(d, &v, sql, ""), -EUCLEAN);
	CHECK(db_damaged(d));
	CHECK_INT(db_verify(d, why, sizeof(why)), -EUCLEAN);
	CHECK_STR(why, what);
	db_close(d);
}

TEST(a_schema_without_a_table_is_damage)
{
	check_lacks("ALTER TABLE taken RENAME TO takem", "SELECT count(*) FROM taken", "spool.db lacks taken.folder;");
}

TEST(a_schema_without_a_column_is_damage)
{
	check_lacks("ALTER TABLE pages RENAME COLUMN reason TO reasom", "SELECT max(reason) FROM pages", "spool.db lacks pages.reason;");
}

TEST(a_schema_without_an_index_is_damage)
{
	check_lacks("DROP INDEX pages_state", "SELECT 1 FROM pages INDEXED BY pages_state WHERE state = 'held'", "spool.db lacks pages_state;");
}

/* What is stored can make a sum of it impossible: the next start would find nothing wrong. */
TEST(a_sum_that_overflows_is_no_damage)
{
	struct db *d = open_db();
	int64_t v;

	CHECK_INT(db_get_i64(d, &v, "SELECT sum(x) FROM (SELECT 9223372036854775807 AS x UNION ALL SELECT 1)", ""), -EIO);
	CHECK(!db_damaged(d));
	db_close(d);
}

/* Seemed damaged and is sound: a statement that was wrong. */
TEST(a_sound_database_is_verified)
{
	struct db *d = open_db();
	char why[256];
	int64_t v;

	CHECK_INT(db_get_i64(d, &v, "SELECT nonsense FROM nowhere", ""), -EUCLEAN);
	CHECK(strstr(db_error(d), "nowhere"));
	CHECK_INT(db_verify(d, why, sizeof(why)), 0);
	db_close(d);
}

/* The table's own checks: what must not be cannot be written. */
TEST(the_schema_refuses_what_must_not_be)
{
	static const char *const bad[] = {
		"INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, accepted_trust, "
		"source, sha256, bytes, width,"
		" height) VALUES ('p', 1, 1, 1, 0, 'held', 1, 't', 's', 'x', 1, 1, 1)", /* held without a
											   reason */
		"INSERT INTO pages (page, document, position, job, lane, state, reason, accepted_ms, "
		"accepted_trust, source, sha256,"
		" bytes, width, height) VALUES ('p', 1, 1, 1, 0, 'queued', 'why', 1, 't', 's', 'x', 1, 1, 1)",
		"INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, accepted_trust, "
		"source, sha256, bytes, width,"
		" height) VALUES ('p', 1, 1, 1, 0, 'sending', 1, 't', 's', 'x', 1, 1, 1)",
		"INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms) "
		"VALUES (1, 'b', 1, 't', 0, 1)",
		"INSERT INTO deliveries (page, version, sink) VALUES (99, 1, 'results')", /* of no result */
		"INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, accepted_trust, "
		"source, sha256, bytes, width,"
		" height, file) VALUES ('p', 1, 1, 1, 0, 'queued', 1, 't', 's', 'x', 1, 1, 1, 2)",
	};
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "INSERT INTO typesets VALUES ('h', '[]')", ""), 0);
	CHECK_INT(db_exec(d, "INSERT INTO jobs (hash, json, typeset) VALUES ('h', '{}', 'h')", ""), 0);
	CHECK_INT(db_exec(d, "INSERT INTO documents (document, created_ms) VALUES ('d', 1)", ""), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(db_exec(d, bad[i], ""), -EEXIST);
	CHECK_INT(number(d, "SELECT count(*) FROM pages"), 0);
	db_close(d);
}

/* ---- files that are not ours ----------------------------------------------------------------- */

static int open_error(void)
{
	struct db *d = NULL;
	char why[256] = "";
	int r = db_open(test_tmpdir(), &d, why, sizeof(why));

	db_close(d);
	if (r < 0)
		CHECK(why[0]);
	return r;
}

static void write_db(const char *data, size_t len)
{
	char file[128];
	FILE *f;

	str_format(file, sizeof(file), "%s/spool.db", test_tmpdir());
	f = fopen(file, "we");
	CHECK(f);
	CHECK_INT(fwrite(data, 1, len, f), (int64_t)len);
	CHECK_INT(fclose(f), 0);
}

TEST(what_is_no_database_is_damage)
{
	char noise[8192];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 7 + 1);
	write_db(noise, sizeof(noise));
	CHECK_INT(open_error(), -EUCLEAN);
	memcpy(noise, "SQLite format 3", 16);
	write_db(noise, sizeof(noise));
	CHECK_INT(open_error(), -EUCLEAN);
}

TEST(a_cut_database_is_damage)
{
	struct db *d = open_db();
	char file[128];

	db_close(d); /* the last one out writes the log back into the file */
	str_format(file, sizeof(file), "%s/spool.db", test_tmpdir());
	CHECK_INT(truncate(file, 8192), 0);
	CHECK_INT(open_error(), -EUCLEAN);
}

TEST(other_databases_are_told_apart)
{
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "PRAGMA user_version = 4", ""), 0);
	db_close(d);
	CHECK_INT(open_error(), -ENOTSUP);
}

TEST(a_database_of_another_program)
{
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "PRAGMA application_id = 77", ""), 0);
	db_close(d);
	CHECK_INT(open_error(), -EMEDIUMTYPE);
}

TEST(a_database_without_its_tables)
{
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "DROP TABLE deliveries", ""), 0);
	db_close(d);
	CHECK_INT(open_error(), -EUCLEAN);
}

TEST(a_link_is_not_followed)
{
	char file[128];

	str_format(file, sizeof(file), "%s/spool.db", test_tmpdir());
	CHECK_INT(symlink("/tmp/pageferry-elsewhere.db", file), 0);
	CHECK_INT(open_error(), -EMEDIUMTYPE);
	CHECK_INT(access("/tmp/pageferry-elsewhere.db", F_OK), -1);
}

TEST(a_folder_that_is_not_there)
{
	struct db *d = NULL;
	char why[256] = "";

	CHECK_INT(db_open("/nonexistent/spool", &d, why, sizeof(why)), -ENOENT);
	CHECK(!d && why[0]);
}

/* ---- what SQLite says, as errno ---------------------------------------------------------------- */

static void db_path(char out[static 128], const char *suffix)
{
	str_format(out, 128, "%s/spool.db%s", test_tmpdir(), suffix);
}

/* Another program has it in its hands. */
TEST(a_database_that_is_locked_is_busy)
{
	struct db *d = open_db();
	sqlite3 *other;
	char file[128];

	db_path(file, "");
	CHECK_INT(sqlite3_open(file, &other), SQLITE_OK);
	CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	CHECK_INT(db_begin(d), -EBUSY);
	CHECK_INT(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	CHECK_INT(db_begin(d), 0);
	db_rollback(d);
	sqlite3_close(other);
	db_close(d);
}

/* It is not read: its length is enough. */
TEST(a_text_that_is_too_long)
{
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "INSERT INTO meta VALUES ('a', ?)", "t", "x", (size_t)65 << 20), -EMSGSIZE);
	CHECK_INT(number(d, "SELECT count(*) FROM meta"), 0);
	CHECK_INT(db_exec(d, "INSERT INTO meta VALUES ('a', ?)", "t", "x", (size_t)1), 0);
	db_close(d);
}

/* A path that we cannot hold, and one that SQLite cannot. */
TEST(a_path_that_is_too_long)
{
	char path[5000], why[256];
	struct db *d = NULL;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	CHECK_INT(db_open(path, &d, why, sizeof(why)), -ENAMETOOLONG);
	CHECK_INT(db_open_readonly(path, &d, why, sizeof(why)), -ENAMETOOLONG);
	str_format(path, sizeof(path), "%s", test_tmpdir());
	for (int i = 0; i < 3; i++) {
		strcat(path, "/");
		memset(path + strlen(path), i + 'a', 200);
		path[strlen(test_tmpdir()) + (size_t)(i + 1) * 201] = 0;
		CHECK_INT(mkdir(path, 0700), 0);
	}
	CHECK(db_open(path, &d, why, sizeof(why)) < 0);
	CHECK(!d && why[0]);
}

TEST(a_folder_in_the_place_of_a_file)
{
	struct db *d = NULL;
	char file[128], why[256];

	db_path(file, "-wal");
	CHECK_INT(mkdir(file, 0700), 0);
	CHECK(db_open(test_tmpdir(), &d, why, sizeof(why)) < 0);
	CHECK(!d && why[0]);
}

/* Of nothing there is nothing to be said: it has tables and is of nobody. */
TEST(a_database_of_nobody)
{
	sqlite3 *other;
	char file[128];

	db_path(file, "");
	CHECK_INT(sqlite3_open(file, &other), SQLITE_OK);
	CHECK_INT(sqlite3_exec(other, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	CHECK_INT(open_error(), -EMEDIUMTYPE);
	CHECK_INT(sqlite3_open(file, &other), SQLITE_OK);
	CHECK_INT(sqlite3_exec(other, "PRAGMA user_version = 2; DROP TABLE t", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	CHECK_INT(open_error(), -EMEDIUMTYPE);
}

TEST(a_database_of_a_development_version)
{
	struct db *d = open_db();

	CHECK_INT(db_exec(d, "PRAGMA user_version = 1", ""), 0);
	db_close(d);
	CHECK_INT(open_error(), -EUCLEAN);
}

/* ---- only looked at ---------------------------------------------------------------------------- */

/* With SQLite's own meaning for some of the characters of a URI. */
static struct db *open_readonly(const char *folder)
{
	struct db *d = NULL;
	char why[256];

	if (db_open_readonly(folder, &d, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	return d;
}

TEST(looking_changes_nothing)
{
	struct db *d, *second;
	char folder[200], why[256], file[300];
	struct stat st;

	str_format(folder, sizeof(folder), "%s/50%%20?#", test_tmpdir());
	CHECK_INT(mkdir(folder, 0700), 0);
	CHECK_INT(db_open(folder, &d, why, sizeof(why)), 0);
	CHECK_INT(db_exec(d, "INSERT INTO meta VALUES ('a', '1')", ""), 0);
	/* with what is in the -wal only, and without */
	for (int i = 0; i < 2; i++) {
		second = open_readonly(folder);
		CHECK_INT(number(second, "SELECT count(*) FROM meta"), 1);
		CHECK_INT(db_exec(second, "INSERT INTO meta VALUES ('b', '1')", ""), -EROFS);
		db_close(second);
		db_close(take_ptr(d));
	}
	str_format(file, sizeof(file), "%s/spool.db-wal", folder);
	CHECK_INT(stat(file, &st), -1);
	/* An empty one is no -wal. */
	CHECK_INT(close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	second = open_readonly(folder);
	CHECK_INT(number(second, "SELECT count(*) FROM meta"), 1);
	db_close(second);
}

TEST(what_cannot_be_looked_at)
{
	char file[128], why[256];
	struct db *d = NULL;

	CHECK_INT(db_open_readonly(test_tmpdir(), &d, why, sizeof(why)), -ENOENT);
	write_db("", 0);
	CHECK_INT(db_open_readonly(test_tmpdir(), &d, why, sizeof(why)), -EUCLEAN);
	db_path(file, "");
	CHECK_INT(unlink(file), 0);
	CHECK_INT(mkdir(file, 0700), 0);
	CHECK_INT(db_open_readonly(test_tmpdir(), &d, why, sizeof(why)), -EMEDIUMTYPE);
	CHECK(!d && why[0]);
}
