/*
 * JPEG to planes with libjpeg's scaled inverse DCT and raw output: chroma is never made larger and colours
 * are never converted, but for the rare JPEG that stores RGB or the inks of a print.
 */
#include "capture/colour.h"
#include "capture/exif.h"
#include "capture/image.h"
#include "capture/jpegerr.h"

#include <inttypes.h>
#include <jerror.h>

#define BAND_ROWS  32  /* 4 blocks of 8 rows: the tallest row of MCUs there is */
#define SCANS_MAX  100 /* a progressive picture has about 10; more is an attack on the processor */
#define CHROMA_SPARE 1.25 /* times what is needed of chroma, where a smaller inverse DCT gives that */
#define EXIF_START "Exif\0\0"

struct jpegdec {
	struct image image;
	struct jpeg_decompress_struct c;
	struct jpeg_trouble trouble;
	struct jpeg_source_mgr source;
	struct jpeg_progress_mgr progress;
	struct input *in; /* borrowed */
	struct image_limits limits;
	uint8_t *exif; /* owned while its marker is read */
	bool exif_seen;
	unsigned int channels; /* of scanlines: 3 stored as RGB, 4 as inks (CMYK, YCCK); 0: raw planes */
	uint8_t *pixels[IMAGE_PLANES]; /* owned: one band of each plane */
	uint8_t *scanline;             /* owned: one row */
	JSAMPROW rows[IMAGE_PLANES][BAND_ROWS];
	uint32_t done[IMAGE_PLANES]; /* rows given */
	int size[IMAGE_PLANES];      /* of the inverse DCT that we want; 0: libjpeg's choice */
	void (*realize)(j_common_ptr c);
};

static inline struct jpegdec *dec_of(j_decompress_ptr c)
{
	return c->client_data;
}

/* ---- source manager: whatever the input has, a buffer at a time ---------------------------------- */
static void source_init(j_decompress_ptr c)
{
}

static boolean source_fill(j_decompress_ptr c)
{
	struct jpegdec *d = dec_of(c);
	int r = input_more(d->in);

	if (r < 0)
		jpeg_trouble_leave((j_common_ptr)c, image_input_failed(r, &d->trouble.why));
	if (r == 0)
		ERREXIT(c, JERR_INPUT_EOF);
	d->source.next_input_byte = d->in->at;
	d->source.bytes_in_buffer = d->in->left;
	d->in->at += d->in->left;
	d->in->left = 0;
	return TRUE;
}

static void source_skip(j_decompress_ptr c, long n)
{
	while (n > 0) {
		size_t step;

		if (c->src->bytes_in_buffer == 0)
			source_fill(c);
		step = MIN((size_t)n, c->src->bytes_in_buffer);
		c->src->next_input_byte += step;
		c->src->bytes_in_buffer -= step;
		n -= (long)step;
	}
}

static void source_term(j_decompress_ptr c)
{
}

static unsigned int source_byte(j_decompress_ptr c)
{
	if (c->src->bytes_in_buffer == 0)
		source_fill(c);
	c->src->bytes_in_buffer--;
	return *c->src->next_input_byte++;
}

/* APP1. libjpeg's own saving of markers has no bound on their number, so we keep the first EXIF only, and
 * only here. */
static boolean on_app1(j_decompress_ptr c)
{
	struct jpegdec *d = dec_of(c);
	unsigned int len = source_byte(c) << 8;

	len |= source_byte(c);
	if (len < 2) {
		ERREXIT(c, JERR_BAD_LENGTH);
		return FALSE; /* never reached, which not every compiler knows */
	}
	len -= 2;
	if (d->exif_seen || len < 8) {
		source_skip(c, (long)len);
		return TRUE;
	}
	d->exif = malloc(len);
	if (!d->exif)
		jpeg_trouble_leave((j_common_ptr)c, -ENOMEM);
	for (unsigned int i = 0; i < len; i++)
		d->exif[i] = (uint8_t)source_byte(c);
	if (memcmp(d->exif, EXIF_START, 6) == 0) {
		d->image.orientation = exif_orientation(d->exif + 6, len - 6);
		d->exif_seen = true;
	}
	free(take_ptr(d->exif));
	return TRUE;
}

