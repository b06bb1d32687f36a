/*
 * The instance metadata service of EC2, version 2: a token, the role's name, its credentials. Source: Amazon EC2 user guide,
 * "Use the Instance Metadata Service to access instance metadata".
 */
#include "cloud/creds_reply.h"
#include "cloud/url.h"

#include "base/crypto.h"
#include "base/text.h"

#define ROLES_PATH  "/latest/meta-data/iam/security-credentials/"
#define TOKEN_SIZE  513
#define TOKEN_TTL   "300" /* seconds: for this retrieval */
#define STABLE_MS   INT64_C(600000)

enum imds_stage { IMDS_TOKEN, IMDS_ROLE, IMDS_CREDENTIALS };

struct imds_state {
	enum imds_stage stage;
	char token[TOKEN_SIZE]; /* "": version 1 */
	char role[129];
};

static const char who[] = "EC2 instance metadata";

static const struct creds_advice token_advice[] = {
	{400, "bad-request", "the token request is refused"},
	{403, "metadata-off", "the metadata service is turned off, or this address may not use it; see the instance's metadata options"},
	{404, "metadata-version", "gives no token; Version1=yes takes credentials without one, if that is wanted"},
	{405, "metadata-version", "gives no token; Version1=yes takes credentials without one, if that is wanted"},
	{0, NULL, NULL},
};
static const struct creds_advice role_advice[] = {
	{401, "token-refused", "the token is refused; a new one is asked for"},
	{403, "metadata-off", "the metadata service is turned off; see the instance's metadata options"},
	{404, "no-role", "the instance has no role; attach an instance profile with one"},
	{0, NULL, NULL},
};

static int ask(const struct creds_config *c, const struct imds_state *st, const char *method, const char *path, struct creds_step *ret)
{
	char url[512];
	int r = str_format(url, sizeof(url), "%s%s", c->endpoint[0] ? c->endpoint : "http://169.254.169.254", path);

	if (r >= 0)
		r = creds_request(c, GUARD_IMDS, method, url, NULL, ret);
	if (r >= 0 && st->stage == IMDS_TOKEN)
		r = request_add_header(&ret->request, "x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL);
	if (r >= 0 && st->stage != IMDS_TOKEN && st->token[0])
		r = request_add_header(&ret->request, "x-aws-ec2-metadata-token", st->token);
	return r;
}

static int ask_role(const struct creds_config *c, struct imds_state *st, struct creds_step *ret)
{
	st->stage = IMDS_ROLE;
	return ask(c, st, "GET", ROLES_PATH, ret);
}

/* May a service without tokens be asked? 400 says that the request was wrong, not that there are none. */
static bool without_token(const struct creds_config *c, const struct reply *r)
{
	if (!c->version_1)
		return false;
	return r->error == TRANSPORT_TIMEOUT ||
	       (r->error == TRANSPORT_OK && (r->status == 403 || r->status == 404 || r->status == 405));
}

static bool one_word(const char *s, size_t max)
{
	size_t len = strlen(s);

	for (const char *p = s; *p; p++) {
		if (*p <= 0x20 || *p >= 0x7f)
			return false;
	}
	return len > 0 && len <= max;
}

static int got_token(const struct creds_config *c, struct imds_state *st, const struct reply *r, struct creds_step *ret)
{
	if (without_token(c, r))
		return ask_role(c, st, ret);
	if (r->error == TRANSPORT_TIMEOUT)
		return creds_fail(ret, "unreachable",
			"%s: no answer to the token request; inside a container the instance's hop limit must be 2", who);
	if (!creds_reply_ok(c, who, r, token_advice, ret))
		return 0;
	if (strlen(r->body) != r->len || !one_word(r->body, TOKEN_SIZE - 1))
		return creds_fail(ret, "bad-reply", "%s: the token is not one word of at most 512 characters", who);
	str_copy(st->token, sizeof(st->token), r->body);
	return ask_role(c, st, ret);
}

static int got_role(const struct creds_config *c, struct imds_state *st, const struct reply *r, struct creds_step *ret)
{
	_cleanup_buf_ struct buf path = BUF_MAX(480);
	size_t len = r->len;
	int e;

	if (!creds_reply_ok(c, who, r, role_advice, ret))
		return 0;
	while (len && (r->body[len - 1] == '\n' || r->body[len - 1] == '\r'))
		len--;
	if (!len)
		return creds_fail(ret, "no-role", "%s: the instance has no role; attach an instance profile with one", who);
	if (len >= sizeof(st->role) || memchr(r->body, '\0', len))
		return creds_fail(ret, "bad-reply", "%s: the role's name is longer than 128 characters or no text", who);
	memcpy(st->role, r->body, len);
	st->role[len] = '\0';
	if (!one_word(st->role, sizeof(st->role) - 1))
		return creds_fail(ret, "bad-reply", "%s: names not exactly one role", who);
	st->stage = IMDS_CREDENTIALS;
	e = buf_adds(&path, ROLES_PATH);
	if (e >= 0)
		e = url_encode(st->role, strlen(st->role), "", &path);
	return e < 0 ? e : ask(c, st, "GET", buf_str(&path), ret);
}

/*
 * When the service cannot renew what it has it says so by an end that is near or past: the keys may well be good still, so
 * they serve a little longer, and it is asked again. Whoever refuses them ends that.
 */
static void extend(struct creds *c, int64_t now_ms)
{
	if (c->expires_ms && c->expires_ms < now_ms + STABLE_MS)
		c->expires_ms = now_ms + STABLE_MS;
}

static int got_credentials(const struct creds_config *c, const struct imds_state *st, const struct creds_input *in,
	struct creds_step *ret)
{
	char name[96], safe[64];
	const char *code;
	cJSON *j = NULL;
	int e;

	if (!creds_reply_ok(c, who, in->reply, role_advice, ret))
		return 0;
	e = creds_reply_json(who, in->reply, &j, ret);
	if (e < 0)
		return e == -EBADMSG ? 0 : e;
	code = json_get_string(j, "Code");
	text_safe_copy(safe, sizeof(safe), code && !streq(code, "Success") ? code : st->role);
	str_format(name, sizeof(name), "%s, role %s", who, safe);
	if (code && !streq(code, "Success"))
		e = creds_fail(ret, "refused", "%s: has no credentials for the role: %s; look at the role's trust policy", who, safe);
	else
		e = creds_reply_have(name, j, CREDS_AS_METADATA, ret);
	creds_json_delete(j);
	if (e >= 0 && ret->action == CREDS_HAVE)
		extend(&ret->creds, in->now_ms);
	return e;
}

static int imds_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	struct imds_state *st = state;

	if (!in->reply)
		return ask(c, st, "PUT", "/latest/api/token", ret);
	switch (st->stage) {
	case IMDS_TOKEN:
		return got_token(c, st, in->reply, ret);
	case IMDS_ROLE:
		return got_role(c, st, in->reply, ret);
	case IMDS_CREDENTIALS:
		return got_credentials(c, st, in, ret);
	}
	return -EINVAL;
}

const struct creds_source_ops creds_source_imds = {.state_size = sizeof(struct imds_state), .stable = true, .next = imds_next};
