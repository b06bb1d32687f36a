/*
 * SSE2, which every x86-64 has, and AVX2.
 *
 * A slot has its two rows' samples in turn: a0 b0 a1 b1 ... AVX2 multiplies unsigned bytes by signed ones and
 * adds pairs in 16 bits, so a weight w is parted into 16 * high + low, each of them a byte, and the two are
 * summed apart: exact, in 16 bits, as long as `low` is carried over to `high` after every GROUP slots.
 */
#include "capture/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LOW_BITS 4
#define GROUP    8   /* slots: 8 (a low part) * 255 * 16 rows fits 16 bits signed */
#define SPAN     512 /* samples that go across at a time: what is made of them stays in the first-level cache */
_Static_assert(WINDOW_BATCH_MAX <= SPAN, "eight windows fit");

#define AVX2 __attribute__((target("avx2")))

/* The samples of rows behind the last whole vector, with zeros behind them. */
struct tail {
	uint8_t a[32], b[32];
};

static size_t tail_init(struct tail *t, const uint8_t *a, const uint8_t *b, size_t n, size_t step)
{
	size_t whole = n / step * step;

	memset(t, 0, sizeof(*t));
	memcpy(t->a, a + whole, n - whole);
	memcpy(t->b, b + whole, n - whole);
	return whole;
}

/* ---- SSE2 ---------------------------------------------------------------------------------------- */
static void pair_32(uint8_t *slot, const uint8_t *a, const uint8_t *b)
{
	for (int i = 0; i < 32; i += 16) {
		__m128i va = _mm_loadu_si128((const __m128i *)(a + i));
		__m128i vb = _mm_loadu_si128((const __m128i *)(b + i));

		_mm_storeu_si128((__m128i *)(slot + 2 * i), _mm_unpacklo_epi8(va, vb));
		_mm_storeu_si128((__m128i *)(slot + 2 * i + 16), _mm_unpackhi_epi8(va, vb));
	}
}

static void sse2_pair(uint8_t *slot, const uint8_t *a, const uint8_t *b, size_t n, size_t stride)
{
	struct tail t;
	size_t whole = tail_init(&t, a, b, n, 32);

	for (size_t x = 0; x < whole; x += 32)
		pair_32(slot + 2 * x, a + x, b + x);
	if (whole < stride)
		pair_32(slot + 2 * whole, t.a, t.b);
	if (whole + 32 < stride)
		memset(slot + 2 * (whole + 32), 0, 2 * (stride - whole - 32));
}

static void sse2_down(int16_t *out, const uint8_t *const *slots, const int16_t *weight, size_t n_slots, size_t stride)
{
	const int drop = DOWN_WEIGHT_BITS - DOWN_BITS;
	const __m128i zero = _mm_setzero_si128();
	/* What the samples' centre comes to, and a half for rounding. */
	const __m128i start = _mm_set1_epi32((1 << (drop - 1)) - (128 << DOWN_WEIGHT_BITS));

	for (size_t x = 0; x < stride; x += 16) {
		__m128i sum[4] = {start, start, start, start};

		for (size_t s = 0; s < n_slots; s++) {
			const __m128i *p = (const __m128i *)(slots[s] + 2 * x);
			__m128i w = _mm_set1_epi32(
				(int)((uint16_t)weight[2 * s] | (uint32_t)(uint16_t)weight[2 * s + 1] << 16));

			for (int i = 0; i < 2; i++) {
				__m128i v = _mm_loadu_si128(p + i);

				sum[2 * i] = _mm_add_epi32(sum[2 * i], _mm_madd_epi16(_mm_unpacklo_epi8(v, zero), w));
				sum[2 * i + 1] =
					_mm_add_epi32(sum[2 * i + 1], _mm_madd_epi16(_mm_unpackhi_epi8(v, zero), w));
			}
		}
		for (int i = 0; i < 2; i++)
			_mm_storeu_si128((__m128i *)(out + x + 8 * i), _mm_packs_epi32(_mm_srai_epi32(sum[2 * i], drop),
									       _mm_srai_epi32(sum[2 * i + 1], drop)));
	}
}

