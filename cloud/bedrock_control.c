#include "cloud/bedrock_control.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "cloud/sigv4.h"

#define MEMBERS_MAX 64

static bool say(bool answer, char *why, size_t size, const char *fmt, ...) _printf_(4, 5);
static bool say(bool answer, char *why, size_t size, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_safe_copy(why, size, text);
	return answer;
}

bool bedrock_is_profile(const char *model)
{
	if (starts_with(model, "arn:"))
		return strstr(model, "inference-profile/") != NULL;
	return !starts_with(model, "amazon.") && !starts_with(model, "anthropic.");
}

/* An ARN of a foundation model is asked for by the id in it. */
static const char *asked_for(const char *model)
{
	const char *name = starts_with(model, "arn:") ? strstr(model, ":foundation-model/") : NULL;

	return name ? name + strlen(":foundation-model/") : model;
}

int bedrock_control_url(const char *region, const char *model, struct buf *out)
{
	int r = starts_with(asked_for(model), "arn:") && !bedrock_is_profile(model) ? -EINVAL : 0;

	if (r >= 0)
		r = buf_addf(out, "https://bedrock.%s.amazonaws.com", region);
	if (r >= 0)
		r = buf_adds(out, bedrock_is_profile(model) ? "/inference-profiles/" : "/foundation-models/");
	return r < 0 ? r : sigv4_encode_label(asked_for(model), out);
}

int bedrock_guardrail_url(const char *region, const char *guardrail, const char *version, struct buf *out)
{
	int r = buf_addf(out, "https://bedrock.%s.amazonaws.com/guardrails/", region);

	if (r >= 0)
		r = sigv4_encode_label(guardrail, out);
	return r < 0 ? r : buf_addf(out, "?guardrailVersion=%s", version);
}

/* "arn:aws:bedrock:REGION::foundation-model/ID": the region, and the id. */
static const char *member_split(const char *arn, char *region, size_t size)
{
	static const char start[] = "arn:aws:bedrock:", rest[] = "::foundation-model/";
	size_t len;

	if (!arn || !starts_with(arn, start))
		return NULL;
	arn += strlen(start);
	len = strcspn(arn, ":");
	if (!len || len >= size || !starts_with(arn + len, rest) || !arn[len + strlen(rest)])
		return NULL;
	memcpy(region, arn, len);
	region[len] = '\0';
	return arn + len + strlen(rest);
}

static bool add_arn(struct bedrock_leads *l, const char *arn)
{
	size_t n = strlen(l->arns), len = strlen(arn);

	if (n + len + 2 > sizeof(l->arns) || strchr(arn, ' '))
		return false;
	if (n)
		l->arns[n++] = ' ';
	memcpy(l->arns + n, arn, len + 1);
	return true;
}

/* The members' one model, as prices name it. */
static void name_model(struct bedrock_leads *l, const cJSON *members)
{
	const char *first_arn = json_get_string(cJSON_GetArrayItem(members, 0), "modelArn"), *first;
	char region[32], other[32];
	bool several = false;
	const cJSON *m;

	first = member_split(first_arn, region, sizeof(region));
	cJSON_ArrayForEach (m, members) {
		const char *id = member_split(json_get_string(m, "modelArn"), other, sizeof(other));

		if (!first || !id || !streq(first, id))
			return;
		several = several || !streq(region, other);
	}
	if (str_format(l->model, sizeof(l->model), "%s%s", several ? "au." : "", first) < 0)
		l->model[0] = '\0';
}

static bool members_stay(const struct guard_policy *p, const char *model, const cJSON *members, struct bedrock_leads *l, char *why,
	size_t why_size)
{
	char region[32], problem[128];
	const cJSON *m;

	cJSON_ArrayForEach (m, members) {
		const char *arn = json_get_string(m, "modelArn");

		if (!member_split(arn, region, sizeof(region)))
			return say(false, why, why_size, "%s has a member that is not understood", model);
		if (!guard_check_region(p, region, problem, sizeof(problem)))
			return say(false, why, why_size, "%s may run in %s, which is not allowed", model, region);
		if (!add_arn(l, arn))
			return say(false, why, why_size, "%s leads to more places than a receipt can name", model);
	}
	name_model(l, members);
	return true;
}

/* Is the reply about what was asked about, by its id or its ARN? */
static bool is_about(const cJSON *j, const char *model, const char *id, const char *arn)
{
	const char *name = json_get_string(j, id), *full = json_get_string(j, arn);

	return (name && streq(name, model)) || (full && streq(full, model));
}

