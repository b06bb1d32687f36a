/*
 * Pictures as planes that come in bands of rows, top to bottom: what every decoder gives and the scaler
 * takes.
 *
 * One plane is grey; three are Y, Cb, Cr, full range BT.601 as in JFIF. Chroma planes may be smaller in
 * either direction. Nothing is ever held whole unless the format forces it (interlaced PNG, progressive
 * JPEG), and then under a bound.
 */
#pragma once

#include "capture/input.h"
#include "capture/reject.h"

#define IMAGE_PLANES 3

struct image_limits {
	uint64_t max_pixels; /* of the source, decided from its header */
	uint64_t max_memory; /* bytes a decoder may hold for formats that cannot be streamed */
};
#define IMAGE_LIMITS_DEFAULT                                                                                 \
	((struct image_limits){.max_pixels = 120000000, .max_memory = (uint64_t)96 << 20})
#define IMAGE_SIDE_MAX 65500 /* libjpeg's own limit */

struct image_plane {
	uint32_t width, height; /* samples that are picture, without padding */
	double sx, sy;          /* samples for one pixel of the source */
};

struct image_band {
	const uint8_t *const *rows[IMAGE_PLANES]; /* borrowed until the next call */
	unsigned int n[IMAGE_PLANES];
};

struct image;
struct image_ops {
	const char *format; /* "jpeg", "png", "pnm", "yuyv" */
	/* Gets ready to give bands. A decoder that can reduce cheaply gives `eighths`/8 of the size (1, 2, 4,
	 * 8); others take no notice. Sets the planes. 0 or negative errno. */
	int (*start)(struct image *im, unsigned int eighths, struct reject *why);
	/* 1 and a band; 0 when the whole picture was read and found undamaged; or negative errno. */
	int (*next)(struct image *im, struct image_band *ret, struct reject *why);
	void (*close)(struct image *im);
};

struct image {
	const struct image_ops *ops;
	uint32_t width, height;   /* of the source as stored */
	unsigned int orientation; /* EXIF, 1 to 8 */
	unsigned int n_planes;
	double shrink; /* before start: pixels of the source for one of the result, so that chroma is not made larger
			* than it is asked for; 0: not known */
	struct image_plane plane[IMAGE_PLANES]; /* valid after start */
};

/* Finds out the format by its first bytes and reads the header. `in` is borrowed until image_close(). */
int image_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why);
void image_close(struct image *im); /* NULL is fine */
/* Is that a size we take? Asked before anything is allocated for it. 0 or -EBADMSG. */
int image_check_size(uint64_t width, uint64_t height, const struct image_limits *limits, struct reject *why);
/* A negative errno of the input as a verdict on the page. */
int image_input_failed(int error, struct reject *why);

/* The decoders. Each takes over when the first bytes are its own. */
int jpegdec_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why);
int pngdec_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why);
int pnmdec_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why);

/* ---- frames that are not encoded ----------------------------------------------------------------- */
/* A layout of pixels in memory, as V4L2 defines it; rawframe.c has the table. */
struct raw_format;
/* By name, in small letters: "nv12". NULL: there is none of it. */
const struct raw_format *raw_format_by_name(const char *name);
const char *raw_format_name(const struct raw_format *f);
/* Bytes that a row of the first plane has at least. */
uint32_t raw_format_row(const struct raw_format *f, uint32_t width);
/* What its samples are when nobody says: RGB and grey have full range. */
bool raw_format_full_range(const struct raw_format *f);

struct raw_plane {
	const uint8_t *data; /* borrowed until image_close() */
	size_t len;
	uint32_t stride; /* bytes */
};

struct raw_frame {
	const struct raw_format *format;
	uint32_t width, height; /* pixels; even where chroma is shared by two */
	struct raw_plane plane[IMAGE_PLANES];
	bool full_range; /* false: 16-235 and 16-240, as cameras send it */
	bool bt709;      /* Y, Cb, Cr are BT.709's, not BT.601's */
};
/* Sets the planes of a frame that lies in one piece: each follows the one before, rows of `stride` bytes in the first, as
 * V4L2's single-planar formats have them. 0 or -EBADMSG (it cannot be). */
int raw_frame_lay_out(struct raw_frame *f, const void *data, size_t len, uint32_t stride, struct reject *why);
/* Is all that it needs there? 0 or -EBADMSG. */
int raw_frame_check(const struct raw_frame *f, struct reject *why);
/* Where luma lies (of RGB: green), one sample each `step` bytes. */
struct raw_luma {
	const uint8_t *data;
	uint32_t stride;
	unsigned int step;
};
struct raw_luma raw_frame_luma(const struct raw_frame *f);
/* Is `len` the size of a frame laid out so? A file of another length has another geometry. */
int raw_frame_is_all(const struct raw_frame *f, size_t len, struct reject *why);
int rawframe_open(const struct raw_frame *f, const struct image_limits *limits, struct image **ret, struct reject *why);
