/*
 * How long what is delivered is kept: page files for KeepPages=, results (and the page's row) for KeepResults=. What is not
 * done and delivered never ages, and nothing is ever removed to make room.
 *
 * Age is measured by the keep clock, kept in meta: it goes on only while realtime is trusted, by the time that has passed
 * since it was last looked at, by realtime and by boottime, whichever says less, a day at most, and never back. For how long
 * the machine was off no boottime tells: that counts (a day at most) once a server has proved the clock in this run, and until then
 * not; a clock that is synchronised may be so with a wrong server. A boot in 1970, a clock that is stepped by years, or a machine that
 * lay in a cupboard makes pages stay longer, never shorter. A page's kept_ms is the keep clock when the last of its results was delivered.
 *
 * Each removal is one commit first and the unlink of the files after it; what a crash leaves between the two has a row that
 * says so (pages.file = 0, or gone), and spool_reconcile() removes it. Steps AGE_* of base/step.h.
 */
#pragma once

#include "daemon/spool.h"

struct keep_options {
	int64_t pages_ms, results_ms; /* 0: for ever; pages_ms <= results_ms when both are given */
};
/* Moves the keep clock on: a commit every ten minutes at most, one at the first trusted look of a run. 0 or negative errno. */
int keep_tick(struct spool *s);
/* The keep clock as ageing sees it. -EBADMSG: what is stored cannot be true, and nothing ages by it. */
int keep_now(struct spool *s, int64_t *ret_ms);
/* Notes, inside the caller's transaction, that the page is done and all of its results are delivered, if that is so and was not
 * noted. The stamp is the furthest that the keep clock may be found at when it is looked at next: nothing ages early. */
int keep_note_delivered(struct spool *s, int64_t seq);
/* Removes up to `max` things that are old enough, in one commit. 1: more may be due, 0: none, negative errno. */
int keep_run(struct spool *s, const struct keep_options *o, size_t max);
/* A person wants it gone, whatever its state: its file, results and row; attempts, cost and receipts stay. `why` is kept in
 * table gone. 0, -ENOENT, -EBUSY: a request of it is out. Steps DROP_* of base/step.h. */
int keep_drop(struct spool *s, int64_t seq, const char *why);
/* What keep_run() has removed since the spool was opened. */
struct keep_counts {
	int64_t files, pages; /* files alone; pages with all that was theirs */
};
const struct keep_counts *keep_counts(const struct spool *s);
