/* One exchange with a backend: a page or its document asked, and answered. */
#include "daemon/document.h"
#include "daemon/ledger.h"
#include "tests/crash/sequence.h"

#define HASH     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MORE_MAX 3

/* The process has one at a time. */
static struct {
	struct page_row page, more[MORE_MAX]; /* more: the others of its document */
	struct attempt_open open;
	struct verdict verdict;
	struct attempt_close close;
	struct answer *answer;
} x;

static void exchange_of(struct fixture *f, int64_t seq, const char *backend)
{
	ssize_t n;

	CHECK_INT(spool_page_get(f->spool, seq, &x.page), 0);
	n = group_rows(f->spool, seq, x.more, MORE_MAX);
	CHECK(n >= 0);
	x.open = (struct attempt_open){
		.page = &x.page,
		.more = x.more,
		.n_more = (size_t)n,
		.backend = backend,
		.model = "amazon.nova-pro-v1:0",
		.region = "ap-southeast-2",
		.host = "bedrock-runtime.ap-southeast-2.amazonaws.com",
		.body_sha256 = HASH,
		.reserved_pusd = RESERVE,
	};
	x.open.renderings[n].json = "{\"sha256\":\"" HASH "\"}"; /* the last page, or the only one, went smaller */
	x.open.renderings[n].sha256 = HASH;
}

/* The answer to the attempt, as the courier has it when it closes. */
static void exchange_answered(struct fixture *f, int64_t attempt, bool authoritative)
{
	static const char raw[] = "{\"word\": \"hello\"}";

	CHECK_INT(answer_parse(f->job->types->types[0], raw, strlen(raw), &x.answer), 0);
	verdict_set(&x.verdict, PAGE_DONE, BACKEND_OK, "", "%s", "");
	x.verdict.billed = true;
	x.verdict.usage = (struct usage){.input = 1500, .output = 90, .reported = true};
	x.close = (struct attempt_close){
		.attempt = attempt,
		.page = &x.page,
		.open = &x.open,
		.verdict = &x.verdict,
		.settled_pusd = RESERVE / 2,
		.state = authoritative ? STATE_DONE : STATE_PROVISIONAL,
		.authoritative = authoritative,
		.answer = x.answer,
		.raw = raw,
	};
}

void base_answer(struct fixture *f, int64_t seq, bool authoritative)
{
	exchange_of(f, seq, authoritative ? "sydney" : "ocr");
	exchange_answered(f, ledger_open(f->spool, &x.open), authoritative);
	CHECK_INT(ledger_close(f->spool, &x.close, NULL), 0);
	answer_free(take_ptr(x.answer));
}

void base_attempt(struct fixture *f, int64_t seq)
{
	exchange_of(f, seq, "sydney");
	CHECK(ledger_open(f->spool, &x.open) > 0);
}

void send_ready(struct fixture *f, struct report *r)
{
	exchange_of(f, 2, "sydney");
}

int send_run(struct fixture *f, struct report *r)
{
	int64_t id = ledger_open(f->spool, &x.open);

	if (id < 0)
		return (int)id;
	r->number = id;
	r->acknowledged = true;
	return 0;
}

void close_ready(struct fixture *f, struct report *r)
{
	exchange_of(f, 2, "sydney");
	exchange_answered(f, count_rows(f, "SELECT max(id) FROM attempts"), true);
}

int close_run(struct fixture *f, struct report *r)
{
	int res = ledger_close(f->spool, &x.close, &r->number);

	/* Told of a failure, the courier comes again, and hears that it had succeeded. */
	if (res < 0 && res != -EALREADY)
		return res;
	r->acknowledged = true;
	answer_free(take_ptr(x.answer));
	return 0;
}
