#include "base/json.h"
#include "daemon/ledger.h"
#include "tests/unit/daemon_fixture.h"

/* A chain of n receipts of one attempt; the first by the ledger, so that the attempt is there. */
static void chain(struct fixture *f, int n)
{
	struct page_row p;
	struct attempt_open a = {.page = &p, .backend = "ocr", .body_sha256 = "00"};
	struct receipt r = {.kind = "answered",
		.page = "P",
		.content_sha256 = "11",
		.body_sha256 = "00",
		.backend = "ocr",
		.tokens_input = -1,
		.tokens_output = -1};

	fixture_begin(f);
	fixture_page(f, &p);
	r.attempt = ledger_open(f->spool, &a);
	CHECK(r.attempt > 0);
	for (int i = 1; i < n; i++) {
		r.cost_pusd = i;
		CHECK_INT(receipt_add(f->spool, &r), 0);
	}
}

static void check_bad(struct fixture *f, int64_t want)
{
	int64_t bad = -1;

	CHECK_INT(receipt_verify(f->spool, &bad), -EUCLEAN);
	CHECK_INT(bad, want);
	fixture_end(f);
}

TEST(the_chain_holds)
{
	int64_t bad = -1;
	struct fixture f;

	chain(&f, 5);
	CHECK_INT(receipt_verify(f.spool, &bad), 5);
	CHECK_INT(bad, -1);
	fixture_reopen(&f);
	CHECK_INT(receipt_verify(f.spool, &bad), 5);
	fixture_end(&f);
}

TEST(an_empty_chain_holds)
{
	int64_t bad;
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(receipt_verify(f.spool, &bad), 0);
	fixture_end(&f);
}

/* By hand, from docs/architecture.md. */
TEST(the_body_is_as_the_format_says)
{
	char text[2000], want[2000], hex[SHA256_HEX_SIZE];
	struct receipt r = {.kind = "answered",
		.attempt = 1,
		.page = "P",
		.content_sha256 = "11",
		.body_sha256 = "22",
		.backend = "sydney",
		.host = "h",
		.region = "r",
		.model = "m",
		.tier = "flex",
		.resolved = "ap-southeast-2 ap-southeast-4",
		.lab = true,
		.bytes = 40,
		.address = "203.0.113.7",
		.peer_sha256 = "33",
		.request_id = "q\"",
		.outcome = "done",
		.reason = "",
		.status = 200,
		.tokens_input = 0,
		.tokens_output = 7,
		.tokens_cached = 3,
		.cost_pusd = 12};
	struct stmt *st;
	struct fixture f;

	chain(&f, 1);
	CHECK_INT(receipt_add(f.spool, &r), 0);
	CHECK_INT(db_query(spool_db(f.spool), &st,
			  "SELECT body, hash, (SELECT hash FROM receipts WHERE seq = 1) FROM receipts WHERE "
			  "seq = 2",
			  ""),
		0);
	CHECK_INT(stmt_next(st), 1);
	str_format(want, sizeof(want),
		"{\"v\":1,\"seq\":2,\"kind\":\"answered\",\"t\":%lld,\"trust\":\"plausible\",\"page\":\"P\","
		"\"attempt\":1,"
		"\"content\":\"11\",\"body\":\"22\",\"bytes\":40,\"backend\":\"sydney\",\"host\":\"h\",\"region\":\"r\","
		"\"model\":\"m\",\"tier\":\"flex\",\"resolved\":\"ap-southeast-2 ap-southeast-4\",\"lab\":true,"
		"\"address\":\"203.0.113.7\",\"peer\":\"33\",\"status\":200,\"request_id\":\"q\\\"\",\"in\":0,\"out\":7,\"cached\":3,\"outcome\":"
		"\"done\",\"pusd\":12}",
		(long long)FIXTURE_NOW);
	CHECK_STR(stmt_text(st, 0), want);
	str_format(text, sizeof(text), "%s\n%s", stmt_text(st, 2), want);
	sha256_hex_of(text, strlen(text), hex);
	CHECK_STR(stmt_text(st, 1), hex);
	stmt_done(st);
	CHECK_INT(db_query(spool_db(f.spool), &st, "SELECT body, hash FROM receipts WHERE seq = 1", ""), 0);
	CHECK_INT(stmt_next(st), 1);
	str_format(text, sizeof(text), "%064d\n%s", 0, stmt_text(st, 0));
	sha256_hex_of(text, strlen(text), hex);
	CHECK_STR(stmt_text(st, 1), hex);
	stmt_done(st);
	fixture_end(&f);
}

