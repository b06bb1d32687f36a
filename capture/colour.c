#include "capture/colour.h"

#include "capture/hot.h"

static inline uint8_t clamp8(int v)
{
	return (uint8_t)CLAMP(v, 0, 255);
}

/* JFIF 1.02, in units of 1/65536; each row of weights sums to 65536 or 0, so that grey stays grey. */
static inline __attribute__((always_inline)) void to_planes(const uint8_t *restrict px, size_t n, int red, int blue,
	uint8_t *restrict y, uint8_t *restrict cb, uint8_t *restrict cr)
{
	for (size_t i = 0; i < n; i++) {
		int r = px[3 * i + (size_t)red], g = px[3 * i + 1], b = px[3 * i + (size_t)blue];

		y[i] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
		cb[i] = clamp8((-11059 * r - 21709 * g + 32768 * b + (128 << 16) + 32767) >> 16);
		cr[i] = clamp8((32768 * r - 27439 * g - 5329 * b + (128 << 16) + 32767) >> 16);
	}
}

HOT void colour_rgb_to_planes(const uint8_t *restrict rgb, size_t n, uint8_t *restrict y,
	uint8_t *restrict cb, uint8_t *restrict cr)
{
	to_planes(rgb, n, 0, 2, y, cb, cr);
}

HOT void colour_bgr_to_planes(const uint8_t *restrict bgr, size_t n, uint8_t *restrict y,
	uint8_t *restrict cb, uint8_t *restrict cr)
{
	to_planes(bgr, n, 2, 0, y, cb, cr);
}

void colour_flatten(uint8_t *row, size_t n, unsigned int channels)
{
	unsigned int colours = channels - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned int a = row[i * channels + colours];

		for (unsigned int c = 0; c < colours; c++)
			row[i * colours + c] =
				(uint8_t)((row[i * channels + c] * a + 255 * (255 - a) + 127) / 255);
	}
}

void colour_cmyk_to_rgb(uint8_t *row, size_t n, bool inverted)
{
	uint8_t flip = inverted ? 0 : 255; /* makes them light that is left: 255 is paper */

	for (size_t i = 0; i < n; i++) {
		unsigned int k = row[4 * i + 3] ^ flip;

		for (unsigned int c = 0; c < 3; c++)
			row[3 * i + c] = (uint8_t)(((row[4 * i + c] ^ flip) * k + 127) / 255);
	}
}

/*
 * By 255/219 and 255/224, rounded: a sample around its zero in units of 1/64, and the part of it that is missing (36/219 and
 * 31/224, in units of 1/65536) added. All of it fits 16 bits, which vector units do twice as many of as of 32.
 */
static inline __attribute__((always_inline)) uint8_t expand(int16_t v, int part, int zero)
{
	int16_t wide = (int16_t)(v * 64), more = (int16_t)((wide * part) >> 16);
	int16_t sum = (int16_t)((int16_t)(wide + more + 32 + zero * 64) >> 6);

	sum = sum < 0 ? 0 : sum;
	return (uint8_t)(sum > 255 ? 255 : sum);
}

static inline uint8_t expand_luma(uint8_t v)
{
	return expand((int16_t)(v - 16), 10772, 0);
}

static inline uint8_t expand_chroma(uint8_t v)
{
	return expand((int16_t)(v - 128), 9073, 128);
}

HOT static void split(const uint8_t *restrict yuyv, size_t pairs, uint8_t *restrict y, uint8_t *restrict cb,
	uint8_t *restrict cr)
{
	for (size_t i = 0; i < 2 * pairs; i++)
		y[i] = yuyv[2 * i];
	for (size_t i = 0; i < pairs; i++) {
		cb[i] = yuyv[4 * i + 1];
		cr[i] = yuyv[4 * i + 3];
	}
}

