/* Whose phrases does a page speak? Private to the OCR mapping. */
#pragma once

#include "extract/ocrlabel.h"

struct phrase_score {
	int score;    /* hundredths of a word: each phrase once, a heading twice */
	size_t first; /* words of its first hit */
	size_t end;
};

/* Adds up the phrases of `s` that are on the page, by owner (below n). 0 or -ENOMEM. */
int phrase_scores(const struct layout *l, const struct label_set *s, struct phrase_score *scores, size_t n);
