#include "daemon/resolver.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/text.h"
#include "cloud/bedrock_control.h"
#include "daemon/backoff.h"
#include "daemon/bedrock_ask.h"
#include "daemon/courier.h"
#include "daemon/messages.h"

#define MINUTES(n)      (INT64_C(60000) * (n))
#define BELIEVED_MS     MINUTES(60)
#define AGAIN_MS        MINUTES(45) /* after this it is asked again while what is known serves on */
#define REFUSED_MS      MINUTES(10) /* what leads abroad is seldom changed */
#define BACKOFF_MS      1000
#define BACKOFF_MAX_MS  MINUTES(1)
#define DEADLINE_MS     MINUTES(1)  /* beyond the transport's own, before the watchdog is told */

/* What is asked about one backend, in this order. */
enum part { PART_PROFILE, PART_GUARDRAIL, PART_BUCKET, N_PARTS };

/* Of one backend that has something to be resolved. */
struct entry {
	struct resolver *all;
	const struct backend_config *backend;
	bool wanted[N_PARTS];
	/* what was proved */
	bool proved;
	int64_t proved_ms;                  /* boottime of the question, not of the reply */
	struct bedrock_leads leads[N_PARTS];
	char arns[N_PARTS * sizeof(((struct bedrock_leads *)0)->arns)]; /* of all parts */
	/* the questions that are on their way */
	struct bedrock_ask *ask;            /* NULL: none */
	enum part part;
	int64_t asked_ms;                   /* boottime of the first of them */
	struct bedrock_leads fresh[N_PARTS];
	/* how it went */
	char reason[48], message[400];      /* of the last failure; "": none since it was proved */
	uint32_t failures;                  /* in a row */
	int64_t again_ms;                   /* boottime before which nothing is asked */
};

struct resolver {
	struct service *service;
	struct entry entries[BACKENDS_MAX];
	size_t n;
	sd_event_source *timer;
};

static void ask_part(struct entry *e);

static int64_t now_ms(const struct entry *e)
{
	return clock_boottime_ms(e->all->service->clock);
}

/* Its index; r->n: nothing of this backend is to be resolved. */
static size_t index_of(const struct resolver *r, const struct backend_config *b)
{
	size_t i = 0;

	while (i < r->n && r->entries[i].backend != b)
		i++;
	return i;
}

static const struct entry *find(const struct resolver *r, const struct backend_config *b)
{
	size_t i = r ? index_of(r, b) : 0;

	return r && i < r->n ? &r->entries[i] : NULL;
}

static bool believed(const struct entry *e)
{
	return e->proved && now_ms(e) - e->proved_ms < BELIEVED_MS;
}

static void kick(struct resolver *r)
{
	if (r->service->courier)
		courier_kick(r->service->courier);
}

static int on_timer(sd_event_source *source, uint64_t us, void *ud)
{
	kick(ud);
	return 0;
}

/* The courier looks again when the first of those that failed may be asked. */
static void arm(struct resolver *r)
{
	int64_t now = clock_boottime_ms(r->service->clock), next = INT64_MAX;

	for (size_t i = 0; i < r->n; i++)
		if (r->entries[i].failures > 0 && !r->entries[i].ask)
			next = MIN(next, MAX(r->entries[i].again_ms, now + 1));
	if (next < INT64_MAX && loop_timer(r->service->event, &r->timer, next - now, on_timer, r) < 0)
		log_error("resolver: no timer; it asks again with the next event");
}

/* ---- the end of a question ------------------------------------------------------------------------------------------ */

static uint32_t random_word(void)
{
	uint32_t x;

	random_bytes(&x, sizeof(x));
	return x;
}

/* It cannot be asked now: what is believed serves on. */
static void unresolved(struct entry *e, const char *message)
{
	str_copy(e->reason, sizeof(e->reason), "unresolved");
	text_safe_copy(e->message, sizeof(e->message), message);
	e->failures += e->failures < UINT32_MAX;
	e->again_ms = now_ms(e) + backoff_ms(BACKOFF_MS, BACKOFF_MAX_MS, e->failures, random_word(), BACKOFF_MS / 2);
	arm(e->all);
	kick(e->all);
}

/* It leads abroad, or does not prove the contrary: whatever was believed is over. */
static void refused(struct entry *e, const char *why)
{
	str_copy(e->reason, sizeof(e->reason), "residency");
	text_safe_copy(e->message, sizeof(e->message), why);
	e->proved = false;
	e->failures += e->failures < UINT32_MAX;
	e->again_ms = now_ms(e) + REFUSED_MS;
	arm(e->all);
	kick(e->all);
}

