/*
 * The courier: takes due pages to the backends of their routes. Per backend: state, breaker with one probe, capped
 * exponential backoff with full jitter, a bound on what is in flight. Two lanes: a page scanned now does not wait behind
 * backlog, and the backlog keeps a share (one in four).
 */
#pragma once

#include "daemon/service.h"
#include "base/json.h"

int courier_new(struct service *s, struct courier **ret);
/* Stops taking pages; what is in flight goes on until courier_free(). */
void courier_stop(struct courier *c);
void courier_free(struct courier *c); /* cancels what is in flight: those attempts are settled as possibly billed */
/* There may be something due: called after every event that can make it so. Cheap, never recurses. */
void courier_kick(struct courier *c);
/* The machine's clock was set: whoever waited for that looks again. */
void courier_clock_set(struct courier *c);
/* Begins: nothing is sent before the spool is reconciled, since until then open attempts are a crash's. */
void courier_start(struct courier *c);
/* For the watchdog: NULL, or what is past its own deadline. */
const char *courier_hangs(const struct courier *c);
size_t courier_in_flight(const struct courier *c);
/* Adds the varlink type Backend of each. */
int courier_backends_json(const struct courier *c, cJSON *array);
int courier_backend_json(const struct courier *c, const char *name, cJSON **ret);
/* Do pages wait, or go elsewhere, for the budget's sake? */
bool courier_is_over_budget(const struct courier *c);
/* Bytes of the answer that is arriving for this page just now; 0: none is. */
int64_t courier_answering(const struct courier *c, int64_t seq);
/* A request to a backend's account that carries no page: in how many milliseconds it may start (RequestsPerMinute=, TokensPerMinute=, what
 * throttling has taught); 0: now. It starts: boottime. It has ended. */
int64_t courier_aside_wait_ms(struct courier *c, const char *backend, int64_t tokens);
int64_t courier_aside_begin(struct courier *c, const char *backend, int64_t tokens);
void courier_aside_end(struct courier *c, const char *backend, int64_t began_ms, int64_t tokens, const struct verdict *v);
/* Is the first backend of the configured route down? */
bool courier_offline(const struct courier *c);
