/*
 * Edge points (brighter towards the page) vote for lines, for each of the four sides apart; each side's best lines are
 * fitted to their points; of all combinations the one with the most edge under it, and the largest of these, is judged.
 *
 * It is certain when all four sides are edges nearly all along, straight, with the page brighter than what is outside,
 * and nothing as bright goes on outside. Lines printed on paper have paper on both sides, so they do not count.
 */
#include "capture/quad.h"

#include <math.h>

#define SLOPES      97 /* of a side against the picture's axis */
#define SLOPE_MAX   0.6
#define SLOPE_STEP  (2 * SLOPE_MAX / (SLOPES - 1))
#define VOTE_SLOPES 4   /* an edge point's own direction is known to so many steps */
#define PLACE       2   /* samples in a step of a line's place */
#define LINES       8   /* kept of each side */
#define STEP_MIN    2.0 /* grey levels a sample at an edge, at least */
#define STEP_CAP    12  /* what more there is does not count */
#define CONTRAST    9   /* grey levels by which the page is brighter, at least */
#define SUPPORT_MIN 0.72
#define BULGE_MAX   1.2 /* samples */
#define AREA_MIN    0.12
#define ASPECT_MAX  6.0

enum side { LEFT, TOP, RIGHT, BOTTOM, SIDES };

/* Along a side the coordinate is q, across it p: x and y for the left and right sides, y and x for the others. */
struct edgel {
	float p, slope, step;
};

struct line {
	double a, t;       /* p = a + t * (q - half the length) */
	float *at;         /* for each q where the edge was seen, or NAN; owned by the finder */
	uint16_t *support; /* how many q up to here have an edge with the page's brightness inside */
};

struct finder {
	const struct luma *picture;
	uint8_t *smooth;     /* the picture without its finest grain */
	float *gx, *gy;      /* grey levels a sample */
	struct edgel *edgel; /* of one side, by q */
	uint32_t *first;     /* of each q, in edgel */
	float *votes;
	double step_min;
	struct line line[SIDES][LINES];
	unsigned int n_lines[SIDES];
};

static bool is_upright(enum side s)
{
	return s == LEFT || s == RIGHT;
}

static uint32_t length_of(const struct finder *f, enum side s)
{
	return is_upright(s) ? f->picture->height : f->picture->width;
}

static uint32_t breadth_of(const struct finder *f, enum side s)
{
	return is_upright(s) ? f->picture->width : f->picture->height;
}

/* ---- edge points --------------------------------------------------------------------------------- */
static void smooth(struct finder *f)
{
	const struct luma *l = f->picture;

	memcpy(f->smooth, l->data, (size_t)l->width * l->height);
	for (uint32_t y = 1; y + 1 < l->height; y++) {
		const uint8_t *b = l->data + (size_t)y * l->width, *a = b - l->width, *c = b + l->width;

		for (uint32_t x = 1; x + 1 < l->width; x++)
			f->smooth[(size_t)y * l->width + x] =
				(uint8_t)((a[x - 1] + 2 * a[x] + a[x + 1] + 2 * b[x - 1] + 4 * b[x] + 2 * b[x + 1] + c[x - 1] +
						  2 * c[x] + c[x + 1] + 8) / 16);
	}
}

/* Scharr's operator: it tells directions truly. */
static void gradients(struct finder *f)
{
	const struct luma *l = f->picture;

	for (uint32_t y = 1; y + 1 < l->height; y++) {
		const uint8_t *b = f->smooth + (size_t)y * l->width, *a = b - l->width, *c = b + l->width;

		for (uint32_t x = 1; x + 1 < l->width; x++) {
			int gx = 3 * (a[x + 1] - a[x - 1]) + 10 * (b[x + 1] - b[x - 1]) + 3 * (c[x + 1] - c[x - 1]);
			int gy = 3 * (c[x - 1] - a[x - 1]) + 10 * (c[x] - a[x]) + 3 * (c[x + 1] - a[x + 1]);

			f->gx[(size_t)y * l->width + x] = (float)gx / 32;
			f->gy[(size_t)y * l->width + x] = (float)gy / 32;
		}
	}
}

