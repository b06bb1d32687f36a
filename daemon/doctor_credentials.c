/* Each [Credentials NAME]: which source gave them, until when, what is wrong and what to do. No secret is told. */
#include "base/text.h"
#include "daemon/credentials.h"
#include "daemon/doctor.h"

#define AREA    "credentials"
#define SOON_MS INT64_C(3600000) /* what nobody renews by itself is told this long before its end */

/* What to do about a reason of struct creds_step, where the sentence beside it does not say so. */
static const struct {
	const char *reason, *advice;
} advices[] = {
	{"no-credentials", "put them where the section says, or name another Source="},
	{"bad-credentials", "write them anew at their source; what is there cannot be used"},
	{"expired-token", "renew them at their source; they are read again by themselves"},
	{"access-denied", "look at the policies of the role and of who assumes it; configs/iam has them"},
	{"unknown-key", "the key was deleted, or its session token is missing: make a new one in IAM"},
	{"signature", "set the clock, and write the secret key anew"},
	{"clock", "set the clock, or give the machine a time server"},
	{"residency", "name an endpoint and a region in Australia"},
	{"unreachable", "look at the network, names and firewall between this machine and the endpoint"},
	{"unavailable", "wait: it is asked again by itself"},
	{"server-error", "wait: it is asked again by itself"},
	{"throttled", "wait: it is asked again by itself"},
	{"provider-away", "wait: it is asked again by itself"},
	{"tls", "look at the certificate and its key, at the endpoint's name, and at the clock"},
	{"program", "run the program by hand as the service's user, with an environment of PATH and HOME alone"},
	{"no-token", "whoever writes the token's file must write it where the section says, readable by the service"},
	{"bad-token", "whoever writes the token's file must renew it"},
	{"region-disabled", "activate STS for the region in the account settings of IAM"},
	{"no-role", "give the instance, task or device a role"},
};

static const char *advice_for(const char *reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		if (streq(advices[i].reason, reason))
			return advices[i].advice;
	return "mend what it says; it is asked again by itself";
}

static bool uses(const struct backend_config *b, const struct creds_config *c)
{
	return (b->kind == KIND_BEDROCK || b->kind == KIND_SAGEMAKER) && streq(b->credentials, c->name);
}

/* "aws (systemd-credential, for sydney, melbourne)" */
static void name_section(const struct service *s, const struct creds_config *c, char *out, size_t size)
{
	_cleanup_buf_ struct buf b = BUF_MAX(size - 1);
	bool used = false;

	buf_addf(&b, "%s (%s", c->name, creds_kind_names[c->kind]);
	for (size_t i = 0; i < s->config.n_backends; i++) {
		const struct backend_config *x = &s->config.backends[i];

		if (uses(x, c)) {
			buf_addf(&b, "%s%s", used ? ", " : ", for ", x->name);
			used = true;
		}
	}
	buf_addc(&b, ')'); /* what does not fit is left out */
	str_copy(out, size, buf_str(&b));
}

static void name_end(const struct credentials_view *v, char *out, size_t size)
{
	char when[TIMESTAMP_SIZE];

	if (!v->expires_ms) {
		str_copy(out, size, "no end is known");
		return;
	}
	timestamp_format(v->expires_ms, false, when);
	str_format(out, size, "until %s", when);
}

static void name_wait(const struct credentials_view *v, char *out, size_t size)
{
	out[0] = '\0';
	if (v->coming)
		str_copy(out, size, " (being asked again)");
	else if (v->wait_ms > 0)
		str_format(out, size, " (to be asked again in %lld s, or when it is needed)", (long long)(v->wait_ms + 999) / 1000);
}

static void tell_ready(struct doctor *d, const struct credentials_view *v, int64_t now_ms, const char *name)
{
	char until[TIMESTAMP_SIZE + 16];

	name_end(v, until, sizeof(until));
	if (v->reason)
		doctor_add(d, AREA, FINDING_WARNING, advice_for(v->reason),
			"%s: from %s, %s; but they cannot be renewed: %s: %s", name, v->source, until, v->reason, v->message);
	else if (v->local && v->expires_ms && v->expires_ms - now_ms < SOON_MS)
		doctor_add(d, AREA, FINDING_WARNING, "put new ones in their place; they are read again by themselves",
			"%s: from %s, %s, which is soon", name, v->source, until);
	else
		doctor_add(d, AREA, FINDING_OK, NULL, "%s: from %s%s%s, %s", name, v->source, v->hint[0] ? ", key " : "", v->hint,
			until);
}

static void examine(struct doctor *d, struct service *s, const struct creds_config *c)
{
	struct provider *p = credentials_find(s->credentials, c->name);
	const char *reason, *message;
	struct credentials_view v;
	char name[160], again[64];

	name_section(s, c, name, sizeof(name));
	credentials_view(p, &v);
	/* To read a file again costs nothing; others are asked only when that is wanted. */
	if (v.local || doctor_live(d)) {
		credentials_hurry(p);
		credentials_look(p, &reason, &message);
		credentials_view(p, &v);
	}
	name_wait(&v, again, sizeof(again));
	if (v.refused)
		doctor_add(d, AREA, FINDING_PROBLEM,
			"look in IAM whether the key is active, and what it is; put another one in its place",
			"%s: AWS refuses what %s gave%s%s", name, v.source, v.hint[0] ? ", key " : "", v.hint);
	else if (v.ready)
		tell_ready(d, &v, clock_realtime_ms(s->clock) + clock_skew_ms(s->clock), name);
	else if (v.reason)
		doctor_add(d, AREA, FINDING_PROBLEM, advice_for(v.reason), "%s: %s: %s%s", name, v.reason, v.message, again);
	else
		doctor_add(d, AREA, FINDING_NOTE, NULL, "%s: %s", name,
			v.coming ? "being got: look again in a moment" : "not asked for yet: nobody has needed them");
}

/* The default section is always there; without who uses it there is nothing to tell of it. */
static bool is_told(const struct service *s, const struct creds_config *c)
{
	if (!streq(c->name, "aws") || c->kind != CREDS_SYSTEMD)
		return true;
	for (size_t i = 0; i < s->config.n_backends; i++)
		if (uses(&s->config.backends[i], c))
			return true;
	for (size_t i = 0; i < s->config.n_credentials; i++)
		if (streq(s->config.credentials[i].source_credentials, c->name))
			return true;
	return false;
}

void doctor_credentials(struct doctor *d, struct service *s)
{
	bool told = false;

	for (size_t i = 0; i < s->config.n_credentials; i++) {
		if (!is_told(s, &s->config.credentials[i]))
			continue;
		told = true;
		examine(d, s, &s->config.credentials[i]);
	}
	if (!told)
		doctor_add(d, AREA, FINDING_NOTE, NULL, "no backend needs any");
}
