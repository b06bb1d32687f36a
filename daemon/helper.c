/* One run of a helper: what goes in, what comes out, the deadline, and the two ends (of the stream and of the process). */
#include "daemon/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"
#include "cloud/body.h"
#include "daemon/helper_process.h"
#include "daemon/loop.h"

#define PIECE_SIZE    ((size_t)64 << 10)
#define KILL_GRACE_MS 5000 /* a process that SIGKILL does not end in this time hangs in the kernel */

struct helper {
	sd_event *event;
	char name[32];
	int fd;      /* -1 once the stream has ended */
	pid_t pid;   /* 0: a unit's, not our child */
	sd_event_source *io, *child, *timer;

	/* what goes in */
	char out[PIECE_SIZE];
	size_t out_len, out_off;
	struct buf head;   /* the request line, sent before `body` */
	struct body *body; /* may be NULL */
	int pass_fd;       /* own duplicate; -1: none, or sent */
	bool out_done, sent;
	int64_t sent_ms;   /* boottime */

	/* what comes out: frames to `frame`, or everything into `reply` */
	struct frame_reader *reader;
	helper_frame_fn frame;
	helper_done_fn done;
	bool ended, ended_well;
	struct buf reply;
	helper_reply_fn reply_done;
	void *ud;

	bool reaped, killed, finishing;
	bool broken;       /* ended by a signal */
	int error;         /* first reason to end it; 0 */
	char why[200];
};

static void helper_free(struct helper *h)
{
	if (!h)
		return;
	sd_event_source_disable_unref(h->io);
	sd_event_source_disable_unref(h->timer);
	if (h->child && h->reaped)
		sd_event_source_disable_unref(h->child);
	else if (h->child) {
		/* The loop keeps the source and reaps the child whenever it goes. */
		sd_event_source_set_userdata(h->child, NULL);
		sd_event_source_set_floating(h->child, true);
		sd_event_source_unref(h->child);
	}
	if (h->fd >= 0)
		close(h->fd);
	if (h->pass_fd >= 0)
		close(h->pass_fd);
	frame_reader_free(h->reader);
	body_free(h->body);
	buf_free(&h->head);
	buf_free(&h->reply);
	sd_event_unref(h->event);
	free(h);
}

_printf_(3, 4)
static void note_error(struct helper *h, int error, const char *fmt, ...)
{
	va_list ap;

	if (h->error < 0)
		return;
	h->error = error;
	va_start(ap, fmt);
	vsnprintf(h->why, sizeof(h->why), fmt, ap); /* a message: may be cut */
	va_end(ap);
}

static int64_t now_ms(const struct helper *h)
{
	uint64_t us = 0;

	sd_event_now(h->event, CLOCK_BOOTTIME, &us);
	return (int64_t)(us / 1000);
}

static enum transport_error transport_error_of(const struct helper *h)
{
	switch (h->error) {
	case 0:
		return h->broken && h->reply.len == 0 ? TRANSPORT_BROKEN : TRANSPORT_OK;
	case -ETIMEDOUT:
		return TRANSPORT_TIMEOUT;
	case -EMSGSIZE:
		return TRANSPORT_TOO_LARGE;
	case -EPIPE:
		return TRANSPORT_BROKEN;
	default:
		return TRANSPORT_LOCAL;
	}
}

static void report_reply(struct helper *h)
{
	struct reply r = {
		.sent = h->sent,
		.body = buf_str(&h->reply),
		.len = h->reply.len,
		.sent_ms = h->sent_ms,
		.done_ms = now_ms(h),
	};

	r.error = transport_error_of(h);
	if (r.error != TRANSPORT_OK)
		text_safe_copy(r.detail, sizeof(r.detail), h->why);
	h->reply_done(h->ud, &r);
}

static void finish(struct helper *h)
{
	if (h->finishing)
		return;
	h->finishing = true;
	if (h->reply_done) {
		report_reply(h);
	} else {
		if (!h->ended)
			note_error(h, -EPIPE, "%s ended without saying so", h->name);
		h->done(h->ud, h->error, h->why);
	}
	helper_free(h);
}

static void finish_if_over(struct helper *h)
{
	if (h->fd < 0 && (h->pid == 0 || h->reaped))
		finish(h);
}

static void stream_end(struct helper *h)
{
	h->io = sd_event_source_disable_unref(h->io);
	if (h->fd >= 0)
		close(take_fd(&h->fd));
}

static int on_deadline(sd_event_source *source, uint64_t us, void *ud);

/* Ends it early; the callback comes when it is gone. */
static void stop(struct helper *h)
{
	stream_end(h);
	if (h->pid > 0 && !h->reaped && !h->killed) {
		kill(h->pid, SIGKILL);
		h->killed = true;
		if (loop_timer(h->event, &h->timer, KILL_GRACE_MS, on_deadline, h) < 0)
			log_error("%s: no timer for its end", h->name);
	}
}

