/* JPEG as other programs write it: every sampling, colour space and process, taken right or refused by name. */
#include <math.h>

#include "tests/unit/capture_make.h"

/* A value of a smooth picture; x and y in pixels of the original. */
static double wave(double x, double row, unsigned int c)
{
	return 128 + 90 * sin(x * 0.02 + c) * row;
}

/* What a row of it has in common. */
static double wave_row(double y, unsigned int c)
{
	return cos(y * 0.015 - c);
}

static struct pic smooth(uint32_t w, uint32_t h, unsigned int ch)
{
	struct pic p = pic_new(w, h, ch);

	for (uint32_t y = 0; y < h; y++)
		for (unsigned int c = 0; c < ch; c++) {
			double row = wave_row(y + 0.5, c);

			for (uint32_t x = 0; x < w; x++)
				pic_at(&p, x, y)[c] = (uint8_t)wave(x + 0.5, row, c);
		}
	return p;
}

/* How near the result, whatever its size, is to that picture of w by h. */
static double likeness(const struct pic *out, uint32_t w, uint32_t h)
{
	double fx = (double)w / out->w, fy = (double)h / out->h, sum = 0;

	for (uint32_t y = 0; y < out->h; y++)
		for (unsigned int c = 0; c < out->ch; c++) {
			double row = wave_row((y + 0.5) * fy, c);

			for (uint32_t x = 0; x < out->w; x++) {
				double d = pic_at(out, x, y)[c] - wave((x + 0.5) * fx, row, c);

				sum += d * d;
			}
		}
	return 10 * log10(255.0 * 255.0 * out->w * out->h * out->ch / (sum + 1e-9));
}

/* Converts and reads what came out; the page must be taken. */
static struct pic through(const struct buf *jpeg, const struct convert_options *o, struct page_info *ret_info)
{
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	CHECK_INT(convert_bytes(jpeg->data, jpeg->len, o, &m), 0);
	if (!m.pages)
		test_fail(__FILE__, __LINE__, "rejected: %s", m.why.message);
	if (ret_info)
		*ret_info = m.info;
	return read_jpeg(&m.jpeg, NULL, NULL);
}

static void check_why(const struct buf *jpeg, const struct convert_options *o, const char *reason, const char *says)
{
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	CHECK_INT(convert_bytes(jpeg->data, jpeg->len, o, &m), 0);
	CHECK_INT(m.pages, 0);
	CHECK_STR(reject_name(m.why.reason), reason);
	if (!strstr(m.why.message, says))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", m.why.message, says);
}

/* ---- sampling ------------------------------------------------------------------------------------ */
static const struct jpeg_make samplings[] = {
	{.h = 1, .v = 1},
	{.h = 2, .v = 1},
	{.h = 1, .v = 2},
	{.h = 2, .v = 2},
	{.h = 4, .v = 1},
	{.h = 4, .v = 2},
	{.h = 1, .v = 4},
	{.h = 3, .v = 1},
	{.h = 2, .v = 2, .chroma = {{2, 1}, {1, 2}}}, /* Cb and Cr not alike */
	{.h = 4, .v = 1, .chroma = {{2, 1}, {1, 1}}},
	{.h = 2, .v = 1, .chroma = {{1, 1}, {2, 1}}},
	{.h = 1, .v = 1, .chroma = {{2, 2}, {2, 2}}}, /* colour finer than brightness */
	{.h = 2, .v = 1, .chroma = {{2, 1}, {2, 1}}}, /* 4:4:4, said oddly */
};

TEST(every_sampling_at_every_decoded_size)
{
	static const uint32_t sides[] = {2048, 500, 300, 150, 75, 40};
	unsigned int decoded = 0; /* sizes that were used, in eighths, as bits */

	for (size_t i = 0; i < ARRAY_SIZE(samplings); i++) {
		_cleanup_pic_ struct pic in = smooth(801, 603, 3);
		_cleanup_buf_ struct buf jpeg = {};

		make_jpeg(&in, samplings[i], &jpeg);
		for (size_t k = 0; k < ARRAY_SIZE(sides); k++) {
			struct convert_options o = CONVERT_OPTIONS_DEFAULT;
			_cleanup_pic_ struct pic out = {};
			struct page_info info;

			o.max_side = sides[k];
			o.quality = 95;
			out = through(&jpeg, &o, &info);
			decoded |= info.eighths;
			if (likeness(&out, in.w, in.h) < 32)
				test_fail(__FILE__, __LINE__, "sampling %zu at %u: %.1f dB", i, sides[k],
					likeness(&out, in.w, in.h));
		}
	}
	CHECK_INT(decoded, 8 | 4 | 2 | 1);
}

