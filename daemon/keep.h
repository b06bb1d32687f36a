/*
 * How long what is delivered is kept: page files for KeepPages=, results (and the page's row) for KeepResults=. What is not
 * done and delivered never ages, and nothing is ever removed to make room.
 *
 * Age is measured by the keep clock, kept in meta: it goes on only while realtime is trusted, by the time that has passed
 * since it was last looked at but by a day at most, and never back. A boot in 1970, a clock that is stepped by years, or a
 * machine that lay in a cupboard makes pages stay longer, never shorter. A page's kept_ms is the keep clock at the moment
 * the last of its results was delivered.
 *
 * Each removal is one commit first and the unlink of the file after it; what a crash leaves between the two has a row that
 * says so (pages.file = 0, or gone), and spool_reconcile() removes it. Steps AGE_* of base/step.h.
 */
#pragma once

#include "daemon/spool.h"

struct keep_options {
	int64_t pages_ms, results_ms; /* 0: for ever; pages_ms <= results_ms when both are given */
};
/* Moves the keep clock on: a commit at most once a minute. 0 or negative errno. */
int keep_tick(struct spool *s);
int keep_now(struct spool *s, int64_t *ret_ms);
/* Removes up to `max` things that are old enough. 1: more are due, 0: none, negative errno. */
int keep_run(struct spool *s, const struct keep_options *o, size_t max);
/* A person wants it gone, whatever its state: its file, results and row; attempts, cost and receipts stay. `why` is kept in
 * table gone. 0, -ENOENT. The caller sees to it that no attempt is open. Steps DROP_* of base/step.h. */
int keep_drop(struct spool *s, int64_t seq, const char *why);
