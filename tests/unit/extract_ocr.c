#include "extract/ocr.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "extract/ocrmap.h"
#include "tests/unit/test.h"

static const struct ocr_config config = {.language = "eng", .timeout_ms = 60000, .max_pixels = 4000000};
static const struct extractor extractor = {&ocr_extractor, "ocr", &config};

static struct typeset *types_load(const char *only)
{
	static const char *const names[] = {"universal", "invoice", "receipt"};
	_cleanup_buf_ struct buf all = {};
	struct typeset *s;
	char why[256];

	CHECK_INT(buf_addc(&all, '['), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_buf_ struct buf one = {};
		char path[80];

		if (only && !streq(only, names[i]))
			continue;
		str_format(path, sizeof(path), "configs/documents/%s.json", names[i]);
		CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &one), 0);
		CHECK_INT(buf_addf(&all, "%s%s", all.len > 1 ? "," : "", buf_str(&one)), 0);
	}
	CHECK_INT(buf_addc(&all, ']'), 0);
	CHECK_INT(typeset_parse(all.data, all.len, &s, why, sizeof(why)), 0);
	return s;
}

static struct verdict decode(const struct typeset *s, uint32_t tries, const struct reply *r)
{
	struct job j = {.page_id = "p", .types = s, .n_images = 1, .tries = tries};
	struct verdict v;

	CHECK_INT(ocr_extractor.decode(&extractor, &j, r, &v), 0);
	CHECK(!v.billed);
	return v;
}

static struct reply reply_with(const char *body)
{
	return (struct reply){.error = TRANSPORT_OK, .sent = true, .body = body, .len = strlen(body)};
}

#define END "{\"type\":\"end\",\"ok\":true}\n"

/* A helper's whole reply; `more` is how many bytes the head promises beyond the payload. */
static struct reply reply_words(char *out, size_t size, const char *payload, int more, const char *end)
{
	CHECK(str_format(out, size,
		      "{\"type\":\"words\",\"width\":1000,\"height\":1400,\"words\":1,\"bytes\":%d}\n%s%s",
		      (int)strlen(payload) + more, payload, end) > 0);
	return reply_with(out);
}

TEST(request_is_a_line_and_the_page)
{
	struct job j = {.n_images = 1, .images = {{.fd = 0, .bytes = 1234, .width = 1448, .height = 2048}}};
	struct request r;

	CHECK_INT(ocr_extractor.build(&extractor, &j, &r), 0);
	CHECK_STR(r.helper, "ocr");
	CHECK(!r.url);
	CHECK_INT(r.timeout_ms, 60000);
	CHECK_INT((int64_t)r.n_segments, 2);
	CHECK_STR(r.segments[0].data, "{\"type\":\"request\",\"verb\":\"ocr\",\"language\":\"eng\",\"max_"
				      "pixels\":4000000,\"bytes\":1234}\n");
	CHECK_INT(r.segments[1].kind, SEGMENT_FILE);
	CHECK_INT((int64_t)r.segments[1].len, 1234);
	CHECK_INT((int64_t)r.max_input_tokens, 0);
	request_free(&r);
}

TEST(larger_pages_are_not_asked)
{
	struct job j = {.n_images = 1, .images = {{.fd = 0, .bytes = 1234, .width = 2001, .height = 2000}}};
	struct request r;

	CHECK_INT(ocr_extractor.build(&extractor, &j, &r), -EMSGSIZE);
	j.n_images = 2;
	CHECK_INT(ocr_extractor.build(&extractor, &j, &r), -EMSGSIZE);
}

TEST(words_become_an_answer)
{
	static const char words[] = "[{\"t\":\"ABN\",\"b\":[10,10,40,20],\"c\":91,\"l\":[1,1,1]},"
				    "{\"t\":\"51824753556\",\"b\":[60,10,140,20],\"c\":88,\"l\":[1,1,1]}]";
	struct typeset *s = types_load("invoice");
	char body[400];
	struct reply r = reply_words(body, sizeof(body), words, 0, END);
	struct verdict v = decode(s, 0, &r);

	CHECK_INT(v.page, PAGE_DONE);
	CHECK_INT(v.backend, BACKEND_OK);
	CHECK_STR(v.type->name, "invoice");
	CHECK_STR(v.answer, "{\"supplier_abn\":\"51824753556\"}");
	CHECK_STR(json_get_string(json_get(v.evidence, "supplier_abn"), "text"), "51824753556");
	verdict_clear(&v);
	typeset_free(s);
}

TEST(the_type_is_classified_only_among_several)
{
	static const char words[] = "[{\"t\":\"RECEIPT\",\"b\":[10,10,90,40],\"c\":91,\"l\":[1,1,1]},"
				    "{\"t\":\"EFTPOS\",\"b\":[10,80,60,20],\"c\":88,\"l\":[1,1,2]},"
				    "{\"t\":\"$4.00\",\"b\":[200,80,50,20],\"c\":88,\"l\":[1,1,2]}]";
	struct typeset *all = types_load(NULL), *one = types_load("invoice");
	char body[400];
	struct reply r = reply_words(body, sizeof(body), words, 0, END);
	struct verdict v = decode(all, 0, &r);

	CHECK_STR(v.type->name, "receipt");
	verdict_clear(&v);
	v = decode(one, 0, &r);
	CHECK_STR(v.type->name, "invoice");
	verdict_clear(&v);
	typeset_free(all);
	typeset_free(one);
}