static int on_deadline(sd_event_source *source, uint64_t us, void *ud)
{
	struct helper *h = ud;

	if (h->killed) {
		note_error(h, -ETIMEDOUT, "%s hangs in the kernel and cannot be killed", h->name);
		log_error("%s (process %d) hangs in the kernel; it is left behind", h->name, (int)h->pid);
		finish(h);
		return 0;
	}
	note_error(h, -ETIMEDOUT, "%s took too long and was ended", h->name);
	stop(h);
	finish_if_over(h);
	return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *ud)
{
	struct helper *h = ud;

	if (!h) {
		/* Left behind, gone now: the loop has reaped it and drops the source. */
		sd_event_source_set_floating(source, false);
		return 0;
	}
	h->reaped = true;
	if (si->si_code != CLD_EXITED) {
		h->broken = true;
		if (!h->killed)
			note_error(h, -EPIPE, "%s was killed by signal %d", h->name, si->si_status);
	} else if (si->si_status == 127) {
		note_error(h, -ENOEXEC, "%s could not be started", h->name);
	}
	finish_if_over(h);
	return 0;
}

/* ---- what comes out ------------------------------------------------------------------------------------------------------- */

static void note_end_frame(struct helper *h, const cJSON *head)
{
	const char *reason = json_get_string(head, "reason"), *message = json_get_string(head, "message");
	char safe_reason[48], safe_message[128];

	h->ended = true;
	if (json_get_bool(head, "ok", &h->ended_well) == 0 && h->ended_well)
		return;
	text_safe_copy(safe_reason, sizeof(safe_reason), reason ? reason : "failed");
	text_safe_copy(safe_message, sizeof(safe_message), message ? message : "no more is known");
	note_error(h, -EREMOTEIO, "%s: %s", safe_reason, safe_message);
}

static int take_frames(struct helper *h)
{
	struct frame_piece piece;
	int part, r;

	while ((part = frame_reader_next(h->reader, &piece)) > FRAME_NONE) {
		if (h->ended && part == FRAME_HEAD) {
			note_error(h, -EBADMSG, "%s goes on after its end", h->name);
			return -EBADMSG;
		}
		r = h->frame(h->ud, (enum frame_part)part, &piece);
		if (r < 0) {
			note_error(h, r, "%s", errno_text(r));
			return r;
		}
		if (part == FRAME_DONE && streq(piece.type, "end"))
			note_end_frame(h, piece.head);
	}
	if (part < 0)
		note_error(h, part, "%s: %s", h->name, frame_reader_error(h->reader));
	return part;
}

static int take_bytes(struct helper *h, const char *data, size_t len)
{
	int r;

	if (h->reader) {
		r = frame_reader_feed(h->reader, data, len);
		return r < 0 ? r : take_frames(h);
	}
	r = buf_add(&h->reply, data, len);
	if (r < 0)
		note_error(h, r, "%s", r == -EMSGSIZE ? "the answer is over its limit" : errno_text(r));
	return r;
}

