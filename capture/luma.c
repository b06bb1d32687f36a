#include "capture/luma.h"

#include "capture/hot.h"

#define BOX_ROWS 256 /* rows of 255 that 16 bits hold */

HOT static void add_row(uint16_t *restrict sums, const uint8_t *restrict row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sums[i] = (uint16_t)(sums[i] + row[i]);
}

static void average(const uint16_t *sums, uint32_t box, struct luma *to, uint32_t y)
{
	uint32_t cells = box * box;

	for (uint32_t i = 0; i < to->width; i++) {
		uint32_t sum = 0;

		for (uint32_t k = 0; k < box; k++)
			sum += sums[i * box + k];
		to->data[(size_t)y * to->width + i] = (uint8_t)((sum + cells / 2) / cells);
	}
}

int luma_reduce(const uint8_t *data, uint32_t width, uint32_t height, uint32_t max_side, struct luma *ret)
{
	uint32_t box = MAX((MAX(width, height) + max_side - 1) / max_side, 1U);
	struct luma l = {.width = MAX(width / box, 1U), .height = MAX(height / box, 1U), .box = box};
	_cleanup_free_ uint16_t *sums = NULL;

	/* A strip narrower than a box is no page. */
	if (box > BOX_ROWS || width < box || height < box)
		return -ERANGE;
	sums = malloc((size_t)width * sizeof(*sums));
	l.data = malloc((size_t)l.width * l.height);
	if (!sums || !l.data) {
		luma_free(&l);
		return -ENOMEM;
	}
	for (uint32_t y = 0; y < l.height; y++) {
		memset(sums, 0, width * sizeof(*sums));
		for (uint32_t k = 0; k < box; k++)
			add_row(sums, data + ((size_t)y * box + k) * width, width);
		average(sums, box, &l, y);
	}
	*ret = l;
	return 0;
}

void luma_free(struct luma *l)
{
	free(take_ptr(l->data));
}
