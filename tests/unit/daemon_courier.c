/* The courier's rules: routes, decisions, health of backends, due times. */
#include "daemon/courier_due.h"
#include "daemon/courier_health.h"
#include "daemon/courier_route.h"

#include "tests/unit/test.h"

#define N3 3

/* ---- routes ------------------------------------------------------------------------------------------------------------- */

TEST(target_is_the_first_that_is_ready)
{
	const enum rung_state all[N3] = {RUNG_READY, RUNG_READY, RUNG_READY};

	CHECK_INT(route_target(all, N3, 0, N3), 0);
	CHECK_INT(route_target(all, N3, 1, N3), 1);
}

TEST(page_waits_for_a_busy_backend_and_does_not_fall_through)
{
	const enum rung_state s[N3] = {RUNG_WAIT, RUNG_READY, RUNG_READY};

	CHECK_INT(route_target(s, N3, 0, N3), ROUTE_WAIT);
}

TEST(page_falls_through_what_is_down_for_long)
{
	const enum rung_state s[N3] = {RUNG_DOWN, RUNG_READY, RUNG_READY};
	const enum rung_state t[N3] = {RUNG_DOWN, RUNG_WAIT, RUNG_READY};
	const enum rung_state u[N3] = {RUNG_DOWN, RUNG_DOWN, RUNG_DOWN};

	CHECK_INT(route_target(s, N3, 0, N3), 1);
	CHECK_INT(route_target(t, N3, 0, N3), ROUTE_WAIT);
	CHECK_INT(route_target(u, N3, 0, N3), ROUTE_WAIT);
}

TEST(provisional_page_is_asked_only_above_its_answer)
{
	const enum rung_state down[N3] = {RUNG_DOWN, RUNG_DOWN, RUNG_READY};
	const enum rung_state middle[N3] = {RUNG_DOWN, RUNG_READY, RUNG_READY};
	const enum rung_state up[N3] = {RUNG_READY, RUNG_READY, RUNG_READY};

	CHECK_INT(route_target(down, N3, 0, 2), ROUTE_WAIT);
	CHECK_INT(route_target(middle, N3, 0, 2), 1);
	CHECK_INT(route_target(middle, N3, 0, 1), ROUTE_WAIT);
	CHECK_INT(route_target(up, N3, 0, 1), 0);
}

TEST(removed_backends_are_as_if_the_route_did_not_name_them)
{
	const enum rung_state s[N3] = {RUNG_ABSENT, RUNG_READY, RUNG_READY};
	const enum rung_state none[N3] = {RUNG_ABSENT, RUNG_ABSENT, RUNG_ABSENT};

	CHECK_INT(route_first(s, N3, 0), 1);
	CHECK_INT(route_target(s, N3, 0, N3), 1);
	CHECK_INT(route_target(none, N3, 0, N3), ROUTE_NOBODY);
}

TEST(fallback_that_failed_a_page_is_passed)
{
	const enum rung_state s[N3] = {RUNG_DOWN, RUNG_PASSED, RUNG_READY};

	CHECK_INT(route_target(s, N3, 0, N3), 2);
}

/* ---- decisions ---------------------------------------------------------------------------------------------------------- */

static const enum rung_state up3[N3] = {RUNG_READY, RUNG_READY, RUNG_READY};

static struct route_decision decide(enum page_state state, size_t rung, size_t answered, size_t asked, enum page_outcome o,
	bool exhausted)
{
	struct route_decision d;

	route_decide(&(struct route_case){
		.rungs = up3, .n = N3, .rung = rung, .answered = answered, .state = state, .asked = asked, .outcome = o,
		.exhausted = exhausted}, &d);
	return d;
}

TEST(authoritative_answer_is_done)
{
	struct route_decision d = decide(STATE_QUEUED, 0, N3, 0, PAGE_DONE, false);

	CHECK(d.state == STATE_DONE && d.authoritative && !d.charged);
	d = decide(STATE_PROVISIONAL, 0, 2, 0, PAGE_DONE, false);
	CHECK(d.state == STATE_DONE && d.authoritative);
}

