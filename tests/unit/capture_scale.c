#include <math.h>

#include "capture/scale.h"
#include "tests/unit/test.h"

struct sink {
	uint8_t *px; /* width x height */
	uint32_t width, height, rows;
	int fail;
};

static int take(void *ud, unsigned int tag, const uint8_t *row)
{
	struct sink *s = ud;

	CHECK_INT(tag, 7);
	CHECK(s->rows < s->height);
	memcpy(s->px + (size_t)s->rows++ * s->width, row, s->width);
	return s->fail;
}

/* Scales `in`; the result is the caller's to free. */
static uint8_t *run_axes(const uint8_t *in, struct scale_axis x, struct scale_axis y)
{
	struct sink sink = {.px = malloc((size_t)x.out * y.out), .width = x.out, .height = y.out};
	struct scaler *s = NULL;

	CHECK_INT(scaler_new(&x, &y, take, &sink, 7, &s), 0);
	for (uint32_t i = 0; i < y.in; i++)
		CHECK_INT(scaler_push(s, in + (size_t)i * x.in), 0);
	CHECK(scaler_done(s));
	CHECK_INT(sink.rows, y.out);
	scaler_free(s);
	return sink.px;
}

static struct scale_axis whole(uint32_t in, uint32_t out)
{
	return (struct scale_axis){.in = in, .out = out, .step = (double)in / out};
}

static uint8_t *run(const uint8_t *in, uint32_t w, uint32_t h, uint32_t ow, uint32_t oh)
{
	return run_axes(in, whole(w, ow), whole(h, oh));
}

