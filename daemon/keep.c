/* The keep clock, ageing, and dropping: the only code that removes what was accepted. */
#include "daemon/keep.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/step.h"
#include "daemon/beside.h"
#include "daemon/spool_internal.h"
#include "extract/extractor.h"

#define TICK_MS     INT64_C(600000) /* a commit each: spares flash */
#define DAY_MS      INT64_C(86400000)
#define KEEP_MAX_MS (INT64_C(1000) * 366 * DAY_MS) /* more is damage */
#define BATCH       32                             /* removals in one commit */

/* ---- the keep clock -------------------------------------------------------------------------- */

int keep_now(struct spool *s, int64_t *ret_ms)
{
	int64_t ms = 0;
	int r = spool_meta_get_i64(s, "keep_ms", &ms);

	if (r < 0)
		return r;
	if (ms < 0 || ms > KEEP_MAX_MS)
		return -EBADMSG;
	*ret_ms = ms;
	return 0;
}

/* The furthest that it may move for time that has passed already: since the last look, and, where that is not counted yet, before
 * this boot. Two looks may bring the two. */
static int64_t since_look_ms(const struct spool *s)
{
	int64_t since = CLAMP(clock_boottime_ms(s->clock) - (s->keep_looked ? s->keep_boot_ms : 0), (int64_t)0, DAY_MS);

	return since + (!s->keep_looked || s->keep_off ? DAY_MS : 0);
}

/* What is known of the last look. */
struct look {
	bool first;      /* there was none */
	int64_t seen_ms; /* realtime by then, as far as servers have proved it; 0: none has */
	int64_t since_ms; /* that has surely passed: boottime, of this boot */
	bool off;        /* the time before this boot is not counted yet */
};

static int same_boot(struct spool *s, bool *ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r = db_query(s->db, &st, "SELECT value FROM meta WHERE key = 'keep_boot'", "");

	if (r >= 0)
		r = stmt_next(st);
	*ret = r > 0 && streq(stmt_text(st, 0), s->boot_id);
	return r;
}

static int last_look(struct spool *s, int64_t boot_ms, struct look *ret)
{
	int64_t then_ms = 0, off = 0;
	bool same = false;
	int r = spool_meta_get_i64(s, "keep_seen_ms", &ret->seen_ms);

	ret->first = r == 0;
	if (r >= 0)
		r = same_boot(s, &same);
	if (r >= 0)
		r = spool_meta_get_i64(s, "keep_boot_ms", &then_ms);
	if (r >= 0)
		r = spool_meta_get_i64(s, "keep_off", &off);
	same = same && then_ms <= boot_ms;
	ret->since_ms = same ? boot_ms - then_ms : boot_ms;
	ret->off = same ? off != 0 : !ret->first;
	return MIN(r, 0);
}

/* By how much it moves. What a machine was off for is known by a clock that a server has proved alone. */
static int64_t step_of(const struct look *l, int64_t now_ms, bool proved)
{
	int64_t passed = l->seen_ms == 0 ? DAY_MS : MAX(now_ms - l->seen_ms, (int64_t)0);

	if (l->first)
		return 0;
	if (BUG("age-wall-clock"))
		return passed;
	return MIN(MIN(passed, DAY_MS), l->off && proved && l->seen_ms ? DAY_MS : l->since_ms);
}

static int store_look(struct spool *s, int64_t keep_ms, int64_t seen_ms, int64_t boot_ms, bool off)
{
	int r;

	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = spool_meta_set_i64(s, "keep_ms", keep_ms);
	if (r >= 0)
		r = spool_meta_set_i64(s, "keep_seen_ms", seen_ms);
	if (r >= 0)
		r = spool_meta_set(s, "keep_boot", s->boot_id);
	if (r >= 0)
		r = spool_meta_set_i64(s, "keep_boot_ms", boot_ms);
	if (r >= 0)
		r = spool_meta_set_i64(s, "keep_off", off);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	return db_commit(s->db);
}