TEST(fallback_answer_is_provisional)
{
	struct route_decision d = decide(STATE_QUEUED, 0, N3, 2, PAGE_DONE, false);

	CHECK(d.state == STATE_PROVISIONAL && !d.authoritative && d.rung == 0);
	d = decide(STATE_PROVISIONAL, 0, 2, 1, PAGE_DONE, false);
	CHECK(d.state == STATE_PROVISIONAL && !d.authoritative);
}

TEST(fallback_is_final_when_the_authoritative_cannot)
{
	struct route_decision d = decide(STATE_QUEUED, 0, N3, 0, PAGE_NEXT, false);

	CHECK(d.state == STATE_QUEUED && d.rung == 1 && d.charged);
	d = decide(STATE_QUEUED, 1, N3, 1, PAGE_DONE, false);
	CHECK(d.state == STATE_DONE && d.authoritative);
	/* It had answered already. */
	d = decide(STATE_PROVISIONAL, 0, 1, 0, PAGE_NEXT, false);
	CHECK(d.state == STATE_DONE && !d.authoritative);
	/* There is still a better one between. */
	d = decide(STATE_PROVISIONAL, 0, 2, 0, PAGE_NEXT, false);
	CHECK(d.state == STATE_PROVISIONAL && d.rung == 1);
}

TEST(retry_counts_until_it_is_exhausted)
{
	struct route_decision d = decide(STATE_QUEUED, 0, N3, 0, PAGE_RETRY, false);

	CHECK(d.state == STATE_QUEUED && d.rung == 0 && d.charged);
	d = decide(STATE_QUEUED, 0, N3, 0, PAGE_RETRY, true);
	CHECK(d.state == STATE_QUEUED && d.rung == 1 && d.charged);
	d = decide(STATE_QUEUED, 2, N3, 2, PAGE_RETRY, true);
	CHECK(d.state == STATE_HELD);
}

TEST(last_of_the_route_holds)
{
	CHECK(decide(STATE_QUEUED, 2, N3, 2, PAGE_NEXT, false).state == STATE_HELD);
}

/* What was asked as a fallback and failed is not asked again as the one that decides. */
TEST(page_passes_on_over_fallbacks_that_failed_it)
{
	const enum rung_state one[N3] = {RUNG_READY, RUNG_PASSED, RUNG_READY};
	const enum rung_state all[N3] = {RUNG_READY, RUNG_PASSED, RUNG_PASSED};
	struct route_case k = {.rungs = one, .n = N3, .answered = N3, .state = STATE_QUEUED, .outcome = PAGE_NEXT};
	struct route_decision d;

	route_decide(&k, &d);
	CHECK(d.state == STATE_QUEUED && d.rung == 2);
	k.rungs = all;
	route_decide(&k, &d);
	CHECK(d.state == STATE_HELD);
	k.rungs = one;
	k.state = STATE_PROVISIONAL;
	k.answered = 2;
	route_decide(&k, &d);
	CHECK(d.state == STATE_DONE);
}

TEST(reject_holds_only_where_the_page_stands)
{
	struct route_decision d = decide(STATE_QUEUED, 0, N3, 0, PAGE_REJECT, false);

	CHECK(d.state == STATE_HELD);
	d = decide(STATE_QUEUED, 0, N3, 2, PAGE_REJECT, false);
	CHECK(d.state == STATE_QUEUED && d.rung == 0 && d.passed);
}

TEST(failing_fallback_leaves_the_page_for_the_authoritative)
{
	struct route_decision d = decide(STATE_QUEUED, 0, N3, 1, PAGE_NEXT, false);

	CHECK(d.state == STATE_QUEUED && d.rung == 0 && d.passed && d.charged);
	d = decide(STATE_QUEUED, 0, N3, 1, PAGE_RETRY, false);
	CHECK(d.state == STATE_QUEUED && d.rung == 0 && !d.passed && d.charged);
	d = decide(STATE_QUEUED, 0, N3, 1, PAGE_RETRY, true);
	CHECK(d.passed && d.rung == 0);
}

