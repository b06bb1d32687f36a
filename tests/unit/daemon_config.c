#include "daemon/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

static struct config config;
static char errors_text[8192];

static const char *in_tmp(const char *name)
{
	static char path[4][512];
	static unsigned int i;
	char *p = path[i++ % ARRAY_SIZE(path)];

	CHECK(str_format(p, sizeof(path[0]), "%s/%s", test_tmpdir(), name) > 0);
	return p;
}

static void put(const char *name, const char *text)
{
	test_write(AT_FDCWD, in_tmp(name), text, 0600);
}

static int read_text(const char *text)
{
	_cleanup_buf_ struct buf errors = {0};
	int r;

	put("pageferry.conf", text);
	r = config_read(in_tmp("pageferry.conf"), false, &config, &errors);
	CHECK(str_copy(errors_text, sizeof(errors_text), buf_str(&errors)) >= 0);
	return r;
}

/* Refused, with this in a message that has file and line. */
static void refused(const char *text, int line, const char *want)
{
	char where[64];

	CHECK(read_text(text) < 0);
	if (!strstr(errors_text, want))
		test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", want, errors_text);
	if (line > 0) {
		CHECK(str_format(where, sizeof(where), "pageferry.conf:%d:", line) > 0);
		if (!strstr(errors_text, where))
			test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", where, errors_text);
	}
}

TEST(nothing_configured_means_ocr)
{
	CHECK_INT(read_text(""), 0);
	CHECK_INT(config.n_route, 1);
	CHECK_STR(config.route[0], "ocr");
	CHECK_INT(config.n_backends, 1);
	CHECK_INT(config.backends[0].kind, KIND_OCR);
	CHECK_STR(config.backends[0].ocr.language, "eng");
	CHECK_STR(config.control_socket, "/run/pageferry/control");
	CHECK_INT(config.max_side, 2048);
	CHECK_INT(config.max_pixels, 120000000);
	CHECK_INT(config.stop_timeout_ms, 20000);
	CHECK(!config.lab && !config.melbourne);
}

TEST(missing_file_is_an_error_unless_optional)
{
	_cleanup_buf_ struct buf errors = {0};

	CHECK_INT(config_read(in_tmp("none.conf"), false, &config, &errors), -ENOENT);
	CHECK_INT(config_read(in_tmp("none.conf"), true, &config, &errors), 0);
	CHECK_STR(config.route[0], "ocr");
}

TEST(backends_take_the_defaults_of_their_kind)
{
	CHECK_INT(read_text("[Route]\nBackends=sydney jetson ocr\n[Backend sydney]\nKind=bedrock\n"
			    "[Backend jetson]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\n"), 0);
	const struct backend_config *b = config_backend(&config, "sydney");

	CHECK(b && b->kind == KIND_BEDROCK);
	CHECK_STR(b->bedrock.model, "amazon.nova-pro-v1:0");
	CHECK_STR(b->bedrock.region, "ap-southeast-2");
	CHECK_STR(b->bedrock.endpoint, "https://bedrock-runtime.ap-southeast-2.amazonaws.com");
	CHECK_STR(b->credentials, "aws");
	CHECK_INT(config_credentials(&config, "aws")->kind, CREDS_SYSTEMD);
	CHECK_STR(config_credentials(&config, "aws")->credential, "aws");
	CHECK_INT(b->bedrock.max_output_tokens, 4096);
	CHECK_INT(b->tries, 5);
	CHECK_INT(b->backoff_max_ms, 900000);
	b = config_backend(&config, "jetson");
	CHECK(b && b->kind == KIND_OPENAI);
	CHECK_STR(b->openai.base_url, "http://192.168.55.1:8080");
	CHECK_STR(b->openai.health_path, "/health");
	CHECK_INT(b->openai.timeout_ms, 300000);
	CHECK_INT(config.n_route, 3);
}

TEST(drop_in_wins)
{
	CHECK(mkdir(in_tmp("pageferry.conf.d"), 0700) == 0);
	put("pageferry.conf.d/10-lite.conf", "[Backend sydney]\nModel=amazon.nova-lite-v1:0\n");
	CHECK_INT(read_text("[Route]\nBackends=sydney\n[Backend sydney]\nKind=bedrock\nTimeout=90s\n"), 0);
	CHECK_STR(config.backends[1].bedrock.model, "amazon.nova-lite-v1:0");
	CHECK_INT(config.backends[1].bedrock.timeout_ms, 90000);
}

