#include <stdio.h>

#include "cloud/guard_internal.h"
#include "cloud/sigv4.h"
#include "tests/unit/test.h"

#define HOST "https://bedrock-runtime.ap-southeast-2.amazonaws.com"
#define PRO  "amazon.nova-pro-v1:0"
#define SYD  "ap-southeast-2"
#define MEL  "ap-southeast-4"
#define ACC  "123456789012"

static const struct guard_policy sydney = {.sydney_only = true}, both = {}, lab = {.sydney_only = true, .lab = true};
static char why[512];

static enum guard_answer ask_full(
	const struct guard_policy *p, const char *base, const char *model, const char *region, const char *connect_to)
{
	_cleanup_buf_ struct buf url = {};
	struct guard_question q = {.sink = GUARD_BEDROCK, .model = model, .region = region, .connect_to = connect_to};

	CHECK(buf_addf(&url, "%s/model/", base) == 0 && sigv4_encode_label(model, &url) == 0 &&
		buf_adds(&url, "/invoke") == 0);
	q.url = buf_str(&url);
	why[0] = '\0';
	return guard_check(p, &q, why, sizeof(why));
}

static enum guard_answer ask_model(const struct guard_policy *p, const char *model, const char *region)
{
	char base[128];

	snprintf(base, sizeof(base), "https://bedrock-runtime.%s.amazonaws.com", region);
	return ask_full(p, base, model, region, NULL);
}

static enum guard_answer ask_url(const struct guard_policy *p, const char *url)
{
	struct guard_question q = {.sink = GUARD_BEDROCK, .model = PRO, .region = SYD, .url = url};

	why[0] = '\0';
	return guard_check(p, &q, why, sizeof(why));
}

struct model_case {
	const char *model, *region;
	enum guard_answer strict, melbourne; /* sydney_only, and without */
	const char *why;                     /* part of the sentence in strict mode */
};

#define A                          GUARD_ALLOW
#define D                          GUARD_DENY
#define N                          GUARD_NEEDS_RESOLVE
#define ARN(region, account, rest) "arn:aws:bedrock:" region ":" account ":" rest

