/* Dates as printed in Australia, to ISO 8601. */
#include "extract/values.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/parse.h"

#define DATE_TOKENS 6

enum token_kind {
	TOKEN_NUMBER,
	TOKEN_WORD,
};

struct token {
	enum token_kind kind;
	char text[12];
	int number;
	size_t digits;
	char sep; /* what stands between this and the token before: ' ' (or nothing), '/', '-', '.', ',' */
};

struct tokens {
	struct token t[DATE_TOKENS];
	size_t n;
};

bool date_is_iso(const char *s)
{
	for (size_t i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? s[i] != '-' : !isdigit((unsigned char)s[i]))
			return false;
	if (s[10] || s[0] == '0')
		return false;
	return date_exists((s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0'),
		(s[5] - '0') * 10 + (s[6] - '0'), (s[8] - '0') * 10 + (s[9] - '0'));
}

/* One separator other than blanks between two tokens, or blanks alone; an apostrophe before a short year is
 * skipped. */
static int take_separator(const char **p, char *ret)
{
	char sep = ' ';

	for (; **p == ' ' || (**p && strchr("/-.,", **p)); (*p)++) {
		if (**p == ' ')
			continue;
		/* "Nov. 21" and "21st, Nov" aside, two signs in a row are not a date's */
		if (sep != ' ')
			return -EINVAL;
		sep = **p;
	}
	if (**p == '\'')
		(*p)++;
	*ret = sep;
	return 0;
}

static int take_token(const char **p, struct token *t)
{
	size_t n = 0;
	int (*is)(int) = isdigit((unsigned char)**p) ? isdigit : isalpha;

	t->kind = is == isdigit ? TOKEN_NUMBER : TOKEN_WORD;
	while ((unsigned char)**p < 0x80 && is((unsigned char)**p)) {
		if (n + 1 >= sizeof(t->text))
			return -EINVAL;
		t->text[n++] = *(*p)++;
	}
	if (n == 0)
		return -EINVAL;
	t->text[n] = 0;
	t->digits = n;
	t->number = 0;
	if (t->kind == TOKEN_NUMBER && n <= 4)
		for (size_t i = 0; i < n; i++)
			t->number = t->number * 10 + (t->text[i] - '0');
	return 0;
}

static bool is_prefix_of(const char *word, const char *full, size_t min)
{
	size_t n = strlen(word);

	return n >= min && n <= strlen(full) && strncasecmp(word, full, n) == 0;
}

static int month_number(const char *word)
{
	static const char *const months[] = {"january", "february", "march", "april", "may", "june", "july",
		"august", "september", "october", "november", "december"};

	for (size_t i = 0; i < ARRAY_SIZE(months); i++)
		if (is_prefix_of(word, months[i], 3))
			return (int)i + 1;
	return 0;
}

static bool is_weekday(const char *word)
{
	static const char *const days[] = {
		"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};

	for (size_t i = 0; i < ARRAY_SIZE(days); i++)
		if (is_prefix_of(word, days[i], 3))
			return true;
	return false;
}

/* "1st", "2nd", "3rd", "21st of" */
static bool is_ordinal(const struct token *before, const char *word)
{
	return before->kind == TOKEN_NUMBER && before->digits <= 2 &&
	       (!strcasecmp(word, "st") || !strcasecmp(word, "nd") || !strcasecmp(word, "rd") ||
		       !strcasecmp(word, "th"));
}

/* "10:32", "T10:32:05.120Z", "10.32 am", "10:32:05 +11:00": a time of day with two digits of minutes ends the
 * text. */
static bool is_time(const char *p)
{
	unsigned int colons = 0;

	while (*p == ' ' || *p == ',' || *p == 'T')
		p++;
	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p) || *p == ':' || *p == '.'; p++)
		colons += *p == ':';
	if (colons < 1 || colons > 2)
		return false;
	while (*p == ' ')
		p++;
	if (!strcasecmp(p, "") || !strcasecmp(p, "am") || !strcasecmp(p, "pm") || !strcasecmp(p, "Z"))
		return true;
	return (*p == '+' || *p == '-') && strspn(p + 1, "0123456789:") == strlen(p + 1);
}

