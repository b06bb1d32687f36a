/* Evening out the light: pages drawn here, whose light is known. */
#include <math.h>

#include "capture/flatten.h"
#include "tests/unit/capture_make.h"

#define W 640
#define H 900

struct planes {
	uint8_t y[W * H], c[2][W / 2 * H / 2];
	unsigned int rows[3];
	int fail_after; /* rows; 0: never */
};

static int take_row(void *ud, unsigned int plane, const uint8_t *row)
{
	struct planes *p = ud;

	if (p->fail_after && (int)p->rows[plane] >= p->fail_after)
		return -EPIPE;
	if (plane == 0)
		memcpy(p->y + (size_t)p->rows[0]++ * W, row, W);
	else
		memcpy(p->c[plane - 1] + (size_t)p->rows[plane]++ * (W / 2), row, W / 2);
	return 0;
}

static int count_row(void *ud, unsigned int plane, const uint8_t *row)
{
	((struct planes *)ud)->rows[plane]++;
	return 0;
}

static bool is_ink(int x, int y)
{
	return x > 60 && x < 560 && y > 300 && y < 800 && y % 20 < 7 && (x / 5 + y / 20 * 3) % 3 != 0;
}

static bool is_bar(int x, int y)
{
	return x > 60 && x < 580 && y > 100 && y < 200;
}

/* Paper and ink times a light that falls off to one side; tinted paper. */
static void draw(struct planes *p, double paper, double ink, double fade, int tint)
{
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			double light = 1 - fade * x / W, v = is_bar(x, y) ? 40 : is_ink(x, y) ? ink : paper;

			p->y[y * W + x] = (uint8_t)lrint(v * light);
			if (x % 2 == 0 && y % 2 == 0) {
				p->c[0][y / 2 * (W / 2) + x / 2] = (uint8_t)lrint(128 - tint * light * v / paper);
				p->c[1][y / 2 * (W / 2) + x / 2] = (uint8_t)lrint(128 + tint / 3.0 * light * v / paper);
			}
		}
}

static void run(const struct planes *in, struct flatten_options o, struct planes *out, struct flatten_result *ret)
{
	struct flatten *f = NULL;

	CHECK_INT(flatten_new(&o, W, H, 3, &f), 0);
	for (int y = 0; y < H; y++) {
		flatten_row(f, 0, in->y + (size_t)y * W);
		if (y % 2 == 0)
			for (unsigned int i = 0; i < 2; i++)
				flatten_row(f, i + 1, in->c[i] + (size_t)y / 2 * (W / 2));
	}
	memset(out, 0, sizeof(*out));
	CHECK_INT(flatten_give(f, take_row, out, ret), 0);
	flatten_free(f);
	CHECK_INT(out->rows[0], H);
	CHECK_INT(out->rows[1], H / 2);
	CHECK_INT(out->rows[2], H / 2);
}

static struct planes in, out;

/* Everywhere the same white; a dark bar stays dark; the tint goes, but for traces. */
TEST(light_and_tint_are_taken_out)
{
	struct flatten_result r;

	draw(&in, 220, 60, 0.45, 20);
	run(&in, (struct flatten_options){.flatten = true}, &out, &r);
	CHECK(r.darkest < 135 && r.brightest > 205);
	CHECK(r.gain == 1);
	for (int y = 20; y < H - 20; y++)
		for (int x = 20; x < W - 20; x++) {
			int v = out.y[y * W + x];
			bool plain = !is_ink(x, y) && !is_bar(x, y);

			if (plain ? v < 240 : v > (is_bar(x, y) ? 60 : 90))
				test_fail(__FILE__, __LINE__, "%d,%d: %d", x, y, v);
			if (plain && (abs(out.c[0][y / 2 * (W / 2) + x / 2] - 128) > 3 || abs(out.c[1][y / 2 * (W / 2) + x / 2] - 128) > 3))
				test_fail(__FILE__, __LINE__, "%d,%d: tint %d, %d", x, y, out.c[0][y / 2 * (W / 2) + x / 2],
					out.c[1][y / 2 * (W / 2) + x / 2]);
		}
}