TEST(watched_folders)
{
	_cleanup_buf_ struct buf many = {0};

	CHECK_INT(read_text("[Watch scanner]\nFolder=/srv/scans\n[Watch mail]\nFolder=/srv/scans-too/\nThen=leave\nLane=now\nSettle=5s\n"
			    "Type=invoice\n"), 0);
	CHECK_INT(config.n_watches, 2);
	CHECK_STR(config.watches[0].name, "scanner");
	CHECK_INT(config.watches[0].then, THEN_MOVE);
	CHECK_STR(config.watches[0].done, "done");
	CHECK_STR(config.watches[0].rejected, "rejected");
	CHECK_STR(config.watches[0].type, "");
	CHECK_INT(config.watches[0].lane, LANE_BACKLOG);
	CHECK_INT(config.watches[0].settle_ms, 2000);
	CHECK_INT(config.watches[1].then, THEN_LEAVE);
	CHECK_INT(config.watches[1].lane, LANE_NOW);
	CHECK_INT(config.watches[1].settle_ms, 5000);
	CHECK_STR(config.watches[1].type, "invoice");
	refused("[Watch a]\nSettle=2s\n", 2, "Folder= is missing");
	refused("[Watch a]\nFolder=scans\n", 2, "Folder=");
	refused("[Watch a]\nFolder=/srv/../var\n", 2, "without . and ..");
	refused("[Watch a]\nFolder=/var/lib/pageferry/in\n", 2, "in the spool's directory");
	refused("[Watch a]\nFolder=/srv/a\n[Watch b]\nFolder=//srv/a/\n", 4, "[Watch a] has the same");
	refused("[Watch a]\nFolder=/srv/a\n[Watch b]\nFolder=/srv/a/rejected\n", 4, "[Watch a] moves its files there");
	refused("[Watch a]\nFolder=/srv/a/done\n[Watch b]\nFolder=/srv/a\n", 2, "[Watch b] moves its files there");
	refused("[Watch a]\nFolder=/srv/a\nThen=leave\nRejected=no\n", 4, "Then=leave moves no files");
	refused("[Watch a]\nFolder=/srv/a\nDone=..\n", 3, "the name of a folder");
	refused("[Watch a]\nFolder=/srv/a\nThen=delete\n", 3, "move or leave");
	for (int i = 0; i <= WATCH_FOLDERS_MAX; i++)
		CHECK_INT(buf_addf(&many, "[Watch w%d]\nFolder=/srv/w%d\n", i, i), 0);
	refused(buf_str(&many), 2 * WATCH_FOLDERS_MAX + 1, "more than 8 watched folders");
}

