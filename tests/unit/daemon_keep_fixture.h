/* For the tests of what is kept, for how long, and of what it takes. */
#pragma once

#include "daemon/keep.h"
#include "daemon/delivery.h"
#include "tests/unit/daemon_fixture.h"

#define HOUR INT64_C(3600000)
#define DAY  (24 * HOUR)
#define YEAR (365 * DAY)

static const struct keep_options month_year = {.pages_ms = 30 * DAY, .results_ms = YEAR};

static inline void synchronised_begin(struct fixture *f)
{
	fixture_begin(f);
	f->synchronised = true;
	CHECK_INT(keep_tick(f->spool), 0);
}

/* And a server has proved it. */
static inline void trusted_begin(struct fixture *f)
{
	fixture_begin(f);
	f->synchronised = true;
	clock_learn_skew(f->clock, 0);
	CHECK_INT(keep_tick(f->spool), 0);
}

/* Another run, whose clock nobody has proved yet; of another boot, if it is one (-1: it is none). */
static inline void fixture_reopen_in(struct fixture *f, int boot)
{
	spool_close(take_ptr(f->spool));
	clock_free(f->clock);
	CHECK_INT(clock_new(&fixture_clock, f, &f->clock), 0);
	CHECK_INT(fixture_open_spool(f, 0), 0);
	fixture_freeze(f);
	if (boot >= 0)
		str_format(f->spool->boot_id, sizeof(f->spool->boot_id), "boot-%d", boot);
}

static inline void reboot(struct fixture *f, int boot)
{
	f->boot = 1000;
	fixture_reopen_in(f, boot);
}

/* Both clocks go on, looked at once a day: more often makes no difference but time. */
static inline void live(struct fixture *f, int64_t ms)
{
	for (int64_t step; ms > 0; ms -= step) {
		step = MIN(ms, DAY);
		f->now += step;
		f->boot += step;
		CHECK_INT(keep_tick(f->spool), 0);
	}
}

static inline int64_t keep_clock(struct fixture *f)
{
	int64_t ms = -1;

	CHECK_INT(keep_now(f->spool, &ms), 0);
	return ms;
}

/* A page with a result version as ledger_close() leaves it, and delivered. */
static inline void answer(struct fixture *f, const struct page_row *p, int64_t version)
{
	struct db *d = spool_db(f->spool);

	CHECK_INT(db_exec(d,
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome,"
			  " settled_pusd, billed) VALUES (?, 'b', 1, 'trusted', 7, 2, 'done', 7, 'yes')",
			  "i", p->seq),
		0);
	CHECK_INT(db_exec(d,
			  "INSERT INTO results (page, version, attempt, authoritative, type, created_ms, json, raw)"
			  " VALUES (?, ?, ?, 1, 't', 1, '{\"pageferry\":1}', '')",
			  "iii", p->seq, version, db_last_id(d)),
		0);
	CHECK_INT(db_exec(d, "INSERT INTO deliveries (page, version, sink) VALUES (?, ?, 'results')", "ii", p->seq, version), 0);
	CHECK_INT(db_exec(d, "UPDATE pages SET version = ?, state = 'done', kept_ms = NULL WHERE seq = ?", "ii", version, p->seq), 0);
	spool_counts_forget(f->spool);
}

static inline void done_page(struct fixture *f, struct page_row *p)
{
	fixture_page(f, p);
	answer(f, p, 1);
	CHECK_INT(delivery_run(f->spool, 10, NULL, NULL), 0);
	CHECK_INT(spool_page_get(f->spool, p->seq, p), 0);
}

static inline void age_all(struct fixture *f, const struct keep_options *o)
{
	int r, turns = 0;

	while ((r = keep_run(f->spool, o, 100)) > 0)
		CHECK(++turns < 1000);
	CHECK_INT(r, 0);
}