static void proved(struct entry *e)
{
	const struct log_field fields[] = {{"BACKEND", e->backend->name}};
	char arns[sizeof(e->arns)] = "";

	for (enum part p = 0; p < N_PARTS; p++) {
		size_t n = strlen(arns);

		e->leads[p] = e->fresh[p];
		if (e->wanted[p])
			str_format(arns + n, sizeof(arns) - n, "%s%s", n ? " " : "", e->leads[p].arns);
	}
	if (!e->proved || !streq(arns, e->arns))
		log_event(LOG_LEVEL_NOTICE, MESSAGE_RESOLVED, fields, ARRAY_SIZE(fields), "backend %s leads to %s: allowed", e->backend->name, arns);
	str_copy(e->arns, sizeof(e->arns), arns);
	e->proved = true;
	e->proved_ms = e->asked_ms;
	e->failures = 0;
	e->again_ms = 0;
	e->reason[0] = e->message[0] = '\0';
	kick(e->all);
}

/* ---- the questions -------------------------------------------------------------------------------------------------- */

static const char *action_of(enum part p)
{
	return p == PART_PROFILE ? "bedrock:GetInferenceProfile" : "bedrock:GetGuardrail";
}

/* Of a bucket the header says it, and of a refused one too. */
static void on_bucket(struct entry *e, const struct reply *r)
{
	const struct sagemaker_config *c = &e->backend->sagemaker;
	_cleanup_buf_ struct buf call = BUF_MAX(1024);
	char why[sizeof(e->message)];

	switch (s3_place_of(&c->bucket, r, why, sizeof(why))) {
	case S3_UNKNOWN:
		unresolved(e, why);
		return;
	case S3_ELSEWHERE:
		refused(e, why);
		return;
	case S3_STAYS:
		break;
	}
	if (sagemaker_url(c, &call) < 0 ||
		str_format(e->fresh[PART_BUCKET].arns, sizeof(e->fresh[PART_BUCKET].arns), "arn:aws:s3:::%s %s", c->bucket.name, buf_str(&call)) < 0) {
		unresolved(e, errno_text(-ENOMEM));
		return;
	}
	e->part++;
	ask_part(e);
}

static const char *subject(const struct entry *e)
{
	return e->part == PART_PROFILE ? e->backend->bedrock.model : e->backend->bedrock.guardrail;
}

static void not_answered(struct entry *e, const struct reply *r)
{
	char why[sizeof(e->message)];

	if (r->error != TRANSPORT_OK)
		str_format(why, sizeof(why), "Bedrock cannot be asked where %.150s leads: %.150s", subject(e), r->detail);
	else if (r->status == 403)
		str_format(why, sizeof(why), "AWS does not say where %.150s leads (403): allow %s to these credentials (configs/iam/)",
			subject(e), action_of(e->part));
	else if (r->status == 404)
		str_format(why, sizeof(why), "AWS knows no %.150s in %s (404): compare Model= and Guardrail= with the Bedrock console", subject(e),
			e->backend->bedrock.region);
	else
		str_format(why, sizeof(why), "AWS answers %d to where %.150s leads; it is asked again", r->status, subject(e));
	unresolved(e, why);
}

static bool part_stays(struct entry *e, const struct reply *r, char *why, size_t why_size)
{
	const struct bedrock_config *b = &e->backend->bedrock;
	struct bedrock_leads *leads = &e->fresh[e->part];
	struct guard_policy p;

	config_guard_policy(&e->all->service->config, &p);
	if (e->part == PART_PROFILE)
		return bedrock_profile_stays(&p, b->model, r->body, r->len, leads, why, why_size);
	return bedrock_guardrail_stays(b->region, b->guardrail, b->guardrail_version, r->body, r->len, leads, why, why_size);
}

static void on_reply(void *ud, const struct reply *r)
{
	struct entry *e = ud;
	char why[sizeof(e->message)];

	e->ask = NULL;
	if (e->part == PART_BUCKET) {
		on_bucket(e, r);
		return;
	}
	if (r->error != TRANSPORT_OK || r->status != 200) {
		not_answered(e, r);
	} else if (!part_stays(e, r, why, sizeof(why))) {
		refused(e, why);
	} else {
		e->part++;
		ask_part(e);
	}
}

