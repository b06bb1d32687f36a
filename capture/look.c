#include "capture/look.h"

#define ROWS_BETWEEN 8 /* of a raw frame every eighth row is looked at */

int look_at_raw(const struct raw_frame *f, struct glance *ret, struct reject *why)
{
	struct raw_luma luma;
	int r = raw_frame_check(f, why);

	if (r < 0)
		return r;
	luma = raw_frame_luma(f);
	glance_begin(ret, f->width, f->height);
	for (uint32_t y = 0; y < f->height; y += ROWS_BETWEEN)
		glance_row(ret, y, luma.data + (size_t)y * luma.stride, luma.step);
	glance_end(ret);
	return 0;
}

/* Of three planes the first is luma. */
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

int look_at_encoded(struct input *in, const struct image_limits *limits, struct glance *ret, struct reject *why)
{
	struct image *im = NULL;
	int r = image_open(in, limits, &im, why);

	if (r >= 0)
		r = decode_small(im, ret, why);
	image_close(im);
	return r;
}