HOT static void split_expand(const uint8_t *restrict yuyv, size_t pairs, uint8_t *restrict y,
	uint8_t *restrict cb, uint8_t *restrict cr)
{
	for (size_t i = 0; i < 2 * pairs; i++)
		y[i] = expand_luma(yuyv[2 * i]);
	for (size_t i = 0; i < pairs; i++) {
		cb[i] = expand_chroma(yuyv[4 * i + 1]);
		cr[i] = expand_chroma(yuyv[4 * i + 3]);
	}
}

HOT static void split_uyvy(const uint8_t *restrict p, size_t pairs, uint8_t *restrict y,
	uint8_t *restrict cb, uint8_t *restrict cr)
{
	for (size_t i = 0; i < 2 * pairs; i++)
		y[i] = p[2 * i + 1];
	for (size_t i = 0; i < pairs; i++) {
		cb[i] = p[4 * i];
		cr[i] = p[4 * i + 2];
	}
}

HOT void colour_expand_luma(const uint8_t *restrict in, size_t n, uint8_t *restrict out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = expand_luma(in[i]);
}

HOT void colour_expand_chroma(const uint8_t *restrict in, size_t n, uint8_t *restrict out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = expand_chroma(in[i]);
}

HOT static void expand_in_place(uint8_t *restrict y, uint8_t *restrict cb, uint8_t *restrict cr, size_t pairs)
{
	for (size_t i = 0; i < 2 * pairs; i++)
		y[i] = expand_luma(y[i]);
	for (size_t i = 0; i < pairs; i++) {
		cb[i] = expand_chroma(cb[i]);
		cr[i] = expand_chroma(cr[i]);
	}
}

void colour_yuyv_to_planes(
	const uint8_t *yuyv, size_t n, bool full_range, uint8_t *y, uint8_t *cb, uint8_t *cr)
{
	if (full_range)
		split(yuyv, n / 2, y, cb, cr);
	else
		split_expand(yuyv, n / 2, y, cb, cr);
}

void colour_uyvy_to_planes(
	const uint8_t *uyvy, size_t n, bool full_range, uint8_t *y, uint8_t *cb, uint8_t *cr)
{
	split_uyvy(uyvy, n / 2, y, cb, cr);
	if (!full_range)
		expand_in_place(y, cb, cr, n / 2);
}

HOT static void split_pairs(const uint8_t *restrict pairs, size_t n, uint8_t *restrict first, uint8_t *restrict second)
{
	for (size_t i = 0; i < n; i++) {
		first[i] = pairs[2 * i];
		second[i] = pairs[2 * i + 1];
	}
}

HOT static void split_pairs_expand(
	const uint8_t *restrict pairs, size_t n, uint8_t *restrict first, uint8_t *restrict second)
{
	for (size_t i = 0; i < n; i++) {
		first[i] = expand_chroma(pairs[2 * i]);
		second[i] = expand_chroma(pairs[2 * i + 1]);
	}
}

void colour_split_chroma(const uint8_t *pairs, size_t n, bool full_range, uint8_t *first, uint8_t *second)
{
	if (full_range)
		split_pairs(pairs, n, first, second);
	else
		split_pairs_expand(pairs, n, first, second);
}

/* BT.601's matrix times the inverse of BT.709's (ITU-R BT.601-7, BT.709-6), in units of 1/16384. */
HOT void colour_luma_from_709(
	uint8_t *restrict y, const uint8_t *restrict cb, const uint8_t *restrict cr, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int add = 1664 * (cb[i] - 128) + 3213 * (cr[i] - 128) + 8192;

		y[2 * i] = clamp8(y[2 * i] + (add >> 14));
		y[2 * i + 1] = clamp8(y[2 * i + 1] + (add >> 14));
	}
}

HOT void colour_chroma_from_709(uint8_t *restrict cb, uint8_t *restrict cr, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int u = cb[i] - 128, v = cr[i] - 128;

		cb[i] = clamp8(128 + ((16218 * u - 1813 * v + 8192) >> 14));
		cr[i] = clamp8(128 + ((16112 * v - 1187 * u + 8192) >> 14));
	}
}