TEST(a_page_without_words_is_answered)
{
	struct typeset *s = types_load("invoice");
	char body[200];
	struct reply r = reply_words(body, sizeof(body), "[]", 0, END);
	struct verdict v = decode(s, 0, &r);

	CHECK_INT(v.page, PAGE_DONE);
	CHECK_STR(v.answer, "{}");
	verdict_clear(&v);
	typeset_free(s);
}

/* ---- what goes wrong ---------------------------------------------------------------------------------- */

TEST(the_helpers_reasons)
{
	static const struct {
		const char *reason;
		uint32_t tries;
		enum page_outcome page;
		enum backend_state backend;
	} cases[] = {
		{"truncated", 0, PAGE_REJECT, BACKEND_OK},
		{"damaged", 0, PAGE_REJECT, BACKEND_OK},
		{"not-an-image", 0, PAGE_REJECT, BACKEND_OK},
		{"too-large", 0, PAGE_NEXT, BACKEND_OK},
		{"unsupported", 0, PAGE_NEXT, BACKEND_OK},
		{"language", 5, PAGE_UNTOUCHED, BACKEND_DOWN},
		{"request", 0, PAGE_UNTOUCHED, BACKEND_DOWN},
		{"memory", 0, PAGE_RETRY, BACKEND_OK},
		{"memory", 2, PAGE_NEXT, BACKEND_OK},
		{"timeout", 1, PAGE_RETRY, BACKEND_OK},
		{"engine", 2, PAGE_NEXT, BACKEND_OK},
		{"from-a-later-version", 0, PAGE_RETRY, BACKEND_OK},
	};
	struct typeset *s = types_load("invoice");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char body[200];
		struct reply r;
		struct verdict v;

		str_format(body, sizeof(body),
			"{\"type\":\"end\",\"ok\":false,\"reason\":\"%s\",\"message\":\"text: more\"}\n",
			cases[i].reason);
		r = reply_with(body);
		v = decode(s, cases[i].tries, &r);
		CHECK_INT(v.page, cases[i].page);
		CHECK_INT(v.backend, cases[i].backend);
		CHECK_STR(v.reason, cases[i].reason);
		CHECK(strstr(v.message, "text: more"));
		CHECK(!v.answer);
		verdict_clear(&v);
	}
	typeset_free(s);
}

static void check_bad(const struct typeset *s, const struct reply *r)
{
	struct verdict v = decode(s, 0, r);

	CHECK_INT(v.page, PAGE_RETRY);
	CHECK_STR(v.reason, "bad-reply");
	v = decode(s, 2, r);
	CHECK_INT(v.page, PAGE_NEXT);
	CHECK_INT(v.backend, BACKEND_OK);
}

TEST(replies_that_are_none)
{
	static const char *const bodies[] = {"", "garbage\n", END, "{\"type\":\"end\"}\n",
		"{\"type\":\"words\",\"width\":0,\"height\":5,\"bytes\":2}\n[]" END};
	static const char *const payloads[] = {"{}", "[{}]", "[", "[1]",
		"[{\"t\":\"\",\"b\":[1,2,3,4],\"c\":1,\"l\":[1,1,1]}]",
		"[{\"t\":\"x\",\"b\":[1,2,3],\"c\":1,\"l\":[1,1,1]}]",
		"[{\"t\":\"x\",\"b\":[1,2,3,-4],\"c\":1,\"l\":[1,1,1]}]",
		"[{\"t\":\"x\",\"b\":[1,2,3,4],\"c\":1,\"l\":[1,1,99999]}]",
		"[{\"t\":7,\"b\":[1,2,3,4],\"c\":1,\"l\":[1,1,1]}]"};
	struct typeset *s = types_load("invoice");
	char body[400];
	struct reply r;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		r = reply_with(bodies[i]);
		check_bad(s, &r);
	}
	for (size_t i = 0; i < ARRAY_SIZE(payloads); i++) {
		r = reply_words(body, sizeof(body), payloads[i], 0, END);
		check_bad(s, &r);
	}
	r = reply_words(body, sizeof(body), "[]", 0, "");
	check_bad(s, &r);
	r = reply_words(body, sizeof(body), "[]", 1000, END);
	check_bad(s, &r);
	typeset_free(s);
}

TEST(transport)
{
	static const struct {
		enum transport_error error;
		bool sent;
		enum page_outcome page;
		enum backend_state backend;
	} cases[] = {
		{TRANSPORT_LOCAL, false, PAGE_UNTOUCHED, BACKEND_DOWN},
		{TRANSPORT_LOCAL, true, PAGE_RETRY, BACKEND_OK},
		{TRANSPORT_CONNECT, false, PAGE_UNTOUCHED, BACKEND_DOWN},
		{TRANSPORT_TIMEOUT, true, PAGE_RETRY, BACKEND_DOWN},
		{TRANSPORT_BROKEN, true, PAGE_RETRY, BACKEND_DOWN},
		{TRANSPORT_TOO_LARGE, true, PAGE_NEXT, BACKEND_OK},
		{TRANSPORT_CANCELLED, true, PAGE_UNTOUCHED, BACKEND_OK},
	};
	struct typeset *s = types_load("invoice");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reply r = {.error = cases[i].error,
			.sent = cases[i].sent,
			.body = "",
			.detail = "what happened"};
		struct verdict v = decode(s, 0, &r);

		CHECK_INT(v.page, cases[i].page);
		CHECK_INT(v.backend, cases[i].backend);
		CHECK(v.reason[0]);
	}
	typeset_free(s);
}
