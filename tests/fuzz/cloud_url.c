/* Any text as a URL: the splitter, and the guard on it. What the guard allows must be one of the hosts it
 * names. */
#include "cloud/guard.h"
#include "cloud/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guard_policy p = {.sydney_only = true};
	_cleanup_free_ char *text = strndup((const char *)data, size);
	struct guard_question q = {
		.sink = GUARD_BEDROCK, .url = text, .model = "amazon.nova-pro-v1:0", .region = "ap-southeast-2"};
	char why[256];
	struct url u;

	if (!text)
		return 0;
	if (guard_check(&p, &q, why, sizeof(why)) == GUARD_ALLOW) {
		if (url_split(text, &u, NULL, 0) < 0 || !u.https || u.port != 443 ||
			!strstr(u.host, "bedrock-runtime.ap-southeast-2."))
			abort();
	}
	q = (struct guard_question){.sink = GUARD_LOCAL, .url = text};
	if (guard_check(&p, &q, why, sizeof(why)) == GUARD_ALLOW &&
		(url_split(text, &u, NULL, 0) < 0 || u.kind == URL_HOST_NAME))
		abort();
	q = (struct guard_question){.sink = GUARD_BEDROCK, .url = text, .model = text, .region = "ap-southeast-2"};
	guard_check(&p, &q, why, sizeof(why));
	return 0;
}
