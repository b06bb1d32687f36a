/*
 * Hosts and paths of the AWS services that are spoken to, inside an allowed region.
 * Source: botocore's endpoint-rule-set and service-2.json of each service; AWS IoT developer guide, "Authorizing direct calls"
 * (IoT has no service models for it); AWS PrivateLink guide for the vpce names. docs/residency.md has the table.
 */
#include <stdio.h>

#include "base/text.h"
#include "cloud/guard_internal.h"

struct aws_service {
	enum guard_sink sink;
	const char *people; /* how it is called in sentences */
	const char *host;   /* before ".REGION.amazonaws.com" */
	const char *dual;   /* the whole start of the dual-stack name, and what follows the region */
	const char *dual_suffix;
	bool needs_label, may_have_label; /* before `host`: an account's prefix, a bucket */
	bool sydney_only;                 /* the service is not offered in Melbourne */
	/* Is it the path of something that is asked for? `label` is what stands before `host`, or "". */
	bool (*path)(const struct guard_question *q, const struct url *u, const char *label);
};

/* ---- paths --------------------------------------------------------------------------------------------------------- */

static bool path_is(const struct url *u, const char *path)
{
	return !u->query && u->path_len == strlen(path) && memcmp(u->path, path, u->path_len) == 0;
}

/* PREFIX LABEL ACTION: the label, decoded once, is `name` (any that is not empty if NULL). */
static bool path_names(const struct url *u, const char *prefix, const char *name, const char *const *actions)
{
	_cleanup_buf_ struct buf label = BUF_MAX(4096);
	size_t len = strlen(prefix), rest;
	const char *start, *slash;

	if (u->path_len <= len || memcmp(u->path, prefix, len) != 0 || u->query)
		return false;
	start = u->path + len;
	slash = memchr(start, '/', u->path_len - len);
	rest = slash ? u->path_len - (size_t)(slash - u->path) : 0;
	if (url_decode(start, u->path_len - len - rest, &label) < 0 || !label.len || (name && !streq(buf_str(&label), name)))
		return false;
	for (; *actions; actions++) {
		if (rest == strlen(*actions) && (!rest || memcmp(slash, *actions, rest) == 0))
			return true;
	}
	return false;
}

/* The model that the URL really names must be the model that was checked. */
static bool bedrock_path(const struct guard_question *q, const struct url *u, const char *label)
{
	static const char *const actions[] = {
		"/invoke", "/converse", "/invoke-with-response-stream", "/converse-stream", "/count-tokens", NULL};

	return path_names(u, "/model/", q->model, actions);
}

static bool control_path(const struct guard_question *q, const struct url *u, const char *label)
{
	static const char *const nothing[] = {"", NULL};
	struct url bare = *u;

	bare.query = NULL; /* a guardrail has versions */
	return path_names(u, "/inference-profiles/", NULL, nothing) || path_names(u, "/foundation-models/", NULL, nothing) ||
	       path_names(&bare, "/guardrails/", NULL, nothing);
}

static bool sagemaker_path(const struct guard_question *q, const struct url *u, const char *label)
{
	static const char *const actions[] = {"/invocations", "/async-invocations", "/invocations-response-stream", NULL};

	return path_names(u, "/endpoints/", q->model, actions);
}

/* Bucket names of other kinds lead elsewhere: access point and object lambda aliases, directory buckets. */
static bool plain_bucket(const char *s)
{
	static const char *const aliases[] = {"-s3alias", "--ol-s3", "--x-s3", "--table-s3"};
	size_t len = strlen(s);

	if (len < 3 || len > 63 || s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		size_t n = strlen(aliases[i]);

		if (len > n && streq(s + len - n, aliases[i]))
			return false;
	}
	return !starts_with(s, "xn--") && !starts_with(s, "sthree-");
}

/* https://BUCKET.s3.REGION.amazonaws.com/KEY, or the bucket as the first part of the path. */
static bool s3_path(const struct guard_question *q, const struct url *u, const char *label)
{
	char bucket[64];
	size_t len;

	if (*label)
		return plain_bucket(label) && (!q->model || streq(q->model, label));
	len = u->path_len > 1 ? strcspn(u->path + 1, "/?") : 0;
	if (!len || len >= sizeof(bucket))
		return false;
	memcpy(bucket, u->path + 1, len);
	bucket[len] = '\0';
	return plain_bucket(bucket) && (!q->model || streq(q->model, bucket));
}

