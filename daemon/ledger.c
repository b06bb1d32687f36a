#include "daemon/ledger.h"

#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/spool_internal.h"
#include "daemon/usage.h"

/* No request costs a million dollars: beyond, sums could pass 64 bits. */
#define RESERVATION_MAX ((int64_t)1000000 * 1000000000000)

/* ---- before the first byte ------------------------------------------------------------------- */

static int insert_pages(struct spool *s, const struct attempt_open *a, int64_t attempt)
{
	const struct page_row *p = a->page;
	int r = 0;

	for (size_t i = 0; r >= 0 && i <= a->n_more; p = &a->more[i++])
		r = db_exec(s->db, "INSERT INTO attempt_pages (attempt, place, page, rendering) VALUES (?, ?, ?, ?)", "iiis", attempt,
			(int64_t)i + 1, p->seq, a->renderings[i].json);
	return r;
}

static int insert_attempt(
	struct spool *s, const struct attempt_open *a, const struct stamp *now, int64_t *ret)
{
	/* Planted: the reservation is not on the disk while the request is out. */
	int64_t reserved = BUG("send-reserve-after") ? 0 : a->reserved_pusd;
	int r;

	r = db_exec(s->db,
		"INSERT INTO attempts (page, backend, model, region, host, opened_ms, opened_trust, "
		"reserved_pusd, rendering, priced)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"issssisiss", a->page ? a->page->seq : 0, a->backend, a->model, a->region, a->host, now->ms,
		time_trust_name(now->trust), reserved, a->renderings[0].json, a->priced);
	if (r >= 0)
		*ret = db_last_id(s->db);
	if (r >= 0 && a->page && a->n_more > 0)
		r = insert_pages(s, a, *ret);
	return r;
}

/* As the receipts name them. Ids and hashes need no quoting. */
static int pages_print(const struct attempt_open *a, struct buf *out)
{
	const struct page_row *p = a->page;
	int r = 0;

	for (size_t i = 0; r >= 0 && i <= a->n_more; p = &a->more[i++]) {
		r = buf_addf(out, "%s{\"page\":\"%s\",\"content\":\"%s\"", i ? "," : "[", p->id, p->sha256);
		if (r >= 0 && a->renderings[i].sha256)
			r = buf_addf(out, ",\"rendering\":\"%s\"", a->renderings[i].sha256);
		if (r >= 0)
			r = buf_addc(out, '}');
	}
	return r < 0 ? r : buf_addc(out, ']');
}

static int receipt_store(struct spool *s, const struct attempt_open *a, struct receipt *receipt)
{
	_cleanup_buf_ struct buf pages = {};
	int r = a->page && a->n_more > 0 ? pages_print(a, &pages) : 0;

	receipt->pages = pages.len ? buf_str(&pages) : NULL;
	return r < 0 ? r : receipt_add(s, receipt);
}

static struct receipt receipt_of(const struct attempt_open *a, int64_t attempt, const char *kind)
{
	return (struct receipt){
		.kind = kind,
		.attempt = attempt,
		.page = a->page ? a->page->id : NULL,
		.content_sha256 = a->page ? a->page->sha256 : NULL,
		.rendering_sha256 = a->renderings[0].sha256,
		.body_sha256 = a->body_sha256,
		.bytes = a->body_bytes,
		.backend = a->backend,
		.host = a->host,
		.region = a->region,
		.model = a->model,
		.tier = a->tier,
		.resolved = a->resolved,
		.lab = a->lab,
		.tokens_input = -1,
		.tokens_output = -1,
	};
}

