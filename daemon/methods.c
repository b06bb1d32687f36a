#include "daemon/methods.h"

#include "daemon/courier.h"
#include "daemon/ledger.h"
#include "daemon/watch.h"

#define LIST_LIMIT_DEFAULT 50
#define DAY_MS             86400000
#define SHOW_BYTES_MAX     ((size_t)768 << 10) /* of attempts and of results together: an answer fits a queue */

/* ---- Status -------------------------------------------------------------------------------------------- */

static int add_counts(struct service *s, cJSON *obj)
{
	struct spool_counts n;
	cJSON *j;
	int r;

	r = spool_counts(s->spool, &n);
	if (r < 0)
		return r;
	j = cJSON_CreateObject();
	if (!j || json_add_i64(j, "queued", n.queued) < 0 ||
		json_add_i64(j, "provisional", n.provisional) < 0 || json_add_i64(j, "done", n.done) < 0 ||
		json_add_i64(j, "held", n.held) < 0 || json_add_i64(j, "undelivered", n.undelivered) < 0) {
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

/* Of the current day (UTC). */
static int add_spent(struct service *s, cJSON *obj)
{
	int64_t now = clock_realtime_ms(s->clock), spent = 0, possibly = 0;
	int r;

	r = ledger_spent(s->spool, now - now % DAY_MS, &spent, &possibly);
	if (r >= 0)
		r = json_add_money(obj, "spentPicoUsd", spent);
	return r < 0 ? r : json_add_money(obj, "possiblyBilledPicoUsd", possibly);
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
		json_add_string(j, "clock", time_trust_name(clock_trust(s->clock))) < 0 ||
		json_add_i64(j, "freeBytes", spool_bytes_free(s->spool)) < 0 ||
		json_add_bool(j, "room", room) < 0 || (!room && json_add_string(j, "roomReason", why) < 0))
		return -ENOMEM;
	r = add_counts(s, j);
	if (r >= 0)
		r = add_route(s, j);
	if (r >= 0)
		r = add_lights(s, j);
	if (r >= 0)
		r = add_spent(s, j);
	if (r >= 0)
		r = add_watches(s, j);
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

bool control_find_page(struct control *c, struct varlink_conn *conn, const char *id, struct page_row *ret)
{
	int r = spool_page_find(c->service->spool, id, ret);

	if (r == -ENOTUNIQ)
		control_fail(conn, "Ambiguous", "page", id);
	else if (r == -ENOENT || r == -EINVAL)
		control_fail(conn, "NoSuchPage", "page", id);
	else if (r < 0)
		control_reply_take(conn, r, NULL);
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

static int list_json(struct service *s, int state, int64_t before, size_t limit, cJSON **ret)
{
	_cleanup_free_ struct page_row *rows =
		calloc(limit + 1, sizeof(*rows)); /* one more: is there more? */
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *pages = NULL;
	ssize_t n;
	int r;

	if (!rows || !j)
		return -ENOMEM;
	n = spool_page_list(s->spool, state, before, rows, limit + 1);
	if (n < 0)
		return (int)n;
	r = pages_json(s, rows, MIN((size_t)n, limit), &pages);
	if (r >= 0)
		r = json_add_take(j, "pages", pages);
	if (r >= 0)
		r = json_add_bool(j, "more", (size_t)n > limit);
	if (r < 0)
		return r;
	*ret = take_ptr(j);
	return 0;
}

static void method_list(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const char *state = json_get_string(call->parameters, "state");
	const char *before = json_get_string(call->parameters, "before");
	int64_t limit = LIST_LIMIT_DEFAULT;
	enum page_state wanted = STATE_QUEUED;
	struct page_row row = {};
	cJSON *j = NULL;
	int r;

	json_get_i64(call->parameters, "limit", &limit);
	if (state && page_state_parse(state, &wanted) < 0) {
		control_invalid(conn, "state");
		return;
	}
	if (limit < 1 || limit > LIST_LIMIT_MAX) {
		control_invalid(conn, "limit");
		return;
	}
	if (before && !control_find_page(c, conn, before, &row))
		return;
	r = list_json(c->service, state ? (int)wanted : -1, row.seq, (size_t)limit, &j);
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
		r = ledger_results_json(s->spool, p->seq, results);
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

	if (!control_find_page(c, conn, json_get_string(call->parameters, "page"), &row))
		return;
	r = show_json(c->service, &row, &j);
	control_reply_take(conn, r, j);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

const struct method methods[] = {
	{"Status", RIGHT_LOOK, false, method_status, {}},
	{"Scan", RIGHT_SUBMIT, false, method_scan,
		{{"source", PARAM_STRING, false}, {"type", PARAM_STRING, false}}},
	{"Submit", RIGHT_SUBMIT, false, method_submit,
		{{"file", PARAM_INT, true}, {"name", PARAM_STRING, false}, {"type", PARAM_STRING, false},
			{"lane", PARAM_STRING, false}}},
	{"List", RIGHT_LOOK, false, method_list,
		{{"state", PARAM_STRING, false}, {"before", PARAM_STRING, false},
			{"limit", PARAM_INT, false}}},
	{"Show", RIGHT_READ, false, method_show, {{"page", PARAM_STRING, true}}},
	{"Monitor", RIGHT_LOOK, true, method_monitor, {{"pages", PARAM_STRINGS, false}}},
	{"Retry", RIGHT_SUBMIT, false, method_retry,
		{{"pages", PARAM_STRINGS, false}, {"all", PARAM_BOOL, false}}},
	{},
};
