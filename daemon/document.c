#include "daemon/document.h"

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/spool_internal.h"
#include "extract/extractor.h"

bool document_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= DOCUMENT_NAME_SIZE || !utf8_valid(name, len))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)name[i] < 0x20 || (uint8_t)name[i] == 0x7f)
			return false;
	return true;
}

/* ---- open ones ------------------------------------------------------------------------------- */

#define DOCUMENT_COLUMNS                                                                                     \
	"SELECT d.id, d.document, d.name, d.owner, count(p.seq), max(p.position), min(p.seq)"                \
	" FROM documents d INDEXED BY documents_open JOIN pages p ON p.document = d.id WHERE d.closed = 0"

/* The job is read after the query has ended. */
static void document_read(struct stmt *st, struct document *d, int64_t *ret_first)
{
	*d = (struct document){
		.id = stmt_i64(st, 0),
		.owner = stmt_i64(st, 3),
		.pages = stmt_i64(st, 4),
		.last_position = stmt_i64(st, 5),
	};
	text_cut(d->document, sizeof(d->document), stmt_text(st, 1));
	text_cut(d->name, sizeof(d->name), stmt_text(st, 2));
	*ret_first = stmt_i64(st, 6);
}

static int job_of(struct spool *s, int64_t seq, const struct spool_job **ret)
{
	struct page_row p;
	int r = spool_page_get(s, seq, &p);

	if (r >= 0)
		*ret = p.job;
	return r;
}

int document_find(struct spool *s, const char *name, int64_t owner, struct document *ret)
{
	struct stmt *st = NULL;
	struct document d;
	int64_t first;
	int r;

	r = db_query(s->db, &st, DOCUMENT_COLUMNS " AND d.owner = ? AND d.name = ? GROUP BY d.id", "is", owner, name);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	document_read(st, &d, &first);
	stmt_done(st);
	r = job_of(s, first, &d.job);
	if (r >= 0)
		*ret = d;
	return r;
}

ssize_t document_list(struct spool *s, struct document *ret, size_t max)
{
	struct stmt *st = NULL;
	int64_t first[DOCUMENTS_OPEN_MAX];
	size_t n = 0;
	int r;

	max = MIN(max, (size_t)DOCUMENTS_OPEN_MAX);
	r = db_query(s->db, &st, DOCUMENT_COLUMNS " GROUP BY d.id ORDER BY d.id LIMIT ?", "i", (int64_t)max);
	if (r < 0)
		return r;
	while (n < max && (r = stmt_next(st)) > 0) {
		document_read(st, &ret[n], &first[n]);
		n++;
	}
	stmt_done(st);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = job_of(s, first[i], &ret[i].job);
	return r < 0 ? r : (ssize_t)n;
}

static int end_in_transaction(struct spool *s, int64_t id)
{
	int64_t open = 0;
	int r;

	r = db_get_i64(s->db, &open, "SELECT 1 FROM documents WHERE id = ? AND closed = 0", "i", id);
	if (r <= 0)
		return r < 0 ? r : -EALREADY;
	r = db_exec(s->db, "UPDATE documents SET closed = 1 WHERE id = ?", "i", id);
	if (r >= 0 && BUG("document-two-commits")) {
		/* Planted: a kill between the two leaves pages that nobody ever asks. */
		r = db_commit(s->db);
		if (r >= 0)
			r = db_begin(s->db);
	}
	if (r >= 0)
		r = db_exec(s->db, "UPDATE pages SET rung = 0 WHERE document = ? AND leader IS NULL AND rung < 0", "i", id);
	return r;
}

static int commit_or_not(struct spool *s, int r)
{
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	STEP(DOCUMENT_MARKED);
	r = db_commit(s->db);
	if (r < 0)
		spool_memory_forget(s);
	else
		STEP(DOCUMENT_COMMITTED);
	return r;
}

int document_end(struct spool *s, int64_t id)
{
	int r = db_begin(s->db);

	return r < 0 ? r : commit_or_not(s, end_in_transaction(s, id));
}

/* Since when, as far as this run has seen, it has so many pages. */
static int64_t since_ms(const struct document_ages *ages, const struct document *d, int64_t now_ms)
{
	for (size_t i = 0; i < ages->n; i++)
		if (ages->of[i].id == d->id && ages->of[i].pages == d->pages)
			return ages->of[i].since_ms;
	return now_ms;
}

