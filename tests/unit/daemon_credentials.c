/* Credentials over the loop: one retrieval whoever waits, renewed in time, and no page that pays for trouble with them. */
#include "tests/unit/daemon_courier_fixture.h"

#define ROLE                                                                                                                   \
	"[Credentials base]\nSource=file\nFile=%s/keys\n[Credentials role]\nSource=assume-role\nSourceCredentials=base\n"       \
	"RoleArn=arn:aws:iam::123456789012:role/scanner\n[Backend sydney]\nKind=bedrock\nCredentials=role\nBackoff=1s\nBackoffMax=1min\nFallbackAfter=1h\n"

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

static void begin(void)
{
	courier_start(rig_begin(ROLE));
}

/* Is what went out last a question to STS? */
static bool sts_is_asked(void)
{
	return rig.out && rig.out->req->url && starts_with(rig.out->req->url, "https://sts.ap-southeast-2.amazonaws.com/");
}

static void sts_answers(const char *key, int64_t minutes)
{
	char body[1024], expires[TIMESTAMP_SIZE];

	CHECK(sts_is_asked());
	timestamp_format(rig.realtime_ms + minutes * 60000, false, expires);
	str_format(body, sizeof(body),
		"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
		"<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
		key, expires);
	rig_reply_with(200, body);
	rig_turn();
}

static void sts_refuses(int status, const char *code)
{
	char body[200];

	CHECK(sts_is_asked());
	str_format(body, sizeof(body), "<ErrorResponse><Error><Code>%s</Code></Error></ErrorResponse>", code);
	rig_reply_with(status, body);
	rig_turn();
}

static bool page_goes_with(const char *key)
{
	const char *a = rig.out && !sts_is_asked() ? request_header(rig.out->req, "authorization") : NULL;

	return a && strstr(a, key);
}

static char warned[400]; /* the first warning since it was emptied */

static void keep_warning(enum log_level level, const char *message_id, const struct log_field *fields, size_t n, const char *text)
{
	if (level == LOG_LEVEL_WARNING && !warned[0])
		str_copy(warned, sizeof(warned), text);
}

static void expect_untouched(void)
{
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0 AND tried_ms = 0 AND rung = 0"), 1);
}

TEST(page_waits_for_the_first_and_goes_at_once)
{
	begin();
	rig_page();
	kick();
	CHECK(sts_is_asked());
	CHECK_INT(rig.sent, 1); /* one question, however often it is looked */
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_BUSY);
	expect_untouched();
	sts_answers("ASIAFIRST", 60);
	CHECK(page_goes_with("ASIAFIRST"));
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 1);
	rig_end();
}

/* Whatever goes wrong: the backend says so, the page waits untouched, and the next answer that is one sends it. */
static void trouble(int status, const char *code, const char *reason)
{
	begin();
	rig_page();
	kick();
	if (status > 0) {
		sts_refuses(status, code);
	} else if (status == 0) {
		rig_reply_error(TRANSPORT_BROKEN, true);
		rig_turn();
	} else {
		sts_answers("ASIAOLD", -5);
	}
	CHECK_STR(rig_backend("sydney")->reason, reason);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	CHECK(rig_backend("sydney")->health.breaker.state == BREAKER_CLOSED);
	expect_untouched();
	rig_wait(2000);
	CHECK_INT(rig.sent, 2);
	expect_untouched();
	sts_answers("ASIAGOOD", 60);
	CHECK(page_goes_with("ASIAGOOD"));
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
	rig_end();
}

#define TROUBLE(name, ...)                                                                                                     \
	TEST(name)                                                                                                             \
	{                                                                                                                      \
		trouble(__VA_ARGS__);                                                                                          \
	}
TROUBLE(access_denied_is_no_pages_trouble, 403, "AccessDenied", "access-denied")
TROUBLE(expired_base_is_no_pages_trouble, 400, "ExpiredToken", "expired-token")
TROUBLE(server_error_is_no_pages_trouble, 500, "x", "server-error")
TROUBLE(garbage_is_no_pages_trouble, 200, "x", "bad-credentials")
TROUBLE(broken_connection_is_no_pages_trouble, 0, NULL, "unreachable")
TROUBLE(expired_result_is_no_pages_trouble, -1, NULL, "expired-token")

