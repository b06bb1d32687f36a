/* Roles and programs: each step, each answer, and answers that are none. */
#include <fcntl.h>
#include <stdio.h>

#include "cloud/creds_process.h"
#include "cloud/creds_sts.h"
#include "tests/unit/test.h"

#define ARN "arn:aws:iam::123456789012:role/pages/scanner"
#define NOW INT64_C(1795219200)

static struct creds_config assume = {
	.name = "role", .kind = CREDS_ASSUME_ROLE, .role_arn = ARN, .source_credentials = "base", .external_id = "a b/&",
	.region = "ap-southeast-2", .endpoint = "https://sts.ap-southeast-2.amazonaws.com", .timeout_ms = 5000,
};
static struct creds_config identity = {
	.name = "web", .kind = CREDS_WEB_IDENTITY, .role_arn = ARN, .region = "ap-southeast-2", .duration_ms = 900000,
	.endpoint = "https://sts.ap-southeast-2.amazonaws.com/", .timeout_ms = 5000, .session_name = "box-1",
};
static struct creds_config process = {.name = "p", .kind = CREDS_PROCESS, .command = "/usr/bin/helper --secret 'x y'", .timeout_ms = 5000};

static struct creds_step next(struct creds_source *s, struct creds_input in)
{
	struct creds_step step;

	in.now_ms = NOW * 1000;
	CHECK_INT(creds_source_next(s, &in, &step), 0);
	return step;
}

static struct reply reply_of(int status, const char *body)
{
	return (struct reply){.error = TRANSPORT_OK, .status = status, .body = body, .len = strlen(body)};
}

static struct creds_source *begin(const struct creds_config *c)
{
	struct creds_source *s;

	CHECK_INT(creds_source_new(c, &s), 0);
	return s;
}

#define GOOD(a, more)                                                                                                          \
	"<" a "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" a "Result><AssumedRoleUser><Arn>x</Arn></AssumedRoleUser>" \
	"<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>wJalr/x+y=</SecretAccessKey>"                      \
	"<SessionToken>TOKEN==</SessionToken>" more "</Credentials></" a "Result></" a "Response>"
#define EXPIRES "<Expiration>2026-11-21T01:00:00Z</Expiration>"
#define ERROR(code) "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code><Message>secret wJalr</Message></Error></ErrorResponse>"

/* As far as the reply. */
static struct creds_source *asked(struct creds_step *step)
{
	const struct creds base = {.access_key = "AKIDEXAMPLE", .secret_key = "SECRET"};
	struct creds_source *s = begin(&assume);

	*step = next(s, (struct creds_input){.signing_s = NOW});
	CHECK(step->action == CREDS_ASK);
	CHECK_STR(step->section, "base");
	creds_step_clear(step);
	*step = next(s, (struct creds_input){.signing_s = NOW, .creds = &base});
	return s;
}

TEST(role_is_assumed_at_the_regions_endpoint)
{
	struct creds_step step;
	struct creds_source *s = asked(&step);
	struct reply r = reply_of(200, GOOD("AssumeRole", EXPIRES));

	CHECK(step.action == CREDS_SEND && step.sink == GUARD_STS);
	CHECK_STR(step.request.method, "POST");
	CHECK_STR(step.request.url, "https://sts.ap-southeast-2.amazonaws.com/");
	CHECK_STR(step.request.region, "ap-southeast-2");
	CHECK(step.request.max_reply > 0 && step.request.max_reply <= 65536);
	CHECK_INT((int64_t)step.request.n_segments, 1);
	CHECK_STR(step.request.segments[0].data,
		"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fpages%2Fscanner"
		"&RoleSessionName=pageferry&DurationSeconds=3600&ExternalId=a%20b%2F%26");
	CHECK(strstr(request_header(&step.request, "authorization"), "/20261121/ap-southeast-2/sts/aws4_request, "));
	creds_step_clear(&step);
	step = next(s, (struct creds_input){.signing_s = NOW, .reply = &r});
	CHECK(step.action == CREDS_HAVE);
	CHECK_STR(step.creds.access_key, "ASIAEXAMPLE");
	CHECK_STR(step.creds.secret_key, "wJalr/x+y=");
	CHECK_STR(step.creds.token, "TOKEN==");
	CHECK_STR(step.creds.source, "role scanner");
	CHECK_INT(step.creds.expires_ms, (NOW + 3600) * 1000);
	creds_step_clear(&step);
	creds_source_free(s);
}

