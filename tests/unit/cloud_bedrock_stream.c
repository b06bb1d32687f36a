/* Streamed answers of each form, from frames to verdicts. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "cloud/bedrock.h"
#include "tests/unit/stream_make.h"

#define NOVA   "amazon.nova-pro-v1:0"
#define CLAUDE "au.anthropic.claude-haiku-4-5-20251001-v1:0"
#define OTHER  "arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl"

static struct bedrock_config config;
static const struct extractor x = {&bedrock_extractor, "sydney", &config};
static struct typeset *types;
static struct job job;
static struct request req;
static struct verdict v;
static struct buf wire;

static void ask(const char *model, bool plain)
{
	char text[1024], why[256], path[256];
	static int fd = -1;

	CHECK(str_format(text, sizeof(text),
		      "[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read.\",\"form\":\"%s\",\"schema\":{\"type\":\"object\","
		      "\"additionalProperties\":false,\"properties\":{\"no\":{\"type\":\"string\",\"maxLength\":40}}},"
		      "\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\"}]}]", plain ? "plain" : "tool") > 0);
	typeset_free(types);
	if (typeset_parse(text, strlen(text), &types, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	if (fd < 0) {
		CHECK(str_format(path, sizeof(path), "%s/page.jpg", test_tmpdir()) > 0);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0 && write_all(fd, "\xff\xd8\xff", 3) == 0);
	}
	config = (struct bedrock_config){.region = "ap-southeast-2", .max_output_tokens = 900, .stream = true};
	str_copy(config.model, sizeof(config.model), model);
	job = (struct job){.page_id = "p", .types = types, .n_images = 1};
	job.images[0] = (struct job_image){fd, 3, 1000, 1000};
	request_free(&req);
	CHECK_INT(x.ops->build(&x, &job, &req), 0);
	CHECK(req.stream && req.max_reply > (size_t)900 * 512);
	buf_clear(&wire);
}

/* The wire's bytes in such pieces, and how the transfer ended. Returns how many bytes were read. */
static size_t reply(size_t piece, enum transport_error error)
{
	struct reply r = {.error = error, .status = 200, .sent = true, .sent_all = true, .stream = req.stream};
	size_t at = 0;

	while (at < wire.len) {
		size_t n = MIN(piece, wire.len - at);

		at += n;
		if (req.stream->take(req.stream, wire.data + at - n, n) != 0)
			break;
	}
	verdict_clear(&v);
	CHECK_INT(x.ops->decode(&x, &job, &r, &v), 0);
	return at;
}

static void check(enum page_outcome page, enum backend_state backend, const char *reason, bool billed)
{
	if (v.page != page || v.backend != backend || !streq(v.reason, reason) || v.billed != billed || !v.answer != (page != PAGE_DONE))
		test_fail(__FILE__, __LINE__, "%s/%s %s billed %d: %s", page_outcome_name(v.page), backend_state_name(v.backend), v.reason,
			v.billed, v.message);
}

static void event(const char *type, const char *payload)
{
	frame_of(&wire, "event", type, payload);
}

/* Converse: what was said so far, in two pieces. */
static void converse_tool(const char *a, const char *b)
{
	_cleanup_buf_ struct buf text = {};

	event("messageStart", "{\"role\":\"assistant\",\"p\":\"abc\"}");
	event("contentBlockStart", "{\"start\":{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"record_fields\"}},\"contentBlockIndex\":0}");
	for (int i = 0; i < 2; i++) {
		buf_clear(&text);
		CHECK(buf_adds(&text, "{\"delta\":{\"toolUse\":{\"input\":") == 0 && json_quote(&text, i ? b : a, strlen(i ? b : a)) == 0 &&
			buf_adds(&text, "}},\"contentBlockIndex\":0,\"p\":\"ab\"}") == 0);
		event("contentBlockDelta", buf_str(&text));
	}
}

#define METADATA "{\"usage\":{\"inputTokens\":2500,\"outputTokens\":120,\"totalTokens\":2620,\"cacheReadInputTokens\":5},\"metrics\":{\"latencyMs\":9}}"

static void converse_end(const char *stop)
{
	_cleanup_buf_ struct buf text = {};

	event("contentBlockStop", "{\"contentBlockIndex\":0}");
	CHECK(buf_addf(&text, "{\"stopReason\":\"%s\"}", stop) == 0);
	event("messageStop", buf_str(&text));
}

