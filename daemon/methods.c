#include "daemon/methods.h"

#include <inttypes.h>

#include "base/chain.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/courier.h"
#include "daemon/document.h"
#include "daemon/ledger.h"
#include "daemon/scanner.h"
#include "daemon/upkeep.h"
#include "daemon/watch.h"

#define LIST_LIMIT_DEFAULT 50
#define RECEIPTS_BYTES_MAX ((size_t)256 << 10) /* of lines: with their quoting an answer fits a queue */
#define SHOW_BYTES_MAX     ((size_t)768 << 10) /* of attempts and of results together: an answer fits a queue */

/* ---- Status -------------------------------------------------------------------------------------------- */

static int add_counts(struct service *s, cJSON *obj)
{
	struct spool_counts n;
	int64_t undelivered;
	cJSON *j;
	int r;

	r = spool_counts(s->spool, &n);
	if (r >= 0)
		r = spool_undelivered(s->spool, &undelivered);
	if (r < 0)
		return r;
	j = cJSON_CreateObject();
	if (!j || json_add_i64(j, "queued", n.queued) < 0 ||
		json_add_i64(j, "provisional", n.provisional) < 0 || json_add_i64(j, "done", n.done) < 0 ||
		json_add_i64(j, "held", n.held) < 0 || json_add_i64(j, "undelivered", undelivered) < 0) {
		cJSON_Delete(j);
		return -ENOMEM;
	}
	return json_add_take(obj, "counts", j);
}

static int add_route(struct service *s, cJSON *obj)
{
	cJSON *route = cJSON_AddArrayToObject(obj, "route");
	cJSON *backends = cJSON_AddArrayToObject(obj, "backends");

	if (!route || !backends)
		return -ENOMEM;
	for (size_t i = 0; i < s->config.n_route; i++)
		if (!cJSON_AddItemToArray(route, cJSON_CreateString(s->config.route[i])))
			return -ENOMEM;
	return s->courier ? courier_backends_json(s->courier, backends) : 0;
}

static int add_watches(struct service *s, cJSON *obj)
{
	cJSON *watches = cJSON_AddArrayToObject(obj, "watches");

	return !watches ? -ENOMEM : s->watch ? watch_json(s->watch, watches) : 0;
}

/* Of the budget's day, whatever the clock says. */
static int add_spent(struct service *s, cJSON *obj)
{
	struct budget_sums sums;
	int r = budget_sums(s->spool, &sums);

	if (r >= 0)
		r = json_add_money(obj, "spentPicoUsd", sums.day_pusd + sums.open_pusd);
	return r < 0 ? r : json_add_money(obj, "possiblyBilledPicoUsd", sums.possibly_pusd);
}

/* Limits that there are, and what counts against them. */
static int add_budget(struct service *s, cJSON *obj)
{
	const struct budget_limits *l = &s->config.budget;
	struct budget_sums sums;
	cJSON *j;
	int r;

	if (l->day_pusd == 0 && l->month_pusd == 0)
		return 0;
	r = budget_sums(s->spool, &sums);
	if (r < 0)
		return r;
	j = cJSON_AddObjectToObject(obj, "budget");
	if (!j)
		return -ENOMEM;
	if (l->day_pusd > 0)
		r = json_add_money(j, "dayLimitPicoUsd", l->day_pusd);
	if (r >= 0 && l->month_pusd > 0)
		r = json_add_money(j, "monthLimitPicoUsd", l->month_pusd);
	if (r >= 0)
		r = json_add_money(j, "daySpentPicoUsd", sums.day_pusd);
	if (r >= 0)
		r = json_add_money(j, "monthSpentPicoUsd", sums.month_pusd);
	if (r >= 0)
		r = json_add_money(j, "reservedPicoUsd", sums.open_pusd);
	if (r >= 0)
		r = json_add_bool(j, "over", s->courier && courier_is_over_budget(s->courier));
	if (r >= 0)
		r = json_add_string(j, "whenOver", s->config.over_budget == OVER_NEXT ? "next" : "wait");
	return r < 0 ? r : json_add_i64(j, "dayEndsInMs", budget_resets_in_ms(s->spool));
}

static int add_lights(struct service *s, cJSON *obj)
{
	cJSON *lights = NULL;
	int r = lights_json(&s->lights, &lights);

	return r < 0 ? r : json_add_take(obj, "lights", lights);
}

