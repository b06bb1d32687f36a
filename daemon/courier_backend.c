/* A backend as the courier knows it. */
#include "daemon/courier_internal.h"

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/messages.h"
#include "daemon/resolver.h"

#define RECALL_MAX 4096 /* attempts looked at */

static int64_t now_ms(const struct backend *b)
{
	return clock_boottime_ms(b->courier->service->clock);
}

struct backend *backend_find(struct courier *c, const char *name)
{
	for (size_t i = 0; i < c->n_backends; i++)
		if (streq(c->backends[i].config->name, name))
			return &c->backends[i];
	return NULL;
}

/* What went out in the minute before this run began, as far as the ledger and the clock of the day tell; tokens that are not
 * known there are taken for all that are allowed. */
static void recall_rate(struct backend *b)
{
	struct service *s = b->courier->service;
	_cleanup_stmt_ struct stmt *st = NULL;
	int64_t now = now_ms(b), real = clock_realtime_ms(s->clock);
	int r;

	if (b->limit.requests <= 0 && b->limit.tokens <= 0)
		return;
	r = db_query(spool_db(s->spool), &st,
		"SELECT opened_ms, tokens_input + tokens_output FROM attempts WHERE id > (SELECT coalesce(max(id), 0) FROM attempts) - ?"
		" AND backend = ? AND opened_ms BETWEEN ? AND ?", "isii", (int64_t)RECALL_MAX, b->config->name, real - RATE_SECONDS * 1000, real);
	while (r >= 0 && (r = stmt_next(st)) > 0) {
		int64_t tokens = stmt_i64(st, 1);

		rate_count(&b->rate, now, now - (real - stmt_i64(st, 0)), tokens > 0 ? tokens : b->limit.tokens);
	}
	if (r < 0)
		log_warning("backend %s: what it was sent in the last minute is not known: %s", b->config->name, errno_text(r));
}

static uint32_t random_word(void)
{
	uint32_t x;

	random_bytes(&x, sizeof(x));
	return x;
}

int backend_init(struct courier *c, const struct backend_config *config)
{
	struct backend *b = &c->backends[c->n_backends];

	*b = (struct backend){.courier = c, .config = config};
	b->extractor.backend = config->name;
	b->limit = (struct rate_limit){.requests = config->requests_per_minute, .tokens = config->tokens_per_minute};
	switch ((enum backend_kind)config->kind) {
	case KIND_BEDROCK:
		b->extractor.ops = &bedrock_extractor;
		b->extractor.config = &config->bedrock;
		break;
	case KIND_SAGEMAKER:
		b->per_request.request_pusd = config->price_per_request_pusd;
		b->extractor.ops = config->sagemaker.bucket.name[0] ? &sagemaker_async_extractor : &sagemaker_extractor;
		b->extractor.config = &config->sagemaker;
		break;
	case KIND_OPENAI:
		b->openai = config->openai;
		b->extractor.ops = &openai_extractor;
		b->extractor.config = &b->openai;
		break;
	case KIND_OCR:
		b->extractor.ops = &ocr_extractor;
		b->extractor.config = &config->ocr;
		break;
	}
	if (b->extractor.ops->sign)
		b->credentials = credentials_find(c->service->credentials, config->credentials);
	recall_rate(b);
	backend_spread(b, random_word());
	c->n_backends++;
	return 0;
}

static void probe_drop(struct backend *b)
{
	http_cancel(b->probe_transfer);
	b->probe_transfer = NULL;
	request_free(&b->probe);
	b->probe = (struct request){0};
}

void backend_clear(struct backend *b)
{
	if (b->probe_transfer)
		probe_drop(b);
	wipe(b->openai.api_key, sizeof(b->openai.api_key));
}

static bool has_probe(const struct backend *b)
{
	return b->extractor.ops->probe;
}

enum rung_state backend_rung(struct backend *b, int64_t seq)
{
	enum rung_state s = health_rung(&b->health, seq, now_ms(b), b->config->fallback_after_ms, has_probe(b));

