#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "cloud/creds.h"
#include "cloud/sagemaker.h"
#include "tests/unit/test.h"

static const char types_text[] =
	"[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read \\\"this\\\".\","
	"\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"no\":{\"type\":\"string\",\"maxLength\":40}}},"
	"\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\"}]}]";
static const struct creds keys = {.access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
#define INPUT  "pageferry/in/p-00000000000000ab.json"
#define OUTPUT "s3://pages-sydney/pageferry/out/1.out"
#define FAILED "s3://pages-sydney/pageferry/failed/1.out"
#define S3     "https://pages-sydney.s3.ap-southeast-2.amazonaws.com/"

static struct sagemaker_config config;
static struct extractor x = {&sagemaker_async_extractor, "own", &config};
static struct job job;
static struct typeset *types;
static int page_fd = -1;
static struct dialogue e;
static struct verdict v;
static struct request r;
static int64_t wait_ms;

static void set_up(void)
{
	char path[256], why[256];

	CHECK(str_format(path, sizeof(path), "%s/page.jpg", test_tmpdir()) > 0);
	page_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(page_fd >= 0 && write_all(page_fd, "\xff\xd8\xff page \xff\xd9", 11) == 0);
	CHECK_INT(typeset_parse(types_text, strlen(types_text), &types, why, sizeof(why)), 0);
	config = (struct sagemaker_config){.endpoint_name = "qwen",
		.model = "qwen",
		.region = "ap-southeast-2",
		.bucket = {.name = "pages-sydney", .region = "ap-southeast-2"},
		.prefix = "pageferry/",
		.max_output_tokens = 700,
		.timeout_ms = 900000,
		.cold_timeout_ms = 1200000,
		.connect_timeout_ms = 2000};
	job = (struct job){.page_id = "p", .types = types, .n_images = 1, .nonce = 0xab};
	job.images[0] = (struct job_image){page_fd, 11, 1448, 2048};
	e = (struct dialogue){.left_ms = 800000};
}

static void tear_down(void)
{
	typeset_free(types);
	types = NULL;
	close(page_fd);
	verdict_clear(&v);
	v = (struct verdict){0};
	request_free(&r);
	r = (struct request){0};
	dialogue_clear(&e);
}

static int after(enum transport_error error, int status, const struct header *headers, size_t n, const char *body)
{
	struct reply reply = {.error = error, .status = status, .sent = true, .sent_all = true, .headers = headers, .n_headers = n,
		.body = body, .len = strlen(body)};

	request_free(&r);
	r = (struct request){0};
	verdict_clear(&v);
	v = (struct verdict){0};
	return x.ops->proceed(&x, &e, &job, &reply, &r, &wait_ms, &v);
}

static int after_call(const char *output, const char *failure)
{
	char names[3][40] = {"x-amzn-RequestId", "X-Amzn-SageMaker-OutputLocation", "X-Amzn-SageMaker-FailureLocation"}, values[3][80] = {"id-7"};
	struct header h[3] = {{names[0], values[0]}, {names[1], values[1]}, {names[2], values[2]}};

	str_copy(values[1], sizeof(values[1]), output);
	str_copy(values[2], sizeof(values[2]), failure ? failure : "");
	return after(TRANSPORT_OK, 202, h, failure ? 3 : 2, "{\"InferenceId\":\"p\"}");
}

#define SAYS(outcome, state, why, paid)              \
	do {                                         \
		CHECK_STR(v.reason, why);            \
		CHECK_INT(v.page, outcome);          \
		CHECK_INT(v.backend, state);         \
		CHECK_INT(v.billed, paid);           \
	} while (0)

TEST(the_page_goes_to_the_bucket)
{
	set_up();
	strcpy(config.bucket.owner, "111122223333");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(r.method, "PUT");
	CHECK_STR(r.url, S3 INPUT);
	CHECK_STR(request_header(&r, "content-type"), "application/json");
	CHECK_STR(request_header(&r, "x-amz-expected-bucket-owner"), "111122223333");
	CHECK_INT(r.timeout_ms, 900000);
	CHECK(r.max_input_tokens > 0 && r.max_output_tokens == 700);
	CHECK_INT(x.ops->sign(&x, &keys, 1795000000, &r), 0);
	CHECK(strstr(request_header(&r, "authorization"), "/ap-southeast-2/s3/aws4_request") && request_header(&r, "x-amz-content-sha256"));
	request_free(&r);
	job.cold = true;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_INT(r.timeout_ms, 1200000);
	tear_down();
}

TEST(from_put_to_the_answer)
{
	set_up();
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, ""), 1);
	CHECK_STR(r.method, "POST");
	CHECK_STR(r.url, "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/qwen/async-invocations");
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-InputLocation"), "s3://pages-sydney/" INPUT);
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-InvocationTimeoutSeconds"), "800");
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-RequestTTLSeconds"), "800");
	CHECK_INT(request_body_length(&r), 0);
	CHECK_INT(x.ops->sign(&x, &keys, 1795000000, &r), 0);
	CHECK(strstr(request_header(&r, "authorization"), "/sagemaker/aws4_request"));
	CHECK_INT(after_call(OUTPUT, FAILED), 1);
	CHECK_STR(r.method, "GET");
	CHECK_STR(r.url, S3 "pageferry/out/1.out");
	CHECK_INT(wait_ms, 1000);
	CHECK_INT(after(TRANSPORT_OK, 404, NULL, 0, "<Error><Code>NoSuchKey</Code></Error>"), 1);
	CHECK_STR(r.url, S3 "pageferry/failed/1.out");
	CHECK_INT(wait_ms, 0);
	CHECK_INT(after(TRANSPORT_OK, 403, NULL, 0, "<Error><Code>AccessDenied</Code></Error>"), 1);
	CHECK_STR(r.url, S3 "pageferry/out/1.out");
	CHECK_INT(wait_ms, 2000);
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, "{\"generated_text\":\"{\\\"no\\\":\\\"7\\\"}\"}"), 0);
	SAYS(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "{\"no\":\"7\"}");
	CHECK_STR(v.request_id, "id-7");
	tear_down();
}

