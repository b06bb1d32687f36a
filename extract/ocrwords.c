#include "base/frame.h"
#include "base/text.h"
#include "extract/ocrmap.h"

#include <stdio.h>

#define SIDE_MAX 100000 /* pixels */

static void reader_end(struct frame_reader **r)
{
	frame_reader_free(*r);
}

static int refuse(char *why, size_t size, const char *what)
{
	if (size > 0 && snprintf(why, size, "%s", what) < 0)
		why[0] = 0;
	return -EBADMSG;
}

static bool read_ints(const cJSON *array, int min, int max, int *ret, int n)
{
	const cJSON *v;
	int i = 0;

	if (!cJSON_IsArray(array))
		return false;
	cJSON_ArrayForEach (v, array) {
		if (i == n || !cJSON_IsNumber(v) || !(v->valuedouble >= min && v->valuedouble <= max))
			return false;
		ret[i++] = (int)v->valuedouble;
	}
	return i == n;
}

static bool read_word(const cJSON *j, struct ocr_word *w)
{
	int box[4], group[3];
	int64_t confidence;

	w->text = json_get_string(j, "t");
	if (!w->text || !*w->text || json_get_i64(j, "c", &confidence) < 0)
		return false;
	if (!read_ints(json_get(j, "b"), 0, SIDE_MAX, box, 4) ||
		!read_ints(json_get(j, "l"), 0, OCR_WORDS_MAX, group, 3))
		return false;
	w->x = box[0];
	w->y = box[1];
	w->w = box[2];
	w->h = box[3];
	w->confidence = (int)CLAMP(confidence, (int64_t)0, (int64_t)100);
	w->block = group[0];
	w->par = group[1];
	w->line = group[2];
	return true;
}

static int read_words(const char *text, size_t len, struct ocr_words *w, char *why, size_t why_size)
{
	const cJSON *j;
	size_t n;
	int r;

	cJSON_Delete(w->json);
	w->json = NULL;
	free(w->words);
	w->words = NULL;
	w->n = 0;
	r = json_parse(text, len, &w->json, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || !cJSON_IsArray(w->json))
		return refuse(why, why_size, "words: expected an array");
	n = (size_t)cJSON_GetArraySize(w->json);
	if (n > OCR_WORDS_MAX)
		return refuse(why, why_size, "words: too many");
	w->words = calloc(n + 1, sizeof(*w->words));
	if (!w->words)
		return -ENOMEM;
	cJSON_ArrayForEach (j, w->json) {
		if (!read_word(j, &w->words[w->n]))
			return refuse(why, why_size, "words: expected objects with t, b, c and l");
		w->n++;
	}
	return 0;
}

static int take_size(const struct frame_piece *p, struct ocr_words *w, char *why, size_t why_size)
{
	int64_t width, height;

	if (json_get_i64(p->head, "width", &width) < 0 || json_get_i64(p->head, "height", &height) < 0 ||
		width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
		return refuse(why, why_size, "words: expected width and height");
	w->width = (int)width;
	w->height = (int)height;
	return 0;
}

/* 1: the end, and it was well. */
static int take_end(const struct frame_piece *p, const struct ocr_words *w, char *why, size_t why_size)
{
	const char *reason = json_get_string(p->head, "reason"),
		   *message = json_get_string(p->head, "message");
	char safe[160];
	bool ok;

	if (json_get_bool(p->head, "ok", &ok) < 0)
		return refuse(why, why_size, "end: expected ok");
	if (ok)
		return w->words ? 1 : refuse(why, why_size, "no words frame before the end");
	if (why_size > 0 && snprintf(why, why_size, "%s: %s", reason && *reason ? reason : "unknown",
				    text_safe_copy(safe, sizeof(safe), message ? message : "")) < 0)
		why[0] = 0;
	return -EREMOTEIO;
}

static int next_piece(
	struct frame_reader *reader, struct buf *payload, struct ocr_words *w, char *why, size_t why_size)
{
	struct frame_piece p;
	int part = frame_reader_next(reader, &p);

	switch (part) {
	case FRAME_NONE:
		return refuse(why, why_size, "the reply is cut off");
	case FRAME_HEAD:
		buf_clear(payload);
		return streq(p.type, "words") ? take_size(&p, w, why, why_size) : 0;
	case FRAME_DATA:
		return buf_add(payload, p.data, p.len);
	case FRAME_DONE:
		if (streq(p.type, "words"))
			return read_words(buf_str(payload), payload->len, w, why, why_size);
		return streq(p.type, "end") ? take_end(&p, w, why, why_size) : 0;
	}
	return part == -ENOMEM ? part : refuse(why, why_size, frame_reader_error(reader));
}

static void words_freep(struct ocr_words **w)
{
	ocr_words_free(*w);
}

int ocr_words_parse(const char *reply, size_t len, struct ocr_words **ret, char *why, size_t why_size)
{
	_cleanup_(words_freep) struct ocr_words *w = calloc(1, sizeof(*w));
	_cleanup_(reader_end) struct frame_reader *reader = NULL;
	_cleanup_buf_ struct buf payload = {};
	int r;

	if (!w || frame_reader_new(&reader) < 0 || frame_reader_feed(reader, reply, len) < 0)
		return -ENOMEM;
	do
		r = next_piece(reader, &payload, w, why, why_size);
	while (r == 0);
	if (r < 0)
		return r == -EMSGSIZE ? refuse(why, why_size, "words: too long") : r;
	*ret = take_ptr(w);
	return 0;
}

void ocr_words_free(struct ocr_words *w)
{
	if (!w)
		return;
	cJSON_Delete(w->json);
	free(w->words);
	free(w);
}