static int status_json(struct service *s, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char why[256] = "";
	bool room = spool_room(s->spool, why, sizeof(why)) >= 0;
	int r;

	if (!j || json_add_string(j, "version", PAGEFERRY_VERSION) < 0 ||
		json_add_safe(j, "spool", spool_directory(s->spool)) < 0 ||
		json_add_bool(j, "lab", s->config.lab) < 0 ||
		json_add_i64(j, "uptimeMs", clock_boottime_ms(s->clock) - s->started_ms) < 0 ||
		json_add_i64(j, "stallMaxMs", s->stall_ms) < 0 ||
		json_add_string(j, "clock", time_trust_name(clock_trust(s->clock))) < 0 ||
		json_add_i64(j, "freeBytes", spool_bytes_free(s->spool)) < 0 ||
		json_add_bool(j, "room", room) < 0 || (!room && json_add_string(j, "roomReason", why) < 0))
		return -ENOMEM;
	r = spool_ledger_lost(s->spool);
	if (r >= 0)
		r = json_add_bool(j, "ledgerLost", r > 0);
	if (r >= 0)
		r = add_counts(s, j);
	if (r >= 0)
		r = add_route(s, j);
	if (r >= 0)
		r = add_lights(s, j);
	if (r >= 0)
		r = add_spent(s, j);
	if (r >= 0)
		r = add_budget(s, j);
	if (r >= 0)
		r = add_watches(s, j);
	if (r >= 0)
		r = scanner_json(s->scanner, j);
	if (r < 0)
		return r;
	*ret = take_ptr(j);
	return 0;
}

static void method_status(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	cJSON *j = NULL;
	int r = status_json(c->service, &j);

	control_reply_take(conn, r, j);
}

static void fail_gone(struct control *c, struct varlink_conn *conn, const struct spool_gone *g)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char time[TIMESTAMP_SIZE];
	int64_t pusd = 0;

	timestamp_format(g->gone_ms, false, time);
	if (!j || ledger_page_cost(c->service->spool, g->seq, &pusd) < 0 || json_add_string(j, "page", g->id) < 0 ||
		json_add_safe(j, "reason", g->reason) < 0 || json_add_string(j, "time", time) < 0 ||
		json_add_money(j, "costPicoUsd", pusd) < 0)
		varlink_drop(conn);
	else
		varlink_error_take(conn, INTERFACE ".Gone", take_ptr(j));
}

/* What is wrong with an id: there is no such page, several, or it is gone (0: *gone says how). */
static int find_failed(struct control *c, struct varlink_conn *conn, const char *id, int error, struct spool_gone *gone)
{
	int r = error == -ENOENT || error == -EINVAL ? spool_gone_find(c->service->spool, id, gone) : error;

	if (r == -ENOTUNIQ)
		control_fail(conn, "Ambiguous", "page", id);
	else if (r == -ENOENT)
		control_fail(conn, "NoSuchPage", "page", id);
	else if (r < 0)
		control_reply_take(conn, r, NULL);
	return r;
}

bool method_find_page(struct control *c, struct varlink_conn *conn, const char *id, struct page_row *ret)
{
	int r = spool_page_find(c->service->spool, id, ret);
	struct spool_gone gone;

	if (r < 0 && find_failed(c, conn, id, r, &gone) >= 0)
		fail_gone(c, conn, &gone);
	return r >= 0;
}

/* ---- List ---------------------------------------------------------------------------------------------- */

static int pages_json(struct service *s, const struct page_row *rows, size_t n, cJSON **ret)
{
	_cleanup_json_ cJSON *pages = cJSON_CreateArray();
	int r;

	if (!pages)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		cJSON *page = NULL;

		r = page_json(s, &rows[i], &page);
		if (r < 0)
			return r;
		if (!cJSON_AddItemToArray(pages, page)) {
			cJSON_Delete(page);
			return -ENOMEM;
		}
	}
	*ret = take_ptr(pages);
	return 0;
}

/* Fills `rows` with those that are meant, until there are `max` or enough was looked at: how many, or negative errno. */
static ssize_t list_rows(struct service *s, struct page_walk *w, struct page_row *rows, size_t max)
{
	size_t n = 0, looked = 0;

	while (n < max && looked < LOOK_MAX && !page_walk_ended(w)) {
		ssize_t r = page_walk_step(s->spool, w, rows + n, max - n);

		if (r < 0)
			return r;
		looked += max - n;
		n += (size_t)r;
	}
	return (ssize_t)n;
}

static int list_json(struct service *s, struct page_walk *w, size_t limit, cJSON **ret)
{
	_cleanup_free_ struct page_row *rows =
		calloc(limit + 1, sizeof(*rows)); /* one more: is there more? */
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	const char *last = w->looked_at;
	cJSON *pages = NULL;
	ssize_t n;
	bool more;
	int r;

	if (!rows || !j)
		return -ENOMEM;
	n = list_rows(s, w, rows, limit + 1);
	if (n < 0)
		return (int)n;
	more = (size_t)n > limit || !page_walk_ended(w);
	if ((size_t)n > limit)
		last = rows[limit - 1].id;
	r = pages_json(s, rows, MIN((size_t)n, limit), &pages);
	if (r >= 0)
		r = json_add_take(j, "pages", pages);
	if (r >= 0)
		r = json_add_bool(j, "more", more);
	if (r >= 0 && more)
		r = json_add_string(j, "before", last);
	if (r < 0)
		return r;
	*ret = take_ptr(j);
	return 0;
}

