#include "tests/unit/test.h"

#include "base/crypto.h"
#include "tests/unit/request_make.h"

TEST(headers_are_found_in_any_case)
{
	struct request r = {};

	CHECK(request_add_header(&r, "Content-Type", "application/json") == 0);
	CHECK(request_add_header(&r, "X-A", "") == 0);
	CHECK_STR(request_header(&r, "content-type"), "application/json");
	CHECK_STR(request_header(&r, "x-a"), "");
	CHECK(!request_header(&r, "content"));
	request_free(&r);
	CHECK_INT(r.n_headers, 0);
	request_free(&r);
	request_free(NULL);
}

TEST(headers_cannot_inject_others)
{
	struct request r = {};

	CHECK(request_add_header(&r, "A", "x\r\nHost: evil") == -EINVAL);
	CHECK(request_add_header(&r, "A", "x\ny") == -EINVAL);
	CHECK(request_add_header(&r, "A: b", "x") == -EINVAL);
	CHECK(request_add_header(&r, "", "x") == -EINVAL);
	CHECK(request_add_header(&r, "A", "x\x7f") == -EINVAL);
	CHECK(request_add_header(&r, "A", "tab\there \xc3\xa9") == 0);
	CHECK_INT(r.n_headers, 1);
	request_free(&r);
}

/* In place of base/crypto.c's: what was freed cannot be looked at. */
static char wiped[64];

void wipe(void *p, size_t len)
{
	str_copy(wiped, sizeof(wiped), p);
	CHECK_INT(strlen(wiped), len);
}

TEST(freeing_wipes_header_values)
{
	struct request r = {};

	CHECK(request_add_header(&r, "authorization", "Bearer secret") == 0);
	request_free(&r);
	CHECK_STR(wiped, "Bearer secret");
}

TEST(headers_and_segments_are_capped)
{
	struct request r = {};

	for (int i = 0; i < REQUEST_HEADERS_MAX; i++)
		CHECK(request_add_header(&r, "A", "b") == 0);
	CHECK(request_add_header(&r, "A", "b") == -E2BIG);
	for (int i = 0; i < REQUEST_SEGMENTS_MAX; i++)
		CHECK(add_text(&r, "x") == 0);
	CHECK(add_text(&r, "x") == -E2BIG); /* freed: the leak check sees it */
	CHECK(request_add_file(&r, SEGMENT_FILE, 0, 1) == -E2BIG);
	CHECK_INT(request_body_length(&r), REQUEST_SEGMENTS_MAX);
	request_free(&r);
}

TEST(body_length_counts_base64)
{
	static const struct {
		uint64_t len, base64;
	} t[] = {{0, 0}, {1, 4}, {2, 4}, {3, 4}, {4, 8}, {3000000000u, 4000000000u}};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct request r = {};

		CHECK(add_text(&r, "{\"a\":\"") == 0);
		CHECK(request_add_file(&r, SEGMENT_FILE_BASE64, 0, t[i].len) == 0);
		CHECK(request_add_file(&r, SEGMENT_FILE, 0, 10) == 0);
		CHECK_INT((int64_t)request_body_length(&r), (int64_t)(6 + t[i].base64 + 10));
		request_free(&r);
	}
}

TEST(file_segments_need_a_file)
{
	struct request r = {};

	CHECK(request_add_file(&r, SEGMENT_FILE, -1, 1) == -EINVAL);
	CHECK(request_add_file(&r, SEGMENT_LITERAL, 0, 1) == -EINVAL);
	CHECK_INT(r.n_segments, 0);
}

TEST(reply_headers)
{
	struct header h[] = {
		{(char *)"Retry-After", (char *)"3"}, {(char *)"x-amzn-RequestId", (char *)"abc"}};
	struct reply r = {.headers = h, .n_headers = 2};

	CHECK_STR(reply_header(&r, "X-Amzn-Requestid"), "abc");
	CHECK(!reply_header(&r, "Date"));
}

TEST(verdicts_are_safe_text)
{
	struct verdict v = {};
	char longer[2000];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	CHECK_INT(verdict_set(&v, PAGE_RETRY, BACKEND_BUSY, "throttled", "said \"%s\"", "\x1b[31mred\n"), 0);
	CHECK(v.page == PAGE_RETRY && v.backend == BACKEND_BUSY);
	CHECK_STR(v.reason, "throttled");
	CHECK(!strchr(v.message, '\x1b') && !strchr(v.message, '\n') && strstr(v.message, "red"));
	verdict_set(&v, PAGE_NEXT, BACKEND_OK, "x", "%s", longer);
	CHECK(strlen(v.message) < sizeof(v.message));
	v.answer = strdup("a");
	v.evidence = cJSON_CreateObject();
	verdict_clear(&v);
	CHECK(!v.answer && !v.evidence && !v.message[0]);
	verdict_clear(NULL);
}

TEST(names)
{
	CHECK_STR(page_outcome_name(PAGE_UNTOUCHED), "untouched");
	CHECK_STR(page_outcome_name((enum page_outcome)99), "unknown");
	CHECK_STR(backend_state_name(BACKEND_DOWN), "down");
	CHECK_STR(backend_state_name((enum backend_state)99), "unknown");
}
