#include "base/json.h"
#include "daemon/courier_due.h"
#include "daemon/delivery.h"
#include "tests/unit/daemon_ledger_fixture.h"

TEST(an_attempt_is_reserved_before_it_is_sent)
{
	int64_t pusd, possibly;
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 5000);
	CHECK_INT(fixture_sql(&f,
			  "SELECT count(*) FROM attempts WHERE closed_ms IS NULL AND reserved_pusd = 5000"),
		1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM receipts WHERE kind = 'sent'"), 1);
	CHECK_INT(spent(&f, &pusd, &possibly), 0);
	CHECK_INT(pusd, 5000);
	CHECK_INT(possibly, 0);
	/* an open one counts, whenever it was opened */
	f.boot += 86400000;
	CHECK_INT(spent(&f, &pusd, NULL), 0);
	CHECK_INT(pusd, 5000);
	CHECK_INT(ledger_page_cost(f.spool, p.seq, &pusd), 0);
	CHECK_INT(pusd, 5000);
	x.open.reserved_pusd = -1;
	CHECK_INT(ledger_open(f.spool, &x.open), -ERANGE);
	x.open.reserved_pusd = INT64_MAX;
	CHECK_INT(ledger_open(f.spool, &x.open), -ERANGE);
	check_chain(&f, 1);
	fixture_end(&f);
}

TEST(an_answer_is_one_commit)
{
	_cleanup_json_ cJSON *results = cJSON_CreateArray();
	const cJSON *j;
	int64_t pusd;
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 5000);
	CHECK_INT(exchange_answer(&f, &x, true), 0);
	CHECK_INT(x.version, 1);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_DONE);
	CHECK_INT(p.version, 1);
	CHECK_INT(p.tries, 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries WHERE done_ms IS NULL"), 1);
	CHECK_INT(spent(&f, &pusd, NULL), 0);
	CHECK_INT(pusd, 2500);
	check_chain(&f, 2);

	CHECK_INT(ledger_results_json(f.spool, p.seq, results), 0);
	CHECK_INT(cJSON_GetArraySize(results), 1);
	j = cJSON_GetArrayItem(results, 0);
	CHECK_INT(json_get_i64(j, "version", &pusd), 0);
	CHECK_STR(json_get_string(j, "page"), p.id);
	CHECK_STR(json_get_string(j, "document"), p.id);
	CHECK_STR(json_get_string(j, "asked_type"), "auto");
	CHECK_STR(json_get_string(j, "type"), "universal");
	CHECK_STR(json_get_string(j, "state"), "complete");
	CHECK_STR(json_get_string(j, "backend"), "sydney");
	CHECK_STR(json_get_string(j, "answered"), "2030-01-02T03:04:05Z");
	CHECK_STR(json_get_string(j, "content_sha256"), p.sha256);
	CHECK_STR(json_get_string(j, "cost_pico_usd"), "2500");
	CHECK_STR(json_get_string(json_get(json_get(j, "fields"), "word"), "value"), "hello");
	CHECK_INT(json_get_i64(json_get(j, "tokens"), "input", &pusd), 0);
	CHECK_INT(pusd, 1500);
	CHECK(cJSON_IsTrue(json_get(j, "authoritative")));

	/* a second time, and of an attempt that is not there */
	CHECK_INT(exchange_answer(&f, &x, true), -EALREADY);
	x.close.attempt = 77;
	CHECK_INT(exchange_answer(&f, &x, true), -ENOENT);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM results"), 1);
	check_chain(&f, 2);
	fixture_end(&f);
}

