#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "cloud/awserror.h"
#include "cloud/awserror_internal.h"
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
	{429, "ThrottlingException", "Too many tokens, please wait", U, BACKEND_BUSY, "throttled-tokens", 0, 0, 0},
	{429, "ThrottlingException", "Too many tokens per day, please wait", U, BACKEND_DOWN, "quota", 0, 0, 0},
	{400, "ThrottlingException", "Rate exceeded", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "Throttling", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "RequestLimitExceeded", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{503, "SlowDown", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{403, "AllAccessDisabled", "", U, BACKEND_DOWN, "policy", 0, 0, 0},
	{400, "AuthorizationHeaderMalformed", "", U, BACKEND_DOWN, "residency", 0, 0, 0},
	{301, "PermanentRedirect", "", U, BACKEND_DOWN, "residency", 0, 0, 0},
	{404, "NoSuchKey", "", PAGE_RETRY, BACKEND_OK, "no-object", 0, 0, 0},
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
		U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "InvalidSignatureException", "Signature not yet current: 2026...", U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "InvalidSignatureException", "The request signature we calculated does not match", U, BACKEND_DOWN,
		"signature", 0, 0, 1},
	{403, "SignatureDoesNotMatch", "Signature expired: ...", U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "SignatureDoesNotMatch", "Signature not yet current: ...", U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "SignatureDoesNotMatch", "", U, BACKEND_DOWN, "signature", 0, 0, 1},
	{403, "RequestTimeTooSkewed", "", U, BACKEND_DOWN, "clock", 0, 1, 0},
	{400, "RequestExpired", "", U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "RequestInTheFuture", "", U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "MissingAuthenticationToken", "", U, BACKEND_DOWN, "signature", 0, 0, 1},
	{403, "MissingAuthenticationTokenException", "", U, BACKEND_DOWN, "signature", 0, 0, 1},
	{400, "IncompleteSignature", "", U, BACKEND_DOWN, "signature", 0, 0, 0},
	{400, "IncompleteSignatureException", "", U, BACKEND_DOWN, "signature", 0, 0, 0},
	{400, "NotAuthorized", "", U, BACKEND_DOWN, "policy", 0, 0, 0},
	{403, "OptInRequired", "", U, BACKEND_DOWN, "model-access", 0, 0, 0},
	{400, "RequestTimeout", "", U, BACKEND_BUSY, "slow-upload", 0, 0, 0},
	{408, "RequestTimeoutException", "", U, BACKEND_BUSY, "slow-upload", 0, 0, 0},
	{401, "", "", U, BACKEND_DOWN, "refused", 0, 0, 1},
	{403, "", "", U, BACKEND_DOWN, "refused", 0, 0, 0},
	{407, "", "", U, BACKEND_DOWN, "proxy", 0, 0, 0},
	{413, "", "", PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{400, "ThrottledException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "RequestThrottled", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "RequestThrottledException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "ProvisionedThroughputExceededException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "TransactionInProgressException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "BandwidthLimitExceeded", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "LimitExceededException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "EC2ThrottledException", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{400, "PriorRequestNotComplete", "", U, BACKEND_BUSY, "throttled", 0, 0, 0},
	{424, "ModelError", "Received server error (500) from primary",
		PAGE_RETRY, BACKEND_OK, "model-error", 1, 0, 0},
	{424, "ModelStreamError", "ModelInvocationTimeExceeded",
		PAGE_RETRY, BACKEND_OK, "model-timeout", 1, 0, 0},
	{424, "ModelStreamError", "StreamBroken",
		PAGE_RETRY, BACKEND_OK, "model-error", 1, 0, 0},
	{500, "InternalStreamFailure", "",
		PAGE_RETRY, BACKEND_OK, "model-error", 1, 0, 0},
	{403, "AuthFailure", "Signature expired",
		U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "AuthFailure", "Signature not yet current",
		U, BACKEND_DOWN, "clock", 0, 1, 0},
	{403, "AuthFailure", "",
		U, BACKEND_DOWN, "unknown-key", 0, 0, 1},
	{403, "InvalidAccessKeyId", "",
		U, BACKEND_DOWN, "unknown-key", 0, 0, 1},
	{400, "TokenRefreshRequired", "",
		U, BACKEND_DOWN, "expired-token", 0, 0, 1},
	{403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.",
		U, BACKEND_DOWN, "api-key", 0, 0, 1},
	{403, "AccessDeniedException", "Bearer Token has expired",
		U, BACKEND_DOWN, "api-key", 0, 0, 1},
	{400, "InvalidIdentityToken", "",
		U, BACKEND_DOWN, "identity-token", 0, 0, 1},
	{400, "InvalidIdentityTokenException", "",
		U, BACKEND_DOWN, "identity-token", 0, 0, 1},
	{403, "IDPRejectedClaim", "",
		U, BACKEND_DOWN, "identity-token", 0, 0, 1},
	{403, "IDPRejectedClaimException", "",
		U, BACKEND_DOWN, "identity-token", 0, 0, 1},
	{400, "IDPCommunicationError", "",
		U, BACKEND_DOWN, "identity-provider", 0, 0, 1},
	{400, "IDPCommunicationErrorException", "",
		U, BACKEND_DOWN, "identity-provider", 0, 0, 1},
	{403, "RegionDisabledException", "",
		U, BACKEND_DOWN, "region-disabled", 0, 0, 1},
	{400, "MalformedPolicyDocument", "",
		U, BACKEND_DOWN, "bad-credentials", 0, 0, 1},
	{400, "MalformedPolicyDocumentException", "",
		U, BACKEND_DOWN, "bad-credentials", 0, 0, 1},
	{400, "PackedPolicyTooLarge", "",
		U, BACKEND_DOWN, "bad-credentials", 0, 0, 1},
	{400, "PackedPolicyTooLargeException", "",
		U, BACKEND_DOWN, "bad-credentials", 0, 0, 1},
	{403, "AccessDeniedException", "with an explicit deny in a service control policy",
		U, BACKEND_DOWN, "policy", 0, 0, 0},
	{403, "AccessDeniedException", "Fill out the use case form",
		U, BACKEND_DOWN, "use-case", 0, 0, 0},
	{403, "AccessDeniedException", "INVALID_PAYMENT_INSTRUMENT: a valid payment instrument",
		U, BACKEND_DOWN, "payment", 0, 0, 0},
	{403, "AccessDeniedException", "is not authorized to perform the required AWS Marketplace actions (aws-marketplace:Subscribe)",
		U, BACKEND_DOWN, "model-access", 0, 0, 0},
	{403, "AccessDeniedException", "User is not authorized to perform: bedrock:InvokeModel",
		U, BACKEND_DOWN, "policy", 0, 0, 0},
	{403, "AccessDenied", "",
		U, BACKEND_DOWN, "policy", 0, 0, 0},
	{403, "UnauthorizedOperation", "",
		U, BACKEND_DOWN, "policy", 0, 0, 0},
	{404, "FTUFormNotFilled", "",
		U, BACKEND_DOWN, "use-case", 0, 0, 0},
	{404, "ResourceNotFoundException", "Model use case details have not been submitted for this account.",
		U, BACKEND_DOWN, "use-case", 0, 0, 0},
	{404, "ResourceNotFoundException", "This model version has reached the end of its life.",
		U, BACKEND_DOWN, "model-retired", 0, 0, 0},
	{400, "InvalidAction", "",
		U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{404, "NoSuchBucket", "",
		U, BACKEND_DOWN, "no-bucket", 0, 0, 0},
	{400, "ValidationException", "The model ID is not known",
		U, BACKEND_DOWN, "model-id", 0, 0, 0},
	{400, "ValidationException", "The guardrail identifier or version does not exist",
		U, BACKEND_DOWN, "guardrail-id", 0, 0, 0},
	{400, "ValidationException", "The service tier is not supported",
		U, BACKEND_DOWN, "service-tier", 0, 0, 0},
	{400, "ValidationError", "Endpoint x of account 1 not found.",
		U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{400, "ValidationError", "Endpoint x is not in service",
		U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{400, "ValidationError", "Endpoint x is not InService",
		U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{400, "ValidationException", "image dimensions exceed max allowed size",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{400, "ValidationError", "content too long",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{400, "ValidationError", "too large",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{400, "ValidationError", "exceeds",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{400, "ValidationError", "image",
		PAGE_NEXT, BACKEND_OK, "bad-image", 0, 0, 0},
	{400, "ValidationError", "",
		U, BACKEND_DOWN, "no-model", 0, 0, 0},
	{400, "ValidationError", "Inference Component has no capacity to process this request",
		U, BACKEND_BUSY, "model-loading", 0, 0, 0},
	{400, "ValidationError", "Member must have length less than or equal to 6291456",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{413, "RequestEntityTooLargeException", "",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{413, "PayloadTooLargeException", "",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{413, "EntityTooLarge", "",
		PAGE_NEXT, BACKEND_OK, "too-large", 0, 0, 0},
	{500, "InternalServerError", "",
		U, BACKEND_DOWN, "server-error", 1, 0, 0},
	{500, "InternalError", "",
		U, BACKEND_DOWN, "server-error", 1, 0, 0},
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

/* What of the table no case above and no test of the transport reaches is not tested. */
TEST(every_row_has_a_case)
{
	size_t n;
	const struct aws_error_row *rows = aws_error_rows(&n);

	for (size_t i = 0; i < n; i++) {
		const struct aws_error_row *w = &rows[i];
		bool found = w->error != TRANSPORT_OK;

		for (size_t k = 0; k < ARRAY_SIZE(cases) && !found; k++) {
			const struct aws_case *c = &cases[k];

			found = streq(c->reason, w->reason) && (!w->type || strcasecmp(c->type, w->type) == 0) &&
				(!w->said || strcasestr(c->message, w->said)) &&
				(!w->status || (c->status >= w->status && c->status <= MAX(w->status, w->status_to)));
		}
		if (!found)
			test_fail(__FILE__, __LINE__, "row %zu (%d %s \"%s\") has no case", i, w->status, w->type ? w->type : "",
				w->said ? w->said : "");
	}
}

/* A row behind one that takes all that it would is dead. */
TEST(no_row_hides_another)
{
	size_t n;
	const struct aws_error_row *rows = aws_error_rows(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct aws_error_row *a = &rows[k], *b = &rows[i];
			bool wider = a->error == b->error && (a->sent == SENT_ANY || a->sent == b->sent) &&
				(!a->type || (b->type && strcasecmp(a->type, b->type) == 0)) &&
				(!a->said || (b->said && strcasestr(b->said, a->said))) &&
				(!a->status || (b->status >= a->status && MAX(b->status, b->status_to) <= MAX(a->status, a->status_to) &&
						       b->status != 0));

			if (wider)
				test_fail(__FILE__, __LINE__, "row %zu (%s) is hidden by row %zu (%s)", i, b->reason, k, a->reason);
		}
}

TEST(what_each_asks_for_besides)
{
	struct verdict v;

	judge(413, "", "", NULL, &v);
	CHECK(v.smaller && v.page == PAGE_NEXT);
	judge(408, "ModelTimeoutException", "{}", NULL, &v);
	CHECK(v.smaller && v.most_tries == 2);
	judge(424, "ModelErrorException", "{}", NULL, &v);
	CHECK(!v.smaller && v.most_tries == 2);
	judge(429, "ThrottlingException", "{}", NULL, &v);
	CHECK(v.wait == WAIT_THROTTLED && v.most_tries == 0);
	judge(503, "", "", NULL, &v);
	CHECK(v.wait == WAIT_TRANSIENT);
	judge(403, "AccessDeniedException", "{}", NULL, &v);
	CHECK(v.wait == WAIT_PAUSE && v.delay_ms == 300000);
	judge(403, "ExpiredTokenException", "{}", NULL, &v);
	CHECK(v.wait == WAIT_AGAIN && v.delay_ms == 0);
}

static void event(const char *type, const char *payload, struct verdict *v)
{
	struct reply r = {.status = 200, .sent = true, .sent_all = true};

	*v = (struct verdict){};
	CHECK_INT(aws_error_judge_event(&r, type, payload, strlen(payload), v), 0);
}

/* In a stream the types begin in lower case, and something has been answered already. */
TEST(exceptions_within_a_stream)
{
	static const struct {
		const char *type, *payload, *reason;
		enum page_outcome page;
		bool billed;
	} t[] = {
		{"internalServerException", "{}", "server-error", U, true},
		{"modelStreamErrorException", "{\"originalStatusCode\":500}", "model-error", PAGE_RETRY, true},
		{"modelStreamErrorException", "{\"originalStatusCode\":400}", "model-error", PAGE_NEXT, true},
		{"validationException", "{\"message\":\"Malformed input\"}", "bad-request", PAGE_NEXT, false},
		{"throttlingException", "{\"message\":\"Too many requests\"}", "throttled", U, false},
		{"modelTimeoutException", "{}", "model-timeout", PAGE_RETRY, true},
		{"serviceUnavailableException", "{}", "unavailable", U, true},
		{"ModelStreamError", "{\"ErrorCode\":\"ModelInvocationTimeExceeded\",\"Message\":\"x\"}", "model-timeout",
			PAGE_RETRY, true},
		{"ModelStreamError", "{\"ErrorCode\":\"StreamBroken\"}", "model-error", PAGE_RETRY, true},
		{"InternalStreamFailure", "{}", "model-error", PAGE_RETRY, true},
		{"newException", "not JSON", "unexpected-status", U, true},
	};
	struct verdict v;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		event(t[i].type, t[i].payload, &v);
		if (v.page != t[i].page || v.billed != t[i].billed || !streq(v.reason, t[i].reason))
			test_fail(__FILE__, __LINE__, "%s: %s %s billed %d", t[i].type, page_outcome_name(v.page), v.reason, v.billed);
	}
}

TEST(errors_of_sts_and_s3_are_xml)
{
	struct verdict v;

	judge(403, "", "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>The token &lt;x</Message>"
		"</Error></ErrorResponse>", NULL, &v);
	CHECK_STR(v.reason, "expired-token");
	CHECK(strstr(v.message, "The token"));
	judge(400, "", "<Error><Code>IDPCommunicationError", NULL, &v); /* cut off */
	CHECK_STR(v.reason, "bad-request");
}

static void add_cell(struct buf *b, const char *s)
{
	CHECK(buf_addf(b, " %s |", s) >= 0);
}

static void add_row(struct buf *b, const struct aws_error_row *w)
{
	static const char *const transports[] = {"", "no name", "no connection", "TLS", "timeout", "cut", "reply too large",
		"redirect", "denied by the guard", "local", "cancelled"};
	static const char *const sent[] = {"", ", the whole page was sent", ", before the whole page was sent"};
	static const char *const waits[] = {
		[WAIT_BACKOFF] = "backoff",
		[WAIT_TRANSIENT] = "transient",
		[WAIT_THROTTLED] = "throttled",
		[WAIT_LOADING] = "loading",
		[WAIT_PAUSE] = "pause",
		[WAIT_AGAIN] = "again",
	};
	char text[160];

	CHECK(buf_addf(b, "|") >= 0);
	if (w->error != TRANSPORT_OK)
		str_format(text, sizeof(text), "%s%s", transports[w->error], sent[w->sent]);
	else if (w->status_to)
		str_format(text, sizeof(text), "%d to %d", w->status, w->status_to);
	else
		str_format(text, sizeof(text), w->status ? "%d" : "any", w->status);
	add_cell(b, text);
	str_format(text, sizeof(text), w->type ? "`%s`" : "%s", w->type ? w->type : "");
	add_cell(b, text);
	add_cell(b, w->said ? w->said : "");
	add_cell(b, page_outcome_name(w->page));
	add_cell(b, backend_state_name(w->backend));
	str_format(text, sizeof(text), w->least_ms ? "%s, %u s" : "%s", waits[w->wait], w->least_ms / 1000);
	add_cell(b, text);
	add_cell(b, w->flags & ERROR_BILLED ? "perhaps" : w->flags & ERROR_BILLED_SENT ? "if sent" : "no");
	str_format(text, sizeof(text), "`%s`%s%s", w->reason, w->flags & ERROR_SMALLER ? ", smaller" : "",
		w->flags & ERROR_ONCE ? ", once" : "");
	add_cell(b, text);
	add_cell(b, w->advice);
	CHECK(buf_addf(b, "\n") >= 0);
}

/* WRITE=1: the table in docs/errors.md is made anew. */
TEST(documented)
{
	_cleanup_buf_ struct buf want = {}, text = BUF_MAX(1 << 20);
	size_t n;
	const struct aws_error_row *rows = aws_error_rows(&n);
	char *table;

	for (size_t i = 0; i < n; i++)
		add_row(&want, &rows[i]);
	CHECK_INT(file_read(AT_FDCWD, "docs/errors.md", 1 << 20, &text), 0);
	table = strstr(buf_str(&text), "|---|---|---|---|---|---|---|---|---|\n");
	CHECK(table);
	table += strlen("|---|---|---|---|---|---|---|---|---|\n");
	if (getenv("WRITE")) {
		FILE *f = fopen("docs/errors.md", "w");

		CHECK(f);
		fprintf(f, "%.*s%s", (int)(table - buf_str(&text)), buf_str(&text), buf_str(&want));
		CHECK(fclose(f) == 0);
		return;
	}
	if (!streq(table, buf_str(&want)))
		test_fail(__FILE__, __LINE__, "the table in docs/errors.md is another: WRITE=1 %s makes it anew", "cloud_awserror");
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
	return v.hint_ms;
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
	/* beside the table's own */
	judge(429, "ModelNotReadyException", "{}", &h, &v);
	CHECK(v.delay_ms == 10000 && v.hint_ms == 200);
}

TEST(a_retry_after_date_counts_from_the_servers_date)
{
	struct header h[2] = {{(char *)"Retry-After", (char *)"Sat, 21 Nov 2026 00:00:30 GMT"},
		{(char *)"Date", (char *)"Sat, 21 Nov 2026 00:00:10 GMT"}};
	struct reply r = {.status = 503, .headers = h, .n_headers = 2, .body = "", .sent = true};
	struct verdict v = {};

	CHECK_INT(aws_error_judge(&r, &v), 0);
	CHECK_INT(v.hint_ms, 20000);
	r.n_headers = 1; /* without the server's clock a date says nothing */
	CHECK_INT(aws_error_judge(&r, &v), 0);
	CHECK_INT(v.hint_ms, 0);
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
