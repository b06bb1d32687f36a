/*
 * AWS Security Token Service, query protocol of 2011-06-15: AssumeRole and AssumeRoleWithWebIdentity at the region's own
 * endpoint. Source: AWS STS API Reference.
 */
#include "cloud/creds_sts.h"

#include <inttypes.h>

#include "base/text.h"
#include "cloud/body.h"
#include "cloud/creds_reply.h"
#include "cloud/sigv4.h"
#include "cloud/url.h"
#include "cloud/xml.h"

#define REPLY_MAX   ((size_t)64 << 10) /* tokens grow with a session's tags */
#define DURATION_MS INT64_C(3600000)

static int add_field(struct buf *body, const char *name, const char *value)
{
	int r = buf_addf(body, "&%s=", name);

	return r < 0 ? r : url_encode(value, strlen(value), "", body);
}

static int build_body(const struct sts_role *role, struct buf *body)
{
	const char *name = role->session_name && *role->session_name ? role->session_name : "pageferry";
	char seconds[24];
	int r = buf_addf(body, "Action=%s&Version=2011-06-15", role->token ? "AssumeRoleWithWebIdentity" : "AssumeRole");

	str_format(seconds, sizeof(seconds), "%" PRIi64, (role->duration_ms ? role->duration_ms : DURATION_MS) / 1000);
	if (r >= 0)
		r = add_field(body, "RoleArn", role->arn);
	if (r >= 0)
		r = add_field(body, "RoleSessionName", name);
	if (r >= 0)
		r = add_field(body, "DurationSeconds", seconds);
	if (r >= 0 && role->external_id && *role->external_id)
		r = add_field(body, "ExternalId", role->external_id);
	if (r >= 0 && role->token)
		r = add_field(body, "WebIdentityToken", role->token);
	return r;
}

static int build_request(const struct creds_config *c, const struct sts_role *role, struct creds_step *ret)
{
	_cleanup_(buf_wipe) struct buf body = BUF_MAX((size_t)128 << 10);
	_cleanup_buf_ struct buf url = BUF_MAX(URL_MAX);
	size_t len = strlen(c->endpoint);
	int r = buf_addf(&url, "%s%s", c->endpoint, len > 0 && c->endpoint[len - 1] == '/' ? "" : "/");

	if (r >= 0)
		r = creds_request(c, GUARD_STS, "POST", buf_str(&url), NULL, ret);
	if (r < 0)
		return r;
	ret->request.max_reply = REPLY_MAX;
	r = buf_reserve(&body, body.max, NULL); /* in one block: growing would leave copies of the token behind */
	if (r >= 0)
		r = build_body(role, &body);
	if (r >= 0)
		r = request_add_header(&ret->request, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
	if (r >= 0)
		r = request_add_literal_take(&ret->request, &body);
	return r < 0 ? r : body_hash(&ret->request);
}

int sts_ask(const struct creds_config *c, const struct sts_role *role, const struct creds *signer, int64_t signing_s,
	struct creds_step *ret)
{
	int r;

	if (!role->token && signing_s <= 0)
		return creds_fail(ret, "clock", "the clock is known to be wrong: nothing is signed until it is set");
	r = build_request(c, role, ret);
	if (r >= 0 && !role->token)
		r = sigv4_sign(&(struct sigv4_params){.region = c->region, .service = "sts", .now = signing_s}, signer, &ret->request);
	return r;
}

/* ---- replies ---------------------------------------------------------------------------------------------------------- */

enum whose { ANYBODY, SIGNED, IDENTITY };

/* First match wins. */
static const struct {
	const char *code;
	enum whose whose;
	bool creds_wrong;
	const char *reason, *message;
} errors[] = {
	{"AccessDenied", SIGNED, false, "access-denied",
		"these credentials may not assume the role; let its trust policy name them, and their own policy allow sts:AssumeRole"},
	{"AccessDenied", IDENTITY, false, "access-denied",
		"the token may not assume the role; its trust policy must name the provider, and allow sts:AssumeRoleWithWebIdentity"},
	{"ExpiredTokenException", IDENTITY, false, "expired-token", "the token has expired; whoever writes its file must renew it"},
	{"ExpiredTokenException", SIGNED, true, "expired-token", "the credentials that were to assume the role have expired"},
	{"ExpiredToken", SIGNED, true, "expired-token", "the credentials that were to assume the role have expired"},
	{"InvalidClientTokenId", SIGNED, true, "unknown-key", "AWS does not know the access key that was to assume the role"},
	{"UnrecognizedClientException", SIGNED, true, "unknown-key", "AWS does not know the access key that was to assume the role"},
	{"SignatureDoesNotMatch", SIGNED, false, "signature", "the secret key is another one, or the clock is wrong"},
	{"InvalidIdentityToken", IDENTITY, false, "bad-token", "the provider's token cannot be read or was not signed by it"},
	{"IDPRejectedClaim", IDENTITY, false, "bad-token", "the provider rejects the token; get a new one from it"},
	{"IDPCommunicationError", IDENTITY, false, "provider-away", "AWS cannot reach the token's provider; it is tried again"},
	{"RegionDisabledException", ANYBODY, false, "region-disabled",
		"STS is not active in this region; activate it in the account settings of IAM"},
	{"MalformedPolicyDocument", ANYBODY, false, "refused", "the session policy cannot be read"},
	{"PackedPolicyTooLarge", ANYBODY, false, "refused", "session policy and tags together are too large"},
	{"ValidationError", ANYBODY, false, "refused",
		"something of the request is not as STS takes it; check RoleArn=, SessionName=, ExternalId= and Duration= (no longer than "
		"the role allows)"},
	{"Throttling", ANYBODY, false, "throttled", "STS has had too many requests; it is tried again"},
};

static int explain(const struct reply *reply, bool web_identity, const char *who, struct creds_step *ret)
{
	_cleanup_buf_ struct buf code = BUF_MAX(128);
	char safe[64];

	if (xml_get(reply->body, reply->len, "ErrorResponse/Error/Code", &code) < 0)
		return creds_fail(ret, reply->status >= 500 ? "server-error" : "refused", "%s: STS answers %d without saying why", who,
			reply->status);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!streq(errors[i].code, buf_str(&code)) || errors[i].whose == (web_identity ? SIGNED : IDENTITY))
			continue;
		ret->creds_wrong = errors[i].creds_wrong;
		return creds_fail(ret, errors[i].reason, "%s: %s", who, errors[i].message);
	}
	return creds_fail(ret, reply->status >= 500 ? "server-error" : "refused", "%s: STS answers %d %s", who, reply->status,
		text_safe_copy(safe, sizeof(safe), buf_str(&code)));
}

