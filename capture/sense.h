/*
 * Page sense: looks at the rows of the scaled page as they go to the encoder and says at its end whether it came out well
 * (the glass gate) and whether anything is on it. What is kept is a grid of figures of 64 x 64 tiles, four
 * lines along the edges and some figures of each column: about 60 KiB at 2048 pixels.
 */
#pragma once

#include "base/json.h"
#include "capture/image.h"

#define SENSE_SIDE_MIN 256 /* pixels: of a page that is smaller on either side nothing is said */

struct sense_options {
	bool gate, blank;
	bool hash, thumbnail; /* capture/thumb.h */
};

enum sense_verdict {
	SENSE_GOOD,
	SENSE_NOTHING, /* no page in the frame */
	SENSE_BLURRED,
	SENSE_GLARE,
	SENSE_CUT_OFF, /* text runs off the frame, or the page does, with text near that side */
};
const char *sense_verdict_name(enum sense_verdict v);

enum { SENSE_TOP = 1, SENSE_RIGHT = 2, SENSE_BOTTOM = 4, SENSE_LEFT = 8 };

/* What was found. Shares are of the page's area. */
struct sense_result {
	bool judged;                /* false: switched off, or too small a page */
	struct sense_options asked; /* of these, the ones that were */
	enum sense_verdict verdict;
	uint8_t paper;        /* luma of the page's lighter parts */
	double text;          /* share with writing on it */
	double sharpness;     /* steepest edges of the writing, of its contrast a pixel; 0: too little writing to say */
	double glare;         /* share of what light has washed out */
	unsigned int cut_off; /* SENSE_TOP | ... */
	bool blank;           /* nothing on it but, perhaps, what shines through from the back */
	bool hashed;          /* asked for, and the page is not too small */
	uint64_t hash;
	unsigned int marks;   /* parts, of SENSE_PARTS, that bear a mark; show-through and dust are none */
};
#define SENSE_PARTS 4096

/* Is anything of its record? A thumbnail is not. */
static inline bool sense_asked(const struct sense_options *o)
{
	return o->gate || o->blank || o->hash;
}

struct sense;
/* For a page of this size, one plane or three (chroma of half the size, rounded up). */
int sense_new(const struct sense_options *o, uint32_t width, uint32_t height, unsigned int n_planes,
	struct sense **ret);
/* The next row of a plane of the upright page. Rows of each plane come in order, in any mix. */
void sense_row(struct sense *s, unsigned int plane, const uint8_t *row);
/* All rows were given. Adds what it finds. */
void sense_judge(struct sense *s, struct sense_result *ret);
void sense_free(struct sense *s); /* NULL is fine */

/* "gate,blank,hash,thumbnail" into the switches: words with commas; "none". 0 or -EINVAL. */
int sense_parse(const char *words, struct sense_options *ret);
/* As it is kept with the page: docs/architecture.md, "Page sense". */
int sense_json(const struct sense_result *r, cJSON **ret);
