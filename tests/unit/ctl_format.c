#include "tests/unit/test.h"

#include "base/text.h"
#include "ctl/fields.h"
#include "ctl/table.h"
#include "ctl/watch.h"

static const struct look plain = {}, ascii = {.ascii = true}, colour = {.colour = true};

#define SHOWN(call, want)                                                                                    \
	do {                                                                                                 \
		_cleanup_buf_ struct buf out = {};                                                           \
		CHECK_INT(call, 0);                                                                          \
		CHECK_STR(buf_str(&out), want);                                                              \
	} while (0)

TEST(money)
{
	SHOWN(format_money(&out, 0), "US$0");
	SHOWN(format_money(&out, 1230000000), "US$0.00123");
	SHOWN(format_money(&out, 1), "<US$0.00001");
	SHOWN(format_money(&out, 4999999), "<US$0.00001");
	SHOWN(format_money(&out, 5000000), "US$0.00001");
	SHOWN(format_money(&out, 999995000000), "US$1.00000");
	SHOWN(format_money(&out, INT64_C(1000000000000)), "US$1.00");
	SHOWN(format_money(&out, INT64_C(12345000000000)), "US$12.35");
	SHOWN(format_money(&out, INT64_C(-2500000000000)), "-US$2.50");
	SHOWN(format_money(&out, INT64_MAX), "US$9223372.04");
	SHOWN(format_money(&out, INT64_MIN), "-US$9223372.04");
	SHOWN(format_money_text(&out, "1230000000"), "US$0.00123");
	SHOWN(format_money_text(&out, "12x"), "?");
	SHOWN(format_money_text(&out, NULL), "?");
}

TEST(exact_money)
{
	SHOWN(format_money_exact(&out, 0), "US$0.00");
	SHOWN(format_money_exact(&out, 1), "US$0.000000000001");
	SHOWN(format_money_exact(&out, 1230000000), "US$0.00123");
	SHOWN(format_money_exact(&out, INT64_C(2500000000000)), "US$2.50");
	SHOWN(format_decimal(&out, INT64_C(-2000000000000)), "-2.00");
	SHOWN(format_decimal(&out, INT64_MAX), "9223372.036854775807");
	SHOWN(format_decimal(&out, INT64_MIN), "-9223372.036854775808");
}

TEST(bytes_and_times)
{
	SHOWN(format_bytes(&out, 0), "0 B");
	SHOWN(format_bytes(&out, 1023), "1023 B");
	SHOWN(format_bytes(&out, 1024), "1.0 KiB");
	SHOWN(format_bytes(&out, 1536 * 1024), "1.5 MiB");
	SHOWN(format_bytes(&out, INT64_C(3) << 40), "3.0 TiB");
	SHOWN(format_bytes(&out, INT64_MAX), "8191.9 PiB");
	SHOWN(format_seconds(&out, 1249), "1.2 s");
	SHOWN(format_seconds(&out, 1250), "1.3 s");
	SHOWN(format_seconds(&out, -5), "0.0 s");
	SHOWN(format_duration(&out, 59999), "59 s");
	SHOWN(format_duration(&out, 60000), "1 min");
	SHOWN(format_duration(&out, 7380000), "2 h 3 min");
	SHOWN(format_duration(&out, 90000000), "1 d 1 h");
	SHOWN(format_time(&out, "2026-11-21T03:12:05.123Z"), "2026-11-21 03:12:05");
	SHOWN(format_time(&out, "\033[31mevil"), "?");
	SHOWN(format_time(&out, NULL), "?");
}

