/* What the sources that ask a service have in common: requests, and what their replies mean. */
#pragma once

#include "cloud/creds_source.h"

#define CREDS_REPLY_MAX ((size_t)16 << 10) /* a session token alone may be some KB */

/* What to do about an HTTP status; `status` 0 ends a table. */
struct creds_advice {
	int status;
	const char *reason; /* for creds_step.reason */
	const char *advice; /* a sentence for people */
};

/* Begins a request: URL, limits, and what c has of Lab=yes. `model`: what the guard compares, borrowed, or NULL. */
int creds_request(const struct creds_config *c, enum guard_sink sink, const char *method, const char *url, const char *model,
	struct creds_step *ret);
/* True when there is a whole reply, of whatever status. Else the step is the end, as the transport says. */
bool creds_reply_came(const struct creds_config *c, const char *who, const struct reply *r, struct creds_step *ret);
/* True when there is an HTTP status of 2xx. Else the step is the end, as the table or the transport says. `who` is named in
 * the message. */
bool creds_reply_ok(const struct creds_config *c, const char *who, const struct reply *r, const struct creds_advice *table,
	struct creds_step *ret);
/* The body as a JSON object, which the caller gives to creds_json_delete(). 0, -ENOMEM, or -EBADMSG with the step as the end. */
int creds_reply_json(const char *who, const struct reply *r, cJSON **ret_object, struct creds_step *ret);
/* Credentials in `object` are the end; else the reason that there are none. 0 or -ENOMEM. */
int creds_reply_have(const char *who, const cJSON *object, enum creds_spelling s, struct creds_step *ret);
