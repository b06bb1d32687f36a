#include "daemon/daily.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/chain.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/step.h"
#include "daemon/messages.h"
#include "daemon/receipt.h"
#include "daemon/spool_internal.h"

#define FOLDER     "receipts"
#define TMP        ".receipts.tmp"
#define DAY_MS     86400000
#define SLICE      256 /* lines of one call */
#define ALIKE_MAX  9   /* names that are tried for one file */
#define NAME_SIZE  64
#define COMPARE    ((size_t)64 << 10)

/* What a walk over lines ends with, beside 0 (there are no more) and errors. */
enum { MORE = 1, DAY_ENDS, IS_TODAY };

struct daily {
	struct spool *spool;                  /* borrowed */
	const struct receipts_config *config; /* borrowed */
	int dirfd;                            /* of the files; -1: not open */
	bool known;                           /* head, last_day and id were read */
	int64_t head, last_day;               /* of the last file: its last head, and its day; 0, -1: there is none */
	char id[CHAIN_ID_SIZE];
	int64_t looked_day;                   /* up to this one all is done */
	int said;                             /* the trouble that was told of last; 0: none */
	/* the file that is being written */
	int fd;                               /* -1: none */
	struct chain at;
	struct buf out;                       /* lines on their way into it */
	int64_t day, lines;                   /* day -1: no receipt with trusted time yet */
	int64_t walked;                       /* lines of this call */
	bool at_head;                         /* the last line is a head */
};

int daily_new(struct spool *s, const struct receipts_config *c, struct daily **ret)
{
	struct daily *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->spool = s;
	d->config = c;
	d->dirfd = d->fd = -1;
	d->looked_day = -1;
	*ret = d;
	return 0;
}

/* What is half written is of no use to a later call. */
static void let_go(struct daily *d)
{
	closep(&d->fd);
	closep(&d->dirfd);
	d->fd = d->dirfd = -1;
	buf_free(&d->out);
}

void daily_free(struct daily *d)
{
	if (!d)
		return;
	let_go(d);
	free(d);
}

static int64_t today(const struct daily *d)
{
	return clock_realtime_ms(d->spool->clock) / DAY_MS;
}

bool daily_is_due(struct daily *d)
{
	return clock_trust(d->spool->clock) == TIME_TRUSTED && today(d) != d->looked_day;
}

/* ---- where it goes ------------------------------------------------------------------------------------- */

/* The operator's folder is not made: what is not mounted must not fill the disk below it. */
static int open_folder(struct daily *d)
{
	const char *path = d->config->directory;

	if (d->dirfd >= 0)
		return 0;
	d->dirfd = path[0] ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : dir_open(d->spool->dirfd, FOLDER, 0750);
	if (d->dirfd < 0) {
		int r = path[0] ? -errno : d->dirfd;

		d->dirfd = -1;
		return r;
	}
	return 0;
}

static void name_of(const struct daily *d, int64_t day, unsigned int n, char out[static NAME_SIZE])
{
	char time[TIMESTAMP_SIZE], more[8] = "";

	timestamp_format(day * DAY_MS, false, time);
	if (n > 1)
		str_format(more, sizeof(more), ".%u", n);
	str_format(out, NAME_SIZE, "receipts-%.4s%.2s%.2s-%.8s%s.jsonl", time, time + 5, time + 8, d->id, more);
}

static int read_state(struct daily *d)
{
	struct stmt *st;
	int r;

	d->head = 0;
	d->last_day = -1;
	r = spool_meta_get_i64(d->spool, "daily_head", &d->head);
	if (r >= 0)
		r = spool_meta_get_i64(d->spool, "daily_day", &d->last_day);
	if (r >= 0)
		r = db_query(d->spool->db, &st, "SELECT value FROM meta WHERE key = 'spool_id'", "");
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -EUCLEAN;
	text_cut(d->id, sizeof(d->id), stmt_text(st, 0));
	stmt_done(st);
	d->known = true;
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static int flush(struct daily *d)
{
	int r = write_all(d->fd, buf_str(&d->out), d->out.len);

	buf_clear(&d->out);
	return r;
}

static int add_line(struct daily *d, const char *text, size_t len)
{
	int r = buf_add(&d->out, text, len);

	return r < 0 ? r : buf_addc(&d->out, '\n');
}

/* The head that the file before ended with. */
static int add_beginning(struct daily *d)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	_cleanup_buf_ struct buf line = {};
	const char *why;
	cJSON *body = NULL;
	int r;

	r = db_query(d->spool->db, &st, "SELECT body, sig FROM heads WHERE id = ?", "i", d->head);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -EUCLEAN;
	r = chain_head_line(&line, stmt_text(st, 0), stmt_text(st, 1));
	if (r >= 0)
		r = chain_follow(&d->at, buf_str(&line), line.len, &body, &why);
	cJSON_Delete(body);
	return r == -EBADMSG ? -EUCLEAN : r < 0 ? r : add_line(d, buf_str(&line), line.len);
}

