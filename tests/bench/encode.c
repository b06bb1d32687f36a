/*
 * encode ours|standard QUALITY WIDTH HEIGHT PLANES OUT
 *
 * Planes (Y, then Cb and Cr of half its size) to a JPEG, by capture/jpegenc.c or with libjpeg's standard tables:
 * what the tables alone are worth.
 */
#include <fcntl.h>
#include <stdio.h>

#include <jpeglib.h>

#include "base/buf.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "capture/image.h"
#include "capture/jpegenc.h"

#define PLANES_MAX ((size_t)64 << 20)

struct planes {
	struct buf data;
	uint32_t width[IMAGE_PLANES], height[IMAGE_PLANES];
	size_t at[IMAGE_PLANES];
};

static const uint8_t *row_of(const struct planes *p, unsigned int plane, uint32_t y)
{
	return (const uint8_t *)p->data.data + p->at[plane] +
	       (size_t)MIN(y, p->height[plane] - 1) * p->width[plane];
}

static int read_planes(const char *path, uint32_t width, uint32_t height, struct planes *ret)
{
	size_t total = 0;
	int r = file_read(AT_FDCWD, path, PLANES_MAX, &ret->data);

	if (r < 0)
		return r;
	for (unsigned int p = 0; p < IMAGE_PLANES; p++) {
		ret->width[p] = p ? (width + 1) / 2 : width;
		ret->height[p] = p ? (height + 1) / 2 : height;
		ret->at[p] = total;
		total += (size_t)ret->width[p] * ret->height[p];
	}
	return total == ret->data.len ? 0 : -EINVAL;
}

static int to_file(void *ud, const void *data, size_t len)
{
	return fwrite(data, 1, len, ud) == len ? 0 : -EIO;
}

static int encode_ours(const struct planes *p, int quality, FILE *out)
{
	struct jpegenc_options o = {.width = p->width[0],
		.height = p->height[0],
		.n_planes = IMAGE_PLANES,
		.quality = quality,
		.sink = to_file,
		.ud = out};
	struct jpegenc *e;
	int r = jpegenc_new(&o, &e);

	if (r < 0)
		return r;
	for (uint32_t y = 0; y < p->height[0] && r >= 0; y++)
		for (unsigned int i = 0; i < IMAGE_PLANES && r >= 0; i++)
			if (i == 0 || y < p->height[i])
				r = jpegenc_row(e, i, row_of(p, i, y));
	if (r >= 0)
		r = jpegenc_finish(e);
	jpegenc_free(e);
	return r;
}

/* The last sample is repeated to the end of its block, as capture/jpegenc.c does. */
static void standard_rows(struct jpeg_compress_struct *c, const struct planes *p, uint8_t *store)
{
	JSAMPROW rows[IMAGE_PLANES][2 * DCTSIZE];
	JSAMPARRAY planes[IMAGE_PLANES] = {rows[0], rows[1], rows[2]};
	size_t stride = p->width[0] + 4 * DCTSIZE;
	uint32_t first = c->next_scanline;

	for (unsigned int i = 0; i < IMAGE_PLANES; i++)
		for (uint32_t k = 0; k < (i ? 1 : 2) * DCTSIZE; k++) {
			uint8_t *row = store + (i * 2 * DCTSIZE + k) * stride;

			memcpy(row, row_of(p, i, first / (i ? 2 : 1) + k), p->width[i]);
			memset(row + p->width[i], row[p->width[i] - 1], stride - p->width[i]);
			rows[i][k] = row;
		}
	jpeg_write_raw_data(c, planes, 2 * DCTSIZE);
}

static int encode_standard(const struct planes *p, int quality, FILE *out)
{
	_cleanup_free_ uint8_t *store = malloc(IMAGE_PLANES * 2 * DCTSIZE * (p->width[0] + (size_t)4 * DCTSIZE));
	struct jpeg_error_mgr err; /* libjpeg's own: it prints and exits */
	struct jpeg_compress_struct c;

	if (!store)
		return -ENOMEM;
	c.err = jpeg_std_error(&err);
	jpeg_create_compress(&c);
	jpeg_stdio_dest(&c, out);
	c.image_width = p->width[0];
	c.image_height = p->height[0];
	c.input_components = IMAGE_PLANES;
	c.in_color_space = JCS_YCbCr;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, quality, TRUE);
	c.raw_data_in = TRUE;
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height)
		standard_rows(&c, p, store);
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return 0;
}

int main(int argc, char **argv)
{
	struct planes p = {};
	int64_t quality, width, height;
	FILE *out;
	int r;

	if (argc != 7 || parse_i64(argv[2], 1, 100, &quality) < 0 ||
		parse_i64(argv[3], 1, IMAGE_SIDE_MAX, &width) < 0 ||
		parse_i64(argv[4], 1, IMAGE_SIDE_MAX, &height) < 0) {
		fputs("usage: encode ours|standard QUALITY WIDTH HEIGHT PLANES OUT\n", stderr);
		return 2;
	}
	r = read_planes(argv[5], (uint32_t)width, (uint32_t)height, &p);
	out = r < 0 ? NULL : fopen(argv[6], "wbe");
	if (r >= 0 && !out)
		r = -errno;
	if (r >= 0)
		r = streq(argv[1], "ours") ? encode_ours(&p, (int)quality, out)
					   : encode_standard(&p, (int)quality, out);
	if (out && fclose(out) != 0 && r >= 0)
		r = -EIO;
	if (r < 0)
		fprintf(stderr, "encode: %s\n", strerror(-r));
	buf_free(&p.data);
	return r < 0;
}
