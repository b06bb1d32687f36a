/* Rows of pages: reading, finding, listing, and the changes a person makes. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/spool_internal.h"

#define COLUMNS_BY(index)                                                                                    \
	"SELECT p.seq, p.page, d.document, p.position, p.job, p.lane, p.state, p.reason, p.accepted_ms,"     \
	" p.accepted_trust, p.source, p.name, p.owner, p.sha256, p.bytes, p.width, p.height, p.rung, "       \
	"p.tries,"                                                                                           \
	" p.tried_ms, p.tried_boot, p.tried_boot_ms, p.version, p.retried, p.file, p.leader, p.content, p.again"      \
	" FROM pages p " index " CROSS JOIN documents d ON d.id = p.document "
#define COLUMNS COLUMNS_BY("")

enum column {
	C_SEQ,
	C_PAGE,
	C_DOCUMENT,
	C_POSITION,
	C_JOB,
	C_LANE,
	C_STATE,
	C_REASON,
	C_ACCEPTED,
	C_TRUST,
	C_SOURCE,
	C_NAME,
	C_OWNER,
	C_SHA256,
	C_BYTES,
	C_WIDTH,
	C_HEIGHT,
	C_RUNG,
	C_TRIES,
	C_TRIED,
	C_BOOT,
	C_BOOT_MS,
	C_VERSION,
	C_RETRIED,
	C_FILE,
	C_LEADER,
	C_CONTENT,
	C_AGAIN,
};

static const char *const state_names[] = {
	[STATE_QUEUED] = "queued",
	[STATE_PROVISIONAL] = "provisional",
	[STATE_DONE] = "done",
	[STATE_HELD] = "held",
};

const char *page_state_name(enum page_state s)
{
	return state_names[s];
}

int page_state_parse(const char *s, enum page_state *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++)
		if (streq(s, state_names[i])) {
			*ret = (enum page_state)i;
			return 0;
		}
	return -EINVAL;
}

void text_cut(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		for (len = size - 1; len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80; len--)
			;
	memcpy(out, text, len);
	out[len] = 0;
}

/* ---- ids and files --------------------------------------------------------------------------- */

/* "YYYYMMDDTHHMMSS-xxxxxx" and nothing else: ids become file names. */
bool page_id_valid(const char *id)
{
	static const char form[] = "ddddddddTdddddd-aaaaaa";

	if (strlen(id) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		char c = id[i];
		bool digit = c >= '0' && c <= '9';

		if (form[i] == 'd'       ? !digit
			: form[i] == 'a' ? !digit && !(c >= 'a' && c <= 'z')
					 : c != form[i])
			return false;
	}
	return true;
}

void page_file_name(const char *id, char out[static PAGE_FILE_SIZE])
{
	str_format(out, PAGE_FILE_SIZE, "%.*s.jpg", PAGE_ID_LENGTH, id);
}

