/* Between guard.c (local sinks), guard_aws.c (hosts and paths of AWS) and guard_model.c (which model). */
#pragma once

#include "cloud/guard.h"
#include "cloud/url.h"

#define GUARD_LAB_SENTENCE "lab: loopback stands in for AWS, nothing leaves this machine"

struct guard_why {
	char *text;
	size_t size;
};

void guard_say(const struct guard_why *w, const char *fmt, ...) _printf_(2, 3);
bool guard_region_allowed(const struct guard_policy *p, const char *region);
/* A model id, profile id or ARN, called in `region` (already allowed). */
enum guard_answer guard_check_model(
	const struct guard_policy *p, const char *region, const char *model, const struct guard_why *w);
enum guard_answer guard_check_aws(
	const struct guard_policy *p, const struct guard_question *q, const struct guard_why *w);
/* With Lab=yes the bytes end on this machine: in the URL itself, or by ConnectTo=. */
bool guard_lab_ends_here(const struct guard_policy *p, const struct guard_question *q, const struct url *u);
/* ConnectTo= leads elsewhere: it is denied, and said why. */
bool guard_detour(
	const struct guard_policy *p, const struct guard_question *q, const struct url *u, const struct guard_why *w);
