#include "capture/jpegenc.h"

#include "capture/image.h"
#include "capture/jpegerr.h"
#include "capture/jpegtables.h"
#include "capture/watch.h"

#define FIFO_ROWS 64 /* to start with; chroma lags behind luma by its longer windows */

/* Rows of one plane that wait for the other planes. */
struct fifo {
	uint32_t width, height;
	size_t stride; /* whole blocks */
	uint8_t *data; /* owned: `size` rows */
	uint32_t size, head, used;
	uint32_t taken; /* rows given by the caller */
	uint32_t step;  /* rows in a row of MCUs */
};

struct jpegenc {
	struct jpeg_compress_struct c;
	struct jpeg_trouble trouble;
	struct jpeg_destination_mgr dest;
	jpegenc_sink_fn sink;
	void *ud;
	unsigned int n_planes;
	struct fifo fifo[IMAGE_PLANES];
	int64_t us;
	uint8_t piece[JPEGENC_PIECE];
};

/* ---- rows waiting -------------------------------------------------------------------------------- */
static uint8_t *fifo_row(const struct fifo *f, uint32_t i)
{
	return f->data + (size_t)((f->head + i) % f->size) * f->stride;
}

static int fifo_grow(struct fifo *f)
{
	uint32_t size = f->size ? f->size * 2 : FIFO_ROWS;
	uint8_t *data = malloc(size * f->stride);

	if (!data)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->used; i++)
		memcpy(data + i * f->stride, fifo_row(f, i), f->stride);
	free(f->data);
	f->data = data;
	f->size = size;
	f->head = 0;
	return 0;
}

/* The last sample is repeated up to the end of its block, so that nothing but the picture's own colour is
 * encoded there. */
static int fifo_add(struct fifo *f, const uint8_t *row)
{
	uint8_t *to;

	if (f->taken == f->height)
		return -ENOSPC;
	if (f->used == f->size) {
		int r = fifo_grow(f);

		if (r < 0)
			return r;
	}
	to = fifo_row(f, f->used);
	memcpy(to, row, f->width);
	memset(to + f->width, row[f->width - 1], f->stride - f->width);
	f->used++;
	f->taken++;
	return 0;
}

static bool fifo_ready(const struct fifo *f)
{
	return f->used >= f->step || (f->taken == f->height && f->used > 0);
}

/* ---- destination --------------------------------------------------------------------------------- */
static void dest_init(j_compress_ptr c)
{
	struct jpegenc *e = c->client_data;

	e->dest.next_output_byte = e->piece;
	e->dest.free_in_buffer = sizeof(e->piece);
}

static void dest_send(j_compress_ptr c, size_t len)
{
	struct jpegenc *e = c->client_data;
	int r = e->sink(e->ud, e->piece, len);

	if (r < 0)
		jpeg_trouble_leave((j_common_ptr)c, r);
	dest_init(c);
}

/* Called when the buffer is full; libjpeg's own count is not valid then. */
static boolean dest_full(j_compress_ptr c)
{
	dest_send(c, JPEGENC_PIECE);
	return TRUE;
}

static void dest_term(j_compress_ptr c)
{
	struct jpegenc *e = c->client_data;

	if (e->dest.free_in_buffer < sizeof(e->piece))
		dest_send(c, sizeof(e->piece) - e->dest.free_in_buffer);
}

/* ---- encoding ------------------------------------------------------------------------------------ */
/* libjpeg is used correctly here, so its errors are of memory or ours. */
static int failure(const struct jpegenc *e)
{
	return e->trouble.error < 0 ? e->trouble.error : -ENOMEM;
}

static void set_code(JHUFF_TBL *t, const struct jpegtables_code *code)
{
	memcpy(t->bits, code->bits, sizeof(code->bits));
	memcpy(t->huffval, code->values, sizeof(code->values));
	t->sent_table = FALSE;
}

/* Tables made for pages. libjpeg's scale of quality applies to ours as to the standard's: 50 is the table as it
 * is, and brightness comes out about as like the original (SSIM) at each quality. */
static void set_tables(struct jpeg_compress_struct *c, int quality)
{
	jpeg_set_quality(c, quality, TRUE);
	jpeg_add_quant_table(c, 0, jpegtables_luma, jpeg_quality_scaling(quality), TRUE);
	for (int i = 0; i < 2; i++) {
		set_code(c->dc_huff_tbl_ptrs[i], &jpegtables_dc[i]);
		set_code(c->ac_huff_tbl_ptrs[i], &jpegtables_ac[i]);
	}
}