static void on_progress(j_common_ptr c)
{
	if (((j_decompress_ptr)c)->input_scan_number > SCANS_MAX)
		jpeg_trouble_leave(c, reject_set(&((struct jpeg_trouble *)c->err)->why, REJECT_UNSUPPORTED,
					      "more than %d progressive scans", SCANS_MAX));
}

/* ---- header -------------------------------------------------------------------------------------- */
static uint64_t coefficient_bytes(const struct jpeg_decompress_struct *c)
{
	uint64_t n = 0;

	for (int i = 0; i < c->num_components; i++)
		n += (uint64_t)c->comp_info[i].width_in_blocks * c->comp_info[i].height_in_blocks *
		     sizeof(JBLOCK);
	return n;
}

static int check_header(struct jpegdec *d, struct reject *why)
{
	struct jpeg_decompress_struct *c = &d->c;
	int r = image_check_size(c->image_width, c->image_height, &d->limits, why);

	if (r < 0)
		return r;
	if (c->data_precision != 8) /* later versions of libjpeg read others, by other calls */
		return reject_set(why, REJECT_UNSUPPORTED,
			"only JPEG with 8 bits a sample is taken; save as an ordinary JPEG");
	if (c->arith_code)
		return reject_set(
			why, REJECT_UNSUPPORTED, "arithmetic coding is not taken; save as an ordinary JPEG");
	if (c->jpeg_color_space == JCS_UNKNOWN)
		return reject_set(
			why, REJECT_UNSUPPORTED, "%d colour components are not taken", c->num_components);
	if (jpeg_has_multiple_scans(c) && coefficient_bytes(c) > d->limits.max_memory)
		return reject_set(why, REJECT_TOO_LARGE,
			"a progressive JPEG of this size needs %" PRIu64 " MiB; at most %" PRIu64
			" are given",
			(coefficient_bytes(c) >> 20) + 1, d->limits.max_memory >> 20);
	d->image.width = c->image_width;
	d->image.height = c->image_height;
	if (c->jpeg_color_space != JCS_GRAYSCALE && c->jpeg_color_space != JCS_YCbCr)
		d->channels = c->jpeg_color_space == JCS_RGB ? 3 : 4;
	d->image.n_planes = c->jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
	return 0;
}

static int read_header(struct jpegdec *d, struct reject *why)
{
	if (setjmp(d->trouble.leave))
		return jpeg_trouble_verdict(&d->trouble, why);
	jpeg_create_decompress(&d->c);
	d->c.client_data = d;
	d->source = (struct jpeg_source_mgr){.init_source = source_init,
		.fill_input_buffer = source_fill,
		.skip_input_data = source_skip,
		.resync_to_restart = jpeg_resync_to_restart,
		.term_source = source_term};
	d->c.src = &d->source;
	d->progress.progress_monitor = on_progress;
	d->c.progress = &d->progress;
	jpeg_set_marker_processor(&d->c, JPEG_APP0 + 1, on_app1);
	jpeg_read_header(&d->c, TRUE);
	d->exif_seen = true; /* between later scans it would come too late for the plan */
	return check_header(d, why);
}

/* ---- start --------------------------------------------------------------------------------------- */
static int alloc_plane(struct jpegdec *d, unsigned int p, size_t stride, unsigned int rows)
{
	d->pixels[p] = malloc(stride * rows);
	if (!d->pixels[p])
		return -ENOMEM;
	for (unsigned int i = 0; i < rows; i++)
		d->rows[p][i] = d->pixels[p] + i * stride;
	return 0;
}

/* The planes are as the components are stored, times their own IDCT's size (libjpeg may give chroma a larger
 * one). */
