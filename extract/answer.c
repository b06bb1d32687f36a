#include "extract/answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "extract/answer_internal.h"

void answer_free(struct answer *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n_fields; i++) {
		cJSON_Delete(a->fields[i].value);
		free(a->fields[i].problem);
	}
	free(a->fields);
	free(a->problems);
	free(a);
}

int answer_new(const struct doctype *t, struct answer **ret)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (a)
		a->fields = calloc(t->n_fields, sizeof(*a->fields));
	if (!a || !a->fields) {
		free(a);
		return -ENOMEM;
	}
	a->type = t;
	a->n_fields = t->n_fields;
	for (size_t i = 0; i < a->n_fields; i++) {
		a->fields[i].spec = &t->fields[i];
		a->fields[i].check = "";
		a->fields[i].confidence = -1;
	}
	*ret = a;
	return 0;
}

struct field_value *answer_field(const struct answer *a, const char *name)
{
	for (size_t i = 0; i < a->n_fields; i++)
		if (streq(a->fields[i].spec->name, name))
			return &a->fields[i];
	return NULL;
}

/* ---- problems ------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 4, 0))) static int problem_append(
	char **text, const char *sep, size_t max, const char *fmt, va_list ap)
{
	char raw[512], safe[512];
	char *more;

	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		return 0;
	text_safe_copy(safe, sizeof(safe), raw);
	if (*text && strlen(*text) + strlen(safe) > max)
		return 0;
	if (asprintf(&more, "%s%s%s", *text ? *text : "", *text ? sep : "", safe) < 0)
		return -ENOMEM;
	free(*text);
	*text = more;
	return 0;
}

int field_problem(struct field_value *f, const char *fmt, ...)
{
	va_list ap;
	int e;

	va_start(ap, fmt);
	e = problem_append(&f->problem, "; ", FIELD_PROBLEM_MAX, fmt, ap);
	va_end(ap);
	return e;
}

int answer_problem(struct answer *a, const char *fmt, ...)
{
	va_list ap;
	int e;

	va_start(ap, fmt);
	e = problem_append(&a->problems, "\n", ANSWER_PROBLEMS_MAX, fmt, ap);
	va_end(ap);
	return e;
}

/* ---- evidence ------------------------------------------------------------------------------------------ */

static void take_box(struct field_value *f, const cJSON *box)
{
	int b[4], n = 0;
	const cJSON *v;

	cJSON_ArrayForEach (v, box) {
		if (n == 4 || !cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= 100000))
			return;
		b[n++] = (int)v->valuedouble;
	}
	if (n == 4 && b[2] > 0 && b[3] > 0)
		memcpy(f->box, b, sizeof(b));
}

/* The words at the place a label points to read as the same value: supported. */
static int take_evidence(struct field_value *f, const cJSON *e)
{
	const char *text = json_get_string(e, "text");
	const cJSON *confidence = json_get(e, "confidence");
	_cleanup_json_ cJSON *value = NULL;

	if (!f->value)
		return 0;
	if (text && f->spec->kind != FIELD_ROWS && f->proof == PROOF_UNPROVEN) {
		if (field_value_parse(f->spec, text, &value, NULL, 0) == -ENOMEM)
			return -ENOMEM;
		if (value && cJSON_Compare(value, f->value, true))
			f->proof = PROOF_SUPPORTED;
	}
	if (confidence && cJSON_IsNumber(confidence) && confidence->valuedouble >= 0 &&
		confidence->valuedouble <= 1)
		f->confidence = confidence->valuedouble;
	take_box(f, json_get_array(e, "box"));
	return 0;
}

int answer_add_evidence(struct answer *a, const cJSON *evidence)
{
	const cJSON *e;
	int r = 0;

	if (!cJSON_IsObject(evidence))
		return 0;
	cJSON_ArrayForEach (e, evidence) {
		struct field_value *f = answer_field(a, e->string);

		if (f && r == 0)
			r = take_evidence(f, e);
	}
	return r;
}

/* ---- score and names ----------------------------------------------------------------------------------- */

