#include <fcntl.h>
#include <stdio.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "base/json.h"
#include "cloud/bedrock.h"
#include "cloud/body.h"
#include "cloud/creds.h"
#include "tests/unit/test.h"

static const char types_text[] =
	"[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read \\\"this\\\".\\nDates as YYYY-MM-DD.\","
	"\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"no\"],\"properties\":{"
	"\"no\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":40,\"pattern\":\"^[0-9]+$\"},"
	"\"day\":{\"type\":\"string\",\"format\":\"date\",\"maxLength\":10},"
	"\"lines\":{\"type\":\"array\",\"maxItems\":5,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
	"\"properties\":{\"amount\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\",\"maxLength\":20}}}}}},"
	"\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\",\"required\":true},"
	"{\"name\":\"day\",\"title\":\"Day\",\"kind\":\"date\"},"
	"{\"name\":\"lines\",\"title\":\"Lines\",\"kind\":\"rows\",\"columns\":[{\"name\":\"amount\",\"title\":\"Amount\",\"kind\":\"text\"}]}]}]";

static struct bedrock_config config;
static struct extractor x = {&bedrock_extractor, "sydney", &config};
static struct job job;
static struct typeset *types;
static int page_fd = -1;

/* Two pages in one file: fd, bytes. */
static void set_up(void)
{
	char path[256], why[256];

	CHECK(str_format(path, sizeof(path), "%s/page.jpg", test_tmpdir()) > 0);
	page_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(page_fd >= 0 && write_all(page_fd, "\xff\xd8\xff page \xff\xd9", 11) == 0);
	if (typeset_parse(types_text, strlen(types_text), &types, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	config = (struct bedrock_config){.model = "amazon.nova-pro-v1:0",
		.region = "ap-southeast-2",
		.max_output_tokens = 900,
		.timeout_ms = 120000,
		.connect_timeout_ms = 5000};
	job = (struct job){.page_id = "p", .types = types, .n_images = 1};
	job.images[0] = (struct job_image){page_fd, 11, 1448, 2048};
	job.images[1] = (struct job_image){page_fd, 11, 1448, 2048};
}

static void tear_down(void)
{
	typeset_free(types);
	types = NULL;
	close(page_fd);
}

static cJSON *body_of(const struct request *r)
{
	_cleanup_buf_ struct buf text = {};
	cJSON *j = NULL;
	struct body *b;
	char piece[100];
	ssize_t n;

	CHECK(body_new(r, &b) == 0);
	while ((n = body_read(b, piece, sizeof(piece))) > 0)
		CHECK(buf_add(&text, piece, (size_t)n) == 0);
	body_free(b);
	CHECK_INT(text.len, request_body_length(r));
	if (json_parse(buf_str(&text), text.len, &j, NULL) < 0)
		test_fail(__FILE__, __LINE__, "not JSON: %s", buf_str(&text));
	return j;
}

static char *print(const cJSON *j)
{
	struct buf b = {};

	CHECK(j && json_print(j, false, &b) == 0);
	return buf_take(&b);
}

TEST(the_body_is_novas)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_free_ char *text = NULL;
	struct request r = {};

	set_up();
	job.n_images = 2;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	j = body_of(&r);
	text = print(j);
	CHECK_STR(text,
		"{\"schemaVersion\":\"messages-v1\",\"system\":[{\"text\":\"You read scanned pages and record what is printed on them with the tool.\"}],"
		"\"messages\":[{\"role\":\"user\",\"content\":["
		"{\"text\":\"Page 1 of 2:\"},{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"/9j/IHBhZ2Ug/9k=\"}}},"
		"{\"text\":\"Page 2 of 2:\"},{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"/9j/IHBhZ2Ug/9k=\"}}},"
		"{\"text\":\"Read \\\"this\\\".\\nDates as YYYY-MM-DD.\"}]}],"
		"\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"record_fields\",\"description\":\"Records the fields of the page.\","
		"\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{\"no\":{\"type\":\"string\"},"
		"\"day\":{\"type\":\"string\",\"description\":\"YYYY-MM-DD\"},"
		"\"lines\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"amount\":{\"type\":\"string\"}}}}},"
		"\"required\":[\"no\"]}}}}],\"toolChoice\":{\"tool\":{\"name\":\"record_fields\"}}},"
		"\"inferenceConfig\":{\"maxTokens\":900,\"temperature\":0,\"topK\":1}}");
	request_free(&r);
	tear_down();
}

TEST(url_headers_and_limits)
{
	struct request r = {};

	set_up();
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(r.url, "https://bedrock-runtime.ap-southeast-2.amazonaws.com/model/amazon.nova-pro-v1%3A0/invoke");
	CHECK_STR(r.method, "POST");
	CHECK_STR(request_header(&r, "Content-Type"), "application/json");
	CHECK_STR(request_header(&r, "Accept"), "application/json");
	CHECK_STR(r.region, "ap-southeast-2");
	CHECK_STR(r.model, "amazon.nova-pro-v1:0");
	CHECK(!r.connect_to && !r.ca_file && !r.interface && !r.unix_socket);
	CHECK(r.timeout_ms == 120000 && r.connect_timeout_ms == 5000 && r.max_reply > 0);
	CHECK_INT(r.max_output_tokens, 900);
	/* never under Nova's published estimates (an A4 page of 1448x2048 is about 5000) */
	CHECK(r.max_input_tokens >= 5000 + 500 && r.max_input_tokens < 20000);
	request_free(&r);
	strcpy(config.endpoint, "https://127.0.0.1:8443/");
	strcpy(config.model, "arn:aws:bedrock:ap-southeast-2:123456789012:application-inference-profile/a1");
	strcpy(config.connect_to, "127.0.0.1:8443");
	strcpy(config.ca_file, "/lab/ca.pem");
	config.max_output_tokens = 100000;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(r.url,
		"https://127.0.0.1:8443/model/"
		"arn%3Aaws%3Abedrock%3Aap-southeast-2%3A123456789012%3Aapplication-inference-profile%2Fa1/converse");
	CHECK_STR(r.connect_to, "127.0.0.1:8443");
	CHECK_STR(r.ca_file, "/lab/ca.pem");
	CHECK_INT(r.max_output_tokens, 65536); /* nothing is known of this model */
	request_free(&r);
	tear_down();
}

static void check_form(const char *model, enum bedrock_api api, const char *url_end, uint64_t output)
{
	struct request r = {};

	strcpy(config.model, model);
	config.api = (int)api;
	config.max_output_tokens = 100000;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	if (strlen(r.url) < strlen(url_end) || !streq(r.url + strlen(r.url) - strlen(url_end), url_end))
		test_fail(__FILE__, __LINE__, "%s: %s", model, r.url);
	CHECK_INT(r.max_output_tokens, output);
	request_free(&r);
}

TEST(the_model_says_the_form_unless_the_key_does)
{
	set_up();
	check_form("amazon.nova-lite-v1:0", BEDROCK_AUTO, "/model/amazon.nova-lite-v1%3A0/invoke", 5000);
	check_form("amazon.nova-lite-v1:0", BEDROCK_CONVERSE, "/model/amazon.nova-lite-v1%3A0/converse", 5000);
	check_form("anthropic.claude-3-haiku-20240307-v1:0", BEDROCK_AUTO, "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke", 4096);
	check_form("anthropic.claude-3-5-sonnet-20241022-v2:0", BEDROCK_AUTO, "-v2%3A0/invoke", 8192);
	check_form("au.anthropic.claude-haiku-4-5-20251001-v1:0", BEDROCK_AUTO, "/model/au.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke", 64000);
	check_form("au.anthropic.claude-sonnet-4-6", BEDROCK_CONVERSE, "/model/au.anthropic.claude-sonnet-4-6/converse", 64000);
	check_form("arn:aws:bedrock:ap-southeast-2::foundation-model/amazon.nova-pro-v1:0", BEDROCK_AUTO,
		"arn%3Aaws%3Abedrock%3Aap-southeast-2%3A%3Afoundation-model%2Famazon.nova-pro-v1%3A0/invoke", 5000);
	check_form("arn:aws:bedrock:ap-southeast-2:123456789012:inference-profile/au.anthropic.claude-sonnet-4-6", BEDROCK_AUTO,
		"inference-profile%2Fau.anthropic.claude-sonnet-4-6/invoke", 64000);
	check_form("arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl", BEDROCK_AUTO,
		"provisioned-model%2Fabcdefghijkl/converse", 65536);
	check_form("arn:aws:bedrock:ap-southeast-2:123456789012:custom-model-deployment/abcdefghijkl", BEDROCK_NOVA,
		"custom-model-deployment%2Fabcdefghijkl/invoke", 5000);
	check_form("arn:aws:bedrock:ap-southeast-2:123456789012:imported-model/abcdefghijkl", BEDROCK_CLAUDE, "abcdefghijkl/invoke", 65536);
	check_form("arn:aws:sagemaker:ap-southeast-2:123456789012:endpoint/qwen", BEDROCK_AUTO, "endpoint%2Fqwen/converse", 65536);
	strcpy(config.model, "amazon.nova-pro-v1:0");
	config.api = BEDROCK_CLAUDE;
	CHECK(!bedrock_api_fits(&config));
	tear_down();
}

#define SLIP_SCHEMA                                                                                                            \
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"no\"],\"properties\":{"                             \
	"\"no\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":40,\"pattern\":\"^[0-9]+$\"},"                                \
	"\"day\":{\"type\":\"string\",\"format\":\"date\",\"maxLength\":10},"                                                    \
	"\"lines\":{\"type\":\"array\",\"maxItems\":5,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"            \
	"\"properties\":{\"amount\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\",\"maxLength\":20}}}}}}"

TEST(the_body_is_claudes)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_free_ char *text = NULL;
	struct request r = {};

	set_up();
	job.n_images = 2;
	strcpy(config.model, "au.anthropic.claude-haiku-4-5-20251001-v1:0");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	j = body_of(&r);
	text = print(j);
	CHECK_STR(text,
		"{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":900,\"temperature\":0,"
		"\"system\":\"You read scanned pages and record what is printed on them with the tool.\","
		"\"messages\":[{\"role\":\"user\",\"content\":["
		"{\"type\":\"text\",\"text\":\"Page 1 of 2:\"},"
		"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\",\"data\":\"/9j/IHBhZ2Ug/9k=\"}},"
		"{\"type\":\"text\",\"text\":\"Page 2 of 2:\"},"
		"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\",\"data\":\"/9j/IHBhZ2Ug/9k=\"}},"
		"{\"type\":\"text\",\"text\":\"Read \\\"this\\\".\\nDates as YYYY-MM-DD.\"}]}],"
		"\"tools\":[{\"name\":\"record_fields\",\"description\":\"Records the fields of the page.\",\"input_schema\":" SLIP_SCHEMA "}],"
		"\"tool_choice\":{\"type\":\"tool\",\"name\":\"record_fields\"}}");
	/* 1448x2048 is 3954 by pixels, 3848 by patches */
	CHECK(r.max_input_tokens >= 2 * 3954 + strlen(types->types[0]->prompt));
	request_free(&r);
	tear_down();
}

