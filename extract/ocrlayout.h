/*
 * A page's words straightened and put in rows: what labels and values are looked for in. Private to the OCR
 * mapping.
 *
 * Tesseract's own lines end at its blocks, so a label and its value across the page are in different lines; a
 * row here is everything at one height. Within a row, a gap wider than a blank begins a new segment (a cell,
 * a column).
 */
#pragma once

#include "extract/ocrmap.h"

struct layout_word {
	char *text;                    /* owned */
	char *norm;                    /* owned: the text as layout_norm() writes it; may be "" */
	const struct ocr_word *source; /* borrowed: where it is on the page as it lies */
	int x0, y0, x1, y1;            /* straightened */
	bool segment_start;
	bool claimed; /* belongs to a value or table already */
};

struct layout_row {
	size_t first, end; /* words[first..end) by x */
	int y, h;          /* middle and usual height */
};

struct layout {
	struct layout_word *words; /* owned, row after row */
	size_t n;
	struct layout_row *rows; /* owned, top to bottom */
	size_t n_rows;
	int width, height;
	int line_height; /* the usual height of a word */
};

/* words must outlive it. 0 or -ENOMEM. */
int layout_new(const struct ocr_words *words, struct layout **ret);
void layout_free(struct layout *l);
static inline void layout_freep(struct layout **l)
{
	layout_free(*l);
}
#define _cleanup_layout_ _cleanup_(layout_freep)

/* Lower case without blanks and punctuation; '#', '$' and '%' stay, for they tell labels apart. Owned; NULL:
 * no memory. */
char *layout_norm(const char *text);
/* One past the last word of i's segment, at most `end`. */
size_t layout_segment_end(const struct layout *l, size_t i, size_t end);
/* The words' texts with `between` in between. */
int layout_text(const struct layout *l, size_t first, size_t end, const char *between, struct buf *out);
int layout_confidence(const struct layout *l, size_t first, size_t end); /* the worst word's, 0..100 */
void layout_claim(struct layout *l, size_t first, size_t end);
/* The row that holds word i. */
size_t layout_row_of(const struct layout *l, size_t i);
