/* From a due page to the first byte: whatever is in the way stops it before anything is written or sent, is said for what it is,
 * and ends when it ends. */
#include "tests/unit/daemon_courier_fixture.h"

static void begin(const char *config)
{
	courier_start(rig_begin(config));
}

static void kick(void)
{
	courier_kick(rig.s.courier);
	rig_turn();
}

/* The page is held for that, nothing was sent, and a person hears of it once. */
static void expect_held(int64_t seq, const char *reason)
{
	struct page_row p;

	kick();
	p = rig_row(seq);
	CHECK(p.state == STATE_HELD);
	CHECK_STR(p.reason, reason);
	CHECK_STR(rig.reason, reason);
	CHECK_INT(rig.events[EVENT_PAGE_HELD], 1);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	kick();
	CHECK_INT(rig.events[EVENT_PAGE_HELD], 1);
	rig_end();
}

/* The backend is down for that, nothing was sent, and the page waits untouched. */
static void expect_trouble(const char *reason, const char *message)
{
	kick();
	CHECK_STR(rig.reason, reason);
	if (message)
		CHECK(strstr(rig.message, message));
	CHECK_INT(rig.events[EVENT_BACKEND], 1);
	CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0 AND tried_ms = 0"), 1);
}

/* And once it has passed the page goes. */
static void expect_sent(void)
{
	rig_wait(20000);
	CHECK_INT(rig.sent, 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE closed_ms IS NULL AND reserved_pusd > 0"), 1);
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
	rig_end();
}

TEST(page_goes_and_is_answered)
{
	begin(RIG_SYDNEY);
	rig_page();
	kick();
	CHECK_INT(rig.events[EVENT_ATTEMPT_STARTED], 1);
	expect_sent();
}

/* ---- the page's file --------------------------------------------------------------------------------------------- */

static void page_path(int64_t seq, char path[static 256])
{
	struct page_row p = rig_row(seq);

	fixture_path(path, "pages", p.id, ".jpg");
}

TEST(file_gone)
{
	char path[256];
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	page_path(seq, path);
	CHECK_INT(unlink(path), 0);
	expect_held(seq, "lost: its file is gone");
}

TEST(file_aged_out)
{
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	CHECK_INT(db_exec(spool_db(rig.f.spool), "UPDATE pages SET file = 0", ""), 0);
	expect_held(seq, "lost: its file has aged out");
}

TEST(file_of_another_size)
{
	char path[256];
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	page_path(seq, path);
	CHECK_INT(truncate(path, 100), 0);
	expect_held(seq, "damaged: its file is not what was accepted");
}

TEST(link_in_place_of_the_file)
{
	char path[256];
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	page_path(seq, path);
	CHECK_INT(unlink(path), 0);
	CHECK_INT(symlink("/etc/passwd", path), 0);
	expect_held(seq, "damaged: its file is not what was accepted");
}

TEST(file_not_for_the_service)
{
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	rig.open_errno = EACCES;
	expect_held(seq, "damaged: its file is not for the service to read");
}

TEST(other_bytes_in_the_file)
{
	_cleanup_close_ int fd = -1;
	char path[256];
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	page_path(seq, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && pwrite(fd, "X", 1, 500) == 1);
	expect_held(seq, "damaged: its file is not what was accepted");
}

TEST(file_that_the_disk_cannot_read)
{
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	rig.read_errno = EIO;
	expect_held(seq, "lost: its file cannot be read: Input/output error");
}

/* Behind its hash the file ends early: what is sent is what was hashed, or nothing. */
TEST(file_cut_off_while_it_is_hashed)
{
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	rig.read_short = 3; /* all of it, its end, and then of the body */
	expect_held(seq, "lost: its file cannot be read: No data available");
}

TEST(no_descriptors_left)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.open_errno = EMFILE;
	expect_trouble("storage", "Too many open files");
	rig.open_errno = 0;
	expect_sent();
}

TEST(file_that_cannot_be_read_for_now)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.read_errno = ENOMEM;
	expect_trouble("local", NULL);
	rig.read_errno = 0;
	expect_sent();
}

