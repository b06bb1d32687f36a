/*
 * Format and size: what the device offers, the best of it, and what the driver made of our wish, which alone is believed.
 * Single-planar and multi-planar nodes differ in structs only; both are here, so that nobody else has to know.
 */
#include "capture/v4l2_internal.h"

#include <stdio.h>

#include "base/log.h"

#define FORMATS_MAX 64  /* enumerations end there even if the driver's do not */
#define SLOW_MS     200 /* between frames: then a compressed format is the better one */

/* In order of preference among formats of one size: what costs least to use first, what has no colour last. */
static const struct known {
	uint32_t fourcc;
	const char *name;
	unsigned int planes; /* in memory */
} known[] = {
	{V4L2_PIX_FMT_NV12, "nv12", 1},
	{V4L2_PIX_FMT_NV12M, "nv12", 2},
	{V4L2_PIX_FMT_NV21, "nv21", 1},
	{V4L2_PIX_FMT_NV21M, "nv21", 2},
	{V4L2_PIX_FMT_YUV420, "yu12", 1},
	{V4L2_PIX_FMT_YUV420M, "yu12", 3},
	{V4L2_PIX_FMT_YVU420, "yv12", 1},
	{V4L2_PIX_FMT_YVU420M, "yv12", 3},
	{V4L2_PIX_FMT_NV16, "nv16", 1},
	{V4L2_PIX_FMT_NV16M, "nv16", 2},
	{V4L2_PIX_FMT_NV61, "nv61", 1},
	{V4L2_PIX_FMT_NV61M, "nv61", 2},
	{V4L2_PIX_FMT_YUYV, "yuyv", 1},
	{V4L2_PIX_FMT_UYVY, "uyvy", 1},
	{V4L2_PIX_FMT_RGB24, "rgb3", 1},
	{V4L2_PIX_FMT_BGR24, "bgr3", 1},
	{V4L2_PIX_FMT_MJPEG, "mjpeg", 1},
	{V4L2_PIX_FMT_JPEG, "mjpeg", 1},
	{V4L2_PIX_FMT_GREY, "grey", 1},
};

struct size {
	uint32_t width, height;
};

struct offer {
	const struct known *format; /* NULL: none */
	struct size size;
	unsigned int rank; /* less is better */
};

static const struct known *find_known(uint32_t fourcc)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].fourcc == fourcc)
			return &known[i];
	return NULL;
}

static bool is_jpeg(const struct known *k)
{
	return streq(k->name, "mjpeg");
}

static uint64_t area(struct size s)
{
	return (uint64_t)s.width * s.height;
}

/* ---- what is offered ----------------------------------------------------------------------------- */
static uint32_t fit(uint32_t wish, uint32_t min, uint32_t max, uint32_t step)
{
	uint32_t v = CLAMP(wish, min, max);

	return step > 1 ? min + (v - min) / step * step : v;
}

/* A device that scales offers sizes that its sensor does not have; the whole of what it sees is asked for. */
static struct size of_steps(struct v4l2_device *d, const struct v4l2_frmsize_stepwise *s)
{
	struct v4l2_selection sel = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .target = V4L2_SEL_TGT_CROP_DEFAULT};
	struct size wish = {MIN(s->max_width, (uint32_t)IMAGE_SIDE_MAX), MIN(s->max_height, (uint32_t)IMAGE_SIDE_MAX)};

	if (s->min_width > s->max_width || s->min_height > s->max_height)
		return (struct size){};
	if (v4l2_ctl(d, VIDIOC_G_SELECTION, &sel) >= 0 && sel.r.width && sel.r.height)
		wish = (struct size){sel.r.width, sel.r.height};
	return (struct size){fit(wish.width, s->min_width, s->max_width, s->step_width),
		fit(wish.height, s->min_height, s->max_height, s->step_height)};
}

/* The largest that we take; 0x0: the driver does not say. */
static struct size largest_size(struct v4l2_device *d, uint32_t fourcc)
{
	struct size best = {};

