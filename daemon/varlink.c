#include "daemon/varlink.h"

ssize_t varlink_message(const struct buf *in)
{
	const char *end = in->len ? memchr(in->data, 0, in->len) : NULL;
	size_t len = end ? (size_t)(end - in->data) : in->len;

	if (len > VARLINK_MESSAGE_MAX)
		return -EMSGSIZE;
	return end ? (ssize_t)len : -EAGAIN;
}

/* A flag that must be a boolean if it is there. */
static int get_flag(const cJSON *json, const char *name, bool *ret)
{
	const cJSON *j = json_get(json, name);

	if (j && !cJSON_IsBool(j) && !cJSON_IsNull(j))
		return -EBADMSG;
	*ret = cJSON_IsTrue(j);
	return 0;
}

static const char *call_problem(struct varlink_call *call)
{
	const cJSON *parameters = json_get(call->json, "parameters");

	if (!cJSON_IsObject(call->json))
		return "a call is an object";
	call->method = json_get_string(call->json, "method");
	if (!call->method)
		return "no \"method\"";
	if (parameters && !cJSON_IsObject(parameters) && !cJSON_IsNull(parameters))
		return "\"parameters\" is no object";
	call->parameters = cJSON_IsObject(parameters) ? parameters : NULL;
	if (get_flag(call->json, "more", &call->more) < 0 ||
		get_flag(call->json, "oneway", &call->oneway) < 0 ||
		get_flag(call->json, "upgrade", &call->upgrade) < 0)
		return "a flag is no boolean";
	if (call->more + call->oneway + call->upgrade > 1)
		return "\"more\", \"oneway\" and \"upgrade\" exclude each other";
	return NULL;
}

int varlink_call_parse(const char *text, size_t len, struct varlink_call *ret, const char **ret_why)
{
	struct varlink_call call = {};
	const char *why;
	int r;

	r = json_parse(text, len, &call.json, NULL);
	if (r == -ENOMEM)
		return r;
	why = r < 0 ? "not JSON" : call_problem(&call);
	if (why) {
		varlink_call_clear(&call);
		*ret_why = why;
		return -EBADMSG;
	}
	*ret = call;
	return 0;
}

void varlink_call_clear(struct varlink_call *call)
{
	cJSON_Delete(call->json);
	*call = (struct varlink_call){};
}

int varlink_method_split(const char *method, char *interface, size_t size, const char **ret_name)
{
	const char *dot = strrchr(method, '.');
	size_t len = dot ? (size_t)(dot - method) : 0;

	if (!len || !dot[1] || len >= size)
		return -EINVAL;
	memcpy(interface, method, len);
	interface[len] = 0;
	*ret_name = dot + 1;
	return 0;
}

int varlink_reply_format(
	struct buf *out, const char *error, const char *parameters, size_t len, bool continues)
{
	size_t before = out->len;
	int r;

	r = buf_addc(out, '{');
	if (r >= 0 && error)
		r = buf_addf(out, "\"error\":\"%s\",", error);
	if (r >= 0)
		r = buf_adds(out, "\"parameters\":");
	if (r >= 0)
		r = parameters ? buf_add(out, parameters, len) : buf_adds(out, "{}");
	if (r >= 0 && continues)
		r = buf_adds(out, ",\"continues\":true");
	if (r >= 0)
		r = buf_add(out, "}", 2); /* with the NUL that ends a message */
	if (r < 0) {
		out->len = before;
		buf_terminate(out);
	}
	return r;
}
