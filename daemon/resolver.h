/*
 * Where application inference profiles and guardrails lead, and where a bucket is: what the guard answers with NEEDS_RESOLVE,
 * only AWS can say. Asked of Bedrock's control plane, or of S3, in the backend's region, once the service has started; until the
 * reply proves that all of it is in allowed regions, pages wait. It is believed for an hour by boottime, and asked again before
 * that ends; a reply that leads abroad ends it at once. Nothing is stored: a service that starts asks anew, for a page that can
 * be sent needs AWS then anyhow.
 */
#pragma once

#include "daemon/service.h"

struct resolver;

enum resolve_state {
	RESOLVE_READY,  /* known to be allowed, or nothing is to be resolved */
	RESOLVE_COMING, /* being asked */
	RESOLVE_FAILED, /* refused, or it cannot be asked; asked again */
};

int resolver_new(struct service *s, struct resolver **ret);
void resolver_free(struct resolver *r); /* cancels what is on its way */
/* How it stands with this backend; asks what is due. With FAILED reason and message say why. `r` may be NULL: nothing is resolved. */
enum resolve_state resolver_look(struct resolver *r, const struct backend_config *b, const char **ret_reason, const char **ret_message);
/* What the backend is proved to lead to, now; NULL: it is not. Borrowed until the loop turns. */
const char *resolver_leads(const struct resolver *r, const struct backend_config *b);
/* The model behind the backend's profile, by the name that prices have; NULL: not known. */
const char *resolver_model(const struct resolver *r, const struct backend_config *b);
/* For people: how it stands, without asking; false: nothing is to be resolved for it. */
bool resolver_tell(const struct resolver *r, const struct backend_config *b, bool *ret_well, char *text, size_t size);
/* For the watchdog: NULL, or what is past its own deadline. */
const char *resolver_hangs(const struct resolver *r);
