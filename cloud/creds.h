/*
 * AWS credentials. Sources here: systemd credentials ($CREDENTIALS_DIRECTORY/NAME), a file (INI as the AWS CLI writes it,
 * or JSON), the standard environment variables. Secrets are wiped after use and never logged.
 * Source: AWS SDKs and Tools Reference Guide, "Static credentials", "Environment variables".
 */
#pragma once

#include "base/buf.h"

struct creds {
	char access_key[129];
	char secret_key[257];
	char *token;        /* owned; NULL without */
	int64_t expires_ms; /* realtime; 0: no expiry known */
	char source[96];    /* for people: "file /etc/pageferry/aws", never a secret */
};
void creds_clear(struct creds *c); /* wipes and frees */

struct creds_options {
	const char *credential; /* name of a systemd credential; NULL or "": none */
	const char *file;       /* path; NULL or "": none */
	const char *profile;    /* section of the file; NULL: "default" */
	bool environment;       /* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CREDENTIAL_EXPIRATION */
};

/* Loads from the first source that is there. 0, -ENOKEY (no source has any), or -EBADMSG / errno with a message that
 * names the source and what is wrong in `why`. Files are read again on every call: rotation needs no restart. */
int creds_load(const struct creds_options *o, struct creds *ret, char *why, size_t why_size);
/* Usable at this moment (with 60 s to spare)? */
bool creds_fresh(const struct creds *c, int64_t now_ms);
