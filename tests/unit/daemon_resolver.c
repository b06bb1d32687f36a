/* Where profiles and guardrails lead, over the loop: nothing goes before AWS has said it, nothing when it leads abroad, and it is
 * asked again in time. */
#include "daemon/resolver.h"

#include "tests/unit/daemon_courier_fixture.h"

#define APP "arn:aws:bedrock:ap-southeast-2:123456789012:application-inference-profile/abc123"
#define MODEL_ARN(region, id) "arn:aws:bedrock:" region "::foundation-model/" id
#define SYDNEY_ARN MODEL_ARN("ap-southeast-2", "amazon.nova-lite-v1:0")
#define GUARDRAIL_ARN "arn:aws:bedrock:ap-southeast-2:123456789012:guardrail/gr1abc"
#define KEYS "[Credentials aws]\nSource=file\nFile=%s/keys\n"
#define BACKEND "[Backend sydney]\nKind=bedrock\nBackoff=1s\nBackoffMax=1min\nFallbackAfter=1h\n"
#define MEMBER(arn) "{\"modelArn\":\"" arn "\"}"
#define PROFILE(members, status)                                                                                               \
	"{\"inferenceProfileId\":\"abc123\",\"inferenceProfileArn\":\"" APP "\",\"status\":\"" status                             \
	"\",\"type\":\"APPLICATION\",\"models\":[" members "]}"
#define GUARDRAIL(more)                                                                                                        \
	"{\"guardrailId\":\"gr1abc\",\"guardrailArn\":\"" GUARDRAIL_ARN "\",\"version\":\"2\",\"status\":\"READY\"" more "}"

static void begin_with(const char *config)
{
	courier_start(rig_begin(config));
	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
}

static void begin(void)
{
	begin_with(KEYS BACKEND "Model=" APP "\nApi=nova\n");
}

static bool asked(const char *path)
{
	char url[400];

	str_format(url, sizeof(url), "https://bedrock.ap-southeast-2.amazonaws.com/%s", path);
	return rig.out && rig.out->req->url && starts_with(rig.out->req->url, url) && streq(rig.out->req->method, "GET");
}

static bool profile_is_asked(void)
{
	return asked("inference-profiles/arn%3Aaws%3Abedrock%3Aap-southeast-2%3A123456789012%3Aapplication-inference-profile%2Fabc123");
}

static bool page_goes(void)
{
	return rig.out && rig.out->req->url && starts_with(rig.out->req->url, "https://bedrock-runtime.ap-southeast-2.amazonaws.com/model/");
}

static void answer(int status, const char *body)
{
	rig_reply_with(status, body);
	rig_turn();
}

static void expect_untouched(void)
{
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0 AND tried_ms = 0 AND rung = 0"), 1);
}

static void expect_done(void)
{
	CHECK(page_goes());
	answer(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
}

TEST(page_waits_until_it_is_resolved)
{
	begin();
	CHECK(profile_is_asked());
	CHECK(request_header(rig.out->req, "authorization"));
	CHECK_INT(rig.probes, 1);
	courier_kick(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.probes, 1); /* one question, however often it is looked */
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_BUSY);
	CHECK(!resolver_leads(rig.s.resolver, rig_backend("sydney")->config));
	expect_untouched();
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	CHECK_STR(resolver_leads(rig.s.resolver, rig_backend("sydney")->config), SYDNEY_ARN);
	expect_done();
	/* in both receipts, after the model; priced as the model that it leads to */
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts WHERE body LIKE '%\"model\":\"" APP "\",\"resolved\":\"" SYDNEY_ARN "\"%'"), 2);
	CHECK_INT(fixture_sql(&rig.f, "SELECT reserved_pusd > 0 FROM attempts"), 1);
	rig_end();
}

/* Whatever the answer: nothing leaves, the page is untouched and the backend says why; and the next answer that is one sends it. */
static void refusal(int status, const char *body, const char *reason, const char *said, int64_t wait_ms)
{
	begin();
	if (status)
		answer(status, body);
	else
		rig_reply_error(TRANSPORT_CONNECT, false);
	rig_turn();
	CHECK_STR(rig_backend("sydney")->reason, reason);
	if (!strstr(rig_backend("sydney")->message, said))
		test_fail(__FILE__, __LINE__, "%s", rig_backend("sydney")->message);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	CHECK_INT(rig.probes, 1);
	expect_untouched();
	rig_wait(wait_ms);
	CHECK(profile_is_asked());
	CHECK_INT(rig.probes, 2);
	expect_untouched();
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	expect_done();
	rig_end();
}

#define REFUSAL(name, ...)                                                                                                     \
	TEST(name)                                                                                                             \
	{                                                                                                                      \
		refusal(__VA_ARGS__);                                                                                          \
	}
REFUSAL(abroad, 200, PROFILE(MEMBER(SYDNEY_ARN) "," MEMBER(MODEL_ARN("ap-northeast-1", "amazon.nova-lite-v1:0")), "ACTIVE"), "residency",
	"ap-northeast-1", 601000)
REFUSAL(melbourne_is_not_sydney, 200, PROFILE(MEMBER(MODEL_ARN("ap-southeast-4", "amazon.nova-lite-v1:0")), "ACTIVE"), "residency",
	"ap-southeast-4", 601000)
