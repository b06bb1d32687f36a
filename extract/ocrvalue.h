/* A run of words read as a field's value. Private to the OCR mapping. */
#pragma once

#include "extract/ocrlayout.h"

/* Words beyond are not looked at: no line of a page has more, and a hostile one must not take the loop's
 * time. */
#define OCR_FIND_WORDS_MAX 24

struct ocr_value {
	cJSON *json;       /* owned, as field_value_parse() makes it */
	char *text;        /* owned: as read on the page */
	size_t first, end; /* its words */
	bool repaired;     /* letters were taken for digits to make it fit */
};

/* words[first..end) as one value. `like` (may be NULL) is an extended regular expression that the text must
 * match. 1 with ret filled, 0 when it is none, -ENOMEM. */
int ocr_value_read(const struct layout *l, const struct field_spec *f, const char *like, size_t first,
	size_t end, struct ocr_value *ret);
/* The first, longest run within words[first..end) that is a value of a typed kind; a text is the whole or
 * nothing unless `like` is given. Returns as ocr_value_read(). */
int ocr_value_find(const struct layout *l, const struct field_spec *f, const char *like, size_t first,
	size_t end, struct ocr_value *ret);
void ocr_value_free(struct ocr_value *v);
