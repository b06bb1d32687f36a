/* sd-event: one-shot timers, the HTTP transport's descriptors, readiness and the watchdog. */
#include "daemon/loop.h"

#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/log.h"

#define TIMER_ACCURACY_US UINT64_C(1000)
#define WATCHES_MAX       128
#define PARTS_MAX         8

int loop_timer(sd_event *e, sd_event_source **source, int64_t ms, sd_event_time_handler_t fn, void *ud)
{
	uint64_t us = ms < 0 ? 0 : (uint64_t)ms * 1000;
	int r;

	if (ms < 0)
		return *source ? sd_event_source_set_enabled(*source, SD_EVENT_OFF) : 0;
	if (!*source)
		return sd_event_add_time_relative(e, source, CLOCK_BOOTTIME, us, TIMER_ACCURACY_US, fn, ud);
	r = sd_event_source_set_time_relative(*source, us);
	return r < 0 ? r : sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}

int loop_defer(sd_event *e, sd_event_source **source, int64_t priority, sd_event_handler_t fn, void *ud)
{
	int r;

	if (*source)
		return sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
	r = sd_event_add_defer(e, source, fn, ud);
	return r < 0 ? r : sd_event_source_set_priority(*source, priority);
}

/* As sd_event_loop() does it, with a look at the clock around each dispatch. */
int loop_run(sd_event *e, const struct clock *c, int64_t *longest_ms)
{
	int code, r = 0;

	while (r >= 0 && sd_event_get_state(e) != SD_EVENT_FINISHED) {
		int64_t began_ms;

		r = sd_event_prepare(e);
		if (r == 0)
			r = sd_event_wait(e, UINT64_MAX);
		if (r <= 0)
			continue;
		began_ms = clock_boottime_ms(c);
		r = sd_event_dispatch(e);
		*longest_ms = MAX(*longest_ms, clock_boottime_ms(c) - began_ms);
	}
	if (r >= 0)
		r = sd_event_get_exit_code(e, &code);
	return r < 0 ? r : code;
}

int loop_notify(const char *state)
{
	return sd_notify(0, state);
}

/* ---- the transport ------------------------------------------------------------------------------------------------------ */

struct watch {
	int fd;
	sd_event_source *source; /* NULL: a free slot */
};

