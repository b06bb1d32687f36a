/* Pixels to planes. Full range BT.601 as in JFIF comes out. */
#pragma once

#include "base/util.h"

/* n pixels of R, G, B to three planes. */
void colour_rgb_to_planes(const uint8_t *rgb, size_t n, uint8_t *y, uint8_t *cb, uint8_t *cr);
/* Puts n pixels with alpha (last of `channels`: 2 or 4) on white, in place, closing up to channels - 1. */
void colour_flatten(uint8_t *row, size_t n, unsigned int channels);
/* The same of B, G, R. */
void colour_bgr_to_planes(const uint8_t *bgr, size_t n, uint8_t *y, uint8_t *cb, uint8_t *cr);
/* n pixels of C, M, Y, K to R, G, B, in place, closing up. 0 is no ink, or if `inverted` 255 is. */
void colour_cmyk_to_rgb(uint8_t *row, size_t n, bool inverted);

/* Below, limited range (16-235, 16-240) is expanded unless `full_range`; n is even where chroma is shared. */
/* n pixels of Y0 Cb Y1 Cr. */
void colour_yuyv_to_planes(
	const uint8_t *yuyv, size_t n, bool full_range, uint8_t *y, uint8_t *cb, uint8_t *cr);
/* n pixels of Cb Y0 Cr Y1. */
void colour_uyvy_to_planes(
	const uint8_t *uyvy, size_t n, bool full_range, uint8_t *y, uint8_t *cb, uint8_t *cr);
/* n pairs of two chroma samples. */
void colour_split_chroma(const uint8_t *pairs, size_t n, bool full_range, uint8_t *first, uint8_t *second);
/* n samples of one plane. */
void colour_expand_luma(const uint8_t *in, size_t n, uint8_t *out);
void colour_expand_chroma(const uint8_t *in, size_t n, uint8_t *out);
/* A row of n chroma samples and the 2 n pixels of each luma row that shares it, in place: BT.709 to BT.601, full range. The
 * luma rows come first, for they need the chroma as it was. */
void colour_luma_from_709(uint8_t *y, const uint8_t *cb, const uint8_t *cr, size_t n);
void colour_chroma_from_709(uint8_t *cb, uint8_t *cr, size_t n);
