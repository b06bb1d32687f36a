/* An answer of any bytes, read as each shipped-like type: typed values only, and whatever came out passes the
 * schema. The first byte chooses the type; checks, evidence and the result's JSON follow as in the service.
 */
#include "base/text.h"
#include "extract/checks.h"
#include "extract/schema.h"

#include <fcntl.h>

#include "base/fileio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct doctype *type_of(uint8_t choice)
{
	static const char *const names[] = {"invoice", "receipt", "bank-statement", "universal"};
	static struct doctype *types[ARRAY_SIZE(names)];
	size_t i = choice % ARRAY_SIZE(names);
	_cleanup_buf_ struct buf b = {};
	char path[80], why[200];

	if (types[i])
		return types[i];
	str_format(path, sizeof(path), "configs/documents/%s.json", names[i]);
	if (file_read(AT_FDCWD, path, 1 << 20, &b) < 0 ||
		doctype_parse(buf_str(&b), b.len, &types[i], why, sizeof(why)) < 0)
		abort();
	return types[i];
}

static void examine(const struct answer *a)
{
	for (size_t i = 0; i < a->n_fields; i++) {
		const struct field_value *f = &a->fields[i];

		if (f->value && schema_validate(f->spec->schema, f->value, NULL, NULL) != 0)
			abort();
		if (f->proof == PROOF_VERIFIED && !f->value)
			abort();
		if (f->problem && !utf8_valid(f->problem, strlen(f->problem)))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ cJSON *obj = cJSON_CreateObject();
	_cleanup_json_ cJSON *back = NULL;
	_cleanup_buf_ struct buf b = {};
	struct answer *a;

	if (size < 1 || answer_parse(type_of(data[0]), (const char *)data + 1, size - 1, &a) < 0)
		return 0;
	examine(a);
	if (checks_run(a) < 0)
		abort();
	examine(a);
	if (answer_to_json(a, obj) < 0 || json_print(obj, false, &b) < 0)
		abort();
	if (json_parse(buf_str(&b), b.len, &back, NULL) < 0)
		abort();
	answer_free(a);
	return 0;
}