TEST(the_body_is_converses)
{
	_cleanup_json_ cJSON *j = NULL, *k = NULL, *l = NULL;
	_cleanup_free_ char *text = NULL, *claude = NULL, *nova = NULL;
	struct request r = {};

	set_up();
	strcpy(config.model, "arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	j = body_of(&r);
	text = print(j);
	CHECK_STR(text,
		"{\"system\":[{\"text\":\"You read scanned pages and record what is printed on them with the tool.\"}],"
		"\"messages\":[{\"role\":\"user\",\"content\":["
		"{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"/9j/IHBhZ2Ug/9k=\"}}},"
		"{\"text\":\"Read \\\"this\\\".\\nDates as YYYY-MM-DD.\"}]}],"
		"\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"record_fields\",\"description\":\"Records the fields of the page.\","
		"\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{\"no\":{\"type\":\"string\"},"
		"\"day\":{\"type\":\"string\",\"description\":\"YYYY-MM-DD\"},"
		"\"lines\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"amount\":{\"type\":\"string\"}}}}},"
		"\"required\":[\"no\"]}}}}]},\"inferenceConfig\":{\"maxTokens\":900,\"temperature\":0}}");
	request_free(&r);
	config.api = BEDROCK_CONVERSE;
	strcpy(config.model, "au.anthropic.claude-sonnet-4-6");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	k = body_of(&r);
	claude = print(k);
	CHECK(strstr(claude, "\"inputSchema\":{\"json\":" SLIP_SCHEMA "}}}],\"toolChoice\":{\"tool\":{\"name\":\"record_fields\"}}}"));
	CHECK(!strstr(claude, "additionalModelRequestFields"));
	request_free(&r);
	strcpy(config.model, "amazon.nova-pro-v1:0");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	l = body_of(&r);
	nova = print(l);
	CHECK(strstr(nova, ",\"additionalModelRequestFields\":{\"inferenceConfig\":{\"topK\":1}}}") && !strstr(nova, "schemaVersion"));
	request_free(&r);
	tear_down();
}

TEST(guardrail_and_tier)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_free_ char *text = NULL;
	struct request r = {};

	set_up();
	strcpy(config.guardrail, "gr1abc");
	strcpy(config.guardrail_version, "DRAFT");
	config.backlog_tier = BEDROCK_FLEX;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(request_header(&r, "X-Amzn-Bedrock-GuardrailIdentifier"), "gr1abc");
	CHECK_STR(request_header(&r, "X-Amzn-Bedrock-GuardrailVersion"), "DRAFT");
	CHECK(!request_header(&r, "X-Amzn-Bedrock-Service-Tier")); /* somebody waits for it */
	CHECK(!r.tier);
	request_free(&r);
	job.backlog = true;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(request_header(&r, "X-Amzn-Bedrock-Service-Tier"), "flex");
	CHECK_STR(r.tier, "flex");
	request_free(&r);
	config.api = BEDROCK_CONVERSE;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK(!request_header(&r, "X-Amzn-Bedrock-Service-Tier") && !request_header(&r, "X-Amzn-Bedrock-GuardrailIdentifier"));
	j = body_of(&r);
	text = print(j);
	CHECK(strstr(text, ",\"guardrailConfig\":{\"guardrailIdentifier\":\"gr1abc\",\"guardrailVersion\":\"DRAFT\"},"
			   "\"serviceTier\":{\"type\":\"flex\"}}"));
	request_free(&r);
	tear_down();
}

