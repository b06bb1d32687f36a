/* Pixels to planes. Full range BT.601 as in JFIF comes out. */
#pragma once

#include "base/util.h"

/* n pixels of R, G, B to three planes. */
void colour_rgb_to_planes(const uint8_t *rgb, size_t n, uint8_t *y, uint8_t *cb, uint8_t *cr);
/* Puts n pixels with alpha (last of `channels`: 2 or 4) on white, in place, closing up to channels - 1. */
void colour_flatten(uint8_t *row, size_t n, unsigned int channels);
/* n pixels (even) of Y0 Cb Y1 Cr. Limited range (16-235, 16-240) is expanded unless `full_range`. */
void colour_yuyv_to_planes(
	const uint8_t *yuyv, size_t n, bool full_range, uint8_t *y, uint8_t *cb, uint8_t *cr);
