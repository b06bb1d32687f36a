/* What happens to the service: pages, weather, clocks, kills, people. */
#include "tests/sim/sim.h"

#include "daemon/document.h"
#include "daemon/keep.h"

#define DRAIN_DAYS 4
#define YEAR_MS (365 * DAY_MS)

/* ---- pages --------------------------------------------------------------------------------------------------------------------------- */

static const char *const routes[][3] = {{"sydney", "jetson", "ocr"}, {"sydney", "ocr"}, {"sydney"}, {"jetson", "ocr"}};
static const size_t route_lengths[] = {3, 2, 1, 2};

/* Of a document's pages any that is special makes all of them so. */
static enum trait some_trait(bool of_document)
{
	return sim_chance(of_document ? 99 : 94) ? PLAIN : (enum trait)sim_between(of_document && sim_chance(50) ? HUGE : TOO_LONG, HUGE);
}

static const uint8_t some_jpeg[] = {
	0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, /* SOI, APP0 */
	0xff, 0xc0, 0, 11, 8, 0, 200, 0, 100, 1, 1, 0x11, 0,                             /* SOF0 */
	0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0,                                             /* SOS */
	1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0xd9,
};

/* `document`: the name of the one that it belongs to; NULL: it is one by itself. */
static int take_page(enum lane lane, size_t route, const char *document)
{
	enum trait trait = world->day ? PLAIN : some_trait(document);
	uint32_t side = trait == HUGE ? 9000 : 200;
	char name[16];
	struct spool_meta m = {.lane = lane, .source = "file", .name = name, .owner = 1000, .position = 1, .document_name = document};
	struct spool_writer *w;
	struct page_row p;
	uint8_t jpeg[sizeof(some_jpeg)];
	/* Some are of a content that was handed in a while ago. */
	uint32_t content = (uint32_t)(world->accepted - (!world->day && sim_chance(15) ? MIN(world->accepted, sim_between(1, 30)) : 0));
	int r;

	memcpy(jpeg, some_jpeg, sizeof(jpeg));
	memcpy(jpeg + sizeof(jpeg) - 2 - sizeof(content), &content, sizeof(content));
	str_format(name, sizeof(name), "%d.jpg", (int)trait);
	r = spool_job_freeze(sim_service.spool, "auto", routes[route], route_lengths[route], sim_service.types, &m.job);
	if (r >= 0)
		r = spool_page_begin(sim_service.spool, &m, &w);
	if (r < 0)
		return r;
	r = spool_page_write(w, jpeg, sizeof(jpeg));
	if (r < 0) {
		spool_page_abort(w);
		return r;
	}
	r = spool_page_commit(w, side, side, NULL, NULL, &p);
	if (r < 0)
		return r;
	if (p.seq >= PAGES_MAX)
		sim_fail("more pages than the simulation has room for");
	world->pages[p.seq].accepted = true;
	world->pages[p.seq].delivered_t = world->t;
	memcpy(world->pages[p.seq].id, p.id, sizeof(p.id));
	world->accepted++;
	service_event(&sim_service, &(struct event){.kind = EVENT_PAGE_ACCEPTED, .page = &p});
	return 0;
}

int world_take_plain_page(enum lane lane)
{
	return take_page(lane, 2, NULL);
}

static void take_pages(enum lane lane)
{
	int64_t n = lane == LANE_NOW ? sim_between(1, sim_chance(20) ? 20 : 4) : sim_between(10, 120), taken = 0;
	size_t route = (size_t)(sim_chance(60) ? 0 : sim_between(0, ARRAY_SIZE(routes) - 1));

	while (taken < n && take_page(lane, route, NULL) >= 0)
		taken++;
	sim_log("%lld of %lld pages taken, lane %d, route %zu", (long long)taken, (long long)n, (int)lane, route);
}

static void end_document(const struct document *d)
{
	int r = document_end(sim_service.spool, d->id);

	sim_log("document %s of %lld pages is ended: %d", d->name, (long long)d->pages, r);
	if (r >= 0)
		courier_kick(sim_service.courier);
}

void world_documents_end(void)
{
	struct document open[DOCUMENTS_OPEN_MAX];
	ssize_t n = document_list(sim_service.spool, open, DOCUMENTS_OPEN_MAX);

	for (ssize_t i = 0; i < n; i++)
		end_document(&open[i]);
}

