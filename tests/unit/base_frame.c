#include "tests/unit/test.h"

#include <signal.h>

#include "base/fileio.h"
#include "base/frame.h"

#define _cleanup_reader_ _cleanup_(reader_freep)
static void reader_freep(struct frame_reader **r)
{
	frame_reader_free(*r);
}

static struct frame_reader *fed(const char *s, size_t len)
{
	struct frame_reader *r = NULL;

	CHECK_INT(frame_reader_new(&r), 0);
	CHECK_INT(frame_reader_feed(r, s, len), 0);
	return r;
}

/* What comes out as a short text: "H(type,bytes)", "D(text)", "." for done. */
static int transcript(struct frame_reader *r, struct buf *out)
{
	struct frame_piece p;
	int part;

	while ((part = frame_reader_next(r, &p)) > 0) {
		CHECK(p.head && p.type);
		if (part == FRAME_HEAD)
			buf_addf(out, "H(%s,%d)", p.type, (int)p.bytes);
		if (part == FRAME_DONE)
			buf_addc(out, '.');
		if (part != FRAME_DATA)
			continue;
		buf_adds(out, "D(");
		buf_add(out, p.data, p.len);
		buf_addc(out, ')');
	}
	return part;
}

static const char two[] =
	"{\"type\":\"data\",\"bytes\":5}\nab\n\0c{\"type\":\"x\"}\n{\"bytes\":0,\"type\":\"end\"}\r\n";

TEST(a_stream_at_once)
{
	_cleanup_reader_ struct frame_reader *r = fed(two, sizeof(two) - 1);
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(transcript(r, &b), FRAME_NONE);
	CHECK_INT(b.len, strlen("H(data,5)D(ab\n.c).H(x,0).H(end,0)."));
	CHECK(memcmp(b.data, "H(data,5)D(ab\n\0c).H(x,0).H(end,0).", b.len) == 0);
}

TEST(pieces_of_every_size_give_the_same_bytes)
{
	for (size_t step = 1; step < sizeof(two); step++) {
		_cleanup_reader_ struct frame_reader *r = NULL;
		_cleanup_buf_ struct buf data = {};
		int heads = 0, done = 0, part;

		CHECK_INT(frame_reader_new(&r), 0);
		for (size_t at = 0; at < sizeof(two) - 1; at += step) {
			struct frame_piece p;

			CHECK_INT(frame_reader_feed(r, two + at, MIN(step, sizeof(two) - 1 - at)), 0);
			while ((part = frame_reader_next(r, &p)) > 0) {
				heads += part == FRAME_HEAD;
				done += part == FRAME_DONE;
				if (part == FRAME_DATA)
					CHECK_INT(buf_add(&data, p.data, p.len), 0);
			}
			CHECK_INT(part, FRAME_NONE);
		}
		CHECK_INT(heads, 3);
		CHECK_INT(done, 3);
		CHECK(data.len == 5 && memcmp(data.data, "ab\n\0c", 5) == 0);
	}
}

static void refused(const char *s, size_t len, int error)
{
	_cleanup_reader_ struct frame_reader *r = fed(s, len);
	struct frame_piece p;

	if (frame_reader_next(r, &p) != error)
		test_fail(__FILE__, __LINE__, "%s", s);
	CHECK(*frame_reader_error(r));
	CHECK_INT(frame_reader_feed(r, "{\"type\":\"end\"}\n", 15), 0); /* no way back */
	CHECK_INT(frame_reader_next(r, &p), error);
}

TEST(refuses)
{
	for (const char *const *s = (const char *const[]){"\n", "x\n", "[]\n", "\"type\"\n", "{}\n",
		     "{\"type\":1}\n", "{\"type\":\"\"}\n", "{\"type\":null}\n",
		     "{\"type\":\"a\",\"bytes\":-1}\n", "{\"type\":\"a\",\"bytes\":1.5}\n",
		     "{\"type\":\"a\",\"bytes\":\"5\"}\n", "{\"type\":\"a\",\"bytes\":null}\n",
		     "{\"type\":\"a\",\"bytes\":1e300}\n",
		     "{\"type\":\"a\",\"bytes\":99999999999999999999}\n", "{\"type\":\"a\",\"type\":\"b\"}\n",
		     "{\"type\":\"a\"} {}\n", "{\"type\":\"\xff\"}\n", NULL};
		*s; s++)
		refused(*s, strlen(*s), -EBADMSG);
	refused("{\"type\":\"\0\"}\n", 13, -EBADMSG);
	refused("{\"type\":\"a\",\"bytes\":268435457}\n", 31, -EMSGSIZE);
}

TEST(largest_announced_payload)
{
	_cleanup_reader_ struct frame_reader *r = fed("{\"type\":\"a\",\"bytes\":268435456}\n", 31);
	struct frame_piece p;

	CHECK_INT(frame_reader_next(r, &p), FRAME_HEAD);
	CHECK_INT(p.bytes, FRAME_BYTES_MAX);
	CHECK_INT(frame_reader_next(r, &p), FRAME_NONE);
}

