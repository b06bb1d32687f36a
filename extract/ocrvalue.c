#include "extract/ocrvalue.h"

#include <ctype.h>
#include <regex.h>

#include "extract/answer.h"
#include "extract/values.h"

#define RUN_WORDS_MAX 6   /* "Saturday, 21 November 2026 at 10:45", "AUD - $ 1 234.50" */
#define TEXT_MAX      512 /* bytes; longer runs are prose */

void ocr_value_free(struct ocr_value *v)
{
	cJSON_Delete(v->json);
	free(v->text);
	*v = (struct ocr_value){};
}

/* What stands between a label and its value, or is a smudge at a value's end. */
static size_t clutter(const char *s)
{
	static const char *const before[] = {
		":", ";", "|", "=", "_", "*", "‘", "’", "“", "—", "–", " ", ". ", ", "};

	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		if (starts_with(s, before[i]))
			return strlen(before[i]);
	return 0;
}

static void trim(char *s)
{
	size_t n = strlen(s), cut = 0, more;

	while ((more = clutter(s + cut)) > 0)
		cut += more;
	n -= cut;
	memmove(s, s + cut, n + 1);
	while (n > 0 && strchr(" :;|=_,*", s[n - 1]))
		s[--n] = 0;
}

static bool is_number(enum field_kind k)
{
	return k == FIELD_MONEY || k == FIELD_DATE || k == FIELD_ABN || k == FIELD_INTEGER ||
	       k == FIELD_DECIMAL;
}

/* Money on a page has cents or a currency sign; "3" in "3 items" has neither. */
static bool looks_like_money(const char *s)
{
	size_t n = strlen(s);

	while (n > 0 && !isdigit((unsigned char)s[n - 1]))
		n--;
	if (n > 3 && isdigit((unsigned char)s[n - 2]) && s[n - 3] == '.')
		return true;
	return strchr(s, '$') || starts_with(s, "AUD");
}

/* Letters that stand in a number become the digits they look like. False if there was none. */
static bool repair_digits(char *s)
{
	static const char letters[] = "OoQDlI|!SsBZz", digits[] = "0000111155822";
	bool changed = false;

	for (; *s; s++) {
		const char *p = strchr(letters, *s);

		if (p) {
			*s = digits[p - letters];
			changed = true;
		}
	}
	return changed;
}

/* "1.234.50" and "245,00": the last sign before two digits is the point, the others are commas. */
static bool repair_point(char *s)
{
	size_t n = strlen(s);
	bool changed = false;

	while (n > 0 && !isdigit((unsigned char)s[n - 1]))
		n--;
	if (n < 4 || !isdigit((unsigned char)s[n - 2]) || !strchr(".,", s[n - 3]))
		return false;
	for (size_t i = 0; i < n; i++) {
		char want = i == n - 3 ? '.' : ',';

		if (!strchr(".,", s[i]) || s[i] == want)
			continue;
		s[i] = want;
		changed = true;
	}
	return changed;
}

static bool has_digit(const char *s)
{
	return strpbrk(s, "0123456789") != NULL;
}

/* 1, 0 when it is no value, -ENOMEM. */
static int try_text(const struct field_spec *f, const char *text, cJSON **ret)
{
	int r;

	if (f->kind == FIELD_MONEY && !looks_like_money(text))
		return 0;
	r = field_value_parse(f, text, ret, NULL, 0);
	return r == -ENOMEM ? r : r == 0;
}

/* As it is, without blanks, and with lookalikes made digits (dates keep the letters of their months). */
static int try_number(const struct field_spec *f, const char *text, struct ocr_value *v)
{
	_cleanup_free_ char *s = strdup(text);
	char *to;
	int r;

	if (!s)
		return -ENOMEM;
	if (!has_digit(s))
		return 0;
	r = try_text(f, s, &v->json);
	if (r != 0)
		return r;
	for (char *from = to = s; *from; from++)
		if (*from != ' ')
			*to++ = *from;
	*to = 0;
	if (f->kind != FIELD_DATE)
		r = try_text(f, s, &v->json);
	if (r != 0)
		return r;
	v->repaired = true;
	if (f->kind == FIELD_MONEY && repair_point(s))
		r = try_text(f, s, &v->json);
	if (r == 0 && repair_digits(s))
		r = try_text(f, s, &v->json);
	if (r == 0 && f->kind == FIELD_MONEY && repair_point(s))
		r = try_text(f, s, &v->json);
	return r;
}