/* One is begun, goes on, or ends. All of its pages are of one route, by its name. */
static void change_document(void)
{
	struct document open[DOCUMENTS_OPEN_MAX];
	ssize_t n = document_list(sim_service.spool, open, DOCUMENTS_OPEN_MAX);
	int64_t pages = sim_between(1, sim_chance(20) ? 30 : 6), taken = 0;
	char name[DOCUMENT_NAME_SIZE];

	if (n < 0)
		return;
	if (n > 0 && sim_chance(50)) {
		end_document(&open[sim_between(0, n - 1)]);
		return;
	}
	if (n > 0 && sim_chance(50))
		str_copy(name, sizeof(name), open[0].name);
	else
		str_format(name, sizeof(name), "%lld-%d", (long long)world->accepted, (int)sim_between(0, ARRAY_SIZE(routes) - 1));
	while (taken < pages && take_page(LANE_NOW, (size_t)(name[strlen(name) - 1] - '0'), name) >= 0)
		taken++;
	sim_log("%lld of %lld pages taken for document %s", (long long)taken, (long long)pages, name);
	/* Mostly its end comes soon. */
	world->at[DOCUMENT] = MIN(world->at[DOCUMENT], world->t + sim_between(1000, 20 * 60000));
}

/* ---- weather ------------------------------------------------------------------------------------------------------------------------- */

static void set_weather(int b, enum weather w, int percent)
{
	world->backends[b].weather = w;
	world->backends[b].percent = percent;
	world->backends[b].since_t = world->backends[b].fair_since_t = world->t;
	world->backends[b].down_sends = 0;
	world->backends[b].run = 0;
	sim_log("backend %d: %s, %d %%", b, weather_name(w), percent);
}

static void change_weather(int b)
{
	if (world->backends[b].weather != FINE || sim_chance(30))
		set_weather(b, FINE, 100);
	else
		set_weather(b, (enum weather)sim_between(NO_CONNECTION, WEATHERS - 1), sim_chance(75) ? 100 : 40);
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------------- */

static void set_clock(int64_t error_ms, bool sync)
{
	world->clock_error_ms = error_ms;
	world->synchronised = sync;
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].fair_since_t = world->t;
	/* As daemon/clockset.c tells it. */
	if (sim_service.courier)
		courier_clock_set(sim_service.courier);
	sim_log("clock is off by %lld s, %ssynchronised", (long long)(error_ms / 1000), sync ? "" : "not ");
}

static void step_clock(void)
{
	int64_t far = sim_between(1, 5 * YEAR_MS), near = sim_between(1, 2 * HOUR_MS);

	/* Rather when a page waits for its next try: that is when it may hurt. */
	if (sim_chance(98) && !sim_sql("SELECT count(*) FROM pages WHERE state = 'queued' AND tries > 0 AND rung = 0"))
		world->at[CLOCK] = world->t + 60000;
	else if (world->clock_error_ms || !world->synchronised)
		set_clock(0, true); /* the network came */
	else if (sim_chance(30))
		set_clock(0, false);
	else
		/* By hand, or by a time server that is wrong itself. */
		set_clock((sim_chance(50) ? 1 : -1) * (sim_chance(50) ? far : near), sim_chance(50));
}

static void suspend(void)
{
	int64_t ms = sim_chance(20) ? sim_between(DAY_MS, 7 * DAY_MS) : sim_between(60000, 5 * HOUR_MS);

	sim_log("asleep for %lld s", (long long)(ms / 1000));
	world->t += ms;
	for (int i = 0; i < SIM_BACKENDS; i++) {
		world->backends[i].fair_since_t = world->t;
		world->backends[i].down_sends = 0;
	}
}

/* ---- ends of a life ---------------------------------------------------------------------------------------------------------------- */

static void reboot(void)
{
	world->boots++;
	world->boot_t = world->t;
	world->synchronised = false;
	world->clock_error_ms = sim_chance(40) ? -FIRST_REAL_MS - world->t : 0; /* 1970, without a battery */
	sim_log("boot %d%s", world->boots, world->clock_error_ms ? ", in 1970" : "");
}