/* Eight rows of four pairs of samples to four times the pairs of eight rows. */
static void sse2_columns(__m128i *to, const int16_t *from, size_t stride)
{
	for (int half = 0; half < 2; half++) {
		const int16_t *p = from + half * 4 * stride;
		__m128i r0 = _mm_loadu_si128((const __m128i *)p), r1 = _mm_loadu_si128((const __m128i *)(p + stride));
		__m128i r2 = _mm_loadu_si128((const __m128i *)(p + 2 * stride));
		__m128i r3 = _mm_loadu_si128((const __m128i *)(p + 3 * stride));
		__m128i a = _mm_unpacklo_epi32(r0, r1), b = _mm_unpacklo_epi32(r2, r3);
		__m128i c = _mm_unpackhi_epi32(r0, r1), d = _mm_unpackhi_epi32(r2, r3);

		to[half] = _mm_unpacklo_epi64(a, b);
		to[half + 2] = _mm_unpackhi_epi64(a, b);
		to[half + 4] = _mm_unpacklo_epi64(c, d);
		to[half + 6] = _mm_unpackhi_epi64(c, d);
	}
}

/* One result for eight rows: bytes around zero. */
static __m128i sse2_dots(const __m128i *columns, const int16_t *weight, size_t taps)
{
	const int drop = DOWN_BITS + ACROSS_WEIGHT_BITS;
	__m128i lo = _mm_set1_epi32(1 << (drop - 1)), hi = lo;

	for (size_t k = 0; k < taps; k += 2) {
		int32_t two;
		__m128i w;

		memcpy(&two, weight + k, sizeof(two));
		w = _mm_set1_epi32(two);
		lo = _mm_add_epi32(lo, _mm_madd_epi16(columns[k], w));
		hi = _mm_add_epi32(hi, _mm_madd_epi16(columns[k + 1], w));
	}
	return _mm_packs_epi32(_mm_srai_epi32(lo, drop), _mm_srai_epi32(hi, drop));
}

static void store_high(uint8_t *to, __m128i v)
{
	_mm_storeh_pi((__m64 *)to, _mm_castsi128_ps(v));
}

/* v[i] has result i of eight rows, in 16 bits; to eight rows of eight. */
static void store_8x8(uint8_t *out, size_t stride, const __m128i v[8])
{
	const __m128i centre = _mm_set1_epi8((char)0x80);
	__m128i a = _mm_packs_epi16(v[0], v[1]), b = _mm_packs_epi16(v[2], v[3]);
	__m128i c = _mm_packs_epi16(v[4], v[5]), d = _mm_packs_epi16(v[6], v[7]);
	/* Three rounds of a perfect shuffle turn 8 x 8 bytes. */
	__m128i e = _mm_unpacklo_epi8(a, c), f = _mm_unpackhi_epi8(a, c);
	__m128i g = _mm_unpacklo_epi8(b, d), h = _mm_unpackhi_epi8(b, d);

	a = _mm_unpacklo_epi8(e, g); /* v0 v2 v4 v6 of each row, rows 0-3; */
	b = _mm_unpackhi_epi8(e, g); /* rows 4-7 */
	c = _mm_unpacklo_epi8(f, h); /* v1 v3 v5 v7 */
	d = _mm_unpackhi_epi8(f, h);
	e = _mm_xor_si128(_mm_unpacklo_epi8(a, c), centre);
	f = _mm_xor_si128(_mm_unpackhi_epi8(a, c), centre);
	g = _mm_xor_si128(_mm_unpacklo_epi8(b, d), centre);
	h = _mm_xor_si128(_mm_unpackhi_epi8(b, d), centre);
	_mm_storel_epi64((__m128i *)out, e);
	store_high(out + stride, e);
	_mm_storel_epi64((__m128i *)(out + 2 * stride), f);
	store_high(out + 3 * stride, f);
	_mm_storel_epi64((__m128i *)(out + 4 * stride), g);
	store_high(out + 5 * stride, g);
	_mm_storel_epi64((__m128i *)(out + 6 * stride), h);
	store_high(out + 7 * stride, h);
}

