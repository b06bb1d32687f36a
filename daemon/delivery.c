#include "daemon/delivery.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/spool_internal.h"

#define SINK_RESULTS "results"

/* A due row with what is to be delivered. */
struct due {
	int64_t id, seq, version, current;
	char page[PAGE_ID_SIZE];
	struct buf json;
};

static void due_clear(struct due *d)
{
	buf_free(&d->json);
}

/* 1 and the row, 0 if none. */
static int due_next(struct spool *s, struct due *d)
{
	struct stmt *st;
	int r;

	r = db_query(s->db, &st,
		"SELECT d.id, d.version, p.version, p.page, r.json, p.seq FROM deliveries d"
		" CROSS JOIN pages p ON p.seq = d.page"
		" CROSS JOIN results r ON r.page = d.page AND r.version = d.version"
		" WHERE d.done_ms IS NULL AND d.sink = '" SINK_RESULTS
		"' ORDER BY d.tries, d.tried_ms, d.id LIMIT 1",
		"");
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	*d = (struct due){.id = stmt_i64(st, 0), .version = stmt_i64(st, 1), .current = stmt_i64(st, 2),
		.seq = stmt_i64(st, 5)};
	text_cut(d->page, sizeof(d->page), stmt_text(st, 3));
	r = buf_adds(&d->json, stmt_text(st, 4));
	stmt_done(st);
	return r < 0 ? r : 1;
}

static int write_result(struct spool *s, const struct due *d)
{
	_cleanup_buf_ struct buf text = {};
	_cleanup_json_ cJSON *j = NULL;
	char name[PAGE_ID_SIZE + 8];
	int r;

	if (!page_id_valid(d->page))
		return -EBADMSG;
	str_format(name, sizeof(name), "%s.json", d->page);
	r = json_parse(buf_str(&d->json), d->json.len, &j, NULL);
	if (r >= 0)
		r = json_print(j, true, &text);
	if (r >= 0)
		r = buf_addc(&text, '\n');
	if (r >= 0)
		r = spool_tmp_write(s, name, buf_str(&text), text.len);
	if (r < 0)
		return r;
	STEP(DELIVER_TMP_WRITTEN);
	r = replace_durable(s->tmp, name, s->results, name);
	if (r == -EISDIR && quarantine_move(s, s->results, name, "was in the place of a result") >= 0)
		r = replace_durable(s->tmp, name, s->results, name);
	if (r < 0) {
		unlinkat(s->tmp, name, 0);
		return r;
	}
	STEP(DELIVER_RENAMED);
	return 0;
}

/* The row goes behind the others; if even that cannot be written it stays as it is. */
static void note_failure(struct spool *s, const struct due *d, int error)
{
	log_warning("page %s: its result cannot be written: %s", d->page, errno_text(error));
	db_exec(s->db, "UPDATE deliveries SET tries = tries + 1, tried_ms = ?, error = ? WHERE id = ?", "isi",
		clock_realtime_ms(s->clock), errno_text(error), d->id);
}

/* The stored text cannot be read: to try again would stop the others for ever. */
static int give_up(struct spool *s, const struct due *d)
{
	log_error("page %s: version %lld of its result is damaged and not delivered", d->page,
		(long long)d->version);
	return db_exec(s->db,
		"UPDATE deliveries SET done_ms = ?, tries = tries + 1, error = 'the stored result is damaged'"
		" WHERE id = ?",
		"ii", clock_realtime_ms(s->clock), d->id);
}

/* One commit: it is delivered, and from when on the page is kept. */
static int mark_delivered(struct spool *s, const struct due *d)
{
	int64_t now = clock_realtime_ms(s->clock);
	int r;

	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = db_exec(s->db, "UPDATE deliveries SET done_ms = ?, tries = tries + 1, tried_ms = ?, error = NULL WHERE id = ?", "iii", now,
		now, d->id);
	if (r >= 0)
		r = keep_note_delivered(s, d->seq);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	return db_commit(s->db);
}

