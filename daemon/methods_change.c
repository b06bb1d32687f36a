/* What a person changes about pages that are there: hold, release, retry, drop; and the word that paid ones go on. */
#include "daemon/methods.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "daemon/courier.h"
#include "daemon/document.h"
#include "daemon/keep.h"
#include "daemon/ledger.h"
#include "daemon/messages.h"

#define SLICE_CHANGES  8                               /* in one turn of the loop: each is a commit */
#define SLICE_ROWS     256                             /* looked at in one turn, when few of them are meant */
#define SLICE_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10) /* takes turns with the courier */
#define WORDS_MAX      160 /* of the reason that a person gives: what the service adds must fit beside it */
#define WHY_SIZE       400

struct change;

/* One of the four. `change` gives 1: changed; 0: left as it was, and `why`; or negative errno: the spool failed. */
struct act {
	const char *name, *done; /* for the log */
	int states[2];           /* of the pages that a filter without one means, in the order of the walk; -1: any */
	size_t n_states;
	unsigned int possible; /* states that a filter may name */
	int (*change)(struct change *h, const struct page_row *row, char why[static WHY_SIZE]);
	enum event_kind event;
};

struct change {
	const struct act *act;
	struct control *control; /* borrowed */
	sd_event_source *slice;
	cJSON *named; /* owned; NULL: the walk says which */
	int next;
	struct page_walk walk;
	char reason[WORDS_MAX]; /* harmless; "" when none was given */
	uid_t uid;
	bool again; /* retry: what was answered before is paid for again */
	cJSON *changed, *unchanged; /* owned */
	int64_t n_unchanged;
};

void change_free(struct change *h)
{
	if (!h)
		return;
	sd_event_source_disable_unref(h->slice);
	cJSON_Delete(h->named);
	cJSON_Delete(h->changed);
	cJSON_Delete(h->unchanged);
	free(h);
}

/* ---- the four ------------------------------------------------------------------------------------------ */

#define STATE_BIT(s) (1u << (unsigned int)(s))
#define WAITING      (STATE_BIT(STATE_QUEUED) | STATE_BIT(STATE_PROVISIONAL))

static int _printf_(2, 3) because(char why[static WHY_SIZE], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, WHY_SIZE, format, ap);
	va_end(ap);
	return 0;
}

/* A page that is out is held too: its answer is still taken in. */
static int hold(struct change *h, const struct page_row *row, char why[static WHY_SIZE])
{
	char reason[sizeof(row->reason)];
	int r;

	if (row->state == STATE_DONE)
		return because(why, "it is done");
	if (row->state == STATE_HELD)
		return because(why, "it is held already: %s", row->reason);
	str_format(reason, sizeof(reason), HELD_BY_HAND " %s (uid %" PRIu32 ")",
		h->reason[0] ? h->reason : "no reason given", (uint32_t)h->uid);
	r = spool_page_hold(h->control->service->spool, row->seq, reason);
	return r < 0 ? r : 1;
}

static int release(struct change *h, const struct page_row *row, char why[static WHY_SIZE])
{
	int r = spool_page_release(h->control->service->spool, row->seq);

	if (r == -EALREADY)
		return because(why, "it is not held");
	if (r == -EPERM)
		return because(why, "it was not held by hand, use retry: %s", row->reason);
	return r < 0 ? r : 1;
}

/* Today's route for a page of whose own no backend is configured any more; NULL: its own is good, or there is none. */
static const struct spool_job *another_job(const struct service *s, const struct page_row *row)
{
	const char *route[ROUTE_MAX];
	const struct spool_job *job;

	for (size_t i = 0; i < row->job->n_route; i++)
		if (config_backend(&s->config, row->job->route[i]))
			return NULL;
	for (size_t i = 0; i < s->config.n_route; i++)
		route[i] = s->config.route[i];
	/* The types stay those that were frozen with the page. */
	if (!row->job->types ||
		spool_job_freeze(s->spool, row->job->type, route, s->config.n_route, row->job->types, &job) < 0)
		return NULL;
	return job;
}

