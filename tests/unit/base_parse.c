#include "tests/unit/test.h"

#include <time.h>

#include "base/parse.h"

TEST(i64)
{
	int64_t v = 7;

	CHECK_INT(parse_i64("0", INT64_MIN, INT64_MAX, &v), 0);
	CHECK_INT(v, 0);
	CHECK_INT(parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v), 0);
	CHECK(v == INT64_MAX);
	CHECK_INT(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
	CHECK(v == INT64_MIN);
	CHECK_INT(parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_i64("99999999999999999999999", INT64_MIN, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_i64("99999999999999999999999x", INT64_MIN, INT64_MAX, &v), -EINVAL);
	CHECK_INT(parse_i64("5", 6, 9, &v), -ERANGE);
	CHECK_INT(parse_i64("10", 6, 9, &v), -ERANGE);
	CHECK_INT(parse_i64("9", 6, 9, &v), 0);
	v = 3;
	for (const char *const *s = (const char *const[]){"", "-", "+1", " 1", "1 ", "0x10", "1e3", "1.0",
		     "--1", "a", NULL};
		*s; s++)
		CHECK_INT(parse_i64(*s, INT64_MIN, INT64_MAX, &v), -EINVAL);
	CHECK_INT(v, 3); /* untouched by errors */
}

TEST(u64)
{
	uint64_t v;

	CHECK_INT(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	CHECK(v == UINT64_MAX);
	CHECK_INT(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_u64("-1", 0, UINT64_MAX, &v), -EINVAL);
	CHECK_INT(parse_u64("", 0, UINT64_MAX, &v), -EINVAL);
	CHECK_INT(parse_u64("5", 0, 4, &v), -ERANGE);
}

TEST(bool_names)
{
	bool b = false;

	for (const char *const *s = (const char *const[]){"yes", "YES", "true", "on", "On", "1", NULL}; *s;
		s++)
		CHECK(parse_bool(*s, &b) == 0 && b);
	for (const char *const *s = (const char *const[]){"no", "False", "off", "0", NULL}; *s; s++)
		CHECK(parse_bool(*s, &b) == 0 && !b);
	for (const char *const *s = (const char *const[]){"", "y", "n", "2", "yes ", "enable", NULL}; *s; s++)
		CHECK_INT(parse_bool(*s, &b), -EINVAL);
}

TEST(sizes)
{
	uint64_t v;

	CHECK(parse_size("0", 0, UINT64_MAX, &v) == 0 && v == 0);
	CHECK(parse_size("512", 0, UINT64_MAX, &v) == 0 && v == 512);
	CHECK(parse_size("1K", 0, UINT64_MAX, &v) == 0 && v == 1024);
	CHECK(parse_size("3M", 0, UINT64_MAX, &v) == 0 && v == 3u << 20);
	CHECK(parse_size("2G", 0, UINT64_MAX, &v) == 0 && v == 2ull << 30);
	CHECK(parse_size("16777215T", 0, UINT64_MAX, &v) == 0 && v == 16777215ull << 40);
	CHECK_INT(parse_size("16777216T", 0, UINT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_size("1M", 0, 1 << 19, &v), -ERANGE);
	for (const char *const *s =
			(const char *const[]){"", "M", "1m", "1 M", "1MB", "1.5M", "-1M", "1P", NULL};
		*s; s++)
		CHECK_INT(parse_size(*s, 0, UINT64_MAX, &v), -EINVAL);
}

TEST(durations)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"0", 0},
		{"90", 90000},
		{"250ms", 250},
		{"5s", 5000},
		{"5 s", 5000},
		{"2min", 120000},
		{"1h 30min", 5400000},
		{"1h30min", 5400000},
		{"1d", 86400000},
		{"1w  1d", 691200000},
		{"1s 1s", 2000},
	};
	int64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(parse_duration(good[i].text, 0, INT64_MAX, &v), 0);
		CHECK_INT(v, good[i].ms);
	}
	for (const char *const *s = (const char *const[]){"", " ", "s", "1m", "1h 30", "1.5h", "-1s", " 1s",
		     "1s ", "1 ", "1sec", "1hh", "1S", NULL};
		*s; s++)
		CHECK_INT(parse_duration(*s, 0, INT64_MAX, &v), -EINVAL);
	CHECK_INT(parse_duration("99999999999999999", 0, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_duration("9223372036854775807ms 1ms", 0, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_duration("99999999999999999999w", 0, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_duration("30515000000w 1d", 0, INT64_MAX, &v), -ERANGE);
	CHECK_INT(parse_duration("2h", 0, 3600000, &v), -ERANGE);
	CHECK_INT(parse_duration("1ms", 2, 3600000, &v), -ERANGE);
}

TEST(decimals)
{
	static const struct {
		const char *text;
		unsigned int scale;
		int64_t v;
	} good[] = {
		{"0.84", 6, 840000},
		{"-1234.50", 2, -123450},
		{"0", 0, 0},
		{"-0.00", 2, 0},
		{"17", 3, 17000},
		{"9223372036854775807", 0, INT64_MAX},
		{"-92233720368547758.08", 2, INT64_MIN},
		{"0", 30, 0},
		{"007.5", 1, 75},
	};
	int64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(parse_decimal(good[i].text, good[i].scale, &v), 0);
		CHECK_INT(v, good[i].v);
	}
	CHECK_INT(parse_decimal("92233720368547758.08", 2, &v), -ERANGE);
	CHECK_INT(parse_decimal("1", 19, &v), -ERANGE);
	CHECK_INT(parse_decimal("1", 4000000000u, &v), -ERANGE);
	CHECK_INT(parse_decimal("0.123", 2, &v), -EINVAL);
	CHECK_INT(parse_decimal("1.00", 1, &v), -EINVAL); /* more digits than the scale, zeros too */
	for (const char *const *s = (const char *const[]){"", "-", ".5", "1.", "1,5", "+1", "1e2", "1 ",
		     "1.2.3", "$1", NULL};
		*s; s++)
		CHECK_INT(parse_decimal(*s, 6, &v), -EINVAL);
}

TEST(timestamps)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-21T00:00:00Z", INT64_C(1795219200000)},
		{"2026-11-21t10:00:00+10:00", INT64_C(1795219200000)},
		{"2026-11-20T19:30:00-04:30", INT64_C(1795219200000)},
		{"2026-11-21T00:00:00.5Z", INT64_C(1795219200500)},
		{"2026-11-21T00:00:00.123999999Z", INT64_C(1795219200123)},
		{"2024-02-29T12:00:00z", INT64_C(1709208000000)},
		{"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
		{"1969-12-31T23:59:59Z", -1000},
		{"2000-03-01T00:00:00Z", INT64_C(951868800000)},
		{"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
	};
	int64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(parse_timestamp(good[i].text, &v), 0);
		CHECK_INT(v, good[i].ms);
	}
	for (const char *const *s = (const char *const[]){"", "2026-11-21", "2026-11-21T00:00:00",
		     "2026-11-21 00:00:00Z", "2026-11-21T00:00Z", "26-11-21T00:00:00Z",
		     "2026-11-21T00:00:00.Z", "2026-11-21T00:00:00Zx", "2026-11-21T00:00:00+1000",
		     "2026-11-21T00:00:00+24:00", "20261121T000000Z", NULL};
		*s; s++)
		CHECK_INT(parse_timestamp(*s, &v), -EINVAL);
	for (const char *const *s = (const char *const[]){"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		     "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
		     "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
		     "2026-01-00T00:00:00Z", NULL};
		*s; s++)
		CHECK_INT(parse_timestamp(*s, &v), -ERANGE);
}

