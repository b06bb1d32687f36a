/*
 * Stands before the functions of libc and SQLite that touch storage or allocate: as strong symbols of the executable they are
 * what the daemon's code calls, and what libsqlite3.so calls too. What each can suffer is written at its definition:
 *
 *   EIO           anything that reads or writes the disk
 *   ENOSPC        what makes or lengthens files; also unlink, rename and fsync (copy on write, delayed allocation)
 *   EDQUOT        where ENOSPC is, but not through SQLite, whose own codes know of a full disk only
 *   EROFS         what changes something: ext4 turns read-only when it meets an error
 *   EINTR         where POSIX has it and the kernel could give it: not rename, unlink, mkdir, stat
 *   ENOMEM        allocations, mmap of files, and calls for which the kernel allocates
 *   late failure  the change was made and an error is told: rename, unlink, a commit; close always does what it says it could not
 *   short         write and pwrite
 *
 * Not here: fcntl locks (the spool has one process), reads that come short (a regular file gives them at its end only).
 */
#undef _FILE_OFFSET_BITS /* the functions are defined under the names that the linker sees */
#undef _TIME_BITS
#undef _FORTIFY_SOURCE
#include "tests/fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define EIO_    FAULT_CAN_EIO
#define INTR_   FAULT_CAN_EINTR
#define NOMEM_  FAULT_CAN_ENOMEM
#define FULL_   (FAULT_CAN_ENOSPC | FAULT_CAN_EDQUOT)
#define ROFS_   FAULT_CAN_EROFS
#define LATE_   FAULT_CAN_LATE
#define SHORT_  FAULT_CAN_SHORT
#define CHANGE_ (EIO_ | FULL_ | ROFS_ | NOMEM_) /* of a folder */

/* ---- the window ------------------------------------------------------------------------------ */

static struct {
	bool armed;
	struct fault fault;
	int sticky; /* errno that every call gives that can; 0: none */
	int64_t count;
	struct fault_point *points;
	size_t size;
} window;

static int inside; /* sqlite3_exec() or sqlite3_prepare_v3() is running, or SQLite prepares what it needs for a step */

unsigned int fault_can(int error)
{
	switch (error) {
	case EIO:
		return EIO_;
	case ENOSPC:
		return FAULT_CAN_ENOSPC;
	case EDQUOT:
		return FAULT_CAN_EDQUOT;
	case EROFS:
		return ROFS_;
	case EINTR:
		return INTR_;
	default:
		return error == ENOMEM ? NOMEM_ : 0;
	}
}

void fault_arm(const struct fault *f, struct fault_point *points, size_t size)
{
	window = (__typeof__(window)){.armed = true, .fault = *f, .points = points, .size = size};
}

int64_t fault_disarm(void)
{
	window.armed = false;
	return window.count;
}

/* What is to become of a call. */
enum { GO = 0, HALF = INT_MAX, DIE_AFTER = INT_MIN }; /* else errno: fail with it; -errno: make the call and fail */

/* The one that was chosen. */
static int act(void)
{
	switch (window.fault.kind) {
	case FAULT_KILL:
		fault_disarm();
		fault_die();
	case FAULT_KILL_AFTER:
		return DIE_AFTER;
	case FAULT_FAIL_ON:
		window.sticky = window.fault.error;
		return window.fault.error;
	case FAULT_FAIL:
		return window.fault.error;
	case FAULT_FAIL_LATE:
		return -window.fault.error;
	case FAULT_SHORT_FULL:
		window.sticky = ENOSPC;
		return HALF;
	case FAULT_SHORT:
		return HALF;
	default:
		return GO;
	}
}

static int point(const char *call, unsigned int can)
{
	int64_t n;

	if (!window.armed)
		return GO;
	n = window.count++;
	if (n < (int64_t)window.size)
		window.points[n] = (struct fault_point){call, can, inside > 0};
	if (window.sticky)
		return can & fault_can(window.sticky) ? window.sticky : GO;
	return n == window.fault.point ? act() : GO;
}

/* After the call: does it fail all the same? */
static bool fails_late(int what)
{
	if (what == DIE_AFTER) {
		fault_disarm();
		fault_die();
	}
	if (what >= 0)
		return false;
	errno = -what;
	return true;
}

