/* What a frame is worth: whole or not, and how it looks at a glance. */
#include "capture/v4l2_internal.h"

#include "base/log.h"

#define ROWS_BETWEEN 8 /* of a raw frame every eighth row is looked at; a JPEG is decoded at an eighth */

int v4l2_frame_raw(struct v4l2_device *d, const struct v4l2_shot *shot, struct raw_frame *ret, struct reject *why)
{
	const struct v4l2_shape *s = &d->shape;
	struct raw_frame f = {.format = s->raw,
		.width = s->width,
		.height = s->height,
		.full_range = s->full_range,
		.bt709 = s->bt709};
	int r = 0;

	if (d->convert)
		return v4l2_convert_frame(d->convert, shot->plane[0].data, shot->plane[0].len, ret, why);
	if (s->n_planes == 1)
		r = raw_frame_lay_out(&f, shot->plane[0].data, shot->plane[0].len, s->stride[0], why);
	else
		for (unsigned int p = 0; p < s->n_planes; p++)
			f.plane[p] = (struct raw_plane){shot->plane[p].data, shot->plane[p].len, s->stride[p]};
	if (r >= 0)
		*ret = f;
	return r;
}

static int look_at_raw(struct v4l2_device *d, const struct v4l2_shot *shot, struct glance *ret, struct reject *why)
{
	struct raw_frame f;
	struct raw_luma luma;
	int r = v4l2_frame_raw(d, shot, &f, why);

	if (r >= 0)
		r = raw_frame_check(&f, why);
	if (r < 0)
		return r;
	luma = raw_frame_luma(&f);
	glance_begin(ret, f.width, f.height);
	for (uint32_t y = 0; y < f.height; y += ROWS_BETWEEN)
		glance_row(ret, y, luma.data + (size_t)y * luma.stride, luma.step);
	glance_end(ret);
	return 0;
}

/* Drivers pad behind the end marker, so it may be anywhere. */
static bool has_markers(const uint8_t *p, size_t len)
{
	return len >= 4 && p[0] == 0xff && p[1] == 0xd8 && memmem(p + 2, len - 2, "\xff\xd9", 2);
}

/* All of it is decoded, though small: what is damaged anywhere shows. Of three planes the first is luma. */
static int decode_small(struct image *im, struct glance *ret, struct reject *why)
{
	uint32_t y = 0;
	int r = im->ops->start(im, 1, why);

	if (r < 0)
		return r;
	glance_begin(ret, im->plane[0].width, im->plane[0].height);
	for (;;) {
		struct image_band band;

		r = im->ops->next(im, &band, why);
		if (r <= 0)
			break;
		for (unsigned int i = 0; i < band.n[0]; i++, y++)
			glance_row(ret, y, band.rows[0][i], 1);
	}
	glance_end(ret);
	return r;
}

static int look_at_jpeg(struct v4l2_device *d, const struct v4l2_shot *shot, struct glance *ret, struct reject *why)
{
	const struct image_limits limits = IMAGE_LIMITS_DEFAULT;
	struct image *im = NULL;
	struct input in;
	int r;

	if (!has_markers(shot->plane[0].data, shot->plane[0].len))
		return reject_set(why, REJECT_TRUNCATED, "%s: a JPEG without its beginning or end", d->path);
	input_from_memory(&in, shot->plane[0].data, shot->plane[0].len);
	in.from_camera = true;
	r = image_open(&in, &limits, &im, why);
	if (r >= 0)
		r = decode_small(im, ret, why);
	image_close(im);
	ret->sharpness = (int64_t)shot->plane[0].len; /* says more than the small picture does */
	return r;
}

int v4l2_frame_look(struct v4l2_device *d, const struct v4l2_shot *shot, struct glance *ret, struct reject *why)
{
	if (shot->flags & V4L2_BUF_FLAG_ERROR)
		return reject_set(why, REJECT_DAMAGED, "%s: the driver says that the frame is damaged", d->path);
	for (unsigned int p = 0; p < d->shape.n_planes; p++)
		if (shot->plane[p].len == 0)
			return reject_set(why, REJECT_TRUNCATED, "%s: an empty frame", d->path);
	return d->shape.jpeg ? look_at_jpeg(d, shot, ret, why) : look_at_raw(d, shot, ret, why);
}
