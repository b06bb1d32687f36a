/* The v4l2 source over a made-up driver at the level of the system calls. */
#include <linux/videodev2.h>

#include "capture/v4l2_io.h"
#include "tests/unit/capture_make.h"

#define FAKE_BUFFERS 3

struct fake {
	/* What kind of device. */
	const char *path; /* the only one that opens */
	uint32_t caps, device_caps;
	uint32_t formats[4];
	uint32_t sizes[4][2];
	uint32_t give_width, give_height, give_stride; /* what S_FMT makes of it; 0: as asked */
	uint32_t give_format;
	/* How it behaves. */
	unsigned int bad_frames; /* so many first frames are bad, in turn: flagged, short, empty */
	bool always_bad, dark_start;
	int fail_request_errno; /* returned by `fail_request` */
	unsigned long fail_request;
	unsigned int silent_after; /* frames; 0: never */
	short broken_poll;         /* revents instead of a frame */
	const struct buf *jpeg;    /* the frame, when MJPEG */
	/* What happened. */
	bool open, streaming;
	struct v4l2_pix_format format;
	uint8_t *memory[FAKE_BUFFERS];
	size_t size;
	bool queued[FAKE_BUFFERS];
	unsigned int mapped, frames, queues, dequeues, next;
	int64_t now;
};

static int fake_open(void *ud, const char *path)
{
	struct fake *f = ud;

	if (!f->path || !streq(path, f->path))
		return -ENOENT;
	CHECK(!f->open);
	f->open = true;
	return 42;
}

static int fake_close(void *ud, int fd)
{
	struct fake *f = ud;

	CHECK_INT(fd, 42);
	CHECK(f->open && !f->streaming);
	CHECK_INT(f->mapped, 0);
	f->open = false;
	for (unsigned int i = 0; i < FAKE_BUFFERS; i++)
		free(take_ptr(f->memory[i]));
	return 0;
}

static int enum_format(struct fake *f, struct v4l2_fmtdesc *d)
{
	if (d->index >= ARRAY_SIZE(f->formats) || !f->formats[d->index])
		return -EINVAL;
	d->pixelformat = f->formats[d->index];
	return 0;
}

static int enum_size(struct fake *f, struct v4l2_frmsizeenum *s)
{
	if (s->index >= ARRAY_SIZE(f->sizes) || !f->sizes[s->index][0])
		return -EINVAL;
	s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
	s->discrete.width = f->sizes[s->index][0];
	s->discrete.height = f->sizes[s->index][1];
	return 0;
}

static int set_format(struct fake *f, struct v4l2_format *v)
{
	struct v4l2_pix_format *p = &v->fmt.pix;

	if (f->give_width) {
		p->width = f->give_width;
		p->height = f->give_height;
	}
	if (f->give_format)
		p->pixelformat = f->give_format;
	p->bytesperline = f->give_stride ? f->give_stride : p->width * 2;
	p->sizeimage = p->bytesperline * p->height;
	f->format = *p;
	p->width = 1; /* the answer is not to be believed, only G_FMT is */
	return 0;
}

static int query_buffer(struct fake *f, struct v4l2_buffer *b)
{
	CHECK(b->index < FAKE_BUFFERS);
	f->size = MAX(f->format.sizeimage, 200000U);
	b->length = (uint32_t)f->size;
	b->m.offset = b->index * 4096;
	return 0;
}

static int queue_buffer(struct fake *f, struct v4l2_buffer *b)
{
	CHECK(b->index < FAKE_BUFFERS);
	CHECK(!f->queued[b->index]);
	f->queued[b->index] = true;
	f->queues++;
	return 0;
}

static void fill_yuyv(struct fake *f, uint8_t *to, unsigned int luma)
{
	for (uint32_t y = 0; y < f->format.height; y++)
		for (uint32_t x = 0; x < f->format.width * 2; x++)
			to[(size_t)y * f->format.bytesperline + x] = (uint8_t)(x % 2 ? 128 : luma);
}

static void spoil(struct fake *f, struct v4l2_buffer *b, uint8_t *data)
{
	switch (f->frames % 4) {
	case 0:
		b->flags |= V4L2_BUF_FLAG_ERROR;
		break;
	case 1:
		b->bytesused /= 2;
		if (f->jpeg)
			data[0] = 0;
		break;
	case 2:
		b->bytesused = 0;
		break;
	case 3:
		b->bytesused = (uint32_t)f->size + 1;
		break;
	}
}