/* Without its file or its job there is nothing to ask: it stays as it is, and does not stop the others. */
static int retry(struct change *h, const struct page_row *row, char why[static WHY_SIZE])
{
	const struct service *s = h->control->service;
	int r;

	if (row->state == STATE_DONE)
		return because(why, "it is done: there is nothing to try again");
	r = h->again ? spool_page_pay_again(s->spool, row->seq) : 0;
	if (r >= 0)
		r = spool_page_retry(s->spool, row->seq, another_job(s, row));
	if (r == -ENOENT || r == -EBADMSG || r == -ELOOP)
		return because(why, "it cannot be tried again, its file or its job is gone%s%s",
			row->reason[0] ? ": " : "", row->reason);
	return r < 0 ? r : 1;
}

static int drop(struct change *h, const struct page_row *row, char why[static WHY_SIZE])
{
	struct spool *spool = h->control->service->spool;
	const struct log_field fields[] = {{"PAGE_ID", row->id}};
	char reason[sizeof(row->reason)];
	int r = ledger_page_open(spool, group_leader(row));

	if (r > 0)
		return because(why, "a request for it is out: once more when it is answered");
	if (r < 0)
		return r;
	str_format(reason, sizeof(reason), "dropped by uid %" PRIu32 ": %s", (uint32_t)h->uid, h->reason);
	r = keep_drop(spool, row->seq, reason);
	if (r < 0)
		return r;
	log_event(LOG_LEVEL_NOTICE, MESSAGE_PAGE_DROPPED, fields, ARRAY_SIZE(fields), "page %s is %s", row->id, reason);
	return 1;
}

static const struct act act_hold = {
	"hold", "held", {STATE_QUEUED, STATE_PROVISIONAL}, 2, WAITING, hold, EVENT_PAGE_HELD};
static const struct act act_release = {
	"release", "released", {STATE_HELD}, 1, STATE_BIT(STATE_HELD), release, EVENT_PAGE_QUEUED};
static const struct act act_retry = {
	"retry", "to be tried again", {STATE_HELD}, 1, WAITING | STATE_BIT(STATE_HELD), retry, EVENT_PAGE_QUEUED};
static const struct act act_drop = {
	"drop", "dropped", {-1}, 1, WAITING | STATE_BIT(STATE_HELD) | STATE_BIT(STATE_DONE), drop, EVENT_PAGE_DROPPED};

/* ---- page by page -------------------------------------------------------------------------------------- */

static int note_changed(struct change *h, const char *id)
{
	cJSON *j = cJSON_CreateString(id);

	if (cJSON_AddItemToArray(h->changed, j))
		return 0;
	cJSON_Delete(j);
	return -ENOMEM;
}

static int note_unchanged(struct change *h, const char *id, const char *why)
{
	_cleanup_json_ cJSON *j = NULL;

	h->n_unchanged++;
	if (cJSON_GetArraySize(h->unchanged) >= UNCHANGED_MAX)
		return 0;
	j = cJSON_CreateObject();
	if (!j || json_add_safe(j, "page", id) < 0 || json_add_safe(j, "message", why) < 0 ||
		!cJSON_AddItemToArray(h->unchanged, j))
		return -ENOMEM;
	take_ptr(j);
	return 0;
}

/* Everybody hears of it. What was dropped is told as it was. */
static void tell(struct service *s, const struct act *act, const struct page_row *before)
{
	struct page_row now = *before;

	if (act->event != EVENT_PAGE_DROPPED && spool_page_get(s->spool, before->seq, &now) < 0)
		return;
	(act->event == EVENT_PAGE_DROPPED ? service_event : service_group_event)(
		s, &(struct event){
			   .kind = act->event, .page = &now, .reason = now.state == STATE_HELD ? now.reason : NULL});
}

static int change_one(struct change *h, const struct page_row *row)
{
	char why[WHY_SIZE] = "";
	int r = h->act->change(h, row, why);

	/* Gone or done since it was looked up: between two turns of the loop that is nobody's mistake. */
	if (r == -ENOENT || r == -EALREADY)
		r = because(why, "it has changed meanwhile");
	if (r == 0)
		return note_unchanged(h, row->id, why);
	if (r < 0)
		return r;
	r = note_changed(h, row->id);
	tell(h->control->service, h->act, row);
	return r;
}