/* ---- the question ------------------------------------------------------------------------------------------------ */

static int failing_build(const struct extractor *x, const struct job *j, struct request *ret)
{
	return -EIO;
}

static int large_build(const struct extractor *x, const struct job *j, struct request *ret)
{
	return -EMSGSIZE;
}

static int denying_sign(const struct extractor *x, const struct creds *c, int64_t now, struct request *req)
{
	return -EACCES;
}

static int failing_sign(const struct extractor *x, const struct creds *c, int64_t now, struct request *req)
{
	return -EIO;
}

TEST(question_that_cannot_be_made)
{
	struct extractor_ops ops = bedrock_extractor;

	begin(RIG_SYDNEY);
	rig_page();
	ops.build = failing_build;
	rig_backend("sydney")->extractor.ops = &ops;
	expect_trouble("local", "Input/output error");
	rig_backend("sydney")->extractor.ops = &bedrock_extractor;
	expect_sent();
}

/* However small it is made, this backend cannot: the next of the route is asked, and the ledger says why, with nothing sent
 * and nothing spent. */
TEST(page_too_large_for_the_backend)
{
	struct extractor_ops ops = bedrock_extractor;
	int64_t seq;

	begin(RIG_SYDNEY);
	seq = rig_page();
	ops.build = large_build;
	rig_backend("sydney")->extractor.ops = &ops;
	kick();
	CHECK_INT(rig.sent, 0);
	rig_rendered(100, 200, 900);
	rig_turn();
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE outcome = 'next' AND reason = 'too-large' AND charged = 1"
				      " AND coalesce(settled_pusd, 0) = 0 AND coalesce(billed, 'no') = 'no'"),
		1);
	CHECK_INT(rig_row(seq).rung, 1);
	CHECK_INT(rig.renders, 1); /* so small a page has one step */
	CHECK_INT(rig.sent, 1);    /* to OCR */
	CHECK(rig.out->helper);
	rig_end();
}

/* ---- who may be asked -------------------------------------------------------------------------------------------- */

/* Asked again right before it leaves, whatever the configuration was found to be at start. */
TEST(guard_denies)
{
	struct bedrock_config *c;

	begin(RIG_SYDNEY);
	rig_page();
	c = &rig_backend_config("sydney")->bedrock;
	str_copy(c->endpoint, sizeof(c->endpoint), "https://bedrock-runtime.us-east-1.amazonaws.com");
	for (int i = 0; i < 2; i++) {
		kick();
		CHECK_STR(rig.reason, "residency");
		CHECK_INT(rig.sent, 0);
		CHECK(backend_state(rig_backend("sydney")) == BACKEND_DOWN);
		rig_wait(5000);
	}
	/* It is in a receipt, once. */
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM receipts WHERE kind = 'answered' AND json_extract(body, '$.reason') = 'residency'"
				      " AND json_extract(body, '$.host') = 'bedrock-runtime.us-east-1.amazonaws.com' AND json_extract(body, '$.body') IS NULL"),
		1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0 AND tried_ms = 0 AND rung = 0"), 1);
	str_copy(c->endpoint, sizeof(c->endpoint), "https://bedrock-runtime.ap-southeast-2.amazonaws.com");
	expect_sent();
}

TEST(no_price)
{
	struct prices *prices;

	begin(RIG_SYDNEY);
	rig_page();
	prices = take_ptr(rig.s.prices);
	expect_trouble("no-price", "there is no price for amazon.nova-pro-v1:0 in ap-southeast-2");
	rig.s.prices = prices;
	expect_sent();
}

/* One page is done; a second would cost more than what is left of the day. Its reservation. */
static int64_t begin_over_budget(const char *config)
{
	int64_t reserved, spent;

	begin(config);
	rig_page();
	kick();
	reserved = fixture_sql(&rig.f, "SELECT reserved_pusd FROM attempts");
	rig_reply_with(200, NOVA_HELLO);
	spent = fixture_sql(&rig.f, "SELECT settled_pusd FROM attempts");
	CHECK(reserved > spent && spent > 0);
	rig.s.config.budget.day_pusd = spent + reserved - 1;
	rig_page();
	kick();
	return reserved;
}

