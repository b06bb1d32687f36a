/*
 * Is a text that arrives in pieces still one JSON object, and is it whole? Syntax only (RFC 8259), a byte at a time, without keeping
 * the text: what says that it is whole must still be parsed. UTF-8 and duplicate names are not looked at.
 */
#pragma once

#include "base/json.h"

/* Zero-initialised is ready. */
struct jsonscan {
	uint64_t arrays;    /* a bit a level: set in an array, else in an object */
	unsigned int depth; /* open objects and arrays */
	int state;
	const char *word;   /* what is left of true, false or null */
	unsigned int hex;   /* digits of a \u escape that are to come */
};

/* 0: it may go on; 1: the object is whole and only blanks came behind it; -EBADMSG: it is none and never will be (again from then on). */
int jsonscan_take(struct jsonscan *s, const char *text, size_t len);