enum answer_state answer_score(const struct answer *a)
{
	enum answer_state worst = ANSWER_COMPLETE;

	for (size_t i = 0; i < a->n_fields; i++) {
		const struct field_value *f = &a->fields[i];

		/* a value with a problem: a check fails, or rows of which something was left out */
		if (f->value && f->problem)
			return ANSWER_DOUBTFUL;
		if (!f->value && f->spec->required)
			worst = ANSWER_INCOMPLETE;
	}
	return worst;
}

const char *proof_name(enum proof p)
{
	static const char *const names[] = {
		[PROOF_UNPROVEN] = "unproven",
		[PROOF_SUPPORTED] = "supported",
		[PROOF_VERIFIED] = "verified",
	};

	return (size_t)p < ARRAY_SIZE(names) ? names[p] : "unknown";
}

const char *answer_state_name(enum answer_state s)
{
	static const char *const names[] = {
		[ANSWER_COMPLETE] = "complete",
		[ANSWER_INCOMPLETE] = "incomplete",
		[ANSWER_DOUBTFUL] = "doubtful",
	};

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : "unknown";
}

/* ---- the result's JSON --------------------------------------------------------------------------------- */

static int add_proven_columns(cJSON *obj, const struct field_value *f)
{
	cJSON *names;

	if (f->spec->kind != FIELD_ROWS || f->proof != PROOF_VERIFIED)
		return 0;
	names = cJSON_AddArrayToObject(obj, "proven_columns");
	if (!names)
		return -ENOMEM;
	for (size_t c = 0; c < f->spec->n_columns; c++)
		if (f->proven_columns & (UINT32_C(1) << c) &&
			!cJSON_AddItemToArray(names, cJSON_CreateString(f->spec->columns[c].name)))
			return -ENOMEM;
	return 0;
}

static int field_to_json(const struct field_value *f, cJSON *fields)
{
	cJSON *obj = cJSON_AddObjectToObject(fields, f->spec->name);
	cJSON *box;
	int e;

	if (!obj)
		return -ENOMEM;
	e = json_add_take(obj, "value", f->value ? cJSON_Duplicate(f->value, true) : cJSON_CreateNull());
	if (e == 0)
		e = json_add_string(obj, "proof", proof_name(f->proof));
	if (e == 0 && f->check[0])
		e = json_add_string(obj, "check", f->check);
	if (e == 0)
		e = add_proven_columns(obj, f);
	if (e == 0 && f->problem)
		e = json_add_string(obj, "problem", f->problem);
	if (e == 0 && f->confidence >= 0)
		e = json_add_take(obj, "confidence",
			cJSON_CreateNumber((double)(int)(f->confidence * 1000 + 0.5) / 1000));
	if (e == 0 && f->page > 0)
		e = json_add_i64(obj, "page", f->page);
	if (e < 0 || f->box[2] == 0)
		return e;
	box = cJSON_CreateIntArray(f->box, 4);
	return box ? json_add_take(obj, "box", box) : -ENOMEM;
}

static int add_problems(const struct answer *a, cJSON *obj)
{
	cJSON *list = cJSON_AddArrayToObject(obj, "problems");
	_cleanup_free_ char *copy = strdup(a->problems ? a->problems : "");
	char *save = NULL;

	if (!list || !copy)
		return -ENOMEM;
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!cJSON_AddItemToArray(list, cJSON_CreateString(line)))
			return -ENOMEM;
	return 0;
}

/* A field that is absent without a problem is not written. */
int answer_to_json(const struct answer *a, cJSON *obj)
{
	cJSON *fields;
	int e = json_add_string(obj, "type", a->type->name);

	if (e == 0)
		e = json_add_i64(obj, "type_version", a->type->version);
	if (e == 0)
		e = json_add_string(obj, "state", answer_state_name(answer_score(a)));
	fields = e == 0 ? cJSON_AddObjectToObject(obj, "fields") : NULL;
	if (e == 0 && !fields)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_fields && e == 0; i++)
		if (a->fields[i].value || a->fields[i].problem)
			e = field_to_json(&a->fields[i], fields);
	return e < 0 ? e : add_problems(a, obj);
}