static const struct model_case models[] = {
	/* bare ids that run in Sydney */
	{PRO, SYD, A, A, "runs in ap-southeast-2"},
	{"amazon.nova-lite-v1:0", SYD, A, A, "runs in"},
	{"anthropic.claude-3-haiku-20240307-v1:0", SYD, A, A, "runs in"},
	{"anthropic.claude-3-5-sonnet-20241022-v2:0", SYD, A, A, "runs in"},
	/* refused with their own reasons */
	{"amazon.nova-micro-v1:0", SYD, D, D, "text only"},
	{"amazon.nova-2-lite-v1:0", SYD, D, D, "only through profiles"},
	{"amazon.nova-premier-v1:0", SYD, D, D, "only through profiles"},
	{"amazon.nova-pro-v1:0:24k", SYD, D, D, "not on the list"},
	{"amazon.nova-pro-v9:0", SYD, D, D, "not on the list"},
	{"anthropic.claude-sonnet-4-5-20250929-v1:0", SYD, D, D, "not on the list"},
	{"", SYD, D, D, ""},
	{"amazon.nova-pro-v1:0 ", SYD, D, D, "characters"},
	{"Amazon.nova-pro-v1:0", SYD, D, D, "not known to stay"},
	/* regions */
	{PRO, MEL, D, D, "region ap-southeast-4 is not allowed"},
	{PRO, "ap-southeast-6", D, D, "is not allowed"},
	{PRO, "ap-southeast-1", D, D, "is not allowed"},
	{PRO, "ap-southeast-22", D, D, "is not allowed"},
	{PRO, "us-east-1", D, D, "use ap-southeast-2"},
	/* profiles */
	{"au.anthropic.claude-haiku-4-5-20251001-v1:0", SYD, D, A, "Regions=sydney melbourne"},
	{"au.anthropic.claude-sonnet-4-6", MEL, D, A, "not allowed"},
	{"au.anthropic.claude-sonnet-4-6", "ap-southeast-6", D, D, "not allowed"},
	{"au.amazon.nova-pro-v1:0", SYD, D, D, "Anthropic models only"},
	{"apac.amazon.nova-pro-v1:0", SYD, D, D, "use amazon.nova-pro-v1:0"},
	{"apac.amazon.nova-lite-v1:0", SYD, D, D, "use amazon.nova-lite-v1:0"},
	{"global.amazon.nova-2-lite-v1:0", SYD, D, D, "any region"},
	{"global.anthropic.claude-sonnet-4-5-20250929-v1:0", SYD, D, D, "au.anthropic."},
	{"us.amazon.nova-pro-v1:0", SYD, D, D, "United States"},
	{"us-gov.anthropic.claude-3-haiku-20240307-v1:0", SYD, D, D, "United States"},
	{"eu.amazon.nova-pro-v1:0", SYD, D, D, "Europe"},
	{"jp.amazon.nova-2-lite-v1:0", SYD, D, D, "Japan"},
	{"ca.amazon.nova-lite-v1:0", SYD, D, D, "Canada"},
	{"mars.amazon.nova-pro-v1:0", SYD, D, D, "not known to stay"},
	/* ARNs */
	{ARN(SYD, "", "foundation-model/" PRO), SYD, A, A, "runs in"},
	{ARN(SYD, ACC, "foundation-model/" PRO), SYD, D, D, "no account"},
	{ARN(SYD, "", "foundation-model/amazon.nova-2-lite-v1:0"), SYD, D, D, "profiles"},
	{ARN("us-east-1", "", "foundation-model/" PRO), SYD, D, D, "us-east-1"},
	{ARN("", "", "foundation-model/" PRO), SYD, D, D, "region \"\""},
	{ARN(SYD, ACC, "inference-profile/au.anthropic.claude-sonnet-4-6"), SYD, D, A, "Melbourne"},
	{ARN(SYD, ACC, "inference-profile/apac." PRO), SYD, D, D, "Asia"},
	{ARN(SYD, ACC, "inference-profile/" PRO), SYD, D, D, "not known to stay"},
	{ARN(MEL, ACC, "inference-profile/au.anthropic.claude-sonnet-4-6"), SYD, D, D, MEL},
	{ARN(SYD, ACC, "application-inference-profile/a1b2c3d4e5f6"), SYD, N, N, "resolved"},
	{ARN("us-east-1", ACC, "application-inference-profile/a1b2c3d4e5f6"), SYD, D, D, "us-east-1"},
	{ARN(SYD, "12345", "application-inference-profile/a1b2c3d4e5f6"), SYD, D, D, "12 digits"},
	{ARN(SYD, ACC, "provisioned-model/abcdefghijkl"), SYD, A, A, "own region"},
	{ARN(SYD, ACC, "custom-model-deployment/abcdefghijkl"), SYD, A, A, "own region"},
	{ARN(SYD, ACC, "imported-model/abcdefghijkl"), SYD, A, A, "own region"},
	{ARN("us-west-2", ACC, "imported-model/abcdefghijkl"), SYD, D, D, "us-west-2"},
	{ARN(SYD, ACC, "prompt/ABCDEFGHIJ"), SYD, D, D, "routes"},
	{ARN(SYD, ACC, "prompt-router/abc"), SYD, D, D, "routes"},
	{ARN(SYD, ACC, "default-prompt-router/anthropic.claude:1"), SYD, D, D, "routes"},
	{ARN(SYD, ACC, "something-new/abc"), SYD, D, D, "not a kind"},
	{ARN(SYD, ACC, "imported-model/a/b"), SYD, D, D, "judged"},
	{ARN(SYD, ACC, "imported-model/"), SYD, D, D, ""},
	{"arn:aws:sagemaker:" SYD ":" ACC ":endpoint/mine", SYD, A, A, "own region"},
	{"arn:aws:sagemaker:us-east-1:" ACC ":endpoint/mine", SYD, D, D, "us-east-1"},
	{"arn:aws-us-gov:bedrock:" SYD ":" ACC ":imported-model/a", SYD, D, D, "partition"},
	{"arn:aws-cn:bedrock:" SYD "::foundation-model/" PRO, SYD, D, D, "partition"},
	{"arn:", SYD, D, D, ""},
	{"arn:aws:bedrock", SYD, D, D, ""},
	{"arn:aws:bedrock:::::::", SYD, D, D, ""},
};

