/* Credentials of this machine: IMDS, containers, and API keys. */
#include "tests/unit/cloud_creds_fixture.h"

/* ---- IMDS -------------------------------------------------------------------------------------------------------- */

static void imds(void)
{
	begin(CREDS_IMDS);
	next(NULL);
}

static void imds_to_credentials(void)
{
	imds();
	answer(200, "METATOKEN==");
	answer(200, "scan-role\n");
}

TEST(imds_goes_by_a_token)
{
	imds();
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_IMDS);
	CHECK_STR(step.request.method, "PUT");
	CHECK_STR(step.request.url, "http://169.254.169.254/latest/api/token");
	CHECK_STR(request_header(&step.request, "x-aws-ec2-metadata-token-ttl-seconds"), "300");
	answer(200, "METATOKEN==");
	CHECK_STR(step.request.method, "GET");
	CHECK_STR(step.request.url, "http://169.254.169.254/latest/meta-data/iam/security-credentials/");
	CHECK_STR(request_header(&step.request, "x-aws-ec2-metadata-token"), "METATOKEN==");
	answer(200, "scan-role\n");
	CHECK_STR(step.request.url, "http://169.254.169.254/latest/meta-data/iam/security-credentials/scan-role");
	CHECK_STR(request_header(&step.request, "x-aws-ec2-metadata-token"), "METATOKEN==");
	answer(200, "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAEXAMPLE0000001\",\"SecretAccessKey\":\"SECRETSECRET\","
		    "\"Token\":\"TOKENTOKEN\",\"Expiration\":\"2026-11-21T06:00:00Z\"}");
	have("role scan-role");
	CHECK_INT(step.creds.expires_ms, (NOW_S + 6 * 3600) * 1000);
	end();
	strcpy(config.endpoint, "http://[fd00:ec2::254]");
	imds();
	CHECK_STR(step.request.url, "http://[fd00:ec2::254]/latest/api/token");
	end();
}

TEST(imds_keys_that_cannot_be_renewed_serve_on)
{
	static const char *const ends[] = {"2026-11-20T23:00:00Z", "2026-11-21T00:05:00Z"};
	char body[512];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		imds_to_credentials();
		CHECK(str_format(body, sizeof(body), METADATA, ends[i]) > 0);
		answer(200, body);
		have("scan-role");
		CHECK_INT(step.creds.expires_ms, (NOW_S + 600) * 1000);
		end();
	}
}

TEST(imds_version_1_only_when_asked_for)
{
	static const int statuses[] = {403, 404, 405, 0};

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		imds();
		if (statuses[i])
			answer(statuses[i], "");
		else
			breaks(TRANSPORT_TIMEOUT);
		CHECK(step.action == CREDS_FAILED);
		config.version_1 = true;
		imds();
		if (statuses[i])
			answer(statuses[i], "");
		else
			breaks(TRANSPORT_TIMEOUT);
		CHECK(step.action == CREDS_SEND && !request_header(&step.request, "x-aws-ec2-metadata-token"));
		answer(200, "scan-role");
		CHECK(step.action == CREDS_SEND && !request_header(&step.request, "x-aws-ec2-metadata-token"));
		end();
	}
	config.version_1 = true;
	imds();
	answer(400, "");
	fails("bad-request", "refused");
	end();
}

TEST(imds_failures)
{
	imds();
	answer(405, "");
	fails("metadata-version", "Version1=yes");
	end();
	imds();
	breaks(TRANSPORT_TIMEOUT);
	fails("unreachable", "hop limit");
	end();
	imds();
	answer(200, "two words");
	fails("bad-reply", "token");
	end();
	imds();
	answer(200, "TOKEN\r\nx: y");
	fails("bad-reply", "token");
	end();
	imds();
	answer(200, "METATOKEN");
	answer(404, "");
	fails("no-role", "instance profile");
	end();
	imds();
	answer(200, "METATOKEN");
	answer(200, "\n");
	fails("no-role", "instance profile");
	end();
	imds();
	answer(200, "METATOKEN");
	answer(200, "one\ntwo\n");
	fails("bad-reply", "exactly one");
	end();
	imds();
	answer(200, "METATOKEN");
	answer(401, "");
	fails("token-refused", "token");
	end();
	imds_to_credentials();
	answer(200, "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"no\"}");
	fails("refused", "AssumeRoleUnauthorizedAccess");
	end();
	imds_to_credentials();
	answer(200, "{\"Code\":\"Success\"}");
	fails("bad-reply", "neither access key");
	end();
}

