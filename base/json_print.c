/*
 * Printing. cJSON's own printer takes 15 digits for enough (2^53 - 1 comes out as 9.00719925474099e+15, the
 * largest double as one that cannot be read) and copies bytes that are not UTF-8; here numbers come back as
 * they were, and what is printed is JSON whatever is in the strings.
 */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: integers up to it are written as digits */

static int print_value(struct buf *out, const cJSON *j, bool pretty, unsigned int level);

static int print_number(struct buf *out, double v)
{
	char text[40];

	if (!isfinite(v))
		return buf_adds(out, "null");
	if (v == floor(v) && fabs(v) <= EXACT_MAX)
		return buf_addf(out, "%.0f", v);
	for (int digits = 15; digits <= 17; digits++) { /* 17 always come back */
		str_format(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return buf_adds(out, text);
}

static int print_break(struct buf *out, unsigned int level)
{
	int r = buf_addc(out, '\n');

	while (level-- > 0 && r == 0)
		r = buf_addc(out, '\t');
	return r;
}

/* Short arrays of plain values stay in their line. */
static bool in_one_line(const cJSON *j)
{
	unsigned int n = 0;

	if (!cJSON_IsArray(j))
		return !j->child;
	for (const cJSON *c = j->child; c; c = c->next)
		if (c->child || n++ > 16)
			return false;
	return true;
}

static int print_list(struct buf *out, const cJSON *j, bool pretty, unsigned int level)
{
	bool object = cJSON_IsObject(j), broken = pretty && !in_one_line(j);
	int r = buf_addc(out, object ? '{' : '[');

	for (const cJSON *c = j->child; c && r == 0; c = c->next) {
		if (c != j->child)
			r = buf_adds(out, pretty && !broken ? ", " : ",");
		if (r == 0 && broken)
			r = print_break(out, level + 1);
		if (r == 0 && object)
			r = json_quote(out, c->string ? c->string : "", c->string ? strlen(c->string) : 0);
		if (r == 0 && object)
			r = buf_adds(out, pretty ? ": " : ":");
		if (r == 0)
			r = print_value(out, c, pretty, level + 1);
	}
	if (r == 0 && broken)
		r = print_break(out, level);
	return r < 0 ? r : buf_addc(out, object ? '}' : ']');
}

static int print_value(struct buf *out, const cJSON *j, bool pretty, unsigned int level)
{
	switch (j->type & 0xff) {
	case cJSON_True:
		return buf_adds(out, "true");
	case cJSON_False:
		return buf_adds(out, "false");
	case cJSON_Number:
		return print_number(out, j->valuedouble);
	case cJSON_String:
		return json_quote(out, j->valuestring, strlen(j->valuestring));
	case cJSON_Raw:
		return buf_adds(out, j->valuestring);
	case cJSON_Array:
	case cJSON_Object:
		return print_list(out, j, pretty, level);
	default:
		return buf_adds(out, "null");
	}
}

int json_print(const cJSON *j, bool pretty, struct buf *out)
{
	size_t before = out->len;
	int r = j ? print_value(out, j, pretty, 0) : -ENOMEM;

	if (r < 0) {
		out->len = before;
		buf_terminate(out);
	}
	return r;
}

/* What stands for the n bytes at s (n is 0 for a byte that is not UTF-8) inside a string. */
static int quote_one(struct buf *out, const char *s, size_t n)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *p;

	if (n == 0)
		return buf_adds(out, "\xef\xbf\xbd");
	if (*s && (p = strchr(plain, *s)))
		return buf_addf(out, "\\%c", letters[p - plain]);
	return buf_addf(out, "\\u%04x", (unsigned int)*s);
}

int json_quote(struct buf *out, const char *s, size_t len)
{
	size_t before = out->len, run = 0; /* bytes at s that go out as they are */
	int r = buf_addc(out, '"');

	while (run < len && r == 0) {
		size_t n = utf8_sequence(s + run, len - run, NULL);

		if (n > 1 || (n == 1 && (uint8_t)s[run] >= 0x20 && s[run] != '"' && s[run] != '\\')) {
			run += n;
			continue;
		}
		r = buf_add(out, s, run);
		if (r == 0)
			r = quote_one(out, s + run, n);
		s += run + 1;
		len -= run + 1;
		run = 0;
	}
	if (r == 0)
		r = buf_add(out, s, run);
	if (r == 0)
		r = buf_addc(out, '"');
	if (r < 0) {
		out->len = before;
		buf_terminate(out);
	}
	return r;
}
