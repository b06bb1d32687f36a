#include "cloud/creds.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/parse.h"

#define TOKEN_MAX ((size_t)16 << 10)
#define SPARE_MS  60000

static void wipe_string(char *s)
{
	if (s)
		wipe(s, strlen(s));
	free(s);
}

void creds_clear(struct creds *c)
{
	wipe_string(c->token);
	wipe_string(c->bearer);
	wipe(c, sizeof(*c));
}

int creds_copy(const struct creds *c, struct creds *ret)
{
	struct creds copy = *c;

	copy.token = c->token ? strdup(c->token) : NULL;
	copy.bearer = c->bearer ? strdup(c->bearer) : NULL;
	if ((c->token && !copy.token) || (c->bearer && !copy.bearer)) {
		creds_clear(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	wipe(&copy, sizeof(copy));
	return 0;
}

bool creds_fresh(const struct creds *c, int64_t now_ms)
{
	return (*c->access_key || c->bearer) && (!c->expires_ms || c->expires_ms - now_ms > SPARE_MS);
}

void creds_hint(const struct creds *c, char out[static CREDS_HINT_SIZE])
{
	size_t len = strlen(c->access_key);

	/* Of a shorter one half and more would be told. */
	if (len < 16)
		out[0] = '\0';
	else
		snprintf(out, CREDS_HINT_SIZE, "%.4s...%s", c->access_key, c->access_key + len - 4);
}

static int complain(char *why, size_t size, const char *text)
{
	str_copy(why, size, text);
	return -EBADMSG;
}

static bool all_graphic(const char *s)
{
	for (; *s; s++) {
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	}
	return true;
}

static int judge(const struct creds_words *w, int64_t *ret_expires, char *why, size_t size)
{
	if (!w->key || !w->secret)
		return complain(why, size,
			!w->key && !w->secret ? "has neither access key nor secret key; give both"
			: w->key              ? "has an access key but no secret key; give both"
					      : "has a secret key but no access key; give both");
	if (!all_graphic(w->key) || !*w->key || strlen(w->key) > 128)
		return complain(why, size, "the access key is not 1 to 128 characters without blanks");
	if (!all_graphic(w->secret) || !*w->secret || strlen(w->secret) > 256)
		return complain(why, size, "the secret key is not 1 to 256 characters without blanks");
	if (w->token && (!all_graphic(w->token) || strlen(w->token) > TOKEN_MAX))
		return complain(why, size, "the session token has blanks or is longer than 16 KiB");
	if (w->expires && parse_timestamp(w->expires, ret_expires) < 0)
		return complain(why, size, "the expiry is not a time like 2026-11-21T03:12:05Z");
	return 0;
}

int creds_fill(struct creds *c, const struct creds_words *w, char *why, size_t why_size)
{
	int64_t expires = 0;
	int r = judge(w, &expires, why, why_size);

	if (r < 0)
		return r;
	c->token = w->token && *w->token ? strdup(w->token) : NULL;
	if (w->token && *w->token && !c->token)
		return -ENOMEM;
	str_copy(c->access_key, sizeof(c->access_key), w->key);
	str_copy(c->secret_key, sizeof(c->secret_key), w->secret);
	c->expires_ms = expires;
	return 0;
}

int creds_from_json(struct creds *c, const cJSON *object, enum creds_spelling s, char *why, size_t why_size)
{
	static const struct {
		const char *key, *secret, *token, *expires;
	} names[] = {
		[CREDS_AS_PROCESS] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"},
		[CREDS_AS_METADATA] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
		[CREDS_AS_SESSION] = {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"},
	};

	return creds_fill(c, &(struct creds_words){
		.key = json_get_string(object, names[s].key),
		.secret = json_get_string(object, names[s].secret),
		.token = json_get_string(object, names[s].token),
		.expires = json_get_string(object, names[s].expires),
	}, why, why_size);
}

static void wipe_strings(cJSON *j)
{
	for (; j; j = j->next) {
		if (j->valuestring)
			wipe(j->valuestring, strlen(j->valuestring));
		wipe_strings(j->child);
	}
}

void creds_json_delete(cJSON *j)
{
	wipe_strings(j);
	cJSON_Delete(j);
}
