#include "capture/helper.h"

#include <math.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/step.h"
#include "capture/helper_internal.h"
#include "capture/watch.h"

#define WARM_MAX_MS 600000

struct request {
	char verb[16], source[512], name[256], controls[SOURCE_CONTROLS_SIZE];
	struct convert_options convert;
	int64_t warm_ms; /* scan: for how long to stay for another; 0: not */
	bool watch;      /* scan: watch for pages after it */
	bool has_payload;
};

/* ---- receiving ----------------------------------------------------------------------------------- */
/* Keeps the first passed descriptor and closes any other. */
static void take_descriptors(struct helper *h, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (h->passed_fd < 0)
				h->passed_fd = fd;
			else
				close(fd);
		}
	}
}

ssize_t helper_receive(struct helper *h, void *to, size_t len)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec v = {to, len};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(h->in_fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		take_descriptors(h, &m);
		return n;
	}
	if (errno != ENOTSOCK)
		return -errno;
	do
		n = read(h->in_fd, to, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The next part of the request: as frame_reader_next(), but waits for it. -EPIPE when the stream ends before.
 */
static int next_part(struct helper *h, struct frame_piece *ret)
{
	for (;;) {
		char chunk[HELPER_CHUNK];
		int r = frame_reader_next(h->reader, ret);
		ssize_t n;

		if (r != FRAME_NONE)
			return r;
		n = helper_receive(h, chunk, sizeof(chunk));
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		r = frame_reader_feed(h->reader, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
}

/* The request's payload as a page's input. */
static ssize_t read_payload(struct input *in, void *to, size_t len)
{
	struct helper *h = in->ud;

	while (h->left == 0 && !h->done) {
		struct frame_piece piece;
		int r = next_part(h, &piece);

		if (r < 0)
			return r;
		if (r == FRAME_DATA) {
			h->piece = piece.data;
			h->left = piece.len;
		}
		h->done = r == FRAME_DONE;
	}
	len = MIN(len, h->left);
	memcpy(to, h->piece, len);
	h->piece += len;
	h->left -= len;
	return (ssize_t)len;
}

/* ---- the request --------------------------------------------------------------------------------- */
/* Absent leaves the default; anything but an integer in range is an error. */
static int get_range(const cJSON *head, const char *name, int64_t min, int64_t max, int64_t *value)
{
	int64_t v;
	int r = json_get_i64(head, name, &v);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || v < min || v > max)
		return -EINVAL;
	*value = v;
	return 0;
}

static int get_bool(const cJSON *head, const char *name, bool *value)
{
	int r = json_get_bool(head, name, value);

	return r == -ENOENT ? 0 : r;
}

static int get_text(const cJSON *head, const char *name, char *out, size_t size)
{
	const char *s = json_get_string(head, name);

	return !s || str_copy(out, size, s) >= 0 ? 0 : -EINVAL;
}

static int get_crop(const cJSON *head, struct convert_options *o)
{
	const cJSON *crop = json_get(head, "crop");
	uint32_t v[4];

	if (!crop || cJSON_IsNull(crop))
		return 0;
	if (!cJSON_IsArray(crop) || cJSON_GetArraySize(crop) != 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		const cJSON *n = cJSON_GetArrayItem(crop, i);

		if (!cJSON_IsNumber(n) || !(n->valuedouble >= 0 && n->valuedouble <= IMAGE_SIDE_MAX) ||
			n->valuedouble != (uint32_t)n->valuedouble)
			return -EINVAL;
		v[i] = (uint32_t)n->valuedouble;
	}
	o->crop = (struct orient_rect){v[0], v[1], v[2], v[3]};
	o->has_crop = true;
	return 0;
}

static int get_numbers(const cJSON *array, double *out, int n)
{
	if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != n)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		const cJSON *v = cJSON_GetArrayItem(array, i);

		if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) <= 2.0 * IMAGE_SIDE_MAX))
			return -EINVAL;
		out[i] = v->valuedouble;
	}
	return 0;
}

static bool is_convex(const struct point p[4])
{
	for (int i = 0; i < 4; i++) {
		const struct point *a = &p[i], *b = &p[(i + 1) % 4], *c = &p[(i + 2) % 4];

		if (!((b->x - a->x) * (c->y - b->y) - (b->y - a->y) * (c->x - b->x) > 0))
			return false;
	}
	return true;
}

