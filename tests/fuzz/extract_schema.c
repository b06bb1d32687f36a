/* A schema and a value of any bytes, divided by the first newline: what lint takes must validate without
 * trouble. */
#include "extract/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *ud, const char *path, const char *what)
{
	*(size_t *)ud += strlen(path) + strlen(what);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
	_cleanup_json_ cJSON *schema = NULL;
	_cleanup_json_ cJSON *value = NULL;
	size_t seen = 0, at = nl ? (size_t)(nl - data) : 0;
	char why[64];

	if (!nl || json_parse((const char *)data, at, &schema, NULL) < 0 ||
		schema_lint(schema, why, sizeof(why)) < 0)
		return 0;
	if (json_parse((const char *)nl + 1, size - at - 1, &value, NULL) < 0)
		return 0;
	if (schema_validate(schema, value, look, &seen) < 0)
		abort();
	return 0;
}
