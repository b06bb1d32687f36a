#include "cloud/awserror_internal.h"

/*
 * From what came back to what it means for the page and for the backend; docs/errors.md is printed from it.
 *
 * Sources: error lists of the Bedrock runtime, SageMaker runtime and STS service models, the retry rules that AWS's
 * SDKs have had since 2026, messages as seen in public. A broken or misconfigured backend leaves the page untouched;
 * only what the reply says of this very page charges it. A 4xx but 408 and 424 proves that no model ran.
 */

#define MINUTES(n) ((n) * 60 * 1000)
#define SECONDS(n) ((n) * 1000)

/* Nothing of the page: the backend slows down, or is down. */
#define BUSY(wait, least) PAGE_UNTOUCHED, BACKEND_BUSY, wait, least
#define DOWN(wait, least) PAGE_UNTOUCHED, BACKEND_DOWN, wait, least
/* Of the page alone. */
#define RETRY PAGE_RETRY, BACKEND_OK, WAIT_BACKOFF, 0
#define NEXT  PAGE_NEXT, BACKEND_OK, WAIT_BACKOFF, 0

#define THROTTLED BUSY(WAIT_THROTTLED, 0), 0, "throttled"
#define TRANSIENT DOWN(WAIT_TRANSIENT, 0)
#define PAUSE     DOWN(WAIT_PAUSE, MINUTES(5))
#define AGAIN     DOWN(WAIT_AGAIN, 0)

#define BY_TRANSPORT(error, sent) error, sent, 0, 0, NULL, NULL
#define BY_TYPE(type)             TRANSPORT_OK, SENT_ANY, 0, 0, type, NULL
#define BY_SAID(type, said)       TRANSPORT_OK, SENT_ANY, 0, 0, type, said
#define BY_STATUS(status)         TRANSPORT_OK, SENT_ANY, status, 0, NULL, NULL
#define BY_RANGE(from, to)        TRANSPORT_OK, SENT_ANY, from, to, NULL, NULL

#define SLOW_DOWN "AWS asks to slow down, which happens by itself; for more: Service Quotas > Amazon Bedrock in the console"
#define FEWER_TOKENS \
	"the quota of tokens a minute is used up; ask for more in Service Quotas > Amazon Bedrock, or lower " \
	"MaxOutputTokens= and Concurrency="
#define OUR_CLOCK \
	"the clock of this machine is not AWS's: its time is taken and the request signed again; if that " \
	"does not help, set the clock (timedatectl)"
#define RENEW "the AWS credentials have expired; renew them in their source (pageferryctl doctor says which)"
#define UNKNOWN_KEY \
	"AWS does not know this access key, or its session token is missing: IAM console > Users > " \
	"Security credentials: is the key there, and active?"
#define WRONG_SECRET \
	"AWS does not accept the signature: the secret key is not the one of this access key; put both " \
	"into the credentials' source again"
#define NO_SIGNATURE "AWS cannot read the signature; a proxy or gateway on the way may have changed the request"
#define IAM_POLICY \
	"IAM forbids it: IAM console > Roles (or Users) > the one in use > Permissions: allow what configs/iam/ has for this backend, " \
	"on this model or endpoint"
#define MODEL_ACCESS \
	"this account may not use the model yet: Bedrock console > Model catalog > the model: accept its " \
	"terms or request access. After that it can take 15 minutes"
#define USE_CASE \
	"the provider wants the use case first: Bedrock console > Model catalog > an Anthropic model > " \
	"Submit use case details; it takes some minutes"
#define PAYMENT "the account's payment method is not accepted for this model: Billing console > Payment preferences"
#define NO_MODEL \
	"AWS does not know this model or endpoint in this region; compare Model= and Region= with the " \
	"console of that region"
#define FAILED_ON_PAGE "the model failed on this page"
#define SERVER "AWS has an internal error"
#define NOT_THERE "the service is not available"
#define TOO_LARGE "the page is too large for the model; it is made smaller, or goes to the next backend"

