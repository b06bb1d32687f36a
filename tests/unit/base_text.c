#include "tests/unit/test.h"

#include "base/text.h"

#define BAD "\xef\xbf\xbd"

static void check_safe(const char *in, size_t len, size_t max, const char *want)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(text_safe(&b, in, len, max), 0);
	CHECK_STR(buf_str(&b), want);
	CHECK(utf8_valid(buf_str(&b), b.len));
}
#define SAFE(in, want) check_safe(in, sizeof(in) - 1, 0, want)

TEST(sequences)
{
	uint32_t c;

	CHECK(utf8_sequence("a", 1, &c) == 1 && c == 'a');
	CHECK(utf8_sequence("\xc3\xa9", 2, &c) == 2 && c == 0xe9);
	CHECK(utf8_sequence("\xe2\x82\xac", 3, &c) == 3 && c == 0x20ac);
	CHECK(utf8_sequence("\xf0\x9f\x98\x80", 4, &c) == 4 && c == 0x1f600);
	CHECK(utf8_sequence("\xf4\x8f\xbf\xbf", 4, &c) == 4 && c == 0x10ffff);
	CHECK_INT(utf8_sequence("", 0, &c), 0);
	for (const char *const *s = (const char *const[]){"\x80", "\xbf", "\xc0\x80",
		     "\xc1\xbf", /* continuation alone, overlong */
		     "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", /* overlong */
		     "\xed\xa0\x80", "\xed\xbf\xbf",                                         /* surrogates */
		     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\xc3",
		     "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2(\xa1", NULL};
		*s; s++) {
		CHECK_INT(utf8_sequence(*s, strlen(*s), &c), 0);
		CHECK(!utf8_valid(*s, strlen(*s)));
	}
	CHECK(utf8_valid("", 0));
	CHECK(utf8_valid("a\0b", 3));
	CHECK_INT(utf8_sequence("\xe2\x82\xac", 2, NULL), 0); /* the length counts, not what is behind */
}

/* Every code point: what UTF-8 can say comes back as said. */
TEST(every_code_point)
{
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		uint32_t back = 0;
		char s[4];
		size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		bool surrogate = c >= 0xd800 && c <= 0xdfff;

		s[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c >> 6 * (n - 1));
		for (size_t i = 1; i < n; i++)
			s[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
		if (utf8_sequence(s, n, &back) != (surrogate ? 0 : n) || (!surrogate && back != c))
			test_fail(__FILE__, __LINE__, "U+%04X", (unsigned int)c);
	}
}

TEST(safe_controls)
{
	SAFE("plain \xc3\xa9\xe2\x82\xac \xe4\xb8\xad", "plain \xc3\xa9\xe2\x82\xac \xe4\xb8\xad");
	SAFE("a\tb\r\nc", "a b  c");
	SAFE("\x1b[31mred", BAD "[31mred");
	SAFE("a\0b\x7f", "a" BAD "b" BAD);
	SAFE("\xc2\x9b"
	     "31m",
		BAD "31m"); /* C1: CSI */
	SAFE("bad\xff\xc3", "bad" BAD BAD);
	SAFE("\xed\xa0\x80", BAD BAD BAD);
	SAFE("", "");
}

TEST(safe_bidi_and_invisible)
{
	static const uint32_t all[] = {0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069,
		0x200e, 0x200f, 0x061c, 0x200b, 0x200c, 0x200d, 0x2060, 0xfeff, 0x2028, 0x2029, 0x00ad,
		0x3164, 0xfff9, 0xe0041};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		uint32_t c = all[i];
		char s[8] = {};

		if (c < 0x800) {
			s[0] = (char)(0xc0 | c >> 6);
			s[1] = (char)(0x80 | (c & 63));
		} else if (c < 0x10000) {
			s[0] = (char)(0xe0 | c >> 12);
			s[1] = (char)(0x80 | (c >> 6 & 63));
			s[2] = (char)(0x80 | (c & 63));
		} else {
			s[0] = (char)(0xf0 | c >> 18);
			s[1] = (char)(0x80 | (c >> 12 & 63));
			s[2] = (char)(0x80 | (c >> 6 & 63));
			s[3] = (char)(0x80 | (c & 63));
		}
		check_safe(s, strlen(s), 0, BAD);
	}
}

