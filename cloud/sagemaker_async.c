#include "cloud/sagemaker_internal.h"

#include <inttypes.h>

#include "base/text.h"
#include "cloud/awserror.h"

#define INPUT_MAX      (UINT64_C(1) << 30) /* bytes: InvokeEndpointAsync's limit of what it takes from S3 */
#define CALL_MS        60000
#define LOOK_MS        30000
#define LOOK_FIRST_MS  1000
#define LOOK_MOST_MS   15000
#define SECONDS_MOST   3600  /* InvocationTimeoutSeconds */
#define TTL_LEAST      60    /* RequestTTLSeconds */

/* The page is out to S3, the endpoint is being called, its answer or its failure is looked for. */
enum step { STEP_PUT, STEP_CALL, STEP_OUTPUT, STEP_FAILURE };
enum object { OBJECT_INPUT, OBJECT_OUTPUT, OBJECT_FAILURE };

/* ---- the page goes to S3 ------------------------------------------------------------------------------------------- */

/* Another one for each attempt: what is left of one before is not in its way. */
static int input_name(const struct job *j, char *out, size_t size)
{
	return str_format(out, size, "%s-%016" PRIx64, j->page_id, j->nonce);
}

static int input_key(const struct sagemaker_config *c, const struct job *j, char *out, size_t size)
{
	char name[96];
	int r = input_name(j, name, sizeof(name));

	return r < 0 ? r : str_format(out, size, "%sin/%s.json", c->prefix, name);
}

static int fill_put(const struct sagemaker_config *c, const struct job *j, struct request *r)
{
	char key[256];
	int e = input_key(c, j, key, sizeof(key));

	if (e >= 0)
		e = s3_request(&c->bucket, "PUT", key, r);
	if (e >= 0)
		e = request_add_header(r, "content-type", "application/json");
	return e < 0 ? e : sagemaker_fill(c, j, r);
}

static int async_build(const struct extractor *x, const struct job *j, struct request *ret)
{
	const struct sagemaker_config *c = x->config;
	struct request r = {};
	int e = j->n_images && j->types->n_types && *c->endpoint_name && *c->region && *c->bucket.name ? 0 : -EINVAL;

	if (e >= 0)
		e = fill_put(c, j, &r);
	if (e >= 0 && request_body_length(&r) > INPUT_MAX)
		e = -EMSGSIZE;
	if (e < 0) {
		request_free(&r);
		return e;
	}
	*ret = r;
	return 0;
}

static int async_sign(const struct extractor *x, const struct creds *c, int64_t now, struct request *req)
{
	const struct sagemaker_config *config = x->config;

	return s3_is_url(&config->bucket, req->url) ? s3_sign(&config->bucket, c, now, req) : sagemaker_extractor.sign(x, c, now, req);
}

/* ---- the endpoint is told ------------------------------------------------------------------------------------------ */

static void set_common(const struct sagemaker_config *c, int64_t timeout_ms, const struct dialogue *e, struct request *r)
{
	r->timeout_ms = CLAMP(e->left_ms, 1000, timeout_ms);
	r->connect_timeout_ms = c->connect_timeout_ms;
	r->max_reply = (size_t)1 << 20;
	r->model = c->model;
	r->region = c->region;
	r->connect_to = *c->connect_to ? c->connect_to : NULL;
	r->ca_file = *c->ca_file ? c->ca_file : NULL;
}

static int add_call_headers(const struct sagemaker_config *c, const struct dialogue *e, const struct job *j, struct request *req)
{
	char location[512], id[96], seconds[24], ttl[24];
	int64_t left = CLAMP(e->left_ms / 1000, 1, SECONDS_MOST);
	const struct {
		const char *name, *value;
	} headers[] = {
		{"x-amzn-sagemaker-content-type", "application/json"},
		{"x-amzn-sagemaker-accept", "application/json"},
		{"x-amzn-sagemaker-inputlocation", location},
		{"x-amzn-sagemaker-inference-id", id},
		{"x-amzn-sagemaker-invocationtimeoutseconds", seconds},
		{"x-amzn-sagemaker-requestttlseconds", ttl},
		{"x-amzn-sagemaker-custom-attributes", c->attributes},
	};
	int r = str_format(location, sizeof(location), "s3://%s/%s", c->bucket.name, e->objects[OBJECT_INPUT]);

	if (r >= 0)
		r = input_name(j, id, sizeof(id));
	str_format(seconds, sizeof(seconds), "%" PRIi64, left);
	str_format(ttl, sizeof(ttl), "%" PRIi64, MAX(left, TTL_LEAST)); /* what nobody waits for any more is not begun */
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(headers); i++)
		if (*headers[i].value)
			r = request_add_header(req, headers[i].name, headers[i].value);
	return r;
}

