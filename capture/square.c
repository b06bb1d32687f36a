#include "capture/square.h"

#include <math.h>

#include "capture/skew.h"

#define EDGES_SIDE 512  /* of the picture in which edges are looked for */
#define LINES_SIDE 1024 /* and lines of text */
#define STRIP_ROWS 16
#define FOCAL      0.85 /* of the picture's diagonal: what a camera's lens is like when the page does not tell */

/* ---- geometry ------------------------------------------------------------------------------------ */
static double dist(const struct point *a, const struct point *b)
{
	return hypot(a->x - b->x, a->y - b->y);
}

static struct point to_upright(const struct orient *o, double width, double height, struct point p)
{
	double x = o->mirror_x ? width - p.x : p.x, y = o->mirror_y ? height - p.y : p.y;

	return o->transpose ? (struct point){y, x} : (struct point){x, y};
}

static struct point to_stored(const struct orient *o, double width, double height, struct point p)
{
	double x = o->transpose ? p.y : p.x, y = o->transpose ? p.x : p.y;

	return (struct point){o->mirror_x ? width - x : x, o->mirror_y ? height - y : y};
}

/* From top left clockwise, as they are seen when the picture is upright. */
static void order_corners(const struct orient *o, double width, double height, const struct point stored[4], struct point ret[4])
{
	static const struct point unit[4] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};

	for (int i = 0; i < 4; i++) {
		struct point at = to_stored(o, 1, 1, unit[i]);
		int k = at.y > 0.5 ? (at.x > 0.5 ? 2 : 3) : (at.x > 0.5 ? 1 : 0);

		ret[i] = to_upright(o, width, height, stored[k]);
	}
}

struct vec {
	double x, y, z;
};

static double triple(struct vec a, struct vec b, struct vec c)
{
	return (a.y * b.z - a.z * b.y) * c.x + (a.z * b.x - a.x * b.z) * c.y + (a.x * b.y - a.y * b.x) * c.z;
}

/* Zhang and He, Whiteboard Scanning and Image Enhancement (2007), 3: width by height of the rectangle that a camera with
 * square pixels, looking through the picture's middle, saw so. */
static double aspect_of(const struct point c[4], double width, double height)
{
	double unit = hypot(width, height), focal2, wide, high;
	struct vec m[4], n2, n3; /* top left, top right, bottom left, bottom right */
	static const unsigned char which[4] = {0, 1, 3, 2};
	double k2, k3;

	for (int i = 0; i < 4; i++)
		m[i] = (struct vec){(c[which[i]].x - width / 2) / unit, (c[which[i]].y - height / 2) / unit, 1};
	k2 = triple(m[0], m[3], m[2]) / triple(m[1], m[3], m[2]);
	k3 = triple(m[0], m[3], m[1]) / triple(m[2], m[3], m[1]);
	n2 = (struct vec){k2 * m[1].x - m[0].x, k2 * m[1].y - m[0].y, k2 - 1};
	n3 = (struct vec){k3 * m[2].x - m[0].x, k3 * m[2].y - m[0].y, k3 - 1};
	focal2 = fabs(n2.z * n3.z) > 1e-4 ? -(n2.x * n3.x + n2.y * n3.y) / (n2.z * n3.z) : 0;
	if (focal2 < 0.25 || focal2 > 9)
		focal2 = FOCAL * FOCAL;
	wide = (n2.x * n2.x + n2.y * n2.y) / focal2 + n2.z * n2.z;
	high = (n3.x * n3.x + n3.y * n3.y) / focal2 + n3.z * n3.z;
	return sqrt(wide / high);
}

/* ---- the decision -------------------------------------------------------------------------------- */
static void size_result(struct square_plan *p, double wide, double high, uint32_t max_side)
{
	double by = MIN(max_side / MAX(wide, high), 1.0);

	p->width = (uint32_t)CLAMP(lrint(wide * by), 1, (long)max_side);
	p->height = (uint32_t)CLAMP(lrint(high * by), 1, (long)max_side);
}