static int dequeue_buffer(struct fake *f, struct v4l2_buffer *b)
{
	uint8_t *data;

	while (!f->queued[f->next % FAKE_BUFFERS])
		f->next++;
	b->index = f->next++ % FAKE_BUFFERS;
	f->queued[b->index] = false;
	f->dequeues++;
	data = f->memory[b->index];
	if (f->jpeg) {
		memcpy(data, f->jpeg->data, f->jpeg->len);
		b->bytesused = (uint32_t)f->jpeg->len;
	} else {
		fill_yuyv(f, data, f->dark_start && f->frames < 8 ? 30 + f->frames * 20 : 200);
		b->bytesused = f->format.bytesperline * f->format.height;
	}
	if (f->always_bad || f->frames < f->bad_frames)
		spoil(f, b, data);
	f->frames++;
	return 0;
}

static int fake_ioctl(void *ud, int fd, unsigned long request, void *arg)
{
	struct fake *f = ud;

	CHECK_INT(fd, 42);
	CHECK(f->open);
	if (request == f->fail_request)
		return f->fail_request_errno;
	switch (request) {
	case VIDIOC_QUERYCAP:
		((struct v4l2_capability *)arg)->capabilities = f->caps;
		((struct v4l2_capability *)arg)->device_caps = f->device_caps;
		return 0;
	case VIDIOC_ENUM_FMT:
		return enum_format(f, arg);
	case VIDIOC_ENUM_FRAMESIZES:
		return enum_size(f, arg);
	case VIDIOC_G_FMT:
		((struct v4l2_format *)arg)->fmt.pix = f->format;
		return 0;
	case VIDIOC_S_FMT:
		return set_format(f, arg);
	case VIDIOC_REQBUFS:
		((struct v4l2_requestbuffers *)arg)->count = FAKE_BUFFERS;
		return 0;
	case VIDIOC_QUERYBUF:
		return query_buffer(f, arg);
	case VIDIOC_QBUF:
		return queue_buffer(f, arg);
	case VIDIOC_DQBUF:
		return dequeue_buffer(f, arg);
	case VIDIOC_STREAMON:
		f->streaming = true;
		return 0;
	case VIDIOC_STREAMOFF:
		f->streaming = false;
		return 0;
	}
	return -ENOTTY;
}

static void *fake_map(void *ud, int fd, size_t len, off_t offset)
{
	struct fake *f = ud;
	size_t i = (size_t)offset / 4096;

	CHECK_INT(len, f->size);
	f->mapped++;
	f->memory[i] = calloc(1, len);
	return f->memory[i];
}

static void fake_unmap(void *ud, void *p, size_t len)
{
	((struct fake *)ud)->mapped--;
}

static int fake_poll(void *ud, struct pollfd *p, int timeout_ms)
{
	struct fake *f = ud;

	CHECK(timeout_ms > 0);
	if (f->broken_poll) {
		p->revents = f->broken_poll;
		return 1;
	}
	if (f->silent_after && f->frames >= f->silent_after) {
		f->now += timeout_ms;
		return 0;
	}
	f->now += 33;
	p->revents = POLLIN;
	return 1;
}

static int64_t fake_now(void *ud)
{
	return ((struct fake *)ud)->now;
}

static struct v4l2_io fake_io(struct fake *f)
{
	return (struct v4l2_io){
		fake_open, fake_close, fake_ioctl, fake_map, fake_unmap, fake_poll, fake_now, f};
}

static struct fake camera(void)
{
	return (struct fake){
		.path = "/dev/video2",
		.caps = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
		.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
		.formats = {V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUYV},
		.sizes = {{64, 48}, {160, 120}, {128, 96}},
	};
}

/* Opens, takes the page, makes a JPEG of it, closes. 0, or -EBADMSG. */
static int scan(struct fake *f, const char *where, struct mem_emit *m, struct reject *why)
{
	struct v4l2_io io = fake_io(f);
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct page_source *s = NULL;
	struct page_item item = {}, again = {};
	struct page_info info = {.index = 1, .name = "camera"};
	struct image *im = NULL;
	int r = v4l2_open_with(&io, where, &s, why);

	if (r < 0)
		return r;
	r = s->ops->next(s, &item, why);
	if (r > 0) {
		r = item.input ? image_open(item.input, &o.limits, &im, why)
			       : rawframe_open(&item.frame, &o.limits, &im, why);
		if (r >= 0)
			r = page_convert(im, &o, &info, &m->emit, why);
		image_close(im);
	}
	CHECK_INT(s->ops->next(s, &again, why), 0); /* one page a scan */
	source_close(s);
	CHECK(!f->open);
	CHECK_INT(f->queues - f->dequeues, FAKE_BUFFERS); /* each went back */
	return r;
}

