/* The reference, and what runs where there is no vector unit that we know. */
#include "capture/kernels.h"

#define CENTRE 128

static void pair(uint8_t *slot, const uint8_t *a, const uint8_t *b, size_t n, size_t stride)
{
	memcpy(slot, a, n);
	memset(slot + n, 0, stride - n);
	memcpy(slot + stride, b, n);
	memset(slot + stride + n, 0, stride - n);
}

static void down(int16_t *out, const uint8_t *const *slots, const int16_t *weight, size_t n_slots, size_t stride)
{
	const int drop = DOWN_WEIGHT_BITS - DOWN_BITS;

	for (size_t x = 0; x < stride; x += KERNEL_PAD) {
		int32_t sum[KERNEL_PAD] = {};

		for (size_t s = 0; s < n_slots; s++) {
			const uint8_t *a = slots[s] + x, *b = a + stride;
			int32_t wa = weight[2 * s], wb = weight[2 * s + 1];

			for (size_t i = 0; i < KERNEL_PAD; i++)
				sum[i] += wa * (a[i] - CENTRE) + wb * (b[i] - CENTRE);
		}
		for (size_t i = 0; i < KERNEL_PAD; i++)
			out[x + i] = (int16_t)((sum[i] + (1 << (drop - 1))) >> drop);
	}
}

static void across(uint8_t *out, size_t out_stride, const int16_t *mid, size_t stride, const struct windows *w)
{
	const int drop = DOWN_BITS + ACROSS_WEIGHT_BITS;

	for (size_t r = 0; r < KERNEL_ROWS; r++, mid += stride, out += out_stride)
		for (size_t i = 0; i < (w->n + 7) / 8 * 8; i++) {
			const int16_t *p = mid + w->start[i], *weight = w->weight + i * w->taps;
			int32_t sum = 1 << (drop - 1);

			for (size_t k = 0; k < w->taps; k++)
				sum += p[k] * weight[k];
			out[i] = (uint8_t)CLAMP((sum >> drop) + CENTRE, 0, 255);
		}
}

static void turn(uint8_t *to, ptrdiff_t to_stride, const uint8_t *from, ptrdiff_t from_stride, size_t n)
{
	for (size_t j = 0; j < n; j++, from += from_stride)
		for (int i = 0; i < 8; i++)
			to[i * to_stride + (ptrdiff_t)j] = from[i];
}

static void reverse(uint8_t *to, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[n - 1 - i];
}

const struct kernels kernels_c = {
	.name = "c", .pair = pair, .down = down, .across = across, .turn = turn, .reverse = reverse};

void kernels_all(const struct kernels *ret[KERNEL_SETS_MAX])
{
	const struct kernels *vector[] = {kernels_sse2(), kernels_avx2(), kernels_neon()};
	size_t n = 0;

	ret[n++] = &kernels_c;
	for (size_t i = 0; i < ARRAY_SIZE(vector); i++)
		if (vector[i] && n < KERNEL_SETS_MAX - 1)
			ret[n++] = vector[i];
	ret[n] = NULL;
}

const struct kernels *kernels_best(void)
{
	const struct kernels *all[KERNEL_SETS_MAX], *best = NULL;

	kernels_all(all);
	for (size_t i = 0; all[i]; i++)
		best = all[i];
	return best;
}
