/* Replies of what hands out credentials, and API keys: the first byte says which source is asked, lines of the rest are replies.
 * What ends in credentials has them whole; what fails says why. */
#include "cloud/creds_apikey.h"
#include "cloud/creds_source.h"

static void judge(const struct creds_step *s)
{
	if (s->action == CREDS_HAVE && !s->creds.bearer && (!s->creds.access_key[0] || !s->creds.secret_key[0]))
		abort();
	if (s->action == CREDS_FAILED && (!s->reason[0] || !s->message[0]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum creds_kind kinds[] = {CREDS_IMDS, CREDS_CONTAINER, CREDS_IOT, CREDS_ROLES_ANYWHERE};
	struct creds_config c = {.endpoint = "http://127.0.0.1:1", .role_alias = "a", .timeout_ms = 1000, .version_1 = true};
	struct creds_input in = {.now_ms = INT64_C(1795219200000), .signing_s = 1795219200};
	_cleanup_free_ char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
	struct creds_step step = {};
	struct creds_apikey key;
	struct creds_source *s = NULL;

	if (!text)
		return 0;
	creds_apikey_decode(text, &key);
	c.kind = (int)kinds[data[0] % ARRAY_SIZE(kinds)];
	if (creds_source_new(&c, &s) < 0)
		return 0;
	/* only instance metadata and the container have a first step that needs no file */
	if (data[0] % ARRAY_SIZE(kinds) < 2 && creds_source_next(s, &in, &step) < 0)
		goto out;
	for (char *body = text, *end; body && (step.action == CREDS_SEND || body == text); body = end ? end + 1 : NULL) {
		struct reply r = {.error = TRANSPORT_OK, .status = data[0] & 0x80 ? 403 : 200};

		end = strchr(body, '\n');
		if (end)
			*end = '\0';
		r.body = body;
		r.len = strlen(body);
		in.reply = &r;
		creds_step_clear(&step);
		if (creds_source_next(s, &in, &step) < 0)
			break;
		judge(&step);
	}
out:
	creds_step_clear(&step);
	creds_source_free(s);
	return 0;
}
