/* Which program a helper is, by the configuration. */
#pragma once

#include "daemon/helper.h"
#include "daemon/service.h"

#define HELPER_PROGRAM_SIZE (PATH_SIZE + 32)
/* How the capture helper is reached; `program` is borrowed by the options. */
int helper_capture(const struct service *s, char program[HELPER_PROGRAM_SIZE], struct helper_options *ret);