static void sse2_across(uint8_t *out, size_t out_stride, const int16_t *mid, size_t stride, const struct windows *w)
{
	__m128i columns[SPAN + 8];

	for (size_t i = 0; i < w->n;) {
		size_t base = w->start[i], to = windows_batch(w, i, SPAN), end = w->start[to - 1] + w->taps;

		for (size_t x = base; x < end; x += 8)
			sse2_columns(columns + (x - base), mid + x, stride);
		for (; i < to; i += 8) {
			__m128i v[8];

			for (size_t k = 0; k < 8; k++)
				v[k] = sse2_dots(
					columns + w->start[i + k] - base, w->weight + (i + k) * w->taps, w->taps);
			store_8x8(out + i, out_stride, v);
		}
	}
}

static void sse2_turn(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from, ptrdiff_t from_stride, size_t n)
{
	for (size_t j = 0; j < n; j += 8, to += 8) {
		__m128i r[8], a, b, c, d, e, f, g, h;
		uint8_t *p = to;

		for (int i = 0; i < 8; i++, from += from_stride)
			r[i] = _mm_loadl_epi64((const __m128i *)from);
		a = _mm_unpacklo_epi8(r[0], r[4]);
		b = _mm_unpacklo_epi8(r[1], r[5]);
		c = _mm_unpacklo_epi8(r[2], r[6]);
		d = _mm_unpacklo_epi8(r[3], r[7]);
		e = _mm_unpacklo_epi8(a, c);
		f = _mm_unpackhi_epi8(a, c);
		g = _mm_unpacklo_epi8(b, d);
		h = _mm_unpackhi_epi8(b, d);
		r[0] = _mm_unpacklo_epi8(e, g);
		r[1] = _mm_unpackhi_epi8(e, g);
		r[2] = _mm_unpacklo_epi8(f, h);
		r[3] = _mm_unpackhi_epi8(f, h);
		for (int i = 0; i < 4; i++, p += 2 * to_stride) {
			_mm_storel_epi64((__m128i *)p, r[i]);
			store_high(p + to_stride, r[i]);
		}
	}
}

static void sse2_reverse(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t whole = n / 16 * 16;

	for (size_t i = 0; i < whole; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(from + n - 16 - i));

		v = _mm_or_si128(_mm_slli_epi16(v, 8), _mm_srli_epi16(v, 8));
		v = _mm_shufflehi_epi16(_mm_shufflelo_epi16(v, _MM_SHUFFLE(0, 1, 2, 3)), _MM_SHUFFLE(0, 1, 2, 3));
		_mm_storeu_si128((__m128i *)(to + i), _mm_shuffle_epi32(v, _MM_SHUFFLE(1, 0, 3, 2)));
	}
	for (size_t i = whole; i < n; i++)
		to[i] = from[n - 1 - i];
}

static const struct kernels sse2 = {.name = "sse2",
	.pair = sse2_pair,
	.down = sse2_down,
	.across = sse2_across,
	.turn = sse2_turn,
	.reverse = sse2_reverse};

/* ---- AVX2 ---------------------------------------------------------------------------------------- */
AVX2 static void avx2_pair_32(uint8_t *slot, const uint8_t *a, const uint8_t *b)
{
	/* Unpacking works in halves of 16 bytes: the quarters are put so that the result is in order. */
	__m256i va = _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)a), _MM_SHUFFLE(3, 1, 2, 0));
	__m256i vb = _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)b), _MM_SHUFFLE(3, 1, 2, 0));

	_mm256_storeu_si256((__m256i *)slot, _mm256_unpacklo_epi8(va, vb));
	_mm256_storeu_si256((__m256i *)(slot + 32), _mm256_unpackhi_epi8(va, vb));
}

