#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "ctl/client.h"

static int pair(struct client **c)
{
	int fds[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	CHECK_INT(client_new_take(fds[0], c), 0);
	return fds[1];
}

static void say(int fd, const char *text, size_t len)
{
	CHECK_INT(send(fd, text, len, MSG_NOSIGNAL), (int64_t)len);
}

TEST(sends_a_call)
{
	struct client *c;
	char text[200] = "";
	int fd = pair(&c);
	cJSON *p = cJSON_CreateObject();

	json_add_i64(p, "limit", 3);
	CHECK_INT(client_send_take(c, "io.pageferry.List", p, true, -1), 0);
	CHECK(recv(fd, text, sizeof(text) - 1, 0) > 0);
	CHECK_STR(text, "{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":3},\"more\":true}");
	client_free(c);
	close(fd);
}

TEST(passes_a_descriptor)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char text[200];
	struct iovec iov = {text, sizeof(text)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC), passed;
	struct client *c;

	fd = pair(&c);
	CHECK_INT(client_send_take(c, "a.B", NULL, false, null), 0);
	CHECK(recvmsg(fd, &m, MSG_CMSG_CLOEXEC) > 0);
	CHECK_STR(text, "{\"method\":\"a.B\"}");
	CHECK(CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_RIGHTS);
	memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(passed));
	CHECK(fcntl(passed, F_GETFD) >= 0);
	close(passed);
	close(null);
	client_free(c);
	close(fd);
}

TEST(reads_replies_however_they_come)
{
	struct client_reply reply = {};
	struct client *c;
	int fd = pair(&c);

	say(fd, "{\"parameters\":{\"a\":1},\"cont", 27);
	CHECK_INT(client_wait(c, client_now_ms(), &reply), -ETIMEDOUT);
	say(fd, "inues\":true}\0{\"error\":\"x.Y\"}", 29);
	CHECK_INT(client_wait(c, -1, &reply), 0);
	CHECK(reply.continues && !reply.error && json_get(reply.parameters, "a"));
	client_reply_clear(&reply);
	CHECK_INT(client_next(c, &reply), 1);
	CHECK_STR(reply.error, "x.Y");
	CHECK(!reply.continues && !reply.parameters);
	client_reply_clear(&reply);
	CHECK_INT(client_next(c, &reply), 0);
	close(fd);
	CHECK_INT(client_wait(c, -1, &reply), -ECONNRESET);
	client_free(c);
}

TEST(refuses_what_is_no_reply)
{
	static const char *const bad[] = {"", "x", "[]", "{\"error\":5}", "{} {}"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct client_reply reply = {};
		struct client *c;
		int fd = pair(&c);

		say(fd, bad[i], strlen(bad[i]) + 1);
		CHECK_INT(client_wait(c, -1, &reply), -EBADMSG);
		client_free(c);
		close(fd);
	}
}

TEST(cannot_connect)
{
	struct client *c;
	char path[300];

	str_format(path, sizeof(path), "%s/none", test_tmpdir());
	CHECK_INT(client_connect(path, &c), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	CHECK_INT(client_connect(path, &c), -ENAMETOOLONG);
}
