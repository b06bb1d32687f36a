#include "capture/jpegerr.h"

#include <jerror.h>

#include "capture/image.h"

/* The rest is damage. Without a text of ours it is libjpeg's. */
static const struct {
	int code;
	enum reject_reason reason;
	const char *text;
} reasons[] = {
	{JERR_NO_SOI, REJECT_NOT_AN_IMAGE, NULL},
	{JERR_INPUT_EOF, REJECT_TRUNCATED, NULL},
	{JERR_INPUT_EMPTY, REJECT_EMPTY, NULL},
	{JERR_SOF_UNSUPPORTED, REJECT_UNSUPPORTED,
		"lossless and hierarchical JPEG is not taken; save as an ordinary JPEG"},
	{JERR_BAD_PRECISION, REJECT_UNSUPPORTED,
		"only JPEG with 8 bits a sample is taken; save as an ordinary JPEG"},
	{JERR_ARITH_NOTIMPL, REJECT_UNSUPPORTED, NULL},
	{JERR_NOT_COMPILED, REJECT_UNSUPPORTED, NULL},
	{JERR_NOTIMPL, REJECT_UNSUPPORTED, NULL},
	{JERR_COMPONENT_COUNT, REJECT_UNSUPPORTED, NULL},
	{JERR_CONVERSION_NOTIMPL, REJECT_UNSUPPORTED, NULL},
	{JERR_CCIR601_NOTIMPL, REJECT_UNSUPPORTED, NULL},
	{JERR_FRACT_SAMPLE_NOTIMPL, REJECT_UNSUPPORTED, NULL},
	{JERR_IMAGE_TOO_BIG, REJECT_TOO_LARGE, NULL},
	{JERR_OUT_OF_MEMORY, REJECT_TOO_LARGE, NULL},
	{JERR_NO_BACKING_STORE, REJECT_TOO_LARGE, NULL},
	{JWRN_JPEG_EOF, REJECT_TRUNCATED, NULL},
	{JWRN_HIT_MARKER, REJECT_TRUNCATED, NULL},
};

static void note(j_common_ptr c)
{
	struct jpeg_trouble *t = (struct jpeg_trouble *)c->err;
	enum reject_reason reason = REJECT_DAMAGED;
	const char *ours = NULL;
	char text[JMSG_LENGTH_MAX];

	if (t->bad)
		return; /* the first one says most */
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].code == c->err->msg_code) {
			reason = reasons[i].reason;
			ours = reasons[i].text;
		}
	c->err->format_message(c, text);
	reject_set(&t->why, reason, "%s", ours ? ours : text);
	t->bad = true;
}

_Noreturn static void on_error(j_common_ptr c)
{
	struct jpeg_trouble *t = (struct jpeg_trouble *)c->err;

	note(c);
	longjmp(t->leave, 1);
}

/*
 * Bytes between what was decoded and the next marker. Before the first scan they cost no pixel. After it they
 * are what one flipped bit in twenty leaves as its only trace, so a file that has them is damaged. But common
 * webcams (Logitech C270, C910) pad nearly every frame so, with up to 9 bytes: from a camera a few are taken.
 */
#define PADDING_MAX 16

static bool harmless_bytes(j_common_ptr c)
{
	const struct jpeg_trouble *t = (const struct jpeg_trouble *)c->err;

	return (c->is_decompressor && ((j_decompress_ptr)c)->input_scan_number == 0) ||
	       (t->padded && c->err->msg_parm.i[0] <= PADDING_MAX);
}

/* Warnings mean lost pixels, but for bytes that no pixel is in and two that are about labels only. */
static void on_message(j_common_ptr c, int level)
{
	int code = c->err->msg_code;

	if (level >= 0 || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
		(code == JWRN_EXTRANEOUS_DATA && harmless_bytes(c)))
		return;
	note(c);
}

static void on_output(j_common_ptr c)
{
}

struct jpeg_error_mgr *jpeg_trouble_init(struct jpeg_trouble *t)
{
	jpeg_std_error(&t->mgr);
	t->mgr.error_exit = on_error;
	t->mgr.emit_message = on_message;
	t->mgr.output_message = on_output;
	t->bad = false;
	t->padded = false;
	t->error = 0;
	return &t->mgr;
}

void jpeg_trouble_leave(j_common_ptr c, int error)
{
	struct jpeg_trouble *t = (struct jpeg_trouble *)c->err;

	t->error = error;
	longjmp(t->leave, 1);
}

int jpeg_trouble_verdict(const struct jpeg_trouble *t, struct reject *why)
{
	if (t->error < 0 && t->error != -EBADMSG)
		return t->error;
	*why = t->why;
	return -EBADMSG;
}