/* clang-format off */
static const struct aws_error_row rows[] = {

	/* no reply */
	{BY_TRANSPORT(TRANSPORT_RESOLVE, SENT_ANY), TRANSIENT, ERROR_BILLED_SENT, "no-name",
		"the server's name is not found (offline?)"},
	{BY_TRANSPORT(TRANSPORT_CONNECT, SENT_ANY), TRANSIENT, ERROR_BILLED_SENT, "no-connection",
		"no connection to the server"},
	{BY_TRANSPORT(TRANSPORT_TLS, SENT_ANY), DOWN(WAIT_BACKOFF, 0), ERROR_BILLED_SENT, "tls",
		"the server could not be proved to be the right one. Check the clock, and whether a device on the "
		"network intercepts TLS"},
	/* Only when the whole page was out can it be the reason: it has no part in a link that fails on the way. */
	{BY_TRANSPORT(TRANSPORT_TIMEOUT, SENT_WHOLE),
		PAGE_RETRY, BACKEND_DOWN, WAIT_TRANSIENT, 0, ERROR_BILLED_SENT, "timeout",
		"no whole answer came"},
	{BY_TRANSPORT(TRANSPORT_TIMEOUT, SENT_NOT_WHOLE), TRANSIENT, ERROR_BILLED_SENT, "timeout",
		"the connection failed while sending"},
	{BY_TRANSPORT(TRANSPORT_BROKEN, SENT_WHOLE),
		PAGE_RETRY, BACKEND_DOWN, WAIT_TRANSIENT, 0, ERROR_BILLED_SENT, "connection-lost",
		"no whole answer came"},
	{BY_TRANSPORT(TRANSPORT_BROKEN, SENT_NOT_WHOLE), TRANSIENT, ERROR_BILLED_SENT, "connection-lost",
		"the connection failed while sending"},
	{BY_TRANSPORT(TRANSPORT_TOO_LARGE, SENT_ANY), RETRY, ERROR_BILLED_SENT, "reply-too-large",
		"the reply is larger than any answer"},
	{BY_TRANSPORT(TRANSPORT_REDIRECT, SENT_ANY), PAUSE, ERROR_BILLED_SENT, "redirect",
		"the server sends us elsewhere, which is never followed. Check Endpoint= or URL="},
	{BY_TRANSPORT(TRANSPORT_DENIED, SENT_ANY), PAUSE, 0, "residency", "nothing was sent"},
	{BY_TRANSPORT(TRANSPORT_LOCAL, SENT_ANY), RETRY, ERROR_BILLED_SENT, "local", "trouble on this machine"},
	{BY_TRANSPORT(TRANSPORT_CANCELLED, SENT_ANY),
		PAGE_UNTOUCHED, BACKEND_OK, WAIT_BACKOFF, 0, ERROR_BILLED_SENT, "cancelled",
		"cancelled"},

	/* throttling: slow down, the page waits */
	{BY_SAID("ThrottlingException", "per day"), PAUSE, 0, "quota",
		"the day's quota of tokens is used up: Service Quotas > Amazon Bedrock in the console, or wait"},
	{BY_SAID("ThrottlingException", "tokens"), BUSY(WAIT_THROTTLED, SECONDS(5)), 0, "throttled-tokens",
		FEWER_TOKENS},
	{BY_TYPE("ThrottlingException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("Throttling"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("ThrottledException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("RequestThrottled"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("RequestThrottledException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("TooManyRequestsException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("ProvisionedThroughputExceededException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("TransactionInProgressException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("RequestLimitExceeded"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("BandwidthLimitExceeded"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("LimitExceededException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("SlowDown"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("EC2ThrottledException"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("PriorRequestNotComplete"), THROTTLED, SLOW_DOWN},
	{BY_TYPE("ModelNotReadyException"), BUSY(WAIT_LOADING, SECONDS(10)), 0, "model-loading",
		"the model is being loaded; it takes minutes"},
	{BY_TYPE("ServiceQuotaExceededException"), PAUSE, 0, "quota",
		"the account's quota is used up: Service Quotas > Amazon Bedrock in the console, or wait"},

	/* the model had the page */
	{BY_TYPE("ModelTimeoutException"), RETRY, ERROR_BILLED | ERROR_ONCE | ERROR_SMALLER, "model-timeout",
		"the model took too long for this page"},
	{BY_TYPE("ModelErrorException"), RETRY, ERROR_BILLED | ERROR_ONCE, "model-error", FAILED_ON_PAGE},
	{BY_TYPE("ModelError"), RETRY, ERROR_BILLED | ERROR_ONCE, "model-error", FAILED_ON_PAGE},
	{BY_SAID("ModelStreamError", "ModelInvocationTimeExceeded"),
		RETRY, ERROR_BILLED | ERROR_ONCE | ERROR_SMALLER, "model-timeout",
		"the model took too long for this page"},
	{BY_TYPE("ModelStreamErrorException"), RETRY, ERROR_BILLED | ERROR_ONCE, "model-error", "the answer broke off"},
	{BY_TYPE("ModelStreamError"), RETRY, ERROR_BILLED | ERROR_ONCE, "model-error", "the answer broke off"},
	{BY_TYPE("InternalStreamFailure"), RETRY, ERROR_BILLED | ERROR_ONCE, "model-error", "the answer broke off"},

	/* the clock */
	{BY_SAID("InvalidSignatureException", "expired"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_SAID("InvalidSignatureException", "not yet current"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_SAID("SignatureDoesNotMatch", "expired"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_SAID("SignatureDoesNotMatch", "not yet current"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_SAID("AuthFailure", "expired"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_SAID("AuthFailure", "not yet current"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_TYPE("RequestTimeTooSkewed"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_TYPE("RequestExpired"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},
	{BY_TYPE("RequestInTheFuture"), AGAIN, ERROR_CLOCK, "clock", OUR_CLOCK},

	/* the credentials; those of STS, too, where they reach a page */
	{BY_TYPE("ExpiredTokenException"), AGAIN, ERROR_CREDS, "expired-token", RENEW},
	{BY_TYPE("ExpiredToken"), AGAIN, ERROR_CREDS, "expired-token", RENEW},
	{BY_TYPE("TokenRefreshRequired"), AGAIN, ERROR_CREDS, "expired-token", RENEW},
	{BY_TYPE("UnrecognizedClientException"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "unknown-key", UNKNOWN_KEY},
	{BY_TYPE("InvalidClientTokenId"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "unknown-key", UNKNOWN_KEY},
	{BY_TYPE("InvalidAccessKeyId"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "unknown-key", UNKNOWN_KEY},
	{BY_TYPE("AuthFailure"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "unknown-key", UNKNOWN_KEY},
	{BY_TYPE("InvalidSignatureException"), PAUSE, ERROR_CREDS, "signature", WRONG_SECRET},
	{BY_TYPE("SignatureDoesNotMatch"), PAUSE, ERROR_CREDS, "signature", WRONG_SECRET},
	{BY_TYPE("MissingAuthenticationToken"), PAUSE, ERROR_CREDS, "signature", NO_SIGNATURE},
	{BY_TYPE("MissingAuthenticationTokenException"), PAUSE, ERROR_CREDS, "signature", NO_SIGNATURE},
	{BY_TYPE("IncompleteSignature"), PAUSE, 0, "signature", NO_SIGNATURE},
	{BY_TYPE("IncompleteSignatureException"), PAUSE, 0, "signature", NO_SIGNATURE},
	{BY_SAID("AccessDeniedException", "api key"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "api-key",
		"AWS does not accept the Bedrock API key: Bedrock console > API keys: make a new one in this region"},
	{BY_SAID("AccessDeniedException", "bearer token"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "api-key",
		"AWS does not accept the Bedrock API key: Bedrock console > API keys: make a new one in this region"},
	{BY_TYPE("InvalidIdentityToken"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "identity-token",
		"AWS does not accept the web identity token: IAM console > Identity providers, and the role's trust "
		"policy"},
	{BY_TYPE("InvalidIdentityTokenException"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "identity-token",
		"AWS does not accept the web identity token: IAM console > Identity providers, and the role's trust "
		"policy"},
	{BY_TYPE("IDPRejectedClaim"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "identity-token",
		"AWS does not accept the web identity token: IAM console > Identity providers, and the role's trust "
		"policy"},
	{BY_TYPE("IDPRejectedClaimException"), DOWN(WAIT_AGAIN, MINUTES(1)), ERROR_CREDS, "identity-token",
		"AWS does not accept the web identity token: IAM console > Identity providers, and the role's trust "
		"policy"},
	{BY_TYPE("IDPCommunicationError"), TRANSIENT, ERROR_CREDS, "identity-provider",
		"AWS cannot reach the identity provider"},
	{BY_TYPE("IDPCommunicationErrorException"), TRANSIENT, ERROR_CREDS, "identity-provider",
		"AWS cannot reach the identity provider"},
	{BY_TYPE("RegionDisabledException"), PAUSE, ERROR_CREDS, "region-disabled",
		"STS is switched off for this region: IAM console > Account settings > Security Token Service"},
	{BY_TYPE("MalformedPolicyDocument"), PAUSE, ERROR_CREDS, "bad-credentials",
		"AWS refuses the session policy of the role; see the credentials' section of the configuration"},
	{BY_TYPE("MalformedPolicyDocumentException"), PAUSE, ERROR_CREDS, "bad-credentials",
		"AWS refuses the session policy of the role; see the credentials' section of the configuration"},
	{BY_TYPE("PackedPolicyTooLarge"), PAUSE, ERROR_CREDS, "bad-credentials",
		"AWS refuses the session policy of the role; see the credentials' section of the configuration"},
	{BY_TYPE("PackedPolicyTooLargeException"), PAUSE, ERROR_CREDS, "bad-credentials",
		"AWS refuses the session policy of the role; see the credentials' section of the configuration"},

	/* the account's settings: nothing changes before a person does */
	{BY_SAID("AccessDeniedException", "service control policy"), PAUSE, 0, "policy",
		"the organisation forbids it: AWS Organizations console > Policies > Service control policies: "
		"allow it there"},
	{BY_SAID("AccessDeniedException", "use case"), PAUSE, 0, "use-case", USE_CASE},
	{BY_SAID("AccessDeniedException", "payment"), PAUSE, 0, "payment", PAYMENT},
	{BY_SAID("AccessDeniedException", "marketplace"), PAUSE, 0, "model-access", MODEL_ACCESS},
	{BY_SAID("AccessDeniedException", "not authorized to perform"), PAUSE, 0, "policy", IAM_POLICY},
	{BY_TYPE("AccessDeniedException"), PAUSE, 0, "model-access", MODEL_ACCESS},
	{BY_TYPE("AccessDenied"), PAUSE, 0, "policy", IAM_POLICY},
	{BY_TYPE("UnauthorizedOperation"), PAUSE, 0, "policy", IAM_POLICY},
	{BY_TYPE("NotAuthorized"), PAUSE, 0, "policy", IAM_POLICY},
	{BY_TYPE("OptInRequired"), PAUSE, 0, "model-access",
		"the account has not opted in to this service: finish the account's sign-up in the console"},
	{BY_TYPE("FTUFormNotFilled"), PAUSE, 0, "use-case", USE_CASE},
	{BY_SAID("ResourceNotFoundException", "use case"), PAUSE, 0, "use-case", USE_CASE},
	{BY_SAID("ResourceNotFoundException", "end of its life"), PAUSE, 0, "model-retired",
		"AWS no longer offers this version of the model: Bedrock console > Model catalog shows its "
		"successor; set Model="},
	{BY_TYPE("ResourceNotFoundException"), PAUSE, 0, "no-model", NO_MODEL},
	{BY_TYPE("UnknownOperationException"), PAUSE, 0, "no-model",
		"the endpoint does not know this operation; check Endpoint="},
	{BY_TYPE("InvalidAction"), PAUSE, 0, "no-model", "the endpoint does not know this operation; check Endpoint="},
	{BY_TYPE("NoSuchBucket"), PAUSE, 0, "no-bucket",
		"the S3 bucket does not exist: S3 console; compare its name and region with the configuration"},
	{BY_TYPE("AllAccessDisabled"), PAUSE, 0, "policy", "AWS has closed the S3 bucket; AWS Support must open it"},
	{BY_TYPE("AuthorizationHeaderMalformed"), PAUSE, 0, "residency",
		"S3 says that the bucket is in another region, where nothing is sent: compare Bucket= and Region= with the S3 console"},
	{BY_TYPE("PermanentRedirect"), PAUSE, 0, "residency",
		"S3 says that the bucket is in another region, where nothing is sent: compare Bucket= and Region= with the S3 console"},
	{BY_TYPE("NoSuchKey"), RETRY, 0, "no-object", "an object in the bucket is gone: does somebody else, or a lifecycle rule, remove it?"},
	{BY_SAID("ValidationException", "on-demand throughput"), PAUSE, 0, "model-id",
		"this model is not offered on demand by its bare id: Bedrock console > Cross-region inference shows "
		"its profiles; only au. ones stay in Australia"},
	{BY_SAID("ValidationException", "model identifier"), PAUSE, 0, "model-id",
		"AWS does not know this model id in this region (a wrong prefix, or another region's?): compare "
		"Model= with Bedrock console > Model catalog"},
	{BY_SAID("ValidationException", "model id"), PAUSE, 0, "model-id",
		"AWS does not know this model id in this region (a wrong prefix, or another region's?): compare "
		"Model= with Bedrock console > Model catalog"},
	{BY_SAID("ValidationException", "not allowed from unsupported"), PAUSE, 0, "model-access",
		"AWS refuses this model to this account or country; AWS Support must lift that"},
	{BY_SAID("ValidationException", "account is not"), PAUSE, 0, "model-access",
		"AWS refuses this model to this account or country; AWS Support must lift that"},
	{BY_SAID("ValidationException", "guardrail identifier"), PAUSE, 0, "guardrail-id",
		"AWS does not know this guardrail or version here: Bedrock console > Guardrails, in this region"},
	{BY_SAID("ValidationException", "service tier"), PAUSE, 0, "service-tier",
		"the model is not offered in this service tier here; change the tier in the configuration"},
	{BY_SAID("ValidationError", "no capacity"), BUSY(WAIT_LOADING, SECONDS(10)), 0, "model-loading",
		"an instance of the endpoint is being started; it takes minutes"},
	{BY_SAID("ValidationError", "6291456"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationError", "not found"), PAUSE, 0, "no-model",
		"the endpoint is not there or not in service: SageMaker console > Inference > Endpoints, in this "
		"region"},
	{BY_SAID("ValidationError", "not in service"), PAUSE, 0, "no-model",
		"the endpoint is not there or not in service: SageMaker console > Inference > Endpoints, in this "
		"region"},
	{BY_SAID("ValidationError", "not inservice"), PAUSE, 0, "no-model",
		"the endpoint is not there or not in service: SageMaker console > Inference > Endpoints, in this "
		"region"},

	/* this request */
	{BY_SAID("ValidationException", "too long"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationException", "too large"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationException", "exceed"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationException", "image"), NEXT, 0, "bad-image", "the model refuses the page's image"},
	{BY_TYPE("ValidationException"), NEXT, 0, "bad-request", "AWS refuses the request for this page"},
	{BY_SAID("ValidationError", "too long"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationError", "too large"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationError", "exceed"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_SAID("ValidationError", "image"), NEXT, 0, "bad-image", "the model refuses the page's image"},
	/* SageMaker does not look at the body: it speaks of the endpoint and of how that is called */
	{BY_TYPE("ValidationError"), PAUSE, 0, "no-model",
		"SageMaker does not call the endpoint like this; compare EndpointName=, InferenceComponent= and the "
		"others with SageMaker console > Inference > Endpoints"},
	{BY_TYPE("RequestEntityTooLargeException"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_TYPE("PayloadTooLargeException"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_TYPE("EntityTooLarge"), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_TYPE("ConflictException"), BUSY(WAIT_BACKOFF, SECONDS(5)), 0, "conflict", "AWS is changing something"},

	/* the service, by name, then by status alone (proxies and load balancers send no type) */
	{BY_TYPE("InternalServerException"), TRANSIENT, ERROR_BILLED, "server-error", SERVER},
	{BY_TYPE("InternalServerError"), TRANSIENT, ERROR_BILLED, "server-error", SERVER},
	{BY_TYPE("InternalFailure"), TRANSIENT, ERROR_BILLED, "server-error", SERVER},
	{BY_TYPE("InternalError"), TRANSIENT, ERROR_BILLED, "server-error", SERVER},
	{BY_TYPE("InternalDependencyException"), TRANSIENT, ERROR_BILLED, "server-error", SERVER},
	{BY_TYPE("ServiceUnavailableException"), TRANSIENT, ERROR_BILLED, "unavailable", NOT_THERE},
	{BY_TYPE("ServiceUnavailable"), TRANSIENT, ERROR_BILLED, "unavailable", NOT_THERE},
	{BY_TYPE("RequestTimeout"), BUSY(WAIT_TRANSIENT, 0), 0, "slow-upload", "the page arrived too slowly"},
	{BY_TYPE("RequestTimeoutException"), BUSY(WAIT_TRANSIENT, 0), 0, "slow-upload", "the page arrived too slowly"},
	{BY_STATUS(408), RETRY, ERROR_BILLED | ERROR_ONCE | ERROR_SMALLER, "model-timeout",
		"no answer in time for this page"},
	{BY_STATUS(413), NEXT, ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_STATUS(424), RETRY, ERROR_BILLED | ERROR_ONCE, "model-error", FAILED_ON_PAGE},
	{BY_STATUS(429), THROTTLED, SLOW_DOWN},
	{BY_STATUS(401), PAUSE, ERROR_CREDS, "refused", "the service refuses us; check credentials and policies"},
	{BY_STATUS(403), PAUSE, 0, "refused",
		"the service refuses us; check credentials and policies, and whether a proxy is on the way"},
	{BY_STATUS(404), PAUSE, 0, "no-model", "nothing is there; check Endpoint=, Model= and Region="},
	{BY_STATUS(407), PAUSE, 0, "proxy", "the proxy wants a password"},
	{BY_STATUS(400), NEXT, 0, "bad-request", "AWS refuses the request for this page"},
	{BY_STATUS(503), TRANSIENT, ERROR_BILLED, "unavailable", NOT_THERE},
	{BY_RANGE(500, 999), TRANSIENT, ERROR_BILLED, "server-error", "the service has an error"},
	{BY_RANGE(400, 499), PAUSE, 0, "unexpected-status", "the service gives an answer that is not known"},
	/* A 2xx or 3xx that is no answer. */
	{BY_STATUS(0), PAUSE, ERROR_BILLED, "unexpected-status", "the service gives an answer that is not known"},
};

/* A 4xx will be the same again. */
static const struct aws_error_row originals[] = {
	{BY_STATUS(413), NEXT, ERROR_BILLED | ERROR_SMALLER, "too-large", TOO_LARGE},
	{BY_STATUS(429), BUSY(WAIT_THROTTLED, 0), ERROR_BILLED, "throttled", "the model's server asks to slow down"},
	{BY_RANGE(400, 499), NEXT, ERROR_BILLED, "model-error", "the model refuses this page"},
};
/* clang-format on */

const struct aws_error_row *aws_error_rows(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(rows);
	return rows;
}

const struct aws_error_row *aws_error_original(int64_t status)
{
	for (size_t i = 0; i < ARRAY_SIZE(originals); i++) {
		const struct aws_error_row *w = &originals[i];

		if (status >= w->status && status <= MAX(w->status, w->status_to))
			return w;
	}
	return NULL;
}
