/* Squaring: scenes drawn here, of which the corners are known. */
#include <math.h>

#include "capture/skew.h"
#include "capture/square.h"
#include "tests/unit/capture_make.h"
#include "tests/unit/capture_random.h"

/* ---- drawing ------------------------------------------------------------------------------------- */
struct scene {
	uint32_t width, height;
	struct point corner[4]; /* from top left clockwise */
	double desk, paper, noise;
	double shade;  /* the light falls off by this much of itself over the width */
	bool clutter;  /* dark and light things on the desk */
	bool writing;  /* lines of text, a dark bar and a frame on the page */
};

/* Where on the page a place of the picture is, as parts of its sides. */
static struct point on_page(const struct homography *h, double x, double y)
{
	/* The inverse by adjugate. */
	const double *m = h->m;
	double a = m[4] * m[8] - m[5] * m[7], b = m[2] * m[7] - m[1] * m[8], c = m[1] * m[5] - m[2] * m[4];
	double d = m[5] * m[6] - m[3] * m[8], e = m[0] * m[8] - m[2] * m[6], f = m[2] * m[3] - m[0] * m[5];
	double g = m[3] * m[7] - m[4] * m[6], i = m[1] * m[6] - m[0] * m[7], k = m[0] * m[4] - m[1] * m[3];
	double z = g * x + i * y + k;

	return (struct point){(a * x + b * y + c) / z, (d * x + e * y + f) / z};
}

static double page_grey(const struct scene *s, double u, double v)
{
	if (!s->writing || u < 0.08 || u > 0.92 || v < 0.06 || v > 0.94)
		return s->paper;
	if (v > 0.2 && v < 0.24)
		return 60; /* a bar */
	if (fabs(u - 0.09) < 0.002 || fabs(u - 0.91) < 0.002 || fabs(v - 0.07) < 0.002 || fabs(v - 0.93) < 0.002)
		return 50; /* a printed frame */
	if (fmod(v, 0.02) < 0.009 && u > 0.12 && u < 0.85 && fmod(u * 61 + floor(v * 50) * 7.3, 1) < 0.6)
		return 70;
	return s->paper;
}

static double desk_grey(const struct scene *s, double x, double y)
{
	double w = s->width, h = s->height;

	if (s->clutter && hypot(x - w * 0.06, y - h * 0.3) < w * 0.035)
		return 20; /* a cup */
	if (s->clutter && fabs(x - w * 0.97 + (y - h / 2) * 0.05) < w * 0.008)
		return 190; /* a pen */
	return s->desk + 6 * sin(x / 23) * sin(y / 170 + x / 90);
}

static double grey_at(const struct scene *s, const struct homography *h, double x, double y)
{
	struct point at = on_page(h, x, y);
	bool page = at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1;

	return page ? page_grey(s, at.x, at.y) : desk_grey(s, x, y);
}

static struct luma draw(const struct scene *s)
{
	struct homography h = homography_to(1, 1, s->corner);
	struct luma l = {malloc((size_t)s->width * s->height), s->width, s->height, 1};

	CHECK(l.data);
	for (uint32_t y = 0; y < s->height; y++)
		for (uint32_t x = 0; x < s->width; x++) {
			double sum = 0;

			for (int k = 0; k < 16; k++)
				sum += grey_at(s, &h, x + (k % 4 + 0.5) / 4, y + (k / 4 + 0.5) / 4);
			sum = sum / 16 * (1 - s->shade * x / s->width) + uniform(-s->noise, s->noise);
			l.data[(size_t)y * s->width + x] = (uint8_t)CLAMP(lrint(sum), 0, 255);
		}
	return l;
}

/* A page of A4 seen by a camera above it, a little turned and from a little aside. */
static struct scene random_scene(uint32_t seed)
{
	struct scene s = {.width = 512, .height = 384, .writing = true};
	double high, wide, turn;

	random_state = seed * 2654435761U + 12345;
	s.desk = uniform(25, 120);
	s.paper = uniform(s.desk + 50, 250);
	s.noise = uniform(0, 12);
	s.shade = uniform(0, 0.35);
	s.clutter = seed % 2;
	high = uniform(250, 330);
	wide = high / 1.414;
	turn = uniform(-0.2, 0.2);
	for (int i = 0; i < 4; i++) {
		double x = (i == 1 || i == 2 ? 0.5 : -0.5) * wide, y = (i >= 2 ? 0.5 : -0.5) * high;

		s.corner[i] = (struct point){256 + x * cos(turn) - y * sin(turn) + uniform(-9, 9),
			192 + x * sin(turn) + y * cos(turn) + uniform(-6, 6)};
	}
	return s;
}

