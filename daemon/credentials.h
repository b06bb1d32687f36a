/*
 * The credentials of the configuration's sections, got when they are needed and kept until they are due: one retrieval at a
 * time for each section, whoever waits; renewed before their end; on failure asked for again with a growing delay. Who needs
 * some looks, and is kicked (courier_kick) when that would have another answer.
 */
#pragma once

#include "daemon/service.h"

struct credentials; /* all sections */
struct provider;    /* of one */

enum credentials_state {
	CREDENTIALS_READY,
	CREDENTIALS_COMING, /* being got */
	CREDENTIALS_FAILED, /* and will be asked for again */
};

int credentials_new(struct service *s, struct credentials **ret);
void credentials_free(struct credentials *c); /* cancels what is on its way, wipes what is there */
/* NULL: there is no such section. */
struct provider *credentials_find(struct credentials *c, const char *name);
/* How it stands. Starts what is due: a first retrieval, a renewal. With FAILED reason and message say why. */
enum credentials_state credentials_look(struct provider *p, const char **ret_reason, const char **ret_message);
/* A copy of them, after a look that said READY; *ret_generation names them for credentials_refused(). 0, -ENOKEY or -ENOMEM. */
int credentials_take(struct provider *p, struct creds *ret, uint64_t *ret_generation);
/* The machine's clock was set: what failed is asked for again now. */
void credentials_clock_set(struct credentials *c);
uint64_t credentials_generation(const struct provider *p);
/* A service refused those: they are got anew at once, but not again and again while nothing accepts what comes. */
void credentials_refused(struct provider *p, uint64_t generation);
/* A service accepted them. */
void credentials_accepted(struct provider *p, uint64_t generation);
/* A person asks: what was put off after a failure may be asked for with the next look, if that was not just now. */
void credentials_hurry(struct provider *p);
/* How they stand, for people and without a secret; asks nobody. The strings are the provider's, until the loop goes on. */
struct credentials_view {
	bool ready, coming;          /* as credentials_look() would say */
	bool refused;                /* what is there was refused by a service, and accepted by none since */
	bool local;                  /* files alone were looked at: to look again costs nothing */
	const char *source;          /* where what is there came from; NULL: nothing is there */
	char hint[CREDS_HINT_SIZE];  /* of the access key; "" without one */
	int64_t expires_ms;          /* realtime as servers tell it; 0: no end is known */
	const char *reason, *message; /* of the last failure; NULL: none since they came */
	int64_t wait_ms;             /* until it may be asked again */
};
void credentials_view(const struct provider *p, struct credentials_view *ret);
/* For the watchdog: NULL, or what is past its own deadline. */
const char *credentials_hang(const struct credentials *c);
