#include "capture/thumb.h"

#include <math.h>

#include "capture/hot.h"
#include "capture/image.h"
#include "capture/jpegenc.h"

#define HASH_SIDE 32 /* means, on either axis, that are transformed */
#define HASH_KEPT 8  /* lowest frequencies on either axis */

struct small_plane {
	uint32_t in_width, in_height, width, height;
	uint32_t y, filled; /* rows that came, rows that are done */
	uint32_t rows;      /* in `sum` */
	uint16_t *sum;      /* of each column since the last row that was done */
	uint8_t *data;      /* owned */
};

struct thumb {
	unsigned int n_planes;
	struct small_plane plane[IMAGE_PLANES];
};

HOT static void add_row(uint16_t *restrict sum, const uint8_t *restrict row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] = (uint16_t)(sum[i] + row[i]);
}

static uint32_t bound(uint32_t length, uint32_t n, uint32_t i)
{
	return (uint32_t)((uint64_t)length * i / n);
}

static void end_row(struct small_plane *p)
{
	uint8_t *out = p->data + (size_t)p->filled * p->width;

	for (uint32_t i = 0, x = 0; i < p->width; i++) {
		uint32_t end = bound(p->in_width, p->width, i + 1), from = x, sum = 0;

		for (; x < end; x++)
			sum += p->sum[x];
		out[i] = (uint8_t)((sum + (end - from) * p->rows / 2) / ((end - from) * p->rows));
	}
	memset(p->sum, 0, p->in_width * sizeof(*p->sum));
	p->rows = 0;
	p->filled++;
}

void thumb_row(struct thumb *t, unsigned int plane, const uint8_t *row)
{
	struct small_plane *p = &t->plane[plane];

	if (plane >= t->n_planes || p->y >= p->in_height)
		return;
	add_row(p->sum, row, p->in_width);
	p->y++;
	p->rows++;
	if (p->y == bound(p->in_height, p->height, p->filled + 1))
		end_row(p);
}

static int plane_init(struct small_plane *p, uint32_t in_width, uint32_t in_height, uint32_t width, uint32_t height)
{
	*p = (struct small_plane){.in_width = in_width, .in_height = in_height, .width = width, .height = height};
	p->sum = calloc(MAX(in_width, 1U), sizeof(*p->sum));
	p->data = calloc(MAX(width, 1U), MAX(height, 1U));
	return p->sum && p->data ? 0 : -ENOMEM;
}

static uint32_t small_side(uint32_t side, uint32_t longest)
{
	uint32_t v = longest <= THUMB_SIDE ? side : (uint32_t)(((uint64_t)side * THUMB_SIDE + longest / 2) / longest);

	return MAX(v, 1);
}

int thumb_new(uint32_t width, uint32_t height, unsigned int n_planes, struct thumb **ret)
{
	uint32_t w = small_side(width, MAX(width, height)), h = small_side(height, MAX(width, height));
	struct thumb *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->n_planes = n_planes;
	for (unsigned int i = 0; i < n_planes; i++) {
		unsigned int half = i ? 2 : 1;
		int r = plane_init(&t->plane[i], (width + half - 1) / half, (height + half - 1) / half, (w + half - 1) / half,
			(h + half - 1) / half);

		if (r < 0) {
			thumb_free(t);
			return r;
		}
	}
	*ret = t;
	return 0;
}

/* ---- what is made of it ---------------------------------------------------------------------- */
static int to_buf(void *ud, const void *data, size_t len)
{
	return buf_add(ud, data, len);
}

int thumb_jpeg(const struct thumb *t, struct buf *out)
{
	struct jpegenc_options o = {.width = t->plane[0].width,
		.height = t->plane[0].height,
		.n_planes = t->n_planes,
		.quality = THUMB_QUALITY,
		.sink = to_buf,
		.ud = out};
	struct jpegenc *enc;
	int r = jpegenc_new(&o, &enc);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < t->n_planes; i++)
		for (uint32_t y = 0; y < t->plane[i].height && r >= 0; y++)
			r = jpegenc_row(enc, i, t->plane[i].data + (size_t)y * t->plane[i].width);
	if (r >= 0)
		r = jpegenc_finish(enc);
	jpegenc_free(enc);
	return r;
}

static void take_means(const struct small_plane *p, int32_t out[HASH_SIDE][HASH_SIDE])
{
	for (uint32_t j = 0; j < HASH_SIDE; j++)
		for (uint32_t i = 0; i < HASH_SIDE; i++) {
			uint32_t x0 = bound(p->width, HASH_SIDE, i), x1 = bound(p->width, HASH_SIDE, i + 1);
			uint32_t y0 = bound(p->height, HASH_SIDE, j), y1 = bound(p->height, HASH_SIDE, j + 1), sum = 0;

			for (uint32_t y = y0; y < y1; y++)
				for (uint32_t x = x0; x < x1; x++)
					sum += p->data[(size_t)y * p->width + x];
			out[j][i] = (int32_t)(sum * 16 / MAX((x1 - x0) * (y1 - y0), 1U));
		}
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

bool thumb_hash(const struct thumb *t, uint64_t *ret)
{
	const struct small_plane *p = &t->plane[0];
	int32_t mean[HASH_SIDE][HASH_SIDE], cosine[HASH_KEPT][HASH_SIDE];
	int64_t half[HASH_SIDE][HASH_KEPT], kept[HASH_KEPT * HASH_KEPT], sorted[HASH_KEPT * HASH_KEPT - 1], median;
	uint64_t hash = 0;

	if (p->width < HASH_SIDE || p->height < HASH_SIDE)
		return false;
	take_means(p, mean);
	for (unsigned int u = 0; u < HASH_KEPT; u++)
		for (unsigned int i = 0; i < HASH_SIDE; i++)
			cosine[u][i] = (int32_t)lround(4096 * cos(M_PI * (2 * i + 1) * u / (2 * HASH_SIDE)));
	for (unsigned int j = 0; j < HASH_SIDE; j++)
		for (unsigned int u = 0; u < HASH_KEPT; u++) {
			half[j][u] = 0;
			for (unsigned int i = 0; i < HASH_SIDE; i++)
				half[j][u] += (int64_t)mean[j][i] * cosine[u][i];
		}
	for (unsigned int v = 0; v < HASH_KEPT; v++)
		for (unsigned int u = 0; u < HASH_KEPT; u++) {
			int64_t sum = 0;

			for (unsigned int j = 0; j < HASH_SIDE; j++)
				sum += half[j][u] * cosine[v][j];
			kept[v * HASH_KEPT + u] = sum;
		}
	memcpy(sorted, kept + 1, sizeof(sorted));
	qsort(sorted, ARRAY_SIZE(sorted), sizeof(*sorted), compare);
	median = sorted[ARRAY_SIZE(sorted) / 2];
	for (unsigned int k = 1; k < ARRAY_SIZE(kept); k++)
		hash |= (uint64_t)(kept[k] > median) << (63 - k);
	*ret = hash;
	return true;
}

void thumb_free(struct thumb *t)
{
	if (!t)
		return;
	for (unsigned int i = 0; i < IMAGE_PLANES; i++) {
		free(t->plane[i].sum);
		free(t->plane[i].data);
	}
	free(t);
}
