#include "daemon/credentials.h"

#include <inttypes.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/backoff.h"
#include "daemon/courier.h"
#include "daemon/program.h"

#define MINUTES(n)          (INT64_C(60000) * (n))
#define ADVISORY_MS         MINUTES(15) /* with less than this left they are renewed; if that fails the old ones serve on */
#define MANDATORY_MS        MINUTES(10) /* with less than this they serve only after one renewal was tried */
#define JITTER_MS           MINUTES(5)  /* earlier, so that a fleet does not renew as one */
#define LOCAL_AGAIN_MS      1000        /* files are read again before use, but no more often than this */
#define HURRY_MS            1000        /* what failed is not asked for more often than this, whoever wants to know */
#define BACKOFF_MS          1000
#define BACKOFF_MAX_MS      MINUTES(5)
#define LOCAL_BACKOFF_MAX_MS 30000
#define REFUSED_BACKOFF_MS  MINUTES(1)
#define REFUSED_MAX_MS      MINUTES(30)
#define GRACE_MS            30000       /* beyond a step's own deadline, before the watchdog is told */
#define OUTPUT_MAX          ((size_t)64 << 10)
#define STEPS_MAX           32          /* of one retrieval */

struct provider {
	struct credentials *all;
	const struct creds_config *config;
	bool stable;  /* of its source */
	bool local;   /* what came last, credentials or not, came of files alone */
	/* what is there */
	bool have, have_local;
	struct creds creds;
	uint64_t generation;
	int64_t got_ms;                   /* boottime */
	int64_t advisory_ms, mandatory_ms; /* left before their end */
	/* the retrieval that is on its way */
	struct creds_source *source;      /* NULL: none */
	struct creds_step step;
	unsigned int steps;
	struct http_transfer *transfer;
	struct program *program;
	struct provider *asked;           /* it waits for these */
	uint64_t asked_generation;
	int64_t deadline_ms;              /* boottime, of the step */
	/* how it went */
	char reason[48], message[240];    /* of the last failure; "": none since they came */
	uint32_t failures;                /* in a row */
	int64_t began_ms;                 /* boottime of the last retrieval */
	int64_t again_ms;                 /* boottime before which nothing is asked */
	uint32_t refused;                 /* in a row, by services */
	uint64_t refused_generation;      /* the last that was; 0: accepted since */
	bool bad;                         /* what is there was refused: a look gets others */
};

struct credentials {
	struct service *service;
	struct provider providers[CREDENTIALS_MAX];
	size_t n;
	sd_event_source *timer;
};

static void advance(struct provider *p, const struct reply *reply, const struct creds *creds);

static const struct clock *clock_of(const struct provider *p)
{
	return p->all->service->clock;
}

static int64_t boot_ms(const struct provider *p)
{
	return clock_boottime_ms(clock_of(p));
}

/* Realtime as far as it is known. */
static int64_t now_ms(const struct provider *p)
{
	return clock_realtime_ms(clock_of(p)) + clock_skew_ms(clock_of(p));
}

static uint32_t random_word(void)
{
	uint32_t x;

	random_bytes(&x, sizeof(x));
	return x;
}

/* ---- when to look again ------------------------------------------------------------------------------------------------- */

static void kick(struct credentials *c)
{
	if (c->service->courier)
		courier_kick(c->service->courier);
}

static void arm(struct credentials *c);

static int on_timer(sd_event_source *source, uint64_t us, void *ud)
{
	kick(ud);
	arm(ud); /* timers count from the loop's last look at the clock, so it may have been a moment early */
	return 0;
}

/* The next failed one whose time comes. What is due already was kicked for. */
static void arm(struct credentials *c)
{
	int64_t now = clock_boottime_ms(c->service->clock), next = INT64_MAX;

	for (size_t i = 0; i < c->n; i++) {
		const struct provider *p = &c->providers[i];

		if ((p->failures > 0 || p->bad) && !p->source && p->again_ms > now)
			next = MIN(next, p->again_ms);
	}
	if (next < INT64_MAX && loop_timer(c->service->event, &c->timer, next - now, on_timer, c) < 0)
		log_error("credentials: no timer; they are asked for again with the next event");
}

/* ---- the end of a retrieval --------------------------------------------------------------------------------------------- */

