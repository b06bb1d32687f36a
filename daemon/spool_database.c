/*
 * The spool's database, opened or made: what is damaged or foreign is set aside, never one of a newer version. And what it
 * says of itself (table meta).
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/messages.h"
#include "daemon/spool_internal.h"

#define DAMAGED_MARK "damaged"
#define SUSPECT_AGAIN_MS (60 * 60 * 1000) /* later, a read that failed is a new suspicion */

/* Is there anything in the folder? 1, 0, or negative errno. */
static int has_entries(int dirfd)
{
	struct dirent *e;
	int fd, found = 0;
	DIR *d;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	errno = 0;
	while (!found && (e = readdir(d)))
		found = !streq(e->d_name, ".") && !streq(e->d_name, "..");
	if (!found)
		found = -errno;
	closedir(d);
	return found;
}

/* Is there a database worth opening? An empty file is one whose making was cut off, or whose content is lost.
 */
static bool database_missing(const struct spool *s)
{
	struct stat st;

	if (fstatat(s->dirfd, "spool.db", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT;
	return S_ISREG(st.st_mode) && st.st_size == 0;
}

/* 1, 0 or negative errno. */
static int exists(int dirfd, const char *name, off_t *ret_size)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	*ret_size = st.st_size;
	return 1;
}

/* What belongs to a new database, in one commit: without a spool_id the making was cut off. */
static int init_meta(struct spool *s, bool lost)
{
	uint8_t id[16];
	char hex[33];
	int r;

	random_bytes(id, sizeof(id));
	hex_encode(id, sizeof(id), hex);
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = spool_meta_set(s, "spool_id", hex);
	if (r >= 0)
		r = spool_meta_set_i64(s, "created_ms", clock_realtime_ms(s->clock));
	if (r >= 0 && lost)
		r = spool_meta_set_i64(s, "rebuilt", 1);
	if (r >= 0 && lost && !BUG("rebuild-forget-mark"))
		r = spool_meta_set_i64(s, "ledger_lost", 1);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	STEP(REBUILD_META_SET);
	r = db_commit(s->db);
	if (r >= 0)
		STEP(REBUILD_META_COMMITTED);
	return r;
}

/* Empty: the database is suspected. With a text: it is set aside, whatever is left of it. */
int spool_mark(struct spool *s, const char *why)
{
	_cleanup_close_ int fd =
		openat(s->dirfd, DAMAGED_MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	int r;

	r = fd < 0 ? -errno : write_all(fd, why, strlen(why));
	if (r >= 0)
		r = fsync_retry(fd);
	if (r >= 0)
		r = fsync_dir(s->dirfd);
	if (r < 0)
		log_error("cannot note that the database is damaged: %s", errno_text(r));
	return r;
}

/* There is damage that reading all of it does not find (SQLite 3.46 passes over the indexes of an empty table): a database
 * that fails so soon after it would fail at every start. */
int spool_mark_damaged(struct spool *s)
{
	if (s->verified && clock_boottime_ms(s->clock) - s->verified_boot_ms < SUSPECT_AGAIN_MS)
		return spool_mark(s, "read as a whole it is sound, but in use it failed again");
	return spool_mark(s, "");
}

/* The mark with its text first: without its -wal the main file may look sound and be old. It stays until the new database
 * knows that it is one: cut off before, the new one is set aside as well. */
static int set_aside(struct spool *s, const char *why)
{
	int r;

	log_event(LOG_LEVEL_WARNING, MESSAGE_SPOOL_SET_ASIDE, NULL, 0,
		"the spool's database is set aside, and made again from the page files: %s", why);
	r = spool_mark(s, why);
	s->verified = false;
	STEP(SETASIDE_MARKED);
	return r < 0 ? r : quarantine_database(s, why);
}

/* Why the mark was set, in its own words. */
static void read_mark(struct spool *s, char *why, size_t why_size)
{
	_cleanup_buf_ struct buf text = {};

	if (file_read(s->dirfd, DAMAGED_MARK, 1024, &text) < 0 || text.len == 0)
		str_copy(why, why_size, "found damaged in the run before");
	else
		text_safe_copy(why, why_size, buf_str(&text));
}

/* A new database is one beside which there are files, or in whose place another was. types/ has some from the first job on:
 * what was spent counts also when each page has gone since. */
static int database_lost(struct spool *s)
{
	off_t size;
	int r = exists(s->dirfd, DAMAGED_MARK, &size);

	if (r == 0)
		r = has_entries(s->pages);
	if (r == 0)
		r = has_entries(s->results);
	return r == 0 ? has_entries(s->types) : r;
}

/* To SQLite a read that failed just then is damage like any other: what is suspected is read as a whole before it is given
 * up. 0: it is sound, and open. */
static int open_suspect(struct spool *s, char *why, size_t why_size)
{
	int r;

	r = db_open(s->directory, &s->db, why, why_size);
	if (r == -EUCLEAN) /* nor has it a header when that cannot be read */
		r = db_open(s->directory, &s->db, why, why_size);
	if (r < 0)
		return r;
	r = db_verify(s->db, why, why_size);
	if (r >= 0) {
		log_notice("the spool's database seemed damaged; read as a whole, it is sound");
		r = unlink_durable(s->dirfd, DAMAGED_MARK);
		/* Unless a read has just failed: that is no second time. */
		s->verified = !db_damaged(s->db);
		s->verified_boot_ms = clock_boottime_ms(s->clock);
	}
	if (r < 0)
		db_close(take_ptr(s->db));
	return r;
}

/* The database that is there. -EUCLEAN, -EMEDIUMTYPE: it is to be set aside. */
static int open_existing(struct spool *s, char *why, size_t why_size)
{
	off_t size = 0;
	int r;

	r = exists(s->dirfd, DAMAGED_MARK, &size);
	if (r > 0 && size > 0) {
		read_mark(s, why, why_size);
		return -EUCLEAN;
	}
	if (r == 0)
		r = db_open(s->directory, &s->db, why, why_size);
	else if (r > 0)
		r = -EUCLEAN;
	return r == -EUCLEAN ? open_suspect(s, why, why_size) : r;
}

/* Sets aside what cannot be a database of ours (never one of a newer version) and opens a new one. */
int spool_database_open(struct spool *s, char *why, size_t why_size)
{
	off_t size;
	int r;

	r = mend_database(s, why, why_size);
	if (r < 0 && r != -EUCLEAN)
		return r;
	if (r == -EUCLEAN) {
		/* Set aside below: whatever its parts are. */
	} else if (database_missing(s)) {
		r = exists(s->dirfd, "spool.db-wal", &size);
		if (r <= 0)
			return r < 0 ? r : db_open(s->directory, &s->db, why, why_size);
		/* A new database must not take it for its own. */
		str_format(why, why_size, "spool.db is gone, its -wal is not");
	} else {
		r = open_existing(s, why, why_size);
		if (r != -EUCLEAN && r != -EMEDIUMTYPE)
			return r;
	}
	r = set_aside(s, why);
	if (r >= 0)
		r = db_open(s->directory, &s->db, why, why_size);
	if (r >= 0)
		STEP(REBUILD_DATABASE_MADE);
	return r;
}

int spool_meta_read(struct spool *s)
{
	int64_t rebuilt = 0;
	int r;

	r = spool_meta_get_i64(s, "stamp_ms", &s->stamp_ms);
	if (r >= 0)
		r = spool_meta_get_i64(s, "rebuilt", &rebuilt);
	if (r >= 0)
		r = spool_meta_get_i64(s, "pages_bytes", &s->pages_bytes);
	if (r >= 0)
		r = db_get_i64(s->db, &s->reconcile.attempt_max,
			"SELECT coalesce(max(id), 0) FROM attempts WHERE closed_ms IS NULL", "");
	if (r >= 0)
		r = budget_clock_load(s);
	if (r < 0)
		return r;
	s->rebuilt = rebuilt > 0;
	if (s->stamp_ms > 0)
		clock_raise_floor(s->clock, s->stamp_ms);
	return 0;
}

int spool_meta_load(struct spool *s)
{
	int64_t id;
	off_t size;
	int r;

	r = db_get_i64(s->db, &id, "SELECT 1 FROM meta WHERE key = 'spool_id'", "");
	if (r == 0) {
		r = database_lost(s);
		if (r >= 0)
			r = init_meta(s, r > 0);
	}
	if (r >= 0) {
		r = exists(s->dirfd, DAMAGED_MARK, &size);
		if (r > 0)
			r = unlink_durable(s->dirfd, DAMAGED_MARK);
		STEP(REBUILD_MARK_REMOVED);
	}
	return r < 0 ? r : spool_meta_read(s);
}