static int take_credentials(const struct reply *reply, bool web_identity, struct creds *c, char *why, size_t size)
{
	static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
	const char *action = web_identity ? "AssumeRoleWithWebIdentity" : "AssumeRole";
	struct buf values[] = {BUF_MAX(129), BUF_MAX(257), BUF_MAX((size_t)16 << 10), BUF_MAX(64)};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(names); i++) {
		char path[128];
		void *room;

		str_format(path, sizeof(path), "%sResponse/%sResult/Credentials/%s", action, action, names[i]);
		r = buf_reserve(&values[i], values[i].max, &room); /* so that no copy is left behind as it grows */
		if (r >= 0)
			r = xml_get(reply->body, reply->len, path, &values[i]);
	}
	if (r == -ENOENT || r == -EBADMSG || r == -EMSGSIZE) {
		str_copy(why, size, "the answer of STS is not what it should be");
		r = -EBADMSG;
	} else if (r >= 0) {
		r = creds_fill(c, &(struct creds_words){
			.key = buf_str(&values[0]),
			.secret = buf_str(&values[1]),
			.token = buf_str(&values[2]),
			.expires = buf_str(&values[3]),
		}, why, size);
	}
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		buf_wipe(&values[i]);
	return r;
}

int sts_reply(const struct creds_config *c, const struct reply *reply, bool web_identity, const char *arn, struct creds_step *ret)
{
	char who[sizeof(ret->creds.source)], where[sizeof(who) + 64], role[64], why[160];
	const char *slash = strrchr(arn, '/');
	int r;

	text_safe_copy(role, sizeof(role), slash ? slash + 1 : arn);
	str_format(who, sizeof(who), "role %s", role);
	str_format(where, sizeof(where), "%s: STS in %s", who, c->region);
	if (!creds_reply_came(c, where, reply, ret))
		return 0;
	if (reply->status != 200)
		return explain(reply, web_identity, who, ret);
	r = take_credentials(reply, web_identity, &ret->creds, why, sizeof(why));
	if (r == -EBADMSG)
		return creds_fail(ret, "bad-credentials", "%s: %s", who, why);
	str_copy(ret->creds.source, sizeof(ret->creds.source), who);
	ret->action = CREDS_HAVE;
	return r;
}