static void map_result(struct square_plan *p, const struct orient *o, double width, double height)
{
	struct point stored[4];

	for (int i = 0; i < 4; i++)
		stored[i] = to_stored(o, width, height, p->corner[i]);
	p->to_source = homography_to(p->width, p->height, stored);
}

/* Outwards by so many pixels, for a page whose edges are not quite straight. */
static void widen(struct point c[4], double by)
{
	struct point middle = {(c[0].x + c[1].x + c[2].x + c[3].x) / 4, (c[0].y + c[1].y + c[2].y + c[3].y) / 4};

	for (int i = 0; i < 4; i++) {
		double away = dist(&c[i], &middle);

		c[i].x += (c[i].x - middle.x) * by / away;
		c[i].y += (c[i].y - middle.y) * by / away;
	}
}

static double tilt(const struct point *a, const struct point *b)
{
	return atan2(b->y - a->y, b->x - a->x) * 180 / M_PI;
}

static void crop_to_quad(struct square_plan *p, const struct orient *o, double width, double height, uint32_t max_side)
{
	const struct point *c = p->corner;
	double across = (dist(&c[0], &c[1]) + dist(&c[3], &c[2])) / 2, down = (dist(&c[0], &c[3]) + dist(&c[1], &c[2])) / 2;
	double aspect = aspect_of(c, o->transpose ? height : width, o->transpose ? width : height);

	p->done = SQUARE_CROPPED;
	p->angle = (tilt(&c[0], &c[1]) + tilt(&c[3], &c[2])) / 2;
	size_result(p, sqrt(across * down * aspect), sqrt(across * down / aspect), max_side);
	map_result(p, o, width, height);
}

/* Nothing of the frame is lost: the result is as large as the turned frame. */
static void turn_level(struct square_plan *p, const struct orient *o, double width, double height, double angle, uint32_t max_side)
{
	double w = o->transpose ? height : width, h = o->transpose ? width : height;
	double c = cos(angle * M_PI / 180), s = sin(angle * M_PI / 180);
	double wide = w * c + h * fabs(s), high = h * c + w * fabs(s);

	p->done = SQUARE_DESKEWED;
	p->angle = angle;
	for (int i = 0; i < 4; i++) {
		double x = (i == 1 || i == 2 ? 0.5 : -0.5) * wide, y = (i >= 2 ? 0.5 : -0.5) * high;

		p->corner[i] = (struct point){w / 2 + x * c - y * s, h / 2 + x * s + y * c};
	}
	size_result(p, wide, high, max_side);
	map_result(p, o, width, height);
}

