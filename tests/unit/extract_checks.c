#include "tests/unit/test.h"

#include <fcntl.h>

#include "base/fileio.h"
#include "extract/checks.h"

#define MONEY "{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,12}\\\\.[0-9]{2}$\",\"maxLength\":20}"

static struct doctype *load(const char *name)
{
	_cleanup_buf_ struct buf b = {};
	struct doctype *t = NULL;
	char path[80], why[300] = "";

	str_format(path, sizeof(path), "configs/documents/%s.json", name);
	if (file_read(AT_FDCWD, path, 1 << 20, &b) < 0 ||
		doctype_parse(buf_str(&b), b.len, &t, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", path, why);
	return t;
}

struct page {
	struct doctype *type;
	struct answer *answer;
};

static void page_close(struct page *p)
{
	answer_free(p->answer);
	doctype_free(p->type);
	*p = (struct page){};
}

static struct page checked(const char *type, const char *json)
{
	struct page p = {.type = load(type)};

	if (answer_parse(p.type, json, strlen(json), &p.answer) < 0 || checks_run(p.answer) < 0)
		test_fail(__FILE__, __LINE__, "cannot read %s", json);
	return p;
}

static void expect_proof(const struct page *p, int line, const char *field, enum proof want)
{
	const struct field_value *f = answer_field(p->answer, field);

	if (f->proof != want)
		test_fail(__FILE__, line, "%s is %s, want %s (%s)", field, proof_name(f->proof),
			proof_name(want), f->problem ? f->problem : "no problem");
}
#define PROOF(p, field, want) expect_proof(&(p), __LINE__, field, want)

static void expect_problem(const struct page *p, int line, const char *field, const char *want)
{
	const char *have = answer_field(p->answer, field)->problem;

	if (!have != !want || (want && !strstr(have, want)))
		test_fail(
			__FILE__, line, "%s: \"%s\", want \"%s\"", field, have ? have : "", want ? want : "");
}
#define PROBLEM(p, field, want) expect_problem(&(p), __LINE__, field, want)

static uint32_t columns(const struct page *p, const char *field)
{
	return answer_field(p->answer, field)->proven_columns;
}

/* The invoice's columns: description 1, quantity 2, unit_price 4, amount 8. */
#define TWO_LINES                                                                                            \
	"\"lines\":[{\"description\":\"A\",\"quantity\":\"2\",\"unit_price\":\"30.00\",\"amount\":\"60."     \
	"00\"},"                                                                                             \
	"{\"description\":\"B\",\"quantity\":\"1\",\"unit_price\":\"40.00\",\"amount\":\"40.00\"}]"

TEST(a_right_invoice_is_verified)
{
	struct page p = checked("invoice",
		"{\"supplier_name\":\"X\",\"supplier_abn\":\"51 824 753 556\",\"invoice_number\":\"7\","
		"\"invoice_date\":\"2026-11-21\",\"subtotal\":\"100.00\",\"gst\":\"10.00\",\"total\":\"110."
		"00\"," TWO_LINES "}");

	PROOF(p, "supplier_abn", PROOF_VERIFIED);
	PROOF(p, "subtotal", PROOF_VERIFIED);
	PROOF(p, "gst", PROOF_VERIFIED);
	PROOF(p, "total", PROOF_VERIFIED);
	PROOF(p, "lines", PROOF_VERIFIED);
	PROOF(p, "supplier_name", PROOF_UNPROVEN);
	PROOF(p, "invoice_date", PROOF_UNPROVEN);
	CHECK_STR(answer_field(p.answer, "supplier_abn")->check, "abn");
	CHECK_STR(answer_field(p.answer, "gst")->check, "gst");
	CHECK_STR(answer_field(p.answer, "lines")->check, "sum");
	CHECK_INT(columns(&p, "lines"), 2 | 4 | 8); /* never the description */
	CHECK_INT(answer_score(p.answer), ANSWER_COMPLETE);
	page_close(&p);
}

TEST(a_wrong_abn_is_named)
{
	struct page p = checked("invoice", "{\"supplier_abn\":\"51824753557\"}");

	PROOF(p, "supplier_abn", PROOF_UNPROVEN);
	PROBLEM(p, "supplier_abn", "abn: 51824753557 is not a valid ABN");
	CHECK_INT(answer_score(p.answer), ANSWER_DOUBTFUL);
	page_close(&p);
}

TEST(absent_fields_say_nothing)
{
	struct page p = checked("invoice", "{\"gst\":\"10.00\"}");

	PROOF(p, "gst", PROOF_UNPROVEN);
	PROBLEM(p, "gst", NULL);
	PROBLEM(p, "lines", NULL);
	PROBLEM(p, "total", NULL);
	CHECK_INT(answer_score(p.answer), ANSWER_INCOMPLETE);
	page_close(&p);
}

TEST(gst_with_net)
{
	static const struct {
		const char *net, *gst, *total;
		enum proof proof;
		const char *problem;
	} t[] = {
		{"100.00", "10.00", "110.00", PROOF_VERIFIED, NULL},
		{"-100.00", "-10.00", "-110.00", PROOF_VERIFIED, NULL},
		{"100.00", "4.00", "104.00", PROOF_VERIFIED, NULL}, /* some of it free of GST */
		{"100.00", "10.00", "120.00", PROOF_UNPROVEN, "gst: 100.00 + 10.00 is not 120.00"},
		{"100.00", "20.00", "120.00", PROOF_UNPROVEN, "more than a tenth"},
		{"100.00", "-10.00", "90.00", PROOF_UNPROVEN, "more than"},
		{"100.00", "10.00", "110.01", PROOF_UNPROVEN, NULL},
		{"100.00", "10.00", "110.02", PROOF_UNPROVEN, "is not 110.02"},
		{"100.00", "0.00", "100.00", PROOF_UNPROVEN, NULL},
		{"0.00", "0.00", "0.00", PROOF_UNPROVEN, NULL},
		{"999999999999.99", "0.01", "999999999999.99", PROOF_UNPROVEN, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char json[200];
		struct page p;

		str_format(json, sizeof(json), "{\"subtotal\":\"%s\",\"gst\":\"%s\",\"total\":\"%s\"}",
			t[i].net, t[i].gst, t[i].total);
		p = checked("invoice", json);
		PROOF(p, "gst", t[i].proof);
		PROOF(p, "subtotal", t[i].proof);
		PROOF(p, "total", t[i].proof);
		PROBLEM(p, "gst", t[i].problem);
		page_close(&p);
	}
}

/* Eleven totals share one GST: the GST is proven, the total is not. */
TEST(gst_as_an_eleventh)
{
	static const struct {
		const char *type, *gst, *total;
		enum proof proof;
		const char *problem;
	} t[] = {
		{"receipt", "10.00", "110.00", PROOF_VERIFIED, NULL},
		{"receipt", "10.00", "110.05", PROOF_VERIFIED, NULL},
		{"receipt", "10.00", "110.06", PROOF_UNPROVEN,
			NULL}, /* a cent of rounding: no proof, no failure */
		{"receipt", "9.99", "110.00", PROOF_UNPROVEN, NULL},
		{"receipt", "0.00", "110.00", PROOF_UNPROVEN, NULL},
		{"receipt", "4.00", "110.00", PROOF_UNPROVEN, NULL}, /* mixed: food is free of GST */
		{"receipt", "11.00", "110.00", PROOF_UNPROVEN, "gst: 11.00 is not an eleventh of 110.00"},
		{"receipt", "-10.00", "110.00", PROOF_UNPROVEN, "not an eleventh"},
		{"invoice", "4.00", "110.00", PROOF_UNPROVEN, "gst: 4.00 is not an eleventh of 110.00"},
		{"invoice", "10.01", "110.00", PROOF_UNPROVEN, NULL},
		{"invoice", "10.00", "110.00", PROOF_VERIFIED, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char json[200];
		struct page p;

		str_format(json, sizeof(json), "{\"gst\":\"%s\",\"total\":\"%s\"}", t[i].gst, t[i].total);
		p = checked(t[i].type, json);
		PROOF(p, "gst", t[i].proof);
		PROOF(p, "total", PROOF_UNPROVEN);
		PROBLEM(p, "gst", t[i].problem);
		PROBLEM(p, "total", t[i].problem);
		page_close(&p);
	}
}

TEST(sum_of_rows)
{
	static const struct {
		const char *rows, *total;
		enum proof proof;
		const char *problem;
	} t[] = {
		{"{\"description\":\"A\",\"amount\":\"1.10\"},{\"description\":\"B\",\"amount\":\"2.20\"}",
			"3.30", PROOF_VERIFIED, NULL},
		{"{\"description\":\"A\",\"amount\":\"5.00\"},{\"description\":\"Off\",\"amount\":\"-2.00\"}",
			"3.00", PROOF_VERIFIED, NULL},
		{"{\"description\":\"A\",\"amount\":\"1.10\"},{\"description\":\"B\",\"amount\":\"2.20\"}",
			"3.31", PROOF_UNPROVEN, "sum: the rows' amount sum 3.30 is not 3.31"},
		/* one row equals the total: perhaps the total read twice */
		{"{\"description\":\"A\",\"amount\":\"3.30\"}", "3.30", PROOF_UNPROVEN, NULL},
		{"{\"description\":\"A\",\"amount\":\"3.30\"},{\"description\":\"B\",\"amount\":\"0.00\"}",
			"3.30", PROOF_UNPROVEN, NULL},
		{"{\"description\":\"A\",\"amount\":\"0.00\"},{\"description\":\"B\",\"amount\":\"0.00\"}",
			"0.00", PROOF_UNPROVEN, NULL},
		/* rows that are no rows */
		{"{\"description\":\"GST\",\"amount\":\"0.30\"},{\"description\":\"Rest\",\"amount\":\"3."
		 "00\"}",
			"3.30", PROOF_UNPROVEN, NULL},
		/* a row without amount is left out, and the rest does not add up */
		{"{\"description\":\"A\"},{\"description\":\"B\",\"amount\":\"2.20\"}", "3.30",
			PROOF_UNPROVEN, "row 1 left out: no amount"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char json[400];
		struct page p;

		str_format(json, sizeof(json), "{\"total\":\"%s\",\"lines\":[%s]}", t[i].total, t[i].rows);
		p = checked("receipt", json);
		PROOF(p, "total", t[i].proof);
		PROOF(p, "lines", t[i].proof);
		CHECK_INT(columns(&p, "lines"), t[i].proof == PROOF_VERIFIED ? 2 : 0);
		PROBLEM(p, "lines", t[i].problem);
		page_close(&p);
	}
}

TEST(sum_with_gst_needs_no_subtotal)
{
	struct page p = checked("invoice", "{\"gst\":\"10.00\",\"total\":\"110.00\"," TWO_LINES "}");

	PROOF(p, "total", PROOF_VERIFIED);
	PROOF(p, "gst", PROOF_VERIFIED);
	PROOF(p, "lines", PROOF_VERIFIED);
	PROBLEM(p, "subtotal", NULL);
	page_close(&p);
}

/* net + gst = total stands; so it is the rows that are wrong. */
TEST(blame_falls_on_what_nothing_else_proves)
{
	struct page p = checked("invoice",
		"{\"subtotal\":\"100.00\",\"gst\":\"10.00\",\"total\":\"110.00\",\"lines\":["
		"{\"description\":\"A\",\"amount\":\"60.00\"}]}");

	PROOF(p, "subtotal", PROOF_VERIFIED);
	PROOF(p, "total", PROOF_VERIFIED);
	PROBLEM(p, "subtotal", NULL);
	PROOF(p, "lines", PROOF_UNPROVEN);
	PROBLEM(p, "lines", "sum: the rows' amount sum 60.00 is not 100.00");
	CHECK_INT(answer_score(p.answer), ANSWER_DOUBTFUL);
	page_close(&p);
}

/* Rows proven by their products, totals by the GST, and yet they disagree: a row is missing, or more. Nothing
 * stays proven. */
TEST(contradicting_checks_prove_nothing)
{
	struct page p = checked(
		"invoice", "{\"subtotal\":\"200.00\",\"gst\":\"20.00\",\"total\":\"220.00\"," TWO_LINES "}");

	PROBLEM(p, "lines", "sum:");
	PROBLEM(p, "subtotal", "sum:");
	PROOF(p, "subtotal", PROOF_UNPROVEN);
	PROOF(p, "total", PROOF_UNPROVEN);
	CHECK_INT(columns(&p, "lines") & 8, 0);
	page_close(&p);
}

TEST(lines_multiply)
{
	static const struct {
		const char *quantity, *price, *amount;
		uint32_t proven;
		const char *problem;
	} t[] = {
		{"3", "12.50", "37.50", 14, NULL}, {"2.5", "10.01", "25.03", 14, NULL},
		{"2.5", "10.01", "25.02", 14, NULL}, {"0.333333", "30.00", "10.00", 14, NULL},
		{"-1", "5.00", "-5.00", 14, NULL}, {"3", "3.33", "10.00", 0, NULL}, /* a rounded unit price */
		{"1", "10.00", "10.00", 0, NULL}, {"2", "0.00", "0.00", 0, NULL},
		{"3", "12.50", "36.50", 0, "lines: row 1: 3 x 12.50 is not 36.50"},
		{"3", "12.50", "-37.50", 0, "is not -37.50"},
		{"999999999", "999999999999.99", "1.00", 0,
			NULL}, /* beyond what can be multiplied: says nothing */
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char json[300];
		struct page p;

		str_format(json, sizeof(json),
			"{\"lines\":[{\"description\":\"A\",\"quantity\":\"%s\",\"unit_price\":\"%s\","
			"\"amount\":\"%s\"}]}",
			t[i].quantity, t[i].price, t[i].amount);
		p = checked("invoice", json);
		if (columns(&p, "lines") != t[i].proven)
			test_fail(__FILE__, __LINE__, "%s x %s = %s: columns %u", t[i].quantity, t[i].price,
				t[i].amount, columns(&p, "lines"));
		PROBLEM(p, "lines", t[i].problem);
		page_close(&p);
	}
}

TEST(lines_need_every_row)
{
	struct page p = checked("invoice", "{\"lines\":[{\"description\":\"A\",\"quantity\":\"3\",\"unit_"
					   "price\":\"2.00\",\"amount\":\"6.00\"},"
					   "{\"description\":\"B\",\"amount\":\"6.00\"}]}");

	PROOF(p, "lines", PROOF_UNPROVEN);
	PROBLEM(p, "lines", NULL);
	page_close(&p);
}

#define ROW(d, c, b) "{\"date\":\"2026-11-01\",\"description\":\"x\"" d c ",\"balance\":\"" b "\"}"
#define DEBIT(n)     ",\"debit\":\"" n "\""
#define CREDIT(n)    ",\"credit\":\"" n "\""

/* The statement's columns: date 1, description 2, debit 4, credit 8, balance 16. */
static struct page statement(const char *opening, const char *closing, const char *rows)
{
	char json[1000];

	str_format(json, sizeof(json),
		"{\"opening_balance\":%s,\"closing_balance\":%s,\"transactions\":[%s]}", opening, closing,
		rows);
	return checked("bank-statement", json);
}

TEST(balances_run)
{
	struct page p = statement("\"100.00\"", "\"130.00\"",
		ROW(DEBIT("20.00"), , "80.00") "," ROW(, CREDIT("50.00"), "130.00"));

	PROOF(p, "opening_balance", PROOF_VERIFIED);
	PROOF(p, "closing_balance", PROOF_VERIFIED);
	PROOF(p, "transactions", PROOF_VERIFIED);
	CHECK_INT(columns(&p, "transactions"), 4 | 8 | 16);
	page_close(&p);
	p = statement("\"100.00\"", "\"-30.00\"", ROW(DEBIT("130.00"), , "-30.00"));
	PROOF(p, "transactions", PROOF_VERIFIED);
	page_close(&p);
}

TEST(balances_may_run_backwards)
{
	struct page p = statement("\"100.00\"", "\"130.00\"",
		ROW(, CREDIT("50.00"), "130.00") "," ROW(DEBIT("20.00"), , "80.00"));

	PROOF(p, "transactions", PROOF_VERIFIED);
	PROBLEM(p, "transactions", NULL);
	page_close(&p);
}

TEST(balances_that_break_are_named)
{
	struct page p = statement("\"100.00\"", "\"130.00\"",
		ROW(DEBIT("20.00"), , "80.00") "," ROW(, CREDIT("40.00"), "130.00"));

	PROBLEM(p, "transactions", "balance: row 2: 80.00 + 40.00 is not 130.00");
	PROOF(p, "transactions", PROOF_UNPROVEN);
	PROOF(p, "opening_balance", PROOF_UNPROVEN);
	PROOF(p, "closing_balance", PROOF_UNPROVEN);
	page_close(&p);
	p = statement("\"100.00\"", "\"131.00\"", ROW(, CREDIT("30.00"), "130.00"));
	PROBLEM(p, "closing_balance", "balance: the last balance 130.00 is not 131.00");
	page_close(&p);
	/* in the wrong column */
	p = statement("\"100.00\"", "\"80.00\"", ROW(, CREDIT("20.00"), "80.00"));
	PROBLEM(p, "transactions", "balance: row 1: 100.00 + 20.00 is not 80.00");
	page_close(&p);
}

TEST(balances_with_gaps_prove_nothing)
{
	static const struct {
		const char *opening, *closing, *rows;
	} t[] = {
		{"null", "\"130.00\"", ROW(DEBIT("20.00"), , "80.00") "," ROW(, CREDIT("50.00"), "130.00")},
		{"\"100.00\"", "null", ROW(DEBIT("20.00"), , "80.00") "," ROW(, CREDIT("50.00"), "130.00")},
		{"\"100.00\"", "\"100.00\"", ROW(, , "100.00")}, /* moves nothing */
		{"\"100.00\"", "\"100.00\"",
			ROW(DEBIT("5.00"), CREDIT("5.00"), "100.00")}, /* says two things */
		{"\"0.00\"", "\"0.00\"", ROW(DEBIT("0.00"), , "0.00")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct page p = statement(t[i].opening, t[i].closing, t[i].rows);

		PROOF(p, "transactions", PROOF_UNPROVEN);
		PROOF(p, "closing_balance", PROOF_UNPROVEN);
		PROBLEM(p, "transactions", NULL);
		page_close(&p);
	}
}

/* A check's "minus" and a single column of signed amounts, which no shipped type has. */
TEST(other_forms_of_sum_and_balance)
{
	static const char json[] =
		"{\"name\":\"t\",\"title\":\"T\",\"version\":1,\"prompt\":\"P\",\"schema\":{\"type\":"
		"\"object\",\"additionalProperties\":false,"
		"\"properties\":{\"o\":M,\"c\":M,\"fee\":M,\"paid\":M,\"r\":{\"type\":\"array\",\"maxItems\":"
		"9,\"items\":{\"type\":\"object\","
		"\"additionalProperties\":false,\"properties\":{\"m\":M,\"b\":M}}}}},\"fields\":[{\"name\":"
		"\"o\",\"title\":\"O\",\"kind\":\"money\"},"
		"{\"name\":\"c\",\"title\":\"C\",\"kind\":\"money\"},{\"name\":\"fee\",\"title\":\"Fee\","
		"\"kind\":\"money\"},"
		"{\"name\":\"paid\",\"title\":\"Paid\",\"kind\":\"money\"},"
		"{\"name\":\"r\",\"title\":\"R\",\"kind\":\"rows\",\"columns\":[{\"name\":\"m\",\"title\":"
		"\"Mv\",\"kind\":\"money\"},"
		"{\"name\":\"b\",\"title\":\"B\",\"kind\":\"money\"}]}],\"checks\":["
		"{\"check\":\"balance\",\"rows\":\"r\",\"amount\":\"m\",\"balance\":\"b\",\"opening\":\"o\","
		"\"closing\":\"c\"},"
		"{\"check\":\"sum\",\"rows\":\"r\",\"column\":\"m\",\"minus\":\"fee\",\"total\":\"paid\"}]}";
	static const char said[] = "{\"o\":\"10.00\",\"c\":\"7.00\",\"fee\":\"1.00\",\"paid\":\"-4.00\","
				   "\"r\":[{\"m\":\"-5.00\",\"b\":\"5.00\"},"
				   "{\"m\":\"2.00\",\"b\":\"7.00\"}]}";
	_cleanup_buf_ struct buf b = {};
	struct page p = {};
	char why[300] = "";

	for (const char *s = json; *s; s++)
		if (*s == 'M' && s[-1] == ':')
			buf_adds(&b, MONEY);
		else
			buf_addc(&b, *s);
	if (doctype_parse(buf_str(&b), b.len, &p.type, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	CHECK(answer_parse(p.type, said, strlen(said), &p.answer) == 0);
	CHECK(checks_run(p.answer) == 0);
	PROOF(p, "c", PROOF_VERIFIED);
	PROOF(p, "r", PROOF_VERIFIED);
	PROOF(p, "paid", PROOF_VERIFIED);
	PROOF(p, "fee", PROOF_VERIFIED);
	page_close(&p);
}

/* Numbers at the edges of 64 bits: the checks say nothing rather than something wrong. */
TEST(figures_too_large_for_arithmetic_prove_nothing)
{
	static const char row[] = "{\"a\":\"999999999999.99\"},";
	static const char json[] =
		"{\"name\":\"t\",\"title\":\"T\",\"version\":1,\"prompt\":\"P\",\"schema\":{\"type\":\"object\","
		"\"additionalProperties\":false,\"properties\":{\"t\":" MONEY ",\"r\":{\"type\":\"array\","
		"\"maxItems\":1000000,\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":"
		"{\"a\":" MONEY "}}}}},\"fields\":[{\"name\":\"t\",\"title\":\"T\",\"kind\":\"money\"},"
		"{\"name\":\"r\",\"title\":\"R\",\"kind\":\"rows\",\"columns\":[{\"name\":\"a\",\"title\":\"A\","
		"\"kind\":\"money\"}]}],\"checks\":[{\"check\":\"sum\",\"rows\":\"r\",\"column\":\"a\","
		"\"total\":\"t\"}]}";
	_cleanup_buf_ struct buf said = {};
	char why[300] = "";
	struct page p = checked("invoice", /* 2^33 millionths times -2^30 cents is -2^63 */
		"{\"lines\":[{\"description\":\"A\",\"quantity\":\"8589.934592\",\"unit_price\":\"-10737418.24\","
		"\"amount\":\"1.00\"}]}");

	PROOF(p, "lines", PROOF_UNPROVEN);
	PROBLEM(p, "lines", NULL);
	page_close(&p);
	if (doctype_parse(json, strlen(json), &p.type, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	buf_adds(&said, "{\"t\":\"1.00\",\"r\":[");
	for (int i = 0; i < 100000; i++)
		buf_adds(&said, row);
	said.len--;
	buf_adds(&said, "]}");
	CHECK(answer_parse(p.type, buf_str(&said), said.len, &p.answer) == 0);
	CHECK(checks_run(p.answer) == 0);
	PROOF(p, "r", PROOF_UNPROVEN);
	PROBLEM(p, "r", NULL);
	page_close(&p);
}

/* Whatever one digit of one amount is changed to, nothing that is then wrong is called verified. */
TEST(no_single_misread_digit_is_verified)
{
	static const char right[] =
		"{\"subtotal\":\"163.45\",\"gst\":\"16.35\",\"total\":\"179.80\",\"lines\":["
		"{\"description\":\"A\",\"quantity\":\"3\",\"unit_price\":\"27.15\",\"amount\":\"81.45\"},"
		"{\"description\":\"B\",\"quantity\":\"4\",\"unit_price\":\"20.50\",\"amount\":\"82.00\"}]}";
	static const char *const names[] = {"subtotal", "gst", "total", "lines"};
	struct page truth = checked("invoice", right);
	char said[sizeof(right)];
	unsigned int tried = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		PROOF(truth, names[i], PROOF_VERIFIED);
	memcpy(said, right, sizeof(right));
	for (size_t i = 0; i + 1 < sizeof(right); i++) {
		for (char d = '0'; d <= '9' && right[i] >= '0' && right[i] <= '9'; d++) {
			struct page p;

			if (d == right[i])
				continue;
			said[i] = d;
			p = checked("invoice", said);
			for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
				const struct field_value *f = answer_field(p.answer, names[n]);

				if (f->proof == PROOF_VERIFIED &&
					!cJSON_Compare(f->value, answer_field(truth.answer, names[n])->value,
						true) &&
					(f->spec->kind != FIELD_ROWS || f->proven_columns == 14))
					test_fail(__FILE__, __LINE__, "%s is verified in %s", names[n], said);
			}
			page_close(&p);
			tried++;
		}
		said[i] = right[i];
	}
	CHECK(tried > 200);
	page_close(&truth);
}
