/* Where the bytes of an encoded page come from: a file, memory, or a frame's payload. Read once, front to
 * back. */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* libjpeg decodes slowly what lies in the last few kilobytes of a buffer. Pieces of an original are as large, at most. */
#define INPUT_BUFFER ((size_t)64 << 10)
/* A page file is never larger than a frame's payload may be. */
#define INPUT_MAX ((uint64_t)256 << 20)

struct input;
/* Up to len bytes (at least one), 0 at the end, or negative errno. */
typedef ssize_t (*input_read_fn)(struct input *in, void *to, size_t len);

struct input {
	const uint8_t *at; /* unread bytes in hand */
	size_t left;
	input_read_fn read; /* NULL: memory, nothing follows */
	int fd;             /* borrowed */
	off_t offset;
	void *ud;
	uint8_t *buffer;  /* owned, INPUT_BUFFER bytes; NULL for memory */
	uint64_t total;   /* bytes read so far */
	bool from_camera; /* a JPEG may have a few bytes of padding before its markers */
};

/* Reads with pread() from the start: a passed descriptor's position is shared with its sender and not to be
 * trusted. */
int input_from_file(struct input *in, int fd);
void input_from_memory(struct input *in, const void *data, size_t len);
int input_from_reader(struct input *in, input_read_fn fn, void *ud);
/* Makes more bytes available if none are left: 1, 0 at the end, or negative errno (-EFBIG beyond INPUT_MAX).
 */
int input_more(struct input *in);
/* Sees that `want` bytes (at most INPUT_BUFFER) are in hand if there are so many: how many are, or negative
 * errno. */
ssize_t input_peek(struct input *in, size_t want);
void input_close(struct input *in);