static int by_grey(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* The middle one of samples close to the frame. */
static uint8_t ground_of(const struct held *h)
{
	uint8_t v[256];
	uint32_t w = h->plane.width, rows = h->plane.height;

	for (uint32_t i = 0; i < ARRAY_SIZE(v); i++) {
		uint32_t along = i / 4, x = w * along / 64, y = rows * along / 64;

		if (i % 4 < 2)
			y = i % 4 ? rows - 1 - rows / 100 : rows / 100;
		else
			x = i % 4 == 2 ? w - 1 - w / 100 : w / 100;
		v[i] = h->data[(size_t)y * w + x];
	}
	qsort(v, ARRAY_SIZE(v), 1, by_grey);
	return v[ARRAY_SIZE(v) / 2];
}

static int level_lines(const struct hold *h, uint32_t stored_width, uint32_t stored_height, const struct orient *o,
	uint32_t max_side, struct square_plan *p)
{
	const struct image_plane *plane = &h->held[0].plane;
	_cleanup_luma_ struct luma small = {};
	struct skew skew;
	int r = luma_reduce(h->held[0].data, plane->width, plane->height, LINES_SIDE, &small);

	if (r < 0)
		return r == -ERANGE ? 0 : r;
	r = skew_find(&small, o, &skew);
	if (r < 0)
		return r;
	p->lines = skew.why;
	p->lines_certainty = skew.certainty;
	if (!skew.why)
		turn_level(p, o, stored_width, stored_height, skew.angle, max_side);
	return 0;
}

int square_decide(const struct hold *h, uint32_t stored_width, uint32_t stored_height, const struct orient *o,
	uint32_t max_side, struct square_plan *ret)
{
	const struct image_plane *plane = &h->held[0].plane;
	_cleanup_luma_ struct luma small = {};
	struct square_plan p = {};
	struct quad q;
	int r = luma_reduce(h->held[0].data, plane->width, plane->height, EDGES_SIDE, &small);

	if (r == -ERANGE) {
		*ret = (struct square_plan){.why = "too-small"};
		return 0;
	}
	if (r < 0)
		return r;
	r = quad_find(&small, &q);
	if (r < 0)
		return r;
	p.why = q.why;
	p.certainty = q.certainty;
	for (int i = 0; i < 4; i++)
		q.corner[i] = (struct point){q.corner[i].x * small.box / plane->sx, q.corner[i].y * small.box / plane->sy};
	order_corners(o, stored_width, stored_height, q.corner, p.corner);
	if (!p.why) {
		widen(p.corner, 2 * q.bulge * small.box / plane->sx);
		crop_to_quad(&p, o, stored_width, stored_height, max_side);
	} else {
		r = level_lines(h, stored_width, stored_height, o, max_side, &p);
		if (r < 0)
			return r;
	}
	*ret = p;
	return 0;
}

/* ---- the rows ------------------------------------------------------------------------------------ */
/* Pixels of the source for one of the result, at the side where they are most. */
static double densest(const struct square_plan *p)
{
	const struct point *c = p->corner;
	double across = MAX(dist(&c[0], &c[1]), dist(&c[3], &c[2])) / p->width;
	double down = MAX(dist(&c[0], &c[3]), dist(&c[1], &c[2])) / p->height;

	return MAX(across, down);
}

struct giving {
	struct warp warp[IMAGE_PLANES];
	struct warp_kernel kernel[IMAGE_PLANES];
	uint32_t width[IMAGE_PLANES];
	uint8_t *row;
};

static int prepare(struct hold *h, const struct square_plan *p, unsigned int plane, struct giving *g)
{
	struct held *held = &h->held[plane];
	double luma = plane ? 2 : 1, per_x = densest(p) * luma * held->plane.sx, per_y = densest(p) * luma * held->plane.sy;
	int r = hold_shrink(h, plane, MIN(WARP_STRETCH / per_x, 1.0), MIN(WARP_STRETCH / per_y, 1.0));

	warp_kernel_init(&g->kernel[plane], CLAMP(MAX(per_x, per_y), 1.0, WARP_STRETCH));
	g->warp[plane] = (struct warp){.data = held->data,
		.width = held->plane.width,
		.height = held->plane.height,
		.h = homography_scaled(&p->to_source, luma, held->plane.sx, held->plane.sy),
		.kernel = &g->kernel[plane],
		.fill = p->done == SQUARE_DESKEWED ? ground_of(held) : -1};
	g->width[plane] = plane ? (p->width + 1) / 2 : p->width;
	return r;
}

static int give(struct giving *g, unsigned int n_planes, uint32_t height, square_row_fn fn, void *ud)
{
	for (uint32_t y = 0; y < height; y += STRIP_ROWS)
		for (unsigned int i = 0; i < n_planes; i++) {
			uint32_t half = i ? 2 : 1, rows = i ? (height + 1) / 2 : height;

			for (uint32_t k = y / half; k < MIN((y + STRIP_ROWS) / half, rows); k++) {
				int r;

				warp_row(&g->warp[i], k, g->row, g->width[i]);
				r = fn(ud, i, g->row);
				if (r < 0)
					return r;
			}
		}
	return 0;
}

int square_give(struct hold *h, const struct square_plan *p, square_row_fn fn, void *ud)
{
	struct giving *g = calloc(1, sizeof(*g));
	int r = g ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < h->n_planes && r >= 0; i++)
		r = prepare(h, p, i, g);
	if (r >= 0) {
		g->row = malloc(p->width);
		r = g->row ? give(g, h->n_planes, p->height, fn, ud) : -ENOMEM;
		free(g->row);
	}
	free(g);
	return r;
}
