/*
 * From what a model or OCR said to typed fields, checked.
 *
 *   answer_parse()   raw text -> typed values (money as decimal strings, dates ISO 8601); what does not fit is named
 *   checks_run()     extract/checks.h: proof by arithmetic and checksums, outside the model
 *   answer_score()   the page's worst required field
 */
#pragma once

#include "extract/doctype.h"

enum proof {
	PROOF_UNPROVEN,  /* somebody said so */
	PROOF_SUPPORTED, /* the value's text was found on the page by OCR, by its label */
	PROOF_VERIFIED,  /* a check outside the model proves it */
};

struct field_value {
	const struct field_spec *spec;
	cJSON *value;     /* owned, typed and within the schema; NULL: absent */
	enum proof proof;
	const char *check; /* static: the name of the check that proved (or "" ) */
	char *problem;    /* owned; NULL, or why there is no value / why a check fails ("not a date: 31/31/26") */
	double confidence; /* 0..1 as the reader reported it; -1: unknown. Never decides anything by itself. */
	uint32_t proven_columns; /* FIELD_ROWS: a bit a column whose cells a check proves, in every row; `proof` speaks of these */
	uint32_t page;    /* of several that were read one by one, from 1: the box is on it; 0: it is not told */
	int box[4];       /* x, y, width, height in the page file's pixels; width 0: unknown */
};

struct answer {
	const struct doctype *type; /* borrowed */
	struct field_value *fields; /* owned, type->n_fields of them, same order */
	size_t n_fields;
	char *problems; /* owned, may be NULL: what was said that fits nowhere, one a line */
};

/* Parses tolerantly: JSON, JSON in a ``` fence, JSON inside prose, or "KEY: value" lines (names, titles and labels are
 * understood, case and punctuation ignored). Values that do not fit their kind or schema are left out with a problem.
 * 0, -ENODATA (nothing in it could be read as fields), -ENOMEM. The caller keeps the raw text. */
int answer_parse(const struct doctype *t, const char *raw, size_t len, struct answer **ret);
void answer_free(struct answer *a);
/* A document's page that was read by itself joins those before (NULL: it is the first): what they have not is taken, rows are
 * added. Takes the part, also on failure. Checks are run after. 0, -EINVAL (another type), -ENOMEM. */
int answer_join(struct answer **sum, struct answer *part, uint32_t page);
/* Evidence of extract/ocrmap.h: {"FIELD": {"text":..., "box":[x,y,w,h], "confidence": 0.93}, ...} -> supported, boxes.
 * 0 or -ENOMEM. */
int answer_add_evidence(struct answer *a, const cJSON *evidence);
struct field_value *answer_field(const struct answer *a, const char *name);
const char *proof_name(enum proof p); /* "unproven", "supported", "verified" */

enum answer_state {
	ANSWER_COMPLETE,   /* every required field is there, no check fails */
	ANSWER_INCOMPLETE, /* a required field is missing */
	ANSWER_DOUBTFUL,   /* a check fails */
};
enum answer_state answer_score(const struct answer *a);
const char *answer_state_name(enum answer_state s);
/* Adds "type", "type_version", "state", "fields", "problems" of the result JSON (docs/result.schema.json) to obj. */
int answer_to_json(const struct answer *a, cJSON *obj);
/* Values as people write them on Australian pages, to the typed form: the kinds' own parsers, also used by OCR mapping.
 * 0 and an owned JSON value, -EINVAL with why, or -ENOMEM. */
int field_value_parse(const struct field_spec *f, const char *text, cJSON **ret, char *why, size_t why_size);