/* Grain and texture are everywhere: an edge stands out of them. */
static double usual_step(const struct finder *f)
{
	size_t n = (size_t)f->picture->width * f->picture->height, sum = 0;
	uint32_t count[256] = {};
	unsigned int v = 0;

	for (size_t i = 0; i < n; i++) {
		float g = fabsf(f->gx[i]) + fabsf(f->gy[i]);

		count[MIN((unsigned int)(g * 8), 255U)]++;
	}
	while (v < 255 && (sum += count[v]) * 2 < n)
		v++;
	return v / 8.0;
}

static void collect(struct finder *f, enum side s)
{
	const struct luma *l = f->picture;
	float sign = s == LEFT || s == TOP ? 1 : -1;
	const float *across = is_upright(s) ? f->gx : f->gy, *along = is_upright(s) ? f->gy : f->gx;
	size_t step = is_upright(s) ? 1 : l->width, row = is_upright(s) ? l->width : 1;
	uint32_t n = 0, length = length_of(f, s), breadth = breadth_of(f, s);

	for (uint32_t q = 0; q < length; q++) {
		f->first[q] = n;
		if (q == 0 || q + 1 == length)
			continue;
		for (uint32_t p = 1; p + 1 < breadth; p++) {
			size_t at = q * row + p * step;
			float g = sign * across[at], before = sign * across[at - step],
			      after = sign * across[at + step], bend = before - 2 * g + after;

			if (g < f->step_min || g < before || g <= after)
				continue;
			f->edgel[n++] = (struct edgel){
				.p = (float)p + 0.5F + (bend < 0 ? (before - after) / (2 * bend) : 0),
				.slope = -sign * along[at] / g,
				.step = MIN(g, (float)STEP_CAP)};
		}
	}
	f->first[length] = n;
}

/* ---- lines --------------------------------------------------------------------------------------- */
static void vote(struct finder *f, enum side s)
{
	uint32_t length = length_of(f, s), places = breadth_of(f, s) / PLACE + 1;

	memset(f->votes, 0, (size_t)SLOPES * places * sizeof(*f->votes));
	for (uint32_t q = 0; q < length; q++)
		for (uint32_t i = f->first[q]; i < f->first[q + 1]; i++) {
			const struct edgel *e = &f->edgel[i];
			int middle = (int)lrint((e->slope + SLOPE_MAX) / SLOPE_STEP);

			for (int k = MAX(middle - VOTE_SLOPES, 0); k <= MIN(middle + VOTE_SLOPES, SLOPES - 1); k++) {
				double t = k * SLOPE_STEP - SLOPE_MAX;
				double a = (e->p - t * (q + 0.5 - length / 2.0)) / PLACE;

				if (a >= 0 && a < places)
					f->votes[(size_t)k * places + (uint32_t)a] += e->step;
			}
		}
}

/* The best line of what votes are left, whose surroundings are then cleared. False: none worth it. */
static bool take_peak(struct finder *f, enum side s, struct line *ret)
{
	uint32_t places = breadth_of(f, s) / PLACE + 1, best_a = 0;
	int best_k = 0;
	float best = 0;

	for (int k = 0; k < SLOPES; k++)
		for (uint32_t a = 0; a < places; a++) {
			const float *v = &f->votes[(size_t)k * places + a];
			float sum = *v + (a + 1 < places ? v[1] : 0); /* a line on the border of two */

			if (sum > best) {
				best = sum;
				best_k = k;
				best_a = a;
			}
		}
	if (best < f->step_min * length_of(f, s) * AREA_MIN)
		return false;
	ret->t = best_k * SLOPE_STEP - SLOPE_MAX;
	ret->a = (best_a + 1) * PLACE;
	for (int k = MAX(best_k - 6, 0); k <= MIN(best_k + 6, SLOPES - 1); k++)
		for (uint32_t a = best_a > 2 ? best_a - 2 : 0; a <= MIN(best_a + 3, places - 1); a++)
			f->votes[(size_t)k * places + a] = 0;
	return true;
}

static const struct edgel *nearest(const struct finder *f, uint32_t q, double p, double within)
{
	const struct edgel *best = NULL;

	for (uint32_t i = f->first[q]; i < f->first[q + 1]; i++) {
		double d = fabs(f->edgel[i].p - p);

		if (d <= within) {
			within = d;
			best = &f->edgel[i];
		}
	}
	return best;
}

struct sums {
	double n, q, p, qq, qp;
};

static void sums_add(struct sums *s, double q, double p)
{
	s->n++;
	s->q += q;
	s->p += p;
	s->qq += q * q;
	s->qp += q * p;
}

