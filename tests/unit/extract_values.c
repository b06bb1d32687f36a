#include "tests/unit/test.h"

#include "base/json.h"
#include "extract/answer.h"
#include "extract/checks.h"
#include "extract/values.h"

TEST(money_forms)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} t[] = {
		{"$1,234.50", "1234.50"},
		{"1 234.50", "1234.50"},
		{"1'234.50", "1234.50"},
		{"-$3.00", "-3.00"},
		{"$-3.00", "-3.00"},
		{"(3.00)", "-3.00"},
		{"($3.00)", "-3.00"},
		{"$(3.00)", "-3.00"},
		{"3.00-", "-3.00"},
		{"3.00 CR", "3.00"},
		{"3.00CR", "3.00"},
		{"3.00 DR", "-3.00"},
		{"$3.00dr", "-3.00"},
		{"-3.00 DR", "-3.00"},
		{"AUD 12", "12.00"},
		{"AUD12.00", "12.00"},
		{"12.00 AUD", "12.00"},
		{"A$12.00", "12.00"},
		{"AU$ 12.00", "12.00"},
		{"AUD $12.00", "12.00"},
		{"$12.00 AUD", "12.00"},
		{"12", "12.00"},
		{"12.5", "12.50"},
		{".50", "0.50"},
		{"0", "0.00"},
		{"-0.00", "0.00"},
		{"000012.00", "12.00"},
		{"+12.00", "12.00"},
		{"  $ 12.00  ", "12.00"},
		{"1,234,567.89", "1234567.89"},
		{"\xe2\x88\x92$3.00", "-3.00"},
		{"\xe2\x80\x93"
		 "3.00",
			"-3.00"},
		{"1\xc2\xa0"
		 "234.50",
			"1234.50"},
		{"1\xe2\x80\xaf"
		 "234.50",
			"1234.50"},
		{"999999999999.99", "999999999999.99"},
		{"12.345", NULL},
		{"1.2.3", NULL},
		{"1.234,50", NULL},
		{"12,34.50", NULL},
		{"1,2345.00", NULL},
		{"1234,567.00", NULL},
		{"1,234 567.00", NULL},
		{"", NULL},
		{"$", NULL},
		{"-", NULL},
		{"12.", NULL},
		{"twelve", NULL},
		{"12 dollars", NULL},
		{"(3.00", NULL},
		{"3.00)", NULL},
		{"(-3.00)", NULL},
		{"--3.00", NULL},
		{"-3.00 CR", NULL},
		{"(3.00) CR", NULL},
		{"3.00 CR DR", NULL},
		{"$$3.00", NULL},
		{"1e5", NULL},
		{"0x10", NULL},
		{"1000000000000.00", NULL},
		{"12..00", NULL},
		{"99999999999999999999999999999999", NULL},
		{"USD 12.00", NULL},
		{"12.00 13.00", NULL},
		{"10%", NULL},
		{"nan", NULL},
		{"\xff\xfe", NULL},
		{"1 23", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char out[24] = "(refused)", why[80] = "";
		int64_t cents;
		int e = money_parse(t[i].text, &cents, why, sizeof(why));

		if (e == 0)
			money_format(cents, out);
		if (e == 0 ? !t[i].want || !streq(out, t[i].want) : t[i].want || !why[0])
			test_fail(__FILE__, __LINE__, "\"%s\": %s, want %s", t[i].text, out,
				t[i].want ? t[i].want : "refused");
	}
}

TEST(money_is_exact)
{
	int64_t cents;
	char out[24];

	/* every cent of a range in which doubles would slip when added up */
	for (int64_t c = -300; c <= 300; c++) {
		money_format(c, out);
		CHECK(money_cents(out, &cents) == 0);
		CHECK_INT(cents, c);
	}
	money_format(INT64_MIN, out);
	CHECK_STR(out, "-92233720368547758.08");
	CHECK(money_cents("1234.5", &cents) < 0);
	CHECK(money_cents("1,234.50", &cents) < 0);
	CHECK(money_cents("+1.50", &cents) < 0);
	CHECK(money_cents("1.500", &cents) < 0);
	CHECK(money_cents(".50", &cents) < 0);
	CHECK(money_cents("", &cents) < 0);
	CHECK(money_cents("1234567890123.00", &cents) < 0);
}

