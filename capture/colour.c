#include "capture/colour.h"

#include "capture/hot.h"

static inline uint8_t clamp8(int v)
{
	return (uint8_t)CLAMP(v, 0, 255);
}

/* JFIF 1.02, in units of 1/65536; each row of weights sums to 65536 or 0, so that grey stays grey. */
HOT void colour_rgb_to_planes(const uint8_t *restrict rgb, size_t n, uint8_t *restrict y,
	uint8_t *restrict cb, uint8_t *restrict cr)
{
	for (size_t i = 0; i < n; i++) {
		int r = rgb[3 * i], g = rgb[3 * i + 1], b = rgb[3 * i + 2];

		y[i] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
		cb[i] = clamp8((-11059 * r - 21709 * g + 32768 * b + (128 << 16) + 32767) >> 16);
		cr[i] = clamp8((32768 * r - 27439 * g - 5329 * b + (128 << 16) + 32767) >> 16);
	}
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

/* 255/219 and 255/224 in units of 1/8192: exact at both ends and right to half a step between. */
static inline uint8_t expand_luma(uint8_t v)
{
	return clamp8(((v - 16) * 9539 + 4096) >> 13);
}

static inline uint8_t expand_chroma(uint8_t v)
{
	return clamp8((((v - 128) * 9326 + 4096) >> 13) + 128);
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

void colour_yuyv_to_planes(
	const uint8_t *yuyv, size_t n, bool full_range, uint8_t *y, uint8_t *cb, uint8_t *cr)
{
	if (full_range)
		split(yuyv, n / 2, y, cb, cr);
	else
		split_expand(yuyv, n / 2, y, cb, cr);
}
