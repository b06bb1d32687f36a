/*
 * The files that the AWS command line and the SDKs share: ~/.aws/credentials and ~/.aws/config, sections of which are profiles.
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 */
#pragma once

#include "cloud/creds.h"

#define SHARED_FILE_MAX ((size_t)64 << 10)

/* What of a profile has to do with credentials. */
enum shared_key {
	SHARED_ACCESS_KEY,
	SHARED_SECRET_KEY,
	SHARED_TOKEN,
	SHARED_EXPIRES,
	SHARED_ROLE_ARN,
	SHARED_SOURCE_PROFILE,
	SHARED_CREDENTIAL_SOURCE,
	SHARED_EXTERNAL_ID,
	SHARED_SESSION_NAME,
	SHARED_DURATION,
	SHARED_PROCESS,
	SHARED_TOKEN_FILE,
	SHARED_MFA,
	SHARED_SSO,      /* sso_session or sso_start_url */
	SHARED_KEYS,
};

struct shared_profile {
	bool found;
	char *values[SHARED_KEYS]; /* owned; NULL: not given, or empty */
};

/* Lays what stands under [NAME] or [profile NAME] in `text` over what `p` has. 0, -ENOMEM, or -EBADMSG with a sentence
 * without what stands there. */
int shared_profile_read(const char *text, size_t len, const char *name, struct shared_profile *p, char *why, size_t why_size);
void shared_profile_clear(struct shared_profile *p); /* wipes and frees */
/* Its keys as credentials: as creds_fill(). */
int shared_profile_creds(const struct shared_profile *p, struct creds *c, char *why, size_t why_size);
