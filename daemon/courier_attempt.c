/* One page to one backend: the question, the guard, the price, the clock, the reservation; and then the first byte. */
#include "daemon/courier_internal.h"

#include <inttypes.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "cloud/body.h"
#include "cloud/url.h"
#include "daemon/resolver.h"

#define COLD_AFTER_MS 300000 /* idle instances are taken away after some minutes */
#define OCR_PROGRAM "pageferry-ocr"
#define OCR_SOCKET  "/run/pageferry/ocr"

void attempt_free(struct attempt *a)
{
	if (!a)
		return;
	answer_free(a->answer);
	verdict_clear(&a->verdict);
	creds_clear(&a->creds);
	request_free(&a->req);
	attempt_dialogue_clear(a);
	render_cancel(a->render);
	attempt_shapes_clear(a, 0);
	attempt_pages_clear(a);
	if (a->fd >= 0)
		close(a->fd);
	free(a->resolved);
	free(a);
}

/* A fallback that has failed this page for good, or used up its tries, is not asked again before a person's retry. */
static int is_passed(struct courier *c, const struct due_page *p, const struct backend *b)
{
	struct due_history h;
	int r;

	if (p->tried_ms == 0) /* no attempt counts */
		return false;
	r = due_history(c->service->spool, p->seq, p->retried, b->config->name, &h);
	return r < 0 ? r : h.cannot || h.tries >= b->config->tries;
}

/* Negative errno: the ledger could not tell of one, at which the page waits. */
static int page_rungs(struct courier *c, const struct spool_job *job, const struct due_page *p, size_t rung, bool all,
	enum rung_state rungs[static ROUTE_MAX])
{
	bool fallback = false;
	int ret = 0;

	for (size_t i = 0; i < job->n_route; i++) {
		struct backend *b = backend_find(c, job->route[i]);

		rungs[i] = b ? backend_rung(b, p->seq) : RUNG_ABSENT;
		/* Where it is down nobody is asked anyway: in an outage a look costs less. */
		if (fallback && b && (all || rungs[i] != RUNG_DOWN)) {
			int passed = is_passed(c, p, b);

			if (passed != 0)
				rungs[i] = passed < 0 ? RUNG_WAIT : RUNG_PASSED;
			ret = MIN(ret, passed);
		}
		fallback |= b && i >= rung;
	}
	return ret;
}

void attempt_rungs(struct courier *c, const struct spool_job *job, const struct due_page *p, size_t rung,
	enum rung_state rungs[static ROUTE_MAX])
{
	page_rungs(c, job, p, rung, false, rungs);
}

int attempt_row_rungs(struct courier *c, const struct page_row *row, enum rung_state rungs[static ROUTE_MAX])
{
	const struct due_page p = {.seq = row->seq, .tried_ms = row->tried_ms, .retried = row->retried};

	return page_rungs(c, row->job, &p, (size_t)row->rung, true, rungs);
}

size_t attempt_answered_index(const struct spool_job *job, const char *backend)
{
	for (size_t i = 0; i < job->n_route && backend[0]; i++)
		if (streq(job->route[i], backend))
			return i;
	return job->n_route;
}

/* ---- what may stop it before anything is written -------------------------------------------------------------------------- */

int attempt_open_file(struct attempt *a, const struct page_row *row)
{
	struct courier *c = a->courier;
	int fd = spool_page_open(c->service->spool, row);

	if (fd == -ENOENT || fd == -ENODATA || fd == -EBADMSG || fd == -ELOOP || fd == -EACCES)
		courier_hold(c, row, fd == -ENOENT ? "lost: its file is gone" : fd == -ENODATA ? "lost: its file has aged out" :
			fd == -EACCES ? "damaged: its file is not for the service to read" : "damaged: its file is not what was accepted");
	else if (fd < 0) /* No descriptors, or a disk that fails: not the page's fault, and it may pass. */
		backend_trouble(a->backend, "storage", errno_text(fd));
	return fd < 0 ? -1 : fd;
}

/* The row and its file. False: it was dealt with. */
static bool open_page(struct attempt *a)
{
	struct courier *c = a->courier;
	struct spool *spool = c->service->spool;
	int r = spool_page_get(spool, a->row.seq, &a->row);

	if (r < 0) {
		courier_storage_failed(c, r);
		return false;
	}
	/* It was seen as due, and something has been done to it since. */
	if (a->row.state != STATE_QUEUED && a->row.state != STATE_PROVISIONAL)
		return false;
	a->fd = attempt_open_file(a, &a->row);
	if (a->fd < 0)
		return false;
	attempt_shape_init(a, 0, a->fd, &a->row);
	return attempt_open_pages(a);
}

