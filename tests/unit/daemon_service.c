/* The whole service in this process, with no page to send. */
#include <signal.h>

#include "daemon/config.h"
#include "daemon/ledger.h"
#include "daemon/service.h"
#include "daemon/upkeep.h"
#include "tests/unit/daemon_fixture.h"

#define STOP_TIMEOUT_S 60

/* The process's own state, as main() makes it. */
static void block_signals(void)
{
	static const int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++)
		sigaddset(&set, blocked[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static struct service *service_new(void)
{
	struct service *s = calloc(1, sizeof(*s));
	_cleanup_buf_ struct buf errors = {0}, text = {0};
	_cleanup_free_ char *types = realpath("configs/documents", NULL);
	const char *folder = test_tmpdir();
	char file[256], why[512];

	CHECK(s && types);
	block_signals();
	log_set_level(LOG_LEVEL_ERROR);
	fixture_path(file, "", "conf", "");
	CHECK_INT(buf_addf(&text,
			  "[Service]\nControlSocket=%s/control\nDocuments=%s\nDocumentsLocal=%s/none\nPrices=%s/none\n"
			  "StopTimeout=%ds\n[Spool]\nDirectory=%s\nFreeFloor=0\nInodeFloor=0\n",
			  folder, types, folder, folder, STOP_TIMEOUT_S, folder),
		0);
	test_write(AT_FDCWD, file, buf_str(&text), 0600);
	if (config_read(file, false, &s->config, &errors) < 0)
		test_fail(__FILE__, __LINE__, "%s", buf_str(&errors));
	if (service_init(s, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	return s;
}

static void service_end(struct service *s)
{
	service_clear(s);
	free(s);
}

/* Comes when nothing else is left to do. */
static int on_idle(sd_event_source *source, void *ud)
{
	struct service *s = ud;

	/* Neither of these may be what ends it. */
	sd_event_source_set_enabled(s->status_timer, SD_EVENT_OFF);
	kill(getpid(), SIGTERM);
	return 0;
}

/* fn comes once, when nothing else is left to do. */
static void when_idle(struct service *s, sd_event_handler_t fn)
{
	sd_event_source *idle;

	CHECK(sd_event_add_defer(s->event, &idle, fn, s) >= 0);
	CHECK(sd_event_source_set_priority(idle, SD_EVENT_PRIORITY_IDLE + 1) >= 0);
	CHECK(sd_event_source_set_floating(idle, true) >= 0);
	sd_event_source_unref(idle);
}

/* Runs it until it is idle, and then stops it: the exit status and how long the end took at most. */
static int run_until_idle(struct service *s, int64_t *ret_ms)
{
	int64_t started = clock_boottime_ms(s->clock);
	int r;

	when_idle(s, on_idle);
	r = service_run(s);
	*ret_ms = clock_boottime_ms(s->clock) - started;
	return r;
}

/* Runs it until it is idle, then calls fn, which gives it a clock of its own, and goes on until it is idle again. */
static void run_with_clock(struct service *s, sd_event_handler_t fn)
{
	struct clock *clock = s->clock, *fake;

	when_idle(s, fn);
	CHECK_INT(service_run(s), 0);
	fake = s->clock;
	s->clock = s->spool->clock = clock;
	CHECK(fake != clock);
	clock_free(fake);
}

TEST(idle_service_stops_at_once)
{
	struct service *s = service_new();
	int64_t ms;

	CHECK_INT(run_until_idle(s, &ms), 0);
	CHECK(s->stopping);
	CHECK(ms < STOP_TIMEOUT_S * 1000 / 3);
	service_end(s);
}

/* A fallback has answered, and the configuration lost the backend that was to confirm it. */
TEST(provisional_page_that_nobody_can_confirm_is_held)
{
	struct service *s;
	struct page_row p;
	struct fixture f;
	int64_t ms;

	fixture_begin(&f); /* its route: sydney ocr */
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome)"
			  " VALUES (?, 'ocr', 1, 'trusted', 0, 2, 'done')",
			  "i", p.seq),
		0);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO results (page, version, attempt, authoritative, type, created_ms, json, raw)"
			  " VALUES (?, 1, 1, 0, 'universal', 2, '{}', '')",
			  "i", p.seq),
		0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = 'provisional', version = 1", ""), 0);
	fixture_end(&f);
	s = service_new(); /* its configuration has ocr alone */
	CHECK_INT(run_until_idle(s, &ms), 0);
	CHECK_INT(spool_page_get(s->spool, p.seq, &p), 0);
	CHECK_INT(p.state, STATE_HELD);
	CHECK(starts_with(p.reason, "no-backend: it has a fallback's answer"));
	CHECK_INT(p.version, 1);
	service_end(s);
}