static void end_life(void)
{
	bool power = sim_chance(30);

	if (sim_chance(60)) {
		world->kill_at_write = (int)sim_between(1, 30);
		sim_log("to be killed at write %d", world->kill_at_write);
		return;
	}
	if (power)
		reboot();
	if (!power && sim_chance(40)) {
		sim_log("restarted in order");
		hiccups_arm(true);
		courier_stop(sim_service.courier);
		courier_free(sim_service.courier);
		credentials_free(sim_service.credentials);
		hiccups_arm(false);
		spool_close(sim_service.spool);
		sim_exit(LIFE_STOPPED);
	}
	sim_log("killed");
	sim_exit(LIFE_KILLED);
}

/* ---- people, disks ----------------------------------------------------------------------------------------------------------------- */

static void retry(int64_t seq)
{
	struct page_row p;

	if (spool_page_retry(sim_service.spool, seq, NULL) < 0 || spool_page_get(sim_service.spool, seq, &p) < 0)
		return;
	sim_log("a person retries %s", p.id);
	world->last_retry_t = world->t;
	service_event(&sim_service, &(struct event){.kind = EVENT_PAGE_QUEUED, .page = &p});
}

static void person(void)
{
	int64_t held = sim_sql("SELECT coalesce(min(seq), 0) FROM pages WHERE state = 'held'");
	int64_t waiting = sim_sql("SELECT coalesce(max(seq), 0) FROM pages WHERE state IN ('queued', 'provisional')");

	if (sim_chance(70) && held)
		retry(held);
	else if (waiting && sim_chance(50))
		retry(waiting);
	else if (waiting) {
		sim_log("a person holds page %lld", (long long)waiting);
		spool_page_hold(sim_service.spool, waiting, "held by a person");
		courier_kick(sim_service.courier);
	}
}

/* What the bad times left to a person, and would be done by one. */
void world_person_clears(void)
{
	int64_t seq = 0;

	while (db_get_i64(spool_db(sim_service.spool), &seq,
		       "SELECT seq FROM pages WHERE state = 'held' AND seq > ? AND (reason LIKE 'crashed%' OR reason LIKE 'no-backend%'"
		       " OR reason LIKE 'held by%' OR reason LIKE 'not ack%') ORDER BY seq LIMIT 1", "i", seq) > 0)
		retry(seq);
}

static void change_disk(void)
{
	static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS};

	if (world->disk_errno) {
		world->disk_errno = 0;
		world->at[DISK] = world->t + sim_around(world->mean[DISK]);
	} else {
		world->disk_errno = errors[sim_between(0, ARRAY_SIZE(errors) - 1)];
		world->at[DISK] = world->t + sim_between(1000, 2 * HOUR_MS);
	}
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].fair_since_t = world->t;
	sim_log("the disk: %s", world->disk_errno ? errno_text(-world->disk_errno) : "works");
}

static void begin_hiccup(void)
{
	world->hiccup = (int)sim_between(1, sim_chance(50) ? 10 : 100);
	world->hiccup_memory = world->hiccup % 2;
	if (world->hiccup_memory)
		world->hiccup *= 8; /* there are as many more of them */
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].fair_since_t = world->t;
	sim_log("a hiccup %d %s on", world->hiccup, world->hiccup_memory ? "allocations" : "steps");
}

