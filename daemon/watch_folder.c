/* One watched folder: is it there and fit, what is in it, and which file is to be taken next. All in bounded pieces. */
#include "daemon/watch_internal.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/intake.h"

#define SLICE       64 /* names or looks in one turn of the loop */
#define PRUNE_SLICE 32
#define RESCAN_MS   60000
#define PRUNE_WALKS 60 /* where no event tells of deletions: once an hour */
#define DEPTH_MAX   128

/* ---- is it there? ------------------------------------------------------------------------------------------------------------ */

/* Is it the spool's folder or inside it, whatever its path says? */
static bool is_in_spool(const struct folder *f, int dirfd)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat spool, at, before = {0};

	if (stat(spool_directory(f->watch->service->spool), &spool) < 0)
		return false;
	for (unsigned int i = 0; fd >= 0 && i < DEPTH_MAX && fstat(fd, &at) == 0; i++) {
		int up;

		if (at.st_dev == spool.st_dev && at.st_ino == spool.st_ino)
			return true;
		if (i > 0 && at.st_dev == before.st_dev && at.st_ino == before.st_ino)
			return false; /* the root */
		before = at;
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = up;
	}
	return false;
}

static const struct folder *other_watcher(const struct folder *f, const struct stat *st)
{
	for (size_t i = 0; i < f->watch->n_folders; i++) {
		const struct folder *o = &f->watch->folders[i];

		if (o != f && o->placed && o->dev == st->st_dev && o->ino == st->st_ino)
			return o;
	}
	return NULL;
}

void watch_folder_forget(struct folder *f)
{
	if (f->walk)
		closedir(f->walk);
	f->walk = NULL;
	watch_table_clear(&f->table);
	watch_deaf(f);
	f->placed = f->pruning = f->proven = false;
}

/* Another folder than before, or the first time: may it be used? */
static int place(struct folder *f, int dirfd, const struct stat *st)
{
	const struct folder *other = other_watcher(f, st);

	watch_folder_forget(f);
	if (other)
		return watch_trouble(f, FOLDER_REFUSED, "%s is the folder of [Watch %s]", f->config->folder, other->config->name);
	if (is_in_spool(f, dirfd))
		return watch_trouble(f, FOLDER_REFUSED, "%s is in the spool's directory", f->config->folder);
	f->placed = true;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->rescan = f->prune = true;
	f->said_odd = f->said_unreadable = false;
	watch_listen(f);
	return 0;
}

/* Opened anew for each turn: an idle watch keeps no file system from being unmounted. */
static int open_folder(struct folder *f)
{
	_cleanup_close_ int fd = open(f->config->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		return watch_trouble(f, FOLDER_MISSING, "%s: %s", f->config->folder, errno_text(r));
	}
	if ((!f->placed || f->dev != st.st_dev || f->ino != st.st_ino) && place(f, fd, &st) < 0)
		return -1;
	return take_fd(&fd);
}

/* ---- what is in it? ---------------------------------------------------------------------------------------------------------- */

static void say_odd(struct folder *f, const char *name)
{
	char safe[TAKEN_NAME_SIZE];

	if (!f->said_odd)
		log_notice("watched folder %s: %s is no regular file; such things are ignored", f->config->name,
			text_safe_copy(safe, sizeof(safe), name));
	f->said_odd = true;
}

