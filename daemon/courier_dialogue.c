/*
 * A job that takes several requests, one after the other, within one attempt: one reservation, one verdict, one bound of time. Each
 * of them is guarded and signed right before it leaves, with the credentials of that moment.
 */
#include "daemon/courier_internal.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/text.h"
#include "cloud/body.h"

#define NO_CREDENTIALS_MS 1000 /* until they are looked at again */
#define NOT_REMOVED       "%s stays until a lifecycle rule of the bucket removes it"

/* A request that clears up. */
struct sweep {
	struct sweep *next;
	struct courier *courier;
	struct request req;
	struct http_transfer *transfer;
};

/* ---- each one that follows ----------------------------------------------------------------------------------------------- */

static bool may_leave(const struct backend *b, const struct request *req, char *why, size_t why_size)
{
	_cleanup_buf_ struct buf url = {};
	struct guard_question q;
	struct guard_policy p;
	bool to_bucket = b->config->kind == KIND_SAGEMAKER && s3_is_url(&b->config->sagemaker.bucket, req->url);
	int r = to_bucket ? config_guard_bucket(b->config, &q, &url) : config_guard_question(b->config, &q, &url);

	if (r < 0)
		str_format(why, why_size, "%s", errno_text(r));
	if (r < 0)
		return false;
	config_guard_policy(&b->courier->service->config, &p);
	q.url = req->url;
	q.connect_to = req->connect_to;
	q.region = req->region;
	return guard_check(&p, &q, why, why_size) == GUARD_ALLOW;
}

/* 0, -EAGAIN (no credentials now, or no time to sign with), or another negative errno. */
static int sign_now(const struct backend *b, struct request *req, uint64_t *ret_generation)
{
	const char *reason = NULL, *message = NULL;
	struct creds creds = {};
	int64_t seconds;
	int r;

	if (clock_signing_time(b->courier->service->clock, &seconds) < 0 ||
		credentials_look(b->credentials, &reason, &message) != CREDENTIALS_READY)
		return -EAGAIN;
	r = credentials_take(b->credentials, &creds, ret_generation);
	if (r >= 0)
		r = body_hash(req);
	if (r >= 0)
		r = b->extractor.ops->sign(&b->extractor, &creds, seconds, req);
	creds_clear(&creds);
	return MIN(r, 0);
}

static void ended(struct attempt *a, enum transport_error error, const char *detail)
{
	struct reply reply = {.error = error};

	text_safe_copy(reply.detail, sizeof(reply.detail), detail);
	attempt_reply(a, &reply);
}

static int64_t left_ms(const struct attempt *a)
{
	return a->began_ms + a->req.timeout_ms - clock_boottime_ms(a->courier->service->clock);
}

static int arm(struct attempt *a, int64_t wait_ms);

/* Takes the attempt. */
static void send_next(struct attempt *a)
{
	char why[320] = "";
	int r;

	if (a->coming.method) { /* nothing reads the one before any more */
		request_free(&a->more_req);
		a->more_req = a->coming;
		a->coming = (struct request){0};
	}
	if (!may_leave(a->backend, &a->more_req, why, sizeof(why))) {
		ended(a, TRANSPORT_DENIED, why);
		return;
	}
	r = sign_now(a->backend, &a->more_req, &a->creds_generation);
	if (r == -EAGAIN && left_ms(a) > 0)
		r = arm(a, NO_CREDENTIALS_MS);
	else if (r >= 0)
		r = http_send(loop_http(a->courier->service->http), &a->more_req, attempt_http_reply, a, &a->transfer);
	if (r < 0)
		ended(a, TRANSPORT_LOCAL, r == -EAGAIN ? "there are no credentials to sign with" : errno_text(r));
}

static int on_timer(sd_event_source *source, uint64_t us, void *ud)
{
	send_next(ud);
	return 0;
}

static int arm(struct attempt *a, int64_t wait_ms)
{
	return loop_timer(a->courier->service->event, &a->next_timer, wait_ms, on_timer, a);
}

/* Somewhere in the second half: many that began together do not look together. */
static int64_t jittered(int64_t ms)
{
	uint32_t x = 0;

	random_bytes(&x, sizeof(x));
	return ms - (int64_t)(x % (uint64_t)(ms / 2 + 1));
}

int attempt_proceed(struct attempt *a, const struct reply *reply)
{
	struct backend *b = a->backend;
	int64_t wait_ms = 0;
	int r;

	a->dialogue.left_ms = left_ms(a);
	r = b->extractor.ops->proceed(&b->extractor, &a->dialogue, &a->job, reply, &a->coming, &wait_ms, &a->verdict);
	if (r <= 0)
		return r;
	if (a->verdict.creds_wrong) {
		credentials_refused(b->credentials, a->creds_generation);
		b->refused_generation = a->creds_generation;
	}
	verdict_clear(&a->verdict);
	a->verdict = (struct verdict){0};
	/* Not from here: the transfer that has just ended still has its request. */
	r = arm(a, jittered(wait_ms));
	return r < 0 ? r : 1;
}

void attempt_dialogue_clear(struct attempt *a)
{
	sd_event_source_disable_unref(a->next_timer);
	request_free(&a->more_req);
	request_free(&a->coming);
	dialogue_clear(&a->dialogue);
}

/* ---- clearing up ----------------------------------------------------------------------------------------------------------- */

static void sweep_free(struct sweep *s)
{
	struct sweep **p = &s->courier->sweeps;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	request_free(&s->req);
	free(s);
}

static void on_swept(void *ud, const struct reply *reply)
{
	struct sweep *s = ud;

	if (reply->error != TRANSPORT_OK || (reply->status != 204 && reply->status != 200))
		log_warning(NOT_REMOVED " (status %d %s)", s->req.url, reply->status, reply->detail);
	sweep_free(s);
}

static void sweep(struct backend *b, struct request *req)
{
	struct courier *c = b->courier;
	struct sweep *s = calloc(1, sizeof(*s));
	char why[320] = "";
	uint64_t generation;
	int r;

	if (!s) {
		request_free(req);
		return;
	}
	*s = (struct sweep){.next = c->sweeps, .courier = c, .req = *req};
	c->sweeps = s;
	r = may_leave(b, &s->req, why, sizeof(why)) ? sign_now(b, &s->req, &generation) : -EPERM;
	if (r >= 0)
		r = http_send(loop_http(c->service->http), &s->req, on_swept, s, &s->transfer);
	if (r >= 0)
		return;
	log_warning(NOT_REMOVED " (%s)", s->req.url, why[0] && r == -EPERM ? why : errno_text(r));
	sweep_free(s);
}

void attempt_tidy(struct attempt *a)
{
	const struct extractor *x = &a->backend->extractor;
	struct request req = {};

	while (x->ops->tidy(x, &a->dialogue, &req) > 0) {
		sweep(a->backend, &req);
		req = (struct request){0};
	}
}

void courier_sweeps_cancel(struct courier *c)
{
	while (c->sweeps) {
		http_cancel(c->sweeps->transfer);
		sweep_free(c->sweeps);
	}
}
