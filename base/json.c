#include "base/json.h"

#include <inttypes.h>
#include <math.h>

#include "base/parse.h"
#include "base/text.h"

#define NUMBER_MAX 63                        /* characters; cJSON cuts what is longer */
#define SAFE_MAX   INT64_C(9007199254740991) /* 2^53 - 1: beyond, two integers may be one double */

/*
 * cJSON takes more than JSON: raw control characters, "01", any byte up to a blank as a blank, "\u0000" as
 * the end of a string, a thousand levels. So the text is checked by the grammar of RFC 8259 first, and cJSON
 * only builds the tree.
 */
struct scan {
	const char *p, *end;
	unsigned int depth;
};

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool take_digits(struct scan *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > start;
}

static bool scan_number(struct scan *s)
{
	const char *start = s->p;

	take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (take(s, '.') && !take_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!take_digits(s))
			return false;
	}
	return s->p - start <= NUMBER_MAX;
}

/* Four hex digits, or -1. */
static int32_t take_hex4(struct scan *s)
{
	int32_t v = 0;

	if (s->end - s->p < 4)
		return -1;
	for (int i = 0; i < 4; i++, s->p++) {
		char c = *s->p;

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v * 16 + ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* After the backslash. A surrogate must have its other half; U+0000 cannot be in a C string. */
static bool scan_escape(struct scan *s)
{
	int32_t v;

	if (s->p == s->end)
		return false;
	if (strchr("\"\\/bfnrt", *s->p) && *s->p) {
		s->p++;
		return true;
	}
	if (!take(s, 'u'))
		return false;
	v = take_hex4(s);
	if (v <= 0 || (v >= 0xdc00 && v <= 0xdfff))
		return false;
	if (v < 0xd800 || v > 0xdbff)
		return true;
	if (!take(s, '\\') || !take(s, 'u'))
		return false;
	v = take_hex4(s);
	return v >= 0xdc00 && v <= 0xdfff;
}

static bool scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	while (s->p < s->end) {
		size_t n;

		if (take(s, '"'))
			return true;
		if (take(s, '\\')) {
			if (!scan_escape(s))
				return false;
			continue;
		}
		n = (uint8_t)*s->p < 0x20 ? 0 : utf8_sequence(s->p, (size_t)(s->end - s->p), NULL);
		if (n == 0)
			return false;
		s->p += n;
	}
	return false;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

static bool scan_value(struct scan *s);

static bool scan_member(struct scan *s)
{
	skip_blanks(s);
	if (!scan_string(s))
		return false;
	skip_blanks(s);
	return take(s, ':') && scan_value(s);
}

/* An array or an object, by its closing character. */
static bool scan_list(struct scan *s, char close, bool (*item)(struct scan *s))
{
	s->p++;
	if (++s->depth > JSON_MAX_DEPTH)
		return false;
	skip_blanks(s);
	if (!take(s, close)) {
		do {
			if (!item(s))
				return false;
			skip_blanks(s);
		} while (take(s, ','));
		if (!take(s, close))
			return false;
	}
	s->depth--;
	return true;
}

static bool scan_value(struct scan *s)
{
	skip_blanks(s);
	if (s->p == s->end)
		return false;
	switch (*s->p) {
	case '{':
		return scan_list(s, '}', scan_member);
	case '[':
		return scan_list(s, ']', scan_value);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, not each against each: an object of a hundred thousand members is somebody's joke. 0, -EBADMSG or
 * -ENOMEM. */
static int check_names(const cJSON *object)
{
	_cleanup_free_ const char **names = NULL;
	size_t n = 0;

	for (const cJSON *c = object->child; c; c = c->next)
		n++;
	if (n < 2)
		return 0;
	names = calloc(n, sizeof(*names));
	if (!names)
		return -ENOMEM;
	n = 0;
	for (const cJSON *c = object->child; c; c = c->next)
		names[n++] = c->string;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 1; i < n; i++)
		if (streq(names[i - 1], names[i]))
			return -EBADMSG;
	return 0;
}

/* What the grammar cannot see: the same name twice, and numbers that no double holds. */
static int check_tree(const cJSON *j)
{
	int r = 0;

	if (cJSON_IsNumber(j) && !isfinite(j->valuedouble))
		return -EBADMSG;
	if (cJSON_IsObject(j))
		r = check_names(j);
	for (const cJSON *c = j->child; c && r == 0; c = c->next)
		r = check_tree(c);
	return r;
}

/* Builds the tree of text that the scanner passed. */
static int build(const char *text, size_t len, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_ParseWithLengthOpts(text, len, NULL, 0);
	int r;

	if (!j)
		return -ENOMEM;
	r = check_tree(j);
	if (r == 0)
		*ret = take_ptr(j);
	return r;
}

int json_parse_prefix(const char *text, size_t len, cJSON **ret, size_t *ret_used)
{
	struct scan s = {text, text + len, 0};
	int r;

	if (!scan_value(&s))
		return -EBADMSG;
	r = build(text, (size_t)(s.p - text), ret);
	if (r == 0)
		*ret_used = (size_t)(s.p - text);
	return r;
}

int json_parse(const char *text, size_t len, cJSON **ret, size_t *ret_offset)
{
	struct scan s = {text, text + len, 0};
	bool ok = scan_value(&s);

	if (ok)
		skip_blanks(&s);
	if (!ok || s.p != s.end) {
		if (ret_offset)
			*ret_offset = (size_t)(s.p - text);
		return -EBADMSG;
	}
	if (ret_offset)
		*ret_offset = 0; /* for what is found later, the whole text is wrong */
	return build(text, len, ret);
}

const cJSON *json_get(const cJSON *j, const char *name)
{
	return cJSON_IsObject(j) ? cJSON_GetObjectItemCaseSensitive(j, name) : NULL;
}

const char *json_get_string(const cJSON *j, const char *name)
{
	const cJSON *v = json_get(j, name);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

int json_get_i64(const cJSON *j, const char *name, int64_t *ret)
{
	const cJSON *v = json_get(j, name);

	if (!v || cJSON_IsNull(v))
		return -ENOENT;
	if (cJSON_IsRaw(v)) /* made by json_add_i64() */
		return parse_i64(v->valuestring, -SAFE_MAX, SAFE_MAX, ret) < 0 ? -EBADMSG : 0;
	if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) <= (double)SAFE_MAX) ||
		floor(v->valuedouble) != v->valuedouble)
		return -EBADMSG;
	*ret = (int64_t)v->valuedouble;
	return 0;
}

int json_get_bool(const cJSON *j, const char *name, bool *ret)
{
	const cJSON *v = json_get(j, name);

	if (!v || cJSON_IsNull(v))
		return -ENOENT;
	if (!cJSON_IsBool(v))
		return -EBADMSG;
	*ret = cJSON_IsTrue(v);
	return 0;
}

const cJSON *json_get_object(const cJSON *j, const char *name)
{
	const cJSON *v = json_get(j, name);

	return cJSON_IsObject(v) ? v : NULL;
}

const cJSON *json_get_array(const cJSON *j, const char *name)
{
	const cJSON *v = json_get(j, name);

	return cJSON_IsArray(v) ? v : NULL;
}

int json_add_take(cJSON *obj, const char *name, cJSON *item)
{
	if (!item)
		return -ENOMEM;
	if (!obj || !cJSON_AddItemToObject(obj, name, item)) {
		cJSON_Delete(item);
		return -ENOMEM;
	}
	return 0;
}

/* Appends s with U+FFFD for what is not UTF-8. */
static int add_valid(struct buf *b, const char *s)
{
	size_t len = strlen(s);
	int r = 0;

	while (len > 0 && r == 0) {
		size_t n = utf8_sequence(s, len, NULL);

		r = n ? buf_add(b, s, n) : buf_adds(b, "\xef\xbf\xbd");
		n = MAX(n, (size_t)1);
		s += n;
		len -= n;
	}
	return r;
}

int json_add_string(cJSON *obj, const char *name, const char *value)
{
	_cleanup_buf_ struct buf b = {};

	if (!value)
		return json_add_take(obj, name, cJSON_CreateNull());
	if (utf8_valid(value, strlen(value)))
		return json_add_take(obj, name, cJSON_CreateString(value));
	/* What is printed must be JSON whatever a file was called. */
	if (add_valid(&b, value) < 0)
		return -ENOMEM;
	return json_add_take(obj, name, cJSON_CreateString(buf_str(&b)));
}

int json_add_i64(cJSON *obj, const char *name, int64_t value)
{
	char digits[24];

	str_format(digits, sizeof(digits), "%" PRIi64, value);
	return json_add_take(obj, name, cJSON_CreateRaw(digits));
}

int json_add_bool(cJSON *obj, const char *name, bool value)
{
	return json_add_take(obj, name, cJSON_CreateBool(value));
}
