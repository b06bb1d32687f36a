#include "cloud/awserror.h"

#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"

#define DELAY_MAX_MS (5 * 60 * 1000)
#define MESSAGE_SIZE 160

/* ---- transport --------------------------------------------------------------------------------------------------- */

static int judge_silence(const struct reply *r, struct verdict *v)
{
	const char *reason = r->error == TRANSPORT_TIMEOUT ? "timeout" : "connection-lost";

	/* only when the whole page was out can it be the reason: it has no part in a link that fails on the way */
	if (r->sent_all)
		return verdict_set(v, PAGE_RETRY, BACKEND_DOWN, reason, "no whole answer came: %s", r->detail);
	return verdict_set(
		v, PAGE_UNTOUCHED, BACKEND_DOWN, reason, "the connection failed while sending: %s", r->detail);
}

int transport_judge(const struct reply *r, struct verdict *ret)
{
	if (r->error == TRANSPORT_OK)
		return 0;
	ret->billed = r->sent;
	switch (r->error) {
	case TRANSPORT_OK:
		return 0;
	case TRANSPORT_RESOLVE:
		verdict_set(ret, PAGE_UNTOUCHED, BACKEND_DOWN, "no-name",
			"the server's name is not found (offline?): %s", r->detail);
		break;
	case TRANSPORT_CONNECT:
		verdict_set(ret, PAGE_UNTOUCHED, BACKEND_DOWN, "no-connection", "no connection to the server: %s",
			r->detail);
		break;
	case TRANSPORT_TLS:
		verdict_set(ret, PAGE_UNTOUCHED, BACKEND_DOWN, "tls",
			"the server could not be proved to be the right one: %s. Check the clock, and whether a "
			"device on the network intercepts TLS",
			r->detail);
		break;
	case TRANSPORT_TIMEOUT:
	case TRANSPORT_BROKEN:
		judge_silence(r, ret);
		break;
	case TRANSPORT_TOO_LARGE:
		verdict_set(ret, PAGE_RETRY, BACKEND_OK, "reply-too-large", "%s", r->detail);
		break;
	case TRANSPORT_REDIRECT:
		verdict_set(ret, PAGE_UNTOUCHED, BACKEND_DOWN, "redirect",
			"the server sends us elsewhere, which is never followed: %s. Check the URL", r->detail);
		break;
	case TRANSPORT_DENIED:
		ret->billed = false;
		verdict_set(ret, PAGE_UNTOUCHED, BACKEND_DOWN, "residency", "nothing was sent: %s", r->detail);
		break;
	case TRANSPORT_LOCAL:
		verdict_set(ret, PAGE_RETRY, BACKEND_OK, "local", "trouble on this machine: %s", r->detail);
		break;
	case TRANSPORT_CANCELLED:
		verdict_set(ret, PAGE_UNTOUCHED, BACKEND_OK, "cancelled", "cancelled: %s", r->detail);
		break;
	}
	return 1;
}

/* ---- what AWS says ----------------------------------------------------------------------------------------------- */

/* The first non-empty string of these members. */
static const char *first_string(const cJSON *j, const char *const names[])
{
	for (; *names; names++) {
		const char *s = json_get_string(j, *names);

		if (s && *s)
			return s;
	}
	return NULL;
}

