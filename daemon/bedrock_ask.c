#include "daemon/bedrock_ask.h"

#include "cloud/awserror.h"
#include "cloud/body.h"
#include "cloud/sigv4.h"
#include "daemon/credentials.h"

#define TIMEOUT_MS 20000
#define REPLY_MAX  ((size_t)256 << 10)

struct bedrock_ask {
	struct service *service;
	const struct backend_config *backend;
	struct provider *provider;
	uint64_t generation; /* of the credentials that it was signed with */
	struct request req;
	struct http_transfer *transfer;
	bedrock_ask_done_fn done;
	void *ud;
};

static void ask_free(struct bedrock_ask *a)
{
	if (!a)
		return;
	request_free(&a->req);
	free(a);
}

void bedrock_ask_cancel(struct bedrock_ask *a)
{
	if (!a)
		return;
	http_cancel(a->transfer);
	ask_free(a);
}

/* Others are got, if it is they that are wrong. */
static void judge_credentials(struct bedrock_ask *a, const struct reply *r)
{
	struct verdict v = {};

	if (r->error == TRANSPORT_OK && r->status == 200)
		credentials_accepted(a->provider, a->generation);
	else if (aws_error_judge(r, &v) >= 0 && v.creds_wrong)
		credentials_refused(a->provider, a->generation);
	verdict_clear(&v);
}

static void on_reply(void *ud, const struct reply *r)
{
	struct bedrock_ask *a = ud;

	a->transfer = NULL;
	if (r->date_ms > 0) /* over verified TLS, and of AWS */
		clock_learn_date(a->service->clock, r->date_ms, r->done_ms - r->sent_ms);
	judge_credentials(a, r);
	a->done(a->ud, r);
	ask_free(a);
}

static bool of_bucket(const struct backend_config *b)
{
	return b->kind == KIND_SAGEMAKER;
}

static int fill(const struct backend_config *b, char *url, struct request *req)
{
	*req = (struct request){
		.method = of_bucket(b) ? "HEAD" : "GET",
		.url = url,
		.region = b->region,
		.connect_to = b->connect_to[0] ? b->connect_to : NULL,
		.ca_file = b->ca_file[0] ? b->ca_file : NULL,
		.max_reply = REPLY_MAX,
		.timeout_ms = TIMEOUT_MS,
		.connect_timeout_ms = TIMEOUT_MS,
	};
	return of_bucket(b) ? s3_add_owner(&b->sagemaker.bucket, req) : request_add_header(req, "accept", "application/json");
}

static int sign(struct bedrock_ask *a, char *why, size_t why_size)
{
	struct sigv4_params params = {.region = a->req.region, .service = "bedrock"};
	const char *reason = NULL, *message = NULL;
	struct creds creds = {};
	enum credentials_state state;
	int r;

	state = credentials_look(a->provider, &reason, &message);
	if (state != CREDENTIALS_READY) {
		str_format(why, why_size, "%s", state == CREDENTIALS_FAILED ? message : "credentials are being got; ask again");
		return state == CREDENTIALS_FAILED ? -EACCES : -EAGAIN;
	}
	r = clock_signing_time(a->service->clock, &params.now);
	if (r < 0) {
		str_copy(why, why_size, "the clock is known to be wrong: nothing is signed");
		return r;
	}
	r = credentials_take(a->provider, &creds, &a->generation);
	if (r >= 0)
		r = body_hash(&a->req);
	if (r >= 0 && of_bucket(a->backend))
		r = s3_sign(&a->backend->sagemaker.bucket, &creds, params.now, &a->req);
	else if (r >= 0)
		r = creds.bearer ? sigv4_bearer(&creds, &a->req) : sigv4_sign(&params, &creds, &a->req);
	creds_clear(&creds);
	return r;
}

static int guarded_send(struct bedrock_ask *a, char *why, size_t why_size)
{
	struct guard_question q = {
		.sink = GUARD_BEDROCK_CONTROL, .url = a->req.url, .region = a->req.region, .connect_to = a->req.connect_to};
	struct guard_policy p;

	if (of_bucket(a->backend)) {
		q.sink = GUARD_S3;
		q.model = a->backend->sagemaker.bucket.name;
	}
	config_guard_policy(&a->service->config, &p);
	if (guard_check(&p, &q, why, why_size) != GUARD_ALLOW)
		return -EPERM;
	why[0] = '\0'; /* what is allowed has a sentence too */
	return http_send(loop_http(a->service->http), &a->req, on_reply, a, &a->transfer);
}

int bedrock_ask(struct service *s, const struct backend_config *b, char *url, bedrock_ask_done_fn done, void *ud,
	struct bedrock_ask **ret, char *why, size_t why_size)
{
	struct bedrock_ask *a = calloc(1, sizeof(*a));
	int r;

	why[0] = '\0';
	if (!a) {
		free(url);
		return -ENOMEM;
	}
	*a = (struct bedrock_ask){
		.service = s, .backend = b, .provider = credentials_find(s->credentials, b->credentials), .done = done, .ud = ud};
	r = fill(b, url, &a->req);
	if (r >= 0)
		r = a->provider ? sign(a, why, why_size) : -ENOKEY;
	if (r >= 0)
		r = guarded_send(a, why, why_size);
	if (r < 0) {
		ask_free(a);
		return r;
	}
	*ret = a;
	return 0;
}
