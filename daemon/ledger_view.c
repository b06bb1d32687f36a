/* The ledger's sums, and its rows as JSON for the control interface. */
#include <stdio.h>

#include "base/log.h"
#include "daemon/ledger.h"
#include "daemon/spool_internal.h"

#define SAME_MAX 8 /* pages of one content that are looked at */

/* The contents of the pages that are asked with a leader. One that is not known is like no other. */
#define WITH_IT(leader)                                                                                                          \
	"(SELECT coalesce(group_concat(c, ' '), '') FROM (SELECT coalesce(content, page) AS c FROM pages WHERE leader = " leader   \
	" ORDER BY position, seq))"

int ledger_same(struct spool *s, const struct page_row *p, const char *model, struct ledger_same *ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	struct ledger_same same = {};
	int r;

	r = db_query(s->db, &st,
		"SELECT t.page, r.type, r.raw FROM (SELECT seq, page, job FROM pages INDEXED BY pages_content WHERE content = ?"
		" AND version > 0 AND seq <> ? AND leader IS NULL ORDER BY seq DESC LIMIT ?) t JOIN jobs j ON j.id = t.job JOIN results r ON r.page = t.seq"
		" JOIN attempts a ON a.id = r.attempt WHERE j.typeset = (SELECT typeset FROM jobs WHERE id = ?) AND a.model = ?"
		" AND " WITH_IT("t.seq") " = " WITH_IT("?")
		" ORDER BY t.seq DESC, r.version DESC LIMIT 1",
		"siiisi", p->content, p->seq, (int64_t)SAME_MAX, p->job->id, model, p->seq);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	text_cut(same.page, sizeof(same.page), stmt_text(st, 0));
	text_cut(same.type, sizeof(same.type), stmt_text(st, 1));
	same.raw = strdup(stmt_text(st, 2));
	if (!same.raw)
		return -ENOMEM;
	*ret = same;
	return 1;
}

int ledger_page_cost(struct spool *s, int64_t seq, int64_t *ret_pusd)
{
	int r = db_get_i64(s->db, ret_pusd,
		"SELECT coalesce(sum(coalesce(settled_pusd, reserved_pusd)), 0) FROM attempts"
		" WHERE page = ?",
		"i", seq);
	return r < 0 ? r : 0;
}

int ledger_page_open(struct spool *s, int64_t seq)
{
	int64_t one;

	return db_get_i64(s->db, &one, "SELECT 1 FROM attempts WHERE page = ? AND closed_ms IS NULL LIMIT 1", "i", seq);
}

int ledger_answered(struct spool *s, const struct page_row *p, char ret[static BACKEND_NAME_SIZE])
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	ret[0] = '\0';
	if (p->version == 0)
		return 0;
	r = db_query(s->db, &st,
		"SELECT a.backend FROM results r JOIN attempts a ON a.id = r.attempt WHERE r.page = ? AND r.version = ?", "ii",
		p->seq, p->version);
	if (r >= 0)
		r = stmt_next(st);
	if (r > 0)
		text_cut(ret, BACKEND_NAME_SIZE, stmt_text(st, 0));
	return r;
}

/* ---- as the varlink type Attempt ------------------------------------------------------------- */

enum column {
	A_ID,
	A_BACKEND,
	A_MODEL,
	A_REGION,
	A_HOST,
	A_OPENED,
	A_OUTCOME,
	A_REASON,
	A_MESSAGE,
	A_BILLED,
	A_RESERVED,
	A_SETTLED,
	A_INPUT,
	A_OUTPUT,
	A_REQUEST,
	A_STATUS,
	A_DURATION,
	A_RENDERING,
	A_PRICED,
};

