/* Amazon Bedrock: InvokeModel with Nova's messages-v1 or Claude's Messages, and Converse for every other model that sees. JSON
 * is asked for through one tool. Source: Bedrock API reference, InvokeModel and Converse. */
#pragma once

#include "extract/extractor.h"

enum bedrock_api { BEDROCK_AUTO, BEDROCK_NOVA, BEDROCK_CLAUDE, BEDROCK_CONVERSE };

/* Tiers that cost more than the default are left out: what is reserved would be less than what may be paid. */
enum bedrock_tier { BEDROCK_DEFAULT, BEDROCK_FLEX };

struct bedrock_config {
	char model[256];     /* id, profile id or ARN: "amazon.nova-pro-v1:0" (default), "au.anthropic.claude-..." */
	int api;             /* enum bedrock_api: the form of the question; AUTO: by the model */
	char region[32];     /* "ap-southeast-2" */
	char endpoint[256];  /* URL, "": https://bedrock-runtime.REGION.amazonaws.com */
	char guardrail[160], guardrail_version[16]; /* id or ARN, and a number or DRAFT; both or neither is "" */
	int backlog_tier;    /* enum bedrock_tier: the service tier of pages that nobody waits for; all others have the default */
	bool guardrail_trace; /* the reply says which of its policies acted */
	char metadata[1024]; /* "KEY=VALUE ...", for the invocation log */
	bool stream;         /* the answer comes as it is made */
	int64_t max_output_tokens;
	int64_t timeout_ms, connect_timeout_ms;
	char connect_to[128]; /* lab only: HOST:PORT */
	char ca_file[256];    /* lab only */
};

/* Is the form that is named one in which this model can be asked? */
bool bedrock_api_fits(const struct bedrock_config *c);
/* Are these at most 16 different KEY=VALUE, of characters that AWS takes? %page and %type are values too. */
bool bedrock_metadata_ok(const char *text);
/* Where the question goes, appended. 0 or -EMSGSIZE / -ENOMEM. */
int bedrock_url(const struct bedrock_config *c, struct buf *out);

extern const struct extractor_ops bedrock_extractor;
