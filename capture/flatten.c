#include "capture/flatten.h"

#include <math.h>

#include "capture/hot.h"

#define TILE       32   /* samples a side; its paper is what nine tenths do not exceed */
#define AROUND     6    /* tiles: a page's light does not change by much over so many */
#define SHADE_MIN  0.7  /* what is darker than this part of the paper around it is print, not shade */
#define WHITE      250  /* luma of paper afterwards, unless it is more already */
#define INK_SHARE  200  /* one of so many samples is ink on a page of few words */
#define INK_MIN    24   /* luma between paper and ink, or there is no ink */
#define INK_TO     24   /* luma of ink after contrast */
#define GAIN_MAX   4.0  /* what is fainter than this brings to black stays grey: grain is stretched, too */
#define STRIP_ROWS 16
#define GAIN_BITS  12

struct flatten {
	struct flatten_options options;
	uint32_t width[IMAGE_PLANES], height[IMAGE_PLANES], filled[IMAGE_PLANES];
	unsigned int n_planes;
	uint8_t *plane[IMAGE_PLANES];
	uint32_t tiles_x, tiles_y;
	float *paper, *other; /* of each tile; scratch of the same size */
	int32_t *gain;        /* of one row's samples, in units of 1 / 2^GAIN_BITS */
	uint8_t curve[256];
	int cast[2]; /* of the paper's chroma */
};

/* ---- the paper's brightness ---------------------------------------------------------------------- */
static void paper_of_tile(struct flatten *f, uint32_t tx, uint32_t ty)
{
	uint32_t x1 = MIN((tx + 1) * TILE, f->width[0]), y1 = MIN((ty + 1) * TILE, f->height[0]);
	uint32_t count[256] = {}, n = 0, sum = 0;
	int v = 255;

	for (uint32_t y = ty * TILE; y < y1; y++)
		for (uint32_t x = tx * TILE; x < x1; x++, n++)
			count[f->plane[0][(size_t)y * f->width[0] + x]]++;
	while (v > 0 && (sum += count[v]) * 10 < n)
		v--;
	f->paper[ty * f->tiles_x + tx] = (float)MAX(v, 1);
}

static float brightest_around(const struct flatten *f, uint32_t tx, uint32_t ty)
{
	float best = 0;

	for (uint32_t y = ty > AROUND ? ty - AROUND : 0; y <= MIN(ty + AROUND, f->tiles_y - 1); y++)
		for (uint32_t x = tx > AROUND ? tx - AROUND : 0; x <= MIN(tx + AROUND, f->tiles_x - 1); x++)
			best = MAX(best, f->paper[y * f->tiles_x + x]);
	return best;
}

static float mean_of_known(const float *known, uint32_t w, uint32_t h, uint32_t tx, uint32_t ty)
{
	float sum = 0;
	unsigned int n = 0;

	for (uint32_t y = ty ? ty - 1 : 0; y <= MIN(ty + 1, h - 1); y++)
		for (uint32_t x = tx ? tx - 1 : 0; x <= MIN(tx + 1, w - 1); x++)
			if (known[y * w + x] > 0) {
				sum += known[y * w + x];
				n++;
			}
	return n ? sum / (float)n : 0;
}

/* Tiles of print (bars, pictures) have no paper to go by: theirs is that of the tiles around them, from outside in. */
static void bridge_print(struct flatten *f)
{
	uint32_t n = f->tiles_x * f->tiles_y;
	bool open = true;

	for (uint32_t y = 0, i = 0; y < f->tiles_y; y++)
		for (uint32_t x = 0; x < f->tiles_x; x++, i++)
			f->other[i] = f->paper[i] < SHADE_MIN * brightest_around(f, x, y) ? 0 : f->paper[i];
	memcpy(f->paper, f->other, n * sizeof(*f->paper));
	while (open) {
		open = false;
		for (uint32_t y = 0, i = 0; y < f->tiles_y; y++)
			for (uint32_t x = 0; x < f->tiles_x; x++, i++)
				if (f->paper[i] <= 0) {
					f->other[i] = mean_of_known(f->paper, f->tiles_x, f->tiles_y, x, y);
					open = open || f->other[i] <= 0;
				}
		memcpy(f->paper, f->other, n * sizeof(*f->paper));
	}
}

