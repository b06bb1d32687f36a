#include "capture/exif.h"
#include "capture/orient.h"
#include "tests/unit/capture_make.h"

/* Which corner of the stored picture is seen at the upright page's top left, top right, bottom left, bottom
 * right. */
static const unsigned int seen[9][4] = {
	[1] = {0, 1, 2, 3},
	[2] = {1, 0, 3, 2},
	[3] = {3, 2, 1, 0},
	[4] = {2, 3, 0, 1},
	[5] = {0, 2, 1, 3},
	[6] = {2, 0, 3, 1},
	[7] = {3, 1, 2, 0},
	[8] = {1, 3, 0, 2},
};

static void check_corners(const struct pic *p, unsigned int orientation)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint32_t x = i & 1 ? p->w - 1 - p->w / 4 : p->w / 4,
			 y = i & 2 ? p->h - 1 - p->h / 4 : p->h / 4;

		if (!near_colour(pic_at(p, x, y), corner_colours[seen[orientation][i]], 14))
			test_fail(__FILE__, __LINE__, "orientation %u: corner %u is %d,%d,%d", orientation, i,
				pic_at(p, x, y)[0], pic_at(p, x, y)[1], pic_at(p, x, y)[2]);
	}
}

/* What is at each corner when a page that shows `from` is turned a quarter clockwise. */
static void turn_quarter(unsigned int corner[4])
{
	unsigned int was[4];

	memcpy(was, corner, sizeof(was));
	corner[0] = was[2];
	corner[1] = was[0];
	corner[2] = was[3];
	corner[3] = was[1];
}

TEST(rotation_comes_on_top_of_exif)
{
	for (unsigned int orientation = 1; orientation <= 8; orientation++) {
		unsigned int want[4];

		memcpy(want, seen[orientation], sizeof(want));
		for (unsigned int quarters = 0; quarters < 4; quarters++) {
			_cleanup_pic_ struct pic in = pic_corners(121, 80), out = {};
			_cleanup_buf_ struct buf jpeg = {};
			_cleanup_mem_ struct mem_emit m = MEM_EMIT;
			struct convert_options o = CONVERT_OPTIONS_DEFAULT;

			o.rotate = quarters;
			make_jpeg(&in, (struct jpeg_make){.orientation = orientation}, &jpeg);
			CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
			CHECK_INT(m.info.rotate, quarters * 90);
			out = read_jpeg(&m.jpeg, NULL, NULL);
			for (unsigned int i = 0; i < 4; i++) {
				uint32_t x = i & 1 ? out.w - 1 - out.w / 4 : out.w / 4,
					 y = i & 2 ? out.h - 1 - out.h / 4 : out.h / 4;

				if (!near_colour(pic_at(&out, x, y), corner_colours[want[i]], 14))
					test_fail(__FILE__, __LINE__, "orientation %u and %u quarters: corner %u",
						orientation, quarters, i);
			}
			turn_quarter(want);
		}
	}
}

static void turn(unsigned int orientation, uint32_t w, uint32_t h, uint32_t max_side)
{
	_cleanup_pic_ struct pic in = pic_corners(w, h), out = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	bool swapped = orientation >= 5;

	o.max_side = max_side;
	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2, .orientation = orientation}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
	CHECK_INT(m.pages, 1);
	CHECK_INT(m.info.orientation, orientation);
	CHECK_INT(m.info.source_width, swapped ? h : w);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	if (MAX(w, h) <= max_side) {
		CHECK_INT(out.w, swapped ? h : w);
		CHECK_INT(out.h, swapped ? w : h);
	} else {
		CHECK_INT(MAX(out.w, out.h), max_side);
	}
	CHECK((out.w > out.h) == ((w > h) != swapped));
	check_corners(&out, orientation);
}

TEST(all_orientations_by_content)
{
	for (unsigned int i = 1; i <= 8; i++) {
		turn(i, 200, 120, 2048);
		turn(i, 201, 121, 2048); /* odd: chroma's place depends on the side that is counted from */
		turn(i, 300, 170, 131);
	}
}

