/*
 * A day of 10,000 pages at a server with quotas of requests and tokens a minute, which it enforces to the letter: by the last 60
 * seconds, or by the minute of the clock. In some days the configuration has them, in others nobody has told us.
 *
 * Promised: never more than the configured rate in any 60 s; one request in twenty more than there are pages, at most; and in both
 * lanes the oldest page's wait is bounded by what lay before it and its lane's share.
 */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>

#define DAY_PAGES    10000
#define MORE_PERCENT 5
#define MINUTE_MS    INT64_C(60000)
#define OFFICE_T     (8 * HOUR_MS)
#define OFFICE_END_T (18 * HOUR_MS)
#define OFFICE_PAGES 3000
#define NOW_WAIT_MS  (30 * MINUTE_MS)
#define USED_PERCENT 80 /* of the quota, while pages wait */
#define SHARE        4  /* of it for the backlog, at least */
#define SENT_MAX     32768

static const struct day {
	const char *name;
	int64_t told_requests, told_tokens; /* RequestsPerMinute=, TokensPerMinute= */
	int64_t requests, tokens;           /* of the server; 0: no quota */
	int64_t pages_a_minute;             /* that comes to */
	bool by_the_clock;
	const char *hint;                   /* Retry-After */
} days[] = {
	{"told", 10, 24000, 10, 24000, 9, false, NULL},
	{"requests", 0, 0, 10, 0, 10, false, NULL},
	{"tokens", 0, 0, 0, 21000, 9, false, NULL},
	{"by-the-clock", 0, 0, 10, 0, 10, true, NULL},
	{"with-hints", 0, 0, 10, 21000, 9, false, "17"},
};

static const struct {
	int64_t t, pages;
} imports[] = {{10 * MINUTE_MS, 2500}, {12 * HOUR_MS, 2500}, {20 * HOUR_MS, 2000}};

/* One life: nothing outlives it. */
static struct {
	int64_t scanned, imported;
	size_t import;
	int64_t waiting[2], longest_ms[2];
	struct {
		int64_t t, before;
		enum lane lane;
		bool done;
	} pages[DAY_PAGES + 1];
	int64_t done, sent, refused;
	/* every request: when it left and when it arrived, and what it took, at its bound until it is answered */
	struct {
		int64_t seq, sent_t, arrived_t, tokens;
		bool accepted;
	} requests[SENT_MAX];
	int64_t oldest_sent, oldest_arrived;
} now;

static const struct day *today(void)
{
	return &days[world->day - 1];
}

int day_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(days); i++)
		if (streq(days[i].name, name))
			return (int)i + 1;
	return -ENOENT;
}

const char *day_name(int day)
{
	return day >= 1 && (size_t)day <= ARRAY_SIZE(days) ? days[day - 1].name : NULL;
}

int day_config(char *out, size_t size)
{
	return str_format(out, size, "Concurrency=4\nMaxOutputTokens=500\nRequestsPerMinute=%" PRIi64 "\nTokensPerMinute=%" PRIi64 "\n",
		today()->told_requests, today()->told_tokens);
}

void day_begin(void)
{
	world->boots = 1;
	world->synchronised = true;
	world->final = true;
	world->end_t = INT64_MAX;
	world->boot_t = -sim_between(5000, DAY_MS);
	world->mean[SCAN] = world->at[SCAN] = MINUTE_MS;
	world->mean[HOURLY] = world->at[HOURLY] = HOUR_MS;
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].percent = 100;
}

/* ---- pages ------------------------------------------------------------------------------------------------------------------- */

static void take(enum lane lane)
{
	int64_t seq = world->accepted + 1;

	if (world_take_plain_page(lane) < 0)
		sim_fail("page %" PRIi64 " is not taken", seq);
	now.pages[seq].t = world->t;
	now.pages[seq].lane = lane;
	now.pages[seq].before = now.waiting[lane]++;
}

/* Batches of up to 40 pages in the hours of an office, ever closer to what is left of them; three imports. */
void day_arrivals(void)
{
	int64_t due = world->t >= OFFICE_END_T ? OFFICE_PAGES
		: world->t <= OFFICE_T ? 0 : OFFICE_PAGES * (world->t - OFFICE_T) / (OFFICE_END_T - OFFICE_T);
	int64_t batch = MIN(due - now.scanned, INT64_C(40));

	for (int64_t i = 0; i < batch; i++)
		take(LANE_NOW);
	now.scanned += MAX(batch, INT64_C(0));
	for (; now.import < ARRAY_SIZE(imports) && imports[now.import].t <= world->t; now.import++)
		for (int64_t i = 0; i < imports[now.import].pages; i++, now.imported++)
			take(LANE_BACKLOG);
	world->at[SCAN] = world->t + sim_between(MINUTE_MS, 8 * MINUTE_MS);
}

bool day_over(void)
{
	return now.scanned + now.imported == DAY_PAGES && now.done == DAY_PAGES;
}

