#include <stdio.h>

#include "cloud/eventstream.h"
#include "tests/unit/stream_make.h"

/* Made by another codec (smithy's) and read by a third (botocore's). */
static const char chunk_hex[] =
	"000000d20000004b77196b480b3a6576656e742d747970650700056368756e6b0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d"
	"6573736167652d747970650700056576656e747b226279746573223a2265794a6a623235305a573530516d7876593274455a5778305953493665794a6b5a577830595349"
	"3665794a305a586830496a6f6953476b6966537769593239756447567564454a7362324e725357356b5a5867694f6a423966513d3d222c2270223a226162636465666768"
	"227d741a7066";
static const char exception_hex[] =
	"00000090000000618e91a9b70f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d7479706507001061"
	"70706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a22546f6f206d616e7920726571756573"
	"7473227de67f8005";

static struct {
	int frames, stop_at;
	char type[64], payload[400];
	struct eventstream_field last;
	uint8_t value[16];
} seen;

static int on_frame(void *ud, const struct eventstream_frame *f)
{
	seen.frames++;
	seen.type[0] = '\0';
	if (eventstream_string(f, ":event-type", seen.type, sizeof(seen.type)) < 0)
		(void)eventstream_string(f, ":exception-type", seen.type, sizeof(seen.type));
	snprintf(seen.payload, sizeof(seen.payload), "%.*s", (int)f->len, f->payload);
	if (f->n_fields) {
		seen.last = f->fields[f->n_fields - 1];
		memcpy(seen.value, seen.last.value, MIN(seen.last.len, sizeof(seen.value)));
	}
	return seen.frames == seen.stop_at ? 7 : 0;
}

static struct buf from_hex(const char *hex)
{
	struct buf b = {};
	void *room;

	CHECK(buf_reserve(&b, strlen(hex) / 2, &room) == 0);
	CHECK(hex_decode(hex, room, strlen(hex) / 2) == 0);
	b.len = strlen(hex) / 2;
	buf_terminate(&b);
	return b;
}

/* All of it, in pieces of this size. */
static int take(const struct buf *b, size_t piece, bool *ret_whole)
{
	struct eventstream s = {};
	int r = 0;

	memset(&seen, 0, sizeof(seen));
	for (size_t at = 0; r == 0 && at < b->len; at += piece)
		r = eventstream_take(&s, b->data + at, MIN(piece, b->len - at), on_frame, NULL);
	*ret_whole = !s.broken && s.pending.len == 0;
	if (r != 0) /* it stays so */
		CHECK_INT(eventstream_take(&s, "x", 1, on_frame, NULL), -EBADMSG);
	eventstream_clear(&s);
	return r;
}

TEST(frames_of_another_codec_in_any_pieces)
{
	_cleanup_buf_ struct buf a = from_hex(chunk_hex), b = from_hex(exception_hex), both = {};
	bool whole;

	CHECK(buf_add(&both, a.data, a.len) == 0 && buf_add(&both, b.data, b.len) == 0);
	for (size_t piece = 1; piece <= both.len; piece++) {
		CHECK_INT(take(&both, piece, &whole), 0);
		CHECK(whole && seen.frames == 2);
		CHECK_STR(seen.type, "throttlingException");
		CHECK_STR(seen.payload, "{\"message\":\"Too many requests\"}");
	}
	CHECK_INT(take(&a, 50, &whole), 0);
	CHECK_STR(seen.type, "chunk");
	CHECK(starts_with(seen.payload, "{\"bytes\":\"eyJjb250"));
}

TEST(every_wrong_byte_is_found)
{
	_cleanup_buf_ struct buf b = from_hex(exception_hex);
	bool whole;

	for (size_t i = 0; i < b.len; i++) {
		b.data[i] = (char)(b.data[i] ^ 0x10);
		CHECK_INT(take(&b, 64, &whole), -EBADMSG);
		CHECK(!whole && !seen.frames);
		b.data[i] = (char)(b.data[i] ^ 0x10);
	}
	for (size_t len = 1; len < b.len; len++) {
		struct buf cut = {.data = b.data, .len = len};

		CHECK_INT(take(&cut, 7, &whole), 0);
		CHECK(!whole && !seen.frames);
	}
}

TEST(the_reader_may_end_it)
{
	_cleanup_buf_ struct buf b = {};
	struct eventstream s = {};

	for (int i = 0; i < 3; i++)
		frame_of(&b, "event", "chunk", "{}");
	memset(&seen, 0, sizeof(seen));
	seen.stop_at = 2;
	CHECK_INT(eventstream_take(&s, b.data, b.len, on_frame, NULL), 7);
	CHECK_INT(seen.frames, 2);
	eventstream_clear(&s);
}

