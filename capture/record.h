/* What was done to a page, as JSON (docs/architecture.md, "capture.sense"). */
#pragma once

#include "base/json.h"
#include "capture/emit.h"

/* An object with a member for each thing that was asked for: 1; 0: nothing was; or -ENOMEM. */
int record_done(const struct page_info *p, cJSON **ret);