static uint8_t *noise(uint32_t w, uint32_t h, uint32_t seed)
{
	uint8_t *p = malloc((size_t)w * h);

	for (size_t i = 0; i < (size_t)w * h; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	return p;
}

TEST(a_constant_plane_stays_constant)
{
	static const uint32_t sizes[][4] = {{100, 100, 37, 53}, {2480, 40, 1448, 23}, {5, 5, 5, 3},
		{300, 300, 299, 299}, {1, 1, 1, 1}, {1, 500, 1, 20}, {500, 1, 20, 1}, {3, 3, 6, 6},
		{4000, 200, 40, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int v = 0; v < 256; v += 51) {
			const uint32_t *s = sizes[i];
			_cleanup_free_ uint8_t *in = malloc((size_t)s[0] * s[1]), *out = NULL;

			memset(in, v, (size_t)s[0] * s[1]);
			out = run(in, s[0], s[1], s[2], s[3]);
			for (size_t k = 0; k < (size_t)s[2] * s[3]; k++)
				CHECK_INT(out[k], v);
		}
}

TEST(same_size_is_the_same_bytes)
{
	_cleanup_free_ uint8_t *in = noise(61, 43, 3), *out = run(in, 61, 43, 61, 43);

	CHECK(memcmp(in, out, 61 * 43) == 0);
}

TEST(a_whole_crop_is_the_same_bytes)
{
	_cleanup_free_ uint8_t *in = noise(40, 30, 4), *out = NULL;
	struct scale_axis x = {.in = 40, .out = 11, .origin = 7, .step = 1},
			  y = {.in = 30, .out = 13, .origin = 5, .step = 1};

	out = run_axes(in, x, y);
	for (uint32_t r = 0; r < 13; r++)
		CHECK(memcmp(out + r * 11, in + (r + 5) * 40 + 7, 11) == 0);
}

/* One axis kept, the other not: each pass alone. */
TEST(each_axis_alone)
{
	_cleanup_free_ uint8_t *in = malloc(64 * 48), *across = NULL, *down = NULL;

	for (uint32_t y = 0; y < 48; y++)
		for (uint32_t x = 0; x < 64; x++)
			in[y * 64 + x] = (uint8_t)(y * 5);
	across = run(in, 64, 48, 32, 48);
	for (uint32_t y = 0; y < 48; y++)
		for (uint32_t x = 0; x < 32; x++)
			CHECK_INT(across[y * 32 + x], y * 5);
	for (uint32_t y = 0; y < 48; y++)
		for (uint32_t x = 0; x < 64; x++)
			in[y * 64 + x] = (uint8_t)(x * 4);
	down = run(in, 64, 48, 64, 20);
	for (uint32_t y = 0; y < 20; y++)
		for (uint32_t x = 0; x < 64; x++)
			CHECK_INT(down[y * 64 + x], x * 4);
}

static double lanczos3(double x)
{
	return x == 0         ? 1
	       : fabs(x) >= 3 ? 0
			      : sin(M_PI * x) / (M_PI * x) * sin(M_PI * x / 3) / (M_PI * x / 3);
}

/* One sample of a separable float Lanczos3, straight from its definition. */
static double reference_at(const double *in, size_t step, uint32_t n, double centre, double stretch)
{
	double sum = 0, weights = 0;

	for (int64_t k = (int64_t)floor(centre - 3 * stretch) - 1;
		k <= (int64_t)ceil(centre + 3 * stretch) + 1; k++) {
		double w = k < 0 || k >= (int64_t)n ? 0 : lanczos3((k + 0.5 - centre) / stretch);

		if (w == 0)
			continue;
		sum += w * in[(size_t)k * step];
		weights += w;
	}
	return sum / weights;
}

static double *reference(const uint8_t *in, uint32_t w, uint32_t h, uint32_t ow, uint32_t oh)
{
	double *src = malloc((size_t)w * h * sizeof(double)), *mid = malloc((size_t)w * oh * sizeof(double));
	double *out = malloc((size_t)ow * oh * sizeof(double)), fx = (double)w / ow, fy = (double)h / oh;

	for (size_t i = 0; i < (size_t)w * h; i++)
		src[i] = in[i];
	for (uint32_t y = 0; y < oh; y++)
		for (uint32_t x = 0; x < w; x++)
			mid[(size_t)y * w + x] = reference_at(src + x, w, h, (y + 0.5) * fy, MAX(fy, 1.0));
	for (uint32_t y = 0; y < oh; y++)
		for (uint32_t x = 0; x < ow; x++)
			out[(size_t)y * ow + x] =
				reference_at(mid + (size_t)y * w, 1, w, (x + 0.5) * fx, MAX(fx, 1.0));
	free(src);
	free(mid);
	return out;
}

static double psnr(const uint8_t *got, const double *want, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double d = got[i] - CLAMP(want[i], 0.0, 255.0);

		sum += d * d;
	}
	return 10 * log10(255 * 255 / (sum / (double)n + 1e-12));
}

/* Rounding to 8 bits alone gives 58.9 dB. */
TEST(close_to_float_lanczos3)
{
	static const uint32_t sizes[][4] = {{248, 351, 145, 205}, {421, 312, 205, 152}, {200, 100, 80, 40},
		{60, 40, 90, 70}, {100, 100, 99, 97}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const uint32_t *s = sizes[i];
		_cleanup_free_ uint8_t *in = noise(s[0], s[1], 11), *out = run(in, s[0], s[1], s[2], s[3]);
		_cleanup_free_ double *want = reference(in, s[0], s[1], s[2], s[3]);
		double db = psnr(out, want, (size_t)s[2] * s[3]);

		if (db < 56)
			test_fail(__FILE__, __LINE__, "%ux%u -> %ux%u: %.1f dB", s[0], s[1], s[2], s[3], db);
	}
}

/* Sizes at random, with windows over the edges, crops and chroma's odd positions: the sanitizers watch. */
TEST(random_sizes_stay_in_bounds)
{
	uint32_t seed = 99;

	for (int i = 0; i < 300; i++) {
		uint32_t v[6];
		_cleanup_free_ uint8_t *in = NULL, *out = NULL;
		struct scale_axis x, y;

		for (size_t k = 0; k < ARRAY_SIZE(v); k++) {
			seed = seed * 1664525 + 1013904223;
			v[k] = seed >> 8;
		}
		x = whole(1 + v[0] % 90, 1 + v[1] % 70);
		y = whole(1 + v[2] % 90, 1 + v[3] % 70);
		x.origin = (v[4] % 200) / 100.0 - 1;
		y.origin = (v[5] % 200) / 100.0 - 1;
		in = noise(x.in, y.in, seed);
		out = run_axes(in, x, y);
	}
}

/* Reductions of more than 8 go through boxes of pixels first: memory stays small and the mean right. */
TEST(large_reductions_keep_the_mean)
{
	_cleanup_free_ uint8_t *in = malloc(4001 * 999), *out = NULL;
	double sum = 0;

	for (uint32_t y = 0; y < 999; y++)
		for (uint32_t x = 0; x < 4001; x++)
			in[(size_t)y * 4001 + x] = (uint8_t)(40 + (x % 2) * 100 + (y % 2) * 20);
	out = run(in, 4001, 999, 64, 16);
	for (size_t i = 0; i < 64 * 16; i++) {
		/* The last column has a box of one pixel that counts as much as a whole one. */
		CHECK(abs(out[i] - 100) <= (i % 64 == 63 ? 5 : 1));
		sum += out[i];
	}
	CHECK(fabs(sum / (64 * 16) - 100) < 0.3);
}

TEST(what_the_sink_says_comes_back)
{
	struct sink sink = {.px = malloc(100), .width = 10, .height = 10, .fail = -EPIPE};
	struct scale_axis a = whole(20, 10);
	struct scaler *s = NULL;
	uint8_t row[20] = {};
	int r = 0;

	CHECK_INT(scaler_new(&a, &a, take, &sink, 7, &s), 0);
	for (int i = 0; i < 20 && r >= 0; i++)
		r = scaler_push(s, row);
	CHECK_INT(r, -EPIPE);
	scaler_free(s);
	free(sink.px);
}

TEST(nonsense_is_refused)
{
	struct scale_axis good = whole(20, 10), none = {.in = 0, .out = 1, .step = 1},
			  still = {.in = 1, .out = 1};
	struct scaler *s;

	CHECK_INT(scaler_new(&good, &none, take, NULL, 0, &s), -EINVAL);
	CHECK_INT(scaler_new(&still, &good, take, NULL, 0, &s), -EINVAL);
}
