/* The service: opening its parts in order, telling them what happened, recovery, and a clean end within a bound. */
#include "daemon/clockset.h"
#include "daemon/service.h"

#include <inttypes.h>
#include <signal.h>

#include "base/log.h"
#include "daemon/control.h"
#include "daemon/courier.h"
#include "daemon/credentials.h"
#include "daemon/delivery.h"
#include "daemon/doctor.h"
#include "daemon/intake.h"
#include "daemon/resolver.h"
#include "daemon/scanner.h"
#include "daemon/messages.h"
#include "daemon/upkeep.h"
#include "daemon/watch.h"

#define RECONCILE_AGAIN_MS 30000
#define STORAGE_AGAIN_MS   2000 /* looks at the file system, not at the disk */
#define STATUS_EVERY_MS    1000

/* ---- what happened ---------------------------------------------------------------------------------------------------------- */

const char *event_kind_name(enum event_kind k)
{
	static const char *const names[] = {
		[EVENT_SCAN_STARTED] = "scan-started",
		[EVENT_SCAN_ENDED] = "scan-ended",
		[EVENT_PAGE_ACCEPTED] = "page-accepted",
		[EVENT_PAGE_REJECTED] = "page-rejected",
		[EVENT_ATTEMPT_STARTED] = "attempt-started",
		[EVENT_ANSWERING] = "answering",
		[EVENT_ATTEMPT_ENDED] = "attempt-ended",
		[EVENT_PAGE_PROVISIONAL] = "page-provisional",
		[EVENT_PAGE_DONE] = "page-done",
		[EVENT_PAGE_HELD] = "page-held",
		[EVENT_PAGE_QUEUED] = "page-queued",
		[EVENT_PAGE_DROPPED] = "page-dropped",
		[EVENT_DELIVERED] = "delivered",
		[EVENT_BACKEND] = "backend",
		[EVENT_LIGHTS] = "lights",
	};

	return names[k];
}

static int on_status(sd_event_source *source, uint64_t us, void *ud)
{
	struct service *s = ud;
	char status[sizeof(s->status)], line[sizeof(s->status) + 8];

	s->status_pending = false;
	if (s->stopping || str_format(status, sizeof(status), "%u pages waiting, %u held%s", s->state.waiting, s->state.held,
				   s->state.offline ? ", offline" : "") < 0 || streq(status, s->status))
		return 0;
	str_copy(s->status, sizeof(s->status), status);
	if (str_format(line, sizeof(line), "STATUS=%s", status) > 0)
		loop_notify(line);
	return 0;
}

/* Once a second is enough for people, and spares the service manager. */
static void tell_status(struct service *s)
{
	if (!s->status_pending)
		s->status_pending = loop_timer(s->event, &s->status_timer, STATUS_EVERY_MS, on_status, s) >= 0;
}

/* Would a page be taken now? What is full and what is broken are two lights. */
static void look_for_room(struct service *s)
{
	char why[200] = "";
	int r = spool_room(s->spool, why, sizeof(why));
	bool failed = s->write_error < 0 || r == -EROFS || r == -EIO;

	if (failed && !s->state.storage_failed)
		log_event(LOG_LEVEL_ERROR, MESSAGE_STORAGE_FAILED, NULL, 0, "the spool cannot be used: %s",
			s->write_error < 0 ? errno_text(s->write_error) : why);
	s->state.storage_failed = failed;
	s->state.no_room = r == -ENOSPC || r == -EDQUOT;
	if (s->upkeep)
		upkeep_room(s->upkeep, r, why);
}

void service_lights(struct service *s)
{
	struct spool_counts n = {0};
	struct lights now;

	if (spool_counts(s->spool, &n) >= 0) {
		s->state.waiting = (uint32_t)MIN(n.queued + n.provisional, (int64_t)UINT32_MAX);
		s->state.held = (uint32_t)MIN(n.held, (int64_t)UINT32_MAX);
	}
	look_for_room(s);
	s->state.offline = s->courier && courier_offline(s->courier);
	tell_status(s);
	now = lights_for(&s->state);
	if (now.captured == s->lights.captured && now.safe == s->lights.safe && now.delivered == s->lights.delivered)
		return;
	s->lights = now;
	null_board.show(NULL, &now);
	if (s->control)
		control_event(s->control, &(struct event){.kind = EVENT_LIGHTS});
}

