#include "capture/warp.h"

#include <math.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif


#define LOBES  3
#define BITS   14 /* of the weights */
#define MIDDLE 6  /* fraction bits kept between columns and rows */
#define PLACE  16 /* fraction bits of a place */
#define RUN    16 /* samples between places that are divided for; between them they are interpolated */
#define BEFORE 3 /* of a window's samples: those before the place */
_Static_assert(BEFORE == WARP_TAPS / 2 - 1, "a window lies about its place");

/* Heckbert, Fundamentals of Texture Mapping and Image Warping (1989), 2.2.3: from the unit square. */
struct homography homography_to(double w, double h, const struct point corner[4])
{
	const struct point *a = &corner[0], *b = &corner[1], *c = &corner[2], *d = &corner[3];
	double sx = a->x - b->x + c->x - d->x, sy = a->y - b->y + c->y - d->y;
	double dx1 = b->x - c->x, dy1 = b->y - c->y, dx2 = d->x - c->x, dy2 = d->y - c->y;
	double det = dx1 * dy2 - dx2 * dy1;
	double g = (sx * dy2 - dx2 * sy) / det, i = (dx1 * sy - sx * dy1) / det;

	return (struct homography){{
		(b->x - a->x + g * b->x) / w,
		(d->x - a->x + i * d->x) / h,
		a->x,
		(b->y - a->y + g * b->y) / w,
		(d->y - a->y + i * d->y) / h,
		a->y,
		g / w,
		i / h,
		1,
	}};
}

struct point homography_at(const struct homography *h, double x, double y)
{
	const double *m = h->m;
	double z = m[6] * x + m[7] * y + m[8];

	return (struct point){(m[0] * x + m[1] * y + m[2]) / z, (m[3] * x + m[4] * y + m[5]) / z};
}

struct homography homography_scaled(const struct homography *h, double arg, double x, double y)
{
	const double *m = h->m;

	return (struct homography){{
		m[0] * arg * x,
		m[1] * arg * x,
		m[2] * x,
		m[3] * arg * y,
		m[4] * arg * y,
		m[5] * y,
		m[6] * arg,
		m[7] * arg,
		m[8],
	}};
}

static double lanczos(double x)
{
	double p = M_PI * x;

	if (x == 0)
		return 1;
	return fabs(x) < LOBES ? LOBES * sin(p) * sin(p / LOBES) / (p * p) : 0;
}

/* Weights sum to one exactly: paper stays as bright as it is. */
void warp_kernel_init(struct warp_kernel *k, double stretch)
{
	for (int i = 0; i < WARP_PHASES; i++) {
		double f[WARP_TAPS], sum = 0;
		int left = 1 << BITS, top = 0;

		for (int t = 0; t < WARP_TAPS; t++) {
			f[t] = lanczos((t - BEFORE - (double)i / WARP_PHASES) / stretch);
			sum += f[t];
			top = f[t] > f[top] ? t : top;
		}
		for (int t = 0; t < WARP_TAPS; t++) {
			k->weight[i][t] = (int16_t)lrint(f[t] / sum * (1 << BITS));
			left -= k->weight[i][t];
		}
		k->weight[i][top] = (int16_t)(k->weight[i][top] + left);
	}
}

/*
 * One sample: columns first, rounded to MIDDLE bits (they fit 16 bits: weights sum to 1, their sizes to less than 1.4), then
 * the row of them. The versions give the same bits.
 */
#define COLUMN_HALF (1 << (BITS - MIDDLE - 1))
#define HALF        (1 << (MIDDLE + BITS - 1))

