/* Any reply to a question by Converse, or of what stands in its place, to a verdict. */
#include "cloud/bedrock.h"
#include "tests/fuzz/cloud_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct bedrock_config config = {.model = "arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl",
		.region = "ap-southeast-2"};
	static const struct extractor x = {&bedrock_extractor, "fuzz", &config};

	fuzz_decode(&x, data, size);
	return 0;
}
