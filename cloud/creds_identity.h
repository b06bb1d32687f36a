/* The device's certificate and private key, read anew for each retrieval. */
#pragma once

#include "base/crypto_key.h"
#include "cloud/creds_source.h"

#define CREDS_PEM_MAX ((size_t)64 << 10)

struct creds_identity {
	char *cert_pem, *key_pem; /* owned, in blocks of creds_read_text() */
	struct certificates certs;
	struct signing_key *key;
};
/* Reads Certificate= and Key=. 0, -ENOMEM, or -EBADMSG with the step as the end: what is wrong and what to do. */
int creds_identity_load(const struct creds_config *c, struct creds_identity *ret, struct creds_step *step);
void creds_identity_clear(struct creds_identity *i); /* wipes and frees */
/* "" or, with a blank before it, a sentence: a certificate has expired or is not valid yet at this moment. */
void creds_identity_dates(const struct creds_identity *i, int64_t now_ms, char *out, size_t size);
