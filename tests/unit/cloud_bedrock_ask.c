/* What a document type says of how a model is asked, in the words of each form. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "cloud/bedrock.h"
#include "cloud/body.h"
#include "cloud/openai.h"
#include "tests/unit/test.h"

#define NOVA   "amazon.nova-pro-v1:0"
#define CLAUDE "au.anthropic.claude-haiku-4-5-20251001-v1:0"
#define OTHER  "arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl"

static struct request req;

/* The body of a page asked with these members more, or "" when it cannot be built. */
static char *body(const char *members, const struct extractor *x)
{
	char types_text[4096], why[256], path[256], piece[500];
	struct typeset *types = NULL;
	struct buf text = {};
	struct job job = {.page_id = "p", .n_images = 1};
	struct body *b;
	ssize_t n;
	int fd;

	CHECK(str_format(types_text, sizeof(types_text),
		      "[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read.\",%s\"schema\":{\"type\":\"object\","
		      "\"additionalProperties\":false,\"properties\":{\"no\":{\"type\":\"string\",\"maxLength\":40}}},"
		      "\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\"}]}]", members) > 0);
	if (typeset_parse(types_text, strlen(types_text), &types, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	CHECK(str_format(path, sizeof(path), "%s/page.jpg", test_tmpdir()) > 0);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write_all(fd, "\xff\xd8\xff", 3) == 0);
	job.types = types;
	job.images[0] = (struct job_image){fd, 3, 1000, 1000};
	request_free(&req);
	CHECK_INT(x->ops->build(x, &job, &req), 0);
	CHECK_INT(body_new(&req, &b), 0);
	while ((n = body_read(b, piece, sizeof(piece))) > 0)
		CHECK(buf_add(&text, piece, (size_t)n) == 0);
	body_free(b);
	typeset_free(types);
	close(fd);
	return buf_take(&text);
}

static char *bedrock_body(const char *model, enum bedrock_api api, const char *members)
{
	static struct bedrock_config config;
	struct extractor x = {&bedrock_extractor, "sydney", &config};

	config = (struct bedrock_config){.region = "ap-southeast-2", .api = (int)api, .max_output_tokens = 900};
	str_copy(config.model, sizeof(config.model), model);
	return body(members, &x);
}

#define EXAMPLES                                                                                                                       \
	"\"system\":\"Be \\\"exact\\\".\",\"examples\":[{\"page\":\"No 1\",\"answer\":{\"no\":\"1\"}},{\"page\":\"No\\n2\",\"answer\":{\"no\":\"2\"}}],"
#define IMAGE "{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"/9j/\"}}}"
#define RESULT(n) "{\"toolResult\":{\"toolUseId\":\"example" n "\",\"content\":[{\"text\":\"Recorded.\"}],\"status\":\"success\"}}"
#define USE(n) "{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":\"example" n "\",\"name\":\"record_fields\",\"input\":{\"no\":\"" n "\"}}}]}"

TEST(examples_are_turns_with_the_tool)
{
	_cleanup_free_ char *nova = bedrock_body(NOVA, BEDROCK_AUTO, EXAMPLES), *converse = bedrock_body(OTHER, BEDROCK_AUTO, EXAMPLES);
	static const char want[] =
		"\"system\":[{\"text\":\"Be \\\"exact\\\".\"}],\"messages\":["
		"{\"role\":\"user\",\"content\":[{\"text\":\"An example, as text. Its page:\\nNo 1\"}]}," USE("1") ","
		"{\"role\":\"user\",\"content\":[" RESULT("1") ",{\"text\":\"An example, as text. Its page:\\nNo\\n2\"}]}," USE("2") ","
		"{\"role\":\"user\",\"content\":[" RESULT("2") "," IMAGE ",{\"text\":\"Read.\"}]}],\"toolConfig\":";

	CHECK(starts_with(nova, "{\"schemaVersion\":\"messages-v1\","));
	CHECK(strstr(nova, want) && strstr(converse, want));
}

TEST(examples_are_claudes_turns)
{
	_cleanup_free_ char *text = bedrock_body(CLAUDE, BEDROCK_AUTO, EXAMPLES);

	CHECK(strstr(text,
		"\"system\":\"Be \\\"exact\\\".\",\"messages\":["
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"An example, as text. Its page:\\nNo 1\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"example1\",\"name\":\"record_fields\",\"input\":{\"no\":\"1\"}}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"example1\",\"content\":\"Recorded.\"},"
		"{\"type\":\"text\",\"text\":\"An example, as text. Its page:\\nNo\\n2\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"example2\",\"name\":\"record_fields\",\"input\":{\"no\":\"2\"}}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"example2\",\"content\":\"Recorded.\"},"
		"{\"type\":\"image\","));
}

TEST(plain_has_no_tool)
{
	static const struct {
		const char *model, *want;
		enum bedrock_api api;
	} forms[] = {
		{NOVA, "{\"role\":\"assistant\",\"content\":[{\"text\":\"{\\\"no\\\":\\\"1\\\"}\"}]}", BEDROCK_AUTO},
		{CLAUDE, "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"{\\\"no\\\":\\\"1\\\"}\"}]}", BEDROCK_AUTO},
		{CLAUDE, "{\"role\":\"assistant\",\"content\":[{\"text\":\"{\\\"no\\\":\\\"1\\\"}\"}]}", BEDROCK_CONVERSE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_free_ char *text = bedrock_body(forms[i].model, forms[i].api,
			"\"form\":\"plain\",\"examples\":[{\"page\":\"No 1\",\"answer\":{\"no\":\"1\"}}],");

		CHECK(strstr(text, forms[i].want));
		CHECK(!strstr(text, "tool") && strstr(text, "You read scanned pages and answer with one JSON object."));
	}
}

TEST(sampling_has_each_forms_names)
{
	static const struct {
		const char *model, *members, *want, *never;
		enum bedrock_api api;
	} s[] = {
		{NOVA, "\"temperature\":0.25,", ",\"temperature\":0.25}}", "topK", BEDROCK_AUTO},
		{NOVA, "\"topP\":0.5,\"topK\":7,", ",\"topP\":0.5,\"topK\":7}}", "temperature", BEDROCK_AUTO},
		{NOVA, "\"topK\":7,", "\"inferenceConfig\":{\"maxTokens\":900,\"temperature\":0},\"additionalModelRequestFields\":"
				      "{\"inferenceConfig\":{\"topK\":7}}}", "top_k", BEDROCK_CONVERSE},
		{CLAUDE, "\"temperature\":1,", "\"max_tokens\":900,\"temperature\":1,\"system\"", "top_k", BEDROCK_AUTO},
		{CLAUDE, "\"topP\":0.1,\"topK\":40,", "\"max_tokens\":900,\"top_p\":0.1,\"top_k\":40,", "temperature", BEDROCK_AUTO},
		{CLAUDE, "\"topP\":0.1,\"topK\":40,", "\"topP\":0.1},\"additionalModelRequestFields\":{\"top_k\":40}}", "temperature", BEDROCK_CONVERSE},
		{CLAUDE, "", "\"temperature\":0}}", "additionalModel", BEDROCK_CONVERSE},
		{OTHER, "\"temperature\":0.5,\"topK\":40,", "\"temperature\":0.5}}", "40", BEDROCK_AUTO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		_cleanup_free_ char *text = bedrock_body(s[i].model, s[i].api, s[i].members);

		if (!strstr(text, s[i].want) || strstr(text, s[i].never))
			test_fail(__FILE__, __LINE__, "%zu: %s", i, text);
	}
}

/* What the examples may cost is reserved with the rest. */
TEST(examples_count_as_input)
{
	uint64_t without;

	free(bedrock_body(NOVA, BEDROCK_AUTO, ""));
	without = req.max_input_tokens;
	free(bedrock_body(NOVA, BEDROCK_AUTO, EXAMPLES));
	CHECK(req.max_input_tokens >= without + strlen("Be \"exact\".No 1{\"no\":\"1\"}No\n2{\"no\":\"2\"}") -
		strlen("You read scanned pages and record what is printed on them with the tool."));
	request_free(&req);
}

static char *openai_body(bool standard, const char *members)
{
	static struct openai_config config;
	struct extractor x = {&openai_extractor, "jetson", &config};

	config = (struct openai_config){.base_url = "http://192.168.1.2:8080", .schema_mode = OPENAI_NONE, .standard = standard};
	return body(members, &x);
}

TEST(servers_of_openais_kind_too)
{
	_cleanup_free_ char *llama = openai_body(false, EXAMPLES "\"temperature\":0.5,\"topK\":7,"), *vllm = openai_body(true, "\"topP\":0.5,\"topK\":7,");

	CHECK(strstr(llama,
		"\"messages\":[{\"role\":\"system\",\"content\":\"Be \\\"exact\\\".\"},"
		"{\"role\":\"user\",\"content\":\"An example, as text. Its page:\\nNo 1\"},{\"role\":\"assistant\",\"content\":\"{\\\"no\\\":\\\"1\\\"}\"},"
		"{\"role\":\"user\",\"content\":\"An example, as text. Its page:\\nNo\\n2\"},{\"role\":\"assistant\",\"content\":\"{\\\"no\\\":\\\"2\\\"}\"},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","));
	CHECK(strstr(llama, ",\"temperature\":0.5,\"top_k\":7,\"seed\":1,"));
	CHECK(strstr(vllm, ",\"top_p\":0.5,\"seed\":1,") && !strstr(vllm, "temperature") && !strstr(vllm, "top_k"));
	request_free(&req);
}

/* ---- what is asked beside the question ---------------------------------------------------------------------------- */

#define METADATA "site=perth  page=%page type=%type empty="
#define METADATA_JSON "{\"site\":\"perth\",\"page\":\"p\",\"type\":\"slip\",\"empty\":\"\"}"

TEST(metadata_and_trace)
{
	static const char *const models[] = {NOVA, CLAUDE, OTHER};

	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		struct bedrock_config config = {.region = "ap-southeast-2", .guardrail = "gr1abc", .guardrail_version = "2", .guardrail_trace = true,
			.metadata = METADATA};
		struct extractor x = {&bedrock_extractor, "sydney", &config};
		_cleanup_free_ char *text = NULL;

		str_copy(config.model, sizeof(config.model), models[i]);
		text = body("", &x);
		if (i == 2) {
			CHECK(strstr(text, "\"guardrailVersion\":\"2\",\"trace\":\"enabled\"},\"requestMetadata\":" METADATA_JSON "}"));
			CHECK(!request_header(&req, "x-amzn-bedrock-trace") && !request_header(&req, "x-amzn-bedrock-request-metadata"));
		} else {
			CHECK(!strstr(text, "perth") && !strstr(text, "trace"));
			CHECK_STR(request_header(&req, "x-amzn-bedrock-trace"), "ENABLED");
			CHECK_STR(request_header(&req, "x-amzn-bedrock-request-metadata"), METADATA_JSON);
		}
		request_free(&req); /* it borrows from config */
	}
}

TEST(metadata_that_aws_would_refuse)
{
	static const char *const good[] = {"", " ", "a=1", METADATA, "a:b/c@d=x=y", "a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9 j=1 k=2 l=3 m=4 n=5 o=6 p=7"};
	static const char *const bad[] = {"a", "=1", "a=1 b", "a=1 a=2", "a=\"1\"", "a=%pages", "%page=1", "\xc3\xa4=1", "a=1\tb=2",
		"a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9 j=1 k=2 l=3 m=4 n=5 o=6 p=7 q=8"};
	char long_one[300] = "a=";

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK(bedrock_metadata_ok(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (bedrock_metadata_ok(bad[i]))
			test_fail(__FILE__, __LINE__, "%s", bad[i]);
	memset(long_one + 2, 'x', 256);
	CHECK(bedrock_metadata_ok(long_one));
	long_one[258] = 'x';
	CHECK(!bedrock_metadata_ok(long_one));
}

/* Of what a guardrail traced the kinds are told, never the words that it found. */
TEST(a_trace_is_told_without_the_words)
{
	static const char reply_text[] =
		"{\"output\":{\"message\":{\"content\":[{\"text\":\"Sorry\"}]}},\"stopReason\":\"guardrail_intervened\","
		"\"usage\":{\"inputTokens\":1,\"outputTokens\":1},\"amazon-bedrock-trace\":{\"guardrail\":{\"input\":{\"gr1\":{\"topicPolicy\":{\"topics\":["
		"{\"name\":\"tax\",\"type\":\"DENY\",\"action\":\"BLOCKED\"},{\"name\":\"sport\",\"type\":\"DENY\",\"action\":\"NONE\"}]}}},"
		"\"outputs\":[{\"gr1\":{\"sensitiveInformationPolicy\":{\"piiEntities\":[{\"match\":\"Ann Lee\",\"type\":\"NAME\","
		"\"action\":\"ANONYMIZED\"}],\"regexes\":[{\"match\":\"TFN 1\",\"action\":\"BLOCKED\"}]}}}]}}}";
	static const struct bedrock_config config = {.model = NOVA, .region = "ap-southeast-2"};
	static const struct extractor x = {&bedrock_extractor, "sydney", &config};
	struct reply r = {.status = 200, .body = reply_text, .len = strlen(reply_text), .sent = true, .sent_all = true};
	struct job j = {.n_images = 1};
	struct verdict v = {};

	CHECK_INT(x.ops->decode(&x, &j, &r, &v), 0);
	CHECK_STR(v.reason, "guardrail");
	CHECK_STR(v.message, "a Bedrock guardrail stopped the answer: topicPolicy tax BLOCKED, sensitiveInformationPolicy NAME ANONYMIZED, "
			     "sensitiveInformationPolicy BLOCKED");
	verdict_clear(&v);
}