TEST(each_form_has_its_limits)
{
	static const struct {
		const char *model;
		int api;
		uint64_t image; /* bytes that are just too many, of one */
		size_t n;       /* as many of 3700000 bytes that are too many together */
	} limits[] = {
		{"amazon.nova-pro-v1:0", BEDROCK_AUTO, 18750000, 6},
		{"amazon.nova-pro-v1:0", BEDROCK_CONVERSE, 3750001, 6},
		{"anthropic.claude-3-haiku-20240307-v1:0", BEDROCK_AUTO, 3750001, 5},
		{"arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl", BEDROCK_AUTO, 3750001, 5},
	};
	struct request r = {};

	set_up();
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		strcpy(config.model, limits[i].model);
		config.api = limits[i].api;
		job.n_images = 1;
		job.images[0].bytes = limits[i].image;
		CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
		for (size_t k = 0; k < JOB_IMAGES_MAX; k++)
			job.images[k] = (struct job_image){page_fd, 3700000, 1448, 2048};
		job.n_images = limits[i].n;
		CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
		job.n_images = limits[i].n - 1;
		CHECK_INT(x.ops->build(&x, &job, &r), 0);
		request_free(&r);
		/* all that a job may have, when they are small */
		for (size_t k = 0; k < JOB_IMAGES_MAX; k++)
			job.images[k].bytes = 11;
		job.n_images = JOB_IMAGES_MAX;
		CHECK_INT(x.ops->build(&x, &job, &r), 0);
		request_free(&r);
		job.images[JOB_IMAGES_MAX - 1].height = 8001;
		CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
	}
	tear_down();
}