/* ---- container --------------------------------------------------------------------------------------------------- */

static void clear_environment(void)
{
	static const char *const names[] = {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

TEST(container_endpoints_and_tokens)
{
	char body[512];

	clear_environment();
	begin(CREDS_CONTAINER);
	next(NULL);
	fails("no-credentials", "Endpoint=");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9911/creds?x=1", 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "from-environment", 1);
	begin(CREDS_CONTAINER);
	next(NULL);
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_CONTAINER);
	CHECK_STR(step.request.url, "http://127.0.0.1:9911/creds?x=1");
	CHECK_STR(request_header(&step.request, "Authorization"), "from-environment");
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1", 1);
	put_text("token", "first\n", 0600, config.token_file);
	begin(CREDS_CONTAINER);
	next(NULL);
	CHECK_STR(step.request.url, "http://169.254.170.2/v2/credentials/1");
	CHECK_STR(request_header(&step.request, "Authorization"), "first");
	put_text("token", "second", 0600, config.token_file); /* read again each time */
	strcpy(config.endpoint, "http://169.254.170.23/v1/credentials");
	begin(CREDS_CONTAINER);
	next(NULL);
	CHECK_STR(step.request.url, "http://169.254.170.23/v1/credentials");
	CHECK_STR(request_header(&step.request, "Authorization"), "second");
	CHECK(str_format(body, sizeof(body), METADATA, "2026-11-21T02:00:00Z") > 0);
	answer(200, body);
	have("container");
	clear_environment();
	end();
}

TEST(container_failures)
{
	static const char *const bad[] = {"a\r\nX-Evil: 1", "a\nb", "", "\n", "a\tb"};

	clear_environment();
	strcpy(config.endpoint, "http://127.0.0.1:1/");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_text("token", bad[i], 0600, config.token_file);
		begin(CREDS_CONTAINER);
		next(NULL);
		fails("bad-credentials", "one line");
	}
	strcpy(config.token_file, "/nonexistent/token");
	begin(CREDS_CONTAINER);
	next(NULL);
	fails("no-credentials", "/nonexistent/token");
	config.token_file[0] = '\0';
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "x\r\ny: z", 1);
	begin(CREDS_CONTAINER);
	next(NULL);
	fails("bad-credentials", "one line");
	clear_environment();
	begin(CREDS_CONTAINER);
	next(NULL);
	answer(403, "{\"Message\":\"no\"}");
	fails("access-denied", "TokenFile=");
	begin(CREDS_CONTAINER);
	next(NULL);
	answer(500, "");
	fails("unavailable", "500");
	begin(CREDS_CONTAINER);
	next(NULL);
	breaks(TRANSPORT_BROKEN);
	fails("unreachable", "ended");
	end();
}

/* ---- API key ----------------------------------------------------------------------------------------------------- */

static const char *short_key(const char *region, const char *date, const char *life)
{
	static char key[1024];
	char url[600];
	size_t len;

	CHECK(str_format(url, sizeof(url),
		      "bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
		      "ASIAEXAMPLE%%2F20261121%%2F%s%%2Fbedrock%%2Faws4_request&X-Amz-Date=%s&X-Amz-Expires=%s&"
		      "X-Amz-Security-Token=IQoJ%%2F%%2B&X-Amz-SignedHeaders=host&X-Amz-Signature=00ff&Version=1",
		      region, date, life) > 0);
	strcpy(key, "bedrock-api-key-");
	len = base64_encode(url, strlen(url), key + 16);
	key[16 + len] = '\0';
	return key;
}