/* Whatever fails in the transaction, nothing of it is there. */
TEST(an_answer_that_cannot_be_kept_changes_nothing)
{
#define TRIGGER(what) "CREATE TEMP TRIGGER no BEFORE " what " BEGIN SELECT raise(ABORT, 'no'); END"
	static const char *const triggers[] = {TRIGGER("INSERT ON main.results"),
		TRIGGER("INSERT ON main.deliveries"), TRIGGER("UPDATE ON main.attempts"),
		TRIGGER("INSERT ON main.receipts"), TRIGGER("UPDATE ON main.pages")};
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 5000);
	for (size_t i = 0; i < ARRAY_SIZE(triggers); i++) {
		CHECK_INT(db_exec(spool_db(f.spool), triggers[i], ""), 0);
		CHECK_INT(exchange_answer(&f, &x, true), -EEXIST);
		CHECK_INT(
			fixture_sql(&f,
				"SELECT (SELECT count(*) FROM results) + (SELECT count(*) FROM deliveries)"),
			0);
		CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM attempts WHERE closed_ms IS NULL"), 1);
		CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM receipts"), 1);
		CHECK_INT(
			fixture_sql(&f, "SELECT count(*) FROM pages WHERE state = 'queued' AND version = 0"),
			1);
		CHECK_INT(db_exec(spool_db(f.spool), "DROP TRIGGER no", ""), 0);
	}
	CHECK_INT(exchange_answer(&f, &x, true), 0);
	check_chain(&f, 2);
	fixture_end(&f);
}

TEST(a_try_that_counts)
{
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 100);
	x.close.charged = true;
	f.now += 60000;
	CHECK_INT(ledger_close(f.spool, &x.close, &x.version), 0);
	CHECK_INT(x.version, 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(p.tries, 1);
	CHECK_INT(p.tried_ms, FIXTURE_NOW + 60000);
	CHECK(p.tried_this_boot);
	CHECK_INT(p.tried_boot_ms, 5000);
	/* one that does not count leaves the stamp */
	exchange_open(&f, &x, p.seq, 100);
	f.now += 60000;
	CHECK_INT(ledger_close(f.spool, &x.close, &x.version), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.tries, 1);
	CHECK_INT(p.tried_ms, FIXTURE_NOW + 60000);
	/* on to the next backend: its tries start at 0 */
	exchange_open(&f, &x, p.seq, 100);
	x.close.charged = true;
	x.close.rung = 1;
	CHECK_INT(ledger_close(f.spool, &x.close, &x.version), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.rung, 1);
	CHECK_INT(p.tries, 0);
	/* and held */
	exchange_open(&f, &x, p.seq, 100);
	x.close.rung = 1;
	x.close.state = STATE_HELD;
	x.close.hold_reason = "no-access: ask the administrator";
	CHECK_INT(ledger_close(f.spool, &x.close, &x.version), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_HELD);
	CHECK_STR(p.reason, "no-access: ask the administrator");
	check_chain(&f, 8);
	fixture_end(&f);
}

TEST(what_is_billed)
{
	int64_t pusd, possibly;
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 1000); /* usage reported: billed for sure */
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	exchange_open(&f, &x, p.seq, 1000); /* no reply to be seen: possibly */
	x.verdict.usage.reported = false;
	x.close.settled_pusd = 1000;
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	exchange_open(&f, &x, p.seq, 1000); /* never connected */
	x.verdict.usage.reported = false;
	x.verdict.billed = false;
	x.close.settled_pusd = 0;
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	exchange_open(&f, &x, p.seq, 0); /* costs nothing */
	x.verdict.usage.reported = false;
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	CHECK_INT(fixture_sql(&f, "SELECT billed = 'yes' FROM attempts WHERE id = 1"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT billed = 'possibly' FROM attempts WHERE id = 2"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM attempts WHERE billed = 'no'"), 2);
	CHECK_INT(spent(&f, &pusd, &possibly), 0);
	CHECK_INT(pusd, 1500);
	CHECK_INT(possibly, 1000);
	f.boot += 86400000;
	CHECK_INT(spent(&f, &pusd, &possibly), 0);
	CHECK_INT(pusd, 0);
	fixture_end(&f);
}