static bool sts_path(const struct guard_question *q, const struct url *u, const char *label)
{
	return path_is(u, "/");
}

static bool iot_path(const struct guard_question *q, const struct url *u, const char *label)
{
	static const char *const actions[] = {"/credentials", NULL};

	return path_names(u, "/role-aliases/", q->model, actions);
}

static bool roles_anywhere_path(const struct guard_question *q, const struct url *u, const char *label)
{
	return path_is(u, "/sessions");
}

static bool sso_path(const struct guard_question *q, const struct url *u, const char *label)
{
	struct url bare = *u;

	bare.query = NULL; /* the role and the account */
	return path_is(&bare, "/federation/credentials");
}

static bool oidc_path(const struct guard_question *q, const struct url *u, const char *label)
{
	return path_is(u, "/token");
}

static const struct aws_service services[] = {
	{GUARD_BEDROCK, "Bedrock", "bedrock-runtime", "bedrock-runtime", "api.aws", false, false, false, bedrock_path},
	{GUARD_BEDROCK_CONTROL, "Bedrock's control plane", "bedrock", "bedrock", "api.aws", false, false, false, control_path},
	{GUARD_SAGEMAKER, "SageMaker", "runtime.sagemaker", "runtime.sagemaker", "api.aws", false, false, false, sagemaker_path},
	{GUARD_S3, "S3", "s3", "s3.dualstack", "amazonaws.com", false, true, false, s3_path},
	{GUARD_STS, "STS", "sts", "sts", "api.aws", false, false, false, sts_path},
	{GUARD_IOT_CREDENTIALS, "the IoT credential provider", "credentials.iot", "credentials.iot", "api.aws", true, true, true, iot_path},
	{GUARD_ROLES_ANYWHERE, "IAM Roles Anywhere", "rolesanywhere", "rolesanywhere", "api.aws", false, false, false, roles_anywhere_path},
	{GUARD_SSO, "IAM Identity Center", "portal.sso", "portal.sso", "api.aws", false, false, false, sso_path},
	{GUARD_SSO_OIDC, "IAM Identity Center's tokens", "oidc", "oidc", "api.aws", false, false, false, oidc_path},
};

static const struct aws_service *service_of(enum guard_sink sink)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		if (services[i].sink == sink)
			return &services[i];
	}
	return NULL;
}

/* ---- hosts --------------------------------------------------------------------------------------------------------- */

static bool name_is(const char *host, const char *service, const char *region, const char *suffix)
{
	char want[128];

	return str_format(want, sizeof(want), "%s.%s.%s", service, region, suffix) > 0 && streq(host, want);
}

/* "vpce-" and one label, then the service's own name inside the region. S3's begin with "bucket." for its objects. */
static bool is_vpce(const struct aws_service *s, const char *host, const char *region)
{
	const char *name = s->sink == GUARD_S3 && starts_with(host, "bucket.") ? host + 7 : host, *dot = strchr(name, '.');

	return starts_with(name, "vpce-") && dot && dot - name > 5 && name_is(dot + 1, s->host, region, "vpce.amazonaws.com");
}

static bool regional(const struct aws_service *s, const char *host, const char *region)
{
	return name_is(host, s->host, region, "amazonaws.com") || name_is(host, s->dual, region, s->dual_suffix);
}

/* Is the host one of the service in this region? `label` gets what stands before it, or "". */
static bool host_is(const struct aws_service *s, const char *host, const char *region, char *label, size_t label_size)
{
	const char *dot = strchr(host, '.');
	size_t len = dot ? (size_t)(dot - host) : 0;

	*label = '\0';
	if (is_vpce(s, host, region) || (!s->needs_label && regional(s, host, region)))
		return true;
	if (!s->may_have_label || !len || len >= label_size || !regional(s, dot + 1, region))
		return false;
	memcpy(label, host, len);
	label[len] = '\0';
	return true;
}

