#include "base/parse.h"

#include <strings.h>

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One or more digits at *s, which moves past them. */
static int digits_u64(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;
	int r = 0;

	if (!digit(*p))
		return -EINVAL;
	for (; digit(*p); p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			r = -ERANGE; /* go on: "999..9x" is not of the form rather than too large */
	*s = p;
	*ret = v;
	return r;
}

/* A magnitude with its sign as int64_t. */
static int sign_i64(bool negative, uint64_t magnitude, int64_t *ret)
{
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t magnitude;
	int64_t v = 0;
	int r;

	s += negative;
	r = digits_u64(&s, &magnitude);
	if (r == -EINVAL || *s)
		return -EINVAL;
	if (r == 0)
		r = sign_i64(negative, magnitude, &v);
	if (r < 0 || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int r = digits_u64(&s, &v);

	if (r == -EINVAL || *s)
		return -EINVAL;
	if (r < 0 || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	static const char *const names[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (int v = 0; v < 2; v++)
			if (strcasecmp(s, names[i][v]) == 0) {
				*ret = v;
				return 0;
			}
	return -EINVAL;
}

int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	unsigned int shift = 0;
	uint64_t v;
	int r = digits_u64(&s, &v);

	if (r == -EINVAL)
		return r;
	if (*s) {
		const char *suffix = strchr(suffixes, *s++);

		if (!suffix || *s)
			return -EINVAL;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (r < 0 || v > UINT64_MAX >> shift)
		return -ERANGE;
	v <<= shift;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int duration_unit(const char **s, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {
		{"ms", 1},
		{"s", 1000},
		{"min", 60000},
		{"h", 3600000},
		{"d", 86400000},
		{"w", 604800000},
	};
	size_t len = 0;

	while ((*s)[len] >= 'a' && (*s)[len] <= 'z')
		len++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && strncmp(*s, units[i].name, len) == 0) {
			*s += len;
			*ret_ms = units[i].ms;
			return 0;
		}
	return -EINVAL;
}

int parse_duration(const char *s, int64_t min_ms, int64_t max_ms, int64_t *ret_ms)
{
	uint64_t total = 0, v, unit;
	bool overflow = false;
	const char *bare = s;
	int r = digits_u64(&bare, &v);

	if (r != -EINVAL && !*bare) { /* seconds */
		overflow = r < 0 || __builtin_mul_overflow(v, (uint64_t)1000, &total);
		s = bare;
	} else if (!digit(*s)) {
		return -EINVAL;
	}
	while (*s) {
		r = digits_u64(&s, &v);
		if (r == -EINVAL)
			return r;
		while (blank(*s))
			s++;
		if (duration_unit(&s, &unit) < 0)
			return -EINVAL;
		overflow |= r < 0 || __builtin_mul_overflow(v, unit, &v) ||
			    __builtin_add_overflow(total, v, &total);
		if (!blank(*s))
			continue;
		while (blank(*s))
			s++;
		if (!*s)
			return -EINVAL; /* a blank at the end */
	}
	if (overflow || total > INT64_MAX || (int64_t)total < min_ms || (int64_t)total > max_ms)
		return -ERANGE;
	*ret_ms = (int64_t)total;
	return 0;
}

int parse_decimal(const char *s, unsigned int scale, int64_t *ret)
{
	bool negative = *s == '-', overflow;
	unsigned int places = 0;
	uint64_t v;
	int64_t out;
	int r;

	s += negative;
	r = digits_u64(&s, &v);
	if (r == -EINVAL)
		return r;
	overflow = r < 0;
	if (*s == '.') {
		if (!digit(*++s))
			return -EINVAL;
		for (; digit(*s); s++, places++)
			overflow |= __builtin_mul_overflow(v, 10, &v) ||
				    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v);
	}
	if (*s || places > scale)
		return -EINVAL;
	for (; places < scale && v > 0 && !overflow; places++)
		overflow = __builtin_mul_overflow(v, 10, &v);
	if (overflow || sign_i64(negative, v, &out) < 0)
		return -ERANGE;
	*ret = out;
	return 0;
}

/* Exactly n digits at *s, which moves past them. */
static int fixed_digits(const char **s, unsigned int n, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (!digit(**s))
			return -EINVAL;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return 0;
}

/* The character c in either case. */
static int expect(const char **s, char c)
{
	if (**s != c && **s != (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c))
		return -EINVAL;
	(*s)++;
	return 0;
}

struct date {
	int year, month, day, hour, minute, second;
};

bool date_exists(int year, int month, int day)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month >= 1 && month <= 12 && day >= 1 && day <= lengths[month - 1] + (month == 2 && leap);
}

/* Second 60: a leap second counts as the next one. */
static bool date_valid(const struct date *d)
{
	return date_exists(d->year, d->month, d->day) && d->hour < 24 && d->minute < 60 && d->second <= 60;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; the year starts in March, so that the leap day
 * is its last. */
static int64_t date_days(const struct date *d)
{
	int64_t y = d->year - (d->month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (d->month + (d->month > 2 ? -3 : 9)) + 2) / 5 + d->day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t date_seconds(const struct date *d)
{
	return date_days(d) * 86400 + d->hour * 3600 + d->minute * 60 + d->second;
}

static int parse_clock_time(const char **s, struct date *d)
{
	if (fixed_digits(s, 2, &d->hour) < 0 || expect(s, ':') < 0 || fixed_digits(s, 2, &d->minute) < 0 ||
		expect(s, ':') < 0 || fixed_digits(s, 2, &d->second) < 0)
		return -EINVAL;
	return 0;
}

/* ".123456": milliseconds, the rest is dropped. None is zero. */
static int parse_fraction(const char **s, int *ret_ms)
{
	int ms = 0, weight = 100;

	if (**s == '.') {
		if (!digit(*++*s))
			return -EINVAL;
		for (; digit(**s); (*s)++, weight /= 10)
			ms += (**s - '0') * weight;
	}
	*ret_ms = ms;
	return 0;
}

/* "Z" or "+10:00": seconds east of UTC. */
static int parse_offset(const char **s, int *ret_seconds)
{
	int sign = **s == '-' ? -1 : 1, hours, minutes;

	if (expect(s, 'Z') == 0) {
		*ret_seconds = 0;
		return 0;
	}
	if (**s != '+' && **s != '-')
		return -EINVAL;
	(*s)++;
	if (fixed_digits(s, 2, &hours) < 0 || expect(s, ':') < 0 || fixed_digits(s, 2, &minutes) < 0)
		return -EINVAL;
	if (hours > 23 || minutes > 59)
		return -EINVAL;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return 0;
}

int parse_timestamp(const char *s, int64_t *ret_ms)
{
	struct date d;
	int ms, offset;

	if (fixed_digits(&s, 4, &d.year) < 0 || expect(&s, '-') < 0 || fixed_digits(&s, 2, &d.month) < 0 ||
		expect(&s, '-') < 0 || fixed_digits(&s, 2, &d.day) < 0 || expect(&s, 'T') < 0)
		return -EINVAL;
	if (parse_clock_time(&s, &d) < 0 || parse_fraction(&s, &ms) < 0 || parse_offset(&s, &offset) < 0 ||
		*s)
		return -EINVAL;
	if (!date_valid(&d))
		return -ERANGE;
	*ret_ms = (date_seconds(&d) - offset) * 1000 + ms;
	return 0;
}

/* One of n three-letter names at *s: its index, or -EINVAL. */
static int name3(const char **s, const char *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strncmp(*s, names + 3 * i, 3) == 0) {
			*s += 3;
			return i;
		}
	return -EINVAL;
}

int parse_http_date(const char *s, int64_t *ret_ms)
{
	struct date d;
	int weekday = name3(&s, "ThuFriSatSunMonTueWed", 7); /* in the order of 1970 */

	if (weekday < 0 || !starts_with(s, ", "))
		return -EINVAL;
	s += 2;
	if (fixed_digits(&s, 2, &d.day) < 0 || expect(&s, ' ') < 0)
		return -EINVAL;
	d.month = name3(&s, "JanFebMarAprMayJunJulAugSepOctNovDec", 12) + 1;
	if (d.month < 1 || expect(&s, ' ') < 0 || fixed_digits(&s, 4, &d.year) < 0 || expect(&s, ' ') < 0)
		return -EINVAL;
	if (parse_clock_time(&s, &d) < 0 || !streq(s, " GMT"))
		return -EINVAL;
	if (!date_valid(&d))
		return -ERANGE;
	if ((date_days(&d) % 7 + 7) % 7 != weekday)
		return -EINVAL; /* a date that contradicts itself teaches nothing */
	*ret_ms = date_seconds(&d) * 1000;
	return 0;
}

int parse_name(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (s[len] || len < 1 || len > 32 || s[0] == '-')
		return -EINVAL;
	return 0;
}

int parse_word(const char **state, char *ret, size_t size)
{
	static const char separators[] = " \t\r\n,";
	const char *s = *state ? *state + strspn(*state, separators) : "";
	size_t len = strcspn(s, separators);

	*state = s + len;
	if (len == 0)
		return 0;
	if (len >= size)
		return -ENOBUFS;
	memcpy(ret, s, len);
	ret[len] = 0;
	return 1;
}
