/* Squaring a page: what its picture shows of its edges or its lines of text decides how it is laid straight. */
#pragma once

#include "capture/hold.h"
#include "capture/orient.h"
#include "capture/warp.h"

enum square_done {
	SQUARE_NOTHING,  /* the full frame, as it came */
	SQUARE_CROPPED,  /* the page alone, by its four edges */
	SQUARE_DESKEWED, /* the full frame, turned by a small angle */
};

struct square_plan {
	enum square_done done;
	const char *why;        /* why no quad was taken, a stable word; NULL when it was */
	const char *lines;      /* why the lines of text were not levelled, a stable word; NULL when they were or not asked */
	struct point corner[4]; /* of the result, from top left clockwise, in pixels of the upright source */
	double angle;           /* degrees by which the page lay turned clockwise */
	double certainty;       /* 0 to 1, of the quad that was taken or not */
	double lines_certainty; /* of the lines' angle */
	uint32_t width, height; /* of the result */
	struct homography to_source; /* from pixels of the result to pixels of the source as stored */
};

/* `stored` is the picture's size. */
int square_decide(const struct hold *h, uint32_t stored_width, uint32_t stored_height, const struct orient *o,
	uint32_t max_side, struct square_plan *ret);
/* Gives all rows of the result, planes by strips of 16 rows. May make what is held smaller. */
typedef int (*square_row_fn)(void *ud, unsigned int plane, const uint8_t *row);
int square_give(struct hold *h, const struct square_plan *p, square_row_fn fn, void *ud);
