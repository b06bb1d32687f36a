/* Pages of a document that were read one by one: one answer. */
#include "tests/unit/test.h"

#include <fcntl.h>

#include "base/fileio.h"
#include "extract/answer.h"
#include "extract/checks.h"

static struct doctype *load(const char *name)
{
	_cleanup_buf_ struct buf b = {};
	struct doctype *t = NULL;
	char path[80], why[300] = "";

	str_format(path, sizeof(path), "configs/documents/%s.json", name);
	if (file_read(AT_FDCWD, path, 1 << 20, &b) < 0 || doctype_parse(buf_str(&b), b.len, &t, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", path, why);
	return t;
}

static void join(const struct doctype *t, struct answer **sum, const char *raw, uint32_t page)
{
	struct answer *part;

	CHECK_INT(answer_parse(t, raw, strlen(raw), &part), 0);
	CHECK_INT(answer_join(sum, part, page), 0);
}

static const char *value(const struct answer *a, const char *field)
{
	const cJSON *v = answer_field(a, field)->value;

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

TEST(what_is_not_there_yet_is_taken)
{
	struct doctype *t = load("receipt");
	struct answer *sum = NULL;

	join(t, &sum, "{\"merchant_name\":\"Cafe\",\"date\":\"soon\"}", 1);
	join(t, &sum, "{\"merchant_name\":\"Cafe\",\"date\":\"2026-11-21\"}", 2);
	join(t, &sum, "{\"merchant_name\":\"Bar\",\"total\":\"12.50\",\"mood\":\"good\"}", 3);
	CHECK_STR(value(sum, "merchant_name"), "Cafe");
	CHECK_STR(value(sum, "date"), "2026-11-21");
	CHECK(!answer_field(sum, "date")->problem);
	CHECK_STR(value(sum, "total"), "12.50");
	CHECK_INT(answer_field(sum, "merchant_name")->page, 1);
	CHECK_INT(answer_field(sum, "date")->page, 2);
	CHECK_INT(answer_field(sum, "total")->page, 3);
	CHECK(strstr(sum->problems, "merchant_name: page 3 says otherwise"));
	CHECK(strstr(sum->problems, "page 3: unknown member mood"));
	answer_free(sum);
	doctype_free(t);
}

TEST(rows_follow_one_another)
{
	static const char first[] = "{\"merchant_name\":\"Cafe\",\"lines\":[{\"description\":\"A\",\"amount\":\"1.30\"}]}";
	static const char second[] = "{\"total\":\"3.30\",\"lines\":[{\"description\":\"B\",\"amount\":\"2.00\"}]}";
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	_cleanup_buf_ struct buf text = {};
	struct doctype *t = load("receipt");
	struct answer *sum = NULL;

	join(t, &sum, first, 1);
	join(t, &sum, second, 2);
	CHECK_INT(cJSON_GetArraySize(answer_field(sum, "lines")->value), 2);
	/* The sum is that of both pages' rows. */
	CHECK_INT(checks_run(sum), 0);
	CHECK_INT(answer_field(sum, "total")->proof, PROOF_VERIFIED);
	CHECK_INT(answer_to_json(sum, j), 0);
	CHECK_INT(json_print(j, false, &text), 0);
	CHECK(strstr(buf_str(&text), "\"total\":{\"value\":\"3.30\",\"proof\":\"verified\",\"check\":\"sum\",\"page\":2}"));
	CHECK(!strstr(strstr(buf_str(&text), "\"lines\""), "\"page\""));
	answer_free(sum);
	doctype_free(t);
}

TEST(rows_have_a_bound)
{
	_cleanup_buf_ struct buf raw = {};
	struct doctype *t = load("receipt");
	struct answer *sum = NULL;
	int64_t max = 0;

	CHECK_INT(buf_adds(&raw, "{\"merchant_name\":\"Cafe\",\"lines\":["), 0);
	CHECK_INT(json_get_i64(doctype_field(t, "lines")->schema, "maxItems", &max), 0);
	for (int64_t i = 0; i < max; i++)
		CHECK_INT(buf_addf(&raw, "%s{\"description\":\"A\",\"amount\":\"1.00\"}", i ? "," : ""), 0);
	CHECK_INT(buf_adds(&raw, "]}"), 0);
	join(t, &sum, buf_str(&raw), 1);
	join(t, &sum, "{\"lines\":[{\"description\":\"B\",\"amount\":\"2.00\"}]}", 2);
	CHECK_INT(cJSON_GetArraySize(answer_field(sum, "lines")->value), max);
	CHECK_STR(answer_field(sum, "lines")->problem, "1 more rows were left out");
	answer_free(sum);
	doctype_free(t);
}

TEST(another_type_is_no_part)
{
	struct doctype *t = load("receipt"), *other = load("universal");
	struct answer *sum = NULL, *part;

	join(t, &sum, "{\"merchant_name\":\"Cafe\"}", 1);
	CHECK_INT(answer_parse(other, "{\"document_type\":\"letter\"}", 26, &part), 0);
	CHECK_INT(answer_join(&sum, part, 2), -EINVAL);
	CHECK_STR(value(sum, "merchant_name"), "Cafe");
	answer_free(sum);
	doctype_free(t);
	doctype_free(other);
}
