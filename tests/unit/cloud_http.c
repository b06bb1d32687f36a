#include <sys/un.h>

#include "cloud/http_head.h"
#include "cloud/http_peer.h"
#include "tests/unit/cloud_http_fixture.h"

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
