/*
 * Is the model served here on demand? Asked of the model itself, for pageferryctl doctor --ask: one small question in words, without
 * any page, that is paid for. It goes the way of every request: guard, price, the account's minute, budget, reservation and receipt before
 * the first byte, settled after.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "cloud/body.h"
#include "cloud/url.h"
#include "daemon/courier.h"
#include "daemon/credentials.h"
#include "daemon/doctor.h"
#include "daemon/ledger.h"
#include "daemon/resolver.h"

#define AREA          "residency"
#define TIMEOUT_MS    60000
#define REPLY_MAX     ((size_t)256 << 10)
#define OUTPUT_TOKENS 16
#define AROUND_TOKENS 500 /* what the service adds to a question in words, and much more */
#define QUESTION                                                                                                       \
	"{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Answer with one word: yes.\"}]}],"                  \
	"\"inferenceConfig\":{\"maxTokens\":16}}"

/* One question on its way. */
struct doctor_ask {
	struct doctor_ask *next;
	struct doctor *doctor; /* held */
	struct service *service;
	const struct backend_config *backend;
	struct bedrock_config config; /* the backend's, by Converse, which every model takes */
	struct extractor extractor;
	struct job job;
	struct request req;
	struct http_transfer *transfer;
	const struct price *price;
	struct attempt_open open;
	char host[256], body_hex[SHA256_HEX_SIZE], *resolved;
	int64_t attempt;
	int64_t began_ms, tokens; /* boottime; as counted in the backend's minute */
};

static void ask_free(struct doctor_ask *a)
{
	if (!a)
		return;
	request_free(&a->req);
	free(a->resolved);
	free(a);
}

/* ---- before the first byte ------------------------------------------------------------------------------------------ */

static int build(struct doctor_ask *a)
{
	_cleanup_buf_ struct buf url = {}, body = {};
	int r = bedrock_url(&a->config, &url);

	if (r >= 0)
		r = buf_adds(&body, QUESTION);
	if (r < 0)
		return r;
	a->req = (struct request){
		.method = "POST",
		.url = buf_take(&url),
		.model = a->config.model,
		.region = a->config.region,
		.connect_to = a->config.connect_to[0] ? a->config.connect_to : NULL,
		.ca_file = a->config.ca_file[0] ? a->config.ca_file : NULL,
		.max_reply = REPLY_MAX,
		.timeout_ms = TIMEOUT_MS,
		.connect_timeout_ms = a->config.connect_timeout_ms,
		.max_input_tokens = strlen(QUESTION) + AROUND_TOKENS, /* no tokenizer makes more tokens than bytes */
		.max_output_tokens = OUTPUT_TOKENS,
	};
	r = a->req.url ? request_add_header(&a->req, "content-type", "application/json") : -ENOMEM;
	if (r >= 0)
		r = request_add_header(&a->req, "accept", "application/json");
	return r < 0 ? r : request_add_literal_take(&a->req, &body);
}

static int guarded(struct doctor_ask *a, char *why, size_t why_size)
{
	const struct guard_question q = {.sink = GUARD_BEDROCK, .url = a->req.url, .model = a->req.model, .region = a->req.region,
		.connect_to = a->req.connect_to};
	const char *leads = resolver_leads(a->service->resolver, a->backend);
	struct guard_policy p;

	config_guard_policy(&a->service->config, &p);
	switch (guard_check(&p, &q, why, why_size)) {
	case GUARD_ALLOW:
		return 0;
	case GUARD_NEEDS_RESOLVE:
		a->resolved = leads ? strdup(leads) : NULL;
		return a->resolved ? 0 : -EPERM;
	case GUARD_DENY:
		break;
	}
	return -EPERM;
}

static int priced(struct doctor_ask *a, char *why, size_t why_size)
{
	const char *model = a->resolved ? resolver_model(a->service->resolver, a->backend) : NULL;

	a->price = prices_find(a->service->prices, a->req.model, a->req.region);
	if (!a->price && model)
		a->price = prices_find(a->service->prices, model, a->req.region);
	if (a->price)
		return 0;
	str_format(why, why_size, "there is no price for %s in %s: its cost cannot be bounded", a->req.model, a->req.region);
	return -ENOENT;
}

