#include "tests/unit/test.h"

#include <fcntl.h>

#include "base/fileio.h"
#include "base/text.h"
#include "extract/answer.h"
#include "extract/checks.h"

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

/* The tests of one file use one type at a time; it lives until the next is asked for. */
static struct doctype *type;
static struct answer *answer;

static void forget(void)
{
	answer_free(answer);
	doctype_free(type);
	answer = NULL;
	type = NULL;
}

static int read_as(const char *name, const char *raw)
{
	forget();
	type = load(name);
	return answer_parse(type, raw, strlen(raw), &answer);
}

static const char *value(const char *field)
{
	const struct field_value *f = answer_field(answer, field);

	if (!f)
		test_fail(__FILE__, __LINE__, "no field %s", field);
	return cJSON_IsString(f->value) ? f->value->valuestring : NULL;
}

static const char *cell(const char *field, int row, const char *column)
{
	return json_get_string(cJSON_GetArrayItem(answer_field(answer, field)->value, row), column);
}

static int rows(const char *field)
{
	const struct field_value *f = answer_field(answer, field);

	return f->value ? cJSON_GetArraySize(f->value) : 0;
}

/* The same answer as models dress it. */
TEST(one_answer_in_many_forms)
{
	static const char *const forms[] =
		{
			"{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}",
			"  \n{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}\n ",
			"```json\n{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}\n`"
			"``",
			"```\n{\"merchant_name\":\"Cafe\",\"total\":\"$12.50\",\"date\":\"21/11/"
			"2026\"}\n```\nLet me know!",
			"Here are the fields:\n\n{\"merchant_name\": \"Cafe\", \"total\": 12.5, \"date\": "
			"\"21 Nov 2026\"}\n\nThe total {12.50} is clear.",
			"{\"fields\":{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}"
			"}",
			"{\"result\":{\"data\":[{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":"
			"\"2026-11-21\"}]}}",
			"[{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}]",
			"{\"Merchant Name\":\"Cafe\",\"TOTAL\":\"12.50\",\"Date\":\"2026-11-21\"}",
			"{\"Merchant\":\"Cafe\",\"Amount paid\":\"12.50\",\"Sale date\":\"2026-11-21\"}",
			"{\"merchantName\":{\"value\":\"Cafe\",\"confidence\":0.9},\"total\":{\"value\":12.5}"
			",\"date\":{\"value\":\"2026-11-21\"}}",
			"{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\",\"gst\":"
			"null,\"receipt_number\":\"\",\"payment_method\":\"N/A\"}",
			"\xef\xbb\xbf{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-"
			"21\"}",
			"merchant_name: Cafe\ntotal: 12.50\ndate: 2026-11-21\n",
			"MERCHANT NAME: Cafe\r\nTotal = $12.50\r\nDate:  21/11/2026\r\n",
			"- **Merchant:** Cafe\n- **Total:** $12.50\n- **Date:** 21 November 2026",
			"* `merchant_name`: `Cafe`\n* `total`: `12.50`\n* `date`: `2026-11-21`",
			"| Field | Value |\n|---|---|\n| Merchant | Cafe |\n| Total | $12.50 |\n| Date | "
			"21/11/2026 |",
			"I read this:\nMerchant: Cafe\nTotal: 12.50\nDate: 21/11/2026\nThat is all.",
			"{\n  \"merchant_name\": \"Cafe\",\n  \"total\": \"12.50\",\n  \"date\": "
			"\"2026-11-21\",\n}", /* a comma too many */
			"{\"x\": {\"merchant_name\":\"Old\"}} no, better: "
			"{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}",
			"<think>{\"total\": "
			"\"1.00\"}</"
			"think>{\"merchant_name\":\"Cafe\",\"total\":\"12.50\",\"date\":\"2026-11-21\"}",
		};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		int e = read_as("receipt", forms[i]);

		if (e < 0 || !value("merchant_name") || !streq(value("merchant_name"), "Cafe") ||
			!value("total") || !streq(value("total"), "12.50") || !value("date") ||
			!streq(value("date"), "2026-11-21"))
			test_fail(__FILE__, __LINE__, "form %zu: %d %s", i, e, forms[i]);
		CHECK(!answer_field(answer, "gst")->value && !answer_field(answer, "gst")->problem);
	}
	forget();
}

TEST(nothing_to_read)
{
	static const char *const texts[] = {"", " ", "{}", "[]", "null", "I cannot read this page.",
		"{\"foo\":1}", "{\"fields\":{}}", "```json\n```", "Sorry: the page is blank.", "{{{{",
		"\"total\"", "http://example.org/", ":::", "=", "\xff\xfe\xfd", "\n\n\n"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int e = read_as("receipt", texts[i]);

		if (e != -ENODATA || answer)
			test_fail(__FILE__, __LINE__, "\"%s\": %d", texts[i], e);
	}
	forget();
}

