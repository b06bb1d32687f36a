/*
 * Running helpers: fork+exec with a socket pair, PR_SET_PDEATHSIG and a deadline, or a connection to the socket of a
 * systemd unit; the same framing. A helper is finished when its stream has ended and (if ours) it was reaped. SIGCHLD must
 * be blocked in the process.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/frame.h"
#include "extract/extractor.h"

struct helper;

struct helper_options {
	const char *program;  /* path for fork+exec, or NULL */
	const char *socket;   /* path of a listening socket, or NULL */
	const char *name;     /* for logs: "capture" */
	int64_t timeout_ms;   /* whole run; then SIGKILL / the connection is closed */
};

/* A piece of the helper's output, "end" included. Return 0, or negative errno to end the helper (it is then reported as that error). */
typedef int (*helper_frame_fn)(void *ud, enum frame_part part, const struct frame_piece *piece);
/* Called exactly once: error 0 when an "end" frame with ok came and all is reaped. `why` for people. */
typedef void (*helper_done_fn)(void *ud, int error, const char *why);

/* Starts it and sends `head` (a request line, owned by the caller) with `fd` as a passed descriptor (-1: none; borrowed). */
int helper_start(sd_event *e, const struct helper_options *o, const cJSON *head, int fd, helper_frame_fn frame,
	helper_done_fn done, void *ud, struct helper **ret);
/* Starts it with a request's segments as input and collects its whole output (at most req->max_reply) into a reply, as
 * the transport does for HTTP. */
typedef void (*helper_reply_fn)(void *ud, const struct reply *reply);
int helper_send(sd_event *e, const struct helper_options *o, const struct request *req, helper_reply_fn done, void *ud,
	struct helper **ret);
/* The same, and takes what comes out as frames. `req` is borrowed until the end. */
int helper_convert(sd_event *e, const struct helper_options *o, const struct request *req, helper_frame_fn frame,
	helper_done_fn done, void *ud, struct helper **ret);
/* Another request frame for one that waits for it, with a deadline and `ud` of its own. 0, or negative errno: it is gone. */
int helper_next(struct helper *h, const cJSON *head, int64_t timeout_ms, void *ud);
/* The deadline is this far off again. */
int helper_extend(struct helper *h, int64_t timeout_ms);
/* Kills it without calling back; it is reaped when it is gone, which nobody waits for. NULL is fine. */
void helper_cancel(struct helper *h);
