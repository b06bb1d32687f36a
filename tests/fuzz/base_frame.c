/* The frame reader, fed in pieces: the first byte of the input is their size. */
#include <stdio.h>

#include "base/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Takes all that is complete. Returns the last part. */
static int drain(struct frame_reader *r, uint64_t *left)
{
	struct frame_piece p;
	int part;

	while ((part = frame_reader_next(r, &p)) > 0) {
		must(p.head && p.type && *p.type && p.bytes <= FRAME_BYTES_MAX);
		if (part == FRAME_HEAD)
			*left = p.bytes;
		if (part == FRAME_DATA) {
			must(p.len > 0 && p.len <= *left);
			*left -= p.len;
		}
		if (part == FRAME_DONE)
			must(*left == 0);
	}
	must(part == FRAME_NONE || *frame_reader_error(r));
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader *r;
	uint64_t left = 0;
	size_t step;

	if (size < 1 || frame_reader_new(&r) < 0)
		return 0;
	step = (size_t)data[0] + 1;
	for (size_t at = 1; at < size; at += step) {
		must(frame_reader_feed(r, data + at, MIN(step, size - at)) == 0);
		if (drain(r, &left) < 0)
			break;
	}
	frame_reader_free(r);
	return 0;
}
