/*
 * A varlink client for one call at a time on an AF_UNIX stream. Waiting is poll() with a deadline.
 * Source: varlink.org, "Protocol".
 */
#pragma once

#include "base/json.h"

struct client;

struct client_reply {
	cJSON *json;             /* owned: the whole message */
	const char *error;       /* borrowed; NULL: a success */
	const cJSON *parameters; /* borrowed; may be NULL */
	bool continues;
};
void client_reply_clear(struct client_reply *r);

int client_connect(const char *path, struct client **ret);
/* Speaks over a connected socket (taken). */
int client_new_take(int fd, struct client **ret);
void client_free(struct client *c); /* NULL is fine */
int client_fd(const struct client *c);

/* Sends a call; takes `parameters` (NULL: none). `fd` is passed with it (-1: none; borrowed). */
int client_send_take(struct client *c, const char *method, cJSON *parameters, bool more, int fd);
/* Reads what is there without waiting: 1, 0 (nothing) or negative errno (-ECONNRESET: the service closed it).
 */
int client_read(struct client *c);
/* The next reply among what was read: 1 (clear it), 0 (not all there), -EBADMSG (no varlink), -EMSGSIZE,
 * -ENOMEM. */
int client_next(struct client *c, struct client_reply *ret);
/* Waits for a reply until the deadline (boottime ms, -1: for ever). 0, -ETIMEDOUT, or as above. */
int client_wait(struct client *c, int64_t deadline_ms, struct client_reply *ret);
/* Boottime in ms, for deadlines and durations. */
int64_t client_now_ms(void);
