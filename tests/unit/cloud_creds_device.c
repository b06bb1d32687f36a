/* The sources of devices and clouds: what they ask, and what they make of each reply. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "cloud/creds_apikey.h"
#include "cloud/creds_source.h"
#include "tests/unit/test.h"

#define NOW_S    INT64_C(1795219200) /* 2026-11-21T00:00:00Z */
#define SESSION  "{\"accessKeyId\":\"ASIAEXAMPLE0000001\",\"secretAccessKey\":\"SECRETSECRET\",\"sessionToken\":\"TOKENTOKEN\"," \
		 "\"expiration\":\"2026-11-21T01:00:00Z\"}"
#define METADATA "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAEXAMPLE0000001\",\"SecretAccessKey\":\"SECRETSECRET\"," \
		 "\"Token\":\"TOKENTOKEN\",\"Expiration\":\"%s\"}"

static struct creds_config config;
static struct creds_source *source;
static struct creds_step step;
static struct creds_input input;

static void begin(enum creds_kind kind)
{
	creds_source_free(source);
	source = NULL;
	config.kind = (int)kind;
	config.timeout_ms = 10000;
	input = (struct creds_input){.now_ms = NOW_S * 1000, .signing_s = NOW_S};
	CHECK_INT(creds_source_new(&config, &source), 0);
}

/* No message may quote a secret. */
static void look(void)
{
	static const char *const secrets[] = {"SECRETSECRET", "TOKENTOKEN", "PRIVATE KEY-----M", "METATOKEN", "ABSKsecret"};

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		CHECK(!strstr(step.message, secrets[i]) && !strstr(step.creds.source, secrets[i]));
	if (step.action == CREDS_FAILED)
		CHECK(step.reason[0] && step.message[0] && !step.creds.access_key[0]);
}

static void next(const struct reply *r)
{
	input.reply = r;
	creds_step_clear(&step);
	CHECK_INT(creds_source_next(source, &input, &step), 0);
	look();
}

static void answer(int status, const char *body)
{
	struct reply r = {.error = TRANSPORT_OK, .status = status, .body = body, .len = strlen(body)};

	next(&r);
}

static void breaks(enum transport_error e)
{
	struct reply r = {.error = e, .detail = "as the transport says", .body = ""};

	next(&r);
}

static void fails(const char *reason, const char *say)
{
	if (step.action != CREDS_FAILED || !streq(step.reason, reason) || !strstr(step.message, say))
		test_fail(__FILE__, __LINE__, "%d %s: %s", (int)step.action, step.reason, step.message);
}

static void have(const char *name)
{
	if (step.action != CREDS_HAVE)
		test_fail(__FILE__, __LINE__, "%s: %s", step.reason, step.message);
	CHECK_STR(step.creds.access_key, "ASIAEXAMPLE0000001");
	CHECK_STR(step.creds.secret_key, "SECRETSECRET");
	CHECK_STR(step.creds.token, "TOKENTOKEN");
	CHECK(strstr(step.creds.source, name));
}

static void end(void)
{
	creds_step_clear(&step);
	creds_source_free(source);
	source = NULL;
	config = (struct creds_config){};
}

/* A copy of a file of tests/data/x509 in the test's folder, with a mode. */
static void put(const char *from, const char *name, unsigned int mode, char *path)
{
	_cleanup_buf_ struct buf b = {};
	_cleanup_close_ int dir = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char full[512];

	CHECK(str_format(full, sizeof(full), "%sx509/%s", test_data(), from) > 0);
	CHECK_INT(file_read(AT_FDCWD, full, 65536, &b), 0);
	test_write(dir, name, buf_str(&b), mode);
	CHECK(str_format(path, CREDS_PATH_SIZE, "%s/%s", test_tmpdir(), name) > 0);
	CHECK_INT(chmod(path, mode), 0);
}

static void put_text(const char *name, const char *text, unsigned int mode, char *path)
{
	_cleanup_close_ int dir = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	test_write(dir, name, text, mode);
	CHECK(str_format(path, CREDS_PATH_SIZE, "%s/%s", test_tmpdir(), name) > 0);
	CHECK_INT(chmod(path, mode), 0);
}

/* ---- IoT --------------------------------------------------------------------------------------------------------- */

static void iot(void)
{
	put("chain.pem", "cert", 0644, config.certificate);
	put("ec.key", "key", 0600, config.key);
	strcpy(config.endpoint, "https://c1example.credentials.iot.ap-southeast-2.amazonaws.com");
	strcpy(config.role_alias, "scan=role@1");
	strcpy(config.thing_name, "scanner-1");
	strcpy(config.region, "ap-southeast-2");
	begin(CREDS_IOT);
	next(NULL);
}

