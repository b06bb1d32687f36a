#include "cloud/openai.h"

#include <stdio.h>
#include <strings.h>

#include "base/crypto.h"
#include "base/text.h"
#include "cloud/awserror.h"
#include "cloud/toolschema.h"

#define REQUEST_MAX    UINT64_C(64000000) /* llama-server answers 413 from about 100 MiB on */
#define OUTPUT_DEFAULT 1024
#define REPLY_MAX      ((size_t)1 << 20)
#define LITERAL_MAX    ((size_t)1 << 20)

/* ---- the question ------------------------------------------------------------------------------------------------ */

static int set_url(const struct openai_config *c, const char *path, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(1024);
	const char *base = *c->base_url ? c->base_url : "http://localhost"; /* for a socket: only the Host header */
	size_t len = strlen(base);
	int e;

	if (!*c->base_url && !*c->unix_socket)
		return -EINVAL;
	while (len && base[len - 1] == '/')
		len--;
	e = buf_addf(&b, "%.*s%s", (int)len, base, path);
	if (e < 0)
		return e;
	r->url = buf_take(&b);
	return r->url ? 0 : -ENOMEM;
}

static int add_key(const struct openai_config *c, struct request *r)
{
	char value[sizeof(c->api_key) + 8];
	int e;

	if (!*c->api_key)
		return 0;
	snprintf(value, sizeof(value), "Bearer %s", c->api_key);
	e = request_add_header(r, "authorization", value);
	wipe(value, sizeof(value));
	return e;
}

static void set_limits(const struct openai_config *c, struct request *r)
{
	r->max_reply = REPLY_MAX;
	r->timeout_ms = c->timeout_ms;
	r->connect_timeout_ms = c->connect_timeout_ms;
	r->model = *c->model ? c->model : NULL;
	r->interface = *c->interface ? c->interface : NULL;
	r->unix_socket = *c->unix_socket ? c->unix_socket : NULL;
	r->ca_file = *c->ca_file ? c->ca_file : NULL;
}

