/* A backend as the courier knows it: its own probe, a lost ledger, and what is told of it. */
#include "tests/unit/daemon_courier_fixture.h"

#define BOTH "[Route]\nBackends=sydney, jetson, ocr\n" RIG_SYDNEY RIG_JETSON

static struct courier *begin(const char *config)
{
	struct courier *c = rig_begin(config);

	courier_start(c);
	rig_turn();
	return c;
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

/* ---- the probe that is no page ----------------------------------------------------------------------------------- */

/* The backend went down, and its time has come. */
static struct backend *begin_probing(void)
{
	struct backend *b;

	begin(BOTH);
	b = rig_backend("jetson");
	backend_trouble(b, "a-test", "a test");
	CHECK_INT(rig.probes, 0);
	rig_wait(20000);
	return b;
}

static void expect_down(const char *reason, const char *message)
{
	CHECK(backend_state(rig_backend("jetson")) == BACKEND_DOWN);
	CHECK_STR(rig.reason, reason);
	CHECK(strstr(rig.message, message));
	CHECK(!rig.out);
	rig_end();
}

TEST(probe_that_is_answered)
{
	struct backend *b = begin_probing();

	CHECK_INT(rig.probes, 1);
	CHECK_STR(rig.out->req->url, "http://192.168.55.1:8080/health");
	rig_wait(60000);
	CHECK_INT(rig.probes, 1); /* one at a time */
	rig_reply_with(200, "{}");
	CHECK(backend_state(b) == BACKEND_OK);
	CHECK_INT(b->answered + b->failed, 1); /* the trouble; a probe is no page */
	rig_end();
}

TEST(probe_of_a_server_that_is_loading)
{
	begin_probing();
	rig_reply_with(503, "{}");
	expect_down("probe", "it answers 503 to the question whether it is ready");
}

TEST(probe_that_is_redirected)
{
	begin_probing();
	rig_reply_with(302, "");
	expect_down("probe", "it answers 302");
}

TEST(probe_answered_with_less_than_success)
{
	begin_probing();
	rig_reply_with(101, "");
	expect_down("probe", "it answers 101");
}

TEST(probe_that_finds_nobody)
{
	begin_probing();
	rig_reply_error(TRANSPORT_CONNECT, false);
	expect_down("probe", "as the test says");
}

TEST(probe_out_at_the_stop)
{
	begin_probing();
	CHECK_INT(rig.probes, 1);
	rig_end(); /* cancels it */
}

TEST(probe_past_its_deadline)
{
	struct backend *b = begin_probing();

	CHECK(!courier_hangs(b->courier));
	rig.f.boot = b->probe_deadline_ms + 1;
	CHECK_STR(courier_hangs(b->courier), "courier: a probe is past its deadline");
	rig_reply_with(200, "{}");
	CHECK(!courier_hangs(b->courier));
	rig_end();
}

static int failing_probe(const struct extractor *x, struct request *ret)
{
	return -ENOMEM;
}

/* It is down as before, and probed again later. */
static void expect_later(void)
{
	rig_wait(1800000);
	CHECK_INT(rig.probes, 1);
	rig_reply_with(200, "{}");
	CHECK(backend_state(rig_backend("jetson")) == BACKEND_OK);
	rig_end();
}

TEST(probe_that_cannot_be_made)
{
	struct extractor_ops ops = openai_extractor;
	struct backend *b;

	begin(BOTH);
	b = rig_backend("jetson");
	ops.probe = failing_probe;
	b->extractor.ops = &ops;
	backend_trouble(b, "a-test", "a test");
	rig_wait(20000);
	CHECK_INT(rig.probes, 0);
	CHECK_STR(rig.reason, "probe");
	b->extractor.ops = &openai_extractor;
	expect_later();
}

TEST(probe_that_cannot_be_sent)
{
	begin(BOTH);
	backend_trouble(rig_backend("jetson"), "a-test", "a test");
	rig.send_error = -EMFILE;
	rig_wait(20000);
	CHECK_STR(rig.reason, "probe");
	CHECK_STR(rig.message, "Too many open files");
	rig.send_error = 0;
	expect_later();
}

/* A probe leaves the house no more than a page does. */
TEST(probe_that_the_guard_denies)
{
	struct backend *b;

	begin(BOTH);
	b = rig_backend("jetson");
	str_copy(b->openai.base_url, sizeof(b->openai.base_url), "http://203.0.113.7");
	backend_trouble(b, "a-test", "a test");
	rig_wait(20000);
	CHECK_INT(rig.probes, 0);
	CHECK_STR(rig.reason, "residency");
	str_copy(b->openai.base_url, sizeof(b->openai.base_url), "http://192.168.55.1:8080");
	expect_later();
}

TEST(probe_by_a_socket)
{
	begin("[Backend sydney]\nKind=openai\nSocket=/run/model.sock\n");
	backend_trouble(rig_backend("sydney"), "a-test", "a test");
	rig_wait(20000);
	CHECK_INT(rig.probes, 1);
	CHECK_STR(rig.out->req->unix_socket, "/run/model.sock");
	rig_reply_with(200, "{}");
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_OK);
	rig_end();
}

/* ---- failures that may be the page's fault ----------------------------------------------------------------------- */

/* One page meets it: the backend is not taken to be down. */
static void expect_page_alone(enum transport_error error, int status)
{
	begin(RIG_SYDNEY);
	rig_page();
	kick();
	rig_reply(&(struct reply){
		.error = error, .status = status, .body = "{}", .len = 2, .sent = true, .sent_all = true});
	CHECK(backend_state(rig_backend("sydney")) != BACKEND_DOWN);
	rig_end();
}

