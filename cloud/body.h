/* A request's segments as a stream of bytes: hashed in one pass, sent in another, never whole in memory. */
#pragma once

#include "extract/extractor.h"

struct body;
int body_new(const struct request *r, struct body **ret);
void body_free(struct body *b);
void body_rewind(struct body *b);
/* Up to len bytes. The count, 0 at the end, or negative errno (-ENODATA: a file became shorter). */
ssize_t body_read(struct body *b, void *out, size_t len);
/* Fills r->body_sha256. 0 or negative errno. */
int body_hash(struct request *r);