TEST(one_pixel_wide_or_high_in_every_sampling)
{
	static const uint32_t sizes[][2] = {{1, 1}, {1, 2500}, {2500, 1}, {1, 17}, {17, 1}, {3, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(samplings); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			_cleanup_pic_ struct pic in = pic_new(sizes[k][0], sizes[k][1], 3), out = {};
			_cleanup_buf_ struct buf jpeg = {};

			memset(in.px, 180, (size_t)in.w * in.h * 3);
			make_jpeg(&in, samplings[i], &jpeg);
			out = through(&jpeg, NULL, NULL);
			CHECK_INT(MAX(out.w, out.h), MIN(MAX(in.w, in.h), 2048u));
			CHECK(near_colour(pic_at(&out, out.w - 1, out.h - 1), in.px, 3));
		}
}

TEST(restart_markers_anywhere)
{
	for (size_t i = 0; i < ARRAY_SIZE(samplings); i++)
		for (int every = 1; every <= 13; every += 4) {
			_cleanup_pic_ struct pic in = smooth(150, 110, 3), out = {};
			_cleanup_buf_ struct buf jpeg = {};
			struct jpeg_make make = samplings[i];

			make.restart_blocks = every;
			make_jpeg(&in, make, &jpeg);
			CHECK(memmem(jpeg.data, jpeg.len, "\xff\xd0", 2));
			out = through(&jpeg, NULL, NULL);
			CHECK(likeness(&out, in.w, in.h) > 30);
		}
}

/* ---- colours ------------------------------------------------------------------------------------- */
/* Inks as light that is left (255: none of it), and the colour that gives on paper. */
static const uint8_t inks[6][4] = {{255, 255, 255, 255}, {255, 255, 255, 0}, {0, 255, 255, 255},
	{255, 0, 0, 255}, {255, 255, 255, 128}, {128, 255, 128, 200}};
static const uint8_t printed[6][3] = {
	{255, 255, 255}, {0, 0, 0}, {0, 255, 255}, {255, 0, 0}, {128, 128, 128}, {100, 200, 100}};

static void check_print(struct jpeg_make make, uint32_t max_side)
{
	_cleanup_pic_ struct pic in = pic_new(6 * 64, 64, 4), out = {};
	_cleanup_buf_ struct buf jpeg = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	for (uint32_t y = 0; y < in.h; y++)
		for (uint32_t x = 0; x < in.w; x++)
			for (unsigned int c = 0; c < 4; c++)
				pic_at(&in, x, y)[c] = inks[x / 64][c] ^ (make.no_adobe ? 255 : 0);
	make_jpeg(&in, make, &jpeg);
	o.max_side = max_side;
	out = through(&jpeg, &o, NULL);
	CHECK_INT(out.ch, 3);
	for (uint32_t i = 0; i < 6; i++)
		if (!near_colour(pic_at(&out, i * out.w / 6 + out.w / 12, out.h / 2), printed[i], 8))
			test_fail(__FILE__, __LINE__, "ink %u at %u is %d,%d,%d", i, max_side,
				pic_at(&out, i * out.w / 6 + out.w / 12, out.h / 2)[0],
				pic_at(&out, i * out.w / 6 + out.w / 12, out.h / 2)[1],
				pic_at(&out, i * out.w / 6 + out.w / 12, out.h / 2)[2]);
}

TEST(inks_of_a_print)
{
	static const struct jpeg_make kinds[] = {{.cmyk = true}, {.cmyk = true, .no_adobe = true},
		{.cmyk = true, .ycck = true}, {.cmyk = true, .ycck = true, .h = 2, .v = 2},
		{.cmyk = true, .progressive = true}, {.cmyk = true, .ycck = true, .restart = 1}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		check_print(kinds[i], 2048);
		check_print(kinds[i], 192);
		check_print(kinds[i], 96);
	}
}

/* RGB is told by Adobe's marker, or by the components' names. */
TEST(rgb_with_and_without_adobes_marker)
{
	for (int no_adobe = 0; no_adobe <= 1; no_adobe++)
		for (uint32_t side = 100; side <= 400; side *= 2) {
			_cleanup_pic_ struct pic in = smooth(400, 300, 3), out = {};
			_cleanup_buf_ struct buf jpeg = {};
			struct convert_options o = CONVERT_OPTIONS_DEFAULT;

			make_jpeg(&in, (struct jpeg_make){.rgb = true, .no_adobe = no_adobe}, &jpeg);
			o.max_side = side;
			out = through(&jpeg, &o, NULL);
			CHECK(likeness(&out, in.w, in.h) > 32);
		}
}

/* ---- refused by name ----------------------------------------------------------------------------- */
static uint8_t *frame_header(const struct buf *jpeg)
{
	uint8_t *sof = memmem(jpeg->data, jpeg->len, "\xff\xc0\0", 3);

	CHECK(sof);
	return sof;
}

TEST(processes_that_are_not_taken)
{
	static const struct {
		int marker, bits; /* 0: as it is */
		const char *says;
	} kinds[] = {
		{0, 12, "8 bits a sample"}, /* extended: 12 bits come in SOF1 as well */
		{0xc1, 12, "8 bits a sample"},
		{0xc2, 12, "8 bits a sample"},
		{0xc3, 0, "lossless"},
		{0xc5, 0, "hierarchical"},
		{0xc7, 0, "lossless"},
		{0xcb, 0, "lossless"},
	};
	_cleanup_pic_ struct pic in = pic_page(64, 64, 3);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_buf_ struct buf jpeg = {};
		uint8_t *sof;

		make_jpeg(&in, (struct jpeg_make){}, &jpeg);
		sof = frame_header(&jpeg);
		if (kinds[i].marker)
			sof[1] = (uint8_t)kinds[i].marker;
		if (kinds[i].bits)
			sof[4] = (uint8_t)kinds[i].bits;
		check_why(&jpeg, NULL, "unsupported", kinds[i].says);
	}
}

