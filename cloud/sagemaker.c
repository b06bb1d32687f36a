#include "cloud/sagemaker_internal.h"

#include "base/text.h"
#include "cloud/awserror.h"
#include "cloud/sigv4.h"
#include "cloud/toolschema.h"

#define BODY_MAX        UINT64_C(6291456) /* bytes: InvokeEndpoint's Body in the service model */
#define OUTPUT_DEFAULT  4096
#define REPLY_MAX       ((size_t)1 << 20)
#define LITERAL_MAX     ((size_t)1 << 20)
#define SCAFFOLD_TOKENS 2000 /* chat template and what the container adds */

/* ---- the question ------------------------------------------------------------------------------------------------ */

/*
 * Meant never to be less than what the container counts. Qwen2.5-VL makes a token of 28x28 pixels, InternVL3 256 of a
 * tile of 448x448, which is the same; two a thousand pixels and a thousand more holds for both. Text: no more tokens
 * than bytes.
 */
static uint64_t tokens_bound(const struct job *j, const struct request *r)
{
	uint64_t sum = SCAFFOLD_TOKENS;

	for (size_t i = 0; i < j->n_images; i++) {
		uint64_t w = j->images[i].width ? j->images[i].width : 2048;
		uint64_t h = j->images[i].height ? j->images[i].height : 2048;

		sum += w * h / 500 + 1000;
	}
	for (size_t i = 0; i < r->n_segments; i++) {
		if (r->segments[i].kind == SEGMENT_LITERAL)
			sum += r->segments[i].len;
	}
	return sum;
}

int sagemaker_action_url(const struct sagemaker_config *c, const char *action, struct buf *out)
{
	size_t len = strlen(c->endpoint);
	int e;

	while (len && c->endpoint[len - 1] == '/')
		len--;
	if (len)
		e = buf_addf(out, "%.*s/endpoints/", (int)len, c->endpoint);
	else
		e = buf_addf(out, "https://runtime.sagemaker.%s.amazonaws.com/endpoints/", c->region);
	if (e >= 0)
		e = sigv4_encode_label(c->endpoint_name, out);
	return e < 0 ? e : buf_adds(out, action);
}

int sagemaker_url(const struct sagemaker_config *c, struct buf *out)
{
	return sagemaker_action_url(c, c->bucket.name[0] ? SAGEMAKER_ASYNC : "/invocations", out);
}

static int set_url(const struct sagemaker_config *c, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(1024);
	int e = sagemaker_url(c, &b);

	if (e < 0)
		return e;
	r->url = buf_take(&b);
	return r->url ? 0 : -ENOMEM;
}

static int add_headers(const struct sagemaker_config *c, struct request *r)
{
	const struct {
		const char *name, *value;
	} headers[] = {
		{"content-type", "application/json"},
		{"accept", "application/json"},
		{"x-amzn-sagemaker-inference-component", c->component},
		{"x-amzn-sagemaker-target-variant", c->variant},
		{"x-amzn-sagemaker-target-model", c->target_model},
		{"x-amzn-sagemaker-custom-attributes", c->attributes},
	};
	int e = 0;

	for (size_t i = 0; e >= 0 && i < ARRAY_SIZE(headers); i++) {
		if (*headers[i].value)
			e = request_add_header(r, headers[i].name, headers[i].value);
	}
	return e;
}

/* Nothing makes such a container keep to a form: the schema stands in the prompt. */
static int plain_prompt(const struct doctype *t, struct buf *out)
{
	_cleanup_json_ cJSON *schema = NULL;
	int e = tool_schema_llama(t->schema, &schema);

	if (e >= 0)
		e = buf_addf(out, "%s\nThe schema: ", t->prompt);
	return e < 0 ? e : json_print(schema, false, out);
}

static int add_plain_body(const struct job *j, int64_t max_tokens, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(LITERAL_MAX), prompt = BUF_MAX(LITERAL_MAX);
	int e = j->n_images == 1 ? 0 : -EMSGSIZE; /* the form has room for one */

	if (e >= 0)
		e = plain_prompt(j->types->types[0], &prompt);
	if (e >= 0)
		e = buf_adds(&b, "{\"image\":\"");
	if (e >= 0)
		e = request_add_literal_take(r, &b);
	if (e >= 0)
		e = request_add_file(r, SEGMENT_FILE_BASE64, j->images[0].fd, j->images[0].bytes);
	if (e >= 0)
		e = buf_adds(&b, "\",\"prompt\":");
	if (e >= 0)
		e = json_quote(&b, buf_str(&prompt), prompt.len);
	if (e >= 0)
		e = buf_addf(&b, ",\"max_new_tokens\":%lld}", (long long)max_tokens);
	return e < 0 ? e : request_add_literal_take(r, &b);
}

