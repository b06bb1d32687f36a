#include "extract/schema.h"

#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "extract/values.h"

/* A schema nests at most so deep (an answer is an object of arrays of objects: 4); validation recurses no
 * deeper. */
#define SCHEMA_MAX_DEPTH   16
#define SCHEMA_MAX_PATTERN 256
#define SCHEMA_MAX_ENUM    256
#define SCHEMA_MAX_COUNT   1000000
/* Repetitions multiply in the compiled automaton: their product is capped, so that a pattern cannot eat the
 * memory. What may be skipped is capped with them: glibc's regcomp() takes time in the third power of it. */
#define SCHEMA_MAX_REPEATS 1024
#define SCHEMA_MAX_SKIPS   512
/* No pattern is run over longer texts. */
#define SCHEMA_MAX_MATCH 4096
#define PATH_SIZE        192

/* ---- lint ---------------------------------------------------------------------------------------------- */

struct lint {
	char *why;
	size_t why_size;
	char path[PATH_SIZE];
};

static int lint_fail(struct lint *l, const char *fmt, ...) _printf_(2, 3);
static int lint_fail(struct lint *l, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = 0;
	va_end(ap);
	if (l->why_size > 0 &&
		snprintf(l->why, l->why_size, "%s: %s", l->path[0] ? l->path : "schema", what) < 0)
		l->why[0] = 0;
	return -EINVAL;
}

/* Appends to a path; one that does not fit ends in "...". Returns the length before: path[that] = 0 takes it back. */
static size_t path_push(char *path, const char *fmt, ...) _printf_(2, 3);
static size_t path_push(char *path, const char *fmt, ...)
{
	char raw[256], safe[PATH_SIZE];
	size_t len = strlen(path);
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		raw[0] = 0;
	va_end(ap);
	text_safe_copy(safe, sizeof(safe), raw);
	if (len + strlen(safe) + 4 < PATH_SIZE)
		str_copy(path + len, PATH_SIZE - len, safe);
	else if (len + 4 < PATH_SIZE)
		str_copy(path + len, PATH_SIZE - len, "...");
	return len;
}

static int lint_one(struct lint *l, const cJSON *schema, unsigned int depth);

static int lint_type(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	static const char *const types[] = {
		"string", "number", "integer", "boolean", "object", "array", "null"};

	if (cJSON_IsString(k))
		for (size_t i = 0; i < ARRAY_SIZE(types); i++)
			if (streq(types[i], k->valuestring))
				return 0;
	return lint_fail(l, "type must be one of string, number, integer, boolean, object, array, null");
}

static int lint_properties(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	const cJSON *p;

	if (!cJSON_IsObject(k))
		return lint_fail(l, "properties must be an object");
	cJSON_ArrayForEach (p, k) {
		size_t at = path_push(l->path, "%s%.64s", l->path[0] ? "." : "", p->string);
		int e = lint_one(l, p, depth + 1);

		if (e < 0)
			return e;
		l->path[at] = 0;
	}
	return 0;
}

static int lint_items(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	size_t at = path_push(l->path, "[]");
	int e = lint_one(l, k, depth + 1);

	if (e == 0)
		l->path[at] = 0;
	return e;
}

static int lint_required(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	const cJSON *r, *other;

	if (!cJSON_IsArray(k))
		return lint_fail(l, "required must be an array of names");
	cJSON_ArrayForEach (r, k) {
		if (!cJSON_IsString(r))
			return lint_fail(l, "required must be an array of names");
		for (other = k->child; other != r; other = other->next)
			if (streq(other->valuestring, r->valuestring))
				return lint_fail(l, "required names \"%.64s\" twice", r->valuestring);
	}
	return 0;
}

static int lint_bool(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	return cJSON_IsBool(k) ? 0 : lint_fail(l, "%s must be true or false", k->string);
}

static bool is_scalar(const cJSON *j)
{
	return cJSON_IsString(j) || cJSON_IsNumber(j) || cJSON_IsBool(j) || cJSON_IsNull(j);
}