TEST(nothing_is_signed_by_a_wrong_clock)
{
	const struct creds base = {.access_key = "AKIDEXAMPLE", .secret_key = "SECRET"};
	struct creds_source *s = begin(&assume);
	struct creds_step step = next(s, (struct creds_input){0});

	creds_step_clear(&step);
	step = next(s, (struct creds_input){.creds = &base});
	CHECK(step.action == CREDS_FAILED);
	CHECK_STR(step.reason, "clock");
	creds_source_free(s);
}

TEST(what_sts_refuses)
{
	static const struct {
		int status;
		const char *body, *reason;
		bool wrong;
	} cases[] = {
		{403, ERROR("AccessDenied"), "access-denied", false},
		{400, ERROR("ExpiredToken"), "expired-token", true},
		{400, ERROR("ExpiredTokenException"), "expired-token", true},
		{403, ERROR("InvalidClientTokenId"), "unknown-key", true},
		{403, ERROR("SignatureDoesNotMatch"), "signature", false},
		{403, ERROR("RegionDisabledException"), "region-disabled", false},
		{400, ERROR("MalformedPolicyDocument"), "refused", false},
		{400, ERROR("PackedPolicyTooLarge"), "refused", false},
		{400, ERROR("ValidationError"), "refused", false},
		{400, ERROR("NeverHeardOf"), "refused", false},
		{400, ERROR("Throttling"), "throttled", false},
		{500, "", "server-error", false},
		{503, "<html>", "server-error", false},
		{403, "{}", "refused", false},
		{200, "", "bad-credentials", false},
		{200, "{\"AssumeRoleResponse\":{}}", "bad-credentials", false},
		{200, GOOD("AssumeRole", ""), "bad-credentials", false},
		{200, GOOD("AssumeRoleWithWebIdentity", EXPIRES), "bad-credentials", false},
		{200, GOOD("AssumeRole", "<Expiration>soon</Expiration>"), "bad-credentials", false},
		{200, GOOD("AssumeRole", EXPIRES "<AccessKeyId>B</AccessKeyId>"), "bad-credentials", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reply r = reply_of(cases[i].status, cases[i].body);
		struct creds_step step;
		struct creds_source *s = asked(&step);

		creds_step_clear(&step);
		step = next(s, (struct creds_input){.signing_s = NOW, .reply = &r});
		if (step.action != CREDS_FAILED || !streq(step.reason, cases[i].reason) || step.creds_wrong != cases[i].wrong ||
			!step.message[0] || strstr(step.message, "wJalr"))
			test_fail(__FILE__, __LINE__, "case %zu: %s: %s", i, step.reason, step.message);
		creds_source_free(s);
		creds_step_clear(&step);
	}
}

TEST(sts_away)
{
	struct reply r = {.error = TRANSPORT_TIMEOUT, .detail = "timed out"};
	struct creds_step step;
	struct creds_source *s = asked(&step);

	creds_step_clear(&step);
	step = next(s, (struct creds_input){.signing_s = NOW, .reply = &r});
	CHECK(step.action == CREDS_FAILED);
	CHECK_STR(step.reason, "unreachable");
	CHECK(strstr(step.message, "timed out"));
	creds_source_free(s);
}

/* ---- web identity ----------------------------------------------------------------------------------------------------- */

static void token(const char *text)
{
	int fd = open(test_tmpdir(), O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	test_write(fd, "token", text, 0600);
	close(fd);
	str_format(identity.token_file, sizeof(identity.token_file), "%s/token", test_tmpdir());
}

TEST(web_identity_is_not_signed_and_the_token_read_each_time)
{
	struct reply good = reply_of(200, GOOD("AssumeRoleWithWebIdentity", EXPIRES)), away = reply_of(400, ERROR("IDPCommunicationError"));
	struct creds_source *s;
	struct creds_step step;

	token("first.token\n");
	s = begin(&identity);
	step = next(s, (struct creds_input){0}); /* with a wrong clock, too */
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_STS && !request_header(&step.request, "authorization"));
	CHECK(strstr(step.request.segments[0].data, "Action=AssumeRoleWithWebIdentity&"));
	CHECK(strstr(step.request.segments[0].data, "&RoleSessionName=box-1&DurationSeconds=900&WebIdentityToken=first.token"));
	creds_step_clear(&step);
	step = next(s, (struct creds_input){.reply = &away});
	CHECK(step.action == CREDS_FAILED);
	CHECK_STR(step.reason, "provider-away");
	creds_source_free(s);
	token("second.token");
	s = begin(&identity);
	step = next(s, (struct creds_input){0});
	CHECK(strstr(step.request.segments[0].data, "WebIdentityToken=second.token"));
	creds_step_clear(&step);
	step = next(s, (struct creds_input){.reply = &good});
	CHECK(step.action == CREDS_HAVE);
	creds_step_clear(&step);
	creds_source_free(s);
}

TEST(tokens_that_are_none)
{
	static const char *const bad[] = {"", "abc", "two words", "line\nline"};

	for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
		struct creds_source *s = begin(&identity);
		struct creds_step step;

		if (i < ARRAY_SIZE(bad))
			token(bad[i]);
		else
			str_format(identity.token_file, sizeof(identity.token_file), "%s/none", test_tmpdir());
		step = next(s, (struct creds_input){0});
		CHECK(step.action == CREDS_FAILED);
		CHECK_STR(step.reason, i < ARRAY_SIZE(bad) ? "bad-token" : "no-token");
		creds_source_free(s);
	}
}

