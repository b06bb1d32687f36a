/* Between checks.c (which checks a type lists, what their outcomes mean) and check_rules.c (the arithmetic).
 */
#pragma once

#include "extract/checks.h"

#define CHECK_ARGS_MAX 7

/* A member of a check's object, resolved. Not given: field is NULL, column -1, flag false. */
struct check_arg {
	struct field_value *field;
	int column; /* index into the rows field's spec->columns */
	bool flag;
};

enum check_result {
	CHECK_SILENT, /* what it needs is not there */
	CHECK_HOLDS,  /* nothing against it, but it proves nothing (zeros, rounding, one row) */
	CHECK_PROVES,
	CHECK_FAILS,
};

/* What a check compared. Proves: these are right. Fails: one of these is wrong. */
struct check_tie {
	struct field_value *field;
	uint32_t columns; /* of a rows field */
	bool proven;      /* by another check (of a failed one) */
};

struct check_outcome {
	enum check_result result;
	struct check_tie ties[CHECK_ARGS_MAX];
	size_t n_ties;
	char what[160]; /* of a failure, with its numbers */
};

/* args in the order of the check's parameters in checks.c. */
typedef void (*check_rule)(const struct answer *a, const struct check_arg *args, struct check_outcome *ret);

void rule_abn(const struct answer *a, const struct check_arg *args, struct check_outcome *ret);
void rule_gst(const struct answer *a, const struct check_arg *args, struct check_outcome *ret);
void rule_sum(const struct answer *a, const struct check_arg *args, struct check_outcome *ret);
void rule_lines(const struct answer *a, const struct check_arg *args, struct check_outcome *ret);
void rule_balance(const struct answer *a, const struct check_arg *args, struct check_outcome *ret);
