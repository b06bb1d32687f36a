/* The arithmetic of the checks. A rule proves only what its numbers really tie down. */
#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"
#include "extract/checks_internal.h"
#include "extract/values.h"

static void tie(struct check_outcome *o, struct field_value *f, uint32_t columns)
{
	if (f && o->n_ties < CHECK_ARGS_MAX)
		o->ties[o->n_ties++] = (struct check_tie){.field = f, .columns = columns};
}

static void outcome_fails(struct check_outcome *o, const char *fmt, ...) _printf_(2, 3);
static void outcome_fails(struct check_outcome *o, const char *fmt, ...)
{
	va_list ap;

	o->result = CHECK_FAILS;
	va_start(ap, fmt);
	/* numbers and our own words only: what does not fit is cut */
	if (vsnprintf(o->what, sizeof(o->what), fmt, ap) < 0)
		o->what[0] = 0;
	va_end(ap);
}

static bool value_cents(const cJSON *value, int64_t *ret)
{
	return value && cJSON_IsString(value) && money_cents(value->valuestring, ret) == 0;
}

static bool field_cents(const struct field_value *f, int64_t *ret)
{
	return f && value_cents(f->value, ret);
}

static const cJSON *cell(const struct field_value *rows, const cJSON *row, int column)
{
	return column < 0 ? NULL : json_get(row, rows->spec->columns[column].name);
}

static uint32_t bit(int column)
{
	return column < 0 ? 0 : UINT32_C(1) << column;
}

static const char *money(int64_t cents, char out[24])
{
	money_format(cents, out);
	return out;
}

/* ---- abn ----------------------------------------------------------------------------------------------- */

/* Weights of the Australian Business Register; the first digit counts less one. */
bool abn_valid(const char *s)
{
	static const unsigned int weights[] = {10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19};
	unsigned int sum = 0;
	size_t n = 0;

	for (; *s; s++) {
		unsigned int digit = (unsigned int)(*s - '0');

		if (*s == ' ')
			continue;
		if (*s < '0' || *s > '9' || n == ARRAY_SIZE(weights) || (n == 0 && digit == 0))
			return false;
		sum += weights[n] * (n == 0 ? digit - 1 : digit);
		n++;
	}
	return n == ARRAY_SIZE(weights) && sum % 89 == 0;
}

void rule_abn(const struct answer *a, const struct check_arg *args, struct check_outcome *ret)
{
	struct field_value *f = args[0].field;

	if (!cJSON_IsString(f->value))
		return;
	tie(ret, f, 0);
	if (abn_valid(f->value->valuestring))
		ret->result = CHECK_PROVES;
	else
		outcome_fails(ret, "%.11s is not a valid ABN", f->value->valuestring);
}

/* ---- gst ----------------------------------------------------------------------------------------------- */