TEST(untouched_changes_nothing)
{
	for (size_t asked = 0; asked < N3; asked++) {
		struct route_decision d = decide(STATE_PROVISIONAL, 0, 2, asked, PAGE_UNTOUCHED, true);

		CHECK(d.state == STATE_PROVISIONAL && d.rung == 0 && !d.charged && !d.passed && !d.authoritative);
	}
}

/* ---- health --------------------------------------------------------------------------------------------------------------- */

#define FALLBACK_MS 30000

static struct health_end end_of(int64_t seq, enum page_outcome page, enum backend_state backend, bool ambiguous)
{
	return (struct health_end){.seq = seq, .page = page, .backend = backend, .ambiguous = ambiguous, .base_ms = 1000,
		.cap_ms = 60000, .random = UINT32_MAX, .concurrency = 4};
}

static enum page_outcome ends(struct health *h, int64_t now, int64_t seq, enum page_outcome page, enum backend_state backend,
	bool ambiguous)
{
	struct health_end e = end_of(seq, page, backend, ambiguous);

	return health_end(h, now, &e);
}

TEST(plain_failure_opens_at_once_and_charges_nothing)
{
	struct health h = {0};

	CHECK(ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false) == PAGE_UNTOUCHED);
	CHECK(health_state(&h, 100) == BACKEND_DOWN);
	CHECK(health_rung(&h, 2, 200, FALLBACK_MS, false) == RUNG_WAIT);
	CHECK(health_rung(&h, 2, 100 + FALLBACK_MS, FALLBACK_MS, true) == RUNG_DOWN);
}

TEST(one_page_that_makes_a_server_fail_does_not_open_the_breaker)
{
	struct health h = {0};

	for (int i = 0; i < 10; i++) {
		ends(&h, 100 + i, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true);
		CHECK(health_state(&h, 100 + i) == BACKEND_OK);
		CHECK(health_rung(&h, 2, 100 + i, FALLBACK_MS, false) == RUNG_READY);
		CHECK(health_rung(&h, 1, 100 + i, FALLBACK_MS, false) == RUNG_WAIT);
	}
	/* That page alone goes down its route. */
	CHECK(health_rung(&h, 1, 100 + FALLBACK_MS, FALLBACK_MS, false) == RUNG_DOWN);
}

TEST(second_page_opens_the_breaker_and_is_not_charged)
{
	struct health h = {0};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true);
	CHECK(ends(&h, 150, 2, PAGE_RETRY, BACKEND_DOWN, true) == PAGE_UNTOUCHED);
	CHECK(health_state(&h, 150) == BACKEND_DOWN);
	/* The outage began with the first. */
	CHECK_INT(h.breaker.down_since_ms, 100);
}

TEST(bad_page_is_charged_once_the_server_is_proved_well)
{
	struct health h = {0};

	CHECK(ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true) == PAGE_UNTOUCHED);
	ends(&h, 200, 2, PAGE_DONE, BACKEND_OK, false);
	CHECK(ends(&h, 3000, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true) == PAGE_RETRY);
	/* Until the next proof it is not charged again. */
	CHECK(ends(&h, 9000, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true) == PAGE_UNTOUCHED);
	CHECK(health_state(&h, 9000) == BACKEND_OK);
}

TEST(dead_server_charges_no_page_however_long)
{
	struct health h = {0};
	int64_t now = 1000;

	for (int64_t i = 0; i < 50; i++) {
		enum page_outcome o;

		health_begin(&h, now, 0);
		o = ends(&h, now, 1 + i % 7, PAGE_UNTOUCHED, BACKEND_DOWN, true);
		CHECK(o == PAGE_UNTOUCHED);
		now += 120000;
	}
	CHECK(health_state(&h, now) == BACKEND_DOWN);
}

TEST(failed_probe_opens_again_even_with_one_page)
{
	struct health h = {0};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	CHECK(health_rung(&h, 1, 1100, FALLBACK_MS, false) == RUNG_READY);
	CHECK(health_rung(&h, 1, 1100, FALLBACK_MS, true) == RUNG_WAIT);
	health_begin(&h, 1100, 0);
	CHECK(health_rung(&h, 2, 1100, FALLBACK_MS, false) == RUNG_WAIT);
	ends(&h, 1200, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true);
	CHECK(health_state(&h, 1200) == BACKEND_DOWN);
	CHECK_INT(h.breaker.failures, 2);
}