static double worst_corner(const struct point got[4], const struct point want[4])
{
	double worst = 0;

	for (int i = 0; i < 4; i++)
		worst = MAX(worst, hypot(got[i].x - want[i].x, got[i].y - want[i].y));
	return worst;
}

/* ---- the quad ------------------------------------------------------------------------------------ */
/* Corners within 0.8 samples of 512, half of all within 0.25. */
TEST(quads_are_found_where_they_were_drawn)
{
	unsigned int close = 0, n = 0;

	for (uint32_t seed = 1; seed <= 60; seed += test_stride(6)) {
		struct scene s = random_scene(seed);
		_cleanup_luma_ struct luma l = draw(&s);
		struct quad q;
		double off;

		CHECK_INT(quad_find(&l, &q), 0);
		off = worst_corner(q.corner, s.corner);
		if (q.why || off > 0.8)
			test_fail(__FILE__, __LINE__, "seed %u: %s, certainty %.2f, %.2f samples off", seed,
				q.why ? q.why : "found", q.certainty, off);
		close += off < 0.25;
		n++;
	}
	CHECK(2 * close >= n);
}

/* No page's edge in sight: white paper over the whole frame, whatever is printed on it. */
TEST(no_quad_without_edges)
{
	for (uint32_t seed = 1; seed <= 30; seed += test_stride(6)) {
		struct scene s = random_scene(seed);
		_cleanup_luma_ struct luma l = {};
		struct quad q;

		s.clutter = false;
		for (int i = 0; i < 4; i++) { /* beyond the frame on all sides */
			s.corner[i].x = 256 + (s.corner[i].x - 256) * 2.6;
			s.corner[i].y = 192 + (s.corner[i].y - 192) * 1.9;
		}
		l = draw(&s);
		CHECK_INT(quad_find(&l, &q), 0);
		if (!q.why)
			test_fail(__FILE__, __LINE__, "seed %u: a quad with certainty %.2f", seed, q.certainty);
	}
}

/* One side out of the frame, a second sheet at its side, a bent sheet: never cut. */
TEST(what_is_not_certain_is_left_alone)
{
	struct scene s = random_scene(4);
	_cleanup_luma_ struct luma cut = {}, bright = {}, bent = {};
	struct quad q;

	for (int i = 0; i < 4; i++)
		s.corner[i].x -= 190;
	cut = draw(&s);
	CHECK_INT(quad_find(&cut, &q), 0);
	CHECK(q.why);

	s = random_scene(4);
	s.desk = s.paper - 4;
	s.shade = 0;
	bright = draw(&s);
	CHECK_INT(quad_find(&bright, &q), 0);
	CHECK(q.why);

	s = random_scene(4);
	s.noise = 0;
	bent = draw(&s);
	for (uint32_t x = 0; x < bent.width; x++) { /* every column pushed down by a wave */
		uint32_t by = (uint32_t)lrint(6 + 6 * sin(x / 30.0));

		for (uint32_t y = bent.height - 1; y >= 12; y--)
			bent.data[(size_t)y * bent.width + x] = bent.data[(size_t)(y - by) * bent.width + x];
	}
	CHECK_INT(quad_find(&bent, &q), 0);
	CHECK(q.why);
}

TEST(pictures_of_nothing_have_no_quad)
{
	static const uint32_t sizes[][2] = {{1, 1}, {3, 2}, {16, 300}, {300, 16}, {512, 512}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int kind = 0; kind < 3; kind++) {
			_cleanup_luma_ struct luma l = {calloc(sizes[i][0], sizes[i][1]), sizes[i][0], sizes[i][1], 1};
			struct quad q;

			random_state = 5;
			for (size_t k = 0; k < (size_t)l.width * l.height; k++)
				l.data[k] = kind == 0 ? 0 : kind == 1 ? 255 : (uint8_t)uniform(0, 256);
			CHECK_INT(quad_find(&l, &q), 0);
			CHECK(q.why);
		}
}

