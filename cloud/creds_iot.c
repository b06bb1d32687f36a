/*
 * AWS IoT Core credential provider: one request with the device's certificate, for a role alias. Source: AWS IoT Core
 * developer guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider".
 */
#include "cloud/creds_identity.h"
#include "cloud/creds_reply.h"
#include "cloud/url.h"

#include "base/text.h"

struct iot_state {
	struct creds_identity identity;
	char who[96], dates[120];
};

static const struct creds_advice advice[] = {
	{400, "bad-request", "the request is refused; look at RoleAlias= and ThingName="},
	{403, "access-denied",
		"refused: the certificate must be active, its policy allow iot:AssumeRoleWithCertificate on the role alias, and "
		"ThingName= be attached to it"},
	{404, "no-role-alias", "there is no such role alias in this region; look at RoleAlias="},
	{0, NULL, NULL},
};

static int ask(const struct creds_config *c, struct iot_state *st, struct creds_step *ret)
{
	_cleanup_buf_ struct buf url = BUF_MAX(URL_MAX);
	int r = buf_addf(&url, "%s/role-aliases/", c->endpoint);

	if (r >= 0)
		r = url_encode(c->role_alias, strlen(c->role_alias), "", &url);
	if (r >= 0)
		r = buf_adds(&url, "/credentials");
	if (r >= 0)
		r = creds_request(c, GUARD_IOT_CREDENTIALS, "GET", buf_str(&url), c->role_alias, ret);
	if (r >= 0 && c->thing_name[0])
		r = request_add_header(&ret->request, "x-amzn-iot-thingname", c->thing_name);
	ret->request.client_cert = st->identity.cert_pem;
	ret->request.client_key = st->identity.key_pem;
	return r;
}

/* A certificate that is not valid now is most likely why. */
static void explain(const struct iot_state *st, struct creds_step *ret)
{
	char text[sizeof(ret->message)];

	if (!st->dates[0] || !(streq(ret->reason, "access-denied") || streq(ret->reason, "tls") || streq(ret->reason, "unreachable")))
		return;
	str_copy(text, sizeof(text), ret->message);
	creds_fail(ret, "certificate-dates", "%.40s:%s. (%.80s)", st->who, st->dates, text);
}

static int answer(const struct creds_config *c, struct iot_state *st, const struct reply *r, struct creds_step *ret)
{
	cJSON *j = NULL;
	int e;

	if (!creds_reply_ok(c, st->who, r, advice, ret)) {
		explain(st, ret);
		return 0;
	}
	e = creds_reply_json(st->who, r, &j, ret);
	if (e < 0)
		return e == -EBADMSG ? 0 : e;
	e = creds_reply_have(st->who, json_get_object(j, "credentials"), CREDS_AS_SESSION, ret);
	creds_json_delete(j);
	return e;
}

static int iot_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	struct iot_state *st = state;
	char safe[64];
	int r;

	if (in->reply)
		return answer(c, st, in->reply, ret);
	text_safe_copy(safe, sizeof(safe), c->role_alias);
	str_format(st->who, sizeof(st->who), "IoT role alias %s", safe);
	r = creds_identity_load(c, &st->identity, ret);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	creds_identity_dates(&st->identity, in->now_ms, st->dates, sizeof(st->dates));
	return ask(c, st, ret);
}

static void iot_clear(void *state)
{
	creds_identity_clear(&((struct iot_state *)state)->identity);
}

const struct creds_source_ops creds_source_iot = {
	.state_size = sizeof(struct iot_state), .next = iot_next, .clear = iot_clear};