TEST(all_problems_are_told_at_once)
{
	/* values, keys that are not there, and what only several keys tell; but nothing that follows from what was told */
	static const char text[] =
		"[Route]\nBackends=sydney nowhere\n[Spool]\nKeepPages=9d\nKeepResults=1d\n[Capture]\nQuality=900\n"
		"[Backend sydney]\nKind=gpt\nURL=http://8.8.8.8\n[Backend other]\nKind=openai\nTries=0\n"
		"[Backend jetson]\nKind=openai\nURL=http://8.8.8.8\n[Backend typo]\nKnd=ocr\n"
		"[Watch a]\nFolder=in\n[Watch b]\nSettle=2s\n[Credentials x]\nSource=moon\n";
	static const char *const told[] = {"[Backend nowhere]", "KeepResults", "Quality", "Kind=gpt", "Tries", "8.8.8.8 is not a private", "Knd",
		"[Watch a] Folder=", "[Watch b]: Folder= is missing", "Source=moon"};
	static const char *const untold[] = {"Kind= is missing", "URL= or Socket=", "[Watch a]: Folder= is missing", "Source= is missing",
		"[Backend sydney]: "};

	CHECK(read_text(text) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (!strstr(errors_text, told[i]))
			test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", told[i], errors_text);
	for (size_t i = 0; i < ARRAY_SIZE(untold); i++)
		if (strstr(errors_text, untold[i]))
			test_fail(__FILE__, __LINE__, "\"%s\" is in: %s", untold[i], errors_text);
	/* what is allowed is not known while a line of [Service] or [Residency] is not */
	CHECK(read_text("[Service]\nLab=perhaps\n[Backend sydney]\nKind=bedrock\nConnectTo=127.0.0.1:1\n") < 0);
	CHECK(strstr(errors_text, "Lab") && !strstr(errors_text, "ConnectTo"));
	CHECK(read_text("[Residency]\nRegions=moon\n[Backend sydney]\nKind=bedrock\nModel=au.anthropic.claude-sonnet-4-6\n") < 0);
	CHECK(strstr(errors_text, "Regions") && !strstr(errors_text, "Model"));
}

TEST(route_names_backends)
{
	refused("[Route]\nBackends=sydney ocr\n", 2, "there is no [Backend sydney]");
	refused("[Route]\nBackends=ocr ocr\n", 2, "different");
	refused("[Route]\nBackends=\n", 2, "Backends=");
}

TEST(kind_is_needed_and_right)
{
	refused("[Backend sydney]\nModel=amazon.nova-pro-v1:0\n", 2, "Kind= is missing");
	refused("[Backend sydney]\nKind=gpt\n", 2, "bedrock");
}

TEST(key_of_another_kind_is_an_error)
{
	refused("[Backend sydney]\nKind=bedrock\nURL=http://10.0.0.1\n", 3, "kind bedrock has no such key");
	refused("[Backend ocr]\nModel=x\n", 2, "kind ocr has no such key");
	refused("[Backend j]\nKind=openai\nURL=http://10.0.0.1:8080\nCredentials=aws\n", 4, "kind openai has no such key");
}

TEST(credentials_sections)
{
	CHECK_INT(read_text("[Backend sydney]\nKind=bedrock\nCredentials=keys\n[Backend other]\nKind=bedrock\nCredentials=keys\n"
			    "[Credentials keys]\nSource=file\nFile=/etc/pageferry/keys\nProfile=scanner\n"), 0);
	const struct creds_config *c = config_credentials(&config, config_backend(&config, "sydney")->credentials);

	CHECK(c && c->kind == CREDS_FILE);
	CHECK_STR(c->file, "/etc/pageferry/keys");
	CHECK_STR(c->profile, "scanner");
	CHECK(config_credentials(&config, config_backend(&config, "other")->credentials) == c);
	refused("[Backend sydney]\nKind=bedrock\nCredentials=none\n", 3, "there is no [Credentials none]");
	refused("[Credentials keys]\nFile=/x\n", 2, "Source= is missing");
	refused("[Credentials keys]\nSource=magic\n", 2, "systemd-credential");
	refused("[Credentials keys]\nSource=file\n", 2, "File= is missing");
	refused("[Credentials keys]\nSource=environment\nFile=/x\n", 3, "source environment has no such key");
	refused("[Credentials keys]\nSource=systemd-credential\nCredential=../x\n", 3, "has no '/'");
	CHECK_INT(read_text("[Credentials role]\nSource=assume-role\nRoleArn=arn:aws:iam::123456789012:role/x\nSourceCredentials=aws\n"), 0);
	CHECK_STR(config_credentials(&config, "role")->endpoint, "https://sts.ap-southeast-2.amazonaws.com/");
#define ROLE "[Credentials role]\nSource=assume-role\n"
	refused(ROLE "RoleArn=arn:aws:iam::123456789012:role/x\n", 2, "SourceCredentials= is missing");
	refused(ROLE "SourceCredentials=aws\nRoleArn=role/x\n", 4, "");
	refused(ROLE "SourceCredentials=role\nRoleArn=arn:aws:iam::123456789012:role/x\n", 3, "leads back to itself");
	refused(ROLE "SourceCredentials=no\nRoleArn=arn:aws:iam::123456789012:role/x\n", 3, "no such section");
	refused(ROLE "SourceCredentials=aws\nRoleArn=arn:aws:iam::123456789012:role/x\nEndpoint=https://sts.amazonaws.com/\n", 5, "sts");
	refused(ROLE "SourceCredentials=aws\nRoleArn=arn:aws:iam::123456789012:role/x\nRegion=us-east-1\n", 2, "us-east-1");
	refused(ROLE "SourceCredentials=aws\nRoleArn=arn:aws:iam::123456789012:role/x\nConnectTo=127.0.0.1:1\n", 5, "Lab=yes");
	refused("[Credentials p]\nSource=process\nCommand=relative\n", 3, "absolute path");
	refused("[Credentials p]\nSource=process\nCommand=/bin/x 'open\n", 3, "closed quotes");
}

#define IOT      "[Credentials d]\nSource=iot\nCertificate=/etc/pageferry/c.pem\nKey=device-key\nRoleAlias=scan\n" \
		 "Endpoint=https://c1.credentials.iot.ap-southeast-2.amazonaws.com\n"
#define ANYWHERE "[Credentials d]\nSource=roles-anywhere\nCertificate=cert\nKey=key\nRoleArn=arn:aws:iam::1:role/r\n"

TEST(credentials_of_devices)
{
	CHECK_INT(read_text(IOT "ThingName=scanner:1\n"), 0);
	CHECK_STR(config_credentials(&config, "d")->region, "ap-southeast-2");
	CHECK_STR(config_credentials(&config, "d")->key, "device-key");
	refused(IOT "ThingName=a b\n", 7, "1 to 128");
	refused(IOT "Version1=yes\n", 7, "source iot has no such key");
	refused("[Credentials d]\nSource=iot\n", 2, "RoleAlias= is missing");
	refused(ANYWHERE "ProfileArn=arn:aws:rolesanywhere:us-east-1:111122223333:profile/p\n"
			 "TrustAnchorArn=arn:aws:rolesanywhere:ap-southeast-2:111122223333:trust-anchor/t\n", 6, "us-east-1");
	CHECK_INT(read_text("[Credentials d]\nSource=imds\nVersion1=yes\nEndpoint=http://[fd00:ec2::254]\n"), 0);
	CHECK_INT(read_text("[Credentials d]\nSource=container\nTokenFile=/run/token\n"), 0);
	CHECK_INT(read_text("[Backend s]\nKind=bedrock\nCredentials=d\n[Credentials d]\nSource=api-key\nFile=/x\n"), 0);
	refused("[Backend s]\nKind=bedrock\nCredentials=d\n[Credentials d]\nSource=api-key\nRegion=ap-southeast-4\n", 6,
		"backend s");
	refused("[Backend s]\nKind=sagemaker\nModel=m\nCredentials=d\n[Credentials d]\nSource=api-key\n", 6,
		"[Credentials d] Source=: backend s is a SageMaker endpoint, which does not take a Bedrock API key; give it keys of AWS");
	CHECK_INT(read_text("[Credentials p]\nSource=profile\nConfigFile=/c\nFile=/f\nProfile=x\n"), 0);
	CHECK_STR(config_credentials(&config, "p")->endpoint, "https://sts.ap-southeast-2.amazonaws.com/");
	refused("[Credentials p]\nSource=profile\nRegion=us-east-1\n", 2, "region us-east-1 is not allowed");
	refused("[Credentials p]\nSource=file\nFile=/f\nConfigFile=/c\n", 4, "[Credentials p] ConfigFile=: source file has no such key");
	refused("[Credentials d]\nSource=api-key\n[Credentials r]\nSource=assume-role\nRoleArn=x\nSourceCredentials=d\n", 6,
		"Bedrock API key");
}

TEST(laboratory_keys_need_lab)
{
	refused("[Backend sydney]\nKind=bedrock\nConnectTo=127.0.0.1:8443\n", 3, "Lab=yes");
	refused("[Backend sydney]\nKind=bedrock\nCAFile=/tmp/ca.pem\n", 3, "Lab=yes");
	CHECK_INT(read_text("[Service]\nLab=yes\n[Backend sydney]\nKind=bedrock\nConnectTo=127.0.0.1:8443\nCAFile=/tmp/ca.pem\n"), 0);
	CHECK_STR(config.backends[1].bedrock.connect_to, "127.0.0.1:8443");
}

TEST(residency_is_checked_before_anything_runs)
{
	refused("[Backend x]\nKind=bedrock\nRegion=us-east-1\n", 0, "[Backend x]");
	refused("[Backend x]\nKind=bedrock\nEndpoint=https://bedrock-runtime.us-east-1.amazonaws.com\n", 3, "Endpoint=");
	refused("[Backend x]\nKind=bedrock\nModel=us.amazon.nova-pro-v1:0\n", 0, "[Backend x]");
	refused("[Backend x]\nKind=openai\nURL=http://8.8.8.8:8080\n", 3, "URL=");
	refused("[Backend x]\nKind=bedrock\nRegion=ap-southeast-4\n", 0, "[Backend x]");
}

#define GUARDED "[Backend x]\nKind=bedrock\nGuardrail="

TEST(a_guardrail_has_a_version_and_is_here)
{
	CHECK_INT(read_text(GUARDED "gr1abc\nGuardrailVersion=3\nBacklogTier=flex\n"), 0);
	CHECK_STR(config.backends[1].bedrock.guardrail, "gr1abc");
	CHECK_INT(config.backends[1].bedrock.backlog_tier, BEDROCK_FLEX);
	CHECK_INT(read_text(GUARDED "arn:aws:bedrock:ap-southeast-2:123456789012:guardrail/gr1abc\nGuardrailVersion=DRAFT\n"), 0);
	refused(GUARDED "gr1abc\n", 3, "belong together");
	refused("[Backend x]\nKind=bedrock\nGuardrailVersion=3\n", 3, "belong together");
	refused(GUARDED "gr1abc\nGuardrailVersion=0\n", 4, "DRAFT");
	refused("[Backend x]\nKind=bedrock\nGuardrailTrace=yes\n", 3, "there is no Guardrail=");
	refused("[Backend x]\nKind=bedrock\nRequestMetadata=site=perth \"a\"=1\n", 3, "KEY=VALUE");
	refused("[Backend x]\nKind=ocr\nStream=yes\n", 3, "Stream");
	refused(GUARDED "gr-1\nGuardrailVersion=1\n", 3, "not the id");
	refused(GUARDED "arn:aws:bedrock:us-east-1:123456789012:guardrail/gr1abc\nGuardrailVersion=1\n", 3, "in ap-southeast-2");
	refused(GUARDED "arn:aws:bedrock:ap-southeast-2:1234:guardrail/gr1abc\nGuardrailVersion=1\n", 3, "not the id");
	refused("[Backend x]\nKind=bedrock\nBacklogTier=priority\n", 3, "flex");
}

TEST(the_form_must_be_one_of_the_model)
{
	CHECK_INT(read_text("[Backend x]\nKind=bedrock\nModel=anthropic.claude-3-haiku-20240307-v1:0\n"), 0);
	CHECK_INT(read_text("[Backend x]\nKind=bedrock\nApi=converse\n"), 0);
	CHECK_INT(config.backends[1].bedrock.api, BEDROCK_CONVERSE);
	refused("[Backend x]\nKind=bedrock\nModel=anthropic.claude-3-haiku-20240307-v1:0\nApi=nova\n", 4, "not asked in this form");
	refused("[Backend x]\nKind=bedrock\nModel=amazon.nova-micro-v1:0\n", 0, "reads text only");
}

TEST(melbourne_is_a_choice)
{
	refused("[Residency]\nRegions=melbourne\n", 2, "sydney");
	refused("[Residency]\nRegions=sydney singapore\n", 2, "sydney");
	CHECK_INT(read_text("[Residency]\nRegions=sydney melbourne\n"), 0);
	CHECK(config.melbourne);
}

TEST(all_problems_are_told)
{
	refused("[Route]\nBackends=a b\n[Backend ocr]\nURL=http://10.0.0.1\n[Backend c]\nKind=openai\n", 0, "[Backend a]");
	CHECK(strstr(errors_text, "[Backend b]") && strstr(errors_text, "URL=") && strstr(errors_text, "URL= or Socket="));
}

TEST(ranges_are_checked)
{
	refused("[Capture]\nMaxSide=255\n", 2, "MaxSide");
	refused("[Capture]\nMaxSide=8193\n", 2, "MaxSide");
	refused("[Backend ocr]\nConcurrency=9\n", 2, "Concurrency");
	refused("[Backend ocr]\nBackoff=1h\nBackoffMax=1min\n", 3, "less than Backoff=");
	refused("[Capture]\nType=../x\n", 2, "Type");
}

TEST(files_are_kept_no_longer_than_results)
{
	CHECK_INT(read_text(""), 0);
	CHECK_INT(config.keep_pages_ms, INT64_C(30) * 86400000);
	CHECK_INT(config.keep_results_ms, INT64_C(365) * 86400000);
	CHECK_INT(read_text("[Spool]\nKeepPages=1h\nKeepResults=forever\n"), 0);
	CHECK_INT(config.keep_pages_ms, 3600000);
	CHECK_INT(config.keep_results_ms, 0);
	CHECK_INT(read_text("[Spool]\nKeepPages=forever\nKeepResults=forever\n"), 0);
	CHECK_INT(read_text("[Spool]\nKeepPages=2w\nKeepResults=14d\n"), 0);
	refused("[Spool]\nKeepPages=15d\nKeepResults=14d\n", 2, "longer than its results");
	refused("[Spool]\nKeepPages=forever\n", 2, "longer than its results");
	refused("[Spool]\nKeepResults=7d\n", 2, "longer than its results");
	refused("[Spool]\nKeepPages=59min\n", 2, "forever, or a time from 1h to");
	refused("[Spool]\nKeepPages=never\n", 2, "forever, or a time from 1h to");
	refused("[Spool]\nKeepResults=36501d\n", 2, "forever, or a time from 1h to");
}

TEST(too_many_backends)
{
	char text[1024] = "";

	for (int i = 0; i < BACKENDS_MAX; i++)
		CHECK(str_format(text + strlen(text), sizeof(text) - strlen(text), "[Backend j%d]\nKind=openai\nURL=http://10.0.0.1\nInterface=usb0\n",
			      i) > 0);
	refused(text, 0, "backends");
}

TEST(api_key_is_one_line_of_a_file)
{
	struct backend_config b = {.api_key_file = ""};
	char key[128], why[320];

	CHECK_INT(config_api_key(&b, key, sizeof(key), why, sizeof(why)), 0);
	CHECK_STR(key, "");
	put("key", "sk-local\n");
	CHECK(str_copy(b.api_key_file, sizeof(b.api_key_file), in_tmp("key")) > 0);
	CHECK_INT(config_api_key(&b, key, sizeof(key), why, sizeof(why)), 0);
	CHECK_STR(key, "sk-local");
	put("key", "two\nlines\n");
	CHECK_INT(config_api_key(&b, key, sizeof(key), why, sizeof(why)), -EBADMSG);
	CHECK(!strstr(why, "two"));
	put("key", "");
	CHECK(config_api_key(&b, key, sizeof(key), why, sizeof(why)) < 0);
}

TEST(api_key_credential_needs_the_folder)
{
	struct backend_config b = {.api_key_credential = "jetson"};
	char key[128], why[320];

	unsetenv("CREDENTIALS_DIRECTORY");
	CHECK_INT(config_api_key(&b, key, sizeof(key), why, sizeof(why)), -ENOKEY);
	put("jetson", "abc");
	setenv("CREDENTIALS_DIRECTORY", test_tmpdir(), 1);
	CHECK_INT(config_api_key(&b, key, sizeof(key), why, sizeof(why)), 0);
	CHECK_STR(key, "abc");
	unsetenv("CREDENTIALS_DIRECTORY");
}

TEST(help_is_itself_a_right_configuration)
{
	_cleanup_buf_ struct buf text = {0};

	CHECK_INT(config_help(&text), 0);
	CHECK(strstr(buf_str(&text), "#MaxSide=2048") && strstr(buf_str(&text), "[Backend NAME]"));
	CHECK_INT(read_text(buf_str(&text)), 0);
}

TEST(sample_is_right)
{
	_cleanup_buf_ struct buf errors = {0};
	char path[512];

	CHECK(str_format(path, sizeof(path), "%s../../configs/pageferry.conf", test_data()) > 0);
	CHECK_INT(config_read(path, false, &config, &errors), 0);
	CHECK_STR(config.route[0], "ocr");
}
