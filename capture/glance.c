#include "capture/glance.h"

#include <stdlib.h>

void glance_begin(struct glance *g, uint32_t width, uint32_t height)
{
	*g = (struct glance){.width = width, .height = height};
}

void glance_row(struct glance *g, uint32_t y, const uint8_t *luma, unsigned int step)
{
	size_t cell = (size_t)((uint64_t)y * GLANCE_DOWN / g->height) * GLANCE_ACROSS;

	for (unsigned int i = 0; i < GLANCE_ACROSS; i++, cell++) {
		uint32_t from = (uint32_t)((uint64_t)g->width * i / GLANCE_ACROSS);
		uint32_t to = (uint32_t)((uint64_t)g->width * (i + 1) / GLANCE_ACROSS);
		const uint8_t *p = luma + (size_t)from * step;
		uint32_t sum = 0, steps = 0;
		int before = to > from ? *p : 0;

		for (uint32_t x = from; x < to; x++, p += step) {
			sum += *p;
			steps += (uint32_t)abs(*p - before);
			before = *p;
		}
		g->sum[cell] += sum;
		g->steps[cell] += steps;
		g->count[cell] += to - from;
	}
}

void glance_end(struct glance *g)
{
	uint64_t sum = 0, steps = 0, n = 0;

	for (size_t i = 0; i < GLANCE_CELLS; i++) {
		uint32_t count = MAX(g->count[i], 1U);

		g->mean[i] = (uint8_t)(g->sum[i] / count);
		g->detail[i] = (uint8_t)MIN((uint64_t)g->steps[i] * 4 / count, 255U);
		g->brightest = MAX(g->brightest, g->mean[i]);
		sum += g->sum[i];
		steps += g->steps[i];
		n += g->count[i];
	}
	g->brightness = (int64_t)(sum * 256 / MAX(n, 1U));
	g->sharpness = (int64_t)(steps * 256 / MAX(n, 1U));
}

unsigned int glance_changed(const struct glance *a, const struct glance *b, unsigned int by)
{
	unsigned int n = 0;

	for (size_t i = 0; i < GLANCE_CELLS; i++)
		n += (unsigned int)abs(a->mean[i] - b->mean[i]) > by;
	return n;
}
