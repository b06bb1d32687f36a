/* OpenAI-style chat completions with a JSON schema, as llama-server 0.7 really speaks it: the attached Jetson. */
#pragma once

#include "extract/extractor.h"

enum openai_schema_mode { OPENAI_JSON_SCHEMA, OPENAI_JSON_OBJECT, OPENAI_NONE };

struct openai_config {
	char base_url[256];   /* "http://192.168.55.1:8080" */
	char unix_socket[108]; /* "": none */
	char model[128];      /* "": the server's */
	char api_key[128];    /* "": none */
	char health_path[64]; /* "/health" */
	char interface[16];   /* "": none */
	char ca_file[256];
	int schema_mode;      /* enum openai_schema_mode */
	bool standard;        /* without the members that llama-server alone knows */
	int64_t max_output_tokens;
	int64_t timeout_ms, connect_timeout_ms;
};

extern const struct extractor_ops openai_extractor;
/* The same body and answer inside another service's request (cloud/sagemaker.c); of the configuration model,
 * schema_mode and standard count. 0 or negative errno. */
int openai_add_body(const struct openai_config *c, const struct job *j, int64_t max_tokens, struct request *r);
int openai_read_answer(const struct job *j, const cJSON *body, struct verdict *v);
/* usage.prompt_tokens and completion_tokens, where both are there. */
void openai_read_usage(const cJSON *body, struct usage *u);
