/*
 * A capture device, by memory-mapped streaming (V4L2 API, kernel documentation "Video for Linux"): opened, mapped, started,
 * frames taken and given back, closed. Every wait is bounded; one close undoes whatever was reached.
 */
#include "capture/v4l2_internal.h"

#include <stdio.h>

#include "base/log.h"

#define NODES  64 /* /dev/video0... looked at for "auto" */
#define EVENTS 32 /* taken off the queue at a time */

int v4l2_ctl(struct v4l2_device *d, unsigned long request, void *arg)
{
	return d->io.ioctl(d->io.ud, d->fd, request, arg);
}

int v4l2_failed(const struct v4l2_device *d, const char *doing, int r, struct reject *why)
{
	enum reject_reason reason = REJECT_IO;

	if (r == -ENODEV || r == -ENXIO || r == -ENOENT)
		reason = REJECT_NO_DEVICE;
	else if (r == -EBUSY)
		reason = REJECT_BUSY;
	else if (r == -ENOLINK || r == -ENOLCK)
		reason = REJECT_NO_SIGNAL;
	return reject_set(why, reason, "%s: %s: %s", d->path, doing, errno_text(r));
}

/* ---- closing ------------------------------------------------------------------------------------- */
static int queue(struct v4l2_device *d, unsigned int index)
{
	struct v4l2_plane planes[IMAGE_PLANES] = {};
	struct v4l2_buffer b = {.type = d->type, .memory = V4L2_MEMORY_MMAP, .index = index};

	if (v4l2_is_mplane(d)) {
		b.m.planes = planes;
		b.length = d->shape.n_planes;
	}
	return v4l2_ctl(d, VIDIOC_QBUF, &b);
}

static void unmap_all(struct v4l2_device *d)
{
	for (unsigned int i = 0; i < VIDEO_MAX_FRAME; i++)
		for (unsigned int p = 0; p < IMAGE_PLANES; p++)
			if (d->buffers[i][p].data)
				d->io.unmap(d->io.ud, d->buffers[i][p].data, d->buffers[i][p].len);
	memset(d->buffers, 0, sizeof(d->buffers));
	d->n_buffers = 0;
}

void v4l2_device_close(struct v4l2_device *d)
{
	if (d->fd < 0)
		return;
	for (unsigned int i = 0; i < d->n_buffers; i++)
		if (d->ours[i])
			queue(d, i);
	if (d->streaming)
		v4l2_ctl(d, VIDIOC_STREAMOFF, &d->type);
	unmap_all(d);
	v4l2_convert_free(d->convert);
	d->io.close(d->io.ud, d->fd);
	*d = (struct v4l2_device){.io = d->io, .fd = -1};
}

/* ---- the node ------------------------------------------------------------------------------------ */
/* `capabilities` speaks of the whole device with all its nodes; this node's are in device_caps. */
static uint32_t node_caps(const struct v4l2_capability *cap)
{
	return cap->capabilities & V4L2_CAP_DEVICE_CAPS ? cap->device_caps : cap->capabilities;
}

static int open_node(struct v4l2_device *d, const char *path, const struct v4l2_wish *wish, struct reject *why)
{
	struct v4l2_capability cap = {};
	uint32_t caps;
	int r;

	if (str_copy(d->path, sizeof(d->path), path) < 0)
		return reject_set(why, REJECT_NO_DEVICE, "the device's path is too long");
	r = d->io.open(d->io.ud, path);
	if (r < 0)
		return v4l2_failed(d, "cannot open", r, why);
	d->fd = r;
	d->limits = wish->limits;
	r = v4l2_ctl(d, VIDIOC_QUERYCAP, &cap);
	if (r < 0)
		return reject_set(why, REJECT_NO_DEVICE, "%s is not a video device: %s", path, errno_text(r));
	caps = node_caps(&cap);
	d->type = caps & V4L2_CAP_VIDEO_CAPTURE ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	if (!(caps & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)) || (caps & V4L2_CAP_TOUCH))
		return reject_set(why, REJECT_NO_DEVICE, "%s is not a capture node", path);
	if (!(caps & V4L2_CAP_STREAMING))
		return reject_set(why, REJECT_UNSUPPORTED, "%s cannot stream", path);
	return 0;
}

/* ---- buffers ------------------------------------------------------------------------------------- */
static int map_plane(
	struct v4l2_device *d, unsigned int i, unsigned int p, size_t len, off_t offset, struct reject *why)
{
	void *data = len ? d->io.map(d->io.ud, d->fd, len, offset) : NULL;

