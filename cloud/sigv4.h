/*
 * AWS Signature Version 4, own signer: pure, caller's buffers, injected time.
 * Source: AWS General Reference, "Create a signed AWS API request"; canonical URI rule of Bedrock as captured from
 * botocore and smithy: every service but S3 encodes the already encoded path once more (%3A -> %253A).
 */
#pragma once

#include "extract/extractor.h"
#include "cloud/creds.h"

struct sigv4_params {
	const char *region;  /* "ap-southeast-2" */
	const char *service; /* "bedrock" */
	int64_t now;         /* seconds since 1970, skew applied */
	bool single_encode;  /* S3: the path is not encoded again, x-amz-content-sha256 is sent and signed */
};

/* Adds x-amz-date, x-amz-security-token (with a token) and authorization to req. The host is taken from req->url and
 * signed; every other header in req is signed but those AWS tells not to sign. req->body_sha256 must be filled.
 * 0, -EINVAL (a URL or header that cannot be signed), -ENOBUFS, -ENOMEM. */
int sigv4_sign(const struct sigv4_params *p, const struct creds *c, struct request *req);
/* No signature: the Bedrock API key of `c` as it is. 0 or -ENOMEM, -ENOBUFS. */
int sigv4_bearer(const struct creds *c, struct request *req);
/* Percent-encodes as one path label: everything but A-Z a-z 0-9 - . _ ~ (so ':' and '/' too), upper-case hex. */
int sigv4_encode_label(const char *s, struct buf *out);
