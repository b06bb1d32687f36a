#include "capture/sense_internal.h"

#include "capture/hot.h"

#define LINE_DEPTH 3 /* pixels from the frame's edge to the line that is kept: the edge itself may be a seam */
#define LEVELS     32
#define INK_LEVELS 4 /* below the paper: ink */
#define SAMPLE_ROW 4 /* every so many rows, and of them every second pixel, are counted by level */

/* What is known of each column since the grid's row began. */
struct columns {
	uint8_t *min, *max, *across, *down;
	uint8_t *before; /* the row before */
};

struct plane_state {
	uint32_t width, height, y;
	unsigned int tile_row;
	struct columns c;
};

struct sense {
	struct sense_options options;
	unsigned int n_planes;
	struct plane_state plane[IMAGE_PLANES];
	struct sense_grid grid;
	struct sense_lines lines;
	uint16_t levels[SENSE_TILES][LEVELS]; /* of this row of tiles */
	uint8_t *memory;                      /* of all columns and lines */
};

/* ---- a row ----------------------------------------------------------------------------------- */
HOT static void take_extremes(uint8_t *restrict min, uint8_t *restrict max, const uint8_t *restrict row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		min[i] = row[i] < min[i] ? row[i] : min[i];
		max[i] = row[i] > max[i] ? row[i] : max[i];
	}
}

HOT static void take_steps(uint8_t *restrict most, const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t d = a[i] > b[i] ? (uint8_t)(a[i] - b[i]) : (uint8_t)(b[i] - a[i]);

		most[i] = d > most[i] ? d : most[i];
	}
}

/* The first pixel of tile i of n. */
static uint32_t bound(uint32_t length, unsigned int n, unsigned int i)
{
	return (uint32_t)((uint64_t)length * i / n);
}

static void count_levels(struct sense *s, const uint8_t *row, uint32_t width)
{
	for (unsigned int t = 0; t < s->grid.columns; t++) {
		uint32_t end = bound(width, s->grid.columns, t + 1);
		uint16_t *levels = s->levels[t];

		for (uint32_t x = bound(width, s->grid.columns, t); x < end; x += 2)
			levels[row[x] / (256 / LEVELS)]++;
	}
}

static void keep_lines(struct sense *s, const struct plane_state *p, const uint8_t *row)
{
	s->lines.left.at[p->y] = row[LINE_DEPTH];
	s->lines.right.at[p->y] = row[p->width - 1 - LINE_DEPTH];
	if (p->y == LINE_DEPTH)
		memcpy(s->lines.top.at, row, p->width);
	if (p->y == p->height - 1 - LINE_DEPTH)
		memcpy(s->lines.bottom.at, row, p->width);
}

static void clear_columns(struct plane_state *p)
{
	memset(p->c.min, 255, p->width);
	memset(p->c.max, 0, p->width);
	if (p->c.across)
		memset(p->c.across, 0, p->width);
	if (p->c.down)
		memset(p->c.down, 0, p->width);
}

/* ---- a row of tiles -------------------------------------------------------------------------- */
/* Of columns [from, to). Planes of chroma have no steps. */
HOT static void fold(const struct columns *c, uint32_t from, uint32_t to, struct sense_tile *t)
{
	uint8_t min = 255, max = 0, across = 0, down = 0;

	for (uint32_t x = from; x < to; x++) {
		min = MIN(min, c->min[x]);
		max = MAX(max, c->max[x]);
	}
	for (uint32_t x = from; c->across && x < to; x++) {
		across = MAX(across, c->across[x]);
		down = MAX(down, c->down[x]);
	}
	*t = (struct sense_tile){.min = min, .max = max, .across = across, .down = down};
}

/* The level that a share of the pixels, in quarters, is as dark as or darker. */
static unsigned int level_at(const uint16_t levels[LEVELS], unsigned int all, unsigned int quarters)
{
	unsigned int seen = 0, level = 0;

	while (level < LEVELS - 1 && (seen += levels[level]) * 4 < all * quarters)
		level++;
	return level;
}

static uint8_t level_luma(unsigned int level)
{
	return (uint8_t)(level * (256 / LEVELS) + 256 / LEVELS / 2);
}