/* The page that was named, or why there is none. */
static int change_named(struct change *h, const char *id)
{
	struct spool *spool = h->control->service->spool;
	struct spool_gone gone;
	char why[WHY_SIZE];
	struct page_row row;
	int r = spool_page_find(spool, id, &row);

	if (r >= 0)
		return change_one(h, &row);
	if (r == -ENOENT)
		r = spool_gone_find(spool, id, &gone);
	if (r >= 0)
		because(why, "it is gone: %s", gone.reason);
	else if (r == -ENOENT)
		because(why, "there is no such page");
	else if (r == -ENOTUNIQ)
		because(why, "several ids start so");
	else
		return r;
	return note_unchanged(h, id, why);
}

static bool is_full(const struct change *h)
{
	return cJSON_GetArraySize(h->changed) >= CHANGES_MAX;
}

/* A turn's worth: 1: there may be more, 0: this call's end, or negative errno. */
static int named_slice(struct change *h)
{
	int n = cJSON_GetArraySize(h->named), r = 0;

	for (int i = 0; i < SLICE_CHANGES && h->next < n && r >= 0; i++)
		r = change_named(h, cJSON_GetArrayItem(h->named, h->next++)->valuestring);
	return r < 0 ? r : h->next < n;
}

static int walk_slice(struct change *h)
{
	struct page_row rows[SLICE_CHANGES];
	int changes = 0;

	for (int looked = 0; looked < SLICE_ROWS && changes < SLICE_CHANGES && !is_full(h); looked += SLICE_CHANGES) {
		size_t left = (size_t)(CHANGES_MAX - cJSON_GetArraySize(h->changed));
		ssize_t n = page_walk_step(h->control->service->spool, &h->walk, rows, MIN(left, ARRAY_SIZE(rows)));

		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++, changes++) {
			/* What goes with another page is changed with it. */
			int r = rows[i].leader ? 0 : change_one(h, &rows[i]);

			if (r < 0)
				return r;
		}
		if (page_walk_ended(&h->walk))
			return 0;
	}
	return !is_full(h);
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

/* Where the next call goes on: its state in the walk, and below which page. */
static int add_cursor(const struct change *h, cJSON *obj)
{
	char cursor[48];

	if (h->named || page_walk_ended(&h->walk))
		return 0;
	str_format(cursor, sizeof(cursor), "%zu:%" PRIi64, h->walk.at, h->walk.before);
	return json_add_string(obj, "cursor", cursor);
}

static int answer_json(struct change *h, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_take(j, "pages", take_ptr(h->changed)) < 0 ||
		json_add_take(j, "unchanged", take_ptr(h->unchanged)) < 0 ||
		json_add_i64(j, "unchangedCount", h->n_unchanged) < 0 || add_cursor(h, j) < 0)
		return -ENOMEM;
	*ret = take_ptr(j);
	return 0;
}

static void finish(struct pending *p, int error)
{
	struct control *c = p->control;
	struct varlink_conn *conn = p->conn;
	struct change *h = p->change;
	int n = cJSON_GetArraySize(h->changed);
	cJSON *j = NULL;

	if (n > 0)
		log_notice("pages %s: %d, by uid %" PRIu32, h->act->done, n, (uint32_t)h->uid);
	if (error >= 0)
		error = answer_json(h, &j);
	pending_free(c, p);
	if (n > 0 && c->service->courier)
		courier_kick(c->service->courier);
	if (error < 0 && error != -ENOMEM)
		control_fail_room(conn, error, "the spool cannot be written");
	else
		control_reply_take(conn, error, j);
}

static int on_slice(sd_event_source *source, void *ud)
{
	struct pending *p = ud;
	int r = p->change->named ? named_slice(p->change) : walk_slice(p->change);

	if (r <= 0)
		finish(p, r);
	return 0;
}

/* ---- the call ------------------------------------------------------------------------------------------ */

static int read_cursor(const char *cursor, struct page_walk *w)
{
	const char *colon = strchr(cursor, ':');
	char at[24];
	int64_t n;

	if (!colon || str_format(at, sizeof(at), "%.*s", (int)(colon - cursor), cursor) < 0 ||
		parse_i64(at, 0, (int64_t)w->n_states - 1, &n) < 0 ||
		parse_i64(colon + 1, 0, INT64_MAX, &w->before) < 0)
		return -EINVAL;
	w->at = (size_t)n;
	return 0;
}

