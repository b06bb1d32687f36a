/*
 * Labels on a page: runs of words that read like one of a list of phrases, forgiving what OCR does to
 * letters. Private to the OCR mapping.
 */
#pragma once

#include "extract/ocrlayout.h"

#define LABEL_HITS_MAX 1024
#define LABEL_EXACT    1000

struct label {
	char *norm; /* owned */
	size_t len;
	size_t owner; /* index of the field, column or type that uses it */
	int rank;     /* place in its list, 0 first */
};

struct label_set {
	struct label *labels; /* owned */
	size_t n;
};

struct label_hit {
	size_t first, end; /* words */
	size_t row;
	size_t owner;
	int rank;
	int score; /* LABEL_EXACT, or less where letters differ */
};

struct label_hits {
	struct label_hit *hits; /* owned; by place on the page */
	size_t n;
};

/* Adds a phrase list (an array of strings; NULL adds nothing). 0 or -ENOMEM. */
int label_set_add(struct label_set *s, const cJSON *phrases, size_t owner);
void label_set_free(struct label_set *s);
/* Every hit in words[first..end), longest first where they overlap: a hit within a longer one is none
 * ("Total" in "Total GST"). Hits of several owners on the same words all count. */
int label_find(
	const struct layout *l, const struct label_set *s, size_t first, size_t end, struct label_hits *ret);
void label_hits_free(struct label_hits *h);
