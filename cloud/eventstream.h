/*
 * Amazon's event stream encoding (application/vnd.amazon.eventstream): frames out of bytes that arrive in any pieces.
 * A frame, big-endian: total length, length of the headers, CRC-32 of these eight bytes, headers, payload, CRC-32 of all
 * before it. Source: Amazon Transcribe developer guide, "Event stream encoding"; smithy specification, "Amazon Event Stream".
 */
#pragma once

#include "base/buf.h"

#define EVENTSTREAM_HEADERS_MAX ((size_t)128 << 10)
#define EVENTSTREAM_PAYLOAD_MAX ((size_t)4 << 20) /* less than the 24 MiB that AWS allows: a model's event is small */
#define EVENTSTREAM_FIELDS_MAX  32

enum eventstream_type { /* as on the wire */
	EVENTSTREAM_TRUE,
	EVENTSTREAM_FALSE,
	EVENTSTREAM_I8,
	EVENTSTREAM_I16,
	EVENTSTREAM_I32,
	EVENTSTREAM_I64,
	EVENTSTREAM_BYTES,
	EVENTSTREAM_STRING,
	EVENTSTREAM_TIMESTAMP, /* milliseconds since 1970 */
	EVENTSTREAM_UUID,
};

/* Borrowed from the frame, for the time of the call; nothing is NUL-ended. */
struct eventstream_field {
	const char *name;
	size_t name_len; /* 1 to 255 */
	enum eventstream_type type;
	const uint8_t *value; /* as on the wire, without a length before it */
	size_t len;
};
struct eventstream_frame {
	struct eventstream_field fields[EVENTSTREAM_FIELDS_MAX];
	size_t n_fields;
	const char *payload;
	size_t len;
};

/* Zero-initialised is empty and valid. */
struct eventstream {
	struct buf pending; /* bytes of a frame that is not whole: never more than one frame may have */
	bool broken;        /* nothing can be read behind a wrong frame */
};

/* Told of each frame once it is whole and its check sums hold. Not 0: reading ends, and eventstream_take() returns it. */
typedef int (*eventstream_fn)(void *ud, const struct eventstream_frame *f);

/* 0, what fn returned, -EBADMSG (not such a stream, or over the limits above; again from then on) or -ENOMEM. */
int eventstream_take(struct eventstream *s, const void *data, size_t len, eventstream_fn fn, void *ud);
void eventstream_clear(struct eventstream *s);
/* The value of a field of type string as text, NUL-ended: 0, -ENOENT (none, or another type) or -ENOBUFS. */
int eventstream_string(const struct eventstream_frame *f, const char *name, char *out, size_t size);
