#include "cloud/creds_apikey.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "cloud/url.h"

#define PREFIX      "bedrock-api-key-"
#define LIFE_MAX_S  43200
#define ENVIRONMENT "AWS_BEARER_TOKEN_BEDROCK"

/* ---- the key itself ---------------------------------------------------------------------------------------------- */

/* The value of a parameter of the presigned URL, decoded. 0, -ENOENT, or an error of the decoding. */
static int parameter(const char *query, const char *name, struct buf *out)
{
	size_t len = strlen(name);

	for (const char *p = query; p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
		if (strncmp(p, name, len) == 0 && p[len] == '=')
			return url_decode(p + len + 1, strcspn(p + len + 1, "&"), out);
	}
	return -ENOENT;
}

/* ACCESS-KEY/DATE/REGION/bedrock/aws4_request */
static int region_of(const char *credential, char *out, size_t size)
{
	const char *region = strchr(credential, '/'), *end;

	region = region ? strchr(region + 1, '/') : NULL;
	end = region ? strchr(region + 1, '/') : NULL;
	if (!end || !streq(end, "/bedrock/aws4_request") || str_format(out, size, "%.*s", (int)(end - region - 1), region + 1) < 1)
		return -EBADMSG;
	return 0;
}

/* 20261121T000000Z */
static int date_of(const char *s, int64_t *ret_ms)
{
	char text[TIMESTAMP_SIZE];

	if (strlen(s) != 16 || s[strspn(s, "0123456789TZ")])
		return -EBADMSG;
	if (str_format(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", s, s + 4, s + 6, s + 9, s + 11, s + 13) < 0)
		return -EBADMSG;
	return parse_timestamp(text, ret_ms) < 0 ? -EBADMSG : 0;
}

static int read_presigned(const char *query, struct creds_apikey *k)
{
	_cleanup_(buf_wipe) struct buf credential = BUF_MAX(512);
	_cleanup_buf_ struct buf date = BUF_MAX(64), life = BUF_MAX(64);
	int64_t start = 0, seconds = 0;
	int r = parameter(query, "X-Amz-Credential", &credential);

	if (r >= 0)
		r = parameter(query, "X-Amz-Date", &date);
	if (r >= 0)
		r = parameter(query, "X-Amz-Expires", &life);
	if (r >= 0)
		r = region_of(buf_str(&credential), k->region, sizeof(k->region));
	if (r >= 0)
		r = date_of(buf_str(&date), &start);
	if (r >= 0)
		r = parse_i64(buf_str(&life), 1, LIFE_MAX_S, &seconds);
	k->expires_ms = start + seconds * 1000;
	return r == -ENOMEM ? r : r < 0 ? -EBADMSG : 0;
}

int creds_apikey_decode(const char *key, struct creds_apikey *ret)
{
	_cleanup_(buf_wipe) struct buf padded = BUF_MAX(CREDS_APIKEY_MAX + 4), url = BUF_MAX(CREDS_APIKEY_MAX);
	struct creds_apikey k = {.short_term = starts_with(key, PREFIX)};
	const char *query;
	int r = 0;

	if (!k.short_term) {
		*ret = k;
		return 0;
	}
	r = buf_reserve(&padded, CREDS_APIKEY_MAX, NULL); /* in one block: growing would leave copies behind */
	if (r >= 0)
		r = buf_adds(&padded, key + strlen(PREFIX));
	while (r >= 0 && padded.len % 4)
		r = buf_addc(&padded, '=');
	if (r >= 0)
		r = base64_decode(padded.data, padded.len, &url);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	query = strchr(buf_str(&url), '?');
	if (strlen(buf_str(&url)) != url.len || !query || !strstr(query, "Action=CallWithBearerToken"))
		return -EBADMSG;
	r = read_presigned(query + 1, &k);
	if (r >= 0)
		*ret = k;
	return r;
}

/* ---- the source -------------------------------------------------------------------------------------------------- */

static int bad(struct creds_step *ret, const char *from, const char *text)
{
	return creds_fail(ret, "bad-credentials", "Bedrock API key, %s: %s", from, text);
}

static bool graphic(const char *s)
{
	for (; *s; s++) {
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	}
	return true;
}

static int judge(const struct creds_config *c, const struct creds_apikey *k, const struct creds_input *in, const char *from,
	struct creds_step *ret)
{
	char when[TIMESTAMP_SIZE];

	if (!k->short_term)
		return 0;
	if (c->region[0] && !streq(k->region, c->region)) {
		creds_fail(ret, "residency", "Bedrock API key, %s: was made for %s and works nowhere else; make one in %s", from,
			k->region, c->region);
		return -EBADMSG;
	}
	if (in->signing_s && k->expires_ms <= in->now_ms) {
		timestamp_format(k->expires_ms, false, when);
		creds_fail(ret, "expired-token",
			"Bedrock API key, %s: ended %s; short-term keys last 12 hours at most: put a new one in its place", from, when);
		return -EBADMSG;
	}
	return 0;
}

/* `text` is changed: a line feed at its end goes. */
static int take(const struct creds_config *c, const struct creds_input *in, char *text, const char *from, struct creds_step *ret)
{
	struct creds_apikey k = {};
	size_t len = strlen(text);
	int r;

	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	if (!len || !graphic(text))
		return bad(ret, from, "is not one line without blanks");
	r = creds_apikey_decode(text, &k);
	if (r == -EBADMSG)
		return bad(ret, from, "begins as a short-term key and cannot be read as one; was it cut?");
	if (r >= 0)
		r = judge(c, &k, in, from, ret);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	ret->creds.bearer = strdup(text);
	if (!ret->creds.bearer)
		return -ENOMEM;
	ret->creds.expires_ms = k.expires_ms;
	str_format(ret->creds.source, sizeof(ret->creds.source), "Bedrock API key (%s), %.60s",
		k.short_term ? "short-term" : "long-term", from);
	ret->action = CREDS_HAVE;
	return 0;
}

static int from_file(const struct creds_config *c, const struct creds_input *in, const char *path, const char *from,
	struct creds_step *ret)
{
	char *text = NULL;
	size_t len;
	int r = creds_read_secret(path, CREDS_APIKEY_MAX, &text, &len);

	switch (r) {
	case -ENOMEM:
		return r;
	case -ENOENT:
		return creds_fail(ret, "no-credentials", "Bedrock API key, %s: there is no such file", from);
	case -EPERM:
		return creds_fail(ret, "key-permissions",
			"Bedrock API key, %s: others may read it: chmod 0600, and take a new key if it was exposed", from);
	case -EBADMSG:
		return bad(ret, from, "is not a text file");
	case -EFBIG:
		return bad(ret, from, "is larger than 16 KiB");
	default:
		break;
	}
	if (r < 0)
		return bad(ret, from, errno_text(r));
	r = take(c, in, text, from, ret);
	creds_text_free(text, CREDS_APIKEY_MAX);
	return r;
}

static int from_environment(const struct creds_config *c, const struct creds_input *in, struct creds_step *ret)
{
	const char *value = getenv(ENVIRONMENT);
	char *copy;
	int r;

	if (!value || !*value)
		return creds_fail(ret, "no-credentials", "Bedrock API key: neither Credential= nor File= nor " ENVIRONMENT
							 " in the environment");
	copy = strndup(value, CREDS_APIKEY_MAX);
	if (!copy)
		return -ENOMEM;
	r = strlen(copy) == CREDS_APIKEY_MAX ? bad(ret, ENVIRONMENT, "is larger than 16 KiB") : take(c, in, copy, ENVIRONMENT, ret);
	creds_text_free(copy, strlen(copy));
	return r;
}

static int api_key_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	char path[512], from[96], safe[64];
	int r;

	ret->local = true;
	if (!c->credential[0] && !c->file[0])
		return from_environment(c, in, ret);
	text_safe_copy(safe, sizeof(safe), c->file[0] ? c->file : c->credential);
	str_format(from, sizeof(from), "%s %s", c->file[0] ? "file" : "systemd credential", safe);
	if (c->file[0])
		return from_file(c, in, c->file, from, ret);
	r = creds_systemd_path(c->credential, path, sizeof(path));
	if (r < 0)
		return creds_fail(ret, "no-credentials",
			"Bedrock API key, %s: the service was started without it; give it with LoadCredential= in a drop-in, and restart",
			from);
	return from_file(c, in, path, from, ret);
}

const struct creds_source_ops creds_source_api_key = {.next = api_key_next};
