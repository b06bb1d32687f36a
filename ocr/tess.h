/* Tesseract: a grey page to words. The one file that includes its headers is tess.c. */
#pragma once

#include "base/buf.h"
#include "ocr/grey.h"

#define TESS_WORDS_MAX     20000
#define TESS_LANGUAGE_MAX  31

struct tess_options {
	const char *language; /* "eng", "eng+deu": [A-Za-z0-9_+], at most TESS_LANGUAGE_MAX */
	const char *data;     /* folder of the language data; NULL: the library's own */
	int cancel_fd;        /* recognition ends when nobody reads this descriptor any more; -1: none */
};

struct tess_words {
	struct buf json; /* array of {"t","b","c","l"}: docs/architecture.md, frame "words" */
	struct buf text; /* the same as lines for people */
	int n;
};

/* Reasons: language, too-large, cancelled, engine, memory. 0 or negative errno with `fail` filled. */
int tess_read(const struct tess_options *o, const struct grey *g, struct tess_words *ret, struct ocr_fail *fail);
void tess_words_free(struct tess_words *w);
