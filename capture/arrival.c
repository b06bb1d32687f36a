#include "capture/arrival.h"

#define REST_MS       600 /* a page that does not move for so long was put down */
#define MOVED_BY      12  /* of a cell's luma, from one frame to the next */
#define MOVED_CELLS   (GLANCE_CELLS / 100)
#define CHANGED_BY    10 /* from the scene that was dealt with */
#define CHANGED_CELLS (GLANCE_CELLS / 100)
/* Without anything having moved a scene changes by its light alone. */
#define LIT_CELLS    (GLANCE_CELLS / 2)
#define DETAIL       12 /* of a cell with something on it: 3 levels from pixel to pixel */
#define DETAIL_CELLS (GLANCE_CELLS / 50)

static bool is_bare(const struct glance *g)
{
	unsigned int n = 0;

	for (size_t i = 0; i < GLANCE_CELLS; i++)
		n += g->detail[i] > DETAIL;
	return n < DETAIL_CELLS;
}

static bool is_same(const struct glance *a, const struct glance *b)
{
	return glance_changed(a, b, CHANGED_BY) <= CHANGED_CELLS;
}

static bool is_at_rest(struct arrival *a, const struct glance *g)
{
	bool moved = !a->has_last || glance_changed(&a->last, g, MOVED_BY) > MOVED_CELLS;

	a->last = *g;
	a->has_last = true;
	if (moved) {
		a->still_since_ms = g->at_ms;
		a->stirred = true;
	}
	return g->at_ms - a->still_since_ms >= REST_MS;
}

bool arrival_feed(struct arrival *a, const struct glance *g)
{
	if (!is_at_rest(a, g))
		return false;
	if (!a->has_done) {
		a->ground = *g;
		arrival_taken(a);
		return false;
	}
	/* Dusk, or a cloud: the scene goes with it. */
	if (!a->stirred && glance_changed(&a->done, g, CHANGED_BY) <= LIT_CELLS) {
		a->done = *g;
		return false;
	}
	if (is_same(&a->done, g)) {
		a->stirred = false; /* a hand came and went */
		return false;
	}
	if (is_bare(g) || is_same(&a->ground, g)) {
		arrival_taken(a);
		return false;
	}
	return true;
}

void arrival_taken(struct arrival *a)
{
	a->done = a->last;
	a->has_done = true;
	a->stirred = false;
}
