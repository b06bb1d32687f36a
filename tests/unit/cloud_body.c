#include <fcntl.h>
#include <stdio.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "cloud/body.h"
#include "tests/unit/request_make.h"
#include "tests/unit/test.h"

static int make_file(size_t len)
{
	char path[256];
	int fd;

	CHECK(str_format(path, sizeof(path), "%s/page", test_tmpdir()) > 0);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)(i * 7 + (i >> 8));

		CHECK(write_all(fd, &c, 1) == 0);
	}
	return fd;
}

static void make_request(int fd, size_t len, struct request *r)
{
	CHECK(add_text(r, "{\"a\":\"") == 0);
	CHECK(request_add_file(r, SEGMENT_FILE_BASE64, fd, len) == 0);
	CHECK(add_text(r, "") == 0);
	CHECK(add_text(r, "\"}") == 0);
	CHECK(request_add_file(r, SEGMENT_FILE, fd, len) == 0);
}

/* The whole body, read in pieces of `piece` bytes. */
static void read_all(struct body *b, size_t piece, struct buf *out)
{
	char tmp[70000];
	ssize_t n;

	CHECK(piece <= sizeof(tmp));
	while ((n = body_read(b, tmp, piece)) > 0)
		CHECK(buf_add(out, tmp, (size_t)n) == 0);
	CHECK_INT(n, 0);
}

static void expected(int fd, size_t len, struct buf *out)
{
	_cleanup_free_ char *raw = malloc(len + 1), *b64 = malloc(BASE64_SIZE(len) + 1);
	size_t n;

	CHECK(raw && b64);
	CHECK_INT(pread(fd, raw, len, 0), len);
	n = base64_encode(raw, len, b64);
	CHECK(buf_adds(out, "{\"a\":\"") == 0 && buf_add(out, b64, n) == 0 && buf_adds(out, "\"}") == 0 &&
		buf_add(out, raw, len) == 0);
}

TEST(every_piece_size_gives_the_same_bytes)
{
	static const size_t lengths[] = {0, 1, 2, 3, 4, 12287, 12288, 12289, 24577}, pieces[] = {1, 3, 4, 1000, 65536};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_close_ int fd = make_file(lengths[i]);
		_cleanup_buf_ struct buf want = {};
		uint8_t hash[SHA256_SIZE];
		struct request r = {};

		make_request(fd, lengths[i], &r);
		expected(fd, lengths[i], &want);
		CHECK_INT(request_body_length(&r), want.len);
		for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
			_cleanup_buf_ struct buf got = {};
			struct body *b;

			CHECK(body_new(&r, &b) == 0);
			read_all(b, pieces[k], &got);
			CHECK(got.len == want.len && memcmp(buf_str(&got), buf_str(&want), got.len) == 0);
			/* and once more after a rewind from the middle */
			body_rewind(b);
			CHECK(body_read(b, (char[3]){}, 3) >= 0);
			body_rewind(b);
			buf_clear(&got);
			read_all(b, pieces[k], &got);
			CHECK(got.len == want.len && memcmp(buf_str(&got), buf_str(&want), got.len) == 0);
			body_free(b);
		}
		CHECK(body_hash(&r) == 0);
		sha256_of(buf_str(&want), want.len, hash);
		CHECK(memcmp(hash, r.body_sha256, sizeof(hash)) == 0);
		request_free(&r);
	}
}

TEST(a_file_that_became_shorter_is_an_error)
{
	_cleanup_close_ int fd = make_file(100);
	struct request r = {};

	make_request(fd, 200, &r);
	CHECK_INT(body_hash(&r), -ENODATA);
	request_free(&r);
}

TEST(no_segments_is_the_empty_hash)
{
	char hex[SHA256_HEX_SIZE];
	struct request r = {};

	CHECK(body_hash(&r) == 0);
	hex_encode(r.body_sha256, sizeof(r.body_sha256), hex);
	CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
