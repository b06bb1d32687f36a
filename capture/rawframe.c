/* Frames straight from a camera, not encoded. */
#include "capture/colour.h"
#include "capture/image.h"

struct rawframe {
	struct image image;
	struct raw_frame frame;
	uint8_t *pixels[IMAGE_PLANES]; /* owned: one row of each plane */
	uint32_t done;
};

static int rawframe_start(struct image *im, unsigned int eighths, struct reject *why)
{
	struct rawframe *f = (struct rawframe *)im;

	for (unsigned int p = 0; p < IMAGE_PLANES; p++) {
		uint32_t width = p ? im->width / 2 : im->width;

		im->plane[p] = (struct image_plane){
			.width = width, .height = im->height, .sx = p ? 0.5 : 1, .sy = 1};
		f->pixels[p] = malloc(width);
		if (!f->pixels[p])
			return -ENOMEM;
	}
	return 0;
}

static int rawframe_next(struct image *im, struct image_band *ret, struct reject *why)
{
	struct rawframe *f = (struct rawframe *)im;

	if (f->done == im->height)
		return 0;
	colour_yuyv_to_planes(f->frame.data + (size_t)f->done * f->frame.stride, im->width,
		f->frame.full_range, f->pixels[0], f->pixels[1], f->pixels[2]);
	for (unsigned int p = 0; p < IMAGE_PLANES; p++) {
		ret->rows[p] = (const uint8_t *const *)&f->pixels[p];
		ret->n[p] = 1;
	}
	f->done++;
	return 1;
}

static void rawframe_close(struct image *im)
{
	struct rawframe *f = (struct rawframe *)im;

	for (unsigned int p = 0; p < IMAGE_PLANES; p++)
		free(f->pixels[p]);
	free(f);
}

static const struct image_ops yuyv_ops = {
	.format = "yuyv",
	.start = rawframe_start,
	.next = rawframe_next,
	.close = rawframe_close,
};

int rawframe_open_yuyv(
	const struct raw_frame *f, const struct image_limits *limits, struct image **ret, struct reject *why)
{
	struct rawframe *d;
	int r = image_check_size(f->width, f->height, limits, why);

	if (r < 0)
		return r;
	if (f->width % 2 || f->stride / 2 < f->width)
		return reject_set(why, REJECT_DAMAGED, "a YUYV frame of %u pixels with rows of %u bytes",
			f->width, f->stride);
	/* The last row need not be padded to the stride. */
	if (f->len < (uint64_t)f->stride * (f->height - 1) + (uint64_t)f->width * 2)
		return reject_set(why, REJECT_TRUNCATED, "the frame is short: %zu bytes", f->len);
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->image = (struct image){.ops = &yuyv_ops,
		.width = f->width,
		.height = f->height,
		.orientation = 1,
		.n_planes = IMAGE_PLANES};
	d->frame = *f;
	*ret = &d->image;
	return 0;
}