/* ---- programs --------------------------------------------------------------------------------------------------------- */

static void split(const char *command, const char *want)
{
	char *argv[CREDS_ARGS_MAX + 1] = {NULL}, got[256] = "";
	int r = creds_split_command(command, argv);

	for (size_t i = 0; argv[i]; i++) {
		strcat(strcat(got, argv[i]), "|");
		free(argv[i]);
	}
	CHECK_STR(r < 0 ? "refused" : got, want);
}

TEST(command_is_split_as_a_shell_does)
{
	split("/bin/x", "/bin/x|");
	split("  /bin/x \t a  b ", "/bin/x|a|b|");
	split("/bin/x 'a b' \"c d\" e\\ f", "/bin/x|a b|c d|e f|");
	split("/bin/x \"a\\\"b\" 'c\\d' \"\\n\" ''", "/bin/x|a\"b|c\\d|\\n||");
	split("\"/bin/with blank\" $HOME *", "/bin/with blank|$HOME|*|");
	split("/bin/x a'b'c", "/bin/x|abc|");
	split("", "refused");
	split("x", "refused");
	split("/bin/x 'a", "refused");
	split("/bin/x \"a", "refused");
	split("/bin/x a\\", "refused");
	split("/x 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2", "refused");
}

TEST(program_prints_them)
{
	struct reply r = reply_of(0, "{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"wJalr\",\"SessionToken\":\"T\","
				     "\"Expiration\":\"2026-11-21T01:00:00+00:00\"}\n");
	struct creds_source *s = begin(&process);
	struct creds_step step = next(s, (struct creds_input){0});

	CHECK(step.action == CREDS_RUN);
	CHECK_STR(step.argv[0], "/usr/bin/helper");
	CHECK_STR(step.argv[2], "x y");
	CHECK(!step.argv[3]);
	creds_step_clear(&step);
	step = next(s, (struct creds_input){.reply = &r});
	CHECK(step.action == CREDS_HAVE);
	CHECK_STR(step.creds.source, "program /usr/bin/helper");
	CHECK_INT(step.creds.expires_ms, (NOW + 3600) * 1000);
	creds_step_clear(&step);
	creds_source_free(s);
}

TEST(program_fails)
{
	static const struct {
		struct reply r;
		const char *body, *reason;
	} cases[] = {
		{{.status = 3}, "{}", "program"},
		{{.error = TRANSPORT_TIMEOUT, .detail = "took too long"}, "", "program"},
		{{.error = TRANSPORT_TOO_LARGE, .detail = "too much"}, "", "program"},
		{{0}, "", "bad-credentials"},
		{{0}, "[]", "bad-credentials"},
		{{0}, "{\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"wJalr\"}", "bad-credentials"},
		{{0}, "{\"Version\":2,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"wJalr\"}", "bad-credentials"},
		{{0}, "{\"Version\":1,\"AccessKeyId\":\"AKID\"}", "bad-credentials"},
		{{0}, "{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"wJalr\"", "bad-credentials"},
		{{0}, "{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"wJalr\",\"Expiration\":\"never\"}", "bad-credentials"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct creds_source *s = begin(&process);
		struct creds_step step = next(s, (struct creds_input){0});
		struct reply r = cases[i].r;

		creds_step_clear(&step);
		r.body = cases[i].body;
		r.len = strlen(r.body);
		step = next(s, (struct creds_input){.reply = &r});
		if (step.action != CREDS_FAILED || !streq(step.reason, cases[i].reason) || strstr(step.message, "wJalr") ||
			strstr(step.message, "x y"))
			test_fail(__FILE__, __LINE__, "case %zu: %s: %s", i, step.reason, step.message);
		creds_source_free(s);
	}
}