static bool run_has_digit(const struct layout *l, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (has_digit(l->words[i].text))
			return true;
	return false;
}

/* words[first..end) as one value; `like` may be NULL. */
static int read_run(const struct layout *l, const struct field_spec *f, const regex_t *like, size_t first,
	size_t end, struct ocr_value *ret)
{
	_cleanup_(ocr_value_free) struct ocr_value v = {.first = first, .end = end};
	_cleanup_buf_ struct buf text = {.max = TEXT_MAX};
	int r;

	if (first >= end || f->kind == FIELD_ROWS || (is_number(f->kind) && !run_has_digit(l, first, end)))
		return 0;
	r = layout_text(l, first, end, " ", &text);
	if (r < 0)
		return r == -EMSGSIZE ? 0 : r;
	v.text = buf_take(&text);
	if (!v.text)
		return -ENOMEM;
	trim(v.text);
	if (!*v.text)
		return 0;
	r = like ? text_matches(like, v.text) : 1;
	if (r <= 0)
		return r;
	r = is_number(f->kind) ? try_number(f, v.text, &v) : try_text(f, v.text, &v.json);
	if (r <= 0)
		return r;
	*ret = v;
	v = (struct ocr_value){};
	return 1;
}

/* First what needs no repair: "Total S5 $45.00". */
static int find_run(const struct layout *l, const struct field_spec *f, const regex_t *like, size_t first,
	size_t end, struct ocr_value *ret)
{
	struct ocr_value repaired = {};

	for (size_t i = first; i < end; i++)
		for (size_t k = MIN(end, i + RUN_WORDS_MAX); k > i; k--) {
			struct ocr_value v = {};
			int r = read_run(l, f, like, i, k, &v);

			if (r < 0 || (r > 0 && !v.repaired)) {
				ocr_value_free(&repaired);
				*ret = v;
				return r;
			}
			if (r > 0 && !repaired.json)
				repaired = v;
			else
				ocr_value_free(&v);
		}
	*ret = repaired;
	return repaired.json ? 1 : 0;
}

/* `like` compiled, or nothing to match (NULL). */
struct pattern {
	regex_t re;
	bool set;
};

/* 1, 0 for an expression that is none: it matches nothing; or -ENOMEM. */
static int pattern_compile(struct pattern *p, const char *like)
{
	int r = like ? regcomp(&p->re, like, REG_EXTENDED | REG_NOSUB) : 0;

	p->set = like && r == 0;
	return r == REG_ESPACE ? -ENOMEM : r == 0;
}

static void pattern_free(struct pattern *p)
{
	if (p->set)
		regfree(&p->re);
}

int ocr_value_read(const struct layout *l, const struct field_spec *f, const char *like, size_t first,
	size_t end, struct ocr_value *ret)
{
	_cleanup_(pattern_free) struct pattern p = {};
	int r = pattern_compile(&p, like);

	return r > 0 ? read_run(l, f, p.set ? &p.re : NULL, first, end, ret) : r;
}

int ocr_value_find(const struct layout *l, const struct field_spec *f, const char *like, size_t first,
	size_t end, struct ocr_value *ret)
{
	_cleanup_(pattern_free) struct pattern p = {};
	const regex_t *re;
	int r = pattern_compile(&p, like);

	if (r <= 0)
		return r;
	re = p.set ? &p.re : NULL;
	if (!is_number(f->kind)) {
		r = read_run(l, f, re, first, end, ret);
		if (r != 0 || (f->kind == FIELD_TEXT && !like))
			return r;
	}
	return find_run(l, f, re, first, MIN(end, first + OCR_FIND_WORDS_MAX), ret);
}