	if (!data)
		return v4l2_failed(d, "cannot map a buffer", -ENOMEM, why);
	d->buffers[i][p] = (struct v4l2_mapping){data, len};
	return 0;
}

static int map_buffer(struct v4l2_device *d, unsigned int i, struct reject *why)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES] = {};
	struct v4l2_buffer b = {.type = d->type, .memory = V4L2_MEMORY_MMAP, .index = i};
	int r;

	if (v4l2_is_mplane(d)) {
		b.m.planes = planes;
		b.length = VIDEO_MAX_PLANES;
	}
	r = v4l2_ctl(d, VIDIOC_QUERYBUF, &b);
	if (r < 0)
		return v4l2_failed(d, "cannot look at a buffer", r, why);
	if (!v4l2_is_mplane(d))
		return map_plane(d, i, 0, b.length, b.m.offset, why);
	if (b.length != d->shape.n_planes)
		return reject_set(why, REJECT_IO, "%s: buffers of %u planes for a format of %u", d->path, b.length,
			d->shape.n_planes);
	for (unsigned int p = 0; p < b.length; p++) {
		r = map_plane(d, i, p, planes[p].length, planes[p].m.mem_offset, why);
		if (r < 0)
			return r;
	}
	return 0;
}

static int map_buffers(struct v4l2_device *d, struct reject *why)
{
	struct v4l2_requestbuffers q = {.count = V4L2_BUFFERS, .type = d->type, .memory = V4L2_MEMORY_MMAP};
	int r = v4l2_ctl(d, VIDIOC_REQBUFS, &q);

	if (r < 0 || q.count == 0)
		return v4l2_failed(d, "cannot get buffers", r < 0 ? r : -ENOMEM, why);
	for (unsigned int i = 0; i < MIN(q.count, (unsigned int)VIDEO_MAX_FRAME); i++) {
		r = map_buffer(d, i, why);
		if (r < 0)
			return r;
		d->n_buffers = i + 1;
	}
	return 0;
}

static int start_stream(struct v4l2_device *d, struct reject *why)
{
	int r;

	for (unsigned int i = 0; i < d->n_buffers; i++) {
		r = queue(d, i);
		if (r < 0)
			return v4l2_failed(d, "cannot queue a buffer", r, why);
	}
	r = v4l2_ctl(d, VIDIOC_STREAMON, &d->type);
	if (r < 0)
		return v4l2_failed(d, "cannot start", r, why);
	d->streaming = true;
	return 0;
}

/* ---- opening ------------------------------------------------------------------------------------- */
/* Drivers without the event say so; then a changed source shows by what comes. */
static void subscribe(struct v4l2_device *d)
{
	struct v4l2_event_subscription s = {.type = V4L2_EVENT_SOURCE_CHANGE};

	d->has_events = v4l2_ctl(d, VIDIOC_SUBSCRIBE_EVENT, &s) >= 0;
}

static int open_path(struct v4l2_device *d, const char *path, const struct v4l2_wish *wish, struct reject *why)
{
	int r = open_node(d, path, wish, why);

	if (r >= 0) {
		subscribe(d);
		r = v4l2_check_signal(d, why);
	}
	if (r >= 0)
		r = v4l2_set_format(d, wish, why);
	if (r >= 0) {
		v4l2_set_controls(d, wish);
		r = map_buffers(d, why);
	}
	if (r >= 0)
		r = start_stream(d, why);
	if (r < 0)
		v4l2_device_close(d);
	return r;
}

/* The first that will do. If none does, one that is there but busy, forbidden or of another kind says more than those that
 * are not there. */
