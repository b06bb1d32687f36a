#include "ocr/tess.h"

#include <poll.h>
#include <stdio.h>

#include <tesseract/capi.h>

#include "base/json.h"
#include "base/text.h"

/* Pages are taken for A4: the long side is 11.7 inches. Tesseract wants 70 at least; the figure only guides layout. */
#define DPI_MIN 70
#define DPI_MAX 600
#define WORD_BYTES_MAX 512

static void tess_end(TessBaseAPI **api)
{
	if (!*api)
		return;
	TessBaseAPIEnd(*api);
	TessBaseAPIDelete(*api);
}

static void monitor_end(ETEXT_DESC **m)
{
	if (*m)
		TessMonitorDelete(*m);
}

static bool language_ok(const char *s)
{
	return *s && strlen(s) <= TESS_LANGUAGE_MAX &&
		strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+") == strlen(s);
}

static int resolution_of(const struct grey *g)
{
	int dpi = MAX(g->width, g->height) * 10 / 117;

	return CLAMP(dpi, DPI_MIN, DPI_MAX);
}

/* Called now and then by the library: has the reader gone away? */
static bool reader_gone(void *ud, int words)
{
	struct pollfd p = {.fd = *(const int *)ud};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int tess_start(const struct tess_options *o, TessBaseAPI **ret, struct ocr_fail *fail)
{
	_cleanup_(tess_end) TessBaseAPI *api = NULL;

	if (!language_ok(o->language))
		return ocr_fail_set(fail, -EINVAL, "language", "not a language name, expected like eng or eng+deu");
	api = TessBaseAPICreate();
	if (!api)
		return ocr_fail_set(fail, -ENOMEM, "memory", "no memory for the engine");
	/* OEM_LSTM_ONLY: the packages' "fast" models hold nothing else. */
	if (TessBaseAPIInit2(api, o->data, o->language, OEM_LSTM_ONLY) != 0)
		return ocr_fail_set(fail, -ENOENT, "language",
			"no usable data for language %s: install the package tesseract-ocr-%.3s", o->language, o->language);
	TessBaseAPISetVariable(api, "debug_file", "/dev/null");
	TessBaseAPISetPageSegMode(api, PSM_AUTO);
	*ret = take_ptr(api);
	return 0;
}

static int add_word(struct tess_words *w, const char *text, const int box[4], int confidence, const int group[3])
{
	int r;

	r = buf_adds(&w->json, w->n ? ",{\"t\":" : "{\"t\":");
	if (r >= 0)
		r = json_quote(&w->json, text, strlen(text));
	if (r >= 0)
		r = buf_addf(&w->json, ",\"b\":[%d,%d,%d,%d],\"c\":%d,\"l\":[%d,%d,%d]}", box[0], box[1], box[2] - box[0],
			box[3] - box[1], confidence, group[0], group[1], group[2]);
	if (r >= 0)
		r = buf_adds(&w->text, text);
	if (r >= 0)
		w->n++;
	return r;
}

/* A word as Tesseract says it, or nothing when it is no text at all. */
static int take_word(TessResultIterator *it, const int group[3], struct tess_words *w)
{
	const TessPageIterator *page = TessResultIteratorGetPageIteratorConst(it);
	char *text = TessResultIteratorGetUTF8Text(it, RIL_WORD);
	int box[4], confidence = (int)TessResultIteratorConfidence(it, RIL_WORD), r = 0;

	if (text && strspn(text, " \n") < strlen(text) && strlen(text) <= WORD_BYTES_MAX && utf8_valid(text, strlen(text)) &&
		TessPageIteratorBoundingBox(page, RIL_WORD, &box[0], &box[1], &box[2], &box[3]))
		r = add_word(w, text, box, CLAMP(confidence, 0, 100), group);
	TessDeleteText(text);
	return r;
}

/* Block, paragraph and line are counted from 1; what goes into `text` between words follows from them. */
static int separate(TessResultIterator *it, int group[3], struct buf *text)
{
	static const TessPageIteratorLevel levels[] = {RIL_BLOCK, RIL_PARA, RIL_TEXTLINE};
	const TessPageIterator *page = TessResultIteratorGetPageIteratorConst(it);
	const char *between = " ";

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!TessPageIteratorIsAtBeginningOf(page, levels[i]))
			continue;
		between = i == 2 && streq(between, " ") ? "\n" : "\n\n";
		group[i]++;
		for (size_t k = i + 1; k < ARRAY_SIZE(levels); k++)
			group[k] = 0;
	}
	if (text->len == 0 || text->data[text->len - 1] == '\n')
		return 0;
	return buf_adds(text, between);
}

static int collect(TessBaseAPI *api, struct tess_words *w)
{
	TessResultIterator *it = TessBaseAPIGetIterator(api);
	int group[3] = {}, r = buf_addc(&w->json, '[');

	if (it) {
		do {
			r = r < 0 ? r : separate(it, group, &w->text);
			if (r >= 0)
				r = take_word(it, group, w);
			if (r >= 0 && w->n > TESS_WORDS_MAX)
				r = -E2BIG;
		} while (r >= 0 && TessResultIteratorNext(it, RIL_WORD));
		TessResultIteratorDelete(it);
	}
	if (r >= 0)
		r = buf_addc(&w->json, ']');
	return r;
}

static int recognise(TessBaseAPI *api, const struct tess_options *o, struct ocr_fail *fail)
{
	_cleanup_(monitor_end) ETEXT_DESC *monitor = TessMonitorCreate();
	int fd = o->cancel_fd;

	if (monitor && fd >= 0) {
		TessMonitorSetCancelFunc(monitor, reader_gone);
		TessMonitorSetCancelThis(monitor, &fd);
	}
	if (TessBaseAPIRecognize(api, monitor) == 0)
		return 0;
	if (fd >= 0 && reader_gone(&fd, 0))
		return ocr_fail_set(fail, -ECANCELED, "cancelled", "nobody waits for the words any more");
	return ocr_fail_set(fail, -EIO, "engine", "the engine gave up on this page");
}

int tess_read(const struct tess_options *o, const struct grey *g, struct tess_words *ret, struct ocr_fail *fail)
{
	_cleanup_(tess_end) TessBaseAPI *api = NULL;
	_cleanup_(tess_words_free) struct tess_words w = {};
	int r;

	r = tess_start(o, &api, fail);
	if (r < 0)
		return r;
	TessBaseAPISetImage(api, g->data, g->width, g->height, 1, g->width);
	TessBaseAPISetSourceResolution(api, resolution_of(g));
	r = recognise(api, o, fail);
	if (r < 0)
		return r;
	r = collect(api, &w);
	if (r == -E2BIG)
		return ocr_fail_set(fail, r, "too-large", "more than %d words", TESS_WORDS_MAX);
	if (r < 0)
		return ocr_fail_set(fail, r, "memory", "no memory for the words");
	*ret = w;
	w = (struct tess_words){};
	return 0;
}

void tess_words_free(struct tess_words *w)
{
	buf_free(&w->json);
	buf_free(&w->text);
	w->n = 0;
}
