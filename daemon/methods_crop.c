/* Crop: a second look at a small part of a page, cut from what came from its source. The capture helper does it. */
#include "base/log.h"
#include "daemon/beside.h"
#include "daemon/methods.h"
#include "daemon/render.h"

#define CROP_BYTES_MAX ((uint64_t)700 << 10) /* its base64 fits into what is queued to a reader */
#define CROP_QUALITY   90
#define CROP_SIDE_MAX  8192 /* pixels of the result */
#define CROPS_AT_ONCE  2
#define PIECE          ((size_t)12 << 10) /* bytes; divisible by 3, so that pieces join without padding */

struct crop {
	struct control *control;
	struct pending *pending;
	struct render *render;
	struct page_row row;
	cJSON *capture; /* owned; `quad` of the request borrows */
	int fd;         /* of the original */
};

void crop_free(struct crop *k)
{
	if (!k)
		return;
	render_cancel(k->render);
	cJSON_Delete(k->capture);
	if (k->fd >= 0)
		close(k->fd);
	free(k);
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

static int read_image(const struct rendering *r, struct buf *out)
{
	char piece[PIECE], text[BASE64_SIZE(PIECE)];
	uint64_t at = 0;
	int e = 0;

	while (e >= 0 && at < r->image.bytes) {
		ssize_t n = pread(r->image.fd, piece, sizeof(piece), (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (uint64_t)n;
		e = buf_add(out, text, base64_encode(piece, (size_t)n, text));
	}
	return e;
}

static int answer_json(const struct rendering *r, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	_cleanup_buf_ struct buf text = {};
	int e = j ? read_image(r, &text) : -ENOMEM;

	if (e >= 0)
		e = json_add_string(j, "jpeg", buf_str(&text));
	if (e >= 0)
		e = json_add_i64(j, "width", r->image.width);
	if (e >= 0)
		e = json_add_i64(j, "height", r->image.height);
	if (e >= 0)
		*ret = take_ptr(j);
	return e;
}

static void on_rendered(void *ud, int error, const char *why, struct rendering *r)
{
	struct crop *k = ud;
	struct varlink_conn *conn = k->pending->conn;
	cJSON *j = NULL;

	k->render = NULL;
	if (error == 0 && r->image.bytes > CROP_BYTES_MAX) {
		error = -EMSGSIZE;
		why = "this part is too large: ask for less of the page";
	}
	if (error == 0)
		error = answer_json(r, &j);
	if (r)
		rendering_clear(r);
	pending_free(k->control, k->pending);
	if (error < 0)
		control_fail(conn, "NotNow", "message", why ? why : errno_text(error));
	else
		control_reply_take(conn, 0, j);
}

/* ---- the call ------------------------------------------------------------------------------------------ */

static bool get_box(struct varlink_conn *conn, const cJSON *p, const struct page_row *row, struct render_how *how)
{
	const struct {
		const char *name;
		uint32_t *to, min, max;
	} numbers[] = {
		{"x", &how->x, 0, row->width - 1},
		{"y", &how->y, 0, row->height - 1},
		{"width", &how->width, 1, row->width},
		{"height", &how->height, 1, row->height},
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int64_t v;

		if (json_get_i64(p, numbers[i].name, &v) < 0 || v < numbers[i].min || v > numbers[i].max) {
			control_invalid(conn, numbers[i].name);
			return false;
		}
		*numbers[i].to = (uint32_t)v;
	}
	/* What would reach over the page's edge ends there. */
	how->width = MIN(how->width, row->width - how->x);
	how->height = MIN(how->height, row->height - how->y);
	how->page_width = row->width;
	how->page_height = row->height;
	return true;
}

/* How the page was made of it. */
static int get_making(struct crop *k, struct render_how *how)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	const cJSON *square;
	const char *done, *text;
	int r = db_query(spool_db(k->control->service->spool), &st, "SELECT capture FROM pages WHERE seq = ?", "i", k->row.seq);

	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	text = stmt_null(st, 0) ? "" : stmt_text(st, 0);
	r = json_parse(text, strlen(text), &k->capture, NULL);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	json_get_i64(k->capture, "rotate", &how->rotate);
	square = json_get_object(json_get_object(k->capture, "sense"), "square");
	done = json_get_string(square, "done");
	if (done && !streq(done, "nothing"))
		how->quad = json_get_array(square, "quad");
	return 0;
}

static int start(struct crop *k, struct render_how *how)
{
	struct service *s = k->control->service;
	struct job_image original = {.bytes = (uint64_t)beside_size(s->spool, k->row.id, BESIDE_ORIGINAL)};
	int r;

	k->fd = original.fd = beside_open(s->spool, k->row.id, BESIDE_ORIGINAL);
	if (k->fd < 0)
		return k->fd;
	r = get_making(k, how);
	return r < 0 ? r : render_start(s, &original, how, on_rendered, k, &k->render);
}

static bool too_many(const struct control *c)
{
	size_t n = 0;

	for (const struct pending *p = c->pending; p; p = p->next)
		n += p->kind == PENDING_CROP;
	return n >= CROPS_AT_ONCE;
}

void method_crop(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	struct render_how how = {.cut = true, .quality = CROP_QUALITY, .max_side = CROP_SIDE_MAX};
	struct crop *k = calloc(1, sizeof(*k));
	int r;

	if (too_many(c)) {
		free(k);
		control_fail(conn, "Busy", "message", "others look at parts of pages now");
		return;
	}
	if (!k) {
		varlink_drop(conn);
		return;
	}
	k->control = c;
	k->fd = -1;
	if (!method_find_page(c, conn, json_get_string(call->parameters, "page"), &k->row) ||
		!get_box(conn, call->parameters, &k->row, &how)) {
		crop_free(k);
		return;
	}
	r = start(k, &how);
	if (r >= 0)
		k->pending = pending_new(c, conn, call, PENDING_CROP);
	if (r >= 0 && k->pending) {
		k->pending->crop = k;
		return;
	}
	if (r == -ENOENT)
		control_fail(conn, "NoOriginal", "page", k->row.id);
	else if (r < 0)
		control_fail(conn, "NotNow", "message", errno_text(r));
	else
		varlink_drop(conn);
	crop_free(k);
}
