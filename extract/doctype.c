#include "extract/doctype.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"
#include "extract/checks.h"
#include "extract/doctype_internal.h"
#include "extract/schema.h"

#define DOCTYPE_TITLE_MAX   80
#define DOCTYPE_PROMPT_MAX  16384
#define DOCTYPE_VERSION_MAX 1000000
#define DOCTYPE_STRINGS_MAX 256
#define DOCTYPE_STRING_MAX  120

static const char *const kind_names[] = {
	[FIELD_TEXT] = "text",
	[FIELD_MONEY] = "money",
	[FIELD_DATE] = "date",
	[FIELD_ABN] = "abn",
	[FIELD_INTEGER] = "integer",
	[FIELD_DECIMAL] = "decimal",
	[FIELD_ENUM] = "enum",
	[FIELD_ROWS] = "rows",
};

const char *field_kind_name(enum field_kind k)
{
	return (size_t)k < ARRAY_SIZE(kind_names) ? kind_names[k] : "unknown";
}

static int kind_parse(const char *s, enum field_kind *ret)
{
	for (size_t i = 0; s && i < ARRAY_SIZE(kind_names); i++)
		if (streq(kind_names[i], s)) {
			*ret = (enum field_kind)i;
			return 0;
		}
	return -EINVAL;
}

struct reader {
	struct doctype *t;
	char *why;
	size_t why_size;
};

static int fail(const struct reader *r, const char *path, const char *fmt, ...) _printf_(3, 4);
static int fail(const struct reader *r, const char *path, const char *fmt, ...)
{
	char what[512], safe[512];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = 0;
	va_end(ap);
	text_safe_copy(safe, sizeof(safe), what);
	if (r->why_size > 0 && snprintf(r->why, r->why_size, "%s%s: %s%s%s",
				       r->t && r->t->name ? r->t->name : "document type",
				       r->t && r->t->name ? ".json" : "", path, *path ? ": " : "", safe) < 0)
		r->why[0] = 0;
	return -EBADMSG;
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static bool name_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && n <= 48 && !s[n] && s[0] >= 'a' && s[0] <= 'z';
}

static bool members_known(const cJSON *obj, const char *const *known, size_t n, const char **ret_other)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, obj) {
		bool found = false;

		for (size_t i = 0; i < n; i++)
			found |= streq(known[i], m->string);
		if (!found) {
			*ret_other = m->string;
			return false;
		}
	}
	return true;
}

/* An array of non-empty texts. */
static int lint_strings(const struct reader *r, const char *path, const cJSON *a)
{
	const cJSON *s;
	size_t n = 0;

	if (!cJSON_IsArray(a))
		return fail(r, path, "must be an array of texts");
	cJSON_ArrayForEach (s, a)
		if (!cJSON_IsString(s) || !s->valuestring[0] || strlen(s->valuestring) > DOCTYPE_STRING_MAX)
			return fail(r, path, "must hold texts of 1 to %d bytes", DOCTYPE_STRING_MAX);
		else if (++n > DOCTYPE_STRINGS_MAX)
			return fail(r, path, "has more than %d texts", DOCTYPE_STRINGS_MAX);
	return 0;
}

/* 1, 0 or -ENOMEM. */
static int accepts_string(const cJSON *schema, const char *value)
{
	_cleanup_json_ cJSON *j = cJSON_CreateString(value);
	int e = j ? schema_validate(schema, j, NULL, NULL) : -ENOMEM;

	return e == -ENOMEM ? e : e == 0;
}

/* A schema says what its kind needs if it takes the kind's values and refuses what is none. */
static const struct {
	enum field_kind kind;
	const char *take[3], *refuse[3];
} samples[] = {
	{FIELD_MONEY, {"1234.50", "0.00", "-3.00"}, {"12", "1.234", "1,234.50"}},
	{FIELD_DATE, {"2026-11-21", "1999-01-01", "2024-02-29"}, {"2026-02-30", "21/11/2026", ""}},
	{FIELD_ABN, {"51824753556", "53004085616", "33102417032"}, {"5182475355", "51 824 753 556", ""}},
	{FIELD_DECIMAL, {"2.5", "10", "0.25"}, {"", "a", "1,5"}},
};

