/*
 * Bedrock API keys. A short-term one is "bedrock-api-key-" and, in base64, a presigned URL that says for which region it was
 * made and when it ends; a long-term one says nothing. Source: Amazon Bedrock user guide, "Amazon Bedrock API keys".
 */
#pragma once

#include "cloud/creds_source.h"

#define CREDS_APIKEY_MAX ((size_t)16 << 10)

struct creds_apikey {
	bool short_term;
	char region[32];    /* of a short-term one */
	int64_t expires_ms; /* of a short-term one */
};
/* 0, -ENOMEM, or -EBADMSG: begins like a short-term key and is none. */
int creds_apikey_decode(const char *key, struct creds_apikey *ret);
