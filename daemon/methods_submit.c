/* What spends money: scans, files, retries. */
#include "daemon/methods.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/courier.h"
#include "daemon/intake.h"

#define RETRY_SLICE 8 /* pages in one turn of the loop: each is a commit */

/* ---- what may be refused ------------------------------------------------------------------------------- */

static void fail_room(struct varlink_conn *conn, int error, const char *why)
{
	cJSON *j = cJSON_CreateObject();
	const char *reason = error == -EROFS ? "read-only" : error == -ENOSPC || error == -EDQUOT ? "full" : "storage";

	if (!j || json_add_string(j, "reason", reason) < 0 || json_add_safe(j, "message", why) < 0) {
		cJSON_Delete(j);
		varlink_drop(conn);
		return;
	}
	varlink_error_take(conn, INTERFACE ".NoRoom", j);
}

static void fail_type(struct control *c, struct varlink_conn *conn, const char *type)
{
	const struct typeset *types = c->service->types;
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *known = cJSON_AddArrayToObject(j, "known");

	if (!known || json_add_safe(j, "type", type) < 0 ||
		!cJSON_AddItemToArray(known, cJSON_CreateString("auto"))) {
		varlink_drop(conn);
		return;
	}
	for (size_t i = 0; types && i < types->n_types; i++)
		cJSON_AddItemToArray(known, cJSON_CreateString(types->types[i]->name));
	varlink_error_take(conn, INTERFACE ".NoSuchType", take_ptr(j));
}

/* Is the uid's share of waiting pages used up? */
static bool over_quota(struct control *c, struct varlink_conn *conn)
{
	const struct varlink_peer *peer = varlink_peer_of(conn);
	int64_t n = 0;

	if (control_rights(c, peer) & RIGHT_MANAGE)
		return false;
	return db_get_i64(spool_db(c->service->spool), &n,
		       "SELECT count(*) FROM (SELECT 1 FROM pages WHERE owner = ? AND state IN ('queued', "
		       "'provisional') LIMIT ?)",
		       "ii", (int64_t)peer->uid, (int64_t)QUOTA_PAGES) < 0 ||
	       n >= QUOTA_PAGES;
}

/* Answers and returns false when nothing may be taken in now. */
static bool may_take(struct control *c, struct varlink_conn *conn, const char *type)
{
	char message[128];

	if (c->service->stopping || !c->service->intake) {
		control_fail(conn, "NotNow", "message", "the service is stopping");
		return false;
	}
	if (!streq(type, "auto") && !typeset_find(c->service->types, type)) {
		fail_type(c, conn, type);
		return false;
	}
	if (over_quota(c, conn)) {
		str_format(message, sizeof(message),
			"%d pages of this user are waiting already: try again when some are done",
			QUOTA_PAGES);
		control_fail(conn, "Busy", "message", message);
		return false;
	}
	return true;
}

static void fail_start(
	struct control *c, struct varlink_conn *conn, int error, const char *type, const char *why)
{
	switch (error) {
	case -ENOENT:
		fail_type(c, conn, type);
		break;
	case -EBUSY:
		control_fail(conn, "Busy", "message", why);
		break;
	case -ENOSPC:
	case -EDQUOT:
	case -EROFS:
	case -EIO:
		fail_room(conn, error, why);
		break;
	default:
		control_fail(conn, "NotNow", "message", *why ? why : errno_text(error));
	}
}

/* ---- Scan and Submit ----------------------------------------------------------------------------------- */

static void start(struct control *c, struct varlink_conn *conn, const struct varlink_call *call,
	const struct intake_request *request)
{
	struct pending *p = pending_new(c, conn, call, PENDING_SCAN);
	char why[256] = "";
	uint64_t scan = 0;
	int r;

	if (!p || !(p->pages = cJSON_CreateArray())) {
		varlink_drop(conn);
		return;
	}
	r = intake_start(c->service->intake, request, &scan, why, sizeof(why));
	if (r < 0) {
		pending_free(c, p);
		fail_start(c, conn, r, request->type, why);
		return;
	}
	p->scan = scan;
}

void method_scan(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const struct config *config = &c->service->config;
	const char *source = json_get_string(call->parameters, "source");
	const char *type = json_get_string(call->parameters, "type");
	struct intake_request request = {.fd = -1, .lane = LANE_NOW, .owner = varlink_peer_of(conn)->uid};

	/* A peer names a configured source and never makes the service open a path of its own. */
	if (source && !streq(source, config->source)) {
		control_fail(conn, "NoSuchSource", "source", source);
		return;
	}
	request.source = config->source;
	request.type = type ? type : config->type;
	if (may_take(c, conn, request.type))
		start(c, conn, call, &request);
}

/* A regular file that can be read, or why not. */
static const char *descriptor_problem(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return "the descriptor cannot be used";
	if (!S_ISREG(st.st_mode))
		return "the descriptor is no regular file";
	if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
		return "the descriptor is not open for reading";
	return NULL;
}

void method_submit(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const char *name = json_get_string(call->parameters, "name");
	const char *type = json_get_string(call->parameters, "type");
	const char *lane = json_get_string(call->parameters, "lane");
	_cleanup_close_ int fd = varlink_take_fd(conn);
	struct intake_request request = {.owner = varlink_peer_of(conn)->uid};
	char safe[NAME_MAX_LEN + 1] = "";
	const char *problem;
	int64_t index = -1;

	json_get_i64(call->parameters, "file", &index);
	problem = index != 0 ? "`file` must be 0: one descriptor comes with a message"
		  : fd < 0   ? "no descriptor came with the message"
			     : descriptor_problem(fd);
	if (problem) {
		control_fail(conn, "BadDescriptor", "message", problem);
		return;
	}
	if (lane && !streq(lane, "now") && !streq(lane, "backlog")) {
		control_invalid(conn, "lane");
		return;
	}
	request.fd = fd;
	request.name = name ? text_safe_copy(safe, sizeof(safe), name) : NULL;
	request.type = type ? type : c->service->config.type;
	request.lane = lane && streq(lane, "backlog") ? LANE_BACKLOG : LANE_NOW;
	if (may_take(c, conn, request.type))
		start(c, conn, call, &request);
}

