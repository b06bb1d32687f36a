/* Any reply of a chat-completions server to a verdict. */
#include "cloud/openai.h"
#include "tests/fuzz/cloud_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct openai_config config = {.base_url = "http://127.0.0.1:8080"};
	static const struct extractor x = {&openai_extractor, "fuzz", &config};

	fuzz_decode(&x, data, size);
	return 0;
}
