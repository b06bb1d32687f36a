/* Every set of kernels that this processor can run gives the bits of the plain one: samples at random and at their
 * worst, sizes at random. */
#include <math.h>

#include "capture/kernels.h"
#include "capture/scale.h"
#include "tests/unit/test.h"

static uint32_t seed = 1;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 4) * below) >> 28);
}

static uint8_t *random_bytes(size_t n)
{
	uint8_t *p = malloc(n);

	CHECK(p);
	/* Some runs of the extremes, which is where sums overflow. */
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(chance(3) ? chance(256) : chance(2) * 255);
	return p;
}

static struct scale_axis random_axis(uint32_t longest)
{
	struct scale_axis a = {.in = 1 + chance(longest), .out = 1 + chance(longest)};

	a.step = 0.2 + (chance(1000) * chance(1000)) / 1e6 * 7.8;
	a.origin = (chance(4000) - 2000.0) / 1000;
	return a;
}

static const struct kernels *const *other_sets(void)
{
	static const struct kernels *all[KERNEL_SETS_MAX];

	kernels_all(all);
	CHECK(all[0] == &kernels_c);
	if (!all[1])
		test_skip("this processor has no vector unit that we know");
	return all + 1;
}

static void check_same(const struct kernels *k, const void *got, const void *want, size_t n, const char *what)
{
	if (memcmp(got, want, n) != 0)
		test_fail(__FILE__, __LINE__, "%s: %s differs from plain C", k->name, what);
}

/* ---- down ---------------------------------------------------------------------------------------- */
struct column {
	uint8_t *rows[WINDOW_TAPS_MAX];
	uint32_t n, width;
	size_t stride;
};

static struct column column_new(uint32_t n, uint32_t width)
{
	struct column c = {
		.n = n, .width = width, .stride = (width + KERNEL_PAD - 1) / KERNEL_PAD * (size_t)KERNEL_PAD};

	for (uint32_t i = 0; i < n; i++)
		c.rows[i] = random_bytes(width);
	return c;
}

static void column_free(struct column *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		free(c->rows[i]);
}

static int16_t *go_down(const struct kernels *k, const struct column *c, const int16_t *weight)
{
	int16_t *out = malloc(c->stride * sizeof(*out));
	_cleanup_free_ uint8_t *ring = malloc(c->n * c->stride);
	const uint8_t *slots[SLOTS_MAX];

	CHECK(out && ring);
	for (uint32_t i = 0; i < c->n / 2; i++) {
		slots[i] = ring + i * 2 * c->stride;
		k->pair(ring + i * 2 * c->stride, c->rows[2 * i], c->rows[2 * i + 1], c->width, c->stride);
	}
	k->down(out, slots, weight, c->n / 2, c->stride);
	return out;
}

/* All taps as white as they add to the sum and as black as they take from it, and the reverse. */
static void make_worst(struct column *c, const int16_t *weight)
{
	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t x = 0; x < c->width && x < 4; x++)
			c->rows[i][x] = (weight[i] > 0) == (x % 2 == 0) ? 255 : 0;
}

TEST(down_is_the_same)
{
	const struct kernels *const *sets = other_sets();

	for (int round = 0; round < 400; round++) {
		struct scale_axis a = random_axis(60);
		_cleanup_(windows_free) struct windows w = {};
		uint32_t at = chance(a.out);
		struct column c;
		int16_t *want;

		CHECK_INT(windows_make(&w, &a, DOWN_WEIGHT_BITS), 0);
		c = column_new(w.taps, 1 + chance(300));
		make_worst(&c, w.weight + at * w.taps);
		want = go_down(&kernels_c, &c, w.weight + at * w.taps);
		for (size_t i = 0; sets[i]; i++) {
			_cleanup_free_ int16_t *got = go_down(sets[i], &c, w.weight + at * w.taps);

			check_same(sets[i], got, want, c.stride * sizeof(*got), "down");
		}
		free(want);
		column_free(&c);
	}
}