int keep_tick(struct spool *s)
{
	int64_t boot_ms = clock_boottime_ms(s->clock), now_ms = clock_realtime_ms(s->clock), keep_ms, step_ms, seen_ms;
	bool proved = clock_proven_floor_ms(s->clock) > 0;
	struct look last = {};
	int r;

	/* Planted, here and above: pages age by the wall clock, whatever is known of it. */
	if (!BUG("age-wall-clock") && clock_trust(s->clock) != TIME_TRUSTED)
		return 0;
	if (s->keep_looked && boot_ms - s->keep_boot_ms < TICK_MS && !(s->keep_off && proved))
		return 0;
	r = keep_now(s, &keep_ms);
	if (r >= 0)
		r = last_look(s, boot_ms, &last);
	if (r < 0)
		return r;
	step_ms = step_of(&last, now_ms, proved);
	seen_ms = proved || BUG("age-wall-clock") ? now_ms : last.seen_ms ? last.seen_ms + step_ms : 0;
	r = store_look(s, keep_ms + step_ms, seen_ms, boot_ms, last.off && !proved);
	if (r < 0)
		return r;
	s->keep_looked = true;
	s->keep_off = last.off && !proved;
	s->keep_boot_ms = boot_ms;
	return 0;
}

int keep_note_delivered(struct spool *s, int64_t seq)
{
	int64_t keep_ms;
	int r = keep_now(s, &keep_ms);

	if (r == -EBADMSG)
		return 0; /* it stays unnoted: the page is kept */
	if (r < 0)
		return r;
	/* A stored result that could not be read was given up, not delivered. */
	r = db_exec(s->db,
		"UPDATE pages SET kept_ms = ? WHERE seq = ? AND state = 'done' AND kept_ms IS NULL"
		" AND EXISTS (SELECT 1 FROM deliveries d WHERE d.page = pages.seq AND d.version = pages.version"
		" AND d.error IS NULL)"
		" AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.page = pages.seq AND d.done_ms IS NULL)",
		"ii", keep_ms + since_look_ms(s), seq);
	/* With it go the pages that it speaks for. */
	if (r >= 0)
		r = db_exec(s->db,
			"UPDATE pages SET kept_ms = (SELECT kept_ms FROM pages WHERE seq = ?1) WHERE leader = ?1 AND state = 'done'", "i",
			seq);
	return r;
}

/* ---- what goes ------------------------------------------------------------------------------- */

struct leaving {
	int64_t seq, document, bytes;
	bool has_file;
	enum page_state state;
	char page[PAGE_ID_SIZE];
};

#define LEAVING_COLUMNS "SELECT p.seq, p.document, p.bytes, p.file, p.state, p.page FROM pages p "
/* Kept for a while, and nothing is under way: what the columns say is not trusted alone. */
#define LEAVING_WHEN                                                                                         \
	" AND p.state = 'done' AND NOT EXISTS"                                                               \
	" (SELECT 1 FROM attempts a WHERE a.page = p.seq AND a.closed_ms IS NULL) ORDER BY p.kept_ms LIMIT ?"

static void leaving_read(struct stmt *st, struct leaving *l)
{
	*l = (struct leaving){
		.seq = stmt_i64(st, 0),
		.document = stmt_i64(st, 1),
		.bytes = stmt_i64(st, 2),
		.has_file = stmt_i64(st, 3) != 0,
	};
	if (page_state_parse(stmt_text(st, 4), &l->state) < 0)
		l->state = STATE_HELD;
	text_cut(l->page, sizeof(l->page), stmt_text(st, 5));
}

static ssize_t leaving_list(int started, struct stmt *st, struct leaving *out, size_t max)
{
	size_t n = 0;
	int r = started;

	if (r < 0)
		return r;
	while (n < max && (r = stmt_next(st)) > 0)
		leaving_read(st, &out[n++]);
	stmt_done(st);
	return r < 0 ? r : (ssize_t)n;
}

