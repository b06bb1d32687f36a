/* A JPEG to 8-bit grey, whole or not at all: half a page read well would pass for a page. */
#pragma once

#include "ocr/fail.h"

struct grey {
	uint8_t *data; /* owned; width * height bytes, no padding */
	int width, height;
};

#define GREY_SIDE_MAX       16384
#define GREY_PIXELS_MAX     ((int64_t)100 << 20)
#define GREY_PIXELS_DEFAULT ((int64_t)40 << 20)

/* Reasons: not-an-image, truncated, damaged, too-large, unsupported, memory. 0 or negative errno with `fail`
 * filled. */
int grey_from_jpeg(const void *jpeg, size_t len, int64_t max_pixels, struct grey *ret, struct ocr_fail *fail);
void grey_free(struct grey *g);
