/*
 * Recovery after the start, in slices, while the service already works: what a crash or a power cut left is
 * put in order. The walks find the same again when they are cut off themselves; each change is one commit or
 * one rename.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/messages.h"
#include "daemon/receipt.h"
#include "daemon/spool_internal.h"
#include "daemon/usage.h"

#define CRASHES_MAX 3 /* attempts in a row that ended in a crash: the page may be what crashes us */

static void next_phase(struct reconcile *c, enum reconcile_phase phase)
{
	if (c->dir)
		closedir(c->dir);
	c->dir = NULL;
	rebuild_free(c->rebuild);
	c->rebuild = NULL;
	c->cursor = 0;
	c->phase = phase;
}

/* ---- folders --------------------------------------------------------------------------------- */

/* The walk's own descriptor: a duplicate would share its position with others. */
static int open_walk(struct reconcile *c, int dirfd)
{
	int fd;

	if (c->dir)
		return 0;
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	c->dir = fdopendir(fd);
	if (!c->dir) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

/* The next name, borrowed: 0 (untouched at the end), or negative errno. */
static int walk_name(struct reconcile *c, const char **ret)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(c->dir);
	} while (e && (streq(e->d_name, ".") || streq(e->d_name, "..")));
	if (!e)
		return -errno;
	*ret = e->d_name;
	return 0;
}

bool spool_slice_over(const struct spool *s, int items, int64_t started_ms)
{
	return items >= RECONCILE_SLICE || (items > 0 && clock_boottime_ms(s->clock) - started_ms >= RECONCILE_SLICE_MS);
}

int spool_walk_slice(struct spool *s, int dirfd, int (*fn)(struct spool *s, const char *name))
{
	int64_t started_ms = clock_boottime_ms(s->clock);
	struct reconcile *c = &s->reconcile;
	int r;

	r = open_walk(c, dirfd);
	if (r < 0)
		return r;
	for (int i = 0; !spool_slice_over(s, i, started_ms); i++) {
		const char *name = NULL;
		long at = telldir(c->dir);

		r = walk_name(c, &name);
		if (r < 0 || !name)
			return r;
		r = fn(s, name);
		if (r < 0) { /* tried again it is the first */
			seekdir(c->dir, at);
			return r;
		}
	}
	return 1;
}

/* Nothing in tmp/ was ever acknowledged. */
static int clean_tmp(struct spool *s, const char *name)
{
	if (spool_is_writing(s, name))
		return 0;
	if (unlinkat(s->tmp, name, 0) == 0) {
		s->reconcile.counts.tmp_removed++;
		return 0;
	}
	if (errno == ENOENT)
		return 0;
	/* A folder, or something that cannot be unlinked: not ours. */
	if (quarantine_move(s, s->tmp, name, "found in tmp/, not made by pageferryd") >= 0)
		s->reconcile.counts.quarantined++;
	return 0;
}

/* ---- attempts that a crash cut off ----------------------------------------------------------- */

struct cut_off {
	int64_t id, page, reserved, bytes;
	char page_id[PAGE_ID_SIZE], sha256[SHA256_HEX_SIZE], backend[BACKEND_NAME_SIZE];
	char model[256], region[32], host[256], type[33], body_sha256[SHA256_HEX_SIZE], rendering_sha256[SHA256_HEX_SIZE];
	char tier[16], resolved[1024];
	struct buf pages; /* owned; as in the receipt, where there are several */
	bool lab;
};

static void cut_off_clear(struct cut_off *a)
{
	buf_free(&a->pages);
}

/* The oldest one after the cursor: 1, 0 if there is none. */
static int cut_off_next(struct spool *s, struct cut_off *a)
{
	struct stmt *st;
	int r;

	r = db_query(s->db, &st,
		"SELECT a.id, a.page, a.reserved_pusd, p.page, p.sha256, a.backend, a.model, a.region, a.host,"
		" CASE WHEN json_valid(j.json) THEN json_extract(j.json, '$.type') END"
		" FROM attempts a LEFT JOIN pages p ON p.seq = a.page LEFT JOIN jobs j ON j.id = p.job"
		" WHERE a.closed_ms IS NULL AND a.id > ? AND a.id <= ? AND (p.seq IS NOT NULL OR a.page = 0) ORDER BY a.id LIMIT 1",
		"ii", s->reconcile.cursor, s->reconcile.attempt_max);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	*a = (struct cut_off){.id = stmt_i64(st, 0), .page = stmt_i64(st, 1), .reserved = stmt_i64(st, 2), .bytes = -1};
	text_cut(a->page_id, sizeof(a->page_id), stmt_text(st, 3));
	text_cut(a->sha256, sizeof(a->sha256), stmt_text(st, 4));
	text_cut(a->backend, sizeof(a->backend), stmt_text(st, 5));
	text_cut(a->model, sizeof(a->model), stmt_text(st, 6));
	text_cut(a->region, sizeof(a->region), stmt_text(st, 7));
	text_cut(a->host, sizeof(a->host), stmt_text(st, 8));
	text_cut(a->type, sizeof(a->type), stmt_text(st, 9));
	stmt_done(st);
	return 1;
}

