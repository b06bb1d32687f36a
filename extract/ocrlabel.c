#include "extract/ocrlabel.h"

#define LABEL_BYTES_MAX 96
#define LABEL_LOOKALIKE 950
#define LABEL_SLACK     3 /* letters by which a label's length may differ */
#define LABEL_NEAR      850

int label_set_add(struct label_set *s, const cJSON *phrases, size_t owner)
{
	size_t more = (size_t)cJSON_GetArraySize(phrases);
	struct label *grown = reallocarray(s->labels, s->n + more + 1, sizeof(*grown));
	const cJSON *p;
	int rank = 0;

	if (!grown)
		return -ENOMEM;
	s->labels = grown;
	cJSON_ArrayForEach (p, phrases) {
		char *norm = cJSON_IsString(p) ? layout_norm(p->valuestring) : strdup("");
		size_t len = norm ? strlen(norm) : 0;

		if (!norm)
			return -ENOMEM;
		if (len > 0 && len < LABEL_BYTES_MAX)
			s->labels[s->n++] = (struct label){norm, len, owner, rank++};
		else
			free(norm);
	}
	return 0;
}

void label_set_free(struct label_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->labels[i].norm);
	free(s->labels);
	*s = (struct label_set){};
}

void label_hits_free(struct label_hits *h)
{
	free(h->hits);
	*h = (struct label_hits){};
}

/* ---- comparing ---------------------------------------------------------------------------------------- */

/* One sign for those that are taken for each other; `out` has room for `s`. */
static void fold(const char *s, char *out)
{
	for (; *s; s++) {
		if (*s == '0')
			*out++ = 'o';
		else if (strchr("1i!|", *s))
			*out++ = 'l';
		else if (*s == '5' || *s == '$')
			*out++ = 's';
		else if (*s == '8')
			*out++ = 'b';
		else if (s[0] == 'r' && s[1] == 'n') {
			*out++ = 'm';
			s++;
		} else
			*out++ = *s;
	}
	*out = 0;
}

/* Levenshtein distance, both shorter than LABEL_BYTES_MAX. */
static unsigned int distance(const char *a, const char *b)
{
	size_t n = strlen(b);
	uint8_t row[LABEL_BYTES_MAX + 1];

	for (size_t k = 0; k <= n; k++)
		row[k] = (uint8_t)k;
	for (size_t i = 0; a[i]; i++) {
		uint8_t diagonal = row[0];

		row[0] = (uint8_t)(i + 1);
		for (size_t k = 0; k < n; k++) {
			uint8_t substituted = (uint8_t)(diagonal + (a[i] != b[k]));

			diagonal = row[k + 1];
			row[k + 1] = MIN(substituted, (uint8_t)(MIN(row[k], row[k + 1]) + 1));
		}
	}
	return row[n];
}

/* How well two normalised texts agree: LABEL_EXACT, less, or 0 (not the same phrase). */
static int label_compare(const char *want, const char *got)
{
	size_t n = strlen(want), m = strlen(got);
	char a[LABEL_BYTES_MAX], b[LABEL_BYTES_MAX];
	unsigned int allowed = n >= 12 ? 2 : n >= 6 ? 1 : 0;

	if (n == m && streq(want, got))
		return LABEL_EXACT;
	if (n < 3 || m >= LABEL_BYTES_MAX || n + LABEL_SLACK < m || m + LABEL_SLACK < n)
		return 0;
	fold(want, a);
	fold(got, b);
	if (streq(a, b))
		return LABEL_LOOKALIKE;
	/* Both ends are seldom wrong at once, and most words are nothing like the label. */
	if (allowed == 0 || !*b || (a[0] != b[0] && a[strlen(a) - 1] != b[strlen(b) - 1]))
		return 0;
	return distance(a, b) <= allowed ? LABEL_NEAR : 0;
}

/* ---- finding ------------------------------------------------------------------------------------------ */

