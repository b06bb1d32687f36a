/* A small grey picture of a page, for what looks at the page as a whole. */
#pragma once

#include "base/util.h"

struct luma {
	uint8_t *data; /* owned; rows without padding */
	uint32_t width, height;
	uint32_t box; /* pixels of the picture it was made from, a side, for one of these */
};

/* Averages boxes of equal size, the smallest that leave at most max_side pixels. What is left over at the right and the
 * bottom (less than a box) is not looked at. 0, -ENOMEM, or -ERANGE for a strip that has no such boxes. */
int luma_reduce(const uint8_t *data, uint32_t width, uint32_t height, uint32_t max_side, struct luma *ret);
void luma_free(struct luma *l);
#define _cleanup_luma_ _cleanup_(luma_free)

static inline uint8_t luma_at(const struct luma *l, uint32_t x, uint32_t y)
{
	return l->data[(size_t)y * l->width + x];
}
