#include <math.h>

#include "tests/unit/capture_make.h"

static void convert_png(const struct buf *png, struct mem_emit *m, struct pic *ret)
{
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	o.quality = 98;
	CHECK_INT(convert_bytes(png->data, png->len, &o, m), 0);
	if (!m->pages)
		test_fail(__FILE__, __LINE__, "rejected: %s", m->why.message);
	*ret = read_jpeg(&m->jpeg, NULL, NULL);
}

/* Blocks of one colour each, 16 pixels wide, so that chroma has no say in their middles. */
static const uint8_t blocks[4][4] = {{255, 0, 0, 255}, {0, 128, 0, 255}, {0, 0, 255, 128}, {10, 20, 30, 0}};

static void check_blocks(const struct pic *p, const uint8_t want[4][3])
{
	for (uint32_t i = 0; i < 4; i++)
		if (!near_colour(pic_at(p, i * 16 + 8, 8), want[i], 8))
			test_fail(__FILE__, __LINE__, "block %u is %d,%d,%d", i, pic_at(p, i * 16 + 8, 8)[0],
				pic_at(p, i * 16 + 8, 8)[1], pic_at(p, i * 16 + 8, 8)[2]);
}

static void alpha(int depth, bool interlaced)
{
	static const uint8_t want[4][3] = {{255, 0, 0}, {0, 128, 0}, {127, 127, 255}, {255, 255, 255}};
	size_t sample = (size_t)depth / 8, stride = 64 * 4 * sample;
	_cleanup_free_ uint8_t *rows = malloc(16 * stride);
	_cleanup_buf_ struct buf png = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};

	for (size_t y = 0; y < 16; y++)
		for (size_t x = 0; x < 64; x++)
			for (size_t c = 0; c < 4; c++)
				memset(rows + y * stride + (x * 4 + c) * sample, blocks[x / 16][c], sample);
	make_png(64, 16, depth, PNG_COLOR_TYPE_RGB_ALPHA, interlaced, rows, stride, NULL, 0, &png);
	convert_png(&png, &m, &out);
	CHECK_STR(m.info.format, "png");
	check_blocks(&out, want);
}

TEST(alpha_lies_on_white)
{
	alpha(8, false);
	alpha(16, false);
	alpha(8, true);
	alpha(16, true);
}

TEST(palettes_of_every_depth)
{
	static const png_color palette[] = {{255, 0, 0}, {0, 128, 0}, {0, 0, 255}, {10, 20, 30}};
	static const uint8_t want[4][3] = {{255, 0, 0}, {0, 128, 0}, {0, 0, 255}, {10, 20, 30}};

	for (int depth = 2; depth <= 8; depth *= 2) {
		size_t stride = 64 * (size_t)depth / 8;
		uint8_t rows[16 * 64] = {};
		_cleanup_buf_ struct buf png = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_pic_ struct pic out = {};

		for (size_t y = 0; y < 16; y++)
			for (size_t x = 0; x < 64; x++)
				rows[y * stride + x * (size_t)depth / 8] |=
					(uint8_t)((x / 16) << (8 - depth - (int)(x * (size_t)depth % 8)));
		make_png(64, 16, depth, PNG_COLOR_TYPE_PALETTE, depth == 4, rows, stride, palette, 4, &png);
		convert_png(&png, &m, &out);
		check_blocks(&out, want);
	}
}

TEST(grey_of_every_depth)
{
	for (int depth = 1; depth <= 16; depth *= 2) {
		size_t stride = (64 * (size_t)depth + 7) / 8;
		uint8_t rows[16 * 128];
		_cleanup_buf_ struct buf png = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_pic_ struct pic out = {};

		memset(rows, 0, 8 * stride);
		memset(rows + 8 * stride, 0xff, 8 * stride);
		make_png(64, 16, depth, PNG_COLOR_TYPE_GRAY, false, rows, stride, NULL, 0, &png);
		convert_png(&png, &m, &out);
		CHECK_INT(out.ch, 1);
		CHECK(pic_at(&out, 30, 3)[0] < 4);
		CHECK(pic_at(&out, 30, 12)[0] > 251);
	}
}

TEST(larger_than_the_limit_becomes_smaller)
{
	_cleanup_pic_ struct pic in = pic_page(3000, 500, 3), out = {};
	_cleanup_buf_ struct buf png = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	make_png(in.w, in.h, 8, PNG_COLOR_TYPE_RGB, false, in.px, (size_t)in.w * 3, NULL, 0, &png);
	convert_png(&png, &m, &out);
	CHECK_INT(out.w, 2048);
	CHECK_INT(out.h, 341);
}

TEST(every_cut_is_noticed)
{
	_cleanup_pic_ struct pic in = pic_page(60, 40, 3);
	_cleanup_buf_ struct buf png = {}, interlaced = {};

	make_png(in.w, in.h, 8, PNG_COLOR_TYPE_RGB, false, in.px, (size_t)in.w * 3, NULL, 0, &png);
	make_png(in.w, in.h, 8, PNG_COLOR_TYPE_RGB, true, in.px, (size_t)in.w * 3, NULL, 0, &interlaced);
	for (size_t len = 8; len<png.len; len += len> 60 && len + 30 < png.len ? 17 : 1)
		check_rejected(png.data, len, "truncated");
	check_rejected(interlaced.data, interlaced.len - 1, "truncated");
	check_rejected(interlaced.data, interlaced.len / 2, "truncated");
}

