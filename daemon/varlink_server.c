#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fileio.h"
#include "base/log.h"
#include "daemon/varlink.h"

#define READ_SIZE          ((size_t)16 << 10)
#define CALLS_PER_TURN     16                 /* of one connection, before others get their turn */
#define QUEUE_CALM         ((size_t)64 << 10) /* no further call is taken while more than this is queued */
#define GROUPS_MAX_PEER    65536              /* NGROUPS_MAX */
#define ACCEPT_INTERVAL_US 1000000
#define ACCEPT_BURST       128
#define FDS_PER_MESSAGE    8 /* looked at; one is kept, the rest closed. The kernel closes what does not fit */

struct varlink_conn {
	struct varlink_server *server; /* borrowed */
	void *ud;                      /* the owner's */
	sd_event_source *io;
	int fd;
	int passed_fd; /* came with a message that was not handled yet; -1: none */
	struct varlink_peer peer;
	struct buf in, out;
	uint32_t events; /* what epoll waits for */
	bool pending;    /* a call is being answered */
	bool oneway;     /* ... and its answers go nowhere */
	bool ended;      /* the peer writes no more */
	bool resume;     /* look for a next call from the deferred source */
	bool dead;       /* freed by the deferred source */
};

struct varlink_server {
	sd_event *event; /* referenced */
	const struct varlink_server_ops *ops;
	void *ud;
	sd_event_source *listen, *defer;
	struct varlink_conn *conns[VARLINK_CONNECTIONS_MAX]; /* owned; the first n */
	size_t n;
	bool full; /* refusals are logged once, until there is room again */
};

/* ---- connections --------------------------------------------------------------------------------------- */

static void later(struct varlink_server *s)
{
	sd_event_source_set_enabled(s->defer, SD_EVENT_ONESHOT);
}

void varlink_drop(struct varlink_conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	later(c->server);
}

static void close_passed(struct varlink_conn *c)
{
	closep(&c->passed_fd);
	c->passed_fd = -1;
}

static void conn_free(struct varlink_conn *c)
{
	if (!c)
		return;
	sd_event_source_disable_unref(c->io);
	closep(&c->fd);
	close_passed(c);
	free(c->peer.groups);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* What to wait for follows from the state alone: calls are read only when one can be handled. */
static void conn_watch(struct varlink_conn *c)
{
	uint32_t events = 0;

	if (c->dead)
		return;
	if (!c->pending && !c->resume && !c->ended && c->out.len <= QUEUE_CALM)
		events |= EPOLLIN;
	if (c->out.len)
		events |= EPOLLOUT;
	if (events == c->events)
		return;
	if (sd_event_source_set_io_events(c->io, events) < 0) {
		varlink_drop(c);
		return;
	}
	c->events = events;
}

/* Writes what the socket takes now. */
static void conn_flush(struct varlink_conn *c)
{
	while (c->out.len && !c->dead) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			varlink_drop(c);
			return;
		}
		buf_consume(&c->out, (size_t)n);
	}
	if (!c->out.len) {
		buf_free(&c->out);
		c->out.max = VARLINK_QUEUE_MAX;
	}
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void answer(
	struct varlink_conn *c, const char *error, const char *parameters, size_t len, bool continues)
{
	bool idle = !c->out.len;
	int r;

	if (c->dead || !c->pending)
		return;
	if (!c->oneway) {
		r = varlink_reply_format(&c->out, error, parameters, len, continues);
		if (r < 0) {
			log_warning("control socket: a client (uid %lld) does not read its answers: dropped",
				(long long)c->peer.uid);
			varlink_drop(c);
			return;
		}
		if (idle)
			conn_flush(c);
	}
	if (!continues) {
		c->pending = false;
		c->resume = true;
		later(c->server);
	}
	conn_watch(c);
}

void varlink_reply(struct varlink_conn *c, const char *parameters, size_t len, bool continues)
{
	answer(c, NULL, parameters, len, continues);
}

