#include <math.h>

#include "tests/unit/capture_make.h"

static double psnr(const struct pic *a, const struct pic *b)
{
	size_t n = (size_t)a->w * a->h * a->ch;
	double sum = 0;

	CHECK_INT(a->w, b->w);
	CHECK_INT(a->h, b->h);
	CHECK_INT(a->ch, b->ch);
	for (size_t i = 0; i < n; i++)
		sum += (a->px[i] - b->px[i]) * (a->px[i] - b->px[i]);
	return 10 * log10(255.0 * 255.0 * (double)n / (sum + 1e-9));
}

/* A smooth picture survives 4:2:0 well, so that a misplaced plane shows. */
static struct pic smooth(uint32_t w, uint32_t h, unsigned int ch)
{
	struct pic p = pic_new(w, h, ch);

	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++)
			for (unsigned int c = 0; c < ch; c++)
				pic_at(&p, x, y)[c] =
					(uint8_t)(128 + 90 * sin(x * 0.05 + c) * cos(y * 0.04 - c));
	return p;
}

TEST(every_sampling_comes_through)
{
	static const int sampling[][2] = {{1, 1}, {2, 1}, {2, 2}, {4, 1}, {1, 2}, {4, 2}, {1, 4}};
	static const uint32_t sizes[][2] = {
		{160, 120}, {161, 121}, {33, 17}, {1, 1}, {1, 50}, {50, 1}, {2, 2}, {15, 31}, {17, 3}};

	for (size_t i = 0; i < ARRAY_SIZE(sampling); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			_cleanup_pic_ struct pic in = smooth(sizes[k][0], sizes[k][1], 3), out = {};
			_cleanup_buf_ struct buf jpeg = {};
			_cleanup_mem_ struct mem_emit m = MEM_EMIT;
			int h, v;
			double db;

			make_jpeg(&in, (struct jpeg_make){.h = sampling[i][0], .v = sampling[i][1]}, &jpeg);
			CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
			CHECK_INT(m.pages, 1);
			out = read_jpeg(&m.jpeg, &h, &v);
			CHECK_INT(h, 2);
			CHECK_INT(v, 2);
			db = psnr(&in, &out);
			if (db < 30)
				test_fail(__FILE__, __LINE__, "%dx%d sampling, %ux%u: %.1f dB",
					sampling[i][0], sampling[i][1], in.w, in.h, db);
		}
}

TEST(grey_stays_grey)
{
	_cleanup_pic_ struct pic in = smooth(161, 121, 1), out = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2},
		&jpeg); /* odd sampling for one component, which is legal */
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
	CHECK(m.info.grey);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(out.ch, 1);
	CHECK(psnr(&in, &out) > 35);
}

