/*
 * The loops of the scaler and of turning, which take the time, for each kind of vector unit. Plain C is the
 * reference: all sets give the same bits. Chosen when the program runs.
 *
 * Rows go down two at a time: a slot holds a pair of them, in an order that is the set's own affair. What comes
 * out of going down is of DOWN_BITS fraction bits around 128 (so it fits 16 bits with all overshoot), and goes
 * across for KERNEL_ROWS rows at once, so that a weight that was fetched serves all of them.
 */
#pragma once

#include "capture/window.h"

#define KERNEL_ROWS  8
#define KERNEL_PAD   64 /* samples; the length of rows in slots and of those that went down is a multiple */
#define ACROSS_SLACK (WINDOW_TAPS_MAX + 16)
#define SLOTS_MAX    (WINDOW_TAPS_MAX / 2)

#define DOWN_WEIGHT_BITS   10
#define DOWN_BITS          7
#define ACROSS_WEIGHT_BITS 14

struct kernels {
	const char *name; /* "c", "sse2", "avx2", "neon" */
	/* Rows a and b of n samples into a slot of 2 * stride bytes. */
	void (*pair)(uint8_t *slot, const uint8_t *a, const uint8_t *b, size_t n, size_t stride);
	/* The sum of the slots' rows by their weights, two for each slot; n_slots from 1 to SLOTS_MAX. */
	void (*down)(int16_t *out, const uint8_t *const *slots, const int16_t *weight, size_t n_slots, size_t stride);
	/* KERNEL_ROWS rows of `mid` to rows of w->n samples, which are written up to a multiple of 8. Behind `mid`
	 * there are ACROSS_SLACK samples that may be read. */
	void (*across)(uint8_t *out, size_t out_stride, const int16_t *mid, size_t stride, const struct windows *w);
	/* Eight columns of n rows, a multiple of 8, to eight rows. Strides may be negative. */
	void (*turn)(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from, ptrdiff_t from_stride, size_t n);
	/* n samples from last to first. */
	void (*reverse)(uint8_t *to, const uint8_t *from, size_t n);
};

/* The fastest set that this processor can run. */
const struct kernels *kernels_best(void);
/* All that it can run, the plain one first; NULL behind the last. */
#define KERNEL_SETS_MAX 4
void kernels_all(const struct kernels *ret[KERNEL_SETS_MAX]);

extern const struct kernels kernels_c;
/* NULL where there is none for this kind of processor, or it cannot run it. */
const struct kernels *kernels_sse2(void);
const struct kernels *kernels_avx2(void);
const struct kernels *kernels_neon(void);