TEST(iot_asks_with_certificate_and_thing)
{
	iot();
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_IOT_CREDENTIALS);
	CHECK_STR(step.request.url,
		"https://c1example.credentials.iot.ap-southeast-2.amazonaws.com/role-aliases/scan%3Drole%401/credentials");
	CHECK_STR(step.request.method, "GET");
	CHECK_STR(step.request.model, "scan=role@1");
	CHECK_STR(request_header(&step.request, "x-amzn-iot-thingname"), "scanner-1");
	CHECK(starts_with(step.request.client_cert, "-----BEGIN CERTIFICATE"));
	CHECK(strstr(step.request.client_key, "PRIVATE KEY"));
	CHECK(step.request.max_reply > 3000 && step.request.max_reply < 100000 && step.request.timeout_ms == 10000);
	answer(200, "{\"credentials\":" SESSION "}");
	have("IoT role alias scan=role@1");
	CHECK_INT(step.creds.expires_ms, (NOW_S + 3600) * 1000);
	end();
}

TEST(iot_replies)
{
	static const struct {
		int status;
		const char *body, *reason, *say;
	} cases[] = {
		{400, "{}", "bad-request", "RoleAlias="},
		{403, "{\"message\":\"Access \\u001b[31mDenied\"}", "access-denied", "iot:AssumeRoleWithCertificate"},
		{404, "{\"message\":\"Role alias not found\"}", "no-role-alias", "Role alias not found"},
		{429, "{\"message\":\"slow down\"}", "throttled", "later"},
		{500, "oops", "unavailable", "500"},
		{503, "", "unavailable", "503"},
		{302, "", "refused", "302"},
		{200, "<html>", "bad-reply", "not a JSON object"},
		{200, "", "bad-reply", "not a JSON object"},
		{200, "[]", "bad-reply", "not a JSON object"},
		{200, "{}", "bad-reply", "neither access key"},
		{200, "{\"credentials\":[]}", "bad-reply", "neither access key"},
		{200, "{\"credentials\":{\"accessKeyId\":\"ASIA\"}}", "bad-reply", "no secret key"},
		{200, "{\"credentials\":{\"accessKeyId\":7,\"secretAccessKey\":\"x\"}}", "bad-reply", "no access key"},
		{200, "{\"credentials\":{\"accessKeyId\":\"A B\",\"secretAccessKey\":\"x\"}}", "bad-reply", "access key"},
		{200, "{\"credentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"x\",\"expiration\":\"soon\"}}", "bad-reply", "expiry"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		iot();
		answer(cases[i].status, cases[i].body);
		fails(cases[i].reason, cases[i].say);
		CHECK(!strchr(step.message, 27));
		end();
	}
}

TEST(iot_transport_and_dates)
{
	iot();
	breaks(TRANSPORT_TLS);
	fails("tls", "Certificate=");
	end();
	iot();
	breaks(TRANSPORT_BROKEN);
	fails("unreachable", "certificate may be refused");
	end();
	iot();
	breaks(TRANSPORT_RESOLVE);
	fails("unreachable", "as the transport says");
	end();
	iot();
	breaks(TRANSPORT_TOO_LARGE);
	fails("bad-reply", "larger than credentials");
	end();
	/* the certificate's dates explain a refusal, and nothing else */
	iot();
	put("expired.pem", "cert", 0644, config.certificate);
	begin(CREDS_IOT);
	next(NULL);
	CHECK(step.action == CREDS_SEND);
	answer(403, "{}");
	fails("certificate-dates", "expired on 2021-12-31");
	end();
	iot();
	input.now_ms = INT64_C(1700000000000);
	begin(CREDS_IOT);
	input.now_ms = INT64_C(1700000000000);
	next(NULL);
	breaks(TRANSPORT_TLS);
	fails("certificate-dates", "valid only from 2026-01-02");
	end();
	iot();
	put("expired.pem", "cert", 0644, config.certificate);
	begin(CREDS_IOT);
	next(NULL);
	answer(200, "{\"credentials\":" SESSION "}"); /* who decides is the service */
	have("IoT");
	end();
}

TEST(certificate_and_key_that_cannot_be_used)
{
	static const struct {
		const char *cert, *key;
		unsigned int mode;
		const char *reason, *say;
	} cases[] = {
		{"chain.pem", "ec.key", 0604, "key-permissions", "chmod 0600"},
		{"chain.pem", "ec.key", 0660, "key-permissions", "chmod 0600"},
		{"chain.pem", "rsa.key", 0600, "bad-credentials", "does not belong"},
		{"chain.pem", "p384.key", 0600, "bad-credentials", "P-256"},
		{"chain.pem", "ec-password.key", 0600, "bad-credentials", "password"},
		{"ec.key", "ec.key", 0600, "bad-credentials", "no certificate"},
		{"chain.pem", "ec.pem", 0600, "bad-credentials", "no private key"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(cases[i].cert, "cert", 0644, config.certificate);
		put(cases[i].key, "key", cases[i].mode, config.key);
		begin(CREDS_IOT);
		next(NULL);
		fails(cases[i].reason, cases[i].say);
		end();
	}
	put("chain.pem", "cert", 0644, config.certificate);
	strcpy(config.key, "/nonexistent/key");
	begin(CREDS_IOT);
	next(NULL);
	fails("no-credentials", "no such file");
	unsetenv("CREDENTIALS_DIRECTORY");
	strcpy(config.key, "device-key");
	begin(CREDS_IOT);
	next(NULL);
	fails("no-credentials", "LoadCredential=");
	/* as a systemd credential; the group may read it, as the service manager leaves it */
	setenv("CREDENTIALS_DIRECTORY", test_tmpdir(), 1);
	put("ec.key", "device-key", 0440, config.key);
	strcpy(config.key, "device-key");
	begin(CREDS_IOT);
	next(NULL);
	CHECK(step.action == CREDS_SEND);
	unsetenv("CREDENTIALS_DIRECTORY");
	end();
}

/* ---- IAM Roles Anywhere ------------------------------------------------------------------------------------------ */

static void anywhere(void)
{
	put("chain.pem", "cert", 0644, config.certificate);
	put("ec.key", "key", 0600, config.key);
	strcpy(config.region, "ap-southeast-2");
	strcpy(config.role_arn, "arn:aws:iam::111122223333:role/scan");
	strcpy(config.profile_arn, "arn:aws:rolesanywhere:ap-southeast-2:111122223333:profile/p");
	strcpy(config.trust_anchor_arn, "arn:aws:rolesanywhere:ap-southeast-2:111122223333:trust-anchor/t");
	begin(CREDS_ROLES_ANYWHERE);
}

TEST(roles_anywhere_signs_a_session)
{
	const char *auth;

	anywhere();
	next(NULL);
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_ROLES_ANYWHERE);
	CHECK_STR(step.request.url, "https://rolesanywhere.ap-southeast-2.amazonaws.com/sessions");
	CHECK_STR(step.request.segments[0].data,
		"{\"durationSeconds\":3600,\"profileArn\":\"arn:aws:rolesanywhere:ap-southeast-2:111122223333:profile/p\","
		"\"roleArn\":\"arn:aws:iam::111122223333:role/scan\","
		"\"trustAnchorArn\":\"arn:aws:rolesanywhere:ap-southeast-2:111122223333:trust-anchor/t\"}");
	auth = request_header(&step.request, "authorization");
	CHECK(starts_with(auth, "AWS4-X509-ECDSA-SHA256 Credential=730344845988415097185401048072226831495695551401/20261121/"
				"ap-southeast-2/rolesanywhere/aws4_request, "
				"SignedHeaders=content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain, Signature=30"));
	CHECK(!step.request.client_cert && !step.request.client_key);
	answer(201, "{\"credentialSet\":[{\"credentials\":" SESSION "}],\"subjectArn\":\"x\"}");
	have("IAM Roles Anywhere as CN=scanner-1");
	end();
	anywhere();
	config.duration_ms = 900000;
	strcpy(config.session_name, "glass");
	next(NULL);
	CHECK(strstr(step.request.segments[0].data, "\"durationSeconds\":900,") &&
	      strstr(step.request.segments[0].data, "\"roleSessionName\":\"glass\""));
	end();
}

TEST(roles_anywhere_failures)
{
	anywhere();
	input.signing_s = 0;
	next(NULL);
	fails("clock", "nothing is signed");
	end();
	anywhere();
	next(NULL);
	answer(403, "{\"message\":\"Untrusted certificate. Insufficient certificate\"}");
	fails("access-denied", "trust anchor");
	end();
	anywhere();
	put("expired.pem", "cert", 0644, config.certificate);
	next(NULL);
	answer(403, "{}");
	fails("certificate-dates", "expired on 2021-12-31");
	end();
	anywhere();
	next(NULL);
	answer(201, "{\"credentialSet\":[]}");
	fails("bad-reply", "neither access key");
	end();
	anywhere();
	next(NULL);
	answer(404, "{}");
	fails("no-profile", "profile");
	end();
}

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