TEST(rgb_progressive_and_restarts)
{
	static const struct jpeg_make kinds[] = {{.rgb = true}, {.h = 2, .v = 2, .progressive = true},
		{.h = 2, .v = 2, .restart = 1}, {.rgb = true, .progressive = true}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_pic_ struct pic in = smooth(201, 99, 3), out = {};
		_cleanup_buf_ struct buf jpeg = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		make_jpeg(&in, kinds[i], &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
		CHECK_INT(m.pages, 1);
		out = read_jpeg(&m.jpeg, NULL, NULL);
		CHECK(psnr(&in, &out) > 30);
	}
}

/* Webcams leave the Huffman tables out (they are the standard's own): we must take that. */
TEST(without_huffman_tables)
{
	_cleanup_pic_ struct pic in = smooth(160, 120, 3);
	_cleanup_buf_ struct buf jpeg = {}, bare = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	size_t at = 2;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	CHECK(buf_add(&bare, jpeg.data, 2) == 0);
	while (at + 4 < jpeg.len) {
		const uint8_t *p = (const uint8_t *)jpeg.data + at;
		size_t len = 2 + ((size_t)p[2] << 8 | p[3]);

		if (p[1] == 0xda)
			len = jpeg.len - at;
		if (p[1] != 0xc4)
			CHECK(buf_add(&bare, p, len) == 0);
		at += len;
	}
	CHECK(bare.len < jpeg.len);
	CHECK_INT(convert_bytes(bare.data, bare.len, NULL, &m), 0);
	CHECK_INT(m.pages, 1);
}

static void check_size(uint32_t w, uint32_t h, uint32_t want_w, uint32_t want_h)
{
	_cleanup_pic_ struct pic in = pic_new(w, h, 1), out = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	memset(in.px, 200, (size_t)w * h);
	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
	CHECK_INT(m.pages, 1);
	CHECK_INT(m.info.width, want_w);
	CHECK_INT(m.info.height, want_h);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(out.w, want_w);
	CHECK_INT(out.h, want_h);
	CHECK(abs(pic_at(&out, out.w - 1, out.h - 1)[0] - 200) <= 2);
}

TEST(never_up_and_never_2049)
{
	check_size(1, 1, 1, 1);
	check_size(2047, 100, 2047, 100);
	check_size(2048, 100, 2048, 100);
	check_size(2049, 100, 2048, 100);
	check_size(100, 2050, 100, 2048);
	check_size(2049, 2049, 2048, 2048);
	check_size(4096, 3, 2048, 2);
	check_size(3, 4097, 1, 2048);
	check_size(1, 5000, 1, 2048);
	check_size(10000, 1, 2048, 1);
	check_size(65500, 20, 2048, 1);
	check_size(2560, 2048, 2048, 1638);
}

TEST(the_smallest_fast_size_of_twice_the_result)
{
	static const struct {
		uint32_t w, h;
		unsigned int eighths;
	} want[] = {{2480, 3508, 8}, {3840, 2160, 8}, {4208, 3120, 8}, {4960, 7016, 8}, {8191, 100, 8},
		{8192, 100, 4}, {6778, 9590, 4}, {16384, 10, 2}, {32768, 10, 1}, {65500, 10, 1},
		{2048, 2048, 8}, {100, 100, 8}};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct image im = {.width = want[i].w, .height = want[i].h, .orientation = 1};
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;
		struct convert_plan p;
		struct reject why;

		CHECK_INT(convert_plan(&im, &o, &p, &why), 0);
		CHECK_INT(p.eighths, want[i].eighths);
	}
}

