/* Where a reply's body goes: into memory up to a cap, or, of a 200 that is wanted as a stream, to whoever reads that. */
#pragma once

#include "extract/extractor.h"

#define REPLY_DEFAULT ((size_t)1 << 20)

struct http_sink {
	struct buf body;
	struct stream *stream; /* borrowed */
	bool secret;           /* the body is wiped */
	uint64_t len, max;     /* bytes of a stream so far, and at most */
	bool streamed;         /* the body went to the stream */
	bool too_large, enough;
	bool progressed;       /* the stream has taken more of the answer */
};

/* 0 or -ENOMEM. */
int http_sink_init(struct http_sink *s, const struct request *r);
void http_sink_clear(struct http_sink *s);
/* False: no more is taken, which is the transfer's end. */
bool http_sink_write(struct http_sink *s, int status, const char *data, size_t len);
/* Tells whom it concerns; from outside curl's callbacks. */
void http_sink_tell(struct http_sink *s);