/* The picture that the crop was seen on, and where its corners lie on this one. */
static int get_crop_of(const cJSON *head, struct convert_options *o)
{
	const cJSON *of = json_get(head, "crop_of"), *quad = json_get(head, "quad");
	const struct orient_rect *c = &o->crop;
	double side[2], corner[8];

	if (!of)
		return quad ? -EINVAL : 0;
	if (!o->has_crop || get_numbers(of, side, 2) < 0 || !(side[0] >= 1 && side[1] >= 1) || side[0] > IMAGE_SIDE_MAX || side[1] > IMAGE_SIDE_MAX)
		return -EINVAL;
	o->crop_of = (struct crop_of){.width = (uint32_t)side[0], .height = (uint32_t)side[1], .has_corners = quad};
	if (c->x >= o->crop_of.width || c->y >= o->crop_of.height || c->width > o->crop_of.width - c->x || c->height > o->crop_of.height - c->y)
		return -EINVAL;
	if (quad && get_numbers(quad, corner, 8) < 0)
		return -EINVAL;
	for (int i = 0; quad && i < 4; i++)
		o->crop_of.corner[i] = (struct point){corner[2 * i], corner[2 * i + 1]};
	return !quad || is_convex(o->crop_of.corner) ? 0 : -EINVAL;
}

static int get_sense(const cJSON *head, struct sense_options *o)
{
	const char *words = json_get_string(head, "sense");

	if (!json_get(head, "sense"))
		return 0;
	return words ? sense_parse(words, o) : -EINVAL;
}

/* 0 and the request, or -EINVAL with what is wrong in `bad`. */
static int parse_request(const struct frame_piece *head, struct request *ret, const char **bad)
{
	struct request q = {
		.convert = CONVERT_OPTIONS_DEFAULT, .name = "page", .has_payload = head->bytes > 0};
	int64_t max_side = q.convert.max_side, quality = q.convert.quality, rotate = 0;
	int64_t max_pixels = (int64_t)q.convert.limits.max_pixels;

	if (!head->type || !streq(head->type, "request"))
		*bad = "the first frame must be of type \"request\"";
	else if (get_text(head->head, "verb", q.verb, sizeof(q.verb)) < 0 ||
		 get_text(head->head, "source", q.source, sizeof(q.source)) < 0 ||
		 get_text(head->head, "controls", q.controls, sizeof(q.controls)) < 0 ||
		 get_text(head->head, "name", q.name, sizeof(q.name)) < 0)
		*bad = "verb, source, controls or name is too long";
	else if (get_range(head->head, "max_side", MAX_SIDE_MIN, MAX_SIDE_MAX, &max_side) < 0)
		*bad = "max_side must be a number from 16 to 16384";
	else if (get_range(head->head, "max_pixels", 1, UINT32_MAX, &max_pixels) < 0)
		*bad = "max_pixels must be a number from 1 to 4294967295";
	else if (get_range(head->head, "quality", 1, 100, &quality) < 0)
		*bad = "quality must be a number from 1 to 100";
	else if (get_range(head->head, "rotate", 0, 270, &rotate) < 0 || rotate % 90)
		*bad = "rotate must be 0, 90, 180 or 270";
	else if (get_range(head->head, "warm_ms", 0, WARM_MAX_MS, &q.warm_ms) < 0)
		*bad = "warm_ms must be a number from 0 to 600000";
	else if (get_bool(head->head, "watch", &q.watch) < 0)
		*bad = "watch must be true or false";
	else if (get_bool(head->head, "square", &q.convert.square) < 0)
		*bad = "square must be true or false";
	else if (get_bool(head->head, "flatten", &q.convert.flatten.flatten) < 0 ||
		 get_bool(head->head, "contrast", &q.convert.flatten.contrast) < 0)
		*bad = "flatten and contrast must be true or false";
	else if (get_crop(head->head, &q.convert) < 0)
		*bad = "crop must be [x, y, width, height] in pixels";
	else if (get_crop_of(head->head, &q.convert) < 0)
		*bad = "crop_of must be [width, height] of the picture that the crop lies on, quad the corners of that, clockwise";
	else if (get_bool(head->head, "original", &q.convert.original) < 0)
		*bad = "original must be true or false";
	else if (get_sense(head->head, &q.convert.sense) < 0)
		*bad = "sense must be words with commas: gate, blank, hash, thumbnail; or none";
	else
		*bad = NULL;
	if (*bad)
		return -EINVAL;
	q.convert.max_side = (uint32_t)max_side;
	q.convert.quality = (int)quality;
	q.convert.rotate = (unsigned int)rotate / 90;
	q.convert.limits.max_pixels = (uint64_t)max_pixels;
	*ret = q;
	return 0;
}

/* ---- verbs --------------------------------------------------------------------------------------- */
static int do_scan(struct helper *h, const struct request *q, struct emit *e)
{
	const struct source_options so = {.controls = q->controls, .limits = q->convert.limits};
	struct run_stay stay = {.wait = q->watch ? helper_stay_watching : helper_stay_warm, .ud = h};
	struct run_counts counts;

	if (!q->source[0])
		return run_refuse(e, "bad-request", "scan needs a source");
	h->warm_ms = q->warm_ms;
	stay.wait_first = streq(q->verb, "watch");
	return run_source(q->source, &so, &q->convert, q->watch || q->warm_ms ? &stay : NULL, e, &counts);
}