static bool is_cold(const struct backend *b)
{
	return !b->answered_ms || clock_boottime_ms(b->courier->service->clock) - b->answered_ms >= COLD_AFTER_MS;
}

static bool fill_job(struct attempt *a)
{
	struct due_history h;
	uint64_t nonce = 0;
	int r = due_history(a->courier->service->spool, a->row.seq, a->row.retried, a->backend->config->name, &h);

	if (r < 0) {
		courier_storage_failed(a->courier, r);
		return false;
	}
	random_bytes(&nonce, sizeof(nonce));
	a->job = (struct job){.page_id = a->row.id, .nonce = nonce, .types = a->row.job->types, .n_images = 1, .cold = is_cold(a->backend),
		.tries = (uint32_t)h.tries,
		.backlog = a->row.lane == LANE_BACKLOG};
	a->n_shapes = 1;
	attempt_at_least(a, (unsigned int)h.smaller);
	a->job.images[0] = attempt_image(a, 0);
	return true;
}

bool attempt_build(struct attempt *a)
{
	struct backend *b = a->backend;
	struct request req;
	int r = b->extractor.ops->build(&b->extractor, &a->job, &req);

	if (r >= 0) {
		request_free(&a->req);
		a->req = req;
	}
	a->too_large = r == -EMSGSIZE || (r >= 0 && !attempt_fits(a));
	if (r < 0 && !a->too_large)
		backend_trouble(b, "local", errno_text(r));
	return r >= 0 && !a->too_large;
}

static bool api_key_ready(struct attempt *a)
{
	struct backend *b = a->backend;
	char why[320] = "";

	if (b->config->kind != KIND_OPENAI)
		return true;
	/* Each time, as AWS keys: a new one needs no restart. */
	if (config_api_key(b->config, b->openai.api_key, sizeof(b->openai.api_key), why, sizeof(why)) >= 0)
		return true;
	backend_trouble(b, "no-api-key", why);
	return false;
}

/* What the guard alone cannot say: AWS has, and not long ago. */
static bool resolved(struct attempt *a)
{
	const char *leads = resolver_leads(a->courier->service->resolver, a->backend->config);

	free(a->resolved);
	a->resolved = leads ? strdup(leads) : NULL;
	a->req.resolved = a->resolved;
	return a->resolved;
}

/* Promise 3: asked on the request as it will leave, right before it does. */
static bool guarded(struct attempt *a)
{
	_cleanup_buf_ struct buf url = {0};
	struct guard_question q;
	struct guard_policy p;
	enum guard_answer answer;
	char why[320] = "";

	if (!a->req.url)
		return true; /* to a helper on this machine */
	config_guard_policy(&a->courier->service->config, &p);
	if (config_guard_page(a->backend->config, &q, &url) < 0) {
		backend_trouble(a->backend, "local", errno_text(-ENOMEM));
		return false;
	}
	q.url = a->req.unix_socket ? NULL : a->req.url;
	q.unix_socket = a->req.unix_socket;
	q.connect_to = a->req.connect_to;
	q.interface = a->req.interface;
	q.region = a->req.region;
	answer = guard_check(&p, &q, why, sizeof(why));
	if (answer == GUARD_ALLOW || (answer == GUARD_NEEDS_RESOLVE && resolved(a)))
		return true;
	attempt_note_refused(a, why);
	backend_trouble(a->backend, "residency", why);
	return false;
}

static bool priced(struct attempt *a)
{
	char why[384]; /* a model's and a region's name fit */
	const char *model;

	if (!a->backend->extractor.ops->paid)
		return true;
	if (a->backend->config->price_per_request_pusd >= 0) {
		a->price = &a->backend->per_request;
		return true;
	}
	a->price = prices_find(a->courier->service->prices, a->req.model, a->req.region);
	/* A profile costs what the model costs that it leads to. */
	model = a->price || !a->resolved ? NULL : resolver_model(a->courier->service->resolver, a->backend->config);
	if (model)
		a->price = prices_find(a->courier->service->prices, model, a->req.region);
	if (a->price)
		return true;
	str_format(why, sizeof(why), "there is no price for %s in %s: its cost cannot be bounded", a->req.model, a->req.region);
	backend_trouble(a->backend, "no-price", why);
	return false;
}

static const char *or_null(const char *s)
{
	return s[0] ? s : NULL;
}

