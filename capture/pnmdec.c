/* PGM and PPM in binary (P5, P6; Netpbm's format pages) to planes: what simple tools and cameras write. */
#include "capture/colour.h"
#include "capture/image.h"

#define HEADER_MAX 512 /* bytes, with comments */

struct pnmdec {
	struct image image;
	struct input *in;          /* borrowed */
	unsigned int channels;     /* 1 or 3 */
	uint32_t max;              /* the value of white; above 255 a sample has two bytes, the high one first */
	uint8_t *row;              /* owned: one row as it is stored */
	uint8_t *px[IMAGE_PLANES]; /* owned: one row of each plane */
	uint32_t done;
};

/* The next byte, -1 at the end, or negative errno below -1. */
static int next_byte(struct input *in)
{
	int r = input_more(in);

	if (r < 0)
		return MIN(r, -2);
	if (r == 0)
		return -1;
	in->left--;
	return *in->at++;
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/* The next byte of the header that is no blank and in no comment. *left: bytes that it may still have. */
static int skip_blanks(struct input *in, unsigned int *left)
{
	bool comment = false;

	for (;;) {
		int c = next_byte(in);

		if (c < 0 || *left == 0)
			return MIN(c, -1);
		--*left;
		if (c == '#')
			comment = true;
		if (!comment && !is_blank(c))
			return c;
		if (c == '\n' || c == '\r')
			comment = false;
	}
}

/* 0 and the number, with the one byte behind it taken too. */
static int read_number(struct input *in, unsigned int *left, uint32_t *ret, struct reject *why)
{
	int c = skip_blanks(in, left);
	uint32_t v = 0;
	unsigned int digits = 0;

	for (; c >= '0' && c <= '9' && digits < 9; digits++, c = next_byte(in))
		v = v * 10 + (uint32_t)(c - '0');
	if (c < -1)
		return image_input_failed(c, why);
	if (digits && is_blank(c)) {
		*ret = v;
		return 0;
	}
	if (c == -1)
		return reject_set(why, REJECT_TRUNCATED, "the file ends in the PNM header");
	return reject_set(why, REJECT_DAMAGED, "the PNM header has something that is no number");
}

static int read_header(struct pnmdec *d, const struct image_limits *limits, struct reject *why)
{
	unsigned int left = HEADER_MAX;
	uint32_t width = 0, height = 0;
	int r;

	next_byte(d->in);
	d->channels = next_byte(d->in) == '6' ? 3 : 1;
	r = read_number(d->in, &left, &width, why);
	if (r >= 0)
		r = read_number(d->in, &left, &height, why);
	if (r >= 0)
		r = read_number(d->in, &left, &d->max, why);
	if (r >= 0)
		r = image_check_size(width, height, limits, why);
	if (r < 0)
		return r;
	if (d->max == 0 || d->max > 65535)
		return reject_set(why, REJECT_DAMAGED, "the PNM header gives white the value %u", d->max);
	d->image.width = width;
	d->image.height = height;
	d->image.n_planes = d->channels;
	return 0;
}

static size_t row_bytes(const struct pnmdec *d)
{
	return (size_t)d->image.width * d->channels * (d->max > 255 ? 2 : 1);
}

static int pnmdec_start(struct image *im, unsigned int eighths, struct reject *why)
{
	struct pnmdec *d = (struct pnmdec *)im;

	d->row = malloc(row_bytes(d));
	if (!d->row)
		return -ENOMEM;
	for (unsigned int p = 0; p < im->n_planes; p++) {
		im->plane[p] = (struct image_plane){.width = im->width, .height = im->height, .sx = 1, .sy = 1};
		d->px[p] = malloc(im->width);
		if (!d->px[p])
			return -ENOMEM;
	}
	return 0;
}

static int read_row(struct pnmdec *d, struct reject *why)
{
	size_t have = 0, want = row_bytes(d);

	while (have < want) {
		int r = input_more(d->in);
		size_t n = MIN(want - have, d->in->left);

		if (r < 0)
			return image_input_failed(r, why);
		if (r == 0)
			return reject_set(
				why, REJECT_TRUNCATED, "the file ends in row %u of %u", d->done + 1, d->image.height);
		memcpy(d->row + have, d->in->at, n);
		d->in->at += n;
		d->in->left -= n;
		have += n;
	}
	return 0;
}

/* In place: samples of any other depth become 0 to 255. */
static void to_8_bits(struct pnmdec *d)
{
	size_t n = (size_t)d->image.width * d->channels;

	if (d->max == 255)
		return;
	for (size_t i = 0; i < n; i++) {
		uint32_t v = d->max > 255 ? (uint32_t)d->row[2 * i] << 8 | d->row[2 * i + 1] : d->row[i];

		d->row[i] = (uint8_t)((MIN(v, d->max) * 255 + d->max / 2) / d->max);
	}
}

static int pnmdec_next(struct image *im, struct image_band *ret, struct reject *why)
{
	struct pnmdec *d = (struct pnmdec *)im;
	int r;

	if (d->done == im->height)
		return 0;
	r = read_row(d, why);
	if (r < 0)
		return r;
	to_8_bits(d);
	if (d->channels == 3)
		colour_rgb_to_planes(d->row, im->width, d->px[0], d->px[1], d->px[2]);
	else
		memcpy(d->px[0], d->row, im->width);
	for (unsigned int p = 0; p < im->n_planes; p++) {
		ret->rows[p] = (const uint8_t *const *)&d->px[p];
		ret->n[p] = 1;
	}
	d->done++;
	return 1;
}

static void pnmdec_close(struct image *im)
{
	struct pnmdec *d = (struct pnmdec *)im;

	for (unsigned int p = 0; p < IMAGE_PLANES; p++)
		free(d->px[p]);
	free(d->row);
	free(d);
}

static const struct image_ops pnmdec_ops = {
	.format = "pnm",
	.start = pnmdec_start,
	.next = pnmdec_next,
	.close = pnmdec_close,
};

int pnmdec_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why)
{
	struct pnmdec *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->image = (struct image){.ops = &pnmdec_ops, .orientation = 1};
	d->in = in;
	r = read_header(d, limits, why);
	if (r < 0) {
		pnmdec_close(&d->image);
		return r;
	}
	*ret = &d->image;
	return 0;
}