bool bedrock_profile_stays(const struct guard_policy *p, const char *model, const char *body, size_t len, struct bedrock_leads *ret,
	char *why, size_t why_size)
{
	_cleanup_json_ cJSON *j = NULL;
	struct bedrock_leads leads = {};
	const cJSON *members;
	const char *status, *type;
	int n;

	if (json_parse(body, len, &j, NULL) < 0 || !is_about(j, model, "inferenceProfileId", "inferenceProfileArn"))
		return say(false, why, why_size, "the reply about %s is not understood", model);
	status = json_get_string(j, "status");
	type = json_get_string(j, "type");
	if (!status || !streq(status, "ACTIVE"))
		return say(false, why, why_size, "%s is not active", model);
	if (!type || (!streq(type, "SYSTEM_DEFINED") && !streq(type, "APPLICATION")))
		return say(false, why, why_size, "%s is of an unknown type", model);
	members = json_get_array(j, "models");
	n = cJSON_GetArraySize(members);
	if (n < 1 || n > MEMBERS_MAX)
		return say(false, why, why_size, "the reply does not say where %s leads", model);
	if (!members_stay(p, model, members, &leads, why, why_size))
		return false;
	*ret = leads;
	return say(true, why, why_size, "%s leads to %s: allowed", model, leads.arns);
}

bool bedrock_guardrail_stays(const char *region, const char *guardrail, const char *version, const char *body, size_t len,
	struct bedrock_leads *ret, char *why, size_t why_size)
{
	_cleanup_json_ cJSON *j = NULL;
	struct bedrock_leads leads = {};
	const char *arn, *status, *named;
	const cJSON *cross;
	char start[64];

	if (json_parse(body, len, &j, NULL) < 0 || !is_about(j, guardrail, "guardrailId", "guardrailArn"))
		return say(false, why, why_size, "the reply about the guardrail %s is not understood", guardrail);
	arn = json_get_string(j, "guardrailArn");
	named = json_get_string(j, "version");
	status = json_get_string(j, "status");
	if (str_format(start, sizeof(start), "arn:aws:bedrock:%s:", region) < 0 || !arn || !starts_with(arn, start) || !named ||
		!streq(named, version) || !add_arn(&leads, arn))
		return say(false, why, why_size, "AWS names the guardrail %s as another one, or of another region", guardrail);
	if (!status || !streq(status, "READY"))
		return say(false, why, why_size, "the guardrail %s is not ready", guardrail);
	cross = json_get(j, "crossRegionDetails");
	if (cross && !cJSON_IsNull(cross)) {
		named = json_get_string(cross, "guardrailProfileId");
		return say(false, why, why_size,
			"the guardrail %s reads pages by the profile %s, which is not known to stay in Australia; make one without cross-Region inference",
			guardrail, named ? named : "without a name");
	}
	*ret = leads;
	return say(true, why, why_size, "the guardrail %s reads in %s alone", guardrail, region);
}

static bool has_word(const cJSON *array, const char *word)
{
	const cJSON *j;

	cJSON_ArrayForEach (j, array)
		if (cJSON_IsString(j) && streq(j->valuestring, word))
			return true;
	return false;
}

bool bedrock_model_served(const char *model, const char *body, size_t len, char *why, size_t why_size)
{
	_cleanup_json_ cJSON *j = NULL;
	const cJSON *details;
	const char *status;

	if (json_parse(body, len, &j, NULL) < 0)
		return say(false, why, why_size, "the reply about %s is not understood", model);
	details = json_get_object(j, "modelDetails");
	if (!is_about(details, asked_for(model), "modelId", "modelArn"))
		return say(false, why, why_size, "the reply about %s is not understood", model);
	status = json_get_string(json_get_object(details, "modelLifecycle"), "status");
	if (!has_word(json_get_array(details, "inferenceTypesSupported"), "ON_DEMAND"))
		return say(false, why, why_size, "%s is not served on demand here", model);
	if (!has_word(json_get_array(details, "inputModalities"), "IMAGE"))
		return say(false, why, why_size, "%s does not see images", model);
	if (status && streq(status, "LEGACY"))
		return say(true, why, why_size, "%s is served on demand here, but AWS is about to end it (LEGACY)", model);
	return say(true, why, why_size, "%s is served on demand here", model);
}
