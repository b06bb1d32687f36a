/*
 * What may be spent in a day and in a month (UTC, as the provider bills). What is open counts at its worst case, whenever it was
 * opened; what has ended counts in the day of its end. The question is asked in the transaction that opens an attempt.
 *
 * The day is told by a clock of its own. Within one boot it goes on by boottime, drawn towards trusted realtime by an eighth of
 * what has passed at most; the first trusted look after a boot sets it. So no step of the clock makes a fresh day, and one that
 * was wrong parks nothing: a day ends after 27 hours at the latest. Not yet trusted, it goes on from where the last boot left it.
 */
#pragma once

#include "base/util.h"

struct spool;

struct budget_limits {
	int64_t day_pusd, month_pusd; /* 0: none */
};
struct budget_sums {
	int64_t day_pusd, month_pusd; /* of what has ended */
	int64_t open_pusd;            /* reserved */
	int64_t possibly_pusd;        /* of the day's, only possibly billed */
};
enum budget_room {
	BUDGET_ROOM,
	BUDGET_FULL,  /* not now */
	BUDGET_NEVER, /* a whole budget is less than it may cost */
};
enum budget_room budget_room(const struct budget_limits *l, const struct budget_sums *u, int64_t need_pusd);
int budget_sums(struct spool *s, struct budget_sums *ret);

struct budget_clock {
	int64_t ms, boot_ms; /* realtime as it is believed, at this boottime */
	bool known;          /* by trusted realtime, in this boot */
	bool stored;         /* in this boot, */
	int64_t stored_boot_ms; /* at this boottime */
};
/* Pure: what has happened since the last look. `real_ms` < 0: it is not trusted. */
void budget_clock_move(struct budget_clock *c, int64_t boot_ms, int64_t real_ms);
/* As the database has it. */
int budget_clock_load(struct spool *s);
/* Stores it in the caller's transaction, if that has not been done for a while. */
int budget_clock_store(struct spool *s);
/* Days since 1970, now. */
int64_t budget_day(struct spool *s);
int64_t budget_resets_in_ms(struct spool *s);