/* The place of a page in the order, also of one that has gone since the call before. False: the call is answered. */
static bool find_seq(struct control *c, struct varlink_conn *conn, const char *id, int64_t *ret)
{
	struct spool_gone gone = {};
	struct page_row row;
	int r = spool_page_find(c->service->spool, id, &row);

	if (r < 0 && find_failed(c, conn, id, r, &gone) < 0)
		return false;
	*ret = r < 0 ? gone.seq : row.seq;
	return true;
}

static void method_list(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const char *before = json_get_string(call->parameters, "before"), *wrong = NULL;
	struct page_walk walk = {.states = {-1}, .n_states = 1};
	int64_t limit = LIST_LIMIT_DEFAULT;
	cJSON *j = NULL;
	int r;

	json_get_i64(call->parameters, "limit", &limit);
	if (limit < 1 || limit > LIST_LIMIT_MAX)
		wrong = "limit";
	else
		filter_parse(json_get_object(call->parameters, "filter"), &walk.filter, &wrong);
	if (wrong) {
		control_invalid(conn, wrong);
		return;
	}
	if (before && !find_seq(c, conn, before, &walk.before))
		return;
	walk.states[0] = walk.filter.state;
	r = list_json(c->service, &walk, (size_t)limit, &j);
	control_reply_take(conn, r, j);
}

/* ---- Show ---------------------------------------------------------------------------------------------- */

/* Drops the oldest items until the rest fits into `max` bytes of JSON: a page that was retried for years is
 * still shown. */
static int keep_newest(cJSON *array, size_t max)
{
	size_t used = 0;

	for (int i = cJSON_GetArraySize(array) - 1; i >= 0; i--) {
		_cleanup_buf_ struct buf text = {};
		int r = json_print(cJSON_GetArrayItem(array, i), false, &text);

		if (r < 0)
			return r;
		used += text.len + 1;
		if (used <= max)
			continue;
		for (int drop = 0; drop <= i; drop++)
			cJSON_DeleteItemFromArray(array, 0);
		break;
	}
	return 0;
}

static int show_json(struct service *s, const struct page_row *p, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *attempts = cJSON_AddArrayToObject(j, "attempts");
	cJSON *results = cJSON_AddArrayToObject(j, "results");
	cJSON *page = NULL;
	int r;

	if (!attempts || !results)
		return -ENOMEM;
	r = page_json(s, p, &page);
	if (r >= 0)
		r = json_add_take(j, "page", page);
	if (r >= 0)
		r = ledger_attempts_json(s->spool, p->seq, attempts);
	if (r >= 0)
		r = ledger_results_json(s->spool, group_leader(p), results);
	if (r >= 0)
		r = keep_newest(attempts, SHOW_BYTES_MAX / 4);
	if (r >= 0)
		r = keep_newest(results, SHOW_BYTES_MAX / 4 * 3);
	if (r < 0)
		return r;
	*ret = take_ptr(j);
	return 0;
}

static void method_show(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	struct page_row row;
	cJSON *j = NULL;
	int r;

	if (!method_find_page(c, conn, json_get_string(call->parameters, "page"), &row))
		return;
	r = show_json(c->service, &row, &j);
	control_reply_take(conn, r, j);
}

/* ---- Receipts ------------------------------------------------------------------------------------------ */

static int receipts_json(struct service *s, int64_t after, int64_t heads, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *lines = cJSON_AddArrayToObject(j, "lines");
	bool more;
	int r;

	if (!lines)
		return -ENOMEM;
	r = receipt_lines(s->spool, after, heads, RECEIPTS_BYTES_MAX, lines, &more);
	if (r >= 0)
		r = json_add_bool(j, "more", more);
	if (r >= 0)
		*ret = take_ptr(j);
	return r;
}

static void method_receipts(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	int64_t after = 0, heads = 0;
	cJSON *j = NULL;
	int r;

	if (json_get_i64(call->parameters, "after", &after) == -EBADMSG || after < 0) {
		control_invalid(conn, "after");
		return;
	}
	if (json_get_i64(call->parameters, "heads", &heads) == -EBADMSG || heads < 0) {
		control_invalid(conn, "heads");
		return;
	}
	r = receipts_json(c->service, after, heads, &j);
	control_reply_take(conn, r, j);
}