void varlink_error_take(struct varlink_conn *c, const char *error, cJSON *parameters)
{
	_cleanup_json_ cJSON *owned = parameters;
	_cleanup_buf_ struct buf text = {};

	if (owned && json_print(owned, false, &text) < 0)
		varlink_drop(c);
	else
		answer(c, error, owned ? buf_str(&text) : NULL, text.len, false);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static void handle_call(struct varlink_conn *c, const char *text, size_t len)
{
	struct varlink_call call;
	const char *why = NULL;
	int r;

	r = varlink_call_parse(text, len, &call, &why);
	if (r < 0) {
		log_debug("control socket: a client (uid %lld) is dropped: %s", (long long)c->peer.uid,
			why ? why : errno_text(r));
		varlink_drop(c);
		return;
	}
	c->pending = true;
	c->oneway = call.oneway;
	c->server->ops->call(c->server->ud, c, &call);
	varlink_call_clear(&call);
}

/* Handles calls that are there, one at a time and in order. */
static void conn_process(struct varlink_conn *c)
{
	c->resume = false;
	for (int turn = 0; !c->dead && !c->pending && c->out.len <= QUEUE_CALM; turn++) {
		ssize_t len = varlink_message(&c->in);

		if (len == -EAGAIN) {
			if (c->ended && !c->out.len)
				varlink_drop(c);
			break;
		}
		if (len < 0) {
			log_debug("control socket: a call of more than %zu bytes: dropped",
				VARLINK_MESSAGE_MAX);
			varlink_drop(c);
			break;
		}
		if (turn == CALLS_PER_TURN) {
			c->resume = true;
			later(c->server);
			break;
		}
		handle_call(c, c->in.data, (size_t)len);
		buf_consume(&c->in, (size_t)len + 1);
		/* A descriptor belongs to the last message that arrived with it at the latest. */
		if (!c->in.len)
			close_passed(c);
	}
	if (!c->in.len && !c->dead)
		buf_free(&c->in);
	conn_watch(c);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void keep_descriptors(struct varlink_conn *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->passed_fd < 0)
				c->passed_fd = fd;
			else
				close(fd);
		}
	}
}

/* One recvmsg(): the count, 0 at the end, or negative errno. */
static ssize_t conn_read(struct varlink_conn *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_PER_MESSAGE * sizeof(int))];
	} control;
	struct iovec iov = {
		.iov_len = MIN(READ_SIZE, VARLINK_MESSAGE_MAX + 1 - MIN(c->in.len, VARLINK_MESSAGE_MAX))};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;
	int r;

	r = buf_reserve(&c->in, iov.iov_len, &iov.iov_base);
	if (r < 0)
		return r;
	n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		r = -errno;
		buf_terminate(&c->in);
		return r;
	}
	c->in.len += (size_t)n;
	buf_terminate(&c->in);
	keep_descriptors(c, &m);
	return n;
}

static void conn_input(struct varlink_conn *c)
{
	ssize_t n = conn_read(c);

	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n < 0) {
		varlink_drop(c);
		return;
	}
	if (n == 0)
		c->ended = true;
	conn_process(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *ud)
{
	struct varlink_conn *c = ud;
	struct varlink_server *s = c->server;

	if (events & EPOLLOUT) {
		conn_flush(c);
		if (!c->dead && !c->out.len && s->ops->drained)
			s->ops->drained(s->ud, c);
	}
	if (events & EPOLLIN && !c->dead && !c->pending && !c->ended)
		conn_input(c);
	/* The peer is gone altogether (not only its writing end): nobody reads what is still to be said. */
	else if (events & (EPOLLHUP | EPOLLERR))
		varlink_drop(c);
	else if (!c->dead && !c->pending && events & EPOLLOUT)
		conn_process(c);
	conn_watch(c);
	return 0;
}

/* Frees dead connections and goes on with calls that waited for their turn. */
static int on_defer(sd_event_source *source, void *ud)
{
	struct varlink_server *s = ud;

	for (size_t i = 0; i < s->n;) {
		struct varlink_conn *c = s->conns[i];

		if (!c->dead && c->resume)
			conn_process(c);
		if (!c->dead) {
			i++;
			continue;
		}
		s->ops->closed(s->ud, c);
		s->conns[i] = s->conns[--s->n];
		s->full = false;
		conn_free(c);
	}
	return 0;
}

/* ---- accepting ----------------------------------------------------------------------------------------- */

bool varlink_peer_in_group(const struct varlink_peer *p, gid_t gid)
{
	if (p->gid == gid)
		return true;
	for (size_t i = 0; i < p->n_groups; i++)
		if (p->groups[i] == gid)
			return true;
	return false;
}

