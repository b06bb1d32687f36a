/*
 * OCR words to a type's fields, by labels and layout: the value on the same line right of its label, else the nearest
 * right with vertical overlap, else below. Every candidate must pass its kind's parser. Pure.
 */
#pragma once

#include "extract/doctype.h"

struct ocr_word {
	const char *text; /* borrowed; UTF-8 */
	int x, y, w, h;   /* pixels of the page file */
	int confidence;   /* 0..100 */
	int block, par, line; /* Tesseract's grouping; equal triples are one line */
};

struct ocr_words {
	struct ocr_word *words; /* owned array */
	size_t n;
	int width, height;      /* of the page, pixels */
	cJSON *json;            /* owned: the texts */
};

#define OCR_WORDS_MAX 20000

/* The helper's reply (frames, docs/architecture.md) to words. 0, -EBADMSG (not well-formed or cut off), -EREMOTEIO (the
 * helper reported a problem, "REASON: MESSAGE" in why), -ENOMEM. */
int ocr_words_parse(const char *reply, size_t len, struct ocr_words **ret, char *why, size_t why_size);
void ocr_words_free(struct ocr_words *w);
/* Which type of the set do the words speak of, by their "classify" strings? types[0] when none does. 0 or -ENOMEM. */
int ocr_classify(const struct typeset *s, const struct ocr_words *w, const struct doctype **ret);
/* Values found, as the JSON object answer_parse() understands, and their evidence. 0 or -ENOMEM. */
int ocr_map(const struct doctype *t, const struct ocr_words *w, cJSON **ret_answer, cJSON **ret_evidence);
