/*
 * NEON: every 64-bit ARM has it; most 32-bit ones do, and say so.
 *
 * A slot has its two rows one behind the other, as signed bytes around zero: products with the two parts of a
 * weight, 16 * high + low, are summed apart in 16 bits, exact as long as `low` is carried over to `high` after
 * every GROUP slots.
 */
#include "capture/kernels.h"

#if defined(__aarch64__) || (defined(__arm__) && defined(__ARM_PCS_VFP))
#ifdef __arm__
#pragma GCC target("fpu=neon")
#include <sys/auxv.h>
#define VECTORS 2 /* of 16 samples that go down at a time: as many as the registers hold the sums of */
#else
#define VECTORS 4
#endif
#include <arm_neon.h>

#define LOW_BITS 4
#define GROUP    8   /* slots: 8 (a low part) * 128 * 16 rows fits 16 bits signed */
#define SPAN     512 /* samples that go across at a time: what is made of them stays in the first-level cache */
_Static_assert(WINDOW_BATCH_MAX <= SPAN, "eight windows fit");

static void centred(uint8_t *to, const uint8_t *from, size_t n, size_t stride)
{
	const uint8x16_t centre = vdupq_n_u8(0x80);
	size_t whole = n / 16 * 16;
	uint8_t tail[16] = {};

	for (size_t x = 0; x < whole; x += 16)
		vst1q_u8(to + x, veorq_u8(vld1q_u8(from + x), centre));
	if (whole == stride)
		return;
	memcpy(tail, from + whole, n - whole);
	vst1q_u8(to + whole, veorq_u8(vld1q_u8(tail), centre));
	memset(to + whole + 16, 0x80, stride - whole - 16);
}

static void neon_pair(uint8_t *slot, const uint8_t *a, const uint8_t *b, size_t n, size_t stride)
{
	centred(slot, a, n, stride);
	centred(slot + stride, b, n, stride);
}

/* One row by the parts of its weight onto the sums. */
static inline __attribute__((always_inline)) void add_row(
	int16x8_t high[2 * VECTORS], int16x8_t low[2 * VECTORS], const uint8_t *row, int weight)
{
	int part = (weight + (1 << (LOW_BITS - 1))) >> LOW_BITS;
	int8x16_t wh = vdupq_n_s8((int8_t)part), wl = vdupq_n_s8((int8_t)(weight - part * (1 << LOW_BITS)));

	for (int i = 0; i < VECTORS; i++) {
		int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(row + 16 * i));

		high[2 * i] = vmlal_s8(high[2 * i], vget_low_s8(v), vget_low_s8(wh));
		high[2 * i + 1] = vmlal_s8(high[2 * i + 1], vget_high_s8(v), vget_high_s8(wh));
		low[2 * i] = vmlal_s8(low[2 * i], vget_low_s8(v), vget_low_s8(wl));
		low[2 * i + 1] = vmlal_s8(low[2 * i + 1], vget_high_s8(v), vget_high_s8(wl));
	}
}

static void neon_down(int16_t *out, const uint8_t *const *slots, const int16_t *weight, size_t n_slots, size_t stride)
{
	enum { DROP = DOWN_WEIGHT_BITS - DOWN_BITS, RISE = LOW_BITS - DROP };
	const int16x8_t mask = vdupq_n_s16((1 << LOW_BITS) - 1);

	for (size_t x = 0; x < stride; x += 16 * VECTORS) {
		int16x8_t high[2 * VECTORS], low[2 * VECTORS];

		for (int i = 0; i < 2 * VECTORS; i++) {
			high[i] = vdupq_n_s16(0);
			low[i] = vdupq_n_s16(1 << (DROP - 1));
		}
		for (size_t s = 0;;) {
			size_t group = MIN(n_slots, s + GROUP);

			for (; s < group; s++) {
				add_row(high, low, slots[s] + x, weight[2 * s]);
				add_row(high, low, slots[s] + stride + x, weight[2 * s + 1]);
			}
			if (s == n_slots)
				break;
			for (int i = 0; i < 2 * VECTORS; i++) {
				high[i] = vsraq_n_s16(high[i], low[i], LOW_BITS);
				low[i] = vandq_s16(low[i], mask);
			}
		}
		for (int i = 0; i < 2 * VECTORS; i++)
			vst1q_s16(out + x + 8 * i, vsraq_n_s16(vshlq_n_s16(high[i], RISE), low[i], DROP));
	}
}

/* Eight rows of eight samples to eight columns of them. */
static void columns_8x8(int16_t *to, const int16_t *from, size_t stride)
{
	int32x4_t r[8];

	for (int i = 0; i < 8; i += 2) {
		int16x8x2_t t = vtrnq_s16(vld1q_s16(from + i * stride), vld1q_s16(from + (i + 1) * stride));

		r[i] = vreinterpretq_s32_s16(t.val[0]);
		r[i + 1] = vreinterpretq_s32_s16(t.val[1]);
	}
	for (int i = 0; i < 2; i++) {
		int32x4x2_t a = vtrnq_s32(r[i], r[i + 2]), b = vtrnq_s32(r[i + 4], r[i + 6]);

		for (int k = 0; k < 2; k++) {
			int32x4_t left = vcombine_s32(vget_low_s32(a.val[k]), vget_low_s32(b.val[k]));
			int32x4_t right = vcombine_s32(vget_high_s32(a.val[k]), vget_high_s32(b.val[k]));

			vst1q_s16(to + 8 * (i + 2 * k), vreinterpretq_s16_s32(left));
			vst1q_s16(to + 8 * (i + 2 * k + 4), vreinterpretq_s16_s32(right));
		}
	}
}

