#include "capture/skew.h"

#include <math.h>

#define TILE       16 /* samples a side; its paper is what nine tenths do not exceed */
#define INK        10 /* grey levels darker than its paper, and an eighth of that, at least: grain is not ink */
#define INK_CAP    64 /* what it is darker does not count */
#define PIECES_MAX 60000
#define COARSE     0.25 /* degrees between first trials */
#define FINE       0.05
#define TRIALS     65 /* from -SKEW_MAX to SKEW_MAX */
#define SHARP      4   /* the best profile against the middle one of all trials, at least */
#define ALONE      1.5 /* and against any a degree or more away */

struct piece {
	float x, y, weight; /* from the page's middle */
};

struct search {
	const struct luma *picture;
	const struct orient *orient;
	uint8_t *paper; /* of each tile */
	uint32_t tiles_x, tiles_y;
	struct piece *piece;
	size_t n;
	float *profile;
	size_t bins;
};

/* ---- ink ----------------------------------------------------------------------------------------- */
static uint8_t paper_of_tile(const struct luma *l, uint32_t x0, uint32_t y0)
{
	uint32_t count[256] = {}, n = 0, sum = 0;
	int v = 255;

	for (uint32_t y = y0; y < MIN(y0 + TILE, l->height); y++)
		for (uint32_t x = x0; x < MIN(x0 + TILE, l->width); x++, n++)
			count[luma_at(l, x, y)]++;
	while (v > 0 && (sum += count[v]) * 10 < n)
		v--;
	return (uint8_t)v;
}

static void find_paper(struct search *s)
{
	for (uint32_t y = 0; y < s->tiles_y; y++)
		for (uint32_t x = 0; x < s->tiles_x; x++)
			s->paper[y * s->tiles_x + x] = paper_of_tile(s->picture, x * TILE, y * TILE);
}

static void add_piece(struct search *s, uint32_t x, uint32_t y, int depth)
{
	const struct orient *o = s->orient;
	float px = (float)x - (float)s->picture->width / 2, py = (float)y - (float)s->picture->height / 2;

	px = o->mirror_x ? -px : px;
	py = o->mirror_y ? -py : py;
	s->piece[s->n++] = (struct piece){
		.x = o->transpose ? py : px, .y = o->transpose ? px : py, .weight = (float)MIN(depth, INK_CAP)};
}

/* One of `every`, in no step with what repeats on a page. */
static bool taken(size_t i, size_t every)
{
	return (uint32_t)(i * 2654435761U) <= UINT32_MAX / every;
}

/* Some of it is enough when the page is full. */
static void find_ink(struct search *s)
{
	const struct luma *l = s->picture;
	size_t total = 0, every, i = 0;

	for (int pass = 0; pass < 2; pass++) {
		every = total / PIECES_MAX + 1;
		for (uint32_t y = 0; y < l->height; y++)
			for (uint32_t x = 0; x < l->width; x++) {
				int paper = s->paper[y / TILE * s->tiles_x + x / TILE], depth = paper - luma_at(l, x, y);

				if (depth < INK + paper / 8)
					continue;
				if (pass == 0)
					total++;
				else if (taken(i++, every) && s->n < PIECES_MAX)
					add_piece(s, x, y, depth);
			}
	}
}

/* Is what the frame cuts off paper, too? A desk or a scanner's lid is not. */
static bool paper_around(const struct search *s)
{
	uint32_t count[256] = {}, n = s->tiles_x * s->tiles_y, sum = 0, border = 0, dark = 0;
	unsigned int middle = 0;

	for (uint32_t i = 0; i < n; i++)
		count[s->paper[i]]++;
	while (middle < 255 && (sum += count[middle]) * 2 < n)
		middle++;
	for (uint32_t y = 0; y < s->tiles_y; y++)
		for (uint32_t x = 0; x < s->tiles_x; x++)
			if (x == 0 || y == 0 || x + 1 == s->tiles_x || y + 1 == s->tiles_y) {
				border++;
				dark += s->paper[y * s->tiles_x + x] < middle * 3 / 4;
			}
	return dark * 20 <= border;
}