AVX2 static void avx2_pair(uint8_t *slot, const uint8_t *a, const uint8_t *b, size_t n, size_t stride)
{
	struct tail t;
	size_t whole = tail_init(&t, a, b, n, 32);

	for (size_t x = 0; x < whole; x += 32)
		avx2_pair_32(slot + 2 * x, a + x, b + x);
	if (whole < stride)
		avx2_pair_32(slot + 2 * whole, t.a, t.b);
	if (whole + 32 < stride)
		memset(slot + 2 * (whole + 32), 0, 2 * (stride - whole - 32));
}

/* For each slot, the high and the low parts of its two weights as they lie beside each other in memory. */
static void part_weights(int16_t *high, int16_t *low, const int16_t *weight, size_t n_slots)
{
	const int half = 1 << (LOW_BITS - 1);

	for (size_t s = 0; s < n_slots; s++) {
		int wa = weight[2 * s], wb = weight[2 * s + 1];
		int ha = (wa + half) >> LOW_BITS, hb = (wb + half) >> LOW_BITS;

		high[s] = (int16_t)((ha & 0xff) | hb * 256);
		low[s] = (int16_t)(((wa - ha * (1 << LOW_BITS)) & 0xff) | (wb - hb * (1 << LOW_BITS)) * 256);
	}
}

AVX2 static void avx2_down(
	int16_t *out, const uint8_t *const *slots, const int16_t *weight, size_t n_slots, size_t stride)
{
	const int drop = DOWN_WEIGHT_BITS - DOWN_BITS, rise = LOW_BITS - drop;
	const __m256i start = _mm256_set1_epi16(-(128 << (DOWN_WEIGHT_BITS - LOW_BITS)));
	const __m256i round = _mm256_set1_epi16(1 << (drop - 1)), mask = _mm256_set1_epi16((1 << LOW_BITS) - 1);
	int16_t high[SLOTS_MAX], low[SLOTS_MAX];

	part_weights(high, low, weight, n_slots);
	for (size_t x = 0; x < stride; x += KERNEL_PAD) {
		__m256i h[4] = {start, start, start, start}, l[4] = {round, round, round, round};

		for (size_t s = 0;;) {
			size_t group = MIN(n_slots, s + GROUP);

			for (; s < group; s++) {
				const __m256i *p = (const __m256i *)(slots[s] + 2 * x);
				__m256i wh = _mm256_set1_epi16(high[s]), wl = _mm256_set1_epi16(low[s]);

				for (int i = 0; i < 4; i++) {
					__m256i v = _mm256_lddqu_si256(p + i); /* once: gcc does others twice */

					h[i] = _mm256_add_epi16(h[i], _mm256_maddubs_epi16(v, wh));
					l[i] = _mm256_add_epi16(l[i], _mm256_maddubs_epi16(v, wl));
				}
			}
			if (s == n_slots)
				break;
			for (int i = 0; i < 4; i++) {
				h[i] = _mm256_add_epi16(h[i], _mm256_srai_epi16(l[i], LOW_BITS));
				l[i] = _mm256_and_si256(l[i], mask);
			}
		}
		for (int i = 0; i < 4; i++)
			_mm256_storeu_si256((__m256i *)(out + x + 16 * i),
				_mm256_add_epi16(_mm256_slli_epi16(h[i], rise), _mm256_srai_epi16(l[i], drop)));
	}
}

