#include "ocr/grey.h"

#include <setjmp.h>
#include <stdio.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive file may repeat scans without end, each a full pass over the picture; encoders write about
 * ten. */
#define SCANS_MAX 64

struct decoder {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf leave;
	struct ocr_fail *fail;
	struct grey grey;
	int error;
};

static struct decoder *decoder_of(j_common_ptr c)
{
	return c->client_data;
}

_Noreturn static void leave_with(struct decoder *d, int error, const char *reason, const char *message)
{
	d->error = ocr_fail_set(d->fail, error, reason, "%s", message);
	longjmp(d->leave, 1);
}

_Noreturn static void on_error(j_common_ptr c)
{
	struct decoder *d = decoder_of(c);
	char text[JMSG_LENGTH_MAX];

	c->err->format_message(c, text);
	switch (c->err->msg_code) {
	case JERR_OUT_OF_MEMORY:
		leave_with(d, -ENOMEM, "memory", text);
	case JERR_NO_SOI:
		leave_with(d, -EBADMSG, "not-an-image", text);
	case JERR_INPUT_EMPTY:
		leave_with(d, -EBADMSG, "truncated", text);
	case JERR_IMAGE_TOO_BIG:
		leave_with(d, -EFBIG, "too-large", text);
	case JERR_CONVERSION_NOTIMPL:
	case JERR_ARITH_NOTIMPL:
	case JERR_SOF_UNSUPPORTED:
	case JERR_BAD_PRECISION:
		leave_with(d, -ENOTSUP, "unsupported", text);
	default:
		leave_with(d, -EBADMSG, "damaged", text);
	}
}

/* Level -1 is a warning: the library goes on with grey mush. Pages are made by our own encoder, which gives
 * cause for none. */
static void on_message(j_common_ptr c, int level)
{
	struct decoder *d = decoder_of(c);
	char text[JMSG_LENGTH_MAX];

	if (level >= 0)
		return;
	c->err->format_message(c, text);
	leave_with(d, -EBADMSG, c->err->msg_code == JWRN_JPEG_EOF ? "truncated" : "damaged", text);
}

static void on_progress(j_common_ptr c)
{
	struct decoder *d = decoder_of(c);

	if (d->jpeg.input_scan_number > SCANS_MAX)
		leave_with(d, -EBADMSG, "damaged", "too many scans");
}

static void check_size(struct decoder *d, int64_t max_pixels)
{
	int64_t w = d->jpeg.image_width, h = d->jpeg.image_height;
	char text[80];

	if (w <= GREY_SIDE_MAX && h <= GREY_SIDE_MAX && w * h <= max_pixels)
		return;
	str_format(text, sizeof(text), "%lld x %lld pixels, at most %lld are read", (long long)w,
		(long long)h, (long long)max_pixels);
	leave_with(d, -EFBIG, "too-large", text);
}

static void decode(struct decoder *d, const void *jpeg, size_t len, int64_t max_pixels)
{
	jpeg_mem_src(&d->jpeg, jpeg, len);
	jpeg_read_header(&d->jpeg, TRUE);
	check_size(d, max_pixels);
	d->jpeg.out_color_space = JCS_GRAYSCALE;
	d->grey.width = (int)d->jpeg.image_width;
	d->grey.height = (int)d->jpeg.image_height;
	d->grey.data = malloc((size_t)d->grey.width * (size_t)d->grey.height);
	if (!d->grey.data)
		leave_with(d, -ENOMEM, "memory", "no memory for the picture");
	jpeg_start_decompress(&d->jpeg);
	while (d->jpeg.output_scanline < d->jpeg.output_height) {
		JSAMPROW row = d->grey.data + (size_t)d->jpeg.output_scanline * (size_t)d->grey.width;

		jpeg_read_scanlines(&d->jpeg, &row, 1);
	}
	jpeg_finish_decompress(&d->jpeg);
}

int grey_from_jpeg(const void *jpeg, size_t len, int64_t max_pixels, struct grey *ret, struct ocr_fail *fail)
{
	/* All that changes after setjmp() lives behind this pointer, which does not. */
	struct decoder *const d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return ocr_fail_set(fail, -ENOMEM, "memory", "no memory");
	d->fail = fail;
	d->jpeg.err = jpeg_std_error(&d->errors);
	d->errors.error_exit = on_error;
	d->errors.emit_message = on_message;
	d->jpeg.client_data = d;
	if (!setjmp(d->leave)) {
		jpeg_create_decompress(&d->jpeg);
		d->progress.progress_monitor = on_progress;
		d->jpeg.progress = &d->progress;
		decode(d, jpeg, len, MIN(max_pixels, GREY_PIXELS_MAX));
	}
	jpeg_destroy_decompress(&d->jpeg);
	r = d->error;
	if (r == 0)
		*ret = d->grey;
	else
		grey_free(&d->grey);
	free(d);
	return r;
}

void grey_free(struct grey *g)
{
	free(g->data);
	*g = (struct grey){};
}