static void line_of(size_t len, int want)
{
	_cleanup_buf_ struct buf b = {};
	_cleanup_reader_ struct frame_reader *r = NULL;
	struct frame_piece p;

	buf_adds(&b, "{\"type\":\"a\"}");
	while (b.len < len - 1)
		buf_addc(&b, ' ');
	buf_addc(&b, '\n');
	r = fed(b.data, b.len);
	CHECK_INT(frame_reader_next(r, &p), want);
}

TEST(line_limit)
{
	line_of(FRAME_LINE_MAX, FRAME_HEAD);
	line_of(FRAME_LINE_MAX + 1, -EMSGSIZE);
}

TEST(a_line_that_never_ends)
{
	_cleanup_reader_ struct frame_reader *r = NULL;
	static char blanks[4096];
	struct frame_piece p;
	int part = FRAME_NONE;
	size_t fed_bytes = 0;

	memset(blanks, ' ', sizeof(blanks));
	CHECK_INT(frame_reader_new(&r), 0);
	while (part == FRAME_NONE && fed_bytes < 10 * FRAME_LINE_MAX) {
		CHECK_INT(frame_reader_feed(r, blanks, sizeof(blanks)), 0);
		fed_bytes += sizeof(blanks);
		part = frame_reader_next(r, &p);
	}
	CHECK_INT(part, -EMSGSIZE);
	CHECK_INT(fed_bytes, FRAME_LINE_MAX);
}

TEST(cut_off_in_the_middle)
{
	_cleanup_reader_ struct frame_reader *r = fed("{\"type\":\"a\",\"bytes\":3}\nxy", 25);
	struct frame_piece p;

	CHECK_INT(frame_reader_next(r, &p), FRAME_HEAD);
	CHECK_INT(frame_reader_next(r, &p), FRAME_DATA);
	CHECK_INT(p.len, 2);
	CHECK_INT(frame_reader_next(r, &p), FRAME_NONE); /* no DONE without the third byte */
	CHECK_INT(frame_reader_next(r, &p), FRAME_NONE);
}

TEST(write_and_read_back)
{
	_cleanup_reader_ struct frame_reader *r = NULL;
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	char got[256];
	struct frame_piece p;
	ssize_t n;
	int fds[2];

	json_add_string(head, "type", "data");
	json_add_string(head, "name", "line\nbreak");
	CHECK_INT(pipe(fds), 0);
	CHECK_INT(frame_write(fds[1], head, "abc", 3), 0);
	CHECK_INT(frame_write(fds[1], head, NULL, 0), 0);
	close(fds[1]);
	n = read_full(fds[0], got, sizeof(got));
	close(fds[0]);
	r = fed(got, (size_t)n);
	CHECK_INT(frame_reader_next(r, &p), FRAME_HEAD);
	CHECK_STR(json_get_string(p.head, "name"), "line\nbreak");
	CHECK_INT(p.bytes, 3);
	CHECK_INT(frame_reader_next(r, &p), FRAME_DATA);
	CHECK(p.len == 3 && memcmp(p.data, "abc", 3) == 0);
	CHECK_INT(frame_reader_next(r, &p), FRAME_DONE);
	CHECK_STR(p.type, "data");
	CHECK_INT(frame_reader_next(r, &p), FRAME_HEAD);
	CHECK_INT(p.bytes, 0);
	CHECK(!json_get(p.head, "bytes"));
	CHECK_INT(frame_reader_next(r, &p), FRAME_DONE);
	CHECK_INT(frame_reader_next(r, &p), FRAME_NONE);
}

TEST(format_refuses)
{
	_cleanup_json_ cJSON *none = cJSON_CreateObject(), *twice = cJSON_CreateObject(),
			     *large = cJSON_CreateObject();
	_cleanup_buf_ struct buf out = {};
	static char text[FRAME_LINE_MAX];

	CHECK_INT(frame_format(none, 0, &out), -EINVAL);
	json_add_string(twice, "type", "a");
	CHECK_INT(frame_format(twice, FRAME_BYTES_MAX + 1, &out), -EMSGSIZE);
	json_add_i64(twice, "bytes", 1);
	CHECK_INT(frame_format(twice, 0, &out), -EINVAL);
	memset(text, 'x', sizeof(text) - 1);
	json_add_string(large, "type", text);
	CHECK_INT(frame_format(large, 0, &out), -EMSGSIZE);
	CHECK_INT(out.len, 0);
}

TEST(write_to_nobody)
{
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	json_add_string(head, "type", "end");
	CHECK_INT(pipe(fds), 0);
	close(fds[0]);
	CHECK_INT(frame_write(fds[1], head, NULL, 0), -EPIPE);
	close(fds[1]);
}
