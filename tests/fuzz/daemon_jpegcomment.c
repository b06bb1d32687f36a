/* The page file's comment from hostile bytes: where it goes, what is read back, and that what is put in is
 * found again. */
#include <assert.h>

#include "daemon/jpegcomment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts a comment where it belongs and looks for it. */
static void round_trip(const uint8_t *data, size_t size, size_t at)
{
	static const char text[] = "pageferry1 {\"id\":\"20261121T031205-7kq2mx\"}";
	_cleanup_buf_ struct buf file = {}, segment = {}, got = {};

	if (jpeg_comment_segment(text, &segment) < 0 || buf_add(&file, data, at) < 0 ||
		buf_add(&file, segment.data, segment.len) < 0 || buf_add(&file, data + at, size - at) < 0)
		return;
	assert(jpeg_comment_read((const uint8_t *)file.data, file.len, &got) == 0);
	/* APP0's content is skipped whole, so nothing before it can be taken for ours */
	assert(got.len == sizeof(text) - 1 && memcmp(got.data, text, got.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf got = {};
	uint32_t width = 0, height = 0;
	ssize_t at;

	at = jpeg_comment_offset(data, size);
	assert(at == -EAGAIN || at == -EBADMSG || at >= 2);
	if (size >= 20)
		assert(at != -EAGAIN);
	if (jpeg_comment_read(data, size, &got) == 0)
		assert(got.len >= 11 && got.len <= 65533);
	if (jpeg_dimensions(data, size, &width, &height) == 0)
		assert(width <= 65535 && height <= 65535);
	if (at >= 2 && (size_t)at <= size)
		round_trip(data, size, (size_t)at);
	return 0;
}
