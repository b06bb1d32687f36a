/* Sums of usage as a table, with a bar chart on a terminal; or for programs. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/text.h"
#include "ctl/table.h"
#include "ctl/usage.h"

#define KEY_COLUMNS 44
#define KEY_MIN     20 /* of a name, with both its ends */
#define BAR_MIN     6
#define WIDE        100 /* columns of a terminal that has room for what matters less */
#define BAR_MAX     40
#define GAP_DAYS    31 /* days without a request are shown, unless they are more */
#define DAY_MS      INT64_C(86400000)

static bool by_time(const struct usage *u)
{
	return streq(u->by, "day") || streq(u->by, "month");
}

/* In time the oldest first, else what cost (or, at no cost, was asked) most. */
static int compare(const void *a, const void *b, void *ud)
{
	const struct usage_group *x = a, *y = b;
	static const enum usage_count weights[] = {U_COST, U_REQUESTS};

	for (size_t i = 0; !by_time(ud) && i < ARRAY_SIZE(weights); i++)
		if (x->n[weights[i]] != y->n[weights[i]])
			return x->n[weights[i]] < y->n[weights[i]] ? 1 : -1;
	return strcmp(x->key, y->key);
}

/* ---- for programs -------------------------------------------------------------------------------------- */

static int put_json(const struct usage *u, const struct usage_group *g)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char digits[24];
	int r = j ? json_add_string(j, u->by, *g->key ? g->key : NULL) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < USAGE_COUNTS; i++) {
		str_format(digits, sizeof(digits), "%" PRId64, g->n[i]);
		r = usage_members[i].money ? json_add_string(j, usage_members[i].json, digits) : json_add_i64(j, usage_members[i].json, g->n[i]);
	}
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put_json(j);
}

static int csv_row(const struct usage_group *g, struct buf *out)
{
	int r = text_csv_cell(out, g->key);

	for (size_t i = 0; r >= 0 && i < USAGE_COUNTS; i++) {
		r = buf_addc(out, ',');
		if (r >= 0)
			r = usage_members[i].money ? format_decimal(out, g->n[i]) : buf_addf(out, "%" PRId64, g->n[i]);
	}
	return r < 0 ? r : buf_adds(out, "\r\n");
}

static int put_csv(const struct usage *u)
{
	_cleanup_buf_ struct buf out = {};
	int r = buf_adds(&out, u->by);

	for (size_t i = 0; r >= 0 && i < USAGE_COUNTS; i++)
		r = buf_addf(&out, ",%s", usage_members[i].csv);
	if (r >= 0)
		r = buf_adds(&out, "\r\n");
	for (size_t i = 0; r >= 0 && i < u->n; i++)
		r = csv_row(&u->groups[i], &out);
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

/* ---- for people ---------------------------------------------------------------------------------------- */

static int64_t day_number(const char *day)
{
	char full[24];
	int64_t ms;

	return str_format(full, sizeof(full), "%.10sT00:00:00Z", day) < 0 || parse_timestamp(full, &ms) < 0 ? -1 : ms / DAY_MS;
}

/* Groups of nothing for the days between two. */
static int fill_days(struct usage *u)
{
	struct usage_group *filled = NULL;
	size_t n = 0;
	int64_t last = -1;

	if (!streq(u->by, "day"))
		return 0;
	filled = calloc(u->n * (GAP_DAYS + 1) + 1, sizeof(*filled));
	if (!filled)
		return -ENOMEM;
	for (size_t i = 0; i < u->n; i++) {
		int64_t day = day_number(u->groups[i].key);

		for (int64_t d = last + 1; last >= 0 && day - last <= GAP_DAYS && d < day; d++) {
			char time[TIMESTAMP_SIZE];

			timestamp_format(d * DAY_MS, false, time);
			str_format(filled[n++].key, sizeof(filled[0].key), "%.10s", time);
		}
		filled[n++] = u->groups[i];
		last = day;
	}
	free(u->groups);
	u->groups = filled;
	u->n = n;
	return 0;
}

/* Of `width` columns a share of part / whole, in eighths where the terminal has them; what is not nothing is seen. */
static int bar(struct buf *out, const struct look *l, int64_t part, int64_t whole, size_t width)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	size_t n = whole > 0 ? (size_t)((double)part / (double)whole * (double)width * 8) : 0;
	int r = 0;

	n = CLAMP(n, (size_t)(part > 0), width * 8);
	if (l->ascii)
		n = (n + 7) / 8 * 8;
	for (size_t i = 0; r >= 0 && i < n / 8; i++)
		r = buf_adds(out, l->ascii ? "#" : "█");
	return r < 0 ? r : buf_adds(out, eighths[n % 8]);
}

