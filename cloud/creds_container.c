/*
 * The container credential endpoint of ECS and EKS, or a helper on this machine that speaks the same. Source: AWS SDKs and
 * Tools Reference Guide, "Container credential provider".
 */
#include "cloud/creds_reply.h"

#include "base/log.h"

#define TOKEN_MAX ((size_t)16 << 10)

static const char who[] = "container credential endpoint";

static const struct creds_advice advice[] = {
	{400, "bad-request", "the request is refused; look at Endpoint="},
	{401, "access-denied", "the authorization token is refused; look at TokenFile="},
	{403, "access-denied", "the authorization token is refused; look at TokenFile="},
	{404, "no-role", "it knows no credentials for this path; has the task or pod a role?"},
	{0, NULL, NULL},
};

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* Of the configuration, else what the container's agent put into the environment. */
static int endpoint_of(const struct creds_config *c, char *out, size_t size)
{
	const char *full = c->endpoint[0] ? c->endpoint : env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *relative = c->endpoint[0] ? NULL : env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");

	if (relative)
		return str_format(out, size, "http://169.254.170.2%s%s", relative[0] == '/' ? "" : "/", relative);
	return full ? str_copy(out, size, full) : -ENOKEY;
}

/* A header's value, at its end perhaps a line feed of the file. */
static int add_token(struct request *req, char *token, const char *from, struct creds_step *ret)
{
	size_t len = strlen(token);

	while (len && (token[len - 1] == '\n' || token[len - 1] == '\r'))
		token[--len] = '\0';
	for (const char *p = token; *p; p++) {
		if (*p < 0x20 || *p >= 0x7f)
			len = 0;
	}
	if (!len) {
		creds_fail(ret, "bad-credentials", "%s: is not one line of text", from);
		return -EBADMSG;
	}
	return request_add_header(req, "Authorization", token);
}

static int token_from_file(const char *path, struct request *req, struct creds_step *ret)
{
	char *text = NULL;
	size_t len;
	int r = creds_read_text(path, TOKEN_MAX, &text, &len);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		creds_fail(ret, "no-credentials", "authorization token %s: %s", path,
			r == -EBADMSG ? "is not a text file" : errno_text(r));
		return -EBADMSG;
	}
	r = add_token(req, text, path, ret);
	creds_text_free(text, TOKEN_MAX);
	return r;
}

/* The file wins over the value, and is read each time: it is renewed in place. */
static int authorize(const struct creds_config *c, struct request *req, struct creds_step *ret)
{
	const char *file = c->token_file[0] ? c->token_file : env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char *copy;
	int r;

	if (file)
		return token_from_file(file, req, ret);
	if (!value)
		return 0;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	r = add_token(req, copy, "AWS_CONTAINER_AUTHORIZATION_TOKEN", ret);
	creds_text_free(copy, strlen(value));
	return r;
}

static int begin(const struct creds_config *c, struct creds_step *ret)
{
	char url[512];
	int r = endpoint_of(c, url, sizeof(url));

	if (r == -ENOKEY)
		return creds_fail(ret, "no-credentials",
			"%s: neither Endpoint= nor AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI in the environment", who);
	if (r < 0)
		return creds_fail(ret, "bad-credentials", "%s: the URL is longer than 511 characters", who);
	r = creds_request(c, GUARD_CONTAINER, "GET", url, NULL, ret);
	if (r >= 0)
		r = authorize(c, &ret->request, ret);
	if (r == -EBADMSG) /* creds_fail() was said */
		request_free(&ret->request);
	return r == -EBADMSG ? 0 : MIN(r, 0);
}

static int container_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	cJSON *j = NULL;
	int r;

	if (!in->reply)
		return begin(c, ret);
	if (!creds_reply_ok(c, who, in->reply, advice, ret))
		return 0;
	r = creds_reply_json(who, in->reply, &j, ret);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	r = creds_reply_have(who, j, CREDS_AS_METADATA, ret);
	creds_json_delete(j);
	return r;
}

const struct creds_source_ops creds_source_container = {.next = container_next};