TEST(what_does_not_fit_is_named)
{
	CHECK(read_as("invoice",
		      "{\"invoice_date\":\"31/31/26\",\"total\":\"12.345\",\"gst\":[1],\"supplier_abn\":\"51 "
		      "824\",\"subtotal\":true,"
		      "\"colour\":\"red\",\"due_date\":20261121,\"invoice_number\":1042,\"nothing\":null}") ==
		0);
	CHECK(!value("invoice_date"));
	CHECK_STR(answer_field(answer, "invoice_date")->problem, "no such date: 31/31/26");
	CHECK_STR(answer_field(answer, "total")->problem, "not an amount in whole cents: 12.345");
	CHECK_STR(answer_field(answer, "gst")->problem, "not of kind money");
	CHECK_STR(answer_field(answer, "supplier_abn")->problem, "not an ABN of 11 digits: 51 824");
	CHECK_STR(answer_field(answer, "subtotal")->problem, "not of kind money");
	CHECK_STR(answer_field(answer, "due_date")->problem, "not of kind date");
	CHECK_STR(value("invoice_number"), "1042");
	CHECK_STR(answer->problems, "unknown member colour");
	CHECK_INT(answer_score(answer), ANSWER_INCOMPLETE);
	forget();
}

TEST(numbers_are_exact)
{
	static const struct {
		const char *json, *want;
	} t[] = {
		{"12.5", "12.50"},
		{"0.1", "0.10"},
		{"1234567.89", "1234567.89"},
		{"999999999999.99", "999999999999.99"},
		{"-3", "-3.00"},
		{"1e3", "1000.00"},
		{"12.10", "12.10"},
		{"4.35", "4.35"},
		{"12.345", NULL},
		{"1e20", NULL},
		{"0.001", NULL},
		{"12345678.905", NULL},
		{"68888868803000006000000000", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char json[80];

		str_format(json, sizeof(json), "{\"total\":%s,\"merchant_name\":\"x\"}", t[i].json);
		CHECK(read_as("receipt", json) == 0);
		if (!value("total") != !t[i].want || (t[i].want && !streq(value("total"), t[i].want)))
			test_fail(__FILE__, __LINE__, "%s: %s", t[i].json,
				value("total") ? value("total") : "(none)");
	}
	CHECK(read_as("invoice", "{\"supplier_abn\":51824753556}") == 0);
	CHECK_STR(value("supplier_abn"), "51824753556");
	forget();
}

TEST(values_stay_within_the_schema)
{
	char json[700], name[400];

	memset(name, 'n', sizeof(name));
	name[200] = 0;
	str_format(json, sizeof(json), "{\"merchant_name\":\"%s\",\"total\":\"1.00\"}", name);
	CHECK(read_as("receipt", json) == 0);
	CHECK(!value("merchant_name"));
	CHECK_STR(answer_field(answer, "merchant_name")->problem, "has 200 characters, more than 120");
	CHECK(read_as("bank-statement", "{\"bsb\":\"062 000\",\"bank_name\":\"B\"}") == 0);
	CHECK(!value("bsb") && strstr(answer_field(answer, "bsb")->problem, "pattern"));
	CHECK(read_as("universal", "{\"document_type\":\"Bank statement\"}") == 0);
	CHECK_STR(value("document_type"), "bank-statement");
	CHECK(read_as("universal", "{\"document_type\":\"poem\",\"total\":\"1\"}") == 0);
	CHECK_STR(answer_field(answer, "document_type")->problem, "not one of the allowed values: poem");
	forget();
}

TEST(rows_are_read_cell_by_cell)
{
	CHECK(read_as("invoice",
		      "{\"lines\":[{\"description\":\" A  b \",\"qty\":\"2.0\",\"Unit "
		      "Price\":\"$3\",\"amount\":6,\"colour\":\"red\"},"
		      "{\"amount\":\"1.00\",\"description\":\"B\",\"quantity\":\"many\",\"unit_price\":null},"
		      "{\"description\":\"no amount\"},7,{\"description\":\"C\",\"amount\":\"x\"}]}") == 0);
	CHECK_INT(rows("lines"), 2);
	CHECK_STR(cell("lines", 0, "description"), "A b");
	CHECK_STR(cell("lines", 0, "quantity"), "2");
	CHECK_STR(cell("lines", 0, "unit_price"), "3.00");
	CHECK_STR(cell("lines", 0, "amount"), "6.00");
	CHECK_STR(answer_field(answer, "lines")->value->child->child->string,
		"description"); /* the schema's order */
	CHECK_STR(answer_field(answer, "lines")->value->child->next->child->string, "description");
	CHECK(!cell("lines", 1, "quantity"));
	CHECK_STR(answer->problems, "lines[0]: unknown member colour");
	CHECK_STR(answer_field(answer, "lines")->problem,
		"row 2: quantity: not a number: many; row 3 left out: no amount; "
		"row 4 left out: not an object; row 5: amount: not an amount: x; row 5 left out: no amount");
	CHECK_INT(answer_score(answer), ANSWER_DOUBTFUL);
	forget();
}

TEST(rows_in_odd_shapes)
{
	CHECK(read_as("receipt", "{\"lines\":{\"description\":\"A\",\"amount\":\"1.00\"}}") == 0);
	CHECK_INT(rows("lines"), 1);
	CHECK(read_as("receipt", "{\"lines\":[],\"total\":\"1.00\"}") == 0);
	CHECK(!answer_field(answer, "lines")->value && !answer_field(answer, "lines")->problem);
	CHECK(read_as("receipt", "{\"lines\":\"two coffees\",\"total\":\"1.00\"}") == 0);
	CHECK_STR(answer_field(answer, "lines")->problem, "not rows");
	CHECK(read_as("receipt", "{\"lines\":[[\"A\",\"1.00\"]],\"total\":\"1.00\"}") == 0);
	CHECK(!answer_field(answer, "lines")->value);
	/* one row with labels as names is a row, not a wrapper of the page's fields */
	CHECK(read_as("receipt", "{\"items\":[{\"item\":\"A\",\"price\":\"1.00\"}]}") == 0);
	CHECK_INT(rows("lines"), 1);
	forget();
}

TEST(too_many_rows)
{
	_cleanup_buf_ struct buf b = {};

	buf_adds(&b, "{\"lines\":[");
	for (int i = 0; i < 150; i++)
		buf_addf(&b, "%s{\"description\":\"r%d\",\"amount\":\"1.00\"}", i ? "," : "", i);
	buf_adds(&b, "]}");
	CHECK(read_as("invoice", buf_str(&b)) == 0);
	CHECK_INT(rows("lines"), 100);
	CHECK_STR(answer_field(answer, "lines")->problem, "more than 100 rows");
	forget();
}

TEST(rows_in_lines_of_text)
{
	static const char *const forms[] = {
		"merchant: Cafe\nlines:\n  - description: Tea\n    amount: 4.00\n  - description: Cake\n    "
		"amount: $8.50\ntotal: 12.50\n",
		"merchant: Cafe\nItems:\n- description: Tea\n  amount: 4.00\n- description: Cake\n  amount: "
		"8.50\nTotal: 12.50\n",
		"{\n  \"merchant_name\": \"Cafe\",\n  \"lines\": [\n    {\n      \"description\": \"Tea\",\n "
		"     \"amount\": \"4.00\"\n    },\n"
		"    {\n      \"description\": \"Cake\",\n      \"amount\": \"8.50\",\n    },\n  ],\n  "
		"\"total\": \"12.50\",\n}\n",
		"merchant: Cafe\nlines: "
		"[{\"description\":\"Tea\",\"amount\":\"4.00\"},{\"description\":\"Cake\",\"amount\":\"8."
		"50\"}]\ntotal: 12.50",
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		int e = read_as("receipt", forms[i]);

		if (e < 0 || rows("lines") != 2 || !value("total") || !streq(value("total"), "12.50") ||
			!value("merchant_name"))
			test_fail(
				__FILE__, __LINE__, "form %zu: %d, %d rows", i, e, e < 0 ? 0 : rows("lines"));
		CHECK_STR(cell("lines", 1, "description"), "Cake");
		CHECK_STR(cell("lines", 1, "amount"), "8.50");
	}
	forget();
}

/* What was cut off must not be taken for a shorter, wrong value. */
TEST(cut_off_json_gives_no_half_values)
{
	CHECK(read_as("receipt", "{\n\"merchant_name\": \"Cafe\",\n\"total\": \"12.5") == 0);
	CHECK_STR(value("merchant_name"), "Cafe");
	CHECK(!value("total"));
	CHECK(read_as("receipt", "{\n\"merchant_name\": \"Cafe\",\n\"total\": 1") == 0);
	CHECK(!value("total"));
	forget();
}

TEST(said_twice)
{
	CHECK(read_as("receipt", "{\"total\":\"1.00\",\"Amount paid\":\"2.00\",\"merchant\":\"A\",\"merchant "
				 "name\":\"A\"}") == 0);
	CHECK_STR(value("total"), "1.00");
	CHECK_STR(answer->problems, "total is said twice");
	CHECK(read_as("receipt", "Total: see below\nTotal: 3.00\n") == 0);
	CHECK_STR(value("total"), "3.00");
	CHECK(!answer_field(answer, "total")->problem);
	forget();
}

TEST(text_is_made_harmless)
{
	static const char nul[] = "{\"merchant_name\":\"A\",\"total\":\"1.00\"}\0\0trailing";

	CHECK(read_as("receipt", "{\"merchant_name\":\"\\u001b[31mCafe\\u202e\\u0007\",\"total\":\"\\u001b["
				 "1m9\",\"\\u001bx\":1}") == 0);
	CHECK_STR(value("merchant_name"), "[31mCafe");
	CHECK(!strchr(answer_field(answer, "total")->problem, '\x1b'));
	CHECK(!strchr(answer->problems, '\x1b'));
	forget();
	type = load("receipt");
	CHECK(answer_parse(type, nul, sizeof(nul) - 1, &answer) == 0);
	CHECK_STR(value("total"), "1.00");
	CHECK(read_as("receipt", "merchant_name: Ca\xff"
				 "fe\ntotal: 1.00\n") == 0);
	CHECK_STR(value("total"), "1.00");
	CHECK(utf8_valid(value("merchant_name"), strlen(value("merchant_name"))));
	forget();
}

static void fill(struct buf *b, const char *s, size_t times)
{
	for (size_t i = 0; i < times; i++)
		buf_adds(b, s);
}

/* Each of a megabyte or so; what counts is that they end, soon and without a crash. */
TEST(hostile_answers_end)
{
	static const struct {
		const char *head, *piece;
		size_t times;
		const char *tail;
	} t[] = {
		{"", "{", 1000000, ""},
		{"", "[", 1000000, ""},
		{"", "{\"a\":", 200000, ""},
		{"", "{\"total\":", 60, "1"},
		{"{\"lines\":[", "{\"amount\":\"1.00\"},", 50000, "{}]}"},
		{"", "total: 1.00\n", 80000, ""},
		{"", "lines:\n- amount: 1\n", 50000, ""},
		{"lines:\n", " - description: x\n", 50000, ""},
		{"", "\n", 1000000, ""},
		{"total: ", "9", 1000000, ""},
		{"", "```", 300000, ""},
		{"{\"total\":\"", "9", 1000000, "\"}"},
		{"{\"x\":{", "\"a\":{},", 1, "\"b\":1}}"},
		{"", "{\"a\":1,\"b\":", 100000, ""},
		{"{\"merchant_name\":\"", "\xc3\xa9", 500000, "\"}"},
		{"", "\xff", 1000000, ""},
		{"", "- ", 500000, ""},
		{"", "{}", 400000, ""},
		{"lines: ", "}", 1000000, ""},
		{"total: {", "}", 1000000, ""},
		{"total: \"", "}", 1000000, ""},
		{"\"a\": \"x", " ", 1000000, "\ny"},
		{"\"lines\": {", "}", 200000, "\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_buf_ struct buf b = {};
		int e;

		buf_adds(&b, t[i].head);
		fill(&b, t[i].piece, MAX(t[i].times / test_stride(10), 1));
		buf_adds(&b, t[i].tail);
		e = read_as("receipt", buf_str(&b));
		CHECK(e == 0 || e == -ENODATA);
		if (e == 0)
			CHECK(checks_run(answer) == 0);
		if (answer && answer->problems)
			CHECK(strlen(answer->problems) < 5000);
	}
	forget();
}

TEST(too_long_an_answer_is_none)
{
	_cleanup_free_ char *text = calloc(1, (size_t)5 << 20);

	CHECK(text);
	memset(text, ' ', (size_t)5 << 20);
	memcpy(text, "{\"total\":\"1.00\"}", 16);
	type = load("receipt");
	CHECK_INT(answer_parse(type, text, (size_t)5 << 20, &answer), -ENODATA);
	CHECK(answer_parse(type, text, (size_t)1 << 20, &answer) == 0);
	forget();
}

TEST(evidence_supports_what_it_says)
{
	static const char json[] =
		"{\"total\":{\"text\":\"$12.50\",\"box\":[10,20,30,40],\"confidence\":0.93},\"gst\":{"
		"\"text\":\"9.99\",\"box\":[1,2,3,4]},"
		"\"merchant_name\":{\"text\":\"CAFE\"},\"date\":{\"box\":[1,2,0,4],\"confidence\":7},"
		"\"receipt_number\":{\"text\":\"5\"},"
		"\"nobody\":{\"text\":\"x\"},\"payment_method\":{\"text\":\" Visa \",\"box\":[-1,2,3,4]}}";
	_cleanup_json_ cJSON *evidence = NULL;
	const struct field_value *f;

	CHECK(json_parse(json, strlen(json), &evidence, NULL) == 0);
	CHECK(read_as("receipt", "{\"total\":\"12.50\",\"gst\":\"1.14\",\"merchant_name\":\"Cafe\",\"date\":"
				 "\"2026-11-21\",\"payment_method\":\"Visa\"}") == 0);
	CHECK(answer_add_evidence(answer, evidence) == 0);
	CHECK(answer_add_evidence(answer, NULL) == 0);
	f = answer_field(answer, "total");
	CHECK(f->proof == PROOF_SUPPORTED && f->box[0] == 10 && f->box[3] == 40);
	CHECK(f->confidence > 0.92 && f->confidence < 0.94);
	CHECK(answer_field(answer, "gst")->proof == PROOF_UNPROVEN);
	CHECK_INT(answer_field(answer, "gst")->box[2], 3);
	CHECK(answer_field(answer, "merchant_name")->proof == PROOF_UNPROVEN); /* another text */
	CHECK(answer_field(answer, "payment_method")->proof == PROOF_SUPPORTED);
	CHECK_INT(answer_field(answer, "payment_method")->box[2], 0);
	CHECK(answer_field(answer, "date")->confidence < 0);
	CHECK(answer_field(answer, "receipt_number")->proof == PROOF_UNPROVEN);
	forget();
}

TEST(the_result_as_json)
{
	_cleanup_json_ cJSON *obj = cJSON_CreateObject();
	_cleanup_buf_ struct buf b = {};

	CHECK(read_as("receipt", "{\"merchant_name\":{\"value\":\"Cafe\",\"confidence\":0.87654},\"merchant_"
				 "abn\":\"51 824 753 556\",\"date\":\"x\",\"mood\":1,"
				 "\"gst\":\"0.30\",\"total\":\"3.30\",\"lines\":[{\"description\":\"A\","
				 "\"amount\":\"1.30\"},{\"description\":\"B\","
				 "\"amount\":\"2.00\"}]}") == 0);
	CHECK(checks_run(answer) == 0);
	CHECK(answer_to_json(answer, obj) == 0);
	CHECK(json_print(obj, false, &b) == 0);
	CHECK_STR(buf_str(&b),
		"{\"type\":\"receipt\",\"type_version\":1,\"state\":\"incomplete\",\"fields\":{"
		"\"merchant_name\":{\"value\":\"Cafe\",\"proof\":\"unproven\",\"confidence\":0.877},"
		"\"merchant_abn\":{\"value\":\"51824753556\",\"proof\":\"verified\",\"check\":\"abn\"},"
		"\"date\":{\"value\":null,\"proof\":\"unproven\",\"problem\":\"not a date: x\"},"
		"\"gst\":{\"value\":\"0.30\",\"proof\":\"verified\",\"check\":\"gst\"},"
		"\"total\":{\"value\":\"3.30\",\"proof\":\"verified\",\"check\":\"sum\"},"
		"\"lines\":{\"value\":[{\"description\":\"A\",\"amount\":\"1.30\"},{\"description\":\"B\","
		"\"amount\":\"2.00\"}],"
		"\"proof\":\"verified\",\"check\":\"sum\",\"proven_columns\":[\"amount\"]}},\"problems\":["
		"\"unknown member mood\"]}");
	forget();
}

TEST(score_and_names)
{
	CHECK(read_as("universal", "{\"document_type\":\"letter\"}") == 0);
	CHECK_INT(answer_score(answer), ANSWER_COMPLETE);
	CHECK(read_as("universal", "{\"total\":\"1.00\"}") == 0);
	CHECK_INT(answer_score(answer), ANSWER_INCOMPLETE);
	CHECK(read_as("universal", "{\"document_type\":\"letter\",\"issuer_abn\":\"11111111111\"}") == 0);
	CHECK(checks_run(answer) == 0);
	CHECK_INT(answer_score(answer), ANSWER_DOUBTFUL);
	CHECK_STR(answer_state_name(ANSWER_DOUBTFUL), "doubtful");
	CHECK_STR(answer_state_name((enum answer_state)9), "unknown");
	CHECK_STR(proof_name(PROOF_SUPPORTED), "supported");
	CHECK_STR(proof_name((enum proof)9), "unknown");
	forget();
	answer_free(NULL);
}
