/* Between guard.c (where to) and guard_model.c (which model). */
#pragma once

#include "cloud/guard.h"

struct guard_why {
	char *text;
	size_t size;
};

void guard_say(const struct guard_why *w, const char *fmt, ...) _printf_(2, 3);
bool guard_region_allowed(const struct guard_policy *p, const char *region);
/* A model id, profile id or ARN, called in `region` (already allowed). */
enum guard_answer guard_check_model(
	const struct guard_policy *p, const char *region, const char *model, const struct guard_why *w);