static int add_images(const struct job *j, struct request *r, struct buf *b)
{
	int e = 0;

	for (size_t i = 0; e >= 0 && i < j->n_images; i++) {
		e = buf_adds(b, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,");
		if (e >= 0)
			e = request_add_literal_take(r, b);
		if (e >= 0)
			e = request_add_file(r, SEGMENT_FILE_BASE64, j->images[i].fd, j->images[i].bytes);
		if (e >= 0)
			e = buf_adds(b, "\"}},");
	}
	return e;
}

/* With the nesting of OpenAI: "schema" beside "type":"json_schema" is ignored by llama-server without a word. */
static int add_format(const struct openai_config *c, const struct doctype *t, struct buf *b)
{
	_cleanup_json_ cJSON *schema = NULL;
	bool nested = c->schema_mode == OPENAI_JSON_SCHEMA;
	int e;

	if (c->schema_mode == OPENAI_NONE)
		return 0;
	e = tool_schema_llama(t->schema, &schema);
	if (e >= 0)
		e = buf_adds(
			b, nested ? ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"page\","
				    "\"strict\":true,\"schema\":"
				  : ",\"response_format\":{\"type\":\"json_object\",\"schema\":");
	if (e >= 0)
		e = json_print(schema, false, b);
	return e < 0 ? e : buf_adds(b, nested ? "}}" : "}");
}

static int add_message(struct buf *b, const char *role, const char *text)
{
	int e = buf_addf(b, "{\"role\":\"%s\",\"content\":", role);

	if (e >= 0)
		e = json_quote(b, text, strlen(text));
	return e < 0 ? e : buf_adds(b, "},");
}

/* Two turns for each: a page's text, and the answer as it is wanted. */
static int add_examples(const struct doctype *t, struct buf *b)
{
	const cJSON *example;
	int e = 0;

	cJSON_ArrayForEach (example, t->ask.examples) {
		_cleanup_buf_ struct buf page = BUF_MAX(LITERAL_MAX), answer = BUF_MAX(LITERAL_MAX);

		e = buf_addf(&page, "An example, as text. Its page:\n%s", json_get_string(example, "page"));
		if (e >= 0)
			e = add_message(b, "user", buf_str(&page));
		if (e >= 0)
			e = json_print(json_get(example, "answer"), false, &answer);
		if (e >= 0)
			e = add_message(b, "assistant", buf_str(&answer));
		if (e < 0)
			return e;
	}
	return e;
}

static int add_sampling(const struct openai_config *c, const struct doctype_ask *a, struct buf *b)
{
	int e = buf_adds(b, a->top_p ? ",\"top_p\":" : ",\"temperature\":");

	if (e >= 0 && (a->top_p || a->temperature))
		e = json_print(a->top_p ? a->top_p : a->temperature, false, b);
	else if (e >= 0)
		e = buf_adds(b, "0");
	if (e >= 0 && a->top_k && !c->standard) /* not OpenAI's */
		e = buf_addf(b, ",\"top_k\":%lld", (long long)a->top_k);
	return e;
}

static int add_start(const struct openai_config *c, const struct doctype *t, struct buf *b)
{
	int e = buf_adds(b, "{");

	if (e >= 0 && *c->model) {
		e = buf_adds(b, "\"model\":");
		if (e >= 0)
			e = json_quote(b, c->model, strlen(c->model));
		if (e >= 0)
			e = buf_adds(b, ",");
	}
	if (e >= 0)
		e = buf_adds(b, "\"messages\":[");
	if (e >= 0)
		e = add_message(b, "system", t->ask.system ? t->ask.system : "You read scanned pages and answer with one JSON object.");
	if (e >= 0)
		e = add_examples(t, b);
	return e < 0 ? e : buf_adds(b, "{\"role\":\"user\",\"content\":[");
}

int openai_add_body(const struct openai_config *c, const struct job *j, int64_t max_tokens, struct request *r)
{
	_cleanup_buf_ struct buf b = BUF_MAX(LITERAL_MAX);
	const struct doctype *t = j->types->types[0];
	int e = add_start(c, t, &b);

	if (e >= 0)
		e = add_images(j, r, &b);
	if (e >= 0)
		e = buf_adds(&b, "{\"type\":\"text\",\"text\":");
	if (e >= 0)
		e = json_quote(&b, t->prompt, strlen(t->prompt));
	if (e >= 0)
		e = buf_addf(&b, "}]}],\"max_tokens\":%lld", (long long)max_tokens);
	if (e >= 0)
		e = add_sampling(c, &t->ask, &b);
	if (e >= 0)
		e = buf_addf(&b, ",\"seed\":%llu,\"stream\":false%s", 1ULL + j->tries, c->standard ? "" : ",\"cache_prompt\":true");
	if (e >= 0)
		e = add_format(c, t, &b);
	if (e >= 0)
		e = buf_adds(&b, "}");
	return e < 0 ? e : request_add_literal_take(r, &b);
}

static int fill_request(const struct openai_config *c, const struct job *j, struct request *r)
{
	int64_t max_tokens = c->max_output_tokens > 0 ? c->max_output_tokens : OUTPUT_DEFAULT;
	int e = j->n_images && j->types->n_types ? 0 : -EINVAL;

	if (e >= 0)
		e = set_url(c, "/v1/chat/completions", r);
	if (e >= 0)
		e = request_add_header(r, "content-type", "application/json");
	if (e >= 0)
		e = request_add_header(r, "accept", "application/json");
	if (e >= 0)
		e = add_key(c, r);
	if (e >= 0)
		e = openai_add_body(c, j, max_tokens, r);
	if (e < 0)
		return e;
	if (request_body_length(r) > REQUEST_MAX)
		return -EMSGSIZE;
	r->method = "POST";
	set_limits(c, r);
	r->max_output_tokens = (uint64_t)max_tokens;
	return 0;
}

static int openai_build(const struct extractor *x, const struct job *j, struct request *ret)
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

/* 200 means ready, also while the server is busy; 503 while the model is being loaded. Needs no key, but gets it. */
static int openai_probe(const struct extractor *x, struct request *ret)
{
	const struct openai_config *c = x->config;
	struct request r = {.method = "GET"};
	int e = set_url(c, *c->health_path ? c->health_path : "/health", &r);

	if (e >= 0)
		e = request_add_header(&r, "accept", "application/json");
	if (e >= 0)
		e = add_key(c, &r);
	if (e < 0) {
		request_free(&r);
		return e;
	}
	set_limits(c, &r);
	r.timeout_ms = MIN(c->timeout_ms ? c->timeout_ms : 10000, 10000);
	*ret = r;
	return 0;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

struct row {
	int status;          /* 0: any */
	const char *type;    /* NULL: any */
	const char *message; /* part of it, case ignored; NULL: any */
	enum page_outcome page;
	enum backend_state backend;
	uint32_t delay_ms;
	const char *reason, *advice;
};

/* First match wins. */
static const struct row rows[] = {
	{503, NULL, "loading", PAGE_UNTOUCHED, BACKEND_BUSY, 2000, "loading", "the model is being loaded"},
	{503, NULL, NULL, PAGE_UNTOUCHED, BACKEND_BUSY, 5000, "busy", "the server is busy"},
	{429, NULL, NULL, PAGE_UNTOUCHED, BACKEND_BUSY, 5000, "busy", "the server is busy"},
	{401, NULL, NULL, PAGE_UNTOUCHED, BACKEND_DOWN, 60000, "api-key",
		"the server wants another key; check APIKeyFile="},
	{403, NULL, NULL, PAGE_UNTOUCHED, BACKEND_DOWN, 60000, "api-key", "the server refuses us; check APIKeyFile="},
	{404, NULL, NULL, PAGE_UNTOUCHED, BACKEND_DOWN, 60000, "no-model",
		"the server has no such route or model; check URL= and Model="},
	{405, NULL, NULL, PAGE_UNTOUCHED, BACKEND_DOWN, 60000, "no-model", "the server has no such route; check URL="},
	{501, NULL, NULL, PAGE_UNTOUCHED, BACKEND_DOWN, 60000, "no-model",
		"the server cannot do this; check its start options"},
	{0, "exceed_context_size_error", NULL, PAGE_NEXT, BACKEND_OK, 0, "too-large",
		"the page does not fit the model's context (-c)"},
	{400, NULL, "context size", PAGE_NEXT, BACKEND_OK, 0, "too-large",
		"the page does not fit the model's context (-c)"},
	{413, NULL, NULL, PAGE_NEXT, BACKEND_OK, 0, "too-large", "the page is too large for the server"},
	{0, NULL, "image input is not supported", PAGE_UNTOUCHED, BACKEND_DOWN, 60000, "no-vision",
		"the server's model cannot see; start it with --mmproj"},
	{500, NULL, "does not match", PAGE_RETRY, BACKEND_OK, 0, "malformed", "the model did not keep to the form"},
	{400, NULL, "failed to load image", PAGE_NEXT, BACKEND_OK, 0, "bad-image",
		"the server cannot read the page's image"},
	{408, NULL, NULL, PAGE_UNTOUCHED, BACKEND_BUSY, 0, "slow-upload", "the page arrived too slowly"},
	{400, NULL, NULL, PAGE_NEXT, BACKEND_OK, 0, "bad-request", "the server refuses the request for this page"},
	{422, NULL, NULL, PAGE_NEXT, BACKEND_OK, 0, "bad-request", "the server refuses the request for this page"},
};

static const struct row other = {
	0, NULL, NULL, PAGE_UNTOUCHED, BACKEND_DOWN, 0, "server-error", "the server has an error"};

static const struct row *find_row(int status, const char *type, const char *message)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *w = &rows[i];

		if ((!w->status || w->status == status) && (!w->type || streq(w->type, type)) &&
			(!w->message || strcasestr(message, w->message)))
			return w;
	}
	return &other;
}