static const struct {
	const char *name;
	enum column column;
	enum { TEXT, OPTIONAL_TEXT, INTEGER, OPTIONAL_INTEGER, MONEY, OPTIONAL_MONEY, TIME, OPTIONAL_OBJECT } kind;
} members[] = {
	{"id", A_ID, INTEGER},
	{"backend", A_BACKEND, TEXT},
	{"model", A_MODEL, OPTIONAL_TEXT},
	{"region", A_REGION, OPTIONAL_TEXT},
	{"host", A_HOST, OPTIONAL_TEXT},
	{"opened", A_OPENED, TIME},
	{"outcome", A_OUTCOME, OPTIONAL_TEXT},
	{"reason", A_REASON, OPTIONAL_TEXT},
	{"message", A_MESSAGE, OPTIONAL_TEXT},
	{"billed", A_BILLED, OPTIONAL_TEXT},
	{"reservedPicoUsd", A_RESERVED, MONEY},
	{"settledPicoUsd", A_SETTLED, OPTIONAL_MONEY},
	{"tokensInput", A_INPUT, OPTIONAL_INTEGER},
	{"tokensOutput", A_OUTPUT, OPTIONAL_INTEGER},
	{"requestId", A_REQUEST, OPTIONAL_TEXT},
	{"httpStatus", A_STATUS, OPTIONAL_INTEGER},
	{"durationMs", A_DURATION, OPTIONAL_INTEGER},
	{"rendering", A_RENDERING, OPTIONAL_OBJECT},
	{"priced", A_PRICED, OPTIONAL_TEXT},
};

/* Of our own making; one that is damaged is as if it were not there. */
static int add_object(cJSON *j, const char *name, const char *text)
{
	cJSON *object = NULL;
	int r = json_parse(text, strlen(text), &object, NULL);

	return r == -EBADMSG ? 0 : r < 0 ? r : json_add_take(j, name, object);
}

static int add_member(struct stmt *st, size_t i, cJSON *j)
{
	int column = (int)members[i].column;
	const char *name = members[i].name;
	char text[TIMESTAMP_SIZE];

	switch (members[i].kind) {
	case OPTIONAL_TEXT:
	case OPTIONAL_INTEGER:
	case OPTIONAL_MONEY:
	case OPTIONAL_OBJECT:
		if (stmt_null(st, column))
			return 0;
		break;
	default:
		break;
	}
	switch (members[i].kind) {
	case INTEGER:
	case OPTIONAL_INTEGER:
		return json_add_i64(j, name, stmt_i64(st, column));
	case MONEY: /* picodollars as digits in a string: 64 bits do not fit every reader */
	case OPTIONAL_MONEY:
		str_format(text, sizeof(text), "%lld", (long long)stmt_i64(st, column));
		return json_add_string(j, name, text);
	case OPTIONAL_OBJECT:
		return add_object(j, name, stmt_text(st, column));
	case TIME:
		timestamp_format(stmt_i64(st, column), false, text);
		return json_add_string(j, name, text);
	default:
		return json_add_string(j, name, stmt_text(st, column));
	}
}

static int attempt_json(struct stmt *st, cJSON *array)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(members); i++)
		r = add_member(st, i, j);
	if (r < 0)
		return r;
	return cJSON_AddItemToArray(array, take_ptr(j)) ? 0 : -ENOMEM;
}

int ledger_attempts_json(struct spool *s, int64_t seq, cJSON *array)
{
	struct stmt *st;
	int r;

	r = db_query(s->db, &st,
		"SELECT id, backend, model, region, host, opened_ms, outcome, reason, message, billed,"
		" reserved_pusd, settled_pusd, tokens_input, tokens_output, request_id, http_status, "
		"duration_ms, CASE page WHEN ?1 THEN rendering ELSE"
		" (SELECT p.rendering FROM attempt_pages p WHERE p.attempt = attempts.id AND p.page = ?1) END, priced"
		" FROM attempts WHERE page = ?1 OR id IN (SELECT attempt FROM attempt_pages WHERE page = ?1) ORDER BY id",
		"i", seq);
	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		r = attempt_json(st, array);
		if (r < 0) {
			stmt_done(st);
			return r;
		}
	}
	return r;
}

int ledger_results_json(struct spool *s, int64_t seq, cJSON *array)
{
	struct stmt *st;
	int r;

	r = db_query(s->db, &st, "SELECT json FROM results WHERE page = ? ORDER BY version", "i", seq);
	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		const char *text = stmt_text(st, 0);
		cJSON *j;

		r = json_parse(text, strlen(text), &j, NULL);
		if (r >= 0 && !cJSON_AddItemToArray(array, j))
			r = -ENOMEM;
		if (r < 0) {
			stmt_done(st);
			return r;
		}
	}
	return r;
}
