/* From the reply to the commit. What was answered is not forgotten when the commit fails: it is tried again. */
#include "daemon/courier_internal.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "extract/checks.h"

#define SETTLE_AGAIN_MS 5000
#define UNPROVED_TRIES  10   /* times Tries= */

/* ---- judging ---------------------------------------------------------------------------------------------------------------- */

/* Is the time that is signed with another one now? */
static bool learn_skew(struct attempt *a, const struct reply *reply)
{
	/* Only AWS teaches the clock that signs for AWS; a server in the house may be as wrong as we are. */
	return reply->date_ms > 0 && a->req.region &&
		clock_learn_date(a->courier->service->clock, reply->date_ms, reply->done_ms - reply->sent_ms);
}

/* The answer's text to typed and checked fields; what cannot be read as fields changes the verdict. */
int attempt_read_answer(struct attempt *a)
{
	struct verdict *v = &a->verdict;
	const struct doctype *type = v->type ? v->type : a->job.types->types[0];
	int r;

	if (v->page != PAGE_DONE)
		return 0;
	r = answer_parse(type, v->answer, strlen(v->answer), &a->answer);
	if (r == -ENODATA) {
		/* OCR reads the same words every time; a model may do better with another seed. */
		verdict_set(v, a->backend->config->kind == KIND_OCR ? PAGE_NEXT : PAGE_RETRY, BACKEND_OK, "no-fields",
			"nothing in the answer could be read as fields");
		return 0;
	}
	if (r >= 0 && v->evidence)
		r = answer_add_evidence(a->answer, v->evidence);
	return r < 0 || a->by_page ? MIN(r, 0) : checks_run(a->answer); /* of pages that are joined: when they are */
}

static int64_t settled_cost(const struct attempt *a)
{
	const struct usage *u = &a->verdict.usage;

	if (!a->price)
		return 0;
	if (u->reported)
		return price_cost(a->price, u->input, u->output, u->cached);
	return a->verdict.billed ? a->open.reserved_pusd : 0;
}

/*
 * The last try? One that does not count (the server is taken to be in trouble, not the page) may have been billed all the
 * same: there is a bound to those too, far away, so that nobody pays for ever for two pages that no answer comes to.
 */
static bool exhausted(const struct attempt *a, const struct due_history *h)
{
	int64_t tries = a->backend->config->tries;

	/* That has a bound of its own: there is no step below the smallest. */
	if (a->smaller_next)
		return false;
	if (BUG("courier-no-bound")) /* planted: a page that no model can read is paid for for ever */
		return false;
	if (a->verdict.page == PAGE_RETRY)
		return h->tries + 1 >= (a->verdict.most_tries ? MIN(tries, (int64_t)a->verdict.most_tries) : tries);
	return a->verdict.page == PAGE_UNTOUCHED && a->verdict.billed && a->price && h->unproved + 1 >= tries * UNPROVED_TRIES;
}

static void say_why_held(struct attempt *a, const struct due_history *h)
{
	int64_t n = h->tries + h->unproved + 1;

	if (str_format(a->hold_reason, sizeof(a->hold_reason), "%s: %s (%" PRIi64 " attempt%s at %s)", a->verdict.reason,
		    a->verdict.message, n, n == 1 ? "" : "s", a->backend->config->name) < 0)
		str_format(a->hold_reason, sizeof(a->hold_reason), "%s (%" PRIi64 " attempt%s at %s)", a->verdict.reason, n,
			n == 1 ? "" : "s", a->backend->config->name);
}

/* What the ledger cannot tell now is asked again: taken for nothing, it would be one try more. */
static int decide(struct attempt *a)
{
	struct spool *spool = a->courier->service->spool;
	char answered[BACKEND_NAME_SIZE];
	enum rung_state rungs[ROUTE_MAX];
	struct route_decision d;
	struct verdict *v = &a->verdict;
	struct due_history h;
	struct route_case k = {
		.rungs = rungs,
		.n = a->row.job->n_route,
		.rung = (size_t)a->row.rung,
		/* Retried by a person, with an answer from before: that is not lost. */
		.state = a->row.state == STATE_QUEUED && a->row.version > 0 ? STATE_PROVISIONAL : a->row.state,
		.asked = a->asked,
		.outcome = v->page,
	};
	int r = due_history(spool, a->row.seq, a->row.retried, a->backend->config->name, &h);

	if (r >= 0)
		r = ledger_answered(spool, &a->row, answered);
	if (r >= 0)
		r = attempt_row_rungs(a->courier, &a->row, rungs);
	if (r < 0)
		return r;
	k.answered = attempt_answered_index(a->row.job, answered);
	k.exhausted = exhausted(a, &h);
	if (k.exhausted)
		k.outcome = v->page = PAGE_RETRY;
	route_decide(&k, &d);
	if (d.state == STATE_HELD)
		say_why_held(a, &h);
	a->close = (struct attempt_close){
		.attempt = a->id,
		.page = &a->row,
		.open = &a->open,
		.verdict = v,
		.reply = a->answered ? &a->reply : NULL,
		.settled_pusd = settled_cost(a),
		.charged = d.charged && !a->smaller_next,
		.next_step = a->next_step,
		.state = d.state,
		.hold_reason = d.state == STATE_HELD ? a->hold_reason : NULL,
		.rung = (int64_t)d.rung,
		.authoritative = d.authoritative,
		.answer = a->answer,
		.raw = a->answer ? v->answer : NULL,
		.same_as = a->same_as[0] ? a->same_as : NULL,
	};
	a->decided = true;
	return 0;
}