TEST(damage_is_noticed)
{
	_cleanup_pic_ struct pic in = pic_page(60, 40, 3);
	_cleanup_buf_ struct buf png = {};

	make_png(in.w, in.h, 8, PNG_COLOR_TYPE_RGB, false, in.px, (size_t)in.w * 3, NULL, 0, &png);
	png.data[png.len / 2] ^= 0x55;
	check_rejected(png.data, png.len, "damaged");
}

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (24 - 8 * i));
}

TEST(too_large_from_the_header)
{
	_cleanup_pic_ struct pic in = pic_page(60, 40, 3);
	_cleanup_buf_ struct buf png = {};

	make_png(in.w, in.h, 8, PNG_COLOR_TYPE_RGB, false, in.px, (size_t)in.w * 3, NULL, 0, &png);
	put32(png.data + 16, 65500);
	put32(png.data + 20, 65500);
	check_rejected(png.data, png.len, "too-large");
	put32(png.data + 16, UINT32_MAX);
	check_rejected(png.data, png.len, "too-large");
	put32(png.data + 16, 0);
	check_rejected(png.data, png.len, "damaged");
}

/* An interlaced picture is held whole: 3 bytes a pixel in colour, 8 bits deep after reading. */
TEST(interlaced_is_bounded)
{
	_cleanup_pic_ struct pic in = pic_page(61, 47, 3);

	for (int depth = 8; depth <= 16; depth += 8) {
		size_t stride = (size_t)in.w * 3 * (size_t)depth / 8;
		_cleanup_free_ uint8_t *rows = calloc(in.h, stride);
		_cleanup_buf_ struct buf png = {};

		make_png(in.w, in.h, depth, PNG_COLOR_TYPE_RGB, true, rows, stride, NULL, 0, &png);
		for (unsigned int less = 0; less <= 1; less++) {
			_cleanup_mem_ struct mem_emit m = MEM_EMIT;
			struct convert_options o = CONVERT_OPTIONS_DEFAULT;

			o.limits.max_memory = (uint64_t)in.w * in.h * 3 - less;
			CHECK_INT(convert_bytes(png.data, png.len, &o, &m), 0);
			CHECK_INT(m.pages, !less);
			if (less)
				CHECK_STR(reject_name(m.why.reason), "too-large");
		}
	}
}

/* The smallest pictures leave some of the seven passes without a row. */
TEST(interlaced_of_every_small_size)
{
	for (uint32_t w = 1; w <= 9; w++)
		for (uint32_t h = 1; h <= 9; h++) {
			_cleanup_pic_ struct pic in = pic_new(w, h, 3), out = {};
			_cleanup_buf_ struct buf png = {};
			_cleanup_mem_ struct mem_emit m = MEM_EMIT;

			memset(in.px, 90, (size_t)w * h * 3);
			make_png(w, h, 8, PNG_COLOR_TYPE_RGB, true, in.px, (size_t)w * 3, NULL, 0, &png);
			convert_png(&png, &m, &out);
			CHECK_INT(out.w, w);
			CHECK_INT(out.h, h);
			CHECK(near_colour(pic_at(&out, w - 1, h - 1), in.px, 2));
		}
}

/* A colour that is said to be transparent (tRNS) lies on white like alpha; so do entries of a palette. */
static void put_trns(struct buf *png, const uint8_t *data, size_t len)
{
	_cleanup_buf_ struct buf with = {};
	size_t at = 8 + 25; /* behind IHDR; a palette comes first */
	uint8_t chunk[4 + 4 + 16 + 4];
	uint32_t crc;

	if (memcmp(png->data + at + 4, "PLTE", 4) == 0)
		at += 12 + (size_t)(uint8_t)png->data[at + 3];
	put32((char *)chunk, (uint32_t)len);
	memcpy(chunk + 4, "tRNS", 4);
	memcpy(chunk + 8, data, len);
	crc = ~0U;
	for (size_t i = 4; i < 8 + len; i++) {
		crc ^= chunk[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	put32((char *)chunk + 8 + len, ~crc);
	CHECK(buf_add(&with, png->data, at) == 0 && buf_add(&with, chunk, len + 12) == 0 &&
		buf_add(&with, png->data + at, png->len - at) == 0);
	buf_clear(png);
	CHECK_INT(buf_add(png, with.data, with.len), 0);
}

TEST(a_transparent_colour_is_paper)
{
	static const png_color palette[] = {{255, 0, 0}, {0, 128, 0}};
	static const struct {
		int type;
		size_t len;
		uint8_t trns[6], value;
	} kinds[] = {{PNG_COLOR_TYPE_GRAY, 2, {0, 30}, 30},
		{PNG_COLOR_TYPE_RGB, 6, {0, 30, 0, 30, 0, 30}, 30}, {PNG_COLOR_TYPE_PALETTE, 2, {255, 0}, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t stride = kinds[i].type == PNG_COLOR_TYPE_RGB ? 192 : 64;
		uint8_t rows[16 * 192];
		_cleanup_buf_ struct buf png = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_pic_ struct pic out = {};

		for (size_t y = 0; y < 16; y++) /* the left half is that colour */
			for (size_t x = 0; x < stride; x++)
				rows[y * stride + x] = x < stride / 2 ? kinds[i].value : 0;
		make_png(64, 16, 8, kinds[i].type, i == 1, rows, stride,
			kinds[i].type == PNG_COLOR_TYPE_PALETTE ? palette : NULL, 2, &png);
		put_trns(&png, kinds[i].trns, kinds[i].len);
		convert_png(&png, &m, &out);
		CHECK(pic_at(&out, 16, 8)[0] > 250 && pic_at(&out, 16, 8)[out.ch - 1] > 250);
		CHECK(pic_at(&out, 48, 8)[out.ch - 1] < 5);
	}
}
