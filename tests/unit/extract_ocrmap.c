/* Pages drawn as text: a character is 12 x 20 pixels, a line 40 pixels high. Runs of two blanks or more
 * divide columns. */
#include "extract/ocrmap.h"

#include <fcntl.h>
#include <time.h>

#include "base/fileio.h"
#include "extract/answer.h"
#include "tests/unit/test.h"

#define CHAR_W 12
#define CHAR_H 20
#define LINE_H 40

struct page {
	struct typeset *types;
	struct ocr_words *words;
	cJSON *answer, *evidence;
};

static struct typeset *types_load(void)
{
	static const char *const names[] = {"universal", "invoice", "receipt", "bank-statement"};
	struct buf all = {};
	struct typeset *s;
	char why[256];

	CHECK_INT(buf_addc(&all, '['), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct buf one = {};
		char path[80];

		str_format(path, sizeof(path), "configs/documents/%s.json", names[i]);
		CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &one), 0);
		CHECK_INT(buf_addf(&all, "%s%s", i ? "," : "", buf_str(&one)), 0);
		buf_free(&one);
	}
	CHECK_INT(buf_addc(&all, ']'), 0);
	CHECK_INT(typeset_parse(all.data, all.len, &s, why, sizeof(why)), 0);
	buf_free(&all);
	return s;
}

/* slope: pixels of y per 1000 pixels of x, as a page lies that was put askew */
static struct ocr_words *words_draw(const char *text, int slope)
{
	struct ocr_words *w = calloc(1, sizeof(*w));
	cJSON *texts = cJSON_CreateArray();
	int line = 0, column = 0;

	w->words = calloc(1000, sizeof(*w->words));
	w->json = texts;
	w->width = 100 * CHAR_W;
	w->height = 60 * LINE_H;
	while (*text) {
		size_t n = strcspn(text, " \n");

		if (n > 0) {
			char *copy = strndup(text, n);
			cJSON *item = cJSON_CreateString(copy);
			int x = column * CHAR_W;

			free(copy);
			cJSON_AddItemToArray(texts, item);
			w->words[w->n++] =
				(struct ocr_word){item->valuestring, x, line * LINE_H + x * slope / 1000 + 10,
					(int)n * CHAR_W, CHAR_H, 95, 1, 1, line + 1};
		}
		text += n;
		column += (int)n + 1;
		if (*text == '\n') {
			line++;
			column = 0;
		}
		text += *text != 0;
	}
	return w;
}

static void page_map(struct page *p, const char *type, const char *text, int slope)
{
	*p = (struct page){.types = types_load(), .words = words_draw(text, slope)};
	CHECK_INT(ocr_map(typeset_find(p->types, type), p->words, &p->answer, &p->evidence), 0);
}

static void page_free(struct page *p)
{
	cJSON_Delete(p->answer);
	cJSON_Delete(p->evidence);
	ocr_words_free(p->words);
	typeset_free(p->types);
}

static void check_page(const char *type, const char *text, int slope, const char *want)
{
	struct buf got = {};
	struct page p;

	page_map(&p, type, text, slope);
	CHECK_INT(json_print(p.answer, false, &got), 0);
	CHECK_STR(buf_str(&got), want);
	buf_free(&got);
	page_free(&p);
}

/* ---- labels ------------------------------------------------------------------------------------------- */

TEST(value_right_of_label)
{
	check_page("invoice",
		"ABN: 51 824 753 556\nInvoice No: A-17\nInvoice date 3 May 2026   Due date 17/05/2026\n", 0,
		"{\"supplier_abn\":\"51824753556\",\"invoice_number\":\"A-17\",\"invoice_date\":\"2026-05-"
		"03\",\"due_date\":\"2026-05-17\"}");
}