TEST(api_keys_tell_region_and_end)
{
	struct creds_apikey k = {};
	char cut[1024];

	CHECK_INT(creds_apikey_decode(short_key("ap-southeast-2", "20261121T000000Z", "43200"), &k), 0);
	CHECK(k.short_term && k.expires_ms == (NOW_S + 43200) * 1000);
	CHECK_STR(k.region, "ap-southeast-2");
	strcpy(cut, short_key("ap-southeast-2", "20261121T000000Z", "43200"));
	for (size_t n = strlen(cut) - 1; n >= 16; n--) { /* the padding may be left out; what is behind the dates is not looked at */
		cut[n] = '\0';
		k = (struct creds_apikey){};
		if (creds_apikey_decode(cut, &k) == 0)
			CHECK(k.expires_ms <= (NOW_S + 43200) * 1000);
		else
			CHECK(!k.short_term);
	}
	CHECK_INT(creds_apikey_decode("ABSKsecret", &k), 0);
	CHECK(!k.short_term);
	CHECK_INT(creds_apikey_decode(short_key("ap-southeast-2", "20261121T000000Z", "43201"), &k), -EBADMSG);
	CHECK_INT(creds_apikey_decode(short_key("ap-southeast-2", "20261321T000000Z", "60"), &k), -EBADMSG);
	CHECK_INT(creds_apikey_decode(short_key("ap-southeast-2", "2026-11-21T0000Z", "60"), &k), -EBADMSG);
	CHECK_INT(creds_apikey_decode("bedrock-api-key-", &k), -EBADMSG);
	CHECK_INT(creds_apikey_decode("bedrock-api-key-!!!!", &k), -EBADMSG);
}

TEST(api_key_source)
{
	static const char *const bad[] = {"a b", "", "line\nline", "caf\xc3\xa9", "bedrock-api-key-AAAA"};

	clear_environment();
	strcpy(config.region, "ap-southeast-2");
	begin(CREDS_API_KEY);
	next(NULL);
	fails("no-credentials", "AWS_BEARER_TOKEN_BEDROCK");
	put_text("key", "ABSKsecret\n", 0600, config.file);
	begin(CREDS_API_KEY);
	next(NULL);
	CHECK(step.action == CREDS_HAVE && !step.creds.expires_ms && !step.creds.access_key[0]);
	CHECK_STR(step.creds.bearer, "ABSKsecret");
	CHECK(creds_fresh(&step.creds, input.now_ms));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_text("key", bad[i], 0600, config.file);
		begin(CREDS_API_KEY);
		next(NULL);
		fails("bad-credentials", "Bedrock API key");
	}
	put_text("key", "ABSKsecret", 0644, config.file);
	begin(CREDS_API_KEY);
	next(NULL);
	fails("key-permissions", "chmod 0600");
	put_text("key", short_key("us-east-1", "20261121T000000Z", "43200"), 0600, config.file);
	begin(CREDS_API_KEY);
	next(NULL);
	fails("residency", "us-east-1");
	put_text("key", short_key("ap-southeast-2", "20261120T110000Z", "43200"), 0600, config.file);
	begin(CREDS_API_KEY);
	next(NULL);
	fails("expired-token", "2026-11-20T23:00:00Z");
	begin(CREDS_API_KEY);
	input.signing_s = 0; /* the clock is no judge */
	next(NULL);
	CHECK(step.action == CREDS_HAVE && step.creds.expires_ms == (NOW_S - 3600) * 1000);
	strcpy(config.file, "/nonexistent");
	begin(CREDS_API_KEY);
	next(NULL);
	fails("no-credentials", "no such file");
	config.file[0] = '\0';
	setenv("AWS_BEARER_TOKEN_BEDROCK", "ABSKsecret", 1);
	begin(CREDS_API_KEY);
	next(NULL);
	CHECK(step.action == CREDS_HAVE && strstr(step.creds.source, "AWS_BEARER_TOKEN_BEDROCK"));
	clear_environment();
	end();
}