struct loop_http {
	sd_event *event;
	struct clock *clock;
	struct http *http;
	sd_event_source *timer;
	struct watch watches[WATCHES_MAX];
};

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *ud)
{
	struct loop_http *l = ud;
	unsigned int events = 0;

	/* Errors and hang-ups are found by whoever reads or writes next: both are reported. */
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		events |= HTTP_READ;
	if (revents & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		events |= HTTP_WRITE;
	http_socket_ready(l->http, fd, events);
	return 0;
}

static struct watch *watch_slot(struct loop_http *l, int fd)
{
	struct watch *unused = NULL;

	for (size_t i = 0; i < WATCHES_MAX; i++) {
		if (l->watches[i].source && l->watches[i].fd == fd)
			return &l->watches[i];
		if (!l->watches[i].source && !unused)
			unused = &l->watches[i];
	}
	return unused;
}

static int watch(void *ud, int fd, unsigned int events)
{
	struct loop_http *l = ud;
	struct watch *w = watch_slot(l, fd);
	uint32_t mask = (events & HTTP_READ ? EPOLLIN : 0u) | (events & HTTP_WRITE ? EPOLLOUT : 0u);
	int r;

	if (!w)
		return events ? -ENOSPC : 0;
	if (!events) {
		w->source = sd_event_source_disable_unref(w->source);
		return 0;
	}
	if (w->source)
		return sd_event_source_set_io_events(w->source, mask);
	r = sd_event_add_io(l->event, &w->source, fd, mask, on_socket, l);
	if (r < 0)
		return r;
	w->fd = fd;
	return 0;
}

static int on_http_timer(sd_event_source *source, uint64_t us, void *ud)
{
	struct loop_http *l = ud;

	http_timer(l->http);
	return 0;
}

static int http_set_timer(void *ud, int64_t ms)
{
	struct loop_http *l = ud;

	return loop_timer(l->event, &l->timer, ms, on_http_timer, l);
}

static int64_t http_now_ms(void *ud)
{
	const struct loop_http *l = ud;

	return clock_boottime_ms(l->clock);
}

int loop_http_new(sd_event *e, struct clock *c, const struct http_options *o, struct loop_http **ret)
{
	struct loop_http *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->event = sd_event_ref(e);
	l->clock = c;
	r = http_new(&(struct http_loop){.watch = watch, .timer = http_set_timer, .now_ms = http_now_ms, .ud = l}, o, &l->http);
	if (r < 0) {
		loop_http_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_http_free(struct loop_http *l)
{
	if (!l)
		return;
	http_free(l->http);
	for (size_t i = 0; i < WATCHES_MAX; i++)
		sd_event_source_disable_unref(l->watches[i].source);
	sd_event_source_disable_unref(l->timer);
	sd_event_unref(l->event);
	free(l);
}

struct http *loop_http(struct loop_http *l)
{
	return l->http;
}

/* ---- the watchdog ------------------------------------------------------------------------------------------------------- */

struct loop_watchdog {
	sd_event *event;
	sd_event_source *timer, *idle;
	int64_t turn_ms;   /* 0: nobody asked for a watchdog */
	bool breathed;     /* the loop had a moment without other work since the last turn */
	bool complained;
	struct {
		loop_alive_fn fn;
		void *ud;
	} parts[PARTS_MAX];
	size_t n_parts;
};

static int on_idle(sd_event_source *source, void *ud)
{
	struct loop_watchdog *w = ud;

	w->breathed = true;
	return 0;
}

static const char *what_hangs(const struct loop_watchdog *w)
{
	if (!w->breathed)
		return "the loop finds no idle moment";
	for (size_t i = 0; i < w->n_parts; i++) {
		const char *why = w->parts[i].fn(w->parts[i].ud);

		if (why)
			return why;
	}
	return NULL;
}

static int on_turn(sd_event_source *source, uint64_t us, void *ud)
{
	struct loop_watchdog *w = ud;
	const char *why = what_hangs(w);

	if (!why) {
		loop_notify("WATCHDOG=1");
		w->complained = false;
	} else if (!w->complained) {
		log_error("watchdog not petted: %s", why);
		w->complained = true;
	}
	w->breathed = false;
	loop_defer(w->event, &w->idle, SD_EVENT_PRIORITY_IDLE, on_idle, w);
	return loop_timer(w->event, &w->timer, w->turn_ms, on_turn, w);
}

int loop_watchdog_new(sd_event *e, struct loop_watchdog **ret)
{
	struct loop_watchdog *w = calloc(1, sizeof(*w));
	uint64_t interval_us;
	int r;

	if (!w)
		return -ENOMEM;
	w->event = sd_event_ref(e);
	r = sd_watchdog_enabled(0, &interval_us);
	if (r > 0) {
		/* Four turns an interval: three may be missed, by slow storage for one. */
		w->turn_ms = (int64_t)MAX(interval_us / 4000, 1);
		w->breathed = true;
		r = loop_timer(e, &w->timer, 0, on_turn, w);
	}
	if (r < 0) {
		loop_watchdog_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void loop_watchdog_free(struct loop_watchdog *w)
{
	if (!w)
		return;
	sd_event_source_disable_unref(w->timer);
	sd_event_source_disable_unref(w->idle);
	sd_event_unref(w->event);
	free(w);
}

int loop_watchdog_add(struct loop_watchdog *w, loop_alive_fn fn, void *ud)
{
	if (w->n_parts == PARTS_MAX)
		return -ENOSPC;
	w->parts[w->n_parts].fn = fn;
	w->parts[w->n_parts].ud = ud;
	w->n_parts++;
	return 0;
}
