#include "ocr/flatten.h"

#define RADIUS_DIVISOR                                                                                       \
	100 /* of the page's long side: a window of 41 pixels on a page of 2048, thinner than a bar of text  \
	     */
#define EDGE 3 /* pixels along a bar's edge that are painted over, or they would be read as brackets */

/* The grey that nine tenths of the page do not exceed: its paper. */
static int paper_of(const struct grey *g)
{
	size_t n = (size_t)g->width * (size_t)g->height, sum = 0;
	size_t count[256] = {};
	int v;

	for (size_t i = 0; i < n; i++)
		count[g->data[i]]++;
	for (v = 255; v > 0; v--) {
		sum += count[v];
		if (sum * 10 >= n)
			break;
	}
	return v;
}

static uint8_t *row_at(const struct grey *g, int y)
{
	return g->data + (size_t)y * (size_t)g->width;
}

/* One row of marks from the sums of `rows` pixels in each column. */
static void mark_row(const uint32_t *columns, int width, int radius, uint32_t limit, uint8_t *dark)
{
	uint32_t sum = 0, n = 0;

	for (int x = 0; x < MIN(radius, width); x++, n++)
		sum += columns[x];
	for (int x = 0; x < width; x++) {
		if (x + radius < width) {
			sum += columns[x + radius];
			n++;
		}
		if (x > radius) {
			sum -= columns[x - radius - 1];
			n--;
		}
		dark[x] = sum < limit * n;
	}
}

/* Marks in `dark` where the mean around a pixel is below `limit`. `columns` is zero and has room for one row.
 */
static void mark_dark(const struct grey *g, int radius, uint32_t limit, uint32_t *columns, uint8_t *dark)
{
	uint32_t rows = 0;

	for (int y = -radius; y < g->height; y++) {
		if (y + radius < g->height) {
			for (int x = 0; x < g->width; x++)
				columns[x] += row_at(g, y + radius)[x];
			rows++;
		}
		if (y > radius) {
			for (int x = 0; x < g->width; x++)
				columns[x] -= row_at(g, y - radius - 1)[x];
			rows--;
		}
		if (y >= 0)
			mark_row(
				columns, g->width, radius, limit * rows, dark + (size_t)y * (size_t)g->width);
	}
}

static bool is_edge(const struct grey *g, const uint8_t *dark, int x, int y)
{
	size_t w = (size_t)g->width, at = (size_t)y * w + (size_t)x;
	bool here = dark[at];

	return (x >= EDGE && dark[at - EDGE] != here) || (x + EDGE < g->width && dark[at + EDGE] != here) ||
	       (y >= EDGE && dark[at - EDGE * w] != here) ||
	       (y + EDGE < g->height && dark[at + EDGE * w] != here);
}

int grey_flatten(struct grey *g)
{
	_cleanup_free_ uint32_t *columns = calloc((size_t)g->width, sizeof(*columns));
	_cleanup_free_ uint8_t *dark = calloc((size_t)g->width, (size_t)g->height);
	int paper = paper_of(g), radius = MAX(MAX(g->width, g->height) / RADIUS_DIVISOR, 4);

	if (!columns || !dark)
		return -ENOMEM;
	mark_dark(g, radius, (uint32_t)paper * 55 / 100, columns, dark);
	for (int y = 0; y < g->height; y++)
		for (int x = 0; x < g->width; x++) {
			size_t at = (size_t)y * (size_t)g->width + (size_t)x;

			if (is_edge(g, dark, x, y))
				g->data[at] = (uint8_t)paper;
			else if (dark[at])
				g->data[at] = (uint8_t)(255 - g->data[at]);
		}
	return 0;
}

static int by_grey(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* The brightest but one of the box's four outer corners: three of them may touch other ink. */
static uint8_t paper_around(const struct grey *g, int x0, int y0, int x1, int y1)
{
	uint8_t v[4];
	size_t w = (size_t)g->width;

	v[0] = g->data[(size_t)y0 * w + (size_t)x0];
	v[1] = g->data[(size_t)y0 * w + (size_t)x1];
	v[2] = g->data[(size_t)y1 * w + (size_t)x0];
	v[3] = g->data[(size_t)y1 * w + (size_t)x1];
	qsort(v, ARRAY_SIZE(v), 1, by_grey);
	return v[2];
}

void grey_erase(struct grey *g, int x, int y, int w, int h)
{
	int x0 = CLAMP(x - EDGE, 0, g->width - 1), y0 = CLAMP(y - EDGE, 0, g->height - 1);
	int x1 = CLAMP(x + w + EDGE, x0, g->width - 1), y1 = CLAMP(y + h + EDGE, y0, g->height - 1);
	uint8_t paper = paper_around(g, x0, y0, x1, y1);

	for (int row = y0; row <= y1; row++)
		memset(row_at(g, row) + x0, paper, (size_t)x1 - (size_t)x0 + 1);
}
