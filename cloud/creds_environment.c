/* The standard variables of the service's own environment.
 * Source: AWS SDKs and Tools Reference Guide, "Environment variables". */
#include "cloud/creds_source.h"

static const char *variable(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static int environment_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	struct creds_words w = {
		.key = variable("AWS_ACCESS_KEY_ID"),
		.secret = variable("AWS_SECRET_ACCESS_KEY"),
		.token = variable("AWS_SESSION_TOKEN"),
		.expires = variable("AWS_CREDENTIAL_EXPIRATION"),
	};
	char why[120];
	int r;

	ret->local = true;
	if (!w.key && !w.secret)
		return creds_fail(ret, "no-credentials",
			"the service's environment has no AWS_ACCESS_KEY_ID; set it with AWS_SECRET_ACCESS_KEY, and restart");
	if (!w.token)
		w.token = variable("AWS_SECURITY_TOKEN"); /* what it was called first */
	str_copy(ret->creds.source, sizeof(ret->creds.source), "environment");
	r = creds_fill(&ret->creds, &w, why, sizeof(why));
	if (r == -EBADMSG)
		return creds_fail(ret, "bad-credentials", "environment: %s", why);
	ret->action = CREDS_HAVE;
	return r;
}

const struct creds_source_ops creds_source_environment = {.next = environment_next};