TEST(models)
{
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		const struct model_case *c = &models[i];
		enum guard_answer a = ask_model(&sydney, c->model, c->region), b;

		if (a != c->strict || !*why || !strstr(why, c->why))
			test_fail(__FILE__, __LINE__, "%s: %d: %s", c->model, a, why);
		b = ask_model(&both, c->model, c->region);
		if (b != c->melbourne)
			test_fail(__FILE__, __LINE__, "%s with Melbourne: %d: %s", c->model, b, why);
	}
}

TEST(a_guardrail_is_resolved_first)
{
	struct guard_question q = {.sink = GUARD_BEDROCK, .url = HOST "/model/amazon.nova-pro-v1%3A0/invoke", .model = PRO, .region = SYD,
		.guardrail = "gr1abc"};

	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), N);
	CHECK(strstr(why, "gr1abc"));
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), N);
	q.model = "apac.amazon.nova-pro-v1:0";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	q.model = PRO;
	q.guardrail = "";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), A);
}

TEST(au_profiles_need_an_australian_source)
{
	static const char au[] = "au.anthropic.claude-sonnet-4-6";
	const struct guard_why w = {why, sizeof(why)};

	CHECK_INT(guard_check_model(&both, SYD, au, &w), A);
	CHECK_INT(guard_check_model(&both, MEL, au, &w), A);
	CHECK_INT(guard_check_model(&both, "ap-southeast-6", au, &w), D);
	CHECK(strstr(why, "called from ap-southeast-6"));
	CHECK_INT(guard_check_model(&both, "ap-southeast-6", ARN("ap-southeast-6", ACC, "inference-profile/au.anthropic.claude-sonnet-4-6"), &w), D);
	CHECK_INT(ask_model(&both, ARN(SYD, ACC, "inference-profile/au.anthropic.claude-sonnet-4-6"), MEL), D);
}

TEST(an_overlong_model_is_refused)
{
	char model[3000] = "amazon.nova-pro-v1:0";

	memset(model + 20, 'x', sizeof(model) - 21);
	model[sizeof(model) - 1] = '\0';
	CHECK_INT(ask_model(&sydney, model, SYD), D);
}

TEST(hosts)
{
	static const char *const good
		[] =
			{
				HOST,
				"https://bedrock-runtime.ap-southeast-2.api.aws",
				HOST ":443",
				"https://vpce-0a1b2c-3d4e.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com",
			},
	    *const bad[] = {
		    "http://bedrock-runtime.ap-southeast-2.amazonaws.com",
		    HOST ":8443",
		    HOST ".",
		    HOST ".evil.example",
		    "https://evil.example",
		    "https://bedrock-runtime.us-east-1.amazonaws.com",
		    "https://bedrock-runtime.ap-southeast-4.amazonaws.com", /* allowed region, but not the one signed for */
		    "https://bedrock-runtime.ap-southeast-21.amazonaws.com",
		    "https://bedrock-runtime.ap-southeast-2.amazonaws.com.cn",
		    "https://bedrock-runtime.ap-southeast-2.amazonaws.com@evil.example",
		    "https://user@bedrock-runtime.ap-southeast-2.amazonaws.com",
		    "https://BEDROCK-RUNTIME.ap-southeast-2.amazonaws.com",
		    "https://bedrock-runtime-fips.ap-southeast-2.amazonaws.com",
		    "https://bedrock.ap-southeast-2.amazonaws.com",
		    "https://bedrock-mantle.ap-southeast-2.api.aws",
		    "https://x.bedrock-runtime.ap-southeast-2.amazonaws.com",
		    "https://vpce-.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com",
		    "https://vpce-1.evil.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com",
		    "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
		    "https://vpce-1.s3.ap-southeast-2.vpce.amazonaws.com",
		    "https://127.0.0.1",
		    "https://127.0.0.1:443",
		    "https://[::1]",
		    "https://10.0.0.1",
		    "https://52.95.0.1",
		    "https://bedrock-runtime.ap-southeast-2.amazonaws.com\\.evil.example",
		    "https://bedrock%2druntime.ap-southeast-2.amazonaws.com",
	    };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (ask_full(&both, good[i], PRO, SYD, NULL) != A)
			test_fail(__FILE__, __LINE__, "denied %s: %s", good[i], why);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (ask_full(&both, bad[i], PRO, SYD, NULL) != D || !*why)
			test_fail(__FILE__, __LINE__, "not denied: %s", bad[i]);
	}
}

