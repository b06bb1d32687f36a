/*
 * The helper framing: what pageferryd and its helpers speak over a stream socket or a pair of pipes.
 *
 * A frame is one line of JSON (an object, UTF-8, at most FRAME_LINE_MAX bytes with its newline) and, if that object has
 * a member "bytes": N, exactly N raw bytes after the newline (N <= FRAME_BYTES_MAX). The member "type" names the frame.
 * The stream ends with a frame of type "end"; a stream that ends without it was cut off.
 * docs/architecture.md, "Helper framing", lists the frames.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"

#define FRAME_LINE_MAX  ((size_t)64 << 10)
#define FRAME_BYTES_MAX ((size_t)256 << 20)

/* Incremental reader: feed it what arrived, take out what is complete. */
struct frame_reader;

enum frame_part {
	FRAME_NONE, /* nothing complete yet: feed more */
	FRAME_HEAD, /* a header line; `bytes` of payload follow */
	FRAME_DATA, /* a piece of the payload, as it arrived */
	FRAME_DONE, /* the frame is complete (also for frames without payload) */
};

struct frame_piece {
	const cJSON *head; /* the current frame's header, borrowed until FRAME_DONE was returned */
	const char *type;  /* its "type", borrowed */
	uint64_t bytes;    /* its payload size */
	const void *data;  /* FRAME_DATA: the piece, borrowed until the next call */
	size_t len;
};

int frame_reader_new(struct frame_reader **ret);
void frame_reader_free(struct frame_reader *r);
/* Adds bytes (copied). 0, -ENOMEM. */
int frame_reader_feed(struct frame_reader *r, const void *data, size_t len);
/* The next part: enum frame_part, or -EBADMSG (not this framing; `frame_reader_error` says what), -EMSGSIZE, -ENOMEM.
 * After an error the reader stays in error. */
int frame_reader_next(struct frame_reader *r, struct frame_piece *ret);
const char *frame_reader_error(const struct frame_reader *r);

/* Blocking writers, for helpers. `head` is not changed; "bytes" is added when len > 0. 0 or negative errno (-EPIPE ...). */
int frame_write(int fd, const cJSON *head, const void *data, size_t len);
/* The same into memory (header line only): for the daemon, which queues what it writes. */
int frame_format(const cJSON *head, uint64_t bytes, struct buf *out);