/* What only the receipt "sent" knows. */
static int cut_off_sent(struct spool *s, struct cut_off *a)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_stmt_ struct stmt *st = NULL;
	const struct {
		const char *member;
		char *field;
		size_t size;
	} texts[] = {
		{"body", a->body_sha256, sizeof(a->body_sha256)},
		{"rendering", a->rendering_sha256, sizeof(a->rendering_sha256)},
		{"tier", a->tier, sizeof(a->tier)},
		{"resolved", a->resolved, sizeof(a->resolved)},
	};
	const char *text;
	int r;

	r = db_query(s->db, &st, "SELECT body FROM receipts WHERE attempt = ? AND kind = 'sent'", "i", a->id);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	text = stmt_text(st, 0);
	if (json_parse(text, strlen(text), &j, NULL) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		text = json_get_string(j, texts[i].member);
		text_cut(texts[i].field, texts[i].size, text ? text : "");
	}
	if (json_get_i64(j, "bytes", &a->bytes) < 0)
		a->bytes = -1;
	a->lab = cJSON_IsTrue(json_get(j, "lab"));
	return json_get_array(j, "pages") ? json_print(json_get_array(j, "pages"), false, &a->pages) : 0;
}

static int crashed_receipt(struct spool *s, const struct cut_off *a)
{
	const struct receipt p = {
		.kind = "crashed",
		.attempt = a->id,
		.page = a->page_id,
		.content_sha256 = a->sha256,
		.rendering_sha256 = a->rendering_sha256,
		.pages = a->pages.len ? buf_str(&a->pages) : NULL,
		.body_sha256 = a->body_sha256,
		.bytes = a->bytes,
		.backend = a->backend,
		.host = a->host,
		.region = a->region,
		.model = a->model,
		.tier = a->tier,
		.resolved = a->resolved,
		.lab = a->lab,
		.tokens_input = -1,
		.tokens_output = -1,
	};

	return receipt_add(s, &p);
}

/* A crash is no try of the page, but one that repeats is taken to be the page's doing. */
static int hold_poison(struct spool *s, const struct cut_off *a)
{
	const struct log_field fields[] = {{"PAGE_ID", a->page_id}};
	int64_t crashes = 0;
	int r;

	r = db_get_i64(s->db, &crashes,
		"SELECT count(*) FROM (SELECT outcome FROM attempts WHERE page = ?"
		" AND id > (SELECT retried FROM pages WHERE seq = ?) ORDER BY id DESC LIMIT ?) WHERE outcome = 'crashed'",
		"iii", a->page, a->page, (int64_t)CRASHES_MAX);
	if (r < 0 || crashes < CRASHES_MAX)
		return r;
	log_event(LOG_LEVEL_WARNING, MESSAGE_PAGE_HELD, fields, ARRAY_SIZE(fields), "page %s is held: crashed %d times", a->page_id,
		CRASHES_MAX);
	return db_exec(s->db,
		"UPDATE pages SET state = 'held', reason = 'crashed 3 times: the service ended each time it "
		"was sent'"
		" WHERE (seq = ?1 OR leader = ?1) AND state IN ('queued', 'provisional')",
		"i", a->page);
}

static int close_crashed(struct spool *s, const struct cut_off *a)
{
	int r;

	/* What may have been billed counts as spent: the worst case stays reserved for good. */
	r = db_exec(s->db,
		"UPDATE attempts SET closed_ms = ?, outcome = 'crashed', reason = 'crashed',"
		" message = 'the service ended before an answer came', billed = ?, settled_pusd = "
		"reserved_pusd"
		" WHERE id = ?",
		"isi", clock_realtime_ms(s->clock), a->reserved > 0 ? "possibly" : "no", a->id);
	if (r >= 0)
		r = usage_add(s, a->id, a->type);
	if (r >= 0 && BUG("start-two-commits")) {
		/* Planted: a kill between the two leaves an attempt that is closed without its receipt. */
		r = db_commit(s->db);
		if (r >= 0)
			r = db_begin(s->db);
	}
	if (r >= 0)
		r = crashed_receipt(s, a);
	return r < 0 ? r : hold_poison(s, a);
}

