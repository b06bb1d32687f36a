/* Between the files of the answer: answer.c (the object), answer_values.c (JSON to typed values),
 * answer_text.c (finding the JSON or the "KEY: value" lines). */
#pragma once

#include "extract/answer.h"

#define ANSWER_TEXT_MAX     ((size_t)4 << 20) /* of a raw answer; cloud/ caps replies far below */
#define ANSWER_PROBLEMS_MAX 4096
#define FIELD_PROBLEM_MAX   1024

/* An answer in which every field is absent. 0 or -ENOMEM. */
int answer_new(const struct doctype *t, struct answer **ret);
/* Adds to a field's problem ("; " between), to the answer's problems (a line each). Made safe; past the cap,
 * dropped. */
int field_problem(struct field_value *f, const char *fmt, ...) _printf_(2, 3);
int answer_problem(struct answer *a, const char *fmt, ...) _printf_(2, 3);

/* Which field is meant by a name, title or label, case and punctuation ignored? The index, or -1. */
int field_match(const struct field_spec *fields, size_t n, const char *text, size_t len);
/* Does the object have a member that names a field? */
bool names_any_field(const struct doctype *t, const cJSON *obj);
/* Takes what the object says into the answer: 1 if a member names a field, 0 if none, or -ENOMEM. */
int answer_take_object(struct answer *a, const cJSON *obj);
/* One field's value, in any form. What was said first stays. 0 or -ENOMEM. */
int answer_take_value(struct answer *a, size_t field, const cJSON *value);
