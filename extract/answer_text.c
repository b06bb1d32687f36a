/* Finding what was said in a raw answer: JSON anywhere in it, else lines of "KEY: value". */
#include <ctype.h>
#include <stdio.h>

#include "base/text.h"
#include "extract/answer_internal.h"
#include "extract/values.h"

/* Places at which JSON is tried: enough for prose with braces in it, few enough for hostile text. */
#define JSON_TRIES_MAX 64
#define LINE_ROWS_MAX  1000

/* ---- JSON inside text ---------------------------------------------------------------------------------- */

static size_t members_known(const struct doctype *t, const cJSON *obj)
{
	const cJSON *m;
	size_t n = 0;

	cJSON_ArrayForEach (m, obj)
		n += field_match(t->fields, t->n_fields, m->string, strlen(m->string)) >= 0;
	return n;
}

/* The object that names most fields; of equals the last (models correct themselves). *ret is NULL without one. 0 or -ENOMEM. */
static int find_object(const struct doctype *t, const char *text, size_t len, cJSON **ret)
{
	_cleanup_json_ cJSON *best = NULL;
	size_t best_known = 0, at = 0;

	for (unsigned int tries = 0; tries < JSON_TRIES_MAX && at < len; tries++) {
		const char *brace = memchr(text + at, '{', len - at);
		cJSON *json = NULL;
		size_t used, known;
		int r;

		if (!brace)
			break;
		at = (size_t)(brace - text);
		r = json_parse_prefix(brace, len - at, &json, &used);
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			at++;
			continue;
		}
		at += used;
		known = members_known(t, json);
		if (names_any_field(t, json) && (!best || known >= best_known)) {
			cJSON_Delete(best);
			best = take_ptr(json);
			best_known = known;
		}
		cJSON_Delete(json);
	}
	*ret = take_ptr(best);
	return 0;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

struct line {
	size_t indent;
	bool bullet;     /* begins a row in a list */
	bool quoted_key; /* of JSON that is not well-formed */
	bool last;       /* no line end after it: may be cut off */
	const char *key;
	size_t key_len; /* 0: no key */
	const char *value;
	size_t value_len;
};

static void trim(const char **s, size_t *len, const char *front, const char *back)
{
	while (*len > 0 && strchr(front, **s) && **s) {
		(*s)++;
		(*len)--;
	}
	while (*len > 0 && (*s)[*len - 1] && strchr(back, (*s)[*len - 1]))
		(*len)--;
}

/* Leading blanks, list and heading signs, markup and opening brackets. */
static void skip_lead(const char **p, const char *end, struct line *l)
{
	const char *s = *p;

	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	l->indent = (size_t)(s - *p);
	for (; s < end; s++) {
		if ((*s == '-' || *s == '*' || *s == '+') && s + 1 < end && s[1] == ' ')
			l->bullet = true;
		else if (*s == '{')
			l->bullet = true;
		else if (*s == '"')
			l->quoted_key = true;
		else if (end - s >= 3 && memcmp(s, "\xe2\x80\xa2", 3) == 0) { /* U+2022, bullet */
			l->bullet = true;
			s += 2;
		} else if (!strchr(" \t*#>|`_", *s)) {
			break;
		}
	}
	*p = s;
}

static void parse_line(const char *p, size_t len, bool last, struct line *ret)
{
	const char *end = p + len, *sep;
	bool table;

	*ret = (struct line){.last = last};
	skip_lead(&p, end, ret);
	table = memchr(end - len, '|', (size_t)(p - (end - len)));
	for (sep = p; sep < end && *sep != ':' && *sep != '=' && !(table && *sep == '|'); sep++)
		;
	if (sep == end)
		return;
	ret->key = p;
	ret->key_len = (size_t)(sep - p);
	ret->value = sep + 1;
	ret->value_len = (size_t)(end - sep - 1);
	trim(&ret->value, &ret->value_len, " \t*`", " \t\r*`|");
	if (ret->value_len > 0 && ret->value[ret->value_len - 1] == ',')
		trim(&ret->value, &ret->value_len, "", ", \t");
}

/* The value as JSON: a whole quoted text, an array or object, or the bare text. *ret is NULL for nothing, or what is cut off.
 * 0 or -ENOMEM. */
static int line_value(const struct line *l, cJSON **ret)
{
	_cleanup_json_ cJSON *json = NULL;
	_cleanup_free_ char *text = NULL;

	*ret = NULL;
	if (l->value_len == 0 || (l->quoted_key && l->last))
		return 0;
	if (strchr("\"[{", l->value[0])) {
		size_t used;
		int r = json_parse_prefix(l->value, l->value_len, &json, &used);

		if (r < 0)
			return r == -ENOMEM ? r : 0;
		/* the last member of an object on one line has the object's bracket behind it */
		while (used < l->value_len && strchr("} \t", l->value[used]))
			used++;
		if (used == l->value_len)
			*ret = take_ptr(json);
		return 0;
	}
	text = strndup(l->value, l->value_len);
	*ret = text ? cJSON_CreateString(text) : NULL;
	return *ret ? 0 : -ENOMEM;
}