/* Against libjpeg's own whole decode: what we make smaller is still the picture. */
TEST(a_smaller_page_is_the_same_page)
{
	_cleanup_pic_ struct pic in = smooth(1200, 900, 3), out = {}, want = pic_new(300, 225, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	o.max_side = 300;
	o.quality = 95;
	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
	CHECK_INT(m.info.eighths, 4);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	for (uint32_t y = 0; y < want.h; y++)
		for (uint32_t x = 0; x < want.w; x++)
			for (unsigned int c = 0; c < 3; c++)
				*(pic_at(&want, x, y) + c) =
					(uint8_t)lrint(128 + 90 * sin((4 * x + 1.5) * 0.05 + c) *
								     cos((4 * y + 1.5) * 0.04 - c));
	CHECK(psnr(&want, &out) > 38);
}

TEST(only_jfif_goes_out)
{
	_cleanup_pic_ struct pic in = pic_page(300, 200, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	const uint8_t *p;

	make_jpeg(&in, (struct jpeg_make){.orientation = 3}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
	p = (const uint8_t *)m.jpeg.data;
	CHECK(memcmp(p, "\xff\xd8\xff\xe0\0\x10JFIF\0", 11) == 0);
	for (size_t at = 20; p[at + 1] != 0xda; at += 2 + ((size_t)p[at + 2] << 8 | p[at + 3])) {
		CHECK_INT(p[at], 0xff);
		CHECK(p[at + 1] == 0xdb || p[at + 1] == 0xc0 || p[at + 1] == 0xc4);
	}
	CHECK(memcmp(p + m.jpeg.len - 2, "\xff\xd9", 2) == 0);
}

/* ---- bad pages ----------------------------------------------------------------------------------- */
TEST(not_an_image)
{
	check_rejected("", 0, "empty");
	check_rejected("hello, this is no picture at all", 32, "not-an-image");
	check_rejected("%PDF-1.7 and so on", 18, "unsupported");
	check_rejected("RIFF\1\1\1\1WEBPVP8 ", 16, "unsupported");
	check_rejected("\xff", 1, "truncated");
	check_rejected("\xff\xd8", 2, "truncated");
	check_rejected("\x89PNG", 4, "truncated");
	check_rejected("\xff\xd8garbage that is not a marker, for a while", 40, "truncated");
}

/* Wherever a page is cut, it is never taken, not even when only the end marker is missing. */
TEST(every_cut_is_noticed)
{
	static const struct jpeg_make kinds[] = {
		{.h = 2, .v = 2}, {.progressive = true}, {.h = 2, .v = 1, .restart = 1, .orientation = 6}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_pic_ struct pic in = pic_page(120, 90, 3);
		_cleanup_buf_ struct buf jpeg = {};

		make_jpeg(&in, kinds[i], &jpeg);
		for (size_t len = 1; len<jpeg.len; len += len> 700 && len + 40 < jpeg.len ? 29 : 1) {
			_cleanup_mem_ struct mem_emit m = MEM_EMIT;

			CHECK_INT(convert_bytes(jpeg.data, len, NULL, &m), 0);
			if (m.pages || m.rejects != 1)
				test_fail(__FILE__, __LINE__, "kind %zu cut at %zu of %zu was taken", i, len,
					jpeg.len);
			if (m.why.reason != REJECT_TRUNCATED && m.why.reason != REJECT_DAMAGED)
				test_fail(
					__FILE__, __LINE__, "cut at %zu: %s", len, reject_name(m.why.reason));
		}
		check_rejected(jpeg.data, jpeg.len - 2, "truncated");
		check_rejected(jpeg.data, jpeg.len / 2, "truncated");
	}
}

TEST(bytes_behind_the_end_are_no_harm)
{
	_cleanup_pic_ struct pic in = pic_page(64, 64, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	CHECK(buf_add(&jpeg, "\0\0\0\0padding of a driver", 20) == 0);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
	CHECK_INT(m.pages, 1);
}

static unsigned int pages_of(const struct buf *jpeg, bool from_camera)
{
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct run_counts counts;
	struct input in;

	input_from_memory(&in, jpeg->data, jpeg->len);
	in.from_camera = from_camera;
	CHECK_INT(run_input(&in, "page", &o, &m.emit, &counts), 0);
	return m.pages;
}

static void pad(struct buf *jpeg, size_t at, size_t n)
{
	char bytes[40];

	memset(bytes, 0x55, sizeof(bytes));
	CHECK_INT(buf_add(jpeg, bytes, n), 0);
	memmove(jpeg->data + at + n, jpeg->data + at, jpeg->len - n - at);
	memcpy(jpeg->data + at, bytes, n);
}

/* Some webcams pad their frames; in a file it is a trace of damage. The library keeps up to 8 bytes to
 * itself. */
TEST(bytes_before_a_marker)
{
	static const struct {
		bool at_end;
		size_t n;
		unsigned int file, camera;
	} cases[] = {{true, 12, 0, 1}, {true, 40, 0, 0}, {false, 1, 1, 1}, {false, 40, 1, 1}};
	_cleanup_pic_ struct pic in = pic_page(64, 64, 3);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf jpeg = {};

		make_jpeg(&in, (struct jpeg_make){}, &jpeg);
		pad(&jpeg, cases[i].at_end ? jpeg.len - 2 : 2, cases[i].n); /* before EOI or behind SOI */
		CHECK_INT(pages_of(&jpeg, false), cases[i].file);
		CHECK_INT(pages_of(&jpeg, true), cases[i].camera);
	}
}

TEST(damage_inside_is_noticed)
{
	_cleanup_pic_ struct pic in = pic_page(400, 300, 3);
	_cleanup_buf_ struct buf jpeg = {};
	unsigned int seed = 5, noticed = 0;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2, .restart = 2}, &jpeg);
	/* A marker in the middle of the data ends it early: sure to be noticed. */
	jpeg.data[jpeg.len / 2] = (char)0xff;
	jpeg.data[jpeg.len / 2 + 1] = (char)0xd9;
	{
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
		CHECK_INT(m.pages, 0);
	}
	/* Bytes at random: nothing crashes, and most are noticed. */
	for (int i = 0; i < 60; i++) {
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		buf_clear(&jpeg);
		make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2, .restart = 2}, &jpeg);
		for (int k = 0; k < 20; k++) {
			seed = seed * 1664525 + 1013904223;
			jpeg.data[(seed >> 8) % jpeg.len] = (char)(seed >> 3);
		}
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), 0);
		CHECK_INT(m.pages + m.rejects, 1);
		noticed += m.rejects;
	}
	CHECK(noticed > 50);
}

