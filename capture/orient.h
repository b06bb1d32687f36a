/*
 * Turning a page upright (EXIF orientations 1 to 8). Orientations 1 and 2 keep the order of the rows; the
 * others need the whole result, which is held at its final size (at 2048 px at most 6 MiB).
 */
#pragma once

#include "base/util.h"

/* What an orientation means: the stored picture is mirrored and flipped on its own axes, then, if
 * `transpose`, rows become columns. */
struct orient {
	bool mirror_x, mirror_y, transpose;
};
struct orient orient_of(unsigned int exif);
/* And then turned by so many quarters clockwise. */
struct orient orient_turned(struct orient o, unsigned int quarters);
bool orient_keeps_rows(const struct orient *o);
/* A rectangle of the upright picture as one of the stored picture; width and height are those of the stored
 * picture. */
struct orient_rect {
	uint32_t x, y, width, height;
};
struct orient_rect orient_to_stored(
	const struct orient *o, uint32_t width, uint32_t height, const struct orient_rect *upright);

void orient_mirror_row(uint8_t *restrict to, const uint8_t *restrict from, size_t n);

/* One plane held whole. */
struct kernels;
struct orient_store {
	const struct kernels *k;
	uint8_t *data;  /* owned */
	uint8_t *strip; /* owned: rows being given */
	uint32_t width, height, filled;
};
int orient_store_init(struct orient_store *s, uint32_t width, uint32_t height);
void orient_store_add(struct orient_store *s, const uint8_t *row);
typedef int (*orient_row_fn)(void *ud, unsigned int tag, const uint8_t *row);
/* Gives rows [first, first + n) of the upright plane. */
int orient_store_give(struct orient_store *s, const struct orient *o, uint32_t first, uint32_t n,
	orient_row_fn fn, void *ud, unsigned int tag);
void orient_store_free(struct orient_store *s);