static int start(struct jpegenc *e, const struct jpegenc_options *o)
{
	struct jpeg_compress_struct *c = &e->c;

	if (setjmp(e->trouble.leave))
		return failure(e);
	jpeg_create_compress(c);
	c->client_data = e;
	c->dest = &e->dest;
	e->dest.init_destination = dest_init;
	e->dest.empty_output_buffer = dest_full;
	e->dest.term_destination = dest_term;
	c->image_width = o->width;
	c->image_height = o->height;
	c->input_components = (int)o->n_planes;
	c->in_color_space = o->n_planes == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
	jpeg_set_defaults(c); /* baseline, JFIF, 2x2 chroma */
	set_tables(c, o->quality);
	c->raw_data_in = TRUE;
	jpeg_start_compress(c, TRUE);
	return 0;
}

static int write_mcus(struct jpegenc *e)
{
	JSAMPROW rows[IMAGE_PLANES][2 * DCTSIZE];
	JSAMPARRAY planes[IMAGE_PLANES] = {rows[0], rows[1], rows[2]};

	if (setjmp(e->trouble.leave))
		return failure(e);
	for (unsigned int p = 0; p < e->n_planes; p++) {
		const struct fifo *f = &e->fifo[p];

		for (uint32_t i = 0; i < f->step; i++)
			rows[p][i] = fifo_row(f, MIN(i, f->used - 1));
	}
	jpeg_write_raw_data(&e->c, planes, e->fifo[0].step);
	return 0;
}

static bool all_ready(const struct jpegenc *e)
{
	for (unsigned int p = 0; p < e->n_planes; p++)
		if (!fifo_ready(&e->fifo[p]))
			return false;
	return true;
}

static int encode_ready(struct jpegenc *e)
{
	while (all_ready(e)) {
		int64_t from = watch_us();
		int r = write_mcus(e);

		e->us += watch_us() - from;
		if (r < 0)
			return r;
		for (unsigned int p = 0; p < e->n_planes; p++) {
			struct fifo *f = &e->fifo[p];
			uint32_t n = MIN(f->step, f->used);

			f->head = (f->head + n) % f->size;
			f->used -= n;
		}
	}
	return 0;
}

int jpegenc_row(struct jpegenc *e, unsigned int plane, const uint8_t *row)
{
	struct fifo *f = &e->fifo[plane];
	int r = fifo_add(f, row);

	if (r < 0)
		return r;
	return fifo_ready(f) ? encode_ready(e) : 0;
}

static int finish(struct jpegenc *e)
{
	if (setjmp(e->trouble.leave))
		return failure(e);
	jpeg_finish_compress(&e->c);
	return 0;
}

int jpegenc_finish(struct jpegenc *e)
{
	int64_t from = watch_us();
	int r;

	if (e->c.next_scanline < e->c.image_height)
		return -EPROTO;
	r = finish(e);
	e->us += watch_us() - from;
	return r;
}

int64_t jpegenc_us(const struct jpegenc *e)
{
	return e->us;
}

/* ---- life ---------------------------------------------------------------------------------------- */
static void fifo_init(struct fifo *f, const struct jpegenc_options *o, bool chroma)
{
	f->width = chroma ? (o->width + 1) / 2 : o->width;
	f->height = chroma ? (o->height + 1) / 2 : o->height;
	f->stride = ((size_t)f->width + 2 * DCTSIZE - 1) / (2 * DCTSIZE) * (2 * DCTSIZE);
	f->step = chroma || o->n_planes == 1 ? DCTSIZE : 2 * DCTSIZE;
}

int jpegenc_new(const struct jpegenc_options *o, struct jpegenc **ret)
{
	struct jpegenc *e;
	int r;

	if (o->n_planes != 1 && o->n_planes != IMAGE_PLANES)
		return -EINVAL;
	e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	memset(e, 0, offsetof(struct jpegenc, piece));
	e->sink = o->sink;
	e->ud = o->ud;
	e->n_planes = o->n_planes;
	for (unsigned int p = 0; p < e->n_planes; p++)
		fifo_init(&e->fifo[p], o, p > 0);
	e->c.err = jpeg_trouble_init(&e->trouble);
	r = start(e, o);
	if (r < 0) {
		jpegenc_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void jpegenc_free(struct jpegenc *e)
{
	if (!e)
		return;
	if (!setjmp(e->trouble.leave))
		jpeg_destroy_compress(&e->c);
	for (unsigned int p = 0; p < IMAGE_PLANES; p++)
		free(e->fifo[p].data);
	free(e);
}