REFUSAL(not_active, 200, PROFILE(MEMBER(SYDNEY_ARN), "CREATING"), "residency", "not active", 601000)
REFUSAL(no_reply_of_the_form, 200, "<html>", "residency", "not understood", 601000)
REFUSAL(not_permitted, 403, "{\"__type\":\"AccessDeniedException\",\"message\":\"not authorized to perform\"}", "unresolved",
	"bedrock:GetInferenceProfile", 2000)
REFUSAL(unknown, 404, "{\"__type\":\"ResourceNotFoundException\"}", "unresolved", "knows no", 2000)
REFUSAL(service_fails, 500, "", "unresolved", "answers 500", 2000)
REFUSAL(offline, 0, NULL, "unresolved", "cannot be asked", 2000)

/* A page that comes later: it is sent as it stands with the proof then. */
static void next_page(void)
{
	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
}

TEST(asked_again_before_it_is_too_old_and_used_meanwhile)
{
	begin();
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	expect_done();
	rig_wait(44 * 60000);
	next_page();
	CHECK(page_goes());
	answer(200, NOVA_HELLO);
	rig_wait(2 * 60000);
	courier_kick(rig.s.courier);
	rig_turn();
	CHECK(profile_is_asked());
	rig_reply_error(TRANSPORT_CONNECT, false);
	rig_turn();
	next_page(); /* it cannot be asked now, and was proved not long ago */
	while (rig.out && profile_is_asked()) {
		rig_reply_error(TRANSPORT_CONNECT, false);
		rig_turn();
	}
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 3);
	rig_end();
}

TEST(too_old_it_counts_no_more)
{
	int64_t sent;

	begin();
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	expect_done();
	rig.f.boot += 61 * 60000; /* asleep */
	CHECK(!resolver_leads(rig.s.resolver, rig_backend("sydney")->config));
	sent = fixture_sql(&rig.f, "SELECT count(*) FROM attempts");
	next_page();
	CHECK(profile_is_asked());
	rig_reply_error(TRANSPORT_CONNECT, false);
	rig_turn();
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), sent);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	rig_end();
}

TEST(what_comes_to_lead_abroad_ends_it_at_once)
{
	begin();
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	expect_done();
	rig_wait(46 * 60000);
	CHECK(profile_is_asked());
	answer(200, PROFILE(MEMBER(MODEL_ARN("us-east-1", "amazon.nova-lite-v1:0")), "ACTIVE"));
	CHECK(!resolver_leads(rig.s.resolver, rig_backend("sydney")->config));
	next_page();
	CHECK(!rig.out);
	CHECK_STR(rig_backend("sydney")->reason, "residency");
	rig_end();
}

TEST(a_guardrail_is_asked_about_too)
{
	begin_with(KEYS BACKEND "Model=" APP "\nApi=nova\nGuardrail=gr1abc\nGuardrailVersion=2\n");
	CHECK(profile_is_asked());
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	CHECK(asked("guardrails/gr1abc?guardrailVersion=2"));
	CHECK(!resolver_leads(rig.s.resolver, rig_backend("sydney")->config));
	answer(200, GUARDRAIL(""));
	CHECK_STR(resolver_leads(rig.s.resolver, rig_backend("sydney")->config), SYDNEY_ARN " " GUARDRAIL_ARN);
	expect_done();
	rig_end();
}

TEST(a_guardrail_by_a_profile_of_several_regions_is_refused)
{
	begin_with(KEYS BACKEND "Guardrail=gr1abc\nGuardrailVersion=2\n");
	CHECK(asked("guardrails/gr1abc?guardrailVersion=2"));
	answer(200, GUARDRAIL(",\"crossRegionDetails\":{\"guardrailProfileId\":\"apac.guardrail.v1:0\"}"));
	CHECK_STR(rig_backend("sydney")->reason, "residency");
	CHECK(strstr(rig_backend("sydney")->message, "apac.guardrail.v1:0"));
	expect_untouched();
	CHECK(!rig.out);
	rig_end();
}

TEST(refused_keys_are_got_anew_and_asked_with)
{
	begin();
	answer(403, "{\"__type\":\"ExpiredTokenException\"}");
	CHECK_STR(rig_backend("sydney")->reason, "unresolved");
	rig_wait(2000);
	CHECK(profile_is_asked());
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	expect_done();
	rig_end();
}

TEST(below_the_floor_of_the_clock_nothing_is_asked)
{
	int64_t real;

	rig_open(KEYS BACKEND "Model=" APP "\nApi=nova\n");
	real = rig.realtime_ms;
	rig.realtime_ms = 0;
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	courier_start(rig.s.courier);
	rig_page();
	courier_kick(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.probes, 0);
	CHECK(strstr(rig_backend("sydney")->message, "clock"));
	rig.realtime_ms = real;
	courier_clock_set(rig.s.courier);
	rig_turn();
	CHECK(profile_is_asked());
	answer(200, PROFILE(MEMBER(SYDNEY_ARN), "ACTIVE"));
	expect_done();
	rig_end();
}

TEST(other_backends_have_nothing_to_resolve)
{
	const char *reason, *message;

	begin_with(KEYS BACKEND);
	CHECK(page_goes());
	CHECK(resolver_look(rig.s.resolver, rig_backend("sydney")->config, &reason, &message) == RESOLVE_READY);
	CHECK(!resolver_leads(rig.s.resolver, rig_backend("sydney")->config));
	CHECK(resolver_look(NULL, rig_backend("sydney")->config, &reason, &message) == RESOLVE_READY);
	CHECK(!resolver_leads(NULL, rig_backend("sydney")->config));
	answer(200, NOVA_HELLO);
	rig_end();
}
