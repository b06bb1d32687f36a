/* Planes to a baseline JPEG: JFIF, 4:2:0 or grey, no other metadata. Rows of each plane come in order, in any
 * mix. */
#pragma once

#include "base/util.h"

/* Takes the next piece of the JPEG (at most JPEGENC_PIECE bytes; the first holds SOI and APP0). 0 or negative
 * errno. */
typedef int (*jpegenc_sink_fn)(void *ud, const void *data, size_t len);
#define JPEGENC_PIECE ((size_t)64 << 10)

struct jpegenc;
struct jpegenc_options {
	uint32_t width, height;
	unsigned int n_planes; /* 1 or 3; chroma planes are (width + 1) / 2 by (height + 1) / 2 */
	int quality;           /* 1 to 100 */
	jpegenc_sink_fn sink;
	void *ud;
};

int jpegenc_new(const struct jpegenc_options *o, struct jpegenc **ret);
/* The next row of a plane (copied). Encodes what is complete. Errors are the sink's, -ENOMEM, -ENOSPC (too
 * many rows). */
int jpegenc_row(struct jpegenc *e, unsigned int plane, const uint8_t *row);
/* All rows were given: writes the rest. -EPROTO if rows are missing. */
int jpegenc_finish(struct jpegenc *e);
/* Time spent in libjpeg so far, in microseconds. */
int64_t jpegenc_us(const struct jpegenc *e);
void jpegenc_free(struct jpegenc *e); /* NULL is fine */
