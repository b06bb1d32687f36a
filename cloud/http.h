/*
 * The one HTTP transport: libcurl's multi interface, driven by the caller's loop. No redirects, no proxy unless
 * configured, TLS always verified, every timeout set, the reply capped. http.c and http_tls.c alone include libcurl.
 */
#pragma once

#include "extract/extractor.h"

struct http;
struct http_transfer;

#define HTTP_READ  1u
#define HTTP_WRITE 2u

/* What the transport asks of the loop. */
struct http_loop {
	/* Watch fd for `events` (HTTP_READ | HTTP_WRITE; 0: no longer). Report with http_socket_ready(). */
	int (*watch)(void *ud, int fd, unsigned int events);
	/* Call http_timer() once after ms milliseconds; -1 disarms. */
	int (*timer)(void *ud, int64_t ms);
	/* boottime, for reply.sent_ms */
	int64_t (*now_ms)(void *ud);
	void *ud;
};

struct http_options {
	const char *proxy;      /* URL; NULL: none, and the environment's is ignored */
	const char *user_agent;
};

/* The reply is borrowed for the time of the call. It is safe to start or cancel transfers from inside. */
typedef void (*http_done_fn)(void *ud, const struct reply *reply);

int http_new(const struct http_loop *loop, const struct http_options *o, struct http **ret);
void http_free(struct http *h); /* cancels what is running, without calling back */
/* Starts it; req (and its descriptors) must stay until done or cancelled. done is called exactly once, never from inside
 * this call. 0 or negative errno (then done is not called). */
int http_send(struct http *h, const struct request *req, http_done_fn done, void *ud, struct http_transfer **ret);
/* Ends it without calling done. */
void http_cancel(struct http_transfer *t);
void http_socket_ready(struct http *h, int fd, unsigned int events);
void http_timer(struct http *h);
