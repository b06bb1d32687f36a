/*
 * The question in each form. Nova's messages-v1 and Converse share their blocks; Claude's Messages has its own.
 * Sources: Amazon Nova user guide, "Complete request schema"; Bedrock API reference, "Converse"; Bedrock user guide,
 * "Anthropic Claude Messages API".
 */
#include <stdio.h>

#include "cloud/bedrock_internal.h"
#include "cloud/toolschema.h"

#define LITERAL_MAX ((size_t)1 << 20)
#define SYSTEM      "You read scanned pages and record what is printed on them with the tool."
#define DESCRIPTION "Records the fields of the page."

static int add_quoted(struct buf *b, const char *before, const char *text, const char *after)
{
	int e = buf_adds(b, before);

	if (e >= 0)
		e = json_quote(b, text, strlen(text));
	return e < 0 ? e : buf_adds(b, after);
}

/* Which page is which, where there are several. */
static int add_page_name(const struct bedrock_model *m, const struct job *j, size_t i, struct buf *b)
{
	char text[64];

	if (j->n_images < 2)
		return 0;
	snprintf(text, sizeof(text), "Page %zu of %zu:", i + 1, j->n_images);
	return add_quoted(b, m->api == BEDROCK_CLAUDE ? "{\"type\":\"text\",\"text\":" : "{\"text\":", text, "},");
}

/* {"image":...BASE64...},{"image":...}, */
static int add_images(const struct bedrock_model *m, const struct job *j, struct request *r, struct buf *b)
{
	bool claude = m->api == BEDROCK_CLAUDE;
	int e = 0;

	for (size_t i = 0; e >= 0 && i < j->n_images; i++) {
		e = add_page_name(m, j, i, b);
		if (e >= 0)
			e = buf_adds(b, claude ? "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/jpeg\",\"data\":\""
					       : "{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"");
		if (e >= 0)
			e = request_add_literal_take(r, b);
		if (e >= 0)
			e = request_add_file(r, SEGMENT_FILE_BASE64, j->images[i].fd, j->images[i].bytes);
		if (e >= 0)
			e = buf_adds(b, claude ? "\"}}," : "\"}}},");
	}
	return e;
}

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
	int e = buf_adds(b, "\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"" BEDROCK_TOOL "\",\"description\":"
			    "\"" DESCRIPTION "\",\"inputSchema\":{\"json\":");

	if (e >= 0)
		e = add_schema(m, t, b);
	if (e >= 0)
		e = buf_adds(b, m->family == FAMILY_OTHER ? "}}}]}" : "}}}],\"toolChoice\":{\"tool\":{\"name\":\"" BEDROCK_TOOL "\"}}}");
	return e;
}

/* What InvokeModel has headers for. */
static int add_converse_options(const struct bedrock_config *c, const struct job *j, struct buf *b)
{
	int e = 0;

	if (*c->guardrail)
		e = add_quoted(b, ",\"guardrailConfig\":{\"guardrailIdentifier\":", c->guardrail, "");
	if (e >= 0 && *c->guardrail)
		e = add_quoted(b, ",\"guardrailVersion\":", c->guardrail_version, "}");
	if (e >= 0 && bedrock_is_flex(c, j))
		e = buf_adds(b, ",\"serviceTier\":{\"type\":\"flex\"}");
	return e;
}

static int add_camel(const struct bedrock_config *c, const struct bedrock_model *m, const struct job *j, int64_t max_tokens,
	struct request *r, struct buf *b)
{
	const struct doctype *t = j->types->types[0];
	bool nova = m->api == BEDROCK_NOVA;
	int e = buf_adds(b, nova ? "{\"schemaVersion\":\"messages-v1\",\"system\":[{\"text\":\"" SYSTEM "\"}],\"messages\":[{\"role\":\"user\",\"content\":["
				 : "{\"system\":[{\"text\":\"" SYSTEM "\"}],\"messages\":[{\"role\":\"user\",\"content\":[");

	if (e >= 0)
		e = add_images(m, j, r, b);
	if (e >= 0)
		e = add_quoted(b, "{\"text\":", t->prompt, "}]}],");
	if (e >= 0)
		e = add_tool_config(m, t, b);
	if (e >= 0)
		e = buf_addf(b, ",\"inferenceConfig\":{\"maxTokens\":%lld,\"temperature\":0%s}", (long long)max_tokens,
			nova ? ",\"topK\":1" : "");
	/* Converse has no topK of its own: it is among what is the model's */
	if (e >= 0 && !nova && m->family == FAMILY_NOVA)
		e = buf_adds(b, ",\"additionalModelRequestFields\":{\"inferenceConfig\":{\"topK\":1}}");
	if (e >= 0 && !nova)
		e = add_converse_options(c, j, b);
	return e < 0 ? e : buf_adds(b, "}");
}

static int add_claude(const struct bedrock_model *m, const struct job *j, int64_t max_tokens, struct request *r, struct buf *b)
{
	const struct doctype *t = j->types->types[0];
	int e = buf_addf(b,
		"{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":%lld,\"temperature\":0,\"system\":\"" SYSTEM "\","
		"\"messages\":[{\"role\":\"user\",\"content\":[",
		(long long)max_tokens);

	if (e >= 0)
		e = add_images(m, j, r, b);
	if (e >= 0)
		e = add_quoted(b, "{\"type\":\"text\",\"text\":", t->prompt, "}]}],\"tools\":[{\"name\":\"" BEDROCK_TOOL "\",\"description\":"
									     "\"" DESCRIPTION "\",\"input_schema\":");
	if (e >= 0)
		e = add_schema(m, t, b);
	return e < 0 ? e : buf_adds(b, "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"" BEDROCK_TOOL "\"}}");
}

int bedrock_add_body(
	const struct bedrock_config *c, const struct bedrock_model *m, const struct job *j, int64_t max_tokens, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(LITERAL_MAX);
	int e = m->api == BEDROCK_CLAUDE ? add_claude(m, j, max_tokens, r, &b) : add_camel(c, m, j, max_tokens, r, &b);

	return e < 0 ? e : request_add_literal_take(r, &b);
}