static int peer_read(int fd, struct varlink_peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret = (struct varlink_peer){.uid = cred.uid, .gid = cred.gid};
	len = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
		return 0; /* none */
	if (errno != ERANGE || len > GROUPS_MAX_PEER * sizeof(gid_t))
		return -errno;
	groups = malloc(len);
	if (!groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
		int r = -errno;

		free(groups);
		return r;
	}
	ret->groups = groups;
	ret->n_groups = len / sizeof(gid_t);
	return 0;
}

static bool has_room(const struct varlink_server *s, uid_t uid)
{
	size_t same = 0;

	for (size_t i = 0; i < s->n; i++)
		same += s->conns[i]->peer.uid == uid;
	return s->n < VARLINK_CONNECTIONS_MAX - (uid == 0 ? 0 : VARLINK_CONNECTIONS_ROOT) &&
	       same < VARLINK_CONNECTIONS_PER_UID;
}

int varlink_server_add_take(struct varlink_server *s, int fd, struct varlink_conn **ret)
{
	struct varlink_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->passed_fd = -1;
	c->in.max = VARLINK_MESSAGE_MAX + READ_SIZE;
	c->out.max = VARLINK_QUEUE_MAX;
	c->events = EPOLLIN;
	r = peer_read(fd, &c->peer);
	if (r >= 0 && !has_room(s, c->peer.uid))
		r = -EMFILE;
	if (r >= 0)
		r = fd_nonblock(fd, true);
	if (r >= 0)
		r = sd_event_add_io(s->event, &c->io, fd, c->events, on_io, c);
	if (r < 0) {
		conn_free(c);
		return r;
	}
	s->conns[s->n++] = c;
	if (ret)
		*ret = c;
	return 0;
}

static int on_listen(sd_event_source *source, int fd, uint32_t events, void *ud)
{
	struct varlink_server *s = ud;
	int conn, r;

	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && !s->full) {
			log_warning("control socket: cannot accept: %s", errno_text(-errno));
			s->full = true;
		}
		return 0;
	}
	r = varlink_server_add_take(s, conn, NULL);
	if (r < 0 && !s->full) {
		s->full = true;
		log_warning("control socket: a connection is refused: %s",
			r == -EMFILE ? "there are too many" : errno_text(r));
	}
	return 0;
}

int varlink_server_listen_take(struct varlink_server *s, int fd)
{
	int r = fd_nonblock(fd, true);

	if (r >= 0)
		r = sd_event_add_io(s->event, &s->listen, fd, EPOLLIN, on_listen, s);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(s->listen, true);
	/* Out of descriptors, accept() fails and the socket stays readable: the loop must not spin on it. */
	if (r >= 0)
		r = sd_event_source_set_ratelimit(s->listen, ACCEPT_INTERVAL_US, ACCEPT_BURST);
	if (r < 0) {
		bool owned = s->listen && sd_event_source_get_io_fd_own(s->listen) > 0;

		s->listen = sd_event_source_disable_unref(s->listen);
		if (!owned)
			close(fd);
	}
	return r;
}

int varlink_server_new(
	sd_event *e, const struct varlink_server_ops *ops, void *ud, struct varlink_server **ret)
{
	struct varlink_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->event = sd_event_ref(e);
	s->ops = ops;
	s->ud = ud;
	r = sd_event_add_defer(e, &s->defer, on_defer, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->defer, SD_EVENT_OFF);
	if (r < 0) {
		varlink_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void varlink_server_free(struct varlink_server *s)
{
	if (!s)
		return;
	sd_event_source_disable_unref(s->listen);
	sd_event_source_disable_unref(s->defer);
	for (size_t i = 0; i < s->n; i++) {
		s->ops->closed(s->ud, s->conns[i]);
		conn_free(s->conns[i]);
	}
	sd_event_unref(s->event);
	free(s);
}

int varlink_take_fd(struct varlink_conn *c)
{
	return c->passed_fd < 0 ? -ENODATA : take_fd(&c->passed_fd);
}

const struct varlink_peer *varlink_peer_of(const struct varlink_conn *c)
{
	return &c->peer;
}

size_t varlink_queued(const struct varlink_conn *c)
{
	return c->out.len;
}

void *varlink_userdata(const struct varlink_conn *c)
{
	return c->ud;
}

void varlink_set_userdata(struct varlink_conn *c, void *ud)
{
	c->ud = ud;
}
