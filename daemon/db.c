#include "daemon/db.h"

#include <assert.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"

#define DB_FILE           "spool.db"
#define DB_APPLICATION_ID 0x70666572 /* "pfer" */
#define DB_VERSION        3
#define BUCKETS           64
#define VALUE_MAX         (64 << 20) /* bytes of one row or text: no reply is larger */

static const char schema[] = ""
#include "schema.sql.h"
	;
static const char migrate3[] = ""
#include "migrate3.sql.h"
	;

/* A prepared statement. The same text in use twice at a time has two. */
struct stmt {
	struct stmt *next; /* in its bucket */
	struct db *db;
	sqlite3_stmt *handle;
	const char *sql;
	bool busy;
};

struct db {
	sqlite3 *handle;
	struct stmt *buckets[BUCKETS];
	bool damaged;
};

/* SQLite's code as errno. */
static int db_errno(struct db *d, int rc)
{
	int e = sqlite3_system_errno(d->handle);

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
		return e == ENOSPC || e == EDQUOT ? -ENOSPC : rc == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
	case SQLITE_CANTOPEN:
		return e > 0 ? -e : -EIO;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		d->damaged = true;
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	default:
		return -EIO;
	}
}

/* Of reading a statement. Ours are right: the tables are not, or their format is none that SQLite knows. */
static int db_errno_sql(struct db *d, int rc)
{
	return db_errno(d, (rc & 0xff) == SQLITE_ERROR ? SQLITE_CORRUPT : rc);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* For pragmas and the schema: texts that run once and give nothing of interest. */
static int run_once(struct db *d, const char *sql)
{
	return db_errno_sql(d, sqlite3_exec(d->handle, sql, NULL, NULL, NULL));
}

static int settings(struct db *d)
{
	sqlite3_limit(d->handle, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	sqlite3_limit(d->handle, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_extended_result_codes(d->handle, 1);
	return run_once(d, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
			   "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512; PRAGMA foreign_keys = ON");
}

/* Once the file is known to be ours. FULL in WAL mode: a commit is on the disk when it returns. */
static int settings_storage(struct db *d)
{
	int r = run_once(d, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256;"
			    "PRAGMA journal_size_limit = 4194304");

	if (r >= 0 && BUG("db-synchronous-normal"))
		r = run_once(d, "PRAGMA synchronous = NORMAL");
	return r;
}

static int create(struct db *d)
{
	int r = db_begin(d);

	if (r < 0)
		return r;
	r = run_once(d, schema);
	if (r >= 0)
		return db_commit(d);
	db_rollback(d);
	return r;
}

/* One step: all of it or nothing. */
static int migrate(struct db *d)
{
	int r = db_begin(d);

	if (r < 0)
		return r;
	/* Planted: a kill between the two leaves what the step cannot begin with. */
	if (BUG("migrate-two-commits"))
		r = run_once(d, "ALTER TABLE attempts ADD COLUMN day INTEGER; COMMIT; BEGIN IMMEDIATE; ALTER TABLE attempts DROP COLUMN day");
	if (r >= 0)
		r = run_once(d, migrate3);
	STEP(MIGRATE_CHANGED);
	if (r < 0) {
		db_rollback(d);
		return r;
	}
	r = db_commit(d);
	if (r < 0)
		return r;
	STEP(MIGRATE_COMMITTED);
	log_notice("the spool's database was brought to version %d", DB_VERSION);
	return 0;
}

enum identity { READY, EMPTY, OLDER };

/* Is it ours, of a known version, with its tables? EMPTY: may become ours; OLDER: to be brought up to date. Changes nothing. */
static int identify(struct db *d, char *why, size_t why_size)
{
	int64_t application, version, tables;
	int r;

	r = db_get_i64(d, &application, "PRAGMA application_id", "");
	if (r >= 0)
		r = db_get_i64(d, &version, "PRAGMA user_version", "");
	if (r >= 0)
		r = db_get_i64(d, &tables, "SELECT count(*) FROM sqlite_master WHERE type = 'table'", "");
	if (r < 0)
		return r;
	if (application == 0 && version == 0 && tables == 0)
		return EMPTY;
	if (application != DB_APPLICATION_ID) {
		str_format(why, why_size, DB_FILE " is a database of another program");
		return -EMEDIUMTYPE;
	}
	if (version > DB_VERSION) {
		str_format(why, why_size, DB_FILE " was made by a newer pageferry (version %lld, this one knows %d)", (long long)version,
			DB_VERSION);
		return -ENOTSUP;
	}
	/* Version 1 was never released: its pages are taken over like those of a lost database. */
	if (version < 2) {
		str_format(why, why_size, DB_FILE " is of development version %lld", (long long)version);
		return -EUCLEAN;
	}
	/* Eleven of ours in version 2, and sqlite_sequence. */
	if (tables < 12 + 3 * (version > 2)) {
		str_format(why, why_size, DB_FILE " lacks some of its tables");
		return -EUCLEAN;
	}
	return version < DB_VERSION ? OLDER : READY;
}

/* Makes the file with our mode if it is missing; -wal and -shm take over the mode of the main file. */
static int make_file(const char *path, const char *file, char *why, size_t why_size)
{
	_cleanup_close_ int fd = -1, dirfd = -1;
	struct stat st;

	if (lstat(file, &st) == 0) {
		if (S_ISREG(st.st_mode))
			return 0;
		str_format(why, why_size, DB_FILE " is not a regular file");
		return -EMEDIUMTYPE;
	}
	fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd < 0 ? -errno : fsync_dir(dirfd);
}

/* `alone`: the index of the -wal is kept in memory, not in a -shm. */
static int open_writable(struct db *d, const char *path, bool alone, char *why, size_t why_size)
{
	char file[4096];
	int r, identity;

	if (str_format(file, sizeof(file), "%s/" DB_FILE, path) < 0)
		return -ENAMETOOLONG;
	r = make_file(path, file, why, why_size);
	if (r < 0)
		return r;
	r = sqlite3_open_v2(file, &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!d->handle)
		return -ENOMEM;
	r = db_errno(d, r);
	/* SQLite reads only when it could not open it to write, whatever the reason was: one that has passed would stay. */
	if (r >= 0 && sqlite3_db_readonly(d->handle, "main") && access(file, W_OK) == 0)
		r = -EIO;
	/* Before the first look at the file. */
	if (r >= 0 && alone)
		r = run_once(d, "PRAGMA locking_mode = EXCLUSIVE");
	if (r >= 0)
		r = settings(d);
	if (r < 0)
		return r;
	identity = identify(d, why, why_size);
	if (identity < 0)
		return identity;
	/* What its header says of who may write is for a version of SQLite that is not there yet. */
	if (sqlite3_db_readonly(d->handle, "main") && access(file, W_OK) == 0) {
		str_format(why, why_size, DB_FILE " can only be read, by its header");
		return -EUCLEAN;
	}
	r = settings_storage(d);
	if (r < 0 || identity == READY)
		return r;
	return identity == EMPTY ? create(d) : migrate(d);
}

#define PATH_SIZE 4096
#define URI_SIZE  (3 * PATH_SIZE + 64)

/* The file as a URI, with a short `query`; SQLite takes % and what follows for a character's code. */
static void database_uri(const char *file, const char *query, char out[static URI_SIZE])
{
	int n = str_format(out, URI_SIZE, "file:");

	for (const char *p = file; *p; p++)
		n += str_format(out + n, URI_SIZE - (size_t)n, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned int)*p);
	str_format(out + n, URI_SIZE - (size_t)n, "%s", query);
}

/* A -wal is read as it is, its index kept in memory; without one the main file is all. No locks of SQLite's: so no -shm. */
static int open_readonly(struct db *d, const char *path, char *why, size_t why_size)
{
	char file[PATH_SIZE], uri[URI_SIZE];
	struct stat st;
	int r;

	if (str_format(file, sizeof(file), "%s/" DB_FILE "-wal", path) < 0)
		return -ENAMETOOLONG;
	r = lstat(file, &st) == 0 && st.st_size > 0;
	file[strlen(file) - strlen("-wal")] = 0;
	if (lstat(file, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		str_format(why, why_size, DB_FILE " is not a regular file");
		return -EMEDIUMTYPE;
	}
	database_uri(file, r ? "?mode=ro&vfs=unix-none" : "?mode=ro&immutable=1", uri);
	r = sqlite3_open_v2(uri, &d->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	if (!d->handle)
		return -ENOMEM;
	r = db_errno(d, r);
	if (r >= 0)
		r = db_errno(d, sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL));
	/* Before the first look at the file: it decides where the index of the -wal is kept. */
	if (r >= 0)
		r = run_once(d, "PRAGMA locking_mode = EXCLUSIVE");
	if (r >= 0)
		r = settings(d);
	if (r >= 0)
		r = run_once(d, "PRAGMA query_only = ON");
	if (r >= 0)
		r = identify(d, why, why_size);
	if (r == OLDER) {
		str_format(why, why_size, DB_FILE " is of an older version: the next start of the service brings it up to date");
		return -ENOTSUP;
	}
	return r == EMPTY ? -EUCLEAN : r;
}

enum access { READ, WRITE, WRITE_ALONE };

static int open_for(enum access access, const char *path, struct db **ret, char *why, size_t why_size)
{
	struct db *d;
	int r;

	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	why[0] = 0;
	r = access == READ ? open_readonly(d, path, why, why_size) : open_writable(d, path, access == WRITE_ALONE, why, why_size);
	if (r < 0) {
		if (!why[0])
			str_format(why, why_size, DB_FILE ": %s", d->handle && r != -ENOENT ? db_error(d) : errno_text(r));
		db_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

int db_open(const char *path, struct db **ret, char *why, size_t why_size)
{
	int r = open_for(WRITE, path, ret, why, why_size);

	/* A disk that is full to the last block has none for a -shm, and what is there must be served all the same. */
	return r == -ENOSPC ? open_for(WRITE_ALONE, path, ret, why, why_size) : r;
}

int db_open_readonly(const char *path, struct db **ret, char *why, size_t why_size)
{
	return open_for(READ, path, ret, why, why_size);
}

void db_close(struct db *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct stmt *s = d->buckets[i], *next; s; s = next) {
			next = s->next;
			sqlite3_finalize(s->handle);
			free(s);
		}
	sqlite3_close(d->handle);
	free(d);
}

int db_model(struct db **ret)
{
	struct db *d = calloc(1, sizeof(*d));
	int r = -ENOMEM;

	if (d && sqlite3_open_v2(":memory:", &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		r = run_once(d, schema);
	if (r < 0) {
		db_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static const char rollback[] = "ROLLBACK";

int db_begin(struct db *d)
{
	struct stmt *s;
	int r;

	assert(sqlite3_get_autocommit(d->handle));
	/* Only what can be rolled back is begun: without memory it would be too late to prepare that. */
	r = db_query(d, &s, rollback, "");
	if (r < 0)
		return r;
	stmt_done(s);
	return db_exec(d, "BEGIN IMMEDIATE", "");
}

int db_commit(struct db *d)
{
	int r;

	r = db_exec(d, "COMMIT", "");
	if (r < 0)
		db_rollback(d);
	return r;
}

void db_rollback(struct db *d)
{
	/* SQLite rolls back by itself after some errors (disk full, I/O). */
	if (!sqlite3_get_autocommit(d->handle))
		db_exec(d, rollback, "");
}

/* ---- statements ------------------------------------------------------------------------------ */

static size_t bucket_of(const char *sql)
{
	uintptr_t p = (uintptr_t)sql;

	return (p ^ p >> 6 ^ p >> 12) % BUCKETS;
}

static int stmt_prepare(struct db *d, const char *sql, struct stmt **ret)
{
	struct stmt **bucket = &d->buckets[bucket_of(sql)], *s;
	int r;

	for (s = *bucket; s; s = s->next)
		if (s->sql == sql && !s->busy)
			break;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		r = db_errno_sql(d, sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->handle, NULL));
		if (r < 0) {
			free(s);
			return r;
		}
		s->db = d;
		s->sql = sql;
		s->next = *bucket;
		*bucket = s;
	}
	s->busy = true;
	*ret = s;
	return 0;
}

static int bind_text(struct stmt *s, int i, const char *text, int64_t len, bool copy)
{
	if (!text)
		return sqlite3_bind_null(s->handle, i);
	return sqlite3_bind_text64(s->handle, i, text, (sqlite3_uint64)len, copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
}

/* `copy`: the texts may go away before the statement is done. */
static int stmt_bind(struct stmt *s, bool copy, const char *types, va_list ap)
{
	assert(sqlite3_bind_parameter_count(s->handle) == (int)strlen(types));
	for (int i = 1; *types; types++, i++) {
		const char *text;
		int rc;

		switch (*types) {
		case 'i':
			rc = sqlite3_bind_int64(s->handle, i, va_arg(ap, int64_t));
			break;
		case 's':
			text = va_arg(ap, const char *);
			rc = bind_text(s, i, text, text ? (int64_t)strlen(text) : 0, copy);
			break;
		case 't':
			text = va_arg(ap, const char *);
			rc = bind_text(s, i, text, (int64_t)va_arg(ap, size_t), copy);
			break;
		default:
			assert(*types == 'n');
			rc = sqlite3_bind_null(s->handle, i);
		}
		if (rc != SQLITE_OK)
			return db_errno(s->db, rc);
	}
	return 0;
}

static int start(struct db *d, struct stmt **ret, const char *sql, bool copy, const char *types, va_list ap)
{
	struct stmt *s;
	int r;

	r = stmt_prepare(d, sql, &s);
	if (r < 0)
		return r;
	r = stmt_bind(s, copy, types, ap);
	if (r < 0) {
		stmt_done(s);
		return r;
	}
	*ret = s;
	return 0;
}

int db_exec(struct db *d, const char *sql, const char *types, ...)
{
	struct stmt *s;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(d, &s, sql, false, types, ap);
	va_end(ap);
	if (r < 0)
		return r;
	while ((r = stmt_next(s)) > 0)
		;
	return r;
}

int db_query(struct db *d, struct stmt **ret, const char *sql, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(d, ret, sql, true, types, ap);
	va_end(ap);
	return r;
}

int db_get_i64(struct db *d, int64_t *ret, const char *sql, const char *types, ...)
{
	struct stmt *s;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(d, &s, sql, false, types, ap);
	va_end(ap);
	if (r < 0)
		return r;
	r = stmt_next(s);
	if (r > 0)
		*ret = stmt_i64(s, 0);
	stmt_done(s);
	return r;
}

/* A text may have to be copied to end in a NUL. Here it can be told that there is no memory for that. */
static bool texts_there(struct stmt *s)
{
	for (int i = sqlite3_data_count(s->handle) - 1; i >= 0; i--)
		if (sqlite3_column_type(s->handle, i) == SQLITE_TEXT && !sqlite3_column_text(s->handle, i))
			return false;
	return true;
}

int stmt_next(struct stmt *s)
{
	int rc = sqlite3_step(s->handle), r;

	if (rc == SQLITE_ROW && texts_there(s))
		return 1;
	r = rc == SQLITE_ROW ? -ENOMEM : db_errno(s->db, rc);
	stmt_done(s);
	return r;
}

void stmt_done(struct stmt *s)
{
	if (!s || !s->busy)
		return;
	sqlite3_reset(s->handle);
	sqlite3_clear_bindings(s->handle);
	s->busy = false;
}

int64_t stmt_i64(struct stmt *s, int column)
{
	return sqlite3_column_int64(s->handle, column);
}

bool stmt_null(struct stmt *s, int column)
{
	return sqlite3_column_type(s->handle, column) == SQLITE_NULL;
}

const char *stmt_text(struct stmt *s, int column)
{
	const char *t = (const char *)sqlite3_column_text(s->handle, column);

	return t ? t : "";
}

int64_t db_last_id(struct db *d)
{
	return sqlite3_last_insert_rowid(d->handle);
}

const char *db_error(struct db *d)
{
	return sqlite3_errmsg(d->handle);
}

void db_note_damage(struct db *d)
{
	d->damaged = true;
}

bool db_damaged(const struct db *d)
{
	return d->damaged;
}