/* ---- committing and telling -------------------------------------------------------------------------------------------------- */

void attempt_unlink(struct attempt *a)
{
	struct attempt **p = &a->courier->attempts;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	a->courier->n_attempts--;
	a->backend->in_flight--;
}

static enum event_kind state_event(enum page_state s)
{
	switch (s) {
	case STATE_PROVISIONAL:
		return EVENT_PAGE_PROVISIONAL;
	case STATE_DONE:
		return EVENT_PAGE_DONE;
	case STATE_HELD:
		return EVENT_PAGE_HELD;
	case STATE_QUEUED:
		break;
	}
	return EVENT_PAGE_QUEUED;
}

static void tell(struct attempt *a, int64_t version)
{
	struct service *s = a->courier->service;
	char attempt[24];
	const struct log_field fields[] = {{"PAGE_ID", a->row.id}, {"BACKEND", a->backend->config->name}, {"ATTEMPT", attempt},
		{"REASON", a->verdict.reason}};
	struct page_row now;

	str_format(attempt, sizeof(attempt), "%" PRIi64, a->id);
	log_event(LOG_LEVEL_INFO, NULL, fields, ARRAY_SIZE(fields), "page %s from %s: %s%s%s", a->row.id, a->backend->config->name,
		page_outcome_name(a->verdict.page), a->verdict.reason[0] ? ": " : "", a->verdict.reason);
	if (spool_page_get(s->spool, a->row.seq, &now) < 0)
		return;
	service_event(s, &(struct event){
		.kind = EVENT_ATTEMPT_ENDED,
		.page = &now,
		.backend = a->backend->config->name,
		.reason = a->verdict.reason[0] ? a->verdict.reason : NULL,
		.message = a->verdict.message[0] ? a->verdict.message : NULL,
	});
	if (now.state == STATE_HELD)
		courier_say_held(&now);
	if (now.state != a->row.state || version > 0)
		service_group_event(s, &(struct event){
			.kind = state_event(now.state),
			.page = &now,
			.backend = a->backend->config->name,
			.reason = now.state == STATE_HELD ? now.reason : NULL,
		});
}

static int on_settle_timer(sd_event_source *source, uint64_t us, void *ud);

/* Closed as decided; that may be open still. */
static int close_attempt(struct attempt *a, int64_t *ret_version)
{
	int r = a->decided ? 0 : decide(a);

	if (r < 0)
		return r;
	/* Planted: a page that was not touched leaves its attempt open. */
	if (BUG("courier-attempt-left-open") && a->verdict.page == PAGE_UNTOUCHED)
		return -ENOENT;
	return ledger_close(a->courier->service->spool, &a->close, ret_version);
}

/* 0: committed and gone; negative errno: kept. */
static int commit(struct attempt *a)
{
	struct courier *c = a->courier;
	int64_t version = 0;
	int r = close_attempt(a, &version);

	if (r < 0 && r != -EALREADY && r != -ENOENT) {
		service_storage(c->service, r);
		return r;
	}
	service_storage(c->service, 0);
	attempt_unlink(a);
	if (r >= 0)
		tell(a, version);
	if (r >= 0)
		attempt_split_now(a);
	attempt_free(a);
	courier_kick(c);
	courier_deliver(c);
	return 0;
}

static void settle(struct attempt *a)
{
	struct courier *c = a->courier;
	int r = commit(a);

	if (r == 0)
		return;
	log_error("the answer for page %s cannot be stored (%s); tried again every %d s", a->row.id, errno_text(r),
		SETTLE_AGAIN_MS / 1000);
	if (loop_timer(c->service->event, &c->settle_timer, SETTLE_AGAIN_MS, on_settle_timer, c) < 0)
		log_error("no timer for that: it is settled at the next start as possibly billed");
}

static int on_settle_timer(sd_event_source *source, uint64_t us, void *ud)
{
	struct courier *c = ud;
	struct attempt *a = c->attempts, *next;
	bool again = false;

	for (; a; a = next) {
		next = a->next;
		if (a->answered)
			again |= commit(a) < 0;
	}
	return again ? loop_timer(c->service->event, &c->settle_timer, SETTLE_AGAIN_MS, on_settle_timer, c) : 0;
}

