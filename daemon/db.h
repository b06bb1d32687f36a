/*
 * SQLite, behind a few functions: the one file that includes sqlite3.h is db.c. WAL, synchronous=FULL, foreign keys on,
 * every statement prepared once and kept by its text's address (SQL texts are string literals).
 */
#pragma once

#include "base/buf.h"

struct db;
struct stmt;

/* Opens or creates spool.db in the directory `path`. 0; -ENOTSUP: made by a newer version; -EMEDIUMTYPE: not ours;
 * -EUCLEAN: damaged; or errno. `why` gets a sentence on failure. */
int db_open(const char *path, struct db **ret, char *why, size_t why_size);
/* For looking alone: opens an existing one and writes nothing, not even a -shm beside it. Nobody else may write meanwhile:
 * the caller holds the spool. Errors as of db_open(), and -ENOENT. */
int db_open_readonly(const char *path, struct db **ret, char *why, size_t why_size);
void db_close(struct db *d);

/* Transactions (BEGIN IMMEDIATE). db_commit() rolls back itself when it fails. Nesting is a bug (asserted). */
int db_begin(struct db *d);
int db_commit(struct db *d);
void db_rollback(struct db *d); /* harmless without a transaction */

/*
 * Runs a statement. `types` has a letter for each parameter: i int64_t, s const char * (NULL binds null), t const char * and
 * size_t, n (nothing: null). db_exec() for statements without rows: 0 or negative errno (-EEXIST: a constraint).
 * db_query() starts one with rows; call stmt_next() until it gives 0 or negative errno, or stmt_done() to stop early.
 */
int db_exec(struct db *d, const char *sql, const char *types, ...);
int db_query(struct db *d, struct stmt **ret, const char *sql, const char *types, ...);
int stmt_next(struct stmt *s); /* 1: a row; 0: no more (the statement is done); negative errno: done too */
void stmt_done(struct stmt *s); /* harmless on NULL */
static inline void stmt_donep(struct stmt **s)
{
	stmt_done(*s);
}
#define _cleanup_stmt_ _cleanup_(stmt_donep)
int64_t stmt_i64(struct stmt *s, int column);          /* 0 for null */
bool stmt_null(struct stmt *s, int column);
const char *stmt_text(struct stmt *s, int column);     /* "" for null; borrowed until the next step */
/* The first column of the first row: 1 with *ret filled, 0 if there is no row, negative errno. */
int db_get_i64(struct db *d, int64_t *ret, const char *sql, const char *types, ...);
int64_t db_last_id(struct db *d);
const char *db_error(struct db *d); /* SQLite's message for the last failure */
/* Was damage met since it was opened? (Then every call may fail with -EUCLEAN.) */
bool db_damaged(const struct db *d);
/* What it says contradicts itself. */
void db_note_damage(struct db *d);
/* An empty one of our schema, in memory alone. */
int db_model(struct db **ret);

/* ---- db_verify.c ------------------------------------------------------------------------------- */
/* Reads all of it: 0 if it is sound, -EUCLEAN and the first thing that is wrong, or errno. A second for 100 MiB or so. */
int db_verify(struct db *d, char *why, size_t why_size);
