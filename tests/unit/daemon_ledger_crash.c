/* What the ledger makes of a service that ended with a request out. */
#include "tests/unit/daemon_ledger_fixture.h"

/* The service ends with a request out, and starts again. */
static void crash(struct fixture *f)
{
	fixture_reopen(f);
	fixture_reconcile(f);
}

TEST(a_crash_counts_as_spent_and_is_no_try)
{
	int64_t pusd, possibly;
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 5000);
	crash(&f);
	CHECK_INT(spool_reconciled(f.spool)->attempts_crashed, 1);
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_QUEUED);
	CHECK_INT(p.tries, 0);
	CHECK_INT(fixture_sql(&f, "SELECT outcome = 'crashed' AND billed = 'possibly' AND settled_pusd = "
				  "5000 FROM attempts"),
		1);
	CHECK_INT(spent(&f, &pusd, &possibly), 0);
	CHECK_INT(pusd, 5000);
	CHECK_INT(possibly, 5000);
	check_chain(&f, 2);
	CHECK_INT(fixture_sql(&f, "SELECT body LIKE '%\"kind\":\"crashed\"%\"body\":\"" HASH
				  "\"%' FROM receipts WHERE seq = 2"),
		1);
	/* an answer after that is not possible */
	CHECK_INT(exchange_answer(&f, &x, true), -EALREADY);
	fixture_end(&f);
}

TEST(a_crash_of_what_is_free_costs_nothing)
{
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 0);
	crash(&f);
	CHECK_INT(fixture_sql(&f, "SELECT billed = 'no' AND settled_pusd = 0 FROM attempts"), 1);
	fixture_end(&f);
}

TEST(an_attempt_of_this_run_is_left_alone)
{
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	exchange_open(&f, &x, p.seq, 0);
	fixture_reopen(&f);
	exchange_open(&f, &x, p.seq, 0);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->attempts_crashed, 1);
	CHECK_INT(exchange_answer(&f, &x, true), 0);
	check_chain(&f, 4);
	fixture_end(&f);
}

TEST(three_crashes_in_a_row_hold_the_page)
{
	struct exchange x;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	for (int i = 0; i < 2; i++) {
		exchange_open(&f, &x, p.seq, 0);
		crash(&f);
	}
	exchange_open(&f, &x, p.seq, 0); /* one that ends well begins the count again */
	CHECK_INT(ledger_close(f.spool, &x.close, NULL), 0);
	for (int i = 0; i < 3; i++) {
		row(&f, p.seq, &p);
		CHECK_INT(p.state, STATE_QUEUED);
		exchange_open(&f, &x, p.seq, 0);
		crash(&f);
	}
	row(&f, p.seq, &p);
	CHECK_INT(p.state, STATE_HELD);
	CHECK(starts_with(p.reason, "crashed 3 times"));
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), 0);
	fixture_end(&f);
}