/* Promise 4. What costs nothing needs no room. */
static int within_budget(struct spool *s, const struct attempt_open *a)
{
	struct budget_sums sums;
	int r;

	if (!a->budget || a->reserved_pusd == 0)
		return 0;
	r = budget_sums(s, &sums);
	if (r < 0)
		return r;
	if (BUG("budget-forgets-open")) /* planted: what is out may cost as much again */
		sums.open_pusd = 0;
	switch (budget_room(a->budget, &sums, a->reserved_pusd)) {
	case BUDGET_ROOM:
		return 0;
	case BUDGET_NEVER:
		return -EFBIG;
	case BUDGET_FULL:
		break;
	}
	return -EDQUOT;
}

static int open_in_transaction(struct spool *s, const struct attempt_open *a, int64_t *ret)
{
	struct stamp now = spool_stamp(s);
	struct receipt receipt;
	int r;

	r = within_budget(s, a);
	if (r >= 0)
		r = budget_clock_store(s);
	if (r >= 0)
		r = insert_attempt(s, a, &now, ret);
	if (r < 0)
		return r;
	STEP(SEND_RESERVED);
	receipt = receipt_of(a, *ret, "sent");
	r = receipt_store(s, a, &receipt);
	return r < 0 ? r : spool_stamp_save(s);
}

