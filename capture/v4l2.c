/*
 * v4l2:DEVICE: one page from a camera, by memory-mapped streaming (V4L2 API, kernel documentation "Video for
 * Linux"). YUYV and MJPEG on single-planar nodes. What the driver made of our wishes (format, size, stride)
 * is read back and believed. Every wait is bounded. Each dequeued buffer goes back, on every path.
 */
#include "capture/v4l2_io.h"

#include <inttypes.h>
#include <linux/videodev2.h>
#include <stdio.h>

#include "base/log.h"

#define BUFFERS        3
#define NODES          64   /* /dev/video0... looked at for "auto" */
#define FORMATS_MAX    64   /* enumerations end there even if the driver's do not */
#define FRAME_WAIT_MS  3000 /* longest wait for one frame; a sleeping sensor takes about a second */
#define SETTLE_MS      2500 /* longest time for exposure to settle */
#define SETTLE_FRAMES  30
#define SETTLED_RUN    3 /* so many frames in a row that differ little */
#define BAD_FRAMES_MAX 30

struct mapped {
	void *data;
	size_t len;
};

/* What exists only while a device is open. */
struct v4l2 {
	struct page_source source;
	struct v4l2_io io;
	char path[256];
	int fd;
	struct v4l2_pix_format format;
	struct mapped buffers[BUFFERS];
	unsigned int n_buffers;
	bool streaming, given;
	int held; /* index of the dequeued buffer in use, or -1 */
	struct input input;
};

static inline struct v4l2 *v4l2_of(struct page_source *s)
{
	return (struct v4l2 *)s;
}

static int ctl(struct v4l2 *v, unsigned long request, void *arg)
{
	return v->io.ioctl(v->io.ud, v->fd, request, arg);
}

static int failed(const struct v4l2 *v, const char *doing, int r, struct reject *why)
{
	enum reject_reason reason = REJECT_IO;

	if (r == -ENODEV || r == -ENXIO || r == -ENOENT)
		reason = REJECT_NO_DEVICE;
	else if (r == -EBUSY)
		reason = REJECT_BUSY;
	return reject_set(why, reason, "%s: %s: %s", v->path, doing, errno_text(r));
}

/* ---- opening ------------------------------------------------------------------------------------- */
static void close_device(struct v4l2 *v)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	if (v->streaming)
		ctl(v, VIDIOC_STREAMOFF, &type);
	v->streaming = false;
	v->held = -1;
	for (unsigned int i = 0; i < v->n_buffers; i++)
		if (v->buffers[i].data)
			v->io.unmap(v->io.ud, v->buffers[i].data, v->buffers[i].len);
	memset(v->buffers, 0, sizeof(v->buffers));
	v->n_buffers = 0;
	if (v->fd >= 0)
		v->io.close(v->io.ud, v->fd);
	v->fd = -1;
}

/* `capabilities` speaks of the whole device with all its nodes; this node's are in device_caps. */
static uint32_t node_caps(const struct v4l2_capability *cap)
{
	return cap->capabilities & V4L2_CAP_DEVICE_CAPS ? cap->device_caps : cap->capabilities;
}

/* 0 if this is a node that we can take pages from. */
static int open_node(struct v4l2 *v, const char *path, struct reject *why)
{
	struct v4l2_capability cap = {};
	uint32_t caps;
	int r;

	if (str_copy(v->path, sizeof(v->path), path) < 0)
		return reject_set(why, REJECT_NO_DEVICE, "the device's path is too long");
	r = v->io.open(v->io.ud, path);
	if (r < 0)
		return failed(v, "cannot open", r, why);
	v->fd = r;
	r = ctl(v, VIDIOC_QUERYCAP, &cap);
	caps = node_caps(&cap);
	if (r >= 0 && (caps & V4L2_CAP_VIDEO_CAPTURE) && (caps & V4L2_CAP_STREAMING))
		return 0;
	close_device(v);
	if (r < 0)
		return reject_set(why, REJECT_NO_DEVICE, "%s is not a video device: %s", path, errno_text(r));
	if (caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE)
		return reject_set(why, REJECT_UNSUPPORTED,
			"%s has multi-planar buffers only, which are not taken", path);
	return reject_set(why, REJECT_NO_DEVICE, "%s is not a capture node", path);
}

/* When none will do, a device that is there but busy, forbidden or of another kind says more than those that
 * are not there. */
