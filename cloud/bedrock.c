#include "cloud/bedrock_internal.h"

#include "base/text.h"
#include "cloud/awserror.h"
#include "cloud/bedrock_stream.h"
#include "cloud/sigv4.h"

#define OUTPUT_DEFAULT  4000
#define REPLY_MAX       ((size_t)1 << 20)
#define STREAM_TOKEN    ((size_t)1024)
#define SCAFFOLD_TOKENS 2000 /* what the service adds around a tool */

/* ---- the question ------------------------------------------------------------------------------------------------ */

/* Text: no tokenizer makes more tokens than bytes. */
static uint64_t tokens_bound(const struct bedrock_model *m, const struct job *j, const struct request *r)
{
	uint64_t sum = SCAFFOLD_TOKENS;

	for (size_t i = 0; i < j->n_images; i++)
		sum += bedrock_image_tokens(m->family, &j->images[i]);
	for (size_t i = 0; i < r->n_segments; i++) {
		if (r->segments[i].kind == SEGMENT_LITERAL)
			sum += r->segments[i].len;
	}
	return sum;
}

int bedrock_url(const struct bedrock_config *c, struct buf *out)
{
	struct bedrock_model m;
	size_t len = strlen(c->endpoint);
	int e;

	bedrock_model_of(c, &m);
	while (len && c->endpoint[len - 1] == '/')
		len--;
	if (len)
		e = buf_addf(out, "%.*s/model/", (int)len, c->endpoint);
	else
		e = buf_addf(out, "https://bedrock-runtime.%s.amazonaws.com/model/", c->region);
	if (e >= 0)
		e = sigv4_encode_label(c->model, out);
	if (e >= 0 && c->stream)
		return buf_adds(out, m.api == BEDROCK_CONVERSE ? "/converse-stream" : "/invoke-with-response-stream");
	return e < 0 ? e : buf_adds(out, m.api == BEDROCK_CONVERSE ? "/converse" : "/invoke");
}

static int set_url(const struct bedrock_config *c, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(8192);
	int e = bedrock_url(c, &b);

	if (e < 0)
		return e;
	r->url = buf_take(&b);
	return r->url ? 0 : -ENOMEM;
}

static int check_job(const struct bedrock_config *c, const struct bedrock_model *m, const struct job *j)
{
	if (!j->n_images || !j->types->n_types || !*c->model || !*c->region)
		return -EINVAL;
	if (!bedrock_api_fits(c))
		return -EOPNOTSUPP;
	if (j->n_images > m->limits.images)
		return -EMSGSIZE;
	for (size_t i = 0; i < j->n_images; i++) {
		const struct job_image *k = &j->images[i];

		if (k->width > m->limits.side || k->height > m->limits.side || k->bytes > m->limits.image_bytes)
			return -EMSGSIZE;
	}
	return 0;
}

/* The form of a stream is one thing, that of the model's own events in it another. */
static int add_accept(const struct bedrock_config *c, const struct bedrock_model *m, struct request *r)
{
	int e = request_add_header(r, "accept", c->stream ? "application/vnd.amazon.eventstream" : "application/json");

	if (e >= 0 && c->stream && m->api != BEDROCK_CONVERSE)
		e = request_add_header(r, "x-amzn-bedrock-accept", "application/json");
	return e;
}

/* Converse has these in its body. */
static int add_invoke_headers(const struct bedrock_config *c, const struct job *j, struct request *r)
{
	_cleanup_buf_ struct buf metadata = {};
	int e = 0;

	if (*c->guardrail)
		e = request_add_header(r, "x-amzn-bedrock-guardrailidentifier", c->guardrail);
	if (e >= 0 && *c->guardrail)
		e = request_add_header(r, "x-amzn-bedrock-guardrailversion", c->guardrail_version);
	if (e >= 0 && c->guardrail_trace)
		e = request_add_header(r, "x-amzn-bedrock-trace", "ENABLED");
	if (e >= 0 && bedrock_is_flex(c, j))
		e = request_add_header(r, "x-amzn-bedrock-service-tier", "flex");
	if (e >= 0 && *c->metadata)
		e = bedrock_add_metadata(c, j, &metadata);
	return e < 0 || !*c->metadata ? e : request_add_header(r, "x-amzn-bedrock-request-metadata", buf_str(&metadata));
}

