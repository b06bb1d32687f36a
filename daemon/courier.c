/* Which page goes where now, when to look again, and the deliveries. */
#include "daemon/courier_internal.h"

#include "base/log.h"
#include "base/step.h"
#include "daemon/delivery.h"
#include "daemon/document.h"
#include "daemon/messages.h"

/* Pages of a class looked at: some more than are in flight; and at times many more, when a backend is ready and none of those
 * is for it (they wait, or a fallback has failed them), so that none hides the others. */
#define WINDOW_MORE       8
#define WINDOW_MAX        (BACKENDS_MAX * CONCURRENCY_MAX + 256 + WINDOW_MORE)
#define WIDE_EVERY_MS     5000
#define CLASSES_MAX       4096
#define SENDS_A_TURN      16
#define TURN_MS           100    /* and no longer: a look over very many classes takes its time */
#define LOOK_AGAIN_MS     60000  /* even when nothing seems to come: the clock may have been set, a class was too long */
#define DAY_TURNS_MS      100    /* its clock is drawn towards the true one meanwhile */
#define STORAGE_AGAIN_MS  5000
#define BACKLOG_SHARE     4      /* one in so many */
#define FRESH_MS          300000 /* a page is fresh for so long, or for twice as long */
#define DELIVERIES_A_TURN 16
#define DELIVERY_BASE_MS  1000
#define DELIVERY_CAP_MS   300000

/* What goes first: somebody waits for a page that was scanned just now; those of an outage that lie in the same lane have
 * waited for days. */
enum tier { TIER_FRESH, TIER_NOW, TIER_BACKLOG, N_TIERS };

/* The best page found for a backend, by tier. */
struct pick {
	bool found;
	enum page_state state;
	int64_t seq;
	size_t asked;
};
struct picks {
	struct pick of[BACKENDS_MAX][N_TIERS];
};

void courier_storage_failed(struct courier *c, int error)
{
	service_storage(c->service, error);
	c->storage_wait_ms = clock_boottime_ms(c->service->clock) + STORAGE_AGAIN_MS;
}

void courier_say_held(const struct page_row *p)
{
	const struct log_field fields[] = {{"PAGE_ID", p->id}};

	log_event(LOG_LEVEL_WARNING, starts_with(p->reason, "lost:") ? MESSAGE_PAGE_LOST : MESSAGE_PAGE_HELD, fields,
		ARRAY_SIZE(fields), "page %s is held: %s", p->id, p->reason);
}

void courier_hold(struct courier *c, const struct page_row *row, const char *reason)
{
	struct spool *spool = c->service->spool;
	struct page_row now, others[JOB_IMAGES_MAX];
	int r = spool_page_get(spool, row->seq, &now);
	/* They are held with it, also when it leaves them. */
	ssize_t n = r < 0 ? 0 : group_others(spool, &now, others, ARRAY_SIZE(others));

	if (r >= 0)
		r = spool_page_hold(spool, row->seq, reason);
	if (r >= 0)
		r = spool_page_get(spool, row->seq, &now);
	if (r < 0) {
		courier_storage_failed(c, r);
		return;
	}
	courier_say_held(&now);
	service_event(c->service, &(struct event){.kind = EVENT_PAGE_HELD, .page = &now, .reason = now.reason});
	for (ssize_t i = 0; i < n; i++)
		if (spool_page_get(spool, others[i].seq, &now) >= 0)
			service_event(c->service, &(struct event){.kind = EVENT_PAGE_HELD, .page = &now, .reason = now.reason});
}

void courier_over_budget(struct courier *c, int64_t need_pusd)
{
	c->over_pusd = need_pusd;
	log_notice("the budget has no room for the next page: pages %s",
		c->service->config.over_budget == OVER_NEXT ? "go to backends that cost nothing" : "wait until it has");
}

static void courier_look_at(struct courier *c, int64_t boottime_ms)
{
	c->wake_ms = MIN(c->wake_ms, boottime_ms);
}

/* A reply gives back what was reserved too much, and every day is a new one. */
static void look_at_budget(struct courier *c)
{
	struct budget_sums sums;
	int r;

	if (c->over_pusd == 0)
		return;
	r = budget_sums(c->service->spool, &sums);
	if (r < 0)
		courier_storage_failed(c, r);
	else if (budget_room(&c->service->config.budget, &sums, c->over_pusd) != BUDGET_FULL)
		c->over_pusd = 0;
	else
		courier_look_at(c, clock_boottime_ms(c->service->clock) + budget_resets_in_ms(c->service->spool) + DAY_TURNS_MS);
}

