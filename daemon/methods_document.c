/* Documents of several pages: for whom they are open, and that one has its last page. */
#include "daemon/methods.h"

#include "base/log.h"
#include "daemon/courier.h"
#include "daemon/document.h"
#include "daemon/intake.h"

/* ---- Scan and Submit ----------------------------------------------------------------------------------- */

static bool fail_full(struct varlink_conn *conn, const char *message)
{
	control_fail(conn, "Busy", "message", message);
	return false;
}

bool document_may_take(struct control *c, struct varlink_conn *conn, const char *type, struct intake_request *q)
{
	struct document open[DOCUMENTS_OPEN_MAX], d;
	int r;

	if (!q->document)
		return true;
	if (!document_name_valid(q->document)) {
		control_invalid(conn, "document");
		return false;
	}
	r = document_find(c->service->spool, q->document, q->owner, &d);
	if (r == -ENOENT) {
		r = (int)document_list(c->service->spool, open, DOCUMENTS_OPEN_MAX);
		if (r == DOCUMENTS_OPEN_MAX)
			return fail_full(conn, "too many documents are open: end some");
	} else if (r >= 0) {
		if (d.pages >= DOCUMENT_PAGES_MAX)
			return fail_full(conn, "the document has as many pages as one may have: end it");
		if (type && !streq(type, d.job->type)) {
			control_fail(conn, "NotNow", "message", "the document has pages already that are asked as another type");
			return false;
		}
		q->type = d.job->type;
		q->job = d.job;
	}
	if (r < 0)
		control_reply_take(conn, r, NULL);
	return r >= 0;
}

/* ---- EndDocument --------------------------------------------------------------------------------------- */

static int pages_of(struct spool *s, int64_t document, cJSON *array)
{
	struct stmt *st = NULL;
	int r = db_query(spool_db(s), &st, "SELECT page FROM pages WHERE document = ? ORDER BY position, seq LIMIT ?", "ii", document,
		(int64_t)DOCUMENT_PAGES_MAX);

	while (r >= 0 && (r = stmt_next(st)) > 0) {
		cJSON *id = cJSON_CreateString(stmt_text(st, 0));

		if (!cJSON_AddItemToArray(array, id)) {
			cJSON_Delete(id);
			stmt_done(st);
			return -ENOMEM;
		}
	}
	return r;
}

static int ended_json(struct service *s, const struct document *d, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *pages = cJSON_AddArrayToObject(j, "pages");
	int r;

	if (!pages || json_add_string(j, "document", d->document) < 0)
		return -ENOMEM;
	r = pages_of(s->spool, d->id, pages);
	if (r >= 0)
		*ret = take_ptr(j);
	return r;
}

void method_end_document(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	struct service *s = c->service;
	const char *name = json_get_string(call->parameters, "name");
	struct document d;
	cJSON *j = NULL;
	int r = document_find(s->spool, name, varlink_peer_of(conn)->uid, &d);

	if (r == -ENOENT) {
		control_fail(conn, "NoSuchDocument", "name", name);
		return;
	}
	if (r >= 0 && s->intake && intake_has_document(s->intake, name, d.owner)) {
		control_fail(conn, "Busy", "message", "a page of it is being taken in");
		return;
	}
	if (r >= 0)
		r = document_end(s->spool, d.id);
	if (r < 0) {
		control_fail_room(conn, r, "the spool cannot be written");
		return;
	}
	if (s->courier)
		courier_kick(s->courier);
	r = ended_json(s, &d, &j);
	control_reply_take(conn, r, j);
}

/* ---- Documents ----------------------------------------------------------------------------------------- */

static int document_json(const struct document *d, cJSON *array)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_safe(j, "name", d->name) < 0 || json_add_string(j, "document", d->document) < 0 ||
		json_add_safe(j, "type", d->job->type) < 0 || json_add_i64(j, "pages", d->pages) < 0 || !cJSON_AddItemToArray(array, j))
		return -ENOMEM;
	take_ptr(j);
	return 0;
}

static int documents_json(struct spool *s, int64_t owner, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *array = cJSON_AddArrayToObject(j, "documents");
	struct document open[DOCUMENTS_OPEN_MAX];
	ssize_t n = document_list(s, open, DOCUMENTS_OPEN_MAX);
	int r = array ? 0 : -ENOMEM;

	for (ssize_t i = 0; i < n && r >= 0; i++)
		if (open[i].owner == owner)
			r = document_json(&open[i], array);
	if (n < 0 || r < 0)
		return n < 0 ? (int)n : r;
	*ret = take_ptr(j);
	return 0;
}

void method_documents(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	cJSON *j = NULL;
	int r = documents_json(c->service->spool, varlink_peer_of(conn)->uid, &j);

	control_reply_take(conn, r, j);
}