TEST(the_url_must_name_the_model_that_was_asked_about)
{
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%3A0/invoke"), A);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%3a0/invoke"), A);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1:0/converse"), A);
	CHECK_INT(ask_url(&sydney, HOST "/model/apac.amazon.nova-pro-v1%3A0/invoke"), D);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%253A0/invoke"), D);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%3A0/invoke?x=1"), D);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%3A0/invoke/x"), D);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%3A0/async"), D);
	CHECK_INT(ask_url(&sydney, HOST "/model/amazon.nova-pro-v1%3A0"), D);
	CHECK_INT(ask_url(&sydney, HOST "//model/amazon.nova-pro-v1%3A0/invoke"), D);
	CHECK_INT(ask_url(&sydney, HOST "/x/../model/amazon.nova-pro-v1%3A0/invoke"), D);
	CHECK_INT(ask_url(&sydney, HOST "/async-invoke"), D);
	CHECK_INT(ask_url(&sydney, HOST), D);
	CHECK_INT(ask_url(&sydney, NULL), D);
}

TEST(missing_parts_are_denied)
{
	struct guard_question q = {
		.sink = GUARD_BEDROCK, .url = HOST "/model/amazon.nova-pro-v1%3A0/invoke", .model = PRO, .region = SYD};
	struct guard_question t;

	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), A);
	t = q;
	t.model = NULL;
	CHECK_INT(guard_check(&sydney, &t, why, sizeof(why)), D);
	t = q;
	t.region = NULL;
	CHECK_INT(guard_check(&sydney, &t, why, sizeof(why)), D);
	t = q;
	t.unix_socket = "/run/x";
	CHECK_INT(guard_check(&sydney, &t, why, sizeof(why)), D);
	t = q;
	t.sink = (enum guard_sink)99;
	CHECK_INT(guard_check(&sydney, &t, why, sizeof(why)), D);
}

TEST(lab_means_loopback)
{
	CHECK_INT(ask_full(&sydney, HOST, PRO, SYD, "127.0.0.1:8443"), D);
	CHECK(strstr(why, "Lab=yes"));
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, "127.0.0.1:8443"), A);
	CHECK(strstr(why, "lab"));
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, "[::1]:8443"), A);
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, "192.168.1.1:8443"), D);
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, "8.8.8.8:443"), D);
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, "localhost:8443"), D);
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, "127.0.0.1"), D);
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, ""), D);
	CHECK_INT(ask_full(&lab, "http://127.0.0.1:8000", PRO, SYD, NULL), A);
	CHECK_INT(ask_full(&lab, "http://10.0.0.1:8000", PRO, SYD, NULL), D);
	/* lab loosens where to, not what */
	CHECK_INT(ask_full(&lab, HOST, "apac.amazon.nova-pro-v1:0", SYD, "127.0.0.1:8443"), D);
	CHECK_INT(ask_full(&lab, HOST, PRO, "us-east-1", "127.0.0.1:8443"), D);
	CHECK_INT(ask_full(&lab, HOST, PRO, SYD, NULL), A);
}

static enum guard_answer ask_local(const char *url, const char *socket_path, const char *interface)
{
	struct guard_question q = {.sink = GUARD_LOCAL, .url = url, .unix_socket = socket_path, .interface = interface};

	why[0] = '\0';
	return guard_check(&sydney, &q, why, sizeof(why));
}

TEST(private_addresses_need_a_link_or_a_proof)
{
	struct guard_question q = {.sink = GUARD_LOCAL, .url = "https://192.168.55.1:8443/"};

	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	CHECK(strstr(why, "Interface=") && strstr(why, "CAFile="));
	q.interface = "";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	q.pinned = true;
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), A);
	q.url = "http://192.168.55.1:8080/"; /* an authority vouches for nobody there */
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	q.url = "https://[fd12::1]/";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), A);
	q.url = "https://[fe80::1]/"; /* on which link? */
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	q.interface = "usb0";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), A);
}

