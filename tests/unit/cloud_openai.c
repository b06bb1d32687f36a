#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/json.h"
#include "cloud/body.h"
#include "cloud/openai.h"
#include "cloud/toolschema.h"
#include "tests/unit/test.h"

static const char types_text[] =
	"[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read \\\"this\\\".\\nDates as YYYY-MM-DD.\","
	"\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"no\"],\"properties\":{"
	"\"no\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":40,\"pattern\":\"^[0-9]+$\"},"
	"\"day\":{\"type\":\"string\",\"format\":\"date\",\"maxLength\":10},"
	"\"lines\":{\"type\":\"array\",\"maxItems\":5,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
	"\"properties\":{\"amount\":{\"type\":\"string\",\"pattern\":\"[0-9]+\",\"maxLength\":5000}}}}}},"
	"\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\",\"required\":true},"
	"{\"name\":\"day\",\"title\":\"Day\",\"kind\":\"date\"},"
	"{\"name\":\"lines\",\"title\":\"Lines\",\"kind\":\"rows\",\"columns\":[{\"name\":\"amount\",\"title\":\"Amount\",\"kind\":\"text\"}]}]}]";

static struct openai_config config;
static struct extractor x = {&openai_extractor, "jetson", &config};
static struct job job;
static struct typeset *types;
static int page_fd = -1;
static struct verdict v;

