/* Of v4l2_fake.h: what the device is and how it behaves; opening, what it offers, and its format. */
#pragma once

#include <linux/videodev2.h>

#include "capture/v4l2_io.h"
#include "tests/unit/capture_make.h"

#define FAKE_BUFFERS VIDEO_MAX_FRAME
#define FAKE_FD      42

struct fake_format {
	uint32_t fourcc;
	uint32_t sizes[4][2]; /* up to the first 0 */
	uint32_t stepwise[3]; /* max width, height and step, in place of sizes */
	uint32_t interval_ms; /* 0: it does not say */
};

struct fake_control {
	uint32_t id, type;
	const char *name;
	int64_t min, max, value;
	const char *items[4]; /* of a menu, from `min` */
	uint32_t flags;
};

/* What S_FMT makes of a wish; members that are 0 leave it. */
struct fake_shape {
	uint32_t width, height, stride, fourcc, planes, field, colorspace, quantization, encoding;
};

struct fake {
	/* What kind of device. */
	const char *path; /* the only one that opens */
	uint32_t caps, device_caps;
	bool mplane;
	struct fake_format formats[4];
	struct fake_shape give, give_later; /* at the first opening, and at later ones */
	struct v4l2_rect crop;
	struct fake_control controls[8];
	bool has_input;
	uint32_t input_status, input_caps;
	int timings_error;
	uint32_t timings[2], timings_set[2];
	uint64_t max_pixels;  /* MaxPixels= of the scan; 0: the default */
	unsigned int buffers; /* given by REQBUFS; 0: as many as asked */
	/* How it behaves. */
	int64_t frame_ms;          /* between frames; 0: 33 */
	unsigned int bad_frames;   /* so many first frames are bad, each in another way */
	bool always_bad;
	unsigned int dark_frames;  /* so many first ones are black */
	unsigned int warm_frames;  /* so many first ones get brighter */
	unsigned int focus_frames; /* so many first ones get sharper */
	unsigned int sharp_frame;  /* this one is sharper than the others; 0: none */
	bool no_times, stuck_times;
	unsigned int repeat_from;  /* from this frame on the same frame comes again and again; 0: never */
	unsigned long fail_request;
	int fail_errno;
	unsigned int fail_from, fail_times; /* calls of it that go well before; and that fail (0: all) */
	unsigned int fail_call;             /* this ioctl, of all, fails with fail_errno; 0: none */
	unsigned int silent_after;          /* frames; 0: never */
	unsigned int gone_after;            /* frames; 0: never */
	const char *back_as;                /* and where it is found again; NULL: nowhere */
	unsigned int event_after;           /* frames; 0: never */
	bool event_flood;
	short broken_poll; /* revents instead of a frame */
	const struct buf *jpeg; /* the frame, when MJPEG; changed freely between frames by the test */
	void (*on_frame)(struct fake *f); /* before each frame */
	/* What happened. */
	bool open, gone, streaming, asked_caps, format_set, event_sent, subscribed;
	struct v4l2_format format;
	uint32_t plane_sizes[3];
	unsigned int n_planes, count; /* of buffers, as requested */
	uint8_t *memory[FAKE_BUFFERS][3];
	bool queued[FAKE_BUFFERS], out[FAKE_BUFFERS];
	unsigned int order[FAKE_BUFFERS], n_order;
	unsigned int mapped, frames, calls, opens, failed, queue_failed;
	int64_t now;
	uint32_t sequence;
};

/* ---- opening and closing ------------------------------------------------------------------------- */
static inline int fake_open(void *ud, const char *path)
{
	struct fake *f = ud;
	const char *at = f->gone ? f->back_as : f->path;

	if (!at || !streq(path, at))
		return -ENOENT;
	CHECK(!f->open);
	f->open = true;
	if (f->gone) {
		f->gone_after = 0;
		f->path = at;
		f->gone = false;
	}
	f->opens++;
	f->asked_caps = f->format_set = f->subscribed = false;
	f->count = f->n_order = 0;
	memset(f->queued, 0, sizeof(f->queued));
	memset(f->out, 0, sizeof(f->out));
	return FAKE_FD;
}

static inline int fake_close(void *ud, int fd)
{
	struct fake *f = ud;

	CHECK_INT(fd, FAKE_FD);
	CHECK(f->open && !f->streaming);
	CHECK_INT(f->mapped, 0);
	f->open = false;
	for (unsigned int i = 0; i < FAKE_BUFFERS; i++)
		for (unsigned int p = 0; p < 3; p++)
			free(take_ptr(f->memory[i][p]));
	return 0;
}

/* ---- enumerations -------------------------------------------------------------------------------- */
static inline uint32_t fake_type(const struct fake *f)
{
	return f->mplane ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

static inline const struct fake_format *fake_format_of(const struct fake *f, uint32_t fourcc)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->formats); i++)
		if (f->formats[i].fourcc == fourcc)
			return &f->formats[i];
	return NULL;
}

static inline int fake_enum_format(struct fake *f, struct v4l2_fmtdesc *d)
{
	CHECK_INT(d->type, fake_type(f));
	if (d->index >= ARRAY_SIZE(f->formats) || !f->formats[d->index].fourcc)
		return -EINVAL;
	d->pixelformat = f->formats[d->index].fourcc;
	return 0;
}

static inline int fake_enum_size(struct fake *f, struct v4l2_frmsizeenum *s)
{
	const struct fake_format *k = fake_format_of(f, s->pixel_format);

	if (!k)
		return -EINVAL;
	if (k->stepwise[0]) {
		if (s->index)
			return -EINVAL;
		s->type = V4L2_FRMSIZE_TYPE_STEPWISE;
		s->stepwise = (struct v4l2_frmsize_stepwise){
			16, k->stepwise[0], k->stepwise[2], 16, k->stepwise[1], k->stepwise[2]};
		return 0;
	}
	if (s->index >= ARRAY_SIZE(k->sizes) || !k->sizes[s->index][0])
		return -EINVAL;
	s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
	s->discrete.width = k->sizes[s->index][0];
	s->discrete.height = k->sizes[s->index][1];
	return 0;
}