/* A run that begins with watching. */
static int do_watch(struct helper *h, const struct request *q, struct emit *e)
{
	struct request watch = *q;

	watch.watch = true;
	return do_scan(h, &watch, e);
}

static void say_control(void *ud, const char *control, const char *problem)
{
	cJSON *j = cJSON_CreateObject();

	if (j && json_add_string(j, "name", control) >= 0 && json_add_string(j, "message", problem) >= 0)
		helper_say(ud, j, "control");
	else
		cJSON_Delete(j);
}

/* Can the source be opened, and what of its controls cannot be set? No page is taken. */
static int do_probe(struct helper *h, const struct request *q, struct emit *e)
{
	const struct source_options so = {
		.controls = q->controls, .notice = say_control, .notice_ud = h, .limits = q->convert.limits};
	struct page_source *s = NULL;
	struct reject why = {};
	cJSON *j = cJSON_CreateObject();
	int r = source_open(q->source, &so, &s, &why);

	source_close(s);
	if (r < 0 && r != -EBADMSG) {
		cJSON_Delete(j);
		return run_refuse(e, "io", errno_text(r));
	}
	if (!j || json_add_bool(j, "ok", r >= 0) < 0 ||
		(r < 0 && json_add_string(j, "reason", reject_name(why.reason)) < 0) ||
		(r < 0 && json_add_string(j, "message", why.message) < 0)) {
		cJSON_Delete(j);
		return -ENOMEM;
	}
	return helper_say(h, j, "end");
}

static int do_ingest(struct helper *h, const struct request *q, struct emit *e)
{
	_cleanup_(input_close) struct input in = {.fd = -1};
	struct run_counts counts;
	struct stat st;
	int r;

	if (h->passed_fd < 0)
		return run_refuse(e, "bad-request", "ingest needs a file's descriptor with its first byte");
	/* A pipe or device could hold us up for ever, and has no size to be held to. */
	if (fstat(h->passed_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return run_refuse(e, "io", "what was passed is not a regular file");
	r = input_from_file(&in, h->passed_fd);
	if (r < 0)
		return r;
	return run_input(&in, q->name, &q->convert, e, &counts);
}

static int do_transcode(struct helper *h, const struct request *q, struct emit *e)
{
	_cleanup_(input_close) struct input in = {.fd = -1};
	struct run_counts counts;
	int r = input_from_reader(&in, read_payload, h);

	if (r < 0)
		return r;
	r = run_input(&in, q->name, &q->convert, e, &counts);
	/* What a rejected page left unread would reset the connection when we exit. */
	while (r >= 0 && !h->done && read_payload(&in, in.buffer, INPUT_BUFFER) > 0)
		;
	return r;
}

static const struct {
	const char *verb;
	int (*fn)(struct helper *h, const struct request *q, struct emit *e);
} verbs[] = {
	{"scan", do_scan},
	{"watch", do_watch},
	{"probe", do_probe},
	{"ingest", do_ingest},
	{"transcode", do_transcode},
};

static int dispatch(struct helper *h, const struct request *q, struct emit *e)
{
	if (!streq(q->verb, "probe") && !streq(q->verb, "watch"))
		STEP(HELPER_STARTED);
	if (q->has_payload && !streq(q->verb, "transcode"))
		return run_refuse(e, "bad-request", "only transcode takes a payload");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (streq(verbs[i].verb, q->verb))
			return verbs[i].fn(h, q, e);
	return run_refuse(e, "bad-request", "no such verb; expected scan, watch, probe, ingest or transcode");
}

static int serve(struct helper *h, struct emit *e)
{
	struct frame_piece head;
	struct request q;
	const char *bad;
	int r = next_part(h, &head);

	if (r == -EBADMSG || r == -EMSGSIZE)
		return run_refuse(e, "bad-request", frame_reader_error(h->reader));
	if (r < 0)
		return r;
	if (parse_request(&head, &q, &bad) < 0)
		return run_refuse(e, "bad-request", bad);
	return dispatch(h, &q, e);
}

int helper_main(int in_fd, int out_fd)
{
	struct helper h = {.in_fd = in_fd, .out_fd = out_fd, .passed_fd = -1, .started_ms = watch_us() / 1000};
	struct emit *e = NULL;
	int r;

	r = frame_reader_new(&h.reader);
	if (r >= 0)
		r = emit_frames_new(out_fd, &e);
	if (r >= 0)
		r = serve(&h, e);
	emit_free(e);
	frame_reader_free(h.reader);
	closep(&h.passed_fd);
	return r;
}
