/* Amazon Bedrock InvokeModel with Nova messages-v1: JSON forced through one tool. Source: Amazon Nova user guide,
 * "Complete request schema"; Bedrock API reference, InvokeModel. */
#pragma once

#include "extract/extractor.h"

struct bedrock_config {
	char model[256];     /* "amazon.nova-pro-v1:0" (default), "amazon.nova-lite-v1:0", or an id by hand */
	char region[32];     /* "ap-southeast-2" */
	char endpoint[256];  /* URL, "": https://bedrock-runtime.REGION.amazonaws.com */
	int64_t max_output_tokens;
	int64_t timeout_ms, connect_timeout_ms;
	char connect_to[128]; /* lab only: HOST:PORT */
	char ca_file[256];    /* lab only */
};

extern const struct extractor_ops bedrock_extractor;
