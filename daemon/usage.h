/* What was used, by day, backend, model and type: table usage, kept in the commits that close attempts. */
#pragma once

#include "daemon/spool.h"

/* In the transaction that closes the attempt, once its row is written. `type`: "" when it is not known. 0 or negative errno. */
int usage_add(struct spool *s, int64_t attempt, const char *type);