static int url_of(const struct entry *e, char **ret)
{
	const struct bedrock_config *b = &e->backend->bedrock;
	_cleanup_buf_ struct buf url = {};
	int r = e->part == PART_BUCKET ? s3_url(&e->backend->sagemaker.bucket, "", &url)
		: e->part == PART_PROFILE ? bedrock_control_url(b->region, b->model, &url)
					: bedrock_guardrail_url(b->region, b->guardrail, b->guardrail_version, &url);

	if (r < 0)
		return r;
	*ret = buf_take(&url);
	return *ret ? 0 : -ENOMEM;
}

/* This part, or the next that is wanted; after the last one it is proved. */
static void ask_part(struct entry *e)
{
	char why[320] = "", *url = NULL;
	int r;

	while (e->part < N_PARTS && !e->wanted[e->part])
		e->part++;
	if (e->part == N_PARTS) {
		proved(e);
		return;
	}
	r = url_of(e, &url);
	if (r >= 0)
		r = bedrock_ask(e->all->service, e->backend, url, on_reply, e, &e->ask, why, sizeof(why));
	if (r < 0 && r != -EAGAIN) /* credentials that come kick the courier, which looks again */
		unresolved(e, why[0] ? why : errno_text(r));
}

static void begin(struct entry *e)
{
	if (e->ask || now_ms(e) < e->again_ms)
		return;
	e->part = 0;
	e->asked_ms = now_ms(e);
	ask_part(e);
}

/* ---- for who needs it ------------------------------------------------------------------------------------------------ */

enum resolve_state resolver_look(struct resolver *r, const struct backend_config *b, const char **ret_reason, const char **ret_message)
{
	size_t i = r ? index_of(r, b) : 0;
	struct entry *e;

	if (!r || i == r->n)
		return RESOLVE_READY;
	e = &r->entries[i];
	if (!believed(e) || now_ms(e) - e->proved_ms >= AGAIN_MS)
		begin(e);
	if (believed(e))
		return RESOLVE_READY;
	if (!e->message[0]) {
		*ret_reason = "unresolved";
		*ret_message = "AWS is being asked where its model or guardrail leads, or its bucket is";
		return RESOLVE_COMING;
	}
	*ret_reason = e->reason;
	*ret_message = e->message;
	return RESOLVE_FAILED;
}

const char *resolver_leads(const struct resolver *r, const struct backend_config *b)
{
	const struct entry *e = find(r, b);

	return e && believed(e) ? e->arns : NULL;
}

const char *resolver_model(const struct resolver *r, const struct backend_config *b)
{
	const struct entry *e = find(r, b);

	return e && believed(e) && e->leads[PART_PROFILE].model[0] ? e->leads[PART_PROFILE].model : NULL;
}

bool resolver_tell(const struct resolver *r, const struct backend_config *b, bool *ret_well, char *text, size_t size)
{
	const struct entry *e = find(r, b);

	if (!e)
		return false;
	*ret_well = believed(e);
	if (*ret_well)
		str_format(text, size, "%lld minutes ago AWS said that it leads to %s", (long long)((now_ms(e) - e->proved_ms) / MINUTES(1)), e->arns);
	else
		str_copy(text, size, e->message[0] ? e->message : "AWS has not been asked yet where it leads");
	return true;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void add(struct resolver *r, const struct backend_config *b)
{
	bool bucket = b->kind == KIND_SAGEMAKER && b->sagemaker.bucket.name[0];
	bool profile = starts_with(b->bedrock.model, "arn:") && strstr(b->bedrock.model, ":application-inference-profile/");

	if (!bucket && (b->kind != KIND_BEDROCK || (!profile && !b->bedrock.guardrail[0])))
		return;
	r->entries[r->n++] = (struct entry){
		.all = r, .backend = b, .wanted = {[PART_PROFILE] = profile, [PART_GUARDRAIL] = b->bedrock.guardrail[0], [PART_BUCKET] = bucket}};
}

int resolver_new(struct service *s, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->service = s;
	for (size_t i = 0; i < s->config.n_backends; i++)
		add(r, &s->config.backends[i]);
	*ret = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		bedrock_ask_cancel(r->entries[i].ask);
	sd_event_source_disable_unref(r->timer);
	free(r);
}

const char *resolver_hangs(const struct resolver *r)
{
	for (size_t i = 0; r && i < r->n; i++)
		if (r->entries[i].ask && now_ms(&r->entries[i]) - r->entries[i].asked_ms > N_PARTS * DEADLINE_MS)
			return "resolver: a question is past its deadline";
	return NULL;
}