static void smooth(struct flatten *f)
{
	for (int round = 0; round < 2; round++) {
		for (uint32_t y = 0, i = 0; y < f->tiles_y; y++)
			for (uint32_t x = 0; x < f->tiles_x; x++, i++)
				f->other[i] = mean_of_known(f->paper, f->tiles_x, f->tiles_y, x, y);
		memcpy(f->paper, f->other, (size_t)f->tiles_x * f->tiles_y * sizeof(*f->paper));
	}
}

static void measure_paper(struct flatten *f, struct flatten_result *ret)
{
	for (uint32_t y = 0; y < f->tiles_y; y++)
		for (uint32_t x = 0; x < f->tiles_x; x++)
			paper_of_tile(f, x, y);
	bridge_print(f);
	smooth(f);
	ret->darkest = 255;
	for (uint32_t i = 0; i < f->tiles_x * f->tiles_y; i++) {
		ret->darkest = MIN(ret->darkest, (unsigned int)f->paper[i]);
		ret->brightest = MAX(ret->brightest, (unsigned int)f->paper[i]);
	}
}

/* ---- its tint ------------------------------------------------------------------------------------ */
static int middle_of(const struct flatten *f, unsigned int plane)
{
	size_t n = (size_t)f->width[plane] * f->height[plane], sum = 0, count[256] = {};
	int v = 0;

	for (size_t i = 0; i < n; i++)
		count[f->plane[plane][i]]++;
	while (v < 255 && (sum += count[v]) * 2 < n)
		v++;
	return v;
}

static void measure_cast(struct flatten *f, struct flatten_result *ret)
{
	for (unsigned int i = 0; i + 1 < f->n_planes; i++)
		f->cast[i] = middle_of(f, i + 1) - 128;
	ret->cast_b = f->cast[0];
	ret->cast_r = f->cast[1];
}

/* ---- rows ---------------------------------------------------------------------------------------- */
/* The paper at a row of samples, between the tiles' middles on straight lines; from it the gain. */
static void gains_of_row(struct flatten *f, uint32_t y)
{
	float at = MAX(((float)y + 0.5F) / TILE - 0.5F, 0);
	uint32_t a = MIN((uint32_t)at, f->tiles_y - 1), b = MIN(a + 1, f->tiles_y - 1);
	float part = at - (float)a;

	for (uint32_t x = 0; x < f->tiles_x; x++)
		f->other[x] = f->paper[a * f->tiles_x + x] * (1 - part) + f->paper[b * f->tiles_x + x] * part;
	for (uint32_t x = 0; x < f->width[0]; x++) {
		float along = MAX(((float)x + 0.5F) / TILE - 0.5F, 0);
		uint32_t c = MIN((uint32_t)along, f->tiles_x - 1), d = MIN(c + 1, f->tiles_x - 1);
		float paper = f->other[c] + (f->other[d] - f->other[c]) * (along - (float)c);

		f->gain[x] = (int32_t)(MAX(WHITE / paper, 1) * (1 << GAIN_BITS));
	}
}

HOT static void divide(uint8_t *restrict row, const int32_t *restrict gain, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int32_t v = (row[i] * gain[i] + (1 << (GAIN_BITS - 1))) >> GAIN_BITS;

		row[i] = (uint8_t)MIN(v, 255);
	}
}

/* Colour fades with the light, so it comes back with it. */
static void divide_chroma(struct flatten *f, unsigned int plane, uint32_t y)
{
	uint8_t *row = f->plane[plane] + (size_t)y * f->width[plane];

	for (uint32_t x = 0; x < f->width[plane]; x++) {
		int32_t v = 128 + (((row[x] - 128) * f->gain[MIN(2 * x, f->width[0] - 1)]) >> GAIN_BITS);

		row[x] = (uint8_t)CLAMP(v, 0, 255);
	}
}

static void even_light(struct flatten *f, struct flatten_result *ret)
{
	measure_paper(f, ret);
	for (uint32_t y = 0; y < f->height[0]; y++) {
		gains_of_row(f, y);
		divide(f->plane[0] + (size_t)y * f->width[0], f->gain, f->width[0]);
		for (unsigned int i = 1; i < f->n_planes && y % 2 == 0; i++)
			divide_chroma(f, i, y / 2);
	}
}

