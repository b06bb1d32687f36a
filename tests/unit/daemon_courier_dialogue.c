/* A job of several requests within one attempt: the page goes to a bucket, the endpoint is called, its answer is looked for, and what
 * was left is removed. What may fail between two of them. */
#include "tests/unit/daemon_courier_fixture.h"

#define S3       "https://pages-sydney.s3.ap-southeast-2.amazonaws.com/"
#define NONE_YET "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
#define EXPIRED  "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
#define NEW_KEYS "[default]\naws_access_key_id=AKIDNEW\naws_secret_access_key=another\n"

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

static int64_t count(const char *sql)
{
	return fixture_sql(&rig.f, sql);
}

/* The method of what is out, and where to. */
static void out_is(const char *method, const char *url)
{
	if (!rig.out)
		test_fail(__FILE__, __LINE__, "nothing is out, not %s %s", method, url);
	CHECK_STR(rig.out->req->method, method);
	if (!starts_with(rig.out->req->url, url))
		test_fail(__FILE__, __LINE__, "%s %s, not %s", method, rig.out->req->url, url);
	CHECK(request_header(rig.out->req, "authorization"));
}

static void put(void)
{
	out_is("PUT", S3 "pageferry/in/");
	rig_reply_with(200, "");
	rig_turn();
}

static void called(void)
{
	out_is("POST", "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/qwen/async-invocations");
	rig_reply_header(202, "x-amzn-sagemaker-outputlocation", RIG_OUTPUT);
	rig_wait(1000);
}

static void swept(int status)
{
	out_is("DELETE", S3 "pageferry/");
	rig_reply_with(status, "");
}

/* The region of its bucket is known, and a page is on its way there. */
static int64_t begin(void)
{
	int64_t seq;

	courier_start(rig_begin(RIG_ASYNC));
	rig_turn();
	out_is("HEAD", S3);
	rig_reply_header(200, "x-amz-bucket-region", "ap-southeast-2");
	seq = rig_page();
	kick();
	return seq;
}

static void ends_done(int64_t seq)
{
	rig_reply_with(200, CHAT_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	swept(204);
	swept(204);
	CHECK(!rig.out);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE outcome = 'done' AND settled_pusd = reserved_pusd"), 1);
	rig_end();
}

TEST(one_attempt_of_several_requests)
{
	int64_t seq = begin();

	put();
	called();
	out_is("GET", S3 "pageferry/out/1.out");
	CHECK_INT(count("SELECT count(*) FROM attempts"), 1);
	rig_reply_with(404, NONE_YET);
	CHECK(!rig.out);
	rig_wait(2000);
	out_is("GET", S3 "pageferry/out/1.out");
	ends_done(seq);
}

TEST(credentials_that_are_gone_between_two_are_waited_for)
{
	int64_t seq = begin();

	fixture_put("", "keys", "", 0);
	rig.f.boot += 2000;
	put();
	CHECK(!rig.out);
	rig_wait(5000);
	CHECK(!rig.out);
	CHECK_INT(courier_in_flight(rig.s.courier), 1);
	fixture_put("", "keys", RIG_KEYS, strlen(RIG_KEYS));
	rig_wait(2000);
	called();
	ends_done(seq);
}

/* It is not the page's fault: no try of its. */
TEST(credentials_that_do_not_come_back_end_it)
{
	int64_t seq = begin();

	fixture_put("", "keys", "", 0);
	rig.f.boot += 2000;
	put();
	for (int i = 0; i < 2000 && courier_in_flight(rig.s.courier) > 0; i++)
		rig_wait(1000);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(rig_row(seq).tries, 0);
	CHECK(rig_row(seq).state == STATE_QUEUED);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE closed_ms NOT NULL AND message LIKE '%credentials%'"), 1);
	rig_end();
}

TEST(credentials_that_are_refused_on_the_way_are_got_anew)
{
	int64_t seq = begin();

	put();
	called();
	fixture_put("", "keys", NEW_KEYS, strlen(NEW_KEYS));
	rig_reply_with(400, EXPIRED);
	CHECK(!rig.out);
	rig_wait(2000);
	out_is("GET", S3 "pageferry/out/1.out");
	CHECK(strstr(request_header(rig.out->req, "authorization"), "AKIDNEW"));
	ends_done(seq);
}

/* Each request is guarded, not only the first. */
TEST(what_may_not_leave_any_more_does_not)
{
	int64_t seq = begin();

	str_copy(rig_backend_config("sydney")->sagemaker.connect_to, sizeof(rig_backend_config("sydney")->sagemaker.connect_to), "10.0.0.1:443");
	put();
	CHECK(!rig.out);
	CHECK_INT(courier_in_flight(rig.s.courier), 0);
	CHECK_INT(rig_row(seq).tries, 0);
	CHECK_INT(count("SELECT count(*) FROM attempts WHERE closed_ms NOT NULL AND reason = 'residency'"), 1);
	rig_end();
}

TEST(what_cannot_be_removed_is_told)
{
	int64_t seq = begin();

	put();
	called();
	rig_reply_with(200, CHAT_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE);
	swept(403);
	CHECK(strstr(rig.logged, "stays until a lifecycle rule"));
	rig.logged[0] = '\0';
	out_is("DELETE", S3 "pageferry/");
	rig_reply_error(TRANSPORT_CONNECT, false);
	CHECK(strstr(rig.logged, "stays until a lifecycle rule"));
	rig_end();
}

TEST(a_service_that_stops_does_not_wait_for_the_sweeps)
{
	int64_t seq = begin();

	put();
	called();
	rig_reply_with(200, CHAT_HELLO);
	CHECK(rig_row(seq).state == STATE_DONE && rig.out && rig.out->next);
	rig_stop();
	CHECK(!rig.out);
	rig_end();
}
