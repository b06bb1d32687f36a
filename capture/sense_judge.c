/*
 * What the figures of a page's tiles mean. The thresholds were chosen on the sample pages and on worse ones
 * made of them (tests/unit/capture_sense.c says how often they are wrong). Levels are luma, 0 to 255.
 */
#include "capture/sense_internal.h"

#define HARD_DEPTH      45    /* below the paper: ink, whatever else */
#define FAINT_DEPTH     20    /* ink if its edges are sharp: what shines through from the back is soft */
#define FAINT_STEP      0.35  /* of the depth, from a pixel to the next: sharp */
#define FAINT_CHROMA    18    /* ink of a colour; what shines through is grey */
#define NOISE_TIMES     1.8   /* the median tile's own differences, so many times, are still noise */
#define DARK_PAPER      120   /* lighter parts that are darker than this are no paper */
#define BACKGROUND      50    /* below the paper: what lies around the page, when it reaches the frame */
#define SPECK_INK       5     /* of 255, a tile's share of ink: a speck of dust, not a figure */
#define SPECKS          3     /* so many of them leave a page blank */
#define TEXT_MIN        0.002 /* share of tiles with writing: with less nothing is said of its sharpness */
#define SHARPNESS_MIN   0.25  /* as a Gaussian of 1.8 pixels leaves it */
#define FAINT_TEXT      30    /* below the paper: what is judged when there is little ink, but some */
#define WHITE_SHARE     230   /* of 255: washed out */
#define GLARE_PAPER     238   /* paper that is lighter hides glare, and scanners make it so */
#define GLARE_MIN       0.002 /* share of the page */
#define GLARE_HALO      0.4   /* tiles between paper and white in two rings around, of the inner one's; white fields: none */
#define CUT_RUNS        3     /* strokes across the line along a side */
#define CUT_NEAR        0.025 /* of the side: writing that close to a side which the page runs over */

struct judge {
	const struct sense_grid *g;
	unsigned int n;
	uint8_t paper, noise_depth, noise_step;
	bool around[SENSE_PARTS]; /* not the page, or at its edge */
};

static uint8_t depth(const struct sense_tile *t)
{
	return t->paper > t->min ? t->paper - t->min : 0;
}

static uint8_t step(const struct sense_tile *t)
{
	return MAX(t->across, t->down);
}

/* The level that `share` of what was counted is at or below. */
static uint8_t at_share(const unsigned int counts[256], double share)
{
	unsigned int all = 0, seen = 0, i = 0;

	for (unsigned int k = 0; k < 256; k++)
		all += counts[k];
	while (i < 255 && (seen += counts[i]) < share * all)
		i++;
	return (uint8_t)i;
}

static void measure(struct judge *j)
{
	unsigned int paper[256] = {}, depths[256] = {}, steps[256] = {};

	for (unsigned int i = 0; i < j->n; i++) {
		paper[j->g->tile[i].paper]++;
		depths[depth(&j->g->tile[i])]++;
		steps[step(&j->g->tile[i])]++;
	}
	j->paper = at_share(paper, 0.8);
	j->noise_depth = at_share(depths, 0.5);
	j->noise_step = at_share(steps, 0.5);
}

/* ---- the tiles around the page --------------------------------------------------------------- */
static bool touches(const struct judge *j, unsigned int i, const bool *set)
{
	unsigned int w = MAX(j->g->columns, 1U), x = i % w, y = i / w;

	return (x > 0 && set[i - 1]) || (x + 1 < w && set[i + 1]) || (y > 0 && set[i - w]) ||
	       (y + 1 < j->g->rows && set[i + w]);
}

static bool at_frame(const struct judge *j, unsigned int i)
{
	unsigned int w = MAX(j->g->columns, 1U);

	return i % w == 0 || i % w == w - 1 || i / w == 0 || i / w == j->g->rows - 1;
}

/* Dark tiles that hang together with the frame's edge, and one more: it has the page's edge in it. */
static void find_around(struct judge *j)
{
	bool grown[SENSE_PARTS] = {};
	bool more = true;

	while (more) {
		more = false;
		for (unsigned int i = 0; i < j->n; i++)
			if (!j->around[i] && j->g->tile[i].paper + BACKGROUND < j->paper &&
				(at_frame(j, i) || touches(j, i, j->around)))
				more = j->around[i] = true;
	}
	for (unsigned int i = 0; i < j->n; i++)
		grown[i] = j->around[i] || touches(j, i, j->around);
	memcpy(j->around, grown, sizeof(grown));
}

