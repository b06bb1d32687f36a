#include "ocr/grey.h"

#include <fcntl.h>
#include <stdio.h>

#include <jpeglib.h>

#include "base/fileio.h"
#include "ocr/flatten.h"
#include "tests/unit/test.h"

#define SIDE 64

/* A JPEG of one grey, SIDE pixels square. */
static struct buf jpeg_make(int components, J_COLOR_SPACE space, int value)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	unsigned char row[SIDE * 4], *out = NULL;
	JSAMPROW rows = row;
	unsigned long len = 0;
	struct buf b = {};

	memset(row, value, sizeof(row));
	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &out, &len);
	c.image_width = c.image_height = SIDE;
	c.input_components = components;
	c.in_color_space = space;
	jpeg_set_defaults(&c);
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < SIDE)
		jpeg_write_scanlines(&c, &rows, 1);
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	CHECK_INT(buf_add(&b, out, len), 0);
	free(out);
	return b;
}

static void check_refused(const struct buf *b, size_t len, int64_t max_pixels, const char *reason)
{
	struct ocr_fail fail = {};
	struct grey g;

	CHECK(grey_from_jpeg(b->data, len, max_pixels, &g, &fail) < 0);
	CHECK_STR(fail.reason, reason);
	CHECK(fail.message[0]);
}

TEST(colour_and_grey_become_grey)
{
	struct buf colour = jpeg_make(3, JCS_RGB, 200), grey = jpeg_make(1, JCS_GRAYSCALE, 200);
	struct ocr_fail fail = {};
	struct grey a, b;

	CHECK_INT(grey_from_jpeg(colour.data, colour.len, 10000, &a, &fail), 0);
	CHECK_INT(grey_from_jpeg(grey.data, grey.len, 10000, &b, &fail), 0);
	CHECK_INT(a.width, SIDE);
	CHECK_INT(a.height, SIDE);
	for (size_t i = 0; i < SIDE * SIDE; i++)
		CHECK(abs(a.data[i] - 200) <= 2 && abs(b.data[i] - 200) <= 2);
	grey_free(&a);
	grey_free(&b);
	buf_free(&colour);
	buf_free(&grey);
}

TEST(bad_pictures_are_refused)
{
	struct buf b = jpeg_make(3, JCS_RGB, 200), cmyk = jpeg_make(4, JCS_CMYK, 200);
	struct buf text = {};

	CHECK_INT(buf_adds(&text, "this is no picture"), 0);
	check_refused(&text, text.len, 10000, "not-an-image");
	check_refused(&b, 0, 10000, "truncated");
	check_refused(&b, b.len - 2, 10000, "truncated"); /* without EOI */
	check_refused(&b, 300, 10000, "truncated");       /* in the tables */
	check_refused(&b, b.len, SIDE * SIDE - 1, "too-large");
	check_refused(&cmyk, cmyk.len, 10000, "unsupported");
	buf_free(&b);
	buf_free(&cmyk);
	buf_free(&text);
}

/* The page of the tests, cut anywhere and with bytes changed: read whole or refused with a reason, never
 * half. */
TEST(damaged_pictures_are_refused_or_whole)
{
	_cleanup_buf_ struct buf b = {};
	char path[200];

	str_format(path, sizeof(path), "%socr/small.jpg", test_data());
	CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &b), 0);
	for (size_t len = 0; len < b.len; len += 97) {
		struct ocr_fail fail = {};
		struct grey g = {};

		CHECK(grey_from_jpeg(b.data, len, 1 << 20, &g, &fail) < 0);
		CHECK(fail.reason && !g.data);
	}
	for (size_t i = 0; i < b.len; i += 61) {
		struct ocr_fail fail = {};
		struct grey g = {};
		char old = b.data[i];

		b.data[i] = (char)(old ^ 0x55);
		if (grey_from_jpeg(b.data, b.len, 1 << 20, &g, &fail) < 0)
			CHECK(fail.reason && !g.data);
		else
			CHECK(g.data && (int64_t)g.width * g.height <= 1 << 20);
		grey_free(&g);
		b.data[i] = old;
	}
}

/* ---- flatten --------------------------------------------------------------------------------------- */

static struct grey paper(int w, int h)
{
	struct grey g = {malloc((size_t)w * (size_t)h), w, h};

	memset(g.data, 240, (size_t)w * (size_t)h);
	return g;
}

static void box(struct grey *g, int x0, int y0, int x1, int y1, uint8_t v)
{
	for (int y = y0; y < y1; y++)
		memset(g->data + (size_t)y * (size_t)g->width + (size_t)x0, v, (size_t)(x1 - x0));
}

static int at(const struct grey *g, int x, int y)
{
	return g->data[(size_t)y * (size_t)g->width + (size_t)x];
}

TEST(dark_bars_are_inverted)
{
	struct grey g = paper(1000, 400);

	box(&g, 0, 100, 1000, 200, 50);    /* a dark bar ... */
	box(&g, 150, 140, 154, 160, 255); /* ... with a light stroke in it */
	box(&g, 50, 300, 54, 320, 20);    /* a dark stroke on the paper */
	CHECK_INT(grey_flatten(&g), 0);
	CHECK_INT(at(&g, 100, 150), 205);
	CHECK_INT(at(&g, 152, 150), 0);
	CHECK_INT(at(&g, 52, 310), 20);
	CHECK_INT(at(&g, 200, 50), 240);
	/* no line is left where the bar ends */
	for (int y = 80; y < 220; y++)
		CHECK(at(&g, 300, y) > 200);
	grey_free(&g);
}

TEST(small_pages_are_flattened_too)
{
	struct grey g = paper(1, 1), h = paper(3, 50);

	CHECK_INT(grey_flatten(&g), 0);
	CHECK_INT(grey_flatten(&h), 0);
	CHECK_INT(at(&h, 1, 25), 240);
	grey_free(&g);
	grey_free(&h);
}

TEST(erased_words_leave_paper)
{
	struct grey g = paper(100, 100);

	box(&g, 20, 20, 40, 30, 0);
	grey_erase(&g, 20, 20, 20, 10);
	for (int y = 0; y < 100; y++)
		for (int x = 0; x < 100; x++)
			CHECK_INT(at(&g, x, y), 240);
	grey_erase(&g, -50, 90, 500, 500);
	grey_erase(&g, 200, 200, 10, 10);
	grey_free(&g);
}