/* Of tokens as many as it may take at most: they are put right by the reply. Not so many now: the page waits, untouched. */
static bool within_rate(struct attempt *a)
{
	a->tokens = (int64_t)MIN(a->req.max_input_tokens + a->req.max_output_tokens, (uint64_t)INT32_MAX);
	return backend_has_tokens(a->backend, a->tokens);
}

static bool have_credentials(struct attempt *a)
{
	struct backend *b = a->backend;
	int r;

	if (!b->credentials)
		return true;
	if (!backend_has_credentials(b))
		return false;
	r = credentials_take(b->credentials, &a->creds, &a->creds_generation);
	if (r < 0)
		backend_trouble(b, "local", errno_text(r));
	return r >= 0;
}

static bool can_sign_now(struct attempt *a, int64_t *ret_seconds)
{
	*ret_seconds = 0;
	if (!a->backend->extractor.ops->sign)
		return true;
	if (clock_signing_time(a->courier->service->clock, ret_seconds) >= 0)
		return true;
	backend_trouble(a->backend, "clock", NO_CLOCK);
	return false;
}

static void cannot_read(struct attempt *a, const struct page_row *row, int error)
{
	char reason[120];

	if (error == -ENODATA || error == -EIO) {
		str_format(reason, sizeof(reason), "lost: its file cannot be read: %s", errno_text(error));
		courier_hold(a->courier, row, reason);
	} else {
		backend_trouble(a->backend, "local", errno_text(error));
	}
}

bool attempt_is_whole_file(struct attempt *a, int fd, const struct page_row *row)
{
	int r = spool_page_verify(fd, row);

	if (r == -EBADMSG)
		courier_hold(a->courier, row, "damaged: its file is not what was accepted");
	else if (r < 0)
		cannot_read(a, row, r);
	return r >= 0;
}

bool attempt_is_whole(struct attempt *a)
{
	return attempt_is_whole_file(a, a->fd, &a->row) && attempt_pages_whole(a);
}

/* The page as it was accepted, and the hash of the request that carries it. */
static bool hashed(struct attempt *a)
{
	int r;

	if (!attempt_is_whole(a))
		return false;
	r = body_hash(&a->req);
	if (r < 0)
		cannot_read(a, &a->row, r);
	else
		hex_encode(a->req.body_sha256, SHA256_SIZE, a->body_hex);
	return r >= 0;
}

static bool prepare(struct attempt *a, int64_t *ret_signing_time)
{
	return api_key_ready(a) && attempt_build(a) && guarded(a) && priced(a) && within_rate(a) && have_credentials(a) &&
		can_sign_now(a, ret_signing_time) && hashed(a);
}

/* ---- from the reservation on ------------------------------------------------------------------------------------------------ */

static int reserve(struct attempt *a)
{
	struct url u;
	int64_t id;
	int r;

	r = attempt_describe_renderings(a);
	if (r < 0)
		return r;
	if (a->req.url && url_split(a->req.url, &u, NULL, 0) >= 0)
		str_copy(a->host, sizeof(a->host), u.host);
	a->open = (struct attempt_open){
		.page = &a->row,
		.more = a->more,
		.n_more = a->n_more,
		.backend = a->backend->config->name,
		.model = a->req.model,
		.region = a->req.region,
		.tier = a->req.tier,
		.resolved = a->req.resolved,
		.host = a->req.unix_socket ? NULL : or_null(a->host),
		.body_sha256 = a->body_hex,
		.body_bytes = (int64_t)request_body_length(&a->req),
		.reserved_pusd = a->price ? price_cost(a->price, a->req.max_input_tokens, a->req.max_output_tokens, 0) : 0,
		.priced = a->price && a->price->date[0] ? a->price->date : NULL,
		.lab = a->courier->service->config.lab,
		.budget = &a->courier->service->config.budget,
	};
	for (size_t i = 0; i <= a->n_more; i++) {
		a->open.renderings[i].json = a->shapes[i].told.len ? buf_str(&a->shapes[i].told) : NULL;
		a->open.renderings[i].sha256 = or_null(a->shapes[i].rendering.sha256);
	}
	id = ledger_open(a->courier->service->spool, &a->open);
	if (id < 0)
		return (int)id;
	a->id = id;
	service_storage(a->courier->service, 0);
	return 0;
}

void attempt_http_reply(void *ud, const struct reply *reply)
{
	struct attempt *a = ud;

	a->transfer = NULL;
	attempt_reply(a, reply);
}