/* ---- lines --------------------------------------------------------------------------------------- */
/* A sheet that fills the frame, its lines turned clockwise by so many degrees; `words` of each line. */
static struct luma draw_lines(uint32_t w, uint32_t h, double degrees, double words, double noise)
{
	struct luma l = {malloc((size_t)w * h), w, h, 1};
	double c = cos(degrees * M_PI / 180), s = sin(degrees * M_PI / 180);

	CHECK(l.data);
	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++) {
			double dx = x - w / 2.0, dy = y - h / 2.0, u = dx * c + dy * s, v = dy * c - dx * s;
			double line = floor(v / 14), in = v - line * 14, letter = fmod(fabs(sin(line * 78.233 + floor(u / 3) * 3.17) * 9631.7), 1);
			bool word = fmod(fabs(sin(line * 12.9898 + floor(u / 40)) * 43758.5453), 1) < words;
			bool ink = in > 3 && in < 9 && word && letter < 0.6 && fabs(u) < w * 0.4 && fabs(v) < h * 0.4;
			double grey = (ink ? 70 : 225 - 40.0 * x / w) + uniform(-noise, noise);

			l.data[(size_t)y * w + x] = (uint8_t)CLAMP(lrint(grey), 0, 255);
		}
	return l;
}

/* Within 0.1 degrees, whichever way the picture is stored. */
TEST(lines_are_levelled)
{
	for (uint32_t seed = 1; seed <= 24; seed += test_stride(6)) {
		struct orient upright = orient_of(1), turned = orient_of(6);
		_cleanup_luma_ struct luma l = {}, sideways = {};
		struct skew a, b;
		double degrees;

		random_state = seed * 747796405U;
		degrees = uniform(-7, 7);
		l = draw_lines(700, 990, degrees, uniform(0.15, 0.9), uniform(0, 15));
		CHECK_INT(skew_find(&l, &upright, &a), 0);
		/* As a camera on its side stores it: a quarter turned against the clock. */
		sideways = (struct luma){malloc(700 * 990), 990, 700, 1};
		for (uint32_t y = 0; y < 700; y++)
			for (uint32_t x = 0; x < 990; x++)
				sideways.data[y * 990 + x] = l.data[x * 700 + 699 - y];
		CHECK_INT(skew_find(&sideways, &turned, &b), 0);
		if (fabs(degrees) < 0.3)
			continue;
		if (a.why || b.why || fabs(a.angle - degrees) > 0.1 || fabs(b.angle - degrees) > 0.1)
			test_fail(__FILE__, __LINE__, "seed %u: %.2f: %s %.2f, sideways %s %.2f", seed, degrees,
				a.why ? a.why : "", a.angle, b.why ? b.why : "", b.angle);
	}
}

TEST(what_has_no_lines_is_not_turned)
{
	struct orient upright = orient_of(1);
	static const double degrees[] = {0, 0.1, 12, 45, 90};

	for (size_t i = 0; i < ARRAY_SIZE(degrees); i++) {
		_cleanup_luma_ struct luma l = draw_lines(500, 700, degrees[i], 0.5, 5);
		struct skew s;

		CHECK_INT(skew_find(&l, &upright, &s), 0);
		if (!s.why)
			test_fail(__FILE__, __LINE__, "%.1f degrees: turned by %.2f", degrees[i], s.angle);
	}
	for (uint32_t seed = 1; seed <= 8; seed++) { /* nothing but grain; blotches */
		_cleanup_luma_ struct luma l = {malloc(500 * 700), 500, 700, 1};
		struct skew s;

		random_state = seed;
		for (size_t i = 0; i < 500 * 700; i++)
			l.data[i] = (uint8_t)(220 + uniform(-25, 25));
		for (int k = 0; k < (seed > 4 ? 60 : 0); k++) {
			uint32_t x = (uint32_t)uniform(20, 470), y = (uint32_t)uniform(20, 670), r = (uint32_t)uniform(2, 9);

			for (uint32_t j = y - r; j < y + r; j++)
				memset(l.data + j * 500 + x - r, 60, 2 * r);
		}
		CHECK_INT(skew_find(&l, &upright, &s), 0);
		if (!s.why)
			test_fail(__FILE__, __LINE__, "seed %u: turned by %.2f, certainty %.2f", seed, s.angle, s.certainty);
	}
}

