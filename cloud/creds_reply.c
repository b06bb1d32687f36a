#include "cloud/creds_reply.h"

#include "base/text.h"

#define CONNECT_MS 5000

int creds_request(const struct creds_config *c, enum guard_sink sink, const char *method, const char *url, const char *model,
	struct creds_step *ret)
{
	struct request *r = &ret->request;

	r->url = strdup(url);
	if (!r->url)
		return -ENOMEM;
	r->method = method;
	r->max_reply = CREDS_REPLY_MAX;
	r->secret = true;
	r->timeout_ms = c->timeout_ms;
	r->connect_timeout_ms = MIN(CONNECT_MS, c->timeout_ms);
	r->connect_to = c->connect_to[0] ? c->connect_to : NULL;
	r->ca_file = c->ca_file[0] ? c->ca_file : NULL;
	r->region = c->region[0] ? c->region : NULL;
	r->model = model;
	ret->sink = sink;
	ret->action = CREDS_SEND;
	return 0;
}

/* What the service itself said, in quotes after a blank; "" when that is not to be had. */
static void said(const struct reply *r, char *out, size_t size)
{
	static const char *const names[] = {"message", "Message", "error"};
	const char *text = NULL;
	char safe[96];
	cJSON *j = NULL;

	out[0] = '\0';
	if (json_parse(r->body, r->len, &j, NULL) < 0)
		return;
	for (size_t i = 0; !text && i < ARRAY_SIZE(names); i++)
		text = json_get_string(j, names[i]);
	if (text && *text) {
		text_safe_copy(safe, sizeof(safe), text);
		str_format(out, size, " (it says: %s)", safe);
	}
	creds_json_delete(j);
}

static void transport_end(const struct creds_config *c, const char *who, const struct reply *r, struct creds_step *ret)
{
	char safe[100];

	text_safe_copy(safe, sizeof(safe), r->detail);
	switch (r->error) {
	case TRANSPORT_TLS:
		creds_fail(ret, "tls", "%s: no TLS connection: %s. %s", who, safe,
			c->certificate[0] ? "Look at Certificate= and Key=, at the endpoint's name and at the clock"
					  : "Look at the endpoint's name and at the clock");
		return;
	case TRANSPORT_TOO_LARGE:
		creds_fail(ret, "bad-reply", "%s: the reply is larger than credentials are; is Endpoint= the right one?", who);
		return;
	case TRANSPORT_REDIRECT:
		creds_fail(ret, "bad-reply", "%s: answers with a redirect, which is not followed; look at Endpoint=", who);
		return;
	case TRANSPORT_BROKEN:
		creds_fail(ret, "unreachable", "%s: the connection ended: %s.%s", who, safe,
			c->certificate[0] ? " If it stays so, the certificate may be refused: is it active, and not expired?" : "");
		return;
	default:
		creds_fail(ret, "unreachable", "%s: cannot be reached: %s", who, safe);
	}
}

bool creds_reply_came(const struct creds_config *c, const char *who, const struct reply *r, struct creds_step *ret)
{
	if (r->error != TRANSPORT_OK)
		transport_end(c, who, r, ret);
	return r->error == TRANSPORT_OK;
}

static const struct creds_advice common[] = {
	{429, "throttled", "too many requests; it is asked again later"},
	{0, NULL, NULL},
};

static const struct creds_advice *advice_for(const struct creds_advice *table, int status)
{
	for (; table && table->status; table++) {
		if (table->status == status)
			return table;
	}
	return NULL;
}

bool creds_reply_ok(const struct creds_config *c, const char *who, const struct reply *r, const struct creds_advice *table,
	struct creds_step *ret)
{
	const struct creds_advice *a;
	char text[128];

	if (!creds_reply_came(c, who, r, ret))
		return false;
	if (r->status >= 200 && r->status <= 299)
		return true;
	a = advice_for(table, r->status);
	if (!a)
		a = advice_for(common, r->status);
	said(r, text, sizeof(text));
	if (a)
		creds_fail(ret, a->reason, "%s: status %d: %s%s", who, r->status, a->advice, text);
	else if (r->status >= 500)
		creds_fail(ret, "unavailable", "%s: status %d: its own trouble; it is asked again later%s", who, r->status, text);
	else
		creds_fail(ret, "refused", "%s: status %d%s", who, r->status, text);
	return false;
}

int creds_reply_json(const char *who, const struct reply *r, cJSON **ret_object, struct creds_step *ret)
{
	cJSON *j = NULL;
	int e = json_parse(r->body, r->len, &j, NULL);

	if (e == -ENOMEM)
		return e;
	if (e < 0 || !cJSON_IsObject(j)) {
		creds_json_delete(j);
		creds_fail(ret, "bad-reply", "%s: the reply is not a JSON object; is Endpoint= the right one?", who);
		return -EBADMSG;
	}
	*ret_object = j;
	return 0;
}

int creds_reply_have(const char *who, const cJSON *object, enum creds_spelling s, struct creds_step *ret)
{
	char why[160] = "";
	int r = creds_from_json(&ret->creds, object, s, why, sizeof(why));

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return creds_fail(ret, "bad-reply", "%s: the reply %s", who, why);
	ret->action = CREDS_HAVE;
	text_safe_copy(ret->creds.source, sizeof(ret->creds.source), who);
	return 0;
}
