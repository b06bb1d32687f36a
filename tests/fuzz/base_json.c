/* Whatever json_parse() takes can be printed, taken again, and prints the same. */
#include "base/json.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_prefix(const char *text, size_t size)
{
	_cleanup_json_ cJSON *j = NULL, *again = NULL;
	size_t used = 0, used_again = 0;

	if (json_parse_prefix(text, size, &j, &used) < 0)
		return;
	must(used > 0 && used <= size);
	must(json_parse_prefix(text, used, &again, &used_again) == 0 && used == used_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ cJSON *j = NULL, *again = NULL;
	_cleanup_buf_ struct buf once = {}, twice = {}, quoted = {};
	_cleanup_json_ cJSON *string = NULL;
	const char *text = (const char *)data;
	size_t offset = 0;

	check_prefix(text, size);
	must(json_quote(&quoted, text, size) == 0 && utf8_valid(quoted.data, quoted.len));
	if (!memchr(text, 0, size))
		must(json_parse(quoted.data, quoted.len, &string, NULL) == 0 && cJSON_IsString(string));
	if (json_parse(text, size, &j, &offset) < 0) {
		must(offset <= size);
		return 0;
	}
	must(json_print(j, false, &once) == 0);
	must(json_parse(once.data, once.len, &again, NULL) == 0);
	must(json_print(again, false, &twice) == 0);
	must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	return 0;
}