static int lint_enum(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	const cJSON *v;
	size_t n = 0;

	if (!cJSON_IsArray(k) || !k->child)
		return lint_fail(l, "enum must be an array of values");
	cJSON_ArrayForEach (v, k) {
		if (!is_scalar(v))
			return lint_fail(l, "enum may hold texts, numbers, true, false and null");
		if (++n > SCHEMA_MAX_ENUM)
			return lint_fail(l, "enum has more than %d values", SCHEMA_MAX_ENUM);
	}
	return 0;
}

static int lint_const(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	return is_scalar(k) ? 0 : lint_fail(l, "const must be a text, a number, true, false or null");
}

static int lint_count(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	int64_t n;

	if (json_get_i64(schema, k->string, &n) < 0 || n < 0 || n > SCHEMA_MAX_COUNT)
		return lint_fail(l, "%s must be an integer from 0 to %d", k->string, SCHEMA_MAX_COUNT);
	return 0;
}

/* How often {n,m} at *p, just after its bracket, repeats; 0 if it is not one. Leaves *p at the closing
 * bracket. */
static uint64_t bound_repeats(const char **p)
{
	uint64_t n = 0, most = 1;
	bool open = false;

	for (; **p && **p != '}'; (*p)++) {
		open = **p == ',';
		if (open)
			n = 0;
		else if (**p >= '0' && **p <= '9')
			n = MIN(n * 10 + (uint64_t)(**p - '0'), 100000u);
		else
			return 0;
		most = MAX(most, n);
	}
	return **p ? most + open : 0;
}

/*
 * How many copies of its parts regcomp() makes of a pattern at most, as if every repetition were inside every
 * other: a{n,m} is m copies, a+ is aa*. 0 if a { } is not understood. ret_skips: how many of its parts can
 * match nothing or are one of several, in all copies.
 */
static uint64_t pattern_repeats(const char *p, uint64_t *ret_skips)
{
	uint64_t product = 1, skips = 0;

	for (; *p && product > 0 && product <= SCHEMA_MAX_REPEATS; p++) {
		if (*p == '\\' && p[1]) {
			p++;
		} else if (strchr("?*|(", *p)) {
			skips++;
		} else if (*p == '+') {
			product *= 2;
		} else if (*p == '{') {
			p++;
			product *= bound_repeats(&p);
			if (!*p)
				break;
		}
	}
	*ret_skips = skips * product;
	return product;
}

/* What means one thing here (POSIX) and another where the schema also goes (ECMA-262 and models' grammars) is
 * refused. */
static const char *pattern_trouble(const char *p)
{
	uint64_t skips, repeats = pattern_repeats(p, &skips);

	if (strlen(p) > SCHEMA_MAX_PATTERN)
		return "is too long";
	if (repeats == 0)
		return "has a { } that is not a repetition";
	if (repeats > SCHEMA_MAX_REPEATS)
		return "repeats too much";
	if (skips > SCHEMA_MAX_SKIPS)
		return "repeats too much that may be left out";
	if (strstr(p, "(?") || strstr(p, "[:") || strstr(p, "[.") || strstr(p, "[="))
		return "uses (? or [: which are not allowed";
	for (; *p; p++) {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			return "holds a character outside ASCII";
		if (*p != '\\')
			continue;
		p++;
		if (!*p || !strchr("\\.[](){}*+?|^$/-", *p))
			return "uses a backslash other than before \\.[](){}*+?|^$/-";
	}
	return NULL;
}

static int lint_pattern(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	const char *trouble;
	regex_t re;
	int r;

	if (!cJSON_IsString(k))
		return lint_fail(l, "pattern must be a text");
	trouble = pattern_trouble(k->valuestring);
	if (trouble)
		return lint_fail(l, "pattern %s", trouble);
	r = regcomp(&re, k->valuestring, REG_EXTENDED | REG_NOSUB);
	if (r == REG_ESPACE)
		return -ENOMEM;
	if (r != 0)
		return lint_fail(l, "pattern is not an extended regular expression");
	regfree(&re);
	return 0;
}

