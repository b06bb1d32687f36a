/* Any reply of an endpoint of SageMaker to a verdict, for both forms of container. */
#include "cloud/sagemaker.h"
#include "tests/fuzz/cloud_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sagemaker_config config[] = {{.form = SAGEMAKER_PLAIN}, {.form = SAGEMAKER_OPENAI}};

	for (size_t i = 0; i < ARRAY_SIZE(config); i++) {
		const struct extractor x = {&sagemaker_extractor, "fuzz", &config[i]};

		fuzz_decode(&x, data, size);
	}
	return 0;
}