TEST(what_cannot_be_asked)
{
	struct request r = {};

	set_up();
	job.images[0].bytes = 19000000; /* 25.3 MB in base64 */
	CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
	job.images[0].bytes = 18000000;
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	request_free(&r);
	job.images[0].bytes = 11;
	job.images[0].width = 8001;
	CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
	job.images[0].width = 100;
	job.n_images = 0;
	CHECK_INT(x.ops->build(&x, &job, &r), -EINVAL);
	job.n_images = 1;
	strcpy(config.model, "anthropic.claude-3-haiku-20240307-v1:0");
	config.api = BEDROCK_NOVA;
	CHECK_INT(x.ops->build(&x, &job, &r), -EOPNOTSUPP);
	tear_down();
}

TEST(signing)
{
	struct creds c = {.access_key = "AKIDEXAMPLE", .secret_key = "SECRET"};
	struct request r = {};

	set_up();
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_INT(body_hash(&r), 0);
	CHECK_INT(x.ops->sign(&x, &c, 1795219200, &r), 0);
	CHECK(strstr(request_header(&r, "authorization"),
		"Credential=AKIDEXAMPLE/20261121/ap-southeast-2/bedrock/aws4_request, "
		"SignedHeaders=accept;content-type;host;x-amz-date, "));
	CHECK_INT(x.ops->sign(&x, NULL, 1795219200, &r), -EACCES);
	*c.secret_key = '\0';
	CHECK_INT(x.ops->sign(&x, &c, 1795219200, &r), -EACCES);
	CHECK(!x.ops->probe && x.ops->paid);
	request_free(&r);
	tear_down();
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static struct verdict v;

static void decode(int status, const char *body, uint32_t tries)
{
	struct header h[] = {{(char *)"x-amzn-RequestId", (char *)"7c1a-\x1b[1m"},
		{(char *)"X-Amzn-Bedrock-Input-Token-Count", (char *)"3000"},
		{(char *)"X-Amzn-Bedrock-Output-Token-Count", (char *)"90"}};
	struct reply r = {.status = status,
		.headers = h,
		.n_headers = 3,
		.body = body,
		.len = strlen(body),
		.sent = true,
		.sent_all = true};

	job.tries = tries;
	verdict_clear(&v);
	CHECK_INT(x.ops->decode(&x, &job, &r, &v), 0);
}

static void check(enum page_outcome page, enum backend_state backend, const char *reason, bool billed)
{
	if (v.page != page || v.backend != backend || !streq(v.reason, reason) || v.billed != billed ||
		(v.answer && page != PAGE_DONE))
		test_fail(__FILE__, __LINE__, "%s/%s %s billed %d: %s", page_outcome_name(v.page),
			backend_state_name(v.backend), v.reason, v.billed, v.message);
}

#define REPLY(stop, content, usage)                                                                                    \
	"{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[" content "]}},\"stopReason\":\"" stop          \
	"\",\"usage\":{" usage "}}"
#define TOOL(input) "{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"record_fields\",\"input\":" input "}}"

TEST(a_tool_call_is_the_answer)
{
	set_up();
	decode(200,
		REPLY("tool_use", "{\"text\":\"thinking\"}," TOOL("{\"no\":\"7\",\"lines\":[{\"amount\":\"1\"}]}"),
			"\"inputTokens\":2500,\"outputTokens\":120,\"totalTokens\":2620,\"cacheReadInputTokenCount\":5"),
		0);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "{\"no\":\"7\",\"lines\":[{\"amount\":\"1\"}]}");
	CHECK(v.type == types->types[0]);
	CHECK_STR(v.stop, "tool_use");
	CHECK(starts_with(v.request_id, "7c1a-") && !strchr(v.request_id, '\x1b'));
	/* body and header both count: the larger is believed */
	CHECK(v.usage.reported && v.usage.input == 3000 && v.usage.output == 120 && v.usage.cached == 5);
	decode(200,
		REPLY("tool_use", TOOL("{\"no\":\"7\"}"),
			"\"inputTokens\":4000,\"outputTokens\":10,\"cacheReadInputTokens\":6"),
		0);
	CHECK(v.usage.input == 4000 && v.usage.output == 90 && v.usage.cached == 6);
	/* without usage in the body the headers serve */
	decode(200, REPLY("tool_use", TOOL("{\"no\":\"7\"}"), ""), 0);
	CHECK(v.usage.reported && v.usage.input == 3000);
	/* words instead of the tool are tolerated */
	decode(200, REPLY("end_turn", "{\"text\":\"no: 7\"},{\"text\":\"day: 2026-01-02\"}", ""), 0);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "no: 7\nday: 2026-01-02");
	verdict_clear(&v);
	tear_down();
}