static int lint_format(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	if (!cJSON_IsString(k) || !streq(k->valuestring, "date"))
		return lint_fail(l, "format must be \"date\"");
	return 0;
}

static int lint_note(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	return cJSON_IsString(k) ? 0 : lint_fail(l, "%s must be a text", k->string);
}

static const struct {
	const char *name;
	int (*lint)(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth);
} keywords[] = {
	{"type", lint_type},
	{"properties", lint_properties},
	{"required", lint_required},
	{"additionalProperties", lint_bool},
	{"items", lint_items},
	{"enum", lint_enum},
	{"const", lint_const},
	{"minLength", lint_count},
	{"maxLength", lint_count},
	{"maxItems", lint_count},
	{"pattern", lint_pattern},
	{"format", lint_format},
	{"description", lint_note},
	{"title", lint_note},
};

static int lint_keyword(struct lint *l, const cJSON *schema, const cJSON *k, unsigned int depth)
{
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (streq(keywords[i].name, k->string))
			return keywords[i].lint(l, schema, k, depth);
	return lint_fail(l, "keyword \"%.64s\" is not supported", k->string);
}

static int lint_one(struct lint *l, const cJSON *schema, unsigned int depth)
{
	const cJSON *k;

	if (!cJSON_IsObject(schema))
		return lint_fail(l, "a schema must be an object");
	if (depth > SCHEMA_MAX_DEPTH)
		return lint_fail(l, "nested deeper than %d", SCHEMA_MAX_DEPTH);
	cJSON_ArrayForEach (k, schema) {
		int e = lint_keyword(l, schema, k, depth);

		if (e < 0)
			return e;
	}
	return 0;
}

int schema_lint(const cJSON *schema, char *why, size_t why_size)
{
	struct lint l = {.why = why, .why_size = why_size};

	return lint_one(&l, schema, 0);
}

/* ---- validation ---------------------------------------------------------------------------------------- */

struct validation {
	schema_violation_fn fn;
	void *ud;
	int found;
	bool stop;
	char path[PATH_SIZE];
};

static void violation(struct validation *v, const char *fmt, ...) _printf_(2, 3);
static void violation(struct validation *v, const char *fmt, ...)
{
	char raw[512], what[256];
	va_list ap;

	if (v->stop)
		return;
	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		raw[0] = 0;
	va_end(ap);
	text_safe_copy(what, sizeof(what), raw);
	v->found++;
	if (v->fn && v->fn(v->ud, v->path, what) != 0)
		v->stop = true;
}

/* 3.0 is an integer too; from 2^53 on every double is. (No libm for this.) */
static bool is_integer(const cJSON *j)
{
	double d = cJSON_IsNumber(j) ? j->valuedouble : 0.5;

	if (!isfinite(d))
		return false;
	return d >= 9007199254740992.0 || d <= -9007199254740992.0 || (double)(int64_t)d == d;
}

static bool type_matches(const char *type, const cJSON *j)
{
	switch (type[0]) {
	case 's':
		return cJSON_IsString(j);
	case 'i':
		return is_integer(j);
	case 'b':
		return cJSON_IsBool(j);
	case 'o':
		return cJSON_IsObject(j);
	case 'a':
		return cJSON_IsArray(j);
	default:
		return streq(type, "null") ? cJSON_IsNull(j) : cJSON_IsNumber(j);
	}
}