TEST(date_forms)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"21/11/2026", "2026-11-21"},
		{"3/4/2026", "2026-04-03"},
		{"03/04/26", "2026-04-03"},
		{"21-11-26", "2026-11-21"},
		{"21.11.2026", "2026-11-21"},
		{"21 / 11 / 2026", "2026-11-21"},
		{"21 11 2026", "2026-11-21"},
		{"21 Nov 2026", "2026-11-21"},
		{"21 November 2026", "2026-11-21"},
		{"21-Nov-26", "2026-11-21"},
		{"21 nov. 2026", "2026-11-21"},
		{"Nov 21, 2026", "2026-11-21"},
		{"November 21 2026", "2026-11-21"},
		{"21st November, 2026", "2026-11-21"},
		{"1st of March 2026", "2026-03-01"},
		{"Sat 21 Nov 2026", "2026-11-21"},
		{"Saturday, 21 November 2026", "2026-11-21"},
		{"21NOV2026", "2026-11-21"},
		{"2026-11-21", "2026-11-21"},
		{"2026/11/21", "2026-11-21"},
		{"2026-11-21T10:30:00Z", "2026-11-21"},
		{"2026-11-21T10:30:00.123+11:00", "2026-11-21"},
		{"21/11/2026 10:32", "2026-11-21"},
		{"21/11/2026 10:32:05 AM", "2026-11-21"},
		{"21/11/2026, 10:32", "2026-11-21"},
		{"21 Sept 2026", "2026-09-21"},
		{"29/2/2024", "2024-02-29"},
		{"29/02/2000", "2000-02-29"},
		{"31/12/99", "1999-12-31"},
		{"1/1/69", "2069-01-01"},
		{"1/1/70", "1970-01-01"},
		{"21 Nov '26", "2026-11-21"},
		{" 21/11/2026 ", "2026-11-21"},
		{"2026-Nov-21", "2026-11-21"},
		{"31/31/26", NULL},
		{"11/21/2026", NULL},
		{"29/2/2026", NULL},
		{"29/02/1900", NULL},
		{"31/4/2026", NULL},
		{"0/1/2026", NULL},
		{"1/0/2026", NULL},
		{"2026-11-31", NULL},
		{"2026-13-01", NULL},
		{"21/11", NULL},
		{"21 Nov", NULL},
		{"Nov 2026", NULL},
		{"2026", NULL},
		{"", NULL},
		{"yesterday", NULL},
		{"21/11-2026", NULL},
		{"21,11,2026", NULL},
		{"21 Foo 2026", NULL},
		{"21 No 2026", NULL},
		{"21/11/226", NULL},
		{"21/11/20260", NULL},
		{"211/1/2026", NULL},
		{"20261121", NULL},
		{"21112026", NULL},
		{"21/11/2026 to 30/11/2026", NULL},
		{"21//11/2026", NULL},
		{"-21/11/2026", NULL},
		{"21/11/1066", NULL},
		{"21/11/9999", NULL},
		{"Nov 21", NULL},
		{"21 Nov 2026 x", NULL},
		{"Nov Nov 2026", NULL},
		{"\xff"
		 "21/11/2026\x80x",
			NULL},
		{"99999999999999999999/11/2026", NULL},
		{"21/11/2026/", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char out[11] = "(refused)", why[80] = "";
		int e = date_parse(t[i].text, out, why, sizeof(why));

		if (e == 0 ? !t[i].want || !streq(out, t[i].want) : t[i].want || !why[0])
			test_fail(__FILE__, __LINE__, "\"%s\": %s, want %s", t[i].text, out,
				t[i].want ? t[i].want : "refused");
	}
}

