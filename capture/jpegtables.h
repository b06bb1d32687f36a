/*
 * What a page is quantised and coded with, in place of the examples of ITU-T T.81, annex K: made for documents, the
 * same for every page, so that nothing has to be held for a second look. Made by tests/tools/jpegtables.py.
 */
#pragma once

#include <stdint.h>

/* Luma steps at quality 50, in rows. Chroma has annex K's: it is 3 % of a page. */
extern const unsigned int jpegtables_luma[64];

/* A Huffman code as a DHT segment has it; every symbol that an 8-bit picture can need is in it. */
struct jpegtables_code {
	uint8_t bits[17];    /* how many codes have that many bits; [0] is 0 */
	uint8_t values[162]; /* symbols, shortest codes first */
};
extern const struct jpegtables_code jpegtables_dc[2], jpegtables_ac[2]; /* luma, chroma */