TEST(failures_come_further_and_further_apart)
{
	int64_t began;

	begin();
	rig_page();
	kick();
	began = rig.f.boot;
	for (int i = 0; i < 12; i++) {
		while (!sts_is_asked())
			rig_wait(1000);
		sts_refuses(403, "AccessDenied");
	}
	CHECK(rig.f.boot - began > 60000);
	expect_untouched();
	rig_end();
}

/* The old ones serve on while new ones are got, and when those do not come; they are not used when their time is up. */
TEST(renewed_before_the_end)
{
	begin();
	kick();
	sts_answers("ASIAFIRST", 60);
	rig_wait(INT64_C(60000) * 39);
	CHECK_INT(rig.sent, 1);
	rig_wait(INT64_C(60000) * 7); /* 14 min are left */
	CHECK_INT(rig.sent, 2);
	log_set_sink(keep_warning);
	sts_refuses(500, "x");
	log_set_sink(NULL);
	CHECK_STR(warned, "credentials role cannot be renewed; the old ones serve until they expire: server-error: role scanner: STS answers 500 x");
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_OK);
	rig_page();
	kick();
	CHECK(page_goes_with("ASIAFIRST"));
	rig_reply_with(200, NOVA_HELLO);
	rig_wait(INT64_C(60000) * 5);
	sts_answers("ASIASECOND", 60);
	rig_page();
	kick();
	CHECK(page_goes_with("ASIASECOND"));
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 2);
	rig_end();
}

/* AWS does not take them: others are got at once, and the page goes with those. */
TEST(refused_by_aws)
{
	begin();
	rig_page();
	kick();
	sts_answers("ASIAFIRST", 60);
	CHECK(page_goes_with("ASIAFIRST"));
	rig_reply_with(403, "{\"__type\":\"ExpiredTokenException\",\"message\":\"no\"}");
	rig_turn();
	CHECK(sts_is_asked());
	sts_answers("ASIASECOND", 60);
	rig_wait(2000);
	CHECK(page_goes_with("ASIASECOND"));
	/* Again: now it takes its time. */
	rig_reply_with(403, "{\"__type\":\"ExpiredTokenException\",\"message\":\"no\"}");
	rig_turn();
	CHECK(!rig.out);
	rig_wait(20000);
	CHECK(!rig.out);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0 AND rung = 0"), 1);
	rig_wait(70000);
	sts_answers("ASIATHIRD", 60);
	rig_wait(2000);
	CHECK(page_goes_with("ASIATHIRD"));
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
	rig_end();
}

/* Neither does it take others, nor give any: the old ones do not serve, and nobody says so. */
TEST(refused_and_not_renewed)
{
	begin();
	rig_page();
	kick();
	sts_answers("ASIAFIRST", 60);
	rig_reply_with(403, "{\"__type\":\"ExpiredTokenException\",\"message\":\"no\"}");
	rig_turn();
	warned[0] = '\0';
	log_set_sink(keep_warning);
	sts_refuses(403, "AccessDenied");
	log_set_sink(NULL);
	CHECK(!strstr(warned, "old ones"));
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	CHECK_STR(rig_backend("sydney")->reason, "access-denied");
	rig_end();
}

/* A timer counts from the loop's last look at the clock: it may be early. Then it is not the last one. */
TEST(a_timer_that_is_early)
{
	begin();
	rig_page();
	kick();
	rig.early_ms = 5;
	sts_refuses(500, "x");
	CHECK(!rig.out);
	for (int i = 0; i < 3000 && !rig.out; i++)
		rig_wait(1);
	CHECK(sts_is_asked());
	rig_end();
}

TEST(stopped_while_they_are_got)
{
	begin();
	kick();
	CHECK(sts_is_asked());
	rig_end(); /* which looks that nothing is left */
}