/* The calendar against the C library's, over four centuries. */
TEST(timestamps_agree_with_libc)
{
	for (int64_t t = INT64_C(-62135596800) / 4; t < INT64_C(16725225600); t += 8640007) {
		time_t seconds = (time_t)t;
		char text[40];
		struct tm tm;
		int64_t v;

		gmtime_r(&seconds, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		CHECK_INT(parse_timestamp(text, &v), 0);
		CHECK_INT(v, t * 1000);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		CHECK_INT(parse_http_date(text, &v), 0);
		CHECK_INT(v, t * 1000);
	}
}

TEST(http_dates)
{
	int64_t v;

	CHECK_INT(parse_http_date("Sat, 21 Nov 2026 00:00:00 GMT", &v), 0);
	CHECK_INT(v, INT64_C(1795219200000));
	for (const char *const *s = (const char *const[]){"", "Sun, 21 Nov 2026 00:00:00 GMT",
		     "Sat, 21 Nov 2026 00:00:00 UTC", "Sat, 21 Nov 2026 00:00:00",
		     "Saturday, 21-Nov-26 00:00:00 GMT", "Sat Nov 21 00:00:00 2026",
		     "Sat, 1 Nov 2026 00:00:00 GMT", "sat, 21 nov 2026 00:00:00 gmt",
		     "Sat, 21 Nov 2026 00:00:00 GMT ", NULL};
		*s; s++)
		CHECK_INT(parse_http_date(*s, &v), -EINVAL);
	CHECK_INT(parse_http_date("Sat, 31 Nov 2026 00:00:00 GMT", &v), -ERANGE);
}

TEST(names)
{
	for (const char *const *s =
			(const char *const[]){"a", "0", "sydney-2", "abcdefghijklmnopqrstuvwxyz012345", NULL};
		*s; s++)
		CHECK_INT(parse_name(*s), 0);
	for (const char *const *s = (const char *const[]){"", "-a", "A", "a_b", "a b", "../x", "\xc3\xa4",
		     "abcdefghijklmnopqrstuvwxyz0123456", NULL};
		*s; s++)
		CHECK_INT(parse_name(*s), -EINVAL);
}

TEST(words)
{
	const char *s = " sydney, ocr,,toolongname x ";
	char w[8];

	CHECK_INT(parse_word(&s, w, sizeof(w)), 1);
	CHECK_STR(w, "sydney");
	CHECK_INT(parse_word(&s, w, sizeof(w)), 1);
	CHECK_STR(w, "ocr");
	CHECK_INT(parse_word(&s, w, sizeof(w)), -ENOBUFS);
	CHECK_INT(parse_word(&s, w, sizeof(w)), 1); /* goes on after the word that did not fit */
	CHECK_STR(w, "x");
	CHECK_INT(parse_word(&s, w, sizeof(w)), 0);
	CHECK_INT(parse_word(&s, w, sizeof(w)), 0);
	s = NULL;
	CHECK_INT(parse_word(&s, w, sizeof(w)), 0);
}
