/*
 * A made-up V4L2 driver at the level of the system calls, strict about the API's order: what a real one would answer with an
 * error, or with a hang, fails the test. Any call can be made to fail, and the device can change, vanish and come back.
 */
#pragma once

#include "tests/unit/v4l2_fake_stream.h"

/* ---- controls, events, inputs -------------------------------------------------------------------- */
static inline struct fake_control *fake_control_of(struct fake *f, uint32_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->controls); i++)
		if (f->controls[i].id && f->controls[i].id == id)
			return &f->controls[i];
	return NULL;
}

static inline int fake_query_control(struct fake *f, struct v4l2_query_ext_ctrl *q)
{
	uint32_t after = q->id & ~(V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND);
	struct fake_control *best = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(f->controls); i++) {
		struct fake_control *c = &f->controls[i];

		if (c->id > after && (!best || c->id < best->id))
			best = c;
	}
	if (!best)
		return -EINVAL;
	*q = (struct v4l2_query_ext_ctrl){
		.id = best->id, .type = best->type, .minimum = best->min, .maximum = best->max, .flags = best->flags};
	str_copy(q->name, sizeof(q->name), best->name);
	return 0;
}

static inline int fake_query_menu(struct fake *f, struct v4l2_querymenu *m)
{
	struct fake_control *c = fake_control_of(f, m->id);
	int64_t i = c ? (int64_t)m->index - c->min : -1;

	if (i < 0 || i >= (int64_t)ARRAY_SIZE(c->items) || !c->items[i])
		return -EINVAL;
	str_copy((char *)m->name, sizeof(m->name), c->items[i]);
	return 0;
}

static inline int fake_set_controls(struct fake *f, struct v4l2_ext_controls *all)
{
	struct fake_control *c = all->count == 1 ? fake_control_of(f, all->controls[0].id) : NULL;

	if (!c)
		return -EINVAL;
	CHECK(!f->streaming); /* before the first frame that counts */
	if (all->controls[0].value < c->min || all->controls[0].value > c->max)
		return -ERANGE;
	c->value = all->controls[0].value;
	return 0;
}

static inline int fake_event(struct fake *f, struct v4l2_event *e)
{
	CHECK(f->subscribed);
	if (!f->event_flood && (!f->event_after || f->event_sent || f->frames < f->event_after))
		return -ENOENT;
	f->event_sent = true;
	*e = (struct v4l2_event){.type = f->event_flood ? V4L2_EVENT_CTRL : V4L2_EVENT_SOURCE_CHANGE};
	e->u.src_change.changes = V4L2_EVENT_SRC_CH_RESOLUTION;
	return 0;
}

static inline int fake_timings(struct fake *f, unsigned long request, struct v4l2_dv_timings *t)
{
	const uint32_t *from = request == VIDIOC_QUERY_DV_TIMINGS ? f->timings : f->timings_set;

	if (!(f->input_caps & V4L2_IN_CAP_DV_TIMINGS))
		return -ENODATA;
	if (request == VIDIOC_QUERY_DV_TIMINGS && f->timings_error)
		return f->timings_error;
	if (request == VIDIOC_S_DV_TIMINGS) {
		CHECK_INT(f->count, 0);
		f->timings_set[0] = t->bt.width;
		f->timings_set[1] = t->bt.height;
		return 0;
	}
	*t = (struct v4l2_dv_timings){.type = V4L2_DV_BT_656_1120, .bt.width = from[0], .bt.height = from[1]};
	return 0;
}

