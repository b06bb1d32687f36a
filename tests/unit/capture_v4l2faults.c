/* The v4l2 source over a made-up driver that fails: whatever fails, whenever, nothing is left open, mapped or dequeued, no
 * wait is without end, and the reason is of use. */
#include "tests/unit/v4l2_fake.h"

TEST(a_silent_driver_times_out)
{
	struct fake f = fake_camera();
	int64_t from = f.now;

	f.silent_after = 2;
	fake_rejected(&f, "timeout");
	CHECK_INT(f.opens, 3);
	CHECK(f.now - from < 15000);
}

TEST(a_driver_that_comes_to)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.fail_request = VIDIOC_DQBUF;
	f.fail_errno = -EIO;
	f.fail_from = 2;
	f.fail_times = 1;
	CHECK_INT(fake_scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_INT(m.info.grab.reopened, 1);
	CHECK_INT(f.opens, 2);
}

TEST(unplugged)
{
	struct fake f = fake_camera();

	f.broken_poll = POLLERR | POLLHUP;
	fake_rejected(&f, "no-device");
	f = fake_camera();
	f.fail_request = VIDIOC_DQBUF;
	f.fail_errno = -ENODEV;
	fake_rejected(&f, "no-device");
	f = fake_camera();
	f.gone_after = 3; /* in the middle of settling, and it stays away */
	fake_rejected(&f, "no-device");
	CHECK_INT(f.opens, 1);
}

/* The frame is in our hands: that nothing follows does no harm. */
TEST(unplugged_after_the_frame)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.gone_after = 4;
	CHECK_INT(fake_scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_INT(m.pages, 1);
	CHECK_INT(m.info.grab.reopened, 0);
}

/* Back as another node, and as another kind: all is asked anew. */
TEST(replugged_as_another_node)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.gone_after = 3;
	f.back_as = "/dev/video4";
	f.give_later = (struct fake_shape){.width = 96, .height = 64, .stride = 224, .fourcc = V4L2_PIX_FMT_UYVY};
	CHECK_INT(fake_scan(&f, "auto", &m, &why), 0);
	CHECK_INT(m.info.source_width, 96);
	CHECK_STR(m.info.format, "uyvy");
	CHECK_STR(m.info.grab.device, "/dev/video4");
	CHECK_INT(m.info.grab.reopened, 1);
}

/* What is connected changes its format: all is set up again. */
TEST(a_source_that_changes)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.event_after = 3;
	f.give_later = (struct fake_shape){.width = 128, .height = 96};
	CHECK_INT(fake_scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_INT(m.info.source_width, 128);
	CHECK_INT(f.opens, 2);
}

/* Events without end that say nothing are not listened to any more. */
TEST(events_without_end)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.event_flood = true;
	CHECK_INT(fake_scan(&f, "/dev/video2", &m, &why), 0);
}

/* ---- signal -------------------------------------------------------------------------------------- */
TEST(no_signal)
{
	static const int errors[] = {-ENOLINK, -ENOLCK, -ERANGE};
	struct fake f = fake_camera();

	f.has_input = true;
	f.input_status = V4L2_IN_ST_NO_SIGNAL;
	fake_rejected(&f, "no-signal");
	f.input_status = V4L2_IN_ST_NO_POWER;
	fake_rejected(&f, "no-signal");
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		f = fake_camera();
		f.has_input = true;
		f.input_caps = V4L2_IN_CAP_DV_TIMINGS;
		f.timings_error = errors[i];
		fake_rejected(&f, "no-signal");
	}
}