/* ---- profiles ------------------------------------------------------------------------------------ */
/* How sharply the ink is parted into lines at that angle: the squares of the profile's steps. */
static double sharpness(struct search *s, double degrees, size_t every)
{
	float t = (float)tan(degrees * M_PI / 180), half = (float)s->bins / 2;
	double steps = 0;

	memset(s->profile, 0, (s->bins + 1) * sizeof(*s->profile));
	for (size_t i = 0; i < s->n; i++) {
		const struct piece *p = &s->piece[i];
		float at = p->y - p->x * t + half, part;
		size_t bin = (size_t)at;

		if (!taken(i, every))
			continue;
		part = at - (float)bin;
		s->profile[bin] += p->weight * (1 - part);
		s->profile[bin + 1] += p->weight * part;
	}
	for (size_t i = 0; i < s->bins; i++)
		steps += (double)(s->profile[i + 1] - s->profile[i]) * (double)(s->profile[i + 1] - s->profile[i]);
	return steps;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The best of trials about `middle`, and between them by a parabola. */
static double refine(struct search *s, double middle)
{
	enum { HALF = 6, N = 2 * HALF + 1 };
	double got[N];
	int best = 1;

	for (int i = 0; i < N; i++)
		got[i] = sharpness(s, middle + (i - HALF) * FINE, 1);
	for (int i = 1; i + 1 < N; i++)
		if (got[i] > got[best])
			best = i;
	{
		double a = got[best - 1], b = got[best], c = got[best + 1], bend = a - 2 * b + c;

		return middle + (best - HALF + (bend < 0 ? CLAMP((a - c) / (2 * bend), -1, 1) : 0)) * FINE;
	}
}

static void search(struct search *s, struct skew *ret)
{
	double got[TRIALS], sorted[TRIALS], sharp, rival = 0;
	size_t every = s->n / (PIECES_MAX / 4) + 1;
	int best = 0;

	for (int i = 0; i < TRIALS; i++) {
		got[i] = sharpness(s, i * COARSE - SKEW_MAX, every);
		best = got[i] > got[best] ? i : best;
	}
	for (int i = 0; i < TRIALS; i++)
		if (abs(i - best) * COARSE >= 1)
			rival = MAX(rival, got[i]);
	memcpy(sorted, got, sizeof(sorted));
	qsort(sorted, TRIALS, sizeof(*sorted), by_size);
	sharp = sorted[TRIALS / 2] > 0 ? got[best] / sorted[TRIALS / 2] : 0;
	ret->angle = refine(s, best * COARSE - SKEW_MAX);
	ret->certainty = CLAMP(1 - 1 / MAX(sharp, 1.0), 0, 1);
	if (sharp < SHARP || got[best] < ALONE * rival || best == 0 || best == TRIALS - 1 || s->n < 500)
		ret->why = "no-lines";
	else if (fabs(ret->angle) < SKEW_MIN)
		ret->why = "level";
}

static void search_free(struct search *s)
{
	free(s->paper);
	free(s->piece);
	free(s->profile);
}

static int search_init(struct search *s)
{
	const struct luma *l = s->picture;

	s->tiles_x = (l->width + TILE - 1) / TILE;
	s->tiles_y = (l->height + TILE - 1) / TILE;
	/* How far apart pieces lie along the profile at most: it leans, so that is more than the diagonal. Room for what is split. */
	s->bins = (size_t)ceil(hypot(l->width, l->height) / cos((SKEW_MAX + 1) * M_PI / 180)) + 4;
	s->paper = malloc((size_t)s->tiles_x * s->tiles_y);
	s->piece = malloc((size_t)PIECES_MAX * sizeof(*s->piece));
	s->profile = malloc((s->bins + 1) * sizeof(*s->profile));
	return s->paper && s->piece && s->profile ? 0 : -ENOMEM;
}

int skew_find(const struct luma *l, const struct orient *o, struct skew *ret)
{
	_cleanup_(search_free) struct search s = {.picture = l, .orient = o};
	struct skew found = {};
	int r = search_init(&s);

	if (r < 0)
		return r;
	find_paper(&s);
	find_ink(&s);
	search(&s, &found);
	found.paper = paper_around(&s);
	if (!found.why && !found.paper)
		found.why = "no-paper-around";
	*ret = found;
	return 0;
}
