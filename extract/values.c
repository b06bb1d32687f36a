#include "extract/values.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"
#include "extract/answer.h"
#include "extract/schema.h"

/* No typed value is written with more bytes than this. */
#define VALUE_MAX 256

/* ---- text ---------------------------------------------------------------------------------------------- */

static bool is_blank(uint32_t c)
{
	return c == ' ' || (c >= 0x09 && c <= 0x0d) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	       c == 0x3000;
}

/* Invisible: control characters, zero width, direction marks, byte order mark. */
static bool is_dropped(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xad;
}

char *text_normalise(const char *s, size_t len)
{
	char *out = malloc(len + 1);
	bool blank = false;
	size_t n = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len;) {
		uint32_t c;
		size_t k = utf8_sequence(s + i, len - i, &c);

		if (k == 0) {
			i++;
			continue;
		}
		if (is_blank(c)) {
			blank = n > 0;
		} else if (!is_dropped(c)) {
			if (blank)
				out[n++] = ' ';
			blank = false;
			memcpy(out + n, s + i, k);
			n += k;
		}
		i += k;
	}
	out[n] = 0;
	return out;
}

size_t text_key(const char *s, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x80 || isdigit(c))
			out[n++] = (char)c;
		else if (isalpha(c))
			out[n++] = (char)tolower(c);
	}
	out[n] = 0;
	return n;
}

int text_matches(const regex_t *re, const char *s)
{
	int r;

	errno = 0;
	r = regexec(re, s, 0, NULL, 0);
	if (r == REG_ESPACE || (r != 0 && errno == ENOMEM))
		return -ENOMEM;
	return r == 0;
}