TEST(value_below_label)
{
	check_page("invoice",
		"Invoice number     Invoice date     Due date\n"
		"TI 2041            03/05/2026       17/05/2026\n"
		"\n"
		"Bill to\n"
		"Parkside Legal\n",
		0,
		"{\"invoice_number\":\"TI "
		"2041\",\"invoice_date\":\"2026-05-03\",\"due_date\":\"2026-05-17\",\"customer_name\":"
		"\"Parkside Legal\"}");
}

TEST(longest_label_wins)
{
	check_page("invoice",
		"Subtotal               $100.00\n"
		"Total GST               $10.00\n"
		"Total                  $110.00\n",
		0, "{\"subtotal\":\"100.00\",\"gst\":\"10.00\",\"total\":\"110.00\"}");
	check_page("invoice",
		"Total (inc GST)        $110.00\n"
		"GST (10%)               $10.00\n"
		"Total ex GST           $100.00\n",
		0, "{\"subtotal\":\"100.00\",\"gst\":\"10.00\",\"total\":\"110.00\"}");
}

TEST(label_glued_to_its_value)
{
	check_page("invoice", "ABN:51824753556   Date:3/5/2026   Invoice #A17\n", 0,
		"{\"supplier_abn\":\"51824753556\",\"invoice_number\":\"A17\",\"invoice_date\":\"2026-05-"
		"03\"}");
}

TEST(misread_letters_in_labels)
{
	check_page("invoice", "lnvoice Nurnber A-17\nT0TAL   $110.00\nDue dale 17/05/2026\n", 0,
		"{\"invoice_number\":\"A-17\",\"due_date\":\"2026-05-17\",\"total\":\"110.00\"}");
}

TEST(misread_digits_in_values)
{
	check_page("invoice", "ABN 5l 824 753 SS6\nTotal   $1,2O4.5O\nGST   $1.045.67\n", 0,
		"{\"supplier_abn\":\"51824753556\",\"gst\":\"1045.67\",\"total\":\"1204.50\"}");
}

TEST(a_count_is_no_amount)
{
	check_page("receipt", "TOTAL 3 items   $45.60\n", 0, "{\"total\":\"45.60\"}");
}

TEST(a_sentence_is_no_label)
{
	check_page("invoice",
		"Please quote the invoice to us again when you pay\nThank you very much for being a customer "
		"of ours\n",
		0, "{}");
}

TEST(skewed_page)
{
	check_page("invoice",
		"Subtotal                                                                   $100.00\n"
		"GST                                                                         $10.00\n"
		"Total                                                                      $110.00\n"
		"This page lies askew as pages do and its lines are long enough to tell how much\n",
		17, "{\"subtotal\":\"100.00\",\"gst\":\"10.00\",\"total\":\"110.00\"}");
}

/* ---- tables ------------------------------------------------------------------------------------------- */

TEST(invoice_lines)
{
	check_page("invoice",
		"Description                      Qty     Unit price        Amount\n"
		"Copper pipe 15 mm                  2         $50.00       $100.00\n"
		"Labour, per hour                 1.5         $80.00       $120.00\n"
		"including travel\n"
		"\n"
		"Subtotal                                                  $220.00\n"
		"GST 10%                                                    $22.00\n"
		"Total                                                     $242.00\n",
		0,
		"{\"subtotal\":\"220.00\",\"gst\":\"22.00\",\"total\":\"242.00\",\"lines\":["
		"{\"description\":\"Copper pipe 15 "
		"mm\",\"quantity\":\"2\",\"unit_price\":\"50.00\",\"amount\":\"100.00\"},"
		"{\"description\":\"Labour, per hour including "
		"travel\",\"quantity\":\"1.5\",\"unit_price\":\"80.00\",\"amount\":\"120.00\"}]}");
}