static void judged(struct attempt *a, const struct reply *reply)
{
	a->reply = *reply;
	a->reply.headers = NULL;
	a->reply.n_headers = 0;
	a->reply.body = NULL;
	a->reply.stream = NULL;
	a->reply.len = 0;
	a->answered = true;
	settle(a);
}

/* Told when it begins and when it is over, not with each answer. */
static void look_at_counts(struct attempt *a)
{
	struct backend *b = a->backend;
	const struct usage *u = &a->verdict.usage;
	const struct log_field fields[] = {{"PAGE_ID", a->row.id}, {"BACKEND", b->config->name}};

	if (!u->reported || u->differs == b->counts_differ)
		return;
	b->counts_differ = u->differs;
	if (u->differs)
		log_event(LOG_LEVEL_WARNING, NULL, fields, ARRAY_SIZE(fields),
			"backend %s tells the tokens of a reply twice, and not the same (page %s): the larger count, %" PRIu64 " in and %" PRIu64
			" out, is what is reckoned with", b->config->name, a->row.id, u->input, u->output);
	else
		log_event(LOG_LEVEL_NOTICE, NULL, fields, ARRAY_SIZE(fields), "backend %s tells the tokens of a reply the same twice again", b->config->name);
}

void attempt_reply(struct attempt *a, const struct reply *reply)
{
	struct backend *b = a->backend;
	struct verdict *v = &a->verdict;
	bool news = learn_skew(a, reply);
	int r;

	if (b->extractor.ops->proceed) {
		r = attempt_proceed(a, reply);
		if (r > 0)
			return;
		attempt_tidy(a);
	} else {
		r = b->extractor.ops->decode(&b->extractor, &a->job, reply, v);
	}
	if (r >= 0)
		r = attempt_read_answer(a);
	if (r >= 0 && a->by_page)
		r = attempt_next_page(a);
	if (r > 0)
		return; /* and more of its pages are to come */
	if (r < 0) {
		answer_free(take_ptr(a->answer));
		verdict_set(v, PAGE_RETRY, BACKEND_OK, "local", "the answer could not be taken in: %s", errno_text(r));
		v->billed = v->billed || reply->sent || a->dialogue.step > 0;
	}
	look_at_counts(a);
	/* Our time was theirs: it was the request that took its time. */
	if (v->clock_wrong && !news)
		v->wait = WAIT_TRANSIENT;
	if (v->usage.reported)
		backend_tokens(b, a->began_ms, a->tokens, (int64_t)MIN(v->usage.input + v->usage.output, (uint64_t)INT32_MAX));
	if (b->credentials && v->creds_wrong) {
		credentials_refused(b->credentials, a->creds_generation);
		b->refused_generation = a->creds_generation;
	}
	if (b->credentials && v->backend == BACKEND_OK)
		credentials_accepted(b->credentials, a->creds_generation);
	attempt_learn_size(a, reply);
	attempt_split_next(a);
	backend_paced(b, a->began_ms, v);
	v->page = backend_ended(b, a->row.seq, v, reply);
	judged(a, reply);
}

void attempt_without_request(struct attempt *a)
{
	struct reply reply = {.error = TRANSPORT_LOCAL};

	a->open = (struct attempt_open){.page = &a->row, .more = a->more, .n_more = a->n_more, .backend = a->backend->config->name,
		.model = a->backend->config->model[0] ? a->backend->config->model : a->req.model};
	attempt_link(a);
	judged(a, &reply);
}

void attempt_not_rendered(struct attempt *a)
{
	verdict_set(&a->verdict, PAGE_RETRY, BACKEND_OK, "rendering", "it is too large for this backend, and could not be made smaller: %s",
		a->shapes[0].failed);
	attempt_without_request(a);
}

void attempt_refused(struct attempt *a, const char *reason, const char *message)
{
	verdict_set(&a->verdict, PAGE_NEXT, BACKEND_OK, reason, "%s", message);
	attempt_without_request(a);
}

void attempt_unsent(struct attempt *a, const char *reason, const char *message)
{
	struct reply reply = {.error = TRANSPORT_LOCAL};

	verdict_set(&a->verdict, PAGE_UNTOUCHED, BACKEND_DOWN, reason, "%s", message);
	a->verdict.page = backend_ended(a->backend, a->row.seq, &a->verdict, NULL);
	judged(a, &reply);
}

void attempt_abandon(struct attempt *a)
{
	int64_t version;
	int r;

	if (!a->id && !a->answered) {
		attempt_unlink(a); /* it was being rendered */
		attempt_free(a);
		return;
	}
	http_cancel(take_ptr(a->transfer));
	helper_cancel(take_ptr(a->helper));
	if (!a->answered) {
		verdict_set(&a->verdict, PAGE_UNTOUCHED, BACKEND_OK, "stopped", "the service stopped before the answer came");
		a->verdict.billed = true;
	}
	r = close_attempt(a, &version);
	if (r < 0)
		log_warning("attempt %" PRIi64 " stays open (%s): the next start settles it", a->id, errno_text(r));
	attempt_unlink(a);
	attempt_free(a);
}
