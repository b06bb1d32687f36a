#include "daemon/beside.h"
#include "daemon/spool_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/messages.h"

#define BOOT_ID_FILE   "/proc/sys/kernel/random/boot_id"
#define STAMP_EVERY_MS 60000 /* how often the time that a server proved is worth a write */

/* ---- stamps and meta ------------------------------------------------------------------------- */

struct stamp spool_stamp(const struct spool *s)
{
	return (struct stamp){.ms = clock_realtime_ms(s->clock), .trust = clock_trust(s->clock)};
}

int spool_meta_get_i64(struct spool *s, const char *key, int64_t *ret)
{
	return db_get_i64(s->db, ret, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?", "s", key);
}

int spool_meta_set(struct spool *s, const char *key, const char *value)
{
	return db_exec(s->db,
		"INSERT INTO meta (key, value) VALUES (?, ?)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		"ss", key, value);
}

int spool_meta_set_i64(struct spool *s, const char *key, int64_t value)
{
	char text[24];

	str_format(text, sizeof(text), "%lld", (long long)value);
	return spool_meta_set(s, key, text);
}

int spool_ledger_lost(struct spool *s)
{
	int64_t lost = 0;
	int r = spool_meta_get_i64(s, "ledger_lost", &lost);

	return r < 0 ? r : lost != 0;
}

int spool_confirm(struct spool *s)
{
	return db_exec(s->db, "DELETE FROM meta WHERE key = 'ledger_lost'", "");
}

int spool_stamp_save(struct spool *s)
{
	int64_t floor_ms = clock_proven_floor_ms(s->clock);
	int r;

	if (floor_ms < s->stamp_ms + STAMP_EVERY_MS)
		return 0;
	r = spool_meta_set_i64(s, "stamp_ms", floor_ms);
	if (r >= 0)
		s->stamp_ms = floor_ms;
	return r;
}

/* ---- small files ----------------------------------------------------------------------------- */

int spool_tmp_write(struct spool *s, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* What a crash left under this name is ours: tmp/ holds nothing else. */
	if (unlinkat(s->tmp, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(s->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	if (r >= 0)
		r = fsync_retry(fd);
	if (r < 0)
		unlinkat(s->tmp, name, 0);
	return r;
}

int spool_file_write(struct spool *s, int dirfd, const char *name, const void *data, size_t len)
{
	int r;

	r = spool_tmp_write(s, name, data, len);
	if (r < 0)
		return r;
	r = replace_durable(s->tmp, name, dirfd, name);
	if (r < 0)
		unlinkat(s->tmp, name, 0);
	return r;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_folder(struct spool *s, const char *name, int *ret, char *why, size_t why_size)
{
	int fd = dir_open(s->dirfd, name, 0750);

	if (fd < 0) {
		str_format(why, why_size, "%s/%s: %s", s->directory, name, errno_text(fd));
		return fd;
	}
	*ret = fd;
	return 0;
}

/* One daemon a spool. The folder itself is locked: nothing that lies in it can stand in the way, and the lock goes with the
 * descriptor, however the process ends. */
int spool_lock(struct spool *s, char *why, size_t why_size)
{
	int r;

	s->dirfd = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd >= 0 && flock(s->dirfd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	r = -errno;
	if (r == -EWOULDBLOCK) {
		str_format(why, why_size, "%s is in use by another pageferryd", s->directory);
		return -EBUSY;
	}
	str_format(why, why_size, "%s: %s", s->directory, errno_text(r));
	return r;
}

static int open_folders(struct spool *s, char *why, size_t why_size)
{
	struct stat tmp, pages;
	int r;

	r = spool_lock(s, why, why_size);
	if (r >= 0)
		r = mend_folders(s);
	if (r >= 0)
		r = open_folder(s, "pages", &s->pages, why, why_size);
	if (r >= 0)
		r = open_folder(s, "tmp", &s->tmp, why, why_size);
	if (r >= 0)
		r = open_folder(s, "types", &s->types, why, why_size);
	if (r >= 0)
		r = open_folder(s, "results", &s->results, why, why_size);
	if (r >= 0)
		r = open_folder(s, "beside", &s->beside, why, why_size);
	if (r >= 0)
		r = open_folder(s, "quarantine", &s->quarantine, why, why_size);
	if (r < 0)
		return r;
	if (fstat(s->tmp, &tmp) < 0 || fstat(s->pages, &pages) < 0)
		return -errno;
	if (tmp.st_dev != pages.st_dev) {
		str_format(why, why_size, "%s: tmp/ and pages/ are on different file systems", s->directory);
		return -EXDEV;
	}
	mend_folders_finish(s);
	return fsync_dir(s->dirfd);
}

static int read_boot_id(struct spool *s)
{
	_cleanup_close_ int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read_full(fd, s->boot_id, 36);
	if (n < 0)
		return (int)n;
	return n == 36 ? 0 : -EBADMSG;
}

static bool storage_readonly(const char *directory)
{
	struct statvfs v;

	return statvfs(directory, &v) == 0 && v.f_flag & ST_RDONLY;
}

bool spool_readonly(const struct spool *s)
{
	return s->readonly;
}

/* A file system that the kernel has made read-only: what is there can be looked at. */
static int open_readonly(struct spool *s, char *why, size_t why_size)
{
	int r;

	s->readonly = true;
	r = spool_lock(s, why, why_size);
	if (r < 0)
		return r;
	spool_look_folders(s);
	if (s->pages < 0 || s->tmp < 0 || s->results < 0) {
		str_format(why, why_size, "%s: the file system is read-only, and the spool is not whole", s->directory);
		return -EROFS;
	}
	return db_open_readonly(s->directory, &s->db, why, why_size);
}

void spool_look_folders(struct spool *s)
{
	const struct {
		const char *name;
		int *fd;
	} folders[] = {{"pages", &s->pages}, {"tmp", &s->tmp}, {"types", &s->types}, {"results", &s->results}, {"beside", &s->beside},
		{"quarantine", &s->quarantine}};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		*folders[i].fd = openat(s->dirfd, folders[i].name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int spool_setup(struct spool *s, const struct spool_options *o, char *why, size_t why_size)
{
	int r;

	s->directory = strdup(o->directory);
	if (!s->directory)
		return -ENOMEM;
	r = read_boot_id(s);
	if (r >= 0 && storage_readonly(s->directory)) {
		r = open_readonly(s, why, why_size);
		return r < 0 ? r : spool_meta_read(s);
	}
	if (r >= 0)
		r = open_folders(s, why, why_size);
	if (r >= 0)
		r = spool_database_open(s, why, why_size);
	if (r < 0)
		return r;
	r = spool_meta_load(s);
	/* Damage below the header: once more, when it is sound all the same, and then with a new database. */
	for (int i = 0; r == -EUCLEAN && i < 2; i++) {
		db_close(take_ptr(s->db));
		spool_mark_damaged(s);
		r = spool_database_open(s, why, why_size);
		if (r >= 0)
			r = spool_meta_load(s);
	}
	return r;
}

int spool_open(const struct spool_options *o, struct spool **ret, char *why, size_t why_size)
{
	struct spool *s;
	int r;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dirfd = s->pages = s->tmp = s->types = s->results = s->beside = s->quarantine = -1;
	s->clock = o->clock;
	s->cap_bytes = o->cap_bytes;
	s->floor_bytes = o->floor_bytes;
	s->floor_inodes = o->floor_inodes;
	s->random = random_bytes;
	why[0] = 0;
	r = spool_setup(s, o, why, why_size);
	if (r < 0) {
		if (!why[0])
			str_format(why, why_size, "%s: %s", o->directory, errno_text(r));
		spool_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	while (s->writers)
		spool_page_abort(s->writers);
	while (s->besides)
		beside_abort(s->besides);
	if (s->db && db_damaged(s->db) && !s->readonly)
		spool_mark_damaged(s);
	if (s->reconcile.dir)
		closedir(s->reconcile.dir);
	rebuild_free(s->reconcile.rebuild);
	spool_jobs_free(s);
	db_close(s->db);
	closep(&s->pages);
	closep(&s->tmp);
	closep(&s->types);
	closep(&s->results);
	closep(&s->beside);
	closep(&s->quarantine);
	closep(&s->dirfd);
	free(s->directory);
	free(s);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct db *spool_db(struct spool *s)
{
	return s->db;
}

const char *spool_directory(const struct spool *s)
{
	return s->directory;
}

const char *spool_boot_id(const struct spool *s)
{
	return s->boot_id;
}

static int64_t bytes_free(const struct statvfs *v)
{
	return (int64_t)MIN((uint64_t)v->f_bavail * v->f_frsize, (uint64_t)INT64_MAX);
}

int64_t spool_bytes_free(struct spool *s)
{
	struct statvfs v;

	return fstatvfs(s->pages, &v) < 0 ? -errno : bytes_free(&v);
}

/* Bytes that pages being written may still take. */
static int64_t room_promised(const struct spool *s)
{
	int64_t n = 0;

	for (const struct spool_writer *w = s->writers; w; w = spool_writer_next(w))
		n += PAGE_ROOM;
	return n;
}

int spool_room(struct spool *s, char *why, size_t why_size)
{
	int64_t need = PAGE_ROOM + room_promised(s), taken = s->pages_bytes + s->beside_bytes + beside_writing_bytes(s), free_bytes;
	struct statvfs v;

	if (fstatvfs(s->pages, &v) < 0) {
		str_format(why, why_size, "the spool cannot be looked at: %s", errno_text(-errno));
		return -EIO;
	}
	if (v.f_flag & ST_RDONLY) {
		str_format(why, why_size, "the spool's file system is read-only");
		return -EROFS;
	}
	free_bytes = bytes_free(&v);
	if (free_bytes - need < s->floor_bytes) {
		str_format(why, why_size, "the disk is full: %lld MiB are free and %lld MiB must stay free",
			(long long)(free_bytes >> 20), (long long)(s->floor_bytes >> 20));
		return -ENOSPC;
	}
	/* Some file systems count no inodes and say 0 of 0. */
	if (v.f_files > 0 && (int64_t)MIN((uint64_t)v.f_favail, (uint64_t)INT64_MAX) - 4 < s->floor_inodes) {
		str_format(why, why_size, "the disk has too few inodes left (%llu)",
			(unsigned long long)v.f_favail);
		return -ENOSPC;
	}
	if (s->cap_bytes > 0 && taken + need > s->cap_bytes) {
		str_format(why, why_size, "the spool is full: pages take %lld of %lld MiB",
			(long long)(taken >> 20), (long long)(s->cap_bytes >> 20));
		return -EDQUOT;
	}
	return 0;
}