TEST(a_200_that_is_not_an_answer_is_never_done)
{
	static const struct {
		const char *body, *reason;
	} bad[] = {
		{"", "not-an-answer"},
		{"{}", "not-an-answer"},
		{"[]", "not-an-answer"},
		{"null", "not-an-answer"},
		{"<html>", "not-an-answer"},
		{"{\"stopReason\":\"tool_use\"}", "not-an-answer"},
		{"{\"stopReason\":5,\"output\":{\"message\":{\"content\":[]}}}", "not-an-answer"},
		{"{\"output\":{\"message\":{\"content\":[{\"text\":\"x\"}]}}}", "not-an-answer"},
		{"{\"output\":\"x\",\"stopReason\":\"tool_use\"}", "not-an-answer"},
		{REPLY("tool_use", "", ""), "empty-answer"},
		{REPLY("tool_use", TOOL("{}"), ""), "empty-answer"},
		{REPLY("tool_use", TOOL("\"text\""), ""), "empty-answer"},
		{REPLY("tool_use", TOOL("[1]"), ""), "empty-answer"},
		{REPLY("end_turn", "{\"text\":\" \\n\"}", ""), "empty-answer"},
		{REPLY("end_turn", "5,null,{\"text\":5}", ""), "empty-answer"},
		{REPLY("stop_sequence", TOOL("{\"no\":\"7\"}"), ""), "unexpected-stop"},
		{REPLY("something_new", TOOL("{\"no\":\"7\"}"), ""), "unexpected-stop"},
		{REPLY("tool_use", TOOL("{\"no\":\"7\"}"), "") "x", "not-an-answer"},
	};

	set_up();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		decode(200, bad[i].body, 0);
		check(PAGE_RETRY, BACKEND_OK, bad[i].reason, true);
	}
	tear_down();
}