/* ---- finding what is due -------------------------------------------------------------------------------------------------- */

static bool in_flight(const struct courier *c, int64_t seq)
{
	for (const struct attempt *a = c->attempts; a; a = a->next)
		if (a->row.seq == seq)
			return true;
	return false;
}

/* The page's own jitter: the same whenever it is asked for, so that looking more often does not shorten the wait. */
static uint32_t jitter(const struct courier *c, int64_t seq, int64_t tries)
{
	uint64_t x = (uint64_t)seq * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)tries << 32) ^ c->salt;

	/* The finaliser of splitmix64. */
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((x ^ (x >> 31)) >> 32);
}

static int64_t due_at(const struct courier *c, const struct due_page *p, int64_t tries, const struct backend_config *b)
{
	const struct clock *clock = c->service->clock;

	return due_time_ms(p, &(struct due_when){
		.tries = tries,
		.base_ms = b->backoff_ms,
		.cap_ms = b->backoff_max_ms,
		.random = jitter(c, p->seq, tries),
		.now_boot_ms = clock_boottime_ms(clock),
		.now_real_ms = clock_realtime_ms(clock),
		.started_ms = c->started_ms,
		.clock_believed = clock_trust(clock) != TIME_UNTRUSTED,
	});
}

/* It was down, and has answered no page since: what it is sent is a probe, whatever its state. */
static bool is_probing(const struct backend *b)
{
	return b->health.breaker.down_since_ms != 0;
}

/* Queued before provisional, then in order of acceptance. Probes go round instead, in each lane by itself: pages that make a
 * server fail must not be the only ones it is asked, or they stop all others. */
static bool better(const struct backend *b, enum lane lane, const struct pick *new, const struct pick *old)
{
	int64_t last = b->last_seq[lane];

	if (!old->found)
		return true;
	if (is_probing(b))
		return (new->seq > last) != (old->seq > last) ? new->seq > last : new->seq < old->seq;
	return new->state != old->state ? new->state == STATE_QUEUED : new->seq < old->seq;
}

/* Where the backends end that may be asked: a provisional page is for better ones than the one that answered. */
static size_t ask_until(const struct due_class *k, const struct spool_job *job, const struct due_page *p)
{
	return k->state == STATE_PROVISIONAL ? attempt_answered_index(job, p->answered) : job->n_route;
}

static enum tier tier_of(const struct courier *c, const struct due_class *k, const struct due_page *p)
{
	if (k->lane != LANE_NOW)
		return TIER_BACKLOG;
	return p->seq > c->fresh_after ? TIER_FRESH : TIER_NOW;
}

/* The page is noted for its backend if it is due, or when it will be. Is there one that would take it? */
static bool consider(struct courier *c, const struct due_class *k, const struct spool_job *job, const struct due_page *p,
	struct picks *picks)
{
	enum rung_state rungs[ROUTE_MAX];
	struct pick new = {.found = true, .state = k->state, .seq = p->seq};
	enum lane lane = k->lane == 0 ? LANE_NOW : LANE_BACKLOG;
	struct backend *b;
	struct pick *old;
	int64_t due;
	int target;

	attempt_rungs(c, job, p, (size_t)k->rung, rungs);
	target = route_target(rungs, job->n_route, (size_t)k->rung, ask_until(k, job, p));
	if (target < 0)
		return false;
	b = backend_find(c, job->route[target]);
	if (b->extractor.ops->paid && courier_same_is_out(c, p->content))
		return false;
	due = due_at(c, p, k->tries, b->config);
	if (due > clock_boottime_ms(c->service->clock)) {
		courier_look_at(c, due);
		return false;
	}
	new.asked = (size_t)target;
	old = &picks->of[b - c->backends][tier_of(c, k, p)];
	if (better(b, lane, &new, old))
		*old = new;
	return true;
}

/* Each is a commit: those that this turn has no time for are found again by the next. One has its time always, however long the
 * look took that found it. */
static void hold_hopeless(struct courier *c, int64_t seq, const char *reason)
{
	struct page_row row = {.seq = seq};

	if (c->turn_held && clock_boottime_ms(c->service->clock) >= c->turn_ends_ms) {
		c->turn_cut = true;
		return;
	}
	c->turn_held = true;
	courier_hold(c, &row, reason);
}