TEST(a_later_result_supersedes)
{
	_cleanup_json_ cJSON *results = cJSON_CreateArray();
	struct exchange x, y;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 0);
	CHECK_INT(exchange_answer(&f, &x, false), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_PROVISIONAL);
	CHECK_INT(p.version, 1);
	/* two are out at once; the authoritative one is back first */
	exchange_open(&f, &x, p.seq, 0);
	exchange_open(&f, &y, p.seq, 0);
	CHECK_INT(exchange_answer(&f, &x, true), 0);
	CHECK_INT(x.version, 2);
	CHECK_INT(exchange_answer(&f, &y, false), 0);
	CHECK_INT(y.version, 0); /* kept, but not the current one */
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_DONE);
	CHECK_INT(p.version, 2);
	CHECK_INT(ledger_results_json(f.spool, p.seq, results), 0);
	CHECK_INT(cJSON_GetArraySize(results), 3);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries"), 2);
	fixture_end(&f);
}

/* ---- what a person does meanwhile ------------------------------------------------------------ */

TEST(held_meanwhile_stays_held)
{
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 0);
	CHECK_INT(spool_page_hold(f.spool, p.seq, "by a person"), 0);
	CHECK_INT(exchange_answer(&f, &x, false), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_HELD);
	CHECK_STR(p.reason, "by a person");
	CHECK_INT(p.version, 1);
	/* the final answer is the end of it */
	exchange_open(&f, &x, p.seq, 0);
	CHECK_INT(exchange_answer(&f, &x, true), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_DONE);
	CHECK_STR(p.reason, "");
	fixture_end(&f);
}

static struct due_history history(struct fixture *f, int64_t seq, const char *backend)
{
	struct due_history h;
	struct page_row p;

	row(f, seq, &p);
	CHECK_INT(due_history(f->spool, seq, p.retried, backend, &h), 0);
	return h;
}

static void fail_once(struct fixture *f, int64_t seq, const char *backend, enum page_outcome outcome, bool charged)
{
	struct exchange x;

	exchange_open(f, &x, seq, 100);
	x.open.backend = backend;
	CHECK_INT(db_exec(spool_db(f->spool), "UPDATE attempts SET backend = ? WHERE id = ?", "si", backend, x.close.attempt), 0);
	x.verdict.page = outcome;
	x.close.charged = charged;
	CHECK_INT(ledger_close(f->spool, &x.close, NULL), 0);
}

/* Two other backends' tries after a retry do not make the first one's from before it count again. */
TEST(tries_are_counted_by_backend_and_from_the_last_retry_on)
{
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(history(&f, p.seq, "sydney").tries, 0);
	for (int i = 0; i < 4; i++)
		fail_once(&f, p.seq, "sydney", PAGE_RETRY, true);
	fail_once(&f, p.seq, "sydney", PAGE_UNTOUCHED, false);
	fail_once(&f, p.seq, "ocr", PAGE_NEXT, true);
	CHECK_INT(history(&f, p.seq, "sydney").tries, 4);
	CHECK_INT(history(&f, p.seq, "sydney").unproved, 1);
	CHECK(!history(&f, p.seq, "sydney").cannot);
	CHECK(history(&f, p.seq, "ocr").cannot);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	CHECK(!history(&f, p.seq, "ocr").cannot);
	fail_once(&f, p.seq, "ocr", PAGE_RETRY, true);
	fail_once(&f, p.seq, "ocr", PAGE_RETRY, true);
	CHECK_INT(history(&f, p.seq, "sydney").tries, 0);
	CHECK_INT(history(&f, p.seq, "sydney").unproved, 0);
	CHECK_INT(history(&f, p.seq, "ocr").tries, 2);
	fixture_end(&f);
}

