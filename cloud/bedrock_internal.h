/*
 * Shared by the Bedrock files only:
 *   bedrock.c        the extractor: URL, headers, limits, what a reply means
 *   bedrock_model.c  which form a model is asked in, what it takes, how many tokens an image may be
 *   bedrock_body.c   the question in each of the three forms
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
/* Does the page go by the flexible tier? */
bool bedrock_is_flex(const struct bedrock_config *c, const struct job *j);
