#include "daemon/courier_due.h"

#include "base/crypto.h"
#include "base/step.h"
#include "daemon/backoff.h"

/* Jumps from one value of the index's first columns to the next, so a long queue costs no more than a short one: to behind
 * the last page that the class could have, for SQLite would step over the equal ones one by one. */
static int class_next(struct spool *s, struct due_class *c)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(spool_db(s), &st,
		"SELECT lane, job, rung, tries FROM pages INDEXED BY pages_due WHERE state = ?"
		" AND (lane, job, rung, tries, tried_ms) > (?, ?, ?, ?, ?) ORDER BY lane, job, rung, tries LIMIT 1",
		"siiiii", page_state_name(c->state), c->lane, c->job, c->rung, c->tries, INT64_MAX);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	c->lane = stmt_i64(st, 0);
	c->job = stmt_i64(st, 1);
	c->rung = stmt_i64(st, 2);
	c->tries = stmt_i64(st, 3);
	return 1;
}

int due_class_next(struct spool *s, struct due_class *c)
{
	int r;

	/* Pages that go with another, or wait for their document's end, are one class of each job. */
	while ((r = class_next(s, c)) > 0 && c->rung == -1)
		;
	return r;
}

uint64_t due_content(const char *hex)
{
	char digits[17];
	uint8_t front[8];
	uint64_t v = 0;

	str_format(digits, sizeof(digits), "%.16s", hex);
	if (hex_decode(digits, front, sizeof(front)) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(front); i++)
		v = v << 8 | front[i];
	return v;
}

static void due_page_read(struct spool *s, struct stmt *st, struct due_page *p)
{
	*p = (struct due_page){
		.seq = stmt_i64(st, 0),
		.tried_ms = stmt_i64(st, 1),
		.tried_boot_ms = stmt_i64(st, 3),
		.tried_this_boot = streq(stmt_text(st, 2), spool_boot_id(s)),
		.retried = stmt_i64(st, 5),
		.content = due_content(stmt_text(st, 6)),
	};
	str_copy(p->answered, sizeof(p->answered), stmt_text(st, 4));
}

#define CLASS_PAGES                                                                                                             \
	"SELECT p.seq, p.tried_ms, p.tried_boot, p.tried_boot_ms, a.backend, p.retried,"                            \
	" CASE p.again WHEN 0 THEN substr(p.content, 1, 16) END FROM pages p INDEXED BY pages_due"                              \
	" LEFT JOIN results r ON r.page = p.seq AND r.version = p.version LEFT JOIN attempts a ON a.id = r.attempt"             \
	" WHERE p.state = ? AND p.lane = ? AND p.job = ? AND p.rung = ? AND p.tries = ?"

static ssize_t due_read(struct spool *s, struct stmt *st, struct due_page *ret, size_t max)
{
	size_t n = 0;
	int r = 0;

	while (n < max && (r = stmt_next(st)) > 0)
		due_page_read(s, st, &ret[n++]);
	stmt_done(st);
	return r < 0 ? r : (ssize_t)n;
}

ssize_t due_pages(struct spool *s, const struct due_class *c, struct due_page *ret, size_t max)
{
	struct stmt *st = NULL;
	int r;

	r = db_query(spool_db(s), &st, CLASS_PAGES " ORDER BY p.tried_ms, p.seq LIMIT ?", "siiiii", page_state_name(c->state),
		c->lane, c->job, c->rung, c->tries, (int64_t)max);
	return r < 0 ? r : due_read(s, st, ret, max);
}

ssize_t due_pages_after(struct spool *s, const struct due_class *c, int64_t seq, struct due_page *ret, size_t max)
{
	struct stmt *st = NULL;
	int r;

	r = db_query(spool_db(s), &st, CLASS_PAGES " AND p.tried_ms = 0 AND p.seq > ? ORDER BY p.seq LIMIT ?", "siiiiii",
		page_state_name(c->state), c->lane, c->job, c->rung, c->tries, seq, (int64_t)max);
	return r < 0 ? r : due_read(s, st, ret, max);
}

int due_history(struct spool *s, int64_t seq, int64_t retried, const char *backend, struct due_history *ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(spool_db(s), &st,
		"SELECT sum(charged), sum(charged = 0 AND billed IN ('yes', 'possibly')),"
		" max(charged AND outcome IN ('next', 'reject')), max(next_step) FROM attempts WHERE page = ? AND id > ? AND backend = ?",
		"iis", seq, retried, backend);
	if (r >= 0)
		r = stmt_next(st);
	if (r < 0)
		return r;
	*ret = (struct due_history){.tries = stmt_i64(st, 0), .unproved = stmt_i64(st, 1), .cannot = stmt_i64(st, 2) != 0,
		.smaller = stmt_i64(st, 3)};
	return 0;
}

int64_t due_time_ms(const struct due_page *p, const struct due_when *w)
{
	int64_t delay, ago;

	if (w->tries <= 0 || p->tried_ms == 0)
		return 0;
	delay = backoff_ms(w->base_ms, w->cap_ms, (uint32_t)MIN(w->tries, INT64_C(64)), w->random, 0);
	if (BUG("courier-wall-clock")) /* planted: a clock that is set moves what is due */
		return w->now_boot_ms + p->tried_ms + delay - w->now_real_ms;
	if (p->tried_this_boot)
		return p->tried_boot_ms + delay;
	ago = w->now_real_ms - p->tried_ms;
	if (!w->clock_believed || ago < 0)
		return w->started_ms + delay;
	return w->now_boot_ms - ago + delay;
}
