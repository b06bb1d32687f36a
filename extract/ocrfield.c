#include "extract/ocrfield.h"

/* Points a candidate loses; one at its label's right, read surely, has 1000. */
#define LOSS_FAR       300 /* a whole page's width between label and value */
#define LOSS_SKIPPED   60  /* a word between them that is not part of the value */
#define LOSS_BELOW     200 /* the value is below, not beside */
#define LOSS_NEXT_LINE 60
#define LOSS_COLON     150 /* below a label that ends in a colon */
#define LOSS_INSIDE    200 /* the label stands inside a line of text */
#define LOSS_REPAIRED  100
#define LOSS_RANK      5 /* a place further down in the field's list of labels */
#define BELOW_LINES    2 /* lines with something below the label that are looked at */
#define BELOW_HEIGHTS  5 /* how far down, in heights of a line */
#define CANDIDATES_MAX 2048

struct candidate {
	size_t field;
	struct ocr_value value;
	int score;
	size_t label_first, label_end;
};

struct search {
	struct layout *l;
	const struct doctype *t;
	const struct label_hits *hits;
	struct candidate *c; /* owned */
	size_t n;
};

/* ---- where values may stand --------------------------------------------------------------------------- */

static bool is_claimed(const struct layout *l, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (l->words[i].claimed)
			return true;
	return false;
}

/* Up to where a value that begins at `i` may go: the next label, a word that is taken, the row's end. */
static size_t value_limit(const struct search *s, size_t i, size_t row)
{
	size_t end = s->l->rows[row].end;

	for (size_t k = 0; k < s->hits->n; k++)
		if (s->hits->hits[k].first >= i && s->hits->hits[k].first < end)
			end = s->hits->hits[k].first;
	for (size_t k = i; k < end; k++)
		if (s->l->words[k].claimed)
			return k;
	return end;
}

static bool ends_in(const struct layout_word *w, const char *signs)
{
	size_t n = strlen(w->text);

	return n > 0 && strchr(signs, w->text[n - 1]);
}

static const char *like_of(const struct search *s, size_t field)
{
	return json_get_string(json_get_object(s->t->ocr, s->t->fields[field].name), "like");
}

static bool prefers_last(const struct search *s, size_t field)
{
	const char *p = json_get_string(json_get_object(s->t->ocr, s->t->fields[field].name), "prefer");

	return p && streq(p, "last");
}

/* ---- candidates --------------------------------------------------------------------------------------- */

static int add_candidate(struct search *s, const struct label_hit *h, struct ocr_value *v, int score)
{
	const struct layout *l = s->l;
	int row = (int)MIN(h->row, (size_t)100);

	if (s->n == CANDIDATES_MAX) {
		ocr_value_free(v);
		return 0;
	}
	if (!l->words[h->first].segment_start && !ends_in(&l->words[h->first - 1], ":;|/-"))
		score -= LOSS_INSIDE;
	score = score * h->score / LABEL_EXACT - h->rank * LOSS_RANK - (v->repaired ? LOSS_REPAIRED : 0);
	score -= (100 - layout_confidence(l, v->first, v->end)) * 2;
	/* Of equals the first on the page, or the last by hint. */
	score += prefers_last(s, h->owner) ? 2 * row : -row;
	s->c[s->n++] = (struct candidate){h->owner, *v, score, h->first, h->end};
	*v = (struct ocr_value){};
	return 0;
}

/* A text that goes on in lower case right after its "label" is a sentence: "Account fees may apply". */
static bool is_prose(const struct layout *l, const struct label_hit *h, size_t i)
{
	const char *s = l->words[i].text;

	return !l->words[i].segment_start && !ends_in(&l->words[h->end - 1], ":#") && *s >= 'a' && *s <= 'z';
}

/* 1 when there is a value at the right. */
static int add_right(struct search *s, const struct label_hit *h)
{
	const struct layout *l = s->l;
	const struct field_spec *f = &s->t->fields[h->owner];
	const char *like = like_of(s, h->owner);
	size_t limit = value_limit(s, h->end, h->row), i = h->end;
	struct ocr_value v = {};
	int score = 1000, r;

	while (i < limit && !*l->words[i].norm && strspn(l->words[i].text, ":;.") == strlen(l->words[i].text))
		i++;
	if (i == limit || (f->kind == FIELD_TEXT && is_prose(l, h, i)))
		return 0;
	score -= MAX(l->words[i].x0 - l->words[h->end - 1].x1, 0) * LOSS_FAR / MAX(l->width, 1);
	if (f->kind == FIELD_TEXT || f->kind == FIELD_ENUM)
		limit = layout_segment_end(l, i, limit);
	r = ocr_value_find(l, f, like, i, limit, &v);
	if (r <= 0)
		return r;
	score -= LOSS_SKIPPED * (int)MIN(v.first - i, (size_t)10);
	return add_candidate(s, h, &v, score) < 0 ? -ENOMEM : 1;
}