/* No request has begun (the credentials have expired): it must not be ready again at once, for ever. */
TEST(trouble_before_the_probe_opens_again)
{
	struct health h = {0};

	ends(&h, 100, 0, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	CHECK(health_rung(&h, 1, 1100, FALLBACK_MS, false) == RUNG_READY);
	ends(&h, 1100, 0, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	CHECK(health_rung(&h, 1, 1101, FALLBACK_MS, false) == RUNG_WAIT);
	CHECK_INT(h.breaker.failures, 2);
	CHECK_INT(h.breaker.down_since_ms, 100);
}

TEST(good_probe_brings_it_back)
{
	struct health h = {0};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	health_begin(&h, 5000, 0);
	ends(&h, 5100, 0, PAGE_DONE, BACKEND_OK, false);
	CHECK(health_state(&h, 5100) == BACKEND_OK);
	CHECK(health_rung(&h, 1, 5100, FALLBACK_MS, true) == RUNG_READY);
}

TEST(good_probe_proves_no_page)
{
	struct health h = {0};

	/* A server that is "healthy" and fails every page: the delays must grow all the same. */
	for (uint32_t i = 1; i <= 4; i++) {
		ends(&h, 100 * i, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
		CHECK_INT(h.breaker.failures, i);
		health_begin(&h, 100000 * i, 0);
		ends(&h, 100000 * i, 0, PAGE_DONE, BACKEND_OK, false);
		CHECK(health_state(&h, 100000 * i) == BACKEND_OK);
	}
	ends(&h, 500000, 1, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(h.breaker.failures, 0);
}

TEST(throttle_slows_and_never_falls_through)
{
	struct health h = {0};
	struct health_end e = end_of(1, PAGE_UNTOUCHED, BACKEND_BUSY, false);

	e.least_ms = 40000;
	CHECK(health_end(&h, 100, &e) == PAGE_UNTOUCHED);
	CHECK(health_state(&h, 101) == BACKEND_BUSY);
	CHECK(health_rung(&h, 2, 39000, FALLBACK_MS, false) == RUNG_WAIT);
	CHECK(health_rung(&h, 2, 40100, FALLBACK_MS, false) == RUNG_READY);
}

TEST(what_may_pass_is_tried_twice_quickly_and_then_slowly)
{
	static const int64_t waits[] = {50, 100, 1000, 2000, 4000};
	struct health h = {0};
	int64_t now = 100;

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		struct health_end e = end_of(1, PAGE_UNTOUCHED, BACKEND_DOWN, false);

		e.wait = WAIT_TRANSIENT;
		health_end(&h, now, &e);
		CHECK_INT(h.breaker.until_ms, now + waits[i]);
		now += waits[i];
		health_begin(&h, now, 0);
	}
	CHECK_INT(h.breaker.down_since_ms, 100); /* the fallback's time runs meanwhile */
}

TEST(what_was_learned_is_tried_once_at_once)
{
	struct health h = {0};
	struct health_end e = end_of(1, PAGE_UNTOUCHED, BACKEND_DOWN, false);

	e.wait = WAIT_AGAIN;
	CHECK(health_end(&h, 100, &e) == PAGE_UNTOUCHED);
	CHECK(health_rung(&h, 1, 100, FALLBACK_MS, false) == RUNG_READY);
	health_end(&h, 200, &e);
	CHECK(health_state(&h, 200) == BACKEND_DOWN);
	ends(&h, 5000, 2, PAGE_DONE, BACKEND_OK, false);
	health_end(&h, 6000, &e); /* another time */
	CHECK(health_rung(&h, 1, 6000, FALLBACK_MS, false) == RUNG_READY);
}

TEST(what_a_probe_learned_is_tried_at_once)
{
	struct health h = {0};
	struct health_end e = end_of(1, PAGE_UNTOUCHED, BACKEND_DOWN, false);

	health_end(&h, 100, &e);
	health_begin(&h, 2000, 0);
	e.wait = WAIT_AGAIN;
	health_end(&h, 2100, &e);
	CHECK(health_rung(&h, 1, 2100, FALLBACK_MS, false) == RUNG_READY);
}

TEST(late_failures_of_one_outage_count_once)
{
	struct health h = {0};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	ends(&h, 101, 2, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	ends(&h, 102, 3, PAGE_RETRY, BACKEND_DOWN, true);
	CHECK_INT(h.breaker.failures, 1);
}

TEST(untouched_by_a_well_backend_is_paced)
{
	struct health h = {0};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_OK, false);
	CHECK(health_rung(&h, 1, 100, FALLBACK_MS, false) == RUNG_WAIT);
}

TEST(wake_is_the_next_change)
{
	struct health h = {0};

	CHECK(health_wake_ms(&h, 0, FALLBACK_MS) == INT64_MAX);
	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	CHECK_INT(health_wake_ms(&h, 100, FALLBACK_MS), 1100);
	CHECK_INT(health_wake_ms(&h, 2000, FALLBACK_MS), 100 + FALLBACK_MS);
	CHECK(health_wake_ms(&h, 100 + FALLBACK_MS, FALLBACK_MS) == INT64_MAX);
}

/* What no caller says together is no failure either. */
TEST(end_of_no_page)
{
	struct health h = {0};

	ends(&h, 100, 0, PAGE_UNTOUCHED, BACKEND_DOWN, true); /* a page's fault without a page: down */
	CHECK(health_state(&h, 100) == BACKEND_DOWN);
	ends(&h, 200, 0, PAGE_UNTOUCHED, BACKEND_OK, false); /* alive */
	CHECK(health_state(&h, 200) == BACKEND_OK);
}

TEST(throttle_in_an_outage_is_its_end)
{
	struct health h = {0};

	ends(&h, 1, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	health_begin(&h, 640001, 0);
	ends(&h, 640001, 1, PAGE_UNTOUCHED, BACKEND_BUSY, false);
	CHECK_INT(h.gap_ms, 8000);
	CHECK(health_rung(&h, 1, 640001 + FALLBACK_MS, 0, true) == RUNG_READY);
	CHECK_INT(h.breaker.down_since_ms, 0);
}

TEST(counts_do_not_overflow)
{
	struct health h = {.solo_seq = 1, .solo_since_ms = 1, .solo_failures = UINT32_MAX};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_DOWN, true);
	CHECK(h.solo_failures == UINT32_MAX);
	CHECK_INT(h.solo_until_ms, 100 + 60000);
}

/* ---- how much of it ---------------------------------------------------------------------------------------------------------- */

static size_t room(const struct health *h, int64_t now, int64_t concurrency)
{
	size_t n = 0;

	while (n < 100 && health_room(h, now, n, concurrency))
		n++;
	return n;
}

TEST(begins_with_one_and_grows_with_each_answer)
{
	struct health h = {0};

	CHECK_INT(room(&h, 100, 4), 1);
	ends(&h, 100, 1, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(room(&h, 100, 4), 2);
	ends(&h, 100, 2, PAGE_RETRY, BACKEND_OK, false); /* an answer, if not a good one */
	ends(&h, 100, 3, PAGE_DONE, BACKEND_OK, false);
	ends(&h, 100, 4, PAGE_DONE, BACKEND_OK, false);
	ends(&h, 100, 5, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(room(&h, 100, 4), 4);
	/* Never beyond Concurrency=, whatever it was before. */
	CHECK_INT(room(&h, 100, 2), 2);
}

TEST(throttle_halves)
{
	struct health h = {.more = 3};

	ends(&h, 100, 1, PAGE_UNTOUCHED, BACKEND_BUSY, false);
	CHECK_INT(room(&h, 100000, 4), 2);
	ends(&h, 100000, 1, PAGE_UNTOUCHED, BACKEND_BUSY, false);
	ends(&h, 200000, 1, PAGE_UNTOUCHED, BACKEND_BUSY, false);
	CHECK_INT(room(&h, 900000, 4), 1);
	/* A bound that is none is one. */
	CHECK_INT(room(&h, 900000, 0), 1);
}

TEST(back_from_an_outage_it_begins_again)
{
	struct health h = {.more = 3};

	ends(&h, 1000, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	CHECK_INT(room(&h, 2000, 4), 1);
	health_begin(&h, 2000, 0);
	ends(&h, 2100, 2, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(room(&h, 2100, 4), 1);
	CHECK_INT(h.gap_ms, 0); /* a second of outage is none to spread a fleet for */
	ends(&h, 2200, 3, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(room(&h, 2200, 4), 2);
}

TEST(after_a_long_outage_requests_are_apart_for_a_while)
{
	struct health h = {0};
	int64_t now = 3600000, waited = 0;

	ends(&h, 1, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	health_begin(&h, now, 0);
	ends(&h, now, 1, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(h.gap_ms, 8000);
	for (int i = 0; i < 20; i++) {
		int64_t gap = h.gap_ms;

		CHECK_INT(room(&h, now, 1), 1);
		health_begin(&h, now, i % 2 ? UINT32_MAX : 0);
		if (gap > 0) {
			CHECK_INT(room(&h, now, 1), 0);
			CHECK_INT(h.next_ms - now, gap / 2 + (i % 2 ? gap - 1 : 0));
			CHECK_INT(health_wake_ms(&h, now, FALLBACK_MS), h.next_ms);
			waited += h.next_ms - now;
			now = h.next_ms;
		}
		ends(&h, now, 2 + i, PAGE_DONE, BACKEND_OK, false);
	}
	CHECK_INT(h.gap_ms, 0);
	CHECK(waited > 8000 && waited < 24000);
}

/* The server's own probe says that it is there, the first page that it works: together one beginning. */
TEST(own_probe_begins_with_one_too)
{
	struct health h = {.more = 3};

	ends(&h, 1, 1, PAGE_UNTOUCHED, BACKEND_DOWN, false);
	health_begin(&h, 640001, 0);
	ends(&h, 640001, 0, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(room(&h, 640001, 4), 1);
	CHECK_INT(h.gap_ms, 8000);
	ends(&h, 640002, 1, PAGE_DONE, BACKEND_OK, false);
	ends(&h, 640003, 2, PAGE_DONE, BACKEND_OK, false);
	CHECK_INT(room(&h, 640003, 4), 2);
}

/* ---- due times -------------------------------------------------------------------------------------------------------------- */

static const struct due_when when = {.tries = 1, .base_ms = 1000, .cap_ms = 8000, .random = UINT32_MAX, .now_boot_ms = 50000,
	.now_real_ms = 1000000, .started_ms = 40000, .clock_believed = true};

TEST(untried_page_is_due)
{
	struct due_when w = when;

	w.tries = 0;
	CHECK(due_time_ms(&(struct due_page){.tried_ms = 999999}, &w) <= 0);
}

TEST(page_that_no_try_counts_of_is_due)
{
	CHECK_INT(due_time_ms(&(struct due_page){.tried_ms = 0}, &when), 0);
}

TEST(delay_is_capped_after_many_tries)
{
	struct due_page p = {.tried_ms = 5, .tried_boot_ms = 49500, .tried_this_boot = true};
	struct due_when w = when;

	w.tries = INT64_MAX;
	CHECK_INT(due_time_ms(&p, &w), 49500 + 8000);
}

TEST(this_boot_counts_by_boottime_whatever_the_clock_says)
{
	struct due_page p = {.tried_ms = 5, .tried_boot_ms = 49500, .tried_this_boot = true};

	CHECK_INT(due_time_ms(&p, &when), 50500);
}

TEST(another_boot_counts_by_the_clock_if_it_is_believed)
{
	struct due_page p = {.tried_ms = 999400};
	struct due_when w = when;

	CHECK_INT(due_time_ms(&p, &w), 50400);
	w.clock_believed = false;
	CHECK_INT(due_time_ms(&p, &w), 41000);
}

TEST(stamp_from_the_future_waits_no_longer_than_one_backoff)
{
	struct due_page p = {.tried_ms = INT64_C(99999999999)};

	CHECK_INT(due_time_ms(&p, &when), 41000);
}