/* Paper stays where it is, ink goes to INK_TO, or as near as GAIN_MAX lets it. */
static void choose_curve(struct flatten *f, struct flatten_result *ret)
{
	size_t n = (size_t)f->width[0] * f->height[0], sum = 0, count[256] = {};
	int ink = 0, paper = 255;

	ret->gain = 1;
	for (size_t i = 0; i < n; i++)
		count[f->plane[0][i]]++;
	while (ink < 255 && (sum += count[ink]) * INK_SHARE < n)
		ink++;
	for (sum = 0; paper > 0 && (sum += count[paper]) * 4 < n;)
		paper--;
	if (f->options.contrast && paper - ink >= INK_MIN && paper > INK_TO)
		ret->gain = CLAMP((double)(paper - INK_TO) / (paper - ink), 1.0, GAIN_MAX);
	for (int v = 0; v < 256; v++)
		f->curve[v] = (uint8_t)CLAMP(lrint(paper - (paper - v) * ret->gain), 0, 255);
}

static void finish_luma(struct flatten *f, uint8_t *row)
{
	for (uint32_t x = 0; x < f->width[0]; x++)
		row[x] = f->curve[row[x]];
}

/* The paper tints what is on it by as much as it shows: black ink not at all. */
static void finish_chroma(struct flatten *f, unsigned int plane, uint32_t y, uint8_t *row)
{
	const uint8_t *luma = f->plane[0] + (size_t)MIN(2 * y, f->height[0] - 1) * f->width[0];
	int cast = f->cast[plane - 1];

	for (uint32_t x = 0; x < f->width[plane] && cast; x++) {
		int v = row[x] - cast * luma[MIN(2 * x, f->width[0] - 1)] / WHITE;

		row[x] = (uint8_t)CLAMP(v, 0, 255);
	}
}

static int give(struct flatten *f, flatten_row_fn fn, void *ud)
{
	for (uint32_t y = 0; y < f->height[0]; y += STRIP_ROWS)
		for (unsigned int i = 0; i < f->n_planes; i++) {
			uint32_t half = i ? 2 : 1;

			for (uint32_t k = y / half; k < MIN((y + STRIP_ROWS) / half, f->height[i]); k++) {
				uint8_t *row = f->plane[i] + (size_t)k * f->width[i];
				int r;

				if (i == 0)
					finish_luma(f, row);
				else
					finish_chroma(f, i, k, row);
				r = fn(ud, i, row);
				if (r < 0)
					return r;
			}
		}
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------------- */
void flatten_row(struct flatten *f, unsigned int plane, const uint8_t *row)
{
	if (f->filled[plane] < f->height[plane])
		memcpy(f->plane[plane] + (size_t)f->filled[plane]++ * f->width[plane], row, f->width[plane]);
}

int flatten_give(struct flatten *f, flatten_row_fn fn, void *ud, struct flatten_result *ret)
{
	struct flatten_result done = {};

	for (unsigned int i = 0; i < f->n_planes; i++)
		if (f->filled[i] < f->height[i])
			return -EPROTO;
	if (f->options.flatten) {
		even_light(f, &done);
		measure_cast(f, &done);
	}
	choose_curve(f, &done);
	*ret = done;
	return give(f, fn, ud);
}

static int init(struct flatten *f, uint32_t width, uint32_t height)
{
	for (unsigned int i = 0; i < f->n_planes; i++) {
		f->width[i] = i ? (width + 1) / 2 : width;
		f->height[i] = i ? (height + 1) / 2 : height;
		f->plane[i] = malloc((size_t)f->width[i] * f->height[i]);
		if (!f->plane[i])
			return -ENOMEM;
	}
	f->tiles_x = (width + TILE - 1) / TILE;
	f->tiles_y = (height + TILE - 1) / TILE;
	f->paper = malloc((size_t)f->tiles_x * f->tiles_y * sizeof(*f->paper));
	f->other = malloc((size_t)f->tiles_x * f->tiles_y * sizeof(*f->other));
	f->gain = malloc((size_t)width * sizeof(*f->gain));
	return f->paper && f->other && f->gain ? 0 : -ENOMEM;
}

int flatten_new(const struct flatten_options *o, uint32_t width, uint32_t height, unsigned int n_planes, struct flatten **ret)
{
	struct flatten *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->options = *o;
	f->n_planes = n_planes;
	r = init(f, width, height);
	if (r < 0) {
		flatten_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void flatten_free(struct flatten *f)
{
	if (!f)
		return;
	for (unsigned int i = 0; i < IMAGE_PLANES; i++)
		free(f->plane[i]);
	free(f->paper);
	free(f->other);
	free(f->gain);
	free(f);
}
