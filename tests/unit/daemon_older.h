/* For tests of what is found from an older version: the fixture's database as version 2 had it, with all of its rows. */
#pragma once

#include <sqlite3.h>

#include "tests/unit/daemon_fixture.h"

static inline void older_sql(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		test_fail(__FILE__, __LINE__, "%s: %s", sql, message);
}

/* What the older table has no column for is left out. */
static inline void older_copy(sqlite3 *db, const char *table)
{
	char sql[2000];
	sqlite3_stmt *st;

	str_format(sql, sizeof(sql),
		"SELECT 'INSERT INTO main.%s SELECT ' || group_concat('\"' || name || '\"') || ' FROM newer.%s' FROM pragma_table_info('%s', 'main')",
		table, table, table);
	CHECK_INT(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	CHECK_INT(sqlite3_step(st), SQLITE_ROW);
	older_sql(db, (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
}

/* The spool is closed before. `schema`: the text of tests/data/spool-2.sql. */
static inline void older_make(const char *schema)
{
	static const char *const tables[] = {"meta", "typesets", "jobs", "documents", "pages", "gone", "taken", "attempts", "results",
		"receipts", "deliveries", "sqlite_sequence"};
	char newer[256], older[256], sql[400];
	sqlite3 *db;

	fixture_path(newer, "", "spool.db", "");
	fixture_path(older, "", "older.db", "");
	CHECK_INT(sqlite3_open(older, &db), SQLITE_OK);
	older_sql(db, schema);
	str_format(sql, sizeof(sql), "ATTACH '%s' AS newer; PRAGMA main.journal_mode = WAL", newer);
	older_sql(db, sql);
	older_sql(db, "BEGIN");
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (streq(tables[i], "sqlite_sequence"))
			older_sql(db, "DELETE FROM main.sqlite_sequence");
		older_copy(db, tables[i]);
	}
	older_sql(db, "DELETE FROM meta WHERE key LIKE 'budget%'");
	older_sql(db, "COMMIT; DETACH newer");
	CHECK_INT(sqlite3_close(db), SQLITE_OK);
	CHECK_INT(rename(older, newer), 0);
}

static inline void older_make_from(const char *folder)
{
	_cleanup_buf_ struct buf schema = BUF_MAX(1 << 20);
	char file[256];

	str_format(file, sizeof(file), "%sspool-2.sql", folder);
	CHECK_INT(file_read(AT_FDCWD, file, 1 << 20, &schema), 0);
	older_make(buf_str(&schema));
}