	for (uint32_t i = 0; i < FORMATS_MAX; i++) {
		struct v4l2_frmsizeenum s = {.index = i, .pixel_format = fourcc};
		struct size one;

		if (v4l2_ctl(d, VIDIOC_ENUM_FRAMESIZES, &s) < 0)
			break;
		one = s.type == V4L2_FRMSIZE_TYPE_DISCRETE ? (struct size){s.discrete.width, s.discrete.height}
							   : of_steps(d, &s.stepwise);
		if (area(one) > area(best) && area(one) <= d->limits.max_pixels)
			best = one;
		if (s.type != V4L2_FRMSIZE_TYPE_DISCRETE)
			break;
	}
	return best;
}

static bool is_slow(struct v4l2_device *d, uint32_t fourcc, struct size size)
{
	bool known_one = false;

	for (uint32_t i = 0; i < FORMATS_MAX; i++) {
		struct v4l2_frmivalenum f = {
			.index = i, .pixel_format = fourcc, .width = size.width, .height = size.height};
		struct v4l2_fract t;

		if (v4l2_ctl(d, VIDIOC_ENUM_FRAMEINTERVALS, &f) < 0)
			break;
		t = f.type == V4L2_FRMIVAL_TYPE_DISCRETE ? f.discrete : f.stepwise.min;
		if (!t.denominator || (uint64_t)t.numerator * 1000 <= (uint64_t)t.denominator * SLOW_MS)
			return false;
		known_one = true;
	}
	return known_one;
}

static unsigned int rank_of(struct v4l2_device *d, const struct known *k, struct size size)
{
	unsigned int place = (unsigned int)(k - known);

	/* A slow raw format comes after JPEG, and before what has no colour. */
	return !is_jpeg(k) && k->fourcc != V4L2_PIX_FMT_GREY && is_slow(d, k->fourcc, size)
		       ? (unsigned int)ARRAY_SIZE(known) - 2
		       : place;
}

/* The most pixels win; among equals the best rank. */
static struct offer best_offer(struct v4l2_device *d, const struct v4l2_wish *wish)
{
	struct offer best = {};

	for (uint32_t i = 0; i < FORMATS_MAX; i++) {
		struct v4l2_fmtdesc desc = {.index = i, .type = d->type};
		struct offer one;

		if (v4l2_ctl(d, VIDIOC_ENUM_FMT, &desc) < 0)
			break;
		one.format = find_known(desc.pixelformat);
		if (!one.format || (wish->format[0] && !streq(wish->format, one.format->name)))
			continue;
		one.size = wish->width ? (struct size){wish->width, wish->height} : largest_size(d, desc.pixelformat);
		one.rank = rank_of(d, one.format, one.size);
		if (!best.format || area(one.size) > area(best.size) ||
			(area(one.size) == area(best.size) && one.rank < best.rank))
			best = one;
	}
	return best;
}

/* ---- asking for it ------------------------------------------------------------------------------- */
static void ask(struct v4l2_format *f, uint32_t fourcc, struct size size)
{
	if (f->type == V4L2_BUF_TYPE_VIDEO_CAPTURE) {
		f->fmt.pix.pixelformat = fourcc;
		f->fmt.pix.field = V4L2_FIELD_NONE;
		f->fmt.pix.bytesperline = f->fmt.pix.sizeimage = 0;
		if (size.width) {
			f->fmt.pix.width = size.width;
			f->fmt.pix.height = size.height;
		}
		return;
	}
	f->fmt.pix_mp.pixelformat = fourcc;
	f->fmt.pix_mp.field = V4L2_FIELD_NONE;
	memset(f->fmt.pix_mp.plane_fmt, 0, sizeof(f->fmt.pix_mp.plane_fmt));
	if (size.width) {
		f->fmt.pix_mp.width = size.width;
		f->fmt.pix_mp.height = size.height;
	}
}

static bool is_full_range(const struct v4l2_shape *s, uint32_t colorspace, uint32_t encoding, uint32_t quantization)
{
	bool rgb = s->raw && raw_format_full_range(s->raw);

	if (quantization == V4L2_QUANTIZATION_DEFAULT)
		quantization = V4L2_MAP_QUANTIZATION_DEFAULT(rgb, colorspace, encoding);
	return quantization == V4L2_QUANTIZATION_FULL_RANGE;
}

