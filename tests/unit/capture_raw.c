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
		CHECK_INT(y[i], expect((i - 16) * 255.0 / 219));
	for (int i = 0; i < 128; i++) {
		CHECK_INT(cb[i], expect(128 + (255 - 2 * i - 128) * 255.0 / 224));
		CHECK_INT(cr[i], expect(128 + (255 - 2 * i - 1 - 128) * 255.0 / 224));
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
	int r = rawframe_open(f, &o.limits, &im, why);

	if (r >= 0)
		r = page_convert(im, &o, &info, &m->emit, why);
	image_close(im);
	return r;
}

static struct raw_frame yuyv_frame(const uint8_t *data, size_t len, uint32_t width, uint32_t height, uint32_t stride)
{
	return (struct raw_frame){
		.format = raw_format_by_name("yuyv"), .width = width, .height = height, .plane = {{data, len, stride}}};
}

TEST(a_padded_frame_becomes_a_page)
{
	enum { W = 64, H = 32, STRIDE = 160 };
	_cleanup_free_ uint8_t *data =
		malloc(STRIDE * (H - 1) + W * 2); /* exactly: the last row has no padding */
	struct raw_frame f = yuyv_frame(data, STRIDE * (H - 1) + W * 2, W, H, STRIDE);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};
	struct reject why;

	memset(data, 0x55, f.plane[0].len);
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
	struct raw_frame good = yuyv_frame(data, sizeof(data), 32, 4, 64);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct raw_frame f = good;
	struct reject why;

	f.plane[0].len--;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "truncated");
	f = good;
	f.width = 31;
	CHECK_INT(convert_frame(&f, &m, &why), -EBADMSG);
	f = good;
	f.plane[0].stride = 63;
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

/* ---- every format -------------------------------------------------------------------------------- */
/* The four corners in a format, straight from the definitions: BT.601 or 709, full or limited. */
struct made {
	struct raw_frame frame;
	uint8_t *data;
};

static void made_free(struct made *m)
{
	free(m->data);
}

static void yuv_of(const uint8_t rgb[3], const struct raw_frame *f, uint8_t yuv[3])
{
	double kr = f->bt709 ? 0.2126 : 0.299, kb = f->bt709 ? 0.0722 : 0.114;
	double y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2];
	double cb = (rgb[2] - y) / (2 * (1 - kb)), cr = (rgb[0] - y) / (2 * (1 - kr));

	yuv[0] = (uint8_t)expect(f->full_range ? y : 16 + y * 219 / 255);
	yuv[1] = (uint8_t)expect(128 + (f->full_range ? cb : cb * 224 / 255));
	yuv[2] = (uint8_t)expect(128 + (f->full_range ? cr : cr * 224 / 255));
}

/* Where sample c of pixel x, y lies; NULL: it shares another's. */
static uint8_t *sample_at(const struct made *m, unsigned int x, unsigned int y, unsigned int c)
{
	const struct raw_frame *f = &m->frame;
	const char *name = raw_format_name(f->format);
	unsigned int plane = 0, at = x, row = y;

	if (streq(name, "rgb3") || streq(name, "bgr3")) {
		at = 3 * x + (name[0] == 'r' ? c : 2 - c);
	} else if (streq(name, "yuyv") || streq(name, "uyvy")) {
		at = 2 * x + (c ? 1 : 0);
		at ^= name[0] == 'u';
		if (c && x % 2 != c - 1)
			return NULL;
	} else if (c && starts_with(name, "nv")) {
		bool half = streq(name, "nv12") || streq(name, "nv21");

		if (x % 2 || (half && y % 2))
			return NULL;
		plane = 1;
		at = x + ((c == 2) ^ (streq(name, "nv21") || streq(name, "nv61")));
		row = half ? y / 2 : y;
	} else if (c) {
		if (x % 2 || y % 2)
			return NULL;
		plane = streq(name, "yv12") ? 3 - c : c;
		at = x / 2;
		row = y / 2;
	}
	return m->data + (f->plane[plane].data - m->data) + (size_t)row * f->plane[plane].stride + at;
}

static struct made make_frame(const char *format, uint32_t w, uint32_t h, uint32_t pad, bool full, bool bt709)
{
	struct made m = {.frame = {.format = raw_format_by_name(format), .width = w, .height = h, .full_range = full,
				 .bt709 = bt709}};
	uint32_t stride = raw_format_row(m.frame.format, w) + pad;
	_cleanup_pic_ struct pic p = pic_corners(w, h);
	bool rgb = streq(format, "rgb3") || streq(format, "bgr3");
	struct reject why;

	m.data = malloc((size_t)stride * h * 2);
	CHECK(m.data);
	memset(m.data, 0x55, (size_t)stride * h * 2);
	CHECK_INT(raw_frame_lay_out(&m.frame, m.data, (size_t)stride * h * 2, stride, &why), 0);
	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++) {
			uint8_t yuv[3];

			yuv_of(pic_at(&p, x, y), &m.frame, yuv);
			for (unsigned int c = 0; c < (streq(format, "grey") ? 1U : 3U); c++) {
				uint8_t *to = sample_at(&m, x, y, c);

				if (to)
					*to = rgb ? pic_at(&p, x, y)[c] : yuv[c];
			}
		}
	return m;
}

