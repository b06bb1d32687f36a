/* From the capture helper's frames to accepted pages: page, data..., page-end; or reject. */
#include "daemon/intake_internal.h"

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/messages.h"
#include "daemon/scanner.h"

#define DATA_MAX    ((uint64_t)64 << 10)
#define CAPTURE_MAX 16384 /* bytes of JSON kept about how a page was made */
#define SIDE_MAX    65535
#define HELD_BLANK  "blank page: retry sends it all the same"

void intake_page_drop(struct intake_run *r)
{
	spool_page_abort(r->writer);
	r->writer = NULL;
	intake_beside_drop(r);
	r->last_page[0] = 0;
	cJSON_Delete(take_ptr(r->capture));
	r->bytes = 0;
	r->failed = false;
}

static int fail(struct intake_run *r, int error, const char *what)
{
	str_copy(r->failure, sizeof(r->failure), what);
	return error;
}

static void rejected(struct intake_run *r, const char *name, const char *reason, const char *message)
{
	char safe_name[256], safe_reason[48], safe_message[240];

	r->rejected++;
	text_safe_copy(safe_name, sizeof(safe_name), name);
	text_safe_copy(safe_reason, sizeof(safe_reason), reason);
	text_safe_copy(safe_message, sizeof(safe_message), message);
	log_notice("no page from %s: %s: %s", safe_name[0] ? safe_name : "the source", safe_reason, safe_message);
	service_event(r->service, &(struct event){
		.kind = EVENT_PAGE_REJECTED,
		.scan = r->number,
		.name = safe_name,
		.reason = safe_reason,
		.message = safe_message,
	});
}

static int side(const cJSON *head, const char *name, uint32_t *ret)
{
	int64_t v;

	if (json_get_i64(head, name, &v) < 0 || v < 1 || v > SIDE_MAX)
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 0;
}

static int keep_capture(struct intake_run *r, const cJSON *head)
{
	const cJSON *capture = json_get_object(head, "capture");

	if (capture && !(r->capture = cJSON_Duplicate(capture, true)))
		return -ENOMEM;
	return 0;
}

/* ---- page sense: what the helper found ------------------------------------------------------- */

/* What a person is told while the paper still lies there. Nothing that the helper says is shown as it is. */
struct doubt {
	const char *word, *message;
	bool look_again;
};

static const struct doubt doubts[] = {
	{"nothing", "there seems to be no page: scan it again?", true},
	{"blurred", "looks blurred: scan it again?", true},
	{"glare", "light has washed out a part of it: scan it again?", true},
	{"cut-off", "looks cut off: scan it again?", true},
};
static const struct doubt blank_doubt = {"blank", "looks blank", false};

static bool is_blank(const cJSON *sense)
{
	bool blank = false;

	json_get_bool(json_get_object(sense, "blank"), "blank", &blank);
	return blank;
}

/* NULL: it came out well, or nobody looked. */
static const struct doubt *doubt_of(const cJSON *sense)
{
	const char *verdict = json_get_string(json_get_object(sense, "gate"), "verdict");

	for (size_t i = 0; verdict && i < ARRAY_SIZE(doubts); i++)
		if (streq(verdict, doubts[i].word))
			return &doubts[i];
	return is_blank(sense) ? &blank_doubt : NULL;
}

/* What was found at the end joins what was done from the start. */
static int keep_found(struct intake_run *r, const cJSON *end)
{
	cJSON *sense = cJSON_GetObjectItemCaseSensitive(r->capture, "sense");
	const cJSON *found;

	if (!sense || !cJSON_IsObject(sense)) {
		cJSON_DeleteItemFromObjectCaseSensitive(r->capture, "sense");
		return json_get_object(end, "sense")
			       ? json_add_take(r->capture, "sense", cJSON_Duplicate(json_get_object(end, "sense"), true))
			       : 0;
	}
	cJSON_ArrayForEach (found, json_get_object(end, "sense")) {
		int e = json_add_take(sense, found->string, cJSON_Duplicate(found, true));

		if (e < 0)
			return e;
	}
	return 0;
}

/* As it is stored: with the times of every stage, which only the page's end knows. Nothing when it is more than anybody
 * reads: the page matters, this does not. */
