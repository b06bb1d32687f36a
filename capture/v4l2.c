/*
 * v4l2:DEVICE: one page a scan from a camera. Exposure and focus are seen to settle, not waited for; then the sharpest of a
 * few frames is the page. A frame that is not whole is passed over; a device that fails in the middle is opened again, with
 * all that it is and does asked anew. Every wait is bounded, and each dequeued buffer goes back, on every path.
 */
#include "capture/v4l2_internal.h"

#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/parse.h"

#define FRAME_WAIT_MS  3000 /* longest wait for one frame; a sleeping sensor takes about a second */
#define SETTLE_MS      2500 /* longest time for exposure and focus to settle */
#define SETTLED_RUN    3    /* so many frames in a row that differ little */
#define SHARPEST_OF    3    /* frames, the settled one included */
#define BAD_FRAMES_MAX 30   /* in a row: damaged, short, stale */
#define BAD_FRAMES_MS  8000 /* and they may not come for longer */
#define TRIES          3    /* openings of the device for one page */
#define PAUSE_MS       400  /* before it is opened again: nodes of a replugged device appear */
#define DARK_MEAN      24   /* luma that no cell of a picture is above: a cap, a lamp that is off */

struct v4l2 {
	struct page_source source;
	struct v4l2_device device;
	struct v4l2_wish wish;
	struct v4l2_io io;
	bool given;
	int64_t asked_us;       /* older frames are of before the page was asked for */
	unsigned int pass_over; /* the same for a driver that does not tell times: so many frames */
	struct v4l2_shot last;  /* for frames that come twice */
	bool has_last;
	struct v4l2_shot page; /* the frame that is given, ours until the next call */
	bool has_page;
	struct page_grab grab;
	struct input input;
};

static inline struct v4l2 *v4l2_of(struct page_source *s)
{
	return (struct v4l2 *)s;
}

static int64_t now_ms(const struct v4l2 *v)
{
	return v->io.now_ms(v->io.ud);
}

/* ---- frames -------------------------------------------------------------------------------------- */
/* One that was taken before it was asked for, or that was given before. */
static bool is_stale(struct v4l2 *v, const struct v4l2_shot *shot)
{
	bool again = v->has_last && shot->time_us > 0 && shot->time_us == v->last.time_us &&
		     shot->sequence == v->last.sequence;

	v->last = *shot;
	v->has_last = true;
	if (shot->time_us >= 0)
		return again || shot->time_us < v->asked_us;
	if (v->pass_over == 0)
		return false;
	v->pass_over--;
	return true;
}

static int good_frame(struct v4l2 *v, struct v4l2_shot *ret, struct glance *look, struct reject *why)
{
	int64_t until = now_ms(v) + BAD_FRAMES_MS;

	for (unsigned int bad = 0;;) {
		int r = v4l2_device_take(&v->device, FRAME_WAIT_MS, ret, why), back;
		struct reject not_back;

		if (r < 0)
			return r;
		v->grab.frames++;
		r = is_stale(v, ret) ? reject_set(why, REJECT_IO, "%s gives old frames only", v->device.path)
				     : v4l2_frame_look(&v->device, ret, look, why);
		if (r >= 0)
			return 0;
		v->grab.bad++;
		back = v4l2_device_give_back(&v->device, ret->index, &not_back);
		if (r != -EBADMSG || ++bad == BAD_FRAMES_MAX || now_ms(v) >= until)
			return r;
		if (back < 0) {
			*why = not_back;
			return back;
		}
	}
}

static int drop_frame(struct v4l2 *v, struct reject *why)
{
	bool had = v->has_page;

	v->has_page = false;
	return had ? v4l2_device_give_back(&v->device, v->page.index, why) : 0;
}

static void keep_frame(struct v4l2 *v, const struct v4l2_shot *shot)
{
	v->page = *shot;
	v->has_page = true;
}

static bool is_near(int64_t a, int64_t b, int percent)
{
	return llabs((long long)(a - b)) * 100 <= MAX(b, (int64_t)256) * percent;
}