TEST(how_it_is_asked)
{
	ask(NOVA, false);
	CHECK_STR(req.url, "https://bedrock-runtime.ap-southeast-2.amazonaws.com/model/amazon.nova-pro-v1%3A0/invoke-with-response-stream");
	CHECK_STR(request_header(&req, "accept"), "application/vnd.amazon.eventstream");
	CHECK_STR(request_header(&req, "x-amzn-bedrock-accept"), "application/json");
	ask(OTHER, false);
	CHECK(strstr(req.url, "/converse-stream") && !request_header(&req, "x-amzn-bedrock-accept"));
}

TEST(converse_to_the_end)
{
	for (size_t piece = 1; piece < 600; piece += 7) {
		ask(OTHER, false);
		converse_tool("{\"no\"", ":\"7\"}");
		converse_end("tool_use");
		event("metadata", METADATA);
		event("somethingNew", "");
		CHECK_INT(reply(piece, TRANSPORT_OK), wire.len);
		check(PAGE_DONE, BACKEND_OK, "answered", true);
		CHECK_STR(v.answer, "{\"no\":\"7\"}");
		CHECK_STR(v.stop, "tool_use");
		CHECK(v.usage.reported && v.usage.input == 2500 && v.usage.output == 120 && v.usage.cached == 5 && !v.usage.differs);
		CHECK_INT(req.stream->answered, 10);
	}
}

TEST(novas_own_events)
{
	ask(NOVA, false);
	frame_chunk(&wire, "{\"messageStart\":{\"role\":\"assistant\"}}");
	frame_chunk(&wire, "{\"contentBlockStart\":{\"start\":{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"record_fields\"}},\"contentBlockIndex\":1}}");
	frame_chunk(&wire, "{\"contentBlockDelta\":{\"delta\":{\"toolUse\":{\"input\":\"{\\\"no\\\":\\\"8\\\"}\"}},\"contentBlockIndex\":1}}");
	frame_chunk(&wire, "{\"contentBlockStop\":{\"contentBlockIndex\":1}}");
	frame_chunk(&wire, "{\"messageStop\":{\"stopReason\":\"tool_use\"}}");
	frame_chunk(&wire, "{\"metadata\":{\"usage\":{\"inputTokens\":30,\"outputTokens\":4},\"metrics\":{},\"trace\":{}},"
			   "\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":31,\"outputTokenCount\":4}}");
	reply(100, TRANSPORT_OK);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "{\"no\":\"8\"}");
	/* two reports that are not the same: the larger counts, and it is said */
	CHECK(v.usage.reported && v.usage.input == 31 && v.usage.output == 4 && v.usage.differs);
}

static void claude_until_stop(void)
{
	frame_chunk(&wire, "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,"
			   "\"usage\":{\"input_tokens\":40,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":1,\"output_tokens\":1}}}");
	frame_chunk(&wire, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
	frame_chunk(&wire, "{\"type\":\"ping\"}");
	frame_chunk(&wire, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"I read:\"}}");
	frame_chunk(&wire, "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"record_fields\",\"input\":{}}}");
	frame_chunk(&wire, "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}");
	frame_chunk(&wire, "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"no\\\":\\\"9\\\"}\"}}");
}

TEST(claudes_own_events)
{
	ask(CLAUDE, false);
	claude_until_stop();
	frame_chunk(&wire, "{\"type\":\"content_block_stop\",\"index\":1}");
	frame_chunk(&wire, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":22}}");
	frame_chunk(&wire, "{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":40,\"outputTokenCount\":22,"
			   "\"invocationLatency\":9,\"firstByteLatency\":3}}");
	reply(33, TRANSPORT_OK);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "{\"no\":\"9\"}");
	CHECK(v.usage.reported && v.usage.input == 42 && v.usage.output == 22 && v.usage.cached == 1 && !v.usage.differs);
	/* what is told at the beginning is not all */
	ask(CLAUDE, false);
	claude_until_stop();
	reply(33, TRANSPORT_BROKEN);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK(!v.usage.reported);
	ask(CLAUDE, false);
	frame_chunk(&wire, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}");
	reply(33, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "model-error", true);
}