static bool is_bt709(uint32_t colorspace, uint32_t encoding)
{
	if (encoding == V4L2_YCBCR_ENC_DEFAULT)
		encoding = V4L2_MAP_YCBCR_ENC_DEFAULT(colorspace);
	return encoding == V4L2_YCBCR_ENC_709 || encoding == V4L2_YCBCR_ENC_XV709;
}

static struct v4l2_shape shape_of(const struct v4l2_format *f)
{
	const struct v4l2_pix_format *one = &f->fmt.pix;
	const struct v4l2_pix_format_mplane *many = &f->fmt.pix_mp;
	bool mplane = f->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	uint32_t fourcc = mplane ? many->pixelformat : one->pixelformat;
	const struct known *k = find_known(fourcc);
	struct v4l2_shape s = {
		.fourcc = fourcc,
		.raw = k ? raw_format_by_name(k->name) : NULL,
		.jpeg = k && is_jpeg(k),
		.width = mplane ? many->width : one->width,
		.height = mplane ? many->height : one->height,
		.n_planes = mplane ? many->num_planes : 1,
	};
	uint32_t colorspace = mplane ? many->colorspace : one->colorspace;
	uint32_t encoding = mplane ? many->ycbcr_enc : one->ycbcr_enc;

	for (unsigned int p = 0; p < MIN(s.n_planes, (unsigned int)IMAGE_PLANES); p++)
		s.stride[p] = mplane ? many->plane_fmt[p].bytesperline : one->bytesperline;
	s.full_range = is_full_range(&s, colorspace, encoding, mplane ? many->quantization : one->quantization);
	s.bt709 = is_bt709(colorspace, encoding);
	return s;
}

static uint32_t field_of(const struct v4l2_format *f)
{
	return f->type == V4L2_BUF_TYPE_VIDEO_CAPTURE ? f->fmt.pix.field : f->fmt.pix_mp.field;
}

/* Drivers leave the stride out where it is what it must be. */
static void fill_strides(struct v4l2_shape *s)
{
	uint32_t row = s->raw ? raw_format_row(s->raw, s->width) : 0;

	for (unsigned int p = 0; p < s->n_planes; p++)
		if (s->raw && !s->stride[p])
			s->stride[p] = p && s->n_planes == 3 ? row / 2 : row;
}

static int take_over(struct v4l2_device *d, const struct v4l2_format *f, struct reject *why)
{
	struct v4l2_shape s = shape_of(f);
	const struct known *k = find_known(s.fourcc);
	uint32_t field = field_of(f);

	if (!k && !d->convert)
		return reject_set(why, REJECT_UNSUPPORTED, "%s insists on a format that is not taken (%.4s)", d->path,
			(const char *)&s.fourcc);
	if (!s.width || !s.height || s.width > IMAGE_SIDE_MAX || s.height > IMAGE_SIDE_MAX)
		return reject_set(
			why, REJECT_UNSUPPORTED, "%s gives frames of %ux%u pixels", d->path, s.width, s.height);
	if (image_check_size(s.width, s.height, &d->limits, why) < 0) /* before memory is taken for its frames */
		return -EBADMSG;
	if (s.n_planes != (k ? k->planes : 1))
		return reject_set(why, REJECT_UNSUPPORTED, "%s gives %u planes of a format that has %u", d->path,
			s.n_planes, k ? k->planes : 1);
	if (field == V4L2_FIELD_TOP || field == V4L2_FIELD_BOTTOM || field == V4L2_FIELD_ALTERNATE ||
		field == V4L2_FIELD_SEQ_TB || field == V4L2_FIELD_SEQ_BT)
		return reject_set(why, REJECT_UNSUPPORTED, "%s gives half frames (interlaced)", d->path);
	fill_strides(&s);
	d->shape = s;
	return d->convert ? v4l2_convert_begin(d->convert, f) : 0;
}