static int lint_samples(const struct reader *r, const char *path, const struct field_spec *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		if (samples[i].kind != f->kind)
			continue;
		for (size_t k = 0; k < 3; k++) {
			int take = accepts_string(f->schema, samples[i].take[k]);
			int refuse = accepts_string(f->schema, samples[i].refuse[k]);

			if (take < 0 || refuse < 0)
				return MIN(take, refuse);
			if (!take)
				return fail(r, path, "the schema refuses \"%s\"", samples[i].take[k]);
			if (refuse)
				return fail(r, path, "the schema takes \"%s\"", samples[i].refuse[k]);
		}
	}
	return 0;
}

static int lint_enum_strings(const struct reader *r, const char *path, const cJSON *schema)
{
	const cJSON *v, *choices = json_get_array(schema, "enum");

	if (!choices)
		return fail(r, path, "the schema of an enum field needs an enum");
	cJSON_ArrayForEach (v, choices)
		if (!cJSON_IsString(v))
			return fail(r, path, "the enum of an enum field holds texts only");
	return 0;
}

/* Does the schema fit the kind, and does every text and array end (constrained decoding must)? */
static int lint_kind(const struct reader *r, const char *path, const struct field_spec *f)
{
	const char *type = json_get_string(f->schema, "type");
	const char *want = f->kind == FIELD_ROWS ? "array" : f->kind == FIELD_INTEGER ? "integer" : "string";

	if (!type || !streq(type, want))
		return fail(r, path, "the schema's type of kind %s must be \"%s\"", field_kind_name(f->kind),
			want);
	if (f->kind == FIELD_ENUM)
		return lint_enum_strings(r, path, f->schema);
	if (streq(want, "string") && !json_get(f->schema, "maxLength"))
		return fail(r, path, "the schema has no maxLength");
	if (f->kind == FIELD_DATE && !json_get(f->schema, "format"))
		return fail(r, path, "the schema of a date needs \"format\": \"date\"");
	if (f->kind == FIELD_ROWS && !json_get(f->schema, "maxItems"))
		return fail(r, path, "the schema has no maxItems");
	return lint_samples(r, path, f);
}

static bool names_contain(const cJSON *names, const char *name)
{
	const cJSON *n;

	cJSON_ArrayForEach (n, names)
		if (cJSON_IsString(n) && streq(n->valuestring, name))
			return true;
	return false;
}

struct field_list {
	struct field_spec *fields;
	size_t n;
};

static int read_fields(const struct reader *r, const char *path, const cJSON *array, const cJSON *schema,
	size_t max, bool nested, struct field_list *ret);

static int read_columns(const struct reader *r, const char *path, const cJSON *j, struct field_spec *f)
{
	struct field_list list = {};
	char sub[96];
	int e;

	str_format(sub, sizeof(sub), "%s.columns", path);
	e = read_fields(r, sub, json_get(j, "columns"), json_get(f->schema, "items"), DOCTYPE_COLUMNS_MAX,
		true, &list);
	f->columns = list.fields;
	f->n_columns = list.n;
	return e;
}

static int read_field(const struct reader *r, const char *path, const cJSON *j, const cJSON *schema,
	bool nested, struct field_spec *f)
{
	static const char *const known[] = {"name", "title", "kind", "labels", "required", "columns"};
	const char *other;
	int e = 0;

	if (!cJSON_IsObject(j))
		return fail(r, path, "must be an object");
	if (!members_known(j, known, ARRAY_SIZE(known), &other))
		return fail(r, path, "unknown member \"%.64s\"", other);
	f->name = json_get_string(j, "name");
	if (!f->name || !name_valid(f->name))
		return fail(r, path,
			"name must be small letters, digits and _ and begin with a letter, 48 at most");
	f->title = json_get_string(j, "title");
	if (!f->title || !f->title[0] || strlen(f->title) > DOCTYPE_TITLE_MAX)
		return fail(r, path, "title must be a text of 1 to %d bytes", DOCTYPE_TITLE_MAX);
	if (kind_parse(json_get_string(j, "kind"), &f->kind) < 0)
		return fail(r, path, "kind must be text, money, date, abn, integer, decimal, enum or rows");
	if (nested && f->kind == FIELD_ROWS)
		return fail(r, path, "a column cannot have kind rows");
	f->schema = json_get(json_get(schema, "properties"), f->name);
	if (!f->schema)
		return fail(r, path, "%s is not in the schema's properties", f->name);
	f->required = names_contain(json_get(schema, "required"), f->name);
	if (json_get(j, "required") && (nested || json_get_bool(j, "required", &f->required) < 0))
		return fail(r, path, "required must be true or false (of a column: the schema says it)");
	if (!f->required && names_contain(json_get(schema, "required"), f->name))
		return fail(r, path, "%s is required by the schema but not here", f->name);
	f->labels = json_get(j, "labels");
	if (f->labels && (e = lint_strings(r, path, f->labels)) < 0)
		return e;
	if ((f->kind == FIELD_ROWS) != (json_get(j, "columns") != NULL))
		return fail(r, path, "columns belong to kind rows, and only there");
	e = lint_kind(r, path, f);
	return e < 0 || f->kind != FIELD_ROWS ? e : read_columns(r, path, j, f);
}

