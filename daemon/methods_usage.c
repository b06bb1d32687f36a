/* Usage: table usage as it is, row by row in its order; and apart from it what is open. */
#include "daemon/methods.h"

#include <stdio.h>

#include "base/parse.h"

#define DAY_MS      INT64_C(86400000)
#define DAY_SIZE    sizeof("2026-11-21")
#define DAYS_BACK   30
#define ROWS_MAX    500 /* a reply of some 250 KiB */
#define CURSOR_SIZE 384

struct usage_query {
	int64_t since, until; /* days since 1970; `until` itself is not meant */
	/* the last row that the caller has */
	int64_t day;
	char backend[BACKEND_NAME_SIZE], type[33], model[256];
};

static int day_parse(const char *text, int64_t *ret)
{
	char full[DAY_SIZE + 10];
	int64_t ms;
	int r = strlen(text) == DAY_SIZE - 1 ? str_format(full, sizeof(full), "%sT00:00:00Z", text) : -EINVAL;

	if (r < 0 || parse_timestamp(full, &ms) < 0)
		return -EINVAL;
	*ret = ms / DAY_MS;
	return 0;
}

static int add_day(cJSON *obj, const char *name, int64_t day)
{
	char text[TIMESTAMP_SIZE];

	timestamp_format(day * DAY_MS, false, text);
	text[DAY_SIZE - 1] = '\0';
	return json_add_string(obj, name, text);
}

/* "DAY BACKEND TYPE MODEL"; type and model may be empty. */
static int cursor_parse(const char *text, struct usage_query *q)
{
	char day[DAY_SIZE] = "";
	const char *type, *model;

	if (strlen(text) >= CURSOR_SIZE || strlen(text) < DAY_SIZE || text[DAY_SIZE - 1] != ' ')
		return -EINVAL;
	memcpy(day, text, DAY_SIZE - 1);
	text += DAY_SIZE;
	type = strchr(text, ' ');
	model = type ? strchr(type + 1, ' ') : NULL;
	if (!model || str_format(q->backend, sizeof(q->backend), "%.*s", (int)(type - text), text) < 0 ||
		str_format(q->type, sizeof(q->type), "%.*s", (int)(model - type - 1), type + 1) < 0 ||
		str_copy(q->model, sizeof(q->model), model + 1) < 0)
		return -EINVAL;
	return day_parse(day, &q->day);
}

enum column { U_DAY, U_BACKEND, U_MODEL, U_TYPE, U_NUMBERS };
static const struct {
	const char *name;
	bool money;
} numbers[] = {{"requests", false}, {"answers", false}, {"unreported", false}, {"pages", false}, {"reused", false}, {"tokensInput", false},
	{"tokensOutput", false}, 	{"tokensCached", false}, {"costPicoUsd", true}, {"possiblyBilledPicoUsd", true}};

static int add_names(struct stmt *st, int first, cJSON *j)
{
	int r = json_add_safe(j, "backend", stmt_text(st, first));

	return r < 0 || !*stmt_text(st, first + 1) ? r : json_add_safe(j, "model", stmt_text(st, first + 1));
}

static int row_json(struct stmt *st, cJSON *array)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? add_day(j, "day", stmt_i64(st, U_DAY)) : -ENOMEM;

	if (r >= 0)
		r = add_names(st, U_BACKEND, j);
	if (r >= 0 && *stmt_text(st, U_TYPE))
		r = json_add_safe(j, "type", stmt_text(st, U_TYPE));
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(numbers); i++)
		r = (numbers[i].money ? json_add_money : json_add_i64)(j, numbers[i].name, stmt_i64(st, U_NUMBERS + (int)i));
	return r < 0 ? r : cJSON_AddItemToArray(array, take_ptr(j)) ? 0 : -ENOMEM;
}

/* In the caller's object, when rows are left after the one that `st` is at. */
static int add_cursor(struct stmt *st, cJSON *obj)
{
	char cursor[CURSOR_SIZE], day[TIMESTAMP_SIZE];

	timestamp_format(stmt_i64(st, U_DAY) * DAY_MS, false, day);
	if (str_format(cursor, sizeof(cursor), "%.10s %s %s %s", day, stmt_text(st, U_BACKEND), stmt_text(st, U_TYPE), stmt_text(st, U_MODEL)) < 0)
		return -EMSGSIZE;
	return json_add_string(obj, "cursor", cursor);
}

static int add_rows(struct spool *s, const struct usage_query *q, cJSON *obj)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	cJSON *rows = cJSON_AddArrayToObject(obj, "usage");
	int n = 0, r = rows ? 0 : -ENOMEM;

	if (r >= 0)
		r = db_query(spool_db(s), &st,
			"SELECT day, backend, model, type, attempts - reused, answers, unreported, pages, reused, tokens_input, tokens_output, tokens_cached,"
			" settled_pusd, possibly_pusd FROM usage WHERE day >= ? AND day < ? AND (day, backend, model, type) > (?, ?, ?, ?)"
			" ORDER BY day, backend, model, type LIMIT ?",
			"iiisssi", q->since, q->until, q->day, q->backend, q->model, q->type, (int64_t)ROWS_MAX);
	while (r >= 0 && (r = stmt_next(st)) > 0) {
		r = row_json(st, rows);
		if (r >= 0 && ++n == ROWS_MAX) /* the next call finds out whether there are more */
			return add_cursor(st, obj);
	}
	return r;
}

static int open_row_json(struct stmt *st, cJSON *array)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? add_names(st, 0, j) : -ENOMEM;

	if (r >= 0)
		r = json_add_i64(j, "open", stmt_i64(st, 2));
	if (r >= 0)
		r = json_add_money(j, "reservedPicoUsd", stmt_i64(st, 3));
	return r < 0 ? r : cJSON_AddItemToArray(array, take_ptr(j)) ? 0 : -ENOMEM;
}

static int add_open(struct spool *s, cJSON *obj)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	cJSON *rows = cJSON_AddArrayToObject(obj, "open");
	int r = rows ? 0 : -ENOMEM;

	if (r >= 0)
		r = db_query(spool_db(s), &st,
			"SELECT backend, coalesce(model, ''), count(*), sum(reserved_pusd) FROM attempts WHERE closed_ms IS NULL GROUP BY 1, 2", "");
	while (r >= 0 && (r = stmt_next(st)) > 0)
		r = open_row_json(st, rows);
	return r;
}

static int usage_json(struct spool *s, const struct usage_query *q, int64_t today, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? add_rows(s, q, j) : -ENOMEM;

	if (r >= 0)
		r = add_open(s, j);
	if (r >= 0)
		r = add_day(j, "since", q->since);
	if (r >= 0)
		r = add_day(j, "today", today);
	if (r >= 0)
		*ret = take_ptr(j);
	return r;
}

void method_usage(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const char *since = json_get_string(call->parameters, "since"), *until = json_get_string(call->parameters, "until");
	const char *cursor = json_get_string(call->parameters, "cursor");
	int64_t today = budget_day(c->service->spool);
	struct usage_query q = {.since = MAX(today - DAYS_BACK, (int64_t)0), .until = INT64_MAX};
	cJSON *j = NULL;
	int r;

	if (since && day_parse(since, &q.since) < 0) {
		control_invalid(conn, "since");
		return;
	}
	if (until && day_parse(until, &q.until) < 0) {
		control_invalid(conn, "until");
		return;
	}
	if (cursor && cursor_parse(cursor, &q) < 0) {
		control_invalid(conn, "cursor");
		return;
	}
	r = usage_json(c->service->spool, &q, today, &j);
	control_reply_take(conn, r, j);
}