	if (BUG("courier-probe-by-all") && b->health.breaker.state == BREAKER_PROBING && b->in_flight < (size_t)b->config->concurrency)
		return RUNG_READY; /* planted: while one page is the probe, the others go too */
	/* Free ones further down the route go on, at once. */
	if (b->unconfirmed)
		return RUNG_DOWN;
	if (b->courier->over_pusd > 0 && b->extractor.ops->paid)
		return b->courier->service->config.over_budget == OVER_NEXT ? RUNG_DOWN : RUNG_WAIT;
	if (s != RUNG_READY)
		return s;
	if (b->no_credentials_ms)
		return now_ms(b) - b->no_credentials_ms >= b->config->fallback_after_ms ? RUNG_DOWN : RUNG_WAIT;
	if (backend_keeps_back(b, seq))
		return RUNG_WAIT;
	if (!health_room(&b->health, now_ms(b), b->in_flight, b->config->concurrency))
		return RUNG_WAIT;
	return backend_minute_wait_ms(b, b->need) > 0 ? RUNG_WAIT : RUNG_READY;
}

enum backend_state backend_state(const struct backend *b)
{
	if (b->unconfirmed)
		return BACKEND_DOWN;
	if (b->no_credentials_ms)
		return b->credentials_coming ? BACKEND_BUSY : BACKEND_DOWN;
	return health_state(&b->health, now_ms(b));
}

/* Overloaded is no event of its own: it passes. */
static const char *message_id(enum backend_state state, const char *reason)
{
	if (state != BACKEND_DOWN)
		return NULL;
	return streq(reason, "residency") ? MESSAGE_RESIDENCY_DENIED : MESSAGE_BACKEND_DOWN;
}

/* Says what changed, once: the same trouble again is only counted. */
static void tell(struct backend *b, enum backend_state state, const char *reason, const char *message)
{
	const struct log_field fields[] = {{"BACKEND", b->config->name}};
	bool same = state == b->shown && streq(reason, b->reason);

	str_copy(b->reason, sizeof(b->reason), reason);
	str_copy(b->message, sizeof(b->message), message);
	b->shown = state;
	if (same)
		return;
	if (state == BACKEND_OK)
		log_event(LOG_LEVEL_NOTICE, MESSAGE_BACKEND_UP, fields, ARRAY_SIZE(fields), "backend %s is well", b->config->name);
	else
		log_event(state == BACKEND_DOWN ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, message_id(state, reason), fields,
			ARRAY_SIZE(fields),
			"backend %s is %s: %s: %s", b->config->name, backend_state_name(state), reason, message);
	service_event(b->courier->service, &(struct event){
		.kind = EVENT_BACKEND,
		.backend = b->config->name,
		.reason = state == BACKEND_OK ? NULL : reason,
		.message = state == BACKEND_OK ? NULL : message,
	});
}

/* What is paused for minutes comes back at other times on each device: up to a quarter longer. */
static int64_t least_wait(const struct verdict *v)
{
	if (v->wait != WAIT_PAUSE)
		return v->delay_ms;
	return v->delay_ms + ((int64_t)(v->delay_ms / 4) * random_word() >> 32);
}

/* A failure that may be the page's fault: it was taken, and then came a 5xx or nothing. */
static bool ambiguous(const struct reply *r)
{
	if (!r)
		return false;
	return r->error == TRANSPORT_TIMEOUT || r->error == TRANSPORT_BROKEN || r->error == TRANSPORT_TOO_LARGE ||
		(r->error == TRANSPORT_OK && r->status >= 500);
}

/* Its model is being started: that is waited for, with a patience of its own, before it counts as down. */
static enum backend_state starting(struct backend *b, const struct verdict *v)
{
	if (!v || v->wait != WAIT_LOADING || v->backend != BACKEND_BUSY) {
		b->starting_ms = 0;
		return v ? v->backend : BACKEND_OK;
	}
	if (!b->starting_ms)
		b->starting_ms = MAX(now_ms(b), INT64_C(1));
	return now_ms(b) - b->starting_ms >= b->config->start_patience_ms ? BACKEND_DOWN : v->backend;
}