int spool_page_open(struct spool *s, const struct page_row *p)
{
	_cleanup_close_ int fd = -1;
	char name[PAGE_FILE_SIZE];
	struct stat st;

	if (!page_id_valid(p->id))
		return -EBADMSG;
	if (p->aged_out)
		return -ENODATA;
	page_file_name(p->id, name);
	fd = openat(s->pages, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && st.st_size == p->bytes ? take_fd(&fd) : -EBADMSG;
}

int spool_page_verify(int fd, const struct page_row *p)
{
	uint8_t piece[16384], digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	struct sha256 *h;
	off_t at = 0;
	ssize_t n;
	int r;

	r = sha256_new(&h);
	if (r < 0)
		return r;
	while ((n = pread(fd, piece, sizeof(piece), at)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0) {
			sha256_update(h, piece, (size_t)n);
			at += n;
		}
	r = n < 0 ? -errno : 0;
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), hex);
	return r < 0 ? r : streq(hex, p->sha256) ? 0 : -EBADMSG;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int row_read(struct spool *s, struct stmt *st, struct page_row *p)
{
	const char *boot;
	int r;

	*p = (struct page_row){
		.seq = stmt_i64(st, C_SEQ),
		.position = stmt_i64(st, C_POSITION),
		.lane = stmt_i64(st, C_LANE) == 0 ? LANE_NOW : LANE_BACKLOG,
		.accepted_ms = stmt_i64(st, C_ACCEPTED),
		.owner = stmt_null(st, C_OWNER) ? -1 : stmt_i64(st, C_OWNER),
		.bytes = stmt_i64(st, C_BYTES),
		.width = (uint32_t)stmt_i64(st, C_WIDTH),
		.height = (uint32_t)stmt_i64(st, C_HEIGHT),
		.rung = stmt_i64(st, C_RUNG),
		.tries = stmt_i64(st, C_TRIES),
		.tried_ms = stmt_i64(st, C_TRIED),
		.tried_boot_ms = stmt_i64(st, C_BOOT_MS),
		.version = stmt_i64(st, C_VERSION),
		.retried = stmt_i64(st, C_RETRIED),
		.aged_out = stmt_i64(st, C_FILE) == 0,
		.leader = stmt_i64(st, C_LEADER),
		.again = stmt_i64(st, C_AGAIN) != 0,
	};
	text_cut(p->id, sizeof(p->id), stmt_text(st, C_PAGE));
	text_cut(p->document, sizeof(p->document), stmt_text(st, C_DOCUMENT));
	text_cut(p->reason, sizeof(p->reason), stmt_text(st, C_REASON));
	text_cut(p->source, sizeof(p->source), stmt_text(st, C_SOURCE));
	text_cut(p->name, sizeof(p->name), stmt_text(st, C_NAME));
	text_cut(p->sha256, sizeof(p->sha256), stmt_text(st, C_SHA256));
	text_cut(p->content, sizeof(p->content), stmt_text(st, C_CONTENT));
	/* The table's checks allow no other words. */
	if (page_state_parse(stmt_text(st, C_STATE), &p->state) < 0)
		p->state = STATE_HELD;
	if (time_trust_parse(stmt_text(st, C_TRUST), &p->accepted_trust) < 0)
		p->accepted_trust = TIME_UNTRUSTED;
	boot = stmt_text(st, C_BOOT);
	p->tried_this_boot = boot[0] && streq(boot, s->boot_id);
	r = spool_job_or_unreadable(s, stmt_i64(st, C_JOB), &p->job);
	return r < 0 ? r : 1;
}

/* The first row of a query: 1, 0 or negative errno. Ends the query. */
static int row_first(struct spool *s, int started, struct stmt *st, struct page_row *ret)
{
	int r;

	if (started < 0)
		return started;
	r = stmt_next(st);
	if (r > 0) {
		r = row_read(s, st, ret);
		stmt_done(st);
	}
	return r;
}

int spool_page_get(struct spool *s, int64_t seq, struct page_row *ret)
{
	struct stmt *st = NULL;
	int r;

	r = db_query(s->db, &st, COLUMNS "WHERE p.seq = ?", "i", seq);
	r = row_first(s, r, st, ret);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int spool_page_find(struct spool *s, const char *id, struct page_row *ret)
{
	struct stmt *st = NULL;
	char end[PAGE_ID_SIZE + 1];
	int r;

	if (strlen(id) < 4 || strlen(id) >= PAGE_ID_SIZE)
		return -ENOENT;
	/* '~' comes after every character of an id. */
	str_format(end, sizeof(end), "%s~", id);
	r = db_query(s->db, &st, COLUMNS "WHERE p.page >= ? AND p.page < ? ORDER BY p.page LIMIT 2", "ss", id,
		end);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = row_read(s, st, ret);
	if (r < 0 || streq(ret->id, id)) {
		stmt_done(st);
		return MIN(r, 0);
	}
	r = stmt_next(st);
	if (r > 0)
		stmt_done(st);
	return r > 0 ? -ENOTUNIQ : r;
}

int spool_gone_find(struct spool *s, const char *id, struct spool_gone *ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	struct spool_gone g = {};
	char end[PAGE_ID_SIZE + 1];
	int r;

	if (strlen(id) < 4 || strlen(id) >= PAGE_ID_SIZE)
		return -ENOENT;
	str_format(end, sizeof(end), "%s~", id);
	r = db_query(s->db, &st,
		"SELECT seq, page, reason, gone_ms FROM gone WHERE page >= ? AND page < ? ORDER BY page LIMIT 2", "ss",
		id, end);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	g.seq = stmt_i64(st, 0);
	text_cut(g.id, sizeof(g.id), stmt_text(st, 1));
	text_cut(g.reason, sizeof(g.reason), stmt_text(st, 2));
	g.gone_ms = stmt_i64(st, 3);
	if (!streq(g.id, id)) {
		r = stmt_next(st);
		if (r != 0)
			return r < 0 ? r : -ENOTUNIQ;
	}
	*ret = g;
	return 0;
}

ssize_t spool_page_list(struct spool *s, int state, int64_t before_seq, struct page_row *rows, size_t limit)
{
	int64_t before = before_seq > 0 ? before_seq : INT64_MAX;
	struct stmt *st = NULL;
	size_t n = 0;
	int r;

	if (limit == 0)
		return 0;
	if (state < 0)
		r = db_query(s->db, &st, COLUMNS "WHERE p.seq < ? ORDER BY p.seq DESC LIMIT ?", "ii", before,
			(int64_t)limit);
	else
		r = db_query(s->db, &st,
			COLUMNS_BY("INDEXED BY pages_state") "WHERE p.state = ? AND p.seq < ?"
							     " ORDER BY p.seq DESC LIMIT ?",
			"sii", page_state_name((enum page_state)state), before, (int64_t)limit);
	if (r < 0)
		return r;
	while (n < limit && (r = stmt_next(st)) > 0)
		if ((r = row_read(s, st, &rows[n++])) < 0)
			break;
	stmt_done(st);
	return r < 0 ? r : (ssize_t)n;
}

int page_row_insert(struct spool *s, struct page_row *p, const char *name, const char *capture_json)
{
	int64_t document;
	int r;

	r = document_place(s, p, name, &document);
	if (r < 0)
		return r;
	r = db_exec(s->db,
		"INSERT INTO pages (page, document, position, job, lane, state, reason, accepted_ms, "
		"accepted_trust,"
		" source, name, owner, sha256, bytes, width, height, capture, rung, leader, content, again)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -1), ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, ''), ?)",
		"siiiississsisiiisiisi", p->id, document, p->position, p->job->id, (int64_t)p->lane,
		page_state_name(p->state), p->state == STATE_HELD ? p->reason : NULL, p->accepted_ms,
		time_trust_name(p->accepted_trust), p->source, p->name[0] ? p->name : NULL, p->owner,
		p->sha256, p->bytes, (int64_t)p->width, (int64_t)p->height, capture_json, p->rung, p->leader,
		p->content, (int64_t)p->again);
	if (r < 0)
		return r;
	p->seq = db_last_id(s->db);
	return spool_bytes_add(s, p->bytes);
}

/* ---- what a person changes ------------------------------------------------------------------- */

/* The page that its group has its state from: itself, or its leader. */
static int leader_of(struct spool *s, int64_t seq, struct page_row *ret)
{
	int r = spool_page_get(s, seq, ret);

	if (r < 0 || !ret->leader)
		return r;
	r = spool_page_get(s, ret->leader, ret);
	return r == -ENOENT ? spool_page_get(s, seq, ret) : r; /* which is damage: it is taken for itself */
}

/* A change that was begun, of the leader's row: the others of its group follow, in the same commit. */
static int commit_group(struct spool *s, int r, const struct page_row *p, enum page_state after, const char *reason)
{
	int others = 0;

	if (r >= 0)
		r = others = group_state(s, p->seq, after, reason);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	r = db_commit(s->db);
	if (r < 0) {
		spool_memory_forget(s);
		return r;
	}
	group_moved(s, others + 1, p->state, after);
	return 0;
}

/* Is it that this one page will never be readable again? Then it does not go with others. */
static bool is_for_good(const char *reason)
{
	return starts_with(reason, "lost:") || starts_with(reason, "damaged:");
}

static int is_grouped(struct spool *s, const struct page_row *p)
{
	int64_t one;

	return p->leader ? 1 : db_get_i64(s->db, &one, "SELECT 1 FROM pages WHERE leader = ? LIMIT 1", "i", p->seq);
}

int spool_page_hold(struct spool *s, int64_t seq, const char *reason)
{
	struct page_row p;
	char text[sizeof(p.reason)];
	int r, grouped;

	text_cut(text, sizeof(text), reason);
	r = spool_page_get(s, seq, &p);
	if (r < 0)
		return r;
	if (p.state == STATE_DONE)
		return -EALREADY;
	grouped = is_for_good(text) ? is_grouped(s, &p) : 0;
	if (grouped != 0)
		return grouped < 0 ? grouped : group_take_out(s, &p, text);
	r = leader_of(s, seq, &p);
	if (r >= 0)
		r = db_begin(s->db);
	if (r < 0)
		return r;
	r = db_exec(s->db, "UPDATE pages SET state = 'held', reason = ? WHERE seq = ?", "si", text, p.seq);
	return commit_group(s, r, &p, STATE_HELD, text);
}

/* Held with an answer: every backend is asked again, whoever gave it. Of an open document it still waits for the end. */
static int put_back(struct spool *s, const struct page_row *p, const struct spool_job *job)
{
	enum page_state after = p->state == STATE_PROVISIONAL ? STATE_PROVISIONAL : STATE_QUEUED;
	int r = db_begin(s->db);

	if (r < 0)
		return r;
	r = db_exec(s->db,
		"UPDATE pages SET job = ?, state = ?, reason = NULL, rung = CASE WHEN rung < 0 AND document IN (SELECT id FROM"
		" documents WHERE closed = 0) THEN -1 ELSE 0 END, tries = 0, tried_ms = 0, tried_boot = NULL, tried_boot_ms = NULL,"
		" retried = (SELECT coalesce(max(id), 0) FROM attempts) WHERE seq = ?",
		"isi", job->id, page_state_name(after), p->seq);
	return commit_group(s, r, p, after, NULL);
}

int spool_page_retry(struct spool *s, int64_t seq, const struct spool_job *job)
{
	_cleanup_close_ int fd = -1;
	struct page_row p;
	int r;

	r = leader_of(s, seq, &p);
	if (r < 0)
		return r;
	if (p.state == STATE_DONE)
		return -EALREADY;
	/* Without its file or its job there is nothing to ask: it stays held, with the reason it has. */
	fd = spool_page_open(s, &p);
	if (fd < 0)
		return fd;
	return p.job->types ? put_back(s, &p, job ? job : p.job) : -EBADMSG;
}

int spool_page_pay_again(struct spool *s, int64_t seq)
{
	return db_exec(s->db, "UPDATE pages SET again = 1 WHERE seq = ?", "i", seq);
}

int spool_page_release(struct spool *s, int64_t seq)
{
	enum page_state after;
	struct page_row p;
	int r;

	r = leader_of(s, seq, &p);
	if (r < 0)
		return r;
	if (p.state != STATE_HELD)
		return -EALREADY;
	if (!starts_with(p.reason, HELD_BY_HAND))
		return -EPERM;
	/* A fallback may have answered while it was held. */
	after = p.version > 0 ? STATE_PROVISIONAL : STATE_QUEUED;
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = db_exec(
		s->db, "UPDATE pages SET state = ?, reason = NULL WHERE seq = ?", "si", page_state_name(after), p.seq);
	return commit_group(s, r, &p, after, NULL);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static int64_t *count_of(struct spool_counts *c, int state)
{
	switch (state) {
	case STATE_QUEUED:
		return &c->queued;
	case STATE_PROVISIONAL:
		return &c->provisional;
	case STATE_DONE:
		return &c->done;
	case STATE_HELD:
		return &c->held;
	default:
		return NULL;
	}
}

void spool_counts_moved(struct spool *s, int from, int to)
{
	int64_t *less = count_of(&s->counts, from), *more = count_of(&s->counts, to);

	if (less)
		(*less)--;
	if (more)
		(*more)++;
}

void spool_counts_forget(struct spool *s)
{
	s->counts_known = false;
}

void spool_memory_forget(struct spool *s)
{
	spool_counts_forget(s);
	spool_meta_get_i64(s, "pages_bytes", &s->pages_bytes);
	s->recount.running = false;
}

/* Once over the index; from then on the counts are kept by spool_counts_moved(). */
static int counts_load(struct spool *s)
{
	struct spool_counts c = {};
	enum page_state state;
	struct stmt *st;
	int r;

	r = db_query(s->db, &st, "SELECT state, count(*) FROM pages GROUP BY state", "");
	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0)
		if (page_state_parse(stmt_text(st, 0), &state) >= 0)
			*count_of(&c, (int)state) = stmt_i64(st, 1);
	if (r < 0)
		return r;
	s->counts = c;
	s->counts_known = true;
	return 0;
}

int spool_counts(struct spool *s, struct spool_counts *ret)
{
	int r = s->counts_known ? 0 : counts_load(s);

	if (r >= 0)
		*ret = s->counts;
	return r;
}

int spool_undelivered(struct spool *s, int64_t *ret)
{
	int r = db_get_i64(s->db, ret, "SELECT count(*) FROM deliveries WHERE done_ms IS NULL", "");

	return MIN(r, 0);
}
