/* The signer's stages, for tests only: canonical request, string to sign, signature. */
#pragma once

#include "base/crypto.h"
#include "cloud/sigv4.h"

#define SIGV4_DATE_SIZE  17 /* "20261121T000000Z" with NUL */
#define SIGV4_SCOPE_SIZE 160

/* `seconds` since 1970 as YYYYMMDDTHHMMSSZ. 0, or -EINVAL outside the years 1970 to 9999. */
int sigv4_date(int64_t seconds, char out[static SIGV4_DATE_SIZE]);
/* The request as it stands (its x-amz- headers already in place). */
int sigv4_canonical_request(const struct request *req, bool single_encode, struct buf *out, struct buf *ret_signed);
/* "YYYYMMDD/REGION/SERVICE/aws4_request" */
int sigv4_scope(const struct sigv4_params *p, const char *date, char *out, size_t size);
int sigv4_string_to_sign(const char *date, const char *scope, const struct buf *canonical, struct buf *out);
void sigv4_signature(const struct sigv4_params *p, const struct creds *c, const char *date, const struct buf *to_sign,
	char out[static SHA256_HEX_SIZE]);