TEST(one_page_without_an_answer)
{
	expect_page_alone(TRANSPORT_TIMEOUT, 0);
	expect_page_alone(TRANSPORT_BROKEN, 0);
	expect_page_alone(TRANSPORT_TOO_LARGE, 0);
	expect_page_alone(TRANSPORT_OK, 500);
}

TEST(no_access_whatever_the_page)
{
	begin(RIG_SYDNEY);
	rig_page();
	kick();
	rig_reply_with(403, DENIED);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	CHECK_INT(rig.events[EVENT_BACKEND], 1);
	rig_end();
}

/* A server whose set-up fails every page says so with a 500: it is down at the first. */
TEST(fault_of_the_set_up)
{
	begin("[Backend sydney]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\n");
	rig_page();
	kick();
	rig_reply_with(500, "{\"error\":{\"message\":\"image input is not supported - hint: if this is unexpected, you may need to"
			    " provide the mmproj\"}}");
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	rig_end();
}

/* ---- a lost ledger ----------------------------------------------------------------------------------------------- */

TEST(ledger_lost_and_confirmed)
{
	struct backend *b;

	begin(BOTH "[Backend ocr]\nKind=ocr\n");
	b = rig_backend("sydney");
	CHECK_INT(spool_meta_set_i64(rig.f.spool, "ledger_lost", 1), 0);
	rig_page();
	kick();
	CHECK(backend_state(b) == BACKEND_DOWN);
	CHECK(backend_state(rig_backend("jetson")) == BACKEND_OK);
	CHECK_STR(rig.reason, "ledger-lost");
	CHECK_INT(rig.events[EVENT_BACKEND], 1);
	CHECK(rig.out && rig.out->helper); /* what costs nothing goes on, at once */
	kick();
	CHECK_INT(rig.events[EVENT_BACKEND], 1);
	/* What was on its way is no news. */
	backend_trouble(b, "a-test", "a test");
	CHECK_INT(rig.events[EVENT_BACKEND], 1);
	CHECK_INT(spool_confirm(rig.f.spool), 0);
	rig_wait(60000);
	CHECK(!b->unconfirmed);
	rig_reply_words(WORDS_HELLO);
	rig_turn();
	CHECK(rig.out && !rig.out->helper);
	rig_end();
}

/* ---- what is told ------------------------------------------------------------------------------------------------ */

static cJSON *told(const char *name)
{
	cJSON *j = NULL;

	CHECK_INT(courier_backend_json(rig.s.courier, name, &j), 0);
	return j;
}

static void expect_told(const char *name, const char *want)
{
	_cleanup_json_ cJSON *j = told(name);
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(json_print(j, false, &b), 0);
	CHECK_STR(buf_str(&b), want);
}

TEST(what_is_told)
{
	struct courier *c = begin(BOTH);
	cJSON *j = NULL;

	expect_told("sydney", "{\"name\":\"sydney\",\"kind\":\"bedrock\",\"model\":\"amazon.nova-pro-v1:0\",\"region\":\"ap-southeast-2\","
			      "\"state\":\"ok\",\"inFlight\":0,\"inFlightMost\":1,\"answered\":0,\"failed\":0}");
	expect_told("ocr", "{\"name\":\"ocr\",\"kind\":\"ocr\",\"state\":\"ok\",\"inFlight\":0,\"inFlightMost\":1,\"answered\":0,\"failed\":0}");
	backend_trouble(rig_backend("jetson"), "a-test", "a test");
	rig_backend("jetson")->health.breaker.until_ms = rig.f.boot + 1500;
	expect_told("jetson", "{\"name\":\"jetson\",\"kind\":\"openai\",\"state\":\"down\",\"reason\":\"a-test\",\"message\":\"a test\","
			      "\"retryInMs\":1500,\"inFlight\":0,\"inFlightMost\":1,\"answered\":0,\"failed\":1}");
	rig_wait(1500);
	CHECK_INT(rig.probes, 1);
	expect_told("jetson", "{\"name\":\"jetson\",\"kind\":\"openai\",\"state\":\"down\",\"reason\":\"a-test\",\"message\":\"a test\","
			      "\"inFlight\":0,\"inFlightMost\":1,\"answered\":0,\"failed\":1}");
	CHECK_INT(courier_backend_json(c, "nobody", &j), -ENOENT);
	backend_confirmed(rig_backend("sydney"), true);
	j = told("sydney");
	CHECK_STR(json_get_string(j, "reason"), "ledger-lost");
	CHECK(!json_get(j, "retryInMs"));
	cJSON_Delete(j);
	rig_end();
}

/* All of it, or that there is no memory; and nothing is left behind. */
TEST(what_is_told_without_memory)
{
	struct courier *c;
	bool failed = true;
	int64_t n = 1;

	MEMORY_SKIP();
	c = begin(BOTH);
	backend_trouble(rig_backend("jetson"), "a-test", "a test");
	for (; failed; n++) {
		int64_t blocks = memory_blocks;
		cJSON *list = cJSON_CreateArray();
		int r;

		memory_fail_at(n);
		r = courier_backends_json(c, list);
		failed = memory_failed();
		CHECK_INT(r, failed ? -ENOMEM : 0);
		if (r == 0)
			CHECK_INT(cJSON_GetArraySize(list), 3);
		cJSON_Delete(list);
		CHECK_INT(memory_blocks, blocks);
	}
	CHECK(n > 30);
	rig_end();
}

TEST(offline_is_the_first_of_the_route)
{
	struct courier *c = begin(BOTH);

	CHECK(!courier_offline(c));
	backend_trouble(rig_backend("jetson"), "a-test", "a test");
	CHECK(!courier_offline(c));
	backend_trouble(rig_backend("sydney"), "a-test", "a test");
	CHECK(courier_offline(c));
	rig.s.config.n_route = 0;
	CHECK(!courier_offline(c));
	rig_end();
}