/* What the account takes in a minute is for pages: it is not waited for here. */
static int has_room(struct doctor_ask *a, char *why, size_t why_size)
{
	int64_t wait_ms;

	a->tokens = (int64_t)(a->req.max_input_tokens + a->req.max_output_tokens);
	wait_ms = a->service->courier ? courier_aside_wait_ms(a->service->courier, a->backend->name, a->tokens) : 0;
	if (wait_ms == 0)
		return 0;
	str_format(why, why_size, "what may be sent in a minute is used up (RequestsPerMinute=, TokensPerMinute=, or it throttles): ask again in %" PRIi64 " s",
		(wait_ms + 999) / 1000);
	return -EBUSY;
}

static int signed_now(struct doctor_ask *a, char *why, size_t why_size)
{
	struct provider *p = credentials_find(a->service->credentials, a->backend->credentials);
	const char *reason = NULL, *message = NULL;
	struct creds creds = {};
	uint64_t generation;
	enum credentials_state state;
	int64_t now;
	int r;

	state = p ? credentials_look(p, &reason, &message) : CREDENTIALS_COMING;
	if (state != CREDENTIALS_READY) {
		str_format(why, why_size, "%s", state == CREDENTIALS_FAILED ? message : "credentials are being got; ask again");
		return -EACCES;
	}
	r = clock_signing_time(a->service->clock, &now);
	if (r < 0) {
		str_copy(why, why_size, "the clock is known to be wrong: nothing is signed");
		return r;
	}
	r = credentials_take(p, &creds, &generation);
	if (r >= 0)
		r = body_hash(&a->req);
	if (r >= 0)
		r = a->extractor.ops->sign(&a->extractor, &creds, now, &a->req);
	creds_clear(&creds);
	return r;
}

static int reserve(struct doctor_ask *a, char *why, size_t why_size)
{
	struct url u;
	int64_t id;

	if (spool_ledger_lost(a->service->spool) != 0) {
		str_copy(why, why_size, "what has been spent is not known; pageferryctl confirm lets paid requests go on");
		return -EPERM;
	}
	if (url_split(a->req.url, &u, NULL, 0) >= 0)
		str_copy(a->host, sizeof(a->host), u.host);
	hex_encode(a->req.body_sha256, SHA256_SIZE, a->body_hex);
	a->open = (struct attempt_open){
		.backend = a->backend->name,
		.model = a->req.model,
		.region = a->req.region,
		.resolved = a->resolved,
		.host = a->host,
		.body_sha256 = a->body_hex,
		.body_bytes = (int64_t)request_body_length(&a->req),
		.reserved_pusd = price_cost(a->price, a->req.max_input_tokens, a->req.max_output_tokens, 0),
		.lab = a->service->config.lab,
		.budget = &a->service->config.budget,
	};
	id = ledger_open(a->service->spool, &a->open);
	if (id == -EDQUOT || id == -EFBIG)
		str_copy(why, why_size, "the budget has no room for it");
	if (id < 0)
		return (int)id;
	a->attempt = id;
	return 0;
}

/* ---- after it --------------------------------------------------------------------------------------------------------- */

static void settle(struct doctor_ask *a, const struct verdict *v, const struct reply *reply)
{
	const struct attempt_close c = {
		.attempt = a->attempt,
		.open = &a->open,
		.verdict = v,
		.reply = reply,
		.settled_pusd = v->usage.reported ? price_cost(a->price, v->usage.input, v->usage.output, v->usage.cached)
				: v->billed	  ? a->open.reserved_pusd
						  : 0,
	};
	int r = ledger_close_bare(a->service->spool, &c);

	if (r < 0)
		log_warning("attempt %" PRIi64 " stays open (%s): the next start settles it", a->attempt, errno_text(r));
}

static void ask_end(struct doctor_ask *a)
{
	struct doctor_ask **at = &a->service->asks;
	struct doctor *d = a->doctor;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	ask_free(a);
	doctor_release(d);
}