static int capture_text(struct intake_run *r, const cJSON *end, struct buf *out)
{
	const cJSON *ms = json_get_object(end, "ms");
	int e;

	if (!r->capture)
		return 0;
	e = keep_found(r, end);
	if (e < 0)
		return e;
	if (ms) {
		cJSON_DeleteItemFromObjectCaseSensitive(r->capture, "ms");
		e = json_add_take(r->capture, "ms", cJSON_Duplicate(ms, true));
		if (e < 0)
			return e;
	}
	e = json_print(r->capture, false, out);
	if (e == -EMSGSIZE)
		buf_clear(out);
	return e == -EMSGSIZE ? 0 : e;
}

static int page_begin(struct intake_run *r, const cJSON *head)
{
	const char *name = json_get_string(head, "name");
	struct spool_meta meta = {
		.job = r->job,
		.lane = r->lane,
		.again = r->again,
		.source = r->source ? "scan" : r->taken.name ? "watch" : "file",
		.taken = r->taken.name ? &r->taken : NULL,
		.document_name = r->document,
		.owner = r->owner,
		.position = 1,
	};
	int e;

	r->heard = true;
	if (r->parked)
		return fail(r, -EBADMSG, "a page that nobody asked for");
	intake_beside_drop(r);
	r->last_page[0] = 0;
	if (r->writer || r->failed)
		return fail(r, -EBADMSG, "a page began inside another");
	if (json_get_i64(head, "index", &r->index) < 0 || side(head, "width", &r->width) < 0 || side(head, "height", &r->height) < 0)
		return fail(r, -EBADMSG, "a page without index, width or height");
	if (!name || !*name)
		name = r->name ? r->name : "";
	text_safe_copy(r->page_name, sizeof(r->page_name), r->name ? r->name : name);
	if (r->page_name[0])
		meta.name = r->page_name;
	e = spool_room(r->service->spool, r->failure, sizeof(r->failure));
	if (e < 0)
		return e;
	e = keep_capture(r, head);
	if (e < 0)
		return e;
	e = spool_page_begin(r->service->spool, &meta, &r->writer);
	return e < 0 ? fail(r, e, "the page cannot be written") : 0;
}

static int page_data(struct intake_run *r, const struct frame_piece *piece)
{
	int e;

	if (r->failed)
		return 0;
	if (!r->writer)
		return fail(r, -EBADMSG, "data without a page");
	if (piece->bytes > DATA_MAX)
		return fail(r, -EBADMSG, "a piece of a page over its limit");
	r->bytes += piece->len;
	e = spool_page_write(r->writer, piece->data, piece->len);
	if (e == -EBADMSG) {
		/* This page is no JPEG; the others may be. */
		rejected(r, r->page_name, "damaged", "what arrived is not a JPEG");
		intake_page_drop(r);
		r->failed = true;
		return 0;
	}
	return e < 0 ? fail(r, e, "the page cannot be written") : 0;
}

static void announce(struct intake_run *r, const struct page_row *row, const struct doubt *doubt)
{
	const struct log_field fields[] = {{"PAGE_ID", row->id}};

	r->accepted++;
	if (r->source)
		scanner_note(r->service->scanner, NULL, NULL);
	log_event(LOG_LEVEL_INFO, MESSAGE_PAGE_ACCEPTED, fields, ARRAY_SIZE(fields), "page %s accepted (%lld bytes)", row->id,
		(long long)row->bytes);
	if (doubt)
		log_notice("page %s %s", row->id, doubt->message);
	service_event(r->service, &(struct event){
		.kind = EVENT_PAGE_ACCEPTED,
		.page = row,
		.reason = doubt ? doubt->word : NULL,
		.message = doubt ? doubt->message : NULL,
		.look_again = doubt && doubt->look_again,
		.glass = r->source != NULL,
		.scan = r->number,
		.name = row->name[0] ? row->name : NULL,
	});
	STEP(ACCEPT_ANNOUNCED);
	if (row->state == STATE_HELD)
		service_event(r->service, &(struct event){.kind = EVENT_PAGE_HELD, .page = row});
}

/* A watched folder's file that is written while it is read is not whole, whatever the helper made of it. */
static bool has_changed(const struct intake_run *r)
{
	char stamp[TAKEN_STAMP_SIZE];
	struct stat st;

	if (!r->taken.name)
		return false;
	if (fstat(r->fd, &st) < 0)
		return true;
	taken_stamp(&st, stamp);
	return !streq(stamp, r->taken.stamp);
}