TEST(what_was_never_sent_has_a_row_and_no_receipt_of_sending)
{
	struct exchange x = {0};
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	x.page = p;
	x.open = (struct attempt_open){.page = &x.page, .backend = "sydney"};
	x.close = (struct attempt_close){.page = &x.page, .open = &x.open, .verdict = &x.verdict, .charged = true, .rung = 1,
		.state = STATE_QUEUED};
	verdict_set(&x.verdict, PAGE_NEXT, BACKEND_OK, "too-large", "it is too large");
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM attempts WHERE outcome = 'next' AND billed = 'no' AND charged = 1"
				  " AND reserved_pusd = 0 AND settled_pusd = 0"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM receipts WHERE kind = 'answered'"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM receipts"), 1);
	check_chain(&f, 1);
	row(&f, p.seq, &p);
	CHECK_INT(p.rung, 1);
	CHECK(history(&f, p.seq, "sydney").cannot);
	fixture_end(&f);
}

TEST(retried_meanwhile_is_not_held)
{
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET tries = 2, rung = 1", ""), 0);
	exchange_open(&f, &x, p.seq, 0);
	x.close.charged = true;
	x.close.rung = 1;
	x.close.state = STATE_HELD;
	x.close.hold_reason = "enough";
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(p.tries, 0);
	CHECK_INT(p.rung, 0);
	fixture_end(&f);
}

/* ---- as JSON --------------------------------------------------------------------------------- */

TEST(attempts_as_the_control_interface_says)
{
	static const char *const required[] = {"backend", "opened", "reservedPicoUsd"};
	_cleanup_json_ cJSON *array = cJSON_CreateArray();
	const struct reply reply = {.status = 200, .sent_ms = 1000, .done_ms = 3500};
	const cJSON *a, *b;
	struct exchange x;
	struct page_row p;
	struct fixture f;
	int64_t v;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, INT64_C(9007199254740995)); /* more than a double holds */
	x.close.reply = &reply;
	x.close.settled_pusd = INT64_C(9007199254740993);
	str_copy(x.verdict.request_id, sizeof(x.verdict.request_id), "req-1");
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	exchange_open(&f, &x, p.seq, 7);
	CHECK_INT(ledger_attempts_json(f.spool, p.seq, array), 0);
	CHECK_INT(cJSON_GetArraySize(array), 2);
	a = cJSON_GetArrayItem(array, 0);
	b = cJSON_GetArrayItem(array, 1);
	for (size_t i = 0; i < ARRAY_SIZE(required); i++)
		CHECK(json_get_string(a, required[i]) && json_get_string(b, required[i]));
	CHECK_STR(json_get_string(a, "settledPicoUsd"), "9007199254740993");
	CHECK_STR(json_get_string(a, "opened"), "2030-01-02T03:04:05Z");
	CHECK_STR(json_get_string(a, "outcome"), "retry");
	CHECK_STR(json_get_string(a, "reason"), "truncated");
	CHECK_STR(json_get_string(a, "requestId"), "req-1");
	CHECK_INT(json_get_i64(a, "durationMs", &v), 0);
	CHECK_INT(v, 2500);
	CHECK_INT(json_get_i64(a, "httpStatus", &v), 0);
	CHECK_INT(v, 200);
	CHECK(!json_get(b, "outcome") && !json_get(b, "settledPicoUsd") && !json_get(b, "tokensInput"));
	fixture_end(&f);
}

TEST(counts_follow_the_ledger)
{
	struct spool_counts kept, counted;
	int64_t undelivered;
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	for (int i = 0; i < 3; i++)
		fixture_page(&f, &p);
	CHECK_INT(spool_counts(f.spool, &kept), 0);
	exchange_open(&f, &x, 1, 0);
	CHECK_INT(exchange_answer(&f, &x, true), 0);
	exchange_open(&f, &x, 2, 0);
	CHECK_INT(exchange_answer(&f, &x, false), 0);
	CHECK_INT(spool_counts(f.spool, &kept), 0);
	spool_counts_forget(f.spool);
	CHECK_INT(spool_counts(f.spool, &counted), 0);
	CHECK(memcmp(&kept, &counted, sizeof(kept)) == 0);
	CHECK_INT(spool_undelivered(f.spool, &undelivered), 0);
	CHECK_INT(kept.done + kept.provisional * 10 + kept.queued * 100 + undelivered * 1000, 2111);
	fixture_end(&f);
}