static size_t code_points(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static int check_pattern(struct validation *v, const char *pattern, const char *s)
{
	regex_t re;
	int r;

	if (strlen(s) > SCHEMA_MAX_MATCH) {
		violation(v, "is too long to be matched");
		return 0;
	}
	r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
	if (r != 0)
		return r == REG_ESPACE ? -ENOMEM : -EINVAL;
	r = text_matches(&re, s);
	regfree(&re);
	if (r < 0)
		return r;
	if (r == 0)
		violation(v, "does not match the pattern %s", pattern);
	return 0;
}

static int check_string(struct validation *v, const cJSON *schema, const char *s)
{
	const char *pattern = json_get_string(schema, "pattern");
	size_t len = code_points(s);
	int64_t n;

	if (json_get_i64(schema, "minLength", &n) == 0 && len < (uint64_t)n)
		violation(v, "has %zu characters, fewer than %lld", len, (long long)n);
	if (json_get_i64(schema, "maxLength", &n) == 0 && len > (uint64_t)n)
		violation(v, "has %zu characters, more than %lld", len, (long long)n);
	if (json_get(schema, "format") && !date_is_iso(s))
		violation(v, "is not a date (YYYY-MM-DD)");
	return pattern ? check_pattern(v, pattern, s) : 0;
}

static void check_choice(struct validation *v, const cJSON *schema, const cJSON *value)
{
	const cJSON *choices = json_get(schema, "enum"), *constant = json_get(schema, "const"), *c;
	bool found = false;

	cJSON_ArrayForEach (c, choices)
		found |= cJSON_Compare(c, value, true);
	if (choices && !found)
		violation(v, "is not one of the allowed values");
	if (constant && !cJSON_Compare(constant, value, true))
		violation(v, "is not the only allowed value");
}

static int validate_one(struct validation *v, const cJSON *schema, const cJSON *value, unsigned int depth);

static int check_object(struct validation *v, const cJSON *schema, const cJSON *value, unsigned int depth)
{
	const cJSON *properties = json_get(schema, "properties"), *member, *r;
	bool closed = cJSON_IsFalse(json_get(schema, "additionalProperties"));

	cJSON_ArrayForEach (r, json_get(schema, "required"))
		if (!json_get(value, r->valuestring))
			violation(v, "has no %s", r->valuestring);
	cJSON_ArrayForEach (member, value) {
		const cJSON *s = json_get(properties, member->string);
		size_t at;
		int e = 0;

		if (v->stop)
			break;
		if (!s && closed)
			violation(v, "may not have a member %s", member->string);
		if (!s)
			continue;
		at = path_push(v->path, "%s%.64s", v->path[0] ? "." : "", member->string);
		e = validate_one(v, s, member, depth + 1);
		v->path[at] = 0;
		if (e < 0)
			return e;
	}
	return 0;
}

static int check_array(struct validation *v, const cJSON *schema, const cJSON *value, unsigned int depth)
{
	const cJSON *items = json_get(schema, "items"), *item;
	int64_t i = 0, n;

	cJSON_ArrayForEach (item, value) {
		size_t at;
		int e;

		if (!v->stop && items) {
			at = path_push(v->path, "[%lld]", (long long)i);
			e = validate_one(v, items, item, depth + 1);
			v->path[at] = 0;
			if (e < 0)
				return e;
		}
		i++;
	}
	if (json_get_i64(schema, "maxItems", &n) == 0 && i > n)
		violation(v, "has %lld items, more than %lld", (long long)i, (long long)n);
	return 0;
}

static int validate_one(struct validation *v, const cJSON *schema, const cJSON *value, unsigned int depth)
{
	const char *type = json_get_string(schema, "type");

	if (depth > SCHEMA_MAX_DEPTH)
		return -EINVAL;
	if (v->stop)
		return 0;
	if (type && !type_matches(type, value)) {
		violation(v, "is not of type %s", type);
		return 0;
	}
	check_choice(v, schema, value);
	if (cJSON_IsString(value))
		return check_string(v, schema, value->valuestring);
	if (cJSON_IsObject(value))
		return check_object(v, schema, value, depth);
	if (cJSON_IsArray(value))
		return check_array(v, schema, value, depth);
	return 0;
}

int schema_validate(const cJSON *schema, const cJSON *value, schema_violation_fn fn, void *ud)
{
	struct validation v = {.fn = fn, .ud = ud};
	int e = validate_one(&v, schema, value, 0);

	return e < 0 ? e : v.found;
}