/* Fields and the properties of an object schema name the same things. */
static int lint_object(
	const struct reader *r, const char *path, const cJSON *schema, const struct field_list *list)
{
	const char *type = json_get_string(schema, "type");
	const cJSON *p;

	if (!type || !streq(type, "object") || !cJSON_IsFalse(json_get(schema, "additionalProperties")))
		return fail(r, path, "the schema must have type \"object\" and additionalProperties false");
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < i; k++)
			if (streq(list->fields[i].name, list->fields[k].name))
				return fail(r, path, "there are two fields %s", list->fields[i].name);
	cJSON_ArrayForEach (p, json_get(schema, "properties")) {
		bool found = false;

		for (size_t i = 0; i < list->n; i++)
			found |= streq(list->fields[i].name, p->string);
		if (!found)
			return fail(r, path, "the schema's property \"%.64s\" is no field", p->string);
	}
	cJSON_ArrayForEach (p, json_get(schema, "required"))
		if (!json_get(json_get(schema, "properties"), p->valuestring))
			return fail(r, path, "the schema requires \"%.64s\", which is no property",
				p->valuestring);
	return 0;
}

static int read_fields(const struct reader *r, const char *path, const cJSON *array, const cJSON *schema,
	size_t max, bool nested, struct field_list *ret)
{
	int n = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : 0;
	const cJSON *j;

	if (n < 1 || (size_t)n > max)
		return fail(r, path, "must be an array of 1 to %zu fields", max);
	ret->fields = calloc((size_t)n, sizeof(*ret->fields));
	if (!ret->fields)
		return -ENOMEM;
	cJSON_ArrayForEach (j, array) {
		struct field_spec *f = &ret->fields[ret->n];
		char at[64];
		int e;

		str_format(at, sizeof(at), "%.40s[%zu]", path, ret->n);
		ret->n++; /* before it is whole: its columns are then freed with it */
		e = read_field(r, at, j, schema, nested, f);
		if (e < 0)
			return e;
	}
	return lint_object(r, path, schema, ret);
}

/* ---- the type ------------------------------------------------------------------------------------------ */

static int read_head(const struct reader *r, const cJSON *j)
{
	static const char *const known[] = {
		"name", "title", "version", "prompt", "schema", "fields", "classify", "checks", "ocr",
		"system", "form", "examples", "temperature", "topP", "topK", "image"};
	const char *name = json_get_string(j, "name"), *other;
	struct doctype *t = r->t;

	if (!cJSON_IsObject(j))
		return fail(r, "", "must be a JSON object");
	if (!name || parse_name(name) < 0 || streq(name, "auto"))
		return fail(r, "name", "must be small letters, digits and -, 32 at most, and not \"auto\"");
	t->name = name;
	if (!members_known(j, known, ARRAY_SIZE(known), &other))
		return fail(r, "", "unknown member \"%.64s\"", other);
	t->title = json_get_string(j, "title");
	if (!t->title || !t->title[0] || strlen(t->title) > DOCTYPE_TITLE_MAX)
		return fail(r, "title", "must be a text of 1 to %d bytes", DOCTYPE_TITLE_MAX);
	if (json_get_i64(j, "version", &t->version) < 0 || t->version < 1 || t->version > DOCTYPE_VERSION_MAX)
		return fail(r, "version", "must be an integer from 1 to %d", DOCTYPE_VERSION_MAX);
	t->prompt = json_get_string(j, "prompt");
	if (!t->prompt || !t->prompt[0] || strlen(t->prompt) > DOCTYPE_PROMPT_MAX)
		return fail(r, "prompt", "must be a text of 1 to %d bytes", DOCTYPE_PROMPT_MAX);
	return 0;
}