int64_t ledger_open(struct spool *s, const struct attempt_open *a)
{
	int64_t id;
	int r;

	if (a->reserved_pusd < 0 || a->reserved_pusd > RESERVATION_MAX)
		return -ERANGE;
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = open_in_transaction(s, a, &id);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	r = db_commit(s->db);
	if (r < 0)
		return r;
	STEP(SEND_COMMITTED);
	return id;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* What ledger_close() gathers before it writes. */
struct closing {
	const struct attempt_close *c;
	int64_t attempt;
	struct page_row page; /* read again inside the transaction: a person may have changed it */
	struct stamp now;
	int others;      /* pages that go with it */
	int64_t version; /* of the new result; 0: none */
	bool current;    /* the new result is the page's current one */
	int64_t settled;
};

static int attempt_is_open(struct spool *s, int64_t id)
{
	int64_t open;
	int r;

	r = db_get_i64(s->db, &open, "SELECT closed_ms IS NULL FROM attempts WHERE id = ?", "i", id);
	return r < 0 ? r : r == 0 ? -ENOENT : open ? 0 : -EALREADY;
}

static const char *billed_name(const struct closing *k)
{
	const struct verdict *v = k->c->verdict;

	if (!v->billed || (k->c->open->reserved_pusd == 0 && k->settled == 0))
		return "no";
	return v->usage.reported ? "yes" : "possibly";
}

static int add_who(const struct closing *k, cJSON *j)
{
	const struct attempt_open *o = k->c->open;
	char accepted[TIMESTAMP_SIZE], answered[TIMESTAMP_SIZE];

	timestamp_format(k->page.accepted_ms, false, accepted);
	timestamp_format(k->now.ms, false, answered);
	if (json_add_string(j, "backend", o->backend) < 0 || json_add_string(j, "model", o->model) < 0 ||
		json_add_string(j, "region", o->region) < 0 || json_add_string(j, "accepted", accepted) < 0 ||
		json_add_string(j, "answered", answered) < 0 ||
		json_add_string(j, "trust", time_trust_name(k->now.trust)) < 0 ||
		json_add_string(j, "content_sha256", k->page.sha256) < 0)
		return -ENOMEM;
	return 0;
}

/* What it was read from, where that are several pages. */
static int add_pages(const struct attempt_open *o, cJSON *j)
{
	const struct page_row *p = o->page;
	cJSON *pages = o->n_more > 0 ? cJSON_AddArrayToObject(j, "pages") : NULL;

	if (o->n_more > 0 && !pages)
		return -ENOMEM;
	for (size_t i = 0; pages && i <= o->n_more; p = &o->more[i++]) {
		cJSON *one = cJSON_CreateObject();

		if (!cJSON_AddItemToArray(pages, one)) {
			cJSON_Delete(one);
			return -ENOMEM;
		}
		if (json_add_string(one, "page", p->id) < 0 || json_add_string(one, "content_sha256", p->sha256) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_cost(const struct closing *k, cJSON *j)
{
	const struct usage *u = &k->c->verdict->usage;
	char pusd[24];
	cJSON *tokens;

	str_format(pusd, sizeof(pusd), "%lld", (long long)k->settled);
	tokens = json_add_string(j, "cost_pico_usd", pusd) < 0 ? NULL : cJSON_AddObjectToObject(j, "tokens");
	if (!tokens)
		return -ENOMEM;
	if (!u->reported)
		return json_add_string(tokens, "input", NULL) < 0 ||
				       json_add_string(tokens, "output", NULL) < 0
			       ? -ENOMEM
			       : 0;
	return json_add_i64(tokens, "input", (int64_t)u->input) < 0 ||
			       json_add_i64(tokens, "output", (int64_t)u->output) < 0
		       ? -ENOMEM
		       : 0;
}

/* docs/result.schema.json */
static int result_print(const struct closing *k, struct buf *out)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	const struct page_row *p = &k->page;
	int r;

	if (!j || json_add_i64(j, "pageferry", 1) < 0 || json_add_string(j, "page", p->id) < 0 ||
		json_add_string(j, "document", p->document) < 0 ||
		json_add_i64(j, "position", p->position) < 0 || json_add_i64(j, "version", k->version) < 0 ||
		json_add_bool(j, "authoritative", k->c->authoritative) < 0 ||
		json_add_string(j, "asked_type", p->job->type) < 0)
		return -ENOMEM;
	r = answer_to_json(k->c->answer, j);
	if (r >= 0)
		r = add_who(k, j);
	if (r >= 0)
		r = add_pages(k->c->open, j);
	if (r >= 0)
		r = add_cost(k, j);
	if (r >= 0 && k->c->same_as)
		r = json_add_string(j, "same_as", k->c->same_as);
	return r < 0 ? r : json_print(j, false, out);
}

/* The next version, whether or not it becomes the current one. */
static int insert_result(struct spool *s, struct closing *k)
{
	_cleanup_buf_ struct buf json = {};
	int64_t last;
	int r;

	r = db_get_i64(s->db, &last, "SELECT coalesce(max(version), 0) FROM results WHERE page = ?", "i",
		k->page.seq);
	if (r < 0)
		return r;
	k->version = last + 1;
	if (BUG("supersede-version-first") && last > 0) {
		/* Planted: a kill between the two leaves a page whose current version is no result. */
		r = db_exec(s->db, "UPDATE pages SET version = ?, state = 'done' WHERE seq = ?", "ii", k->version, k->page.seq);
		if (r >= 0)
			r = db_commit(s->db);
		if (r >= 0)
			r = db_begin(s->db);
		if (r < 0)
			return r;
	}
	/* A fallback's late answer never takes the place of the authoritative one. */
	k->current = k->c->authoritative || k->page.state != STATE_DONE;
	r = result_print(k, &json);
	if (r >= 0)
		r = db_exec(s->db,
			"INSERT INTO results (page, version, attempt, authoritative, type, created_ms, json, "
			"raw)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			"iiiisits", k->page.seq, k->version, k->attempt, (int64_t)k->c->authoritative,
			k->c->answer->type->name, k->now.ms, buf_str(&json), json.len,
			k->c->raw ? k->c->raw : "");
	if (r >= 0 && k->current)
		r = db_exec(s->db, "INSERT INTO deliveries (page, version, sink) VALUES (?, ?, 'results')",
			"ii", k->page.seq, k->version);
	/* It is kept from when this one is delivered. */
	if (r >= 0 && k->current)
		r = db_exec(s->db, "UPDATE pages SET kept_ms = NULL WHERE seq = ?1 OR leader = ?1", "i", k->page.seq);
	return r;
}

static int close_attempt(struct spool *s, const struct closing *k)
{
	const struct attempt_close *c = k->c;
	const struct verdict *v = c->verdict;
	const struct usage *u = &v->usage;
	int r;

	r = db_exec(s->db,
		"UPDATE attempts SET closed_ms = ?, outcome = ?, reason = ?, message = ?, charged = ?, "
		"billed = ?,"
		" settled_pusd = ?, request_id = ?, http_status = nullif(?, 0), duration_ms = nullif(?, -1),"
		" next_step = nullif(?, 0) WHERE id = ?",
		"isssisisiiii", k->now.ms, page_outcome_name(v->page), v->reason, v->message,
		(int64_t)c->charged, billed_name(k), k->settled, v->request_id[0] ? v->request_id : NULL,
		(int64_t)(c->reply ? c->reply->status : 0),
		c->reply && c->reply->sent_ms > 0 ? MAX(c->reply->done_ms - c->reply->sent_ms, (int64_t)0)
						  : (int64_t)-1,
		(int64_t)c->next_step, k->attempt);
	if (r >= 0 && u->reported)
		r = db_exec(s->db,
			"UPDATE attempts SET tokens_input = ?, tokens_output = ?, tokens_cached = ? WHERE id "
			"= ?",
			"iiii", (int64_t)u->input, (int64_t)u->output, (int64_t)u->cached, k->attempt);
	return r;
}

static int add_receipt(struct spool *s, const struct closing *k)
{
	const struct attempt_close *c = k->c;
	const struct verdict *v = c->verdict;
	struct receipt p = receipt_of(c->open, k->attempt, "answered");

	p.address = c->reply ? c->reply->address : NULL;
	p.peer_sha256 = c->reply ? c->reply->peer_sha256 : NULL;
	p.request_id = v->request_id;
	p.outcome = page_outcome_name(v->page);
	p.reason = v->reason;
	p.status = c->reply ? c->reply->status : 0;
	p.tokens_input = v->usage.reported ? (int64_t)v->usage.input : -1;
	p.tokens_output = v->usage.reported ? (int64_t)v->usage.output : -1;
	p.tokens_cached = v->usage.reported ? (int64_t)v->usage.cached : -1;
	p.cost_pusd = k->settled;
	return receipt_store(s, c->open, &p);
}

/* ---- the page after it ----------------------------------------------------------------------- */

/* Did a person put it back to the start while the request was out? */
static bool was_retried(const struct closing *k)
{
	const struct page_row *before = k->c->page;

	return k->page.retried != before->retried || (before->state == STATE_HELD && k->page.state != STATE_HELD);
}

/* The caller decided with the row that it had; what has happened since goes first. */
static enum page_state state_after(const struct closing *k)
{
	const struct attempt_close *c = k->c;

	if (c->state == STATE_DONE || k->page.state == STATE_DONE)
		return STATE_DONE;
	if (k->page.state == STATE_HELD && c->page->state != STATE_HELD)
		return STATE_HELD;
	if (c->state == STATE_HELD && was_retried(k))
		return k->page.state;
	/* An answer from before a retry, or this one, is there: it is not as if nothing was. */
	if (c->state == STATE_QUEUED && (k->page.version > 0 || k->version > 0))
		return STATE_PROVISIONAL;
	return c->state;
}

static int update_tries(struct spool *s, const struct closing *k)
{
	bool retried = was_retried(k);
	int64_t rung = retried ? k->page.rung : k->c->rung;
	int64_t tries = rung != k->page.rung ? 0 : k->page.tries + (k->c->charged && !retried);
	int r;

	r = db_exec(
		s->db, "UPDATE pages SET rung = ?, tries = ? WHERE seq = ?", "iii", rung, tries, k->page.seq);
	if (r >= 0 && k->c->charged && !retried)
		r = db_exec(s->db,
			"UPDATE pages SET tried_ms = ?, tried_boot = ?, tried_boot_ms = ? WHERE seq = ?",
			"isii", k->now.ms, s->boot_id, clock_boottime_ms(s->clock), k->page.seq);
	return r;
}

static int update_page(struct spool *s, struct closing *k, enum page_state after)
{
	const char *reason = k->page.state == STATE_HELD && k->c->page->state != STATE_HELD
				     ? k->page.reason
				     : k->c->hold_reason;
	char text[sizeof(k->page.reason)];
	int r;

	text_cut(text, sizeof(text), reason && reason[0] ? reason : "a person is needed");
	r = db_exec(s->db, "UPDATE pages SET state = ?, reason = ?, version = ? WHERE seq = ?", "ssii",
		page_state_name(after), after == STATE_HELD ? text : NULL,
		k->version > 0 && k->current ? k->version : k->page.version, k->page.seq);
	if (r >= 0)
		r = k->others = group_state(s, k->page.seq, after, after == STATE_HELD ? text : NULL);
	return r < 0 ? r : update_tries(s, k);
}

static int close_in_transaction(struct spool *s, struct closing *k, enum page_state *ret_after)
{
	int r;

	k->attempt = k->c->attempt;
	r = k->attempt ? attempt_is_open(s, k->attempt) : insert_attempt(s, k->c->open, &k->now, &k->attempt);
	if (r >= 0)
		r = spool_page_get(s, k->c->page->seq, &k->page);
	if (r >= 0 && k->c->answer)
		r = insert_result(s, k);
	if (r < 0)
		return r;
	STEP(ANSWER_RESULT_INSERTED);
	r = close_attempt(s, k);
	if (r >= 0)
		r = usage_add(s, k->attempt, k->c->answer ? k->c->answer->type->name : k->page.job->type);
	if (r < 0)
		return r;
	STEP(ANSWER_ATTEMPT_CLOSED);
	r = add_receipt(s, k);
	if (r < 0)
		return r;
	STEP(ANSWER_RECEIPT_INSERTED);
	if (BUG("answer-two-commits")) {
		/* Planted: a kill between the two leaves a result whose page does not know of it. */
		r = db_commit(s->db);
		STEP(ANSWER_COMMITTED);
		if (r >= 0)
			r = db_begin(s->db);
		if (r < 0)
			return r;
	}
	*ret_after = state_after(k);
	r = update_page(s, k, *ret_after);
	/* An answer that was delivered as provisional may just have become final. */
	if (r >= 0 && *ret_after == STATE_DONE)
		r = keep_note_delivered(s, k->page.seq);
	return r < 0 ? r : spool_stamp_save(s);
}

int ledger_close(struct spool *s, const struct attempt_close *c, int64_t *ret_version)
{
	struct closing k = {.c = c,
		.now = spool_stamp(s),
		.settled = CLAMP(c->settled_pusd, (int64_t)0, RESERVATION_MAX)};
	enum page_state after;
	int r;

	STEP(ANSWER_RECEIVED);
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = close_in_transaction(s, &k, &after);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	r = db_commit(s->db);
	if (r < 0) {
		spool_memory_forget(s);
		return r;
	}
	STEP(ANSWER_COMMITTED);
	group_moved(s, k.others + 1, k.page.state, after);
	if (ret_version)
		*ret_version = k.current ? k.version : 0;
	return 0;
}

static int close_bare(struct spool *s, struct closing *k)
{
	int r = attempt_is_open(s, k->attempt);

	if (r >= 0)
		r = close_attempt(s, k);
	if (r >= 0)
		r = usage_add(s, k->attempt, "");
	if (r >= 0)
		r = add_receipt(s, k);
	return r < 0 ? r : spool_stamp_save(s);
}

int ledger_close_bare(struct spool *s, const struct attempt_close *c)
{
	struct closing k = {.c = c,
		.attempt = c->attempt,
		.now = spool_stamp(s),
		.settled = CLAMP(c->settled_pusd, (int64_t)0, RESERVATION_MAX)};
	int r;

	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = close_bare(s, &k);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	return db_commit(s->db);
}