/* Header x-amzn-errortype, else body code / Code / __type; cut at ':' and after '#'. "" if none. */
static void parse_type(const struct reply *r, const cJSON *body, char *out, size_t size)
{
	static const char *const names[] = {"code", "Code", "__type", NULL};
	const char *t = reply_header(r, "x-amzn-errortype"), *hash;
	size_t len;

	if (!t || !*t)
		t = first_string(body, names);
	if (!t)
		t = "";
	len = strcspn(t, ":");       /* "Name:http://..." */
	hash = memrchr(t, '#', len); /* "com.amazon.coral.service#Name" */
	if (hash) {
		len -= (size_t)(hash + 1 - t);
		t = hash + 1;
	}
	snprintf(out, size, "%.*s", (int)MIN(len, size - 1), t);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

enum flags {
	BILLED = 1 << 0,
	CLOCK = 1 << 1,
	CREDS = 1 << 2,
};

struct row {
	int status;          /* 0: any */
	const char *type;    /* NULL: any */
	const char *message; /* part of the message, case ignored; NULL: any */
	enum page_outcome page;
	enum backend_state backend;
	unsigned int flags;
	uint32_t delay_ms;
	const char *reason, *advice;
};

#define MINUTES(n) ((n)*60 * 1000)
#define UNTOUCHED  PAGE_UNTOUCHED
#define DOWN       BACKEND_DOWN
#define BUSY       BACKEND_BUSY
#define OK         BACKEND_OK

/*
 * First match wins. A broken or misconfigured backend leaves the page untouched; only what the reply says of this very
 * page charges it. 4xx other than 408 and 424 prove that no model ran.
 */
static const struct row rows[] = {
	/* throttling: slow down, the page waits */
	{0, "ThrottlingException", NULL, UNTOUCHED, BUSY, 0, 1000, "throttled", "AWS asks to slow down"},
	{0, "Throttling", NULL, UNTOUCHED, BUSY, 0, 1000, "throttled", "AWS asks to slow down"},
	{0, "TooManyRequestsException", NULL, UNTOUCHED, BUSY, 0, 1000, "throttled", "AWS asks to slow down"},
	{0, "RequestLimitExceeded", NULL, UNTOUCHED, BUSY, 0, 1000, "throttled", "AWS asks to slow down"},
	{0, "SlowDown", NULL, UNTOUCHED, BUSY, 0, 1000, "throttled", "AWS asks to slow down"},
	{0, "ModelNotReadyException", NULL, UNTOUCHED, BUSY, 0, 20000, "model-loading", "the model is being loaded"},
	{0, "ServiceQuotaExceededException", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "quota",
		"the account's quota is used up; ask AWS for more, or wait"},

	/* the model had the page */
	{0, "ModelTimeoutException", NULL, PAGE_RETRY, OK, BILLED, 0, "model-timeout",
		"the model took too long for this page"},
	{0, "ModelErrorException", NULL, PAGE_RETRY, OK, BILLED, 0, "model-error", "the model failed on this page"},
	{0, "ModelStreamErrorException", NULL, PAGE_RETRY, OK, BILLED, 0, "model-error",
		"the model failed on this page"},

	/* the clock */
	{0, "InvalidSignatureException", "expired", UNTOUCHED, BUSY, CLOCK, 1000, "clock", "our clock is behind AWS's"},
	{0, "InvalidSignatureException", "not yet current", UNTOUCHED, BUSY, CLOCK, 1000, "clock",
		"our clock is ahead of AWS's"},
	{0, "SignatureDoesNotMatch", "expired", UNTOUCHED, BUSY, CLOCK, 1000, "clock", "our clock is behind AWS's"},
	{0, "SignatureDoesNotMatch", "not yet current", UNTOUCHED, BUSY, CLOCK, 1000, "clock",
		"our clock is ahead of AWS's"},
	{0, "RequestTimeTooSkewed", NULL, UNTOUCHED, BUSY, CLOCK, 1000, "clock", "our clock and AWS's differ"},
	{0, "RequestExpired", NULL, UNTOUCHED, BUSY, CLOCK, 1000, "clock", "our clock is behind AWS's"},
	{0, "RequestInTheFuture", NULL, UNTOUCHED, BUSY, CLOCK, 1000, "clock", "our clock is ahead of AWS's"},

	/* the credentials */
	{0, "ExpiredTokenException", NULL, UNTOUCHED, DOWN, CREDS, 0, "expired-token",
		"the AWS credentials have expired; renew them in their source"},
	{0, "ExpiredToken", NULL, UNTOUCHED, DOWN, CREDS, 0, "expired-token",
		"the AWS credentials have expired; renew them in their source"},
	{0, "UnrecognizedClientException", NULL, UNTOUCHED, DOWN, CREDS, MINUTES(1), "unknown-key",
		"AWS does not know this access key (or its session token is missing); check the credentials"},
	{0, "InvalidClientTokenId", NULL, UNTOUCHED, DOWN, CREDS, MINUTES(1), "unknown-key",
		"AWS does not know this access key (or its session token is missing); check the credentials"},
	{0, "InvalidSignatureException", NULL, UNTOUCHED, DOWN, CREDS, MINUTES(5), "signature",
		"AWS does not accept the signature; the secret key is probably not the one of this access key"},
	{0, "SignatureDoesNotMatch", NULL, UNTOUCHED, DOWN, CREDS, MINUTES(5), "signature",
		"AWS does not accept the signature; the secret key is probably not the one of this access key"},
	{0, "MissingAuthenticationToken", NULL, UNTOUCHED, DOWN, CREDS, MINUTES(5), "signature",
		"AWS saw no signature"},
	{0, "MissingAuthenticationTokenException", NULL, UNTOUCHED, DOWN, CREDS, MINUTES(5), "signature",
		"AWS saw no signature"},
	{0, "IncompleteSignature", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "signature", "AWS cannot read the signature"},
	{0, "IncompleteSignatureException", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "signature",
		"AWS cannot read the signature"},

	/* the account's settings */
	{0, "AccessDeniedException", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "model-access",
		"AWS refuses this model to this account; allow bedrock:InvokeModel for it and grant model access"},
	{0, "NotAuthorized", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "model-access", "AWS refuses this to this account"},
	{0, "OptInRequired", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "model-access", "the account has not opted in"},
	{0, "ResourceNotFoundException", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "no-model",
		"AWS does not know this model here; check Model= and Region="},
	{0, "UnknownOperationException", NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "no-model",
		"the endpoint does not know this operation; check Endpoint="},
	{0, "ValidationException", "on-demand throughput", UNTOUCHED, DOWN, 0, MINUTES(5), "model-id",
		"AWS wants another form of model id here; check Model="},
	{0, "ValidationException", "model identifier", UNTOUCHED, DOWN, 0, MINUTES(5), "model-id",
		"AWS does not know this model id here; check Model= and Region="},
	{0, "ValidationException", "model id", UNTOUCHED, DOWN, 0, MINUTES(5), "model-id",
		"AWS does not know this model id here; check Model= and Region="},
	{0, "ValidationException", "not allowed from unsupported", UNTOUCHED, DOWN, 0, MINUTES(5), "model-access",
		"AWS refuses this model to this account or country"},
	{0, "ValidationException", "account is not", UNTOUCHED, DOWN, 0, MINUTES(5), "model-access",
		"AWS refuses this to this account"},

	/* this request */
	{0, "ValidationException", "too long", PAGE_NEXT, OK, 0, 0, "too-large", "the page is too large for the model"},
	{0, "ValidationException", "too large", PAGE_NEXT, OK, 0, 0, "too-large",
		"the page is too large for the model"},
	{0, "ValidationException", "image", PAGE_NEXT, OK, 0, 0, "bad-image", "the model refuses the page's image"},
	{0, "ValidationException", NULL, PAGE_NEXT, OK, 0, 0, "bad-request", "AWS refuses the request for this page"},
	{0, "ConflictException", NULL, UNTOUCHED, BUSY, 0, 5000, "conflict", "AWS is changing something"},

	/* the service, by name, then by status alone (proxies and load balancers send no type) */
	{0, "InternalServerException", NULL, UNTOUCHED, DOWN, BILLED, 0, "server-error", "AWS has an internal error"},
	{0, "InternalFailure", NULL, UNTOUCHED, DOWN, BILLED, 0, "server-error", "AWS has an internal error"},
	{0, "ServiceUnavailableException", NULL, UNTOUCHED, DOWN, BILLED, 0, "unavailable",
		"the service is unavailable"},
	{0, "ServiceUnavailable", NULL, UNTOUCHED, DOWN, BILLED, 0, "unavailable", "the service is unavailable"},
	{0, "RequestTimeout", NULL, UNTOUCHED, BUSY, 0, 0, "slow-upload", "the page arrived too slowly"},
	{0, "RequestTimeoutException", NULL, UNTOUCHED, BUSY, 0, 0, "slow-upload", "the page arrived too slowly"},
	{408, NULL, NULL, PAGE_RETRY, OK, BILLED, 0, "model-timeout", "no answer in time for this page"},
	{413, NULL, NULL, PAGE_NEXT, OK, 0, 0, "too-large", "the page is too large for the service"},
	{424, NULL, NULL, PAGE_RETRY, OK, BILLED, 0, "model-error", "the model failed on this page"},
	{429, NULL, NULL, UNTOUCHED, BUSY, 0, 1000, "throttled", "AWS asks to slow down"},
	{401, NULL, NULL, UNTOUCHED, DOWN, CREDS, MINUTES(5), "refused",
		"the service refuses us; check credentials and policies"},
	{403, NULL, NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "refused",
		"the service refuses us; check credentials and policies"},
	{404, NULL, NULL, UNTOUCHED, DOWN, 0, MINUTES(5), "no-model",
		"nothing is there; check Endpoint=, Model= and Region="},
	{407, NULL, NULL, UNTOUCHED, DOWN, 0, MINUTES(1), "proxy", "the proxy wants a password"},
	{400, NULL, NULL, PAGE_NEXT, OK, 0, 0, "bad-request", "AWS refuses the request for this page"},
	{503, NULL, NULL, UNTOUCHED, DOWN, BILLED, 0, "unavailable", "the service is unavailable"},
};

static const struct row other_4xx = {0, NULL, NULL, UNTOUCHED, DOWN, 0, MINUTES(1), "unexpected-status",
	"the service gives an answer that is not known"};
static const struct row other_5xx = {
	0, NULL, NULL, UNTOUCHED, DOWN, BILLED, 0, "server-error", "the service has an error"};
static const struct row other = {0, NULL, NULL, UNTOUCHED, DOWN, BILLED, MINUTES(1), "unexpected-status",
	"the service gives an answer that is not known"};

static bool row_matches(const struct row *w, int status, const char *type, const char *message)
{
	return (!w->status || w->status == status) && (!w->type || streq(w->type, type)) &&
	       (!w->message || strcasestr(message, w->message));
}

static const struct row *find_row(int status, const char *type, const char *message)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (row_matches(&rows[i], status, type, message))
			return &rows[i];
	}
	return status >= 500 ? &other_5xx : status >= 400 ? &other_4xx : &other;
}