/* What is done with the page's image before it is sent. */
static int read_image(const struct reader *r, const cJSON *j)
{
	static const char *const known[] = {"flatten", "contrast"};
	const char *other;

	if (!j)
		return 0;
	if (!cJSON_IsObject(j))
		return fail(r, "image", "must be an object");
	if (!members_known(j, known, ARRAY_SIZE(known), &other))
		return fail(r, "image", "unknown member \"%.64s\"", other);
	if ((json_get(j, "flatten") && json_get_bool(j, "flatten", &r->t->image_flatten) < 0) ||
		(json_get(j, "contrast") && json_get_bool(j, "contrast", &r->t->image_contrast) < 0))
		return fail(r, "image", "flatten and contrast must be true or false");
	return 0;
}

static int read_body(const struct reader *r, const cJSON *j)
{
	struct doctype *t = r->t;
	struct field_list list = {};
	char what[256];
	int e;

	t->schema = json_get(j, "schema");
	if (!t->schema)
		return fail(r, "schema", "is missing");
	e = schema_lint(t->schema, what, sizeof(what));
	if (e < 0)
		return e == -ENOMEM ? e : fail(r, "schema", "%s", what);
	e = read_fields(r, "fields", json_get(j, "fields"), t->schema, DOCTYPE_FIELDS_MAX, false, &list);
	t->fields = list.fields;
	t->n_fields = list.n;
	if (e < 0)
		return e;
	t->classify = json_get(j, "classify");
	if (t->classify && (e = lint_strings(r, "classify", t->classify)) < 0)
		return e;
	t->checks = json_get(j, "checks");
	if (checks_lint(t, what, sizeof(what)) < 0)
		return fail(r, "checks", "%s", what);
	t->ocr = json_get(j, "ocr");
	if (t->ocr && !cJSON_IsObject(t->ocr))
		return fail(r, "ocr", "must be an object");
	e = doctype_read_ask(t, what, sizeof(what));
	if (e < 0)
		return e == -EBADMSG ? fail(r, "", "%s", what) : e;
	return read_image(r, json_get(j, "image"));
}

int doctype_from_json_take(cJSON *json, struct doctype **ret, char *why, size_t why_size)
{
	struct doctype *t = calloc(1, sizeof(*t));
	struct reader r = {.t = t, .why = why, .why_size = why_size};
	int e;

	if (!t) {
		cJSON_Delete(json);
		return -ENOMEM;
	}
	t->json = json;
	e = read_head(&r, json);
	if (e == 0)
		e = read_body(&r, json);
	if (e < 0) {
		doctype_free(t);
		return e;
	}
	*ret = t;
	return 0;
}

int doctype_parse(const char *text, size_t len, struct doctype **ret, char *why, size_t why_size)
{
	struct reader r = {.why = why, .why_size = why_size};
	cJSON *json;
	size_t at = 0;
	int e;

	if (len > DOCTYPE_TEXT_MAX)
		return fail(&r, "", "larger than %d bytes", DOCTYPE_TEXT_MAX);
	e = json_parse(text, len, &json, &at);
	if (e == -EBADMSG)
		return fail(&r, "", "not well-formed JSON at byte %zu", at);
	return e < 0 ? e : doctype_from_json_take(json, ret, why, why_size);
}

void doctype_free(struct doctype *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_fields; i++)
		free(t->fields[i].columns);
	free(t->fields);
	cJSON_Delete(t->json);
	free(t);
}

const struct field_spec *doctype_field(const struct doctype *t, const char *name)
{
	for (size_t i = 0; i < t->n_fields; i++)
		if (streq(t->fields[i].name, name))
			return &t->fields[i];
	return NULL;
}