enum page_outcome backend_ended(struct backend *b, int64_t seq, const struct verdict *v, const struct reply *reply)
{
	struct health_end e = {
		.seq = seq,
		.page = v ? v->page : PAGE_DONE,
		.backend = starting(b, v),
		.ambiguous = ambiguous(reply) && !(v && v->backend_fault),
		.wait = v ? v->wait : WAIT_BACKOFF,
		.least_ms = v ? least_wait(v) : 0,
		.hint_ms = v ? v->hint_ms : 0,
		.base_ms = b->config->backoff_ms,
		.cap_ms = b->config->backoff_max_ms,
		.random = BUG("courier-no-backoff") ? 0 : random_word(), /* planted: a backend that is down is asked again at once */
		.concurrency = b->config->concurrency,
	};
	enum page_outcome page = health_end(&b->health, now_ms(b), &e);
	enum backend_state state = health_state(&b->health, now_ms(b));

	if (v && v->page == PAGE_DONE) {
		b->answered++;
		b->answered_ms = MAX(now_ms(b), INT64_C(1));
	}
	else if (v && (v->page != PAGE_UNTOUCHED || v->backend == BACKEND_DOWN))
		b->failed++;
	if (b->unconfirmed || b->no_credentials_ms)
		; /* what was on its way before: that it waits was told */
	else if (state == BACKEND_OK)
		tell(b, state, "", "");
	else
		tell(b, state, v->reason, v->message); /* after a probe that went well it is well */
	courier_kick(b->courier);
	return page;
}

int64_t backend_minute_wait_ms(struct backend *b, int64_t tokens)
{
	return MAX(rate_wait_ms(&b->rate, now_ms(b), &b->limit, tokens), pace_wait_ms(&b->pace, now_ms(b)));
}

void backend_count(struct backend *b, int64_t tokens)
{
	if (!BUG("courier-no-rate")) /* planted: nothing is counted */
		rate_count(&b->rate, now_ms(b), now_ms(b), tokens);
	pace_begin(&b->pace, now_ms(b));
}

void backend_begin(struct backend *b, int64_t tokens)
{
	health_begin(&b->health, now_ms(b), random_word());
	backend_count(b, tokens);
	b->need = 0;
}

bool backend_has_tokens(struct backend *b, int64_t tokens)
{
	if (rate_wait_ms(&b->rate, now_ms(b), &b->limit, tokens) == 0)
		return true;
	b->need = tokens;
	return false;
}

int64_t backend_rate_wake_ms(struct backend *b)
{
	int64_t wait = backend_minute_wait_ms(b, b->need);

	return wait > 0 ? now_ms(b) + wait : INT64_MAX;
}

void backend_tokens(struct backend *b, int64_t began_ms, int64_t counted, int64_t actual)
{
	rate_correct(&b->rate, now_ms(b), began_ms, counted, actual);
}

void backend_paced(struct backend *b, int64_t began_ms, const struct verdict *v)
{
	const struct log_field fields[] = {{"BACKEND", b->config->name}};
	bool was = pace_per_minute(&b->pace) > 0;

	if (v->wait == WAIT_THROTTLED && v->backend == BACKEND_BUSY) {
		if (!BUG("courier-no-pace")) /* planted: a quota that nobody has told us teaches nothing */
			pace_throttled(&b->pace, now_ms(b), began_ms);
	} else if (v->backend == BACKEND_OK) {
		pace_answered(&b->pace, now_ms(b));
	}
	if (was != (pace_per_minute(&b->pace) > 0))
		log_event(LOG_LEVEL_INFO, NULL, fields, ARRAY_SIZE(fields), "backend %s: %s", b->config->name,
			was ? "no longer slowed down" : "slowed down to what it answers");
}

void backend_trouble(struct backend *b, const char *reason, const char *message)
{
	struct verdict v = {.page = PAGE_UNTOUCHED, .backend = BACKEND_DOWN};

	text_safe_copy(v.reason, sizeof(v.reason), reason);
	text_safe_copy(v.message, sizeof(v.message), message);
	backend_ended(b, 0, &v, NULL);
}

void backend_confirmed(struct backend *b, bool lost)
{
	if (!b->extractor.ops->paid || lost == b->unconfirmed)
		return;
	b->unconfirmed = lost;
	if (lost)
		tell(b, BACKEND_DOWN, "ledger-lost",
			"the database was lost, and with it what has been spent: this backend costs, and waits until "
			"`pageferryctl confirm` says that it may go on");
	else
		tell(b, health_state(&b->health, now_ms(b)), "", "");
}

