#include <stdio.h>

#include "cloud/awserror.h"
#include "tests/unit/test.h"

struct aws_case {
	int status;
	const char *type, *message; /* "" : none */
	enum page_outcome page;
	enum backend_state backend;
	const char *reason;
	bool billed, clock, creds;
};

#define U PAGE_UNTOUCHED

static const struct aws_case cases[] = {
	{429, "ThrottlingException", "Too many requests, please wait", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{429, "ThrottlingException", "Too many tokens, please wait", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "ThrottlingException", "Rate exceeded", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "Throttling", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "RequestLimitExceeded", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{503, "SlowDown", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{429, "TooManyRequestsException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{429, "", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{429, "ModelNotReadyException", "", U, BACKEND_BUSY, "model-loading", 0, 0, 0},
	{400, "ServiceQuotaExceededException", "", U, BACKEND_DOWN, "quota", 0, 0, 0},
	{408, "ModelTimeoutException", "", PAGE_RETRY, BACKEND_OK, "model-timeout", 1, 0, 0},
	{408, "", "", PAGE_RETRY, BACKEND_OK, "model-timeout", 1, 0, 0},
	{424, "ModelErrorException", "", PAGE_RETRY, BACKEND_OK, "model-error", 1, 0, 0},
	{424, "ModelStreamErrorException", "", PAGE_RETRY, BACKEND_OK, "model-error", 1, 0, 0},
	{424, "", "", PAGE_RETRY, BACKEND_OK, "model-error", 1, 0, 0},
	{500, "InternalServerException", "", U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{500, "InternalFailure", "", U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{503, "ServiceUnavailableException", "", U, BACKEND_DOWN, "unavailable", 1, 0, 0},
	{503, "ServiceUnavailable", "", U, BACKEND_DOWN, "unavailable", 1, 0, 0},
	{503, "", "", U, BACKEND_DOWN, "unavailable", 1, 0, 0},
	{500, "", "", U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{502, "", "", U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{504, "", "", U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{530, "InternalDependencyException", "", U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{400, "ValidationException", "Malformed input request", PAGE_NEXT, BACKEND_OK, "bad-request", 0, 0, 0},
	{400, "ValidationException", "Input is too long for requested model.", PAGE_NEXT, BACKEND_OK, "too-large", 0, 0,
		0},
	{400, "ValidationException", "request too large", PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{400, "ValidationException", "Failed to process the image", PAGE_NEXT, BACKEND_OK, "bad-image", 0, 0, 0},
	{400, "ValidationException", "The provided model identifier is invalid.", U, BACKEND_DOWN, "model-id", 0, 0, 0},
	{400, "ValidationException",
		"Invocation of model ID amazon.x with on-demand throughput isn\xe2\x80\x99t supported.", U,
		BACKEND_DOWN, "model-id", 0, 0, 0},
	{400, "ValidationException", "Access to Anthropic models is not allowed from unsupported countries", U,
		BACKEND_DOWN, "model-access", 0, 0, 0},
	{400, "ValidationException", "Your account is not authorized to invoke this API operation.", U, BACKEND_DOWN,
		"model-access", 0, 0, 0},
	{400, "ConflictException", "", U, BACKEND_BUSY, "conflict", 0, 0, 0},
	{400, "", "", PAGE_NEXT, BACKEND_OK, "bad-request", 0, 0, 0},
	{403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", U,
		BACKEND_DOWN, "model-access", 0, 0, 0},
	{404, "ResourceNotFoundException", "", U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{404, "", "", U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{404, "UnknownOperationException", "", U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{403, "ExpiredTokenException", "The security token included in the request is expired", U, BACKEND_DOWN,
		"expired-token", 0, 0, 1},
	{400, "ExpiredToken", "", U, BACKEND_DOWN, "expired-token", 0, 0, 1},
	{403, "UnrecognizedClientException", "The security token included in the request is invalid.", U, BACKEND_DOWN,
		"unknown-key", 0, 0, 1},
	{403, "InvalidClientTokenId", "", U, BACKEND_DOWN, "unknown-key", 0, 0, 1},
	{403, "InvalidSignatureException", "Signature expired: 20261121T000000Z is now earlier than 20261121T000500Z",
		U, BACKEND_BUSY, "clock", 0, 1, 0},
	{403, "InvalidSignatureException", "Signature not yet current: 2026...", U, BACKEND_BUSY, "clock", 0, 1, 0},
	{403, "InvalidSignatureException", "The request signature we calculated does not match", U, BACKEND_DOWN,
		"signature", 0, 0, 1},
	{403, "SignatureDoesNotMatch", "Signature expired: ...", U, BACKEND_BUSY, "clock", 0, 1, 0},
	{403, "SignatureDoesNotMatch", "Signature not yet current: ...", U, BACKEND_BUSY, "clock", 0, 1, 0},
	{403, "SignatureDoesNotMatch", "", U, BACKEND_DOWN, "signature", 0, 0, 1},
	{403, "RequestTimeTooSkewed", "", U, BACKEND_BUSY, "clock", 0, 1, 0},
	{400, "RequestExpired", "", U, BACKEND_BUSY, "clock", 0, 1, 0},
	{403, "RequestInTheFuture", "", U, BACKEND_BUSY, "clock", 0, 1, 0},
	{403, "MissingAuthenticationToken", "", U, BACKEND_DOWN, "signature", 0, 0, 1},
	{403, "MissingAuthenticationTokenException", "", U, BACKEND_DOWN, "signature", 0, 0, 1},
	{400, "IncompleteSignature", "", U, BACKEND_DOWN, "signature", 0, 0, 0},
	{400, "IncompleteSignatureException", "", U, BACKEND_DOWN, "signature", 0, 0, 0},
	{400, "NotAuthorized", "", U, BACKEND_DOWN, "model-access", 0, 0, 0},
	{403, "OptInRequired", "", U, BACKEND_DOWN, "model-access", 0, 0, 0},
	{400, "RequestTimeout", "", U, BACKEND_BUSY, "slow-upload", 0, 0, 0},
	{408, "RequestTimeoutException", "", U, BACKEND_BUSY, "slow-upload", 0, 0, 0},
	{401, "", "", U, BACKEND_DOWN, "refused", 0, 0, 1},
	{403, "", "", U, BACKEND_DOWN, "refused", 0, 0, 0},
	{407, "", "", U, BACKEND_DOWN, "proxy", 0, 0, 0},
	{413, "", "", PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{418, "", "", U, BACKEND_DOWN, "unexpected-status", 0, 0, 0},
	{204, "", "", U, BACKEND_DOWN, "unexpected-status", 1, 0, 0},
};

static void judge(int status, const char *type, const char *body, const struct header *more, struct verdict *v)
{
	struct header h[2] = {{(char *)"x-amzn-ErrorType", (char *)type}};
	struct reply r = {.status = status,
		.headers = h,
		.n_headers = *type ? 1 : 0,
		.body = body,
		.len = strlen(body),
		.sent = true};

	if (more)
		h[r.n_headers++] = *more;
	memset(v, 0, sizeof(*v));
	CHECK_INT(aws_error_judge(&r, v), 0);
}

TEST(every_row)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct aws_case *c = &cases[i];
		struct verdict v;
		char body[256];

		snprintf(body, sizeof(body), "{\"message\":\"%s\"}", c->message);
		judge(c->status, c->type, body, NULL, &v);
		if (v.page != c->page || v.backend != c->backend || !streq(v.reason, c->reason) ||
			v.billed != c->billed || v.clock_wrong != c->clock || v.creds_wrong != c->creds || !*v.message)
			test_fail(__FILE__, __LINE__, "case %zu: %d %s: %s/%s %s billed %d: %s", i, c->status, c->type,
				page_outcome_name(v.page), backend_state_name(v.backend), v.reason, v.billed,
				v.message);
	}
}

TEST(a_broken_backend_never_charges_a_page)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK(cases[i].backend == BACKEND_OK || cases[i].page == PAGE_UNTOUCHED);
}

static void type_of(const char *header, const char *body, const char *want)
{
	struct header h = {(char *)"X-Amzn-Errortype", (char *)header};
	struct reply r = {.status = 400, .headers = &h, .n_headers = header ? 1 : 0, .body = body, .len = strlen(body)};
	struct verdict v = {};
	char said[128];
	const char *at;

	CHECK_INT(aws_error_judge(&r, &v), 0);
	CHECK(str_format(said, sizeof(said), "(400%s%s", *want ? " " : "", want) > 0);
	at = strstr(v.message, said);
	if (!at || !strchr(":)", at[strlen(said)]))
		test_fail(__FILE__, __LINE__, "\"%s\", want type \"%s\"", v.message, want);
}

TEST(error_types)
{
	type_of("InvalidSignatureException:http://internal.amazon.com/coral/com.amazon.coral.service/", "",
		"InvalidSignatureException");
	type_of("com.amazon.coral.service#AccessDeniedException", "{\"__type\":\"X\"}", "AccessDeniedException");
	type_of(NULL, "{\"__type\":\"com.amazon.coral.service#UnrecognizedClientException\",\"message\":\"x\"}",
		"UnrecognizedClientException");
	type_of(NULL, "{\"code\":\"ThrottlingException:\"}", "ThrottlingException");
	type_of(NULL, "{\"Code\":\"A\",\"__type\":\"B\"}", "A");
	type_of(NULL, "{\"code\":5}", "");
	type_of(NULL, "<html>502</html>", "");
	type_of(NULL, "", "");
	type_of("", "{\"__type\":\"B\"}", "B");
}

TEST(a_model_that_refuses_is_not_asked_again)
{
	struct verdict v;

	judge(424, "ModelErrorException", "{\"message\":\"x\",\"originalStatusCode\":400,\"resourceName\":\"r\"}", NULL,
		&v);
	CHECK(v.page == PAGE_NEXT && v.billed);
	judge(424, "ModelErrorException", "{\"message\":\"x\",\"originalStatusCode\":500}", NULL, &v);
	CHECK(v.page == PAGE_RETRY);
}

static uint32_t delay_with(const char *name, const char *value)
{
	struct header h = {(char *)name, (char *)value};
	struct verdict v;

	judge(500, "InternalServerException", "{}", &h, &v);
	return v.delay_ms;
}

TEST(hints)
{
	struct verdict v;
	struct header h = {(char *)"x-amz-retry-after", (char *)"200"};

	CHECK_INT(delay_with("x-amz-retry-after", "1500"), 1500);
	CHECK_INT(delay_with("Retry-After", "7"), 7000);
	CHECK_INT(delay_with("Retry-After", "999999"), 300000);
	CHECK_INT(delay_with("x-amz-retry-after", "99999999999999"), 300000);
	CHECK_INT(delay_with("x-amz-retry-after", "-5"), 0);
	CHECK_INT(delay_with("Retry-After", "soon"), 0);
	CHECK_INT(delay_with("x-amz-retry-after", "1e3"), 0);
	/* a hint below the table's own delay does not shorten it */
	judge(429, "ThrottlingException", "{}", &h, &v);
	CHECK_INT(v.delay_ms, 1000);
}

TEST(a_retry_after_date_counts_from_the_servers_date)
{
	struct header h[2] = {{(char *)"Retry-After", (char *)"Sat, 21 Nov 2026 00:00:30 GMT"},
		{(char *)"Date", (char *)"Sat, 21 Nov 2026 00:00:10 GMT"}};
	struct reply r = {.status = 503, .headers = h, .n_headers = 2, .body = "", .sent = true};
	struct verdict v = {};

	CHECK_INT(aws_error_judge(&r, &v), 0);
	CHECK_INT(v.delay_ms, 20000);
	r.n_headers = 1; /* without the server's clock a date says nothing */
	CHECK_INT(aws_error_judge(&r, &v), 0);
	CHECK_INT(v.delay_ms, 0);
}

TEST(what_the_server_says_is_made_harmless)
{
	struct verdict v;

	judge(400, "Bad\x1b[31mException", "{\"message\":\"\\u001b[2J\\u202ehidden\"}", NULL, &v);
	for (const char *p = v.message; *p; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
	CHECK(!strstr(v.message, "\xe2\x80\xae"));
}

TEST(transport)
{
	static const struct {
		enum transport_error error;
		bool sent, all;
		enum page_outcome page;
		enum backend_state backend;
		bool billed;
	} t[] = {
		{TRANSPORT_RESOLVE, 0, 0, U, BACKEND_DOWN, 0},
		{TRANSPORT_CONNECT, 0, 0, U, BACKEND_DOWN, 0},
		{TRANSPORT_TLS, 0, 0, U, BACKEND_DOWN, 0},
		{TRANSPORT_TIMEOUT, 0, 0, U, BACKEND_DOWN, 0},
		{TRANSPORT_TIMEOUT, 1, 0, U, BACKEND_DOWN, 1},
		{TRANSPORT_TIMEOUT, 1, 1, PAGE_RETRY, BACKEND_DOWN, 1},
		{TRANSPORT_BROKEN, 1, 0, U, BACKEND_DOWN, 1},
		{TRANSPORT_BROKEN, 1, 1, PAGE_RETRY, BACKEND_DOWN, 1},
		{TRANSPORT_TOO_LARGE, 1, 1, PAGE_RETRY, BACKEND_OK, 1},
		{TRANSPORT_REDIRECT, 1, 1, U, BACKEND_DOWN, 1},
		{TRANSPORT_DENIED, 0, 0, U, BACKEND_DOWN, 0},
		{TRANSPORT_LOCAL, 0, 0, PAGE_RETRY, BACKEND_OK, 0},
		{TRANSPORT_LOCAL, 1, 0, PAGE_RETRY, BACKEND_OK, 1},
		{TRANSPORT_CANCELLED, 0, 0, U, BACKEND_OK, 0},
		{TRANSPORT_CANCELLED, 1, 1, U, BACKEND_OK, 1},
	};
	struct reply ok = {.status = 200};
	struct verdict v = {};

	CHECK_INT(transport_judge(&ok, &v), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct reply r = {.error = t[i].error, .sent = t[i].sent, .sent_all = t[i].all, .detail = "why"};

		v = (struct verdict){};
		CHECK_INT(transport_judge(&r, &v), 1);
		if (v.page != t[i].page || v.backend != t[i].backend || v.billed != t[i].billed || !*v.reason ||
			!strstr(v.message, "why"))
			test_fail(__FILE__, __LINE__, "case %zu: %s/%s billed %d", i, page_outcome_name(v.page),
				backend_state_name(v.backend), v.billed);
	}
}