/* Upright chroma must lie over its luma at odd sizes too: a mirrored picture is the picture mirrored. */
TEST(odd_sizes_keep_chroma_in_place)
{
	for (unsigned int i = 1; i <= 8; i++) {
		_cleanup_pic_ struct pic in = pic_corners(33, 21), out = {};
		_cleanup_buf_ struct buf jpeg = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;
		uint32_t edge;

		o.quality = 100;
		make_jpeg(&in, (struct jpeg_make){.quality = 100, .orientation = i}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		out = read_jpeg(&m.jpeg, NULL, NULL);
		/* Red and green meet at 16 or, mirrored, 17 of 33: three samples off, both are pure. */
		edge = i == 2 || i == 3 || i == 7 || i == 8 ? 17 : 16;
		if (i <= 4) {
			const uint8_t *left = corner_colours[seen[i][0]], *right = corner_colours[seen[i][1]];

			CHECK(near_colour(pic_at(&out, edge - 4, 4), left, 25));
			CHECK(near_colour(pic_at(&out, edge + 3, 4), right, 25));
		} else {
			const uint8_t *top = corner_colours[seen[i][0]], *bottom = corner_colours[seen[i][2]];

			CHECK(near_colour(pic_at(&out, 4, edge - 4), top, 25));
			CHECK(near_colour(pic_at(&out, 4, edge + 3), bottom, 25));
		}
	}
}

TEST(a_crop_is_of_the_upright_page)
{
	for (unsigned int i = 1; i <= 8; i++) {
		_cleanup_pic_ struct pic in = pic_corners(160, 96), out = {};
		_cleanup_buf_ struct buf jpeg = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;
		uint32_t w = i >= 5 ? 96 : 160, h = i >= 5 ? 160 : 96;

		o.has_crop = true;
		o.crop = (struct orient_rect){w / 2 + 5, 3, w / 2 - 9, h / 2 - 11}; /* within the top right */
		make_jpeg(&in, (struct jpeg_make){.orientation = i}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		CHECK_INT(m.pages, 1);
		out = read_jpeg(&m.jpeg, NULL, NULL);
		CHECK_INT(out.w, w / 2 - 9);
		CHECK_INT(out.h, h / 2 - 11);
		CHECK(near_colour(pic_at(&out, 8, 8), corner_colours[seen[i][1]], 14));
		CHECK(near_colour(pic_at(&out, out.w - 9, out.h - 9), corner_colours[seen[i][1]], 14));
	}
}

TEST(a_crop_outside_the_page_is_refused)
{
	static const struct orient_rect bad[] = {
		{0, 0, 0, 5}, {0, 0, 161, 5}, {160, 0, 1, 1}, {1, 1, 159, 96}, {0, 0, 5, UINT32_MAX}};
	_cleanup_pic_ struct pic in = pic_corners(160, 96);
	_cleanup_buf_ struct buf jpeg = {};

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;

		o.has_crop = true;
		o.crop = bad[i];
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		CHECK_INT(m.pages, 0);
		CHECK_STR(reject_name(m.why.reason), "unsupported");
	}
}

TEST(exif_both_byte_orders)
{
	static const uint8_t little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0, 0, 1, 4, 0, 1, 0, 0, 0, 9, 9, 0,
		0, 0x12, 1, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0};
	uint8_t big[40];
	size_t n = make_exif(big, 6);

	CHECK_INT(exif_orientation(little, sizeof(little)), 8);
	CHECK_INT(exif_orientation(big + 6, n - 6), 6);
}

/* Every cut and every changed byte: an answer from 1 to 8, and nothing read outside (the sanitizers watch).
 */
TEST(exif_hostile)
{
	uint8_t big[40];
	size_t n = make_exif(big, 6) - 6;

	for (size_t len = 0; len < n; len++) {
		_cleanup_free_ uint8_t *copy = malloc(len + 1);
		unsigned int o;

		memcpy(copy, big + 6, len);
		o = exif_orientation(copy, len);
		CHECK(o >= 1 && o <= 8);
	}
	for (size_t i = 0; i < n; i++)
		for (int v = 0; v < 256; v++) {
			_cleanup_free_ uint8_t *copy = malloc(n);
			unsigned int o;

			memcpy(copy, big + 6, n);
			copy[i] = (uint8_t)v;
			o = exif_orientation(copy, n);
			CHECK(o >= 1 && o <= 8);
		}
	CHECK_INT(exif_orientation(big + 6, 13), 1);
	make_exif(big, 9);
	CHECK_INT(exif_orientation(big + 6, n), 1);
	make_exif(big, 0);
	CHECK_INT(exif_orientation(big + 6, n), 1);
}
