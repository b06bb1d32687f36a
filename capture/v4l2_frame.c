/* What a frame is worth: whole or not, and how it looks at a glance. */
#include "capture/v4l2_internal.h"

#include "base/log.h"
#include "capture/look.h"

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

/* Drivers pad behind the end marker, so it may be anywhere. */
static bool has_markers(const uint8_t *p, size_t len)
{
	return len >= 4 && p[0] == 0xff && p[1] == 0xd8 && memmem(p + 2, len - 2, "\xff\xd9", 2);
}

static int look_at_jpeg(struct v4l2_device *d, const struct v4l2_shot *shot, struct glance *ret, struct reject *why)
{
	struct input in;
	int r;

	if (!has_markers(shot->plane[0].data, shot->plane[0].len))
		return reject_set(why, REJECT_TRUNCATED, "%s: a JPEG without its beginning or end", d->path);
	input_from_memory(&in, shot->plane[0].data, shot->plane[0].len);
	in.from_camera = true;
	r = look_at_encoded(&in, &d->limits, ret, why);
	ret->sharpness = (int64_t)shot->plane[0].len; /* says more than the small picture does */
	return r;
}

int v4l2_frame_look(struct v4l2_device *d, const struct v4l2_shot *shot, struct glance *ret, struct reject *why)
{
	struct raw_frame f;
	int r;

	if (shot->flags & V4L2_BUF_FLAG_ERROR)
		return reject_set(why, REJECT_DAMAGED, "%s: the driver says that the frame is damaged", d->path);
	for (unsigned int p = 0; p < d->shape.n_planes; p++)
		if (shot->plane[p].len == 0)
			return reject_set(why, REJECT_TRUNCATED, "%s: an empty frame", d->path);
	if (d->shape.jpeg)
		return look_at_jpeg(d, shot, ret, why);
	r = v4l2_frame_raw(d, shot, &f, why);
	return r < 0 ? r : look_at_raw(&f, ret, why);
}