static void on_helper_reply(void *ud, const struct reply *reply)
{
	struct attempt *a = ud;

	a->helper = NULL;
	attempt_reply(a, reply);
}

static int send_to_helper(struct attempt *a)
{
	const struct config *config = &a->courier->service->config;
	struct helper_options o = {.name = "ocr", .timeout_ms = a->req.timeout_ms};
	char program[PATH_SIZE + 32];

	str_format(program, sizeof(program), "%s/%s", config->helpers, OCR_PROGRAM);
	if (config->socket_helpers)
		o.socket = OCR_SOCKET;
	else
		o.program = program;
	return helper_send(a->courier->service->event, &o, &a->req, on_helper_reply, a, &a->helper);
}

int attempt_transmit(struct attempt *a)
{
	if (!a->req.url)
		return send_to_helper(a);
	return http_send(loop_http(a->courier->service->http), &a->req, attempt_http_reply, a, &a->transfer);
}

static int sign(struct attempt *a, int64_t signing_time)
{
	const struct extractor *x = &a->backend->extractor;
	int r = x->ops->sign ? x->ops->sign(x, &a->creds, signing_time, &a->req) : 0;

	creds_clear(&a->creds);
	return r;
}

void attempt_link(struct attempt *a)
{
	struct courier *c = a->courier;

	a->next = c->attempts;
	c->attempts = a;
	c->n_attempts++;
	a->backend->in_flight++;
	a->backend->last_seq[a->row.lane] = a->row.seq;
}

static void send_now(struct attempt *a, int64_t signing_time)
{
	struct service *s = a->courier->service;
	const struct log_field fields[] = {{"PAGE_ID", a->row.id}, {"BACKEND", a->backend->config->name}};
	int64_t now = clock_boottime_ms(s->clock);
	int r;

	attempt_link(a);
	a->began_ms = now;
	backend_begin(a->backend, a->tokens);
	a->deadline_ms = now + a->req.timeout_ms + TRANSFER_GRACE_MS;
	log_event(LOG_LEVEL_DEBUG, NULL, fields, ARRAY_SIZE(fields), "page %s goes to %s (attempt %" PRIi64 ")", a->row.id,
		a->backend->config->name, a->id);
	service_event(s, &(struct event){
		.kind = EVENT_ATTEMPT_STARTED,
		.page = &a->row,
		.backend = a->backend->config->name,
	});
	r = sign(a, signing_time);
	if (r < 0) {
		attempt_unsent(a, "signature", r == -EACCES ? "these credentials cannot sign" : errno_text(r));
		return;
	}
	attempt_follow(a);
	r = attempt_transmit(a);
	if (r < 0) {
		attempt_unsent(a, "local", errno_text(r));
		return;
	}
	STEP(SEND_STARTED);
}

int attempt_go(struct attempt *a)
{
	struct courier *c = a->courier;
	size_t n_more = a->n_more;
	int64_t signing_time;
	int r;

	if (!fill_job(a)) {
		attempt_free(a);
		return 0;
	}
	if (attempt_same(a)) {
		if (a->same_as[0])
			attempt_without_request(a);
		else
			attempt_free(a);
		return 0;
	}
	if (!attempt_choose_pages(a))
		return 0;
	if (a->n_more < n_more)
		return attempt_go(a); /* those that are left may have been answered before */
	if (attempt_wants_rendering(a)) {
		attempt_render(a);
		return 0;
	}
	if (!prepare(a, &signing_time)) {
		if (!a->too_large)
			attempt_free(a);
		else if (a->n_more == 0 && attempt_smaller(a, 0))
			attempt_render(a);
		else
			attempt_refused(a, "too-large", "it is larger than this backend takes, however small it is made");
		return 0;
	}
	r = reserve(a);
	if (r == -EFBIG && attempt_halve(a))
		return 0;
	if (r == -EFBIG) {
		attempt_refused(a, "over-budget", "it alone may cost more than the whole budget");
		return 0;
	}
	if (r == -EDQUOT)
		courier_over_budget(c, a->open.reserved_pusd);
	if (r < 0) {
		attempt_free(a);
		return r == -EDQUOT ? 0 : r;
	}
	send_now(a, signing_time);
	return 0;
}

int attempt_start(struct courier *c, struct backend *b, size_t asked, int64_t seq)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->courier = c;
	a->backend = b;
	a->asked = asked;
	a->fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(a->shapes); i++)
		a->shapes[i].rendering = RENDERING_NONE;
	a->row.seq = seq;
	if (open_page(a))
		return attempt_go(a);
	attempt_free(a);
	return 0;
}
