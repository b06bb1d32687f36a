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
/* A one-shot timer on CLOCK_BOOTTIME: calls fn once after ms; *source is made or moved. ms < 0 switches it off. */
int loop_timer(sd_event *e, sd_event_source **source, int64_t ms, sd_event_time_handler_t fn, void *ud);
/* Readiness (sd_notify) and the watchdog: petted only from here, once per turn of a timer, and only if loop_progress()
 * was called since by every registered part. */
int loop_notify(const char *state);