/* Cut at each byte: an answer that is whole is taken, and none that is not. */
TEST(cut_anywhere)
{
	size_t whole_at, stop_at, told_at;

	ask(OTHER, false);
	converse_tool("{\"no\"", ":\"7\"}");
	whole_at = wire.len;
	converse_end("tool_use");
	stop_at = wire.len;
	event("metadata", METADATA);
	told_at = wire.len;
	for (int guarded = 0; guarded < 2; guarded++) {
		_cleanup_buf_ struct buf all = {};

		CHECK(buf_add(&all, wire.data, wire.len) == 0);
		for (size_t len = 1; len < told_at; len++) {
			ask(OTHER, false);
			if (guarded) {
				str_copy(config.guardrail, sizeof(config.guardrail), "gr1abc");
				request_free(&req);
				CHECK_INT(x.ops->build(&x, &job, &req), 0);
			}
			CHECK(buf_add(&wire, all.data, len) == 0);
			reply(1000, len % 2 ? TRANSPORT_BROKEN : TRANSPORT_OK);
			if (len < (guarded ? stop_at : whole_at))
				check(PAGE_RETRY, BACKEND_DOWN, "connection-lost", true);
			else
				check(PAGE_DONE, BACKEND_OK, "answered", true);
			CHECK(!v.usage.reported);
		}
		buf_clear(&wire);
		CHECK(buf_add(&wire, all.data, all.len) == 0);
	}
	ask(OTHER, false);
	converse_tool("{\"no\"", "");
	reply(1000, TRANSPORT_TIMEOUT);
	check(PAGE_RETRY, BACKEND_DOWN, "timeout", true);
}