static int judge_status(const struct reply *r, const cJSON *body, struct verdict *v)
{
	const cJSON *error = json_get_object(body, "error");
	const char *type = json_get_string(error, "type"), *message = json_get_string(error, "message");
	const struct row *w;
	char said[160];

	if (!message)
		message = json_get_string(body, "error"); /* "error": "text" of other servers */
	w = find_row(r->status, type ? type : "", message ? message : "");
	text_safe_copy(said, sizeof(said), message ? message : "");
	v->delay_ms = w->delay_ms;
	v->backend_fault = w->backend == BACKEND_DOWN && w != &other;
	v->smaller = streq(w->reason, "too-large");
	return verdict_set(
		v, w->page, w->backend, w->reason, "%s (%d%s%s)", w->advice, r->status, *said ? ": " : "", said);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void openai_read_usage(const cJSON *body, struct usage *u)
{
	const cJSON *usage = json_get_object(body, "usage");
	int64_t in, out, cached;

	if (json_get_i64(usage, "prompt_tokens", &in) < 0 || json_get_i64(usage, "completion_tokens", &out) < 0 ||
		in < 0 || out < 0)
		return;
	u->reported = true;
	u->input = (uint64_t)in;
	u->output = (uint64_t)out;
	if (json_get_i64(json_get_object(usage, "prompt_tokens_details"), "cached_tokens", &cached) == 0 && cached >= 0)
		u->cached = (uint64_t)cached;
}

int openai_read_answer(const struct job *j, const cJSON *body, struct verdict *v)
{
	const cJSON *choice = cJSON_GetArrayItem(json_get_array(body, "choices"), 0);
	const char *content = json_get_string(json_get_object(choice, "message"), "content");
	const char *stop = json_get_string(choice, "finish_reason"), *id = json_get_string(body, "id");

	text_safe_copy(v->stop, sizeof(v->stop), stop ? stop : "");
	text_safe_copy(v->request_id, sizeof(v->request_id), id ? id : "");
	openai_read_usage(body, &v->usage);
	if (!stop)
		return verdict_set(
			v, PAGE_RETRY, BACKEND_OK, "not-an-answer", "status 200, but no answer of a model in it");
	/* another seed may be shorter; after that the next of the route */
	if (streq(stop, "length"))
		return verdict_set(v, j->tries ? PAGE_NEXT : PAGE_RETRY, BACKEND_OK, "truncated",
			"the answer was cut off at MaxOutputTokens= or the context's end");
	if (streq(stop, "content_filter"))
		return verdict_set(
			v, PAGE_NEXT, BACKEND_OK, "filtered", "the server's content filter stopped the answer");
	if (!streq(stop, "stop"))
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "unexpected-stop", "the model stopped with \"%s\"", stop);
	if (!content || content[strspn(content, " \t\r\n")] == '\0')
		return verdict_set(v, PAGE_RETRY, BACKEND_OK, "empty-answer", "the model answered nothing");
	v->answer = strdup(content);
	if (!v->answer)
		return -ENOMEM;
	v->type = j->types->types[0];
	return verdict_set(v, PAGE_DONE, BACKEND_OK, "answered", "answered");
}

static int openai_decode(const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret)
{
	_cleanup_json_ cJSON *body = NULL;
	struct verdict v = {};
	int e;

	if (transport_judge(r, &v)) {
		v.billed = false; /* nobody charges for our own server */
		*ret = v;
		return 0;
	}
	e = json_parse(r->body ? r->body : "", r->len, &body, NULL);
	if (e != -ENOMEM && r->status != 200)
		e = judge_status(r, body, &v);
	else if (e == -EBADMSG)
		e = verdict_set(&v, PAGE_RETRY, BACKEND_OK, "not-an-answer", "status 200, but the reply is not JSON");
	else if (e >= 0)
		e = openai_read_answer(j, body, &v);
	if (e < 0) {
		verdict_clear(&v);
		return e;
	}
	*ret = v;
	return 0;
}

const struct extractor_ops openai_extractor = {
	.name = "openai",
	.paid = false,
	.build = openai_build,
	.decode = openai_decode,
	.probe = openai_probe,
};