TEST(faint_ink_becomes_dark_and_paper_stays)
{
	struct flatten_result r;

	draw(&in, 225, 165, 0.2, 0);
	for (int y = 100; y < 201; y++) /* no bar: nothing on it is dark */
		memcpy(in.y + (size_t)y * W, in.y + (size_t)20 * W, W);
	run(&in, (struct flatten_options){.flatten = true, .contrast = true}, &out, &r);
	CHECK(r.gain > 2.5);
	for (int y = 310; y < 790; y++)
		for (int x = 70; x < 550; x++)
			CHECK(is_ink(x, y) ? out.y[y * W + x] < 70 : out.y[y * W + x] > 225);
}

TEST(a_page_of_good_light_stays_as_it_is)
{
	struct flatten_result r;

	draw(&in, 255, 20, 0, 0);
	run(&in, (struct flatten_options){.flatten = true, .contrast = true}, &out, &r);
	CHECK(memcmp(in.y, out.y, sizeof(in.y)) == 0);
	CHECK(memcmp(in.c, out.c, sizeof(in.c)) == 0);
}

/* Grain on an empty page is not ink: it is not made stronger. */
TEST(an_empty_page_gets_no_contrast)
{
	struct flatten_result r;
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(in.y); i++) {
		state = state * 1664525 + 1013904223;
		in.y[i] = (uint8_t)(228 + (state >> 28) - 8);
	}
	memset(in.c, 128, sizeof(in.c));
	run(&in, (struct flatten_options){.flatten = true, .contrast = true}, &out, &r);
	CHECK(r.gain == 1);
}

/* Any size, any content, one plane or three: every row comes back, and the sink's error too. */
TEST(flatten_of_any_size)
{
	static const uint32_t sizes[][2] = {{1, 1}, {1, 77}, {77, 1}, {32, 32}, {33, 31}, {64, 65}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned int n = 1; n <= 3; n += 2)
			for (int v = 0; v < 256; v += 51) {
				struct flatten_options o = {.flatten = true, .contrast = true};
				struct flatten_result r;
				struct flatten *f = NULL;
				uint8_t row[80];

				memset(&out, 0, sizeof(out));
				memset(row, v, sizeof(row));
				CHECK_INT(flatten_new(&o, sizes[i][0], sizes[i][1], n, &f), 0);
				CHECK_INT(flatten_give(f, take_row, &out, &r), -EPROTO);
				for (unsigned int p = 0; p < n; p++)
					for (uint32_t y = 0; y < (p ? (sizes[i][1] + 1) / 2 : sizes[i][1]); y++)
						flatten_row(f, p, row);
				CHECK_INT(flatten_give(f, count_row, &out, &r), 0);
				for (unsigned int p = 0; p < n; p++)
					CHECK_INT(out.rows[p], p ? (sizes[i][1] + 1) / 2 : sizes[i][1]);
				flatten_free(f);
			}
}

TEST(the_sinks_error_ends_it)
{
	struct flatten_options o = {.flatten = true};
	struct flatten_result r;
	struct flatten *f = NULL;

	draw(&in, 200, 30, 0, 0);
	CHECK_INT(flatten_new(&o, W, H, 1, &f), 0);
	for (int y = 0; y < H; y++)
		flatten_row(f, 0, in.y + (size_t)y * W);
	memset(&out, 0, sizeof(out));
	out.fail_after = 100;
	CHECK_INT(flatten_give(f, take_row, &out, &r), -EPIPE);
	flatten_free(f);
}

/* Through the whole pipeline, turned: the same page as when it lies upright. */
TEST(flatten_by_request)
{
	_cleanup_pic_ struct pic page = pic_new(300, 400, 1), after = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	size_t light = 0, dark = 0;

	for (uint32_t y = 0; y < 400; y++)
		for (uint32_t x = 0; x < 300; x++)
			*pic_at(&page, x, y) = (uint8_t)((y % 30 < 8 && x % 9 < 4 ? 150 : 220) * (400 + y) / 800);
	make_jpeg(&page, (struct jpeg_make){.orientation = 6}, &jpeg);
	o.flatten = (struct flatten_options){true, true};
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
	CHECK_INT(m.pages, 1);
	CHECK(m.info.flatten.gain > 2 && m.info.flatten.brightest > m.info.flatten.darkest + 60);
	after = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(after.w, 400);
	for (size_t i = 0; i < (size_t)after.w * after.h; i++) {
		light += after.px[i] > 215;
		dark += after.px[i] < 110;
	}
	/* 8 of 30 rows, and of these 4 of 9 columns, are ink: 12 %. */
	CHECK(light > 300 * 400 * 80 / 100 && dark > 300 * 400 * 8 / 100);
}
