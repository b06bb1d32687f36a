#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fileio.h"
#include "cloud/http.h"
#include "cloud/http_head.h"
#include "cloud/http_peer.h"
#include "tests/unit/request_make.h"
#include "tests/unit/test.h"

/* ---- a loop ------------------------------------------------------------------------------------------------------ */

#define FDS 16

static struct {
	struct pollfd fds[FDS];
	int64_t due; /* -1: none */
	unsigned int watches;
} loop;

static int64_t now_ms(void *ud)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int on_watch(void *ud, int fd, unsigned int events)
{
	struct pollfd *slot = NULL;

	loop.watches++;
	for (size_t i = 0; i < FDS; i++) {
		if (loop.fds[i].fd == fd)
			slot = &loop.fds[i];
	}
	for (size_t i = 0; !slot && i < FDS; i++) {
		if (loop.fds[i].fd < 0)
			slot = &loop.fds[i];
	}
	if (!slot)
		return -ENOSPC;
	slot->fd = events ? fd : -1;
	slot->events = (short)((events & HTTP_READ ? POLLIN : 0) | (events & HTTP_WRITE ? POLLOUT : 0));
	return 0;
}

static int on_timer(void *ud, int64_t ms)
{
	loop.due = ms < 0 ? -1 : now_ms(NULL) + ms;
	return 0;
}

static const struct http_loop hooks = {on_watch, on_timer, now_ms, NULL};
static struct http *http;

static void start_loop(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < FDS; i++)
		loop.fds[i].fd = -1;
	loop.due = -1;
	CHECK_INT(http_new(&hooks, NULL, &http), 0);
}

static void turn(void)
{
	int64_t wait = loop.due < 0 ? 1000 : MAX(loop.due - now_ms(NULL), 0);
	struct pollfd ready[FDS];

	poll(loop.fds, FDS, (int)wait);
	memcpy(ready, loop.fds, sizeof(ready));
	for (size_t i = 0; i < FDS; i++) {
		if (ready[i].fd >= 0 && ready[i].revents)
			http_socket_ready(http, ready[i].fd,
				(ready[i].revents & POLLOUT ? HTTP_WRITE : 0) |
					(ready[i].revents & (POLLIN | POLLHUP | POLLERR) ? HTTP_READ : 0));
	}
	if (loop.due >= 0 && loop.due <= now_ms(NULL)) {
		loop.due = -1;
		http_timer(http);
	}
}

/* ---- a server in a thread: one connection after the other, each by the test's own function ----------------------- */

static struct {
	int fd, port;
	int connections;
	void (*serve)(int conn);
	pthread_t thread;
	struct buf got; /* all that was received */
	sem_t sem;
} server;

static void *server_main(void *ud)
{
	for (;;) {
		int conn = accept(server.fd, NULL, NULL);

		if (conn < 0)
			return NULL;
		server.connections++;
		server.serve(conn);
		close(conn);
	}
}

static void start_server(int fd, void (*serve)(int conn))
{
	CHECK(fd >= 0 && listen(fd, 8) == 0);
	server.fd = fd;
	server.serve = serve;
	server.connections = 0;
	buf_free(&server.got);
	sem_init(&server.sem, 0, 0);
	CHECK(pthread_create(&server.thread, NULL, server_main, NULL) == 0);
}

static int tcp_socket(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	server.port = ntohs(a.sin_port);
	return fd;
}

static void start(void (*serve)(int conn))
{
	start_loop();
	start_server(tcp_socket(), serve);
}

static void stop(void)
{
	http_free(http);
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	sem_destroy(&server.sem);
}

/* One request: head, and the body that its Content-Length names. 0 when the client went away. */
static int read_request(int conn)
{
	size_t start_at = server.got.len, want = SIZE_MAX;

	while (server.got.len - start_at < want) {
		char piece[65536];
		const char *head, *length;
		ssize_t n = recv(conn, piece, sizeof(piece), 0);

		if (n <= 0)
			return 0;
		buf_add(&server.got, piece, (size_t)n);
		head = strstr(server.got.data + start_at, "\r\n\r\n");
		if (want != SIZE_MAX || !head)
			continue;
		length = strstr(server.got.data + start_at, "Content-Length: ");
		want = (size_t)(head + 4 - (server.got.data + start_at)) + (length ? (size_t)atol(length + 16) : 0);
	}
	return 1;
}

static void say(int conn, const char *text)
{
	send(conn, text, strlen(text), MSG_NOSIGNAL);
}