TEST(date_iso)
{
	CHECK(date_is_iso("2026-11-21"));
	CHECK(date_is_iso("2000-02-29"));
	CHECK(!date_is_iso("1900-02-29"));
	CHECK(!date_is_iso("2026-11-31"));
	CHECK(!date_is_iso("2026-00-10"));
	CHECK(!date_is_iso("2026-1-1"));
	CHECK(!date_is_iso("2026-11-21T00:00:00Z"));
	CHECK(!date_is_iso(""));
	CHECK(!date_is_iso("2026-11-2"));
	CHECK(!date_is_iso("0000-01-01"));
}

TEST(abn_forms_and_checksum)
{
	static const char *const valid[] = {
		"51 824 753 556", "51824753556", "53 004 085 616", "33 102 417 032"};
	static const char *const invalid[] = {"51 824 753 557", "51 824 735 556", "11 111 111 111",
		"51 824 753 55", "51 824 753 5566", "", "00 000 000 000", "51-824-753-556", "5l 824 753 556",
		"02 000 000 000"};
	char out[12], why[80];

	for (size_t i = 0; i < ARRAY_SIZE(valid); i++)
		CHECK(abn_valid(valid[i]));
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
		if (abn_valid(invalid[i]))
			test_fail(__FILE__, __LINE__, "\"%s\" passes", invalid[i]);
	CHECK(abn_parse("ABN: 51 824 753 556", out, why, sizeof(why)) == 0);
	CHECK_STR(out, "51824753556");
	CHECK(abn_parse("A.B.N. 51-824-753-556", out, why, sizeof(why)) == 0);
	CHECK(abn_parse("51 824 753 557", out, why, sizeof(why)) ==
		0); /* the checksum is a check, not a form */
	CHECK(abn_parse("51 824 753 55", out, why, sizeof(why)) < 0);
	CHECK(abn_parse("51 824 753 556 1", out, why, sizeof(why)) < 0);
	CHECK(abn_parse("ACN 51 824 753 556", out, why, sizeof(why)) < 0);
	CHECK(abn_parse("", out, why, sizeof(why)) < 0);
}

/* A single wrong digit never passes: the modulus is prime and larger than any weight times nine allows to
 * vanish. */
TEST(abn_single_digit_errors_are_found)
{
	char abn[] = "51824753556";

	for (size_t i = 0; i < 11; i++) {
		char right = abn[i];

		for (char d = '0'; d <= '9'; d++) {
			abn[i] = d;
			CHECK(abn_valid(abn) == (d == right));
		}
		abn[i] = right;
	}
}