static void retrieval_end(struct provider *p)
{
	http_cancel(take_ptr(p->transfer));
	program_cancel(take_ptr(p->program));
	creds_step_clear(&p->step);
	creds_source_free(take_ptr(p->source));
	p->asked = NULL;
}

/* Those that asked for p's wait no longer. */
static void tell_waiting(struct provider *p)
{
	for (size_t i = 0; i < p->all->n; i++) {
		struct provider *w = &p->all->providers[i];

		if (w->asked == p && w->source && w->step.action == CREDS_ASK)
			advance(w, NULL, NULL);
	}
}

static void drop(struct provider *p)
{
	creds_clear(&p->creds);
	p->have = false;
}

static bool believed(const struct provider *p)
{
	return clock_trust(clock_of(p)) != TIME_UNTRUSTED;
}

static bool usable(const struct provider *p)
{
	return p->have && (!believed(p) || p->stable || creds_fresh(&p->creds, now_ms(p)));
}

static void failed(struct provider *p, const char *reason, const char *message)
{
	const struct log_field fields[] = {{"CREDENTIALS", p->config->name}};
	bool same = streq(p->reason, reason);

	str_copy(p->reason, sizeof(p->reason), reason);
	text_safe_copy(p->message, sizeof(p->message), message);
	p->local = p->step.local;
	retrieval_end(p); /* what was said may be its */
	p->failures += p->failures < UINT32_MAX;
	p->again_ms = boot_ms(p) + backoff_ms(BACKOFF_MS, p->local ? LOCAL_BACKOFF_MAX_MS : BACKOFF_MAX_MS, p->failures,
		random_word(), BACKOFF_MS / 2);
	/* A file that is gone was taken away: its keys are not used on. */
	if (p->have_local)
		drop(p);
	else if (usable(p) && !p->bad && !same)
		log_event(LOG_LEVEL_WARNING, NULL, fields, ARRAY_SIZE(fields),
			"credentials %s cannot be renewed; the old ones serve until they expire: %s: %s", p->config->name, p->reason,
			p->message);
	arm(p->all);
	tell_waiting(p);
	kick(p->all);
}

/* Half and a third of a short life; longer ones the fixed times. */
static void set_windows(struct provider *p)
{
	int64_t life = p->creds.expires_ms - now_ms(p), early;

	early = (int64_t)((uint64_t)CLAMP(life / 10, INT64_C(0), JITTER_MS) * random_word() >> 32);
	p->advisory_ms = MIN(ADVISORY_MS, life / 2) + early;
	p->mandatory_ms = MIN(MANDATORY_MS, life / 3) + early;
}

static bool same_creds(const struct creds *a, const struct creds *b)
{
	return streq(a->access_key, b->access_key) && streq(a->secret_key, b->secret_key) &&
	       streq(a->token ? a->token : "", b->token ? b->token : "") && streq(a->bearer ? a->bearer : "", b->bearer ? b->bearer : "");
}

static void arrived(struct provider *p)
{
	const struct log_field fields[] = {{"CREDENTIALS", p->config->name}};
	bool same = p->have && same_creds(&p->creds, &p->step.creds), news = !same || p->failures > 0 || p->bad;

	if (believed(p) && !creds_fresh(&p->step.creds, now_ms(p))) {
		failed(p, "expired-token", "the AWS credentials have expired; renew them in their source");
		return;
	}
	if (!same) {
		creds_clear(&p->creds);
		p->creds = p->step.creds;
		wipe(&p->step.creds, sizeof(p->step.creds));
		p->have = true;
		p->generation++;
		log_event(LOG_LEVEL_INFO, NULL, fields, ARRAY_SIZE(fields), "credentials %s: %s", p->config->name, p->creds.source);
	}
	p->creds.expires_ms = same ? p->step.creds.expires_ms : p->creds.expires_ms;
	p->local = p->have_local = p->step.local;
	set_windows(p);
	p->got_ms = boot_ms(p);
	p->failures = 0;
	p->bad = false;
	p->reason[0] = p->message[0] = '\0';
	retrieval_end(p);
	tell_waiting(p);
	if (news)
		kick(p->all);
}

/* ---- its steps ---------------------------------------------------------------------------------------------------------- */

static void on_reply(void *ud, const struct reply *reply)
{
	struct provider *p = ud;

	p->transfer = NULL;
	/* Its Date is from over verified TLS, and of AWS. */
	if (reply->date_ms > 0 && p->step.request.region)
		clock_learn_date(p->all->service->clock, reply->date_ms, reply->done_ms - reply->sent_ms);
	advance(p, reply, NULL);
}