static void note_state(struct service *s, const struct event *e)
{
	switch (e->kind) {
	case EVENT_SCAN_STARTED:
		if (!e->glass)
			break;
		s->state.scanning = true;
		s->state.last_page_safe = s->state.last_page_delivered = s->state.look_again = false;
		break;
	case EVENT_SCAN_ENDED:
		s->state.scanning &= !e->glass;
		break;
	case EVENT_PAGE_ACCEPTED:
		if (!e->glass)
			break;
		s->state.last_page_safe = true;
		s->state.look_again |= e->look_again;
		s->state.last_page_delivered = false;
		s->last_seq = e->page->seq;
		break;
	case EVENT_DELIVERED:
		if (e->page && e->page->seq == s->last_seq)
			s->state.last_page_delivered = true;
		break;
	default:
		break;
	}
}

/* To go on would only fail for ever: the next start sets the database aside and makes a new one from the page files. */
static bool ended_by_damage(struct service *s)
{
	if (!db_damaged(spool_db(s->spool)))
		return false;
	if (!s->damaged)
		log_error("the spool's database is damaged: the service ends, and rebuilds it at its next start");
	s->damaged = s->stopping = true;
	sd_event_exit(s->event, -EUCLEAN);
	return true;
}

void service_storage(struct service *s, int error)
{
	bool changed = (error < 0) != (s->write_error < 0);

	s->write_error = MIN(error, 0);
	if (changed)
		service_lights(s);
	ended_by_damage(s);
}

void service_event(struct service *s, const struct event *e)
{
	note_state(s, e);
	if (s->control)
		control_event(s->control, e);
	if (s->watch)
		watch_event(s->watch, e);
	if (s->courier)
		courier_kick(s->courier);
	service_lights(s);
	ended_by_damage(s);
}

/* ---- recovery, in slices while the service works ----------------------------------------------------------------------------- */

static void report_recovery(struct service *s)
{
	const struct spool_reconciled *n = spool_reconciled(s->spool);

	if (n->tmp_removed || n->leftovers || n->not_acknowledged || n->rebuilt || n->lost || n->attempts_crashed || n->quarantined)
		log_notice("recovered: %" PRIi64 " unfinished and old files removed, %" PRIi64 " pages found without a row, %" PRIi64
			   " of a lost database, %" PRIi64 " lost, %" PRIi64 " requests cut off, %" PRIi64 " set aside",
			n->tmp_removed + n->leftovers, n->not_acknowledged, n->rebuilt, n->lost, n->attempts_crashed, n->quarantined);
	service_lights(s);
	/* Only now: a page that crashed the service before is held by then. */
	courier_start(s->courier);
}

static int on_reconcile(sd_event_source *source, void *ud);

static int on_reconcile_timer(sd_event_source *source, uint64_t us, void *ud)
{
	struct service *s = ud;

	return loop_defer(s->event, &s->reconcile, SD_EVENT_PRIORITY_IDLE, on_reconcile, s);
}

/* Nothing can be put in order, sent or delivered. Once it can be written the spool is opened anew, by a start. */
static int wait_for_storage(struct service *s)
{
	char why[200];

	if (spool_room(s->spool, why, sizeof(why)) == -EROFS)
		return loop_timer(s->event, &s->reconcile_timer, STORAGE_AGAIN_MS, on_reconcile_timer, s);
	log_notice("the spool's file system can be written again: the service ends, to be started anew");
	s->stopping = true;
	return sd_event_exit(s->event, -EROFS);
}