static inline int fake_enum_interval(struct fake *f, struct v4l2_frmivalenum *i)
{
	const struct fake_format *k = fake_format_of(f, i->pixel_format);

	if (!k || !k->interval_ms || i->index)
		return -EINVAL;
	i->type = V4L2_FRMIVAL_TYPE_DISCRETE;
	i->discrete = (struct v4l2_fract){k->interval_ms, 1000};
	return 0;
}

/* ---- format -------------------------------------------------------------------------------------- */
/* Planes in memory, rows of one plane's height for chroma, and bytes of a row of each. */
static inline unsigned int fake_planes_of(uint32_t fourcc)
{
	return fourcc == V4L2_PIX_FMT_NV12M ? 2 : fourcc == V4L2_PIX_FMT_YUV420M || fourcc == V4L2_PIX_FMT_YVU420M ? 3 : 1;
}

static inline const char *fake_layout(uint32_t fourcc)
{
	switch (fourcc) {
	case V4L2_PIX_FMT_NV12:
	case V4L2_PIX_FMT_NV12M:
		return "nv12";
	case V4L2_PIX_FMT_NV16:
		return "nv16";
	case V4L2_PIX_FMT_YUV420:
	case V4L2_PIX_FMT_YUV420M:
		return "yu12";
	case V4L2_PIX_FMT_YVU420:
	case V4L2_PIX_FMT_YVU420M:
		return "yv12";
	case V4L2_PIX_FMT_UYVY:
		return "uyvy";
	case V4L2_PIX_FMT_GREY:
	case V4L2_PIX_FMT_SBGGR8:
		return "grey";
	case V4L2_PIX_FMT_RGB24:
		return "rgb3";
	default:
		return "yuyv";
	}
}

static inline int fake_set_format(struct fake *f, struct v4l2_format *v)
{
	const struct fake_shape *give = f->opens > 1 && f->give_later.width ? &f->give_later : &f->give;
	uint32_t fourcc = f->mplane ? v->fmt.pix_mp.pixelformat : v->fmt.pix.pixelformat;
	uint32_t width = f->mplane ? v->fmt.pix_mp.width : v->fmt.pix.width;
	uint32_t height = f->mplane ? v->fmt.pix_mp.height : v->fmt.pix.height, stride;

	CHECK_INT(v->type, fake_type(f));
	CHECK_INT(f->count, 0); /* EBUSY with a real one */
	width = give->width ? give->width : width ? width : 64;
	height = give->height ? give->height : height ? height : 48;
	fourcc = give->fourcc ? give->fourcc : fourcc;
	stride = give->stride ? give->stride : raw_format_row(raw_format_by_name(fake_layout(fourcc)), width);
	f->n_planes = give->planes ? give->planes : f->mplane ? fake_planes_of(fourcc) : 1;
	for (unsigned int p = 0; p < f->n_planes; p++) {
		bool half = p && (fourcc == V4L2_PIX_FMT_YUV420M || fourcc == V4L2_PIX_FMT_YVU420M);

		f->plane_sizes[p] = f->n_planes == 1 ? stride * height * 2 : (half ? stride / 2 : stride) * (p ? height / 2 : height);
		f->plane_sizes[p] = MAX(f->plane_sizes[p], f->jpeg ? 200000U : 64U);
	}
	f->format = (struct v4l2_format){.type = v->type};
	if (f->mplane) {
		f->format.fmt.pix_mp = (struct v4l2_pix_format_mplane){.width = width, .height = height, .pixelformat = fourcc,
			.field = give->field ? give->field : V4L2_FIELD_NONE, .num_planes = (uint8_t)f->n_planes,
			.colorspace = give->colorspace, .quantization = (uint8_t)give->quantization, .ycbcr_enc = (uint8_t)give->encoding};
		for (unsigned int p = 0; p < f->n_planes; p++)
			f->format.fmt.pix_mp.plane_fmt[p] = (struct v4l2_plane_pix_format){
				.sizeimage = f->plane_sizes[p], .bytesperline = f->n_planes == 3 && p ? stride / 2 : stride};
	} else {
		f->format.fmt.pix = (struct v4l2_pix_format){.width = width, .height = height, .pixelformat = fourcc,
			.field = give->field ? give->field : V4L2_FIELD_NONE, .bytesperline = stride, .sizeimage = f->plane_sizes[0],
			.colorspace = give->colorspace, .quantization = give->quantization, .ycbcr_enc = give->encoding,
			.priv = V4L2_PIX_FMT_PRIV_MAGIC};
	}
	f->format_set = true;
	*v = f->format;
	v->fmt.pix.width = 1; /* the answer is not to be believed, only G_FMT is */
	return 0;
}

static inline int fake_try_format(struct fake *f, struct v4l2_format *v)
{
	const struct fake_format *k = fake_format_of(f, v->fmt.pix.pixelformat);

	if (!k)
		k = &f->formats[0];
	v->fmt.pix.pixelformat = k->fourcc;
	v->fmt.pix.width = MIN(v->fmt.pix.width, k->sizes[0][0]);
	v->fmt.pix.height = MIN(v->fmt.pix.height, k->sizes[0][1]);
	v->fmt.pix.bytesperline = v->fmt.pix.width;
	v->fmt.pix.sizeimage = v->fmt.pix.width * v->fmt.pix.height * 2;
	return 0;
}