/* Others than AWS refused: what was waited for has come. */
static void other_credentials(struct backend *b)
{
	struct breaker *breaker = &b->health.breaker;

	if (!b->refused_generation || !b->credentials || credentials_generation(b->credentials) == b->refused_generation)
		return;
	b->refused_generation = 0;
	if (breaker->state == BREAKER_OPEN)
		breaker->until_ms = MIN(breaker->until_ms, now_ms(b));
}

/* What it needs before anything is sent: credentials, and with them where its model leads. */
static enum credentials_state look_at_needs(struct backend *b, const char **reason, const char **message)
{
	enum credentials_state s = b->credentials ? credentials_look(b->credentials, reason, message) : CREDENTIALS_READY;
	int64_t signing_s;

	/* Those may teach the time all the same, over TLS that holds. */
	if (b->extractor.ops->sign && clock_signing_time(b->courier->service->clock, &signing_s) < 0) {
		*reason = "clock";
		*message = NO_CLOCK;
		return CREDENTIALS_FAILED;
	}
	if (s != CREDENTIALS_READY)
		return s;
	other_credentials(b);
	switch (resolver_look(b->courier->service->resolver, b->config, reason, message)) {
	case RESOLVE_READY:
		break;
	case RESOLVE_COMING:
		return CREDENTIALS_COMING;
	case RESOLVE_FAILED:
		return CREDENTIALS_FAILED;
	}
	return CREDENTIALS_READY;
}

/* What failed since the clock was wrong need not wait longer. */
void backend_clock_set(struct backend *b)
{
	struct breaker *breaker = &b->health.breaker;

	if (breaker->state == BREAKER_OPEN && (streq(b->reason, "tls") || streq(b->reason, "clock")))
		breaker->until_ms = MIN(breaker->until_ms, now_ms(b));
}

bool backend_has_credentials(struct backend *b)
{
	const char *reason = "credentials", *message = "its credentials are being got";
	enum credentials_state s = look_at_needs(b, &reason, &message);

	b->credentials_coming = s == CREDENTIALS_COMING;
	if (s == CREDENTIALS_READY) {
		if (!b->no_credentials_ms)
			return true;
		b->no_credentials_ms = 0;
		if (!b->unconfirmed)
			tell(b, health_state(&b->health, now_ms(b)), "", "");
		return true;
	}
	if (!b->no_credentials_ms)
		b->no_credentials_ms = MAX(now_ms(b), 1);
	/* A second without is no news: it is told when they do not come. */
	if (s == CREDENTIALS_FAILED && !b->unconfirmed)
		tell(b, BACKEND_DOWN, reason, message);
	else if (b->shown == BACKEND_OK) {
		str_copy(b->reason, sizeof(b->reason), reason);
		str_copy(b->message, sizeof(b->message), message);
	}
	return false;
}

/* ---- the probe that is no page ------------------------------------------------------------------------------------------ */

static void on_probe(void *ud, const struct reply *reply)
{
	struct backend *b = ud;
	struct verdict v = {.page = PAGE_UNTOUCHED, .backend = BACKEND_DOWN};
	bool well = reply->error == TRANSPORT_OK && reply->status >= 200 && reply->status < 300;

	b->probe_transfer = NULL; /* it ends with this call */
	request_free(&b->probe);
	b->probe = (struct request){0};
	str_copy(v.reason, sizeof(v.reason), "probe");
	if (reply->error != TRANSPORT_OK)
		text_safe_copy(v.message, sizeof(v.message), reply->detail);
	else
		str_format(v.message, sizeof(v.message), "it answers %d to the question whether it is ready", reply->status);
	backend_ended(b, 0, well ? NULL : &v, NULL);
}

/* -EPERM: the guard says no, and why. */
static int probe_send(struct backend *b, char *why, size_t why_size)
{
	struct service *s = b->courier->service;
	_cleanup_buf_ struct buf url = {0};
	struct guard_question q;
	struct guard_policy p;
	int r;

	r = b->extractor.ops->probe(&b->extractor, &b->probe);
	if (r < 0)
		return r;
	config_guard_policy(&s->config, &p);
	r = config_guard_question(b->config, &q, &url);
	if (r < 0)
		return r;
	q.url = q.unix_socket ? NULL : b->probe.url;
	if (guard_check(&p, &q, why, why_size) != GUARD_ALLOW)
		return -EPERM;
	why[0] = '\0'; /* what is allowed has a sentence too */
	return http_send(loop_http(s->http), &b->probe, on_probe, b, &b->probe_transfer);
}

