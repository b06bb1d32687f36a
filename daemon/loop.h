/* sd-event and what everything on the loop shares. loop.c also drives cloud/http.h. */
#pragma once

#include <systemd/sd-event.h>

#include "base/clock.h"
#include "cloud/http.h"

/* Makes the transport on this event loop. The loop must outlive it. */
struct loop_http;
int loop_http_new(sd_event *e, struct clock *c, const struct http_options *o, struct loop_http **ret);
void loop_http_free(struct loop_http *l);
struct http *loop_http(struct loop_http *l);
/* Runs the loop until its end: its exit code, or negative errno. *longest_ms grows to the longest that one piece of work has kept
 * all others waiting: commits and fsyncs on slow flash, above all. */
int loop_run(sd_event *e, const struct clock *c, int64_t *longest_ms);
/* A one-shot timer on CLOCK_BOOTTIME: calls fn once after ms; *source is made or moved. ms < 0 switches it off. */
int loop_timer(sd_event *e, sd_event_source **source, int64_t ms, sd_event_time_handler_t fn, void *ud);
/* Work for the next turn of the loop, once: *source is made or armed again. Lower priorities run later. */
int loop_defer(sd_event *e, sd_event_source **source, int64_t priority, sd_event_handler_t fn, void *ud);
/* Readiness and status lines (sd_notify); nothing without a service manager. */
int loop_notify(const char *state);

/*
 * The watchdog, only where the service manager asked for one. It is petted from here alone: by a timer, and only if since
 * the last time (a) the loop found a moment without other work, so it is neither stuck nor spinning, and (b) every
 * registered part says that nothing it waits for is past its own deadline.
 */
struct loop_watchdog;
/* NULL: well; else what hangs, for the log. */
typedef const char *(*loop_alive_fn)(void *ud);
int loop_watchdog_new(sd_event *e, struct loop_watchdog **ret);
void loop_watchdog_free(struct loop_watchdog *w);
int loop_watchdog_add(struct loop_watchdog *w, loop_alive_fn fn, void *ud);