TEST(arithmetic_coding_is_not_taken)
{
	_cleanup_pic_ struct pic in = pic_page(64, 64, 3);

	for (int progressive = 0; progressive <= 1; progressive++) {
		_cleanup_buf_ struct buf jpeg = {};

		make_jpeg(&in, (struct jpeg_make){.arithmetic = true, .progressive = progressive}, &jpeg);
		check_why(&jpeg, NULL, "unsupported", "arithmetic coding");
	}
}

TEST(two_components_are_no_picture)
{
	_cleanup_pic_ struct pic in = pic_new(40, 40, 2);
	_cleanup_buf_ struct buf jpeg = {};

	make_jpeg(&in, (struct jpeg_make){.unknown = true}, &jpeg);
	check_why(&jpeg, NULL, "unsupported", "2 colour components");
}

/* ---- bounds -------------------------------------------------------------------------------------- */
TEST(more_pixels_than_allowed)
{
	_cleanup_pic_ struct pic in = pic_page(200, 100, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_pic_ struct pic out = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	o.limits.max_pixels = 20000;
	out = through(&jpeg, &o, NULL);
	CHECK_INT(out.w, 200);
	o.limits.max_pixels = 19999;
	check_why(&jpeg, &o, "too-large", "200x100 pixels; at most 19999,");
}

/*
 * A progressive picture is held whole as 16-bit coefficients in blocks of 64: the header says how many. So is
 * one whose colours come in scans of their own.
 */
TEST(what_is_held_whole_is_bounded)
{
	static const struct {
		struct jpeg_make make;
		uint64_t blocks;
	} kinds[] = {
		{{.progressive = true}, 3 * 20 * 15},
		{{.progressive = true, .h = 2, .v = 2}, 20 * 15 + 2 * (10 * 8)},
		{{.h = 2, .v = 1, .scans = true}, 20 * 15 + 2 * (10 * 15)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_pic_ struct pic in = smooth(160, 120, 3), out = {};
		_cleanup_buf_ struct buf jpeg = {};
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;

		make_jpeg(&in, kinds[i].make, &jpeg);
		o.limits.max_memory = kinds[i].blocks * 64 * 2;
		out = through(&jpeg, &o, NULL);
		CHECK(likeness(&out, in.w, in.h) > 30);
		o.limits.max_memory--;
		check_why(&jpeg, &o, "too-large", "progressive");
	}
}

/* By default pages up to 33 million pixels in 4:2:0 fit: 8192x4096 do, and the next row of blocks does not. */
TEST(the_default_bound_of_progressive_pages)
{
	_cleanup_pic_ struct pic in = pic_page(64, 64, 3);
	_cleanup_buf_ struct buf jpeg = {};
	uint8_t *sof;

	make_jpeg(&in, (struct jpeg_make){.progressive = true, .h = 2, .v = 2}, &jpeg);
	sof = memmem(jpeg.data, jpeg.len, "\xff\xc2\0", 3);
	CHECK(sof);
	memcpy(sof + 5, "\x10\x00\x20\x00", 4);
	check_why(&jpeg, NULL, "truncated", "");
	memcpy(sof + 5, "\x10\x01\x20\x00", 4);
	check_why(&jpeg, NULL, "too-large", "needs 97 MiB; at most 96");
}