static void set_size(struct buf *jpeg, unsigned int w, unsigned int h)
{
	uint8_t *sof = memmem(jpeg->data, jpeg->len, "\xff\xc0\0\x11", 4);

	if (!sof)
		sof = memmem(jpeg->data, jpeg->len, "\xff\xc2\0\x11", 4);
	CHECK(sof);
	sof[5] = (uint8_t)(h >> 8);
	sof[6] = (uint8_t)h;
	sof[7] = (uint8_t)(w >> 8);
	sof[8] = (uint8_t)w;
}

TEST(too_large_from_the_header)
{
	_cleanup_pic_ struct pic in = pic_page(64, 64, 3);
	_cleanup_buf_ struct buf jpeg = {}, progressive = {};

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	set_size(&jpeg, 65500, 65500);
	check_rejected(jpeg.data, jpeg.len, "too-large");
	set_size(&jpeg, 12001, 10000);
	check_rejected(jpeg.data, jpeg.len, "too-large");
	set_size(&jpeg, 65535, 65535);
	check_rejected(jpeg.data, jpeg.len, "too-large");
	set_size(&jpeg, 12000, 10000); /* just allowed: then it is short of data */
	check_rejected(jpeg.data, jpeg.len, "truncated");
	make_jpeg(&in, (struct jpeg_make){.progressive = true}, &progressive);
	set_size(&progressive, 8000, 8000); /* 4:4:4: 384 MB of coefficients */
	check_rejected(progressive.data, progressive.len, "too-large");
}

/* Progressive scans of one coefficient each: legal, small, and each costs a pass over the whole picture. */
TEST(too_many_scans)
{
	jpeg_scan_info scans[127] = {{.comps_in_scan = 1}};
	_cleanup_buf_ struct buf jpeg = {};
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr err;
	unsigned char *data = NULL, row[64] = {};
	unsigned long len = 0;

	for (int i = 1; i <= 63; i++) {
		scans[2 * i - 1] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = i, .Se = i, .Ah = 0, .Al = 1};
		scans[2 * i] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = i, .Se = i, .Ah = 1, .Al = 0};
	}
	c.err = jpeg_std_error(&err);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &data, &len);
	c.image_width = c.image_height = 64;
	c.input_components = 1;
	c.in_color_space = JCS_GRAYSCALE;
	jpeg_set_defaults(&c);
	c.scan_info = scans;
	c.num_scans = ARRAY_SIZE(scans);
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height) {
		JSAMPROW p = row;

		memset(row, (int)c.next_scanline * 4, sizeof(row));
		jpeg_write_scanlines(&c, &p, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	CHECK_INT(buf_add(&jpeg, data, len), 0);
	free(data);
	check_rejected(jpeg.data, jpeg.len, "unsupported");
}

TEST(nobody_listens)
{
	_cleanup_pic_ struct pic in = pic_page(300, 300, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	m.fail_data = -EPIPE;
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, NULL, &m), -EPIPE);
	CHECK_INT(m.pages, 0);
}