/* NULL, or the parameter that is wrong. */
static const char *read_walk(const struct act *act, const cJSON *filter, const char *cursor, struct page_walk *w)
{
	const char *wrong = NULL;

	*w = (struct page_walk){.n_states = act->n_states};
	if (filter_parse(filter, &w->filter, &wrong) < 0)
		return wrong;
	memcpy(w->states, act->states, sizeof(act->states));
	if (w->filter.state >= 0) {
		if (!(act->possible & STATE_BIT(w->filter.state)))
			return "state";
		w->states[0] = w->filter.state;
		w->n_states = 1;
	}
	return cursor && read_cursor(cursor, w) < 0 ? "cursor" : NULL;
}

static const char *read_call(const struct act *act, const cJSON *parameters, struct change *h)
{
	const cJSON *pages = json_get_array(parameters, "pages"), *filter = json_get_object(parameters, "filter");
	const char *reason = json_get_string(parameters, "reason"), *cursor = json_get_string(parameters, "cursor");

	if (!pages == !filter || cJSON_GetArraySize(pages) > MONITOR_PAGES_MAX || (pages && cursor))
		return "pages";
	json_get_bool(parameters, "again", &h->again);
	if (reason && strlen(reason) >= WORDS_MAX)
		return "reason";
	if (reason)
		text_safe_copy(h->reason, sizeof(h->reason), reason);
	if (act == &act_drop && !h->reason[0])
		return "reason";
	return pages ? NULL : read_walk(act, filter, cursor, &h->walk);
}

static int start(struct pending *p, const cJSON *pages)
{
	struct change *h = p->change;
	int r;

	h->changed = cJSON_CreateArray();
	h->unchanged = cJSON_CreateArray();
	if (!h->changed || !h->unchanged || (pages && !(h->named = cJSON_Duplicate(pages, true))))
		return -ENOMEM;
	r = sd_event_add_defer(h->control->service->event, &h->slice, on_slice, p);
	if (r >= 0)
		r = sd_event_source_set_priority(h->slice, SLICE_PRIORITY);
	return r < 0 ? r : sd_event_source_set_enabled(h->slice, SD_EVENT_ON);
}

static void call_act(
	struct control *c, struct varlink_conn *conn, const struct varlink_call *call, const struct act *act)
{
	struct change *h = calloc(1, sizeof(*h));
	const char *wrong = h ? read_call(act, call->parameters, h) : NULL;
	struct pending *p;

	if (wrong) {
		control_invalid(conn, wrong);
		change_free(h);
		return;
	}
	p = h ? pending_new(c, conn, call, PENDING_CHANGE) : NULL;
	if (!p) {
		change_free(h);
		varlink_drop(conn);
		return;
	}
	p->change = h;
	h->act = act;
	h->control = c;
	h->uid = varlink_peer_of(conn)->uid;
	if (start(p, json_get_array(call->parameters, "pages")) < 0)
		varlink_drop(conn);
}

void method_hold(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	call_act(c, conn, call, &act_hold);
}

void method_release(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	call_act(c, conn, call, &act_release);
}

void method_retry(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	call_act(c, conn, call, &act_retry);
}

void method_drop(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	call_act(c, conn, call, &act_drop);
}

/* ---- Confirm ------------------------------------------------------------------------------------------- */

void method_confirm(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	cJSON *j = NULL;
	int lost = spool_ledger_lost(c->service->spool), r = lost > 0 ? spool_confirm(c->service->spool) : lost;

	if (r < 0) {
		control_fail_room(conn, r, "the spool cannot be written");
		return;
	}
	if (lost > 0) {
		log_notice("backends that cost go on after the ledger was lost: confirmed by uid %" PRIu32,
			(uint32_t)varlink_peer_of(conn)->uid);
		if (c->service->courier)
			courier_kick(c->service->courier);
	}
	j = cJSON_CreateObject();
	r = json_add_bool(j, "confirmed", lost > 0);
	control_reply_take(conn, r, j);
}