static void method_change_key(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	char why[200] = "";
	int r = upkeep_change_key(c->service->upkeep, why, sizeof(why));

	if (r < 0) {
		control_fail(conn, "NotNow", "message", why[0] ? why : errno_text(r));
		return;
	}
	log_notice("the key of the receipts changes: asked by uid %" PRIu32, (uint32_t)varlink_peer_of(conn)->uid);
	control_reply_take(conn, 0, cJSON_CreateObject());
}

/* The reason stands in a head for ever: what is not for a terminal is not let in. */
static void method_replace_key(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const char *reason = json_get_string(call->parameters, "reason");
	char why[200] = "", safe[CHAIN_WHY_MAX], by[CHAIN_BY_MAX];
	int r;

	if (!reason || !reason[0] || strlen(reason) >= sizeof(safe)) {
		control_invalid(conn, "reason");
		return;
	}
	str_format(by, sizeof(by), "uid %" PRIu32, (uint32_t)varlink_peer_of(conn)->uid);
	r = upkeep_replace_key(c->service->upkeep, &(struct head_loss){text_safe_copy(safe, sizeof(safe), reason), by}, why, sizeof(why));
	if (r < 0) {
		control_fail(conn, "NotNow", "message", why[0] ? why : errno_text(r));
		return;
	}
	log_notice("the key of the receipts is lost and another one takes its place: asked by %s: %s", by, safe);
	control_reply_take(conn, 0, cJSON_CreateObject());
}

/* ---- the table ----------------------------------------------------------------------------------------- */

#define CHANGE_PARAMS                                                                                        \
	{"pages", PARAM_STRINGS, false}, {"filter", PARAM_OBJECT, false}, {"cursor", PARAM_STRING, false}

const struct method methods[] = {
	{"Status", RIGHT_LOOK, false, method_status, {}},
	{"Scan", RIGHT_SUBMIT, false, method_scan,
		{{"source", PARAM_STRING, false}, {"type", PARAM_STRING, false}, {"again", PARAM_BOOL, false},
			{"document", PARAM_STRING, false}}},
	{"Submit", RIGHT_SUBMIT, false, method_submit,
		{{"file", PARAM_INT, true}, {"name", PARAM_STRING, false}, {"type", PARAM_STRING, false},
			{"lane", PARAM_STRING, false}, {"again", PARAM_BOOL, false}, {"document", PARAM_STRING, false}}},
	{"EndDocument", RIGHT_SUBMIT, false, method_end_document, {{"name", PARAM_STRING, true}}},
	{"Documents", RIGHT_SUBMIT, false, method_documents, {}},
	{"List", RIGHT_LOOK, false, method_list,
		{{"filter", PARAM_OBJECT, false}, {"before", PARAM_STRING, false},
			{"limit", PARAM_INT, false}}},
	{"Show", RIGHT_READ, false, method_show, {{"page", PARAM_STRING, true}}},
	{"Crop", RIGHT_READ, false, method_crop,
		{{"page", PARAM_STRING, true}, {"x", PARAM_INT, true}, {"y", PARAM_INT, true}, {"width", PARAM_INT, true},
			{"height", PARAM_INT, true}}},
	{"Monitor", RIGHT_LOOK, true, method_monitor, {{"pages", PARAM_STRINGS, false}}},
	{"Hold", RIGHT_SUBMIT, false, method_hold,
		{CHANGE_PARAMS, {"reason", PARAM_STRING, false}}},
	{"Release", RIGHT_SUBMIT, false, method_release, {CHANGE_PARAMS}},
	{"Retry", RIGHT_SUBMIT, false, method_retry, {CHANGE_PARAMS, {"again", PARAM_BOOL, false}}},
	{"Drop", RIGHT_MANAGE, false, method_drop,
		{CHANGE_PARAMS, {"reason", PARAM_STRING, true}}},
	{"Confirm", RIGHT_MANAGE, false, method_confirm, {}},
	{"Doctor", RIGHT_LOOK, false, method_doctor,
		{{"areas", PARAM_STRINGS, false}, {"live", PARAM_BOOL, false}, {"ask", PARAM_BOOL, false}}},
	{"ChangeKey", RIGHT_MANAGE, false, method_change_key, {}},
	{"ReplaceKey", RIGHT_MANAGE, false, method_replace_key, {{"reason", PARAM_STRING, true}}},
	{"Receipts", RIGHT_READ, false, method_receipts, {{"after", PARAM_INT, false}, {"heads", PARAM_INT, false}}},
	{"Usage", RIGHT_LOOK, false, method_usage,
		{{"since", PARAM_STRING, false}, {"until", PARAM_STRING, false}, {"cursor", PARAM_STRING, false}}},
	{},
};
