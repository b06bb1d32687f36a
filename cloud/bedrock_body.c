/*
 * The question in each form. Nova's messages-v1 and Converse share their blocks; Claude's Messages has its own.
 * Sources: Amazon Nova user guide, "Complete request schema"; Bedrock API reference, "Converse"; Bedrock user guide,
 * "Anthropic Claude Messages API".
 */
#include <stdio.h>

#include "cloud/bedrock_internal.h"
#include "cloud/toolschema.h"

#define LITERAL_MAX ((size_t)1 << 20)
#define SYSTEM_TOOL  "You read scanned pages and record what is printed on them with the tool."
#define SYSTEM_PLAIN "You read scanned pages and answer with one JSON object."
#define DESCRIPTION  "Records the fields of the page."
#define USE_INPUT    "\",\"name\":\"" BEDROCK_TOOL "\",\"input\":"

/* The blocks of a message; an image's data and the texts stand between. */
static const struct spelling {
	const char *text;
	const char *image, *image_end;
	const char *use, *use_end;       /* of a tool: its id after the first, then USE_INPUT and the input */
	const char *result, *result_end; /* of a tool: its id between */
} camel = {
	.text = "{\"text\":",
	.image = "{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"",
	.image_end = "\"}}}",
	.use = "{\"toolUse\":{\"toolUseId\":\"example",
	.use_end = "}}",
	.result = "{\"toolResult\":{\"toolUseId\":\"example",
	.result_end = "\",\"content\":[{\"text\":\"Recorded.\"}],\"status\":\"success\"}},",
}, messages = {
	.text = "{\"type\":\"text\",\"text\":",
	.image = "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\",\"data\":\"",
	.image_end = "\"}}",
	.use = "{\"type\":\"tool_use\",\"id\":\"example",
	.use_end = "}",
	.result = "{\"type\":\"tool_result\",\"tool_use_id\":\"example",
	.result_end = "\",\"content\":\"Recorded.\"},",
};

static const struct spelling *spelling_of(const struct bedrock_model *m)
{
	return m->api == BEDROCK_CLAUDE ? &messages : &camel;
}

int bedrock_add_quoted(struct buf *b, const char *before, const char *text, const char *after)
{
	int e = buf_adds(b, before);

	if (e >= 0)
		e = json_quote(b, text, strlen(text));
	return e < 0 ? e : buf_adds(b, after);
}

static int add_text(const struct spelling *w, const char *text, struct buf *b)
{
	return bedrock_add_quoted(b, w->text, text, "}");
}

