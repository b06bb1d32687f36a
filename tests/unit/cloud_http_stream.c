/* Replies that are taken as they come. */
#include "tests/unit/cloud_http_fixture.h"

static struct {
	struct stream stream;
	struct buf got;
	size_t enough_at; /* bytes; 0: never */
	int told;
	uint64_t told_bytes;
} taker;

static int taker_take(struct stream *s, const void *data, size_t len)
{
	CHECK(buf_add(&taker.got, data, len) == 0);
	s->answered += len;
	return taker.enough_at && taker.got.len >= taker.enough_at;
}

static void taker_free(struct stream *s)
{
	buf_free(&taker.got);
}

static void taker_told(void *ud, uint64_t answered)
{
	CHECK(ud == &taker);
	taker.told++;
	taker.told_bytes = answered;
}

/* What the server says goes to a stream that has had enough after so many bytes. */
static void stream_from(void (*serve)(int conn), size_t enough_at, size_t max)
{
	struct request r;

	start(serve);
	make_request(&r, "{}");
	taker.enough_at = enough_at;
	taker.told = 0;
	buf_clear(&taker.got);
	taker.stream = (struct stream){.take = taker_take, .free = taker_free, .progress = taker_told, .ud = &taker};
	r.stream = &taker.stream;
	r.max_reply = max;
	exchange(&r);
	CHECK((seen.reply.stream == &taker.stream) == (taker.got.len > 0));
	r.stream = NULL;
	request_free(&r);
	stop();
}

static void serve_pieces(int conn)
{
	if (!read_request(conn))
		return;
	say(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	sem_wait(&server.sem); /* until the first piece was told of */
	say(conn, "6\r\n world\r\n0\r\n\r\n");
}

static void taker_wakes_server(void *ud, uint64_t answered)
{
	taker_told(ud, answered);
	sem_post(&server.sem);
}

TEST(a_stream_is_told_of_as_it_comes)
{
	struct request r;

	start(serve_pieces);
	make_request(&r, "{}");
	taker.enough_at = 0;
	taker.told = 0;
	taker.stream = (struct stream){.take = taker_take, .free = taker_free, .progress = taker_wakes_server, .ud = &taker};
	r.stream = &taker.stream;
	exchange(&r); /* ends only because it was told in between */
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.stream == &taker.stream && seen.body.len == 0);
	CHECK_STR(buf_str(&taker.got), "hello world");
	CHECK(taker.told >= 1);
	request_free(&r); /* frees the stream too */
	CHECK(!taker.got.data);
	stop();
}

/* Never ends by itself: the client must. */
static void serve_for_ever(int conn)
{
	char piece[4096];

	if (!read_request(conn))
		return;
	say(conn, "HTTP/1.1 200 OK\r\n\r\n");
	memset(piece, 'x', sizeof(piece));
	while (send(conn, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		;
}

static void serve_error(int conn)
{
	if (read_request(conn))
		say(conn, "HTTP/1.1 429 Slow\r\nContent-Length: 4\r\n\r\nbusy");
}

TEST(a_stream_ends_when_it_has_enough)
{
	stream_from(serve_for_ever, 5000, 1000000);
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.status == 200 && !*seen.reply.detail);
	CHECK(taker.got.len >= 5000 && taker.got.len < 1000000);
	stream_from(serve_for_ever, 0, 200000);
	CHECK(seen.reply.error == TRANSPORT_TOO_LARGE && taker.got.len <= 200000);
	CHECK_STR(seen.reply.detail, "the reply is larger than 200000 bytes");
	stream_from(serve_error, 0, 200000);
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.status == 429 && !seen.reply.stream && !taker.told);
	CHECK_STR(buf_str(&seen.body), "busy");
}
