#include "daemon/methods.h"

#include "base/text.h"
#include "daemon/beside.h"
#include "daemon/courier.h"
#include "daemon/ledger.h"

int json_add_safe(cJSON *obj, const char *name, const char *value)
{
	_cleanup_buf_ struct buf safe = {};
	int r;

	if (utf8_valid(value, strlen(value)))
		return json_add_string(obj, name, value);
	r = text_safe(&safe, value, strlen(value), 0);
	return r < 0 ? r : json_add_string(obj, name, buf_str(&safe));
}

/* Leaves the member out when there is nothing to say. */
static int add_optional(cJSON *obj, const char *name, const char *value)
{
	return value && *value ? json_add_safe(obj, name, value) : 0;
}

static int add_time(cJSON *obj, const char *name, int64_t ms)
{
	char text[TIMESTAMP_SIZE];

	timestamp_format(ms, true, text);
	return json_add_string(obj, name, text);
}

int json_add_money(cJSON *obj, const char *name, int64_t pusd)
{
	char text[24];

	str_format(text, sizeof(text), "%lld", (long long)pusd);
	return json_add_string(obj, name, text);
}

static int add_leader(struct service *s, const struct page_row *p, cJSON *obj)
{
	char backend[BACKEND_NAME_SIZE] = "";
	struct page_row leader;
	int r = spool_page_get(s->spool, p->leader, &leader);

	if (r == -ENOENT)
		return 0; /* it has aged out a moment before */
	if (r >= 0)
		r = ledger_answered(s->spool, &leader, backend);
	if (r >= 0)
		r = add_optional(obj, "backend", backend);
	return r < 0 ? r : json_add_string(obj, "leader", leader.id);
}

/* The backend whose answer the page has. */
static int add_backend(struct service *s, const struct page_row *p, cJSON *obj)
{
	char backend[BACKEND_NAME_SIZE];
	int r = ledger_answered(s->spool, p, backend);

	/* What is told of a page that goes with another is that one's, and which it is. */
	if (p->leader && r >= 0)
		return add_leader(s, p, obj);
	return r < 0 ? r : add_optional(obj, "backend", backend);
}

static int add_cost(struct service *s, const struct page_row *p, cJSON *obj)
{
	int64_t pusd = 0;
	int r = ledger_page_cost(s->spool, p->seq, &pusd);

	return r < 0 ? r : json_add_money(obj, "costPicoUsd", pusd);
}

/* What was found when it was looked at: docs/architecture.md, "Page sense". */
static int add_sense(struct service *s, const struct page_row *p, cJSON *obj)
{
	_cleanup_json_ cJSON *capture = NULL;
	_cleanup_stmt_ struct stmt *st = NULL;
	const char *text;
	cJSON *sense;
	int r;

	r = db_query(spool_db(s->spool), &st, "SELECT capture FROM pages WHERE seq = ?", "i", p->seq);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	text = stmt_text(st, 0);
	if (!text || json_parse(text, strlen(text), &capture, NULL) < 0)
		return 0;
	sense = cJSON_DetachItemFromObjectCaseSensitive(capture, "sense");
	return sense ? json_add_take(obj, "sense", sense) : 0;
}

static int add_beside(struct service *s, const struct page_row *p, cJSON *obj)
{
	static const char *const names[] = {"thumbnailBytes", "originalBytes"};
	int r = 0;

	for (enum beside_kind k = 0; k < BESIDE_KINDS && r >= 0; k++) {
		int64_t bytes = beside_size(s->spool, p->id, k);

		r = bytes > 0 ? json_add_i64(obj, names[k], bytes) : 0;
	}
	return r;
}

static int add_answering(struct service *s, const struct page_row *p, cJSON *obj)
{
	int64_t bytes = s->courier ? courier_answering(s->courier, p->seq) : 0;

	return bytes > 0 ? json_add_i64(obj, "answering", bytes) : 0;
}

int page_json(struct service *s, const struct page_row *p, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j)
		return -ENOMEM;
	if (json_add_string(j, "id", p->id) < 0 || json_add_string(j, "document", p->document) < 0 ||
		json_add_i64(j, "position", p->position) < 0 ||
		json_add_safe(j, "type", p->job ? p->job->type : "unknown") < 0 ||
		json_add_string(j, "state", page_state_name(p->state)) < 0 ||
		add_optional(j, "reason", p->reason) < 0 || add_time(j, "accepted", p->accepted_ms) < 0 ||
		json_add_string(j, "trust", time_trust_name(p->accepted_trust)) < 0 ||
		json_add_safe(j, "source", p->source) < 0 || add_optional(j, "name", p->name) < 0 ||
		json_add_i64(j, "bytes", p->bytes) < 0 || json_add_i64(j, "width", p->width) < 0 ||
		json_add_i64(j, "height", p->height) < 0 || json_add_i64(j, "tries", p->tries) < 0 ||
		json_add_i64(j, "version", p->version) < 0)
		return -ENOMEM;
	if (add_beside(s, p, j) < 0 || add_answering(s, p, j) < 0)
		return -ENOMEM;
	if (add_backend(s, p, j) < 0 || add_cost(s, p, j) < 0 || add_sense(s, p, j) < 0)
		return -EIO;
	*ret = take_ptr(j);
	return 0;
}

int lights_json(const struct lights *l, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_string(j, "captured", light_name(l->captured)) < 0 ||
		json_add_string(j, "safe", light_name(l->safe)) < 0 ||
		json_add_string(j, "delivered", light_name(l->delivered)) < 0)
		return -ENOMEM;
	*ret = take_ptr(j);
	return 0;
}

static int add_event_backend(struct service *s, const struct event *e, cJSON *obj)
{
	cJSON *backend = NULL;

	if (!e->backend || !s->courier || courier_backend_json(s->courier, e->backend, &backend) < 0)
		return 0;
	return json_add_take(obj, "backend", backend);
}

static int add_event_lights(struct service *s, const struct event *e, cJSON *obj)
{
	cJSON *lights = NULL;
	int r;

	if (e->kind != EVENT_LIGHTS)
		return 0;
	r = lights_json(&s->lights, &lights);
	return r < 0 ? r : json_add_take(obj, "lights", lights);
}

static int add_event_page(struct service *s, const struct event *e, cJSON *obj)
{
	cJSON *page = NULL;
	int r;

	if (!e->page)
		return 0;
	r = page_json(s, e->page, &page);
	return r < 0 ? r : json_add_take(obj, "page", page);
}

int event_json(struct service *s, const struct event *e, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_string(j, "kind", event_kind_name(e->kind)) < 0 ||
		add_time(j, "time", clock_realtime_ms(s->clock)) < 0 || add_event_page(s, e, j) < 0 ||
		add_optional(j, "name", e->name) < 0 || add_optional(j, "reason", e->reason) < 0 ||
		add_optional(j, "message", e->message) < 0 || add_event_backend(s, e, j) < 0 ||
		add_event_lights(s, e, j) < 0)
		return -ENOMEM;
	*ret = take_ptr(j);
	return 0;
}

int result_text(struct service *s, const struct page_row *p, struct buf *out)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(spool_db(s->spool), &st,
		"SELECT r.json FROM pages p JOIN results r ON r.page = p.seq AND r.version = p.version WHERE p.seq = ?", "i",
		p->leader ? p->leader : p->seq);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	r = buf_adds(out, stmt_text(st, 0));
	return r < 0 ? r : 1;
}
