/* Frames that are not encoded, as cameras give them. Planes that are fit to be used where they lie are not copied. */
#include "capture/colour.h"
#include "capture/image.h"

#include <inttypes.h>

enum raw_kind {
	RAW_PACKED, /* luma and chroma in turn, two pixels share their chroma */
	RAW_PAIRS,  /* luma, then chroma in pairs */
	RAW_PLANES, /* luma, then two planes of chroma */
	RAW_GREY,
	RAW_RGB,
};

struct raw_format {
	const char *name;
	enum raw_kind kind;
	unsigned int rows; /* of luma for one of chroma */
	bool swapped;      /* UYVY; Cr before Cb; blue first */
};

/* V4L2's names: kernel documentation, "Image Formats". */
static const struct raw_format formats[] = {
	{"yuyv", RAW_PACKED, 1, false},
	{"uyvy", RAW_PACKED, 1, true},
	{"nv12", RAW_PAIRS, 2, false},
	{"nv21", RAW_PAIRS, 2, true},
	{"nv16", RAW_PAIRS, 1, false},
	{"nv61", RAW_PAIRS, 1, true},
	{"yu12", RAW_PLANES, 2, false},
	{"yv12", RAW_PLANES, 2, true},
	{"grey", RAW_GREY, 1, false},
	{"rgb3", RAW_RGB, 1, false},
	{"bgr3", RAW_RGB, 1, true},
};

#define ROWS_MAX 2

struct rawframe {
	struct image image;
	struct image_ops ops; /* with this format's name */
	struct raw_frame frame;
	bool lies_ready;               /* luma can be used where it lies */
	uint8_t *pixels[IMAGE_PLANES]; /* owned: a band of each plane */
	const uint8_t *rows[IMAGE_PLANES][ROWS_MAX];
	uint32_t done; /* rows of luma given */
};

const struct raw_format *raw_format_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (streq(formats[i].name, name))
			return &formats[i];
	return NULL;
}

const char *raw_format_name(const struct raw_format *f)
{
	return f->name;
}

uint32_t raw_format_row(const struct raw_format *f, uint32_t width)
{
	return width * (f->kind == RAW_RGB ? 3 : f->kind == RAW_PACKED ? 2 : 1);
}

/* How many planes it has in memory: chroma may be a plane of its own. */
static unsigned int planes_of(const struct raw_format *f)
{
	return f->kind == RAW_PLANES ? 3 : f->kind == RAW_PAIRS ? 2 : 1;
}

bool raw_format_full_range(const struct raw_format *f)
{
	return f->kind == RAW_GREY || f->kind == RAW_RGB;
}

/* ---- what is where ------------------------------------------------------------------------------- */
static uint32_t plane_row(const struct raw_frame *f, unsigned int plane)
{
	uint32_t row = raw_format_row(f->format, f->width);

	return plane && f->format->kind == RAW_PLANES ? row / 2 : row;
}

static uint32_t plane_rows(const struct raw_frame *f, unsigned int plane)
{
	return plane ? f->height / f->format->rows : f->height;
}

int raw_frame_lay_out(struct raw_frame *f, const void *data, size_t len, uint32_t stride, struct reject *why)
{
	const uint8_t *at = data;

	for (unsigned int i = 0; i < planes_of(f->format); i++) {
		struct raw_plane p = {.data = at, .len = len, .stride = stride};
		uint64_t size;

		if (i && f->format->kind == RAW_PLANES)
			p.stride /= 2;
		size = (uint64_t)p.stride * plane_rows(f, i);
		if (size > len && i + 1 < planes_of(f->format))
			return reject_set(why, REJECT_TRUNCATED, "the frame is short: %zu bytes are left for plane %u", len, i + 1);
		f->plane[i] = p;
		at += MIN(size, len);
		len -= MIN(size, len);
	}
	return 0;
}

