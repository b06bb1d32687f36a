/* HTTP as the service speaks it, tried against servers in a thread: shared by cloud_http*.c. */
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fileio.h"
#include "cloud/http.h"
#include "tests/unit/request_make.h"
#include "tests/unit/test.h"

/* ---- a loop ------------------------------------------------------------------------------------------------------ */

#define FDS 16

static struct {
	struct pollfd fds[FDS];
	int64_t due; /* -1: none */
	unsigned int watches;
} loop;

static inline int64_t now_ms(void *ud)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int on_watch(void *ud, int fd, unsigned int events)
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

static inline int on_timer(void *ud, int64_t ms)
{
	loop.due = ms < 0 ? -1 : now_ms(NULL) + ms;
	return 0;
}

static const struct http_loop hooks = {on_watch, on_timer, now_ms, NULL};
static struct http *http;

static inline void start_loop(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < FDS; i++)
		loop.fds[i].fd = -1;
	loop.due = -1;
	CHECK_INT(http_new(&hooks, NULL, &http), 0);
}

static inline void turn(void)
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

static inline void *server_main(void *ud)
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

static inline void start_server(int fd, void (*serve)(int conn))
{
	CHECK(fd >= 0 && listen(fd, 8) == 0);
	server.fd = fd;
	server.serve = serve;
	server.connections = 0;
	buf_free(&server.got);
	sem_init(&server.sem, 0, 0);
	CHECK(pthread_create(&server.thread, NULL, server_main, NULL) == 0);
}

static inline int tcp_socket(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	server.port = ntohs(a.sin_port);
	return fd;
}

static inline void start(void (*serve)(int conn))
{
	start_loop();
	start_server(tcp_socket(), serve);
}

static inline void stop(void)
{
	http_free(http);
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	sem_destroy(&server.sem);
}

/* One request: head, and the body that its Content-Length names. 0 when the client went away. */
static inline int read_request(int conn)
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

static inline void say(int conn, const char *text)
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

static inline void on_done(void *ud, const struct reply *r)
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

static inline void make_request(struct request *r, const char *body)
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

static inline void wait_done(void)
{
	int64_t give_up = now_ms(NULL) + 15000;
	int before = seen.done;

	while (seen.done == before) {
		CHECK(now_ms(NULL) < give_up);
		turn();
	}
}

static inline void exchange(const struct request *r)
{
	struct http_transfer *t;
	int before = seen.done;

	CHECK_INT(http_send(http, r, on_done, NULL, &t), 0);
	CHECK_INT(seen.done, before); /* never from inside */
	wait_done();
}

static inline void post(const char *body)
{
	struct request r;

	make_request(&r, body);
	exchange(&r);
	request_free(&r);
}

static inline void serve_ok(int conn)
{
	while (read_request(conn))
		say(conn,
			"HTTP/1.1 200 OK\r\nX-Test:  yes \r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello");
}