static int begin(struct daily *d)
{
	int r = d->known ? 0 : read_state(d);

	if (r >= 0)
		r = open_folder(d);
	if (r < 0)
		return r;
	if (unlinkat(d->dirfd, TMP, 0) < 0 && errno != ENOENT)
		return -errno;
	d->fd = openat(d->dirfd, TMP, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (d->fd < 0)
		return -errno;
	d->at = CHAIN_BEGIN;
	d->at.in_parts = d->at.unchecked = true;
	d->day = -1;
	d->lines = 0;
	d->at_head = false;
	return d->head > 0 ? add_beginning(d) : 0;
}

/* A receipt that comes next. A file ends with a head, so what is between the day's last receipt and the head is still in it. */
static int take_receipt(struct daily *d, const cJSON *body)
{
	int64_t day = receipt_day(body);

	if (d->at_head && d->day >= 0 && day > d->day)
		return DAY_ENDS;
	/* Never two files of one name, whatever the clock has done. */
	if (d->day < 0 && day >= 0)
		d->day = MAX(day, d->last_day + 1);
	return d->day >= today(d) ? IS_TODAY : 0;
}

static int take_line(void *ud, const struct receipt_line *line)
{
	struct daily *d = ud;
	_cleanup_json_ cJSON *body = NULL;
	struct chain next = d->at;
	const char *why;
	int r;

	if (d->walked++ == SLICE)
		return MORE;
	r = chain_follow(&next, line->text, line->len, &body, &why);
	if (r < 0)
		return r == -EBADMSG ? -EUCLEAN : r;
	if (body)
		r = take_receipt(d, body);
	if (r != 0)
		return r;
	d->at = next;
	d->at_head = !body;
	d->lines++;
	return add_line(d, line->text, line->len);
}

/* Are both the same, to the last byte? 1, 0 or negative errno. */
static int same_content(int a, int b)
{
	_cleanup_free_ char *one = malloc(2 * COMPARE);
	off_t at = 0;

	if (!one)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(a, one, COMPARE, at), m = pread(b, one + COMPARE, COMPARE, at);

		if (n < 0 || m < 0)
			return -errno;
		if (n != m || memcmp(one, one + COMPARE, (size_t)n) != 0)
			return 0;
		if (n == 0)
			return 1;
		at += n;
	}
}

