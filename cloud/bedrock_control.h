/*
 * Bedrock's control plane: where a profile leads, and whether a model is served on demand. The question, and what the reply proves;
 * fail-closed: what is not understood whole proves nothing. Source: botocore's service-2.json of `bedrock`, GetInferenceProfile and
 * GetFoundationModel.
 */
#pragma once

#include "base/buf.h"
#include "cloud/guard.h"

/* Is `model` a profile (an id with a geographic prefix, or an ARN of one)? Else it is a model of the region itself. */
bool bedrock_is_profile(const char *model);
/* The URL of GetInferenceProfile or GetFoundationModel. 0, -EINVAL (it is neither a profile nor a foundation model), -ENOMEM. */
int bedrock_control_url(const char *region, const char *model, struct buf *out);
/* Does the reply of GetInferenceProfile prove that every member is in an allowed region? `why` always gets a sentence. */
bool bedrock_profile_stays(
	const struct guard_policy *p, const char *model, const char *body, size_t len, char *why, size_t why_size);
/* Does the reply of GetFoundationModel say that this very model is active and served on demand? */
bool bedrock_model_served(const char *model, const char *body, size_t len, char *why, size_t why_size);