TEST(local_sinks)
{
	static const char *const good[] =
		{
			"http://192.168.55.1:8080/v1/chat/completions",
			"http://10.1.2.3/",
			"https://172.16.0.1/",
			"http://172.31.255.255/",
			"http://127.0.0.1:8080",
			"http://169.254.1.2/",
			"http://[::1]:80/",
			"http://[fd12:3456::1]/",
			"http://[fc00::1]/",
		},
				 *const bad[] = {
					 "http://169.254.169.254/latest/",
					 "http://169.254.170.2/",
					 "http://169.254.170.23/",
					 "http://[fd00:ec2::254]/",
					 "http://8.8.8.8/",
					 "http://172.15.0.1/",
					 "http://172.32.0.1/",
					 "http://192.169.0.1/",
					 "http://11.0.0.1/",
					 "http://0.0.0.0/",
					 "http://100.64.0.1/",
					 "http://224.0.0.1/",
					 "http://255.255.255.255/",
					 "http://[::]/",
					 "http://[2001:db8::1]/",
					 "http://[::ffff:8.8.8.8]/",
					 "http://[::ffff:192.168.1.1]/",
					 "http://[::127.0.0.1]/",
					 "http://[64:ff9b::808:808]/",
					 "http://[fe00::1]/",
					 "http://[fec0::1]/",
					 "http://[ff02::1]/",
					 "http://localhost:8080/",
					 "http://jetson.local/",
					 "http://192.168.1.1.evil.example/",
					 "http://192.168.1.1@8.8.8.8/",
					 "http://8.8.8.8\\@192.168.1.1/",
					 "http://0x7f.1/",
					 "http://2130706433/",
					 "http://0300.0250.0.1/",
					 "http://127.1/",
					 "http://127.0.0.1%2e/",
					 "http://192.168.1.1\r\n/",
					 "ftp://192.168.1.1/",
					 "file:///etc/passwd",
					 "",
					 NULL,
				 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (ask_local(good[i], NULL, "usb0") != A)
			test_fail(__FILE__, __LINE__, "denied %s: %s", good[i], why);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (ask_local(bad[i], NULL, NULL) != D || ask_local(bad[i], NULL, "usb0") != D || !*why)
			test_fail(__FILE__, __LINE__, "not denied: %s", bad[i] ? bad[i] : "(null)");
	}
	CHECK_INT(ask_local("http://[fe80::1]/", NULL, NULL), D);
	CHECK(strstr(why, "Interface="));
	CHECK_INT(ask_local("http://[fe80::1]/", NULL, "usb0"), A);
	CHECK_INT(ask_local("http://127.0.0.1:8080", NULL, NULL), A);
	CHECK_INT(ask_local("http://[::1]:8080", NULL, NULL), A);
	CHECK_INT(ask_local("http://localhost/x", "/run/llama.sock", NULL), A);
	CHECK_INT(ask_local(NULL, "relative.sock", NULL), D);
	CHECK_INT(ask_local(NULL, "", NULL), D);
}

TEST(a_local_sink_has_no_region_and_no_detour)
{
	struct guard_question q = {.sink = GUARD_LOCAL, .url = "http://192.168.55.1/", .region = SYD};

	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), D);
	q = (struct guard_question){.sink = GUARD_LOCAL, .url = "http://192.168.55.1/", .connect_to = "127.0.0.1:1"};
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), D);
}

/* ---- services that carry no page, and S3 and SageMaker ---------------------------------------------------------------- */

static enum guard_answer ask_service(
	const struct guard_policy *p, enum guard_sink sink, const char *url, const char *region, const char *model)
{
	struct guard_question q = {.sink = sink, .url = url, .region = region, .model = model};

	why[0] = '\0';
	return guard_check(p, &q, why, sizeof(why));
}

struct service_case {
	enum guard_sink sink;
	const char *url, *region, *model;
	enum guard_answer strict, melbourne;
};

#define CRED "/role-aliases/pages/credentials"
#define META "/latest/meta-data/iam/security-credentials/"