/* Pages whose job cannot be read, or of whose route nobody is left to ask in the configuration, need a person. */
static bool hopeless(struct courier *c, const struct due_class *k, const struct spool_job *job, const struct due_page *p)
{
	if (!job) {
		hold_hopeless(c, p->seq, "job: what was asked of it cannot be read");
		return true;
	}
	for (size_t i = (size_t)k->rung; i < ask_until(k, job, p); i++)
		if (backend_find(c, job->route[i]))
			return false;
	hold_hopeless(c, p->seq, k->state == STATE_QUEUED ? "no-backend: the configuration has none of the backends of its route"
						       : "no-backend: it has a fallback's answer, and the configuration has no "
							 "better backend of its route; retry takes what there is");
	return true;
}

/* Could any of the class's route take a page now (and, if so asked, as a probe)? */
static bool somebody_ready(struct courier *c, const struct due_class *k, bool probe)
{
	const struct spool_job *job;

	if (spool_job_by_id(c->service->spool, k->job, &job) < 0)
		return false;
	for (size_t i = (size_t)k->rung; job && i < job->n_route; i++) {
		struct backend *b = backend_find(c, job->route[i]);

		if (b && (!probe || is_probing(b)) && backend_rung(b, 0) == RUNG_READY)
			return true;
	}
	return false;
}

/* How many of them would be taken now. n < 0: an error, of none. A job that cannot be read just now is no fault of its pages. */
static int consider_all(struct courier *c, const struct due_class *k, const struct due_page *pages, ssize_t n, struct picks *picks)
{
	const struct spool_job *job;
	int found = 0, r = n > 0 ? spool_job_by_id(c->service->spool, k->job, &job) : 0;

	if (r < 0)
		return r;
	for (ssize_t i = 0; i < n; i++)
		if (!in_flight(c, pages[i].seq) && !hopeless(c, k, job, &pages[i]))
			found += consider(c, k, job, &pages[i], picks);
	return found;
}

static int look_at_class(struct courier *c, const struct due_class *k, struct picks *picks)
{
	/* Probes go round all of them, not only those at the head. (No more are in flight than Concurrency= of all together.) */
	ssize_t window = somebody_ready(c, k, true) ? WINDOW_MAX : (ssize_t)c->n_attempts + WINDOW_MORE, n;
	struct spool *spool = c->service->spool;
	struct due_page pages[WINDOW_MAX];
	int found;

	n = due_pages(spool, k, pages, (size_t)window);
	found = consider_all(c, k, pages, n, picks);
	if (found < 0)
		return found;
	if (n < window)
		return (int)MIN(n, 0);
	if (found == 0 && c->wide && somebody_ready(c, k, false)) {
		n = due_pages(spool, k, pages, WINDOW_MAX);
		consider_all(c, k, pages, n, picks);
		c->wide_ms = clock_boottime_ms(c->service->clock) + WIDE_EVERY_MS;
	}
	/* Behind a long queue of its own lane. */
	if (n >= 0 && k->lane == LANE_NOW) {
		n = due_pages_after(spool, k, c->fresh_after, pages, (size_t)window);
		consider_all(c, k, pages, n, picks);
	}
	return (int)MIN(n, 0);
}