int document_end_idle(struct spool *s, struct document_ages *ages, int64_t idle_ms, bool (*busy)(void *ud, const struct document *d),
	void *ud)
{
	int64_t now = clock_boottime_ms(s->clock);
	struct document open[DOCUMENTS_OPEN_MAX];
	ssize_t n = document_list(s, open, DOCUMENTS_OPEN_MAX);
	struct document_ages next = {};
	int ended = 0, r = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && r >= 0; i++) {
		int64_t since = since_ms(ages, &open[i], now);

		if (now - since >= idle_ms && !busy(ud, &open[i])) {
			r = document_end(s, open[i].id);
			if (r < 0)
				break;
			ended++;
			log_notice("document %s had no page for %lld min: it is ended", open[i].document, (long long)(idle_ms / 60000));
			continue;
		}
		next.of[next.n].id = open[i].id;
		next.of[next.n].pages = open[i].pages;
		next.of[next.n++].since_ms = since;
	}
	if (r >= 0)
		*ages = next;
	return r < 0 ? r : ended;
}

/* ---- a new page's place ---------------------------------------------------------------------- */

static int document_id(struct spool *s, const struct page_row *p, const char *name, int64_t *ret)
{
	int r;

	r = db_exec(s->db,
		"INSERT INTO documents (document, created_ms, name, owner, closed) VALUES (?, ?, ?, ?, ?)"
		" ON CONFLICT (document) DO NOTHING",
		"sisii", p->document, p->accepted_ms, name, p->owner, (int64_t)!name);
	if (r >= 0)
		r = db_get_i64(s->db, ret, "SELECT id FROM documents WHERE document = ?", "s", p->document);
	return r < 0 ? r : r == 0 ? -EIO : 0;
}

int document_join(struct spool *s, struct page_row *p, const char *name)
{
	struct document d;
	int r = document_find(s, name, p->owner, &d);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	str_copy(p->document, sizeof(p->document), d.document);
	p->position = MAX(p->position, d.last_position + 1);
	return 0;
}

/* Whose group the page is in: the last of its document that has room, and is as the page is. */
static int find_leader(struct spool *s, int64_t document, struct page_row *p, int64_t rung)
{
	struct stmt *st = NULL;
	int r;

	r = db_query(s->db, &st,
		"SELECT seq, state, reason FROM pages p WHERE document = ? AND leader IS NULL AND rung = ?"
		" AND (rung < 0 OR (state = ? AND coalesce(reason, '') = ?)) ORDER BY position DESC, seq DESC LIMIT 1",
		"iiss", document, rung, page_state_name(p->state), p->reason);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	p->leader = stmt_i64(st, 0);
	/* A person may hold a document while its pages come. */
	if (page_state_parse(stmt_text(st, 1), &p->state) < 0)
		p->state = STATE_HELD;
	text_cut(p->reason, sizeof(p->reason), stmt_text(st, 2));
	stmt_done(st);
	return 1;
}

static int join_group(struct spool *s, int64_t document, struct page_row *p, int64_t rung)
{
	int64_t others = 0;
	int r = find_leader(s, document, p, rung);

	p->rung = rung;
	if (r <= 0)
		return r;
	r = db_get_i64(s->db, &others, "SELECT count(*) FROM pages WHERE leader = ?", "i", p->leader);
	if (r < 0)
		return r;
	if (others + 1 < JOB_IMAGES_MAX)
		p->rung = -1;
	else
		p->leader = 0;
	return 0;
}

int document_place(struct spool *s, struct page_row *p, const char *name, int64_t *ret)
{
	int64_t open = 0;
	int r = name ? document_join(s, p, name) : 0;

	if (r >= 0)
		r = document_id(s, p, name, ret);
	if (r >= 0)
		r = db_get_i64(s->db, &open, "SELECT closed = 0 FROM documents WHERE id = ?", "i", *ret);
	if (r < 0)
		return r;
	if (open && p->state == STATE_QUEUED)
		return join_group(s, *ret, p, -1);
	/* The files tell which pages belong together; that more will come nobody knows any more. */
	return s->rebuilt && p->position > 1 ? join_group(s, *ret, p, 0) : 0;
}

/* ---- groups ---------------------------------------------------------------------------------- */

