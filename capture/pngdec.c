/* PNG to planes. Alpha is put on white paper; 16 bits become 8; palettes and small depths are expanded. */
#include "capture/colour.h"
#include "capture/exif.h"
#include "capture/image.h"

#include <inttypes.h>
#include <png.h>

/* Ancillary chunks (text, profiles) are of no use to us; libpng may not spend more than this on one. */
#define CHUNK_MAX ((png_alloc_size_t)1 << 20)

struct pngdec {
	struct image image;
	png_structp png;
	png_infop info;
	struct input *in; /* borrowed */
	struct image_limits limits;
	struct reject why; /* what libpng, or reading for it, found wrong */
	int error;         /* negative errno that ends the run, or -EBADMSG: see why */
	bool cut;          /* the input ended too early */
	unsigned int channels;
	size_t row_bytes;
	uint8_t *row;                  /* owned: one row as libpng gives it */
	uint8_t *whole;                /* owned: all rows, interlaced pictures only */
	uint8_t *pixels[IMAGE_PLANES]; /* owned: one row of each plane */
	uint32_t done;
};

_Noreturn static void on_error(png_structp png, png_const_charp text)
{
	struct pngdec *d = png_get_error_ptr(png);

	if (d->error == 0)
		d->error = reject_set(&d->why, d->cut ? REJECT_TRUNCATED : REJECT_DAMAGED, "%s", text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
}

static void on_read(png_structp png, png_bytep to, size_t len)
{
	struct pngdec *d = png_get_io_ptr(png);

	while (len > 0) {
		int r = input_more(d->in);
		size_t n;

		if (r < 0)
			d->error = image_input_failed(r, &d->why);
		if (r == 0)
			d->cut = true;
		if (r <= 0)
			png_error(png, "the file ends too early");
		n = MIN(len, d->in->left);
		memcpy(to, d->in->at, n);
		d->in->at += n;
		d->in->left -= n;
		to += n;
		len -= n;
	}
}

static int verdict(const struct pngdec *d, struct reject *why)
{
	*why = d->why;
	return d->error;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Straight from the IHDR, before libpng sees it. */
static int check_header(struct input *in, const struct image_limits *limits, struct reject *why)
{
	ssize_t n = input_peek(in, 33);

	if (n < 0)
		return image_input_failed((int)n, why);
	if (n < 33)
		return reject_set(why, REJECT_TRUNCATED, "the file ends after %zd bytes", n);
	if (memcmp(in->at + 12, "IHDR", 4) != 0)
		return reject_set(why, REJECT_DAMAGED, "the PNG header is missing");
	return image_check_size(be32(in->at + 16), be32(in->at + 20), limits, why);
}

static void read_orientation(struct pngdec *d)
{
#ifdef PNG_eXIf_SUPPORTED
	png_uint_32 len = 0;
	png_bytep exif = NULL;

	if (png_get_eXIf_1(d->png, d->info, &len, &exif))
		d->image.orientation = exif_orientation(exif, len);
#endif
}

static int read_header(struct pngdec *d, struct reject *why)
{
	d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, on_error, on_warning);
	d->info = d->png ? png_create_info_struct(d->png) : NULL;
	if (!d->info)
		return -ENOMEM;
	if (setjmp(png_jmpbuf(d->png)))
		return verdict(d, why);
	png_set_read_fn(d->png, d, on_read);
	png_set_user_limits(d->png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
	png_set_chunk_malloc_max(d->png, CHUNK_MAX);
	png_set_chunk_cache_max(d->png, 16);
	png_read_info(d->png, d->info);
	d->image.width = png_get_image_width(d->png, d->info);
	d->image.height = png_get_image_height(d->png, d->info);
	read_orientation(d);
	png_set_expand(d->png);
	png_set_scale_16(d->png);
	return 0;
}

static int read_whole(struct pngdec *d, struct reject *why)
{
	uint64_t need = (uint64_t)d->row_bytes * d->image.height;
	int passes = png_set_interlace_handling(d->png);

	if (need > d->limits.max_memory)
		return reject_set(why, REJECT_TOO_LARGE,
			"an interlaced PNG of this size needs %" PRIu64 " MiB; at most %" PRIu64 " are given",
			(need >> 20) + 1, d->limits.max_memory >> 20);
	d->whole = calloc(d->image.height, d->row_bytes);
	if (!d->whole)
		return -ENOMEM;
	for (int pass = 0; pass < passes; pass++)
		for (uint32_t y = 0; y < d->image.height; y++)
			png_read_row(d->png, d->whole + y * d->row_bytes, NULL);
	return 0;
}

static int pngdec_start(struct image *im, unsigned int eighths, struct reject *why)
{
	struct pngdec *d = (struct pngdec *)im;
	bool interlaced = png_get_interlace_type(d->png, d->info) != PNG_INTERLACE_NONE;

	if (setjmp(png_jmpbuf(d->png)))
		return verdict(d, why);
	if (interlaced)
		png_set_interlace_handling(d->png);
	png_read_update_info(d->png, d->info);
	d->channels = png_get_channels(d->png, d->info);
	d->row_bytes = png_get_rowbytes(d->png, d->info);
	im->n_planes = d->channels <= 2 ? 1 : 3;
	d->row = malloc(d->row_bytes);
	if (!d->row)
		return -ENOMEM;
	for (unsigned int p = 0; p < im->n_planes; p++) {
		im->plane[p] =
			(struct image_plane){.width = im->width, .height = im->height, .sx = 1, .sy = 1};
		d->pixels[p] = malloc(im->width);
		if (!d->pixels[p])
			return -ENOMEM;
	}
	return interlaced ? read_whole(d, why) : 0;
}

static void give_row(struct pngdec *d, struct image_band *ret)
{
	struct image *im = &d->image;

	if (d->channels == 2 || d->channels == 4)
		colour_flatten(d->row, im->width, d->channels);
	if (im->n_planes == 1)
		memcpy(d->pixels[0], d->row, im->width);
	else
		colour_rgb_to_planes(d->row, im->width, d->pixels[0], d->pixels[1], d->pixels[2]);
	for (unsigned int p = 0; p < im->n_planes; p++) {
		ret->rows[p] = (const uint8_t *const *)&d->pixels[p];
		ret->n[p] = 1;
	}
	d->done++;
}

static int pngdec_next(struct image *im, struct image_band *ret, struct reject *why)
{
	struct pngdec *d = (struct pngdec *)im;

	if (setjmp(png_jmpbuf(d->png)))
		return verdict(d, why);
	if (d->done == im->height) {
		png_read_end(
			d->png, NULL); /* checks the rest: a file cut behind its pixels is cut all the same */
		return 0;
	}
	if (d->whole)
		memcpy(d->row, d->whole + d->done * d->row_bytes, d->row_bytes);
	else
		png_read_row(d->png, d->row, NULL);
	give_row(d, ret);
	return 1;
}

static void pngdec_close(struct image *im)
{
	struct pngdec *d = (struct pngdec *)im;

	png_destroy_read_struct(d->png ? &d->png : NULL, d->info ? &d->info : NULL, NULL);
	for (unsigned int p = 0; p < IMAGE_PLANES; p++)
		free(d->pixels[p]);
	free(d->row);
	free(d->whole);
	free(d);
}

static const struct image_ops pngdec_ops = {
	.format = "png",
	.start = pngdec_start,
	.next = pngdec_next,
	.close = pngdec_close,
};

int pngdec_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why)
{
	struct pngdec *d;
	int r = check_header(in, limits, why);

	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->image = (struct image){.ops = &pngdec_ops, .orientation = 1};
	d->in = in;
	d->limits = *limits;
	r = read_header(d, why);
	if (r < 0) {
		pngdec_close(&d->image);
		return r;
	}
	*ret = &d->image;
	return 0;
}
