/* A database that is set aside, one that is made anew, and one of an older version. */
#include "daemon/keep.h"
#include "tests/crash/sequence.h"
#include "tests/unit/daemon_older.h"

/* ---- set aside the database, rebuild ---------------------------------------------------------- */

/* No page is left, only what was spent. */
static void setaside_database_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	fixture_reopen(f);
	CHECK_INT(keep_drop(f->spool, 1, "dropped by uid 0: a test"), 0);
	r->n_base = 0;
	CHECK_INT(spool_mark(f->spool, "a test"), 0);
}

static int setaside_database_run(struct fixture *f, struct report *r)
{
	return f->spool ? 0 : fixture_open_spool(f, 0);
}

/* The new database is made, and empty. */
static void rebuild_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_page(f, r);
	CHECK_INT(spool_mark(f->spool, "a test"), 0);
	fixture_reopen(f);
}

static void rebuild_verify(struct fixture *f, struct report *r)
{
	if (spool_ledger_lost(f->spool) != 1)
		problem(r, "it is not known that the ledger is lost");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason LIKE 'rebuilt:%in results/%'") != 1)
		problem(r, "a page that was answered is not held");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'queued'") != 1)
		problem(r, "a page that was not answered is not queued");
}

static void setaside_database_verify(struct fixture *f, struct report *r)
{
	if (spool_ledger_lost(f->spool) != 1)
		problem(r, "it is not known that the ledger is lost");
	if (!fixture_exists("quarantine", "spool.db.1", "") && !fixture_exists("quarantine", "spool.db.2", ""))
		problem(r, "the database that was set aside is lost");
}

const struct sequence setaside_database = {
	.name = "set aside the database",
	.bugs = {"setaside-reason-after", "rebuild-forget-mark"},
	.prepare = setaside_database_prepare,
	.run = setaside_database_run,
	.verify = setaside_database_verify,
	.opens = true,
	.crashed = true,
	.forgets = true,
	.held = 1,
};

const struct sequence rebuild = {
	.name = "rebuild",
	.bugs = {"rebuild-finished-first"},
	.prepare = rebuild_prepare,
	.run = start_run,
	.verify = rebuild_verify,
	.opens = true,
	.forgets = true,
	.held = 1,
};

/* ---- an older database ------------------------------------------------------------------------ */

static void migrate_prepare(struct fixture *f, struct report *r)
{
	const char *data = getenv("TEST_DATA");

	base_done(f, r);
	base_answer(f, base_page(f, r), false);
	base_attempt(f, 2);
	spool_close(take_ptr(f->spool));
	older_make_from(data ? data : "tests/data/");
	r->attempts = 3;
}

static int migrate_run(struct fixture *f, struct report *r)
{
	return f->spool ? 0 : fixture_open_spool(f, 0);
}

static void migrate_verify(struct fixture *f, struct report *r)
{
	if (count_rows(f, "PRAGMA user_version") != 3)
		problem(r, "it is not of version 3");
	if (count_rows(f, "SELECT sum(attempts) FROM usage") != 3 || count_rows(f, "SELECT sum(settled_pusd) FROM usage") != RESERVE * 2)
		problem(r, "what was spent before is not known");
	if (fixture_files("quarantine") != 0)
		problem(r, "it was set aside");
}

const struct sequence migrate = {
	.name = "migrate",
	.bugs = {"migrate-two-commits"},
	.prepare = migrate_prepare,
	.run = migrate_run,
	.verify = migrate_verify,
	.opens = true,
};
