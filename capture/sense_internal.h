/* Shared by sense.c (figures from rows) and sense_judge.c (what they mean) only. */
#pragma once

#include "capture/sense.h"

#define SENSE_TILES 64 /* on either axis */
_Static_assert(SENSE_TILES * SENSE_TILES == SENSE_PARTS, "parts are tiles");

/* Of the luma of one part of the page, and how much its chroma differs inside it. */
struct sense_tile {
	uint8_t min, max;
	uint8_t across, down; /* largest step from a pixel to the next: in a row, in a column */
	uint8_t paper;        /* three of four pixels are as dark or darker; in steps of 8 */
	uint8_t middle;       /* two of four */
	uint8_t ink;          /* share of what is clearly darker than its paper, of 255 */
	uint8_t white;        /* share of 248 and more, of 255 */
	uint8_t chroma;       /* largest less smallest, of the plane where that is more */
};

struct sense_grid {
	unsigned int columns, rows;
	struct sense_tile tile[SENSE_PARTS]; /* row by row, `columns` each */
};

struct sense_line {
	uint8_t *at; /* pixels along one side of the frame */
	uint32_t n;
};

struct sense_lines {
	struct sense_line top, right, bottom, left;
};

void sense_judge_grid(
	const struct sense_grid *g, const struct sense_lines *lines, const struct sense_options *o, struct sense_result *ret);