static void check_corners(const struct mem_emit *m, const char *format)
{
	static const unsigned int at[4][2] = {{8, 8}, {48, 8}, {8, 40}, {48, 40}};
	_cleanup_pic_ struct pic out = read_jpeg(&m->jpeg, NULL, NULL);

	CHECK_INT(out.w, 64);
	CHECK_INT(out.h, 48);
	for (int i = 0; i < 4; i++) {
		const uint8_t *c = corner_colours[i], *got = pic_at(&out, at[i][0], at[i][1]);
		uint8_t grey = (uint8_t)expect(0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]);

		CHECK(out.ch == 1 ? abs(got[0] - grey) <= 3 : near_colour(got, c, 6));
	}
	CHECK_STR(m->info.format, format);
}

TEST(every_format_range_and_matrix_has_the_same_colours)
{
	static const char *const names[] = {
		"yuyv", "uyvy", "nv12", "nv21", "nv16", "nv61", "yu12", "yv12", "grey", "rgb3", "bgr3"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (unsigned int k = 0; k < 8; k++) {
			bool grey = streq(names[i], "grey");
			_cleanup_(made_free) struct made f = make_frame(names[i], 64, 48, k & 1 ? 32 : 0, k & 2, !grey && (k & 4));
			_cleanup_mem_ struct mem_emit m = MEM_EMIT;
			struct reject why;

			CHECK_INT(convert_frame(&f.frame, &m, &why), 0);
			check_corners(&m, names[i]);
		}
	CHECK(!raw_format_by_name("rggb"));
}

/* A JPEG alone is decoded smaller, so of a raw frame nobody says that it was. */
TEST(a_raw_frame_is_decoded_whole)
{
	_cleanup_(made_free) struct made f = make_frame("nv12", 64, 48, 0, true, false);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct page_info info = {.index = 1, .name = "x"};
	struct image *im = NULL;
	struct reject why;

	o.max_side = 16;
	CHECK_INT(rawframe_open(&f.frame, &o.limits, &im, &why), 0);
	CHECK_INT(page_convert(im, &o, &info, &m.emit, &why), 0);
	image_close(im);
	CHECK_INT(m.info.width, 16);
	CHECK_INT(m.info.eighths, 8);
}

/* Each plane may be short by itself. */
TEST(a_short_plane)
{
	_cleanup_(made_free) struct made f = make_frame("yu12", 64, 48, 0, true, false);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	for (unsigned int i = 0; i < 3; i++) {
		struct raw_frame bad = f.frame;

		bad.plane[i].len = (size_t)bad.plane[i].stride * (i ? 24 : 48) - 1;
		CHECK_INT(convert_frame(&bad, &m, &why), -EBADMSG);
		CHECK_STR(reject_name(why.reason), "truncated");
	}
	f.frame.height = 47;
	CHECK_INT(convert_frame(&f.frame, &m, &why), -EBADMSG);
}

/* ---- PNM ----------------------------------------------------------------------------------------- */
static void put_pnm(struct buf *b, const char *head, const struct pic *p, bool wide)
{
	CHECK_INT(buf_add(b, head, strlen(head)), 0);
	for (size_t i = 0; i < (size_t)p->w * p->h * p->ch; i++) {
		uint8_t two[2] = {p->px[i], p->px[i]};

		CHECK_INT(buf_add(b, two, wide ? 2 : 1), 0);
	}
}

TEST(pnm_of_every_depth)
{
	static const struct {
		const char *head;
		unsigned int ch;
		bool wide;
	} cases[] = {{"P6\n64 48\n255\n", 3, false}, {"P6 # by hand\n#\n 64\t48 65535\n", 3, true},
		{"P5\n64 48\n255\n", 1, false}, {"P5\r64\r48\r65535\r", 1, true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_pic_ struct pic p = cases[i].ch == 3 ? pic_corners(64, 48) : pic_new(64, 48, 1);
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_buf_ struct buf b = {};

		if (p.ch == 1)
			for (uint32_t y = 0; y < 48; y++)
				for (uint32_t x = 0; x < 64; x++) {
					const uint8_t *c = corner_colours[(x >= 32) + 2 * (y >= 24)];

					*pic_at(&p, x, y) = (uint8_t)expect(0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]);
				}
		put_pnm(&b, cases[i].head, &p, cases[i].wide);
		CHECK_INT(convert_bytes(b.data, b.len, NULL, &m), 0);
		CHECK_INT(m.pages, 1);
		check_corners(&m, "pnm");
		check_rejected(b.data, b.len - 1, "truncated");
	}
}

/* 100 of 100 is white as 255 of 255 is; what is beyond white is white. */
TEST(pnm_of_another_white)
{
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};
	char file[11 + 64] = "P5 8 8 100\n";

	memset(file + 11, 100, 32);
	memset(file + 43, 200, 32);
	CHECK_INT(convert_bytes(file, sizeof(file), NULL, &m), 0);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK(pic_at(&out, 1, 1)[0] >= 254 && pic_at(&out, 1, 7)[0] >= 254);
}

TEST(pnm_headers_that_lie)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {{"P6\n", "truncated"}, {"P6\n64", "truncated"}, {"P6\n64 48\n255", "truncated"}, {"P6\n64 -48\n255\n", "damaged"},
		{"P6\n0 48\n255\n", "damaged"}, {"P6\n64 48\n0\n", "damaged"}, {"P6\n64 48\n65536\n", "damaged"},
		{"P6\n99999999 9999999\n255\n", "too-large"}, {"P6\n9999999999999999 1\n255\n", "damaged"}, {"P4\n8 8\n", "unsupported"},
		{"P7\n", "unsupported"}, {"P5x", "damaged"}};
	char long_head[700] = "P5\n#";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_rejected(cases[i].text, strlen(cases[i].text), cases[i].reason);
	memset(long_head + 4, 'x', sizeof(long_head) - 4); /* a comment without end */
	check_rejected(long_head, sizeof(long_head), "truncated");
}