TEST(a_wrong_check_sum)
{
	ask(OTHER, false);
	converse_tool("{\"no\"", ":\"7\"}");
	wire.data[wire.len - 1] ^= 1;
	converse_end("tool_use");
	reply(1000, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	ask(OTHER, false);
	CHECK(buf_adds(&wire, "<html>Log in to the hotel's network</html>") == 0);
	CHECK(reply(10, TRANSPORT_OK) <= 20); /* no more is read */
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	/* behind the end nothing can be wrong with the answer any more, only with what is told of its cost */
	ask(OTHER, false);
	converse_tool("{\"no\"", ":\"7\"}");
	converse_end("tool_use");
	event("metadata", METADATA);
	wire.data[wire.len - 1] ^= 1;
	reply(1000, TRANSPORT_OK);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK(!v.usage.reported);
}

static void excepted(const char *type, const char *message, bool begun, enum page_outcome page, enum backend_state backend, const char *reason, bool billed)
{
	_cleanup_buf_ struct buf text = {};

	ask(OTHER, false);
	if (begun)
		converse_tool("{\"no\"", ":\"7\"}");
	CHECK(buf_addf(&text, "{\"message\":\"%s\"}", message) == 0);
	frame_of(&wire, "exception", type, buf_str(&text));
	converse_end("tool_use"); /* is not read any more */
	reply(5000, TRANSPORT_OK);
	check(page, backend, reason, billed);
}

TEST(exceptions_go_through_the_table)
{
	excepted("throttlingException", "Too many requests", false, PAGE_UNTOUCHED, BACKEND_BUSY, "throttled", false);
	excepted("throttlingException", "Too many requests", true, PAGE_UNTOUCHED, BACKEND_BUSY, "throttled", true);
	excepted("modelStreamErrorException", "broke", true, PAGE_RETRY, BACKEND_OK, "model-error", true);
	excepted("validationException", "The image is bad", false, PAGE_NEXT, BACKEND_OK, "bad-image", false);
	excepted("internalServerException", "x", true, PAGE_UNTOUCHED, BACKEND_DOWN, "server-error", true);
	excepted("serviceUnavailableException", "x", false, PAGE_UNTOUCHED, BACKEND_DOWN, "unavailable", true);
	excepted("modelTimeoutException", "x", true, PAGE_RETRY, BACKEND_OK, "model-timeout", true);
}

TEST(an_error_frame_has_its_message_in_a_header)
{
	_cleanup_buf_ struct buf headers = {};

	ask(OTHER, false);
	frame_header(&headers, ":message-type", "error");
	frame_header(&headers, ":error-code", "ThrottlingException");
	frame_header(&headers, ":error-message", "Too many \"tokens\"");
	frame_raw(&wire, &headers, "", 0);
	reply(5000, TRANSPORT_OK);
	check(PAGE_UNTOUCHED, BACKEND_BUSY, "throttled-tokens", false);
	CHECK(strstr(v.message, "Too many \"tokens\""));
}

TEST(what_is_no_object_is_not_read_to_its_end)
{
	size_t begun, before;

	ask(OTHER, false);
	converse_tool("{\"no\":", "7,,");
	begun = wire.len;
	for (int i = 0; i < 100; i++)
		event("contentBlockDelta", "{\"delta\":{\"toolUse\":{\"input\":\"more\"}},\"contentBlockIndex\":0}");
	before = reply(100, TRANSPORT_OK);
	CHECK(before <= begun + 100);
	check(PAGE_RETRY, BACKEND_OK, "malformed", true);
	CHECK(!v.usage.reported);
	job.tries = 1;
	reply(100, TRANSPORT_OK);
	check(PAGE_NEXT, BACKEND_OK, "malformed", true);
	/* blanks for ever */
	ask(OTHER, false);
	converse_tool("{\"no\":", "");
	for (int i = 0; i < 1000; i++)
		event("contentBlockDelta", "{\"delta\":{\"toolUse\":{\"input\":\"\\n     \\t   \"}},\"contentBlockIndex\":0}");
	CHECK(reply(100, TRANSPORT_OK) < wire.len / 3);
	check(PAGE_RETRY, BACKEND_OK, "malformed", true);
}

static void text_delta(const char *text)
{
	_cleanup_buf_ struct buf b = {};

	CHECK(buf_adds(&b, "{\"delta\":{\"text\":") == 0 && json_quote(&b, text, strlen(text)) == 0 && buf_adds(&b, "},\"contentBlockIndex\":0}") == 0);
	event("contentBlockDelta", buf_str(&b));
}

TEST(words_behind_a_whole_object_are_not_waited_for)
{
	for (int guarded = 0; guarded < 2; guarded++) {
		size_t read;

		ask(CLAUDE, true);
		config.api = BEDROCK_CONVERSE;
		if (guarded)
			str_copy(config.guardrail, sizeof(config.guardrail), "gr1abc");
		request_free(&req);
		CHECK_INT(x.ops->build(&x, &job, &req), 0);
		text_delta("Here {it} is:\n```json\n{\"no\":");
		text_delta("\"7\"}\n```\n");
		for (int i = 0; i < 300; i++)
			text_delta("It was hard to read. ");
		read = reply(64, TRANSPORT_OK);
		CHECK(guarded ? read == wire.len : read < wire.len / 2);
		if (guarded) {
			check(PAGE_RETRY, BACKEND_DOWN, "connection-lost", true);
		} else {
			check(PAGE_DONE, BACKEND_OK, "answered", true);
			CHECK(strstr(v.answer, "{\"no\":\"7\"}") && !v.usage.reported);
		}
	}
}

TEST(text_instead_of_the_tool)
{
	ask(OTHER, false);
	text_delta("no: 7");
	converse_end("end_turn");
	event("metadata", METADATA);
	reply(64, TRANSPORT_OK);
	check(PAGE_DONE, BACKEND_OK, "answered", true);
	CHECK_STR(v.answer, "no: 7");
}

TEST(stop_reasons_and_guardrails)
{
	ask(OTHER, false);
	converse_tool("{\"no\":", "");
	converse_end("max_tokens");
	event("metadata", METADATA);
	reply(64, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "truncated", true);
	CHECK(v.usage.reported && v.usage.output == 120);
	ask(CLAUDE, false);
	claude_until_stop();
	frame_chunk(&wire, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":22}}");
	frame_chunk(&wire, "{\"type\":\"message_stop\",\"amazon-bedrock-guardrailAction\":\"INTERVENED\"}");
	reply(64, TRANSPORT_OK);
	check(PAGE_NEXT, BACKEND_OK, "guardrail", true);
}

TEST(what_does_not_fit)
{
	ask(OTHER, false);
	event("contentBlockDelta", "{\"delta\":{\"text\":\"x\"},\"contentBlockIndex\":32}");
	reply(64, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	ask(OTHER, false);
	event("contentBlockDelta", "{\"delta\":{\"text\":\"x\"}}");
	reply(64, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	ask(NOVA, false);
	frame_of(&wire, "event", "chunk", "{\"bytes\":\"!\"}");
	reply(64, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	ask(NOVA, false);
	frame_of(&wire, "event", "chunk", "not JSON");
	reply(64, TRANSPORT_OK);
	check(PAGE_RETRY, BACKEND_OK, "not-an-answer", true);
	/* an answer without end */
	ask(OTHER, false);
	converse_tool("{\"no\":\"", "");
	for (int i = 0; i < 300; i++) {
		char piece[2000], payload[2200];

		memset(piece, 'a', sizeof(piece) - 1);
		piece[sizeof(piece) - 1] = '\0';
		CHECK(str_format(payload, sizeof(payload), "{\"delta\":{\"toolUse\":{\"input\":\"%s\"}},\"contentBlockIndex\":0}", piece) > 0);
		event("contentBlockDelta", payload);
	}
	CHECK(reply(4096, TRANSPORT_OK) < wire.len);
	check(PAGE_RETRY, BACKEND_OK, "malformed", true);
	verdict_clear(&v);
	request_free(&req);
	typeset_free(types);
	types = NULL;
	buf_free(&wire);
}
