#include "extract/ocrlayout.h"

#include <ctype.h>

#define SEGMENT_WORDS_MAX 64  /* no line of a page has more; segments are walked often */
#define SLOPE_MAX         0.1 /* six degrees; beyond it a line's slope is a mistake */

char *layout_norm(const char *text)
{
	char *out = malloc(strlen(text) + 1), *p = out;

	if (!out)
		return NULL;
	for (const char *s = text; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x80 || isalnum(c) || strchr("#$%", c))
			*p++ = (char)tolower(c);
	}
	*p = 0;
	return out;
}

/* ---- words -------------------------------------------------------------------------------------------- */

static bool is_noise(const struct ocr_word *w, int usual_height)
{
	static const char rules[] = "|_=~";

	if (strspn(w->text, rules) == strlen(w->text))
		return true;
	return w->h > 4 * usual_height && w->w < w->h; /* a rule beside a table, read as I or l */
}

static int add_part(struct layout *l, const struct ocr_word *w, size_t from, size_t to)
{
	size_t len = strlen(w->text);
	struct layout_word p = {.source = w, .y0 = w->y, .y1 = w->y + w->h};

	if (from == to)
		return 0;
	p.text = strndup(w->text + from, to - from);
	p.norm = p.text ? layout_norm(p.text) : NULL;
	if (!p.norm) {
		free(p.text);
		return -ENOMEM;
	}
	p.x0 = w->x + (int)((int64_t)w->w * (int64_t)from / (int64_t)len);
	p.x1 = w->x + (int)((int64_t)w->w * (int64_t)to / (int64_t)len);
	l->words[l->n++] = p;
	return 0;
}

/* Where a label is glued to its value: "ABN:51" after the colon, "#1042" after the sign. 0: nowhere. */
static size_t split_at(const char *s)
{
	const char *colon = strchr(s, ':');

	if (s[0] == '#' && s[1])
		return 1;
	if (colon && colon > s && colon[1] && isalpha((unsigned char)colon[-1]) && !starts_with(colon, "://"))
		return (size_t)(colon - s) + 1;
	return 0;
}

static int by_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* 0 when n is 0. */
static int median(int *v, size_t n)
{
	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), by_int);
	return v[n / 2];
}