/* What lay before it takes so long, at the part of the quota that is its lane's by right. */
static int64_t patience_ms(int64_t seq)
{
	if (now.pages[seq].lane == LANE_NOW)
		return NOW_WAIT_MS;
	return (now.pages[seq].before + 1) * MINUTE_MS * 100 * SHARE / (today()->pages_a_minute * USED_PERCENT) + 10 * MINUTE_MS;
}

void day_done(int64_t seq)
{
	int lane = (int)now.pages[seq].lane;
	int64_t waited = world->t - now.pages[seq].t;

	if (now.pages[seq].done)
		sim_fail("page %" PRIi64 " is done twice", seq);
	now.pages[seq].done = true;
	now.done++;
	now.waiting[lane]--;
	now.longest_ms[lane] = MAX(now.longest_ms[lane], waited);
	if (waited > patience_ms(seq))
		sim_fail("page %" PRIi64 " of lane %d has waited for %" PRIi64 " min, with %" PRIi64 " before it", seq, lane, waited / MINUTE_MS,
			now.pages[seq].before);
}

/* ---- the rate ---------------------------------------------------------------------------------------------------------------- */

/* At every send: in the 60 s that end now. */
void day_check_send(const struct attempt *a)
{
	int64_t requests = 0, tokens = 0;

	if (now.sent == SENT_MAX)
		sim_fail("%d requests for %d pages", SENT_MAX, DAY_PAGES);
	now.requests[now.sent].seq = a->row.seq;
	now.requests[now.sent].sent_t = world->t;
	now.requests[now.sent].tokens = (int64_t)(a->req.max_input_tokens + a->req.max_output_tokens);
	now.sent++;
	while (now.requests[now.oldest_sent].sent_t <= world->t - MINUTE_MS)
		now.oldest_sent++;
	for (int64_t i = now.oldest_sent; i < now.sent; i++) {
		requests++;
		tokens += now.requests[i].tokens;
	}
	if (today()->told_requests && requests > today()->told_requests)
		sim_fail("%" PRIi64 " requests within a minute, more than RequestsPerMinute=", requests);
	if (today()->told_tokens && tokens > today()->told_tokens)
		sim_fail("%" PRIi64 " tokens within a minute, more than TokensPerMinute=", tokens);
}

static int64_t last_of(int64_t seq)
{
	for (int64_t i = now.sent - 1; i >= 0; i--)
		if (now.requests[i].seq == seq)
			return i;
	sim_fail("page %" PRIi64 " arrives and was not sent", seq);
}

/* One arrives. Is it over a quota? */
bool day_refuses(int64_t seq)
{
	const struct day *d = today();
	int64_t i = last_of(seq), requests = 0, tokens = 0;
	int64_t since = d->by_the_clock ? world->t - world->t % MINUTE_MS - 1 : world->t - MINUTE_MS;

	now.requests[i].arrived_t = world->t;
	while (now.oldest_arrived < i && now.requests[now.oldest_arrived].sent_t <= since - MINUTE_MS)
		now.oldest_arrived++;
	for (int64_t k = now.oldest_arrived; k < now.sent; k++) {
		if (!now.requests[k].accepted || now.requests[k].arrived_t <= since)
			continue;
		requests++;
		tokens += now.requests[k].tokens;
	}
	now.requests[i].accepted = (!d->requests || requests < d->requests) && (!d->tokens || tokens + now.requests[i].tokens <= d->tokens);
	now.refused += !now.requests[i].accepted;
	if (!now.requests[i].accepted)
		now.requests[i].tokens = 0;
	return !now.requests[i].accepted;
}

/* What it took is known now. */
void day_answered(int64_t seq, int64_t tokens)
{
	now.requests[last_of(seq)].tokens = tokens;
}

const char *day_refusal(void)
{
	return today()->tokens ? "{\"__type\":\"ThrottlingException\",\"message\":\"Too many tokens, please wait before trying again.\"}"
			       : "{\"__type\":\"ThrottlingException\",\"message\":\"Too many requests, please wait before trying again.\"}";
}

const char *day_hint(void)
{
	return today()->hint;
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------- */

void day_check_end(void)
{
	printf("# day %s: %" PRIi64 " pages in %.1f h with %" PRIi64 " requests, %" PRIi64 " refused; the longest waits: now %" PRIi64
	       " min, backlog %" PRIi64 " min\n", today()->name, now.done, (double)world->t / HOUR_MS, now.sent, now.refused,
		now.longest_ms[LANE_NOW] / MINUTE_MS, now.longest_ms[LANE_BACKLOG] / MINUTE_MS);
	fflush(stdout);
	if (now.sent * 100 > (int64_t)DAY_PAGES * (100 + MORE_PERCENT))
		sim_fail("%" PRIi64 " requests for %d pages, which is more than %d %% too many", now.sent, DAY_PAGES, MORE_PERCENT);
}
