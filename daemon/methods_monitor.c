/* Events on their way to monitors and to the calls that wait for them. */
#include "daemon/methods.h"

/* More than this queued to a monitor: events are counted, not told, until it has read. */
#define MONITOR_QUEUE_MAX ((size_t)256 << 10)
#define SCAN_PAGES_MAX    4096 /* ids that a final reply lists */

/* ---- one event as text, made once for all -------------------------------------------------------------- */

struct event_text {
	struct buf plain;       /* {"event":{...}} */
	struct buf with_result; /* the same with the page's current result; empty: it has none */
	bool made;
	int error;
};

static int make_text(struct service *s, const struct event *e, struct event_text *t)
{
	_cleanup_json_ cJSON *event = NULL;
	_cleanup_buf_ struct buf body = {}, result = {};
	int r;

	r = event_json(s, e, &event);
	if (r >= 0)
		r = json_print(event, false, &body);
	if (r >= 0)
		r = buf_addf(&t->plain, "{\"event\":%s}", buf_str(&body));
	if (r < 0 || !e->page || (e->kind != EVENT_PAGE_DONE && e->kind != EVENT_PAGE_PROVISIONAL))
		return r;
	r = result_text(s, e->page, &result);
	if (r <= 0)
		return r;
	/* Both are texts of objects: the result goes before the event's closing brace. */
	body.data[--body.len] = 0;
	return buf_addf(&t->with_result, "{\"event\":%s,\"result\":%s}}", buf_str(&body), buf_str(&result));
}

static const struct buf *event_text(
	struct control *c, const struct event *e, struct event_text *t, bool fields)
{
	if (!t->made) {
		t->error = make_text(c->service, e, t);
		t->made = true;
	}
	if (t->error < 0)
		return NULL;
	return fields && t->with_result.len ? &t->with_result : &t->plain;
}

/* ---- monitors ------------------------------------------------------------------------------------------ */

static bool wants_page(const struct pending *p, const struct event *e)
{
	const cJSON *id;

	if (!p->pages)
		return true;
	if (!e->page)
		return false;
	cJSON_ArrayForEach (id, p->pages)
		if (streq(id->valuestring, e->page->id))
			return true;
	return false;
}

void monitor_drained(struct control *c, struct pending *p)
{
	_cleanup_buf_ struct buf text = {};
	char now[TIMESTAMP_SIZE];

	if (!p->lost)
		return;
	timestamp_format(clock_realtime_ms(c->service->clock), true, now);
	if (buf_addf(&text,
		    "{\"event\":{\"kind\":\"lost\",\"time\":\"%s\",\"message\":\"%llu events were not told: "
		    "they were not read in time\"}}",
		    now, (unsigned long long)p->lost) < 0)
		return;
	p->lost = 0;
	varlink_reply(p->conn, text.data, text.len, true);
}

static void monitor_event(struct control *c, struct pending *p, const struct event *e, struct event_text *t)
{
	const struct buf *text;

	if (!wants_page(p, e))
		return;
	if (!varlink_queued(p->conn))
		monitor_drained(c, p);
	text = p->lost || varlink_queued(p->conn) > MONITOR_QUEUE_MAX
		       ? NULL
		       : event_text(c, e, t, p->rights & RIGHT_READ);
	if (text)
		varlink_reply(p->conn, text->data, text->len, true);
	else
		p->lost++;
}

void method_monitor(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const cJSON *pages = json_get_array(call->parameters, "pages");
	struct pending *p;

	if (pages && cJSON_GetArraySize(pages) > MONITOR_PAGES_MAX) {
		control_invalid(conn, "pages");
		return;
	}
	p = pending_new(c, conn, call, PENDING_MONITOR);
	if (!p || (pages && !(p->pages = cJSON_Duplicate(pages, true))))
		varlink_drop(conn);
}

/* ---- calls that wait for their scan -------------------------------------------------------------------- */

static void scan_ended(struct control *c, struct pending *p, const struct buf *text)
{
	_cleanup_buf_ struct buf reply = {}, pages = {};
	struct varlink_conn *conn = p->conn;

	if (!text || json_print(p->pages, false, &pages) < 0 ||
		buf_add(&reply, text->data, text->len - 1) < 0 ||
		buf_addf(&reply, ",\"pages\":%s}", buf_str(&pages)) < 0)
		varlink_drop(conn);
	else
		varlink_reply(conn, reply.data, reply.len, false);
	pending_free(c, p);
}

/* Its page, for the list in the final reply. */
static void scan_keep(struct pending *p, const struct event *e)
{
	if (e->kind == EVENT_PAGE_ACCEPTED && e->page && cJSON_GetArraySize(p->pages) < SCAN_PAGES_MAX &&
		!cJSON_AddItemToArray(p->pages, cJSON_CreateString(e->page->id)))
		varlink_drop(p->conn);
}

static void scan_event(struct control *c, struct pending *p, const struct event *e, struct event_text *t)
{
	const struct buf *text;

	if (!e->scan || p->scan != e->scan)
		return;
	scan_keep(p, e);
	if (e->kind == EVENT_SCAN_ENDED) {
		scan_ended(c, p, event_text(c, e, t, false));
		return;
	}
	if (!p->more)
		return;
	text = event_text(c, e, t, false);
	if (text)
		varlink_reply(p->conn, text->data, text->len, true);
}

void control_event(struct control *c, const struct event *e)
{
	struct event_text t = {};
	struct pending *next;

	for (struct pending *p = c ? c->pending : NULL; p; p = next) {
		next = p->next;
		if (p->kind == PENDING_MONITOR)
			monitor_event(c, p, e, &t);
		else if (p->kind == PENDING_SCAN)
			scan_event(c, p, e, &t);
	}
	buf_free(&t.plain);
	buf_free(&t.with_result);
}
