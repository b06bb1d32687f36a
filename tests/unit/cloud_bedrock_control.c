#include "cloud/bedrock_control.h"
#include "tests/unit/test.h"

#define PRO     "amazon.nova-pro-v1:0"
#define AU      "au.anthropic.claude-sonnet-4-6"
#define APP     "arn:aws:bedrock:ap-southeast-2:123456789012:application-inference-profile/abc"
#define MEMBER(region) "{\"modelArn\":\"arn:aws:bedrock:" region "::foundation-model/anthropic.claude-sonnet-4-6\"}"
#define PROFILE(members, status)                                                                                           \
	"{\"inferenceProfileId\":\"" AU "\",\"inferenceProfileArn\":\"" APP "\",\"status\":\"" status                       \
	"\",\"type\":\"SYSTEM_DEFINED\",\"models\":[" members "]}"
#define MODEL(types, modalities, status)                                                                                   \
	"{\"modelDetails\":{\"modelId\":\"" PRO "\",\"inferenceTypesSupported\":[" types "],\"inputModalities\":[" modalities  \
	"],\"modelLifecycle\":{\"status\":\"" status "\"}}}"

static const struct guard_policy sydney = {.sydney_only = true}, both = {};
static char why[1400];
static struct bedrock_leads leads;

static bool stays(const struct guard_policy *p, const char *model, const char *body)
{
	why[0] = '\0';
	leads = (struct bedrock_leads){.arns = "untouched"};
	return bedrock_profile_stays(p, model, body, strlen(body), &leads, why, sizeof(why));
}

static bool served(const char *model, const char *body)
{
	why[0] = '\0';
	return bedrock_model_served(model, body, strlen(body), why, sizeof(why));
}

TEST(a_profile_stays_when_every_member_does)
{
	CHECK(stays(&sydney, AU, PROFILE(MEMBER("ap-southeast-2"), "ACTIVE")));
	CHECK(stays(&sydney, APP, PROFILE(MEMBER("ap-southeast-2"), "ACTIVE")));
	CHECK_STR(leads.arns, "arn:aws:bedrock:ap-southeast-2::foundation-model/anthropic.claude-sonnet-4-6");
	CHECK_STR(leads.model, "anthropic.claude-sonnet-4-6");
	CHECK(!stays(&sydney, AU, PROFILE(MEMBER("ap-southeast-2") "," MEMBER("ap-southeast-4"), "ACTIVE")));
	CHECK(strstr(why, "ap-southeast-4"));
	CHECK_STR(leads.arns, "untouched");
	CHECK(stays(&both, AU, PROFILE(MEMBER("ap-southeast-2") "," MEMBER("ap-southeast-4"), "ACTIVE")));
	CHECK_STR(leads.arns, "arn:aws:bedrock:ap-southeast-2::foundation-model/anthropic.claude-sonnet-4-6 "
		"arn:aws:bedrock:ap-southeast-4::foundation-model/anthropic.claude-sonnet-4-6");
	CHECK_STR(leads.model, AU);
	CHECK(stays(&both, AU, PROFILE(MEMBER("ap-southeast-2") ",{\"modelArn\":\"arn:aws:bedrock:ap-southeast-2::foundation-model/x\"}", "ACTIVE")));
	CHECK_STR(leads.model, "");
	CHECK(!stays(&both, AU, PROFILE(MEMBER("ap-southeast-2") "," MEMBER("ap-southeast-6"), "ACTIVE")));
	CHECK(strstr(why, "may run in ap-southeast-6"));
}

TEST(what_is_not_understood_proves_nothing)
{
	static const char *const bad[] = {
		"", "null", "[]", "{}", "{\"models\":[", PROFILE("", "ACTIVE"), PROFILE(MEMBER("ap-southeast-2"), "CREATING"),
		PROFILE(MEMBER("ap-southeast-2"), ""), PROFILE("{}", "ACTIVE"), PROFILE("1", "ACTIVE"), PROFILE(MEMBER(""), "ACTIVE"),
		PROFILE("{\"modelArn\":\"arn:aws-cn:bedrock:ap-southeast-2::foundation-model/x\"}", "ACTIVE"),
		PROFILE("{\"modelArn\":\"arn:aws:bedrock:ap-southeast-2::foundation-model/\"}", "ACTIVE"),
		PROFILE("{\"modelArn\":\"arn:aws:bedrock:ap-southeast-2:1:prompt-router/x\"}", "ACTIVE"),
		PROFILE(MEMBER("ap-southeast-2-and-much-more-than-any-region-has"), "ACTIVE"),
		"{\"inferenceProfileId\":\"" AU "\",\"status\":\"ACTIVE\",\"models\":[" MEMBER("ap-southeast-2") "]}",
		"{\"inferenceProfileId\":\"" AU "\",\"type\":\"ROUTER\",\"status\":\"ACTIVE\",\"models\":[" MEMBER("ap-southeast-2") "]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (stays(&both, AU, bad[i]) || !*why)
			test_fail(__FILE__, __LINE__, "%s", bad[i]);
	/* an answer about another profile */
	CHECK(!stays(&both, "au.anthropic.claude-opus-4-8", PROFILE(MEMBER("ap-southeast-2"), "ACTIVE")));
}

static bool many_members(int n)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(buf_adds(&b, "{\"inferenceProfileId\":\"" AU "\",\"status\":\"ACTIVE\",\"type\":\"APPLICATION\",\"models\":["), 0);
	for (int i = 0; i < n; i++)
		CHECK_INT(buf_addf(&b, "%s%s", i ? "," : "", MEMBER("ap-southeast-2")), 0);
	CHECK_INT(buf_adds(&b, "]}"), 0);
	return stays(&both, AU, buf_str(&b));
}

