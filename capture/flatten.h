/*
 * Uneven light, a tint of the paper and faint ink evened out, on the finished page: its rows are held, the paper's
 * brightness is measured in tiles, every sample is divided by it, and what is left of ink is stretched.
 */
#pragma once

#include "capture/image.h"

struct flatten_options {
	bool flatten;  /* the light, and the paper's tint */
	bool contrast; /* stretch what there is between ink and paper */
};

/* What was done. */
struct flatten_result {
	unsigned int darkest, brightest; /* luma of the paper where it was darkest and brightest */
	int cast_b, cast_r;              /* the tint that was taken out: Cb and Cr less 128 */
	double gain;                     /* by which ink was moved away from paper; 1: not at all */
};

struct flatten;
typedef int (*flatten_row_fn)(void *ud, unsigned int plane, const uint8_t *row);
/* For a page of this size, one plane or three (chroma of half the size, rounded up). */
int flatten_new(const struct flatten_options *o, uint32_t width, uint32_t height, unsigned int n_planes, struct flatten **ret);
/* The next row of a plane. */
void flatten_row(struct flatten *f, unsigned int plane, const uint8_t *row);
/* All rows were given: gives them on, planes by strips of 16 rows. -EPROTO if rows are missing. */
int flatten_give(struct flatten *f, flatten_row_fn fn, void *ud, struct flatten_result *ret);
void flatten_free(struct flatten *f); /* NULL is fine */