static int count_cell(struct table *t, int64_t n)
{
	char digits[24] = "";

	if (n != 0)
		str_format(digits, sizeof(digits), "%" PRId64, n);
	return table_cell(t, STYLE_PLAIN, digits);
}

static int money_cell(struct table *t, int64_t pusd)
{
	_cleanup_buf_ struct buf text = {};
	int r = pusd != 0 ? format_money_exact(&text, pusd) : 0;

	return r < 0 ? r : table_cell(t, STYLE_PLAIN, buf_str(&text));
}

/* What of the table a terminal has room for. */
struct shape {
	size_t key_columns;
	bool hidden[USAGE_COUNTS];
	size_t bar; /* columns of the longest; 0: none */
};

/* A column that is empty everywhere is left out. */
static int text_row(struct table *t, const struct look *l, const struct shape *s, const struct usage_group *g, const char *key)
{
	static const enum usage_count shown[] = {U_PAGES, U_REUSED, U_REQUESTS, U_INPUT, U_OUTPUT, U_CACHED};
	_cleanup_buf_ struct buf short_key = {};
	int r = format_middle(&short_key, l, key, s->key_columns);

	if (r >= 0)
		r = table_row(t);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, buf_str(&short_key));
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(shown); i++)
		r = count_cell(t, s->hidden[shown[i]] ? 0 : g->n[shown[i]]);
	return r < 0 ? r : money_cell(t, g->n[U_COST]);
}

static const char *key_text(const struct usage *u, const struct usage_group *g)
{
	return *g->key ? g->key : streq(u->by, "type") ? "not known" : "none";
}

static int64_t most(const struct usage *u, enum usage_count which)
{
	int64_t max = 0;

	for (size_t i = 0; i < u->n; i++)
		max = MAX(max, u->groups[i].n[which]);
	return max;
}

/* Something ended; what is open is told below the table. */
static bool has_ended(const struct usage_group *g)
{
	return g->n[U_REQUESTS] > 0 || g->n[U_REUSED] > 0;
}

static int table_text(const struct usage *u, const struct usage_group *total, const struct shape *s, const struct look *l, struct buf *out)
{
	const char *titles[] = {u->by, ">pages", ">reused", ">requests", ">tokens in", ">out", ">cached", ">cost", "", NULL};
	enum usage_count what = total->n[U_COST] > 0 ? U_COST : U_REQUESTS;
	_cleanup_table_ struct table *t = NULL;
	int r = table_new(titles, &t);

	for (size_t i = 0; r >= 0 && i < u->n; i++) {
		const struct usage_group *g = &u->groups[i];
		_cleanup_buf_ struct buf text = {};

		if (!*g->key && !has_ended(g))
			continue;
		r = text_row(t, l, s, g, key_text(u, g));
		if (r >= 0 && s->bar > 0)
			r = bar(&text, l, g->n[what], most(u, what), s->bar);
		if (r >= 0)
			r = table_cell(t, STYLE_GOOD, buf_str(&text));
	}
	if (r >= 0 && u->n > 1)
		r = text_row(t, l, s, total, "total");
	return r < 0 ? r : table_print(t, l, true, 0, 0, out);
}

static size_t widest(const struct buf *out)
{
	const char *line = buf_str(out), *end;
	size_t max = 0;

	for (; (end = strchr(line, '\n')); line = end + 1) {
		_cleanup_buf_ struct buf one = {};

		if (buf_add(&one, line, (size_t)(end - line)) >= 0)
			max = MAX(max, text_columns(buf_str(&one)));
	}
	return max;
}

