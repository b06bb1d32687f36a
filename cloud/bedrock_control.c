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

/* "arn:aws:bedrock:REGION::foundation-model/ID": the region. */
static bool member_region(const char *arn, char *region, size_t size)
{
	static const char start[] = "arn:aws:bedrock:", rest[] = "::foundation-model/";
	size_t len;

	if (!arn || !starts_with(arn, start))
		return false;
	arn += strlen(start);
	len = strcspn(arn, ":");
	if (!len || len >= size || !starts_with(arn + len, rest) || !arn[len + strlen(rest)])
		return false;
	memcpy(region, arn, len);
	region[len] = '\0';
	return true;
}

static bool members_stay(
	const struct guard_policy *p, const char *model, const cJSON *members, char *why, size_t why_size)
{
	char region[32], problem[128];
	const cJSON *m;

	cJSON_ArrayForEach (m, members) {
		if (!member_region(json_get_string(m, "modelArn"), region, sizeof(region)))
			return say(false, why, why_size, "%s has a member that is not understood", model);
		if (!guard_check_region(p, region, problem, sizeof(problem)))
			return say(false, why, why_size, "%s may run in %s, which is not allowed", model, region);
	}
	return true;
}

/* Is the reply about what was asked about, by its id or its ARN? */
static bool is_about(const cJSON *j, const char *model, const char *id, const char *arn)
{
	const char *name = json_get_string(j, id), *full = json_get_string(j, arn);

	return (name && streq(name, model)) || (full && streq(full, model));
}

bool bedrock_profile_stays(
	const struct guard_policy *p, const char *model, const char *body, size_t len, char *why, size_t why_size)
{
	_cleanup_json_ cJSON *j = NULL;
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
	if (!members_stay(p, model, members, why, why_size))
		return false;
	return say(true, why, why_size, "%s leads to %d models, all in allowed regions", model, n);
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