static int attempt_crashed(struct spool *s, struct cut_off *a)
{
	char attempt[24];
	const struct log_field fields[] = {{"PAGE_ID", a->page_id}, {"BACKEND", a->backend}, {"ATTEMPT", attempt}};
	int r;

	str_format(attempt, sizeof(attempt), "%lld", (long long)a->id);
	r = cut_off_sent(s, a);
	if (r >= 0)
		r = db_begin(s->db);
	if (r < 0)
		return r;
	r = close_crashed(s, a);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	r = db_commit(s->db);
	if (r < 0)
		return r;
	log_event(LOG_LEVEL_WARNING, MESSAGE_ATTEMPT_CRASHED, fields, ARRAY_SIZE(fields),
		"%s%s: the service ended while %s had it%s", a->page ? "page " : "a question of the doctor", a->page_id, a->backend,
		a->reserved > 0 ? "; it may have been billed" : "");
	spool_counts_forget(s);
	s->reconcile.counts.attempts_crashed++;
	s->reconcile.cursor = a->id;
	return 0;
}

static int attempts_slice(struct spool *s)
{
	int64_t started_ms = clock_boottime_ms(s->clock);
	int r;

	for (int i = 0; !spool_slice_over(s, i, started_ms); i++) {
		_cleanup_(cut_off_clear) struct cut_off a = {0};

		r = cut_off_next(s, &a);
		if (r > 0)
			r = attempt_crashed(s, &a);
		else
			return r;
		if (r < 0)
			return r;
	}
	return 1;
}

/* ---- rows without a file --------------------------------------------------------------------- */

static const enum page_state walked[] = {STATE_QUEUED, STATE_PROVISIONAL, STATE_HELD};

/* 1: why the row cannot be worked on; 0: it can; negative errno: its file cannot be looked at just now. */
static int row_is_broken(
	struct spool *s, const struct page_row *p, char *why, size_t why_size, bool *ret_lost)
{
	char name[PAGE_FILE_SIZE];
	struct stat st;
	bool missing;

