/*
 * Which samples each sample of a smaller row is made of, and their weights: Lanczos3, in integers throughout, so
 * that every machine makes the same. Windows are cut at the picture's edges and their weights made to sum to one.
 */
#pragma once

#include "base/util.h"

/* Sample i of the result has its centre at origin + (i + 0.5) * step, in samples of the input. */
struct scale_axis {
	uint32_t in, out;
	double origin, step;
};

#define WINDOW_TAPS_MAX   64
#define WINDOW_SHRINK_MAX 8 /* a step beyond this has wider windows than that */
#define WINDOW_PAD        8 /* windows are made for so many more samples, with weights of zero, as kernels go by eight */

struct windows {
	uint32_t n;    /* samples of the result */
	uint32_t taps; /* weights of each: even, at most WINDOW_TAPS_MAX; zeros after the window, perhaps one before */
	uint32_t *start; /* its first sample: even, and never less than the one before's */
	uint32_t *end;   /* after its last sample */
	int16_t *weight; /* n times taps; each sums to 1 << bits */
};

/* -EINVAL: a step that is not one, or beyond WINDOW_SHRINK_MAX. */
int windows_make(struct windows *w, const struct scale_axis *a, unsigned int bits);
/* From `i` on, a multiple of 8: up to which multiple of 8 all windows lie within `span` samples. At least eight do. */
#define WINDOW_BATCH_MAX (8 * WINDOW_SHRINK_MAX + WINDOW_TAPS_MAX + 8)
size_t windows_batch(const struct windows *w, size_t i, size_t span);
void windows_free(struct windows *w); /* a zeroed one is fine */