int raw_frame_is_all(const struct raw_frame *f, size_t len, struct reject *why)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < planes_of(f->format); i++)
		size += (uint64_t)f->plane[i].stride * plane_rows(f, i);
	if (size == len)
		return 0;
	return reject_set(why, len < size ? REJECT_TRUNCATED : REJECT_DAMAGED,
		"%zu bytes, but %ux%u pixels of %s are %" PRIu64, len, f->width, f->height, f->format->name, size);
}

int raw_frame_check(const struct raw_frame *f, struct reject *why)
{
	bool shared = f->format->kind == RAW_PACKED || f->format->kind == RAW_PAIRS || f->format->kind == RAW_PLANES;

	if ((shared && f->width % 2) || f->height % f->format->rows)
		return reject_set(why, REJECT_DAMAGED, "a frame of %ux%u pixels cannot be %s", f->width, f->height, f->format->name);
	for (unsigned int i = 0; i < planes_of(f->format); i++) {
		const struct raw_plane *p = &f->plane[i];

		if (p->stride < plane_row(f, i))
			return reject_set(why, REJECT_DAMAGED, "a %s frame of %u pixels with rows of %u bytes", f->format->name,
				f->width, p->stride);
		/* The last row need not be padded to the stride. */
		if (p->len < (uint64_t)p->stride * (plane_rows(f, i) - 1) + plane_row(f, i))
			return reject_set(why, REJECT_TRUNCATED, "the frame is short: plane %u of %s has %zu bytes", i + 1,
				f->format->name, p->len);
	}
	return 0;
}

struct raw_luma raw_frame_luma(const struct raw_frame *f)
{
	const struct raw_plane *p = &f->plane[0];

	switch (f->format->kind) {
	case RAW_PACKED:
		return (struct raw_luma){p->data + f->format->swapped, p->stride, 2};
	case RAW_RGB:
		return (struct raw_luma){p->data + 1, p->stride, 3};
	default:
		return (struct raw_luma){p->data, p->stride, 1};
	}
}

/* ---- rows ---------------------------------------------------------------------------------------- */
static const uint8_t *stored(const struct rawframe *f, unsigned int plane, uint32_t row)
{
	return f->frame.plane[plane].data + (size_t)row * f->frame.plane[plane].stride;
}

/* One row of luma to where it can be changed, or left where it lies. */
static void take_luma(struct rawframe *f, unsigned int i, uint32_t row)
{
	uint8_t *to = f->pixels[0] + (size_t)i * f->image.width;

	if (f->lies_ready) {
		f->rows[0][i] = stored(f, 0, row);
		return;
	}
	if (f->frame.full_range)
		memcpy(to, stored(f, 0, row), f->image.width);
	else
		colour_expand_luma(stored(f, 0, row), f->image.width, to);
}

static void take_chroma(struct rawframe *f, unsigned int plane, uint32_t row)
{
	/* YV12 has Cr in its second plane. */
	const uint8_t *from = stored(f, f->frame.format->swapped ? 3 - plane : plane, row);

	if (f->lies_ready)
		f->rows[plane][0] = from;
	else if (f->frame.full_range)
		memcpy(f->pixels[plane], from, f->image.width / 2);
	else
		colour_expand_chroma(from, f->image.width / 2, f->pixels[plane]);
}

static void take_pairs(struct rawframe *f, uint32_t row)
{
	bool swapped = f->frame.format->swapped;

	colour_split_chroma(stored(f, 1, row), f->image.width / 2, f->frame.full_range, f->pixels[swapped ? 2 : 1],
		f->pixels[swapped ? 1 : 2]);
}