static const struct service_case service_cases[] = {
	{GUARD_STS, "https://sts.ap-southeast-2.amazonaws.com/", SYD, NULL, A, A},
	{GUARD_STS, "https://sts.ap-southeast-2.amazonaws.com", SYD, NULL, A, A},
	{GUARD_STS, "https://sts.ap-southeast-2.api.aws/", SYD, NULL, A, A},
	{GUARD_STS, "https://vpce-0a-1b.sts.ap-southeast-2.vpce.amazonaws.com/", SYD, NULL, A, A},
	{GUARD_STS, "https://sts.ap-southeast-4.amazonaws.com/", MEL, NULL, D, A},
	{GUARD_STS, "https://sts.ap-southeast-4.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_STS, "https://sts.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_STS, "https://sts.us-east-1.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_STS, "https://sts.us-east-1.amazonaws.com/", "us-east-1", NULL, D, D},
	{GUARD_STS, "https://sts-fips.ap-southeast-2.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_STS, "https://s3.ap-southeast-2.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_STS, "https://sts.ap-southeast-2.amazonaws.com.cn/", SYD, NULL, D, D},
	{GUARD_STS, "https://sts.ap-southeast-2.amazonaws.com/x", SYD, NULL, D, D},
	{GUARD_STS, "https://sts.ap-southeast-2.amazonaws.com/?Action=GetCallerIdentity", SYD, NULL, D, D},
	{GUARD_STS, "http://sts.ap-southeast-2.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_STS, "https://127.0.0.1/", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/inference-profiles/abc", SYD, NULL, A, A},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.api.aws/inference-profiles/abc", SYD, NULL, A, A},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/inference-profiles?maxResults=100", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/inference-profiles/abc?x=1", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/foundation-models", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/foundation-models/" PRO, SYD, NULL, A, A},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/guardrails/g1?guardrailVersion=1", SYD, NULL, A, A},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/model-invocation-job", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.ap-southeast-2.amazonaws.com/model/" PRO "/invoke", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock-runtime.ap-southeast-2.amazonaws.com/inference-profiles/abc", SYD, NULL, D, D},
	{GUARD_BEDROCK_CONTROL, "https://bedrock.us-east-1.amazonaws.com/inference-profiles/abc", SYD, NULL, D, D},
	{GUARD_SAGEMAKER, "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/mine/invocations", SYD, "mine", A, A},
	{GUARD_SAGEMAKER, "https://runtime.sagemaker.ap-southeast-2.api.aws/endpoints/mine/async-invocations", SYD, "mine", A, A},
	{GUARD_SAGEMAKER, "https://vpce-1-2.runtime.sagemaker.ap-southeast-2.vpce.amazonaws.com/endpoints/mine/invocations-response-stream",
		SYD, "mine", A, A},
	{GUARD_SAGEMAKER, "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/other/invocations", SYD, "mine", D, D},
	{GUARD_SAGEMAKER, "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints//invocations", SYD, NULL, D, D},
	{GUARD_SAGEMAKER, "https://runtime.sagemaker.us-west-2.amazonaws.com/endpoints/mine/invocations", SYD, "mine", D, D},
	{GUARD_SAGEMAKER, "https://sagemaker.ap-southeast-2.amazonaws.com/endpoints/mine/invocations", SYD, "mine", D, D},
	{GUARD_S3, "https://pages-in.s3.ap-southeast-2.amazonaws.com/a/b", SYD, "pages-in", A, A},
	{GUARD_S3, "https://pages-in.s3.dualstack.ap-southeast-2.amazonaws.com/a/b", SYD, "pages-in", A, A},
	{GUARD_S3, "https://s3.ap-southeast-2.amazonaws.com/pages-in/a/b", SYD, "pages-in", A, A},
	{GUARD_S3, "https://s3.dualstack.ap-southeast-2.amazonaws.com/pages-in/a", SYD, NULL, A, A},
	{GUARD_S3, "https://bucket.vpce-1-2.s3.ap-southeast-2.vpce.amazonaws.com/pages-in/a", SYD, "pages-in", A, A},
	{GUARD_S3, "https://s3.ap-southeast-2.amazonaws.com/other/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://other.s3.ap-southeast-2.amazonaws.com/pages-in/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://s3.amazonaws.com/pages-in/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://pages-in.s3.amazonaws.com/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://pages-in.s3-accelerate.amazonaws.com/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://pages-in.s3.us-east-1.amazonaws.com/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://pages-in.s3-ap-southeast-2.amazonaws.com/a", SYD, "pages-in", D, D},
	{GUARD_S3, "https://pages.in.s3.ap-southeast-2.amazonaws.com/a", SYD, NULL, D, D},
	{GUARD_S3, "https://mine-s3alias.s3.ap-southeast-2.amazonaws.com/a", SYD, NULL, D, D},
	{GUARD_S3, "https://mine--ol-s3.s3.ap-southeast-2.amazonaws.com/a", SYD, NULL, D, D},
	{GUARD_S3, "https://s3.ap-southeast-2.amazonaws.com/", SYD, NULL, D, D},
	{GUARD_IOT_CREDENTIALS, "https://c2abc.credentials.iot.ap-southeast-2.amazonaws.com" CRED, SYD, "pages", A, A},
	{GUARD_IOT_CREDENTIALS, "https://c2abc.credentials.iot.ap-southeast-2.amazonaws.com" CRED, SYD, "other", D, D},
	{GUARD_IOT_CREDENTIALS, "https://credentials.iot.ap-southeast-2.amazonaws.com" CRED, SYD, NULL, D, D},
	{GUARD_IOT_CREDENTIALS, "https://c2abc.credentials.iot.ap-southeast-4.amazonaws.com" CRED, MEL, NULL, D, D},
	{GUARD_IOT_CREDENTIALS, "https://c2abc.credentials.iot.us-east-1.amazonaws.com" CRED, SYD, NULL, D, D},
	{GUARD_IOT_CREDENTIALS, "https://a.b.credentials.iot.ap-southeast-2.amazonaws.com" CRED, SYD, NULL, D, D},
	{GUARD_ROLES_ANYWHERE, "https://rolesanywhere.ap-southeast-2.amazonaws.com/sessions", SYD, NULL, A, A},
	{GUARD_ROLES_ANYWHERE, "https://rolesanywhere.ap-southeast-4.amazonaws.com/sessions", MEL, NULL, D, A},
	{GUARD_ROLES_ANYWHERE, "https://rolesanywhere.us-east-1.amazonaws.com/sessions", SYD, NULL, D, D},
	{GUARD_ROLES_ANYWHERE, "https://rolesanywhere.ap-southeast-2.amazonaws.com/profiles", SYD, NULL, D, D},
	{GUARD_SSO, "https://portal.sso.ap-southeast-2.amazonaws.com/federation/credentials?role_name=r&account_id=1", SYD, NULL, A, A},
	{GUARD_SSO, "https://portal.sso.us-east-1.amazonaws.com/federation/credentials?role_name=r", "us-east-1", NULL, D, D},
	{GUARD_SSO_OIDC, "https://oidc.ap-southeast-2.amazonaws.com/token", SYD, NULL, A, A},
	{GUARD_SSO_OIDC, "https://oidc.eu-west-1.amazonaws.com/token", "eu-west-1", NULL, D, D},
	{GUARD_IMDS, "http://169.254.169.254/latest/api/token", NULL, NULL, A, A},
	{GUARD_IMDS, "http://169.254.169.254" META, NULL, NULL, A, A},
	{GUARD_IMDS, "http://[fd00:ec2::254]" META "role", NULL, NULL, A, A},
	{GUARD_IMDS, "http://169.254.169.254/latest/user-data", NULL, NULL, D, D},
	{GUARD_IMDS, "http://169.254.169.254:8080" META, NULL, NULL, D, D},
	{GUARD_IMDS, "https://169.254.169.254" META, NULL, NULL, D, D},
	{GUARD_IMDS, "http://169.254.169.253" META, NULL, NULL, D, D},
	{GUARD_IMDS, "http://127.0.0.1" META, NULL, NULL, D, D},
	{GUARD_IMDS, "http://metadata.google.internal" META, NULL, NULL, D, D},
	{GUARD_CONTAINER, "http://169.254.170.2/v2/credentials/x", NULL, NULL, A, A},
	{GUARD_CONTAINER, "http://169.254.170.23/v1/credentials", NULL, NULL, A, A},
	{GUARD_CONTAINER, "http://[fd00:ec2::23]/v1/credentials", NULL, NULL, A, A},
	{GUARD_CONTAINER, "http://127.0.0.1:9911/", NULL, NULL, A, A},
	{GUARD_CONTAINER, "https://[::1]:9911/creds?x=1", NULL, NULL, A, A},
	{GUARD_CONTAINER, "http://169.254.170.3/", NULL, NULL, D, D},
	{GUARD_CONTAINER, "http://169.254.170.2:81/", NULL, NULL, D, D},
	{GUARD_CONTAINER, "http://localhost:9911/", NULL, NULL, D, D},
	{GUARD_CONTAINER, "https://creds.example/", NULL, NULL, D, D},
	{GUARD_CONTAINER, "http://192.168.1.1/", NULL, NULL, D, D},
	{GUARD_CONTAINER, "http://169.254.169.254/", NULL, NULL, D, D},
	{GUARD_WEBHOOK, "https://sts.ap-southeast-2.amazonaws.com/", SYD, NULL, D, D},
};

TEST(services)
{
	for (size_t i = 0; i < ARRAY_SIZE(service_cases); i++) {
		const struct service_case *c = &service_cases[i];

		if (ask_service(&sydney, c->sink, c->url, c->region, c->model) != c->strict || !*why)
			test_fail(__FILE__, __LINE__, "sink %d, %s: %s", c->sink, c->url, why);
		if (ask_service(&both, c->sink, c->url, c->region, c->model) != c->melbourne)
			test_fail(__FILE__, __LINE__, "sink %d, %s with Melbourne: %s", c->sink, c->url, why);
	}
}

TEST(no_service_goes_without_region_or_over_a_socket)
{
	for (enum guard_sink s = GUARD_BEDROCK; s < GUARD_IMDS; s++) {
		struct guard_question q = {.sink = s, .url = "https://sts.ap-southeast-2.amazonaws.com/", .model = PRO};

		CHECK_INT(guard_check(&both, &q, why, sizeof(why)), D);
		q.region = SYD;
		q.unix_socket = "/run/x";
		CHECK_INT(guard_check(&both, &q, why, sizeof(why)), D);
	}
}

TEST(lab_stands_in_for_services)
{
	struct guard_question q = {.sink = GUARD_S3, .url = "https://127.0.0.1:8443/pages-in/a", .region = SYD, .model = "pages-in"};

	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), A);
	q.url = "https://pages-in.s3.ap-southeast-2.amazonaws.com/a";
	q.connect_to = "127.0.0.1:8443";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), A);
	q.model = "other";
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), D);
	q = (struct guard_question){.sink = GUARD_IMDS, .url = "http://127.0.0.1:1338/latest/api/token"};
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), D);
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), A);
	q.connect_to = "10.0.0.1:80";
	CHECK_INT(guard_check(&lab, &q, why, sizeof(why)), D);
}