/* Results before `before_ms`: the page goes with all that is its own. */
static ssize_t due_pages_of(struct spool *s, int64_t before_ms, struct leaving *out, size_t max)
{
	struct stmt *st = NULL;
	int r = db_query(s->db, &st,
		LEAVING_COLUMNS "INDEXED BY pages_kept WHERE p.kept_ms IS NOT NULL AND p.kept_ms <= ?" LEAVING_WHEN, "ii",
		before_ms, (int64_t)max);

	return leaving_list(r, st, out, max);
}

static ssize_t due_files_of(struct spool *s, int64_t before_ms, struct leaving *out, size_t max)
{
	struct stmt *st = NULL;
	int r = db_query(s->db, &st,
		LEAVING_COLUMNS
		"INDEXED BY pages_kept_file WHERE p.kept_ms IS NOT NULL AND p.file = 1 AND p.kept_ms <= ?" LEAVING_WHEN,
		"ii", before_ms, (int64_t)max);

	return leaving_list(r, st, out, max);
}

/* ---- one of them, inside a transaction ------------------------------------------------------- */

static int file_goes(struct spool *s, const struct leaving *l)
{
	int r = db_exec(s->db, "UPDATE pages SET file = 0 WHERE seq = ?", "i", l->seq);

	return r < 0 ? r : spool_bytes_add(s, -l->bytes);
}

static int page_goes(struct spool *s, const struct leaving *l, const char *why)
{
	int r;

	r = db_exec(s->db,
		"INSERT INTO gone (seq, page, sha256, accepted_ms, gone_ms, reason)"
		" SELECT seq, page, sha256, accepted_ms, ?, ? FROM pages WHERE seq = ?",
		"isi", clock_realtime_ms(s->clock), why, l->seq);
	if (r >= 0)
		r = db_exec(s->db, "DELETE FROM deliveries WHERE page = ?", "i", l->seq);
	if (r >= 0)
		r = db_exec(s->db, "DELETE FROM results WHERE page = ?", "i", l->seq);
	if (r >= 0)
		r = db_exec(s->db, "DELETE FROM pages WHERE seq = ?", "i", l->seq);
	if (r >= 0)
		r = db_exec(s->db,
			"DELETE FROM documents WHERE id = ? AND NOT EXISTS (SELECT 1 FROM pages WHERE document = documents.id)",
			"i", l->document);
	return r < 0 || !l->has_file ? r : spool_bytes_add(s, -l->bytes);
}

/* ---- after the commit ------------------------------------------------------------------------ */

static void forget(struct spool *s, const struct leaving *l, bool whole)
{
	if (l->has_file)
		spool_bytes_gone(s, l->seq, l->bytes);
	if (whole)
		spool_counts_moved(s, (int)l->state, -1);
}

/* A file that cannot be removed now is removed by the next start: its row says that it should not be there. */
static void remove_file(struct spool *s, int dirfd, const struct leaving *l, const char *suffix)
{
	char name[PAGE_ID_SIZE + 8];

	if (!page_id_valid(l->page))
		return;
	str_format(name, sizeof(name), "%s%s", l->page, suffix);
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		log_line(spool_log_level(++s->stuck_files), "%s cannot be removed: %s", name, errno_text(-errno));
}

static void age_files(struct spool *s, const struct leaving *l, size_t n, bool whole)
{
	for (size_t i = 0; i < n; i++) {
		remove_file(s, s->pages, &l[i], ".jpg");
		STEP(AGE_FILE_REMOVED);
		beside_remove(s, l[i].page);
		if (!whole)
			continue;
		remove_file(s, s->results, &l[i], ".json");
		STEP(AGE_RESULT_REMOVED);
	}
}