struct lines {
	struct answer *a;
	int found;
	int rows;      /* the rows field whose rows follow, or -1 */
	size_t indent; /* of the line that named it */
	cJSON *array;  /* owned: the rows so far */
	size_t n_rows;
};

static int end_rows(struct lines *s)
{
	_cleanup_json_ cJSON *array = take_ptr(s->array);
	int field = s->rows;

	s->rows = -1;
	if (field < 0 || !array || !array->child)
		return 0;
	s->found = 1;
	return answer_take_value(s->a, (size_t)field, array);
}

static int begin_rows(struct lines *s, int field, const struct line *l)
{
	int e = end_rows(s);

	s->rows = field;
	s->indent = l->indent;
	s->n_rows = 0;
	s->array = cJSON_CreateArray();
	return e < 0 ? e : s->array ? 0 : -ENOMEM;
}

/* A line within rows: a bullet or bracket begins a row, "column: value" is a cell. 1: used, 0: not a row's
 * line. */
static int take_row_line(struct lines *s, const struct line *l)
{
	const struct field_spec *spec = &s->a->type->fields[s->rows];
	_cleanup_json_ cJSON *value = NULL;
	cJSON *row;
	int c = -1, r;

	if (l->indent <= s->indent && !l->bullet)
		return 0;
	if (l->bullet && s->n_rows < LINE_ROWS_MAX) {
		row = cJSON_CreateObject();
		if (!row)
			return -ENOMEM;
		cJSON_AddItemToArray(s->array, row);
		s->n_rows++;
	}
	if (l->key_len > 0)
		c = field_match(spec->columns, spec->n_columns, l->key, l->key_len);
	row = s->array->child ? s->array->child->prev : NULL; /* cJSON: the first's prev is the last */
	if (c < 0 || !row || json_get(row, spec->columns[c].name))
		return 1;
	r = line_value(l, &value);
	if (r < 0 || !value)
		return r < 0 ? r : 1;
	return json_add_take(row, spec->columns[c].name, take_ptr(value)) < 0 ? -ENOMEM : 1;
}

static int take_field_line(struct lines *s, const struct line *l)
{
	_cleanup_json_ cJSON *value = NULL;
	int i = field_match(s->a->type->fields, s->a->type->n_fields, l->key, l->key_len), r;

	if (i < 0)
		return 0;
	r = line_value(l, &value);
	if (r < 0)
		return r;
	if (s->a->type->fields[i].kind == FIELD_ROWS && !cJSON_IsArray(value))
		return begin_rows(s, i, l);
	if (!value || (cJSON_IsString(value) && !*value->valuestring))
		return 0;
	s->found = 1;
	return answer_take_value(s->a, (size_t)i, value);
}

static int take_line(struct lines *s, const struct line *l)
{
	int e;

	if (s->rows >= 0) {
		e = take_row_line(s, l);
		if (e != 0)
			return e < 0 ? e : 0;
		if (l->key_len == 0)
			return 0;
		e = end_rows(s);
		if (e < 0)
			return e;
	}
	return l->key_len > 0 ? take_field_line(s, l) : 0;
}

/* "KEY: value" lines: 1 if a key names a field, 0 if none does, or -ENOMEM. */
static int take_lines(struct answer *a, const char *text, size_t len)
{
	struct lines s = {.a = a, .rows = -1};
	int e = 0;

	for (size_t at = 0; at < len && e == 0;) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - text) - at : len - at;
		struct line l;

		parse_line(text + at, n, !nl, &l);
		e = take_line(&s, &l);
		at += n + 1;
	}
	if (e == 0)
		e = end_rows(&s);
	cJSON_Delete(s.array);
	return e < 0 ? e : s.found;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Invalid bytes become U+FFFD and NULs blanks, so that the rest of a damaged answer is still read. */
static int clean_text(const char *raw, size_t len, struct buf *out)
{
	int e = 0;

	if (len >= 3 && memcmp(raw, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
		raw += 3;
		len -= 3;
	}
	for (size_t i = 0; i < len && e == 0;) {
		uint32_t c;
		size_t n = utf8_sequence(raw + i, len - i, &c);

		if (n == 0)
			e = buf_adds(out, "\xef\xbf\xbd");
		else if (c == 0)
			e = buf_addc(out, ' ');
		else
			e = buf_add(out, raw + i, n);
		i += n ? n : 1;
	}
	return e;
}

int answer_parse(const struct doctype *t, const char *raw, size_t len, struct answer **ret)
{
	_cleanup_buf_ struct buf text = BUF_MAX(3 * ANSWER_TEXT_MAX + 1);
	_cleanup_json_ cJSON *json = NULL;
	struct answer *a;
	int e;

	if (len > ANSWER_TEXT_MAX)
		return -ENODATA;
	e = clean_text(raw, len, &text);
	if (e < 0)
		return e;
	e = find_object(t, buf_str(&text), text.len, &json);
	if (e < 0)
		return e;
	e = answer_new(t, &a);
	if (e < 0)
		return e;
	e = json ? answer_take_object(a, json) : take_lines(a, buf_str(&text), text.len);
	if (e <= 0) {
		answer_free(a);
		return e < 0 ? e : -ENODATA;
	}
	*ret = a;
	return 0;
}
