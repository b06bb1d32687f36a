#include "daemon/budget.h"

#include <time.h>

#include "daemon/spool_internal.h"

#define DAY_MS        INT64_C(86400000)
#define STORE_MS      INT64_C(600000) /* a write each */
#define SLEW          8               /* it is drawn by this part of what has passed */
#define PLAUSIBLE_MAX (INT64_C(300) * 366 * DAY_MS)

/* ---- its clock ------------------------------------------------------------------------------- */

void budget_clock_move(struct budget_clock *c, int64_t boot_ms, int64_t real_ms)
{
	int64_t passed = MAX(boot_ms - c->boot_ms, (int64_t)0);

	c->boot_ms = boot_ms;
	c->ms += passed;
	if (real_ms < 0)
		return;
	if (!c->known)
		c->ms = real_ms;
	else
		c->ms += CLAMP(real_ms - c->ms, -passed / SLEW, passed / SLEW);
	c->known = true;
}

static void look(struct spool *s)
{
	int64_t real_ms = clock_trust(s->clock) == TIME_TRUSTED ? clock_realtime_ms(s->clock) : -1;

	budget_clock_move(&s->budget, clock_boottime_ms(s->clock), real_ms);
}

int budget_clock_load(struct spool *s)
{
	struct budget_clock *c = &s->budget;
	_cleanup_stmt_ struct stmt *st = NULL;
	int64_t boot_ms = 0;
	int r;

	*c = (struct budget_clock){.boot_ms = clock_boottime_ms(s->clock)};
	r = spool_meta_get_i64(s, "budget_ms", &c->ms);
	if (r == 0 || c->ms < 0 || c->ms > PLAUSIBLE_MAX)
		c->ms = CLAMP(clock_realtime_ms(s->clock), (int64_t)0, PLAUSIBLE_MAX);
	if (r > 0)
		r = spool_meta_get_i64(s, "budget_boot_ms", &boot_ms);
	if (r <= 0)
		return r;
	r = db_query(s->db, &st, "SELECT value FROM meta WHERE key = 'budget_boot'", "");
	if (r >= 0)
		r = stmt_next(st);
	/* Of this boot: known as it was. */
	if (r > 0 && streq(stmt_text(st, 0), s->boot_id) && boot_ms <= c->boot_ms) {
		c->boot_ms = boot_ms;
		c->known = true;
	}
	return MIN(r, 0);
}

int budget_clock_store(struct spool *s)
{
	struct budget_clock *c = &s->budget;
	int r;

	look(s);
	if (c->stored && c->boot_ms - c->stored_boot_ms < STORE_MS)
		return 0;
	r = spool_meta_set_i64(s, "budget_ms", c->ms);
	if (r >= 0)
		r = spool_meta_set_i64(s, "budget_boot_ms", c->boot_ms);
	/* Without a boot the next start takes up trusted realtime when that comes. */
	if (r >= 0)
		r = spool_meta_set(s, "budget_boot", c->known ? s->boot_id : "");
	if (r < 0)
		return r;
	c->stored = c->known;
	c->stored_boot_ms = c->boot_ms;
	return 0;
}

int64_t budget_day(struct spool *s)
{
	look(s);
	return s->budget.ms / DAY_MS;
}

int64_t budget_resets_in_ms(struct spool *s)
{
	look(s);
	return DAY_MS - s->budget.ms % DAY_MS;
}

/* ---- what was spent -------------------------------------------------------------------------- */

/* The days of its month: from `ret_first` to before `ret_end`. */
static void month_of(int64_t day, int64_t *ret_first, int64_t *ret_end)
{
	time_t seconds = (time_t)(day * (DAY_MS / 1000));
	struct tm tm = {};

	gmtime_r(&seconds, &tm);
	*ret_first = day - (tm.tm_mday - 1);
	tm.tm_mday = 1;
	tm.tm_mon++;
	*ret_end = timegm(&tm) / (DAY_MS / 1000);
}

int budget_sums(struct spool *s, struct budget_sums *ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int64_t day = budget_day(s), first, end, open = 0;
	int r;

	month_of(day, &first, &end);
	r = db_get_i64(s->db, &open, "SELECT coalesce(sum(reserved_pusd), 0) FROM attempts WHERE closed_ms IS NULL", "");
	if (r >= 0)
		r = db_query(s->db, &st,
			"SELECT coalesce(sum(settled_pusd * (day = ?)), 0), coalesce(sum(settled_pusd), 0),"
			" coalesce(sum(possibly_pusd * (day = ?)), 0) FROM usage WHERE day >= ? AND day < ?",
			"iiii", day, day, first, end);
	if (r >= 0)
		r = stmt_next(st);
	if (r < 0)
		return r;
	*ret = (struct budget_sums){.day_pusd = stmt_i64(st, 0), .month_pusd = stmt_i64(st, 1), .open_pusd = open,
		.possibly_pusd = stmt_i64(st, 2)};
	return 0;
}

static bool fits(int64_t limit, int64_t spent, int64_t open, int64_t need)
{
	int64_t sum;

	return limit == 0 || !(__builtin_add_overflow(spent, open, &sum) || __builtin_add_overflow(sum, need, &sum) || sum > limit);
}

enum budget_room budget_room(const struct budget_limits *l, const struct budget_sums *u, int64_t need_pusd)
{
	if (!fits(l->day_pusd, 0, 0, need_pusd) || !fits(l->month_pusd, 0, 0, need_pusd))
		return BUDGET_NEVER;
	if (fits(l->day_pusd, u->day_pusd, u->open_pusd, need_pusd) && fits(l->month_pusd, u->month_pusd, u->open_pusd, need_pusd))
		return BUDGET_ROOM;
	return BUDGET_FULL;
}