static void set_up(void)
{
	char path[256], why[256];

	CHECK(str_format(path, sizeof(path), "%s/page.jpg", test_tmpdir()) > 0);
	page_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(page_fd >= 0 && write_all(page_fd, "\xff\xd8\xff page \xff\xd9", 11) == 0);
	if (typeset_parse(types_text, strlen(types_text), &types, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	config = (struct openai_config){.base_url = "http://192.168.55.1:8080/",
		.health_path = "/health",
		.max_output_tokens = 700,
		.timeout_ms = 120000,
		.connect_timeout_ms = 2000};
	job = (struct job){.page_id = "p", .types = types, .n_images = 1};
	job.images[0] = (struct job_image){page_fd, 11, 1448, 2048};
	job.images[1] = (struct job_image){page_fd, 11, 1448, 2048};
}

static void tear_down(void)
{
	typeset_free(types);
	types = NULL;
	close(page_fd);
	verdict_clear(&v);
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

#define START                                                                                                          \
	"\"messages\":[{\"role\":\"system\",\"content\":\"You read scanned pages and answer with one JSON object.\"}," \
	"{\"role\":\"user\",\"content\":["
#define IMAGE  "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,/9j/IHBhZ2Ug/9k=\"}},"
#define PROMPT "{\"type\":\"text\",\"text\":\"Read \\\"this\\\".\\nDates as YYYY-MM-DD.\"}]}]"
#define SCHEMA                                                                                                         \
	"{\"type\":\"object\",\"required\":[\"no\"],\"additionalProperties\":false,\"properties\":{"                   \
	"\"no\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"},\"day\":{\"type\":\"string\",\"format\":\"date\"},"     \
	"\"lines\":{\"type\":\"array\",\"maxItems\":5,\"items\":{\"type\":\"object\",\"additionalProperties\":false,"  \
	"\"properties\":{\"amount\":{\"type\":\"string\",\"maxLength\":1500}}}}}}"

static void check_body(const char *want)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_free_ char *text = NULL;
	struct request r = {};

	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	j = body_of(&r);
	text = print(j);
	CHECK_STR(text, want);
	request_free(&r);
}

TEST(the_body_is_llama_servers)
{
	set_up();
	check_body(
		"{" START IMAGE PROMPT
		",\"max_tokens\":700,\"temperature\":0,\"seed\":1,\"stream\":false,\"cache_prompt\":true,"
		"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"page\",\"strict\":true,\"schema\":" SCHEMA
		"}}}");
	config.schema_mode = OPENAI_JSON_OBJECT;
	job.tries = 2;
	job.n_images = 2;
	strcpy(config.model, "qwen");
	check_body("{\"model\":\"qwen\"," START IMAGE IMAGE PROMPT
		   ",\"max_tokens\":700,\"temperature\":0,\"seed\":3,\"stream\":false,\"cache_prompt\":true,"
		   "\"response_format\":{\"type\":\"json_object\",\"schema\":" SCHEMA "}}");
	config.schema_mode = OPENAI_NONE;
	config.max_output_tokens = 0;
	check_body("{\"model\":\"qwen\"," START IMAGE IMAGE PROMPT
		   ",\"max_tokens\":1024,\"temperature\":0,\"seed\":3,\"stream\":false,\"cache_prompt\":true}");
	tear_down();
}

TEST(url_key_and_link)
{
	struct request r = {};

	set_up();
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(r.url, "http://192.168.55.1:8080/v1/chat/completions");
	CHECK(!request_header(&r, "authorization") && !r.region && !r.model && !r.interface && !r.unix_socket &&
		!r.ca_file);
	CHECK(r.max_input_tokens == 0 && r.max_output_tokens == 700 && !x.ops->paid && !x.ops->sign);
	request_free(&r);
	strcpy(config.api_key, "k3y");
	strcpy(config.interface, "usb0");
	strcpy(config.ca_file, "/etc/ca.pem");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(request_header(&r, "Authorization"), "Bearer k3y");
	CHECK_STR(r.interface, "usb0");
	CHECK_STR(r.ca_file, "/etc/ca.pem");
	request_free(&r);
	*config.base_url = '\0';
	CHECK_INT(x.ops->build(&x, &job, &r), -EINVAL);
	strcpy(config.unix_socket, "/run/llama.sock");
	CHECK_INT(x.ops->build(&x, &job, &r), 0);
	CHECK_STR(r.url, "http://localhost/v1/chat/completions");
	CHECK_STR(r.unix_socket, "/run/llama.sock");
	request_free(&r);
	job.images[0].bytes = 50000000;
	CHECK_INT(x.ops->build(&x, &job, &r), -EMSGSIZE);
	tear_down();
}

TEST(probe)
{
	struct request r = {};

	set_up();
	CHECK_INT(x.ops->probe(&x, &r), 0);
	CHECK_STR(r.method, "GET");
	CHECK_STR(r.url, "http://192.168.55.1:8080/health");
	CHECK(r.n_segments == 0 && r.timeout_ms == 10000);
	request_free(&r);
	strcpy(config.health_path, "/v1/health/ready");
	CHECK_INT(x.ops->probe(&x, &r), 0);
	CHECK_STR(r.url, "http://192.168.55.1:8080/v1/health/ready");
	request_free(&r);
	tear_down();
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static void decode(int status, const char *body, uint32_t tries)
{
	struct reply r = {.status = status, .body = body, .len = strlen(body), .sent = true, .sent_all = true};

	job.tries = tries;
	verdict_clear(&v);
	CHECK_INT(x.ops->decode(&x, &job, &r, &v), 0);
}

static void check(enum page_outcome page, enum backend_state backend, const char *reason)
{
	if (v.page != page || v.backend != backend || !streq(v.reason, reason) || v.billed ||
		(v.answer && page != PAGE_DONE))
		test_fail(__FILE__, __LINE__, "%s/%s %s billed %d: %s", page_outcome_name(v.page),
			backend_state_name(v.backend), v.reason, v.billed, v.message);
}

#define REPLY(stop, message)                                                                                           \
	"{\"choices\":[{\"finish_reason\":" stop ",\"index\":0,\"message\":" message                                   \
	"}],\"id\":\"chatcmpl-1\",\"usage\":{"                                                                         \
	"\"completion_tokens\":51,\"prompt_tokens\":316,\"total_tokens\":367,\"prompt_tokens_details\":{\"cached_tokens\":300}}}"
#define SAYS(text) "{\"role\":\"assistant\",\"content\":" text "}"

TEST(an_answer)
{
	set_up();
	decode(200, REPLY("\"stop\"", SAYS("\"{\\\"no\\\" :\\\"7\\\"}\"")), 0);
	check(PAGE_DONE, BACKEND_OK, "answered");
	CHECK_STR(v.answer, "{\"no\" :\"7\"}");
	CHECK(v.type == types->types[0]);
	CHECK_STR(v.request_id, "chatcmpl-1");
	CHECK_STR(v.stop, "stop");
	CHECK(v.usage.reported && v.usage.input == 316 && v.usage.output == 51 && v.usage.cached == 300);
	decode(200, "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"{}\"}}]}", 0);
	check(PAGE_DONE, BACKEND_OK, "answered");
	CHECK(!v.usage.reported);
	tear_down();
}

TEST(a_200_that_is_not_an_answer_is_never_done)
{
	static const struct {
		const char *body, *reason;
		enum page_outcome first, again;
	} bad[] = {
		{"", "not-an-answer", PAGE_RETRY, PAGE_RETRY},
		{"{\"choices\":[]}", "not-an-answer", PAGE_RETRY, PAGE_RETRY},
		{"{\"choices\":5}", "not-an-answer", PAGE_RETRY, PAGE_RETRY},
		{"data: {}", "not-an-answer", PAGE_RETRY, PAGE_RETRY},
		{REPLY("null", SAYS("\"x\"")), "not-an-answer", PAGE_RETRY, PAGE_RETRY},
		{REPLY("\"length\"", SAYS("\"```js\"")), "truncated", PAGE_RETRY, PAGE_NEXT},
		{REPLY("\"content_filter\"", SAYS("\"\"")), "filtered", PAGE_NEXT, PAGE_NEXT},
		{REPLY("\"tool_calls\"", SAYS("\"x\"")), "unexpected-stop", PAGE_RETRY, PAGE_RETRY},
		{REPLY("\"stop\"", SAYS("null")), "empty-answer", PAGE_RETRY, PAGE_RETRY},
		{REPLY("\"stop\"", SAYS("\" \\n\"")), "empty-answer", PAGE_RETRY, PAGE_RETRY},
		{REPLY("\"stop\"", "5"), "empty-answer", PAGE_RETRY, PAGE_RETRY},
	};

	set_up();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		decode(200, bad[i].body, 0);
		check(bad[i].first, BACKEND_OK, bad[i].reason);
		decode(200, bad[i].body, 1);
		check(bad[i].again, BACKEND_OK, bad[i].reason);
	}
	tear_down();
}

#define ERROR(code, type, text) "{\"error\":{\"code\":" #code ",\"message\":\"" text "\",\"type\":\"" type "\"}}"

TEST(errors)
{
	static const struct {
		int status;
		const char *body;
		enum page_outcome page;
		enum backend_state backend;
		const char *reason;
	} e[] = {
		{503, ERROR(503, "unavailable_error", "Loading model"), PAGE_UNTOUCHED, BACKEND_BUSY, "loading"},
		{503, ERROR(503, "unavailable_error", "no slot available"), PAGE_UNTOUCHED, BACKEND_BUSY, "busy"},
		{503, "", PAGE_UNTOUCHED, BACKEND_BUSY, "busy"},
		{429, "", PAGE_UNTOUCHED, BACKEND_BUSY, "busy"},
		{401, ERROR(401, "authentication_error", "Invalid API Key"), PAGE_UNTOUCHED, BACKEND_DOWN, "api-key"},
		{403, "", PAGE_UNTOUCHED, BACKEND_DOWN, "api-key"},
		{404, ERROR(404, "not_found_error", "File Not Found"), PAGE_UNTOUCHED, BACKEND_DOWN, "no-model"},
		{405, "", PAGE_UNTOUCHED, BACKEND_DOWN, "no-model"},
		{501, ERROR(501, "not_supported_error", "x"), PAGE_UNTOUCHED, BACKEND_DOWN, "no-model"},
		{400,
			ERROR(400, "exceed_context_size_error",
				"request (3861 tokens) exceeds the available context size (2048 tokens)"),
			PAGE_NEXT, BACKEND_OK, "too-large"},
		{400, ERROR(400, "invalid_request_error", "exceeds the available context size"), PAGE_NEXT, BACKEND_OK,
			"too-large"},
		{413, "", PAGE_NEXT, BACKEND_OK, "too-large"},
		{500, ERROR(500, "server_error", "image input is not supported - hint: if this is unexpected"),
			PAGE_UNTOUCHED, BACKEND_DOWN, "no-vision"},
		{500,
			ERROR(500, "server_error",
				"The model produced output that does not match the expected peg-native format"),
			PAGE_RETRY, BACKEND_OK, "malformed"},
		{400, ERROR(400, "invalid_request_error", "Failed to load image or audio file"), PAGE_NEXT, BACKEND_OK,
			"bad-image"},
		{400, ERROR(400, "invalid_request_error", "'messages' is required"), PAGE_NEXT, BACKEND_OK,
			"bad-request"},
		{400, "{\"error\":\"model not found\"}", PAGE_NEXT, BACKEND_OK, "bad-request"},
		{408, "", PAGE_UNTOUCHED, BACKEND_BUSY, "slow-upload"},
		{422, "", PAGE_NEXT, BACKEND_OK, "bad-request"},
		{500, ERROR(500, "server_error", "other"), PAGE_UNTOUCHED, BACKEND_DOWN, "server-error"},
		{502, "<html>", PAGE_UNTOUCHED, BACKEND_DOWN, "server-error"},
		{204, "", PAGE_UNTOUCHED, BACKEND_DOWN, "server-error"},
	};
	struct reply hung = {.error = TRANSPORT_TIMEOUT, .sent = true, .sent_all = true, .detail = "x"};

	set_up();
	for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
		decode(e[i].status, e[i].body, 0);
		check(e[i].page, e[i].backend, e[i].reason);
		CHECK(e[i].backend == BACKEND_OK || e[i].page == PAGE_UNTOUCHED);
	}
	verdict_clear(&v);
	CHECK_INT(x.ops->decode(&x, &job, &hung, &v), 0);
	check(PAGE_RETRY, BACKEND_DOWN, "timeout"); /* and not billed: it is our own server */
	tear_down();
}