/* Frames go by until three in a row differ little in brightness and sharpness, for a bounded time. The last one is kept. */
static int settle(struct v4l2 *v, struct glance *now, struct reject *why)
{
	int64_t until = now_ms(v) + SETTLE_MS;
	struct glance before = {};
	unsigned int calm = 0;
	bool dark;

	do {
		struct v4l2_shot shot;
		/* Given back first: there may be no other buffer. */
		int r = drop_frame(v, why);

		if (r >= 0)
			r = good_frame(v, &shot, now, why);
		if (r < 0)
			return r;
		keep_frame(v, &shot);
		dark = now->brightest < DARK_MEAN;
		calm = !dark && before.width && is_near(now->brightness, before.brightness, 2) &&
				       is_near(now->sharpness, before.sharpness, 4)
			       ? calm + 1
			       : 0;
		before = *now;
	} while (calm < SETTLED_RUN && now_ms(v) < until);
	v->grab.settled = calm >= SETTLED_RUN;
	if (dark)
		return reject_set(why, REJECT_DARK, "%s: the picture is black; is the lamp on, and the lens free?",
			v->device.path);
	return 0;
}

/* Two frames are held while a third may come. What fails now does no harm to the one in hand. */
static void choose_sharpest(struct v4l2 *v, struct glance *best)
{
	struct reject unused;

	for (unsigned int i = 1; i < SHARPEST_OF && v->device.n_buffers >= 3; i++) {
		struct v4l2_shot shot;
		struct glance look;

		if (good_frame(v, &shot, &look, &unused) < 0)
			return;
		if (look.sharpness <= best->sharpness || look.brightest < DARK_MEAN) {
			v4l2_device_give_back(&v->device, shot.index, &unused);
			continue;
		}
		drop_frame(v, &unused);
		keep_frame(v, &shot);
		*best = look;
	}
}

static int give_page(struct v4l2 *v, struct page_item *ret, struct reject *why)
{
	ret->grab = v->grab;
	str_copy(ret->grab.device, sizeof(ret->grab.device), v->device.path);
	if (!v->device.shape.jpeg)
		return v4l2_frame_raw(&v->device, &v->page, &ret->frame, why);
	input_from_memory(&v->input, v->page.plane[0].data, v->page.plane[0].len);
	v->input.from_camera = true;
	ret->input = &v->input;
	return 0;
}

/* ---- the device, through its failures ------------------------------------------------------------ */
static void forget_page(struct v4l2 *v)
{
	struct reject unused;

	drop_frame(v, &unused);
}

static int open_device(struct v4l2 *v, struct reject *why)
{
	int r = v4l2_device_open(&v->device, &v->io, &v->wish, why);

	v->has_page = v->has_last = false;
	v->pass_over = 0; /* whatever it gives was taken since */
	return r;
}

static void pause_for(struct v4l2 *v, int64_t ms)
{
	int64_t until = now_ms(v) + ms, left;

	while ((left = until - now_ms(v)) > 0) {
		struct pollfd none = {.fd = -1};

		v->io.poll(v->io.ud, &none, (int)left);
	}
}

/* May another opening of the device help? */
static bool may_heal(const struct reject *why)
{
	switch (why->reason) {
	case REJECT_IO:
	case REJECT_NO_DEVICE:
	case REJECT_NO_SIGNAL:
	case REJECT_TIMEOUT:
	case REJECT_BUSY:
	case REJECT_DAMAGED:
	case REJECT_TRUNCATED:
		return true;
	default:
		return false;
	}
}

static int take_page(struct v4l2 *v, struct page_item *ret, struct reject *why)
{
	struct glance look = {};
	int r = settle(v, &look, why);

	if (r < 0)
		return r;
	choose_sharpest(v, &look);
	return give_page(v, ret, why);
}

/* A page, from a device that may have to be opened again for it. */
static int take_through_failures(struct v4l2 *v, struct page_item *ret, struct reject *why)
{
	for (unsigned int i = 1;; i++) {
		int r = v->device.fd >= 0 ? 0 : open_device(v, why);

		if (r >= 0)
			r = take_page(v, ret, why);
		if (r >= 0)
			return r;
		v4l2_device_close(&v->device);
		v->has_page = false;
		if (r != -EBADMSG || i == TRIES || !may_heal(why))
			return r;
		v->grab.reopened++;
		pause_for(v, PAUSE_MS);
	}
}

/* ---- the source ---------------------------------------------------------------------------------- */
static void v4l2_close(struct page_source *s)
{
	struct v4l2 *v = v4l2_of(s);

	v4l2_device_close(&v->device);
	free(v);
}

