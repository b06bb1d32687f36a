/*
 * Which model may be called, by every form that Bedrock takes: bare id, geographic profile id, ARN.
 * Source: Bedrock API reference, InvokeModel modelId; user guide, "Supported Regions and models" and "Geographic
 * cross-Region inference". docs/residency.md has the table.
 */
#include "cloud/guard_internal.h"

#include <stdio.h>

#define MODEL_MAX 2048
#define NEAREST   "amazon.nova-pro-v1:0"

/* What runs in Sydney itself when called by its bare id. */
static const char *const in_sydney[] = {
	"amazon.nova-pro-v1:0",
	"amazon.nova-lite-v1:0",
	"anthropic.claude-3-haiku-20240307-v1:0",
	"anthropic.claude-3-sonnet-20240229-v1:0",
	"anthropic.claude-3-5-sonnet-20241022-v2:0",
};

/* Known names that are refused for a reason of their own. */
static const struct {
	const char *prefix, *why;
} refused[] = {
	{"amazon.nova-micro-", "reads text only and cannot see a page; use amazon.nova-lite-v1:0"},
	{"amazon.nova-2-", "is offered only through profiles that leave Australia; use amazon.nova-pro-v1:0"},
	{"amazon.nova-premier-", "is offered only through profiles that leave Australia; use amazon.nova-pro-v1:0"},
};

static const struct {
	const char *prefix, *where;
} profiles[] = {
	{"apac.", "in Tokyo, Seoul, Mumbai, Singapore and other places in Asia"},
	{"global.", "in any region of the world"},
	{"us.", "in the United States"},
	{"us-gov.", "in the United States"},
	{"eu.", "in Europe"},
	{"jp.", "in Japan"},
	{"ca.", "in Canada"},
};

static bool listed(const char *model)
{
	for (size_t i = 0; i < ARRAY_SIZE(in_sydney); i++) {
		if (streq(model, in_sydney[i]))
			return true;
	}
	return false;
}

static bool plain_name(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-")] == '\0';
}

/* What an operator who asked for `model` (without prefix) can have. */
static const char *nearest(const char *model)
{
	if (listed(model))
		return model;
	if (starts_with(model, "anthropic."))
		return "an au.anthropic. profile with Regions=sydney melbourne, or " NEAREST;
	return NEAREST;
}

/* Called from Auckland the same profile may run in New Zealand. */
static bool source_is_australian(const char *region)
{
	return streq(region, "ap-southeast-2") || streq(region, "ap-southeast-4");
}

static enum guard_answer check_au(const struct guard_policy *p, const char *region, const char *model, const struct guard_why *w)
{
	if (!starts_with(model, "au.anthropic.claude-")) {
		guard_say(w, "%s: AU profiles exist for Anthropic models only; use " NEAREST, model);
		return GUARD_DENY;
	}
	if (!source_is_australian(region)) {
		guard_say(w, "%s may leave Australia when it is called from %s; set Region=ap-southeast-2", model, region);
		return GUARD_DENY;
	}
	if (p->sydney_only) {
		guard_say(w, "%s may run in Melbourne too; set Regions=sydney melbourne, or use " NEAREST " in Sydney", model);
		return GUARD_DENY;
	}
	guard_say(w, "%s runs in Sydney or Melbourne", model);
	return GUARD_ALLOW;
}

/* "PREFIX.provider.model". */
static enum guard_answer check_profile(const struct guard_policy *p, const char *region, const char *model, const struct guard_why *w)
{
	if (starts_with(model, "au."))
		return check_au(p, region, model, w);
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		if (!starts_with(model, profiles[i].prefix))
			continue;
		guard_say(w, "%s may run %s; use %s", model, profiles[i].where,
			nearest(model + strlen(profiles[i].prefix)));
		return GUARD_DENY;
	}
	guard_say(w, "%s is not known to stay in Australia; use " NEAREST, model);
	return GUARD_DENY;
}

static enum guard_answer check_bare(const char *region, const char *model, const struct guard_why *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (starts_with(model, refused[i].prefix)) {
			guard_say(w, "%s %s", model, refused[i].why);
			return GUARD_DENY;
		}
	}
	if (!listed(model)) {
		guard_say(w, "%s is not on the list of models that run in Sydney; use " NEAREST, model);
		return GUARD_DENY;
	}
	if (!streq(region, "ap-southeast-2")) {
		guard_say(w, "%s runs in ap-southeast-2 (Sydney), not in %s; set Region=ap-southeast-2", model, region);
		return GUARD_DENY;
	}
	guard_say(w, "%s runs in ap-southeast-2 (Sydney)", model);
	return GUARD_ALLOW;
}

static enum guard_answer check_id(
	const struct guard_policy *p, const char *region, const char *model, const struct guard_why *w)
{
	if (!plain_name(model)) {
		guard_say(w, "the model id has characters that no model id has; use " NEAREST);
		return GUARD_DENY;
	}
	if (starts_with(model, "amazon.") || starts_with(model, "anthropic."))
		return check_bare(region, model, w);
	return check_profile(p, region, model, w);
}

