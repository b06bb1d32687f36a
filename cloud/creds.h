/*
 * AWS credentials: what every source ends in. Secrets are wiped after use and never logged; nothing here quotes them.
 * Source: AWS SDKs and Tools Reference Guide, "Static credentials", "Process credentials provider".
 */
#pragma once

#include "base/json.h"

struct creds {
	char access_key[129];
	char secret_key[257];
	char *token;        /* owned; NULL without */
	char *bearer;       /* owned; a Bedrock API key, which takes the place of the other three; NULL without */
	int64_t expires_ms; /* realtime; 0: no expiry known */
	char source[96];    /* for people: "file /etc/pageferry/aws", never a secret */
};
void creds_clear(struct creds *c); /* wipes and frees */
/* 0 or -ENOMEM. */
int creds_copy(const struct creds *c, struct creds *ret);
/* Usable at this moment (with 60 s to spare)? */
bool creds_fresh(const struct creds *c, int64_t now_ms);
/* First and last four characters of the access key, as "AKIA...MPLE"; "" without one or when it is short. */
#define CREDS_HINT_SIZE 16
void creds_hint(const struct creds *c, char out[static CREDS_HINT_SIZE]);

/* What a source said, before it is judged. The strings borrow from the source. */
struct creds_words {
	const char *key, *secret, *token, *expires;
};
/* Judges the words and copies them into `c`. 0, -ENOMEM, or -EBADMSG with a sentence that does not quote them. */
int creds_fill(struct creds *c, const struct creds_words *w, char *why, size_t why_size);
/* The same of a JSON object in one of the ways of writing the members' names. */
enum creds_spelling {
	CREDS_AS_PROCESS,  /* AccessKeyId, SecretAccessKey, SessionToken, Expiration: credential_process, STS */
	CREDS_AS_METADATA, /* AccessKeyId, SecretAccessKey, Token, Expiration: IMDS, container */
	CREDS_AS_SESSION,  /* accessKeyId, secretAccessKey, sessionToken, expiration: IoT Core, Roles Anywhere */
};
int creds_from_json(struct creds *c, const cJSON *object, enum creds_spelling s, char *why, size_t why_size);
/* Overwrites every string of a tree that held secrets, then deletes it. */
void creds_json_delete(cJSON *j);
