/*
 * The signer as a filter, for comparing it with other signers (tests/sigv4-suite, tests/signer/test_botocore.py): one request
 * a line as JSON on standard input, "AUTHORIZATION" or "error NAME" a line on standard output.
 *
 * Members: method, host, path, query (absent: none), headers [[name, value]...], body_sha256 (hex), region, service, time
 * (seconds since 1970), access_key, secret_key; token (absent: none). With "url" instead of host, path and query the whole of
 * sigv4_sign() is used, which adds the x-amz- headers; else only the headers that are there are signed, and path and
 * query are taken as they are, so that what sigv4_sign() refuses to send can be signed too.
 */
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "cloud/sigv4_internal.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

static const char *text(const cJSON *in, const char *name)
{
	const char *s = json_get_string(in, name);

	return s ? s : "";
}

static int fill_headers(const cJSON *in, struct request *r)
{
	const cJSON *h;
	int e = 0;

	cJSON_ArrayForEach (h, json_get(in, "headers")) {
		const cJSON *name = cJSON_GetArrayItem(h, 0), *value = cJSON_GetArrayItem(h, 1);

		if (!cJSON_IsString(name) || !cJSON_IsString(value))
			return -EINVAL;
		e = request_add_header(r, name->valuestring, value->valuestring);
		if (e < 0)
			return e;
	}
	return e;
}

static int fill_creds(const cJSON *in, struct creds *c)
{
	const char *token = json_get_string(in, "token");

	if (str_copy(c->access_key, sizeof(c->access_key), text(in, "access_key")) < 0 ||
		str_copy(c->secret_key, sizeof(c->secret_key), text(in, "secret_key")) < 0)
		return -EINVAL;
	c->token = token ? strdup(token) : NULL;
	return token && !c->token ? -ENOMEM : 0;
}

static int sign_parts(const cJSON *in, const struct sigv4_params *p, const struct creds *c, struct request *r)
{
	struct url u = {.https = true, .port = 443, .path = text(in, "path"), .query = json_get_string(in, "query")};
	char date[SIGV4_DATE_SIZE];
	int e = sigv4_date(p->now, date);

	if (e < 0 || str_copy(u.host, sizeof(u.host), text(in, "host")) < 0)
		return -EINVAL;
	u.path_len = strlen(u.path);
	u.query_len = u.query ? strlen(u.query) : 0;
	return sigv4_authorize(p, c, date, &u, r);
}

static int sign_line(const cJSON *in, struct request *r, struct creds *c)
{
	struct sigv4_params p = {.region = text(in, "region"),
		.service = text(in, "service"),
		.single_encode = streq(text(in, "path_rule"), "single")};
	const char *url = json_get_string(in, "url");
	int e = json_get_i64(in, "time", &p.now);

	if (e < 0 || hex_decode(text(in, "body_sha256"), r->body_sha256, sizeof(r->body_sha256)) < 0)
		return -EINVAL;
	r->method = text(in, "method");
	e = fill_headers(in, r);
	if (e >= 0)
		e = fill_creds(in, c);
	if (e < 0)
		return e;
	if (!url)
		return sign_parts(in, &p, c, r);
	r->url = strdup(url);
	return r->url ? sigv4_sign(&p, c, r) : -ENOMEM;
}

static void answer(const char *line, size_t len)
{
	_cleanup_json_ cJSON *in = NULL;
	struct request r = {};
	struct creds c = {};
	int e = json_parse(line, len, &in, NULL);

	if (e >= 0)
		e = sign_line(in, &r, &c);
	if (e < 0)
		printf("error %s\n", errno_text(e));
	else
		printf("%s\n", request_header(&r, "authorization"));
	request_free(&r);
	creds_clear(&c);
}

int main(void)
{
	char *line = malloc(LINE_MAX_BYTES);

	while (line && fgets(line, (int)LINE_MAX_BYTES, stdin))
		answer(line, strcspn(line, "\n"));
	free(line);
	return 0;
}
