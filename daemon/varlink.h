/*
 * Varlink, the service's side. First the wire, pure: messages cut from a byte stream, calls read, replies
 * written. Then a server on AF_UNIX streams: peers known by SO_PEERCRED, one descriptor a message by
 * SCM_RIGHTS, calls of a connection handled one at a time and in order, every queue bounded. It knows no
 * method: the owner answers calls. Source: varlink.org, "Protocol", "Service"; the interface
 * org.varlink.service.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/json.h"

/* ---- the wire ------------------------------------------------------------------------------------------ */

#define VARLINK_MESSAGE_MAX ((size_t)64 << 10) /* a call, without its NUL */

struct varlink_call {
	cJSON *json;             /* owned: the whole message */
	const char *method;      /* borrowed from json, as are the parameters */
	const cJSON *parameters; /* an object, or NULL when there are none */
	bool more, oneway, upgrade;
};

/* Length of the first whole message (its NUL not counted), -EAGAIN (not all there yet) or -EMSGSIZE. */
ssize_t varlink_message(const struct buf *in);
/* Reads one call. 0, -EBADMSG with a sentence in *ret_why (static), or -ENOMEM. */
int varlink_call_parse(const char *text, size_t len, struct varlink_call *ret, const char **ret_why);
void varlink_call_clear(struct varlink_call *call);
/* Is it INTERFACE.Method? Copies the interface (all before the last dot) and points at the method's name. */
int varlink_method_split(const char *method, char *interface, size_t size, const char **ret_name);
/* Appends a reply with its NUL. `parameters` is the text of an object (NULL: an empty one); `error` NULL: a
 * success. */
int varlink_reply_format(
	struct buf *out, const char *error, const char *parameters, size_t len, bool continues);

/* ---- the server ---------------------------------------------------------------------------------------- */

#define VARLINK_CONNECTIONS_MAX     64
#define VARLINK_CONNECTIONS_PER_UID 16
#define VARLINK_CONNECTIONS_ROOT    4 /* of all, kept for root */
#define VARLINK_QUEUE_MAX                                                                                    \
	((size_t)1 << 20) /* bytes queued to a reader that does not read; then it is dropped */

struct varlink_server;
struct varlink_conn;

struct varlink_peer {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned; supplementary */
	size_t n_groups;
};
bool varlink_peer_in_group(const struct varlink_peer *p, gid_t gid);

struct varlink_server_ops {
	/* A call. It is answered with varlink_reply() or varlink_error_take(), now or later; until the answer that
	 * does not continue, the next call of this connection waits. `call` is borrowed for this call. */
	void (*call)(void *ud, struct varlink_conn *c, const struct varlink_call *call);
	/* The connection is about to be freed: forget it. Never from inside another function of the server.
	 */
	void (*closed)(void *ud, struct varlink_conn *c);
	/* Everything queued to this connection was taken. May be NULL. */
	void (*drained)(void *ud, struct varlink_conn *c);
};

int varlink_server_new(
	sd_event *e, const struct varlink_server_ops *ops, void *ud, struct varlink_server **ret);
void varlink_server_free(struct varlink_server *s);
/* Accepts from a listening socket (taken, made non-blocking). */
int varlink_server_listen_take(struct varlink_server *s, int fd);
/* Serves one connected socket (taken, also on failure): what accept does, and tests. -EMFILE: over the
 * limits. */
int varlink_server_add_take(struct varlink_server *s, int fd, struct varlink_conn **ret);

/* Answers the call in progress. `parameters` as in varlink_reply_format(). With `continues` more answers
 * follow. A peer that does not take its answers is dropped, silently for the caller. */
void varlink_reply(struct varlink_conn *c, const char *parameters, size_t len, bool continues);
/* Takes `parameters` (may be NULL). */
void varlink_error_take(struct varlink_conn *c, const char *error, cJSON *parameters);
/* Drops the connection (soon, from the loop). */
void varlink_drop(struct varlink_conn *c);
/* The descriptor that came with the call in progress, now the caller's; -ENODATA if there is none. */
int varlink_take_fd(struct varlink_conn *c);
const struct varlink_peer *varlink_peer_of(const struct varlink_conn *c);
size_t varlink_queued(const struct varlink_conn *c);  /* bytes the peer has not taken yet */
void *varlink_userdata(const struct varlink_conn *c); /* the owner's, NULL at first */
void varlink_set_userdata(struct varlink_conn *c, void *ud);