#if defined(__SSE2__)
static inline __attribute__((always_inline)) uint8_t blend(const uint8_t *p, size_t stride, const int16_t *wx, const int16_t *wy)
{
	__m128i left = _mm_set1_epi32(COLUMN_HALF), right = left, zero = _mm_setzero_si128(), sum;

	for (int j = 0; j < WARP_TAPS; j += 2) {
		/* Two rows at a time, sample beside sample, for one multiply-and-add. */
		__m128i a = _mm_loadl_epi64((const __m128i *)(p + (size_t)j * stride));
		__m128i b = _mm_loadl_epi64((const __m128i *)(p + (size_t)(j + 1) * stride));
		__m128i both = _mm_unpacklo_epi8(a, b), w;
		int32_t pair;

		memcpy(&pair, wy + j, sizeof(pair));
		w = _mm_set1_epi32(pair);
		left = _mm_add_epi32(left, _mm_madd_epi16(_mm_unpacklo_epi8(both, zero), w));
		right = _mm_add_epi32(right, _mm_madd_epi16(_mm_unpackhi_epi8(both, zero), w));
	}
	sum = _mm_packs_epi32(_mm_srai_epi32(left, BITS - MIDDLE), _mm_srai_epi32(right, BITS - MIDDLE));
	sum = _mm_madd_epi16(sum, _mm_loadu_si128((const __m128i *)wx));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
	sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), MIDDLE + BITS);
	return (uint8_t)_mm_cvtsi128_si32(_mm_packus_epi16(_mm_packs_epi32(sum, sum), zero));
}
#elif defined(__ARM_NEON) && defined(__aarch64__)
static inline __attribute__((always_inline)) uint8_t blend(const uint8_t *p, size_t stride, const int16_t *wx, const int16_t *wy)
{
	int32x4_t left = vdupq_n_s32(COLUMN_HALF), right = left;
	int16x8_t weight = vld1q_s16(wx), columns;
	int32_t sum;

	for (int j = 0; j < WARP_TAPS; j++) {
		int16x8_t row = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p + (size_t)j * stride)));

		left = vmlal_n_s16(left, vget_low_s16(row), wy[j]);
		right = vmlal_n_s16(right, vget_high_s16(row), wy[j]);
	}
	columns = vcombine_s16(vshrn_n_s32(left, BITS - MIDDLE), vshrn_n_s32(right, BITS - MIDDLE));
	left = vmull_s16(vget_low_s16(columns), vget_low_s16(weight));
	left = vmlal_s16(left, vget_high_s16(columns), vget_high_s16(weight));
	sum = (vaddvq_s32(left) + HALF) >> (MIDDLE + BITS);
	return (uint8_t)CLAMP(sum, 0, 255);
}
#else
static uint8_t blend(const uint8_t *p, size_t stride, const int16_t *wx, const int16_t *wy)
{
	int32_t sum = HALF;

	for (int k = 0; k < WARP_TAPS; k++) {
		int32_t column = COLUMN_HALF;

		for (int j = 0; j < WARP_TAPS; j++)
			column += p[(size_t)j * stride + (size_t)k] * wy[j];
		sum += (column >> (BITS - MIDDLE)) * wx[k];
	}
	sum >>= MIDDLE + BITS;
	return (uint8_t)CLAMP(sum, 0, 255);
}
#endif

/* Windows that reach over an edge. */
static uint8_t blend_edge(const struct warp *w, int32_t x, int32_t y, const int16_t *wx, const int16_t *wy)
{
	uint8_t window[WARP_TAPS * WARP_TAPS];

	if (w->fill >= 0 && (x <= -WARP_TAPS || y <= -WARP_TAPS || x >= (int32_t)w->width || y >= (int32_t)w->height))
		return (uint8_t)w->fill;
	for (int j = 0; j < WARP_TAPS; j++)
		for (int k = 0; k < WARP_TAPS; k++) {
			int32_t at_x = x + k, at_y = y + j;
			bool outside = at_x < 0 || at_y < 0 || at_x >= (int32_t)w->width || at_y >= (int32_t)w->height;

			at_x = CLAMP(at_x, 0, (int32_t)w->width - 1);
			at_y = CLAMP(at_y, 0, (int32_t)w->height - 1);
			window[j * WARP_TAPS + k] = outside && w->fill >= 0
							    ? (uint8_t)w->fill
							    : w->data[(size_t)at_y * w->width + (size_t)at_x];
		}
	return blend(window, WARP_TAPS, wx, wy);
}

struct run {
	int64_t x, y, dx, dy; /* the place of the first sample, and the way to the next; fixed point */
};

/* Far outside is as good as just outside, and fits. */
static int64_t fixed(double v, uint32_t length)
{
	v = CLAMP(v, -2.0 * WARP_TAPS, length + 2.0 * WARP_TAPS);
	return llrint(v * (1 << PLACE));
}

static struct run run_at(const struct warp *w, uint32_t x, uint32_t y)
{
	/* To samples' numbers, rounded to a phase. */
	double half = 0.5 - 0.5 / WARP_PHASES;
	struct point a = homography_at(&w->h, x + 0.5, y + 0.5), b = homography_at(&w->h, x + RUN + 0.5, y + 0.5);
	struct run r = {.x = fixed(a.x - half, w->width), .y = fixed(a.y - half, w->height)};

	r.dx = (fixed(b.x - half, w->width) - r.x) / RUN;
	r.dy = (fixed(b.y - half, w->height) - r.y) / RUN;
	return r;
}

static void warp_run(const struct warp *w, struct run r, uint8_t *restrict out, uint32_t n)
{
	int32_t last_x = (int32_t)w->width - WARP_TAPS, last_y = (int32_t)w->height - WARP_TAPS;

	for (uint32_t i = 0; i < n; i++, r.x += r.dx, r.y += r.dy) {
		int32_t x = (int32_t)(r.x >> PLACE) - BEFORE, y = (int32_t)(r.y >> PLACE) - BEFORE;
		const int16_t *wx = w->kernel->weight[(r.x >> (PLACE - 6)) & (WARP_PHASES - 1)];
		const int16_t *wy = w->kernel->weight[(r.y >> (PLACE - 6)) & (WARP_PHASES - 1)];

		if (x >= 0 && y >= 0 && x <= last_x && y <= last_y)
			out[i] = blend(w->data + (size_t)y * w->width + (size_t)x, w->width, wx, wy);
		else
			out[i] = blend_edge(w, x, y, wx, wy);
	}
}

void warp_row(const struct warp *w, uint32_t y, uint8_t *out, uint32_t n)
{
	for (uint32_t x = 0; x < n; x += RUN)
		warp_run(w, run_at(w, x, y), out + x, MIN(RUN, n - x));
}