/* What is summed in 16 bits fits them: the plain set sums in 32, and loses nothing when it narrows. */
TEST(down_does_not_overflow)
{
	for (int round = 0; round < 2000; round++) {
		struct scale_axis a = random_axis(60);
		_cleanup_(windows_free) struct windows w = {};

		CHECK_INT(windows_make(&w, &a, DOWN_WEIGHT_BITS), 0);
		for (uint32_t i = 0; i < w.n; i++) {
			const int16_t *weight = w.weight + i * w.taps;
			int32_t sum = 0, size = 0;

			for (uint32_t k = 0; k < w.taps; k++) {
				sum += weight[k];
				size += abs(weight[k]);
				/* A pair of high parts times 255 is summed in 16 bits, saturating, on x86. */
				CHECK(abs(weight[k] + weight[k ^ 1]) < 128 * 16 - 16 && abs(weight[k]) < 127 * 16);
			}
			CHECK_INT(sum, 1 << DOWN_WEIGHT_BITS);
			CHECK((size * 128) >> (DOWN_WEIGHT_BITS - DOWN_BITS) < INT16_MAX);
		}
	}
}

/* ---- across -------------------------------------------------------------------------------------- */
TEST(across_is_the_same)
{
	const struct kernels *const *sets = other_sets();

	for (int round = 0; round < 400; round++) {
		struct scale_axis a = random_axis(round % 10 ? 200 : 3000);
		_cleanup_(windows_free) struct windows w = {};
		size_t stride = (a.in + KERNEL_PAD - 1) / KERNEL_PAD * KERNEL_PAD, out = (a.out + 7) / 8 * 8;
		size_t n = KERNEL_ROWS * stride + ACROSS_SLACK;
		_cleanup_free_ int16_t *mid = malloc(n * sizeof(*mid));
		_cleanup_free_ uint8_t *want = malloc(KERNEL_ROWS * out), *got = malloc(KERNEL_ROWS * out);

		for (size_t i = 0; i < n; i++)
			mid[i] = (int16_t)(chance(4) ? (int)chance(49000) - 24500 : chance(2) ? 24500 : -24500);
		CHECK_INT(windows_make(&w, &a, ACROSS_WEIGHT_BITS), 0);
		kernels_c.across(want, out, mid, stride, &w);
		for (size_t i = 0; sets[i]; i++) {
			sets[i]->across(got, out, mid, stride, &w);
			for (size_t r = 0; r < KERNEL_ROWS; r++)
				check_same(sets[i], got + r * out, want + r * out, a.out, "across");
		}
	}
}

/* ---- turning ------------------------------------------------------------------------------------- */
TEST(turning_is_the_same)
{
	const struct kernels *const *sets = other_sets();

	for (int round = 0; round < 100; round++) {
		size_t n = 8 * (1 + chance(12)), stride = 8 + chance(20), to_stride = n + chance(20);
		_cleanup_free_ uint8_t *from = random_bytes(n * stride), *want = calloc(8, to_stride),
				       *got = calloc(8, to_stride);
		bool up = chance(2), left = chance(2);
		const uint8_t *first = up ? from + (n - 1) * stride : from;
		ptrdiff_t step = up ? -(ptrdiff_t)stride : (ptrdiff_t)stride;
		ptrdiff_t to_step = left ? -(ptrdiff_t)to_stride : (ptrdiff_t)to_stride;

		kernels_c.turn(want + (left ? 7 * to_stride : 0), to_step, first, step, n);
		CHECK_INT(want[0], from[(up ? n - 1 : 0) * stride + (left ? 7 : 0)]);
		for (size_t i = 0; sets[i]; i++) {
			sets[i]->turn(got + (left ? 7 * to_stride : 0), to_step, first, step, n);
			check_same(sets[i], got, want, 8 * to_stride, "turn");
		}
	}
}

TEST(reversing_is_the_same)
{
	const struct kernels *const *sets = other_sets();

	for (size_t n = 0; n < 100; n++) {
		_cleanup_free_ uint8_t *from = random_bytes(n + 1), *want = malloc(n + 1), *got = malloc(n + 1);

		kernels_c.reverse(want, from, n);
		CHECK(n == 0 || (want[0] == from[n - 1] && want[n - 1] == from[0]));
		for (size_t i = 0; sets[i]; i++) {
			sets[i]->reverse(got, from, n);
			check_same(sets[i], got, want, n, "reverse");
		}
	}
}

/* ---- the scaler as a whole ----------------------------------------------------------------------- */
struct sum {
	uint32_t hash, rows, width;
};

static int add_row(void *ud, unsigned int tag, const uint8_t *row)
{
	struct sum *s = ud;

	for (uint32_t i = 0; i < s->width; i++)
		s->hash = (s->hash ^ row[i]) * 16777619; /* FNV-1a */
	s->rows++;
	return 0;
}