TEST(safe_cut)
{
	check_safe("hello", 5, 5, "hello");
	check_safe("hello!", 6, 5, "hell\xe2\x80\xa6");
	check_safe("hello", 5, 1, "\xe2\x80\xa6");
	check_safe("h", 1, 1, "h");
	check_safe("\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad", 9, 5,
		"\xe4\xb8\xad\xe4\xb8\xad\xe2\x80\xa6"); /* two columns each */
	check_safe("\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad", 9, 4, "\xe4\xb8\xad\xe2\x80\xa6");
	check_safe("\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad", 9, 6, "\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad");
	check_safe("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81", 9, 3, "e\xcc\x81\xe2\x80\xa6"); /* a heap of marks */
}

TEST(safe_is_all_or_nothing)
{
	_cleanup_buf_ struct buf b = BUF_MAX(6);

	CHECK_INT(buf_adds(&b, "abc"), 0);
	CHECK_INT(text_safe(&b, "1234", 4, 0), -EMSGSIZE);
	CHECK_STR(buf_str(&b), "abc");
}

TEST(safe_copy)
{
	char out[8];

	CHECK_STR(text_safe_copy(out, sizeof(out), "1234567"), "1234567");
	CHECK_STR(text_safe_copy(out, sizeof(out), "12345678"), "1234\xe2\x80\xa6");
	CHECK_STR(text_safe_copy(out, sizeof(out), "123456\xc3\xa9"),
		"1234\xe2\x80\xa6"); /* no half character */
	CHECK_STR(text_safe_copy(out, sizeof(out), "\n\x1b"), " " BAD);
	CHECK_STR(text_safe_copy(out, 3, "abcdef"), "");
	CHECK_STR(text_safe_copy(out, 1, "abc"), "");
}

TEST(columns)
{
	CHECK_INT(text_columns(""), 0);
	CHECK_INT(text_columns("abc"), 3);
	CHECK_INT(text_columns("caf\xc3\xa9"), 4);
	CHECK_INT(text_columns("cafe\xcc\x81"), 4);
	CHECK_INT(text_columns("\xe4\xb8\xad\xe6\x96\x87"), 4);
	CHECK_INT(text_columns("\xef\xbc\xa1"), 2); /* fullwidth A */
	CHECK_INT(text_columns("\xf0\x9f\x98\x80"), 2);
	CHECK_INT(text_columns("\xff"), 1);
}

static void check_csv(const char *in, const char *want)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(text_csv_cell(&b, in), 0);
	CHECK_STR(buf_str(&b), want);
}

TEST(csv)
{
	check_csv("", "");
	check_csv("plain", "plain");
	check_csv("a,b", "\"a,b\"");
	check_csv("say \"hi\"", "\"say \"\"hi\"\"\"");
	check_csv("two\nlines", "\"two\nlines\"");
	check_csv(" edge ", "\" edge \"");
	check_csv("\x1b[31m", BAD "[31m");
	check_csv("=1+1", "\"'=1+1\"");
	check_csv("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\"");
	check_csv("@SUM(A1)", "\"'@SUM(A1)\"");
	check_csv("-1+cmd|' /C calc'!A0", "\"'-1+cmd|' /C calc'!A0\"");
	check_csv("+61 2 9999", "\"'+61 2 9999\"");
	check_csv("\t=1", "\"'\t=1\"");
	check_csv("\r=1", "\"'\r=1\"");
	check_csv("-12.50", "-12.50");
	check_csv("+3", "+3");
	check_csv("-", "\"'-\"");
	check_csv("-1.", "\"'-1.\"");
}