/* The functions behind ours. */
#define REAL(name)                                                     \
	({                                                             \
		static __typeof__(&name) real_;                        \
		if (!real_)                                            \
			real_ = (__typeof__(real_))find_real(#name);   \
		real_;                                                 \
	})

static void *find_real(const char *name)
{
	bool armed = window.armed; /* dlsym() allocates */
	void *p;

	window.armed = false;
	p = dlsym(RTLD_NEXT, name);
	window.armed = armed;
	if (!p) {
		fprintf(stderr, "fault: no %s\n", name);
		abort();
	}
	return p;
}

/* The body of a function: `failed` is what it gives with errno. */
#define CALL(can, failed, name, ...)                                   \
	int what_ = point(#name, can);                                 \
	if (what_ > GO) {                                              \
		errno = what_;                                         \
		return failed;                                         \
	}                                                              \
	__typeof__(name(__VA_ARGS__)) result_ = REAL(name)(__VA_ARGS__); \
	return fails_late(what_) ? failed : result_

/* ---- files ----------------------------------------------------------------------------------- */

#define OPEN_CAN(flags) (EIO_ | INTR_ | NOMEM_ | ((flags) & (O_CREAT | O_TRUNC) ? FULL_ : 0) | ((flags) & O_ACCMODE ? ROFS_ : 0))

static mode_t open_mode(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                              \
	int name(const char *path, int flags, ...)                     \
	{                                                              \
		mode_t mode;                                           \
		va_list ap;                                            \
		va_start(ap, flags);                                   \
		mode = open_mode(flags, ap);                           \
		va_end(ap);                                            \
		CALL(OPEN_CAN(flags), -1, name, path, flags, mode);    \
	}
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                            \
	int name(int dirfd, const char *path, int flags, ...)          \
	{                                                              \
		mode_t mode;                                           \
		va_list ap;                                            \
		va_start(ap, flags);                                   \
		mode = open_mode(flags, ap);                           \
		va_end(ap);                                            \
		CALL(OPEN_CAN(flags), -1, name, dirfd, path, flags, mode); \
	}
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

int close(int fd)
{
	int what = point("close", EIO_ | FULL_ | INTR_);

	/* The descriptor is gone, whatever it says. */
	if (REAL(close)(fd) < 0)
		return -1;
	if (fails_late(what > GO ? -what : what))
		return -1;
	return 0;
}

ssize_t read(int fd, void *data, size_t len)
{
	CALL(EIO_ | INTR_, -1, read, fd, data, len);
}

ssize_t pread64(int fd, void *data, size_t len, off64_t at)
{
	CALL(EIO_ | INTR_, -1, pread64, fd, data, len, at);
}

#define WRITE_CAN (EIO_ | FULL_ | ROFS_ | INTR_ | SHORT_)

ssize_t write(int fd, const void *data, size_t len)
{
	int what = point("write", WRITE_CAN);
	ssize_t n;

	if (what > GO && what != HALF) {
		errno = what;
		return -1;
	}
	n = REAL(write)(fd, data, what == HALF ? (len + 1) / 2 : len);
	return fails_late(what == HALF ? GO : what) ? -1 : n;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	int what = point("pwrite64", WRITE_CAN);
	ssize_t n;

	if (what > GO && what != HALF) {
		errno = what;
		return -1;
	}
	n = REAL(pwrite64)(fd, data, what == HALF ? (len + 1) / 2 : len, at);
	return fails_late(what == HALF ? GO : what) ? -1 : n;
}

int fsync(int fd)
{
	CALL(EIO_ | FULL_ | ROFS_ | INTR_, -1, fsync, fd);
}

int fdatasync(int fd)
{
	CALL(EIO_ | FULL_ | ROFS_ | INTR_, -1, fdatasync, fd);
}

int ftruncate64(int fd, off64_t len)
{
	CALL(EIO_ | FULL_ | ROFS_ | INTR_, -1, ftruncate64, fd, len);
}

int flock(int fd, int operation); /* not <sys/file.h>: it brings another open() */
int flock(int fd, int operation)
{
	CALL(INTR_ | NOMEM_, -1, flock, fd, operation);
}

void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t at)
{
	if (fd < 0)
		return REAL(mmap64)(address, len, protection, flags, fd, at);
	CALL(NOMEM_, MAP_FAILED, mmap64, address, len, protection, flags, fd, at);
}

/* ---- folders --------------------------------------------------------------------------------- */

int renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	CALL(CHANGE_ | LATE_, -1, renameat, from_dirfd, from, to_dirfd, to);
}

int renameat2(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned int flags)
{
	CALL(CHANGE_ | LATE_, -1, renameat2, from_dirfd, from, to_dirfd, to, flags);
}

int linkat(int from_dirfd, const char *from, int to_dirfd, const char *to, int flags)
{
	CALL(CHANGE_ | LATE_, -1, linkat, from_dirfd, from, to_dirfd, to, flags);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	CALL(CHANGE_ | LATE_, -1, unlinkat, dirfd, name, flags);
}

int unlink(const char *name)
{
	CALL(CHANGE_ | LATE_, -1, unlink, name);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	CALL(CHANGE_, -1, mkdirat, dirfd, name, mode);
}

int fstatat64(int dirfd, const char *restrict name, struct stat64 *restrict st, int flags)
{
	CALL(EIO_ | NOMEM_, -1, fstatat64, dirfd, name, st, flags);
}

int fstat64(int fd, struct stat64 *st)
{
	CALL(EIO_, -1, fstat64, fd, st);
}

int stat64(const char *restrict name, struct stat64 *restrict st)
{
	CALL(EIO_ | NOMEM_, -1, stat64, name, st);
}

int lstat64(const char *restrict name, struct stat64 *restrict st)
{
	CALL(EIO_ | NOMEM_, -1, lstat64, name, st);
}

int access(const char *name, int mode)
{
	CALL(EIO_ | NOMEM_, -1, access, name, mode);
}

int faccessat(int dirfd, const char *name, int mode, int flags)
{
	CALL(EIO_ | NOMEM_, -1, faccessat, dirfd, name, mode, flags);
}

int fstatvfs64(int fd, struct statvfs64 *v)
{
	CALL(EIO_ | INTR_ | NOMEM_, -1, fstatvfs64, fd, v);
}

struct dirent64 *readdir64(DIR *d)
{
	CALL(EIO_ | NOMEM_, NULL, readdir64, d);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static int64_t allocations;

int64_t fault_allocations(void)
{
	return allocations;
}

static bool no_memory(const char *call)
{
	int what = point(call, NOMEM_);

	if (what <= GO)
		return fails_late(what);
	errno = what;
	return true;
}

void *malloc(size_t size)
{
	void *p = no_memory("malloc") ? NULL : __libc_malloc(size);

	allocations += p != NULL;
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = no_memory("calloc") ? NULL : __libc_calloc(n, size);

	allocations += p != NULL;
	return p;
}

void *realloc(void *old, size_t size)
{
	void *p = no_memory("realloc") ? NULL : __libc_realloc(old, size);

	allocations += p && !old;
	return p;
}

void free(void *p)
{
	int error = errno;

	allocations -= p != NULL;
	__libc_free(p);
	errno = error;
}

/* ---- SQLite ---------------------------------------------------------------------------------- */

static int sqlite_code(int error)
{
	switch (error) {
	case ENOSPC:
		return SQLITE_FULL;
	case EROFS:
		return SQLITE_READONLY;
	case ENOMEM:
		return SQLITE_NOMEM;
	default:
		return SQLITE_IOERR;
	}
}

#define SQL_READ  (EIO_ | NOMEM_)
#define SQL_WRITE (SQL_READ | FAULT_CAN_ENOSPC | ROFS_)

int sqlite3_prepare_v3(sqlite3 *db, const char *sql, int len, unsigned int flags, sqlite3_stmt **ret, const char **tail)
{
	int what = point("sqlite3_prepare_v3", SQL_READ), rc;

	if (what > GO) {
		*ret = NULL;
		return sqlite_code(what);
	}
	inside++;
	rc = REAL(sqlite3_prepare_v3)(db, sql, len, flags, ret, tail);
	inside--;
	fails_late(what);
	return rc;
}

static unsigned int step_can(sqlite3_stmt *s)
{
	const char *sql = sqlite3_sql(s);

	if (starts_with(sql, "COMMIT"))
		return SQL_WRITE | LATE_;
	/* It can end no transaction less than SQLite has ended by itself: no error of its own. */
	if (starts_with(sql, "ROLLBACK"))
		return 0;
	if (sqlite3_stmt_readonly(s) || starts_with(sql, "BEGIN"))
		return SQL_READ;
	return SQL_WRITE | (sqlite3_get_autocommit(sqlite3_db_handle(s)) ? LATE_ : 0); /* a commit of its own */
}

/* Reads of the schema, which SQLite makes by statements of its own. */
static bool reads_sql(sqlite3_stmt *s)
{
	const char *sql = sqlite3_sql(s);

	return sql && (starts_with(sql, "PRAGMA integrity_check") || strstr(sql, "sqlite_master"));
}

int sqlite3_step(sqlite3_stmt *s)
{
	int what = window.armed && !inside ? point("sqlite3_step", step_can(s)) : GO, rc;
	bool sql = reads_sql(s);

	if (what > GO)
		return sqlite_code(what);
	inside += sql;
	rc = REAL(sqlite3_step)(s);
	inside -= sql;
	return fails_late(what) ? sqlite_code(-what) : rc;
}

/* One point: it asks the statement, and not us, whether a step failed. The calls below are points as ever. */
int sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *ud, char **error)
{
	int what = point("sqlite3_exec", SQL_WRITE), rc;

	if (what > GO)
		return sqlite_code(what);
	inside++;
	rc = REAL(sqlite3_exec)(db, sql, row, ud, error);
	inside--;
	fails_late(what);
	return rc;
}