bool text_is_nothing(const char *s)
{
	static const char *const words[] = {"", "-", "--", "—", "–", "n/a", "na", "nil", "none", "null",
		"not found", "not present", "not available", "not stated", "unknown"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return false;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

int value_refuse(char *why, size_t why_size, const char *what, const char *text)
{
	char safe[64];

	if (why_size > 0) {
		text_safe_copy(safe, sizeof(safe), text);
		if (snprintf(why, why_size, "%s: %s", what, safe) < 0)
			why[0] = 0;
	}
	return -EINVAL;
}

/* Normalised text in ASCII: other minus signs and blanks become ours. -EINVAL ("WHAT: TEXT") if it is too long for any value. */
static int value_text(const char *text, char out[VALUE_MAX], char *why, size_t why_size, const char *what)
{
	_cleanup_free_ char *norm = NULL;
	size_t len = strlen(text), n = 0;

	if (len >= 4 * VALUE_MAX)
		return value_refuse(why, why_size, what, text);
	norm = text_normalise(text, len);
	if (!norm)
		return -ENOMEM;
	if (strlen(norm) >= VALUE_MAX)
		return value_refuse(why, why_size, what, text);
	for (size_t i = 0; norm[i]; i++) {
		/* U+2212 minus, U+2010..U+2014 hyphens and dashes */
		if (starts_with(norm + i, "\xe2\x88\x92") ||
			(starts_with(norm + i, "\xe2\x80") && (unsigned char)norm[i + 2] >= 0x90 &&
				(unsigned char)norm[i + 2] <= 0x94)) {
			out[n++] = '-';
			i += 2;
		} else {
			out[n++] = norm[i];
		}
	}
	out[n] = 0;
	return 0;
}

struct number {
	char whole[24]; /* digits, without separators */
	char part[24];  /* digits after the point, "" without one */
	bool point;
};

static size_t take_digits(const char **p, char *out, size_t size)
{
	size_t n = 0;

	out[0] = 0;
	while (isdigit((unsigned char)(*p)[n]))
		n++;
	if (n >= size)
		return 0;
	memcpy(out, *p, n);
	out[n] = 0;
	*p += n;
	return n;
}

/* Digits, in groups of three if there is a separator (one kind of: comma, blank, apostrophe), then a point
 * and digits. */
static int number_parse(const char **p, struct number *ret)
{
	size_t n = take_digits(p, ret->whole, sizeof(ret->whole));
	char sep = **p;

	if (n > 0 && n <= 3 && (sep == ',' || sep == ' ' || sep == '\'') && isdigit((unsigned char)(*p)[1])) {
		while (**p == sep && isdigit((unsigned char)(*p)[1])) {
			const char *g = *p + 1;
			size_t k = take_digits(&g, ret->whole + n, sizeof(ret->whole) - n);

			if (k != 3)
				return -EINVAL;
			n += k;
			*p = g;
		}
	}
	ret->point = **p == '.';
	ret->part[0] = 0;
	if (ret->point) {
		(*p)++;
		if (take_digits(p, ret->part, sizeof(ret->part)) == 0)
			return -EINVAL;
	}
	return n > 0 || ret->point ? 0 : -EINVAL;
}

static void skip_blanks(const char **p)
{
	while (**p == ' ')
		(*p)++;
}

static bool take_word(const char **p, const char *word)
{
	size_t n = strlen(word);

	if (strncasecmp(*p, word, n) != 0)
		return false;
	*p += n;
	skip_blanks(p);
	return true;
}

/* What stands around an amount. Each may stand there once. */
struct money_signs {
	unsigned int minus, currency, code, open, close, debit, credit;
};

static void money_prefix(const char **p, struct money_signs *s)
{
	for (;;) {
		if (take_word(p, "-"))
			s->minus++;
		else if (take_word(p, "AUD") || take_word(p, "AU$") || take_word(p, "A$"))
			s->code++;
		else if (take_word(p, "$"))
			s->currency++;
		else if (take_word(p, "("))
			s->open++;
		else if (!take_word(p, "+"))
			return;
	}
}

static void money_suffix(const char **p, struct money_signs *s)
{
	for (;;) {
		if (take_word(p, ")"))
			s->close++;
		else if (take_word(p, "-"))
			s->minus++;
		else if (take_word(p, "AUD"))
			s->code++;
		else if (take_word(p, "CR"))
			s->credit++;
		else if (take_word(p, "DR"))
			s->debit++;
		else
			return;
	}
}

static bool money_signs_agree(const struct money_signs *s)
{
	unsigned int negative = s->minus + s->open;

	/* "-3.00 DR" is an overdrawn balance said twice; "-3.00 CR" and "(-3.00)" say two things */
	return s->open == s->close && negative <= 1 && s->currency <= 1 && s->code <= 1 &&
	       s->credit + s->debit <= 1 && !(negative && s->credit);
}

int money_parse(const char *text, int64_t *ret_cents, char *why, size_t why_size)
{
	struct money_signs s = {};
	char value[VALUE_MAX] = "", digits[64];
	struct number num;
	const char *p = value, *whole;
	int64_t cents;
	int e;

	e = value_text(text, value, why, why_size, "not an amount");
	if (e < 0)
		return e;
	money_prefix(&p, &s);
	if (number_parse(&p, &num) < 0)
		return value_refuse(why, why_size, "not an amount", text);
	skip_blanks(&p);
	money_suffix(&p, &s);
	if (*p || !money_signs_agree(&s))
		return value_refuse(why, why_size, "not an amount", text);
	if (strlen(num.part) > 2)
		return value_refuse(why, why_size, "not an amount in whole cents", text);
	for (whole = num.whole; *whole == '0'; whole++)
		;
	if (strlen(whole) > MONEY_MAX_DIGITS)
		return value_refuse(why, why_size, "amount too large", text);
	str_format(digits, sizeof(digits), "%s%s%s", *whole ? whole : "0", num.part[0] ? "." : "", num.part);
	if (parse_decimal(digits, 2, &cents) < 0)
		return value_refuse(why, why_size, "not an amount", text);
	*ret_cents = s.minus || s.open || s.debit ? -cents : cents;
	return 0;
}

void money_format(int64_t cents, char out[24])
{
	uint64_t n = cents < 0 ? -(uint64_t)cents : (uint64_t)cents;

	str_format(out, 24, "%s%llu.%02u", cents < 0 ? "-" : "", (unsigned long long)(n / 100),
		(unsigned int)(n % 100));
}

int money_cents(const char *value, int64_t *ret_cents)
{
	const char *p = value + (*value == '-');
	size_t whole = strspn(p, "0123456789");

	if (whole == 0 || whole > MONEY_MAX_DIGITS || p[whole] != '.' ||
		strspn(p + whole + 1, "0123456789") != 2 || p[whole + 3])
		return -EINVAL;
	return parse_decimal(value, 2, ret_cents);
}

int decimal_parse(const char *text, char out[24], char *why, size_t why_size)
{
	char value[VALUE_MAX] = "";
	const char *p = value, *whole;
	struct number num;
	bool minus;
	size_t n;
	int e;

	e = value_text(text, value, why, why_size, "not a number");
	if (e < 0)
		return e;
	minus = take_word(&p, "-");
	if (!minus)
		take_word(&p, "+");
	if (number_parse(&p, &num) < 0 || *p)
		return value_refuse(why, why_size, "not a number", text);
	for (whole = num.whole; *whole == '0'; whole++)
		;
	for (n = strlen(num.part); n > 0 && num.part[n - 1] == '0'; n--)
		num.part[n - 1] = 0;
	if (strlen(whole) > 9 || n > 6)
		return value_refuse(why, why_size, "number too long", text);
	minus = minus && (*whole || n);
	str_format(out, 24, "%s%s%s%s", minus ? "-" : "", *whole ? whole : "0", n ? "." : "", num.part);
	return 0;
}

int integer_parse(const char *text, int64_t *ret, char *why, size_t why_size)
{
	static const int64_t max = ((int64_t)1 << 53) - 1; /* beyond, readers of JSON round */
	char value[VALUE_MAX] = "", digits[32];
	const char *p = value;
	struct number num;
	bool minus;
	int e;

	e = value_text(text, value, why, why_size, "not an integer");
	if (e < 0)
		return e;
	minus = take_word(&p, "-");
	if (!minus)
		take_word(&p, "+");
	if (number_parse(&p, &num) < 0 || *p || !num.whole[0] || strspn(num.part, "0") != strlen(num.part))
		return value_refuse(why, why_size, "not an integer", text);
	str_format(digits, sizeof(digits), "%s%s", minus ? "-" : "", num.whole);
	if (parse_i64(digits, -max, max, ret) < 0)
		return value_refuse(why, why_size, "integer too large", text);
	return 0;
}

int abn_parse(const char *text, char out[12], char *why, size_t why_size)
{
	char value[VALUE_MAX] = "", digits[12];
	const char *p = value;
	size_t n = 0;
	int e;

	e = value_text(text, value, why, why_size, "not an ABN");
	if (e < 0)
		return e;
	if (take_word(&p, "A.B.N.") || take_word(&p, "ABN")) {
		take_word(&p, ":");
		take_word(&p, "-");
	}
	for (; *p; p++) {
		if (isdigit((unsigned char)*p) && n < 11)
			digits[n++] = *p;
		else if ((*p != ' ' && *p != '-') || n == 0 || n == 11)
			return value_refuse(why, why_size, "not an ABN of 11 digits", text);
	}
	if (n != 11)
		return value_refuse(why, why_size, "not an ABN of 11 digits", text);
	digits[n] = 0;
	memcpy(out, digits, 12);
	return 0;
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static int parse_money_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	char out[24];
	int64_t cents;
	int e = money_parse(text, &cents, why, why_size);

	if (e < 0)
		return e;
	money_format(cents, out);
	*ret = cJSON_CreateString(out);
	return 0;
}

static int parse_date_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	char out[11];
	int e = date_parse(text, out, why, why_size);

	if (e == 0)
		*ret = cJSON_CreateString(out);
	return e;
}

static int parse_abn_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	char out[12];
	int e = abn_parse(text, out, why, why_size);

	if (e == 0)
		*ret = cJSON_CreateString(out);
	return e;
}