/* Nothing of ours is offered: perhaps something that can be converted. */
static int ask_convertible(struct v4l2_device *d, struct v4l2_format *f, struct reject *why)
{
	int r = v4l2_is_mplane(d) ? -ENOTSUP : v4l2_convert_new(d, f, &d->convert);

	if (r == -ENOTSUP)
		return reject_set(why, REJECT_UNSUPPORTED, "%s offers no format that is taken", d->path);
	/* The library's choice is the largest, whatever we take. */
	if (r >= 0 && (uint64_t)f->fmt.pix.width * f->fmt.pix.height > d->limits.max_pixels)
		ask(f, f->fmt.pix.pixelformat, largest_size(d, f->fmt.pix.pixelformat));
	return r;
}

int v4l2_set_format(struct v4l2_device *d, const struct v4l2_wish *wish, struct reject *why)
{
	struct v4l2_format f = {.type = d->type};
	struct offer best = best_offer(d, wish);
	int r = v4l2_ctl(d, VIDIOC_G_FMT, &f);

	if (r < 0)
		return v4l2_failed(d, "cannot read the format", r, why);
	if (best.format)
		ask(&f, best.format->fourcc, best.size);
	else if (wish->format[0])
		return reject_set(why, REJECT_UNSUPPORTED, "%s does not offer %s", d->path, wish->format);
	else
		r = ask_convertible(d, &f, why);
	if (r < 0)
		return r;
	r = v4l2_ctl(d, VIDIOC_S_FMT, &f);
	if (r < 0)
		return v4l2_failed(d, "cannot set the format", r, why);
	f = (struct v4l2_format){.type = d->type};
	r = v4l2_ctl(d, VIDIOC_G_FMT, &f); /* some drivers fill in the answer to S_FMT badly */
	if (r < 0)
		return v4l2_failed(d, "cannot read the format", r, why);
	return take_over(d, &f, why);
}

/* ---- signal -------------------------------------------------------------------------------------- */
static bool same_timings(const struct v4l2_dv_timings *a, const struct v4l2_dv_timings *b)
{
	return a->type == b->type && a->bt.width == b->bt.width && a->bt.height == b->bt.height &&
	       a->bt.interlaced == b->bt.interlaced && a->bt.pixelclock == b->bt.pixelclock;
}

/* The size of an HDMI input's frames is that of the timings that are set, not of those that come. */
static int follow_timings(struct v4l2_device *d, struct reject *why)
{
	struct v4l2_dv_timings seen = {}, set = {};
	int r = v4l2_ctl(d, VIDIOC_QUERY_DV_TIMINGS, &seen);

	if (r == -ENOLINK)
		return reject_set(why, REJECT_NO_SIGNAL,
			"%s: no signal; is the cable in, and what it leads to switched on?", d->path);
	if (r == -ENOLCK || r == -ERANGE)
		return reject_set(why, REJECT_NO_SIGNAL, "%s: the signal is %s", d->path,
			r == -ENOLCK ? "unstable" : "of a kind that the device cannot take");
	if (r < 0 || (v4l2_ctl(d, VIDIOC_G_DV_TIMINGS, &set) >= 0 && same_timings(&seen, &set)) || d->streaming)
		return 0;
	r = v4l2_ctl(d, VIDIOC_S_DV_TIMINGS, &seen);
	return r < 0 ? v4l2_failed(d, "cannot set the signal's timings", r, why) : 0;
}

int v4l2_check_signal(struct v4l2_device *d, struct reject *why)
{
	struct v4l2_input in = {};
	int index;

	if (v4l2_ctl(d, VIDIOC_G_INPUT, &index) < 0)
		return 0;
	in.index = (uint32_t)index;
	if (v4l2_ctl(d, VIDIOC_ENUMINPUT, &in) < 0)
		return 0;
	if (in.capabilities & V4L2_IN_CAP_DV_TIMINGS)
		return follow_timings(d, why);
	if (in.status & (V4L2_IN_ST_NO_POWER | V4L2_IN_ST_NO_SIGNAL))
		return reject_set(why, REJECT_NO_SIGNAL, "%s: %s at its input", d->path,
			in.status & V4L2_IN_ST_NO_POWER ? "no power" : "no signal");
	return 0;
}