	*ret_lost = false;
	page_file_name(p->id, name);
	missing = !page_id_valid(p->id);
	if (!missing && fstatat(s->pages, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return -errno;
		missing = true;
	}
	if (missing) {
		*ret_lost = true;
		str_format(why, why_size, "lost: its page file is missing");
	} else if (!S_ISREG(st.st_mode)) {
		str_format(why, why_size, "damaged: what has its file's name is no regular file");
	} else if (!mend_page_file(s, name, &st)) {
		str_format(why, why_size, "damaged: its page file is not for the service to read");
	} else if (st.st_size != p->bytes) {
		str_format(why, why_size, "damaged: its page file has %lld bytes and should have %lld",
			(long long)st.st_size, (long long)p->bytes);
	} else if (!p->job->types) {
		str_format(why, why_size, "damaged: what was asked of it cannot be read");
	} else {
		return 0;
	}
	return 1;
}

static int check_row(struct spool *s, const struct page_row *p)
{
	const struct log_field fields[] = {{"PAGE_ID", p->id}};
	char why[200];
	bool lost;
	int r;

	r = row_is_broken(s, p, why, sizeof(why), &lost);
	if (r <= 0 || streq(p->reason, why))
		return MIN(r, 0);
	log_event(spool_log_level(s->reconcile.counts.lost), lost ? MESSAGE_PAGE_LOST : MESSAGE_PAGE_HELD, fields, ARRAY_SIZE(fields),
		"page %s is held: %s", p->id, why);
	r = spool_page_hold(s, p->seq, why);
	if (r >= 0)
		s->reconcile.counts.lost += lost;
	return r;
}

/* An index knows of the row, and it cannot be read, or its document's is gone: that is damage which SQLite has not met. */
static int get_row(struct spool *s, int64_t seq, struct page_row *ret)
{
	int r = spool_page_get(s, seq, ret);

	if (r != -ENOENT)
		return r;
	db_note_damage(s->db);
	return -EUCLEAN;
}

/* Rows that still need their file, state by state. Done ones have given what they were for. */
static int rows_slice(struct spool *s)
{
	int64_t started_ms = clock_boottime_ms(s->clock);
	struct reconcile *c = &s->reconcile;
	struct page_row p;
	int64_t seq;
	int r;

	for (int i = 0; !spool_slice_over(s, i, started_ms) && c->state < ARRAY_SIZE(walked); i++) {
		r = db_get_i64(s->db, &seq,
			"SELECT seq FROM pages INDEXED BY pages_state WHERE state = ? AND seq > ?"
			" ORDER BY seq LIMIT 1",
			"si", page_state_name(walked[c->state]), c->cursor);
		if (r == 0) {
			c->state++;
			c->cursor = 0;
			continue;
		}
		if (r > 0)
			r = get_row(s, seq, &p);
		if (r >= 0)
			r = check_row(s, &p);
		if (r < 0)
			return r;
		c->cursor = seq;
	}
	return c->state < ARRAY_SIZE(walked);
}

/* ---- exports --------------------------------------------------------------------------------- */

/* "ID.json"; false: no name of ours. */
static bool id_of_export(const char *name, char id[static PAGE_ID_SIZE])
{
	if (strlen(name) != PAGE_ID_LENGTH + strlen(".json") || !streq(name + PAGE_ID_LENGTH, ".json"))
		return false;
	memcpy(id, name, PAGE_ID_LENGTH);
	id[PAGE_ID_LENGTH] = 0;
	return page_id_valid(id);
}

static int export_aside(struct spool *s, const char *name, const char *reason)
{
	int r = quarantine_move(s, s->results, name, reason);

	if (r >= 0)
		s->reconcile.counts.quarantined++;
	else
		log_warning("a file in results/ cannot be set aside: %s", errno_text(r));
	return 0;
}

/* An export without any row is of a database that was lost: it stays. */
static int check_export(struct spool *s, const char *name)
{
	char id[PAGE_ID_SIZE];
	struct stat st;
	int64_t one;
	int r;

	if (!id_of_export(name, id))
		return export_aside(s, name, "found in results/, not an export of pageferryd");
	if (fstatat(s->results, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISREG(st.st_mode))
		return export_aside(s, name, "found in results/, not a regular file");
	r = db_get_i64(s->db, &one, "SELECT 1 FROM gone WHERE page = ?", "s", id);
	if (r > 0 && unlinkat(s->results, name, 0) == 0)
		s->reconcile.counts.leftovers++;
	return MIN(r, 0);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int slice(struct spool *s)
{
	struct reconcile *c = &s->reconcile;
	int r;

	switch (c->phase) {
	case PHASE_TMP:
		r = spool_walk_slice(s, s->tmp, clean_tmp);
		break;
	case PHASE_ATTEMPTS:
		r = attempts_slice(s);
		break;
	case PHASE_TYPES:
		r = spool_types_restore(s);
		break;
	case PHASE_ROWS:
		r = rows_slice(s);
		break;
	case PHASE_FILES:
		r = s->rebuilt ? rebuild_slice(s) : spool_walk_slice(s, s->pages, spool_adopt);
		break;
	case PHASE_BESIDE:
		r = spool_walk_slice(s, s->beside, beside_check);
		/* What was put there meanwhile may have been counted or not: the next start knows. */
		if (r == 0)
			s->beside_bytes = c->beside_bytes;
		break;
	case PHASE_RESULTS:
		r = spool_walk_slice(s, s->results, check_export);
		break;
	case PHASE_COUNT:
		r = spool_recount(s);
		break;
	default:
		return 0;
	}
	if (r == 0)
		next_phase(c, c->phase + 1);
	return r < 0 ? r : c->phase != PHASE_FINISHED;
}

/* Every page file of the lost database has its row: what is found from now on is of a crash. */
static int rebuilt_finished(struct spool *s)
{
	int r = spool_meta_set_i64(s, "rebuilt", 0);

	if (r >= 0) {
		STEP(REBUILD_FINISHED);
		s->rebuilt = false;
	}
	return r;
}

int spool_reconcile(struct spool *s)
{
	int r = slice(s);

	/* A file that could not be read may be of the lost database: the next start knows it for that. */
	if (r == 0 && s->rebuilt && s->reconcile.skipped == 0)
		r = rebuilt_finished(s);
	/* Not r: a file system says -EUCLEAN too. */
	if (r < 0 && db_damaged(s->db))
		spool_mark_damaged(s);
	return r;
}

const struct spool_reconciled *spool_reconciled(const struct spool *s)
{
	return &s->reconcile.counts;
}