/* ---- ARNs: arn:aws:bedrock:REGION:ACCOUNT:TYPE/NAME -------------------------------------------------------------- */

struct arn {
	char service[16], region[24], account[16], type[40];
	const char *name;
};

/* Copies up to `stop` and steps over it. */
static int take(const char **s, char stop, char *out, size_t size)
{
	const char *end = strchr(*s, stop);

	if (!end || (size_t)(end - *s) >= size)
		return -EINVAL;
	memcpy(out, *s, (size_t)(end - *s));
	out[end - *s] = '\0';
	*s = end + 1;
	return 0;
}

static int split_arn(const char *text, struct arn *a)
{
	const char *s = text + strlen("arn:aws:");

	if (!starts_with(text, "arn:aws:") || take(&s, ':', a->service, sizeof(a->service)) < 0 ||
		take(&s, ':', a->region, sizeof(a->region)) < 0 || take(&s, ':', a->account, sizeof(a->account)) < 0 ||
		take(&s, '/', a->type, sizeof(a->type)) < 0 || !plain_name(s))
		return -EINVAL;
	a->name = s;
	return 0;
}

static bool account_ok(const char *s)
{
	return strlen(s) == 12 && strspn(s, "0123456789") == 12;
}

enum arn_rule { ARN_MODEL, ARN_PROFILE, ARN_RESOLVE, ARN_IN_REGION, ARN_DENY };

static const struct {
	const char *service, *type;
	enum arn_rule rule;
} arn_types[] = {
	{"bedrock", "foundation-model", ARN_MODEL},
	{"bedrock", "inference-profile", ARN_PROFILE},
	{"bedrock", "application-inference-profile", ARN_RESOLVE},
	{"bedrock", "provisioned-model", ARN_IN_REGION},
	{"bedrock", "custom-model-deployment", ARN_IN_REGION},
	{"bedrock", "imported-model", ARN_IN_REGION},
	{"sagemaker", "endpoint", ARN_IN_REGION},
	{"bedrock", "prompt", ARN_DENY},
	{"bedrock", "prompt-router", ARN_DENY},
	{"bedrock", "default-prompt-router", ARN_DENY},
};

static enum arn_rule arn_rule(const struct arn *a, const char **ret_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(arn_types); i++) {
		*ret_type = arn_types[i].type;
		if (streq(a->service, arn_types[i].service) && streq(a->type, arn_types[i].type))
			return arn_types[i].rule;
	}
	*ret_type = NULL;
	return ARN_DENY;
}

static enum guard_answer apply_rule(const struct guard_policy *p, const struct arn *a, const struct guard_why *w)
{
	const char *type;
	enum arn_rule rule = arn_rule(a, &type);

	if (rule != ARN_MODEL && rule != ARN_DENY && !account_ok(a->account)) {
		guard_say(w, "the ARN has no account of 12 digits");
		return GUARD_DENY;
	}
	switch (rule) {
	case ARN_MODEL:
		if (!*a->account)
			return check_bare(a->region, a->name, w);
		guard_say(w, "the ARN of a foundation model has no account");
		return GUARD_DENY;
	case ARN_PROFILE:
		return check_profile(p, a->region, a->name, w);
	case ARN_RESOLVE:
		guard_say(w,
			"only AWS can say where the application inference profile %s leads: it must be resolved first",
			a->name);
		return GUARD_NEEDS_RESOLVE;
	case ARN_IN_REGION:
		guard_say(w, "%s %s runs in its own region, %s", type, a->name, a->region);
		return GUARD_ALLOW;
	case ARN_DENY:
		break;
	}
	guard_say(w,
		type ? "%s routes to models that this program cannot see; use " NEAREST
		     : "%s is not a kind of ARN that is known to stay in Australia; use " NEAREST,
		a->type);
	return GUARD_DENY;
}

enum guard_answer guard_check_model(
	const struct guard_policy *p, const char *region, const char *model, const struct guard_why *w)
{
	struct arn a;

	if (strlen(model) > MODEL_MAX) {
		guard_say(w, "the model id is longer than %d bytes", MODEL_MAX);
		return GUARD_DENY;
	}
	if (!starts_with(model, "arn:"))
		return check_id(p, region, model, w);
	if (split_arn(model, &a) < 0) {
		guard_say(w, "%s is not an ARN of partition aws that can be judged; use " NEAREST, model);
		return GUARD_DENY;
	}
	if (!guard_region_allowed(p, a.region) || !streq(a.region, region)) {
		guard_say(
			w, "the ARN is in region \"%s\", not in %s where it is called; use " NEAREST, a.region, region);
		return GUARD_DENY;
	}
	return apply_rule(p, &a, w);
}