/* Least squares; few points leave the line as it is. */
static void solve(const struct sums *s, struct line *l)
{
	double det = s->n * s->qq - s->q * s->q;

	if (s->n < 8 || det < 1)
		return;
	l->t = (s->n * s->qp - s->q * s->p) / det;
	l->a = (s->p - l->t * s->q) / s->n;
}

static double line_p(const struct line *l, double q, uint32_t length)
{
	return l->a + l->t * (q - length / 2.0);
}

static void fit(struct finder *f, enum side s, struct line *l)
{
	static const double within[] = {3.5, 2.5, 1.8};
	uint32_t length = length_of(f, s);

	for (size_t i = 0; i < ARRAY_SIZE(within); i++) {
		struct sums sums = {};

		for (uint32_t q = 0; q < length; q++) {
			const struct edgel *e = nearest(f, q, line_p(l, q + 0.5, length), within[i]);

			l->at[q] = e ? e->p : NAN;
			if (e)
				sums_add(&sums, q + 0.5 - length / 2.0, e->p);
		}
		solve(&sums, l);
	}
}

/* The mean of a few samples `from` to `from + 2` samples away from the edge, or -1 outside the picture. */
static int beside(const struct finder *f, enum side s, uint32_t q, double p, double from)
{
	uint32_t breadth = breadth_of(f, s);
	int sum = 0, n = 0;

	for (int i = 0; i < 3; i++) {
		double at = floor(p + from + (from < 0 ? -i : i));

		if (at < 0 || at >= breadth)
			break;
		sum += is_upright(s) ? luma_at(f->picture, (uint32_t)at, q) : luma_at(f->picture, q, (uint32_t)at);
		n++;
	}
	return n ? sum / n : -1;
}

static void count_support(struct finder *f, enum side s, struct line *l)
{
	double inward = s == LEFT || s == TOP ? 1 : -1;
	uint16_t n = 0;

	for (uint32_t q = 0; q < length_of(f, s); q++) {
		if (!isnan(l->at[q])) {
			int in = beside(f, s, q, l->at[q], inward * 2), out = beside(f, s, q, l->at[q], inward * -2);

			n += in >= 0 && out >= 0 && in - out >= CONTRAST;
		}
		l->support[q] = n;
	}
}

static void find_lines(struct finder *f, enum side s)
{
	collect(f, s);
	vote(f, s);
	while (f->n_lines[s] < LINES) {
		struct line *l = &f->line[s][f->n_lines[s]];

		if (!take_peak(f, s, l))
			break;
		fit(f, s, l);
		if (fabs(l->t) > SLOPE_MAX)
			continue;
		count_support(f, s, l);
		f->n_lines[s]++;
	}
}

/* ---- four of them -------------------------------------------------------------------------------- */
struct choice {
	const struct line *side[SIDES];
	struct point corner[4];
	double support; /* of the weakest side */
	double score;
};

static struct point cross(const struct finder *f, const struct line *upright, const struct line *level)
{
	double h = f->picture->height / 2.0, w = f->picture->width / 2.0;
	/* x = a + t (y - h), y = b + u (x - w) */
	double x = (upright->a + upright->t * (level->a - level->t * w - h)) / (1 - upright->t * level->t);

	return (struct point){x, level->a + level->t * (x - w)};
}

static double dist(const struct point *a, const struct point *b)
{
	return hypot(a->x - b->x, a->y - b->y);
}

static double area(const struct point c[4])
{
	double sum = 0;

	for (int i = 0; i < 4; i++)
		sum += c[i].x * c[(i + 1) % 4].y - c[(i + 1) % 4].x * c[i].y;
	return sum / 2;
}

static bool is_inside(const struct finder *f, const struct point c[4])
{
	for (int i = 0; i < 4; i++)
		if (c[i].x < 1 || c[i].y < 1 || c[i].x > f->picture->width - 1.0 || c[i].y > f->picture->height - 1.0)
			return false;
	return true;
}