static int look(struct courier *c, struct picks *picks)
{
	static const enum page_state states[] = {STATE_QUEUED, STATE_PROVISIONAL};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct due_class k = {.state = states[i], .lane = -1};
		int r = 0;

		for (size_t classes = 0; classes < CLASSES_MAX && (r = due_class_next(c->service->spool, &k)) > 0; classes++) {
			r = look_at_class(c, &k, picks);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- sending -------------------------------------------------------------------------------------------------------------- */

/* Of the lane of now: one in so many is for those that are not fresh. */
static const struct pick *choose_now(const struct backend *b, const struct pick of[static N_TIERS])
{
	bool old_first = b->picks_now % BACKLOG_SHARE == BACKLOG_SHARE - 1;

	if (!of[TIER_FRESH].found || (old_first && of[TIER_NOW].found))
		return of[TIER_NOW].found ? &of[TIER_NOW] : NULL;
	return &of[TIER_FRESH];
}

static const struct pick *choose(const struct backend *b, const struct pick of[static N_TIERS])
{
	const struct pick *now = choose_now(b, of), *backlog = &of[TIER_BACKLOG];
	bool backlog_first = b->picks % BACKLOG_SHARE == BACKLOG_SHARE - 1;

	if (BUG("courier-no-share")) /* planted: the backlog gets what is left over */
		backlog_first = false;
	if (BUG("courier-one-lane") && now && backlog->found) /* planted: in order of acceptance */
		return now->seq < backlog->seq ? now : backlog;
	if (!now || (backlog_first && backlog->found))
		return backlog->found ? backlog : NULL;
	return now;
}

/* One page to each backend that has one: how many were taken, or negative errno. */
static int send_picks(struct courier *c, struct picks *picks)
{
	int n = 0;

	for (size_t i = 0; i < c->n_backends; i++) {
		struct backend *b = &c->backends[i];
		const struct pick *p = choose(b, picks->of[i]);
		int r;

		/* One page may have been the best of two backends at once: by now it is with the first. */
		if (!p || in_flight(c, p->seq))
			continue;
		b->picks++;
		b->picks_now += p < &picks->of[i][TIER_BACKLOG];
		r = attempt_start(c, b, p->asked, p->seq);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

static int64_t health_wake(struct courier *c)
{
	int64_t now = clock_boottime_ms(c->service->clock), wake = INT64_MAX;

	for (size_t i = 0; i < c->n_backends; i++) {
		if (c->backends[i].no_credentials_ms && c->backends[i].no_credentials_ms + c->backends[i].config->fallback_after_ms > now)
			wake = MIN(wake, c->backends[i].no_credentials_ms + c->backends[i].config->fallback_after_ms);
		wake = MIN(wake, backend_rate_wake_ms(&c->backends[i]));
		if (c->backends[i].spread_ms > now)
			wake = MIN(wake, c->backends[i].spread_ms);
		wake = MIN(wake, health_wake_ms(&c->backends[i].health, now, c->backends[i].config->fallback_after_ms));
	}
	return wake;
}

static int on_timer(sd_event_source *source, uint64_t us, void *ud)
{
	courier_kick(ud);
	return 0;
}

static void sleep_until_due(struct courier *c)
{
	int64_t now = clock_boottime_ms(c->service->clock);
	int64_t ms = CLAMP(MIN(c->wake_ms, health_wake(c)) - now, INT64_C(1), (int64_t)LOOK_AGAIN_MS);

	if (loop_timer(c->service->event, &c->timer, ms, on_timer, c) < 0)
		log_error("courier: no timer; it looks again with the next event");
}

static bool storage_waits(const struct courier *c)
{
	return clock_boottime_ms(c->service->clock) < c->storage_wait_ms;
}

/* Pages behind `fresh_after` were accepted within the last FRESH_MS, or twice that: told by their order, not by a clock. What
 * is found at start is not fresh. */
static void move_fresh(struct courier *c, int64_t now_ms)
{
	int64_t newest;

	if (now_ms - c->fresh_ms < FRESH_MS)
		return;
	if (db_get_i64(spool_db(c->service->spool), &newest, "SELECT coalesce(max(seq), 0) FROM pages", "") < 0)
		return;
	c->fresh_after = c->fresh_next;
	c->fresh_next = newest;
	c->fresh_ms = now_ms;
}

static int on_turn(sd_event_source *source, void *ud)
{
	struct courier *c = ud;
	struct picks picks;
	const struct clock *clock = c->service->clock;
	int64_t began_ms = clock_boottime_ms(clock);
	bool new_pages;
	int r = 1, lost;

	if (c->stopped)
		return 0;
	c->wake_ms = INT64_MAX;
	c->wide = began_ms >= c->wide_ms;
	c->turn_ends_ms = began_ms + TURN_MS;
	c->turn_held = c->turn_cut = false;
	move_fresh(c, began_ms);
	look_at_budget(c);
	new_pages = courier_has_new_pages(c);
	lost = spool_ledger_lost(c->service->spool);
	if (lost < 0)
		courier_storage_failed(c, lost); /* and nothing is sent */
	for (size_t i = 0; i < c->n_backends; i++) {
		if (lost >= 0)
			backend_confirmed(&c->backends[i], lost > 0);
		if (!backend_starts_later(&c->backends[i], new_pages))
			backend_has_credentials(&c->backends[i]);
		backend_probe_if_due(&c->backends[i]);
	}
	attempt_render_turn(c);
	/* One look has its time always: where all that comes before it is slow, too, pages go. */
	for (int i = 0; i < SENDS_A_TURN && r > 0 && !storage_waits(c); i++) {
		if (i > 0 && clock_boottime_ms(clock) >= c->turn_ends_ms)
			break;
		picks = (struct picks){0};
		r = look(c, &picks);
		if (r >= 0)
			r = send_picks(c, &picks);
		if (r < 0)
			courier_storage_failed(c, r);
	}
	if (storage_waits(c))
		courier_look_at(c, c->storage_wait_ms);
	else if (r > 0 || c->turn_cut)
		courier_kick(c); /* more may be due: after whatever else waits for the loop */
	sleep_until_due(c);
	return 0;
}

void courier_kick(struct courier *c)
{
	if (!c->started || c->stopped)
		return;
	if (loop_defer(c->service->event, &c->turn, SD_EVENT_PRIORITY_NORMAL + 10, on_turn, c) < 0)
		log_error("courier: out of memory; it looks again with the next event");
}

void courier_clock_set(struct courier *c)
{
	for (size_t i = 0; i < c->n_backends; i++)
		backend_clock_set(&c->backends[i]);
	courier_kick(c);
}

/* ---- deliveries ------------------------------------------------------------------------------------------------------------ */

static void on_delivered(void *ud, const char *page, int64_t version, const char *sink)
{
	struct courier *c = ud;
	struct page_row row;

	if (spool_page_find(c->service->spool, page, &row) < 0)
		return;
	service_group_event(c->service, &(struct event){.kind = EVENT_DELIVERED, .page = &row, .name = sink});
}

static int on_delivery_timer(sd_event_source *source, uint64_t us, void *ud)
{
	courier_deliver(ud);
	return 0;
}

static int on_delivery(sd_event_source *source, void *ud)
{
	struct courier *c = ud;
	int r = delivery_run(c->service->spool, DELIVERIES_A_TURN, on_delivered, c);
	uint32_t random;

	if (r >= 0) {
		c->delivery_failures = 0;
		if (r > 0)
			courier_deliver(c);
		return 0;
	}
	if (c->delivery_failures++ == 0)
		log_warning("results cannot be delivered (%s); tried again", errno_text(r));
	random_bytes(&random, sizeof(random));
	return loop_timer(c->service->event, &c->delivery_timer,
		backoff_ms(DELIVERY_BASE_MS, DELIVERY_CAP_MS, c->delivery_failures, random, DELIVERY_BASE_MS), on_delivery_timer, c);
}

void courier_deliver(struct courier *c)
{
	if (loop_defer(c->service->event, &c->delivery_turn, SD_EVENT_PRIORITY_NORMAL + 20, on_delivery, c) < 0)
		log_error("deliveries: out of memory; tried again with the next result");
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

int courier_new(struct service *s, struct courier **ret)
{
	struct courier *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->service = s;
	random_bytes(&c->salt, sizeof(c->salt));
	c->started_ms = clock_boottime_ms(s->clock);
	c->fresh_ms = c->started_ms - FRESH_MS;
	c->wake_ms = INT64_MAX;
	move_fresh(c, c->started_ms);
	c->fresh_after = c->fresh_next;
	courier_find_backlog(c);
	for (size_t i = 0; i < s->config.n_backends; i++)
		backend_init(c, &s->config.backends[i]);
	*ret = c;
	return 0;
}

void courier_start(struct courier *c)
{
	c->started = true;
	courier_say_spread(c);
	courier_kick(c);
	courier_deliver(c);
}

void courier_stop(struct courier *c)
{
	c->stopped = true;
}

void courier_free(struct courier *c)
{
	if (!c)
		return;
	while (c->attempts)
		attempt_abandon(c->attempts);
	courier_sweeps_cancel(c);
	for (size_t i = 0; i < c->n_backends; i++)
		backend_clear(&c->backends[i]);
	sd_event_source_disable_unref(c->turn);
	sd_event_source_disable_unref(c->timer);
	sd_event_source_disable_unref(c->delivery_turn);
	sd_event_source_disable_unref(c->delivery_timer);
	sd_event_source_disable_unref(c->settle_timer);
	free(c);
}

size_t courier_in_flight(const struct courier *c)
{
	return c->n_attempts;
}

const char *courier_hangs(const struct courier *c)
{
	int64_t now = clock_boottime_ms(c->service->clock);

	for (const struct attempt *a = c->attempts; a; a = a->next)
		if (!a->answered && now > a->deadline_ms)
			return "courier: a request is past its deadline";
	for (size_t i = 0; i < c->n_backends; i++)
		if (c->backends[i].probe_transfer && now > c->backends[i].probe_deadline_ms)
			return "courier: a probe is past its deadline";
	return NULL;
}