TEST(stop_reasons)
{
	static const struct {
		const char *body;
		enum page_outcome first, again;
		const char *reason;
	} s[] = {
		{REPLY("max_tokens", TOOL("{\"no\":\"7\"}"), ""), PAGE_RETRY, PAGE_NEXT, "truncated"},
		{REPLY("malformed_tool_use", "", ""), PAGE_RETRY, PAGE_NEXT, "malformed"},
		{REPLY("malformed_model_output", "", ""), PAGE_RETRY, PAGE_NEXT, "malformed"},
		{REPLY("guardrail_intervened", "{\"text\":\"Sorry\"}", ""), PAGE_NEXT, PAGE_NEXT, "guardrail"},
		{REPLY("content_filtered", "{\"text\":\"Sorry\"}", ""), PAGE_NEXT, PAGE_NEXT, "filtered"},
		{REPLY("model_context_window_exceeded", "", ""), PAGE_NEXT, PAGE_NEXT, "too-large"},
	};

	set_up();
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		decode(200, s[i].body, 0);
		check(s[i].first, BACKEND_OK, s[i].reason, true);
		CHECK(v.usage.reported); /* it is billed all the same */
		decode(200, s[i].body, 1);
		check(s[i].again, BACKEND_OK, s[i].reason, true);
	}
	tear_down();
}

