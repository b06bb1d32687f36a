/*
 * What page files take, for Cap=. The figure is kept in meta in the commits that add and remove page files, so that a start
 * knows it without a look at the rows; after READY, and from time to time, it is counted again in slices and corrected.
 */
#include "base/log.h"
#include "daemon/spool_internal.h"

#define COUNT_SLICE 1024 /* rows */

int spool_bytes_add(struct spool *s, int64_t delta)
{
	/* On what is stored, not on what is remembered: there may be several in one transaction. */
	return db_exec(s->db,
		"INSERT INTO meta (key, value) VALUES ('pages_bytes', max(?1, 0)) ON CONFLICT (key) DO UPDATE"
		" SET value = CAST(max(CAST(value AS INTEGER) + ?1, 0) AS TEXT)",
		"i", delta);
}

int spool_probe(struct spool *s)
{
	/* Another value each time: of one that stays the same SQLite writes nothing. */
	return db_exec(s->db,
		"INSERT INTO meta (key, value) VALUES ('probes', '1') ON CONFLICT (key) DO UPDATE"
		" SET value = CAST(CAST(value AS INTEGER) % 1000000 + 1 AS TEXT)",
		"");
}

void spool_bytes_gone(struct spool *s, int64_t seq, int64_t bytes)
{
	s->pages_bytes = MAX(s->pages_bytes - bytes, (int64_t)0);
	if (s->recount.running && seq <= s->recount.cursor)
		s->recount.sum -= bytes;
}

static int correct(struct spool *s, int64_t sum)
{
	int64_t stored = -1;
	int r = spool_meta_get_i64(s, "pages_bytes", &stored);

	if (r < 0)
		return r;
	if (sum != s->pages_bytes)
		log_warning("page files were taken to be %lld bytes and are %lld: corrected", (long long)s->pages_bytes,
			(long long)sum);
	s->pages_bytes = sum;
	return stored == sum ? 0 : spool_meta_set_i64(s, "pages_bytes", sum);
}

/* Rows that are added meanwhile come behind the cursor: their order is never given twice. */
int spool_recount(struct spool *s)
{
	struct recount *c = &s->recount;
	struct stmt *st;
	int64_t last;
	int r;

	if (!c->running)
		*c = (struct recount){.running = true};
	r = db_query(s->db, &st,
		"SELECT max(seq), sum(bytes) FROM (SELECT seq, bytes * file AS bytes FROM pages WHERE seq > ? ORDER BY seq LIMIT ?)",
		"ii", c->cursor, (int64_t)COUNT_SLICE);
	if (r >= 0)
		r = stmt_next(st);
	if (r < 0)
		return r;
	last = r > 0 ? stmt_i64(st, 0) : 0;
	c->sum += r > 0 ? stmt_i64(st, 1) : 0;
	stmt_done(st);
	if (last > 0) {
		c->cursor = last;
		return 1;
	}
	r = correct(s, c->sum);
	if (r >= 0)
		c->running = false;
	return r;
}
