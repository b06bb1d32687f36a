/* Any reply to a question by Claude's Messages, or of what stands in its place, to a verdict. */
#include "cloud/bedrock.h"
#include "tests/fuzz/cloud_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct bedrock_config config = {.model = "au.anthropic.claude-haiku-4-5-20251001-v1:0",
		.region = "ap-southeast-2"};
	static const struct extractor x = {&bedrock_extractor, "fuzz", &config};

	fuzz_decode(&x, data, size);
	return 0;
}