/* The rebuild's mark; and a person's word some time later. */
static void change_ledger(void)
{
	int r = world->ledger_lost ? spool_confirm(sim_service.spool)
				   : spool_meta_set_i64(sim_service.spool, "ledger_lost", 1);

	if (r < 0)
		return;
	world->ledger_lost = !world->ledger_lost;
	world->backends[SYDNEY].fair_since_t = world->t;
	world->backends[SYDNEY].run = 0;
	sim_log("the ledger is %s", world->ledger_lost ? "lost" : "confirmed");
	courier_kick(sim_service.courier);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------------------ */

/* The service could not start: the disk is mended outside of any life. */
void world_wait_for_disk(void)
{
	if (!world->disk_errno)
		return;
	world->t = MAX(world->t, world->at[DISK]);
	change_disk();
}

void world_calm(void)
{
	world->calm = true;
	sim_log("the bad times end");
	for (int i = 0; i < HOURLY; i++)
		world->mean[i] = world->at[i] = 0;
	for (int i = 0; i < SIM_BACKENDS; i++)
		set_weather(i, FINE, 100);
	set_clock(0, true);
	world->disk_errno = 0;
	world->hiccup = 0;
	world->kill_at_write = 0;
	if (world->ledger_lost)
		change_ledger();
	world->final = false;
}

/* As the service does, every hour instead of every ten minutes. */
static void age(void)
{
	const struct keep_options o = {.pages_ms = KEEP_PAGES_MS, .results_ms = KEEP_RESULTS_MS};
	int r = sim_service.spool_reconciled ? keep_tick(sim_service.spool) : -EAGAIN;

	for (int i = 0; r >= 0 && i < 100; i++) {
		r = keep_run(sim_service.spool, &o, 32);
		if (r == 0)
			break;
	}
	check_aged();
}

static void hourly(void)
{
	age();
	check_hour();
	world->hour_lives = 0;
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].down_sends = 0;
	if (!world->calm && world->t >= world->end_t)
		world_calm();
	else if (world->calm && world->t > world->end_t + DRAIN_DAYS * DAY_MS + 7 * DAY_MS)
		sim_fail("not drained %d days after the bad times ended", DRAIN_DAYS);
}

int64_t world_next_t(void)
{
	int64_t t = INT64_MAX;

	for (int i = 0; i < HAPPENINGS; i++)
		if (world->mean[i] > 0)
			t = MIN(t, world->at[i]);
	return t;
}

void world_happen(void)
{
	enum happening h = HOURLY;

	for (int i = 0; i < HAPPENINGS; i++)
		if (world->mean[i] > 0 && world->at[i] <= world->t && world->at[i] < world->at[h])
			h = (enum happening)i;
	world->at[h] = h == HOURLY ? world->t + HOUR_MS : world->t + sim_around(world->mean[h]);
	switch (h) {
	case SCAN:
		if (world->day)
			day_arrivals();
		else
			take_pages(LANE_NOW);
		break;
	case BACKLOG:
		take_pages(LANE_BACKLOG);
		break;
	case WEATHER_SYDNEY:
	case WEATHER_JETSON:
	case WEATHER_OCR:
		change_weather(h - WEATHER_SYDNEY + SYDNEY);
		break;
	case CLOCK:
		step_clock();
		break;
	case SUSPEND:
		suspend();
		break;
	case KILL:
		end_life();
		break;
	case PERSON:
		person();
		break;
	case DISK:
		change_disk();
		break;
	case HICCUP:
		begin_hiccup();
		break;
	case LEDGER:
		change_ledger();
		break;
	case DOCUMENT:
		change_document();
		break;
	case HOURLY:
		hourly();
		break;
	case HAPPENINGS:
		break;
	}
}

/* Each world has its own climate: how often what happens. */
void world_begin(int64_t days)
{
	static const int64_t means[HAPPENINGS] = {
		[SCAN] = 5 * HOUR_MS, [BACKLOG] = 40 * HOUR_MS, [WEATHER_SYDNEY] = 10 * HOUR_MS, [WEATHER_JETSON] = 14 * HOUR_MS,
		[WEATHER_OCR] = 60 * HOUR_MS, [CLOCK] = 20 * HOUR_MS, [SUSPEND] = 80 * HOUR_MS, [KILL] = 9 * HOUR_MS,
		[PERSON] = 16 * HOUR_MS, [DISK] = 70 * HOUR_MS, [HICCUP] = 2 * HOUR_MS, [LEDGER] = 90 * HOUR_MS,
		[DOCUMENT] = 6 * HOUR_MS,
	};

	world->boots = 1;
	world->synchronised = true;
	world->end_t = days * DAY_MS;
	world->flatten = sim_chance(30);
	world->most_images = (size_t)sim_between(2, JOB_IMAGES_MAX);
	world->boot_t = -sim_between(5000, 10 * DAY_MS);
	for (int i = 0; i < HOURLY; i++) {
		/* From a third of it to three times, and some things not at all. */
		world->mean[i] = i > BACKLOG && sim_chance(15) ? 0 : means[i] * sim_between(33, 300) / 100;
		world->at[i] = sim_around(world->mean[i]);
	}
	world->mean[HOURLY] = world->at[HOURLY] = HOUR_MS;
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].percent = 100;
}
