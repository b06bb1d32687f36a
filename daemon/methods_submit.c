/* What brings pages: scans and files. */
#include "daemon/methods.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/intake.h"

/* ---- what may be refused ------------------------------------------------------------------------------- */

void control_fail_room(struct varlink_conn *conn, int error, const char *why)
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
		control_fail_room(conn, error, why);
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

	json_get_bool(call->parameters, "again", &request.again);

	/* A peer names a configured source and never makes the service open a path of its own. */
	if (source && !streq(source, config->source)) {
		control_fail(conn, "NoSuchSource", "source", source);
		return;
	}
	request.source = config->source;
	request.type = type ? type : config->type;
	request.document = json_get_string(call->parameters, "document");
	if (may_take(c, conn, request.type) && document_may_take(c, conn, type, &request))
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

	json_get_bool(call->parameters, "again", &request.again);
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
	request.document = json_get_string(call->parameters, "document");
	if (may_take(c, conn, request.type) && document_may_take(c, conn, type, &request))
		start(c, conn, call, &request);
}