static int add_hit(struct label_hits *h, struct label_hit hit)
{
	if (h->n == LABEL_HITS_MAX)
		return 0;
	if ((h->n & (h->n + 1)) == 0) { /* full at 0, 1, 3, 7 ... */
		struct label_hit *grown = reallocarray(h->hits, 2 * h->n + 1, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		h->hits = grown;
	}
	h->hits[h->n++] = hit;
	return 0;
}

/* Of one label at one place the better reading counts: "Due date" and not, with a letter too many, "Due date
 * 3". */
static int add_better(struct label_hits *h, size_t since, struct label_hit hit)
{
	for (size_t i = since; i < h->n; i++) {
		struct label_hit *old = &h->hits[i];

		if (old->owner != hit.owner || old->rank != hit.rank)
			continue;
		if (hit.score > old->score)
			*old = hit;
		return 0;
	}
	return add_hit(h, hit);
}

/* All labels that words[i..] begin with, within a segment. */
static int find_at(
	const struct layout *l, const struct label_set *s, size_t i, size_t end, struct label_hits *h)
{
	char text[LABEL_BYTES_MAX] = "";
	size_t len = 0, since = h->n, stop = layout_segment_end(l, i, end);

	for (size_t k = i; k < stop; k++) {
		size_t add = strlen(l->words[k].norm);

		if (len + add >= sizeof(text))
			break;
		memcpy(text + len, l->words[k].norm, add + 1);
		len += add;
		if (add == 0) /* a label does not end in a lone dash or colon */
			continue;
		for (size_t x = 0; x < s->n; x++) {
			size_t n = s->labels[x].len;
			int score = len > n + LABEL_SLACK || n > len + LABEL_SLACK
					    ? 0
					    : label_compare(s->labels[x].norm, text);

			if (score > 0 && add_better(h, since,
						 (struct label_hit){i, k + 1, 0, s->labels[x].owner,
							 s->labels[x].rank, score}) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* Longer before shorter, then better before worse; in page order within equals. */
static int by_strength(const void *a, const void *b)
{
	const struct label_hit *x = a, *y = b;
	size_t n = x->end - x->first, m = y->end - y->first;

	if (n != m)
		return (m > n) - (m < n);
	if (x->score != y->score)
		return y->score - x->score;
	if (x->first != y->first)
		return (x->first > y->first) - (x->first < y->first);
	return x->rank - y->rank;
}

static int by_page(const void *a, const void *b)
{
	const struct label_hit *x = a, *y = b;

	if (x->first != y->first)
		return (x->first > y->first) - (x->first < y->first);
	return x->owner != y->owner ? (x->owner > y->owner) - (x->owner < y->owner) : x->rank - y->rank;
}

/* Is this hit hidden by one that was kept? The same words may serve several owners, but not near where one is
 * exact. */
static bool is_hidden(const struct label_hit *h, const struct label_hit *kept)
{
	if (h->end <= kept->first || kept->end <= h->first)
		return false;
	if (h->first != kept->first || h->end != kept->end)
		return true;
	return h->owner == kept->owner || h->score < kept->score;
}

int label_find(
	const struct layout *l, const struct label_set *s, size_t first, size_t end, struct label_hits *ret)
{
	struct label_hits h = {};
	size_t kept = 0;
	int r = 0;

	for (size_t i = first; r >= 0 && i < end; i++)
		if (*l->words[i].norm)
			r = find_at(l, s, i, end, &h);
	if (r < 0) {
		label_hits_free(&h);
		return r;
	}
	if (h.n > 0)
		qsort(h.hits, h.n, sizeof(*h.hits), by_strength);
	for (size_t i = 0; i < h.n; i++) {
		bool hidden = false;

		for (size_t k = 0; k < kept && !hidden; k++)
			hidden = is_hidden(&h.hits[i], &h.hits[k]);
		if (!hidden)
			h.hits[kept++] = h.hits[i];
	}
	h.n = kept;
	if (h.n > 0)
		qsort(h.hits, h.n, sizeof(*h.hits), by_page);
	for (size_t i = 0; i < h.n; i++)
		h.hits[i].row = layout_row_of(l, h.hits[i].first);
	*ret = h;
	return 0;
}
