/* The words that were read, and how they are written. */
#pragma once

#include "base/buf.h"

struct page_word {
	char *text; /* owned, UTF-8, checked */
	int x, y, w, h;
	int confidence; /* 0..100 */
	int block, par, line;
};

struct page_words {
	struct page_word *words; /* owned */
	size_t n, size;
};

/* Copies text. 0 or -ENOMEM. */
int page_words_add(struct page_words *p, struct page_word w, const char *text);
void page_words_free(struct page_words *p);
#define PAGE_WORD_SURE 50 /* a word of this confidence is not looked at again */

/* Takes the words of `late` in, which were read where `p` had found nothing or was not sure: they replace
 * words that are neither sure nor as confident. */
int page_words_merge_take(struct page_words *p, struct page_words *late);
/* Array of {"t","b","c","l"}: docs/architecture.md, frame "words". */
int page_words_json(const struct page_words *p, struct buf *out);
/* Lines of text, for people. */
int page_words_text(const struct page_words *p, struct buf *out);
