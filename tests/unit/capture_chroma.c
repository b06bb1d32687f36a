/* Where colours lie and how sharp they are, whatever size of inverse DCT they were decoded at. */
#include <math.h>

#include "tests/unit/capture_make.h"

/* Of equal brightness: what tells them apart is chroma alone. */
static const uint8_t left[3] = {200, 80, 80}, right[3] = {80, 120, 190};

/* Edges at 3/8 of the width and, in the lower half, of the height. */
static struct pic two_colours(uint32_t w, uint32_t h)
{
	struct pic p = pic_new(w, h, 3);

	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++)
			memcpy(pic_at(&p, x, y), x < w * 3 / 8 || y >= h * 5 / 8 ? left : right, 3);
	return p;
}

/* Along one line of `n` pixels, `step` bytes apart: after how many of them red has fallen. */
static double edge(const uint8_t *line, size_t step, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += (line[i * step] - right[0]) / (double)(left[0] - right[0]);
	return sum;
}

static void check_edges(uint32_t side, const struct pic *out, int h, int v)
{
	double x = edge(pic_at(out, 0, out->h / 4), 3, out->w), wide = side * 3 / 8 * (double)out->w / side;
	double y = out->h - edge(pic_at(out, out->w * 3 / 4, 0), 3 * (size_t)out->w, out->h);
	double high = side * 5 / 8 * (double)out->h / side;

	if (fabs(x - wide) > 0.15 || fabs(y - high) > 0.15)
		test_fail(__FILE__, __LINE__, "%dx%d from %u: edges at %.2f, %.2f in place of %.2f, %.2f", h, v, side, x, y,
			wide, high);
}

TEST(colours_lie_where_they_did)
{
	static const int sampling[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}};
	static const uint32_t sides[] = {230, 350, 520, 701, 1040, 2112};

	for (size_t i = 0; i < ARRAY_SIZE(sampling) * ARRAY_SIZE(sides) * 2; i++) {
		const int *s = sampling[i % ARRAY_SIZE(sampling)];
		uint32_t side = sides[i / ARRAY_SIZE(sampling) % ARRAY_SIZE(sides)];
		_cleanup_pic_ struct pic in = two_colours(side, side), out = {};
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_buf_ struct buf jpeg = {};

		o.max_side = 128;
		o.quality = 100;
		make_jpeg(&in, (struct jpeg_make){.h = s[0], .v = s[1], .quality = 100, .progressive = i >= 30}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		CHECK_INT(m.pages, 1);
		out = read_jpeg(&m.jpeg, NULL, NULL);
		check_edges(side, &out, s[0], s[1]);
		CHECK(near_colour(pic_at(&out, 20, 20), left, 4) && near_colour(pic_at(&out, 110, 20), right, 4));
	}
}
