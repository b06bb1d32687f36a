/* A frame at a glance: means and detail of luma over a grid, cheap enough for every frame of a stream. Tells when exposure
 * and focus have settled, which of several frames is sharpest, and whether a page came, rests or went. */
#pragma once

#include "base/util.h"

#define GLANCE_ACROSS 32
#define GLANCE_DOWN   24
#define GLANCE_CELLS  (GLANCE_ACROSS * GLANCE_DOWN)

struct glance {
	/* While rows are added. */
	uint32_t width, height;
	uint32_t sum[GLANCE_CELLS], steps[GLANCE_CELLS], count[GLANCE_CELLS];
	/* After glance_end(). */
	uint8_t mean[GLANCE_CELLS];   /* luma */
	uint8_t detail[GLANCE_CELLS]; /* mean step from one pixel to the next, times 4 */
	int64_t brightness;           /* mean luma times 256 */
	int64_t sharpness;            /* mean step times 256; of a JPEG its size in bytes */
	uint8_t brightest;            /* of the cells' means */
	int64_t at_ms;                /* when it was; set by whoever has a clock */
};

/* Some rows of a picture of that size, each `step` bytes a pixel; which ones is the caller's to choose. */
void glance_begin(struct glance *g, uint32_t width, uint32_t height);
void glance_row(struct glance *g, uint32_t y, const uint8_t *luma, unsigned int step);
void glance_end(struct glance *g);
/* How many of the cells differ by more than `by`. */
unsigned int glance_changed(const struct glance *a, const struct glance *b, unsigned int by);
