/* Tesseract: a grey page to words. The one file that includes its headers is tess.c. */
#pragma once

#include "ocr/grey.h"
#include "ocr/words.h"

#define TESS_WORDS_MAX    20000
#define TESS_LANGUAGE_MAX 31

struct tess_options {
	const char *language; /* "eng", "eng+deu": [A-Za-z0-9_+], at most TESS_LANGUAGE_MAX */
	const char *data;     /* folder of the language data; NULL: the library's own */
	int cancel_fd;        /* recognition ends when nobody reads this descriptor any more; -1: none */
};

/* Reasons: language, too-large, cancelled, engine, memory. 0 or negative errno with `fail` filled. The
 * picture is used up: what was read is painted over. */
int tess_read(const struct tess_options *o, struct grey *g, struct page_words *ret, struct ocr_fail *fail);