/* ---- the calls ----------------------------------------------------------------------------------- */
static inline int fake_answer(struct fake *f, unsigned long request, void *arg)
{
	switch (request) {
	case VIDIOC_QUERYCAP:
		f->asked_caps = true;
		((struct v4l2_capability *)arg)->capabilities = f->caps;
		((struct v4l2_capability *)arg)->device_caps = f->device_caps;
		return 0;
	case VIDIOC_ENUM_FMT:
		return fake_enum_format(f, arg);
	case VIDIOC_ENUM_FRAMESIZES:
		return fake_enum_size(f, arg);
	case VIDIOC_ENUM_FRAMEINTERVALS:
		return fake_enum_interval(f, arg);
	case VIDIOC_G_FMT:
		CHECK_INT(((struct v4l2_format *)arg)->type, fake_type(f));
		*(struct v4l2_format *)arg = f->format;
		((struct v4l2_format *)arg)->type = fake_type(f);
		return 0;
	case VIDIOC_S_FMT:
		return fake_set_format(f, arg);
	case VIDIOC_TRY_FMT:
		return fake_try_format(f, arg);
	case VIDIOC_REQBUFS:
		return fake_request(f, arg);
	case VIDIOC_QUERYBUF:
		return fake_query_buffer(f, arg);
	case VIDIOC_QBUF:
		return fake_queue(f, arg);
	case VIDIOC_DQBUF:
		return fake_dequeue(f, arg);
	case VIDIOC_STREAMON:
		return fake_stream(f, arg, true);
	case VIDIOC_STREAMOFF:
		return fake_stream(f, arg, false);
	case VIDIOC_QUERY_EXT_CTRL:
		return fake_query_control(f, arg);
	case VIDIOC_QUERYMENU:
		return fake_query_menu(f, arg);
	case VIDIOC_S_EXT_CTRLS:
		return fake_set_controls(f, arg);
	case VIDIOC_SUBSCRIBE_EVENT:
		f->subscribed = f->event_after > 0 || f->event_flood;
		return f->subscribed ? 0 : -EINVAL;
	case VIDIOC_DQEVENT:
		return fake_event(f, arg);
	case VIDIOC_G_INPUT:
		*(int *)arg = 0;
		return f->has_input ? 0 : -ENOTTY;
	case VIDIOC_ENUMINPUT:
		((struct v4l2_input *)arg)->status = f->input_status;
		((struct v4l2_input *)arg)->capabilities = f->input_caps;
		return f->has_input ? 0 : -EINVAL;
	case VIDIOC_QUERY_DV_TIMINGS:
	case VIDIOC_G_DV_TIMINGS:
	case VIDIOC_S_DV_TIMINGS:
		return fake_timings(f, request, arg);
	case VIDIOC_G_SELECTION:
		((struct v4l2_selection *)arg)->r = f->crop;
		return f->crop.width ? 0 : -ENOTTY;
	}
	return -ENOTTY;
}

static inline bool fake_fails(struct fake *f, unsigned long request)
{
	if (f->fail_call && f->calls == f->fail_call)
		return true;
	if (request != f->fail_request || (f->fail_times && f->failed >= f->fail_from + f->fail_times))
		return false;
	return f->failed++ >= f->fail_from;
}

static inline int fake_ioctl(void *ud, int fd, unsigned long request, void *arg)
{
	struct fake *f = ud;

	CHECK_INT(fd, FAKE_FD);
	CHECK(f->open);
	CHECK(f->asked_caps || request == VIDIOC_QUERYCAP);
	f->calls++;
	if (f->gone) {
		f->streaming = f->streaming && request != VIDIOC_STREAMOFF;
		return -ENODEV;
	}
	if (fake_fails(f, request)) {
		/* A STREAMOFF that fails ends the stream all the same once the file is closed. */
		f->streaming = f->streaming && request != VIDIOC_STREAMOFF;
		f->queue_failed += request == VIDIOC_QBUF;
		return f->fail_errno;
	}
	return fake_answer(f, request, arg);
}

static inline void *fake_map(void *ud, int fd, size_t len, off_t offset)
{
	struct fake *f = ud;
	size_t i = (size_t)offset / 4096 / 3, p = (size_t)offset / 4096 % 3;

	CHECK(i < f->count && p < f->n_planes && !f->memory[i][p]);
	CHECK_INT(len, f->plane_sizes[p]);
	f->mapped++;
	f->memory[i][p] = calloc(1, len);
	return f->memory[i][p];
}

static inline void fake_unmap(void *ud, void *p, size_t len)
{
	struct fake *f = ud;

	CHECK(!f->streaming && f->mapped > 0);
	f->mapped--;
}

