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
	const char *format; /* "jpeg", "png", "yuyv" */
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

/* A frame from a camera in memory, borrowed until image_close(). */
struct raw_frame {
	const uint8_t *data;
	size_t len;
	uint32_t width, height; /* pixels; width is even */
	uint32_t stride;        /* bytes */
	bool full_range;        /* false: BT.601 limited range, as cameras send it */
};
int rawframe_open_yuyv(
	const struct raw_frame *f, const struct image_limits *limits, struct image **ret, struct reject *why);