static void end_levels(uint16_t levels[LEVELS], struct sense_tile *t)
{
	unsigned int all = 0, ink = 0, paper;

	for (unsigned int i = 0; i < LEVELS; i++)
		all += levels[i];
	paper = level_at(levels, all, 3);
	for (unsigned int i = 0; i + INK_LEVELS <= paper; i++)
		ink += levels[i];
	if (all) {
		t->white = (uint8_t)(levels[LEVELS - 1] * 255 / all);
		t->ink = (uint8_t)(ink * 255 / all);
	}
	t->paper = level_luma(paper);
	t->middle = level_luma(level_at(levels, all, 2));
	memset(levels, 0, LEVELS * sizeof(*levels));
}

static void end_tiles(struct sense *s, const struct plane_state *p)
{
	for (unsigned int i = 0; i < s->grid.columns; i++) {
		uint32_t from = bound(p->width, s->grid.columns, i), to = bound(p->width, s->grid.columns, i + 1);
		struct sense_tile *tile = &s->grid.tile[p->tile_row * s->grid.columns + i], t;

		fold(&p->c, from, to, &t);
		if (p == s->plane) {
			end_levels(s->levels[i], &t);
			t.chroma = tile->chroma;
			*tile = t;
		} else if (t.max > t.min) {
			tile->chroma = MAX(tile->chroma, (uint8_t)(t.max - t.min));
		}
	}
}

void sense_row(struct sense *s, unsigned int plane, const uint8_t *row)
{
	struct plane_state *p = &s->plane[plane];

	if (plane >= s->n_planes || p->y >= p->height)
		return;
	take_extremes(p->c.min, p->c.max, row, p->width);
	if (plane == 0) {
		take_steps(p->c.across, row, row + 1, p->width - 1);
		if (p->y > 0)
			take_steps(p->c.down, row, p->c.before, p->width);
		memcpy(p->c.before, row, p->width);
		if (p->y % SAMPLE_ROW == 0)
			count_levels(s, row, p->width);
		keep_lines(s, p, row);
	}
	p->y++;
	if (p->y == bound(p->height, s->grid.rows, p->tile_row + 1)) {
		end_tiles(s, p);
		clear_columns(p);
		p->tile_row++;
	}
}

/* ---- begin and end --------------------------------------------------------------------------- */
static size_t bytes_needed(uint32_t width, uint32_t height)
{
	return (size_t)width * 5 + 4 * ((size_t)width + 1) / 2 + 2 * ((size_t)width + height);
}

static uint8_t *part(uint8_t **at, size_t n)
{
	uint8_t *p = *at;

	*at += n;
	return p;
}

static void lay_out(struct sense *s)
{
	uint8_t *at = s->memory;

	for (unsigned int i = 0; i < s->n_planes; i++) {
		struct plane_state *p = &s->plane[i];

		p->c.min = part(&at, p->width);
		p->c.max = part(&at, p->width);
		if (i == 0) {
			p->c.across = part(&at, p->width);
			p->c.down = part(&at, p->width);
			p->c.before = part(&at, p->width);
		}
		clear_columns(p);
	}
	s->lines.top = (struct sense_line){part(&at, s->plane[0].width), s->plane[0].width};
	s->lines.bottom = (struct sense_line){part(&at, s->plane[0].width), s->plane[0].width};
	s->lines.left = (struct sense_line){part(&at, s->plane[0].height), s->plane[0].height};
	s->lines.right = (struct sense_line){part(&at, s->plane[0].height), s->plane[0].height};
}

int sense_new(const struct sense_options *o, uint32_t width, uint32_t height, unsigned int n_planes, struct sense **ret)
{
	struct sense *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *o;
	if (width < SENSE_SIDE_MIN || height < SENSE_SIDE_MIN)
		goto out; /* no planes: rows go by */
	s->memory = malloc(bytes_needed(width, height));
	if (!s->memory) {
		sense_free(s);
		return -ENOMEM;
	}
	s->n_planes = n_planes;
	s->grid.columns = s->grid.rows = SENSE_TILES;
	for (unsigned int i = 0; i < n_planes; i++) {
		s->plane[i].width = i ? (width + 1) / 2 : width;
		s->plane[i].height = i ? (height + 1) / 2 : height;
	}
	lay_out(s);
out:
	*ret = s;
	return 0;
}

void sense_judge(struct sense *s, struct sense_result *ret)
{
	struct sense_result r = *ret;

	if (s->memory) {
		r.judged = true;
		sense_judge_grid(&s->grid, &s->lines, &s->options, &r);
	}
	*ret = r;
}

void sense_free(struct sense *s)
{
	if (!s)
		return;
	free(s->memory);
	free(s);
}