/* A word read far too wide overlaps its neighbours: the answer must still be JSON with each column once. */
TEST(wide_word_writes_no_column_twice)
{
	struct ocr_word words[] = {
		{"Description", 100, 100, 150, 20, 95, 1, 1, 1}, {"Qty", 500, 100, 50, 20, 95, 1, 1, 1},
		{"Price", 700, 100, 60, 20, 95, 1, 1, 1}, {"Amount", 900, 100, 90, 20, 95, 1, 1, 1},
		{"Widget", 100, 140, 100, 20, 95, 1, 1, 2}, {"2", 510, 140, 10, 20, 95, 1, 1, 2},
		{"30.00", 700, 140, 60, 20, 95, 1, 1, 2}, {"60.00", 910, 140, 80, 20, 95, 1, 1, 2},
		{"Bolt", 100, 180, 100, 20, 95, 1, 1, 3}, {"60.00", 600, 180, 760, 20, 95, 1, 1, 3},
		{"30.00", 700, 180, 60, 20, 95, 1, 1, 3}, {"60.00", 910, 180, 80, 20, 95, 1, 1, 3},
	};
	struct ocr_words page = {words, ARRAY_SIZE(words), 1200, 1600, NULL};
	struct typeset *types = types_load();
	cJSON *answer = NULL, *evidence = NULL, *again = NULL;
	struct buf text = {};

	CHECK_INT(ocr_map(typeset_find(types, "invoice"), &page, &answer, &evidence), 0);
	CHECK_INT(json_print(answer, false, &text), 0);
	CHECK_INT(json_parse(text.data, text.len, &again, NULL), 0); /* refuses duplicate members */
	cJSON_Delete(again);
	cJSON_Delete(answer);
	cJSON_Delete(evidence);
	buf_free(&text);
	typeset_free(types);
}

TEST(unknown_columns_are_left_out)
{
	check_page("invoice",
		"Item no   Description        Qty     Price    GST rate    Amount\n"
		"1001      Freight to depot     3    $10.00         10%    $30.00\n"
		"1002      Disposal levy        1     $5.00         10%     $5.00\n",
		0,
		"{\"lines\":[{\"description\":\"Freight to "
		"depot\",\"quantity\":\"3\",\"unit_price\":\"10.00\",\"amount\":\"30.00\"},"
		"{\"description\":\"Disposal "
		"levy\",\"quantity\":\"1\",\"unit_price\":\"5.00\",\"amount\":\"5.00\"}]}");
}

TEST(column_whose_head_was_not_read)
{
	check_page("invoice",
		"Description                              Unit price       Amount\n"
		"Copper pipe 15 mm                  2         $50.00      $100.00\n"
		"Safety switch 20 A                14         $10.00      $140.00\n",
		0,
		"{\"lines\":[{\"description\":\"Copper pipe 15 "
		"mm\",\"quantity\":\"2\",\"unit_price\":\"50.00\",\"amount\":\"100.00\"},"
		"{\"description\":\"Safety switch 20 "
		"A\",\"quantity\":\"14\",\"unit_price\":\"10.00\",\"amount\":\"140.00\"}]}");
}

TEST(last_column_whose_head_was_not_read)
{
	check_page("invoice",
		"Description                      Qty     Unit price\n"
		"Copper pipe 15 mm                  2         $50.00       $100.00\n"
		"Safety switch 20 A                14         $10.00       $140.00\n",
		0,
		"{\"lines\":[{\"description\":\"Copper pipe 15 "
		"mm\",\"quantity\":\"2\",\"unit_price\":\"50.00\","
		"\"amount\":\"100.00\"},{\"description\":\"Safety switch 20 "
		"A\",\"quantity\":\"14\",\"unit_price\":\"10.00\","
		"\"amount\":\"140.00\"}]}");
}