TEST(at_the_budgets_end_pages_wait_for_the_next_day)
{
	begin_over_budget("[Budget]\nDay=5\n" RIG_SYDNEY);
	CHECK(courier_is_over_budget(rig.s.courier));
	rig_wait(20000);
	CHECK_INT(rig.sent, 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 1);
	rig_wait(INT64_C(86400000));
	CHECK(!courier_is_over_budget(rig.s.courier));
	CHECK_INT(rig.sent, 2);
	rig_reply_with(200, NOVA_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 2);
	rig_end();
}

TEST(at_the_budgets_end_pages_go_down_their_route)
{
	begin_over_budget("[Budget]\nDay=5\nOver=next\n" RIG_SYDNEY);
	CHECK_INT(rig.sent, 2);
	CHECK(rig.out->helper);
	rig_end();
}

TEST(a_page_that_alone_is_more_than_the_budget_is_not_sent)
{
	begin("[Budget]\nDay=5\n" RIG_SYDNEY);
	rig.s.config.budget.day_pusd = 1;
	rig_page();
	kick();
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE outcome = 'next' AND reason = 'over-budget' AND settled_pusd = 0"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE backend = 'ocr'"), 1);
	CHECK(!courier_is_over_budget(rig.s.courier));
	rig_end();
}

TEST(no_credentials)
{
	begin(RIG_SYDNEY);
	rig_page();
	CHECK_INT(unlinkat(rig.f.spool->dirfd, "keys", 0), 0);
	expect_trouble("no-credentials", "there is no such file");
	fixture_put("", "keys", RIG_KEYS, strlen(RIG_KEYS));
	expect_sent();
}

TEST(bad_credentials)
{
	begin(RIG_SYDNEY);
	rig_page();
	fixture_put("", "keys", "[default]\n", 10);
	expect_trouble("bad-credentials", NULL);
	fixture_put("", "keys", RIG_KEYS, strlen(RIG_KEYS));
	expect_sent();
}

TEST(expired_credentials)
{
	static const char old[] = "{\"Version\":1,\"AccessKeyId\":\"AKIDEXAMPLE\",\"SecretAccessKey\":\"wJalrXUtnFEMI/K7MDENG\","
				  "\"SessionToken\":\"t\",\"Expiration\":\"2029-01-01T00:00:00Z\"}";

	begin(RIG_SYDNEY);
	rig_page();
	fixture_put("", "keys", old, strlen(old));
	expect_trouble("expired-token", "have expired");
	fixture_put("", "keys", RIG_KEYS, strlen(RIG_KEYS));
	expect_sent();
}

TEST(clock_known_to_be_wrong)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.realtime_ms = 1000;
	expect_trouble("clock", "nothing is signed");
	rig.realtime_ms = FIXTURE_NOW;
	courier_kick(rig.s.courier);
	expect_sent();
}

/* Not a minute later: at once, and nothing was tried meanwhile. */
TEST(a_clock_that_is_set_wakes_the_queue)
{
	begin(RIG_SYDNEY "FallbackAfter=1d\n");
	rig.realtime_ms = 1000;
	rig_page();
	kick();
	for (int i = 0; i < 10; i++)
		rig_wait(60000);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(backend_state(rig_backend("sydney")), BACKEND_DOWN);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts"), 0);
	rig_page(); /* scanning goes on */
	rig.realtime_ms = FIXTURE_NOW;
	courier_clock_set(rig.s.courier);
	rig_turn();
	CHECK_INT(rig.sent, 1);
	CHECK_INT(backend_state(rig_backend("sydney")), BACKEND_OK);
	rig_end();
}

TEST(a_clock_that_is_set_is_tried_on_certificates)
{
	begin(RIG_SYDNEY "FallbackAfter=1d\n");
	rig_page();
	kick();
	for (int i = 0; i < 8; i++) {
		if (rig.out)
			rig_reply(&(struct reply){.error = TRANSPORT_TLS, .detail = "certificate is not yet valid"});
		rig_wait(i < 7 ? 900000 : 1);
	}
	CHECK(!rig.out);
	CHECK_STR(rig_backend("sydney")->reason, "tls");
	courier_clock_set(rig.s.courier);
	rig_turn();
	CHECK(rig.out);
	rig_end();
}

