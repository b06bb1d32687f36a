#include "ctl/fields.h"

#include "base/text.h"
#include "ctl/table.h"

#define VALUE_COLUMNS  60 /* a longer value is cut; --json has all of it */
#define ROW_COLUMNS    32
#define ROWS_SHOWN_MAX 200

/* Words alone in ASCII. */
static const char *proof_text(const struct look *l, const char *proof)
{
	if (streq(proof, "verified"))
		return l->ascii ? "verified" : "✓ verified";
	if (streq(proof, "supported"))
		return l->ascii ? "supported" : "· supported";
	return l->ascii ? "unproven" : "? unproven";
}

static enum style proof_style(const char *proof)
{
	return streq(proof, "verified") ? STYLE_GOOD : streq(proof, "supported") ? STYLE_PLAIN : STYLE_WARN;
}

static bool is_rows(const cJSON *value)
{
	return cJSON_IsArray(value) && cJSON_IsObject(cJSON_GetArrayItem(value, 0));
}

/* A value in one line: strings bare, everything else as JSON. */
static int value_text(const cJSON *value, struct buf *out)
{
	if (!value || cJSON_IsNull(value))
		return 0;
	if (cJSON_IsString(value))
		return buf_adds(out, value->valuestring);
	if (is_rows(value))
		return buf_addf(out, "%d row%s", cJSON_GetArraySize(value),
			cJSON_GetArraySize(value) == 1 ? "" : "s");
	return json_print(value, false, out);
}

/* ---- rows of a field ----------------------------------------------------------------------------------- */

/* The columns are the members of the rows. One that the rows before did not have comes right behind the
 * member before it, so that "debit" is not last because the first row had none. */
static size_t row_columns(const cJSON *rows, const char **titles)
{
	const cJSON *row, *j;
	size_t n = 0;

	cJSON_ArrayForEach (row, rows) {
		size_t behind = 0; /* the member before it, counted from 1 */

		for (j = cJSON_IsObject(row) ? row->child : NULL; j; j = j->next) {
			size_t at = 0;

			while (at < n && !streq(titles[at], j->string))
				at++;
			if (at == n && n == TABLE_COLUMNS_MAX)
				continue;
			if (at == n) {
				at = behind;
				memmove(titles + at + 1, titles + at, (n++ - at) * sizeof(*titles));
				titles[at] = j->string;
			}
			behind = at + 1;
		}
	}
	return n;
}

/* Numbers in a column of rows stand to the right. */
static bool is_number(const cJSON *value)
{
	return cJSON_IsNumber(value) ||
	       (cJSON_IsString(value) && *value->valuestring &&
		       strspn(value->valuestring, "0123456789.-") == strlen(value->valuestring) &&
		       strchr(value->valuestring, '.'));
}

static bool numbers_only(const cJSON *rows, const char *name)
{
	const cJSON *row;
	bool any = false;

	cJSON_ArrayForEach (row, rows) {
		const cJSON *value = json_get(row, name);

		if (!value || cJSON_IsNull(value))
			continue;
		if (!is_number(value))
			return false;
		any = true;
	}
	return any;
}

static int add_row(struct table *t, const cJSON *row, const char *const *titles, size_t n)
{
	int r = table_row(t);

	for (size_t i = 0; i < n && r >= 0; i++) {
		_cleanup_buf_ struct buf text = {};

		r = value_text(json_get(row, titles[i]), &text);
		if (r >= 0)
			r = table_cell(t, STYLE_PLAIN, buf_str(&text));
	}
	return r;
}

static int rows_print(const cJSON *rows, const struct look *l, size_t indent, struct buf *out)
{
	const char *names[TABLE_COLUMNS_MAX];
	char shown[TABLE_COLUMNS_MAX][40];
	const char *titles[TABLE_COLUMNS_MAX + 1] = {};
	_cleanup_table_ struct table *t = NULL;
	size_t n = row_columns(rows, names);
	const cJSON *row;
	int r;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const char *name = names[i] + (names[i][0] == '>');

		shown[i][0] = '>';
		text_safe_copy(shown[i] + 1, sizeof(shown[i]) - 1, name);
		titles[i] = shown[i] + !numbers_only(rows, names[i]);
	}
	r = table_new(titles, &t);
	cJSON_ArrayForEach (row, rows) {
		if (r >= 0 && table_rows(t) < ROWS_SHOWN_MAX)
			r = add_row(t, row, names, n);
	}
	if (r >= 0)
		r = table_print(t, l, true, indent, ROW_COLUMNS, out);
	if (r >= 0 && cJSON_GetArraySize(rows) > ROWS_SHOWN_MAX)
		r = buf_addf(
			out, "%*s(%d more)\n", (int)indent, "", cJSON_GetArraySize(rows) - ROWS_SHOWN_MAX);
	return r;
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static int add_field(struct table *t, const struct look *l, const char *name, const cJSON *field)
{
	const char *proof = json_get_string(field, "proof"), *check = json_get_string(field, "check");
	const char *problem = json_get_string(field, "problem");
	const cJSON *value = json_get(field, "value");
	bool absent = !value || cJSON_IsNull(value);
	_cleanup_buf_ struct buf text = {}, note = {};
	int r;

	r = value_text(value, &text);
	if (r >= 0)
		r = buf_adds(&note, problem ? problem : check ? check : "");
	if (r >= 0)
		r = table_row(t);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, name);
	if (r >= 0)
		r = table_cell(t, absent ? STYLE_DIM : STYLE_BOLD, absent ? "-" : buf_str(&text));
	if (r >= 0)
		r = table_cell(
			t, proof_style(proof ? proof : ""), absent ? "" : proof_text(l, proof ? proof : ""));
	return r < 0 ? r : table_cell(t, problem ? STYLE_WARN : STYLE_DIM, buf_str(&note));
}

static const char *field_name(const cJSON *field)
{
	const char *name = field->string ? field->string : json_get_string(field, "name");

	return name ? name : "?";
}

int fields_print(const cJSON *result, const struct look *l, size_t indent, struct buf *out)
{
	static const char *const titles[] = {"field", "value", "proof", "note", NULL};
	const cJSON *fields = json_get(result, "fields"), *field;
	_cleanup_table_ struct table *t = NULL;
	int r = table_new(titles, &t);

	cJSON_ArrayForEach (field, fields)
		if (r >= 0)
			r = add_field(t, l, field_name(field), field);
	if (r >= 0)
		r = table_print(t, l, false, indent, VALUE_COLUMNS, out);
	cJSON_ArrayForEach (field, fields) {
		const cJSON *value = json_get(field, "value");

		if (r < 0 || !is_rows(value))
			continue;
		r = buf_addf(out, "%*s", (int)indent, "");
		if (r >= 0)
			r = format_text(out, l, field_name(field), 60);
		if (r >= 0)
			r = buf_adds(out, ":\n");
		if (r >= 0)
			r = rows_print(value, l, indent + 2, out);
	}
	return r;
}