static int page_end(struct intake_run *r, const cJSON *head)
{
	const char *sha256 = json_get_string(head, "sha256");
	const cJSON *sense = json_get_object(head, "sense");
	_cleanup_buf_ struct buf capture = BUF_MAX(CAPTURE_MAX);
	struct page_row row;
	int64_t total;
	int e;

	if (r->failed) {
		r->failed = false;
		return 0;
	}
	if (!r->writer)
		return fail(r, -EBADMSG, "the end of no page");
	if (json_get_i64(head, "bytes_total", &total) < 0 || (uint64_t)total != r->bytes || !sha256)
		return fail(r, -EBADMSG, "a page of another length than was told");
	if (has_changed(r))
		return fail(r, -ESTALE, "the file changed while it was read");
	e = capture_text(r, head, &capture);
	if (e < 0)
		return fail(r, e, "what the helper says about the page cannot be kept");
	if (is_blank(sense) && r->service->config.blank_pages == BLANK_HOLD)
		spool_page_begin_held(r->writer, HELD_BLANK);
	/* Frees the writer in every case. */
	e = spool_page_commit(take_ptr(r->writer), r->width, r->height, sha256, capture.len ? buf_str(&capture) : NULL, &row);
	intake_page_drop(r);
	if (e == -EBADMSG) {
		rejected(r, r->page_name, "damaged", "the page did not arrive whole");
		return 0;
	}
	/* No room is another light's. */
	service_storage(r->service, e == -ENOSPC || e == -EDQUOT ? 0 : e);
	if (e < 0)
		return fail(r, e, "the page cannot be stored");
	str_copy(r->last_page, sizeof(r->last_page), row.id);
	announce(r, &row, doubt_of(sense));
	return 0;
}

static int page_reject(struct intake_run *r, const cJSON *head)
{
	const char *name = json_get_string(head, "name"), *reason = json_get_string(head, "reason");
	const char *message = json_get_string(head, "message");

	intake_page_drop(r);
	r->heard = true;
	if (r->source && reason)
		scanner_note(r->service->scanner, reason, message);
	rejected(r, r->name ? r->name : name ? name : "", reason ? reason : "damaged", message ? message : "");
	return 0;
}

static int run_end_noted(struct intake_run *r, const cJSON *head)
{
	const char *reason = json_get_string(head, "reason"), *message = json_get_string(head, "message");

	text_safe_copy(r->end_reason, sizeof(r->end_reason), reason ? reason : "");
	text_safe_copy(r->end_message, sizeof(r->end_message), message ? message : "");
	return 0;
}

static int run_idle(struct intake_run *r, const cJSON *head)
{
	if (r->writer)
		return fail(r, -EBADMSG, "a scan ended in the middle of a page");
	/* What goes beside its last page is whole by now, or never will be: this helper may stay for days. */
	intake_beside_drop(r);
	r->last_page[0] = 0;
	return intake_idle(r);
}

static int run_rests(struct intake_run *r, const cJSON *head)
{
	return intake_rests(r);
}

/* The frames that carry no payload, at their end. */
static const struct {
	const char *type;
	int (*take)(struct intake_run *r, const cJSON *head);
} frames[] = {
	{"page", page_begin},
	{"page-end", page_end},
	{"beside-end", intake_beside_end},
	{"reject", page_reject},
	{"end", run_end_noted},
	{"idle", run_idle},
	{"rests", run_rests},
};

int intake_frame(void *ud, enum frame_part part, const struct frame_piece *piece)
{
	struct intake_run *r = ud;

	if (streq(piece->type, "data"))
		return part == FRAME_DATA ? page_data(r, piece) : 0;
	if (streq(piece->type, "beside"))
		return part == FRAME_DATA ? intake_beside_data(r, piece) : 0;
	if (part == FRAME_DATA)
		return fail(r, -EBADMSG, "a payload where none belongs");
	if (part != FRAME_DONE)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		if (streq(piece->type, frames[i].type))
			return frames[i].take(r, piece->head);
	return fail(r, -EBADMSG, "a frame of unknown type");
}
