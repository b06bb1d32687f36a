/*
 * Resampling a plane held whole through a homography (perspective, rotation), in fixed point: places to 1/64 of a sample, a
 * Lanczos3 window of 8 x 8 samples that also takes a reduction by up to a third.
 */
#pragma once

#include "capture/quad.h"

#define WARP_TAPS    8
#define WARP_PHASES  64
#define WARP_STRETCH (4.0 / 3) /* samples of the plane for one of the result, at most; more would alias */

/* Homogeneous: (x, y) goes to (m0 x + m1 y + m2, m3 x + m4 y + m5) / (m6 x + m7 y + m8). Coordinates are continuous. */
struct homography {
	double m[9];
};
/* Takes the rectangle from (0, 0) to (w, h) to four corners: those of its top left, top right, bottom right, bottom left.
 * They are a convex quadrilateral. */
struct homography homography_to(double w, double h, const struct point corner[4]);
struct point homography_at(const struct homography *h, double x, double y);
/* h after its argument was scaled, and its result. */
struct homography homography_scaled(const struct homography *h, double arg, double x, double y);

struct warp_kernel {
	int16_t weight[WARP_PHASES][WARP_TAPS];
};
/* stretch: samples of the plane for one of the result, 1 to WARP_STRETCH. */
void warp_kernel_init(struct warp_kernel *k, double stretch);

struct warp {
	const uint8_t *data; /* borrowed; rows without padding */
	uint32_t width, height;
	struct homography h; /* from samples of the result to samples of the plane */
	const struct warp_kernel *kernel;
	int fill; /* what lies outside the plane; -1: as its nearest sample */
};
/* Row y of the result, n samples. */
void warp_row(const struct warp *w, uint32_t y, uint8_t *out, uint32_t n);
