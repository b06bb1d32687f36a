/*
 * Fields without a label on the page, by the type's "ocr" member (docs/document-types.md, "OCR hints"):
 *   {"rule": "largest", "not": [...]}       the largest short line in the page's upper third that is none of
 * these
 *   {"rule": "any"}                         the first value of that kind that nothing else has taken
 *   {"rule": "find", "words": [...]}        the first of these phrases, as printed
 *   {"rule": "choose", "words": {V: [...]}, "else": V}   the value whose phrases the page speaks most
 *   {"rule": "after", "field": F}           the next value of that kind right of F's ("1 May to 31 May")
 */
#include "extract/checks.h"
#include "extract/ocrclassify.h"
#include "extract/ocrfield.h"

#define TOP_PERCENT 35
#define NAME_WORDS  8 /* more are a sentence */
#define CHOICES_MAX 32

struct hint {
	struct layout *l;
	const struct doctype *t;
	const struct label_hits *hits;
	const struct field_spec *f;
	const cJSON *json;
	struct ocr_found *all;   /* of every field */
	struct ocr_found *found; /* of this one */
};

static int claim(const struct hint *h, struct ocr_value v)
{
	layout_claim(h->l, v.first, v.end);
	*h->found = (struct ocr_found){.value = v};
	return 0;
}

/* ---- largest ------------------------------------------------------------------------------------------ */

/* Letters without tails or a dot are lower than others: the tallest word is the line's size. */
static int segment_height(const struct layout *l, size_t first, size_t end)
{
	int h = 0;

	for (size_t i = first; i < end; i++)
		h = MAX(h, l->words[i].y1 - l->words[i].y0);
	return h;
}

/* Taken, a label, or mostly words of "not". */
static bool is_excluded(const struct hint *h, const struct label_hits *others, size_t first, size_t end)
{
	size_t words = 0;

	for (size_t i = first; i < end; i++)
		if (h->l->words[i].claimed)
			return true;
	for (size_t i = 0; i < h->hits->n; i++)
		if (h->hits->hits[i].first == first)
			return true;
	for (size_t i = 0; i < others->n; i++)
		if (others->hits[i].first >= first && others->hits[i].end <= end)
			words += others->hits[i].end - others->hits[i].first;
	return words * 2 >= end - first;
}

static int largest(const struct hint *h)
{
	_cleanup_(label_set_free) struct label_set set = {};
	_cleanup_(label_hits_free) struct label_hits others = {};
	struct layout *l = h->l;
	struct ocr_value best = {};
	int best_height = 0, r = label_set_add(&set, json_get_array(h->json, "not"), 0);
	int bottom = l->n_rows > 0 ? l->rows[0].y + l->height * TOP_PERCENT / 100 : 0;

	if (r < 0 || label_find(l, &set, 0, l->n, &others) < 0)
		return -ENOMEM;
	for (size_t row = 0; row < l->n_rows && l->rows[row].y <= bottom; row++)
		for (size_t i = l->rows[row].first, end; i < l->rows[row].end; i = end) {
			struct ocr_value v = {};
			int height;

			end = layout_segment_end(l, i, l->rows[row].end);
			height = segment_height(l, i, end);
			/* A sixth larger than what stands above it: printing and reading vary by less. */
			if (end - i > NAME_WORDS || height * 6 <= best_height * 7 ||
				is_excluded(h, &others, i, end))
				continue;
			r = ocr_value_read(l, h->f, "[[:alpha:]]{2}", i, end, &v);
			if (r < 0) {
				ocr_value_free(&best);
				return r;
			}
			if (r > 0) {
				ocr_value_free(&best);
				best = v;
				best_height = height;
			}
		}
	return best.json ? claim(h, best) : 0;
}

/* ---- any, after --------------------------------------------------------------------------------------- */

static bool is_plausible(const struct field_spec *f, const struct ocr_value *v)
{
	return !v->repaired &&
	       (f->kind != FIELD_ABN || (cJSON_IsString(v->json) && abn_valid(v->json->valuestring)));
}

static int find_within(const struct hint *h, size_t first, size_t end)
{
	struct ocr_value v = {};
	int r = ocr_value_find(h->l, h->f, json_get_string(h->json, "like"), first, end, &v);

	if (r <= 0)
		return r;
	if (!is_plausible(h->f, &v)) {
		ocr_value_free(&v);
		return 0;
	}
	claim(h, v);
	return 1;
}