/* ---- writing --------------------------------------------------------------------------------- */
static bool is_text(const struct judge *j, unsigned int i, uint8_t deep)
{
	return !j->around[i] && depth(&j->g->tile[i]) >= deep;
}

static double text_share(const struct judge *j)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < j->n; i++)
		n += is_text(j, i, HARD_DEPTH);
	return (double)n / j->n;
}

/* The larger steps of what is written, of its depth. In rows and in columns apart, for a page that moved is blurred in
 * one direction. */
static double sharpness(const struct judge *j, double text)
{
	uint8_t deep = text >= TEXT_MIN || text == 0 ? HARD_DEPTH : FAINT_TEXT;
	unsigned int across[256] = {}, down[256] = {}, n = 0;

	for (unsigned int i = 0; i < j->n; i++) {
		const struct sense_tile *t = &j->g->tile[i];

		if (!is_text(j, i, deep))
			continue;
		across[MIN(255, t->across * 255 / depth(t))]++;
		down[MIN(255, t->down * 255 / depth(t))]++;
		n++;
	}
	if (n < TEXT_MIN * j->n)
		return 0;
	return MIN(at_share(across, 0.75), at_share(down, 0.75)) / 255.0;
}

/* ---- glare ----------------------------------------------------------------------------------- */
static bool is_white(const struct sense_tile *t)
{
	return t->white >= WHITE_SHARE;
}

/* White tiles that hang together, and the two rings of tiles around them. */
struct blob {
	bool tile[SENSE_PARTS];
	unsigned int tiles, rim, halo;
};

static void grow(const struct judge *j, struct blob *b)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned int i = 0; i < j->n; i++)
			if (!b->tile[i] && is_white(&j->g->tile[i]) && touches(j, i, b->tile))
				more = b->tile[i] = true;
	}
	for (unsigned int i = 0; i < j->n; i++)
		b->tiles += b->tile[i];
}

/* One ring more around what is in `set`: how many tiles, and how many of them are between paper and white. */
static unsigned int ring(const struct judge *j, bool *set, unsigned int *halo)
{
	bool grown[SENSE_PARTS] = {};
	unsigned int n = 0;

	for (unsigned int i = 0; i < j->n; i++) {
		const struct sense_tile *t = &j->g->tile[i];

		grown[i] = set[i];
		if (set[i] || !touches(j, i, set))
			continue;
		grown[i] = true;
		n++;
		*halo += t->middle > j->paper + 4 && t->middle < 248;
	}
	memcpy(set, grown, sizeof(grown));
	return n;
}

static double glare_share(const struct judge *j)
{
	bool seen[SENSE_PARTS] = {};
	unsigned int n = 0;

	if (j->paper > GLARE_PAPER)
		return 0;
	for (unsigned int i = 0; i < j->n; i++) {
		struct blob b = {};

		if (seen[i] || !is_white(&j->g->tile[i]))
			continue;
		b.tile[i] = true;
		grow(j, &b);
		for (unsigned int k = 0; k < j->n; k++)
			seen[k] |= b.tile[k];
		b.rim = ring(j, b.tile, &b.halo);
		ring(j, b.tile, &b.halo);
		if (b.halo > GLARE_HALO * b.rim)
			n += b.tiles;
	}
	return (double)n / j->n;
}

/* ---- cut off --------------------------------------------------------------------------------- */
/* Strokes that cross the line: dark, short, and lighter on both sides. */
static unsigned int runs_across(const struct judge *j, const struct sense_line *l)
{
	unsigned int runs = 0;
	uint32_t dark_from = 0;
	bool dark = false, light_seen = false;

	for (uint32_t i = 0; i < l->n; i++) {
		if (!dark && l->at[i] + HARD_DEPTH < j->paper) {
			dark = true;
			dark_from = i;
		} else if (l->at[i] + HARD_DEPTH / 2 > j->paper) {
			runs += dark && light_seen && i - dark_from < l->n / 32;
			dark = false;
			light_seen = true;
		}
	}
	return runs;
}