TEST(timings_that_come_are_set)
{
	struct fake f = fake_camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.has_input = true;
	f.input_caps = V4L2_IN_CAP_DV_TIMINGS;
	f.timings[0] = 1920;
	f.timings[1] = 1080;
	CHECK_INT(fake_scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_INT(f.timings_set[0], 1920);
	CHECK_INT(f.timings_set[1], 1080);
}

static void pull_the_cable(struct fake *f)
{
	if (f->frames == 2)
		f->timings_error = -ENOLINK;
}

/* The word for it is found when frames stay away. */
TEST(a_signal_that_is_lost)
{
	struct fake f = fake_camera();

	f.has_input = true;
	f.input_caps = V4L2_IN_CAP_DV_TIMINGS;
	f.on_frame = pull_the_cable;
	f.silent_after = 3;
	fake_rejected(&f, "no-signal");
}

/* ---- each call ----------------------------------------------------------------------------------- */
/* Whatever call fails for good, the device is closed, nothing stays mapped, and the reason is of use. */
TEST(every_kind_of_call_may_fail)
{
	static const unsigned long calls[] = {VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT, VIDIOC_G_FMT, VIDIOC_S_FMT,
		VIDIOC_REQBUFS, VIDIOC_QUERYBUF, VIDIOC_QBUF, VIDIOC_STREAMON, VIDIOC_DQBUF};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct fake f = fake_camera();

		f.fail_request = calls[i];
		f.fail_errno = -EBUSY;
		fake_rejected(&f, calls[i] == VIDIOC_QUERYCAP ? "no-device" : calls[i] == VIDIOC_ENUM_FMT ? "unsupported" : "busy");
	}
}

/* Each single call of a scan fails once, each with each error: there is a page all the same, or a reason why not, and every
 * buffer, mapping and descriptor is where it belongs (the driver checks). */
static void fail_each(struct fake (*make)(uint32_t fourcc), uint32_t fourcc, const struct buf *jpeg)
{
	static const int errors[] = {-EIO, -EINTR, -EAGAIN, -ENODEV, -EBUSY, -ENOSPC, -EINVAL, -ENOMEM};
	struct fake whole = make(fourcc);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;
	unsigned int n, pages = 0, rejects = 0;

	whole.jpeg = jpeg;
	whole.has_input = true;
	whole.event_after = 100000;
	CHECK_INT(fake_scan(&whole, "/dev/video2", &m, &why), 0);
	n = whole.calls;
	CHECK(n > 20);
	for (unsigned int i = 1; i <= n; i++)
		for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
			struct fake f = make(fourcc);
			_cleanup_mem_ struct mem_emit one = MEM_EMIT;
			int r;

			f.jpeg = jpeg;
			f.has_input = true;
			f.event_after = 100000;
			f.fail_call = i;
			f.fail_errno = errors[e];
			why = (struct reject){};
			r = fake_scan(&f, "/dev/video2", &one, &why);
			CHECK(r == 0 ? one.pages == 1 : r == -EBADMSG && why.message[0]);
			pages += r == 0;
			rejects += r != 0;
			CHECK(f.now - 1000000 < 30000);
		}
	CHECK(pages > 0 && rejects > 0);
}

TEST(each_call_fails_once)
{
	_cleanup_pic_ struct pic in = pic_corners(160, 120);
	_cleanup_buf_ struct buf jpeg = {};

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	fail_each(fake_camera_of, V4L2_PIX_FMT_YUYV, NULL);
	fail_each(fake_camera_of, V4L2_PIX_FMT_MJPEG, &jpeg);
	fail_each(fake_mplane_of, V4L2_PIX_FMT_NV12M, NULL);
}

TEST(each_call_fails_once_when_converting)
{
	fail_each(fake_camera_of, V4L2_PIX_FMT_SBGGR8, NULL);
}

/* The driver points to buffers that are not ours, or that we have. */
static unsigned int wrong_index;
static int lying_ioctl(void *ud, int fd, unsigned long request, void *arg)
{
	int r = fake_ioctl(ud, fd, request, arg);
	struct fake *f = ud;

	if (r >= 0 && request == VIDIOC_DQBUF && f->frames > 2) {
		f->queue_failed = 1; /* what it took cannot be given back any more */
		((struct v4l2_buffer *)arg)->index = wrong_index;
	}
	return r;
}