static int open_first(struct v4l2 *v, struct reject *why)
{
	bool said = false;

	for (unsigned int i = 0; i < NODES; i++) {
		char path[32];
		struct reject one;

		str_format(path, sizeof(path), "/dev/video%u", i);
		if (open_node(v, path, &one) == 0)
			return 0;
		if (!said && one.reason != REJECT_NO_DEVICE) {
			*why = one;
			said = true;
		}
	}
	if (said)
		return -EBADMSG;
	return reject_set(why, REJECT_NO_DEVICE,
		"no capture device among /dev/video0 to /dev/video%d; is the camera connected?", NODES - 1);
}

/* ---- format and size ----------------------------------------------------------------------------- */
static bool known_format(uint32_t f)
{
	return f == V4L2_PIX_FMT_YUYV || f == V4L2_PIX_FMT_MJPEG || f == V4L2_PIX_FMT_JPEG;
}

static void largest_size(struct v4l2 *v, uint32_t format, uint32_t *width, uint32_t *height)
{
	for (uint32_t i = 0; i < FORMATS_MAX; i++) {
		struct v4l2_frmsizeenum s = {.index = i, .pixel_format = format};
		uint32_t w, h;

		if (ctl(v, VIDIOC_ENUM_FRAMESIZES, &s) < 0)
			return;
		w = s.type == V4L2_FRMSIZE_TYPE_DISCRETE ? s.discrete.width : s.stepwise.max_width;
		h = s.type == V4L2_FRMSIZE_TYPE_DISCRETE ? s.discrete.height : s.stepwise.max_height;
		if ((uint64_t)w * h > (uint64_t)*width * *height) {
			*width = w;
			*height = h;
		}
		if (s.type != V4L2_FRMSIZE_TYPE_DISCRETE)
			return;
	}
}

/* The most pixels win; among equals the one that is not compressed. */
static int choose_format(struct v4l2 *v, struct v4l2_pix_format *ret)
{
	struct v4l2_pix_format best = {};

	for (uint32_t i = 0; i < FORMATS_MAX; i++) {
		struct v4l2_fmtdesc d = {.index = i, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
		uint32_t w = 0, h = 0;
		uint64_t area, best_area = (uint64_t)best.width * best.height;

		if (ctl(v, VIDIOC_ENUM_FMT, &d) < 0)
			break;
		if (!known_format(d.pixelformat))
			continue;
		largest_size(v, d.pixelformat, &w, &h);
		area = (uint64_t)w * h;
		if (!best.pixelformat || area > best_area ||
			(area == best_area && d.pixelformat == V4L2_PIX_FMT_YUYV))
			best = (struct v4l2_pix_format){
				.width = w, .height = h, .pixelformat = d.pixelformat};
	}
	*ret = best;
	return best.pixelformat ? 0 : -ENOTSUP;
}

static int set_format(struct v4l2 *v, struct reject *why)
{
	struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
	struct v4l2_pix_format wish;
	int r;

	if (choose_format(v, &wish) < 0)
		return reject_set(why, REJECT_UNSUPPORTED, "%s offers neither YUYV nor MJPEG", v->path);
	r = ctl(v, VIDIOC_G_FMT, &f);
	if (r < 0)
		return failed(v, "cannot read the format", r, why);
	f.fmt.pix.pixelformat = wish.pixelformat;
	f.fmt.pix.field = V4L2_FIELD_NONE;
	f.fmt.pix.bytesperline = 0;
	if (wish.width) {
		f.fmt.pix.width = wish.width;
		f.fmt.pix.height = wish.height;
	}
	r = ctl(v, VIDIOC_S_FMT, &f);
	if (r < 0)
		return failed(v, "cannot set the format", r, why);
	r = ctl(v, VIDIOC_G_FMT, &f); /* some drivers fill in the answer to S_FMT badly */
	if (r < 0)
		return failed(v, "cannot read the format", r, why);
	v->format = f.fmt.pix;
	if (v->format.pixelformat == V4L2_PIX_FMT_YUYV && v->format.bytesperline == 0)
		v->format.bytesperline = v->format.width * 2;
	if (!known_format(v->format.pixelformat) || !v->format.width || !v->format.height)
		return reject_set(
			why, REJECT_UNSUPPORTED, "%s insists on another format than YUYV or MJPEG", v->path);
	return 0;
}

/* ---- buffers ------------------------------------------------------------------------------------- */
static int queue(struct v4l2 *v, unsigned int index)
{
	struct v4l2_buffer b = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .index = index};

	return ctl(v, VIDIOC_QBUF, &b);
}