static void tell(struct doctor_ask *a, const struct verdict *v, const struct reply *r)
{
	const char *name = a->backend->name, *model = a->backend->model, *region = a->config.region;

	if (r->error == TRANSPORT_OK && r->status == 200 && v->usage.reported)
		doctor_add(a->doctor, AREA, FINDING_OK, NULL,
			"backend %s: %s has answered in %s (%" PRIu64 " and %" PRIu64 " tokens, attempt %" PRIi64 "): it is served there on demand by this id", name,
			model, region, v->usage.input, v->usage.output, a->attempt);
	else if (strstr(r->len ? r->body : "", "on-demand throughput"))
		doctor_add(a->doctor, AREA, FINDING_PROBLEM, "name a model that is served in the region itself; the table is in docs/residency.md",
			"backend %s: %s is not served on demand in %s, but by profiles alone, which may leave Australia", name, model, region);
	else
		doctor_add(a->doctor, AREA, FINDING_PROBLEM, "mend what it says, and ask again", "backend %s: %s has not answered in %s: %s: %s", name,
			model, region, v->reason, v->message[0] ? v->message : r->detail);
}

static void on_reply(void *ud, const struct reply *r)
{
	struct doctor_ask *a = ud;
	struct verdict v = {};

	a->transfer = NULL;
	if (a->extractor.ops->decode(&a->extractor, &a->job, r, &v) < 0) {
		v = (struct verdict){.page = PAGE_UNTOUCHED, .billed = r->sent};
		str_copy(v.reason, sizeof(v.reason), "local");
	}
	settle(a, &v, r);
	if (a->service->courier)
		courier_aside_end(a->service->courier, a->backend->name, a->began_ms, a->tokens, &v);
	tell(a, &v, r);
	verdict_clear(&v);
	ask_end(a);
}

static void settle_unanswered(struct doctor_ask *a, bool billed, const char *reason, const char *message)
{
	struct verdict v = {.page = PAGE_UNTOUCHED, .billed = billed};

	str_copy(v.reason, sizeof(v.reason), reason);
	str_copy(v.message, sizeof(v.message), message);
	settle(a, &v, NULL);
}

void doctor_ask_end(struct service *s)
{
	while (s->asks) {
		http_cancel(s->asks->transfer);
		settle_unanswered(s->asks, true, "stopped", "the service stopped before the answer came");
		ask_end(s->asks);
	}
}

static int send_paid(struct doctor_ask *a, char *why, size_t why_size)
{
	int r = build(a);

	if (r >= 0)
		r = guarded(a, why, why_size);
	if (r < 0)
		return r;
	why[0] = '\0'; /* what is allowed has a sentence too */
	r = priced(a, why, why_size);
	if (r >= 0)
		r = has_room(a, why, why_size);
	if (r >= 0)
		r = signed_now(a, why, why_size);
	if (r >= 0)
		r = reserve(a, why, why_size);
	if (r < 0)
		return r;
	if (a->service->courier)
		a->began_ms = courier_aside_begin(a->service->courier, a->backend->name, a->tokens);
	r = http_send(loop_http(a->service->http), &a->req, on_reply, a, &a->transfer);
	if (r < 0)
		settle_unanswered(a, false, "local", errno_text(r));
	return r;
}

void doctor_ask(struct doctor *d, struct service *s, const struct backend_config *b)
{
	struct doctor_ask *a = calloc(1, sizeof(*a));
	char why[320] = "";
	int r = -ENOMEM;

	if (a) {
		*a = (struct doctor_ask){.doctor = d, .service = s, .backend = b, .config = b->bedrock};
		a->config.api = BEDROCK_CONVERSE;
		a->config.guardrail[0] = '\0';
		a->extractor = (struct extractor){.ops = &bedrock_extractor, .backend = b->name, .config = &a->config};
		a->job = (struct job){.page_id = "", .types = s->types};
		r = send_paid(a, why, sizeof(why));
	}
	if (r >= 0) {
		doctor_hold(d);
		a->next = s->asks;
		s->asks = a;
		return;
	}
	doctor_add(d, AREA, FINDING_PROBLEM, "mend what it says, then ask again", "backend %s: %s is not asked: %s", b->name, b->model,
		why[0] ? why : errno_text(r));
	ask_free(a);
}
