/* Is a database sound, and has it what our statements need? */
#include <stdio.h>

#include "daemon/db.h"

/* "TABLE.COLUMN;", "INDEX;" */
#define SHAPE      "m.name || coalesce('.' || c.name, '') || ';'"
#define SHAPE_FROM " FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c"

/* Has it each table, column and index of `want`? */
static int has_all_of(struct db *d, struct db *want, char *why, size_t why_size)
{
	_cleanup_stmt_ struct stmt *all = NULL, *each = NULL;
	int r;

	r = db_query(d, &all, "SELECT group_concat(';' || " SHAPE ", '')" SHAPE_FROM, "");
	if (r >= 0)
		r = stmt_next(all);
	if (r >= 0)
		r = db_query(want, &each, "SELECT ';' || " SHAPE SHAPE_FROM, "");
	while (r >= 0 && (r = stmt_next(each)) > 0)
		if (!strstr(stmt_text(all, 0), stmt_text(each, 0))) {
			str_format(why, why_size, "spool.db lacks %s", stmt_text(each, 0) + 1);
			r = -EUCLEAN;
		}
	return r;
}

/* A letter of the schema's text that has changed is nothing that SQLite minds: our statements do. */
static int verify_schema(struct db *d, char *why, size_t why_size)
{
	struct db *want;
	int r = db_model(&want);

	if (r < 0)
		return r;
	r = has_all_of(d, want, why, why_size);
	db_close(want);
	return r;
}

static int verify_pages(struct db *d, char *why, size_t why_size)
{
	_cleanup_stmt_ struct stmt *s = NULL;
	int r;

	r = db_query(d, &s, "PRAGMA integrity_check(1)", "");
	if (r >= 0)
		r = stmt_next(s);
	if (r > 0 && streq(stmt_text(s, 0), "ok"))
		return 0;
	str_format(why, why_size, "spool.db: %s", r > 0 ? stmt_text(s, 0) : db_error(d));
	return r < 0 ? r : -EUCLEAN;
}

int db_verify(struct db *d, char *why, size_t why_size)
{
	int r = verify_pages(d, why, why_size);

	if (r == -EUCLEAN) /* a page that cannot be read is told like one that is damaged: does it stay so? */
		r = verify_pages(d, why, why_size);
	return r < 0 ? r : verify_schema(d, why, why_size);
}
