#include "extract/ocr.h"

#include "base/frame.h"
#include "extract/ocrmap.h"

#define REPLY_MAX  ((size_t)16 << 20) /* OCR_WORDS_MAX words take 2 MiB, or more where they are long */
#define TRIES_MAX  2                  /* of one page, where more will not help: then the next backend */
#define REASON_MAX 48

/* ---- the question ------------------------------------------------------------------------------------- */

static int add_head(const struct ocr_config *c, uint64_t bytes, struct request *req)
{
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	_cleanup_buf_ struct buf line = {};
	int r = head ? json_add_string(head, "type", "request") : -ENOMEM;

	r = r < 0 ? r : json_add_string(head, "verb", "ocr");
	r = r < 0 ? r : json_add_string(head, "language", c->language);
	r = r < 0 ? r : json_add_i64(head, "max_pixels", c->max_pixels);
	r = r < 0 ? r : frame_format(head, bytes, &line);
	return r < 0 ? r : request_add_literal_take(req, &line);
}

static int ocr_build(const struct extractor *x, const struct job *j, struct request *ret)
{
	const struct ocr_config *c = x->config;
	const struct job_image *image = &j->images[0];
	struct request req = {
		.helper = "ocr", .max_reply = REPLY_MAX, .timeout_ms = c->timeout_ms, .model = "tesseract"};
	int r;

	if (j->n_images != 1 || (int64_t)image->width * image->height > c->max_pixels)
		return -EMSGSIZE;
	r = add_head(c, image->bytes, &req);
	if (r >= 0)
		r = request_add_file(&req, SEGMENT_FILE, image->fd, image->bytes);
	if (r < 0) {
		request_free(&req);
		return r;
	}
	*ret = req;
	return 0;
}

/* ---- the reply ---------------------------------------------------------------------------------------- */

static int judge_transport(const struct reply *r, struct verdict *v)
{
	switch (r->error) {
	case TRANSPORT_TIMEOUT:
		return verdict_set(v, PAGE_RETRY, BACKEND_DOWN, "timeout", "the OCR helper took too long: %s",
			r->detail);
	case TRANSPORT_BROKEN:
		return verdict_set(v, PAGE_RETRY, BACKEND_DOWN, "helper-died",
			"the OCR helper ended early: %s", r->detail);
	case TRANSPORT_TOO_LARGE:
		return verdict_set(v, PAGE_NEXT, BACKEND_OK, "reply-too-large",
			"more words than a page has: %s", r->detail);
	case TRANSPORT_CANCELLED:
		return verdict_set(v, PAGE_UNTOUCHED, BACKEND_OK, "cancelled", "%s", r->detail);
	case TRANSPORT_LOCAL:
		if (r->sent)
			return verdict_set(
				v, PAGE_RETRY, BACKEND_OK, "local", "trouble on this machine: %s", r->detail);
		break;
	default:
		break;
	}
	return verdict_set(v, PAGE_UNTOUCHED, BACKEND_DOWN, "no-helper",
		"the OCR helper could not be started: %s", r->detail);
}

enum blame {
	BLAME_PAGE_FILE, /* damaged since it was accepted: nobody can read it */
	BLAME_LIMITS,    /* another backend may do it */
	BLAME_CHANCE,    /* may go better another time */
	BLAME_SETUP,     /* no page can be read until somebody mends it */
};

static enum blame blame_of(const char *reason)
{
	static const struct {
		const char *reason;
		enum blame blame;
	} reasons[] = {
		{"not-an-image", BLAME_PAGE_FILE},
		{"truncated", BLAME_PAGE_FILE},
		{"damaged", BLAME_PAGE_FILE},
		{"too-large", BLAME_LIMITS},
		{"unsupported", BLAME_LIMITS},
		{"language", BLAME_SETUP},
		{"request", BLAME_SETUP},
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (streq(reasons[i].reason, reason))
			return reasons[i].blame;
	return BLAME_CHANCE; /* memory, timeout, engine, io, and what a later helper may say */
}

/* why: "REASON: MESSAGE", from the helper's "end". */
static int judge_trouble(const struct job *j, const char *why, struct verdict *v)
{
	char reason[REASON_MAX];
	size_t n = strcspn(why, ":");

	if (n >= sizeof(reason))
		n = sizeof(reason) - 1;
	memcpy(reason, why, n);
	reason[n] = 0;
	switch (blame_of(reason)) {
	case BLAME_PAGE_FILE:
		return verdict_set(v, PAGE_REJECT, BACKEND_OK, reason, "the page cannot be read: %s", why);
	case BLAME_LIMITS:
		return verdict_set(v, PAGE_NEXT, BACKEND_OK, reason, "the page is not one for OCR: %s", why);
	case BLAME_SETUP:
		return verdict_set(v, PAGE_UNTOUCHED, BACKEND_DOWN, reason, "OCR is not set up: %s", why);
	case BLAME_CHANCE:
		break;
	}
	return verdict_set(
		v, j->tries < TRIES_MAX ? PAGE_RETRY : PAGE_NEXT, BACKEND_OK, reason, "OCR failed: %s", why);
}

static int answer_from(const struct job *j, const struct ocr_words *w, struct verdict *v)
{
	const struct typeset *s = j->types;
	const struct doctype *t = s->types[0];
	_cleanup_json_ cJSON *answer = NULL;
	_cleanup_json_ cJSON *evidence = NULL;
	_cleanup_buf_ struct buf text = {};
	int r = s->n_types > 1 ? ocr_classify(s, w, &t) : 0;

	if (r >= 0)
		r = ocr_map(t, w, &answer, &evidence);
	if (r >= 0)
		r = json_print(answer, false, &text);
	if (r < 0)
		return r;
	v->answer = buf_take(&text);
	if (!v->answer)
		return -ENOMEM;
	v->evidence = take_ptr(evidence);
	v->type = t;
	return verdict_set(v, PAGE_DONE, BACKEND_OK, "answered", "%zu words, %d fields found", w->n,
		cJSON_GetArraySize(v->evidence));
}

static void words_freep(struct ocr_words **w)
{
	ocr_words_free(*w);
}

static int ocr_decode(
	const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret)
{
	_cleanup_(words_freep) struct ocr_words *w = NULL;
	char why[240] = "";
	int e;

	*ret = (struct verdict){.billed = false};
	if (r->error != TRANSPORT_OK)
		return judge_transport(r, ret);
	e = ocr_words_parse(r->body, r->len, &w, why, sizeof(why));
	switch (e) {
	case 0:
		return answer_from(j, w, ret);
	case -EREMOTEIO:
		return judge_trouble(j, why, ret);
	case -EBADMSG:
		return verdict_set(ret, j->tries < TRIES_MAX ? PAGE_RETRY : PAGE_NEXT, BACKEND_OK,
			"bad-reply", "the OCR helper's reply is not understood: %s", why);
	}
	return e;
}

const struct extractor_ops ocr_extractor = {
	.name = "ocr",
	.paid = false,
	.build = ocr_build,
	.decode = ocr_decode,
};