/* ---- schemas ----------------------------------------------------------------------------------------------------- */

static void check_schema(int (*make)(const cJSON *, cJSON **), const char *in, const char *want)
{
	_cleanup_json_ cJSON *schema = NULL, *out = NULL;
	_cleanup_free_ char *text = NULL;

	CHECK(json_parse(in, strlen(in), &schema, NULL) == 0);
	CHECK_INT(make(schema, &out), 0);
	text = print(out);
	CHECK_STR(text, want);
}

TEST(schemas_for_llama)
{
	check_schema(
		tool_schema_llama, "{\"type\":\"string\",\"title\":\"x\"}", "{\"type\":\"string\",\"maxLength\":500}");
	check_schema(tool_schema_llama, "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}",
		"{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"integer\"}}");
	check_schema(tool_schema_llama, "{\"type\":\"string\",\"minLength\":2,\"maxLength\":4000}",
		"{\"type\":\"string\",\"minLength\":2,\"maxLength\":1500}");
	check_schema(tool_schema_llama, "{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}",
		"{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}");
	check_schema(tool_schema_llama,
		"{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,12}\\\\.[0-9]{2}$\",\"maxLength\":20}",
		"{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,12}\\\\.[0-9]{2}$\"}");
	check_schema(tool_schema_llama, "{\"type\":\"string\",\"pattern\":\"[0-9]\",\"maxLength\":20}",
		"{\"type\":\"string\",\"maxLength\":20}");
	check_schema(tool_schema_llama, "{\"type\":\"string\",\"pattern\":\"^\\\\w$\"}",
		"{\"type\":\"string\",\"maxLength\":500}");
}

