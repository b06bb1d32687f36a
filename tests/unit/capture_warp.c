/* Resampling: every sample from where it should come, and by its formula. */
#include <math.h>

#include "capture/warp.h"
#include "tests/unit/capture_random.h"
#include "tests/unit/test.h"

static void ramp(uint8_t *px, uint32_t w, uint32_t h)
{
	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++)
			px[y * w + x] = (uint8_t)(20 + x * 100 / w + y * 100 / h);
}

TEST(warp_by_nothing_changes_nothing)
{
	static const struct point corner[4] = {{0, 0}, {61, 0}, {61, 40}, {0, 40}};
	struct warp_kernel k;
	uint8_t px[61 * 40], row[61];
	struct warp w = {.data = px, .width = 61, .height = 40, .h = homography_to(61, 40, corner), .kernel = &k, .fill = -1};

	random_state = 9;
	for (size_t i = 0; i < sizeof(px); i++)
		px[i] = (uint8_t)uniform(0, 256);
	warp_kernel_init(&k, 1);
	for (uint32_t y = 0; y < 40; y++) {
		warp_row(&w, y, row, 61);
		CHECK(memcmp(row, px + (size_t)y * 61, 61) == 0);
	}
}

/* Sample 32768 is as far away as any. */
TEST(warp_of_a_long_plane)
{
	enum { LONG = 40000 };
	static uint8_t data[LONG * 9], row[LONG];
	struct warp_kernel k;
	struct warp w = {.data = data, .width = LONG, .height = 9, .h = {{1, 0, 0, 0, 1, 0, 0, 0, 1}}, .kernel = &k, .fill = -1};

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i % LONG * 13 >> 5);
	warp_kernel_init(&k, 1);
	warp_row(&w, 4, row, LONG);
	CHECK(memcmp(row, data, LONG) == 0);
}

/* An even slope stays one, wherever each sample comes from. */
TEST(warp_takes_samples_from_where_it_should)
{
	static const struct point corner[4] = {{40, 30}, {260, 50}, {250, 180}, {20, 170}};
	uint32_t w = 300, h = 200, out_w = 177, out_h = 99;
	_cleanup_free_ uint8_t *px = malloc((size_t)w * h);
	struct warp_kernel k;
	struct warp warp = {.data = px, .width = w, .height = h, .h = homography_to(out_w, out_h, corner), .kernel = &k, .fill = -1};
	uint8_t row[177];

	ramp(px, w, h);
	warp_kernel_init(&k, 1.2);
	for (uint32_t y = 0; y < out_h; y++) {
		warp_row(&warp, y, row, out_w);
		for (uint32_t x = 0; x < out_w; x++) {
			struct point at = homography_at(&warp.h, x + 0.5, y + 0.5);
			double want = 20 + (at.x - 0.5) * 100 / w + (at.y - 0.5) * 100 / h;

			if (fabs(row[x] - want) > 1.6)
				test_fail(__FILE__, __LINE__, "%u,%u: %u, not %.1f", x, y, row[x], want);
		}
	}
}

TEST(warp_outside_the_plane)
{
	static const struct point corner[4] = {{-1e7, -50}, {90, -50}, {90, 90}, {-1e7, 90}};
	uint8_t px[32 * 32], row[200];
	struct warp_kernel k;
	struct warp w = {.data = px, .width = 32, .height = 32, .h = homography_to(200, 140, corner), .kernel = &k, .fill = -1};

	memset(px, 77, sizeof(px));
	warp_kernel_init(&k, 1);
	for (uint32_t y = 0; y < 140; y++) {
		warp_row(&w, y, row, 200);
		for (int x = 0; x < 200; x++)
			CHECK_INT(row[x], 77);
	}
	w.fill = 200;
	warp_row(&w, 0, row, 200);
	CHECK_INT(row[100], 200);
}

/* The formula of warp.h in plain C, whatever instructions the processor's version uses. */
TEST(warp_is_its_formula_to_the_bit)
{
	struct warp_kernel k;
	uint8_t px[64 * 48], row[64];

	for (uint32_t seed = 1; seed <= 20; seed++) {
		struct point corner[4] = {{20, 20}, {44, 20}, {44, 28}, {20, 28}};
		struct warp w = {.data = px, .width = 64, .height = 48, .kernel = &k, .fill = -1};

		random_state = seed;
		for (size_t i = 0; i < sizeof(px); i++)
			px[i] = seed % 2 ? (uint8_t)uniform(0, 256) : (uint8_t)(uniform(0, 2) < 1 ? 0 : 255);
		for (int i = 0; i < 4; i++) {
			corner[i].x += uniform(-4, 4);
			corner[i].y += uniform(-4, 4);
		}
		w.h = homography_to(16, 16, corner);
		warp_kernel_init(&k, uniform(1, 4.0 / 3));
		for (uint32_t y = 0; y < 16; y++) {
			/* One run of 16: its first sample is divided for, so its place is known here too. */
			struct point at = homography_at(&w.h, 0.5, y + 0.5);
			int32_t fx = (int32_t)lrint((at.x - 0.5 + 0.5 / 64) * 65536), fy = (int32_t)lrint((at.y - 0.5 + 0.5 / 64) * 65536);
			const int16_t *wx = k.weight[fx >> 10 & 63], *wy = k.weight[fy >> 10 & 63];
			int32_t sum = 1 << 19;

			for (int i = 0; i < 8; i++) {
				int32_t column = 128;

				for (int j = 0; j < 8; j++)
					column += px[((fy >> 16) - 3 + j) * 64 + (fx >> 16) - 3 + i] * wy[j];
				sum += (column >> 8) * wx[i];
			}
			warp_row(&w, y, row, 16);
			if (row[0] != CLAMP(sum >> 20, 0, 255))
				test_fail(__FILE__, __LINE__, "seed %u, row %u: %u, not %d", seed, y, row[0], CLAMP(sum >> 20, 0, 255));
		}
	}
}
