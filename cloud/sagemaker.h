/*
 * Amazon SageMaker runtime, InvokeEndpoint: the account's own containers in Sydney. Two forms of body:
 *   plain   {"image": base64, "prompt", "max_new_tokens"} -> {"generated_text"}, or an array of one such object
 *   openai  a chat completion, as vLLM's containers speak it (Qwen2.5-VL, InternVL3)
 * InvokeEndpointAsync, when there is a bucket: the body is put into S3, the endpoint is told where, and its answer is looked for in S3.
 * Source: SageMaker runtime API reference, InvokeEndpoint and InvokeEndpointAsync; the service model's limits.
 */
#pragma once

#include "cloud/openai.h"
#include "cloud/s3.h"

enum sagemaker_form { SAGEMAKER_PLAIN, SAGEMAKER_OPENAI };

struct sagemaker_config {
	char endpoint_name[64];
	char model[256];       /* for the ledger, and "model" of form openai when `openai.model` is set */
	char region[32];       /* "ap-southeast-2" */
	char endpoint[256];    /* URL, "": https://runtime.sagemaker.REGION.amazonaws.com */
	int form;              /* enum sagemaker_form */
	char component[64], variant[64], target_model[256], attributes[1025]; /* headers; "": not sent */
	struct s3_bucket bucket; /* of the asynchronous form; no name: InvokeEndpoint */
	char prefix[128];        /* of the keys in it, with '/' at its end */
	struct openai_config openai; /* of it: model, schema_mode, standard */
	int64_t max_output_tokens;
	int64_t timeout_ms, cold_timeout_ms, connect_timeout_ms;
	char connect_to[128];  /* lab only: HOST:PORT */
	char ca_file[256];     /* lab only */
};

#define SAGEMAKER_ASYNC "/async-invocations"

extern const struct extractor_ops sagemaker_extractor, sagemaker_async_extractor;
/* The URL at which the endpoint is called: 0 or negative errno. */
int sagemaker_url(const struct sagemaker_config *c, struct buf *out);
