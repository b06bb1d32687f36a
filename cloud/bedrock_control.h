/*
 * Bedrock's control plane: where a profile leads, where a guardrail reads, and whether a model is served on demand. The question, and
 * what the reply proves; fail-closed: what is not understood whole proves nothing. Source: botocore's service-2.json of `bedrock`,
 * GetInferenceProfile, GetGuardrail and GetFoundationModel.
 */
#pragma once

#include "base/buf.h"
#include "cloud/guard.h"

/* Is `model` a profile (an id with a geographic prefix, or an ARN of one)? Else it is a model of the region itself. */
bool bedrock_is_profile(const char *model);
/* The URL of GetInferenceProfile or GetFoundationModel. 0, -EINVAL (it is neither a profile nor a foundation model), -ENOMEM. */
int bedrock_control_url(const char *region, const char *model, struct buf *out);
/* The URL of GetGuardrail. 0 or -ENOMEM. */
int bedrock_guardrail_url(const char *region, const char *guardrail, const char *version, struct buf *out);

/* Where something leads, in AWS's words. */
struct bedrock_leads {
	char arns[480];  /* separated by blanks */
	char model[160]; /* of a profile, by the name that prices have: its model's id, "au." before it if it may run in two regions; "":
			  * its members are of several models */
};
/* Does the reply of GetInferenceProfile prove that every member is in an allowed region? `why` always gets a sentence; *ret is
 * written when it does. */
bool bedrock_profile_stays(const struct guard_policy *p, const char *model, const char *body, size_t len, struct bedrock_leads *ret,
	char *why, size_t why_size);
/* Does the reply of GetGuardrail prove that this version is ready and reads in `region` alone, by no profile of several regions? */
bool bedrock_guardrail_stays(const char *region, const char *guardrail, const char *version, const char *body, size_t len,
	struct bedrock_leads *ret, char *why, size_t why_size);
/* Does the reply of GetFoundationModel say that this very model is active and served on demand? */
bool bedrock_model_served(const char *model, const char *body, size_t len, char *why, size_t why_size);