TEST(statement_rows)
{
	check_page("bank-statement",
		"BSB 062-001   Account number 12345678\n"
		"\n"
		"Date         Description                Withdrawals    Deposits      Balance\n"
		"             Opening balance                                          900.00\n"
		"03 Feb 2026  DEPOSIT BRANCH 2412                         100.00     1,000.00\n"
		"             EFTPOS CORNER BAKERY             12.50                   987.50\n"
		"05 Feb 2026  TRANSFER TO SAVINGS             400.00                   587.50\n"
		"             Closing balance                                          587.50\n",
		0,
		"{\"bsb\":\"062-001\",\"account_number\":\"12345678\",\"opening_balance\":\"900.00\","
		"\"closing_balance\":\"587.50\","
		"\"transactions\":[{\"date\":\"2026-02-03\",\"description\":\"DEPOSIT BRANCH "
		"2412\",\"credit\":\"100.00\",\"balance\":\"1000.00\"},"
		"{\"description\":\"EFTPOS CORNER "
		"BAKERY\",\"debit\":\"12.50\",\"balance\":\"987.50\",\"date\":\"2026-02-03\"},"
		"{\"date\":\"2026-02-05\",\"description\":\"TRANSFER TO "
		"SAVINGS\",\"debit\":\"400.00\",\"balance\":\"587.50\"}]}");
}

TEST(receipt_items)
{
	check_page("receipt",
		"Glebe Corner Store\n"
		"ABN 51 824 753 556\n"
		"08/09/2026 10:58\n"
		"FLAT WHITE                $9.00\n"
		"VEGEMITE 380G             $8.75 *\n"
		"LAMINGTON\n"
		"2 @ 1.50                  $3.00\n"
		"TOTAL                    $20.75\n"
		"GST INCLUDED              $0.80\n"
		"VISA                     $20.75\n",
		0,
		"{\"merchant_name\":\"Glebe Corner "
		"Store\",\"merchant_abn\":\"51824753556\",\"date\":\"2026-09-08\",\"payment_method\":"
		"\"VISA\","
		"\"gst\":\"0.80\",\"total\":\"20.75\",\"lines\":[{\"description\":\"FLAT "
		"WHITE\",\"amount\":\"9.00\"},"
		"{\"description\":\"VEGEMITE "
		"380G\",\"amount\":\"8.75\"},{\"description\":\"LAMINGTON\",\"amount\":\"3.00\"}]}");
}

/* ---- hints, types, evidence --------------------------------------------------------------------------- */

TEST(period_in_one_line)
{
	check_page("bank-statement", "Statement period   1 February 2026 - 28 February 2026\n", 0,
		"{\"period_start\":\"2026-02-01\",\"period_end\":\"2026-02-28\"}");
}

TEST(empty_page)
{
	check_page("receipt", "", 0, "{}");
	check_page("universal", "", 0, "{\"document_type\":\"other\"}");
}

TEST(evidence_of_a_label)
{
	struct page p;
	const cJSON *e;

	page_map(&p, "invoice", "Total           $110.00\n", 0);
	e = json_get(p.evidence, "total");
	CHECK_STR(json_get_string(e, "text"), "$110.00");
	CHECK_INT(cJSON_GetArrayItem(json_get(e, "box"), 0)->valueint, 16 * CHAR_W);
	CHECK_INT(cJSON_GetArrayItem(json_get(e, "box"), 2)->valueint, 7 * CHAR_W);
	CHECK(json_get(e, "confidence")->valuedouble > 0.949 &&
		json_get(e, "confidence")->valuedouble < 0.951);
	page_free(&p);
}

/* A place without a label says nothing about what stands there: no text, so the value stays unproven. */
TEST(evidence_of_a_hint)
{
	struct page p;

	page_map(&p, "receipt", "Glebe Corner Store\n", 0);
	CHECK_STR(json_get_string(p.answer, "merchant_name"), "Glebe Corner Store");
	CHECK(json_get(p.evidence, "merchant_name"));
	CHECK(!json_get(json_get(p.evidence, "merchant_name"), "text"));
	page_free(&p);
}

