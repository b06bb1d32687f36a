#include "ocr/serve.h"

#include <inttypes.h>

#include "base/fileio.h"
#include "base/frame.h"
#include "base/step.h"
#include "ocr/limits.h"

struct ask {
	char language[TESS_LANGUAGE_MAX + 1];
	int64_t max_pixels;
	struct buf jpeg;
};

static void ask_free(struct ask *a)
{
	buf_free(&a->jpeg);
}

static void reader_end(struct frame_reader **r)
{
	frame_reader_free(*r);
}

static int take_head(struct ask *a, const struct frame_piece *p, struct ocr_fail *fail)
{
	const char *verb = json_get_string(p->head, "verb"), *language = json_get_string(p->head, "language");
	int64_t pixels = GREY_PIXELS_DEFAULT;
	int r;

	if (!streq(p->type, "request") || !verb || !streq(verb, "ocr"))
		return ocr_fail_set(fail, -EBADMSG, "request", "expected a request with the verb ocr");
	if (str_copy(a->language, sizeof(a->language), language ? language : "eng") < 0)
		return ocr_fail_set(fail, -EINVAL, "language", "the language's name is too long");
	r = json_get_i64(p->head, "max_pixels", &pixels);
	if ((r < 0 && r != -ENOENT) || pixels < 1)
		return ocr_fail_set(fail, -EBADMSG, "request", "max_pixels: expected a number of pixels");
	a->max_pixels = pixels;
	if (p->bytes == 0)
		return ocr_fail_set(fail, -EBADMSG, "not-an-image", "the page is empty");
	if (p->bytes > SERVE_JPEG_MAX)
		return ocr_fail_set(fail, -EFBIG, "too-large", "a page of %" PRIu64 " bytes", p->bytes);
	return 0;
}

/* 1 when the request is whole, 0 when more input is needed. */
static int take_parts(struct frame_reader *reader, struct ask *a, struct ocr_fail *fail)
{
	struct frame_piece p;

	for (;;) {
		int part = frame_reader_next(reader, &p), r = 0;

		if (part < 0)
			return ocr_fail_set(fail, part, "request", "%s", frame_reader_error(reader));
		if (part == FRAME_HEAD)
			r = take_head(a, &p, fail);
		else if (part == FRAME_DATA && buf_add(&a->jpeg, p.data, p.len) < 0)
			r = ocr_fail_set(fail, -ENOMEM, "memory", "no memory for the page");
		if (r < 0)
			return r;
		if (part == FRAME_NONE || part == FRAME_DONE)
			return part == FRAME_DONE;
	}
}

static int read_ask(int in, struct ask *a, struct ocr_fail *fail)
{
	_cleanup_(reader_end) struct frame_reader *reader = NULL;
	char piece[32 << 10];
	int r = frame_reader_new(&reader);

	if (r < 0)
		return ocr_fail_set(fail, r, "memory", "no memory");
	a->jpeg.max = SERVE_JPEG_MAX;
	do {
		ssize_t n = read(in, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ocr_fail_set(
				fail, n < 0 ? -errno : -EBADMSG, "request", "the request is cut off");
		if (frame_reader_feed(reader, piece, (size_t)n) < 0)
			return ocr_fail_set(fail, -ENOMEM, "memory", "no memory for the page");
		r = take_parts(reader, a, fail);
	} while (r == 0);
	return r;
}

int serve_page(const struct tess_options *o, const struct buf *jpeg, int64_t max_pixels,
	struct grey *ret_size, struct page_words *ret, struct ocr_fail *fail)
{
	_cleanup_(grey_free) struct grey g = {};
	int r;

	r = grey_from_jpeg(buf_str(jpeg), jpeg->len, max_pixels, &g, fail);
	if (r < 0)
		return r;
	r = tess_read(o, &g, ret, fail);
	if (r >= 0)
		*ret_size = (struct grey){.width = g.width, .height = g.height};
	return r;
}

static int write_words(int out, const struct grey *size, const struct page_words *w)
{
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	_cleanup_buf_ struct buf json = {};
	int r;

	if (!head)
		return -ENOMEM;
	r = page_words_json(w, &json);
	r = r < 0 ? r : json_add_string(head, "type", "words");
	r = r < 0 ? r : json_add_i64(head, "width", size->width);
	r = r < 0 ? r : json_add_i64(head, "height", size->height);
	r = r < 0 ? r : json_add_i64(head, "words", (int64_t)w->n);
	return r < 0 ? r : frame_write(out, head, json.data, json.len);
}

static int write_end(int out, const struct ocr_fail *fail)
{
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	int r;

	if (!head)
		return -ENOMEM;
	r = json_add_string(head, "type", "end");
	r = r < 0 ? r : json_add_bool(head, "ok", !fail);
	if (fail) {
		r = r < 0 ? r : json_add_string(head, "reason", fail->reason);
		r = r < 0 ? r : json_add_string(head, "message", fail->message);
	}
	return r < 0 ? r : frame_write(out, head, NULL, 0);
}

int serve(int in, int out, const char *data)
{
	_cleanup_(ask_free) struct ask a = {};
	_cleanup_(page_words_free) struct page_words w = {};
	struct tess_options o = {.data = data, .cancel_fd = out};
	struct ocr_fail fail = {};
	struct grey size = {};
	int r;

	STEP(HELPER_STARTED);
	r = read_ask(in, &a, &fail);
	if (r >= 0) {
		o.language = a.language;
		limits_arm(out);
		r = serve_page(&o, &a.jpeg, a.max_pixels, &size, &w, &fail);
		limits_arm(-1);
	}
	STEP(HELPER_HALFWAY);
	if (r >= 0 && write_words(out, &size, &w) < 0)
		return 3;
	if (write_end(out, r < 0 ? &fail : NULL) < 0)
		return 3;
	STEP(HELPER_FINISHED);
	return r < 0;
}