static int fill_request(const struct bedrock_config *c, const struct job *j, struct request *r)
{
	int64_t max_tokens = c->max_output_tokens > 0 ? c->max_output_tokens : OUTPUT_DEFAULT;
	struct bedrock_model m;
	int e;

	bedrock_model_of(c, &m);
	r->tier = bedrock_is_flex(c, j) ? "flex" : NULL;
	max_tokens = MIN(max_tokens, m.limits.output_tokens);
	e = check_job(c, &m, j);
	if (e >= 0)
		e = set_url(c, r);
	if (e >= 0)
		e = request_add_header(r, "content-type", "application/json");
	if (e >= 0)
		e = add_accept(c, &m, r);
	if (e >= 0 && m.api != BEDROCK_CONVERSE)
		e = add_invoke_headers(c, j, r);
	if (e >= 0)
		e = bedrock_add_body(c, &m, j, max_tokens, r);
	if (e < 0)
		return e;
	if (request_body_length(r) > m.limits.request_bytes)
		return -EMSGSIZE;
	r->method = "POST";
	r->max_reply = REPLY_MAX;
	r->timeout_ms = c->timeout_ms;
	r->connect_timeout_ms = c->connect_timeout_ms;
	r->model = c->model;
	r->region = c->region;
	r->connect_to = *c->connect_to ? c->connect_to : NULL;
	r->ca_file = *c->ca_file ? c->ca_file : NULL;
	r->max_input_tokens = tokens_bound(&m, j, r);
	r->max_output_tokens = (uint64_t)max_tokens;
	if (!c->stream)
		return 0;
	/* an event for each few tokens, with padding; nothing of it is kept */
	r->max_reply = REPLY_MAX + (size_t)max_tokens * STREAM_TOKEN;
	return bedrock_stream_new(m.api, j->types->types[0]->ask.plain, *c->guardrail, &r->stream);
}

static int bedrock_build(const struct extractor *x, const struct job *j, struct request *ret)
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

static int bedrock_sign(const struct extractor *x, const struct creds *c, int64_t now, struct request *req)
{
	const struct bedrock_config *config = x->config;
	struct sigv4_params p = {.region = config->region, .service = "bedrock", .now = now};
	int r = !c ? -EACCES : c->bearer ? sigv4_bearer(c, req) : sigv4_sign(&p, c, req);

	return r == -EINVAL || r == -ENOBUFS ? -EACCES : r;
}

/* ---- the reply --------------------------------------------------------------------------------------------------- */

/* The tool's input, or text when the model answered in words. NULL without either. */
static const cJSON *find_input(const cJSON *content)
{
	const cJSON *block;

	cJSON_ArrayForEach (block, content) {
		const char *type = json_get_string(block, "type"); /* Claude's blocks have one, the others are named */
		const cJSON *use = type && streq(type, "tool_use") ? block : json_get_object(block, "toolUse");
		const cJSON *input = json_get_object(use, "input");

		if (input && input->child)
			return input;
	}
	return NULL;
}

static int join_text(const cJSON *content, struct buf *out)
{
	const cJSON *block;
	int r = 0;

	cJSON_ArrayForEach (block, content) {
		const char *text = json_get_string(block, "text");

		if (r >= 0 && text)
			r = buf_addf(out, "%s%s", out->len ? "\n" : "", text);
	}
	return r;
}

static bool blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

static int take_answer(const struct job *j, const cJSON *content, struct verdict *v)
{
	_cleanup_buf_ struct buf b = {};
	const cJSON *input = find_input(content);
	int r = input ? json_print(input, false, &b) : join_text(content, &b);

	if (r < 0)
		return r;
	if (blank(buf_str(&b)))
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "empty-answer", "the model answered without any field");
	v->answer = buf_take(&b);
	if (!v->answer)
		return -ENOMEM;
	v->type = j->types->types[0];
	return verdict_set(v, PAGE_DONE, BACKEND_OK, "answered", "answered");
}

static const struct {
	const char *stop;
	enum page_outcome first, again; /* on the first try, and after one */
	const char *reason, *message;
} stops[] = {
	{"max_tokens", PAGE_RETRY, PAGE_NEXT, "truncated", "the answer was cut off at MaxOutputTokens="},
	{"malformed_tool_use", PAGE_RETRY, PAGE_NEXT, "malformed", "the model did not keep to the form"},
	{"malformed_model_output", PAGE_RETRY, PAGE_NEXT, "malformed", "the model did not keep to the form"},
	{"guardrail_intervened", PAGE_NEXT, PAGE_NEXT, "guardrail", "a Bedrock guardrail stopped the answer"},
	{"content_filtered", PAGE_NEXT, PAGE_NEXT, "filtered", "the service's content filter stopped the answer"},
	{"refusal", PAGE_NEXT, PAGE_NEXT, "refused", "the model refused to read the page"},
	{"model_context_window_exceeded", PAGE_NEXT, PAGE_NEXT, "too-large", "the page is too large for the model"},
};

/* For any of the reasons above. A guardrail's says too what of it acted, where that is asked for. */
static int stopped(const struct job *j, const cJSON *body, size_t i, struct verdict *v)
{
	char trace[256] = "";

	if (streq(stops[i].reason, "guardrail"))
		bedrock_trace_text(body, trace, sizeof(trace));
	return verdict_set(v, j->tries ? stops[i].again : stops[i].first, BACKEND_OK, stops[i].reason, "%s%s%s", stops[i].message,
		*trace ? ": " : "", trace);
}

