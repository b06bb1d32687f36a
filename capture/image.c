#include "capture/image.h"

#include <inttypes.h>

#include "base/log.h"

/* Other formats that people hand in, so that they are told more than "not an image". */
static const struct {
	unsigned int offset;
	const char *magic;
	const char *name;
} known[] = {
	{0, "%PDF", "a PDF"},
	{0, "II*", "a TIFF"},
	{0, "MM", "a TIFF"},
	{0, "GIF8", "a GIF"},
	{8, "WEBP", "a WebP image"},
	{4, "ftyp", "a HEIC, AVIF or video file"},
	{0, "BM", "a BMP"},
	{0, "P1", "a PNM image, but not of P5 or P6"},
	{0, "P2", "a PNM image, but not of P5 or P6"},
	{0, "P3", "a PNM image, but not of P5 or P6"},
	{0, "P4", "a PNM image, but not of P5 or P6"},
	{0, "P7", "a PAM image"},
	{0, "\x97JB2", "a JBIG2 image"},
};

int image_input_failed(int error, struct reject *why)
{
	if (error == -EFBIG)
		return reject_set(
			why, REJECT_TOO_LARGE, "the file is larger than %" PRIu64 " MiB", INPUT_MAX >> 20);
	return reject_set(why, REJECT_IO, "reading failed: %s", errno_text(error));
}

int image_check_size(uint64_t width, uint64_t height, const struct image_limits *limits, struct reject *why)
{
	if (width == 0 || height == 0)
		return reject_set(why, REJECT_DAMAGED, "the picture's header gives it no pixels");
	if (width <= IMAGE_SIDE_MAX && height <= IMAGE_SIDE_MAX && width * height <= limits->max_pixels)
		return 0;
	return reject_set(why, REJECT_TOO_LARGE,
		"%" PRIu64 "x%" PRIu64 " pixels; at most %" PRIu64 ", and %d a side, are taken", width, height,
		limits->max_pixels, IMAGE_SIDE_MAX);
}

static int not_ours(const uint8_t *p, size_t len, struct reject *why)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i].magic);

		if (len >= known[i].offset + n && memcmp(p + known[i].offset, known[i].magic, n) == 0)
			return reject_set(
				why, REJECT_UNSUPPORTED, "this is %s; JPEG, PNG, PGM and PPM are taken", known[i].name);
	}
	return reject_set(why, REJECT_NOT_AN_IMAGE, "this is no JPEG, PNG, PGM or PPM");
}

int image_open(struct input *in, const struct image_limits *limits, struct image **ret, struct reject *why)
{
	static const uint8_t jpeg[] = {0xff, 0xd8}, png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	ssize_t n = input_peek(in, 64);

	if (n < 0)
		return image_input_failed((int)n, why);
	if (n == 0)
		return reject_set(why, REJECT_EMPTY, "the file is empty");
	if (n >= 2 && memcmp(in->at, jpeg, 2) == 0)
		return jpegdec_open(in, limits, ret, why);
	if (n >= 8 && memcmp(in->at, png, 8) == 0)
		return pngdec_open(in, limits, ret, why);
	if (n >= 3 && in->at[0] == 'P' && (in->at[1] == '5' || in->at[1] == '6'))
		return pnmdec_open(in, limits, ret, why);
	if ((n == 1 && in->at[0] == jpeg[0]) || (n < 8 && memcmp(in->at, png, (size_t)n) == 0))
		return reject_set(why, REJECT_TRUNCATED, "the file ends after %zd bytes", n);
	return not_ours(in->at, (size_t)n, why);
}

void image_close(struct image *im)
{
	if (im)
		im->ops->close(im);
}
