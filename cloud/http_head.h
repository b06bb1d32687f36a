/* The header of a reply, collected line by line, capped in count and size. */
#pragma once

#include "extract/extractor.h"

#define HTTP_HEAD_FIELDS_MAX 64
#define HTTP_HEAD_BYTES_MAX  ((size_t)32 << 10)

struct http_head {
	struct header fields[HTTP_HEAD_FIELDS_MAX]; /* owned */
	size_t n, bytes;
};

/* One line as it arrived. A status line starts anew, so that interim replies (1xx) leave nothing; lines without a name
 * are skipped. 0, -EMSGSIZE (too much of it), -ENOMEM. */
int http_head_line(struct http_head *h, const char *line, size_t len);
void http_head_clear(struct http_head *h);
/* May it be sent? No byte in it begins another line. */
bool http_head_ok(const struct header *h);
/* The server's time, in ms; 0: it says none. */
int64_t http_head_date(const struct reply *r);