static int decode_answer(const struct bedrock_config *c, const struct job *j, const cJSON *body, struct verdict *v)
{
	const char *stop, *guardrail = json_get_string(body, "amazon-bedrock-guardrailAction");
	const cJSON *content;
	struct bedrock_model m;

	bedrock_model_of(c, &m);
	if (m.api == BEDROCK_CLAUDE) {
		content = json_get_array(body, "content");
		stop = json_get_string(body, "stop_reason");
	} else {
		content = json_get_array(json_get_object(json_get_object(body, "output"), "message"), "content");
		stop = json_get_string(body, "stopReason");
	}
	/* an account may enforce one; what it masked is not what is printed, whatever the model stopped with */
	if (guardrail && streq(guardrail, "INTERVENED"))
		stop = "guardrail_intervened";
	text_safe_copy(v->stop, sizeof(v->stop), stop ? stop : "");
	for (size_t i = 0; stop && i < ARRAY_SIZE(stops); i++) {
		if (streq(stop, stops[i].stop))
			return stopped(j, body, i, v);
	}
	if (!stop || !content)
		return verdict_set(
			v, PAGE_RETRY, BACKEND_OK, "not-an-answer", "status 200, but no message of the model in it");
	if (!streq(stop, "tool_use") && !streq(stop, "end_turn"))
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "unexpected-stop", "the model stopped with \"%s\"", stop);
	return take_answer(j, content, v);
}

static int decode_body(const struct bedrock_config *c, const struct job *j, const struct reply *r, const char *text, size_t len,
	struct verdict *v)
{
	_cleanup_json_ cJSON *body = NULL;
	int e = json_parse(text, len, &body, NULL);

	v->billed = true;
	if (e == -EBADMSG)
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "not-an-answer", "status 200, but the reply is not JSON");
	if (e < 0)
		return e;
	bedrock_read_usage(r, body, &v->usage);
	return decode_answer(c, j, body, v);
}

/* It had begun to answer: what else comes of the row, a model has run. */
static int decode_exception(const struct reply *r, struct verdict *v)
{
	const struct buf *payload;
	const char *type = bedrock_stream_exception(r->stream, &payload);
	int e = aws_error_judge_event(r, type, buf_str(payload), payload->len, v);

	v->billed |= r->stream->answered > 0;
	return e;
}

/* As a connection that broke, whoever ended it. */
static int decode_cut(const struct reply *r, struct verdict *v)
{
	struct reply cut = *r;

	if (r->error == TRANSPORT_OK) {
		cut.error = TRANSPORT_BROKEN;
		str_copy(cut.detail, sizeof(cut.detail), "the stream ended before the answer did");
	}
	transport_judge(&cut, v);
	v->billed = true; /* it had begun to answer */
	return 0;
}

/* What arrived counts, however the transfer ended: an answer that is whole is not asked and paid for again. */
static int decode_stream(const struct bedrock_config *c, const struct job *j, const struct reply *r, struct verdict *v)
{
	_cleanup_buf_ struct buf body = BUF_MAX(REPLY_MAX);
	enum stream_end end;
	int e = bedrock_stream_end(r->stream, &end);

	if (e < 0)
		return e;
	v->billed = true;
	switch (end) {
	case STREAM_EXCEPTION:
		return decode_exception(r, v);
	case STREAM_DAMAGED:
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "not-an-answer",
			"status 200, but the reply is no event stream, or was damaged on its way");
	case STREAM_HOPELESS:
		return verdict_set(v, j->tries ? PAGE_NEXT : PAGE_RETRY, BACKEND_OK, "malformed", "the model did not keep to the form");
	case STREAM_CUT:
		return decode_cut(r, v);
	case STREAM_ANSWERED:
	case STREAM_ENOUGH:
		break;
	}
	e = bedrock_stream_body(r->stream, &body);
	if (e == -EMSGSIZE)
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "reply-too-large", "the answer is larger than any answer should be");
	return e < 0 ? e : decode_body(c, j, r, buf_str(&body), body.len, v);
}

static int bedrock_decode(const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret)
{
	struct verdict v = {};
	const char *id;
	int e;

	if (!r->stream && transport_judge(r, &v)) {
		*ret = v;
		return 0;
	}
	id = reply_header(r, "x-amzn-requestid");
	text_safe_copy(v.request_id, sizeof(v.request_id), id ? id : "");
	if (r->stream)
		e = decode_stream(x->config, j, r, &v);
	else if (r->status != 200)
		e = aws_error_judge(r, &v);
	else
		e = decode_body(x->config, j, r, r->body ? r->body : "", r->len, &v);
	if (e < 0) {
		verdict_clear(&v);
		return e;
	}
	*ret = v;
	return 0;
}

const struct extractor_ops bedrock_extractor = {
	.name = "bedrock",
	.paid = true,
	.build = bedrock_build,
	.decode = bedrock_decode,
	.sign = bedrock_sign,
};