/* Runs of words that nothing has taken, in page order. */
static int any(const struct hint *h)
{
	const struct layout *l = h->l;

	for (size_t row = 0; row < l->n_rows; row++)
		for (size_t i = l->rows[row].first, end; i < l->rows[row].end; i = end) {
			int r;

			for (end = i;
				end < MIN(l->rows[row].end, i + OCR_FIND_WORDS_MAX) && !l->words[end].claimed;
				end++)
				;
			r = find_within(h, i, end);
			if (r != 0)
				return MIN(r, 0);
			end += end < l->rows[row].end && l->words[end].claimed;
		}
	return 0;
}

static int after(const struct hint *h)
{
	const char *name = json_get_string(h->json, "field");
	const struct layout *l = h->l;

	for (size_t k = 0; name && k < h->t->n_fields; k++) {
		const struct ocr_value *v = &h->all[k].value;
		size_t end;

		if (!streq(h->t->fields[k].name, name) || !v->json)
			continue;
		for (end = v->end; end < l->rows[layout_row_of(l, v->first)].end && !l->words[end].claimed;
			end++)
			;
		return MIN(find_within(h, v->end, end), 0);
	}
	return 0;
}

/* ---- find, choose ------------------------------------------------------------------------------------- */

static int find(const struct hint *h)
{
	_cleanup_(label_set_free) struct label_set set = {};
	_cleanup_(label_hits_free) struct label_hits hits = {};
	int r;

	if (label_set_add(&set, json_get_array(h->json, "words"), 0) < 0 ||
		label_find(h->l, &set, 0, h->l->n, &hits) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < hits.n; i++) {
		struct ocr_value v = {};

		r = ocr_value_read(h->l, h->f, NULL, hits.hits[i].first, hits.hits[i].end, &v);
		if (r != 0)
			return r < 0 ? r : claim(h, v);
	}
	return 0;
}

static int choose_value(const struct hint *h, const char *value, const struct phrase_score *where)
{
	struct ocr_value v = {.first = where->first, .end = where->end, .text = strdup("")};
	_cleanup_json_ cJSON *string = cJSON_CreateString(value);

	if (!v.text || !string) {
		free(v.text);
		return -ENOMEM;
	}
	v.json = take_ptr(string);
	*h->found = (struct ocr_found){.value = v}; /* its words may serve others too */
	return 0;
}

static int choose(const struct hint *h)
{
	_cleanup_(label_set_free) struct label_set set = {};
	const cJSON *choices = json_get_object(h->json, "words"), *c;
	const char *names[CHOICES_MAX], *otherwise = json_get_string(h->json, "else");
	struct phrase_score scores[CHOICES_MAX];
	size_t n = 0, best = 0;

	cJSON_ArrayForEach (c, choices) {
		if (n == CHOICES_MAX)
			break;
		if (label_set_add(&set, c, n) < 0)
			return -ENOMEM;
		names[n++] = c->string;
	}
	if (n == 0 || phrase_scores(h->l, &set, scores, n) < 0)
		return n == 0 ? 0 : -ENOMEM;
	for (size_t i = 1; i < n; i++)
		if (scores[i].score > scores[best].score)
			best = i;
	if (scores[best].score > 0)
		return choose_value(h, names[best], &scores[best]);
	return otherwise ? choose_value(h, otherwise, &(struct phrase_score){}) : 0;
}

/* ------------------------------------------------------------------------------------------------------- */

int ocr_fields_by_hint(
	struct layout *l, const struct doctype *t, const struct label_hits *hits, struct ocr_found *found)
{
	static const struct {
		const char *name;
		int (*apply)(const struct hint *h);
	} rules[] = {
		{"largest", largest}, {"any", any}, {"find", find}, {"choose", choose}, {"after", after}};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < t->n_fields; i++) {
		struct hint h = {l, t, hits, &t->fields[i], json_get_object(t->ocr, t->fields[i].name), found,
			&found[i]};
		const char *rule = json_get_string(h.json, "rule");

		if (h.f->kind == FIELD_ROWS || found[i].value.json || !rule)
			continue;
		for (size_t k = 0; r >= 0 && k < ARRAY_SIZE(rules); k++)
			if (streq(rule, rules[k].name))
				r = rules[k].apply(&h);
	}
	return r;
}
