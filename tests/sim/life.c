/* One life of the service: what daemon/service.c does with spool and courier, without sockets and helpers. */
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "daemon/delivery.h"

#define SPIN_MAX 4000 /* events at one moment */

struct service sim_service;
static sd_event_source *reconcile_source, *reconcile_timer;

static const char types_json[] =
	"[{\"name\":\"universal\",\"title\":\"Any\",\"version\":1,%s\"prompt\":\"p\",\"schema\":{\"type\":\"object\","
	"\"additionalProperties\":false,\"required\":[\"word\"],\"properties\":{\"word\":{\"type\":\"string\",\"maxLength\":50}}},"
	"\"fields\":[{\"name\":\"word\",\"title\":\"Word\",\"kind\":\"text\",\"required\":true,\"labels\":[\"Word\"]}]}]";

int64_t sim_sql(const char *sql)
{
	bool was = hiccups_arm(false);
	int64_t v = 0;
	int r = db_get_i64(spool_db(sim_service.spool), &v, sql, "");

	hiccups_arm(was);
	if (r < 0)
		sim_fail("the database says %s to %s", errno_text(r), sql);
	return v;
}

/* ---- the clock ------------------------------------------------------------------------------------------------------------------ */

static int64_t boottime(void *ud)
{
	return world->t - world->boot_t;
}

static int64_t realtime(void *ud)
{
	return FIRST_REAL_MS + world->t + world->clock_error_ms;
}

static bool synchronised(void *ud)
{
	return world->synchronised;
}

static const struct clock_ops clock_ops = {boottime, realtime, synchronised};

/* ---- what the courier calls of the service ------------------------------------------------------------------------------------- */

void service_event(struct service *s, const struct event *e)
{
	if (world->day && e->kind == EVENT_PAGE_DONE)
		day_done(e->page->seq);
	if (e->kind == EVENT_DELIVERED && e->page->seq < PAGES_MAX)
		world->pages[e->page->seq].delivered_t = world->t;
	courier_kick(s->courier);
}

