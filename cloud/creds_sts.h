/* Requests to STS and what their replies mean; for the sources assume-role and web-identity. */
#pragma once

#include "cloud/creds_source.h"

#define STS_TOKEN_MAX 20000 /* of a web identity */

struct sts_role {
	const char *arn;
	const char *session_name; /* NULL or "": pageferry */
	const char *external_id;  /* NULL or "": none */
	int64_t duration_ms;      /* 0: an hour */
	const char *token;        /* of a web identity: the request is not signed then */
};

/* CREDS_SEND: AssumeRole signed with `signer`, or AssumeRoleWithWebIdentity when role->token is there. CREDS_FAILED ("clock")
 * when nothing may be signed. */
int sts_ask(const struct creds_config *c, const struct sts_role *role, const struct creds *signer, int64_t signing_s,
	struct creds_step *ret);
/* CREDS_HAVE or CREDS_FAILED. Its source is "role NAME". */
int sts_reply(const struct creds_config *c, const struct reply *reply, bool web_identity, const char *arn, struct creds_step *ret);