/* What a camera above a sheet of paper can see. */
static bool is_page_shaped(const struct point c[4])
{
	double top = dist(&c[0], &c[1]), right = dist(&c[1], &c[2]), bottom = dist(&c[2], &c[3]), left = dist(&c[3], &c[0]);
	double wide = (top + bottom) / 2, high = (left + right) / 2;

	for (int i = 0; i < 4; i++) {
		const struct point *a = &c[(i + 3) % 4], *b = &c[i], *d = &c[(i + 1) % 4];
		double cosine = ((a->x - b->x) * (d->x - b->x) + (a->y - b->y) * (d->y - b->y)) / (dist(a, b) * dist(b, d));

		if (fabs(cosine) > 0.5) /* 60 to 120 degrees */
			return false;
	}
	return MIN(top, bottom) > 0.6 * MAX(top, bottom) && MIN(left, right) > 0.6 * MAX(left, right) &&
	       wide < ASPECT_MAX * high && high < ASPECT_MAX * wide;
}

/* The part of a side between two places that is an edge. The corners themselves may be worn or folded. */
static double support_between(const struct finder *f, enum side s, const struct line *l, double from, double to)
{
	double gap = (to - from) * 0.02 + 1;
	uint32_t length = length_of(f, s), a = (uint32_t)CLAMP(from + gap, 0, length - 1.0),
		 b = (uint32_t)CLAMP(to - gap, 0, length - 1.0);

	return b > a ? (double)(l->support[b] - l->support[a]) / (b - a) : 0;
}

static void side_ends(const struct point c[4], enum side s, double *from, double *to)
{
	static const unsigned char first[SIDES] = {0, 0, 1, 3}, second[SIDES] = {3, 1, 2, 2};

	*from = is_upright(s) ? c[first[s]].y : c[first[s]].x;
	*to = is_upright(s) ? c[second[s]].y : c[second[s]].x;
}

static void judge(const struct finder *f, struct choice *c, struct choice *best)
{
	double whole = (double)f->picture->width * f->picture->height, sum = 0;

	c->corner[0] = cross(f, c->side[LEFT], c->side[TOP]);
	c->corner[1] = cross(f, c->side[RIGHT], c->side[TOP]);
	c->corner[2] = cross(f, c->side[RIGHT], c->side[BOTTOM]);
	c->corner[3] = cross(f, c->side[LEFT], c->side[BOTTOM]);
	if (!is_inside(f, c->corner) || area(c->corner) < AREA_MIN * whole || !is_page_shaped(c->corner))
		return;
	c->support = 1;
	for (enum side s = 0; s < SIDES; s++) {
		double from, to, here;

		side_ends(c->corner, s, &from, &to);
		here = support_between(f, s, c->side[s], from, to);
		c->support = MIN(c->support, here);
		sum += here;
	}
	c->score = sum / 4 + c->support + 0.5 * sqrt(area(c->corner) / whole);
	if (c->score > best->score)
		*best = *c;
}

static bool choose(const struct finder *f, struct choice *ret)
{
	struct choice c = {}, best = {};

	for (unsigned int l = 0; l < f->n_lines[LEFT]; l++)
		for (unsigned int r = 0; r < f->n_lines[RIGHT]; r++)
			for (unsigned int t = 0; t < f->n_lines[TOP]; t++)
				for (unsigned int b = 0; b < f->n_lines[BOTTOM]; b++) {
					c.side[LEFT] = &f->line[LEFT][l];
					c.side[RIGHT] = &f->line[RIGHT][r];
					c.side[TOP] = &f->line[TOP][t];
					c.side[BOTTOM] = &f->line[BOTTOM][b];
					judge(f, &c, &best);
				}
	*ret = best;
	return best.score > 0;
}

/* ---- the verdict --------------------------------------------------------------------------------- */
/* Fits a side to its points between the corners alone. Returns the mean square of what strays. */
static double refit(const struct finder *f, enum side s, const struct choice *c, struct line *ret)
{
	uint32_t length = length_of(f, s);
	struct line l = *c->side[s];
	double from, to, squares = 0;
	uint32_t n = 0;

	side_ends(c->corner, s, &from, &to);
	for (int round = 0; round < 3; round++) {
		struct sums sums = {};

		squares = n = 0;
		for (uint32_t q = (uint32_t)MAX(from + 2, 0); q + 2 < to && q < length; q++) {
			double d = l.at[q] - line_p(&l, q + 0.5, length);

			if (isnan(d) || fabs(d) > 2)
				continue;
			sums_add(&sums, q + 0.5 - length / 2.0, l.at[q]);
			squares += d * d;
			n++;
		}
		if (round < 2)
			solve(&sums, &l);
	}
	*ret = l;
	return n ? squares / n : 1e9;
}