TEST(all_that_is_known_is_removed)
{
	static const char *const want[] = {S3 INPUT, S3 "pageferry/out/1.out", S3 "pageferry/failed/1.out"};

	set_up();
	CHECK_INT(x.ops->tidy(&x, &e, &r), 0);
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, ""), 1);
	CHECK_INT(after_call(OUTPUT, FAILED), 1);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		request_free(&r);
		CHECK_INT(x.ops->tidy(&x, &e, &r), 1);
		CHECK_STR(r.method, "DELETE");
		CHECK_STR(r.url, want[i]);
	}
	request_free(&r);
	r = (struct request){0};
	CHECK_INT(x.ops->tidy(&x, &e, &r), 0);
	tear_down();
}

TEST(looks_become_seldom_and_end)
{
	set_up();
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, ""), 1);
	CHECK_INT(after_call(OUTPUT, NULL), 1);
	for (int i = 0; i < 40; i++) {
		CHECK_INT(after(i % 2 ? TRANSPORT_TIMEOUT : TRANSPORT_OK, i % 2 ? 0 : 404, NULL, 0, ""), 1);
		CHECK_STR(r.url, S3 "pageferry/out/1.out");
		CHECK_INT(wait_ms, MIN(2000 << MIN(i, 3), 15000));
	}
	e.left_ms = 5000;
	CHECK_INT(after(TRANSPORT_OK, 404, NULL, 0, ""), 1);
	CHECK_INT(r.timeout_ms, 5000);
	e.left_ms = 0;
	CHECK_INT(after(TRANSPORT_OK, 404, NULL, 0, ""), 0);
	SAYS(PAGE_RETRY, BACKEND_DOWN, "timeout", true);
	tear_down();
}

TEST(what_s3_does_not_take)
{
	set_up();
	CHECK_INT(after(TRANSPORT_OK, 503, NULL, 0, "<Error><Code>SlowDown</Code></Error>"), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_BUSY, "throttled", false);
	CHECK_INT(after(TRANSPORT_OK, 500, NULL, 0, "<Error><Code>InternalError</Code></Error>"), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "server-error", false);
	CHECK_INT(after(TRANSPORT_TIMEOUT, 0, NULL, 0, ""), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "timeout", false);
	CHECK_INT(after(TRANSPORT_REDIRECT, 301, NULL, 0, ""), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "residency", false);
	CHECK_INT(after(TRANSPORT_OK, 403, NULL, 0, "<Error><Code>AccessDenied</Code></Error>"), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "policy", false);
	tear_down();
}

TEST(a_call_that_fails)
{
	set_up();
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, ""), 1);
	CHECK_INT(after(TRANSPORT_BROKEN, 0, NULL, 0, ""), 0);
	CHECK(v.billed);
	CHECK_INT(after(TRANSPORT_OK, 400, NULL, 0, "{\"__type\":\"ThrottlingException\"}"), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_BUSY, "throttled", false);
	tear_down();
}

TEST(answers_are_looked_for_nowhere_else)
{
	static const struct {
		const char *output, *failure;
	} wrong[] = {{"s3://others/pageferry/out/1.out", FAILED}, {OUTPUT, "s3://pages-sydney/elsewhere/1.out"}, {"", FAILED},
		{"https://pages-sydney.s3.us-east-1.amazonaws.com/pageferry/a", FAILED}};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		set_up();
		CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, ""), 1);
		CHECK_INT(after_call(wrong[i].output, wrong[i].failure), 0);
		SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "residency", true);
		CHECK(v.backend_fault && v.wait == WAIT_PAUSE);
		tear_down();
	}
}

TEST(what_ends_the_looks)
{
	set_up();
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, ""), 1);
	CHECK_INT(after_call(OUTPUT, FAILED), 1);
	CHECK_INT(after(TRANSPORT_OK, 400, NULL, 0, "<Error><Code>ExpiredToken</Code></Error>"), 1);
	CHECK(v.creds_wrong);
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, "out of memory"), 0); /* it was the place of a failure */
	SAYS(PAGE_RETRY, BACKEND_OK, "model-error", true);
	CHECK(strstr(v.message, "out of memory"));
	e.step = 2;
	CHECK_INT(after(TRANSPORT_OK, 404, NULL, 0, "<Error><Code>NoSuchBucket</Code></Error>"), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "no-bucket", true);
	CHECK_INT(after(TRANSPORT_TOO_LARGE, 200, NULL, 0, ""), 0);
	SAYS(PAGE_RETRY, BACKEND_OK, "reply-too-large", true);
	CHECK_INT(after(TRANSPORT_DENIED, 0, NULL, 0, ""), 0);
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "residency", true);
	CHECK_INT(after(TRANSPORT_OK, 200, NULL, 0, "not json"), 0);
	SAYS(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	tear_down();
}
