/* StartSpread=: what waited from before this run begins to go at a moment of its own, so that devices whose power returns together do not
 * all ask together. */
#include "daemon/courier_internal.h"

#include "base/log.h"

void courier_find_backlog(struct courier *c)
{
	struct db *db = spool_db(c->service->spool);
	int64_t waits;

	c->backlog_at_start = db_get_i64(db, &c->start_seq, "SELECT coalesce(max(seq), 0) FROM pages", "") >= 0 &&
		db_get_i64(db, &waits, "SELECT EXISTS (SELECT 1 FROM pages WHERE state IN ('queued', 'provisional'))", "") >= 0 && waits > 0;
}

void backend_spread(struct backend *b, uint32_t random)
{
	const struct courier *c = b->courier;

	if (c->backlog_at_start && b->config->kind != KIND_OCR)
		b->spread_ms = c->started_ms + spread_ms(c->service->config.start_spread_ms, random);
}

bool backend_keeps_back(const struct backend *b, int64_t seq)
{
	return seq != 0 && seq <= b->courier->start_seq && clock_boottime_ms(b->courier->service->clock) < b->spread_ms;
}

bool courier_has_new_pages(const struct courier *c)
{
	int64_t newest;

	return clock_boottime_ms(c->service->clock) - c->started_ms >= c->service->config.start_spread_ms ||
		db_get_i64(spool_db(c->service->spool), &newest, "SELECT coalesce(max(seq), 0) FROM pages", "") < 0 || newest > c->start_seq;
}

bool backend_starts_later(const struct backend *b, bool new_pages)
{
	return !new_pages && clock_boottime_ms(b->courier->service->clock) < b->spread_ms;
}

void courier_say_spread(const struct courier *c)
{
	int64_t now = clock_boottime_ms(c->service->clock);

	for (size_t i = 0; i < c->n_backends; i++)
		if (c->backends[i].spread_ms > now)
			log_info("backend %s: pages from before the start begin to go in %lld s (StartSpread=)", c->backends[i].config->name,
				(long long)((c->backends[i].spread_ms - now + 999) / 1000));
}