TEST(buffers_that_are_not_ours)
{
	static const unsigned int wrong[] = {4, 1000, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct fake f = fake_camera();
		struct v4l2_io io = fake_io(&f);
		struct source_options o = SOURCE_OPTIONS_DEFAULT;
		struct page_source *s = NULL;
		struct page_item item;
		struct reject why;

		io.ioctl = lying_ioctl;
		wrong_index = wrong[i];
		CHECK_INT(v4l2_open_with(&io, "/dev/video2", &o, &s, &why), 0);
		CHECK_INT(s->ops->next(s, &item, &why), -EBADMSG);
		CHECK_STR(reject_name(why.reason), "io");
		source_close(s);
		CHECK(!f.open && f.mapped == 0);
	}
}

/* ---- a camera that stays on ---------------------------------------------------------------------- */
static void spoil_after_settling(struct fake *f)
{
	f->always_bad = f->frames >= 4;
}

/* While the sharpest was looked for only bad frames came: a page is in hand all the same, and no buffer but its own. */
TEST(bad_frames_behind_the_page_go_back)
{
	struct fake f = fake_camera();
	struct v4l2_io io = fake_io(&f);
	struct source_options o = SOURCE_OPTIONS_DEFAULT;
	struct page_source *s = NULL;
	struct reject why;

	CHECK_INT(v4l2_open_with(&io, "/dev/video2", &o, &s, &why), 0);
	for (int i = 0; i < 6; i++) {
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;

		f.frames = 0;
		f.on_frame = spoil_after_settling;
		CHECK_INT(fake_page(s, &m, &why), 0);
		CHECK_INT(f.frames, 34);
		CHECK_INT(m.info.grab.reopened, 0);
		for (unsigned int k = 0; k < f.count; k++)
			CHECK(!f.out[k]); /* the page's own went back with the next call */
		s->ops->again(s);
	}
	CHECK_INT(f.opens, 1);
	source_close(s);
	CHECK(!f.open && f.mapped == 0);
}

/* ---- watching ------------------------------------------------------------------------------------ */
TEST(frames_at_a_glance_then_a_page)
{
	struct fake f = fake_camera();
	struct v4l2_io io = fake_io(&f);
	struct source_options o = SOURCE_OPTIONS_DEFAULT;
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct page_source *s = NULL;
	struct glance g;
	struct reject why;
	int64_t before = 0;

	CHECK_INT(v4l2_open_with(&io, "/dev/video2", &o, &s, &why), 0);
	for (int i = 0; i < 20; i++) {
		CHECK_INT(s->ops->glance(s, &g, &why), 1);
		CHECK(g.at_ms > before && g.brightest > 190);
		before = g.at_ms;
	}
	s->ops->again(s);
	CHECK_INT(fake_page(s, &m, &why), 0);
	CHECK_INT(s->ops->glance(s, &g, &why), 1); /* and it goes on */
	CHECK_INT(f.opens, 1);
	source_close(s);
	CHECK(!f.open && f.mapped == 0);
}

TEST(unplugged_while_watched)
{
	struct fake f = fake_camera();
	struct v4l2_io io = fake_io(&f);
	struct source_options o = SOURCE_OPTIONS_DEFAULT;
	struct page_source *s = NULL;
	struct glance g;
	struct reject why;

	f.gone_after = 5;
	CHECK_INT(v4l2_open_with(&io, "/dev/video2", &o, &s, &why), 0);
	for (int i = 0; i < 5; i++)
		CHECK_INT(s->ops->glance(s, &g, &why), 1);
	for (int i = 0; i < 2; i++) { /* nothing is kept of it */
		CHECK_INT(s->ops->glance(s, &g, &why), -EBADMSG);
		CHECK_STR(reject_name(why.reason), "no-device");
		CHECK(!f.open && f.mapped == 0);
	}
	f.back_as = "/dev/video2";
	CHECK_INT(s->ops->glance(s, &g, &why), 1);
	source_close(s);
	CHECK(!f.open && f.mapped == 0);
}
