/* The ready-made parsers of configuration values. Each says in `allowed` what it takes. */
#include <inttypes.h>
#include <stdio.h>

#include "base/ini.h"
#include "base/parse.h"
#include "base/text.h"

#define NUMBER_SIZE 48

static const struct ini_range everything = {INT64_MIN, INT64_MAX};
static const struct ini_range natural = {0, INT64_MAX};

struct unit {
	const char *name;
	int64_t factor;
};

/* "512M": in the largest unit that holds it exactly. Units go from large to small. */
static void format_exact(int64_t v, const struct unit *units, size_t n, char out[static NUMBER_SIZE])
{
	size_t i = 0;

	while (i + 1 < n && (v == 0 || v % units[i].factor != 0))
		i++;
	str_format(out, NUMBER_SIZE, "%" PRIi64 "%s", v / units[i].factor, units[i].name);
}

static void format_bytes(int64_t v, char out[static NUMBER_SIZE])
{
	static const struct unit units[] = {
		{"T", INT64_C(1) << 40},
		{"G", INT64_C(1) << 30},
		{"M", INT64_C(1) << 20},
		{"K", INT64_C(1) << 10},
		{"", 1},
	};

	format_exact(v, units, ARRAY_SIZE(units), out);
}

static void format_duration(int64_t v, char out[static NUMBER_SIZE])
{
	static const struct unit units[] = {
		{"w", 604800000},
		{"d", 86400000},
		{"h", 3600000},
		{"min", 60000},
		{"s", 1000},
		{"ms", 1},
	};

	format_exact(v, units, ARRAY_SIZE(units), out);
}

static void format_plain(int64_t v, char out[static NUMBER_SIZE])
{
	str_format(out, NUMBER_SIZE, "%" PRIi64, v);
}

/* "a size in bytes from 1M to 64G, as 512M" */
static void say_range(const char *what, const char *example, const struct ini_range *r,
	void (*format)(int64_t v, char out[static NUMBER_SIZE]), char *allowed, size_t n)
{
	char min[NUMBER_SIZE], max[NUMBER_SIZE], range[2 * NUMBER_SIZE + 16] = "";

	format(r->min, min);
	format(r->max, max);
	if (r->min > INT64_MIN && r->max < INT64_MAX)
		str_format(range, sizeof(range), " from %s to %s", min, max);
	else if (r->min > INT64_MIN)
		str_format(range, sizeof(range), " of at least %s", min);
	else if (r->max < INT64_MAX)
		str_format(range, sizeof(range), " of at most %s", max);
	snprintf(allowed, n, "%s%s%s", what, range, example);
}

int ini_parse_int64(const char *v, void *target, const void *range, char *allowed, size_t n)
{
	const struct ini_range *r = range ? range : &everything;

	say_range("a whole number", "", r, format_plain, allowed, n);
	return parse_i64(v, r->min, r->max, target);
}

int ini_parse_bytes(const char *v, void *target, const void *range, char *allowed, size_t n)
{
	const struct ini_range *r = range ? range : &natural;
	uint64_t u;
	int e;

	say_range("a size in bytes", " (512M and 2G are written so)", r, format_bytes, allowed, n);
	e = parse_size(v, (uint64_t)MAX(r->min, (int64_t)0), (uint64_t)r->max, &u);
	if (e == 0)
		*(int64_t *)target = (int64_t)u;
	return e;
}

int ini_parse_duration_ms(const char *v, void *target, const void *range, char *allowed, size_t n)
{
	const struct ini_range *r = range ? range : &natural;

	say_range("a time", " (90s and 1h 30min are written so)", r, format_duration, allowed, n);
	return parse_duration(v, r->min, r->max, target);
}

int ini_parse_boolean(const char *v, void *target, const void *unused, char *allowed, size_t n)
{
	snprintf(allowed, n, "yes or no");
	return parse_bool(v, target);
}

int ini_parse_choice(const char *v, void *target, const void *ini_enum, char *allowed, size_t n)
{
	const struct ini_enum *e = ini_enum;
	size_t used = 0;
	int found = -EINVAL;

	for (int i = 0; e->names[i]; i++) {
		const char *between = i == 0 ? "" : e->names[i + 1] ? ", " : " or ";
		int len = str_format(allowed + used, n - used, "%s%s", between, e->names[i]);

		used += len > 0 ? (size_t)len : 0;
		if (streq(v, e->names[i]))
			found = i;
	}
	if (found < 0)
		return found;
	*(int *)target = found;
	return 0;
}

/* UTF-8 without anything that would be shown as something else. */
static int check_text(const char *v)
{
	_cleanup_buf_ struct buf safe = {};
	int r = text_safe(&safe, v, strlen(v), 0);

	if (r < 0)
		return r;
	return streq(buf_str(&safe), v) ? 0 : -EINVAL;
}

static int parse_text(const char *v, char *target, size_t size)
{
	int r = check_text(v);

	if (r < 0)
		return r;
	if (strlen(v) >= size)
		return -ENOBUFS;
	str_copy(target, size, v);
	return 0;
}

int ini_parse_text(const char *v, void *target, const void *ini_string, char *allowed, size_t n)
{
	const struct ini_string *s = ini_string;

	snprintf(allowed, n, "a text of at most %zu bytes without control characters", s->size - 1);
	return parse_text(v, target, s->size);
}

int ini_parse_path(const char *v, void *target, const void *ini_string, char *allowed, size_t n)
{
	const struct ini_string *s = ini_string;

	snprintf(allowed, n, "an absolute path of at most %zu bytes", s->size - 1);
	return v[0] == '/' ? parse_text(v, target, s->size) : -EINVAL;
}
