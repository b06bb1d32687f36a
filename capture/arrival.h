/* When is there a page to take? Frames at a glance in, "a page has come to rest" out. Pure: no clock, no device. */
#pragma once

#include "capture/glance.h"

struct arrival {
	struct glance last;    /* the frame before */
	struct glance done;    /* the scene that was dealt with: taken, or seen to be no page */
	struct glance ground;  /* what lay there when it began: it is no page when it is seen again */
	bool has_last, has_done;
	bool stirred;          /* something moved since `done` */
	int64_t still_since_ms;
};

/* A frame. True while a page rests that was not dealt with. */
bool arrival_feed(struct arrival *a, const struct glance *g);
/* What was seen last is dealt with: the next page comes after a change. */
void arrival_taken(struct arrival *a);