static int open_first(struct v4l2_device *d, const struct v4l2_wish *wish, struct reject *why)
{
	bool said = false;

	for (unsigned int i = 0; i < NODES; i++) {
		char path[32];
		struct reject one;
		int r;

		str_format(path, sizeof(path), "/dev/video%u", i);
		r = open_path(d, path, wish, &one);
		if (r != -EBADMSG)
			return r;
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

int v4l2_device_open(struct v4l2_device *d, const struct v4l2_io *io, const struct v4l2_wish *wish, struct reject *why)
{
	*d = (struct v4l2_device){.io = *io, .fd = -1};
	return streq(wish->device, "auto") ? open_first(d, wish, why) : open_path(d, wish->device, wish, why);
}

/* ---- frames -------------------------------------------------------------------------------------- */
/* True when the source's format is another now: all has to be set up again. */
static bool source_changed(struct v4l2_device *d)
{
	for (unsigned int i = 0; i < EVENTS; i++) {
		struct v4l2_event e = {};
		int r = v4l2_ctl(d, VIDIOC_DQEVENT, &e);

		if (r == -ENOENT)
			return false;
		if (r < 0)
			break;
		if (e.type == V4L2_EVENT_SOURCE_CHANGE && (e.u.src_change.changes & V4L2_EVENT_SRC_CH_RESOLUTION))
			return true;
	}
	d->has_events = false; /* it has events without end, or none that can be taken */
	return false;
}

static int wait_frame(struct v4l2_device *d, int64_t wait_ms, struct reject *why)
{
	int64_t until = d->io.now_ms(d->io.ud) + wait_ms, left;

	while ((left = until - d->io.now_ms(d->io.ud)) > 0) {
		struct pollfd p = {.fd = d->fd, .events = (short)(POLLIN | (d->has_events ? POLLPRI : 0))};
		int r = d->io.poll(d->io.ud, &p, (int)left);

		if (r == -EINTR || r == 0)
			continue;
		if (r < 0)
			return v4l2_failed(d, "cannot wait for a frame", r, why);
		if ((p.revents & POLLPRI) && source_changed(d))
			return reject_set(why, REJECT_NO_SIGNAL, "%s: what is connected changed its format", d->path);
		if (p.revents & (POLLHUP | POLLNVAL))
			return v4l2_failed(d, "the stream broke", -ENODEV, why);
		if (p.revents & POLLERR)
			return v4l2_failed(d, "the stream broke", -EIO, why);
		if (p.revents & POLLIN)
			return 0;
	}
	/* A lost signal is a better word for it. */
	if (v4l2_check_signal(d, why) < 0)
		return -EBADMSG;
	return reject_set(why, REJECT_TIMEOUT, "%s gave no frame within %lld ms", d->path, (long long)wait_ms);
}

/* What points outside of the buffer is a damaged frame. */
static void fill_shot(const struct v4l2_device *d, const struct v4l2_buffer *b, struct v4l2_shot *ret)
{
	struct v4l2_shot s = {.index = b->index, .flags = b->flags, .sequence = b->sequence, .time_us = -1};

	if ((b->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC)
		s.time_us = (int64_t)b->timestamp.tv_sec * 1000000 + b->timestamp.tv_usec;
	for (unsigned int p = 0; p < d->shape.n_planes; p++) {
		const struct v4l2_mapping *m = &d->buffers[b->index][p];
		size_t used = v4l2_is_mplane(d) ? b->m.planes[p].bytesused : b->bytesused;
		size_t offset = v4l2_is_mplane(d) ? b->m.planes[p].data_offset : 0;

		if (used > m->len || offset > used)
			s.flags |= V4L2_BUF_FLAG_ERROR;
		else
			s.plane[p] = (typeof(s.plane[p])){(const uint8_t *)m->data + offset, used - offset};
	}
	*ret = s;
}

int v4l2_device_take(struct v4l2_device *d, int64_t wait_ms, struct v4l2_shot *ret, struct reject *why)
{
	int64_t until = d->io.now_ms(d->io.ud) + wait_ms;

	for (;;) {
		struct v4l2_plane planes[VIDEO_MAX_PLANES] = {};
		struct v4l2_buffer b = {.type = d->type, .memory = V4L2_MEMORY_MMAP};
		int64_t left = until - d->io.now_ms(d->io.ud);
		int r = wait_frame(d, MAX(left, 1), why);

		if (r < 0)
			return r;
		if (v4l2_is_mplane(d)) {
			b.m.planes = planes;
			b.length = VIDEO_MAX_PLANES;
		}
		r = v4l2_ctl(d, VIDIOC_DQBUF, &b);
		if ((r == -EAGAIN || r == -EINTR) && d->io.now_ms(d->io.ud) < until)
			continue;
		if (r < 0)
			return v4l2_failed(d, "cannot take a frame", r, why);
		if (b.index >= d->n_buffers || d->ours[b.index])
			return v4l2_failed(d, "the driver gave a buffer that is not ours", -EIO, why);
		d->ours[b.index] = true;
		fill_shot(d, &b, ret);
		return 0;
	}
}

int v4l2_device_give_back(struct v4l2_device *d, unsigned int index, struct reject *why)
{
	int r;

	if (!d->ours[index])
		return 0;
	d->ours[index] = false;
	r = queue(d, index);
	return r < 0 ? v4l2_failed(d, "cannot queue a buffer", r, why) : 0;
}