TEST(decimals_and_integers)
{
	static const struct {
		const char *text, *decimal;
		int64_t integer; /* INT64_MIN: refused */
	} t[] = {
		{"2.50", "2.5", INT64_MIN},
		{"2.0", "2", 2},
		{"2", "2", 2},
		{"-3", "-3", -3},
		{"1,000", "1000", 1000},
		{"0.25", "0.25", INT64_MIN},
		{".5", "0.5", INT64_MIN},
		{"-0", "0", 0},
		{"007", "7", 7},
		{"0.000001", "0.000001", INT64_MIN},
		{"0.0000001", NULL, INT64_MIN},
		{"1234567890", NULL, 1234567890},
		{"", NULL, INT64_MIN},
		{"x", NULL, INT64_MIN},
		{"2 hrs", NULL, INT64_MIN},
		{"1.2.3", NULL, INT64_MIN},
		{"1e3", NULL, INT64_MIN},
		{"9007199254740991", NULL, 9007199254740991},
		{"9007199254740992", NULL, INT64_MIN},
		{"+4", "4", 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char out[24] = "", why[80];
		int64_t n = INT64_MIN;
		int e = decimal_parse(t[i].text, out, why, sizeof(why));

		if ((e == 0) != (t[i].decimal != NULL) || (e == 0 && !streq(out, t[i].decimal)))
			test_fail(__FILE__, __LINE__, "decimal \"%s\": \"%s\"", t[i].text, out);
		e = integer_parse(t[i].text, &n, why, sizeof(why));
		if ((e == 0) != (t[i].integer != INT64_MIN) || n != t[i].integer)
			test_fail(__FILE__, __LINE__, "integer \"%s\": %lld", t[i].text, (long long)n);
	}
}

TEST(text_is_normalised)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"  a \t b\r\nc  ", "a b c"},
		{"a\x01\x1b[31mb", "a[31mb"},
		{"a\xff\xc0\x80z", "az"},
		{"\xe2\x80\xae"
		 "evil",
			"evil"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"a\xc2\xa0"
		 "b",
			"a b"},
		{"", ""},
		{" \t ", ""},
		{"\xef\xbb\xbfx", "x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_free_ char *s = text_normalise(t[i].text, strlen(t[i].text));

		CHECK_STR(s, t[i].want);
	}
}

TEST(keys_and_nothings)
{
	char key[16];

	CHECK_INT(text_key("Invoice No. #7", 14, key, sizeof(key)), 10);
	CHECK_STR(key, "invoiceno7");
	text_key("a very long name indeed", 23, key, sizeof(key));
	CHECK_STR(key, "averylongnamein");
	CHECK(text_is_nothing("N/A"));
	CHECK(text_is_nothing(""));
	CHECK(!text_is_nothing("0"));
	CHECK(!text_is_nothing("None Pty Ltd"));
}

static cJSON *parsed(const char *json)
{
	cJSON *j = NULL;

	CHECK(json_parse(json, strlen(json), &j, NULL) == 0);
	return j;
}

TEST(fields_by_kind_and_schema)
{
	_cleanup_json_ cJSON *bsb =
		parsed("{\"type\":\"string\",\"pattern\":\"^[0-9]{3}-[0-9]{3}$\",\"maxLength\":7}");
	_cleanup_json_ cJSON *kinds = parsed("{\"type\":\"string\",\"enum\":[\"bank-statement\",\"other\"]}");
	_cleanup_json_ cJSON *integer = parsed("{\"type\":\"integer\"}");
	struct field_spec f = {.name = "f", .title = "F", .kind = FIELD_TEXT, .schema = bsb};
	_cleanup_json_ cJSON *a = NULL, *b = NULL, *c = NULL, *none = NULL;
	char why[80] = "";

	CHECK(field_value_parse(&f, " 062-000 ", &a, why, sizeof(why)) == 0);
	CHECK_STR(a->valuestring, "062-000");
	CHECK(field_value_parse(&f, "062000", &none, why, sizeof(why)) == -EINVAL);
	CHECK(strstr(why, "pattern"));
	CHECK(field_value_parse(&f, "  ", &none, NULL, 0) == -EINVAL);
	f = (struct field_spec){.name = "k", .title = "K", .kind = FIELD_ENUM, .schema = kinds};
	CHECK(field_value_parse(&f, "Bank Statement", &b, why, sizeof(why)) == 0);
	CHECK_STR(b->valuestring, "bank-statement");
	CHECK(field_value_parse(&f, "letter", &none, why, sizeof(why)) == -EINVAL);
	f = (struct field_spec){.name = "n", .title = "N", .kind = FIELD_INTEGER, .schema = integer};
	CHECK(field_value_parse(&f, "1,200", &c, why, sizeof(why)) == 0);
	CHECK(cJSON_IsNumber(c) && c->valuedouble == 1200);
	f.kind = FIELD_ROWS;
	CHECK(field_value_parse(&f, "1", &none, why, sizeof(why)) == -EINVAL);
	CHECK(!none);
}