static uint32_t scaled_hash(const struct kernels *k, const uint8_t *in, struct scale_axis x, struct scale_axis y)
{
	struct sum sum = {.hash = 2166136261, .width = x.out};
	struct scaler *s = NULL;

	CHECK_INT(scaler_new_on(k, &x, &y, add_row, &sum, 0, &s), 0);
	for (uint32_t i = 0; i < y.in; i++) {
		/* Of its own, so that reading behind it is seen. */
		_cleanup_free_ uint8_t *row = malloc(x.in);

		memcpy(row, in + (size_t)i * x.in, x.in);
		CHECK_INT(scaler_push(s, row), 0);
	}
	CHECK_INT(sum.rows, y.out);
	scaler_free(s);
	return sum.hash;
}

/* The number at the end is the same on every machine: integers all the way. */
TEST(every_machine_scales_to_the_same_bytes)
{
	const struct kernels *sets[KERNEL_SETS_MAX];
	uint32_t all = 2166136261;

	kernels_all(sets);
	seed = 20;
	for (int round = 0; round < 250; round++) {
		struct scale_axis x = random_axis(round % 10 ? 150 : 1500), y = random_axis(100);
		_cleanup_free_ uint8_t *in = random_bytes((size_t)x.in * y.in);
		uint32_t want;

		if (round % 7 == 0)
			x = (struct scale_axis){.in = x.in, .out = 1 + chance(x.in), .step = 1};
		if (round % 11 == 0)
			y = (struct scale_axis){.in = y.in, .out = 1 + chance(y.in), .step = 1};
		if (round % 13 == 0)
			x.step *= 20;
		want = scaled_hash(&kernels_c, in, x, y);
		for (size_t i = 1; sets[i]; i++)
			if (scaled_hash(sets[i], in, x, y) != want)
				test_fail(__FILE__, __LINE__, "%s: %ux%u -> %ux%u differs from plain C", sets[i]->name,
					x.in, y.in, x.out, y.out);
		all = (all ^ want) * 16777619;
	}
	CHECK_INT(all, 4066960361);
}

/* ---- windows ------------------------------------------------------------------------------------- */
static double lanczos3(double x)
{
	return x == 0 ? 1 : fabs(x) >= 3 ? 0 : sin(M_PI * x) / (M_PI * x) * sin(M_PI * x / 3) / (M_PI * x / 3);
}

/* Each weight is what the definition says, to the last bit but one and what was left over from rounding. */
TEST(weights_are_of_lanczos3)
{
	for (int round = 0; round < 300; round++) {
		struct scale_axis a = random_axis(100);
		double stretch = MAX(a.step, 1.0);
		_cleanup_(windows_free) struct windows w = {};

		a.origin = 0; /* off the edge, windows are not where the definition has them */
		a.out = (uint32_t)(a.in / a.step) + 1;
		CHECK_INT(windows_make(&w, &a, ACROSS_WEIGHT_BITS), 0);
		for (uint32_t i = 0; i < a.out; i++) {
			double centre = MIN((i + 0.5) * a.step, (double)a.in), sum = 0;

			CHECK(w.start[i] % 2 == 0 && (i == 0 || w.start[i] >= w.start[i - 1]));
			CHECK(w.end[i] > w.start[i] && w.end[i] <= a.in && w.end[i] - w.start[i] <= w.taps);
			for (uint32_t k = 0; k < a.in; k++)
				sum += lanczos3((k + 0.5 - centre) / stretch);
			for (uint32_t k = 0; k < w.taps && w.end[i] - w.start[i] > 2; k++) {
				double want = w.start[i] + k < a.in
						      ? lanczos3((w.start[i] + k + 0.5 - centre) / stretch) / sum
						      : 0;
				double got = ldexp(w.weight[i * w.taps + k], -ACROSS_WEIGHT_BITS);

				CHECK(fabs(got - want) < 0.0012);
			}
		}
	}
}

TEST(impossible_windows)
{
	static const struct scale_axis bad[] = {{.in = 0, .out = 1, .step = 1}, {.in = 1, .out = 0, .step = 1},
		{.in = 1, .out = 1, .step = 0}, {.in = 1, .out = 1, .step = NAN},
		{.in = 100, .out = 2, .step = WINDOW_SHRINK_MAX + 0.1}, {.in = 1, .out = 1, .step = 1, .origin = NAN},
		{.in = 1, .out = 1, .step = 1, .origin = 1e300}};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(windows_free) struct windows w = {};

		CHECK_INT(windows_make(&w, &bad[i], ACROSS_WEIGHT_BITS), -EINVAL);
	}
}