/* One result for eight rows: bytes around zero. */
static inline int8x8_t dots(const int16_t *column, const int16_t *weight, size_t taps)
{
	int32x4_t lo = vdupq_n_s32(0), hi = lo;
	size_t k = 0;

#define TAP(w, lane)                                                                                                   \
	do {                                                                                                           \
		int16x8_t v = vld1q_s16(column + 8 * (k + (lane)));                                                    \
		lo = vmlal_lane_s16(lo, vget_low_s16(v), w, lane);                                                     \
		hi = vmlal_lane_s16(hi, vget_high_s16(v), w, lane);                                                    \
	} while (0)
	for (; k + 4 <= taps; k += 4) {
		int16x4_t w = vld1_s16(weight + k);

		TAP(w, 0);
		TAP(w, 1);
		TAP(w, 2);
		TAP(w, 3);
	}
	if (k < taps) {
		int16x4_t w = vdup_n_s16(weight[k]);

		w = vset_lane_s16(weight[k + 1], w, 1);
		TAP(w, 0);
		TAP(w, 1);
	}
#undef TAP
	lo = vrshrq_n_s32(lo, DOWN_BITS + ACROSS_WEIGHT_BITS);
	hi = vrshrq_n_s32(hi, DOWN_BITS + ACROSS_WEIGHT_BITS);
	return vqmovn_s16(vcombine_s16(vqmovn_s32(lo), vqmovn_s32(hi)));
}

/* Turns 8 x 8 bytes. */
static inline void turn_8x8(uint8x8_t v[8])
{
	for (int i = 0; i < 8; i += 2) {
		uint8x8x2_t t = vtrn_u8(v[i], v[i + 1]);

		v[i] = t.val[0];
		v[i + 1] = t.val[1];
	}
	for (int i = 0; i < 8; i += i % 4 == 1 ? 3 : 1) {
		uint16x4x2_t t = vtrn_u16(vreinterpret_u16_u8(v[i]), vreinterpret_u16_u8(v[i + 2]));

		v[i] = vreinterpret_u8_u16(t.val[0]);
		v[i + 2] = vreinterpret_u8_u16(t.val[1]);
	}
	for (int i = 0; i < 4; i++) {
		uint32x2x2_t t = vtrn_u32(vreinterpret_u32_u8(v[i]), vreinterpret_u32_u8(v[i + 4]));

		v[i] = vreinterpret_u8_u32(t.val[0]);
		v[i + 4] = vreinterpret_u8_u32(t.val[1]);
	}
}

static void eight_results(
	uint8_t *out, size_t out_stride, const int16_t *columns, const struct windows *w, size_t i, size_t base)
{
	uint8x8_t v[8];

	for (size_t k = 0; k < 8; k++)
		v[k] = vreinterpret_u8_s8(
			dots(columns + 8 * (w->start[i + k] - base), w->weight + (i + k) * w->taps, w->taps));
	turn_8x8(v);
	for (int r = 0; r < 8; r++)
		vst1_u8(out + i + r * out_stride, veor_u8(v[r], vdup_n_u8(0x80)));
}

static void neon_across(uint8_t *out, size_t out_stride, const int16_t *mid, size_t stride, const struct windows *w)
{
	int16_t columns[8 * (SPAN + 8)];

	for (size_t i = 0; i < w->n;) {
		size_t base = w->start[i], to = windows_batch(w, i, SPAN), end = w->start[to - 1] + w->taps;

		for (size_t x = base; x < end; x += 8)
			columns_8x8(columns + 8 * (x - base), mid + x, stride);
		for (; i < to; i += 8)
			eight_results(out, out_stride, columns, w, i, base);
	}
}

static void neon_turn(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from, ptrdiff_t from_stride, size_t n)
{
	for (size_t j = 0; j < n; j += 8, to += 8) {
		uint8x8_t v[8];

		for (int i = 0; i < 8; i++, from += from_stride)
			v[i] = vld1_u8(from);
		turn_8x8(v);
		for (int i = 0; i < 8; i++)
			vst1_u8(to + i * to_stride, v[i]);
	}
}

static void neon_reverse(uint8_t *to, const uint8_t *from, size_t n)
{
	size_t whole = n / 16 * 16;

	for (size_t i = 0; i < whole; i += 16) {
		uint8x16_t v = vrev64q_u8(vld1q_u8(from + n - 16 - i));

		vst1q_u8(to + i, vcombine_u8(vget_high_u8(v), vget_low_u8(v)));
	}
	for (size_t i = whole; i < n; i++)
		to[i] = from[n - 1 - i];
}

static const struct kernels neon = {.name = "neon",
	.pair = neon_pair,
	.down = neon_down,
	.across = neon_across,
	.turn = neon_turn,
	.reverse = neon_reverse};

const struct kernels *kernels_neon(void)
{
#ifdef __arm__
	return getauxval(AT_HWCAP) & HWCAP_ARM_NEON ? &neon : NULL;
#else
	return &neon;
#endif
}
#else
const struct kernels *kernels_neon(void)
{
	return NULL;
}
#endif
