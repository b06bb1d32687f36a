/*
 * Shared by the Bedrock files only:
 *   bedrock.c        the extractor: URL, headers, limits, what a reply means
 *   bedrock_model.c  which form a model is asked in, what it takes, how many tokens an image may be
 *   bedrock_body.c   the question in each of the three forms
 *   bedrock_stream.c an answer that arrives as a stream
 *   bedrock_options.c metadata, and what a guardrail traced
 *   bedrock_usage.c  tokens, as each form names them
 */
#pragma once

#include "cloud/bedrock.h"

#define BEDROCK_TOOL "record_fields"

/* Which words beside the form a model needs. */
enum bedrock_family { FAMILY_NOVA, FAMILY_CLAUDE, FAMILY_OTHER };

struct bedrock_limits {
	uint64_t request_bytes; /* whole body, base64 included */
	uint64_t image_bytes;   /* of one, before base64 */
	size_t images;
	uint32_t side;          /* pixels */
	int64_t output_tokens;  /* that the model gives at most; more is not asked for */
};

struct bedrock_model {
	enum bedrock_api api; /* never BEDROCK_AUTO */
	enum bedrock_family family;
	struct bedrock_limits limits;
};

void bedrock_model_of(const struct bedrock_config *c, struct bedrock_model *ret);
/* Never less than what the model counts for this image. */
uint64_t bedrock_image_tokens(enum bedrock_family f, const struct job_image *i);
/* The whole body as segments. 0, -ENOMEM, -EMSGSIZE or -E2BIG. */
int bedrock_add_body(
	const struct bedrock_config *c, const struct bedrock_model *m, const struct job *j, int64_t max_tokens, struct request *r);
/* Appends the text as a JSON string with what stands around it. */
int bedrock_add_quoted(struct buf *b, const char *before, const char *text, const char *after);
/* Tokens that are told of; -1: not this one. */
struct bedrock_counts {
	int64_t input, output, cached, written;
};
#define BEDROCK_COUNTS_NONE ((struct bedrock_counts){-1, -1, -1, -1})

/* Takes what is told in any of the forms, where it is more than what is there. */
void bedrock_counts_read(const cJSON *usage, struct bedrock_counts *c);
/* Appends `before` and an object. */
int bedrock_counts_add(const struct bedrock_counts *c, const char *before, struct buf *out);
/* Body and headers both count; where they differ the larger is believed, so that no cost is lost. */
void bedrock_read_usage(const struct reply *r, const cJSON *body, struct usage *u);
/* Appends RequestMetadata= as an object. 0, -ENOMEM or -EMSGSIZE. */
int bedrock_add_metadata(const struct bedrock_config *c, const struct job *j, struct buf *out);
/* What a guardrail did by its trace in a reply, for people; "": nothing is told. */
void bedrock_trace_text(const cJSON *body, char *out, size_t size);
/* Does the page go by the flexible tier? */
bool bedrock_is_flex(const struct bedrock_config *c, const struct job *j);