TEST(regions_and_arns_in_a_configuration)
{
	CHECK(guard_check_region(&sydney, SYD, why, sizeof(why)));
	CHECK(!guard_check_region(&sydney, MEL, why, sizeof(why)) && strstr(why, "not allowed"));
	CHECK(guard_check_region(&both, MEL, why, sizeof(why)));
	CHECK(!guard_check_region(&both, "", why, sizeof(why)));
	CHECK(!guard_check_region(&both, NULL, why, sizeof(why)));
	CHECK(guard_check_arn(&sydney, "rolesanywhere", SYD, "arn:aws:rolesanywhere:" SYD ":" ACC ":profile/x", why, sizeof(why)));
	CHECK(!guard_check_arn(&both, "rolesanywhere", SYD, "arn:aws:rolesanywhere:" MEL ":" ACC ":profile/x", why, sizeof(why)));
	CHECK(!guard_check_arn(&both, "rolesanywhere", "us-east-1", "arn:aws:rolesanywhere:us-east-1:1:x", why, sizeof(why)));
	CHECK(!guard_check_arn(&both, "rolesanywhere", SYD, "arn:aws-cn:rolesanywhere:" SYD ":" ACC ":profile/x", why, sizeof(why)));
	CHECK(guard_check_arn(&sydney, "iam", NULL, "arn:aws:iam::" ACC ":role/pages", why, sizeof(why)));
	CHECK(!guard_check_arn(&sydney, "iam", NULL, "arn:aws:iam:us-east-1:" ACC ":role/pages", why, sizeof(why)));
}

TEST(a_page_goes_to_a_bucket_only_when_its_place_is_proved)
{
	struct guard_question q = {.sink = GUARD_S3, .url = "https://pages.s3.ap-southeast-2.amazonaws.com/a", .model = "pages",
		.region = "ap-southeast-2", .page = true};

	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), GUARD_NEEDS_RESOLVE);
	q.page = false;
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), GUARD_ALLOW);
	q.page = true;
	q.url = "https://pages.s3.us-east-1.amazonaws.com/a";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), GUARD_DENY);
	q.url = "https://others.s3.ap-southeast-2.amazonaws.com/a";
	CHECK_INT(guard_check(&sydney, &q, why, sizeof(why)), GUARD_DENY);
}