static int setup_raw(struct jpegdec *d)
{
	struct jpeg_decompress_struct *c = &d->c;
	size_t mcus = (c->image_width + (size_t)c->max_h_samp_factor * DCTSIZE - 1) /
		      ((size_t)c->max_h_samp_factor * DCTSIZE);

	for (unsigned int p = 0; p < d->image.n_planes; p++) {
		const jpeg_component_info *comp = &c->comp_info[p];
		unsigned int across = (unsigned int)(comp->h_samp_factor * comp->DCT_scaled_size);
		unsigned int down = (unsigned int)(comp->v_samp_factor * comp->DCT_scaled_size);
		int r;

		d->image.plane[p] = (struct image_plane){
			.width = comp->downsampled_width,
			.height = comp->downsampled_height,
			.sx = (double)across / (c->max_h_samp_factor * DCTSIZE),
			.sy = (double)down / (c->max_v_samp_factor * DCTSIZE),
		};
		if (down > BAND_ROWS)
			return -ENOTSUP;
		r = alloc_plane(d, p, mcus * across + 16, down);
		if (r < 0)
			return r;
	}
	return 0;
}

static int setup_scanlines(struct jpegdec *d)
{
	for (unsigned int p = 0; p < IMAGE_PLANES; p++) {
		int r = alloc_plane(d, p, d->c.output_width, 1);

		if (r < 0)
			return r;
		d->image.plane[p] = (struct image_plane){
			.width = d->c.output_width,
			.height = d->c.output_height,
			.sx = (double)d->c.scale_num / d->c.scale_denom,
			.sy = (double)d->c.scale_num / d->c.scale_denom,
		};
	}
	d->scanline = malloc((size_t)d->c.output_width * d->channels);
	return d->scanline ? 0 : -ENOMEM;
}

/*
 * libjpeg gives planes that are stored smaller an inverse DCT of up to twice luma's size, so that less is left to
 * enlarge, which we never do: of a page at half its size it would give all of the chroma, and of a large page at full
 * size chroma of twice what we need costs more than its share. The sizes are settled early in
 * jpeg_start_decompress() and first used after memory was planned: that is where ours are put in.
 */
static int chroma_size(const struct jpegdec *d, const jpeg_component_info *comp)
{
	double density = MIN((double)comp->h_samp_factor / d->c.max_h_samp_factor,
		(double)comp->v_samp_factor / d->c.max_v_samp_factor);

	for (int n = 1; n < DCTSIZE; n *= 2)
		if (2 * density * d->image.shrink * n >= CHROMA_SPARE * DCTSIZE)
			return n;
	return DCTSIZE;
}

static void on_realize(j_common_ptr common)
{
	j_decompress_ptr c = (j_decompress_ptr)common;
	struct jpegdec *d = dec_of(c);

	for (unsigned int p = 0; p < d->image.n_planes; p++) {
		jpeg_component_info *comp = &c->comp_info[p];
		uint64_t down = (uint64_t)c->max_v_samp_factor * DCTSIZE, across = (uint64_t)c->max_h_samp_factor * DCTSIZE;

		if (!d->size[p])
			continue;
		comp->DCT_scaled_size = d->size[p];
		comp->downsampled_width = (JDIMENSION)(
			((uint64_t)c->image_width * (unsigned int)(comp->h_samp_factor * d->size[p]) + across - 1) / across);
		comp->downsampled_height = (JDIMENSION)(
			((uint64_t)c->image_height * (unsigned int)(comp->v_samp_factor * d->size[p]) + down - 1) / down);
	}
	d->realize(common);
}

static void start_raw(struct jpegdec *d)
{
	for (unsigned int p = 1; p < d->image.n_planes && d->image.shrink > 0; p++)
		d->size[p] = chroma_size(d, &d->c.comp_info[p]);
	d->realize = d->c.mem->realize_virt_arrays;
	d->c.mem->realize_virt_arrays = on_realize;
	jpeg_start_decompress(&d->c); /* reads a progressive picture whole */
	d->c.mem->realize_virt_arrays = d->realize;
}