static int add_words(struct layout *l, const struct ocr_words *words)
{
	_cleanup_free_ int *heights = calloc(words->n + 1, sizeof(int));
	size_t n = 0;

	l->words = calloc(2 * words->n + 1, sizeof(*l->words));
	if (!heights || !l->words)
		return -ENOMEM;
	for (size_t i = 0; i < words->n; i++)
		if (isalnum((unsigned char)words->words[i].text[0]))
			heights[n++] = words->words[i].h;
	l->line_height = MAX(median(heights, n), 1);
	for (size_t i = 0; i < words->n; i++) {
		const struct ocr_word *w = &words->words[i];
		size_t cut = split_at(w->text);

		if (is_noise(w, l->line_height))
			continue;
		if (add_part(l, w, 0, cut) < 0 || add_part(l, w, cut, strlen(w->text)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- slope -------------------------------------------------------------------------------------------- */

static bool same_line(const struct ocr_word *a, const struct ocr_word *b)
{
	return a->block == b->block && a->par == b->par && a->line == b->line;
}

/* Least squares through the middles of one line's words. False: too short to tell. */
static bool line_slope(const struct ocr_word *w, size_t n, double *ret, int *ret_width)
{
	double mx = 0, my = 0, sxx = 0, sxy = 0;
	int width = w[n - 1].x + w[n - 1].w - w[0].x;

	if (n < 3 || width < 8 * w[0].h)
		return false;
	for (size_t i = 0; i < n; i++) {
		mx += (w[i].x + w[i].w / 2.0) / (double)n;
		my += (w[i].y + w[i].h / 2.0) / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		double dx = w[i].x + w[i].w / 2.0 - mx, dy = w[i].y + w[i].h / 2.0 - my;

		sxx += dx * dx;
		sxy += dx * dy;
	}
	if (sxx <= 0 || sxy > SLOPE_MAX * sxx || sxy < -SLOPE_MAX * sxx)
		return false;
	*ret = sxy / sxx;
	*ret_width = width;
	return true;
}

struct slope {
	double slope;
	int width;
};

static int by_slope(const void *a, const void *b)
{
	double x = ((const struct slope *)a)->slope, y = ((const struct slope *)b)->slope;

	return (x > y) - (x < y);
}

/* The median over the page's lines, each weighing its width. */
static int page_slope(const struct ocr_words *words, double *ret)
{
	_cleanup_free_ struct slope *v = calloc(words->n + 1, sizeof(*v));
	int64_t total = 0, half = 0;
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0, end; i < words->n; i = end) {
		for (end = i + 1; end < words->n && same_line(&words->words[i], &words->words[end]); end++)
			;
		if (line_slope(&words->words[i], end - i, &v[n].slope, &v[n].width))
			total += v[n++].width;
	}
	qsort(v, n, sizeof(*v), by_slope);
	*ret = 0;
	for (size_t i = 0; i < n && half * 2 <= total; i++) {
		half += v[i].width;
		*ret = v[i].slope;
	}
	return 0;
}

static int nearest(double v)
{
	return (int)(v < 0 ? v - 0.5 : v + 0.5);
}

/* A turn by a small angle. */
static void straighten(struct layout *l, double slope)
{
	for (size_t i = 0; i < l->n; i++) {
		struct layout_word *w = &l->words[i];
		double cx = (w->x0 + w->x1) / 2.0, cy = (w->y0 + w->y1) / 2.0;
		int dx = nearest(slope * (cy - l->height / 2.0)),
		    dy = nearest(-slope * (cx - l->width / 2.0));

		w->x0 += dx;
		w->x1 += dx;
		w->y0 += dy;
		w->y1 += dy;
	}
}

/* ---- rows --------------------------------------------------------------------------------------------- */

static int middle(const struct layout_word *w)
{
	return (w->y0 + w->y1) / 2;
}

static bool is_small(const struct layout *l, const struct layout_word *w)
{
	return (w->y1 - w->y0) * 2 < l->line_height;
}

static int by_middle(const void *a, const void *b)
{
	const struct layout_word *x = a, *y = b;

	if (middle(x) != middle(y))
		return (middle(x) > middle(y)) - (middle(x) < middle(y));
	return (x->x0 > y->x0) - (x->x0 < y->x0);
}

/* Words are sorted by middle, so that a word's row can only be among the last few. A large title must not
 * pull the two small lines beside it into one row: the smaller height decides. */
static size_t find_row(const struct layout_row *rows, size_t n, const struct layout_word *w)
{
	int h = w->y1 - w->y0, best_distance = 0;
	size_t best = n;

	for (size_t k = n; k > 0 && n - k < 8; k--) {
		const struct layout_row *r = &rows[k - 1];
		int distance = abs(middle(w) - r->y);

		if (distance * 2 <= MIN(h, r->h) && (best == n || distance < best_distance)) {
			best = k - 1;
			best_distance = distance;
		}
	}
	return best;
}

/* Commas and dashes that stand alone go to the row whose height they lie in. */
static size_t find_row_around(const struct layout_row *rows, size_t n, const struct layout_word *w)
{
	for (size_t k = 0; k < n; k++)
		if (abs(middle(w) - rows[k].y) * 10 <= rows[k].h * 7)
			return k;
	return n;
}

static void assign_rows(struct layout *l, size_t *row_of)
{
	for (size_t i = 0; i < l->n; i++) {
		struct layout_word *w = &l->words[i];
		struct layout_row *r;
		size_t k;

		if (is_small(l, w))
			continue;
		k = find_row(l->rows, l->n_rows, w);
		r = &l->rows[k];
		if (k == l->n_rows) {
			l->n_rows++;
			*r = (struct layout_row){.y = middle(w), .h = w->y1 - w->y0};
		}
		/* A slow running mean follows what slope is left. `end` counts the words for now. */
		r->y = (r->y * (int)MIN(r->end, 8u) + middle(w)) / ((int)MIN(r->end, 8u) + 1);
		r->h = MAX(r->h, MIN(w->y1 - w->y0, r->h * 3 / 2));
		r->end++;
		row_of[i] = k;
	}
	for (size_t i = 0; i < l->n; i++)
		if (is_small(l, &l->words[i]))
			row_of[i] = find_row_around(l->rows, l->n_rows, &l->words[i]);
}

struct placed {
	struct layout_word word;
	size_t row;
	int y, h; /* of the row */
};

static int by_place(const void *a, const void *b)
{
	const struct placed *p = a, *q = b;

	if (p->y != q->y)
		return (p->y > q->y) - (p->y < q->y);
	if (p->row != q->row)
		return (p->row > q->row) - (p->row < q->row);
	return (p->word.x0 > q->word.x0) - (p->word.x0 < q->word.x0);
}

static void mark_segments(struct layout *l, const struct layout_row *r)
{
	size_t start = r->first;

	for (size_t i = r->first; i < r->end; i++) {
		struct layout_word *w = &l->words[i];
		int h = MIN(w->y1 - w->y0, r->h);

		if (i > r->first)
			h = MAX(h, MIN(w[-1].y1 - w[-1].y0, r->h));
		h = MAX(h, r->h * 8 / 10);
		w->segment_start =
			i == r->first || i - start >= SEGMENT_WORDS_MAX || (w->x0 - w[-1].x1) * 10 > h * 14;
		if (w->segment_start)
			start = i;
	}
}

/* Words into the order of rows; small ones that lie in no row are dropped. */
static int order(struct layout *l, const size_t *row_of)
{
	_cleanup_free_ struct placed *p = calloc(l->n + 1, sizeof(*p));
	size_t n = 0, rows = 0;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		if (row_of[i] < l->n_rows) {
			p[n++] = (struct placed){
				l->words[i], row_of[i], l->rows[row_of[i]].y, l->rows[row_of[i]].h};
		} else {
			free(l->words[i].text);
			free(l->words[i].norm);
		}
	}
	qsort(p, n, sizeof(*p), by_place);
	for (size_t i = 0; i < n; i++) {
		l->words[i] = p[i].word;
		if (i == 0 || p[i].row != p[i - 1].row)
			l->rows[rows++] = (struct layout_row){i, i, p[i].y, p[i].h};
		l->rows[rows - 1].end = i + 1;
	}
	l->n = n;
	l->n_rows = rows;
	return 0;
}

static int make_rows(struct layout *l)
{
	_cleanup_free_ size_t *row_of = calloc(l->n + 1, sizeof(*row_of));
	int r;

	l->rows = calloc(l->n + 1, sizeof(*l->rows));
	if (!row_of || !l->rows)
		return -ENOMEM;
	qsort(l->words, l->n, sizeof(*l->words), by_middle);
	assign_rows(l, row_of);
	r = order(l, row_of);
	for (size_t k = 0; r >= 0 && k < l->n_rows; k++)
		mark_segments(l, &l->rows[k]);
	return r;
}

int layout_new(const struct ocr_words *words, struct layout **ret)
{
	_cleanup_layout_ struct layout *l = calloc(1, sizeof(*l));
	double slope;
	int r;

	if (!l)
		return -ENOMEM;
	l->width = words->width;
	l->height = words->height;
	r = add_words(l, words);
	if (r >= 0)
		r = page_slope(words, &slope);
	if (r < 0)
		return r;
	straighten(l, slope);
	r = make_rows(l);
	if (r < 0)
		return r;
	*ret = take_ptr(l);
	return 0;
}

void layout_free(struct layout *l)
{
	if (!l)
		return;
	for (size_t i = 0; l->words && i < l->n; i++) {
		free(l->words[i].text);
		free(l->words[i].norm);
	}
	free(l->words);
	free(l->rows);
	free(l);
}

/* ---- looking ------------------------------------------------------------------------------------------ */

size_t layout_segment_end(const struct layout *l, size_t i, size_t end)
{
	for (i++; i < end && !l->words[i].segment_start; i++)
		;
	return i;
}

int layout_text(const struct layout *l, size_t first, size_t end, const char *between, struct buf *out)
{
	int r = 0;

	for (size_t i = first; r >= 0 && i < end; i++) {
		r = i > first ? buf_adds(out, between) : 0;
		r = r < 0 ? r : buf_adds(out, l->words[i].text);
	}
	return r;
}

int layout_confidence(const struct layout *l, size_t first, size_t end)
{
	int worst = 100;

	for (size_t i = first; i < end; i++)
		worst = MIN(worst, l->words[i].source->confidence);
	return worst;
}

void layout_claim(struct layout *l, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		l->words[i].claimed = true;
}

size_t layout_row_of(const struct layout *l, size_t i)
{
	size_t low = 0, high = l->n_rows;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (l->rows[mid].first <= i)
			low = mid;
		else
			high = mid;
	}
	return low;
}
