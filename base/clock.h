/*
 * Time as a module, so that simulations run on virtual time.
 *
 * boottime is for delays (CLOCK_BOOTTIME: counts suspend, never steps); realtime only for signatures and stamps.
 * The floor is max(build date, what a server proved before): realtime below it is known to be wrong and nothing is signed.
 */
#pragma once

#include "base/util.h"

enum time_trust {
	TIME_UNTRUSTED, /* below the floor */
	TIME_PLAUSIBLE, /* at or above the floor, not known to be synchronised */
	TIME_TRUSTED,   /* confirmed by Date over verified TLS, or synchronised (adjtimex) and not contradicted by one */
};

struct clock;
struct clock_ops {
	int64_t (*boottime_ms)(void *ud);
	int64_t (*realtime_ms)(void *ud);
	bool (*synchronised)(void *ud); /* does the kernel say that the clock is synchronised (adjtimex)? */
};

/* The system's clock when ops is NULL. 0 or -ENOMEM. */
int clock_new(const struct clock_ops *ops, void *ud, struct clock **ret);
void clock_free(struct clock *c);
int64_t clock_boottime_ms(const struct clock *c);
int64_t clock_realtime_ms(const struct clock *c); /* milliseconds since 1970 */
enum time_trust clock_trust(const struct clock *c);
/* Raises the floor (a stamp read back from the spool); never lowers it. */
void clock_raise_floor(struct clock *c, int64_t realtime_ms);
/* What a server's Date over verified TLS taught: server minus ours, in ms. Used for signing only. It is kept against
 * boottime: when realtime is stepped by N ms later, the skew is N ms less. Under a minute it also confirms our clock. */
void clock_learn_skew(struct clock *c, int64_t skew_ms);
/* The same from a Date as it was read at the end of an exchange that took so long: whole seconds, made somewhere within it, so up
 * to 2 s and the exchange itself are none. One that took more than 15 minutes teaches nothing. True when a signature made now would
 * say something else: four minutes or more, as AWS's SDKs have it. */
bool clock_learn_date(struct clock *c, int64_t date_ms, int64_t round_trip_ms);
int64_t clock_skew_ms(const struct clock *c);
/* What may be remembered as a floor: a day before the time that a server has proved, and no later than twenty years after the build,
 * whatever it said. 0: none has. A clock that is synchronised proves nothing: its time server may be wrong, and a floor in the
 * future would keep the machine from signing until then. */
int64_t clock_proven_floor_ms(const struct clock *c);
/* Realtime plus learned skew, for signatures: 0 and the seconds since 1970, or -ETIME when that is below the floor. */
int clock_signing_time(const struct clock *c, int64_t *ret_seconds);

/* "2026-11-21T03:12:05Z" (21 bytes with NUL) or with milliseconds (25). */
#define TIMESTAMP_SIZE 32
void timestamp_format(int64_t realtime_ms, bool with_ms, char out[static TIMESTAMP_SIZE]);
const char *time_trust_name(enum time_trust t); /* "untrusted", "plausible", "trusted" */
int time_trust_parse(const char *s, enum time_trust *ret);
