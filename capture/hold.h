/*
 * A page's planes held whole, at the size at which they were decoded, while it is found out how the page lies. A page that
 * would take more than HOLD_MAX is held smaller: luma and, at half its size, chroma.
 */
#pragma once

#include "capture/image.h"

#define HOLD_MAX ((size_t)24 << 20) /* bytes: a frame of 16.7 million pixels whole */

struct scaler;
struct held {
	uint8_t *data;            /* owned */
	struct image_plane plane; /* as it is held */
	uint32_t filled;          /* rows */
	struct scaler *smaller;   /* owned; NULL: held as it comes */
};

struct hold {
	unsigned int n_planes;
	struct held held[IMAGE_PLANES];
};

/* For the planes of a picture that was started. */
int hold_init(struct hold *h, const struct image *im, size_t max);
int hold_push(struct hold *h, unsigned int plane, const uint8_t *row);
/* Makes a plane smaller, in its own place: so much of the size, at most 1. */
int hold_shrink(struct hold *h, unsigned int plane, double by_x, double by_y);
/* Pushes all rows into a scaler. */
int hold_give(const struct hold *h, unsigned int plane, struct scaler *to);
void hold_free(struct hold *h);