/* ---- the server's hint ------------------------------------------------------------------------------------------- */

/* x-amz-retry-after is milliseconds, Retry-After seconds or a date. Not believed beyond DELAY_MAX_MS; invalid: 0. */
static uint32_t hinted_delay(const struct reply *r)
{
	const char *ms = reply_header(r, "x-amz-retry-after"), *s = reply_header(r, "retry-after");
	const char *date = reply_header(r, "date");
	int64_t n, now;

	if (ms && parse_i64(ms, 0, INT64_MAX, &n) == 0)
		return (uint32_t)MIN(n, DELAY_MAX_MS);
	if (s && parse_i64(s, 0, INT32_MAX, &n) == 0)
		return (uint32_t)MIN(n * 1000, DELAY_MAX_MS);
	if (s && date && parse_http_date(s, &n) == 0 && parse_http_date(date, &now) == 0)
		return (uint32_t)CLAMP(n - now, 0, DELAY_MAX_MS);
	return 0;
}

/* ModelErrorException carries what the model's own server said: a 4xx there will be the same again. */
static bool model_refused(const cJSON *body)
{
	int64_t status;

	if (json_get_i64(body, "originalStatusCode", &status) < 0 &&
		json_get_i64(body, "OriginalStatusCode", &status) < 0)
		return false;
	return status >= 400 && status < 500;
}

int aws_error_judge(const struct reply *r, struct verdict *ret)
{
	static const char *const names[] = {"message", "Message", NULL};
	_cleanup_json_ cJSON *body = NULL;
	char type[96], said[MESSAGE_SIZE];
	const struct row *row;
	const char *message;

	if (json_parse(r->body ? r->body : "", r->len, &body, NULL) == -ENOMEM)
		return -ENOMEM;
	parse_type(r, body, type, sizeof(type));
	message = first_string(body, names);
	row = find_row(r->status, type, message ? message : "");
	text_safe_copy(said, sizeof(said), message ? message : "");
	verdict_set(ret, row->page, row->backend, row->reason, "%s (%d%s%s%s%s)", row->advice, r->status,
		*type ? " " : "", type, *said ? ": " : "", said);
	if (streq(row->reason, "model-error") && model_refused(body))
		ret->page = PAGE_NEXT;
	ret->billed = row->flags & BILLED;
	ret->clock_wrong = row->flags & CLOCK;
	ret->creds_wrong = row->flags & CREDS;
	ret->delay_ms = hinted_delay(r);
	ret->delay_ms = MAX(ret->delay_ms, row->delay_ms);
	return 0;
}