static uint64_t magnitude(int64_t n)
{
	return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

/* GST is at most an eleventh of what it is part of (a cent of rounding allowed), and of the same sign. */
static bool gst_possible(int64_t gst, int64_t total)
{
	return gst == 0 || ((gst < 0) == (total < 0) && magnitude(gst) * 11 <= magnitude(total) + 16);
}

static void gst_with_net(int64_t net, int64_t gst, int64_t total, struct check_outcome *ret)
{
	char n[24], g[24], t[24];

	/* a cent off is somebody's rounding, or a digit misread: neither proof nor failure */
	if (magnitude(net + gst - total) > 1)
		outcome_fails(ret, "%s + %s is not %s", money(net, n), money(gst, g), money(total, t));
	else if (!gst_possible(gst, total))
		outcome_fails(ret, "%s is more than a tenth of %s", money(gst, g), money(net, n));
	else
		ret->result = net + gst == total && gst != 0 ? CHECK_PROVES : CHECK_HOLDS;
}

/* An eleventh to the nearest cent: |11 gst - total| <= 5. That ties the GST; the total only to within eleven
 * cents. */
static void gst_of_total(
	struct field_value *f, int64_t gst, int64_t total, bool mixed, struct check_outcome *ret)
{
	uint64_t off = magnitude(gst * 11 - total);
	char g[24], t[24];

	if (gst != 0 && off <= 5) {
		ret->result = CHECK_PROVES;
		ret->n_ties = 0;
		tie(ret, f, 0);
	} else if (gst == 0 || off <= 16 || (mixed && gst_possible(gst, total))) {
		ret->result = CHECK_HOLDS;
	} else {
		outcome_fails(ret, "%s is not an eleventh of %s", money(gst, g), money(total, t));
	}
}

void rule_gst(const struct answer *a, const struct check_arg *args, struct check_outcome *ret)
{
	int64_t gst, total, net;

	if (!field_cents(args[0].field, &gst) || !field_cents(args[1].field, &total))
		return;
	tie(ret, args[0].field, 0);
	tie(ret, args[1].field, 0);
	if (field_cents(args[2].field, &net)) {
		tie(ret, args[2].field, 0);
		gst_with_net(net, gst, total, ret);
	} else {
		gst_of_total(args[0].field, gst, total, args[3].flag, ret);
	}
}

/* ---- sum ----------------------------------------------------------------------------------------------- */

static bool names_amount(const struct field_spec *f, const char *key)
{
	const cJSON *l;
	char other[128];

	if (f->kind != FIELD_MONEY)
		return false;
	text_key(f->title, strlen(f->title), other, sizeof(other));
	if (streq(other, key))
		return true;
	cJSON_ArrayForEach (l, f->labels) {
		text_key(l->valuestring, strlen(l->valuestring), other, sizeof(other));
		if (streq(other, key))
			return true;
	}
	return false;
}

/* "Subtotal" and "GST" read as rows add up to the total as well as the true rows do, and prove nothing. */
static bool is_summary_row(const struct answer *a, const struct field_value *rows, const cJSON *row)
{
	char key[128];

	for (size_t c = 0; c < rows->spec->n_columns; c++) {
		const cJSON *v = cell(rows, row, (int)c);

		if (rows->spec->columns[c].kind != FIELD_TEXT || !cJSON_IsString(v))
			continue;
		text_key(v->valuestring, strlen(v->valuestring), key, sizeof(key));
		for (size_t i = 0; i < a->type->n_fields; i++)
			if (names_amount(&a->type->fields[i], key))
				return true;
	}
	return false;
}

void rule_sum(const struct answer *a, const struct check_arg *args, struct check_outcome *ret)
{
	struct field_value *rows = args[0].field, *total = args[2].field, *plus = args[3].field,
			   *minus = args[4].field;
	int64_t want, sum, cents, more = 0, less = 0;
	unsigned int terms = 0;
	bool summary = false;
	const cJSON *row;
	char s[24], w[24];

	if (!cJSON_IsArray(rows->value) || !rows->value->child || !field_cents(total, &want) ||
		(plus && !field_cents(plus, &more)) || (minus && !field_cents(minus, &less)))
		return;
	sum = more - less;
	cJSON_ArrayForEach (row, rows->value) {
		if (!value_cents(cell(rows, row, args[1].column), &cents) ||
			__builtin_add_overflow(sum, cents, &sum))
			return;
		terms += cents != 0;
		summary |= is_summary_row(a, rows, row);
	}
	tie(ret, rows, bit(args[1].column));
	tie(ret, total, 0);
	tie(ret, plus, 0);
	tie(ret, minus, 0);
	if (sum != want)
		outcome_fails(ret, "the rows' %s %s %s is not %s", rows->spec->columns[args[1].column].name,
			plus || minus ? "with the rest" : "sum", money(sum, s), money(want, w));
	else /* one amount equal to another may be the same figure read twice; a zero takes part in no sum */
		ret->result = terms > 0 && terms + (more != 0) + (less != 0) >= 2 && want != 0 && !summary &&
					      (!plus || more != 0) && (!minus || less != 0)
				      ? CHECK_PROVES
				      : CHECK_HOLDS;
}

/* ---- lines --------------------------------------------------------------------------------------------- */

enum line {
	LINE_ABSENT, /* not all three there */
	LINE_EXACT,
	LINE_NEAR, /* as near as a unit price rounded to the cent allows */
	LINE_WRONG,
};

/* quantity in millionths, price and amount in cents */
static enum line line_holds(int64_t quantity, int64_t price, int64_t amount)
{
	int64_t product;
	uint64_t off, slack;

	if (__builtin_mul_overflow(quantity, price, &product) || magnitude(amount) > INT64_MAX / 4000000 ||
		magnitude(product) > INT64_MAX / 4)
		return LINE_ABSENT;
	off = magnitude(product - amount * 1000000);
	slack = 500000 + magnitude(quantity) / 2;
	return off <= 500000 ? LINE_EXACT : off <= slack ? LINE_NEAR : LINE_WRONG;
}

static bool value_millionths(const cJSON *v, int64_t *ret)
{
	return v && cJSON_IsString(v) && parse_decimal(v->valuestring, 6, ret) == 0;
}

void rule_lines(const struct answer *a, const struct check_arg *args, struct check_outcome *ret)
{
	struct field_value *rows = args[0].field;
	unsigned int n = 0, exact = 0, telling = 0;
	const cJSON *row;
	char p[24], m[24];

	if (!cJSON_IsArray(rows->value))
		return;
	tie(ret, rows, bit(args[1].column) | bit(args[2].column) | bit(args[3].column));
	cJSON_ArrayForEach (row, rows->value) {
		const cJSON *q = cell(rows, row, args[1].column);
		int64_t quantity, price, amount;
		enum line l = LINE_ABSENT;

		n++;
		if (value_millionths(q, &quantity) && value_cents(cell(rows, row, args[2].column), &price) &&
			value_cents(cell(rows, row, args[3].column), &amount))
			l = line_holds(quantity, price, amount);
		if (l == LINE_WRONG) {
			outcome_fails(ret, "row %u: %s x %s is not %s", n, q->valuestring, money(price, p),
				money(amount, m));
			return;
		}
		if (l != LINE_ABSENT)
			ret->result = CHECK_HOLDS;
		exact += l == LINE_EXACT && amount != 0;
		telling += l == LINE_EXACT && amount != 0 && quantity != 1000000;
	}
	/* quantities that are all 1 may be invented: then the price is the amount said again */
	if (n > 0 && exact == n && telling > 0)
		ret->result = CHECK_PROVES;
}

/* ---- balance ------------------------------------------------------------------------------------------- */

struct statement {
	struct field_value *rows, *opening, *closing;
	int amount, debit, credit, balance; /* columns */
	bool reverse;                       /* newest first */
};

/* What a row moves; false if it says nothing or two things. */
static bool row_movement(const struct statement *s, const cJSON *row, int64_t *ret)
{
	int64_t debit = 0, credit = 0;
	bool d, c;

	if (s->amount >= 0)
		return value_cents(cell(s->rows, row, s->amount), ret);
	d = value_cents(cell(s->rows, row, s->debit), &debit);
	c = value_cents(cell(s->rows, row, s->credit), &credit);
	*ret = credit - debit;
	return (d || c) && !(debit && credit);
}

struct walk {
	unsigned int n;     /* rows seen */
	unsigned int moved; /* rows whose movement ties their balance to the one before */
	bool gap;           /* a balance was missing or nothing came before: a link of the chain is open */
	bool known;
	int64_t balance; /* after the last row, if known */
};

static bool walk_row(const struct statement *s, const cJSON *row, struct walk *w, struct check_outcome *ret)
{
	int64_t moved = 0, after;
	bool moves = row_movement(s, row, &moved);
	char b[24], m[24], e[24];

	w->n++;
	if (!value_cents(cell(s->rows, row, s->balance), &after)) {
		w->gap = true;
		w->known = false;
		return true;
	}
	if (w->known && w->balance + moved != after) {
		outcome_fails(ret, "row %u: %s %s %s is not %s", w->n, money(w->balance, b),
			moved < 0 ? "-" : "+", money((int64_t)magnitude(moved), m), money(after, e));
		return false;
	}
	w->gap |= !w->known;
	w->moved += w->known && moves && moved != 0;
	w->balance = after;
	w->known = true;
	return true;
}

static void run_statement(const struct statement *s, struct check_outcome *ret)
{
	struct walk w = {};
	const cJSON *first = s->rows->value->child, *row;
	int64_t closing;
	char b[24], c[24];

	w.known = field_cents(s->opening, &w.balance);
	/* cJSON: the first item's prev is the last */
	for (row = s->reverse ? first->prev : first; row;
		row = s->reverse ? (row == first ? NULL : row->prev) : row->next)
		if (!walk_row(s, row, &w, ret))
			return;
	if (!field_cents(s->closing, &closing)) {
		w.gap = true;
	} else if (w.known && w.balance != closing) {
		outcome_fails(ret, "the last balance %s is not %s", money(w.balance, b), money(closing, c));
		return;
	}
	if (!w.gap && w.known && w.moved == w.n)
		ret->result = CHECK_PROVES;
	else if (w.known)
		ret->result = CHECK_HOLDS;
}

void rule_balance(const struct answer *a, const struct check_arg *args, struct check_outcome *ret)
{
	struct statement s = {
		.rows = args[0].field,
		.balance = args[1].column,
		.opening = args[2].field,
		.closing = args[3].field,
		.debit = args[4].column,
		.credit = args[5].column,
		.amount = args[6].column,
	};
	struct check_outcome other;

	if (!cJSON_IsArray(s.rows->value) || !s.rows->value->child)
		return;
	tie(ret, s.rows, bit(s.amount) | bit(s.debit) | bit(s.credit) | bit(s.balance));
	if (s.opening->value)
		tie(ret, s.opening, 0);
	if (s.closing->value)
		tie(ret, s.closing, 0);
	other = *ret;
	run_statement(&s, ret);
	if (ret->result != CHECK_FAILS)
		return;
	s.reverse = true;
	run_statement(&s, &other);
	if (other.result == CHECK_PROVES)
		*ret = other;
}