TEST(schemas_for_nova)
{
	check_schema(tool_schema_nova,
		"{\"type\":\"object\",\"description\":\"top\",\"additionalProperties\":false,\"properties\":{"
		"\"a\":{\"type\":\"string\",\"description\":\"d\",\"maxLength\":3},\"b\":{\"const\":\"x\"},\"c\":{\"type\":\"string\","
		"\"enum\":[\"p\"]}},\"required\":[\"a\"]}",
		"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"description\":\"d\"},\"b\":{\"enum\":[\"x\"]},"
		"\"c\":{\"type\":\"string\",\"enum\":[\"p\"]}},\"required\":[\"a\"]}");
}

TEST(a_schema_of_endless_depth_is_refused)
{
	_cleanup_json_ cJSON *schema = NULL;
	_cleanup_buf_ struct buf b = {};
	cJSON *out = NULL;

	for (int i = 0; i < 30; i++)
		CHECK(buf_adds(&b, "{\"items\":") == 0);
	CHECK(buf_adds(&b, "{}") == 0);
	for (int i = 0; i < 30; i++)
		CHECK(buf_addc(&b, '}') == 0);
	CHECK(json_parse(buf_str(&b), b.len, &schema, NULL) == 0);
	CHECK_INT(tool_schema_nova(schema, &out), -EINVAL);
	CHECK_INT(tool_schema_llama(schema, &out), -EINVAL);
}