/* ---- Retry --------------------------------------------------------------------------------------------- */

static void tell_queued(struct service *s, int64_t seq)
{
	struct page_row row;

	if (spool_page_get(s->spool, seq, &row) >= 0)
		service_event(s, &(struct event){.kind = EVENT_PAGE_QUEUED, .page = &row});
}

/* Its file or its job is gone or damaged: it stays held with the reason that it has, and does not stop the others. */
static bool cannot_be_retried(int r)
{
	return r == -ENOENT || r == -EBADMSG || r == -ELOOP;
}

static int retry_one(struct control *c, struct pending *p, const struct page_row *row)
{
	cJSON *id;
	int r;

	if (row->state == STATE_DONE) /* since it was asked for */
		return 0;
	r = spool_page_retry(c->service->spool, row->seq);
	if (cannot_be_retried(r)) {
		p->stays_held = row->seq;
		return 0;
	}
	if (r < 0)
		return r;
	tell_queued(c->service, row->seq);
	id = cJSON_CreateString(row->id);
	if (!cJSON_AddItemToArray(p->retried, id)) {
		cJSON_Delete(id);
		return -ENOMEM;
	}
	return 0;
}

/* The next page: 1, 0 at the end, or negative errno. */
static int retry_next(struct control *c, struct pending *p, struct page_row *row)
{
	ssize_t n;
	int r;

	if (cJSON_GetArraySize(p->retried) >= RETRY_ALL_MAX)
		return 0;
	if (p->all) { /* downwards: a page that is held again at once comes only once */
		n = spool_page_list(c->service->spool, STATE_HELD, p->before, row, 1);
		if (n > 0)
			p->before = row->seq;
		return (int)n;
	}
	if (p->next_page >= cJSON_GetArraySize(p->pages))
		return 0;
	r = spool_page_find(
		c->service->spool, cJSON_GetArrayItem(p->pages, p->next_page++)->valuestring, row);
	return r < 0 ? r : 1;
}

static void fail_stays_held(struct control *c, struct varlink_conn *conn, int64_t seq)
{
	struct page_row row;
	char message[sizeof(row.id) + sizeof(row.reason) + 64];
	int r = spool_page_get(c->service->spool, seq, &row);

	if (r < 0) {
		control_reply_take(conn, r, NULL);
		return;
	}
	str_format(message, sizeof(message), "%s cannot be tried again, its file or its job is gone: %s", row.id, row.reason);
	control_fail(conn, "NotNow", "message", message);
}

static void retry_finish(struct control *c, struct pending *p, int error)
{
	struct varlink_conn *conn = p->conn;
	int64_t stays_held = p->all ? 0 : p->stays_held;
	cJSON *j = error < 0 ? NULL : cJSON_CreateObject();

	if (error >= 0)
		error = json_add_take(j, "pages", take_ptr(p->retried));
	pending_free(c, p);
	if (c->service->courier)
		courier_kick(c->service->courier);
	if (error < 0 && error != -ENOMEM) {
		cJSON_Delete(j);
		fail_room(conn, error, "the spool cannot be written");
		return;
	}
	if (error >= 0 && stays_held) {
		cJSON_Delete(j);
		fail_stays_held(c, conn, stays_held);
		return;
	}
	control_reply_take(conn, error, j);
}

static int retry_slice(sd_event_source *source, void *ud)
{
	struct pending *p = ud;
	struct control *c = p->control;
	struct page_row row;
	int r = 0;

	for (int i = 0; i < RETRY_SLICE; i++) {
		r = retry_next(c, p, &row);
		if (r > 0 && (r = retry_one(c, p, &row)) == 0)
			r = 1;
		if (r <= 0)
			break;
	}
	if (r <= 0)
		retry_finish(c, p, r);
	return 0;
}

/* Every page must be there and not done before the first is touched. */
static bool may_retry(struct control *c, struct varlink_conn *conn, const cJSON *pages)
{
	struct page_row row;
	const cJSON *id;

	cJSON_ArrayForEach (id, pages) {
		char message[96];

		if (!control_find_page(c, conn, id->valuestring, &row))
			return false;
		if (row.state != STATE_DONE)
			continue;
		str_format(message, sizeof(message), "%s is done: there is nothing to try again", row.id);
		control_fail(conn, "NotNow", "message", message);
		return false;
	}
	return true;
}

void method_retry(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const cJSON *pages = json_get_array(call->parameters, "pages");
	bool all = false;
	struct pending *p;

	json_get_bool(call->parameters, "all", &all);
	if (!pages == !all || cJSON_GetArraySize(pages) > MONITOR_PAGES_MAX) {
		control_invalid(conn, "pages");
		return;
	}
	if (!all && !may_retry(c, conn, pages))
		return;
	p = pending_new(c, conn, call, PENDING_RETRY);
	if (!p || !(p->retried = cJSON_CreateArray()) ||
		(pages && !(p->pages = cJSON_Duplicate(pages, true))) ||
		sd_event_add_defer(c->service->event, &p->slice, retry_slice, p) < 0 ||
		sd_event_source_set_enabled(p->slice, SD_EVENT_ON) < 0) {
		varlink_drop(conn);
		return;
	}
	p->all = all;
}
