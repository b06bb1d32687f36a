/* What was used: usage.c asks for it and sums it up, usage_print.c shows it. */
#pragma once

#include "ctl/ctl.h"

enum usage_count {
	U_REQUESTS,
	U_ANSWERS,
	U_UNREPORTED,
	U_PAGES,
	U_REUSED,
	U_INPUT,
	U_OUTPUT,
	U_CACHED,
	U_COST,
	U_POSSIBLY,
	U_OPEN,
	U_RESERVED,
	USAGE_COUNTS,
};
extern const struct usage_member {
	const char *json, *csv;
	bool money; /* digits in a string; in a CSV, dollars */
} usage_members[USAGE_COUNTS];

struct usage_group {
	char key[256]; /* the day, the model...; "" when a row has none */
	int64_t n[USAGE_COUNTS];
};

struct usage {
	struct ctl *c;
	const char *by;              /* member of a row; "month" is the front of its day */
	char since[16];              /* as the service took it */
	struct usage_group *groups;  /* owned */
	size_t n;
};

/* The groups, by their order. The exit code. */
int usage_put(struct usage *u);
