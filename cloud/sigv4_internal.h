/* The signer's stages that the signers share and tests look at. */
#pragma once

#include "base/crypto.h"
#include "cloud/sigv4.h"
#include "cloud/url.h"

#define SIGV4_DATE_SIZE  17 /* "20261121T000000Z" with NUL */

/* `seconds` since 1970 as YYYYMMDDTHHMMSSZ. 0, or -EINVAL outside the years 1970 to 9999. */
int sigv4_date(int64_t seconds, char out[static SIGV4_DATE_SIZE]);
/* The request as it stands (its x-amz- headers already in place) to `u`, which is req->url in its parts. */
int sigv4_canonical_request(
	const struct request *req, const struct url *u, bool single_encode, struct buf *out, struct buf *ret_signed);
/* Who signs, and how. */
struct sigv4_signer {
	const char *algorithm; /* "AWS4-HMAC-SHA256" */
	const char *identity;  /* access key id, or a certificate's serial number */
	/* Appends the signature in hex. 0 or negative errno. */
	int (*sign)(const void *ud, const struct sigv4_params *p, const char *date, const struct buf *to_sign, struct buf *out);
	const void *ud;
};
/* Adds the authorization header only: the other headers are as the caller wants them. `date`: sigv4_date() of p->now. */
int sigv4_authorize_by(const struct sigv4_params *p, const struct sigv4_signer *by, const char *date,
	const struct url *u, struct request *req);
/* Drops what a signer added. */
void sigv4_drop_headers(struct request *req);
/* The same with AWS keys. */
int sigv4_authorize(const struct sigv4_params *p, const struct creds *c, const char *date, const struct url *u,
	struct request *req);