/* A page in the spool, and the table that its row points at overwritten. */
static void make_damaged_spool(void)
{
	static const char zeros[65536];
	int64_t root, size;
	struct page_row p;
	struct fixture f;
	int fd;

	fixture_begin(&f);
	fixture_page(&f, &p);
	root = fixture_sql(&f, "SELECT rootpage FROM sqlite_master WHERE name = 'documents'");
	size = fixture_sql(&f, "PRAGMA page_size");
	CHECK(root > 1 && size <= (int64_t)sizeof(zeros));
	fd = openat(f.spool->dirfd, "spool.db", O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	fixture_end(&f); /* what is in the -wal goes into the file */
	CHECK_INT(pwrite(fd, zeros, (size_t)size, (root - 1) * size), size);
	close(fd);
}

TEST(damaged_database_ends_the_service_and_the_next_start_rebuilds)
{
	struct spool_counts n;
	struct service *s;
	int64_t ms;

	make_damaged_spool();
	s = service_new();
	log_set_level((enum log_level)2); /* it says so, as it should */
	CHECK_INT(run_until_idle(s, &ms), -EUCLEAN);
	service_end(s);
	s = service_new();
	CHECK_INT(run_until_idle(s, &ms), 0);
	CHECK_INT(spool_counts(s->spool, &n), 0);
	CHECK_INT(n.held, 0);
	CHECK_INT(n.queued, 1);
	service_end(s);
}

/* ---- upkeep ---------------------------------------------------------------------------------------------- */

/* Hours pass between any two looks. */
static int64_t hours_pass(void *ud)
{
	return *(int64_t *)ud += 2 * INT64_C(3600000);
}

static int64_t any_time(void *ud)
{
	return FIXTURE_NOW;
}

static bool never(void *ud)
{
	return false;
}

/* Recovery has ended: from here on what page files take is wrong, and so is the keep clock. */
static int on_recovered(sd_event_source *source, void *ud)
{
	static const struct clock_ops ops = {hours_pass, any_time, never};
	static int64_t now;
	struct service *s = ud;

	CHECK_INT(spool_meta_set(s->spool, "keep_ms", "99999999999999999"), 0);
	CHECK_INT(clock_new(&ops, &now, &s->clock), 0);
	s->spool->pages_bytes = 77;
	upkeep_recovered(s->upkeep);
	when_idle(s, on_idle);
	return 0;
}

TEST(a_keep_clock_out_of_range_does_not_stop_the_count)
{
	struct service *s = service_new();

	run_with_clock(s, on_recovered);
	CHECK_INT(s->spool->pages_bytes, 0);
	service_end(s);
}

/* ---- receipts -------------------------------------------------------------------------------------------- */

static int64_t standing_boottime(void *ud)
{
	return 1000;
}

static int64_t a_day(void *ud)
{
	return FIXTURE_NOW + *(int64_t *)ud;
}

static bool always(void *ud)
{
	return true;
}

/* A receipt of a day, by a trusted clock, which then is that of the next day. */
static int on_day(sd_event_source *source, void *ud)
{
	static const struct clock_ops ops = {standing_boottime, a_day, always};
	static int64_t past;
	struct service *s = ud;
	struct fixture f = {.spool = s->spool, .types = s->types};
	struct page_row page;
	const struct attempt_open a = {.page = &page, .backend = "ocr", .body_sha256 = "00"};

	CHECK_INT(clock_new(&ops, &past, &s->clock), 0);
	s->spool->clock = s->clock;
	fixture_freeze(&f);
	fixture_page(&f, &page);
	CHECK(ledger_open(s->spool, &a) > 0);
	CHECK_INT(db_exec(s->spool->db, "UPDATE pages SET state = 'held', reason = 'a test'", ""), 0);
	past = 86400000;
	upkeep_recovered(s->upkeep);
	when_idle(s, on_idle);
	return 0;
}

TEST(a_day_that_has_ended_is_signed_and_exported)
{
	struct service *s = service_new();

	run_with_clock(s, on_day);
	CHECK_INT(fixture_files("receipts"), 1);
	CHECK_INT(fixture_files("tmp"), 0);
	service_end(s);
}