int group_split(struct spool *s, int64_t leader, size_t keep)
{
	int64_t first = 0;
	int r = db_begin(s->db);

	if (r < 0)
		return r;
	r = db_get_i64(s->db, &first, "SELECT seq FROM pages WHERE leader = ? ORDER BY position, seq LIMIT 1 OFFSET ?", "ii", leader,
		(int64_t)keep - 1);
	/* An answer that there is names them all: those that are split off wait for one of their own. */
	if (r > 0)
		r = db_exec(s->db,
			"UPDATE pages SET leader = ?1, state = 'queued', reason = NULL WHERE leader = ?2 AND seq <> ?1 AND"
			" (position, seq) > (SELECT position, seq FROM pages WHERE seq = ?1)",
			"ii", first, leader);
	if (r >= 0 && first)
		r = db_exec(s->db,
			"UPDATE pages SET leader = NULL, state = 'queued', reason = NULL, rung = (SELECT rung FROM pages WHERE seq = ?) WHERE seq = ?",
			"ii", leader, first);
	r = commit_or_not(s, r);
	if (r >= 0)
		spool_counts_forget(s);
	return r;
}

ssize_t group_rows(struct spool *s, int64_t leader, struct page_row *ret, size_t max)
{
	int64_t seqs[JOB_IMAGES_MAX];
	struct stmt *st = NULL;
	size_t n = 0;
	int r;

	max = MIN(max, (size_t)JOB_IMAGES_MAX);
	r = db_query(s->db, &st, "SELECT seq FROM pages WHERE leader = ? ORDER BY position, seq LIMIT ?", "ii", leader, (int64_t)max);
	if (r < 0)
		return r;
	while (n < max && (r = stmt_next(st)) > 0)
		seqs[n++] = stmt_i64(st, 0);
	stmt_done(st);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = spool_page_get(s, seqs[i], &ret[i]);
	return r < 0 ? r : (ssize_t)n;
}

ssize_t group_others(struct spool *s, const struct page_row *p, struct page_row *ret, size_t max)
{
	ssize_t n = group_rows(s, group_leader(p), ret, max);
	size_t kept = 0;

	for (ssize_t i = 0; i < n; i++)
		if (ret[i].seq != p->seq)
			ret[kept++] = ret[i];
	if (n >= 0 && p->leader && kept < max && spool_page_get(s, p->leader, &ret[kept]) >= 0)
		kept++;
	return n < 0 ? n : (ssize_t)kept;
}

int group_state(struct spool *s, int64_t leader, enum page_state after, const char *reason)
{
	int64_t n = 0;
	int r = db_get_i64(s->db, &n, "SELECT count(*) FROM pages WHERE leader = ?", "i", leader);

	if (r >= 0 && n > 0)
		r = db_exec(s->db, "UPDATE pages SET state = ?, reason = ? WHERE leader = ?", "ssi", page_state_name(after), reason, leader);
	return r < 0 ? r : (int)n;
}

void group_moved(struct spool *s, int n, enum page_state before, enum page_state after)
{
	for (int i = 0; i < n; i++)
		spool_counts_moved(s, (int)before, (int)after);
}

/* The group of a page that has just left it: of a leader the next page becomes one. */
static int lead_anew(struct spool *s, const struct page_row *p, int64_t *ret_leader)
{
	int64_t next = 0;
	int r;

	*ret_leader = p->leader;
	if (p->leader)
		return 0;
	r = db_get_i64(s->db, &next, "SELECT seq FROM pages WHERE leader = ? ORDER BY position, seq LIMIT 1", "i", p->seq);
	if (r <= 0)
		return r;
	r = db_exec(s->db, "UPDATE pages SET leader = NULL, rung = ? WHERE seq = ?", "ii", p->rung, next);
	if (r >= 0)
		r = db_exec(s->db, "UPDATE pages SET leader = ? WHERE leader = ?", "ii", next, p->seq);
	*ret_leader = next;
	return r;
}

int group_take_out(struct spool *s, const struct page_row *p, const char *reason)
{
	char others[sizeof(p->reason)];
	int64_t leader = 0;
	int r;

	str_format(others, sizeof(others), "a page of its document, %s, is lost or damaged: retry asks without it", p->id);
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = lead_anew(s, p, &leader);
	if (r >= 0)
		r = db_exec(s->db, "UPDATE pages SET leader = NULL, rung = 0, state = 'held', reason = ? WHERE seq = ?", "si", reason, p->seq);
	if (r >= 0 && leader)
		r = db_exec(s->db, "UPDATE pages SET state = 'held', reason = ?1 WHERE seq = ?2 OR leader = ?2", "si", others, leader);
	r = commit_or_not(s, r);
	if (r >= 0)
		spool_counts_forget(s);
	return r;
}