static int map_buffers(struct v4l2 *v, struct reject *why)
{
	struct v4l2_requestbuffers q = {
		.count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
	int r = ctl(v, VIDIOC_REQBUFS, &q);

	if (r < 0)
		return failed(v, "cannot get buffers", r, why);
	if (q.count == 0)
		return failed(v, "cannot get buffers", -ENOMEM, why);
	for (unsigned int i = 0; i < MIN(q.count, BUFFERS); i++) {
		struct v4l2_buffer b = {
			.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .index = i};

		r = ctl(v, VIDIOC_QUERYBUF, &b);
		if (r < 0)
			return failed(v, "cannot look at a buffer", r, why);
		v->buffers[i] = (struct mapped){v->io.map(v->io.ud, v->fd, b.length, b.m.offset), b.length};
		if (!v->buffers[i].data)
			return failed(v, "cannot map a buffer", -ENOMEM, why);
		v->n_buffers = i + 1;
	}
	return 0;
}

static int start_stream(struct v4l2 *v, struct reject *why)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE, r;

	for (unsigned int i = 0; i < v->n_buffers; i++) {
		r = queue(v, i);
		if (r < 0)
			return failed(v, "cannot queue a buffer", r, why);
	}
	r = ctl(v, VIDIOC_STREAMON, &type);
	if (r < 0)
		return failed(v, "cannot start", r, why);
	v->streaming = true;
	return 0;
}

/* ---- frames -------------------------------------------------------------------------------------- */
static int wait_frame(struct v4l2 *v, struct reject *why)
{
	int64_t until = v->io.now_ms(v->io.ud) + FRAME_WAIT_MS, left;

	while ((left = until - v->io.now_ms(v->io.ud)) > 0) {
		struct pollfd p = {.fd = v->fd, .events = POLLIN};
		int r = v->io.poll(v->io.ud, &p, (int)left);

		if (r == -EINTR || r == 0)
			continue;
		if (r < 0)
			return failed(v, "cannot wait for a frame", r, why);
		if (p.revents & POLLIN)
			return 0;
		return failed(v, "the stream broke", p.revents & POLLHUP ? -ENODEV : -EIO, why);
	}
	return reject_set(why, REJECT_TIMEOUT, "%s gave no frame within %d ms", v->path, FRAME_WAIT_MS);
}

/* Is the frame whole, as far as its outside tells? */
static bool whole(const struct v4l2 *v, const struct v4l2_buffer *b)
{
	const struct v4l2_pix_format *f = &v->format;
	const uint8_t *p = v->buffers[b->index].data;

	if ((b->flags & V4L2_BUF_FLAG_ERROR) || b->bytesused == 0 || b->bytesused > v->buffers[b->index].len)
		return false;
	if (f->pixelformat == V4L2_PIX_FMT_YUYV)
		return b->bytesused >= (uint64_t)f->bytesperline * (f->height - 1) + (uint64_t)f->width * 2;
	if (b->bytesused < 4 || p[0] != 0xff || p[1] != 0xd8)
		return false;
	/* Drivers pad behind the end marker, so it may be anywhere; the decoder asks for it strictly. */
	return memmem(p + 2, b->bytesused - 2, "\xff\xd9", 2) != NULL;
}

/* Takes the next whole frame and holds it. Those that are not go back at once. */
static int take_frame(struct v4l2 *v, struct v4l2_buffer *ret, struct reject *why)
{
	for (unsigned int bad = 0; bad < BAD_FRAMES_MAX; bad++) {
		struct v4l2_buffer b = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
		int r = wait_frame(v, why);

		if (r < 0)
			return r;
		r = ctl(v, VIDIOC_DQBUF, &b);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return failed(v, "cannot take a frame", r, why);
		if (b.index >= v->n_buffers)
			return failed(v, "the driver gave a buffer that is not ours", -EIO, why);
		v->held = (int)b.index;
		*ret = b;
		if (whole(v, &b))
			return 0;
		v->held = -1;
		r = queue(v, b.index);
		if (r < 0)
			return failed(v, "cannot queue a buffer", r, why);
	}
	return reject_set(
		why, REJECT_DAMAGED, "%s: %d frames in a row were damaged or short", v->path, BAD_FRAMES_MAX);
}

static int give_back(struct v4l2 *v, struct reject *why)
{
	int r = 0;

	if (v->held >= 0)
		r = queue(v, (unsigned int)v->held);
	v->held = -1;
	return r < 0 ? failed(v, "cannot queue a buffer", r, why) : 0;
}