/* What has the name: this very file, of before a crash, or another, which stays. 1, 0 or negative errno. */
static int is_there(struct daily *d, const char *name)
{
	_cleanup_close_ int fd = openat(d->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? 0 : same_content(fd, d->fd);
}

static int put_in_place(struct daily *d, char name[static NAME_SIZE])
{
	int r = -EEXIST;

	for (unsigned int n = 1; r == -EEXIST && n <= ALIKE_MAX; n++) {
		name_of(d, d->day, n, name);
		r = rename_durable(d->dirfd, TMP, d->dirfd, name);
		if (r == -EEXIST && is_there(d, name) == 1)
			r = unlinkat(d->dirfd, TMP, 0) < 0 ? -errno : 0;
	}
	return r;
}

static int commit(struct daily *d)
{
	struct spool *s = d->spool;
	int r = db_begin(s->db);

	if (r < 0)
		return r;
	d->known = false; /* until it is read again */
	r = spool_meta_set_i64(s, "daily_head", d->at.heads);
	if (r >= 0)
		r = spool_meta_set_i64(s, "daily_day", d->day);
	if (r >= 0)
		return db_commit(s->db);
	db_rollback(s->db);
	return r;
}

static int finish(struct daily *d)
{
	char name[NAME_SIZE];
	int r;

	r = fsync_retry(d->fd);
	if (r >= 0 && BUG("daily-commit-first"))
		r = commit(d); /* Planted: a kill before the file has its name leaves a day without one. */
	if (r < 0)
		return r;
	STEP(DAILY_WRITTEN);
	r = put_in_place(d, name);
	if (r < 0)
		return r;
	STEP(DAILY_RENAMED);
	r = commit(d);
	if (r < 0)
		return r;
	STEP(DAILY_COMMITTED);
	log_info("receipts %lld to %lld are in %s/%s", (long long)d->at.from_seq + 1, (long long)d->at.seq,
		d->config->directory[0] ? d->config->directory : FOLDER, name);
	return 0;
}

/* ---- keeping ------------------------------------------------------------------------------------------- */

/* The day of a file of this chain that can be made again from the database; -1: it is another one, which stays. */
static int64_t day_of(const struct daily *d, const char *name)
{
	char day[TIMESTAMP_SIZE], want[NAME_SIZE];
	int64_t ms, n;

	if (strlen(name) < strlen("receipts-20261121") || str_format(day, sizeof(day), "%.4s-%.2s-%.2sT00:00:00Z", name + 9, name + 13, name + 15) < 0 ||
		parse_timestamp(day, &ms) < 0)
		return -1;
	n = ms / DAY_MS;
	name_of(d, n, 1, want);
	return streq(name, want) && n <= d->last_day ? n : -1;
}

static int age_out(struct daily *d)
{
	int64_t keep_days = d->config->keep_files_ms / DAY_MS;
	struct dirent *e;
	int fd, r = 0;
	DIR *dir;

	if (keep_days == 0)
		return 0;
	fd = openat(d->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r >= 0 && (errno = 0, e = readdir(dir))) {
		int64_t day = day_of(d, e->d_name);

		if (day < 0 || day + keep_days >= today(d))
			continue;
		r = unlinkat(d->dirfd, e->d_name, 0) < 0 ? -errno : 0;
		STEP(DAILY_REMOVED);
	}
	if (r >= 0)
		r = -errno;
	closedir(dir);
	return r;
}

/* ---- a slice ------------------------------------------------------------------------------------------- */

/* The rest is of today, or says of no day that it is; or it could not be signed, which was said by whoever signs. */
static int nothing_more(struct daily *d)
{
	int r = unlinkat(d->dirfd, TMP, 0) < 0 ? -errno : age_out(d);

	if (r >= 0)
		d->looked_day = today(d);
	let_go(d);
	return r;
}

static int step(struct daily *d)
{
	int r = d->fd < 0 ? begin(d) : 0;

	d->walked = 0;
	if (r >= 0)
		r = receipt_each(d->spool, d->at.seq, d->at.heads, take_line, d);
	if (r >= 0 && r != IS_TODAY && d->lines > 0) {
		int e = flush(d);

		STEP(DAILY_HALF);
		r = e < 0 ? e : r;
	}
	if (r < 0 || r == MORE)
		return r;
	if (r == DAY_ENDS || (r == 0 && d->at_head && d->day >= 0)) {
		r = finish(d);
		let_go(d);
		return r < 0 ? r : 1;
	}
	return nothing_more(d);
}

int daily_trouble(const struct daily *d)
{
	return d->said;
}

int daily_step(struct daily *d)
{
	int r;

	if (!daily_is_due(d))
		return 0;
	r = step(d);
	if (r < 0) {
		d->known = false;
		let_go(d);
	}
	if (r < 0 && r != d->said)
		log_event(LOG_LEVEL_ERROR, MESSAGE_RECEIPTS_NO_FILE, NULL, 0, "receipts are not exported to %s: %s; tried again",
			d->config->directory[0] ? d->config->directory : FOLDER,
			r == -EUCLEAN ? "their chain does not hold (pageferryctl audit verify)" : errno_text(r));
	else if (r == 0 && d->said < 0)
		log_notice("receipts are exported again");
	d->said = MIN(r, d->said < 0 && r > 0 ? d->said : 0);
	return r;
}
