/*
 * The page's four edges in a picture of it on a darker ground. Coordinates are continuous: sample i reaches from i to
 * i + 1.
 */
#pragma once

#include "capture/luma.h"

struct point {
	double x, y;
};

struct quad {
	struct point corner[4]; /* top left, top right, bottom right, bottom left of the picture as it is stored */
	double certainty;       /* 0 to 1 */
	double bulge;           /* how far the edges stray from straight lines, in samples (root mean square) */
	/* NULL: certain. Else why not, a stable word: "no-edges" (not four sides), "shape" (no page has it),
	 * "broken-edges", "bent-edges", "bright-outside" (the ground is as bright as the page). */
	const char *why;
};

/* 0, or -ENOMEM. Without four candidates the corners are all zero. */
int quad_find(const struct luma *l, struct quad *ret);