/* A page whose edge is in sight, but not certain, is not paper all around: turning its frame would not help. */
TEST(lines_on_a_desk_are_left_alone)
{
	struct orient upright = orient_of(1);
	_cleanup_luma_ struct luma l = draw_lines(700, 990, 3, 0.6, 4);
	struct skew s;

	for (uint32_t y = 0; y < 990; y++)
		memset(l.data + y * 700, 60, 70);
	CHECK_INT(skew_find(&l, &upright, &s), 0);
	CHECK_STR(s.why, "no-paper-around");
}

/* A long receipt: ink in the corners of a strip lies farther from the middle, once it is turned, than its diagonal is long. */
TEST(strips_with_ink_in_their_corners)
{
	static const uint32_t widths[] = {8, 60, 144, 300, 1024};

	for (size_t i = 0; i < ARRAY_SIZE(widths) * 2; i++) {
		uint32_t w = i % 2 ? 1024 : widths[i / 2], h = i % 2 ? widths[i / 2] : 1024;
		struct orient stored = orient_of(i % 2 ? 6 : 1);
		_cleanup_luma_ struct luma l = {malloc((size_t)w * h), w, h, 1};
		struct skew s;

		memset(l.data, 220, (size_t)w * h);
		for (uint32_t k = 0; k < 4; k++)
			for (uint32_t j = 0; j < 16; j++)
				l.data[(size_t)(k & 2 ? h - 1 - j % 4 : j % 4) * w + (k & 1 ? w - 1 - j / 4 : j / 4)] = 20;
		CHECK_INT(skew_find(&l, &stored, &s), 0);
		CHECK_STR(s.why, "no-lines");
	}
}

/* ---- whole pages --------------------------------------------------------------------------------- */
/* The scene with the page's corners in four colours. */
static struct pic colour_scene(const struct scene *s)
{
	struct homography h = homography_to(1, 1, s->corner);
	struct pic p = pic_new(s->width, s->height, 3);

	for (uint32_t y = 0; y < s->height; y++)
		for (uint32_t x = 0; x < s->width; x++) {
			struct point at = on_page(&h, x + 0.5, y + 0.5);
			bool page = at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1;
			bool spot = fabs(at.x - 0.5) > 0.2 && fabs(at.x - 0.5) < 0.4 && fabs(at.y - 0.5) > 0.2 && fabs(at.y - 0.5) < 0.4;

			memset(pic_at(&p, x, y), page ? 235 : 60, 3);
			if (page && spot)
				memcpy(pic_at(&p, x, y), corner_colours[(at.x > 0.5) + 2 * (at.y > 0.5)], 3);
		}
	return p;
}

/* Which corner of the stored page is seen at the result's top left, top right, bottom left, bottom right. */
static const unsigned int seen[9][4] = {
	[1] = {0, 1, 2, 3},
	[3] = {3, 2, 1, 0},
	[5] = {0, 2, 1, 3},
	[6] = {2, 0, 3, 1},
	[8] = {1, 3, 0, 2},
};

TEST(a_page_is_cut_out_upright)
{
	for (unsigned int orientation = 1; orientation <= 8; orientation++) {
		struct scene s = random_scene(2);
		_cleanup_pic_ struct pic in = {}, out = {};
		_cleanup_buf_ struct buf jpeg = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;

		if (!seen[orientation][3] && !seen[orientation][0])
			continue;
		in = colour_scene(&s);
		o.square = true;
		make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2, .orientation = orientation}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		CHECK_INT(m.pages, 1);
		out = read_jpeg(&m.jpeg, NULL, NULL);
		CHECK((out.w < out.h) == (orientation < 5));
		CHECK(fabs((double)MAX(out.w, out.h) / MIN(out.w, out.h) - 1.414) < 0.06);
		for (unsigned int i = 0; i < 4; i++) {
			uint32_t x = out.w * (i & 1 ? 8 : 2) / 10, y = out.h * (i & 2 ? 8 : 2) / 10;

			if (!near_colour(pic_at(&out, x, y), corner_colours[seen[orientation][i]], 14))
				test_fail(__FILE__, __LINE__, "orientation %u: corner %u is %d,%d,%d", orientation, i,
					pic_at(&out, x, y)[0], pic_at(&out, x, y)[1], pic_at(&out, x, y)[2]);
		}
		/* Paper up to its edges, but for the few samples that are both. */
		for (uint32_t x = 3; x + 3 < out.w; x++)
			CHECK(pic_at(&out, x, 2)[1] > 210 && pic_at(&out, x, out.h - 3)[1] > 210);
		for (uint32_t y = 3; y + 3 < out.h; y++)
			CHECK(pic_at(&out, 2, y)[1] > 210 && pic_at(&out, out.w - 3, y)[1] > 210);
	}
}