static void on_output(void *ud, const struct reply *reply)
{
	struct provider *p = ud;

	p->program = NULL;
	advance(p, reply, NULL);
}

static void send_request(struct provider *p)
{
	const struct request *req = &p->step.request;
	const struct guard_question q = {
		.sink = p->step.sink,
		.url = req->unix_socket ? NULL : req->url,
		.unix_socket = req->unix_socket,
		.connect_to = req->connect_to,
		.model = req->model,
		.region = req->region,
		.interface = req->interface,
	};
	struct guard_policy policy;
	char why[320];
	int r;

	config_guard_policy(&p->all->service->config, &policy);
	if (guard_check(&policy, &q, why, sizeof(why)) != GUARD_ALLOW) {
		failed(p, "residency", why);
		return;
	}
	p->deadline_ms = boot_ms(p) + req->timeout_ms + GRACE_MS;
	r = http_send(loop_http(p->all->service->http), req, on_reply, p, &p->transfer);
	if (r < 0)
		failed(p, "local", errno_text(r));
}

static void run_program(struct provider *p)
{
	const struct program_options o = {
		.argv = p->step.argv,
		.timeout_ms = p->config->timeout_ms,
		.max_output = OUTPUT_MAX,
	};
	char why[200];
	int r;

	p->deadline_ms = boot_ms(p) + o.timeout_ms + GRACE_MS;
	r = program_run(p->all->service->event, &o, on_output, p, &p->program);
	if (r < 0) {
		str_format(why, sizeof(why), "the program %.120s cannot be run: %s", p->step.argv[0], errno_text(r));
		failed(p, "program", why);
	}
}

/* Goes on when they are there, at once or later. */
static void ask_other(struct provider *p)
{
	struct provider *other = credentials_find(p->all, p->step.section);
	const char *reason, *message;
	enum credentials_state state;

	if (!other) {
		failed(p, "local", "there is no such section of credentials");
		return;
	}
	p->deadline_ms = INT64_MAX; /* theirs counts */
	p->asked = NULL;            /* what comes during this look is told by it */
	state = credentials_look(other, &reason, &message);
	if (state == CREDENTIALS_FAILED) {
		failed(p, reason, message);
		return;
	}
	p->asked = other;
	if (state == CREDENTIALS_READY)
		advance(p, NULL, &other->creds);
}

static void act(struct provider *p)
{
	switch (p->step.action) {
	case CREDS_SEND:
		send_request(p);
		return;
	case CREDS_RUN:
		run_program(p);
		return;
	case CREDS_ASK:
		ask_other(p);
		return;
	case CREDS_HAVE:
		arrived(p);
		return;
	case CREDS_FAILED:
		if (p->step.creds_wrong && p->asked)
			credentials_refused(p->asked, p->asked_generation);
		failed(p, p->step.reason, p->step.message);
		return;
	}
}

/* What came of the last step, to the source; and what that says next. */
static void advance(struct provider *p, const struct reply *reply, const struct creds *creds)
{
	struct creds_input in = {.now_ms = now_ms(p), .reply = reply, .creds = creds};
	struct creds_step next;
	int r = -ELOOP;

	if (p->step.action == CREDS_ASK && p->asked && !creds) {
		ask_other(p); /* they have come, or failed */
		return;
	}
	if (creds)
		p->asked_generation = p->asked->generation;
	if (clock_signing_time(clock_of(p), &in.signing_s) < 0)
		in.signing_s = 0;
	if (p->steps++ < STEPS_MAX)
		r = creds_source_next(p->source, &in, &next);
	if (r < 0) {
		failed(p, "local", errno_text(r));
		return;
	}
	creds_step_clear(&p->step);
	p->step = next;
	wipe(&next, sizeof(next));
	act(p);
}

static void begin(struct provider *p)
{
	int r;

	if (p->source || boot_ms(p) < p->again_ms)
		return;
	r = creds_source_new(p->config, &p->source);
	if (r < 0) {
		failed(p, "local", errno_text(r));
		return;
	}
	p->steps = 0;
	p->began_ms = boot_ms(p);
	advance(p, NULL, NULL);
}