/* The row's segment that stands under the label, and how badly it does. l->n: none. */
static size_t segment_below(const struct layout *l, const struct label_hit *h, size_t row, int *ret_off)
{
	const struct layout_row *r = &l->rows[row];
	int x0 = l->words[h->first].x0, x1 = l->words[h->end - 1].x1, best = INT32_MAX;
	size_t found = l->n;

	for (size_t i = r->first, end; i < r->end; i = end) {
		int a = l->words[i].x0, b, off;

		end = layout_segment_end(l, i, r->end);
		b = l->words[end - 1].x1;
		off = MIN(abs(a - x0), MIN(abs(b - x1), abs((a + b) / 2 - (x0 + x1) / 2)));
		if (a < x1 + l->line_height && b > x0 - l->line_height && off < best) {
			best = off;
			found = i;
		}
	}
	*ret_off = best;
	return found;
}

static bool begins_label(const struct search *s, size_t word)
{
	for (size_t i = 0; i < s->hits->n; i++)
		if (s->hits->hits[i].first == word)
			return true;
	return false;
}

static int add_below(struct search *s, const struct label_hit *h)
{
	const struct layout *l = s->l;
	const struct field_spec *f = &s->t->fields[h->owner];
	int looked = 0;

	for (size_t row = h->row + 1; row < l->n_rows && looked < BELOW_LINES; row++) {
		int off, score = 1000 - LOSS_BELOW - LOSS_NEXT_LINE * looked, r;
		size_t i = segment_below(l, h, row, &off), limit;
		struct ocr_value v = {};

		if (l->rows[row].y - l->rows[h->row].y > BELOW_HEIGHTS * l->line_height)
			return 0;
		if (i == l->n)
			continue;
		if (begins_label(s, i) || l->words[i].claimed)
			return 0;
		limit = value_limit(s, i, row);
		limit = layout_segment_end(l, i, limit);
		r = ocr_value_find(l, f, like_of(s, h->owner), i, limit, &v);
		if (r < 0)
			return r;
		if (ends_in(&l->words[h->end - 1], ":"))
			score -= LOSS_COLON;
		if (r > 0)
			return add_candidate(s, h, &v, score - MIN(off * LOSS_FAR / MAX(l->width, 1), 100));
		looked++;
	}
	return 0;
}

/* A label for a text must begin a segment, or any word of a sentence would be one. */
static bool may_be_label(const struct search *s, const struct label_hit *h)
{
	const struct field_spec *f = &s->t->fields[h->owner];
	const struct layout_word *w = &s->l->words[h->first];

	if (is_claimed(s->l, h->first, h->end))
		return false;
	return f->kind != FIELD_TEXT || like_of(s, h->owner) || w->segment_start || ends_in(w - 1, ":;|/-");
}

static int collect(struct search *s)
{
	for (size_t i = 0; i < s->hits->n; i++) {
		const struct label_hit *h = &s->hits->hits[i];

		if (s->t->fields[h->owner].kind == FIELD_ROWS || !may_be_label(s, h))
			continue;
		if (add_right(s, h) < 0 || add_below(s, h) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->score != y->score)
		return y->score - x->score;
	if (x->field != y->field)
		return (x->field > y->field) - (x->field < y->field);
	return (x->value.first > y->value.first) - (x->value.first < y->value.first);
}

int ocr_fields_by_label(
	struct layout *l, const struct doctype *t, const struct label_hits *hits, struct ocr_found *found)
{
	struct search s = {
		.l = l, .t = t, .hits = hits, .c = calloc(CANDIDATES_MAX, sizeof(struct candidate))};
	int r = s.c ? collect(&s) : -ENOMEM;

	if (s.n > 0)
		qsort(s.c, s.n, sizeof(*s.c), by_score);
	for (size_t i = 0; i < s.n; i++) {
		struct candidate *c = &s.c[i];

		if (r >= 0 && !found[c->field].value.json && c->score > 0 &&
			!is_claimed(l, c->value.first, c->value.end)) {
			layout_claim(l, c->value.first, c->value.end);
			layout_claim(l, c->label_first, c->label_end);
			found[c->field] = (struct ocr_found){.value = c->value, .by_label = true};
			c->value = (struct ocr_value){};
		}
		ocr_value_free(&c->value);
	}
	free(s.c);
	return r;
}