TEST(the_largest_yuyv_frame)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};
	struct reject why;

	f.give_stride = 400;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), 0);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK_INT(out.w, 160);
	CHECK_INT(out.h, 120);
	CHECK(abs(pic_at(&out, 80, 60)[1] - 214) <= 2); /* (200 - 16) * 255 / 219 */
}

TEST(auto_finds_the_capture_node)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	CHECK_INT(scan(&f, "auto", &m, &why), 0);
	f.device_caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING; /* there, and it says why not */
	CHECK_INT(scan(&f, "auto", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "unsupported");
	f = (struct fake){};
	CHECK_INT(scan(&f, "auto", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "no-device");
}

/* The device as a whole can capture, this node cannot: device_caps counts. */
TEST(device_caps_count)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.device_caps = V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "no-device");
	CHECK(!f.open);
	f.device_caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "unsupported");
}

TEST(what_the_driver_makes_of_it_is_believed)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.give_width = 96;
	f.give_height = 72;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_INT(m.info.width, 96);
	CHECK_INT(m.info.height, 72);
	f = camera();
	f.give_format = V4L2_PIX_FMT_NV12;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "unsupported");
	CHECK(!f.open);
}

TEST(mjpeg_with_padding)
{
	struct fake f = camera();
	_cleanup_pic_ struct pic in = pic_corners(160, 120);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 1}, &jpeg);
	CHECK_INT(buf_add(&jpeg, (char[24]){}, 24), 0);
	f.formats[1] = V4L2_PIX_FMT_MJPEG;
	f.jpeg = &jpeg;
	f.bad_frames = 2;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_STR(m.info.format, "jpeg");
	memcpy(jpeg.data + jpeg.len - 26, "\0\0\0\0\0\0\0\0\0\0\0\0\xff\xd9",
		14); /* now before the end marker too */
	f = camera();
	f.formats[1] = V4L2_PIX_FMT_MJPEG;
	f.jpeg = &jpeg;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), 0);
	CHECK_INT(m.pages, 2);
	jpeg.len -= 14; /* now without an end */
	f = camera();
	f.formats[1] = V4L2_PIX_FMT_MJPEG;
	f.jpeg = &jpeg;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "damaged");
}

TEST(bad_frames_are_passed_over)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.bad_frames = 9;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), 0);
	CHECK(f.frames >= 12);
}

TEST(endless_errors_end)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.always_bad = true;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "damaged");
	CHECK_INT(f.frames, 30);
}

/* Eight frames get brighter: the page is one of those after. */
TEST(exposure_settles_first)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_pic_ struct pic out = {};
	struct reject why;

	f.dark_start = true;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), 0);
	out = read_jpeg(&m.jpeg, NULL, NULL);
	CHECK(pic_at(&out, 5, 5)[0] > 200);
	CHECK(f.frames >= 11 && f.frames < 16);
}

TEST(a_silent_driver_times_out)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.silent_after = 2;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "timeout");
}

TEST(unplugged)
{
	struct fake f = camera();
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	struct reject why;

	f.broken_poll = POLLERR | POLLHUP;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "no-device");
	f = camera();
	f.fail_request = VIDIOC_DQBUF;
	f.fail_request_errno = -ENODEV;
	CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "no-device");
}

/* Whatever call fails, the device is closed, nothing stays mapped, and the reason is of use. */
TEST(every_call_may_fail)
{
	static const unsigned long calls[] = {VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT, VIDIOC_G_FMT, VIDIOC_S_FMT,
		VIDIOC_REQBUFS, VIDIOC_QUERYBUF, VIDIOC_QBUF, VIDIOC_STREAMON};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct fake f = camera();
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct reject why = {};

		f.fail_request = calls[i];
		f.fail_request_errno = -EBUSY;
		CHECK_INT(scan(&f, "/dev/video2", &m, &why), -EBADMSG);
		CHECK(why.message[0]);
		CHECK(!f.open && f.mapped == 0);
		if (calls[i] == VIDIOC_S_FMT || calls[i] == VIDIOC_REQBUFS)
			CHECK_STR(reject_name(why.reason), "busy");
	}
}