static int deliver(struct spool *s, const struct due *d, delivery_done_fn done, void *ud)
{
	int r = 0;

	if (BUG("deliver-commit-before-rename"))
		r = mark_delivered(s, d);
	/* A superseded version must not be written over the newer one. */
	if (r >= 0 && d->version == d->current)
		r = write_result(s, d);
	if (r == -EBADMSG)
		return give_up(s, d);
	if (r < 0) {
		note_failure(s, d, r);
		return r;
	}
	r = mark_delivered(s, d);
	if (r < 0)
		return r;
	STEP(DELIVER_COMMITTED);
	if (done && d->version == d->current)
		done(ud, d->page, d->version, SINK_RESULTS);
	return 0;
}

int delivery_run(struct spool *s, size_t max, delivery_done_fn done, void *ud)
{
	int64_t more = 0;
	int r;

	for (size_t i = 0; i < max; i++) {
		_cleanup_(due_clear) struct due d = {};

		r = due_next(s, &d);
		if (r > 0)
			r = deliver(s, &d, done, ud);
		else
			return r;
		if (r < 0)
			return r;
	}
	r = db_get_i64(s->db, &more,
		"SELECT 1 FROM deliveries WHERE done_ms IS NULL AND sink = '" SINK_RESULTS "' LIMIT 1", "");
	return r;
}

/* ---- exports that went missing --------------------------------------------------------------- */

static int redeliver(struct spool *s, int64_t seq, int64_t version, const char *page)
{
	char name[PAGE_ID_SIZE + 8];
	struct stat st;

	if (version == 0 || !page_id_valid(page))
		return 0;
	str_format(name, sizeof(name), "%s.json", page);
	/* An empty one is what some file systems leave of a rename that a power cut overtook. */
	if (fstatat(s->results, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		return 0;
	return db_exec(s->db,
		"INSERT INTO deliveries (page, version, sink) VALUES (?, ?, '" SINK_RESULTS "')"
		" ON CONFLICT (page, version, sink) DO UPDATE SET done_ms = NULL, tries = 0, tried_ms = 0"
		" WHERE done_ms IS NOT NULL",
		"ii", seq, version);
}

#define BATCH 64

struct walked {
	int64_t seq, version;
	bool unnoted; /* done, and from when on it is kept is not known */
	char page[PAGE_ID_SIZE];
};

/* The next rows: how many, or negative errno. */
static ssize_t walk_rows(struct spool *s, int64_t after, struct walked rows[static BATCH])
{
	struct stmt *st;
	size_t n = 0;
	int r;

	r = db_query(s->db, &st,
		"SELECT seq, version, page, state = 'done' AND kept_ms IS NULL FROM pages WHERE seq > ? ORDER BY seq LIMIT ?", "ii",
		after, (int64_t)BATCH);
	if (r < 0)
		return r;
	while (n < BATCH && (r = stmt_next(st)) > 0) {
		rows[n] = (struct walked){.seq = stmt_i64(st, 0), .version = stmt_i64(st, 1), .unnoted = stmt_i64(st, 3) != 0};
		text_cut(rows[n++].page, PAGE_ID_SIZE, stmt_text(st, 2));
	}
	stmt_done(st);
	return r < 0 ? r : (ssize_t)n;
}

/* In one commit, which is none when nothing is missing: results/ may be gone, with a hundred thousand in it. */
static int mend_rows(struct spool *s, const struct walked *rows, size_t n)
{
	int r = db_begin(s->db);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = redeliver(s, rows[i].seq, rows[i].version, rows[i].page);
		if (r >= 0 && rows[i].unnoted)
			r = keep_note_delivered(s, rows[i].seq);
	}
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	return db_commit(s->db);
}

int delivery_reconcile(struct spool *s, int64_t *cursor)
{
	int64_t started_ms = clock_boottime_ms(s->clock);
	struct walked rows[BATCH];

	for (int done = 0; !spool_slice_over(s, done, started_ms); done += BATCH) {
		ssize_t n = walk_rows(s, *cursor, rows);
		int r = n < 0 ? (int)n : mend_rows(s, rows, (size_t)n);

		if (r < 0)
			return r;
		if (n > 0)
			*cursor = rows[n - 1].seq;
		if (n < BATCH)
			return 0;
	}
	return 1;
}