#define CLAUDE(stop, content, usage)                                                                                           \
	"{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[" content "],\"stop_reason\":\"" stop         \
	"\",\"usage\":{" usage "}}"
#define USE(input) "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"record_fields\",\"input\":" input "}"

TEST(claudes_replies)
{
	set_up();
	strcpy(config.model, "anthropic.claude-3-haiku-20240307-v1:0");
	decode(200, CLAUDE("tool_use", "{\"type\":\"text\",\"text\":\"so\"}," USE("{\"no\":\"7\"}"),
		"\"input_tokens\":4000,\"output_tokens\":120,\"cache_read_input_tokens\":30,\"cache_creation_input_tokens\":10"), 0);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "{\"no\":\"7\"}");
	CHECK_STR(v.stop, "tool_use");
	CHECK(v.usage.reported && v.usage.input == 4010 && v.usage.output == 120 && v.usage.cached == 30);
	decode(200, CLAUDE("end_turn", "{\"type\":\"text\",\"text\":\"no: 7\"}", ""), 0);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "no: 7");
	decode(200, CLAUDE("refusal", "", ""), 0);
	check(PAGE_NEXT, BACKEND_OK, "refused", true);
	decode(200, CLAUDE("max_tokens", USE("{\"no\":\"7\"}"), ""), 0);
	check(PAGE_RETRY, BACKEND_OK, "truncated", true);
	decode(200, CLAUDE("max_tokens", USE("{\"no\":\"7\"}"), ""), 1);
	check(PAGE_NEXT, BACKEND_OK, "truncated", true);
	decode(200, CLAUDE("model_context_window_exceeded", "", ""), 0);
	check(PAGE_NEXT, BACKEND_OK, "too-large", true);
	decode(200, CLAUDE("pause_turn", USE("{\"no\":\"7\"}"), ""), 0);
	check(PAGE_RETRY, BACKEND_OK, "unexpected-stop", true);
	/* each form is read as itself only */
	decode(200, REPLY("tool_use", TOOL("{\"no\":\"7\"}"), ""), 0);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	strcpy(config.model, "amazon.nova-pro-v1:0");
	decode(200, CLAUDE("tool_use", USE("{\"no\":\"7\"}"), ""), 0);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	verdict_clear(&v);
	tear_down();
}

TEST(what_a_guardrail_changed_is_no_answer)
{
	set_up();
	decode(200, "{\"output\":{\"message\":{\"content\":[" TOOL("{\"no\":\"{NAME}\"}") "]}},\"stopReason\":\"tool_use\",\"usage\":{},"
		    "\"amazon-bedrock-guardrailAction\":\"INTERVENED\"}", 0);
	check(PAGE_NEXT, BACKEND_OK, "guardrail", true);
	decode(200, "{\"output\":{\"message\":{\"content\":[" TOOL("{\"no\":\"7\"}") "]}},\"stopReason\":\"tool_use\",\"usage\":{},"
		    "\"amazon-bedrock-guardrailAction\":\"NONE\"}", 0);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	verdict_clear(&v);
	tear_down();
}

TEST(errors_go_through_the_table)
{
	struct reply gone = {.error = TRANSPORT_CONNECT, .detail = "refused"};

	set_up();
	decode(400, "{\"__type\":\"ThrottlingException\",\"message\":\"slow\"}", 0);
	check(PAGE_UNTOUCHED, BACKEND_BUSY, "throttled", false);
	CHECK(starts_with(v.request_id, "7c1a-"));
	decode(500, "oops", 0);
	check(PAGE_UNTOUCHED, BACKEND_DOWN, "server-error", true);
	decode(202, REPLY("tool_use", TOOL("{\"no\":\"7\"}"), ""), 0);
	check(PAGE_UNTOUCHED, BACKEND_DOWN, "unexpected-status", true);
	verdict_clear(&v);
	CHECK_INT(x.ops->decode(&x, &job, &gone, &v), 0);
	check(PAGE_UNTOUCHED, BACKEND_DOWN, "no-connection", false);
	tear_down();
}
