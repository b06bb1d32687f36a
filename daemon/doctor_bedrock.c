/* Asks Bedrock's control plane about a backend's model, for pageferryctl doctor --residency: no page, no cost. */
#include "base/log.h"
#include "cloud/bedrock_control.h"
#include "cloud/body.h"
#include "cloud/sigv4.h"
#include "daemon/credentials.h"
#include "daemon/doctor.h"

#define AREA       "residency"
#define TIMEOUT_MS 20000
#define REPLY_MAX  ((size_t)256 << 10)

/* One question on its way. */
struct bedrock_look {
	struct bedrock_look *next;
	struct doctor *doctor; /* held */
	struct service *service;
	const struct backend_config *backend;
	struct request req;
	struct http_transfer *transfer;
};

static void look_free(struct bedrock_look *l)
{
	request_free(&l->req);
	free(l);
}

static void look_end(struct bedrock_look *l)
{
	struct bedrock_look **at = &l->service->looks;
	struct doctor *d = l->doctor;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	look_free(l);
	doctor_release(d);
}

void doctor_bedrock_end(struct service *s)
{
	while (s->looks) {
		http_cancel(s->looks->transfer);
		look_end(s->looks);
	}
}

static void tell_refusal(struct bedrock_look *l, const struct reply *r)
{
	const char *name = l->backend->name, *model = l->backend->model;

	if (r->status == 403)
		doctor_add(l->doctor, AREA, FINDING_WARNING,
			"allow bedrock:GetFoundationModel and bedrock:GetInferenceProfile to these credentials; configs/iam has the policy",
			"backend %s: AWS does not let these credentials ask about %s (403)", name, model);
	else if (r->status == 404)
		doctor_add(l->doctor, AREA, FINDING_PROBLEM, "name a model that is offered in this region",
			"backend %s: %s knows no %s (404)", name, l->backend->bedrock.region, model);
	else
		doctor_add(l->doctor, AREA, FINDING_WARNING, "ask again later", "backend %s: %s answers %d about %s", name,
			l->backend->bedrock.region, r->status, model);
}

static void on_reply(void *ud, const struct reply *r)
{
	struct bedrock_look *l = ud;
	const char *model = l->backend->model;
	struct guard_policy p;
	char why[400];
	bool well;

	l->transfer = NULL;
	config_guard_policy(&l->service->config, &p);
	if (r->error != TRANSPORT_OK) {
		doctor_add(l->doctor, AREA, FINDING_PROBLEM, "look at the network, names and certificates on the way to AWS",
			"backend %s: AWS cannot be asked about %s: %s", l->backend->name, model, r->detail);
	} else if (r->status != 200) {
		tell_refusal(l, r);
	} else {
		doctor_add(l->doctor, AREA, FINDING_NOTE, NULL, "backend %s: bedrock in %s answers at %s, certificate %.16s",
			l->backend->name, l->backend->bedrock.region, r->address, r->peer_sha256);
		well = bedrock_is_profile(model) ? bedrock_profile_stays(&p, model, r->body, r->len, why, sizeof(why))
						 : bedrock_model_served(model, r->body, r->len, why, sizeof(why));
		doctor_add(l->doctor, AREA, well ? FINDING_OK : FINDING_PROBLEM,
			well ? NULL : "name another model, in Model= of the backend", "backend %s: AWS says that %s", l->backend->name, why);
	}
	look_end(l);
}

/* -EACCES with why: there are no credentials to sign with now. */
static int sign(struct service *s, const struct backend_config *b, struct request *req, char *why, size_t why_size)
{
	struct sigv4_params params = {.region = b->bedrock.region, .service = "bedrock"};
	struct provider *provider = credentials_find(s->credentials, b->credentials);
	const char *reason = NULL, *message = NULL;
	struct creds creds = {};
	uint64_t generation;
	int r;

	if (!provider || credentials_look(provider, &reason, &message) != CREDENTIALS_READY) {
		str_format(why, why_size, "%s", message ? message : "credentials are being got; ask again");
		return -EACCES;
	}
	r = clock_signing_time(s->clock, &params.now);
	if (r < 0) {
		str_copy(why, why_size, "the clock is known to be wrong: nothing is signed");
		return r;
	}
	r = credentials_take(provider, &creds, &generation);
	if (r >= 0)
		r = body_hash(req);
	if (r >= 0 && creds.bearer) {
		str_copy(why, why_size, "an API key cannot be used for this question");
		r = -EACCES;
	} else if (r >= 0) {
		r = sigv4_sign(&params, &creds, req);
	}
	creds_clear(&creds);
	return r;
}

static int build(const struct service *s, const struct backend_config *b, struct request *req)
{
	_cleanup_buf_ struct buf url = {};
	int r = bedrock_control_url(b->bedrock.region, b->model, &url);

	if (r < 0)
		return r;
	*req = (struct request){
		.method = "GET",
		.url = buf_take(&url),
		.region = b->bedrock.region,
		.connect_to = b->bedrock.connect_to[0] ? b->bedrock.connect_to : NULL,
		.ca_file = b->bedrock.ca_file[0] ? b->bedrock.ca_file : NULL,
		.max_reply = REPLY_MAX,
		.timeout_ms = TIMEOUT_MS,
		.connect_timeout_ms = TIMEOUT_MS,
	};
	return req->url ? request_add_header(req, "accept", "application/json") : -ENOMEM;
}

static int guarded_send(struct bedrock_look *l, char *why, size_t why_size)
{
	const struct guard_question q = {
		.sink = GUARD_BEDROCK_CONTROL, .url = l->req.url, .region = l->req.region, .connect_to = l->req.connect_to};
	struct guard_policy p;

	config_guard_policy(&l->service->config, &p);
	if (guard_check(&p, &q, why, why_size) != GUARD_ALLOW)
		return -EPERM;
	why[0] = '\0'; /* what is allowed has a sentence too */
	return http_send(loop_http(l->service->http), &l->req, on_reply, l, &l->transfer);
}

void doctor_bedrock(struct doctor *d, struct service *s, const struct backend_config *b)
{
	struct bedrock_look *l = calloc(1, sizeof(*l));
	char why[320] = "";
	int r = l ? build(s, b, &l->req) : -ENOMEM;

	if (r == -EINVAL) { /* what runs in its own region, as the guard has said */
		look_free(l);
		return;
	}
	if (r >= 0) {
		l->doctor = d;
		l->service = s;
		l->backend = b;
		r = sign(s, b, &l->req, why, sizeof(why));
	}
	if (r >= 0)
		r = guarded_send(l, why, sizeof(why));
	if (r >= 0) {
		doctor_hold(d);
		l->next = s->looks;
		s->looks = l;
		return;
	}
	doctor_add(d, AREA, FINDING_WARNING, "mend what it says, then ask again; pageferryctl status has more", "backend %s: AWS cannot be asked about %s: %s",
		b->name, b->model, why[0] ? why : errno_text(r));
	if (l)
		look_free(l);
}