/* The frame is not touched, to the bit, where no quad is certain. */
TEST(without_a_quad_the_frame_is_as_ever)
{
	static const unsigned int ways[] = {1, 2, 6};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_luma_ struct luma l = draw_lines(900, 1200, 0, 0.6, 3);
		struct pic in = {l.width, l.height, 1, l.data};
		_cleanup_buf_ struct buf jpeg = {};
		_cleanup_mem_ struct mem_emit with = MEM_EMIT, without = MEM_EMIT;
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;

		o.max_side = 700;
		make_jpeg(&in, (struct jpeg_make){.orientation = ways[i]}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &without), 0);
		o.square = true;
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &with), 0);
		CHECK_INT(with.pages, 1);
		CHECK_INT((int64_t)with.jpeg.len, (int64_t)without.jpeg.len);
		CHECK(memcmp(with.jpeg.data, without.jpeg.data, with.jpeg.len) == 0);
	}
}

/* A page turned within its frame is level afterwards, nothing of it is lost, and what is new around it is paper. */
TEST(a_skewed_scan_is_levelled)
{
	_cleanup_luma_ struct luma l = draw_lines(800, 1000, -4, 0.6, 2);
	struct pic in = {l.width, l.height, 1, l.data};
	_cleanup_pic_ struct pic out = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct orient upright = orient_of(1);
	struct luma after;
	struct skew s;
	uint64_t ink = 0, was = 0;

	o.square = true;
	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
	CHECK_INT(m.pages, 1);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(out.w, 868); /* 800 cos 4 + 1000 sin 4 */
	CHECK_INT(out.h, 1053);
	after = (struct luma){out.px, out.w, out.h, 1};
	CHECK_INT(skew_find(&after, &upright, &s), 0);
	CHECK_STR(s.why, "level");
	for (size_t i = 0; i < (size_t)out.w * out.h; i++)
		ink += out.px[i] < 170 ? 170 - out.px[i] : 0;
	for (size_t i = 0; i < 800 * 1000; i++)
		was += l.data[i] < 170 ? 170 - l.data[i] : 0;
	CHECK(ink > was * 95 / 100 && ink < was * 105 / 100);
	CHECK(out.px[0] > 170 && out.px[(size_t)out.w * out.h - 1] > 170);
}

/* More than is held whole: the result is the same to the eye. */
TEST(a_page_too_large_to_hold_is_held_smaller)
{
	_cleanup_pic_ struct pic in = pic_page(600, 800, 3);
	_cleanup_buf_ struct buf jpeg = {};
	struct image *im = NULL;
	struct image_limits limits = IMAGE_LIMITS_DEFAULT;
	_cleanup_(hold_free) struct hold h = {};
	struct reject why = {};
	struct input input;
	uint32_t rows = 0;

	make_jpeg(&in, (struct jpeg_make){}, &jpeg); /* 4:4:4 */
	input_from_memory(&input, jpeg.data, jpeg.len);
	CHECK_INT(image_open(&input, &limits, &im, &why), 0);
	CHECK_INT(im->ops->start(im, 8, &why), 0);
	CHECK_INT(hold_init(&h, im, 200000), 0);
	for (;;) {
		struct image_band band;
		int r = im->ops->next(im, &band, &why);

		CHECK(r >= 0);
		if (r == 0)
			break;
		for (unsigned int i = 0; i < 3; i++)
			for (unsigned int y = 0; y < band.n[i]; y++)
				CHECK_INT(hold_push(&h, i, band.rows[i][y]), 0);
		rows += band.n[0];
	}
	image_close(im);
	CHECK_INT(rows, 800);
	CHECK_INT(h.held[0].plane.width, 316);
	CHECK_INT(h.held[0].plane.height, 422);
	CHECK_INT(h.held[1].plane.width, 158);
	CHECK_INT(h.held[1].filled, 211);
	CHECK(fabs(h.held[0].plane.sx - 316.0 / 600) < 1e-9);
	CHECK_INT(hold_shrink(&h, 0, 0.5, 0.5), 0);
	CHECK_INT(h.held[0].plane.width, 158);
	CHECK_INT(h.held[0].filled, 211);
}
