#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/json.h"
#include "cloud/body.h"
#include "cloud/creds.h"
#include "cloud/guard.h"
#include "cloud/sagemaker.h"
#include "tests/unit/test.h"

static const char types_text[] =
	"[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read \\\"this\\\".\","
	"\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"no\":{\"type\":\"string\",\"maxLength\":40}}},"
	"\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\"}]}]";
#define SCHEMA_TEXT "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"no\":{\"type\":\"string\",\"maxLength\":40}}}"

static struct sagemaker_config config;
static struct extractor x = {&sagemaker_extractor, "own", &config};
static struct job job;
static struct typeset *types;
static int page_fd = -1;
static struct verdict v;
static struct request r;

static void set_up(void)
{
	char path[256], why[256];

	CHECK(str_format(path, sizeof(path), "%s/page.jpg", test_tmpdir()) > 0);
	page_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(page_fd >= 0 && write_all(page_fd, "\xff\xd8\xff page \xff\xd9", 11) == 0);
	if (typeset_parse(types_text, strlen(types_text), &types, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	config = (struct sagemaker_config){.endpoint_name = "qwen25vl-syd",
		.model = "qwen25vl-syd",
		.region = "ap-southeast-2",
		.openai = {.standard = true},
		.max_output_tokens = 700,
		.timeout_ms = 70000,
		.cold_timeout_ms = 900000,
		.connect_timeout_ms = 2000};
	job = (struct job){.page_id = "p", .types = types, .n_images = 1};
	job.images[0] = (struct job_image){page_fd, 11, 1448, 2048};
}

static void tear_down(void)
{
	typeset_free(types);
	types = NULL;
	close(page_fd);
	verdict_clear(&v);
	request_free(&r);
}

static void check_body(const char *want)
{
	_cleanup_buf_ struct buf text = {};
	struct body *b;
	char piece[100];
	ssize_t n;

	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK(body_new(&r, &b) == 0);
	while ((n = body_read(b, piece, sizeof(piece))) > 0)
		CHECK(buf_add(&text, piece, (size_t)n) == 0);
	body_free(b);
	CHECK_STR(buf_str(&text), want);
}

static void decode_with(int status, const struct header *headers, size_t n, const char *body)
{
	struct reply reply = {.sent = true, .sent_all = true, .status = status, .headers = headers, .n_headers = n, .body = body,
		.len = strlen(body)};

	verdict_clear(&v);
	CHECK_INT(x.ops->decode(&x, &job, &reply, &v), 0);
}

static void decode(int status, const char *type, const char *body)
{
	char name[] = "x-amzn-ErrorType", value[96];
	struct header h = {name, value};

	str_copy(value, sizeof(value), type);
	decode_with(status, &h, *type ? 1 : 0, body);
}

#define SAYS(outcome, state, why)                    \
	do {                                         \
		CHECK_STR(v.reason, why);            \
		CHECK_INT(v.page, outcome);          \
		CHECK_INT(v.backend, state);         \
	} while (0)

TEST(the_plain_body_has_image_prompt_and_cap)
{
	set_up();
	check_body("{\"image\":\"/9j/IHBhZ2Ug/9k=\",\"prompt\":\"Read \\\"this\\\".\\nThe schema: {\\\"type\\\":\\\"object\\\","
		   "\\\"additionalProperties\\\":false,\\\"properties\\\":{\\\"no\\\":{\\\"type\\\":\\\"string\\\",\\\"maxLength\\\":40}}}\","
		   "\"max_new_tokens\":700}");
	CHECK_STR(r.url, "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/qwen25vl-syd/invocations");
	CHECK_STR(r.model, "qwen25vl-syd");
	CHECK_STR(r.region, "ap-southeast-2");
	CHECK_INT(r.n_headers, 2);
	CHECK(r.max_input_tokens > 1448 * 2048 / 784 && r.max_output_tokens == 700);
	job.n_images = 2;
	job.images[1] = job.images[0];
	CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
	tear_down();
}

TEST(the_openai_body_has_nothing_of_llama_server)
{
	set_up();
	config.form = SAGEMAKER_OPENAI;
	strcpy(config.openai.model, "qwen");
	check_body("{\"model\":\"qwen\",\"messages\":[{\"role\":\"system\",\"content\":\"You read scanned pages and answer with one JSON "
		   "object.\"},{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,"
		   "/9j/IHBhZ2Ug/9k=\"}},{\"type\":\"text\",\"text\":\"Read \\\"this\\\".\"}]}],\"max_tokens\":700,\"temperature\":0,\"seed\":1,"
		   "\"stream\":false,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"page\",\"strict\":true,"
		   "\"schema\":" SCHEMA_TEXT "}}}");
	tear_down();
}

TEST(headers_say_which_part_of_the_endpoint)
{
	static const struct creds keys = {.access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
	const char *authorization;

	set_up();
	strcpy(config.component, "qwen-1");
	strcpy(config.variant, "blue");
	strcpy(config.target_model, "a.tar.gz");
	strcpy(config.attributes, "trace=7");
	strcpy(config.endpoint, "https://runtime.sagemaker.ap-southeast-2.api.aws/");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(r.url, "https://runtime.sagemaker.ap-southeast-2.api.aws/endpoints/qwen25vl-syd/invocations");
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-Inference-Component"), "qwen-1");
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-Target-Variant"), "blue");
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-Target-Model"), "a.tar.gz");
	CHECK_STR(request_header(&r, "X-Amzn-SageMaker-Custom-Attributes"), "trace=7");
	CHECK_INT(body_hash(&r), 0);
	CHECK_INT(x.ops->sign(&x, &keys, 1795219200, &r), 0);
	authorization = request_header(&r, "authorization");
	CHECK(authorization && strstr(authorization, "/ap-southeast-2/sagemaker/aws4_request, SignedHeaders=accept;content-type;host;x-amz-date;"
						     "x-amzn-sagemaker-custom-attributes;x-amzn-sagemaker-inference-component;"
						     "x-amzn-sagemaker-target-model;x-amzn-sagemaker-target-variant, "));
	CHECK_INT(x.ops->sign(&x, NULL, 1795219200, &r), -EACCES);
	tear_down();
}

TEST(a_body_over_the_limit_is_refused_before_it_leaves)
{
	set_up();
	job.images[0].bytes = 4718000; /* 6,290,668 in base64, and the rest still fits */
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK(request_body_length(&r) <= 6291456);
	request_free(&r);
	job.images[0].bytes = 4718592; /* 6,291,456 alone */
	CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
	tear_down();
}

TEST(a_cold_backend_gets_more_time)
{
	set_up();
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_INT(r.timeout_ms, 70000);
	request_free(&r);
	job.cold = true;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_INT(r.timeout_ms, 900000);
	tear_down();
}

TEST(generated_text_as_object_or_array)
{
	set_up();
	decode(200, "", "{\"generated_text\":\"{\\\"no\\\":\\\"7\\\"}\"}");
	SAYS(PAGE_DONE, BACKEND_OK, "answered");
	CHECK_STR(v.answer, "{\"no\":\"7\"}");
	CHECK(v.billed && !v.usage.reported);
	decode(200, "", "[{\"generated_text\":\"x\",\"usage\":{\"prompt_tokens\":900,\"completion_tokens\":40}}]");
	CHECK_STR(v.answer, "x");
	CHECK(v.usage.reported && v.usage.input == 900 && v.usage.output == 40);
	/* the question before the answer */
	decode(200, "", "{\"generated_text\":\"Read \\\"this\\\".\\nThe schema: {\\\"type\\\":\\\"object\\\",\\\"additionalProperties\\\":false,"
			"\\\"properties\\\":{\\\"no\\\":{\\\"type\\\":\\\"string\\\",\\\"maxLength\\\":40}}} yes\"}");
	CHECK_STR(v.answer, " yes");
	tear_down();
}

TEST(replies_that_are_no_answer)
{
	set_up();
	decode(200, "", "not json");
	SAYS(PAGE_RETRY, BACKEND_OK, "not-an-answer");
	CHECK(v.billed);
	decode(200, "", "{\"text\":1}");
	SAYS(PAGE_RETRY, BACKEND_OK, "not-an-answer");
	decode(200, "", "[{\"generated_text\":\"a\"},{\"generated_text\":\"b\"}]");
	SAYS(PAGE_RETRY, BACKEND_OK, "not-an-answer");
	decode(200, "", "{\"generated_text\":\" \\n\"}");
	SAYS(PAGE_RETRY, BACKEND_OK, "empty-answer");
	decode(200, "", "{\"generated_text\":\"{\",\"details\":{\"finish_reason\":\"length\"}}");
	SAYS(PAGE_RETRY, BACKEND_OK, "truncated");
	job.tries = 1;
	decode(200, "", "{\"generated_text\":\"{\",\"details\":{\"finish_reason\":\"length\"}}");
	SAYS(PAGE_NEXT, BACKEND_OK, "truncated");
	tear_down();
}

TEST(chat_completions_are_read_by_the_openai_decoder)
{
	char name[] = "x-amzn-RequestId", value[] = "11-22";
	struct header h = {name, value};

	set_up();
	config.form = SAGEMAKER_OPENAI;
	decode_with(200, &h, 1,
		"{\"id\":\"c1\",\"choices\":[{\"message\":{\"content\":\"{}\"},\"finish_reason\":\"stop\"}],"
		"\"usage\":{\"prompt_tokens\":3000,\"completion_tokens\":90,\"total_tokens\":3090}}");
	SAYS(PAGE_DONE, BACKEND_OK, "answered");
	CHECK_STR(v.answer, "{}");
	CHECK_STR(v.request_id, "11-22");
	CHECK(v.billed && v.usage.reported && v.usage.input == 3000 && v.usage.output == 90);
	decode(200, "", "{\"choices\":[{\"message\":{\"content\":\"{\"},\"finish_reason\":\"length\"}]}");
	SAYS(PAGE_RETRY, BACKEND_OK, "truncated");
	tear_down();
}

TEST(model_errors_by_their_original_status)
{
	set_up();
	decode(424, "ModelError", "{\"Message\":\"Received client error (413)\",\"OriginalStatusCode\":413,\"OriginalMessage\":\"big\"}");
	SAYS(PAGE_NEXT, BACKEND_OK, "too-large");
	decode(424, "ModelError", "{\"Message\":\"Received server error (500)\",\"OriginalStatusCode\":500}");
	SAYS(PAGE_RETRY, BACKEND_OK, "model-error");
	CHECK(v.billed && strstr(v.message, "Received server error (500)"));
	decode(424, "ModelError", "{\"Message\":\"Received server error (0): invocation timed out\",\"OriginalStatusCode\":0}");
	SAYS(PAGE_RETRY, BACKEND_OK, "model-error");
	CHECK(v.most_tries > 0);
	decode(424, "ModelError", "{\"Message\":\"Received client error (400)\",\"OriginalStatusCode\":400}");
	SAYS(PAGE_NEXT, BACKEND_OK, "model-error");
	decode(424, "ModelError", "{\"Message\":\"queue is full\",\"OriginalStatusCode\":429}");
	SAYS(PAGE_UNTOUCHED, BACKEND_BUSY, "throttled");
	tear_down();
}

TEST(the_endpoint_in_trouble_leaves_the_page)
{
	set_up();
	decode(429, "ModelNotReadyException", "{\"Message\":\"Either the serverless variant's resources are still being provisioned\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_BUSY, "model-loading");
	CHECK(v.wait == WAIT_LOADING && !v.billed);
	decode(400, "ValidationError:http://internal.amazon.com/coral/", "{\"Message\":\"Inference Component has no capacity to process this request.\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_BUSY, "model-loading");
	CHECK_INT(v.wait, WAIT_LOADING);
	decode(400, "ValidationError", "{\"Message\":\"Endpoint qwen25vl-syd of account 1 not found.\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "no-model");
	CHECK(strstr(v.message, "SageMaker console"));
	decode(400, "ValidationError", "{\"Message\":\"Endpoint qwen25vl-syd is not InService\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "no-model");
	decode(400, "ValidationError", "{\"Message\":\"Member must have length less than or equal to 6291456\"}");
	SAYS(PAGE_NEXT, BACKEND_OK, "too-large");
	decode(400, "ValidationError", "{\"Message\":\"Inference Component Name header is required for endpoints with inference components\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "no-model");
	decode(530, "InternalDependencyException", "{\"Message\":\"dependency\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "server-error");
	CHECK(v.billed);
	decode(503, "ServiceUnavailable", "{\"Message\":\"no\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "unavailable");
	decode(400, "ThrottlingException", "{\"Message\":\"Rate exceeded\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_BUSY, "throttled");
	decode(403, "AccessDeniedException", "{\"Message\":\"no sagemaker:InvokeEndpoint\"}");
	SAYS(PAGE_UNTOUCHED, BACKEND_DOWN, "model-access");
	tear_down();
}

static enum guard_answer ask(const char *url, const char *model, const char *region)
{
	static const struct guard_policy strict = {.sydney_only = true};
	const struct guard_question q = {.sink = GUARD_SAGEMAKER, .url = url, .model = model, .region = region};
	char why[256];

	return guard_check(&strict, &q, why, sizeof(why));
}

TEST(the_guard_knows_the_endpoints_of_sydney)
{
#define SYDNEY "https://runtime.sagemaker.ap-southeast-2.amazonaws.com"
	CHECK_INT(ask(SYDNEY "/endpoints/e1/invocations", "e1", "ap-southeast-2"), GUARD_ALLOW);
	CHECK_INT(ask("https://runtime.sagemaker.ap-southeast-2.api.aws/endpoints/e1/invocations", "e1", "ap-southeast-2"), GUARD_ALLOW);
	CHECK_INT(ask(SYDNEY "/endpoints/e2/invocations", "e1", "ap-southeast-2"), GUARD_DENY);
	CHECK_INT(ask(SYDNEY "/model/e1/invoke", "e1", "ap-southeast-2"), GUARD_DENY);
	CHECK_INT(ask("https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e1/invocations", "e1", "us-east-1"), GUARD_DENY);
	CHECK_INT(ask("https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e1/invocations", "e1", "ap-southeast-2"), GUARD_DENY);
	CHECK_INT(ask("https://bedrock-runtime.ap-southeast-2.amazonaws.com/endpoints/e1/invocations", "e1", "ap-southeast-2"), GUARD_DENY);
	CHECK_INT(ask("http://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/e1/invocations", "e1", "ap-southeast-2"), GUARD_DENY);
}
