/*
 * Receipts as files, one a day (docs/architecture.md, "Receipts"): an export that can be made again from the database, which keeps
 * all of them. A file appears under its name whole or not at all, and begins with the head that the one before ended with. Only
 * while the time is trusted, for else nobody knows which day it is; days that were missed are made up for. Steps DAILY_*.
 */
#pragma once

#include "daemon/heads.h"

struct daily;
int daily_new(struct spool *s, const struct receipts_config *c, struct daily **ret);
void daily_free(struct daily *d); /* NULL is fine */
/* Is there to be looked for days that have ended? Then what is not signed is to be signed first. */
bool daily_is_due(struct daily *d);
/* Why files of days that have ended are missing: negative errno; 0: nothing is in the way. */
int daily_trouble(const struct daily *d);
/* A slice. 1: call again, 0: nothing is left to do for now, negative errno: it cannot be written, which was said. */
int daily_step(struct daily *d);
