/* An event of the service as one line. */
#pragma once

#include "ctl/format.h"

int event_print(const cJSON *event, const struct look *l, struct buf *out);
