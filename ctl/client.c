#include "ctl/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define READ_SIZE   ((size_t)64 << 10)
#define MESSAGE_MAX ((size_t)16 << 20) /* far above what the service sends */

struct client {
	int fd;
	struct buf in;
};

void client_reply_clear(struct client_reply *r)
{
	cJSON_Delete(r->json);
	*r = (struct client_reply){};
}

int64_t client_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int client_new_take(int fd, struct client **ret)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->in.max = MESSAGE_MAX;
	*ret = c;
	return 0;
}

int client_connect(const char *path, struct client **ret)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (str_copy(a.sun_path, sizeof(a.sun_path), path) < 0)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return client_new_take(take_fd(&fd), ret);
}

void client_free(struct client *c)
{
	if (!c)
		return;
	close(c->fd);
	buf_free(&c->in);
	free(c);
}

int client_fd(const struct client *c)
{
	return c->fd;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static int call_text(const char *method, cJSON *parameters, bool more, struct buf *out)
{
	_cleanup_json_ cJSON *call = cJSON_CreateObject();
	int r = call ? 0 : -ENOMEM;

	if (r >= 0)
		r = json_add_string(call, "method", method);
	if (r < 0) {
		cJSON_Delete(parameters);
		return r;
	}
	if (parameters)
		r = json_add_take(call, "parameters", parameters);
	if (r >= 0 && more)
		r = json_add_bool(call, "more", true);
	if (r >= 0)
		r = json_print(call, false, out);
	return r < 0 ? r : buf_addc(out, 0);
}

/* The descriptor goes with the first byte. */
static ssize_t send_some(int fd, const char *data, size_t len, int passed)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (char *)data, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (passed >= 0) {
		struct cmsghdr *h;

		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &passed, sizeof(int));
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int client_send_take(struct client *c, const char *method, cJSON *parameters, bool more, int fd)
{
	_cleanup_buf_ struct buf text = {};
	int r = call_text(method, parameters, more, &text);

	if (r < 0)
		return r;
	for (size_t at = 0; at < text.len;) {
		ssize_t n = send_some(c->fd, text.data + at, text.len - at, at ? -1 : fd);

		if (n < 0)
			return (int)n;
		at += (size_t)n;
	}
	return 0;
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

int client_read(struct client *c)
{
	void *to;
	ssize_t n;
	int r;

	r = buf_reserve(&c->in, READ_SIZE, &to);
	if (r < 0)
		return r;
	do
		n = recv(c->fd, to, READ_SIZE, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	r = n < 0 ? -errno : n == 0 ? -ECONNRESET : 1;
	if (n > 0)
		c->in.len += (size_t)n;
	buf_terminate(&c->in);
	return r == -EAGAIN ? 0 : r;
}

static int reply_parse(const char *text, size_t len, struct client_reply *ret)
{
	struct client_reply reply = {};
	const cJSON *error;
	int r;

	r = json_parse(text, len, &reply.json, NULL);
	if (r < 0)
		return r;
	error = json_get(reply.json, "error");
	reply.error = json_get_string(reply.json, "error");
	if (!cJSON_IsObject(reply.json) || (error && !reply.error)) {
		client_reply_clear(&reply);
		return -EBADMSG;
	}
	reply.parameters = json_get_object(reply.json, "parameters");
	reply.continues = cJSON_IsTrue(json_get(reply.json, "continues"));
	*ret = reply;
	return 0;
}

int client_next(struct client *c, struct client_reply *ret)
{
	const char *end = c->in.len ? memchr(c->in.data, 0, c->in.len) : NULL;
	size_t len = end ? (size_t)(end - c->in.data) : 0;
	int r;

	if (!end)
		return 0;
	r = reply_parse(c->in.data, len, ret);
	buf_consume(&c->in, len + 1);
	return r < 0 ? r : 1;
}

int client_wait(struct client *c, int64_t deadline_ms, struct client_reply *ret)
{
	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		int64_t left = deadline_ms < 0 ? -1 : MAX(deadline_ms - client_now_ms(), 0);
		int r = client_next(c, ret);

		if (r != 0)
			return r < 0 ? r : 0;
		r = poll(&p, 1, (int)MIN(left, 3600000));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && left == 0)
			return -ETIMEDOUT;
		r = r > 0 ? client_read(c) : 0;
		if (r < 0)
			return r;
	}
}