static int tokenize(const char *p, struct tokens *ret)
{
	while (*p) {
		struct token t = {};

		if (ret->n >= 3 && is_time(p))
			return 0;
		if (ret->n == DATE_TOKENS || take_separator(&p, &t.sep) < 0)
			return -EINVAL;
		if (!*p)
			return t.sep == ' ' || t.sep == '.' || t.sep == ',' ? 0 : -EINVAL;
		if (ret->n == 0 && (t.sep == '/' || t.sep == '-'))
			return -EINVAL;
		if (take_token(&p, &t) < 0)
			return -EINVAL;
		if (t.kind == TOKEN_WORD && ret->n == 0 && is_weekday(t.text) && month_number(t.text) == 0)
			continue;
		if (t.kind == TOKEN_WORD && ret->n > 0 &&
			(is_ordinal(&ret->t[ret->n - 1], t.text) || !strcasecmp(t.text, "of")))
			continue;
		ret->t[ret->n++] = t;
	}
	return 0;
}

static int full_year(const struct token *t)
{
	if (t->kind != TOKEN_NUMBER)
		return 0;
	if (t->digits == 4)
		return t->number;
	if (t->digits == 2)
		return t->number + (t->number < 70 ? 2000 : 1900);
	return 0;
}

static bool same_separator(const struct token *a, const struct token *b)
{
	return a->sep == b->sep && a->sep != ',';
}

/* Which of the three tokens are day, month and year? */
static bool arrange(const struct token t[3], int *ret_year, int *ret_month, int *ret_day)
{
	if (t[0].kind == TOKEN_WORD) { /* Nov 21, 2026 */
		*ret_month = month_number(t[0].text);
		*ret_day = t[1].kind == TOKEN_NUMBER && t[1].digits <= 2 ? t[1].number : 0;
		*ret_year = full_year(&t[2]);
		return true;
	}
	if (t[1].kind == TOKEN_WORD) { /* 21 November 2026; 2026-Nov-21 */
		const struct token *day = t[0].digits == 4 ? &t[2] : &t[0],
				   *year = t[0].digits == 4 ? &t[0] : &t[2];

		*ret_month = month_number(t[1].text);
		*ret_day = day->kind == TOKEN_NUMBER && day->digits <= 2 ? day->number : 0;
		*ret_year = full_year(year);
		return true;
	}
	if (t[2].kind != TOKEN_NUMBER || !same_separator(&t[1], &t[2]) || t[1].digits > 2)
		return false;
	*ret_month = t[1].number;
	if (t[0].digits == 4) { /* 2026-11-21 */
		*ret_year = t[0].number;
		*ret_day = t[2].digits <= 2 ? t[2].number : 0;
	} else { /* 21/11/2026 */
		*ret_year = full_year(&t[2]);
		*ret_day = t[0].digits <= 2 ? t[0].number : 0;
	}
	return true;
}

int date_parse(const char *text, char out[11], char *why, size_t why_size)
{
	_cleanup_free_ char *norm = NULL;
	struct tokens tokens = {};
	int year, month, day;

	if (strlen(text) > 256)
		return value_refuse(why, why_size, "not a date", text);
	norm = text_normalise(text, strlen(text));
	if (!norm)
		return -ENOMEM;
	if (tokenize(norm, &tokens) < 0 || tokens.n != 3 || !arrange(tokens.t, &year, &month, &day))
		return value_refuse(why, why_size, "not a date", text);
	if (year < 1900 || year > 2199 || !date_exists(year, month, day))
		return value_refuse(why, why_size, "no such date", text);
	str_format(out, 11, "%04d-%02d-%02d", year, month, day);
	return 0;
}