static void check_type(const char *text, const char *want)
{
	struct typeset *s = types_load();
	struct ocr_words *w = words_draw(text, 0);
	const struct doctype *t;

	CHECK_INT(ocr_classify(s, w, &t), 0);
	CHECK_STR(t->name, want);
	ocr_words_free(w);
	typeset_free(s);
}

TEST(types_by_their_phrases)
{
	check_type("Tax invoice\nBill to\nDue date 1/2/2026\n", "invoice");
	check_type("RECEIPT\nEFTPOS   $20.00\nChange   $0.00\nThank you\n", "receipt");
	check_type(
		"Statement of account\nOpening balance   $5.00\nClosing balance   $6.00\n", "bank-statement");
	check_type("Dear Ms Hart\nthank you for your letter.\n", "universal");
	check_type("", "universal");
}

/* As many words as there may be, all in one line: the service's loop must not stand still for them. */
TEST(endless_line)
{
	struct typeset *s = types_load();
	struct ocr_words *w = calloc(1, sizeof(*w));
	clock_t before = clock();

	*w = (struct ocr_words){.words = calloc(OCR_WORDS_MAX, sizeof(*w->words)),
		.n = OCR_WORDS_MAX,
		.width = 90000,
		.height = 400};
	for (size_t i = 0; i < w->n; i++)
		w->words[i] =
			(struct ocr_word){i % 9 ? "12..3" : "Total", (int)i * 4, 100, 4, 20, 90, 1, 1, 1};
	for (size_t i = 0; i < s->n_types; i++) {
		cJSON *answer, *evidence;

		CHECK_INT(ocr_map(s->types[i], w, &answer, &evidence), 0);
		cJSON_Delete(answer);
		cJSON_Delete(evidence);
	}
	CHECK((clock() - before) / CLOCKS_PER_SEC <
		60); /* it takes 2 seconds; more than a minute without the limits */
	ocr_words_free(w);
	typeset_free(s);
}

/* ---- words read from sample pages --------------------------------------------------------------------- */

static void check_saved(const char *name)
{
	_cleanup_buf_ struct buf text = {}, words = {}, frames = {};
	_cleanup_json_ cJSON *saved = NULL;
	struct typeset *s = types_load();
	struct buf got = {}, want = {};
	struct page p = {.types = s};
	const struct doctype *t;
	char path[200], why[200];

	str_format(path, sizeof(path), "%socr/%s.json", test_data(), name);
	CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &text), 0);
	CHECK_INT(json_parse(text.data, text.len, &saved, NULL), 0);
	CHECK_INT(json_print(json_get(saved, "words"), false, &words), 0);
	CHECK_INT(buf_addf(&frames, "{\"type\":\"words\",\"width\":%d,\"height\":%d,\"bytes\":%zu}\n",
			  json_get(saved, "width")->valueint, json_get(saved, "height")->valueint, words.len),
		0);
	CHECK_INT(buf_add(&frames, words.data, words.len), 0);
	CHECK_INT(buf_adds(&frames, "{\"type\":\"end\",\"ok\":true}\n"), 0);
	CHECK_INT(ocr_words_parse(frames.data, frames.len, &p.words, why, sizeof(why)), 0);
	CHECK_INT(ocr_classify(s, p.words, &t), 0);
	CHECK_STR(t->name, json_get_string(saved, "type"));
	CHECK_INT(ocr_map(t, p.words, &p.answer, &p.evidence), 0);
	CHECK_INT(json_print(p.answer, true, &got), 0);
	CHECK_INT(json_print(json_get(saved, "fields"), true, &want), 0);
	CHECK_STR(buf_str(&got), buf_str(&want));
	buf_free(&got);
	buf_free(&want);
	page_free(&p);
}

TEST(saved_invoice_under_a_camera)
{
	check_saved("invoice-camera");
}

TEST(saved_skewed_receipt)
{
	check_saved("receipt-skewed");
}

TEST(saved_statement)
{
	check_saved("statement");
}