static const char *system_of(const struct doctype *t)
{
	return t->ask.system ? t->ask.system : t->ask.plain ? SYSTEM_PLAIN : SYSTEM_TOOL;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* What was recorded of an example: each use of a tool must have its result, before anything else of the user's. */
static int add_result(const struct spelling *w, const struct doctype *t, size_t n, struct buf *b)
{
	return t->ask.plain || !n ? 0 : buf_addf(b, "%s%zu%s", w->result, n, w->result_end);
}

static int add_example_answer(const struct spelling *w, const struct doctype *t, const cJSON *answer, size_t n, struct buf *b)
{
	_cleanup_buf_ struct buf text = BUF_MAX(LITERAL_MAX);
	int e;

	if (!t->ask.plain) {
		e = buf_addf(b, "%s%zu%s", w->use, n, USE_INPUT);
		if (e >= 0)
			e = json_print(answer, false, b);
		return e < 0 ? e : buf_adds(b, w->use_end);
	}
	e = json_print(answer, false, &text);
	return e < 0 ? e : add_text(w, buf_str(&text), b);
}

/* Two turns for each: a page's text from the user, and what the model is to make of it. */
static int add_examples(const struct spelling *w, const struct doctype *t, struct buf *b)
{
	const cJSON *example;
	size_t n = 0;
	int e = 0;

	cJSON_ArrayForEach (example, t->ask.examples) {
		_cleanup_buf_ struct buf page = BUF_MAX(LITERAL_MAX);

		e = buf_addf(&page, "An example, as text. Its page:\n%s", json_get_string(example, "page"));
		if (e >= 0)
			e = buf_adds(b, "{\"role\":\"user\",\"content\":[");
		if (e >= 0)
			e = add_result(w, t, n, b);
		if (e >= 0)
			e = add_text(w, buf_str(&page), b);
		if (e >= 0)
			e = buf_adds(b, "]},{\"role\":\"assistant\",\"content\":[");
		if (e >= 0)
			e = add_example_answer(w, t, json_get(example, "answer"), ++n, b);
		if (e >= 0)
			e = buf_adds(b, "]},");
		if (e < 0)
			return e;
	}
	return e;
}

/* Which page is which, where there are several. */
static int add_page_name(const struct spelling *w, const struct job *j, size_t i, struct buf *b)
{
	char text[64];
	int e;

	if (j->n_images < 2)
		return 0;
	snprintf(text, sizeof(text), "Page %zu of %zu:", i + 1, j->n_images);
	e = add_text(w, text, b);
	return e < 0 ? e : buf_adds(b, ",");
}

static int add_images(const struct spelling *w, const struct job *j, struct request *r, struct buf *b)
{
	int e = 0;

	for (size_t i = 0; e >= 0 && i < j->n_images; i++) {
		e = add_page_name(w, j, i, b);
		if (e >= 0)
			e = buf_adds(b, w->image);
		if (e >= 0)
			e = request_add_literal_take(r, b);
		if (e >= 0)
			e = request_add_file(r, SEGMENT_FILE_BASE64, j->images[i].fd, j->images[i].bytes);
		if (e >= 0)
			e = buf_addf(b, "%s,", w->image_end);
	}
	return e;
}

/* "messages":[...] */
static int add_messages(const struct bedrock_model *m, const struct job *j, struct request *r, struct buf *b)
{
	const struct spelling *w = spelling_of(m);
	const struct doctype *t = j->types->types[0];
	int e = buf_adds(b, "\"messages\":[");

	if (e >= 0)
		e = add_examples(w, t, b);
	if (e >= 0)
		e = buf_adds(b, "{\"role\":\"user\",\"content\":[");
	if (e >= 0)
		e = add_result(w, t, (size_t)cJSON_GetArraySize(t->ask.examples), b);
	if (e >= 0)
		e = add_images(w, j, r, b);
	if (e >= 0)
		e = add_text(w, t->prompt, b);
	return e < 0 ? e : buf_adds(b, "]}]");
}

/* ---- the tool ---------------------------------------------------------------------------------------------------- */

/* Claude reads all of JSON Schema; what others may refuse is left out. */
static int add_schema(const struct bedrock_model *m, const struct doctype *t, struct buf *b)
{
	_cleanup_json_ cJSON *schema = NULL;
	int e;

	if (m->family == FAMILY_CLAUDE)
		return json_print(t->schema, false, b);
	e = tool_schema_nova(t->schema, &schema);
	return e < 0 ? e : json_print(schema, false, b);
}

/* Only Nova's and Claude's can be made to call one tool; others are asked to. */
static int add_tool_config(const struct bedrock_model *m, const struct doctype *t, struct buf *b)
{
	int e = buf_adds(b, ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"" BEDROCK_TOOL "\",\"description\":"
			    "\"" DESCRIPTION "\",\"inputSchema\":{\"json\":");

	if (e >= 0)
		e = add_schema(m, t, b);
	if (e >= 0)
		e = buf_adds(b, m->family == FAMILY_OTHER ? "}}}]}" : "}}}],\"toolChoice\":{\"tool\":{\"name\":\"" BEDROCK_TOOL "\"}}}");
	return e;
}

static int add_claude_tool(const struct bedrock_model *m, const struct doctype *t, struct buf *b)
{
	int e = buf_adds(b, ",\"tools\":[{\"name\":\"" BEDROCK_TOOL "\",\"description\":\"" DESCRIPTION "\",\"input_schema\":");

	if (e >= 0)
		e = add_schema(m, t, b);
	return e < 0 ? e : buf_adds(b, "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"" BEDROCK_TOOL "\"}");
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* Nothing said: always the most likely token. Never both, for later Claude models refuse that. */
static int add_temperature(const struct doctype_ask *a, const char *top_p, struct buf *b)
{
	int e = buf_addf(b, ",\"%s\":", a->top_p ? top_p : "temperature");

	if (e < 0)
		return e;
	if (a->top_p)
		return json_print(a->top_p, false, b);
	return a->temperature ? json_print(a->temperature, false, b) : buf_adds(b, "0");
}

/* 0: none is sent. For other families than these there is no one name for it. */
static int64_t top_k(const struct bedrock_model *m, const struct doctype_ask *a)
{
	if (a->top_k)
		return m->family == FAMILY_OTHER ? 0 : a->top_k;
	return m->family == FAMILY_NOVA && !a->temperature && !a->top_p ? 1 : 0;
}

static int add_camel_sampling(const struct bedrock_model *m, const struct doctype_ask *a, int64_t max_tokens, struct buf *b)
{
	long long k = top_k(m, a);
	int e = buf_addf(b, ",\"inferenceConfig\":{\"maxTokens\":%lld", (long long)max_tokens);

	if (e >= 0)
		e = add_temperature(a, "topP", b);
	if (e >= 0 && k && m->api == BEDROCK_NOVA)
		e = buf_addf(b, ",\"topK\":%lld", k);
	if (e >= 0)
		e = buf_adds(b, "}");
	if (e < 0 || !k || m->api == BEDROCK_NOVA)
		return e;
	/* Converse has no topK of its own: it is among what is the model's */
	return buf_addf(b, m->family == FAMILY_NOVA ? ",\"additionalModelRequestFields\":{\"inferenceConfig\":{\"topK\":%lld}}"
						    : ",\"additionalModelRequestFields\":{\"top_k\":%lld}", k);
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

/* What InvokeModel has headers for. */
static int add_converse_options(const struct bedrock_config *c, const struct job *j, struct buf *b)
{
	int e = 0;

	if (*c->guardrail)
		e = bedrock_add_quoted(b, ",\"guardrailConfig\":{\"guardrailIdentifier\":", c->guardrail, "");
	if (e >= 0 && *c->guardrail)
		e = bedrock_add_quoted(b, ",\"guardrailVersion\":", c->guardrail_version, c->guardrail_trace ? ",\"trace\":\"enabled\"}" : "}");
	if (e >= 0 && bedrock_is_flex(c, j))
		e = buf_adds(b, ",\"serviceTier\":{\"type\":\"flex\"}");
	if (e >= 0 && *c->metadata)
		e = buf_adds(b, ",\"requestMetadata\":");
	return e < 0 || !*c->metadata ? e : bedrock_add_metadata(c, j, b);
}

static int add_camel(const struct bedrock_config *c, const struct bedrock_model *m, const struct job *j, int64_t max_tokens,
	struct request *r, struct buf *b)
{
	const struct doctype *t = j->types->types[0];
	bool nova = m->api == BEDROCK_NOVA;
	int e = bedrock_add_quoted(b, nova ? "{\"schemaVersion\":\"messages-v1\",\"system\":[{\"text\":" : "{\"system\":[{\"text\":",
		system_of(t), "}],");

	if (e >= 0)
		e = add_messages(m, j, r, b);
	if (e >= 0 && !t->ask.plain)
		e = add_tool_config(m, t, b);
	if (e >= 0)
		e = add_camel_sampling(m, &t->ask, max_tokens, b);
	if (e >= 0 && !nova)
		e = add_converse_options(c, j, b);
	return e < 0 ? e : buf_adds(b, "}");
}

static int add_claude(const struct bedrock_model *m, const struct job *j, int64_t max_tokens, struct request *r, struct buf *b)
{
	const struct doctype *t = j->types->types[0];
	long long k = top_k(m, &t->ask);
	int e = buf_addf(b, "{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":%lld", (long long)max_tokens);

	if (e >= 0)
		e = add_temperature(&t->ask, "top_p", b);
	if (e >= 0 && k)
		e = buf_addf(b, ",\"top_k\":%lld", k);
	if (e >= 0)
		e = bedrock_add_quoted(b, ",\"system\":", system_of(t), ",");
	if (e >= 0)
		e = add_messages(m, j, r, b);
	if (e >= 0 && !t->ask.plain)
		e = add_claude_tool(m, t, b);
	return e < 0 ? e : buf_adds(b, "}");
}

int bedrock_add_body(
	const struct bedrock_config *c, const struct bedrock_model *m, const struct job *j, int64_t max_tokens, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(LITERAL_MAX);
	int e = m->api == BEDROCK_CLAUDE ? add_claude(m, j, max_tokens, r, &b) : add_camel(c, m, j, max_tokens, r, &b);

	return e < 0 ? e : request_add_literal_take(r, &b);
}