/* Does the page lie along this side: is it as light there as paper? */
static bool paper_along(const struct judge *j, const struct sense_line *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n; i++)
		n += l->at[i] + BACKGROUND > j->paper;
	return n * 2 > l->n;
}

/* Is anything written in the outermost tiles of a side? */
static bool text_near(const struct judge *j, unsigned int side)
{
	unsigned int w = j->g->columns, h = j->g->rows, n = 0;
	unsigned int deep_x = (unsigned int)(w * CUT_NEAR + 0.5), deep_y = (unsigned int)(h * CUT_NEAR + 0.5);

	for (unsigned int i = 0; i < j->n; i++) {
		unsigned int x = i % w, y = i / w;
		bool near = side == SENSE_TOP     ? y < deep_y
			    : side == SENSE_RIGHT ? x >= w - deep_x
			    : side == SENSE_LEFT  ? x < deep_x
						  : y >= h - deep_y;

		n += near && is_text(j, i, HARD_DEPTH);
	}
	return n > 1;
}

static unsigned int sides_cut(const struct judge *j, const struct sense_lines *l)
{
	const struct {
		unsigned int side;
		const struct sense_line *line, *opposite;
	} sides[] = {
		{SENSE_TOP, &l->top, &l->bottom},
		{SENSE_RIGHT, &l->right, &l->left},
		{SENSE_BOTTOM, &l->bottom, &l->top},
		{SENSE_LEFT, &l->left, &l->right},
	};
	unsigned int cut = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		if (!paper_along(j, sides[i].line))
			continue;
		if (runs_across(j, sides[i].line) >= CUT_RUNS ||
			(!paper_along(j, sides[i].opposite) && text_near(j, sides[i].side)))
			cut |= sides[i].side;
	}
	return cut;
}

/* ---- blank ----------------------------------------------------------------------------------- */
static bool is_marked(const struct judge *j, unsigned int i)
{
	const struct sense_tile *t = &j->g->tile[i];
	uint8_t d = depth(t);

	if (j->around[i])
		return false;
	if (d >= HARD_DEPTH || t->chroma >= FAINT_CHROMA)
		return true;
	return d >= FAINT_DEPTH && d > NOISE_TIMES * j->noise_depth && step(t) > FAINT_STEP * d &&
	       step(t) > NOISE_TIMES * j->noise_step;
}

/* Marked tiles; dust is none. */
static unsigned int count_marks(const struct judge *j)
{
	unsigned int marks = 0, specks = 0;

	for (unsigned int i = 0; i < j->n; i++) {
		const struct sense_tile *t = &j->g->tile[i];

		if (!is_marked(j, i))
			continue;
		if (depth(t) >= HARD_DEPTH && t->ink < SPECK_INK)
			specks++;
		else
			marks++;
	}
	return specks > SPECKS ? marks + specks : marks;
}

static enum sense_verdict verdict_of(const struct judge *j, const struct sense_result *r)
{
	if (j->paper < DARK_PAPER && r->text < TEXT_MIN)
		return SENSE_NOTHING;
	if (r->sharpness > 0 && r->sharpness < SHARPNESS_MIN)
		return SENSE_BLURRED;
	if (r->glare >= GLARE_MIN)
		return SENSE_GLARE;
	return r->cut_off ? SENSE_CUT_OFF : SENSE_GOOD;
}

void sense_judge_grid(
	const struct sense_grid *g, const struct sense_lines *lines, const struct sense_options *o, struct sense_result *ret)
{
	struct judge j = {.g = g, .n = g->columns * g->rows};

	measure(&j);
	find_around(&j);
	ret->paper = j.paper;
	ret->text = text_share(&j);
	if (o->gate) {
		ret->sharpness = sharpness(&j, ret->text);
		ret->glare = glare_share(&j);
		ret->cut_off = sides_cut(&j, lines);
		ret->verdict = verdict_of(&j, ret);
	}
	if (o->blank) {
		ret->marks = count_marks(&j);
		ret->blank = j.paper >= DARK_PAPER && ret->marks == 0;
	}
}