/* ---- for who needs them ------------------------------------------------------------------------------------------------- */

static bool is_due(const struct provider *p)
{
	if (!p->have || p->bad)
		return true;
	if (p->local)
		return boot_ms(p) - p->got_ms >= LOCAL_AGAIN_MS;
	return believed(p) && p->creds.expires_ms && p->creds.expires_ms - now_ms(p) <= p->advisory_ms;
}

/* Short of time, and not tried yet since they came. */
static bool must_wait(const struct provider *p)
{
	return p->source && p->failures == 0 && believed(p) && p->creds.expires_ms &&
	       p->creds.expires_ms - now_ms(p) <= p->mandatory_ms;
}

enum credentials_state credentials_look(struct provider *p, const char **ret_reason, const char **ret_message)
{
	if (p->have && !usable(p))
		drop(p);
	if (is_due(p))
		begin(p);
	if (usable(p) && !must_wait(p) && !p->bad)
		return CREDENTIALS_READY;
	if (p->source)
		return CREDENTIALS_COMING;
	*ret_reason = p->reason[0] ? p->reason : "refused";
	*ret_message = p->reason[0] ? p->message : "AWS refused these credentials; others are asked for after a while";
	return CREDENTIALS_FAILED;
}

int credentials_take(struct provider *p, struct creds *ret, uint64_t *ret_generation)
{
	int r = usable(p) ? creds_copy(&p->creds, ret) : -ENOKEY;

	if (r >= 0)
		*ret_generation = p->generation;
	return r;
}

void credentials_refused(struct provider *p, uint64_t generation)
{
	/* Others have come since, or it is known. */
	if (generation != p->generation || p->bad || !p->have)
		return;
	p->bad = true;
	p->refused_generation = generation;
	p->refused += p->refused < UINT32_MAX;
	/* The first time at once; and then not again and again, when what comes is refused, too. To read a file again is cheap. */
	p->again_ms = p->local || p->refused == 1 ? 0 : boot_ms(p) + backoff_ms(REFUSED_BACKOFF_MS, REFUSED_MAX_MS,
		p->refused - 1, random_word(), REFUSED_BACKOFF_MS / 2);
	arm(p->all);
	kick(p->all);
}

void credentials_clock_set(struct credentials *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->providers[i].failures > 0)
			c->providers[i].again_ms = 0;
	arm(c);
}

uint64_t credentials_generation(const struct provider *p)
{
	return p->generation;
}

void credentials_accepted(struct provider *p, uint64_t generation)
{
	if (generation != p->generation)
		return;
	p->refused = 0;
	p->refused_generation = 0;
}

void credentials_hurry(struct provider *p)
{
	if (boot_ms(p) - p->began_ms >= HURRY_MS)
		p->again_ms = 0;
}

void credentials_view(const struct provider *p, struct credentials_view *ret)
{
	struct credentials_view v = {.coming = p->source != NULL, .local = p->local};

	if (usable(p)) {
		v.ready = !must_wait(p) && !p->bad;
		v.refused = p->refused_generation == p->generation;
		v.source = p->creds.source;
		v.expires_ms = p->creds.expires_ms;
		creds_hint(&p->creds, v.hint);
	}
	if (p->reason[0]) {
		v.reason = p->reason;
		v.message = p->message;
	}
	v.wait_ms = MAX(p->again_ms - boot_ms(p), INT64_C(0));
	*ret = v;
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

struct provider *credentials_find(struct credentials *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (streq(c->providers[i].config->name, name))
			return &c->providers[i];
	return NULL;
}

int credentials_new(struct service *s, struct credentials **ret)
{
	struct credentials *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->service = s;
	for (; c->n < s->config.n_credentials; c->n++) {
		const struct creds_config *config = &s->config.credentials[c->n];

		c->providers[c->n] = (struct provider){
			.all = c,
			.config = config,
			.stable = creds_source_ops((enum creds_kind)config->kind)->stable,
		};
	}
	*ret = c;
	return 0;
}

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++) {
		retrieval_end(&c->providers[i]);
		drop(&c->providers[i]);
	}
	sd_event_source_disable_unref(c->timer);
	free(c);
}

const char *credentials_hang(const struct credentials *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->providers[i].source && boot_ms(&c->providers[i]) > c->providers[i].deadline_ms)
			return "credentials: a step is past its deadline";
	return NULL;
}