TEST(a_profile_of_too_many_members)
{
	CHECK(many_members(6));
	CHECK(!many_members(20) && strstr(why, "more places"));
	CHECK(!many_members(65));
}

#define GUARDRAIL(id, region, version, status, more)                                                                         \
	"{\"guardrailId\":\"" id "\",\"guardrailArn\":\"arn:aws:bedrock:" region ":123456789012:guardrail/" id "\",\"version\":\""  \
	version "\",\"status\":\"" status "\"" more "}"
#define CROSS ",\"crossRegionDetails\":{\"guardrailProfileId\":\"apac.guardrail.v1:0\"}"

static bool guarded(const char *id, const char *body)
{
	why[0] = '\0';
	leads = (struct bedrock_leads){.arns = "untouched"};
	return bedrock_guardrail_stays("ap-southeast-2", id, "7", body, strlen(body), &leads, why, sizeof(why));
}

TEST(a_guardrail_stays_without_a_profile)
{
	static const char *const bad[] = {
		"", "[]", "{}", GUARDRAIL("abc", "ap-southeast-2", "7", "READY", CROSS), GUARDRAIL("abc", "ap-southeast-2", "7", "READY", ",\"crossRegionDetails\":{}"),
		GUARDRAIL("abc", "ap-southeast-2", "7", "FAILED", ""), GUARDRAIL("abc", "ap-southeast-2", "8", "READY", ""),
		GUARDRAIL("abc", "us-east-1", "7", "READY", ""), GUARDRAIL("abcd", "ap-southeast-2", "7", "READY", ""),
		"{\"guardrailId\":\"abc\",\"version\":\"7\",\"status\":\"READY\"}",
	};

	CHECK(guarded("abc", GUARDRAIL("abc", "ap-southeast-2", "7", "READY", "")));
	CHECK_STR(leads.arns, "arn:aws:bedrock:ap-southeast-2:123456789012:guardrail/abc");
	CHECK(guarded("arn:aws:bedrock:ap-southeast-2:123456789012:guardrail/abc", GUARDRAIL("abc", "ap-southeast-2", "7", "READY", ",\"crossRegionDetails\":null")));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (guarded("abc", bad[i]) || !*why || !streq(leads.arns, "untouched"))
			test_fail(__FILE__, __LINE__, "%s", bad[i]);
	CHECK(!guarded("abc", GUARDRAIL("abc", "ap-southeast-2", "7", "READY", CROSS)) && strstr(why, "apac.guardrail.v1:0"));
}

TEST(a_model_is_served_on_demand)
{
	CHECK(served(PRO, MODEL("\"ON_DEMAND\",\"PROVISIONED\"", "\"TEXT\",\"IMAGE\"", "ACTIVE")));
	CHECK(served("arn:aws:bedrock:ap-southeast-2::foundation-model/" PRO, MODEL("\"ON_DEMAND\"", "\"IMAGE\"", "ACTIVE")));
	CHECK(served(PRO, MODEL("\"ON_DEMAND\"", "\"IMAGE\"", "LEGACY")) && strstr(why, "LEGACY"));
	CHECK(!served(PRO, MODEL("\"INFERENCE_PROFILE\"", "\"IMAGE\"", "ACTIVE")) && strstr(why, "not served on demand"));
	CHECK(!served(PRO, MODEL("\"ON_DEMAND\"", "\"TEXT\"", "ACTIVE")) && strstr(why, "does not see"));
	CHECK(!served("amazon.nova-lite-v1:0", MODEL("\"ON_DEMAND\"", "\"IMAGE\"", "ACTIVE")));
	CHECK(!served(PRO, "{") && !served(PRO, "{}") && !served(PRO, "[]"));
}

static const char *url_of(const char *model, struct buf *b)
{
	buf_clear(b);
	return bedrock_control_url("ap-southeast-2", model, b) < 0 ? NULL : buf_str(b);
}

TEST(urls)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_STR(url_of(PRO, &b), "https://bedrock.ap-southeast-2.amazonaws.com/foundation-models/amazon.nova-pro-v1%3A0");
	CHECK_STR(url_of("arn:aws:bedrock:ap-southeast-2::foundation-model/" PRO, &b),
		"https://bedrock.ap-southeast-2.amazonaws.com/foundation-models/amazon.nova-pro-v1%3A0");
	CHECK_STR(url_of(AU, &b), "https://bedrock.ap-southeast-2.amazonaws.com/inference-profiles/" AU);
	CHECK(strstr(url_of(APP, &b), "/inference-profiles/arn%3Aaws%3Abedrock%3Aap-southeast-2%3A123456789012%3Aapplication"));
	CHECK(!url_of("arn:aws:bedrock:ap-southeast-2:123456789012:imported-model/x", &b));
	buf_clear(&b);
	CHECK_INT(bedrock_guardrail_url("ap-southeast-2", "abc", "DRAFT", &b), 0);
	CHECK_STR(buf_str(&b), "https://bedrock.ap-southeast-2.amazonaws.com/guardrails/abc?guardrailVersion=DRAFT");
}
