/* Delivery of results to sinks. Each sink's rows are its own; here the folder results/. Steps DELIVER_*. */
#pragma once

#include "daemon/spool.h"

typedef void (*delivery_done_fn)(void *ud, const char *page, int64_t version, const char *sink);

/* Delivers up to `max` due rows. 1: more are due, 0: none, negative errno (storage; rows stay). A superseded version is
 * marked delivered without writing over the newer. */
int delivery_run(struct spool *s, size_t max, delivery_done_fn done, void *ud);
/* Makes rows for results whose export is missing on disk: one slice (256), like spool_reconcile(). */
int delivery_reconcile(struct spool *s, int64_t *cursor);