/* GUARD_ALLOW, with what stands before the service's name in `label`; or GUARD_DENY with why. */
static enum guard_answer check_host(const struct guard_policy *p, const struct guard_question *q,
	const struct aws_service *s, const struct url *u, char *label, size_t label_size, const struct guard_why *w)
{
	*label = '\0';
	if (guard_detour(p, q, u, w))
		return GUARD_DENY;
	if (guard_lab_ends_here(p, q, u)) {
		/* Which bucket or account it stands in for is in the name, if there is one. */
		host_is(s, u->host, q->region, label, label_size);
		return GUARD_ALLOW;
	}
	if (!u->https || u->port != 443) {
		guard_say(w, "AWS is only spoken to by https on port 443; use https://%s%s.%s.amazonaws.com",
			s->needs_label ? "PREFIX." : "", s->host, q->region);
		return GUARD_DENY;
	}
	if (!host_is(s, u->host, q->region, label, label_size)) {
		guard_say(w, "host %s is not %s in %s; use %s%s.%s.amazonaws.com", u->host, s->people, q->region,
			s->needs_label ? "PREFIX." : "", s->host, q->region);
		return GUARD_DENY;
	}
	return GUARD_ALLOW;
}

static bool region_fits(
	const struct guard_policy *p, const struct aws_service *s, const char *region, const struct guard_why *w)
{
	if (!guard_region_allowed(p, region))
		guard_say(w, "region %s is not allowed; use ap-southeast-2 (Sydney)", region);
	else if (s->sydney_only && !streq(region, "ap-southeast-2"))
		guard_say(w, "%s is offered in ap-southeast-2 (Sydney), not in %s", s->people, region);
	else
		return true;
	return false;
}

enum guard_answer guard_check_aws(
	const struct guard_policy *p, const struct guard_question *q, const struct guard_why *w)
{
	const struct aws_service *s = service_of(q->sink);
	char problem[128], label[64];
	enum guard_answer a;
	struct url u;

	if (q->unix_socket || !q->url || !q->region || (q->sink == GUARD_BEDROCK && !q->model)) {
		guard_say(w, "a request to %s needs a URL, %sa region, and no socket", s->people,
			q->sink == GUARD_BEDROCK ? "a model, " : "");
		return GUARD_DENY;
	}
	if (!region_fits(p, s, q->region, w))
		return GUARD_DENY;
	if (url_split(q->url, &u, problem, sizeof(problem)) < 0) {
		guard_say(w, "the URL is refused: %s", problem);
		return GUARD_DENY;
	}
	a = check_host(p, q, s, &u, label, sizeof(label), w);
	if (a != GUARD_ALLOW)
		return a;
	if (!s->path(q, &u, label)) {
		if (q->model)
			guard_say(w, "the URL does not call %s, which was asked about", q->model);
		else
			guard_say(w, "the URL's path is none that is asked of %s", s->people);
		return GUARD_DENY;
	}
	guard_say(w, "%s in %s", s->people, q->region);
	if (q->sink == GUARD_BEDROCK)
		a = guard_check_model(p, q->region, q->model, w);
	if (a == GUARD_ALLOW && q->guardrail && *q->guardrail) {
		guard_say(w, "only AWS can say whether the guardrail %s reads pages in %s alone: it must be resolved first", q->guardrail, q->region);
		return GUARD_NEEDS_RESOLVE;
	}
	if (a == GUARD_ALLOW && q->sink == GUARD_S3 && q->page) {
		guard_say(w, "only S3 can say in which region the bucket %s is: it must be resolved first", q->model ? q->model : label);
		return GUARD_NEEDS_RESOLVE;
	}
	if (a == GUARD_ALLOW && guard_lab_ends_here(p, q, &u))
		guard_say(w, GUARD_LAB_SENTENCE);
	return a;
}

/* ---- what names a region otherwise ----------------------------------------------------------------------------------- */

bool guard_check_region(const struct guard_policy *p, const char *region, char *why, size_t why_size)
{
	const struct guard_why w = {why, why_size};

	if (region && guard_region_allowed(p, region))
		return true;
	guard_say(&w, "region %s is not allowed; use ap-southeast-2 (Sydney)", region ? region : "(none)");
	return false;
}

bool guard_check_arn(const struct guard_policy *p, const char *service, const char *region, const char *arn, char *why,
	size_t why_size)
{
	const struct guard_why w = {why, why_size};
	char start[96];

	if (region && !guard_region_allowed(p, region)) {
		guard_say(&w, "region %s is not allowed; use ap-southeast-2 (Sydney)", region);
		return false;
	}
	if (str_format(start, sizeof(start), "arn:aws:%s:%s:", service, region ? region : "") > 0 && starts_with(arn, start))
		return true;
	guard_say(&w, "%s is not an ARN that begins with %s", arn, start);
	return false;
}