/* Lengths that lie, with check sums that are right. */
TEST(lengths_are_bounded)
{
	static const struct {
		uint32_t total, headers;
	} bad[] = {{0, 0}, {15, 0}, {16, 1}, {0xffffffff, 0}, {0x7fffffff, 16}, {200000, 140000}, {EVENTSTREAM_PAYLOAD_MAX + 17, 0}, {100, 0xfffffff0}};
	bool whole;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf b = {};

		frame_be32(&b, bad[i].total);
		frame_be32(&b, bad[i].headers);
		frame_be32(&b, frame_crc((const uint8_t *)b.data, 8));
		CHECK_INT(take(&b, 100, &whole), -EBADMSG);
	}
}

static int one_header(const char *bytes, size_t len)
{
	_cleanup_buf_ struct buf headers = {}, b = {};
	bool whole;

	CHECK(buf_add(&headers, bytes, len) == 0);
	frame_raw(&b, &headers, "p", 1);
	return take(&b, 1000, &whole);
}

TEST(every_type_of_header)
{
	static const struct {
		const char *bytes;
		size_t len, value_len;
	} good[] = {
		{"\1a\0", 3, 0},
		{"\1a\1", 3, 0},
		{"\1a\2\x7f", 4, 1},
		{"\1a\3\1\2", 5, 2},
		{"\1a\4\1\2\3\4", 7, 4},
		{"\1a\5\1\2\3\4\5\6\7\x08", 11, 8},
		{"\1a\6\0\2xy", 7, 2},
		{"\1a\7\0\0", 5, 0},
		{"\1a\x08\1\2\3\4\5\6\7\x08", 11, 8},
		{"\1a\x09\1\2\3\4\5\6\7\x08\1\2\3\4\5\6\7\x08", 19, 16},
	};
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\1a\x0a", 3},           /* no such type */
		{"\0\7\0\0", 4},          /* no name */
		{"\5a", 2},               /* a name that ends with the headers */
		{"\1a", 2},
		{"\1a\7\0", 4},
		{"\1a\7\0\5xy", 7},
		{"\1a\5\1\2\3", 6},
		{"\1a\0\1a\0", 6},        /* twice */
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(one_header(good[i].bytes, good[i].len), 0);
		CHECK_INT(seen.last.type, (int)i);
		CHECK_INT(seen.last.len, good[i].value_len);
		CHECK(memcmp(seen.value, good[i].bytes + good[i].len - good[i].value_len, good[i].value_len) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(one_header(bad[i].bytes, bad[i].len), -EBADMSG);
	CHECK_INT(one_header("", 0), 0);
}

TEST(too_many_headers)
{
	_cleanup_buf_ struct buf headers = {}, b = {};
	char name[8];
	bool whole;

	for (int i = 0; i <= EVENTSTREAM_FIELDS_MAX; i++) {
		CHECK(str_format(name, sizeof(name), "h%d", i) > 0);
		if (i == EVENTSTREAM_FIELDS_MAX) {
			frame_raw(&b, &headers, "", 0);
			CHECK_INT(take(&b, 1000, &whole), 0);
			buf_clear(&b);
		}
		frame_header(&headers, name, "x");
	}
	frame_raw(&b, &headers, "", 0);
	CHECK_INT(take(&b, 1000, &whole), -EBADMSG);
}

TEST(strings)
{
	struct eventstream_frame f = {.n_fields = 3};
	char text[4];

	f.fields[0] = (struct eventstream_field){"a", 1, EVENTSTREAM_STRING, (const uint8_t *)"xyz", 3};
	f.fields[1] = (struct eventstream_field){"b", 1, EVENTSTREAM_BYTES, (const uint8_t *)"xyz", 3};
	f.fields[2] = (struct eventstream_field){"c", 1, EVENTSTREAM_STRING, (const uint8_t *)"x\0z", 3};
	CHECK_INT(eventstream_string(&f, "a", text, sizeof(text)), 0);
	CHECK_STR(text, "xyz");
	CHECK_INT(eventstream_string(&f, "a", text, 3), -ENOBUFS);
	CHECK_INT(eventstream_string(&f, "b", text, sizeof(text)), -ENOENT);
	CHECK_INT(eventstream_string(&f, "c", text, sizeof(text)), -ENOENT);
	CHECK_INT(eventstream_string(&f, "d", text, sizeof(text)), -ENOENT);
}