/* Columns of the table without bars; 0: it cannot be made. */
static size_t columns_of(const struct usage *u, const struct usage_group *total, const struct shape *s)
{
	const struct look plain = {.terminal = true, .ascii = u->c->look.ascii};
	_cleanup_buf_ struct buf out = {};

	return table_text(u, total, s, &plain, &out) < 0 ? 0 : widest(&out);
}

static size_t widest_key(const struct usage *u, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n; i++) {
		_cleanup_buf_ struct buf text = {};

		if (format_middle(&text, &u->c->look, key_text(u, &u->groups[i]), max) >= 0)
			n = MAX(n, text_columns(buf_str(&text)));
	}
	return n;
}

/* The bars go first, then the middle of long names, then counts, those last that matter most; never what it cost. */
static struct shape shape_for(const struct usage *u, const struct usage_group *total)
{
	static const enum usage_count less[][2] = {{U_REUSED, U_REUSED}, {U_INPUT, U_OUTPUT}, {U_REQUESTS, U_REQUESTS}};
	size_t columns = look_columns(STDOUT_FILENO), key = widest_key(u, KEY_COLUMNS), least = by_time(u) ? key : MIN(key, (size_t)KEY_MIN);
	struct shape s = {.key_columns = KEY_COLUMNS};

	if (!u->c->look.terminal)
		return s;
	s.hidden[U_CACHED] = columns < WIDE;
	for (size_t i = 0;; i++) {
		size_t used = columns_of(u, total, &s);

		if (used <= columns) {
			s.bar = columns < used + 2 + BAR_MIN ? 0 : MIN(columns - used - 2, (size_t)BAR_MAX);
			return s;
		}
		if (i == ARRAY_SIZE(less) || key >= least + (used - columns)) {
			s.key_columns = MAX(key - MIN(key, used - columns), least);
			return s;
		}
		s.hidden[less[i][0]] = s.hidden[less[i][1]] = true;
	}
}

static int add_apart(const struct usage_group *total, struct buf *out)
{
	int r = 0;

	if (total->n[U_UNREPORTED] > 0) {
		r = buf_addf(out, "of that possibly billed, in %" PRId64 " requests that no usage came back for: ", total->n[U_UNREPORTED]);
		if (r >= 0)
			r = format_money_exact(out, total->n[U_POSSIBLY]);
		if (r >= 0)
			r = buf_addc(out, '\n');
	}
	if (r >= 0 && total->n[U_OPEN] > 0) {
		r = buf_addf(out, "besides, %" PRId64 " requests are open; they cost at most ", total->n[U_OPEN]);
		if (r >= 0)
			r = format_money_exact(out, total->n[U_RESERVED]);
		if (r >= 0)
			r = buf_addc(out, '\n');
	}
	return r;
}

static int put_text(struct usage *u)
{
	struct usage_group total = {};
	_cleanup_buf_ struct buf out = {};
	struct shape shape;
	int r = 0;

	for (size_t i = 0; i < u->n; i++)
		for (size_t k = 0; k < USAGE_COUNTS; k++)
			if (__builtin_add_overflow(total.n[k], u->groups[i].n[k], &total.n[k]))
				total.n[k] = INT64_MAX;
	if (has_ended(&total))
		r = fill_days(u);
	shape = shape_for(u, &total);
	if (r >= 0 && has_ended(&total))
		r = table_text(u, &total, &shape, &u->c->look, &out);
	else if (r >= 0)
		r = buf_addf(&out, "no request has ended since %s\n", u->since);
	if (r >= 0)
		r = add_apart(&total, &out);
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

int usage_put(struct usage *u)
{
	int r = EXIT_WELL;

	if (u->n > 0)
		qsort_r(u->groups, u->n, sizeof(u->groups[0]), compare, u);
	if (u->c->options.csv)
		return put_csv(u);
	if (!u->c->options.json)
		return put_text(u);
	for (size_t i = 0; r == EXIT_WELL && i < u->n; i++)
		r = put_json(u, &u->groups[i]);
	return r;
}