/* A number that moves while exposure does: mean luma (times 16) of a grid of pixels, or the size of a
 * compressed frame. */
static int64_t brightness(const struct v4l2 *v, const struct v4l2_buffer *b)
{
	const struct v4l2_pix_format *f = &v->format;
	const uint8_t *p = v->buffers[b->index].data;
	int64_t sum = 0, n = 0;

	if (f->pixelformat != V4L2_PIX_FMT_YUYV)
		return b->bytesused;
	for (uint32_t y = 0; y < f->height; y += 16)
		for (uint32_t x = 0; x < f->width; x += 16, n++)
			sum += p[(size_t)y * f->bytesperline + (size_t)x * 2];
	return sum * 16 / MAX(n, 1);
}

/* Lets frames go by until three in a row differ by less than 2 %, for a bounded time. The last one is held.
 */
static int settle(struct v4l2 *v, struct v4l2_buffer *ret, struct reject *why)
{
	int64_t until = v->io.now_ms(v->io.ud) + SETTLE_MS, before = -1;
	unsigned int calm = 0;

	for (unsigned int i = 0; i < SETTLE_FRAMES; i++) {
		int64_t now;
		int r = give_back(v, why);

		if (r >= 0)
			r = take_frame(v, ret, why);
		if (r < 0)
			return r;
		now = brightness(v, ret);
		calm = before >= 0 && llabs((long long)(now - before)) * 50 <= before ? calm + 1 : 0;
		before = now;
		if (calm >= SETTLED_RUN || v->io.now_ms(v->io.ud) >= until)
			return 0;
	}
	return 0;
}

static bool is_full_range(const struct v4l2_pix_format *f)
{
	uint32_t q = f->quantization;

	if (q == V4L2_QUANTIZATION_DEFAULT)
		q = V4L2_MAP_QUANTIZATION_DEFAULT(false, f->colorspace, f->ycbcr_enc);
	return q == V4L2_QUANTIZATION_FULL_RANGE;
}

static void give_frame(struct v4l2 *v, const struct v4l2_buffer *b, struct page_item *ret)
{
	const struct v4l2_pix_format *f = &v->format;

	if (f->pixelformat != V4L2_PIX_FMT_YUYV) {
		input_from_memory(&v->input, v->buffers[b->index].data, b->bytesused);
		v->input.from_camera = true;
		ret->input = &v->input;
		return;
	}
	ret->frame = (struct raw_frame){
		.format = raw_format_by_name("yuyv"),
		.plane = {{v->buffers[b->index].data, b->bytesused, f->bytesperline}},
		.width = f->width,
		.height = f->height,
		.full_range = is_full_range(f),
	};
}

/* ---- the source ---------------------------------------------------------------------------------- */
static void v4l2_close(struct page_source *s)
{
	struct v4l2 *v = v4l2_of(s);
	struct reject unused;

	give_back(v, &unused);
	close_device(v);
	free(v);
}

static int v4l2_next(struct page_source *s, struct page_item *ret, struct reject *why)
{
	struct v4l2 *v = v4l2_of(s);
	int64_t from = v->io.now_ms(v->io.ud);
	struct v4l2_buffer b = {};
	int r;

	if (v->given)
		return 0;
	v->given = true;
	*ret = (struct page_item){.name = "camera"};
	r = settle(v, &b, why);
	if (r < 0)
		return r;
	give_frame(v, &b, ret);
	ret->grab_us = (v->io.now_ms(v->io.ud) - from) * 1000;
	return 1;
}

int v4l2_open_with(const struct v4l2_io *io, const char *where, struct page_source **ret, struct reject *why)
{
	struct v4l2 *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->source.ops = &v4l2_source;
	v->io = *io;
	v->fd = v->held = -1;
	r = streq(where, "auto") ? open_first(v, why) : open_node(v, where, why);
	if (r >= 0)
		r = set_format(v, why);
	if (r >= 0)
		r = map_buffers(v, why);
	if (r >= 0)
		r = start_stream(v, why);
	if (r < 0) {
		v4l2_close(&v->source);
		return r;
	}
	*ret = &v->source;
	return 0;
}

static int v4l2_open(const char *where, struct page_source **ret, struct reject *why)
{
	return v4l2_open_with(&v4l2_system_io, where, ret, why);
}

const struct page_source_ops v4l2_source = {
	.scheme = "v4l2",
	.open = v4l2_open,
	.next = v4l2_next,
	.close = v4l2_close,
};
