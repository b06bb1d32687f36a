#include "ocr/tess.h"

#include <ctype.h>
#include <poll.h>

#include <tesseract/capi.h>

#include "base/text.h"
#include "ocr/flatten.h"

/* Pages are taken for A4: the long side is 11.7 inches. Tesseract wants 70 at least; the figure only guides
 * layout. */
#define DPI_MIN        70
#define DPI_MAX        600
#define WORD_BYTES_MAX 512
/* Words of the second look that are less confident are noise. */
#define SURE_LATE   60
#define SURE_LETTER 90

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
		return ocr_fail_set(
			fail, -EINVAL, "language", "not a language name, expected like eng or eng+deu");
	api = TessBaseAPICreate();
	if (!api)
		return ocr_fail_set(fail, -ENOMEM, "memory", "no memory for the engine");
	/* OEM_LSTM_ONLY: the packages' "fast" models hold nothing else. */
	if (TessBaseAPIInit2(api, o->data, o->language, OEM_LSTM_ONLY) != 0)
		return ocr_fail_set(fail, -ENOENT, "language",
			"no usable data for language %s: install the package tesseract-ocr-%.3s", o->language,
			o->language);
	TessBaseAPISetVariable(api, "debug_file", "/dev/null");
	*ret = take_ptr(api);
	return 0;
}

/* A word as Tesseract says it, or nothing when it is no text at all. */
static int take_word(TessResultIterator *it, const int group[3], struct page_words *w)
{
	const TessPageIterator *page = TessResultIteratorGetPageIteratorConst(it);
	char *text = TessResultIteratorGetUTF8Text(it, RIL_WORD);
	int x0, y0, x1, y1, confidence = (int)TessResultIteratorConfidence(it, RIL_WORD), r = 0;

	if (text && strspn(text, " \n") < strlen(text) && strlen(text) <= WORD_BYTES_MAX &&
		utf8_valid(text, strlen(text)) &&
		TessPageIteratorBoundingBox(page, RIL_WORD, &x0, &y0, &x1, &y1)) {
		struct page_word word = {.x = x0,
			.y = y0,
			.w = x1 - x0,
			.h = y1 - y0,
			.confidence = CLAMP(confidence, 0, 100),
			.block = group[0],
			.par = group[1],
			.line = group[2]};

		r = page_words_add(w, word, text);
	}
	TessDeleteText(text);
	return r;
}

/* Block, paragraph and line are counted from 1. */
static void count_groups(TessResultIterator *it, int group[3])
{
	static const TessPageIteratorLevel levels[] = {RIL_BLOCK, RIL_PARA, RIL_TEXTLINE};
	const TessPageIterator *page = TessResultIteratorGetPageIteratorConst(it);

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!TessPageIteratorIsAtBeginningOf(page, levels[i]))
			continue;
		group[i]++;
		for (size_t k = i + 1; k < ARRAY_SIZE(levels); k++)
			group[k] = 0;
	}
}

static int collect(TessBaseAPI *api, struct page_words *w)
{
	TessResultIterator *it = TessBaseAPIGetIterator(api);
	int group[3] = {}, r = 0;

	if (!it)
		return 0;
	do {
		count_groups(it, group);
		r = take_word(it, group, w);
		if (r >= 0 && w->n > TESS_WORDS_MAX)
			r = -E2BIG;
	} while (r >= 0 && TessResultIteratorNext(it, RIL_WORD));
	TessResultIteratorDelete(it);
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

static int read_once(TessBaseAPI *api, const struct tess_options *o, const struct grey *g,
	TessPageSegMode mode, struct page_words *ret, struct ocr_fail *fail)
{
	int r;

	TessBaseAPISetPageSegMode(api, mode);
	TessBaseAPISetImage(api, g->data, g->width, g->height, 1, g->width);
	TessBaseAPISetSourceResolution(api, resolution_of(g));
	r = recognise(api, o, fail);
	if (r < 0)
		return r;
	r = collect(api, ret);
	if (r == -E2BIG)
		return ocr_fail_set(fail, r, "too-large", "more than %d words", TESS_WORDS_MAX);
	if (r < 0)
		return ocr_fail_set(fail, r, "memory", "no memory for the words");
	return 0;
}

/* Of the second look: a lone letter is more often a smudge than a word. */
static bool is_text(const struct page_word *w)
{
	if (!w->text[1] && !isdigit((unsigned char)w->text[0]))
		return w->confidence >= SURE_LETTER && isalpha((unsigned char)w->text[0]);
	if (w->confidence < SURE_LATE)
		return false;
	for (const char *s = w->text; *s; s++)
		if (isalnum((unsigned char)*s) || (unsigned char)*s >= 0x80)
			return true;
	return false;
}

static bool on_last_line(const struct page_words *w, size_t i)
{
	const struct page_word *last = &w->words[w->n - 1], *x = &w->words[i];

	return x->block == last->block && x->par == last->par && x->line == last->line;
}

/* Layout analysis drops narrow columns and lone digits as pictures. What it did read is painted over and the
 * rest read once more as one block, which costs little: most of the page is blank by then. The last line
 * stays, for a page with nothing but a lone digit is taken for empty. Only what is surely text is taken. */
static int read_rest(TessBaseAPI *api, const struct tess_options *o, struct grey *g, struct page_words *w,
	struct ocr_fail *fail)
{
	_cleanup_(page_words_free) struct page_words late = {};
	_cleanup_(page_words_free) struct page_words sure = {};
	int r = 0;

	for (size_t i = 0; i < w->n; i++)
		if (w->words[i].confidence >= PAGE_WORD_SURE && !on_last_line(w, i))
			grey_erase(g, w->words[i].x, w->words[i].y, w->words[i].w, w->words[i].h);
	r = read_once(api, o, g, PSM_SINGLE_BLOCK, &late, fail);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < late.n; i++)
		if (is_text(&late.words[i]))
			r = page_words_add(&sure, late.words[i], late.words[i].text);
	if (r >= 0)
		r = page_words_merge_take(w, &sure);
	return r < 0 ? ocr_fail_set(fail, r, "memory", "no memory for the words") : 0;
}

int tess_read(const struct tess_options *o, struct grey *g, struct page_words *ret, struct ocr_fail *fail)
{
	_cleanup_(tess_end) TessBaseAPI *api = NULL;
	_cleanup_(page_words_free) struct page_words w = {};
	int r;

	r = tess_start(o, &api, fail);
	if (r >= 0 && grey_flatten(g) < 0)
		r = ocr_fail_set(fail, -ENOMEM, "memory", "no memory for the picture");
	if (r >= 0)
		r = read_once(api, o, g, PSM_AUTO, &w, fail);
	if (r >= 0)
		r = read_rest(api, o, g, &w, fail);
	if (r < 0)
		return r;
	*ret = w;
	w = (struct page_words){};
	return 0;
}