int sagemaker_fill(const struct sagemaker_config *c, const struct job *j, struct request *r)
{
	int64_t max_tokens = c->max_output_tokens > 0 ? c->max_output_tokens : OUTPUT_DEFAULT;
	int e = c->form == SAGEMAKER_OPENAI ? openai_add_body(&c->openai, j, max_tokens, r)
					    : add_plain_body(j, max_tokens, r);

	if (e < 0)
		return e;
	r->max_reply = REPLY_MAX;
	r->timeout_ms = j->cold ? MAX(c->cold_timeout_ms, c->timeout_ms) : c->timeout_ms;
	r->connect_timeout_ms = c->connect_timeout_ms;
	r->model = c->model;
	r->region = c->region;
	r->connect_to = *c->connect_to ? c->connect_to : NULL;
	r->ca_file = *c->ca_file ? c->ca_file : NULL;
	r->max_input_tokens = tokens_bound(j, r);
	r->max_output_tokens = (uint64_t)max_tokens;
	return 0;
}

static int fill_request(const struct sagemaker_config *c, const struct job *j, struct request *r)
{
	int e = j->n_images && j->types->n_types && *c->endpoint_name && *c->region ? 0 : -EINVAL;

	if (e >= 0)
		e = set_url(c, r);
	if (e >= 0)
		e = add_headers(c, r);
	if (e >= 0)
		e = sagemaker_fill(c, j, r);
	if (e < 0)
		return e;
	r->method = "POST";
	return request_body_length(r) > BODY_MAX ? -EMSGSIZE : 0;
}

static int sagemaker_build(const struct extractor *x, const struct job *j, struct request *ret)
{
	struct request r = {};
	int e = fill_request(x->config, j, &r);

	if (e < 0) {
		request_free(&r);
		return e;
	}
	*ret = r;
	return 0;
}

static int sagemaker_sign(const struct extractor *x, const struct creds *c, int64_t now, struct request *req)
{
	const struct sagemaker_config *config = x->config;
	struct sigv4_params p = {.region = config->region, .service = "sagemaker", .now = now};
	int r = c ? sigv4_sign(&p, c, req) : -EACCES;

	return r == -EINVAL || r == -ENOBUFS ? -EACCES : r;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* Some containers give the whole text back, the question before the answer. */
static const char *skip_prompt(const char *text, const struct buf *prompt)
{
	return starts_with(text, buf_str(prompt)) ? text + prompt->len : text;
}

static bool blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

static int take_text(const struct job *j, const char *text, struct verdict *v)
{
	_cleanup_buf_ struct buf prompt = BUF_MAX(LITERAL_MAX);
	int e = plain_prompt(j->types->types[0], &prompt);

	if (e < 0)
		return e;
	text = skip_prompt(text, &prompt);
	if (blank(text))
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "empty-answer", "the model answered nothing");
	v->answer = strdup(text);
	if (!v->answer)
		return -ENOMEM;
	v->type = j->types->types[0];
	return verdict_set(v, PAGE_DONE, BACKEND_OK, "answered", "answered");
}

/* {"generated_text": ...} or [{...}]; "usage" and "details" are there from some containers. */
static int decode_plain(const struct job *j, const cJSON *body, struct verdict *v)
{
	const cJSON *one = cJSON_IsArray(body) && cJSON_GetArraySize(body) == 1 ? cJSON_GetArrayItem(body, 0) : body;
	const char *text = json_get_string(one, "generated_text");
	const char *stop = json_get_string(json_get_object(one, "details"), "finish_reason");

	openai_read_usage(one, &v->usage);
	text_safe_copy(v->stop, sizeof(v->stop), stop ? stop : "");
	if (!text)
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "not-an-answer",
			"status 200, but no generated_text in it; check Form=");
	if (stop && streq(stop, "length"))
		return verdict_set(v, j->tries ? PAGE_NEXT : PAGE_RETRY, BACKEND_OK, "truncated",
			"the answer was cut off at MaxOutputTokens=");
	return take_text(j, text, v);
}

int sagemaker_read_answer(
	const struct sagemaker_config *c, const struct job *j, const struct reply *r, struct verdict *v)
{
	_cleanup_json_ cJSON *body = NULL;
	int e = json_parse(r->body ? r->body : "", r->len, &body, NULL);

	v->billed = true;
	if (e == -EBADMSG)
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "not-an-answer", "status 200, but the reply is not JSON");
	if (e < 0)
		return e;
	return c->form == SAGEMAKER_OPENAI ? openai_read_answer(j, body, v) : decode_plain(j, body, v);
}

static int sagemaker_decode(const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret)
{
	struct verdict v = {};
	const char *id;
	int e;

	if (transport_judge(r, &v)) {
		*ret = v;
		return 0;
	}
	e = r->status == 200 ? sagemaker_read_answer(x->config, j, r, &v) : aws_error_judge(r, &v);
	if (e < 0) {
		verdict_clear(&v);
		return e;
	}
	id = reply_header(r, "x-amzn-requestid");
	text_safe_copy(v.request_id, sizeof(v.request_id), id ? id : "");
	*ret = v;
	return 0;
}

const struct extractor_ops sagemaker_extractor = {
	.name = "sagemaker",
	.paid = true,
	.build = sagemaker_build,
	.decode = sagemaker_decode,
	.sign = sagemaker_sign,
};