static int parse_integer_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	int64_t n;
	int e = integer_parse(text, &n, why, why_size);

	if (e == 0)
		*ret = cJSON_CreateNumber((double)n);
	return e;
}

static int parse_decimal_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	char out[24];
	int e = decimal_parse(text, out, why, why_size);

	if (e == 0)
		*ret = cJSON_CreateString(out);
	return e;
}

static int parse_enum_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	char want[VALUE_MAX], have[VALUE_MAX];
	const cJSON *c;

	text_key(text, strlen(text), want, sizeof(want));
	cJSON_ArrayForEach (c, json_get_array(f->schema, "enum")) {
		if (!cJSON_IsString(c))
			continue;
		text_key(c->valuestring, strlen(c->valuestring), have, sizeof(have));
		if (streq(want, have)) {
			*ret = cJSON_CreateString(c->valuestring);
			return 0;
		}
	}
	return value_refuse(why, why_size, "not one of the allowed values", text);
}

static int parse_text_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	_cleanup_free_ char *norm = text_normalise(text, strlen(text));

	if (norm && !*norm)
		return value_refuse(why, why_size, "empty", "");
	*ret = norm ? cJSON_CreateString(norm) : NULL;
	return 0;
}

static int parse_rows_field(
	const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	return value_refuse(why, why_size, "not rows", text);
}

struct why {
	char *text;
	size_t size;
};

static int keep_first(void *ud, const char *path, const char *what)
{
	struct why *w = ud;

	if (w->size > 0 && snprintf(w->text, w->size, "%s", what) < 0)
		w->text[0] = 0;
	return 1;
}

int field_value_parse(const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size)
{
	static int (*const parsers[])(const struct field_spec *, const char *, cJSON **, char *, size_t) = {
		[FIELD_TEXT] = parse_text_field,
		[FIELD_MONEY] = parse_money_field,
		[FIELD_DATE] = parse_date_field,
		[FIELD_ABN] = parse_abn_field,
		[FIELD_INTEGER] = parse_integer_field,
		[FIELD_DECIMAL] = parse_decimal_field,
		[FIELD_ENUM] = parse_enum_field,
		[FIELD_ROWS] = parse_rows_field,
	};
	struct why w = {.text = why, .size = why_size};
	_cleanup_json_ cJSON *value = NULL;
	int e = parsers[f->kind](f, text, &value, why, why_size);

	if (e < 0)
		return e;
	if (!value)
		return -ENOMEM;
	e = f->schema ? schema_validate(f->schema, value, keep_first, &w) : 0;
	if (e != 0)
		return e == -ENOMEM ? e : -EINVAL;
	*ret = take_ptr(value);
	return 0;
}
