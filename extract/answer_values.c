/* What a reader said, as JSON of any shape, to typed values within the schema. */
#include <math.h>
#include <stdio.h>

#include "extract/answer_internal.h"
#include "extract/values.h"

#define WRAP_DEPTH 4
#define KEY_MAX    96

/* ---- which field --------------------------------------------------------------------------------------- */

static bool key_equals(const char *key, const char *name)
{
	char other[KEY_MAX];

	text_key(name, strlen(name), other, sizeof(other));
	return streq(key, other);
}

static bool labels_contain(const cJSON *labels, const char *key)
{
	const cJSON *l;

	cJSON_ArrayForEach (l, labels)
		if (key_equals(key, l->valuestring))
			return true;
	return false;
}

int field_match(const struct field_spec *fields, size_t n, const char *text, size_t len)
{
	char key[KEY_MAX];

	if (len >= KEY_MAX || text_key(text, len, key, sizeof(key)) == 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (key_equals(key, fields[i].name))
			return (int)i;
	for (size_t i = 0; i < n; i++)
		if (key_equals(key, fields[i].title))
			return (int)i;
	for (size_t i = 0; i < n; i++)
		if (labels_contain(fields[i].labels, key))
			return (int)i;
	return -1;
}

static int match_member(const struct doctype *t, const char *name)
{
	return field_match(t->fields, t->n_fields, name, strlen(name));
}

/* ---- one value ----------------------------------------------------------------------------------------- */

/* {"value": V, ...} is V. */
static const cJSON *unwrap(const cJSON *value)
{
	const cJSON *inner = cJSON_IsObject(value) ? json_get(value, "value") : NULL;

	return inner ? inner : value;
}

/*
 * The text of a string or number; NULL for others. 15 significant digits are exact for every decimal that a
 * double holds without loss, so 12.5 comes out as written; what is longer keeps more decimals than its kind
 * allows and is refused.
 */
static const char *scalar_text(const cJSON *value, char room[40])
{
	if (cJSON_IsString(value))
		return value->valuestring;
	if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
		return NULL;
	str_format(room, 40, "%.15g", value->valuedouble);
	return room;
}

enum taken {
	TAKEN_VALUE,
	TAKEN_NOTHING, /* null, "", "n/a" */
	TAKEN_BAD,
	TAKEN_NO_MEMORY,
};

static enum taken take_scalar(
	const struct field_spec *f, const cJSON *value, cJSON **ret, char *why, size_t why_size)
{
	char room[40];
	const char *text;
	_cleanup_free_ char *norm = NULL;
	int e;

	value = unwrap(value);
	if (cJSON_IsNull(value))
		return TAKEN_NOTHING;
	text = scalar_text(value, room);
	if (!text || (f->kind == FIELD_DATE && !cJSON_IsString(value))) {
		str_format(why, why_size, "not of kind %s", field_kind_name(f->kind));
		return TAKEN_BAD;
	}
	norm = text_normalise(text, strlen(text));
	if (!norm)
		return TAKEN_NO_MEMORY;
	if (text_is_nothing(norm))
		return TAKEN_NOTHING;
	e = field_value_parse(f, text, ret, why, why_size);
	return e == -ENOMEM ? TAKEN_NO_MEMORY : e < 0 ? TAKEN_BAD : TAKEN_VALUE;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

struct rows {
	struct answer *a;
	struct field_value *field;
	unsigned int n; /* the row being read, from 1 */
};

static int take_cell(const struct rows *r, cJSON *row, const cJSON *member)
{
	const struct field_spec *spec = r->field->spec;
	int c = field_match(spec->columns, spec->n_columns, member->string, strlen(member->string));
	_cleanup_json_ cJSON *value = NULL;
	char why[128];

	if (c < 0)
		return cJSON_IsNull(member) ? 0
					    : answer_problem(r->a, "%s[%u]: unknown member %.64s", spec->name,
						      r->n - 1, member->string);
	if (json_get(row, spec->columns[c].name))
		return answer_problem(
			r->a, "%s[%u]: %s is said twice", spec->name, r->n - 1, spec->columns[c].name);
	switch (take_scalar(&spec->columns[c], member, &value, why, sizeof(why))) {
	case TAKEN_VALUE:
		return json_add_take(row, spec->columns[c].name, take_ptr(value));
	case TAKEN_BAD:
		return field_problem(r->field, "row %u: %s: %s", r->n, spec->columns[c].name, why);
	case TAKEN_NO_MEMORY:
		return -ENOMEM;
	default:
		return 0;
	}
}

/* The columns in the schema's order; a row without a required one is left out. */
static int finish_row(const struct rows *r, cJSON *raw, cJSON *out)
{
	const struct field_spec *spec = r->field->spec;
	_cleanup_json_ cJSON *row = cJSON_CreateObject();

	if (!row)
		return -ENOMEM;
	for (size_t c = 0; c < spec->n_columns; c++) {
		cJSON *v = cJSON_DetachItemFromObjectCaseSensitive(raw, spec->columns[c].name);
		int e;

		if (!v && spec->columns[c].required)
			return field_problem(r->field, "row %u left out: no %s", r->n, spec->columns[c].name);
		e = v ? json_add_take(row, spec->columns[c].name, v) : 0;
		if (e < 0)
			return e;
	}
	if (row->child)
		cJSON_AddItemToArray(out, take_ptr(row));
	return 0;
}

static int take_row(const struct rows *r, const cJSON *item, cJSON *out)
{
	_cleanup_json_ cJSON *raw = cJSON_CreateObject();
	const cJSON *m;

	if (!raw)
		return -ENOMEM;
	if (!cJSON_IsObject(item))
		return field_problem(r->field, "row %u left out: not an object", r->n);
	cJSON_ArrayForEach (m, item) {
		int e = take_cell(r, raw, m);

		if (e < 0)
			return e;
	}
	return finish_row(r, raw, out);
}

static int take_row_array(struct rows *r, const cJSON *array, cJSON *out)
{
	const cJSON *item;
	int64_t max = 0;

	(void)json_get_i64(r->field->spec->schema, "maxItems", &max); /* lint: it is there */
	cJSON_ArrayForEach (item, array) {
		int e;

		if (r->n++ >= max)
			return field_problem(r->field, "more than %lld rows", (long long)max);
		e = take_row(r, item, out);
		if (e < 0)
			return e;
	}
	return 0;
}

/* No rows at all is no value: whether the page has none or the reader saw none cannot be told apart. */
static int take_rows(struct answer *a, struct field_value *f, const cJSON *value)
{
	struct rows r = {.a = a, .field = f};
	_cleanup_json_ cJSON *out = cJSON_CreateArray();
	int e;

	if (!out)
		return -ENOMEM;
	value = unwrap(value);
	if (cJSON_IsNull(value) || (cJSON_IsString(value) && text_is_nothing(value->valuestring)))
		return 0;
	if (cJSON_IsArray(value)) {
		e = take_row_array(&r, value, out);
	} else if (cJSON_IsObject(value)) {
		r.n = 1;
		e = take_row(&r, value, out);
	} else {
		e = field_problem(f, "not rows");
	}
	if (e == 0 && out->child)
		f->value = take_ptr(out);
	return e;
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static void take_confidence(struct field_value *f, const cJSON *value)
{
	const cJSON *c = cJSON_IsObject(value) ? json_get(value, "confidence") : NULL;

	if (c && cJSON_IsNumber(c) && c->valuedouble >= 0 && c->valuedouble <= 1)
		f->confidence = c->valuedouble;
}

int answer_take_value(struct answer *a, size_t field, const cJSON *value)
{
	struct field_value *f = &a->fields[field];
	_cleanup_json_ cJSON *parsed = NULL;
	char why[128];

	if (f->spec->kind == FIELD_ROWS)
		return f->value ? answer_problem(a, "%s is said twice", f->spec->name)
				: take_rows(a, f, value);
	switch (take_scalar(f->spec, value, &parsed, why, sizeof(why))) {
	case TAKEN_NOTHING:
		return 0;
	case TAKEN_BAD:
		return f->value ? 0 : field_problem(f, "%s", why);
	case TAKEN_NO_MEMORY:
		return -ENOMEM;
	case TAKEN_VALUE:
		break;
	}
	if (f->value)
		return cJSON_Compare(f->value, parsed, true)
			       ? 0
			       : answer_problem(a, "%s is said twice", f->spec->name);
	free(take_ptr(f->problem)); /* said badly before, well now */
	f->value = take_ptr(parsed);
	take_confidence(f, value);
	return 0;
}

/* ---- objects ------------------------------------------------------------------------------------------- */

static const cJSON *wrapped_object(const cJSON *member)
{
	if (cJSON_IsArray(member) && member->child && !member->child->next)
		member = member->child;
	return cJSON_IsObject(member) ? member : NULL;
}

static bool names_field_within(const struct doctype *t, const cJSON *obj, unsigned int depth)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, obj)
		if (match_member(t, m->string) >= 0 ||
			(depth < WRAP_DEPTH && wrapped_object(m) &&
				names_field_within(t, wrapped_object(m), depth + 1)))
			return true;
	return false;
}

bool names_any_field(const struct doctype *t, const cJSON *obj)
{
	return cJSON_IsObject(obj) && names_field_within(t, obj, 0);
}

static int take_object(struct answer *a, const cJSON *obj, unsigned int depth);

/* {"fields": {...}} and the like: the object that holds the fields may be wrapped. */
static int take_member(struct answer *a, const cJSON *m, unsigned int depth)
{
	int i = match_member(a->type, m->string);
	const cJSON *inner = wrapped_object(m);
	bool wrapper = inner && depth < WRAP_DEPTH && !json_get(inner, "value") &&
		       (i < 0 || a->type->fields[i].kind != FIELD_ROWS) &&
		       names_field_within(a->type, inner, depth + 1);

	if (wrapper)
		return take_object(a, inner, depth + 1);
	if (i >= 0) {
		int e = answer_take_value(a, (size_t)i, m);

		return e < 0 ? e : 1;
	}
	if (cJSON_IsNull(m))
		return 0;
	return answer_problem(a, "unknown member %.64s", m->string);
}

static int take_object(struct answer *a, const cJSON *obj, unsigned int depth)
{
	int found = 0;
	const cJSON *m;

	cJSON_ArrayForEach (m, obj) {
		int e = take_member(a, m, depth);

		if (e < 0)
			return e;
		found |= e;
	}
	return found;
}

int answer_take_object(struct answer *a, const cJSON *obj)
{
	return take_object(a, obj, 0);
}