/* A file's time may be beyond 2262: it wraps then, and is still the same only when it is the same. */
static int64_t time_ns(const struct timespec *t)
{
	return (int64_t)((uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec);
}

static void look_of(const struct stat *st, struct watch_look *ret)
{
	*ret = (struct watch_look){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime_ns = time_ns(&st->st_mtim),
		.ctime_ns = time_ns(&st->st_ctim),
	};
}

/* Was this very content taken or refused before? 1 with the row, 0, or negative errno. */
static int is_known(struct folder *f, const char *name, const struct stat *st, struct taken_row *row)
{
	char stamp[TAKEN_STAMP_SIZE];
	int r = taken_find(f->watch->service->spool, f->config->name, name, row);

	taken_stamp(st, stamp);
	return r <= 0 ? r : streq(row->stamp, stamp);
}

/* A name of the walk. An empty file is not there yet: many a writer makes the name first. */
static void consider(struct folder *f, int dirfd, const char *name, int64_t now_ms)
{
	struct taken_row row;
	struct stat st;

	if (!watch_name_fits(name) || watch_table_find(&f->table, name) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISREG(st.st_mode)) {
		say_odd(f, name);
		return;
	}
	if (st.st_size == 0)
		return;
	if (f->config->then == THEN_LEAVE && is_known(f, name, &st, &row) > 0) {
		f->proven = true;
		return;
	}
	watch_table_add(&f->table, name, now_ms, false, NULL);
}

static int walk_begin(struct folder *f, int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	f->rescan = false;
	f->walk = fd < 0 ? NULL : fdopendir(fd);
	if (!f->walk && fd >= 0)
		close(fd);
	return f->walk ? 0 : watch_trouble(f, FOLDER_MISSING, "%s cannot be read", f->config->folder);
}

static void walk_end(struct folder *f, int64_t now_ms)
{
	closedir(f->walk);
	f->walk = NULL;
	f->rescan_ms = now_ms + RESCAN_MS;
	if (++f->walks % PRUNE_WALKS == 0)
		f->prune = true;
	if (f->prune && f->proven) {
		f->prune = false;
		f->pruning = true;
		f->prune_after[0] = '\0';
	}
}

static bool walk_wanted(const struct folder *f)
{
	return f->walk ? f->table.n < WATCH_FILES_MAX : f->rescan;
}

static int walk_slice(struct folder *f, int dirfd, int64_t now_ms)
{
	if (!f->walk && walk_begin(f, dirfd) < 0)
		return -1;
	for (unsigned int i = 0; i < SLICE && f->table.n < WATCH_FILES_MAX; i++) {
		struct dirent *e;

		errno = 0;
		e = readdir(f->walk);
		if (!e && errno)
			return watch_trouble(f, FOLDER_MISSING, "%s: %s", f->config->folder, errno_text(-errno));
		if (!e) {
			walk_end(f, now_ms);
			break;
		}
		consider(f, dirfd, e->d_name, now_ms);
	}
	f->troubles = 0;
	if (f->state == FOLDER_MISSING || f->state == FOLDER_REFUSED)
		watch_state(f, FOLDER_WATCHING, "");
	return 0;
}

static void look_at(struct folder *f, int dirfd, struct watch_file *file, int64_t now_ms)
{
	struct watch_look look;
	struct stat st;

	if (fstatat(dirfd, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		watch_table_remove(&f->table, file);
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		say_odd(f, file->name);
		watch_table_remove(&f->table, file);
		return;
	}
	if (st.st_nlink > 1 || (st.st_size > 0 && !file->written)) /* made by link(): nobody will close it under this name */
		file->writing = false;
	if (st.st_size == 0 && !file->writing) {
		watch_table_remove(&f->table, file);
		return;
	}
	look_of(&st, &look);
	watch_file_seen(file, &look, now_ms, f->config->settle_ms);
}

/* Rows of files that are gone, so that they do not pile up. Never of an empty mount point: the files would be taken again. */
static void prune_slice(struct folder *f, int dirfd)
{
	struct spool *spool = f->watch->service->spool;
	char names[PRUNE_SLICE][TAKEN_NAME_SIZE];
	ssize_t n = taken_names(spool, f->config->name, f->prune_after, names, PRUNE_SLICE);
	struct stat st;
	int r = n > 0 ? db_begin(spool_db(spool)) : -ENOENT;

	for (ssize_t i = 0; r >= 0 && i < n; i++)
		if (fstatat(dirfd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			r = taken_remove(spool, f->config->name, names[i]);
	if (r >= 0)
		r = db_commit(spool_db(spool));
	else
		db_rollback(spool_db(spool));
	f->pruning = r >= 0;
	if (r >= 0)
		str_copy(f->prune_after, sizeof(f->prune_after), names[n - 1]);
}

/* ---- what is to be taken? ---------------------------------------------------------------------------------------------------- */

/* A lease can be had only on a file that nobody has open for writing; and only by its owner, where the file system knows leases. */
static enum watch_writer writer_of(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return WRITER_NONE;
	}
	return errno == EAGAIN ? WRITER_SOME : WRITER_UNKNOWN;
}

/* Opens the ready file: the descriptor, or -1 when it is not to be taken now. */
static int open_file(struct folder *f, int dirfd, struct watch_file *file, struct stat *st, int64_t now_ms)
{
	_cleanup_close_ int fd =
		openat(dirfd, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct watch_look look;
	char safe[TAKEN_NAME_SIZE];
	bool opened = fd >= 0 && fstat(fd, st) == 0;
	int r = opened ? 0 : -errno;

	if (r == -EWOULDBLOCK) { /* somebody else's lease */
		watch_file_free(file, WRITER_SOME, now_ms, f->config->settle_ms);
		return -1;
	}
	if (!opened || !S_ISREG(st->st_mode)) {
		if (!opened && r != -ENOENT && !f->said_unreadable) {
			log_warning("watched folder %s: %s cannot be opened: %s; such files wait", f->config->name,
				text_safe_copy(safe, sizeof(safe), file->name), errno_text(r));
			f->said_unreadable = true;
		}
		watch_table_remove(&f->table, file); /* the next walk finds it again */
		return -1;
	}
	look_of(st, &look);
	watch_file_seen(file, &look, now_ms, f->config->settle_ms);
	if (!file->ready || !watch_file_free(file, st->st_size > 0 ? writer_of(fd) : WRITER_SOME, now_ms, f->config->settle_ms))
		return -1;
	return take_fd(&fd);
}

static void start(struct folder *f, struct watch_file *file, int fd, const struct stat *st)
{
	struct service *s = f->watch->service;
	struct flight *l = &f->flight;
	char name[TAKEN_NAME_SIZE], why[256] = "";
	struct taken_key key = {f->config->name, l->name, l->stamp};
	struct intake_request q = {
		.fd = fd,
		.name = text_safe_copy(name, sizeof(name), file->name),
		.taken = &key,
		.type = f->config->type[0] ? f->config->type : s->config.type,
		.lane = (enum lane)f->config->lane,
		.owner = -1,
	};
	int r;

	*l = (struct flight){0};
	str_copy(l->name, sizeof(l->name), file->name);
	taken_stamp(st, l->stamp);
	l->dev = f->dev;
	l->ino = f->ino;
	r = intake_start(s->intake, &q, &l->scan, why, sizeof(why));
	if (r < 0) {
		l->scan = 0;
		watch_hold(f, FOLDER_WAITING, "%s", why[0] ? why : errno_text(r));
		return;
	}
	watch_file_wait(file, 0, INT64_MAX);
	STEP(WATCH_STARTED);
}

/* Its row is there: a crash came between the page's commit and the move, or it was left where it is. */
static void take_known(struct folder *f, int dirfd, struct watch_file *file, const struct taken_row *row)
{
	int r = watch_finish_known(f, dirfd, file->name, row);

	if (r < 0)
		watch_hold(f, FOLDER_CANNOT_MOVE, "%s: a file that was taken cannot be moved away: %s", f->config->folder, errno_text(r));
	else
		watch_table_remove(&f->table, file);
}

static void take(struct folder *f, int dirfd, struct watch_file *file, int64_t now_ms)
{
	struct service *s = f->watch->service;
	_cleanup_close_ int fd = -1;
	struct taken_row row;
	char why[320];
	struct stat st;
	int r;

	if (f->config->then == THEN_MOVE && watch_can_move(f, dirfd, why, sizeof(why)) < 0) {
		watch_hold(f, FOLDER_CANNOT_MOVE, "%s", why);
		return;
	}
	fd = open_file(f, dirfd, file, &st, now_ms);
	if (fd < 0)
		return;
	r = is_known(f, file->name, &st, &row);
	if (r > 0) {
		take_known(f, dirfd, file, &row);
		return;
	}
	if (r < 0) {
		watch_hold(f, FOLDER_WAITING, "the spool cannot be read: %s", errno_text(r));
		return;
	}
	r = spool_room(s->spool, why, sizeof(why));
	if (r < 0)
		watch_hold(f, FOLDER_NO_ROOM, "%s", why);
	else
		start(f, file, fd, &st);
}

/* ---- a turn ------------------------------------------------------------------------------------------------------------------ */

static bool may_take(const struct folder *f, int64_t now_ms)
{
	return !f->flight.scan && f->hold_ms <= now_ms && !f->watch->stopped && watch_flights(f->watch) < FLIGHTS_MAX &&
	       watch_table_oldest(&f->table);
}

static bool has_work(const struct folder *f, int64_t now_ms)
{
	return !f->placed || walk_wanted(f) || f->pruning || watch_table_due(&f->table, now_ms) || may_take(f, now_ms);
}

bool watch_folder_step(struct folder *f, int64_t now_ms)
{
	_cleanup_close_ int dirfd = -1;
	struct watch_file *file;

	if (f->retry_ms > now_ms)
		return false;
	if (!f->walk && f->rescan_ms <= now_ms)
		f->rescan = true;
	if (!has_work(f, now_ms))
		return false;
	dirfd = open_folder(f);
	if (dirfd < 0 || (walk_wanted(f) && walk_slice(f, dirfd, now_ms) < 0))
		return false;
	for (unsigned int i = 0; i < SLICE && (file = watch_table_due(&f->table, now_ms)); i++)
		look_at(f, dirfd, file, now_ms);
	if (f->pruning)
		prune_slice(f, dirfd);
	if (may_take(f, now_ms))
		take(f, dirfd, watch_table_oldest(&f->table), now_ms);
	if (f->state != FOLDER_WATCHING && f->table.n == 0 && !f->flight.scan && !f->walk && f->retry_ms <= now_ms)
		watch_well(f);
	return has_work(f, now_ms);
}

int64_t watch_folder_next_ms(const struct folder *f, int64_t now_ms)
{
	int64_t next_ms = f->walk ? INT64_MAX : f->rescan_ms;

	if (f->retry_ms > now_ms)
		return f->retry_ms;
	next_ms = MIN(next_ms, watch_table_next_ms(&f->table));
	if (f->hold_ms > now_ms && watch_table_oldest(&f->table))
		next_ms = MIN(next_ms, f->hold_ms);
	return next_ms;
}
