#include <stdio.h>

#include "base/text.h"
#include "ctl/ctl.h"

#define RETRY_ALL_MAX 1000 /* pages of one call with all */

static cJSON *retry_parameters(const struct options *o)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *pages;

	if (!j)
		return NULL;
	if (o->all)
		return json_add_bool(j, "all", true) < 0 ? NULL : take_ptr(j);
	pages = cJSON_AddArrayToObject(j, "pages");
	for (size_t i = 0; i < o->n_args; i++)
		/* No id is like that; the service would drop a message that is not UTF-8 without a word. */
		if (!pages || !utf8_valid(o->args[i], strlen(o->args[i])) ||
			!cJSON_AddItemToArray(pages, cJSON_CreateString(o->args[i])))
			return NULL;
	return take_ptr(j);
}

static int put_retried(struct ctl *c, const cJSON *pages)
{
	_cleanup_buf_ struct buf out = {};
	int n = cJSON_GetArraySize(pages), r;

	r = buf_addf(&out, "%d page%s will be tried again\n", n, n == 1 ? "" : "s");
	if (r >= 0 && n >= RETRY_ALL_MAX)
		r = buf_adds(&out, "there may be more: once again, please\n");
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

int verb_retry(struct ctl *c)
{
	struct client_reply reply = {};
	cJSON *parameters = retry_parameters(&c->options);
	int r;

	if (!parameters) {
		ctl_say("that is no id of a page");
		return EXIT_USAGE;
	}
	r = ctl_call_take(c, "io.pageferry.Retry", parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	r = c->options.json ? ctl_put_json(reply.parameters)
			    : put_retried(c, json_get_array(reply.parameters, "pages"));
	client_reply_clear(&reply);
	return r;
}