static int fill_call(const struct sagemaker_config *c, const struct dialogue *e, const struct job *j, struct request *req)
{
	_cleanup_buf_ struct buf url = BUF_MAX(1024);
	int r = sagemaker_action_url(c, SAGEMAKER_ASYNC, &url);

	if (r < 0)
		return r;
	req->url = buf_take(&url);
	if (!req->url)
		return -ENOMEM;
	req->method = "POST";
	set_common(c, CALL_MS, e, req);
	return add_call_headers(c, e, j, req);
}

/* S3 keeps the page, or keeps it from us: no model has seen it, and it is not the page's fault but where S3 says so. */
static int not_put(const struct reply *r, struct verdict *v)
{
	int e = 0;

	if (r->error == TRANSPORT_REDIRECT) {
		v->wait = WAIT_PAUSE;
		verdict_set(v, PAGE_UNTOUCHED, BACKEND_DOWN, "residency", "S3 says that the bucket is elsewhere (status %d), where nothing is sent; "
			"compare Bucket= and Region= with the S3 console", r->status);
	} else if (!transport_judge(r, v)) {
		e = aws_error_judge(r, v);
	}
	v->billed = false;
	if (v->page == PAGE_RETRY)
		v->page = PAGE_UNTOUCHED;
	return e;
}

static int keep(struct dialogue *e, enum object object, const char *key)
{
	free(e->objects[object]);
	e->objects[object] = strdup(key);
	return e->objects[object] ? 0 : -ENOMEM;
}

static int after_put(const struct sagemaker_config *c, struct dialogue *e, const struct job *j, const struct reply *r, struct request *ret,
	struct verdict *v)
{
	struct request next = {};
	char key[256];
	int n = input_key(c, j, key, sizeof(key));

	if (n >= 0 && (r->sent || r->status))
		n = keep(e, OBJECT_INPUT, key);
	if (n < 0)
		return n;
	if (r->error != TRANSPORT_OK || r->status != 200)
		return not_put(r, v);
	n = fill_call(c, e, j, &next);
	if (n < 0) {
		request_free(&next);
		return n;
	}
	e->step = STEP_CALL;
	*ret = next;
	return 1;
}

/* ---- its answer is looked for -------------------------------------------------------------------------------------- */

static int look(const struct sagemaker_config *c, struct dialogue *e, enum step step, struct request *ret)
{
	struct request next;
	int r = s3_request(&c->bucket, "GET", e->objects[step == STEP_OUTPUT ? OBJECT_OUTPUT : OBJECT_FAILURE], &next);

	if (r < 0)
		return r;
	set_common(c, LOOK_MS, e, &next);
	e->step = step;
	*ret = next;
	return 1;
}

/* 0: it is noted, or there is none; -EXDEV: it is not where it can be looked for. */
static int note_place(const struct sagemaker_config *c, struct dialogue *e, enum object object, const struct reply *r, const char *header)
{
	const char *uri = reply_header(r, header), *key = s3_key_of(&c->bucket, c->prefix, uri);

	if (!uri)
		return 0;
	if (!key)
		return -EXDEV;
	return keep(e, object, key);
}

static int answers_elsewhere(const struct sagemaker_config *c, struct verdict *v)
{
	v->billed = true;
	v->wait = WAIT_PAUSE;
	v->backend_fault = true;
	return verdict_set(v, PAGE_UNTOUCHED, BACKEND_DOWN, "residency", "the endpoint does not put its answers below "
		"s3://%s/%s, where it is proved that they stay: SageMaker console > Inference > Endpoint configurations: "
		"set S3OutputPath and S3FailurePath to s3://%s/%sout/ and /failed/",
		c->bucket.name, c->prefix, c->bucket.name, c->prefix);
}

/* A request without a body was out as soon as there was a connection. */
static int not_called(const struct reply *r, struct verdict *v)
{
	int e = transport_judge(r, v) ? 0 : aws_error_judge(r, v);

	if (r->error == TRANSPORT_TIMEOUT || r->error == TRANSPORT_BROKEN || r->error == TRANSPORT_TOO_LARGE ||
		r->error == TRANSPORT_REDIRECT)
		v->billed = true;
	if (r->error == TRANSPORT_LOCAL) /* no credentials, no memory: the page was read, and lies in S3 */
		v->page = PAGE_UNTOUCHED;
	return e;
}

static int after_call(const struct sagemaker_config *c, struct dialogue *e, const struct reply *r, struct request *ret, int64_t *ret_wait_ms,
	struct verdict *v)
{
	const char *id = r->error == TRANSPORT_OK ? reply_header(r, "x-amzn-requestid") : NULL;
	int n;

	text_safe_copy(e->id, sizeof(e->id), id ? id : "");
	if (r->error != TRANSPORT_OK || (r->status != 202 && r->status != 200))
		return not_called(r, v);
	n = note_place(c, e, OBJECT_OUTPUT, r, "x-amzn-sagemaker-outputlocation");
	if (n >= 0)
		n = note_place(c, e, OBJECT_FAILURE, r, "x-amzn-sagemaker-failurelocation");
	if (n == -EXDEV || (n >= 0 && !e->objects[OBJECT_OUTPUT]))
		return answers_elsewhere(c, v);
	if (n < 0)
		return n;
	*ret_wait_ms = LOOK_FIRST_MS;
	return look(c, e, STEP_OUTPUT, ret);
}

