/* One exchange with a backend, and what the ledger has of it. */
#pragma once

#include "daemon/ledger.h"
#include "tests/unit/daemon_fixture.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static inline struct attempt_open open_of(const struct page_row *p, int64_t reserved)
{
	return (struct attempt_open){
		.page = p,
		.backend = "sydney",
		.model = "amazon.nova-pro-v1:0",
		.region = "ap-southeast-2",
		.host = "bedrock-runtime.ap-southeast-2.amazonaws.com",
		.body_sha256 = HASH,
		.reserved_pusd = reserved,
	};
}

/* One exchange, from beginning to end, with what the tests vary. */
struct exchange {
	struct page_row page;
	struct attempt_open open;
	struct verdict verdict;
	struct attempt_close close;
	int64_t version;
};

static inline void exchange_open(struct fixture *f, struct exchange *x, int64_t seq, int64_t reserved)
{
	*x = (struct exchange){};
	CHECK_INT(spool_page_get(f->spool, seq, &x->page), 0);
	x->open = open_of(&x->page, reserved);
	x->close = (struct attempt_close){
		.attempt = ledger_open(f->spool, &x->open),
		.page = &x->page,
		.open = &x->open,
		.verdict = &x->verdict,
		.settled_pusd = reserved / 2,
		.state = STATE_QUEUED,
	};
	CHECK(x->close.attempt > 0);
	verdict_set(&x->verdict, PAGE_RETRY, BACKEND_OK, "truncated", "cut");
	x->verdict.billed = true;
	x->verdict.usage = (struct usage){.input = 1500, .output = 90, .reported = true};
}

static inline int exchange_answer(struct fixture *f, struct exchange *x, bool authoritative)
{
	static const char raw[] = "{\"word\": \"hello\"}";
	struct answer *a;
	int r;

	CHECK_INT(answer_parse(f->job->types->types[0], raw, strlen(raw), &a), 0);
	verdict_set(&x->verdict, PAGE_DONE, BACKEND_OK, "", "%s", "");
	x->close.answer = a;
	x->close.raw = raw;
	x->close.authoritative = authoritative;
	x->close.state = authoritative ? STATE_DONE : STATE_PROVISIONAL;
	r = ledger_close(f->spool, &x->close, &x->version);
	answer_free(a);
	return r;
}

static inline void row(struct fixture *f, int64_t seq, struct page_row *ret)
{
	CHECK_INT(spool_page_get(f->spool, seq, ret), 0);
}

static inline void check_chain(struct fixture *f, int64_t want)
{
	int64_t bad = 0;

	CHECK_INT(receipt_verify(f->spool, &bad), want);
}

/* On the current day: what counts against a budget; and of what has ended what is only possibly billed. */
static inline int spent(struct fixture *f, int64_t *ret_pusd, int64_t *ret_possibly)
{
	struct budget_sums u = {};
	int r = budget_sums(f->spool, &u);

	*ret_pusd = u.day_pusd + u.open_pusd;
	if (ret_possibly)
		*ret_possibly = u.possibly_pusd;
	return r;
}
