#include <math.h>

#include "capture/colour.h"
#include "tests/unit/capture_make.h"

static int expect(double v)
{
	return (int)CLAMP(lrint(v), 0, 255);
}

TEST(limited_range_is_expanded)
{
	uint8_t in[512], y[256], cb[128], cr[128];

	for (int i = 0; i < 256; i++) {
		in[2 * i] = (uint8_t)i;
		in[2 * i + 1] = (uint8_t)(255 - i);
	}
	colour_yuyv_to_planes(in, 256, false, y, cb, cr);
	for (int i = 0; i < 256; i++)
		CHECK(abs(y[i] - expect((i - 16) * 255.0 / 219)) <= 1);
	for (int i = 0; i < 128; i++) {
		CHECK(abs(cb[i] - expect(128 + (255 - 2 * i - 128) * 255.0 / 224)) <= 1);
		CHECK(abs(cr[i] - expect(128 + (255 - 2 * i - 1 - 128) * 255.0 / 224)) <= 1);
	}
	CHECK_INT(y[16], 0);
	CHECK_INT(y[235], 255);
}

TEST(full_range_is_left_alone)
{
	static const uint8_t in[] = {1, 2, 3, 4, 250, 251, 252, 253};
	uint8_t y[4], cb[2], cr[2];

	colour_yuyv_to_planes(in, 4, true, y, cb, cr);
	CHECK(memcmp(y, "\1\3\xfa\xfc", 4) == 0);
	CHECK(memcmp(cb, "\2\xfb", 2) == 0);
	CHECK(memcmp(cr, "\4\xfd", 2) == 0);
}

TEST(grey_and_primaries_from_rgb)
{
	static const uint8_t in[] = {0, 0, 0, 255, 255, 255, 90, 90, 90, 255, 0, 0, 0, 255, 0, 0, 0, 255};
	static const uint8_t want[][3] = {
		{0, 128, 128}, {255, 128, 128}, {90, 128, 128}, {76, 85, 255}, {150, 44, 21}, {29, 255, 107}};
	uint8_t y[6], cb[6], cr[6];

	colour_rgb_to_planes(in, 6, y, cb, cr);
	for (int i = 0; i < 6; i++) {
		CHECK(abs(y[i] - want[i][0]) <= 1);
		CHECK(abs(cb[i] - want[i][1]) <= 1);
		CHECK(abs(cr[i] - want[i][2]) <= 1);
	}
}

/* Every vector length and its rest give what the scalar definition gives. */
TEST(no_length_is_special)
{
	uint8_t rgb[3 * 200], y[200], cb[200], cr[200], y1, cb1, cr1;

	for (size_t i = 0; i < sizeof(rgb); i++)
		rgb[i] = (uint8_t)(i * 37 + i / 7);
	for (size_t n = 0; n <= 200; n += n < 70 ? 1 : 13) {
		colour_rgb_to_planes(rgb, n, y, cb, cr);
		for (size_t i = 0; i < n; i++) {
			colour_rgb_to_planes(rgb + 3 * i, 1, &y1, &cb1, &cr1);
			CHECK(y[i] == y1 && cb[i] == cb1 && cr[i] == cr1);
		}
	}
}

static int convert_frame(const struct raw_frame *f, struct mem_emit *m, struct reject *why)
{
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct page_info info = {.index = 1, .name = "camera"};
	struct image *im = NULL;
	int r = rawframe_open_yuyv(f, &o.limits, &im, why);

	if (r >= 0)
		r = page_convert(im, &o, &info, &m->emit, why);
	image_close(im);
	return r;
}

TEST(a_padded_frame_becomes_a_page)
{
	enum { W = 64, H = 32, STRIDE = 160 };
	_cleanup_free_ uint8_t *data =
		malloc(STRIDE * (H - 1) + W * 2); /* exactly: the last row has no padding */
	struct raw_frame f = {
		.data = data, .len = STRIDE * (H - 1) + W * 2, .width = W, .height = H, .stride = STRIDE};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};
	struct reject why;

	memset(data, 0x55, f.len);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			data[y * STRIDE + 2 * x] = x < W / 2 ? 16 : 235;
			data[y * STRIDE + 2 * x + 1] = 128;
		}
	CHECK_INT(convert_frame(&f, &m, &why), 0);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(out.w, W);
	CHECK_INT(out.h, H);
	CHECK(pic_at(&out, 10, 10)[0] < 4 && pic_at(&out, 10, H - 1)[1] < 4);
	CHECK(pic_at(&out, 50, 10)[0] > 251 && pic_at(&out, 50, H - 1)[2] > 251);
}

TEST(impossible_frames)
{
	uint8_t data[64 * 4] = {};
	struct raw_frame good = {.data = data, .len = sizeof(data), .width = 32, .height = 4, .stride = 64};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct raw_frame f = good;
	struct reject why;

	f.len--;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "truncated");
	f = good;
	f.width = 31;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	f = good;
	f.stride = 63;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	f = good;
	f.height = 0;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	f = good;
	f.height = UINT32_MAX;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "too-large");
	CHECK_INT(m.pages, 0);
}
