#include "daemon/jpegcomment.h"
#include "tests/unit/test.h"

static const uint8_t jfif[] = {
	0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0xff, 0xdb};

TEST(the_comment_goes_after_app0)
{
	static const uint8_t bare[] = {0xff, 0xd8, 0xff, 0xdb, 0, 67},
			     exif[] = {0xff, 0xd8, 0xff, 0xe1, 0, 9};

	CHECK_INT(jpeg_comment_offset(jfif, sizeof(jfif)), 20);
	CHECK_INT(jpeg_comment_offset(jfif, 6), 20); /* its end need not be there yet */
	CHECK_INT(jpeg_comment_offset(bare, sizeof(bare)), 2);
	CHECK_INT(jpeg_comment_offset(exif, sizeof(exif)), 2);
	for (size_t n = 0; n < 6; n++)
		CHECK_INT(jpeg_comment_offset(jfif, n), -EAGAIN);
}

TEST(what_is_no_jpeg_is_refused)
{
	static const uint8_t short_app0[] = {0xff, 0xd8, 0xff, 0xe0, 0, 1};

	CHECK_INT(jpeg_comment_offset((const uint8_t *)"\x89PNG\r\n", 6), -EBADMSG);
	CHECK_INT(jpeg_comment_offset((const uint8_t *)"\xff\xd9", 2), -EBADMSG);
	CHECK_INT(jpeg_comment_offset((const uint8_t *)"x", 1), -EBADMSG);
	CHECK_INT(jpeg_comment_offset((const uint8_t *)"\xff\xd8\x00", 3), -EBADMSG);
	CHECK_INT(jpeg_comment_offset(short_app0, 6), -EBADMSG);
}

static void with_comment(struct buf *b, const char *text)
{
	_cleanup_buf_ struct buf segment = {};

	CHECK_INT(jpeg_comment_segment(text, &segment), 0);
	CHECK_INT(buf_add(b, jfif, 20), 0);
	CHECK_INT(buf_add(b, segment.data, segment.len), 0);
	CHECK_INT(buf_add(b, "\xff\xc2\0\x0b\x08\x01\x02\x03\x04\x01\x01\x11\0", 13), 0);
}

TEST(a_comment_is_read_back)
{
	_cleanup_buf_ struct buf b = {}, got = {};
	uint32_t width, height;

	with_comment(&b, "pageferry1 {\"id\":\"x\"}");
	CHECK_INT(jpeg_comment_read((const uint8_t *)b.data, b.len, &got), 0);
	CHECK_STR(buf_str(&got), "pageferry1 {\"id\":\"x\"}");
	CHECK_INT(jpeg_dimensions((const uint8_t *)b.data, b.len, &width, &height), 0);
	CHECK_INT(width, 0x304);
	CHECK_INT(height, 0x102);
	/* cut anywhere before its end, there is none */
	for (size_t n = 0; n < 20 + 4 + got.len; n++) {
		_cleanup_buf_ struct buf none = {};

		CHECK_INT(jpeg_comment_read((const uint8_t *)b.data, n, &none), -ENODATA);
		CHECK_INT(jpeg_dimensions((const uint8_t *)b.data, n, &width, &height), -ENODATA);
	}
}

TEST(a_comment_of_others_is_passed_over)
{
	_cleanup_buf_ struct buf b = {}, segment = {}, got = {};

	with_comment(&b, "made by a camera");
	CHECK_INT(jpeg_comment_read((const uint8_t *)b.data, b.len, &got), -ENODATA);
	CHECK_INT(jpeg_comment_segment("pageferry1 {}", &segment), 0);
	CHECK_INT(buf_add(&b, segment.data, segment.len), 0);
	CHECK_INT(jpeg_comment_read((const uint8_t *)b.data, b.len, &got), 0);
	CHECK_STR(buf_str(&got), "pageferry1 {}");
}

TEST(a_comment_in_the_image_data_is_none)
{
	_cleanup_buf_ struct buf b = {}, segment = {}, got = {};

	CHECK_INT(jpeg_comment_segment("pageferry1 {}", &segment), 0);
	CHECK_INT(buf_add(&b, jfif, 20), 0);
	CHECK_INT(buf_add(&b, "\xff\xda\0\x08\x01\x01\0\0\x3f\0", 10), 0);
	CHECK_INT(buf_add(&b, segment.data, segment.len), 0);
	CHECK_INT(jpeg_comment_read((const uint8_t *)b.data, b.len, &got), -ENODATA);
}

TEST(the_longest_comment)
{
	_cleanup_buf_ struct buf b = {}, got = {};
	char *text = malloc(65535);

	CHECK(text);
	memset(text, 'x', 65534);
	memcpy(text, "pageferry1 ", 11);
	text[65534] = 0;
	CHECK_INT(jpeg_comment_segment(text, &b), -EMSGSIZE);
	CHECK_INT((int64_t)b.len, 0);
	text[65533] = 0;
	with_comment(&b, text);
	CHECK_INT(jpeg_comment_read((const uint8_t *)b.data, b.len, &got), 0);
	CHECK_STR(buf_str(&got), text);
	free(text);
}