TEST(an_edit_shows)
{
	struct fixture f;

	chain(&f, 5);
	CHECK_INT(
		db_exec(spool_db(f.spool),
			"UPDATE receipts SET body = replace(body, '\"pusd\":2', '\"pusd\":0') WHERE seq = 3",
			""),
		0);
	check_bad(&f, 3);
}

TEST(an_edit_of_a_column_shows)
{
	struct fixture f;

	chain(&f, 5);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE receipts SET kind = 'sent' WHERE seq = 4", ""), 0);
	check_bad(&f, 4);
}

TEST(a_removal_shows)
{
	struct fixture f;

	chain(&f, 5);
	CHECK_INT(db_exec(spool_db(f.spool), "DELETE FROM receipts WHERE seq = 2", ""), 0);
	check_bad(&f, 2);
}

TEST(a_removal_at_the_end_shows)
{
	struct fixture f;

	chain(&f, 5);
	CHECK_INT(db_exec(spool_db(f.spool), "DELETE FROM receipts WHERE seq = 5", ""), 0);
	check_bad(&f, 5);
}

TEST(a_new_order_shows)
{
	struct fixture f;

	chain(&f, 5);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE receipts SET seq = 100 WHERE seq = 3", ""), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE receipts SET seq = 3 WHERE seq = 4", ""), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE receipts SET seq = 4 WHERE seq = 100", ""), 0);
	check_bad(&f, 3);
}

TEST(an_attempt_without_a_receipt_shows)
{
	struct fixture f;

	chain(&f, 2);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd)"
			  " VALUES (1, 'x', 1, 'trusted', 0)",
			  ""),
		0);
	check_bad(&f, 3);
}

/* Each column, against a body that says it differently, or says nothing. The hash is right each time. */
static void check_body(const char *body, int64_t want)
{
	char text[400], hex[SHA256_HEX_SIZE];
	int64_t bad = -1;
	struct fixture f;

	chain(&f, 1);
	str_format(text, sizeof(text), "%064d\n%s", 0, body);
	sha256_hex_of(text, strlen(text), hex);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE receipts SET body = ?, hash = ? WHERE seq = 1", "ss", body, hex), 0);
	CHECK_INT(receipt_verify(f.spool, &bad), want);
	CHECK_INT(bad, want < 0 ? 1 : -1);
	fixture_end(&f);
}

TEST(a_body_that_says_something_else_shows)
{
	check_body("{\"seq\":1,\"attempt\":1,\"kind\":\"sent\"}", 1);
	check_body("{\"seq\":2,\"attempt\":1,\"kind\":\"sent\"}", -EUCLEAN);
	check_body("{\"attempt\":1,\"kind\":\"sent\"}", -EUCLEAN);
	check_body("{\"seq\":1,\"attempt\":2,\"kind\":\"sent\"}", -EUCLEAN);
	check_body("{\"seq\":1,\"kind\":\"sent\"}", -EUCLEAN);
	check_body("{\"seq\":1,\"attempt\":1}", -EUCLEAN);
	check_body("{\"seq\":1,\"attempt\":1,\"kind\":\"answered\"}", -EUCLEAN);
	check_body("{\"seq\":1,", -EUCLEAN);
}