static int v4l2_next(struct page_source *s, struct page_item *ret, struct reject *why)
{
	struct v4l2 *v = v4l2_of(s);
	int64_t from = now_ms(v);
	int r;

	forget_page(v);
	if (v->given)
		return 0;
	v->given = true;
	v->grab = (struct page_grab){};
	*ret = (struct page_item){.name = "camera"};
	r = take_through_failures(v, ret, why);
	if (r < 0)
		return r;
	ret->grab_us = (now_ms(v) - from) * 1000;
	return 1;
}

/* What the driver has in its buffers is from before. */
static void v4l2_again(struct page_source *s)
{
	struct v4l2 *v = v4l2_of(s);

	forget_page(v);
	v->given = false;
	v->asked_us = now_ms(v) * 1000;
	v->pass_over = v->device.n_buffers;
}

static int v4l2_glance(struct page_source *s, struct glance *ret, struct reject *why)
{
	struct v4l2 *v = v4l2_of(s);
	struct v4l2_shot shot;
	int r;

	forget_page(v);
	r = v->device.fd >= 0 ? 0 : open_device(v, why);
	if (r >= 0)
		r = good_frame(v, &shot, ret, why);
	if (r >= 0)
		r = v4l2_device_give_back(&v->device, shot.index, why);
	if (r < 0)
		v4l2_device_close(&v->device);
	ret->at_ms = now_ms(v);
	return r < 0 ? r : 1;
}

/* ---- its name ------------------------------------------------------------------------------------ */
static int parse_geometry(const char *text, struct v4l2_wish *w)
{
	char width[8];
	const char *x = strchr(text, 'x');
	uint64_t a, b;

	if (!x || str_format(width, sizeof(width), "%.*s", (int)(x - text), text) < 0)
		return -EINVAL;
	if (parse_u64(width, 1, IMAGE_SIDE_MAX, &a) < 0 || parse_u64(x + 1, 1, IMAGE_SIDE_MAX, &b) < 0)
		return -EINVAL;
	w->width = (uint32_t)a;
	w->height = (uint32_t)b;
	return 0;
}

static int parse_option(const char *word, struct v4l2_wish *w)
{
	if (starts_with(word, "format="))
		return str_copy(w->format, sizeof(w->format), word + strlen("format="));
	if (starts_with(word, "size="))
		return parse_geometry(word + strlen("size="), w);
	return -EINVAL;
}

/* DEVICE[,format=NAME][,size=WIDTHxHEIGHT] */
static int parse_where(const char *where, struct v4l2_wish *w, struct reject *why)
{
	size_t len = strcspn(where, ",");
	char word[32];

	if (str_format(w->device, sizeof(w->device), "%.*s", (int)len, where) < 0)
		return reject_set(why, REJECT_NO_DEVICE, "the device's path is too long");
	where += len;
	for (;;) {
		int r = parse_word(&where, word, sizeof(word));

		if (r == 0)
			return 0;
		if (r < 0 || parse_option(word, w) < 0)
			return reject_set(why, REJECT_UNSUPPORTED, "\"%s\": expected format=NAME or size=WIDTHxHEIGHT",
				r < 0 ? where : word);
	}
}

int v4l2_open_with(const struct v4l2_io *io, const char *where, const struct source_options *o,
	struct page_source **ret, struct reject *why)
{
	struct v4l2 *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->source.ops = &v4l2_source;
	v->io = *io;
	v->device = (struct v4l2_device){.io = *io, .fd = -1};
	str_copy(v->wish.controls, sizeof(v->wish.controls), o->controls);
	v->wish.notice = o->notice;
	v->wish.notice_ud = o->notice_ud;
	v->wish.limits = o->limits;
	r = parse_where(where, &v->wish, why);
	if (r >= 0)
		r = open_device(v, why);
	if (r < 0) {
		v4l2_close(&v->source);
		return r;
	}
	v->wish.notice = NULL; /* once is enough */
	*ret = &v->source;
	return 0;
}

static int v4l2_open(const char *where, const struct source_options *o, struct page_source **ret, struct reject *why)
{
	return v4l2_open_with(&v4l2_system_io, where, o, ret, why);
}

const struct page_source_ops v4l2_source = {
	.scheme = "v4l2",
	.open = v4l2_open,
	.next = v4l2_next,
	.again = v4l2_again,
	.glance = v4l2_glance,
	.close = v4l2_close,
};
