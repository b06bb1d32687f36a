/*
 * Objects in one bucket of Amazon S3, by the bucket's own name in its region (https://BUCKET.s3.REGION.amazonaws.com/KEY), and what
 * HEAD of the bucket proves of where it lies. Source: S3 API reference, HeadBucket, PutObject, GetObject, DeleteObject; bucket
 * naming rules of the S3 user guide.
 */
#pragma once

#include "cloud/creds.h"
#include "cloud/guard.h"
#include "extract/extractor.h"

struct s3_bucket {
	char name[64];  /* "": none */
	char owner[16]; /* account that must own it; "": not asked for */
	char region[32];
};

/* A name by the rules, and without a dot: a dot would be another host in the certificate. */
bool s3_name_ok(const char *name);
/* Letters, digits and /!-_.*'() alone, without empty, "." or ".." parts, and '/' at its end: it needs no second thought anywhere. */
bool s3_prefix_ok(const char *prefix);
/* The URL of an object, or of the bucket itself with key "". */
int s3_url(const struct s3_bucket *b, const char *key, struct buf *out);
/* Is this URL one of the bucket? */
bool s3_is_url(const struct s3_bucket *b, const char *url);
/* "s3://BUCKET/KEY" of this bucket, with KEY below `prefix`: KEY; else NULL. */
const char *s3_key_of(const struct s3_bucket *b, const char *prefix, const char *uri);
/* A request without a body, but for its times. On failure nothing is left behind. */
int s3_request(const struct s3_bucket *b, const char *method, const char *key, struct request *ret);
int s3_add_owner(const struct s3_bucket *b, struct request *req);
/* As extractor_ops.sign. */
int s3_sign(const struct s3_bucket *b, const struct creds *c, int64_t now, struct request *req);
/* What a reply to HEAD says of where the bucket is: */
enum s3_place {
	S3_STAYS,     /* in its region, and these credentials may use it */
	S3_ELSEWHERE, /* or not as it was taken to be */
	S3_UNKNOWN,   /* it could not be asked; again later */
};
enum s3_place s3_place_of(const struct s3_bucket *b, const struct reply *r, char *why, size_t why_size);