static void readable(struct helper *h)
{
	char piece[PIECE_SIZE];
	ssize_t n;
	int r;

	do
		n = recv(h->fd, piece, sizeof(piece), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	/* A reset is an end too: it left with input of ours unread. */
	if (n <= 0) {
		stream_end(h);
		return;
	}
	r = take_bytes(h, piece, (size_t)n);
	if (r < 0) {
		note_error(h, r, "%s", errno_text(r));
		stop(h);
	}
}

/* ---- what goes in --------------------------------------------------------------------------------------------------------- */

/* 1: there is something to send, 0: all is sent, negative errno. */
static int fill_out(struct helper *h)
{
	ssize_t n = 0;

	if (h->out_off < h->out_len)
		return 1;
	h->out_off = h->out_len = 0;
	if (h->head.len > 0) {
		h->out_len = MIN(h->head.len, sizeof(h->out));
		memcpy(h->out, h->head.data, h->out_len);
		buf_consume(&h->head, h->out_len);
		return 1;
	}
	if (h->body)
		n = body_read(h->body, h->out, sizeof(h->out));
	if (n < 0)
		return (int)n;
	h->out_len = (size_t)n;
	return n > 0;
}

static int send_some(struct helper *h)
{
	ssize_t n = helper_transmit(h->fd, h->out + h->out_off, h->out_len - h->out_off, h->pass_fd);

	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return (int)n;
	if (h->pass_fd >= 0)
		close(take_fd(&h->pass_fd));
	if (!h->sent)
		h->sent_ms = now_ms(h);
	h->sent = true;
	h->out_off += (size_t)n;
	return 0;
}

static void writable(struct helper *h)
{
	int r = fill_out(h);

	if (r > 0)
		r = send_some(h);
	else if (r == 0)
		h->out_done = true;
	/* It reads no more: perhaps it has said why, so its output is still of interest. */
	if (r == -EPIPE || r == -ECONNRESET) {
		h->out_done = true;
		r = 0;
	}
	if (r < 0) {
		note_error(h, r, "what %s is asked cannot be sent: %s", h->name, errno_text(r));
		stop(h);
		return;
	}
	if (h->out_done)
		sd_event_source_set_io_events(h->io, EPOLLIN);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *ud)
{
	struct helper *h = ud;

	if (h->fd >= 0 && !h->out_done && (revents & EPOLLOUT))
		writable(h);
	if (h->fd >= 0 && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		readable(h);
	finish_if_over(h);
	return 0;
}

/* ---- start ---------------------------------------------------------------------------------------------------------------- */

static int open_stream(struct helper *h, const struct helper_options *o)
{
	int r;

	if (o->socket) {
		r = helper_connect(o->socket);
		if (r < 0)
			return r;
		h->fd = r;
		return 0;
	}
	r = helper_spawn(o->program, &h->fd, &h->pid);
	if (r < 0)
		return r;
	r = sd_event_add_child(h->event, &h->child, h->pid, WEXITED, on_child, h);
	if (r < 0) {
		/* Nobody would reap it else; it has only just started, so this wait is short. */
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
		h->reaped = true;
	}
	return r;
}

static int helper_new(sd_event *e, const struct helper_options *o, void *ud, struct helper **ret)
{
	struct helper *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->event = sd_event_ref(e);
	h->fd = h->pass_fd = -1;
	h->ud = ud;
	text_safe_copy(h->name, sizeof(h->name), o->name);
	*ret = h;
	return 0;
}

static int helper_go(struct helper *h, const struct helper_options *o)
{
	int r = open_stream(h, o);

	if (r >= 0)
		r = sd_event_add_io(h->event, &h->io, h->fd, EPOLLIN | EPOLLOUT, on_io, h);
	if (r >= 0)
		r = loop_timer(h->event, &h->timer, o->timeout_ms, on_deadline, h);
	return r < 0 ? r : 0;
}

int helper_start(sd_event *e, const struct helper_options *o, const cJSON *head, int fd, helper_frame_fn frame,
	helper_done_fn done, void *ud, struct helper **ret)
{
	struct helper *h;
	int r = helper_new(e, o, ud, &h);

	if (r < 0)
		return r;
	h->frame = frame;
	h->done = done;
	r = frame_format(head, 0, &h->head);
	if (r >= 0)
		r = frame_reader_new(&h->reader);
	if (r >= 0 && fd >= 0) {
		h->pass_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		r = h->pass_fd < 0 ? -errno : 0;
	}
	if (r >= 0)
		r = helper_go(h, o);
	if (r < 0) {
		helper_cancel(h);
		return r;
	}
	*ret = h;
	return 0;
}

int helper_send(sd_event *e, const struct helper_options *o, const struct request *req, helper_reply_fn done, void *ud,
	struct helper **ret)
{
	struct helper *h;
	int r = helper_new(e, o, ud, &h);

	if (r < 0)
		return r;
	h->reply_done = done;
	h->reply = BUF_MAX(req->max_reply);
	r = body_new(req, &h->body);
	if (r >= 0)
		r = helper_go(h, o);
	if (r < 0) {
		helper_cancel(h);
		return r;
	}
	*ret = h;
	return 0;
}

int helper_convert(sd_event *e, const struct helper_options *o, const struct request *req, helper_frame_fn frame,
	helper_done_fn done, void *ud, struct helper **ret)
{
	struct helper *h;
	int r = helper_new(e, o, ud, &h);

	if (r < 0)
		return r;
	h->frame = frame;
	h->done = done;
	r = body_new(req, &h->body);
	if (r >= 0)
		r = frame_reader_new(&h->reader);
	if (r >= 0)
		r = helper_go(h, o);
	if (r < 0) {
		helper_cancel(h);
		return r;
	}
	*ret = h;
	return 0;
}

int helper_next(struct helper *h, const cJSON *head, int64_t timeout_ms, void *ud)
{
	/* One that has just been started may not have its first request yet: this one goes behind it. */
	int r = h->fd < 0 || h->body ? -EPIPE : frame_format(head, 0, &h->head);

	if (r >= 0)
		r = helper_extend(h, timeout_ms);
	if (r >= 0)
		r = sd_event_source_set_io_events(h->io, EPOLLIN | EPOLLOUT);
	if (r < 0)
		return r;
	h->out_done = false;
	h->ud = ud;
	return 0;
}

int helper_extend(struct helper *h, int64_t timeout_ms)
{
	return loop_timer(h->event, &h->timer, timeout_ms, on_deadline, h);
}

void helper_cancel(struct helper *h)
{
	if (!h || h->finishing)
		return;
	if (h->pid > 0 && !h->reaped)
		kill(h->pid, SIGKILL);
	helper_free(h);
}