/* ---- a client ---------------------------------------------------------------------------------------------------- */

static struct {
	int done;
	struct reply reply; /* without what it borrows */
	struct buf body;
	char date[64], x[64];
} seen;

static void on_done(void *ud, const struct reply *r)
{
	seen.done++;
	seen.reply = *r;
	buf_clear(&seen.body);
	CHECK(buf_add(&seen.body, r->body, r->len) == 0);
	CHECK(r->body[r->len] == '\0');
	snprintf(seen.date, sizeof(seen.date), "%s", reply_header(r, "date") ? reply_header(r, "date") : "");
	snprintf(seen.x, sizeof(seen.x), "%s", reply_header(r, "x-test") ? reply_header(r, "x-test") : "");
}

static const char *interface; /* of requests that are made; NULL: none */

static void make_request(struct request *r, const char *body)
{
	char url[64];

	memset(r, 0, sizeof(*r));
	CHECK(str_format(url, sizeof(url), "http://127.0.0.1:%d/a%%3Ab/c", server.port) > 0);
	r->method = body ? "POST" : "GET";
	r->url = strdup(url);
	r->timeout_ms = 8000;
	r->connect_timeout_ms = 3000;
	r->max_reply = 100000;
	r->interface = interface;
	if (body)
		CHECK(add_text(r, body) == 0);
}

static void wait_done(void)
{
	int64_t give_up = now_ms(NULL) + 15000;
	int before = seen.done;

	while (seen.done == before) {
		CHECK(now_ms(NULL) < give_up);
		turn();
	}
}

static void exchange(const struct request *r)
{
	struct http_transfer *t;
	int before = seen.done;

	CHECK_INT(http_send(http, r, on_done, NULL, &t), 0);
	CHECK_INT(seen.done, before); /* never from inside */
	wait_done();
}