static inline int fake_poll(void *ud, struct pollfd *p, int timeout_ms)
{
	struct fake *f = ud;

	CHECK(timeout_ms > 0);
	p->revents = 0;
	if (p->fd < 0) { /* a pause */
		f->now += timeout_ms;
		return 0;
	}
	CHECK(f->streaming);
	if (f->broken_poll) {
		p->revents = f->broken_poll;
		return 1;
	}
	if (f->gone_after && f->frames >= f->gone_after)
		f->gone = true;
	if (f->gone) {
		p->revents = POLLERR | POLLHUP;
		return 1;
	}
	if ((p->events & POLLPRI) && ((f->event_after && !f->event_sent && f->frames >= f->event_after) || f->event_flood)) {
		p->revents = POLLPRI;
		return 1;
	}
	if (f->silent_after && f->frames >= f->silent_after) {
		f->now += timeout_ms;
		return 0;
	}
	f->now += f->frame_ms ? f->frame_ms : 33;
	p->revents = POLLIN;
	return 1;
}

static inline int64_t fake_now(void *ud)
{
	return ((struct fake *)ud)->now;
}

static inline struct v4l2_io fake_io(struct fake *f)
{
	return (struct v4l2_io){fake_open, fake_close, fake_ioctl, fake_map, fake_unmap, fake_poll, fake_now, f};
}

/* ---- whole scans --------------------------------------------------------------------------------- */
static inline struct fake fake_camera(void)
{
	return (struct fake){
		.path = "/dev/video2",
		.now = 1000000,
		.caps = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
		.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
		.formats = {{.fourcc = V4L2_PIX_FMT_SBGGR8, .sizes = {{320, 240}}},
			{.fourcc = V4L2_PIX_FMT_YUYV, .sizes = {{64, 48}, {160, 120}, {128, 96}}}},
	};
}

static inline struct fake fake_camera_of(uint32_t fourcc)
{
	struct fake f = fake_camera();

	f.formats[0] = (struct fake_format){.fourcc = fourcc, .sizes = {{160, 120}}};
	f.formats[1].fourcc = 0;
	return f;
}

static inline struct fake fake_mplane_of(uint32_t fourcc)
{
	struct fake f = fake_camera_of(fourcc);

	f.mplane = true;
	f.device_caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
	return f;
}

/* One page of an open source. 0, or -EBADMSG. */
static inline int fake_page(struct page_source *s, struct mem_emit *m, struct reject *why)
{
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct page_item item = {}, again = {};
	struct page_info info = {.index = 1, .name = "camera"};
	struct image *im = NULL;
	struct reject unused;
	int r = s->ops->next(s, &item, why);

	if (r > 0) {
		r = item.input ? image_open(item.input, &o.limits, &im, why) : rawframe_open(&item.frame, &o.limits, &im, why);
		info.grab = item.grab;
		if (r >= 0)
			r = page_convert(im, &o, &info, &m->emit, why);
		image_close(im);
	}
	CHECK_INT(s->ops->next(s, &again, &unused), 0); /* one page a scan */
	return r;
}

/* Opens, takes the page, makes a JPEG of it, closes. 0, or -EBADMSG. */
static inline int fake_scan(struct fake *f, const char *where, struct mem_emit *m, struct reject *why)
{
	struct v4l2_io io = fake_io(f);
	struct source_options o = SOURCE_OPTIONS_DEFAULT;
	struct page_source *s = NULL;
	int r;

	if (f->max_pixels)
		o.limits.max_pixels = f->max_pixels;
	r = v4l2_open_with(&io, where, &o, &s, why);

	if (r < 0) {
		CHECK(!f->open && f->mapped == 0);
		return r;
	}
	r = fake_page(s, m, why);
	source_close(s);
	CHECK(!f->open && f->mapped == 0);
	return r;
}

static inline void fake_rejected(struct fake *f, const char *reason)
{
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why = {};

	CHECK_INT(fake_scan(f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), reason);
	CHECK(why.message[0]);
	CHECK_INT(m.pages, 0);
}