/* How much of a band outside a side is as bright as the page is inside it. */
static double bright_outside(const struct finder *f, enum side s, const struct line *l, const struct choice *c)
{
	double inward = s == LEFT || s == TOP ? 1 : -1, from, to;
	uint32_t breadth = breadth_of(f, s), length = length_of(f, s), n = 0, bright = 0;
	int reach = (int)MAX(breadth / 12, 8U);

	side_ends(c->corner, s, &from, &to);
	for (uint32_t q = (uint32_t)MAX(from, 0) + 2; q + 2 < to && q < length; q += 2) {
		double p = line_p(l, q + 0.5, length);
		int in = beside(f, s, q, p, inward * 2), out = beside(f, s, q, p, inward * -2);

		if (in < 0 || out < 0 || in - out < CONTRAST)
			continue;
		for (int d = 3; d < reach; d++) {
			double at = floor(p - inward * d);

			if (at < 0 || at >= breadth)
				break;
			bright += (is_upright(s) ? luma_at(f->picture, (uint32_t)at, q)
						 : luma_at(f->picture, q, (uint32_t)at)) > (in + out + 1) / 2;
			n++;
		}
	}
	return n ? (double)bright / n : 0;
}

static void conclude(const struct finder *f, const struct choice *c, struct quad *ret)
{
	struct line side[SIDES];
	double squares = 0, outside = 0;

	for (enum side s = 0; s < SIDES; s++) {
		squares = MAX(squares, refit(f, s, c, &side[s]));
		outside = MAX(outside, bright_outside(f, s, &side[s], c));
	}
	ret->corner[0] = cross(f, &side[LEFT], &side[TOP]);
	ret->corner[1] = cross(f, &side[RIGHT], &side[TOP]);
	ret->corner[2] = cross(f, &side[RIGHT], &side[BOTTOM]);
	ret->corner[3] = cross(f, &side[LEFT], &side[BOTTOM]);
	ret->bulge = sqrt(squares);
	ret->certainty = c->support * (1 - outside);
	if (c->support < SUPPORT_MIN)
		ret->why = "broken-edges";
	else if (ret->bulge > BULGE_MAX)
		ret->why = "bent-edges";
	else if (outside > 0.25)
		ret->why = "bright-outside";
	else if (!is_inside(f, ret->corner) || !is_page_shaped(ret->corner))
		ret->why = "shape";
}

/* ---- life ---------------------------------------------------------------------------------------- */
static int init(struct finder *f, const struct luma *l)
{
	size_t n = (size_t)l->width * l->height;
	uint32_t longest = MAX(l->width, l->height);

	f->picture = l;
	f->smooth = malloc(n);
	f->gx = calloc(n, sizeof(*f->gx));
	f->gy = calloc(n, sizeof(*f->gy));
	f->edgel = malloc((n / 2 + longest) * sizeof(*f->edgel)); /* no two neighbours are both peaks */
	f->first = calloc((size_t)longest + 1, sizeof(*f->first));
	f->votes = malloc((size_t)SLOPES * (longest / PLACE + 2) * sizeof(*f->votes));
	for (int i = 0; i < SIDES * LINES; i++) {
		struct line *line = &f->line[i / LINES][i % LINES];

		line->at = malloc(longest * sizeof(*line->at));
		line->support = calloc(longest, sizeof(*line->support));
		if (!line->at || !line->support)
			return -ENOMEM;
	}
	return f->smooth && f->gx && f->gy && f->edgel && f->first && f->votes ? 0 : -ENOMEM;
}

static void finder_free(struct finder *f)
{
	free(f->smooth);
	free(f->gx);
	free(f->gy);
	free(f->edgel);
	free(f->first);
	free(f->votes);
	for (int i = 0; i < SIDES * LINES; i++) {
		free(f->line[i / LINES][i % LINES].at);
		free(f->line[i / LINES][i % LINES].support);
	}
}

int quad_find(const struct luma *l, struct quad *ret)
{
	_cleanup_(finder_free) struct finder f = {};
	struct choice c;
	struct quad q = {.why = "no-edges"};
	int r = init(&f, l);

	if (r < 0)
		return r;
	smooth(&f);
	gradients(&f);
	f.step_min = MAX(STEP_MIN, 2.5 * usual_step(&f));
	for (enum side s = 0; s < SIDES; s++)
		find_lines(&f, s);
	if (choose(&f, &c)) {
		q.why = NULL;
		conclude(&f, &c, &q);
	}
	*ret = q;
	return 0;
}
