#include "ocr/words.h"

#include "base/json.h"

int page_words_add(struct page_words *p, struct page_word w, const char *text)
{
	if (p->n == p->size) {
		size_t size = p->size ? 2 * p->size : 256;
		struct page_word *grown = reallocarray(p->words, size, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		p->words = grown;
		p->size = size;
	}
	w.text = strdup(text);
	if (!w.text)
		return -ENOMEM;
	p->words[p->n++] = w;
	return 0;
}

void page_words_free(struct page_words *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->words[i].text);
	free(p->words);
	*p = (struct page_words){};
}

/* Do they share half of the smaller one's area? */
static bool overlap(const struct page_word *a, const struct page_word *b)
{
	int64_t w = MIN(a->x + a->w, b->x + b->w) - MAX(a->x, b->x),
		h = MIN(a->y + a->h, b->y + b->h) - MAX(a->y, b->y);
	int64_t smaller = MIN((int64_t)a->w * a->h, (int64_t)b->w * b->h);

	return w > 0 && h > 0 && w * h * 2 >= smaller;
}

static void drop(struct page_words *p, size_t i)
{
	free(p->words[i].text);
	memmove(&p->words[i], &p->words[i + 1], (p->n - i - 1) * sizeof(*p->words));
	p->n--;
}

/* The engine may give a word the letters of its neighbour, and its own box: "2m" in the place of "m", with
 * "2" unread before it. True if `late` is such a neighbour and was taken off w's text. */
static bool take_off(struct page_word *w, const struct page_word *late)
{
	size_t n = strlen(late->text);
	int gap = w->x - (late->x + late->w), h = MAX(w->h, late->h);

	if (!starts_with(w->text, late->text) || strlen(w->text) == n)
		return false;
	if (gap < -h / 4 || gap > h || late->y >= w->y + w->h || w->y >= late->y + late->h)
		return false;
	memmove(w->text, w->text + n, strlen(w->text) - n + 1);
	return true;
}

/* `block`: words of p above it came late themselves. */
static int merge_one(struct page_words *p, const struct page_word *w, int block)
{
	for (size_t k = 0; k < p->n; k++) {
		const struct page_word *old = &p->words[k];
		bool keeps = w->confidence <= old->confidence ||
			     (old->block <= block && old->confidence >= PAGE_WORD_SURE);

		if (keeps && overlap(w, old))
			return 0;
	}
	for (size_t k = p->n; k > 0; k--)
		if (overlap(w, &p->words[k - 1]))
			drop(p, k - 1);
	for (size_t k = 0; k < p->n; k++)
		if (take_off(&p->words[k], w))
			break;
	return page_words_add(p, *w, w->text);
}

int page_words_merge_take(struct page_words *p, struct page_words *late)
{
	int block = p->n > 0 ? p->words[p->n - 1].block : 0, r = 0;

	for (size_t i = 0; r >= 0 && i < late->n; i++) {
		late->words[i].block += block;
		r = merge_one(p, &late->words[i], block);
	}
	page_words_free(late);
	return r;
}

int page_words_json(const struct page_words *p, struct buf *out)
{
	int r = buf_addc(out, '[');

	for (size_t i = 0; r >= 0 && i < p->n; i++) {
		const struct page_word *w = &p->words[i];

		r = buf_adds(out, i ? ",{\"t\":" : "{\"t\":");
		r = r < 0 ? r : json_quote(out, w->text, strlen(w->text));
		r = r < 0 ? r
			  : buf_addf(out, ",\"b\":[%d,%d,%d,%d],\"c\":%d,\"l\":[%d,%d,%d]}", w->x, w->y, w->w,
				    w->h, w->confidence, w->block, w->par, w->line);
	}
	return r < 0 ? r : buf_addc(out, ']');
}

int page_words_text(const struct page_words *p, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < p->n; i++) {
		const struct page_word *w = &p->words[i];

		if (i > 0)
			r = buf_adds(out, w->block != w[-1].block || w->par != w[-1].par ? "\n\n"
					  : w->line != w[-1].line                        ? "\n"
											 : " ");
		r = r < 0 ? r : buf_adds(out, w->text);
	}
	return r;
}