/* Eight rows of eight pairs of samples to eight times the pairs of eight rows. */
AVX2 static void avx2_columns(__m256i *to, const int16_t *from, size_t stride)
{
	__m256i r[8], t[8];

	for (int i = 0; i < 4; i++) {
		const __m128i *p = (const __m128i *)(from + i * stride),
			      *q = (const __m128i *)(from + (i + 4) * stride);

		r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p)), _mm_loadu_si128(q), 1);
		r[i + 4] = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_loadu_si128(p + 1)), _mm_loadu_si128(q + 1), 1);
	}
	for (int i = 0; i < 8; i += 4) {
		t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
		t[i + 1] = _mm256_unpacklo_epi32(r[i + 2], r[i + 3]);
		t[i + 2] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
		t[i + 3] = _mm256_unpackhi_epi32(r[i + 2], r[i + 3]);
	}
	for (int i = 0; i < 8; i += 2) {
		to[i] = _mm256_unpacklo_epi64(t[i], t[i + 1]);
		to[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 1]);
	}
}

AVX2 static inline __attribute__((always_inline)) __m256i avx2_add_pair(
	__m256i sum, __m256i columns, const int16_t *weight)
{
	int32_t two;

	memcpy(&two, weight, sizeof(two));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(columns, _mm256_set1_epi32(two)));
}

/* One result for eight rows: bytes around zero, in 16 bits. */
AVX2 static inline __attribute__((always_inline)) __m128i avx2_dots(
	const __m256i *columns, const int16_t *weight, size_t taps)
{
	const int drop = DOWN_BITS + ACROSS_WEIGHT_BITS;
	__m256i sum = _mm256_set1_epi32(1 << (drop - 1));

	for (size_t k = 0; k + 8 <= taps; k += 8, columns += 4, weight += 8)
		for (int i = 0; i < 4; i++)
			sum = avx2_add_pair(sum, columns[i], weight + 2 * i);
	for (size_t k = 0; k < taps % 8; k += 2)
		sum = avx2_add_pair(sum, columns[k / 2], weight + k);
	sum = _mm256_srai_epi32(sum, drop);
	return _mm_packs_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
}

AVX2 static inline __attribute__((always_inline)) void avx2_batch(uint8_t *out, size_t out_stride,
	const __m256i *columns, const struct windows *w, size_t from, size_t to, size_t taps)
{
	size_t base = w->start[from];

	for (size_t i = from; i < to; i += 8) {
		__m128i v[8];

#pragma GCC unroll 1
		for (size_t k = 0; k < 8; k++)
			v[k] = avx2_dots(columns + (w->start[i + k] - base) / 2, w->weight + (i + k) * taps, taps);
		store_8x8(out + i, out_stride, v);
	}
}

AVX2 static void avx2_across(
	uint8_t *out, size_t out_stride, const int16_t *mid, size_t stride, const struct windows *w)
{
	__m256i columns[SPAN / 2 + 8];

	for (size_t i = 0, to; i < w->n; i = to) {
		size_t base = w->start[i], end;

		to = windows_batch(w, i, SPAN);
		end = w->start[to - 1] + w->taps;
		for (size_t x = base; x < end; x += 16)
			avx2_columns(columns + (x - base) / 2, mid + x, stride);
		if (w->taps == 12) /* the usual widths get loops of known length */
			avx2_batch(out, out_stride, columns, w, i, to, 12);
		else if (w->taps == 14)
			avx2_batch(out, out_stride, columns, w, i, to, 14);
		else
			avx2_batch(out, out_stride, columns, w, i, to, w->taps);
	}
}

static const struct kernels avx2 = {.name = "avx2",
	.pair = avx2_pair,
	.down = avx2_down,
	.across = avx2_across,
	.turn = sse2_turn,
	.reverse = sse2_reverse};

const struct kernels *kernels_sse2(void)
{
	return &sse2;
}

const struct kernels *kernels_avx2(void)
{
	return __builtin_cpu_supports("avx2") ? &avx2 : NULL;
}
#else
const struct kernels *kernels_sse2(void)
{
	return NULL;
}

const struct kernels *kernels_avx2(void)
{
	return NULL;
}
#endif
