/* By how much the lines of a page are off the level, where no edges tell: they give the sharpest profile of ink when it is
 * summed along them. */
#pragma once

#include "capture/luma.h"
#include "capture/orient.h"

#define SKEW_MAX 8.0  /* degrees, either way: what lies at more was laid so */
#define SKEW_MIN 0.25 /* less is not worth touching the picture */

struct skew {
	double angle;     /* degrees, clockwise, of the upright page */
	double certainty; /* 0 to 1 */
	bool paper;       /* paper reaches the frame on all sides */
	const char *why;  /* NULL: to be turned. Else "level", "no-lines" or "no-paper-around" */
};

/* 0 or -ENOMEM. */
int skew_find(const struct luma *l, const struct orient *o, struct skew *ret);