static void post(const char *body)
{
	struct request r;

	make_request(&r, body);
	exchange(&r);
	request_free(&r);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void serve_ok(int conn)
{
	while (read_request(conn))
		say(conn,
			"HTTP/1.1 200 OK\r\nX-Test:  yes \r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello");
}

TEST(exactly_our_headers_and_body)
{
	char path[256];
	_cleanup_close_ int fd = -1;
	struct request r;

	start(serve_ok);
	CHECK(str_format(path, sizeof(path), "%s/page", test_tmpdir()) > 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write_all(fd, "page", 4) == 0);
	make_request(&r, "{\"p\":\"");
	CHECK(request_add_file(&r, SEGMENT_FILE_BASE64, fd, 4) == 0 && add_text(&r, "\"}") == 0);
	CHECK(request_add_header(&r, "content-type", "application/json") == 0);
	CHECK(request_add_header(&r, "authorization", "AWS4 x") == 0);
	CHECK(request_add_header(&r, "x-empty", "") == 0);
	setenv("http_proxy", "http://127.0.0.1:9", 1); /* is ignored */
	setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
	exchange(&r);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	CHECK_INT(seen.reply.error, TRANSPORT_OK);
	CHECK(seen.reply.status == 200 && seen.reply.sent && seen.reply.sent_all);
	CHECK_STR(buf_str(&seen.body), "hello");
	CHECK_STR(seen.x, "yes");
	CHECK(*seen.date && seen.reply.date_ms == 0); /* not over verified TLS: not believed */
	CHECK(!*seen.reply.peer_sha256 && !*seen.reply.detail);
	CHECK_STR(seen.reply.address, "127.0.0.1");
	CHECK(seen.reply.done_ms >= seen.reply.sent_ms && seen.reply.sent_ms > 0);
	{
		char want[400];

		CHECK(str_format(want, sizeof(want),
			      "POST /a%%3Ab/c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: pageferry/" PAGEFERRY_VERSION
			      "\r\ncontent-type: application/json\r\nauthorization: AWS4 x\r\nx-empty:\r\nContent-Length: 16\r\n\r\n{\"p\":\"cGFnZQ==\"}",
			      server.port) > 0);
		CHECK_STR(buf_str(&server.got), want);
	}
	request_free(&r);
	stop();
}

TEST(connections_are_kept)
{
	start(serve_ok);
	post("1");
	post("2");
	post(NULL);
	CHECK_INT(server.connections, 1);
	CHECK(strstr(buf_str(&server.got), "GET /a%3Ab/c HTTP/1.1\r\n"));
	CHECK(!strstr(buf_str(&server.got), "Accept") && !strstr(buf_str(&server.got), "Content-Type") &&
		!strstr(buf_str(&server.got), "Expect"));
	CHECK(!seen.reply.sent); /* a GET has no body */
	stop();
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

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

static const char *script;
static void serve_script(int conn)
{
	if (read_request(conn))
		say(conn, script);
}

static void reply_with(const char *text)
{
	script = text;
	post("{}");
}

TEST(replies)
{
	_cleanup_buf_ struct buf big = {};

	/* The server ends each connection. Whole replies say so, or the next request may meet the end of a kept one. */
	start(serve_script);
	reply_with("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	CHECK_INT(seen.reply.error, TRANSPORT_OK);
	CHECK_STR(buf_str(&seen.body), "abcde");
	reply_with("HTTP/1.1 100 Continue\r\nX-Test: interim\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.status == 200 && !*seen.x);
	reply_with("HTTP/1.1 503 Busy\r\nConnection: close\r\nX-Test: a\r\nContent-Length: 4\r\n\r\nbusy");
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.status == 503);
	CHECK_STR(buf_str(&seen.body), "busy");
	/* cut in three ways */
	reply_with("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
	CHECK(seen.reply.error == TRANSPORT_BROKEN && seen.reply.sent && seen.reply.sent_all && *seen.reply.detail);
	reply_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc");
	CHECK_INT(seen.reply.error, TRANSPORT_BROKEN);
	reply_with("");
	CHECK(seen.reply.error == TRANSPORT_BROKEN && seen.reply.status == 0);
	/* not HTTP at all */
	reply_with("220 smtp.example ESMTP\r\n");
	CHECK_INT(seen.reply.error, TRANSPORT_BROKEN);
	/* redirects are never followed */
	reply_with("HTTP/1.1 307 Away\r\nConnection: close\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	CHECK(seen.reply.error == TRANSPORT_REDIRECT && seen.reply.status == 307);
	/* too large: said, and found out */
	reply_with("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\nx");
	CHECK_INT(seen.reply.error, TRANSPORT_TOO_LARGE);
	CHECK(buf_adds(&big, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n") == 0);
	for (int i = 0; i < 0x2000; i++)
		CHECK(buf_adds(&big, "0123456789abcdef") == 0);
	reply_with(buf_str(&big));
	CHECK(seen.reply.error == TRANSPORT_TOO_LARGE && seen.reply.len <= 100000);
	/* header floods: many, and long */
	buf_clear(&big);
	CHECK(buf_adds(&big, "HTTP/1.1 200 OK\r\n") == 0);
	for (int i = 0; i < 100; i++)
		CHECK(buf_addf(&big, "X-%d: y\r\n", i) == 0);
	CHECK(buf_adds(&big, "Content-Length: 0\r\n\r\n") == 0);
	reply_with(buf_str(&big));
	CHECK_INT(seen.reply.error, TRANSPORT_TOO_LARGE);
	stop();
}

static void serve_silence(int conn)
{
	while (read_request(conn))
		continue; /* reads, never answers; ends when the client goes */
}

TEST(a_server_that_never_answers_times_out)
{
	struct request r;

	start(serve_silence);
	make_request(&r, "{}");
	r.timeout_ms = 150;
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TIMEOUT && seen.reply.sent && seen.reply.sent_all);
	request_free(&r);
	stop();
}

static void serve_no_reading(int conn)
{
	sem_wait(&server.sem);
}

TEST(a_body_that_did_not_go_out_whole_is_told)
{
	_cleanup_buf_ struct buf big = {};
	struct request r;
	void *p;

	CHECK(buf_reserve(&big, (64 << 20) - 1, &p) == 0);
	memset(p, 'x', (64 << 20) - 1);
	big.len = (64 << 20) - 1;
	start(serve_no_reading);
	make_request(&r, NULL);
	r.method = "POST";
	CHECK(request_add_literal_take(&r, &big) == 0);
	r.timeout_ms = 300;
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TIMEOUT && seen.reply.sent && !seen.reply.sent_all);
	request_free(&r);
	sem_post(&server.sem);
	stop();
}

TEST(a_refused_connection)
{
	start(serve_ok);
	stop();
	start_loop(); /* nobody listens on server.port now */
	post("{}");
	CHECK(seen.reply.error == TRANSPORT_CONNECT && !seen.reply.sent && !seen.reply.sent_all &&
		seen.reply.status == 0);
	http_free(http);
}

static void serve_once_then_close(int conn)
{
	if (read_request(conn))
		say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	shutdown(conn, SHUT_RDWR);
	sem_post(&server.sem);
}

TEST(a_kept_connection_that_died_is_replaced)
{
	start(serve_once_then_close);
	post("1");
	sem_wait(&server.sem);
	post("2");
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.status == 200);
	CHECK_INT(server.connections, 2);
	stop();
}

static void serve_then_swallow(int conn)
{
	if (read_request(conn))
		say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	read_request(conn); /* takes the second request whole, and dies */
}

TEST(a_body_that_was_out_is_never_sent_twice)
{
	start(serve_then_swallow);
	post("first");
	post("second");
	CHECK(seen.reply.error == TRANSPORT_BROKEN && seen.reply.sent && seen.reply.sent_all);
	stop();
	CHECK(!strstr(strstr(buf_str(&server.got), "second") + 1, "second"));
}

TEST(a_page_file_that_became_shorter_is_our_own_trouble)
{
	char path[256];
	_cleanup_close_ int fd = -1;
	struct request r;

	start(serve_ok);
	CHECK(str_format(path, sizeof(path), "%s/page", test_tmpdir()) > 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	make_request(&r, "{");
	CHECK(request_add_file(&r, SEGMENT_FILE, fd, 50) == 0);
	exchange(&r);
	CHECK_INT(seen.reply.error, TRANSPORT_LOCAL);
	CHECK(strstr(seen.reply.detail, "page file") && !seen.reply.sent_all);
	request_free(&r);
	stop();
}

TEST(requests_that_cannot_be_made)
{
	struct request r;
	struct http_transfer *t;

	start_loop();
	server.port = 1;
	make_request(&r, "{}");
	r.headers[r.n_headers++] = (struct header){strdup("x"), strdup("a\r\nb: c")};
	CHECK_INT(http_send(http, &r, on_done, NULL, &t), -EINVAL);
	request_free(&r);
	make_request(&r, "{}");
	free(r.url);
	r.url = strdup("file:///etc/passwd");
	CHECK_INT(http_send(http, &r, on_done, NULL, &t), -EINVAL);
	request_free(&r);
	http_free(http);
}

TEST(connect_to_goes_elsewhere_with_the_urls_host)
{
	char to[64], want[64];
	struct request r;

	start(serve_ok);
	make_request(&r, "{}");
	free(r.url);
	r.url = strdup("http://bedrock.example/x");
	CHECK(str_format(to, sizeof(to), "127.0.0.1:%d", server.port) > 0);
	r.connect_to = to;
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_OK);
	CHECK(str_format(want, sizeof(want), "\r\nHost: bedrock.example\r\n") > 0 &&
		strstr(buf_str(&server.got), want));
	request_free(&r);
	stop();
}

TEST(bound_to_its_interface)
{
	start(serve_ok);
	interface = "lo";
	post("{}");
	CHECK_INT(seen.reply.error, TRANSPORT_OK);
	post("{}");
	CHECK_INT(server.connections, 2); /* none is kept: it might be of another link */
	interface = "no-such-link";
	post("{}");
	CHECK_INT(seen.reply.error, TRANSPORT_CONNECT);
	CHECK(strstr(seen.reply.detail, "interface no-such-link") && !seen.reply.sent);
	CHECK_INT(server.connections, 2);
	interface = NULL;
	stop();
}

TEST(a_unix_socket)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct request r;

	CHECK(str_format(a.sun_path, sizeof(a.sun_path), "%s/s", test_tmpdir()) > 0);
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	start_loop();
	start_server(fd, serve_ok);
	make_request(&r, "{}");
	free(r.url);
	r.url = strdup("http://localhost/health");
	r.unix_socket = a.sun_path;
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_OK && seen.reply.status == 200);
	request_free(&r);
	stop();
}

/* ---- starting and cancelling from inside ------------------------------------------------------------------------- */

static struct http_transfer *mine, *other;
static struct request again;

static void on_done_restart(void *ud, const struct reply *r)
{
	seen.done++;
	http_cancel(mine);  /* itself: nothing happens */
	http_cancel(other); /* another one */
	CHECK_INT(http_send(http, &again, on_done, NULL, NULL), 0);
}

static int parked = -1;

/* Answers "now"; keeps the connection of "never" open without an answer, and goes on to the next. */
static void serve_by_body(int conn)
{
	size_t before = server.got.len;

	while (read_request(conn)) {
		if (strstr(server.got.data + before, "never")) {
			parked = dup(conn);
			return;
		}
		before = server.got.len;
		say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	}
}

TEST(start_and_cancel_from_inside_done)
{
	struct request a, b;

	start(serve_by_body);
	make_request(&a, "now");
	make_request(&b, "never");
	make_request(&again, "now");
	seen.done = 0;
	CHECK_INT(http_send(http, &a, on_done_restart, NULL, &mine), 0);
	CHECK_INT(http_send(http, &b, on_done_restart, NULL, &other), 0);
	while (seen.done < 2)
		wait_done();
	CHECK(seen.done == 2 && seen.reply.error == TRANSPORT_OK);
	request_free(&a);
	request_free(&b);
	request_free(&again);
	stop();
	if (parked >= 0)
		close(parked);
}

TEST(cancel_and_free_call_nobody)
{
	struct request r;
	struct http_transfer *t;

	start(serve_silence);
	make_request(&r, "{}");
	seen.done = 0;
	CHECK_INT(http_send(http, &r, on_done, NULL, &t), 0);
	turn();
	http_cancel(t);
	http_cancel(NULL);
	CHECK_INT(http_send(http, &r, on_done, NULL, &t), 0);
	turn();
	stop();
	CHECK_INT(seen.done, 0);
	for (size_t i = 0; i < FDS; i++)
		CHECK(loop.fds[i].fd < 0); /* the loop was told to forget every descriptor */
	request_free(&r);
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

static pid_t tls_child = -1;

/* A server of tests/unit/cloud_tls_server.py in `dir`: its port and the certificate's hash come on its stdout. */
static void start_tls(const char *dir, const char *client_ca, char hash[static 65])
{
	char line[160] = "", *end;
	int p[2];
	size_t len = 0;
	ssize_t n = 1;

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	tls_child = fork();
	CHECK(tls_child >= 0);
	if (tls_child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], 1);
		execlp("python3", "python3", "tests/unit/cloud_tls_server.py", dir, client_ca, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	while (n > 0 && !strchr(line, '\n') && len < sizeof(line) - 1) {
		n = read(p[0], line + len, sizeof(line) - 1 - len);
		len += (size_t)MAX(n, 0);
	}
	close(p[0]);
	if (n <= 0)
		test_skip("python3 with ssl, and openssl, are needed");
	server.port = (int)strtol(line, &end, 10);
	CHECK(*end == ' ' && strlen(end + 1) >= 64);
	memcpy(hash, end + 1, 64);
	hash[64] = '\0';
}

static void stop_tls(void)
{
	kill(tls_child, SIGKILL);
	waitpid(tls_child, NULL, 0);
	http_free(http);
}

static void tls_request(struct request *r, const char *url, const char *to, const char *ca)
{
	make_request(r, "{}");
	free(r->url);
	r->url = strdup(url);
	r->connect_to = to;
	r->ca_file = ca;
}

TEST(tls_is_verified_and_the_certificate_told)
{
	char hash[65], ca[256], to[64], dir[200];
	struct request r;

	CHECK(str_format(dir, sizeof(dir), "%s", test_tmpdir()) > 0);
	start_loop();
	start_tls(dir, NULL, hash);
	CHECK(str_format(ca, sizeof(ca), "%s/cert.pem", dir) > 0);
	CHECK(str_format(to, sizeof(to), "127.0.0.1:%d", server.port) > 0);
	tls_request(&r, "https://bedrock.example/x", to, ca);
	exchange(&r);
	if (seen.reply.error != TRANSPORT_OK)
		test_fail(__FILE__, __LINE__, "%s", seen.reply.detail);
	CHECK_STR(seen.reply.peer_sha256, hash);
	CHECK_INT(seen.reply.date_ms, INT64_C(1795219200000));
	/* again on the kept connection, which shows no certificate anew */
	seen.reply.peer_sha256[0] = '\0';
	exchange(&r);
	CHECK_STR(seen.reply.peer_sha256, hash);
	CHECK_STR(buf_str(&seen.body), "1"); /* the server's count of connections */
	request_free(&r);
	/* the system's authorities do not know it */
	tls_request(&r, "https://bedrock.example/x", to, NULL);
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TLS && !seen.reply.sent && seen.reply.date_ms == 0);
	request_free(&r);
	/* another name */
	tls_request(&r, "https://other.example/x", to, ca);
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TLS && !seen.reply.sent);
	request_free(&r);
	stop_tls();
}

static void load_pem(const char *name, struct buf *out)
{
	char path[512];

	CHECK(str_format(path, sizeof(path), "%sx509/%s", test_data(), name) > 0);
	CHECK_INT(file_read(AT_FDCWD, path, 65536, out), 0);
}

/* With TLS 1.3 the client's side of the handshake is done before the server looks at the certificate: how the end shows is a
 * matter of who is faster. */
static bool turned_away(void)
{
	return seen.reply.status == 0 && (seen.reply.error == TRANSPORT_TLS || seen.reply.error == TRANSPORT_BROKEN ||
						 seen.reply.error == TRANSPORT_CONNECT);
}

/* A client is asked for its certificate: the right one is taken, no other, and no connection is used again for somebody else. */
TEST(client_certificates_are_shown)
{
	_cleanup_buf_ struct buf cert = {}, key = {}, rsa_cert = {}, rsa_key = {};
	char hash[65], ca[256], client_ca[512], to[64], dir[200];
	struct request r;

	load_pem("chain.pem", &cert);
	load_pem("ec.key", &key);
	load_pem("rsa.pem", &rsa_cert);
	load_pem("rsa.key", &rsa_key);
	CHECK(str_format(dir, sizeof(dir), "%s", test_tmpdir()) > 0);
	CHECK(str_format(client_ca, sizeof(client_ca), "%sx509/root.pem", test_data()) > 0);
	start_loop();
	start_tls(dir, client_ca, hash);
	CHECK(str_format(ca, sizeof(ca), "%s/cert.pem", dir) > 0);
	CHECK(str_format(to, sizeof(to), "127.0.0.1:%d", server.port) > 0);
	tls_request(&r, "https://bedrock.example/x", to, ca);
	r.client_cert = buf_str(&cert);
	r.client_key = buf_str(&key);
	for (int i = 1; i <= 2; i++) {
		char want[64];

		CHECK(str_format(want, sizeof(want), "%d scanner-1 bedrock.example", i) > 0);
		exchange(&r);
		if (seen.reply.error != TRANSPORT_OK)
			test_fail(__FILE__, __LINE__, "%s", seen.reply.detail);
		CHECK_STR(buf_str(&seen.body), want);
	}
	r.client_cert = r.client_key = NULL;
	exchange(&r);
	CHECK(turned_away());
	r.client_cert = buf_str(&rsa_cert); /* its chain to the root is not there */
	r.client_key = buf_str(&rsa_key);
	exchange(&r);
	/* whoever is faster: somebody was there, and hung up */
	if (!turned_away() || seen.reply.error == TRANSPORT_CONNECT || strstr(seen.reply.detail, "getpeername"))
		test_fail(__FILE__, __LINE__, "%d: %s", seen.reply.error, seen.reply.detail);
	r.client_key = buf_str(&key); /* of another certificate */
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TLS && !seen.reply.sent);
	r.client_key = NULL;
	CHECK_INT(http_send(http, &r, on_done, NULL, NULL), -EINVAL);
	request_free(&r);
	stop_tls();
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

TEST(peers_are_remembered_and_forgotten)
{
	struct http_peers p = {};
	char hash[SHA256_HEX_SIZE], name[32];

	http_peers_recall(&p, "a", hash);
	CHECK_STR(hash, "");
	http_peers_learn(&p, "a", "Cert:-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n", hash);
	CHECK_STR(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	http_peers_recall(&p, "a", hash);
	CHECK(starts_with(hash, "ba7816bf"));
	http_peers_learn(&p, "a", "not a certificate", hash);
	CHECK_STR(hash, "");
	for (int i = 0; i < HTTP_PEERS; i++) {
		CHECK(str_format(name, sizeof(name), "c%d", i) > 0);
		http_peers_learn(&p, name, "-----BEGIN CERTIFICATE-----YWJj-----END CERTIFICATE-----", hash);
	}
	http_peers_recall(&p, "a", hash);
	CHECK_STR(hash, "");
	CHECK_INT(http_pem_sha256("-----BEGIN CERTIFICATE-----YW!j-----END CERTIFICATE-----", hash), -EINVAL);
	CHECK_INT(http_pem_sha256("-----BEGIN CERTIFICATE-----", hash), -EBADMSG);
}

TEST(heads_are_capped)
{
	static struct http_head h;
	char line[1100];
	int n = 0;

	memset(line, 'a', sizeof(line));
	memcpy(line, "x: ", 3);
	while (http_head_line(&h, line, sizeof(line)) == 0)
		n++;
	CHECK(n == 29); /* 32 KiB */
	http_head_clear(&h);
	CHECK_INT(h.n, 0);
}