TEST(api_key_gone)
{
	begin("[Route]\nBackends=sydney\n[Backend sydney]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\nAPIKeyFile=%s/key\n");
	rig_page();
	expect_trouble("no-api-key", "No such file");
	fixture_put("", "key", "secret\n", 7);
	rig_wait(20000);
	CHECK_INT(rig.probes, 1);
	rig_reply_with(200, "{}");
	rig_turn();
	CHECK_INT(rig.sent, 1);
	CHECK_STR(request_header(rig.out->req, "Authorization"), "Bearer secret");
	rig_end();
}

TEST(socket_of_this_machine)
{
	begin("[Backend sydney]\nKind=openai\nSocket=/run/model.sock\n");
	rig_page();
	kick();
	CHECK_INT(rig.sent, 1);
	CHECK_STR(rig.out->req->unix_socket, "/run/model.sock");
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE host IS NULL AND reserved_pusd = 0"), 1);
	rig_reply_with(200, CHAT_HELLO);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'done'"), 1);
	rig_end();
}

/* ---- after the reservation --------------------------------------------------------------------------------------- */

/* Reserved, and then nothing has left: closed as not billed, and the page is as before. */
static void expect_unsent(const char *reason, const char *message)
{
	kick();
	CHECK_STR(rig.reason, reason);
	CHECK_STR(rig.message, message);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM attempts WHERE closed_ms IS NOT NULL AND settled_pusd = 0 AND billed = 'no'"), 1);
	CHECK_INT(fixture_sql(&rig.f, "SELECT count(*) FROM pages WHERE state = 'queued' AND tries = 0"), 1);
}

TEST(credentials_that_cannot_sign)
{
	struct extractor_ops ops = bedrock_extractor;

	begin(RIG_SYDNEY);
	rig_page();
	ops.sign = denying_sign;
	rig_backend("sydney")->extractor.ops = &ops;
	expect_unsent("signature", "these credentials cannot sign");
	rig_backend("sydney")->extractor.ops = &bedrock_extractor;
	expect_sent();
}

TEST(signing_fails)
{
	struct extractor_ops ops = bedrock_extractor;

	begin(RIG_SYDNEY);
	rig_page();
	ops.sign = failing_sign;
	rig_backend("sydney")->extractor.ops = &ops;
	expect_unsent("signature", "Input/output error");
	rig_backend("sydney")->extractor.ops = &bedrock_extractor;
	expect_sent();
}

TEST(transport_cannot_begin)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.send_error = -EMFILE;
	expect_unsent("local", "Too many open files");
	rig.send_error = 0;
	expect_sent();
}

TEST(helper_by_its_socket)
{
	begin("[Route]\nBackends=ocr\n");
	rig.s.config.socket_helpers = true;
	rig_page();
	kick();
	CHECK(rig.out && rig.out->socket);
	rig_end();
}

/* ---- the ledger -------------------------------------------------------------------------------------------------- */

/* What cannot be written down is not sent; and it is left alone for a while, however often somebody looks. */
static void expect_wait(const char *sql)
{
	begin(RIG_SYDNEY);
	rig_page();
	rig.sql = sql;
	kick();
	kick();
	CHECK_INT(rig.storage, -EIO);
	CHECK_INT(rig.sent, 0);
	CHECK_INT(rig.events[EVENT_BACKEND], 0);
	rig.sql = NULL;
	kick();
	CHECK_INT(rig.sent, 0);
	expect_sent();
}

TEST(ledger_cannot_be_written)
{
	expect_wait("INSERT INTO attempts");
}

TEST(row_cannot_be_read)
{
	expect_wait("CROSS JOIN documents");
}

TEST(tries_cannot_be_counted)
{
	expect_wait("SELECT sum(charged)");
}
