/* The sources of devices: IoT Core and IAM Roles Anywhere. What they ask, and what they make of each reply. */
#include "tests/unit/cloud_creds_fixture.h"

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
