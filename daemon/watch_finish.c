/* What becomes of a watched folder's file: moved away or left, and its row in table taken. */
#include "daemon/watch_internal.h"

#include <fcntl.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/messages.h"

#define TRIES_MAX   100
#define REASON_ROOM 7 /* ".reason" */

static int open_folder(const struct folder *f)
{
	int fd = open(f->config->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Is the name still the file with this stamp? 1, 0 (another, or none) or negative errno. */
static int is_still(int dirfd, const char *name, const char *stamp)
{
	char now[TAKEN_STAMP_SIZE];
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	taken_stamp(&st, now);
	return S_ISREG(st.st_mode) && streq(now, stamp);
}

static int target_open(int dirfd, const char *name)
{
	_cleanup_close_ int fd = dir_open(dirfd, name, 0770);
	struct stat from, to;

	if (fd < 0)
		return fd;
	if (fstat(dirfd, &from) < 0 || fstat(fd, &to) < 0)
		return -errno;
	if (from.st_dev != to.st_dev)
		return -EXDEV;
	return faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : take_fd(&fd);
}

int watch_can_move(struct folder *f, int dirfd, char *why, size_t why_size)
{
	const char *const names[] = {f->config->done, f->config->rejected};
	int r = faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;

	if (r < 0)
		str_format(why, why_size, "%s: %s: its files could not be moved away, so none is taken (Then=leave takes them)",
			f->config->folder, errno_text(r));
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(names); i++) {
		r = target_open(dirfd, names[i]);
		if (r >= 0)
			close(r);
		else
			str_format(why, why_size, "%s/%s: %s: files could not be moved there, so none is taken", f->config->folder,
				names[i], r == -EXDEV ? "on another file system" : errno_text(r));
	}
	return r < 0 ? r : 0;
}

/* The name was another's by the time it was moved: back with it. */
static int undo_if_another(int dirfd, const char *name, int target, const char *moved, const char *stamp)
{
	int r = is_still(target, moved, stamp);

	return r != 0 ? MIN(r, 0) : rename_durable(target, moved, dirfd, name);
}

static int move_done(struct folder *f, int dirfd, const char *name, const char *stamp, const char *tag)
{
	_cleanup_close_ int target = target_open(dirfd, f->config->done);
	char moved[TAKEN_NAME_SIZE];
	int r = target < 0 ? target : -EEXIST;

	for (unsigned int n = 0; r == -EEXIST && n < TRIES_MAX; n++) {
		r = watch_target_name(name, tag, n, 0, moved, sizeof(moved));
		if (r >= 0)
			r = rename_durable(dirfd, name, target, moved);
	}
	return r < 0 ? r : undo_if_another(dirfd, name, target, moved, stamp);
}

static int write_reason(struct folder *f, int target, const char *moved, const char *reason, const char *message)
{
	struct clock *clock = f->watch->service->clock;
	_cleanup_buf_ struct buf text = {};
	_cleanup_close_ int fd = -1;
	char file[TAKEN_NAME_SIZE], stamp[TIMESTAMP_SIZE];
	int r;

	timestamp_format(clock_realtime_ms(clock), false, stamp);
	r = str_format(file, sizeof(file), "%s.reason", moved);
	if (r >= 0)
		r = buf_addf(&text, "%s: %s\nrefused: %s (%s)\n", reason, message, stamp, time_trust_name(clock_trust(clock)));
	if (r < 0)
		return r;
	/* A leftover of a crash; never through a link of somebody's making. */
	if (unlinkat(target, file, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(target, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = write_all(fd, buf_str(&text), text.len);
	return r < 0 ? r : fsync_retry(fd);
}

static int move_rejected(struct folder *f, int dirfd, const char *name, const char *stamp, const char *reason, const char *message)
{
	_cleanup_close_ int target = target_open(dirfd, f->config->rejected);
	char moved[TAKEN_NAME_SIZE], tag[TAKEN_STAMP_SIZE];
	struct stat st;
	int r = target < 0 ? target : -EEXIST;

	str_copy(tag, sizeof(tag), strchr(stamp, ':') ? strchr(stamp, ':') + 1 : stamp); /* its time */
	for (unsigned int n = 0; r == -EEXIST && n < TRIES_MAX; n++) {
		r = watch_target_name(name, tag, n, REASON_ROOM, moved, sizeof(moved));
		if (r >= 0 && fstatat(target, moved, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = -EEXIST;
		if (r < 0)
			continue;
		/* The reason first: cut off between the two, the next start finds the file where it was. */
		r = write_reason(f, target, moved, reason, message);
		if (r < 0)
			continue;
		STEP(WATCH_REASON_WRITTEN);
		r = rename_durable(dirfd, name, target, moved);
	}
	if (r < 0)
		return r;
	STEP(WATCH_REFUSED_MOVED);
	return undo_if_another(dirfd, name, target, moved, stamp);
}

/* A file of that name that is another by now keeps its place and is looked at again; without its row it is a new one. */
static int finish_moved(struct folder *f, int dirfd, const char *name, const char *stamp, const char *page)
{
	int r = is_still(dirfd, name, stamp);

	if (r > 0)
		r = page[0] ? move_done(f, dirfd, name, stamp, page)
			    : move_rejected(f, dirfd, name, stamp, "refused", "when files were left in the folder");
	if (r < 0)
		return r;
	STEP(WATCH_MOVED);
	r = taken_remove(f->watch->service->spool, f->config->name, name);
	if (r < 0)
		return r;
	STEP(WATCH_ROW_REMOVED);
	return 0;
}

int watch_finish_known(struct folder *f, int dirfd, const char *name, const struct taken_row *row)
{
	return f->config->then == THEN_LEAVE ? 0 : finish_moved(f, dirfd, name, row->stamp, row->page);
}

int watch_finish_taken(struct folder *f)
{
	_cleanup_close_ int dirfd = open_folder(f);
	struct stat st;
	int r = dirfd < 0 ? dirfd : fstat(dirfd, &st) < 0 ? -errno : 0;

	/* An empty mount point says nothing about the file: without its row it would be a new one when it is back. */
	if (r >= 0 && (st.st_dev != f->flight.dev || st.st_ino != f->flight.ino))
		return 0;
	if (f->config->then == THEN_LEAVE)
		return r >= 0;
	if (r >= 0)
		r = finish_moved(f, dirfd, f->flight.name, f->flight.stamp, f->flight.page);
	return r < 0 ? r : 1;
}

static int note_refused(struct folder *f)
{
	const struct taken_key key = {f->config->name, f->flight.name, f->flight.stamp};
	int r = taken_put(f->watch->service->spool, &key, "");

	if (r >= 0)
		STEP(WATCH_REFUSED_NOTED);
	return r;
}

int watch_finish_refused(struct folder *f, const char *reason, const char *message)
{
	const struct log_field fields[] = {{"WATCH", f->config->name}};
	_cleanup_close_ int dirfd = open_folder(f);
	bool leave = f->config->then == THEN_LEAVE;
	char safe[TAKEN_NAME_SIZE];
	int r = dirfd < 0 ? dirfd : is_still(dirfd, f->flight.name, f->flight.stamp);

	if (r <= 0) /* it changed: it is looked at again */
		return r;
	r = leave ? note_refused(f) : move_rejected(f, dirfd, f->flight.name, f->flight.stamp, reason, message);
	if (r < 0)
		return r;
	f->rejected++;
	log_event(LOG_LEVEL_NOTICE, MESSAGE_WATCH_REJECTED, fields, ARRAY_SIZE(fields), "watched folder %s: %s refused and %s%s: %s: %s",
		f->config->name, text_safe_copy(safe, sizeof(safe), f->flight.name), leave ? "left" : "moved to ",
		leave ? "" : f->config->rejected, reason, message);
	return 0;
}