/* `whole`: the pages with all that is theirs; else their files alone. One commit, then the files. */
static int age(struct spool *s, const struct leaving *l, size_t n, bool whole)
{
	int r;

	if (BUG("age-unlink-before-commit"))
		age_files(s, l, n, whole);
	r = db_begin(s->db);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = whole ? page_goes(s, &l[i], "aged out") : file_goes(s, &l[i]);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	STEP(AGE_MARKED);
	r = db_commit(s->db);
	if (r < 0) {
		spool_memory_forget(s); /* it may be on the disk: what is left of files goes at the next start */
		return r;
	}
	STEP(AGE_COMMITTED);
	for (size_t i = 0; i < n; i++)
		forget(s, &l[i], whole);
	*(whole ? &s->kept.pages : &s->kept.files) += (int64_t)n;
	age_files(s, l, n, whole);
	return 0;
}

int keep_run(struct spool *s, const struct keep_options *o, size_t max)
{
	struct leaving l[BATCH];
	bool whole = true;
	int64_t now_ms;
	ssize_t n = 0;
	int r;

	max = MIN(max, (size_t)BATCH);
	r = keep_now(s, &now_ms);
	if (r < 0)
		return r;
	if (o->results_ms > 0)
		n = due_pages_of(s, now_ms - o->results_ms, l, max);
	if (n == 0 && o->pages_ms > 0) {
		whole = false;
		n = due_files_of(s, now_ms - o->pages_ms, l, max);
	}
	if (n <= 0)
		return (int)n;
	r = age(s, l, (size_t)n, whole);
	return r < 0 ? r : 1;
}

const struct keep_counts *keep_counts(const struct spool *s)
{
	return &s->kept;
}

/* ---- dropped by a person --------------------------------------------------------------------- */

static void drop_files(struct spool *s, const struct leaving *l)
{
	remove_file(s, s->pages, l, ".jpg");
	STEP(DROP_FILE_REMOVED);
	beside_remove(s, l->page);
	remove_file(s, s->results, l, ".json");
	STEP(DROP_RESULT_REMOVED);
}

/* With it go the pages that it is asked with: how many they are with it, or negative errno. */
static ssize_t drop_find(struct spool *s, int64_t seq, struct leaving l[static JOB_IMAGES_MAX])
{
	struct stmt *st = NULL;
	int64_t one;
	ssize_t n;
	int r;

	r = db_query(s->db, &st,
		LEAVING_COLUMNS "WHERE p.seq = ?1 OR p.leader = ?1 OR p.seq = (SELECT leader FROM pages WHERE seq = ?1)"
				" OR p.leader = (SELECT leader FROM pages WHERE seq = ?1) ORDER BY p.leader IS NOT NULL, p.seq LIMIT ?2",
		"ii", seq, (int64_t)JOB_IMAGES_MAX);
	n = leaving_list(r, st, l, JOB_IMAGES_MAX);
	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	r = db_get_i64(s->db, &one, "SELECT 1 FROM attempts WHERE page = ? AND closed_ms IS NULL", "i", l[0].seq);
	return r < 0 ? r : r > 0 ? -EBUSY : n;
}

static int drop_in_transaction(struct spool *s, const struct leaving *l, ssize_t n, const char *why)
{
	int r = 0;

	for (ssize_t i = 0; r >= 0 && i < n; i++)
		r = page_goes(s, &l[i], why);
	return r;
}

int keep_drop(struct spool *s, int64_t seq, const char *why)
{
	struct leaving l[JOB_IMAGES_MAX];
	ssize_t n = drop_find(s, seq, l);
	int r;

	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n && BUG("drop-unlink-before-commit"); i++)
		drop_files(s, &l[i]);
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = drop_in_transaction(s, l, n, why);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	STEP(DROP_MARKED);
	r = db_commit(s->db);
	if (r < 0) {
		spool_memory_forget(s);
		return r;
	}
	STEP(DROP_COMMITTED);
	for (ssize_t i = 0; i < n; i++) {
		forget(s, &l[i], true);
		drop_files(s, &l[i]);
	}
	return 0;
}
