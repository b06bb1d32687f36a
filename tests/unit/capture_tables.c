/* The encoder's own tables: any picture can be coded with them, and they are worth having. */
#include "capture/jpegenc.h"
#include "capture/jpegtables.h"
#include "tests/unit/capture_make.h"

/* A code is one: no two words alike, none all ones, and every symbol of `n` has its word. */
static void check_code(const struct jpegtables_code *code, const uint8_t *symbols, unsigned int n)
{
	unsigned int words = 0, room = 1 << 16;

	CHECK_INT(code->bits[0], 0);
	for (unsigned int len = 1; len <= 16; len++) {
		words += code->bits[len];
		CHECK((unsigned int)code->bits[len] << (16 - len) < room); /* something stays free: the word of all ones */
		room -= (unsigned int)code->bits[len] << (16 - len);
	}
	CHECK_INT(words, n);
	for (unsigned int i = 0; i < n; i++)
		CHECK(memchr(code->values, symbols[i], n));
}

TEST(every_symbol_has_a_code)
{
	uint8_t dc[12], ac[162];
	unsigned int n = 0;

	for (unsigned int i = 0; i < sizeof(dc); i++)
		dc[i] = (uint8_t)i;
	ac[n++] = 0x00;
	ac[n++] = 0xf0;
	for (unsigned int run = 0; run < 16; run++)
		for (unsigned int size = 1; size <= 10; size++)
			ac[n++] = (uint8_t)(run << 4 | size);
	for (int i = 0; i < 2; i++) {
		check_code(&jpegtables_dc[i], dc, sizeof(dc));
		check_code(&jpegtables_ac[i], ac, n);
	}
}

static int to_buf(void *ud, const void *data, size_t len)
{
	return buf_add(ud, data, len);
}

static void encode(uint32_t w, uint32_t h, unsigned int n_planes, int quality, uint8_t (*value)(uint32_t, uint32_t),
	struct buf *out)
{
	struct jpegenc_options o = {
		.width = w, .height = h, .n_planes = n_planes, .quality = quality, .sink = to_buf, .ud = out};
	_cleanup_free_ uint8_t *row = malloc(w);
	struct jpegenc *e;

	CHECK(row);
	CHECK_INT(jpegenc_new(&o, &e), 0);
	for (uint32_t y = 0; y < h; y++)
		for (unsigned int p = 0; p < n_planes; p++) {
			if (p && y >= (h + 1) / 2)
				continue;
			for (uint32_t x = 0; x < w; x++)
				row[x] = value(x + p, y);
			CHECK_INT(jpegenc_row(e, p, row), 0);
		}
	CHECK_INT(jpegenc_finish(e), 0);
	jpegenc_free(e);
}

static uint8_t any(uint32_t x, uint32_t y)
{
	return (uint8_t)(((x * 2654435761U) ^ (y * 2246822519U)) >> 13);
}

static uint8_t extreme(uint32_t x, uint32_t y)
{
	return any(x, y) & 1 ? 255 : 0;
}

static uint8_t board(uint32_t x, uint32_t y)
{
	return (x / 8 + y / 8) & 1 ? 255 : 0;
}

/* Pictures of the largest coefficients and longest runs there are, at every quality: whole, without a warning. */
TEST(any_picture_at_any_quality)
{
	static uint8_t (*const pictures[])(uint32_t, uint32_t) = {any, extreme, board};

	for (size_t i = 0; i < ARRAY_SIZE(pictures); i++)
		for (int quality = 1; quality <= 100; quality += 9)
			for (unsigned int planes = 1; planes <= 3; planes += 2) {
				_cleanup_buf_ struct buf jpeg = {};
				_cleanup_pic_ struct pic out = {};

				encode(97, 61, planes, quality, pictures[i], &jpeg);
				out = read_jpeg(&jpeg, NULL, NULL);
				CHECK_INT(out.w, 97);
				CHECK_INT(out.ch, planes);
				if (planes == 1 && quality == 100)
					for (uint32_t x = 0; x < 97; x++)
						CHECK(abs(pic_at(&out, x, 30)[0] - pictures[i](x, 30)) <= 3);
			}
}

static uint32_t step_of(const struct buf *jpeg, unsigned int at)
{
	const uint8_t *dqt = memmem(jpeg->data, jpeg->len, "\xff\xdb\0\x43\0", 5);

	CHECK(dqt);
	return dqt[5 + at];
}

/* 50 is the table itself, 100 all ones, below 50 larger; what is asked for is what is written. */
TEST(quality_scales_as_libjpegs)
{
	_cleanup_buf_ struct buf half = {}, whole = {}, low = {};

	encode(16, 16, 3, 50, any, &half);
	encode(16, 16, 3, 100, any, &whole);
	encode(16, 16, 3, 25, any, &low);
	CHECK_INT(step_of(&half, 0), jpegtables_luma[0]);
	CHECK_INT(step_of(&half, 63), jpegtables_luma[63]);
	CHECK_INT(step_of(&whole, 0), 1);
	CHECK_INT(step_of(&whole, 63), 1);
	CHECK_INT(step_of(&low, 0), 2 * jpegtables_luma[0]);
}