static int jpegdec_start(struct image *im, unsigned int eighths, struct reject *why)
{
	struct jpegdec *d = (struct jpegdec *)im;

	if (setjmp(d->trouble.leave))
		return jpeg_trouble_verdict(&d->trouble, why);
	d->c.scale_num = eighths;
	d->c.scale_denom = 8;
	d->c.raw_data_out = d->channels == 0;
	d->c.out_color_space = d->channels == 0 ? d->c.jpeg_color_space : d->channels == 3 ? JCS_RGB : JCS_CMYK;
	if (d->c.raw_data_out)
		start_raw(d);
	else
		jpeg_start_decompress(&d->c);
	if (d->trouble.bad)
		return jpeg_trouble_verdict(&d->trouble, why);
	return d->channels ? setup_scanlines(d) : setup_raw(d);
}

/* ---- bands --------------------------------------------------------------------------------------- */
/* Reads up to the end marker: a picture without one was cut off, even if the cut took no pixels. */
static int finish(struct jpegdec *d, struct reject *why)
{
	jpeg_finish_decompress(&d->c);
	return d->trouble.bad ? jpeg_trouble_verdict(&d->trouble, why) : 0;
}

static void read_scanline(struct jpegdec *d)
{
	jpeg_read_scanlines(&d->c, &d->scanline, 1);
	/* Whoever writes Adobe's marker stores inks as Adobe does: 255 is none. */
	if (d->channels == 4)
		colour_cmyk_to_rgb(d->scanline, d->c.output_width, d->c.saw_Adobe_marker);
	colour_rgb_to_planes(d->scanline, d->c.output_width, d->rows[0][0], d->rows[1][0], d->rows[2][0]);
}

static void read_raw(struct jpegdec *d)
{
	JSAMPARRAY planes[IMAGE_PLANES] = {d->rows[0], d->rows[1], d->rows[2]};

	jpeg_read_raw_data(&d->c, planes, (JDIMENSION)(d->c.max_v_samp_factor * d->c.min_DCT_scaled_size));
}

static int jpegdec_next(struct image *im, struct image_band *ret, struct reject *why)
{
	struct jpegdec *d = (struct jpegdec *)im;

	if (setjmp(d->trouble.leave))
		return jpeg_trouble_verdict(&d->trouble, why);
	if (d->c.output_scanline >= d->c.output_height)
		return finish(d, why);
	if (d->channels)
		read_scanline(d);
	else
		read_raw(d);
	if (d->trouble.bad)
		return jpeg_trouble_verdict(&d->trouble, why);
	for (unsigned int p = 0; p < im->n_planes; p++) {
		const jpeg_component_info *comp = &d->c.comp_info[p];
		uint32_t rows = d->channels ? 1 : (uint32_t)(comp->v_samp_factor * comp->DCT_scaled_size);

		ret->rows[p] = (const uint8_t *const *)d->rows[p];
		ret->n[p] = MIN(rows, im->plane[p].height - d->done[p]);
		d->done[p] += ret->n[p];
	}
	return 1;
}

static void jpegdec_close(struct image *im)
{
	struct jpegdec *d = (struct jpegdec *)im;

	if (!setjmp(d->trouble.leave))
		jpeg_destroy_decompress(&d->c);
	for (unsigned int p = 0; p < IMAGE_PLANES; p++)
		free(d->pixels[p]);
	free(d->scanline);
	free(d->exif);
	free(d);
}

static const struct image_ops jpegdec_ops = {
	.format = "jpeg",
	.start = jpegdec_start,
	.next = jpegdec_next,
	.close = jpegdec_close,
};

int jpegdec_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why)
{
	struct jpegdec *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->image = (struct image){.ops = &jpegdec_ops, .orientation = 1};
	d->in = in;
	d->limits = *limits;
	d->c.err = jpeg_trouble_init(&d->trouble);
	d->trouble.padded = in->from_camera;
	r = read_header(d, why);
	if (r < 0) {
		jpegdec_close(&d->image);
		return r;
	}
	*ret = &d->image;
	return 0;
}