TEST(text_from_outside)
{
	_cleanup_buf_ struct buf b = {};

	SHOWN(format_text(&out, &ascii, "Café €5", 0), "Caf? ?5");
	SHOWN(format_text(&out, &ascii, "abcdefgh", 5), "abcd...");
	SHOWN(format_styled(&out, &colour, STYLE_BAD, "x"), "\033[31mx\033[0m");
	SHOWN(format_styled(&out, &plain, STYLE_BAD, "x"), "x");
	SHOWN(format_styled(&out, &colour, STYLE_BAD, ""), "");
	CHECK_INT(format_text(&b, &colour, "\033]0;title\007\033[2J\r\n", 0), 0);
	CHECK(!strpbrk(buf_str(&b), "\033\007\r\n"));
}

/* ---- tables -------------------------------------------------------------------------------------------- */

static struct table *table_of(
	const char *const *titles, const char *const *cells, size_t rows, size_t columns)
{
	struct table *t;

	CHECK_INT(table_new(titles, &t), 0);
	for (size_t i = 0; i < rows; i++) {
		CHECK_INT(table_row(t), 0);
		for (size_t k = 0; k < columns; k++)
			CHECK_INT(table_cell(t, STYLE_PLAIN, cells[i * columns + k]), 0);
		CHECK_INT(table_cell(t, STYLE_PLAIN, "too many"), -EINVAL);
	}
	return t;
}

TEST(table_wide_characters)
{
	static const char *const titles[] = {"name", ">n", "note", NULL};
	static const char *const cells[] = {"東京", "1", "a", "Zoë", "234", "", "x", NULL, "b"};
	_cleanup_table_ struct table *t = table_of(titles, cells, 3, 3);

	SHOWN(table_print(t, &plain, true, 0, 0, &out), "name    n  note\n"
							"東京    1  a\n"
							"Zoë   234\n"
							"x          b\n");
	SHOWN(table_print(t, &plain, false, 2, 0, &out), "  東京    1  a\n"
							 "  Zoë   234\n"
							 "  x          b\n");
}

TEST(table_leaves_out_empty_columns)
{
	static const char *const titles[] = {"a", "b", "c", NULL};
	static const char *const cells[] = {"1", "", "3", "4", NULL, "6"};
	_cleanup_table_ struct table *t = table_of(titles, cells, 2, 3);

	SHOWN(table_print(t, &plain, true, 0, 0, &out), "a  c\n1  3\n4  6\n");
}

TEST(table_hostile_text)
{
	static const char *const titles[] = {"a", "b", NULL};
	static const char *const cells[] = {
		"x\033[2Jy\nz", "end", "\xff\xfe", "end", "a very long cell that is cut", "end"};
	_cleanup_table_ struct table *t = table_of(titles, cells, 3, 2);
	_cleanup_buf_ struct buf b = {};
	size_t lines = 0, column = 0;

	CHECK_INT(table_print(t, &plain, false, 0, 10, &b), 0);
	CHECK(utf8_valid(b.data, b.len));
	CHECK(!strchr(b.data, '\033'));
	for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n"), lines++) {
		char *end = strstr(line, "end");

		CHECK(end);
		*end = 0;
		CHECK(!column || text_columns(line) == column);
		column = text_columns(line);
	}
	CHECK_INT(lines, 3);
}