/* What the container, or SageMaker in its place, left instead of an answer. */
static int model_failed(const struct reply *r, struct verdict *v)
{
	char name[] = "x-amzn-errortype", value[] = "ModelError", said[160];
	const struct header type = {name, value};
	struct reply as = *r;
	int e;

	as.status = 424;
	as.headers = &type;
	as.n_headers = 1;
	e = aws_error_judge(&as, v);
	v->billed = true;
	text_safe_copy(said, sizeof(said), r->body ? r->body : "");
	return e < 0 ? e : verdict_set(v, v->page, v->backend, v->reason, "the model failed on this page: %s", said);
}

static int too_late(const struct dialogue *e, const struct reply *r, struct verdict *v)
{
	struct reply as = {.error = TRANSPORT_TIMEOUT, .sent = true, .sent_all = true};

	str_format(as.detail, sizeof(as.detail), "the endpoint has left none in S3 after %u looks (the last: %d)", e->looks, r->status);
	transport_judge(&as, v);
	v->billed = true;
	return 0;
}

/* Nothing there yet, or S3 cannot say: both places in turn, more and more seldom. */
static int look_again(const struct sagemaker_config *c, struct dialogue *e, const struct reply *r, struct request *ret, int64_t *ret_wait_ms,
	struct verdict *v)
{
	bool other = e->step == STEP_OUTPUT && e->objects[OBJECT_FAILURE] && r->error == TRANSPORT_OK;

	if (!other)
		e->looks++;
	if (e->left_ms <= 0)
		return too_late(e, r, v);
	*ret_wait_ms = other ? 0 : MIN(LOOK_FIRST_MS << MIN(e->looks, 4U), LOOK_MOST_MS);
	return look(c, e, other ? STEP_FAILURE : STEP_OUTPUT, ret);
}

static int after_look(const struct sagemaker_config *c, struct dialogue *e, const struct job *j, const struct reply *r,
	struct request *ret, int64_t *ret_wait_ms, struct verdict *v)
{
	struct verdict judged = {};
	int n = 0;

	if (r->error == TRANSPORT_TOO_LARGE || r->error == TRANSPORT_DENIED || r->error == TRANSPORT_REDIRECT) {
		transport_judge(r, v);
		v->billed = true;
		return 0;
	}
	if (r->error == TRANSPORT_OK && r->status == 200)
		return e->step == STEP_OUTPUT ? sagemaker_read_answer(c, j, r, v) : model_failed(r, v);
	if (r->error == TRANSPORT_OK)
		n = aws_error_judge(r, &judged);
	if (n >= 0 && streq(judged.reason, "no-bucket")) {
		*v = judged;
		v->billed = true;
		return 0;
	}
	v->creds_wrong = judged.creds_wrong;
	return n < 0 ? n : look_again(c, e, r, ret, ret_wait_ms, v);
}

/* ---- the seam ------------------------------------------------------------------------------------------------------ */

static int async_proceed(const struct extractor *x, struct dialogue *e, const struct job *j, const struct reply *r, struct request *ret,
	int64_t *ret_wait_ms, struct verdict *v)
{
	const struct sagemaker_config *c = x->config;
	int n;

	*ret_wait_ms = 0;
	switch ((enum step)e->step) {
	case STEP_PUT:
		n = after_put(c, e, j, r, ret, v);
		break;
	case STEP_CALL:
		n = after_call(c, e, r, ret, ret_wait_ms, v);
		break;
	default:
		n = after_look(c, e, j, r, ret, ret_wait_ms, v);
	}
	str_copy(v->request_id, sizeof(v->request_id), e->id);
	return n;
}

/* Of a request that was never answered SageMaker may still write something: the bucket's lifecycle rule takes that away. */
static int async_tidy(const struct extractor *x, struct dialogue *e, struct request *ret)
{
	const struct sagemaker_config *c = x->config;
	struct dialogue now = {.left_ms = LOOK_MS};
	size_t i = 0;
	int r;

	while (i < ARRAY_SIZE(e->objects) && !e->objects[i])
		i++;
	if (i == ARRAY_SIZE(e->objects))
		return 0;
	r = s3_request(&c->bucket, "DELETE", e->objects[i], ret);
	free(take_ptr(e->objects[i]));
	if (r < 0)
		return r;
	set_common(c, LOOK_MS, &now, ret);
	return 1;
}

const struct extractor_ops sagemaker_async_extractor = {
	.name = "sagemaker",
	.paid = true,
	.build = async_build,
	.sign = async_sign,
	.proceed = async_proceed,
	.tidy = async_tidy,
};
