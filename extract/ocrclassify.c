#include "extract/ocrclassify.h"

/* One short word alone tells nothing: a letter may say "statement" too. */
#define CLASSIFY_LEAST 200

/* A segment of its own in larger letters. */
static bool is_heading(const struct layout *l, const struct label_hit *h)
{
	const struct layout_row *r = &l->rows[h->row];

	if (!l->words[h->first].segment_start || layout_segment_end(l, h->first, r->end) != h->end)
		return false;
	return (l->words[h->first].y1 - l->words[h->first].y0) * 10 >= l->line_height * 13;
}

int phrase_scores(const struct layout *l, const struct label_set *s, struct phrase_score *scores, size_t n)
{
	_cleanup_(label_hits_free) struct label_hits hits = {};
	_cleanup_free_ bool *seen = calloc(s->n + 1, sizeof(*seen));

	if (!seen || label_find(l, s, 0, l->n, &hits) < 0)
		return -ENOMEM;
	memset(scores, 0, n * sizeof(*scores));
	for (size_t i = 0; i < hits.n; i++) {
		const struct label_hit *h = &hits.hits[i];
		size_t k;

		for (k = 0; k < s->n && (s->labels[k].owner != h->owner || s->labels[k].rank != h->rank); k++)
			;
		if (h->owner >= n || k == s->n || seen[k])
			continue;
		seen[k] = true;
		if (scores[h->owner].score == 0) {
			scores[h->owner].first = h->first;
			scores[h->owner].end = h->end;
		}
		scores[h->owner].score +=
			(50 + 50 * (int)MIN(h->end - h->first, (size_t)4)) * (is_heading(l, h) ? 2 : 1);
	}
	return 0;
}

int ocr_classify(const struct typeset *s, const struct ocr_words *w, const struct doctype **ret)
{
	_cleanup_(label_set_free) struct label_set set = {};
	_cleanup_layout_ struct layout *l = NULL;
	struct phrase_score scores[TYPESET_MAX];
	const struct doctype *best = s->types[0];
	int most = CLASSIFY_LEAST - 1;

	if (layout_new(w, &l) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_types; i++)
		if (label_set_add(&set, s->types[i]->classify, i) < 0)
			return -ENOMEM;
	if (phrase_scores(l, &set, scores, s->n_types) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_types; i++)
		if (scores[i].score > most) {
			most = scores[i].score;
			best = s->types[i];
		}
	*ret = best;
	return 0;
}