TEST(table_colour_does_not_count)
{
	static const char *const titles[] = {"a", "b", NULL};
	_cleanup_table_ struct table *t = NULL;

	CHECK_INT(table_new(titles, &t), 0);
	CHECK_INT(table_row(t), 0);
	CHECK_INT(table_cell(t, STYLE_GOOD, "ok"), 0);
	CHECK_INT(table_cell(t, STYLE_PLAIN, "x"), 0);
	CHECK_INT(table_row(t), 0);
	CHECK_INT(table_cell(t, STYLE_PLAIN, "down"), 0);
	CHECK_INT(table_cell(t, STYLE_PLAIN, "y"), 0);
	SHOWN(table_print(t, &colour, false, 0, 0, &out), "\033[32mok\033[0m    x\ndown  y\n");
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static cJSON *json_of(const char *text)
{
	cJSON *j = NULL;

	CHECK_INT(json_parse(text, strlen(text), &j, NULL), 0);
	return j;
}

static const char result_text[] =
	"{\"type\":\"invoice\",\"state\":\"complete\",\"fields\":{"
	"\"supplier\":{\"value\":\"ACME Pty Ltd\",\"proof\":\"supported\"},"
	"\"abn\":{\"value\":\"51824753556\",\"proof\":\"verified\",\"check\":\"abn\"},"
	"\"due\":{\"value\":null,\"proof\":\"unproven\",\"problem\":\"not a date: 31/31/26\"},"
	"\"count\":{\"value\":3,\"proof\":\"unproven\"},"
	"\"lines\":{\"value\":[{\"what\":\"Widget\",\"amount\":\"10.00\"},{\"what\":\"Tea "
	"茶\",\"amount\":\"3.50\",\"qty\":2}],"
	"\"proof\":\"verified\",\"check\":\"sum\"}}}";

TEST(fields)
{
	_cleanup_json_ cJSON *result = json_of(result_text);

	SHOWN(fields_print(result, &plain, 2, &out),
		"  supplier  ACME Pty Ltd  · supported\n"
		"  abn       51824753556   ✓ verified   abn\n"
		"  due       -                          not a date: 31/31/26\n"
		"  count     3             ? unproven\n"
		"  lines     2 rows        ✓ verified   sum\n"
		"  lines:\n"
		"    what    amount  qty\n"
		"    Widget   10.00\n"
		"    Tea 茶    3.50    2\n");
	SHOWN(fields_print(result, &ascii, 0, &out),
		"supplier  ACME Pty Ltd  supported\n"
		"abn       51824753556   verified   abn\n"
		"due       -                        not a date: 31/31/26\n"
		"count     3             unproven\n"
		"lines     2 rows        verified   sum\n"
		"lines:\n"
		"  what    amount  qty\n"
		"  Widget   10.00\n"
		"  Tea ?     3.50    2\n");
}

/* Whichever row comes first, debit stands where its own row has it. */
TEST(columns_of_rows_keep_their_order)
{
	_cleanup_json_ cJSON *credit_first = json_of(
		"{\"fields\":{\"lines\":{\"value\":["
		"{\"date\":\"2026-11-01\",\"description\":\"Pay\",\"credit\":\"5.00\",\"balance\":\"9.00\"},"
		"{\"date\":\"2026-11-02\",\"description\":\"Tea\",\"debit\":\"1.00\",\"balance\":\"8.00\"}"
		"]}}}");
	_cleanup_json_ cJSON *debit_first = json_of(
		"{\"fields\":{\"lines\":{\"value\":["
		"{\"date\":\"2026-11-02\",\"description\":\"Tea\",\"debit\":\"1.00\",\"balance\":\"8.00\"},"
		"{\"new\":\"x\",\"date\":\"2026-11-03\",\"balance\":\"8.00\",\"late\":\"y\"}]}}}");
	_cleanup_buf_ struct buf a = {}, b = {};

	CHECK_INT(fields_print(credit_first, &ascii, 0, &a), 0);
	CHECK(strstr(buf_str(&a), "  date        description  debit  credit  balance\n"));
	CHECK_INT(fields_print(debit_first, &ascii, 0, &b), 0);
	CHECK(strstr(buf_str(&b), "  new  date        description  debit  balance  late\n"));
}

TEST(more_columns_than_a_table_has)
{
	_cleanup_json_ cJSON *result =
		json_of("{\"fields\":{\"t\":{\"value\":[{\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,"
			"\"h\":1,\"i\":1,"
			"\"j\":1,\"k\":1,\"l\":1},{\"a\":2,\"b\":2,\"x\":2,\"c\":2,\"y\":2}]}}}");
	_cleanup_buf_ struct buf out = {};

	CHECK_INT(fields_print(result, &ascii, 0, &out), 0);
	CHECK(strstr(buf_str(&out), "  a  b  c  d  e  f  g  h  i  j  k  l\n"));
}

/* A model may answer anything. */
TEST(odd_rows)
{
	_cleanup_json_ cJSON *empty = json_of("{\"fields\":{\"t\":{\"value\":[{},{},{}]}}}");
	_cleanup_json_ cJSON *mixed =
		json_of("{\"fields\":{\"t\":{\"value\":[{\"a\":1},[\"x\",2],null,\"y\",{\"a\":null}]}}}");
	_cleanup_buf_ struct buf b = {};

	SHOWN(fields_print(empty, &ascii, 0, &out), "t  3 rows  unproven\nt:\n");
	CHECK_INT(fields_print(mixed, &ascii, 0, &b), 0);
	CHECK(strstr(buf_str(&b), "t:\n  a\n  1\n"));
}

TEST(fields_of_nothing)
{
	_cleanup_json_ cJSON *empty = json_of("{}"),
			     *odd = json_of("{\"fields\":[1,\"x\",{\"name\":\"n\",\"value\":\"v\"},null]}");
	_cleanup_buf_ struct buf b = {};

	SHOWN(fields_print(empty, &plain, 0, &out), "");
	SHOWN(fields_print(NULL, &plain, 0, &out), "");
	CHECK_INT(fields_print(odd, &plain, 0, &b), 0);
	CHECK(strstr(buf_str(&b), "n  v"));
}

TEST(events)
{
	_cleanup_json_ cJSON *held = json_of(
		"{\"kind\":\"page-held\",\"time\":\"2026-11-21T03:12:05.123Z\",\"page\":{\"id\":\"X1\","
		"\"name\":\"a\\u001b[2Jb.jpg\"},\"reason\":\"tries\",\"message\":\"no more\"}");
	_cleanup_json_ cJSON *lights =
		json_of("{\"kind\":\"lights\",\"time\":\"2026-11-21T03:12:05.123Z\","
			"\"lights\":{\"captured\":\"off\",\"safe\":\"on\",\"delivered\":\"off\"}}");
	_cleanup_json_ cJSON *odd = json_of("{\"time\":5,\"page\":[]}");
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(event_print(held, &plain, &b), 0);
	CHECK(starts_with(buf_str(&b), "03:12:05.123  page-held         X1  a"));
	CHECK(strstr(buf_str(&b), "tries: no more\n") && !strchr(buf_str(&b), '\033'));
	SHOWN(event_print(lights, &plain, &out),
		"03:12:05.123  lights  captured off, safe on, delivered off\n");
	SHOWN(event_print(odd, &plain, &out), "  \n");
}

static void check_middle(const char *text, size_t columns, bool only_ascii, const char *want)
{
	_cleanup_buf_ struct buf out = {};

	CHECK_INT(format_middle(&out, only_ascii ? &ascii : &plain, text, columns), 0);
	CHECK_STR(buf_str(&out), want);
	CHECK(text_columns(buf_str(&out)) <= columns);
}

TEST(the_middle_of_a_name_is_left_out)
{
	check_middle("", 5, false, "");
	check_middle("amazon.nova-pro-v1:0", 20, false, "amazon.nova-pro-v1:0");
	check_middle("amazon.nova-pro-v1:0", 19, false, "amazon.no…-pro-v1:0");
	check_middle("amazon.nova-pro-v1:0", 10, false, "amazo…v1:0");
	check_middle("amazon.nova-pro-v1:0", 10, true, "amaz...1:0");
	check_middle("amazon", 1, false, "…");
	/* Of two columns each, and what is for no terminal. */
	check_middle("模模模模模模", 12, false, "模模模模模模");
	check_middle("模模模模模模", 11, false, "模模…模模");
	check_middle("模模模模模模", 8, false, "模模…模");
	check_middle("a\033[2Jbcdefghij", 9, false, "a\xef\xbf\xbd[2…ghij");
}
