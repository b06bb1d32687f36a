/* IAM Roles Anywhere: CreateSession, signed by the certificate's key. Source: IAM Roles Anywhere user guide, "CreateSession". */
#include "cloud/body.h"
#include "cloud/creds_identity.h"
#include "cloud/creds_reply.h"
#include "cloud/sigv4_x509.h"

#include "base/text.h"

struct anywhere_state {
	char who[96], dates[120];
};

static const struct creds_advice advice[] = {
	{400, "bad-request", "the request is refused; look at TrustAnchorArn=, ProfileArn=, RoleArn= and Duration="},
	{403, "access-denied",
		"refused: the certificate must come from the trust anchor's authority, the profile be enabled and list the role, and "
		"the role trust rolesanywhere.amazonaws.com"},
	{404, "no-profile", "there is no such trust anchor or profile in this region"},
	{0, NULL, NULL},
};

static int add_body(const struct creds_config *c, struct request *req)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	_cleanup_buf_ struct buf b = BUF_MAX(8192);
	int r = j ? json_add_i64(j, "durationSeconds", (c->duration_ms ? c->duration_ms : 3600000) / 1000) : -ENOMEM;

	if (r >= 0)
		r = json_add_string(j, "profileArn", c->profile_arn);
	if (r >= 0)
		r = json_add_string(j, "roleArn", c->role_arn);
	if (r >= 0 && c->session_name[0])
		r = json_add_string(j, "roleSessionName", c->session_name);
	if (r >= 0)
		r = json_add_string(j, "trustAnchorArn", c->trust_anchor_arn);
	if (r >= 0)
		r = json_print(j, false, &b);
	if (r >= 0)
		r = request_add_literal_take(req, &b);
	return r < 0 ? r : body_hash(req);
}

static int sign(const struct creds_config *c, const struct creds_identity *i, int64_t now, struct request *req)
{
	const struct sigv4_params p = {.region = c->region, .service = "rolesanywhere", .now = now};
	int r = add_body(c, req);

	if (r >= 0)
		r = request_add_header(req, "Content-Type", "application/json");
	return r < 0 ? r : sigv4_sign_x509(&p, &i->certs, i->key, req);
}

static int ask(const struct creds_config *c, const struct creds_identity *i, int64_t now, struct creds_step *ret)
{
	char url[320];
	int r = c->endpoint[0] ? str_format(url, sizeof(url), "%s/sessions", c->endpoint)
			       : str_format(url, sizeof(url), "https://rolesanywhere.%s.amazonaws.com/sessions", c->region);

	if (r >= 0)
		r = creds_request(c, GUARD_ROLES_ANYWHERE, "POST", url, NULL, ret);
	if (r >= 0)
		r = sign(c, i, now, &ret->request);
	if (r >= 0 || r == -ENOMEM)
		return MIN(r, 0);
	request_free(&ret->request);
	return creds_fail(ret, "bad-credentials", "IAM Roles Anywhere: the request cannot be signed: %s",
		r == -ENOBUFS ? "the certificates are too long for a header" : "look at Endpoint= and Region=");
}

static int answer(
	const struct creds_config *c, const struct anywhere_state *st, const struct reply *r, struct creds_step *ret)
{
	const cJSON *first;
	cJSON *j = NULL;
	int e;

	if (!creds_reply_ok(c, st->who, r, advice, ret)) {
		if (st->dates[0] && streq(ret->reason, "access-denied"))
			creds_fail(ret, "certificate-dates", "%.60s:%s", st->who, st->dates);
		return 0;
	}
	e = creds_reply_json(st->who, r, &j, ret);
	if (e < 0)
		return e == -EBADMSG ? 0 : e;
	first = cJSON_GetArrayItem(json_get_array(j, "credentialSet"), 0);
	e = creds_reply_have(st->who, json_get_object(first, "credentials"), CREDS_AS_SESSION, ret);
	creds_json_delete(j);
	return e;
}

static int begin(
	const struct creds_config *c, struct anywhere_state *st, const struct creds_input *in, struct creds_step *ret)
{
	struct creds_identity identity = {};
	char safe[64];
	int r;

	if (!in->signing_s)
		return creds_fail(ret, "clock", "the clock is known to be wrong: nothing is signed until it is right");
	r = creds_identity_load(c, &identity, ret);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	text_safe_copy(safe, sizeof(safe), identity.certs.subject);
	str_format(st->who, sizeof(st->who), "IAM Roles Anywhere as %s", safe);
	creds_identity_dates(&identity, in->now_ms, st->dates, sizeof(st->dates));
	r = ask(c, &identity, in->signing_s, ret);
	creds_identity_clear(&identity);
	return r;
}

static int anywhere_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	return in->reply ? answer(c, state, in->reply, ret) : begin(c, state, in, ret);
}

const struct creds_source_ops creds_source_roles_anywhere = {
	.state_size = sizeof(struct anywhere_state), .next = anywhere_next};