void service_storage(struct service *s, int error)
{
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------------- */

static int write_text(const char *directory, const char *name, const char *text, char path[static PATH_SIZE])
{
	_cleanup_close_ int fd = -1;

	if (str_format(path, PATH_SIZE, "%s.%s", directory, name) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

static int read_config(const char *directory)
{
	_cleanup_buf_ struct buf errors = {0};
	char keys[PATH_SIZE], file[PATH_SIZE], sydney[256], text[2048];
	int r;

	r = write_text(directory, "keys", "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=wJalrXUtnFEMI/K7MDENG\n", keys);
	if (r < 0)
		return r;
	if (world->day)
		day_config(sydney, sizeof(sydney));
	else
		str_format(sydney, sizeof(sydney), "Concurrency=4\nRequestsPerMinute=%d\n", PER_MINUTE);
	str_format(text, sizeof(text),
		"[Spool]\nDirectory=%s\nFreeFloor=0\nInodeFloor=0\n"
		"[Route]\nBackends=sydney\n"
		"[Credentials aws]\nSource=file\nFile=%s\n[Backend sydney]\nKind=bedrock\n%sTries=%lld\n"
		"%s[Backend ocr]\nTries=3\n",
		directory, keys, sydney, (long long)world->tries,
		world->with_jetson ? "[Backend jetson]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\nConcurrency=2\n" : "");
	r = write_text(directory, "conf", text, file);
	if (r >= 0)
		r = config_read(file, false, &sim_service.config, &errors);
	if (r < 0)
		sim_fail("configuration: %s", errors.len ? buf_str(&errors) : errno_text(r));
	unlink(file);
	return r;
}

static int open_spool(const char *directory)
{
	const struct spool_options o = {.directory = directory, .clock = sim_service.clock};
	char why[256] = "";
	int r = spool_open(&o, &sim_service.spool, why, sizeof(why));

	if (r < 0) {
		sim_log("the spool cannot be opened: %s", why);
		if (!world->disk_errno)
			sim_fail("the spool cannot be opened: %s", why);
		return r;
	}
	/* A life may have been killed between the commit and the world's note of it. */
	world->ledger_lost = spool_ledger_lost(sim_service.spool) > 0;
	str_format(sim_service.spool->boot_id, sizeof(sim_service.spool->boot_id), "boot-%d", world->boots);
	return 0;
}

static int open_parts(const char *directory)
{
	_cleanup_buf_ struct buf errors = {0};
	char why[256], types[sizeof(types_json) + 32];
	int r = clock_new(&clock_ops, NULL, &sim_service.clock);

	if (r >= 0)
		r = read_config(directory);
	str_format(types, sizeof(types), types_json, world->flatten ? "\"image\":{\"flatten\":true}," : "");
	if (r >= 0)
		r = typeset_parse(types, strlen(types), &sim_service.types, why, sizeof(why));
	if (r >= 0)
		r = prices_read("configs/prices.conf", &sim_service.prices, &errors);
	if (r >= 0)
		r = open_spool(directory);
	if (r >= 0)
		r = credentials_new(&sim_service, &sim_service.credentials);
	return r < 0 ? r : courier_new(&sim_service, &sim_service.courier);
}

/* ---- recovery, as in daemon/service.c --------------------------------------------------------------------------------------- */

static int on_reconcile(sd_event_source *source, void *ud);

static int on_reconcile_timer(sd_event_source *source, uint64_t us, void *ud)
{
	return loop_defer(NULL, &reconcile_source, SD_EVENT_PRIORITY_IDLE, on_reconcile, ud);
}

static int on_reconcile(sd_event_source *source, void *ud)
{
	struct service *s = ud;
	int r;

	if (!s->spool_reconciled) {
		r = spool_reconcile(s->spool);
		if (r == 0) {
			s->spool_reconciled = true;
			hiccups_arm(false);
			check_spool();
			if (world->final) {
				world_person_clears();
				world_documents_end();
			}
			hiccups_arm(true);
			courier_start(s->courier);
			r = 1;
		}
	} else {
		r = delivery_reconcile(s->spool, &s->delivery_cursor);
		if (r == 0) {
			courier_start(s->courier);
			return 0;
		}
	}
	if (r > 0)
		return loop_defer(NULL, &reconcile_source, SD_EVENT_PRIORITY_IDLE, on_reconcile, s);
	sim_log("recovery stopped: %s", errno_text(r));
	courier_start(s->courier);
	return loop_timer(NULL, &reconcile_timer, 30000, on_reconcile_timer, s);
}

/* ---- living -------------------------------------------------------------------------------------------------------------------------- */

static bool nothing_to_do(void)
{
	struct spool_counts n;
	int64_t undelivered;

	return spool_counts(sim_service.spool, &n) >= 0 && spool_undelivered(sim_service.spool, &undelivered) >= 0 &&
		n.queued + n.provisional + undelivered == 0 &&
		courier_in_flight(sim_service.courier) == 0;
}

static void count_event(void)
{
	world->events++;
	world->at_this_time = world->t == world->last_event_t ? world->at_this_time + 1 : 0;
	world->last_event_t = world->t;
	if (world->at_this_time > SPIN_MAX)
		sim_fail("the loop spins: %d events at one moment", SPIN_MAX);
}

/* Nobody would miss the looks of an idle service. */
static void sleep_until_next(void)
{
	int64_t next = world_next_t();

	if (!(sim_service.spool_reconciled && nothing_to_do()))
		next = MIN(next, MIN(loop_next_t(), transfers_next_t()));
	world->t = MAX(world->t, next);
}

static int end_in_order(void)
{
	courier_stop(sim_service.courier);
	courier_free(sim_service.courier);
	credentials_free(sim_service.credentials);
	sim_service.courier = NULL;
	spool_close(sim_service.spool);
	return LIFE_STOPPED;
}

int life_run(const char *directory)
{
	world->with_jetson = !world->day && (world->final || sim_chance(85));
	world->config_changes += world->lives > 1;
	world->tries = sim_between(2, 5);
	world->tries_max = MAX(world->tries_max, world->tries);
	for (int i = 0; i < SIM_BACKENDS; i++) {
		world->backends[i].run = 0;
		world->backends[i].picks = 0;
		world->backends[i].failed = 0;
		world->backends[i].fair_since_t = world->t;
	}
	sim_log("life %d begins: Tries=%lld%s", world->lives, (long long)world->tries, world->with_jetson ? "" : ", without jetson");
	if (open_parts(directory) < 0)
		return LIFE_NO_START;
	loop_defer(NULL, &reconcile_source, SD_EVENT_PRIORITY_IDLE, on_reconcile, &sim_service);
	for (;;) {
		if (world->calm && !world->final)
			return end_in_order();
		if (loop_run_ready() || transfers_run()) {
			count_event();
			check_event();
			continue;
		}
		if (world->final && sim_service.spool_reconciled && nothing_to_do() && (!world->day || day_over())) {
			check_spool();
			check_end();
			if (world->day)
				day_check_end();
			return LIFE_DONE;
		}
		if (world_next_t() <= world->t) {
			world_happen();
			count_event();
			check_event();
			continue;
		}
		sleep_until_next();
	}
}