static void take_band(struct rawframe *f)
{
	const struct raw_format *format = f->frame.format;
	uint32_t at = f->done, width = f->image.width;
	uint8_t **px = f->pixels;

	switch (format->kind) {
	case RAW_PACKED:
		(format->swapped ? colour_uyvy_to_planes : colour_yuyv_to_planes)(
			stored(f, 0, at), width, f->frame.full_range, px[0], px[1], px[2]);
		return;
	case RAW_RGB:
		(format->swapped ? colour_bgr_to_planes : colour_rgb_to_planes)(stored(f, 0, at), width, px[0], px[1], px[2]);
		return;
	case RAW_PAIRS:
		take_pairs(f, at / format->rows);
		break;
	case RAW_PLANES:
		take_chroma(f, 1, at / format->rows);
		take_chroma(f, 2, at / format->rows);
		break;
	case RAW_GREY:
		break;
	}
	for (unsigned int i = 0; i < format->rows; i++)
		take_luma(f, i, at + i);
}

static void from_709(struct rawframe *f)
{
	for (unsigned int i = 0; i < f->frame.format->rows; i++)
		colour_luma_from_709(
			f->pixels[0] + (size_t)i * f->image.width, f->pixels[1], f->pixels[2], f->image.width / 2);
	colour_chroma_from_709(f->pixels[1], f->pixels[2], f->image.width / 2);
}

/* ---- the picture --------------------------------------------------------------------------------- */
static int rawframe_start(struct image *im, unsigned int eighths, struct reject *why)
{
	struct rawframe *f = (struct rawframe *)im;
	const struct raw_format *format = f->frame.format;

	for (unsigned int p = 0; p < im->n_planes; p++) {
		bool halved = p && format->kind != RAW_RGB;

		im->plane[p] = (struct image_plane){
			.width = halved ? im->width / 2 : im->width,
			.height = p ? im->height / format->rows : im->height,
			.sx = halved ? 0.5 : 1,
			.sy = p ? 1.0 / format->rows : 1,
		};
		f->pixels[p] = malloc((size_t)im->plane[p].width * format->rows);
		if (!f->pixels[p])
			return -ENOMEM;
		for (unsigned int i = 0; i < format->rows; i++)
			f->rows[p][i] = f->pixels[p] + (size_t)i * im->plane[p].width;
	}
	return 0;
}

static int rawframe_next(struct image *im, struct image_band *ret, struct reject *why)
{
	struct rawframe *f = (struct rawframe *)im;

	if (f->done == im->height)
		return 0;
	take_band(f);
	if (f->frame.bt709)
		from_709(f);
	for (unsigned int p = 0; p < im->n_planes; p++) {
		ret->rows[p] = f->rows[p];
		ret->n[p] = p ? 1 : f->frame.format->rows;
	}
	f->done += f->frame.format->rows;
	return 1;
}

static void rawframe_close(struct image *im)
{
	struct rawframe *f = (struct rawframe *)im;

	for (unsigned int p = 0; p < IMAGE_PLANES; p++)
		free(f->pixels[p]);
	free(f);
}

static const struct image_ops rawframe_ops = {
	.start = rawframe_start,
	.next = rawframe_next,
	.close = rawframe_close,
};

int rawframe_open(const struct raw_frame *f, const struct image_limits *limits, struct image **ret, struct reject *why)
{
	bool has_chroma = f->format->kind == RAW_PACKED || f->format->kind == RAW_PAIRS || f->format->kind == RAW_PLANES;
	struct rawframe *d;
	int r = image_check_size(f->width, f->height, limits, why);

	if (r >= 0)
		r = raw_frame_check(f, why);
	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->ops = rawframe_ops;
	d->ops.format = f->format->name;
	d->image = (struct image){.ops = &d->ops,
		.width = f->width,
		.height = f->height,
		.orientation = 1,
		.n_planes = f->format->kind == RAW_GREY ? 1 : IMAGE_PLANES};
	d->frame = *f;
	d->frame.full_range |= f->format->kind == RAW_RGB;
	d->frame.bt709 &= has_chroma;
	d->lies_ready = d->frame.full_range && !d->frame.bt709;
	*ret = &d->image;
	return 0;
}