static int on_reconcile(sd_event_source *source, void *ud)
{
	struct service *s = ud;
	int r;

	if (s->stopping)
		return 0;
	if (spool_readonly(s->spool))
		return wait_for_storage(s);
	if (!s->spool_reconciled) {
		r = spool_reconcile(s->spool);
		if (r == 0) {
			s->spool_reconciled = true;
			report_recovery(s);
			r = 1;
		}
	} else {
		r = delivery_reconcile(s->spool, &s->delivery_cursor);
		if (r == 0) {
			courier_start(s->courier); /* again, for the deliveries that were found missing */
			upkeep_recovered(s->upkeep);
			return 0;
		}
	}
	if (r > 0)
		return loop_defer(s->event, &s->reconcile, SD_EVENT_PRIORITY_IDLE, on_reconcile, s);
	if (ended_by_damage(s))
		return 0;
	/* What cannot be looked at now must not keep the rest from working. */
	log_warning("recovery stopped (%s); tried again in %d s", errno_text(r), RECONCILE_AGAIN_MS / 1000);
	courier_start(s->courier);
	return loop_timer(s->event, &s->reconcile_timer, RECONCILE_AGAIN_MS, on_reconcile_timer, s);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------ */

static int on_stop_check(sd_event_source *source, void *ud)
{
	struct service *s = ud;

	if (courier_in_flight(s->courier) == 0 && !intake_busy(s->intake))
		sd_event_exit(s->event, 0);
	return 0;
}

static int on_stop_timer(sd_event_source *source, uint64_t us, void *ud)
{
	struct service *s = ud;

	log_notice("stopping with %zu requests in flight", courier_in_flight(s->courier));
	return sd_event_exit(s->event, 0);
}

/* Ends within StopTimeout=: what is in flight may finish, nothing new begins. */
static void service_stop(struct service *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	loop_notify("STOPPING=1\nSTATUS=stopping");
	log_info("stopping");
	courier_stop(s->courier);
	watch_stop(s->watch);
	intake_stop(s->intake);
	scanner_stop(s->scanner);
	/* After every turn of the loop: has the last one ended? */
	if (loop_timer(s->event, &s->stop_timer, s->config.stop_timeout_ms, on_stop_timer, s) < 0 ||
		sd_event_add_post(s->event, &s->stop_check, on_stop_check, s) < 0)
		sd_event_exit(s->event, 0);
	/* Idle, there is no further turn to wait for. */
	on_stop_check(NULL, s);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *ud)
{
	service_stop(ud);
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *ud)
{
	log_notice("the configuration is read at start only: restart the service to apply changes");
	return 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

static int open_event(struct service *s)
{
	int r = sd_event_new(&s->event);

	if (r >= 0)
		r = sd_event_add_signal(s->event, NULL, SIGTERM, on_stop_signal, s);
	if (r >= 0)
		r = sd_event_add_signal(s->event, NULL, SIGINT, on_stop_signal, s);
	if (r >= 0)
		r = sd_event_add_signal(s->event, NULL, SIGHUP, on_hangup, s);
	if (r >= 0)
		r = clock_new(NULL, NULL, &s->clock);
	if (r >= 0)
		s->started_ms = clock_boottime_ms(s->clock);
	return r;
}

static int open_spool(struct service *s, char *why, size_t why_size)
{
	return spool_open(&(struct spool_options){
		.directory = s->config.directory,
		.clock = s->clock,
		.cap_bytes = s->config.cap_bytes,
		.floor_bytes = s->config.floor_bytes,
		.floor_inodes = s->config.floor_inodes,
	}, &s->spool, why, why_size);
}

/* Without prices the service works: backends that are paid for are not sent to. */
static void open_prices(struct service *s)
{
	_cleanup_buf_ struct buf errors = {0};

	if (prices_read(s->config.prices, &s->prices, &errors) >= 0)
		return;
	log_warning("prices: %s: paid backends are not used", errors.len > 0 ? buf_str(&errors) : "cannot be read");
	s->prices = NULL;
}

static int open_transport(struct service *s)
{
	const struct http_options o = {
		.proxy = s->config.proxy[0] ? s->config.proxy : NULL,
		.user_agent = "pageferry/" PAGEFERRY_VERSION,
	};

	return loop_http_new(s->event, s->clock, &o, &s->http);
}

static const char *what_hangs(void *ud)
{
	const struct service *s = ud;
	const char *why = courier_hangs(s->courier);

	if (!why)
		why = credentials_hang(s->credentials);
	if (!why)
		why = resolver_hangs(s->resolver);
	return why ? why : intake_hangs(s->intake);
}

static void on_clock_set(void *ud)
{
	struct service *s = ud;

	credentials_clock_set(s->credentials);
	courier_clock_set(s->courier);
}

static int open_parts(struct service *s, char *why, size_t why_size)
{
	int r = open_transport(s);

	if (r >= 0)
		r = credentials_new(s, &s->credentials);
	if (r >= 0)
		r = resolver_new(s, &s->resolver);
	if (r >= 0)
		r = courier_new(s, &s->courier);
	if (r >= 0)
		r = intake_new(s, &s->intake);
	if (r >= 0)
		r = scanner_new(s, &s->scanner);
	if (r >= 0)
		r = control_new(s, &s->control, why, why_size);
	if (r >= 0)
		r = watch_new(s, &s->watch);
	if (r >= 0)
		r = upkeep_new(s, &s->upkeep);
	if (r >= 0)
		r = clockset_new(s->event, on_clock_set, s, &s->clockset);
	if (r >= 0)
		r = loop_watchdog_new(s->event, &s->watchdog);
	if (r >= 0)
		r = loop_watchdog_add(s->watchdog, what_hangs, s);
	return r;
}

int service_init(struct service *s, char *why, size_t why_size)
{
	_cleanup_buf_ struct buf errors = {0};
	int r;

	why[0] = '\0';
	r = open_event(s);
	if (r >= 0)
		r = types_load(&s->config, &s->types, &errors);
	if (errors.len > 0)
		str_format(why, why_size, "%.*s", (int)MIN(strcspn(buf_str(&errors), "\n"), why_size - 1), buf_str(&errors));
	if (r >= 0) {
		open_prices(s);
		r = open_spool(s, why, why_size);
	}
	if (r >= 0)
		r = open_parts(s, why, why_size);
	if (r < 0 && !why[0])
		str_format(why, why_size, "%s", errno_text(r));
	return r;
}

void service_clear(struct service *s)
{
	s->stopping = true;
	loop_watchdog_free(s->watchdog);
	clockset_free(s->clockset);
	watch_free(s->watch);
	s->watch = NULL;
	upkeep_free(s->upkeep);
	s->upkeep = NULL;
	scanner_free(s->scanner);
	s->scanner = NULL;
	intake_free(s->intake);
	s->intake = NULL;
	courier_free(s->courier);
	s->courier = NULL;
	resolver_free(s->resolver);
	s->resolver = NULL;
	credentials_free(s->credentials);
	s->credentials = NULL;
	control_free(s->control);
	s->control = NULL;
	doctor_bedrock_end(s);
	doctor_ask_end(s);
	loop_http_free(s->http);
	spool_close(s->spool);
	prices_free(s->prices);
	typeset_free(s->types);
	sd_event_source_disable_unref(s->reconcile);
	sd_event_source_disable_unref(s->reconcile_timer);
	sd_event_source_disable_unref(s->stop_timer);
	sd_event_source_disable_unref(s->stop_check);
	sd_event_source_disable_unref(s->status_timer);
	clock_free(s->clock);
	sd_event_unref(s->event);
}

int service_run(struct service *s)
{
	int r = loop_defer(s->event, &s->reconcile, SD_EVENT_PRIORITY_IDLE, on_reconcile, s);

	if (r < 0)
		return r;
	service_lights(s);
	loop_notify("READY=1");
	log_event(LOG_LEVEL_NOTICE, MESSAGE_READY, NULL, 0, "pageferryd %s is ready%s", PAGEFERRY_VERSION, s->config.lab ? " (Lab=yes: not for real pages)" : "");
	scanner_start(s->scanner);
	r = loop_run(s->event, s->clock, &s->stall_ms);
	if (r >= 0)
		upkeep_stopped(s->upkeep);
	return r;
}