void backend_probe_if_due(struct backend *b)
{
	int64_t now = now_ms(b);
	char why[320] = "";
	int r;

	if (!has_probe(b) || b->health.breaker.state != BREAKER_OPEN || now < b->health.breaker.until_ms)
		return;
	health_begin(&b->health, now, random_word());
	r = probe_send(b, why, sizeof(why));
	if (r < 0) {
		request_free(&b->probe);
		b->probe = (struct request){0};
		backend_trouble(b, why[0] ? "residency" : "probe", why[0] ? why : errno_text(r));
		return;
	}
	b->probe_deadline_ms = now + b->probe.timeout_ms + TRANSFER_GRACE_MS;
}

/* ---- what is told ------------------------------------------------------------------------------------------------------- */

static const char *model_of(const struct backend *b)
{
	return b->config->kind == KIND_OCR || !b->config->model[0] ? NULL : b->config->model;
}

static int add_fields(const struct backend *b, cJSON *j)
{
	int64_t now = now_ms(b), wait = breaker_wait_ms(&b->health.breaker, now);
	enum backend_state state = backend_state(b);
	int r = json_add_string(j, "name", b->config->name);

	if (r >= 0)
		r = json_add_string(j, "kind", backend_kind_name((enum backend_kind)b->config->kind));
	if (r >= 0 && model_of(b))
		r = json_add_string(j, "model", model_of(b));
	if (r >= 0 && b->config->region[0])
		r = json_add_string(j, "region", b->config->region);
	if (r >= 0)
		r = json_add_string(j, "state", backend_state_name(state));
	if (r >= 0 && state != BACKEND_OK)
		r = json_add_string(j, "reason", b->reason);
	if (r >= 0 && state != BACKEND_OK)
		r = json_add_string(j, "message", b->message);
	if (r >= 0 && state != BACKEND_OK && wait >= 0 && !b->unconfirmed)
		r = json_add_i64(j, "retryInMs", wait);
	if (r >= 0)
		r = json_add_i64(j, "inFlight", (int64_t)b->in_flight);
	if (r >= 0)
		r = json_add_i64(j, "inFlightMost", health_most(&b->health, b->config->concurrency));
	if (r >= 0 && pace_per_minute(&b->pace) > 0)
		r = json_add_i64(j, "slowedTo", pace_per_minute(&b->pace));
	if (r >= 0)
		r = json_add_i64(j, "answered", b->answered);
	return r < 0 ? r : json_add_i64(j, "failed", b->failed);
}

static int backend_json(const struct backend *b, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? add_fields(b, j) : -ENOMEM;

	if (r < 0)
		return r;
	*ret = take_ptr(j);
	return 0;
}

int courier_backends_json(const struct courier *c, cJSON *array)
{
	for (size_t i = 0; i < c->n_backends; i++) {
		cJSON *j = NULL;
		int r = backend_json(&c->backends[i], &j);

		if (r < 0)
			return r;
		if (!cJSON_AddItemToArray(array, j)) {
			cJSON_Delete(j);
			return -ENOMEM;
		}
	}
	return 0;
}

int courier_backend_json(const struct courier *c, const char *name, cJSON **ret)
{
	for (size_t i = 0; i < c->n_backends; i++)
		if (streq(c->backends[i].config->name, name))
			return backend_json(&c->backends[i], ret);
	return -ENOENT;
}

bool courier_is_over_budget(const struct courier *c)
{
	return c->over_pusd > 0;
}

bool courier_offline(const struct courier *c)
{
	const struct config *config = &c->service->config;

	for (size_t i = 0; i < c->n_backends; i++)
		if (config->n_route > 0 && streq(c->backends[i].config->name, config->route[0]))
			return backend_state(&c->backends[i]) == BACKEND_DOWN;
	return false;
}
