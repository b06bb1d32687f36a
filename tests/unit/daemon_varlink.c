#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "daemon/varlink.h"

/* ---- the wire ------------------------------------------------------------------------------------------ */

TEST(message_boundaries)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(varlink_message(&b), -EAGAIN);
	buf_adds(&b, "{\"method\"");
	CHECK_INT(varlink_message(&b), -EAGAIN);
	buf_add(&b, "x\0rest", 6);
	CHECK_INT(varlink_message(&b), 10);
	buf_consume(&b, 11);
	CHECK_INT(varlink_message(&b), -EAGAIN);
}

TEST(message_limit)
{
	_cleanup_buf_ struct buf b = {};

	for (size_t i = 0; i < VARLINK_MESSAGE_MAX; i++)
		buf_addc(&b, ' ');
	CHECK_INT(varlink_message(&b), -EAGAIN);
	buf_addc(&b, 0);
	CHECK_INT(varlink_message(&b), (int64_t)VARLINK_MESSAGE_MAX);
	b.data[b.len - 1] = ' ';
	CHECK_INT(varlink_message(&b), -EMSGSIZE);
}

static int parse(const char *text, struct varlink_call *call)
{
	const char *why = NULL;
	int r = varlink_call_parse(text, strlen(text), call, &why);

	CHECK(!why == (r >= 0));
	return r;
}

TEST(call_well_formed)
{
	struct varlink_call call;

	CHECK_INT(parse("{\"method\":\"a.b.C\",\"parameters\":{\"x\":1},\"more\":true}", &call), 0);
	CHECK_STR(call.method, "a.b.C");
	CHECK(call.more && !call.oneway && !call.upgrade);
	CHECK(json_get(call.parameters, "x"));
	varlink_call_clear(&call);
	CHECK_INT(
		parse("{\"method\":\"a.b.C\",\"parameters\":null,\"oneway\":true,\"more\":false}", &call), 0);
	CHECK(call.oneway && !call.parameters);
	varlink_call_clear(&call);
}

TEST(call_malformed)
{
	static const char *const bad[] = {"", "{", "[]", "\"x\"", "{}", "{\"method\":1}",
		"{\"method\":\"a.B\"} x", "{\"method\":\"a.B\",\"parameters\":[]}",
		"{\"method\":\"a.B\",\"parameters\":\"x\"}", "{\"method\":\"a.B\",\"more\":1}",
		"{\"method\":\"a.B\",\"oneway\":\"yes\"}",
		"{\"method\":\"a.B\",\"more\":true,\"oneway\":true}",
		"{\"method\":\"a.B\",\"method\":\"c.D\"}", "{\"method\":\"\xff\"}",
		"{\"method\":\"a\\u0000.B\"}"};
	struct varlink_call call;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &call) != -EBADMSG)
			test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
}

TEST(method_names)
{
	char interface[16];
	const char *name;

	CHECK_INT(varlink_method_split("io.pageferry.List", interface, sizeof(interface), &name), 0);
	CHECK_STR(interface, "io.pageferry");
	CHECK_STR(name, "List");
	CHECK(varlink_method_split("List", interface, sizeof(interface), &name) < 0);
	CHECK(varlink_method_split(".List", interface, sizeof(interface), &name) < 0);
	CHECK(varlink_method_split("io.pageferry.", interface, sizeof(interface), &name) < 0);
	CHECK(varlink_method_split("a.very.long.interface.X", interface, sizeof(interface), &name) < 0);
}

TEST(replies)
{
	_cleanup_buf_ struct buf b = BUF_MAX(100);

	CHECK_INT(varlink_reply_format(&b, NULL, "{\"a\":1}", 7, true), 0);
	CHECK_STR(buf_str(&b), "{\"parameters\":{\"a\":1},\"continues\":true}");
	CHECK_INT(b.len, (int64_t)strlen(b.data) + 1);
	buf_clear(&b);
	CHECK_INT(varlink_reply_format(&b, "x.Y", NULL, 0, false), 0);
	CHECK_STR(buf_str(&b), "{\"error\":\"x.Y\",\"parameters\":{}}");
	/* What does not fit leaves nothing behind. */
	CHECK_INT(varlink_reply_format(&b, NULL,
			  "{                                                                      }", 72,
			  false),
		-EMSGSIZE);
	CHECK_INT(b.len, 32);
}

/* ---- the server, over a socket pair -------------------------------------------------------------------- */

struct fixture {
	sd_event *event;
	struct varlink_server *server;
	struct varlink_conn *waiting; /* whose call "t.Wait" is not answered yet */
	int closed, drained, calls, last_fd;
};

static void on_call(void *ud, struct varlink_conn *c, const struct varlink_call *call)
{
	struct fixture *f = ud;

	f->calls++;
	if (streq(call->method, "t.Echo")) {
		_cleanup_buf_ struct buf b = {};

		json_print(call->parameters, false, &b);
		varlink_reply(c, b.len ? buf_str(&b) : NULL, b.len, false);
	} else if (streq(call->method, "t.Wait")) {
		f->waiting = c;
	} else if (streq(call->method, "t.Take")) {
		f->last_fd = varlink_take_fd(c);
		varlink_reply(c, NULL, 0, false);
	} else {
		varlink_error_take(c, "t.Unknown", NULL);
	}
}

static void on_closed(void *ud, struct varlink_conn *c)
{
	struct fixture *f = ud;

	f->closed++;
	if (f->waiting == c)
		f->waiting = NULL;
}

static void on_drained(void *ud, struct varlink_conn *c)
{
	((struct fixture *)ud)->drained++;
}

static const struct varlink_server_ops ops = {.call = on_call, .closed = on_closed, .drained = on_drained};

static void no_log(
	enum log_level level, const char *id, const struct log_field *fields, size_t n, const char *text)
{
}

static void setup(struct fixture *f)
{
	*f = (struct fixture){.last_fd = -1};
	log_set_sink(no_log);
	CHECK(sd_event_new(&f->event) >= 0);
	CHECK_INT(varlink_server_new(f->event, &ops, f, &f->server), 0);
}

static void teardown(struct fixture *f)
{
	varlink_server_free(f->server);
	sd_event_unref(f->event);
}

static int connect_pair(struct fixture *f, struct varlink_conn **conn)
{
	int pair[2];

	test_needs_peer_groups();
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CHECK_INT(varlink_server_add_take(f->server, pair[0], conn), 0);
	return pair[1];
}

/* Runs the loop until nothing is left to do. */
static void turn(struct fixture *f)
{
	while (sd_event_run(f->event, 0) > 0)
		;
}

static void send_text(int fd, const char *text, size_t len)
{
	CHECK_INT(send(fd, text, len, MSG_NOSIGNAL), (int64_t)len);
}

/* What came back, NULs shown as '|'. */
static const char *received(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN ? "(nothing)" : "(error)";
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = '|';
	text[n] = 0;
	return n ? text : "(end)";
}

#define CALL(s) s "\0", sizeof(s)

TEST(server_partial_and_pipelined)
{
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, "{\"method\":\"t.E", 14);
	turn(&f);
	CHECK_STR(received(fd), "(nothing)");
	send_text(
		fd, CALL("cho\"}\0{\"method\":\"t.Echo\",\"parameters\":{\"n\":2}}\0{\"method\":\"t.No\"}"));
	turn(&f);
	CHECK_STR(received(fd), "{\"parameters\":{}}|{\"parameters\":{\"n\":2}}|{\"error\":\"t.Unknown\","
				"\"parameters\":{}}|");
	CHECK_INT(f.calls, 3);
	close(fd);
	turn(&f);
	CHECK_INT(f.closed, 1);
	teardown(&f);
}

TEST(server_answers_in_order)
{
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, CALL("{\"method\":\"t.Wait\",\"more\":true}\0{\"method\":\"t.Echo\"}"));
	turn(&f);
	CHECK_INT(f.calls, 1);
	CHECK(f.waiting);
	varlink_reply(f.waiting, "{\"i\":1}", 7, true);
	turn(&f);
	CHECK_INT(f.calls, 1);
	varlink_reply(f.waiting, NULL, 0, false);
	turn(&f);
	CHECK_INT(f.calls, 2);
	CHECK_STR(received(fd),
		"{\"parameters\":{\"i\":1},\"continues\":true}|{\"parameters\":{}}|{\"parameters\":{}}|");
	close(fd);
	teardown(&f);
}

TEST(server_many_pipelined)
{
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	for (int i = 0; i < 200; i++)
		send_text(fd, CALL("{\"method\":\"t.Echo\"}"));
	turn(&f);
	CHECK_INT(f.calls, 200);
	close(fd);
	teardown(&f);
}

TEST(server_oneway_is_not_answered)
{
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, CALL("{\"method\":\"t.Echo\",\"oneway\":true}\0{\"method\":\"t.No\",\"oneway\":true}\0{"
			   "\"method\":\"t.Echo\"}"));
	turn(&f);
	CHECK_INT(f.calls, 3);
	CHECK_STR(received(fd), "{\"parameters\":{}}|");
	close(fd);
	teardown(&f);
}

/* Calls that were sent before the connection ended are heard. */
TEST(server_half_closed)
{
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, CALL("{\"method\":\"t.Echo\"}"));
	shutdown(fd, SHUT_WR);
	turn(&f);
	CHECK_STR(received(fd), "{\"parameters\":{}}|");
	CHECK_STR(received(fd), "(end)");
	CHECK_INT(f.closed, 1);
	close(fd);
	teardown(&f);
}

TEST(server_drops_nonsense)
{
	static char large[VARLINK_MESSAGE_MAX + 2];
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, CALL("GET / HTTP/1.1"));
	turn(&f);
	CHECK_STR(received(fd), "(end)");
	close(fd);
	fd = connect_pair(&f, NULL);
	memset(large, ' ', sizeof(large));
	send_text(fd, large, sizeof(large));
	turn(&f);
	CHECK_INT(f.closed, 2);
	close(fd);
	teardown(&f);
}

TEST(server_drops_a_reader_that_does_not_read)
{
	static char params[60000];
	struct fixture f;
	int fd, told = 0;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, CALL("{\"method\":\"t.Wait\",\"more\":true}"));
	turn(&f);
	memset(params, ' ', sizeof(params));
	params[0] = '{';
	params[sizeof(params) - 1] = '}';
	for (; told < 1000 && f.waiting; told++) {
		varlink_reply(f.waiting, params, sizeof(params), true);
		turn(&f);
		CHECK(!f.waiting || varlink_queued(f.waiting) <= VARLINK_QUEUE_MAX);
	}
	CHECK(told > 10 && told < 1000);
	CHECK_INT(f.closed, 1);
	close(fd);
	teardown(&f);
}

TEST(server_tells_when_drained)
{
	static char params[30000], sink[1 << 20];
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, NULL);
	send_text(fd, CALL("{\"method\":\"t.Wait\",\"more\":true}"));
	turn(&f);
	memset(params, ' ', sizeof(params));
	params[0] = '{';
	params[sizeof(params) - 1] = '}';
	for (int i = 0; i < 20; i++)
		varlink_reply(f.waiting, params, sizeof(params), true);
	CHECK(varlink_queued(f.waiting) > 0);
	CHECK_INT(f.drained, 0);
	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		turn(&f);
	CHECK_INT(f.drained, 1);
	CHECK_INT((int64_t)varlink_queued(f.waiting), 0);
	close(fd);
	turn(&f);
	CHECK_INT(f.closed, 1);
	teardown(&f);
}

TEST(server_limits_connections)
{
	struct varlink_conn *conn;
	int fds[VARLINK_CONNECTIONS_PER_UID], pair[2];
	struct fixture f;

	setup(&f);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_pair(&f, NULL);
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CHECK_INT(varlink_server_add_take(f.server, pair[0], &conn), -EMFILE);
	CHECK_STR(received(pair[1]), "(end)");
	close(pair[1]);
	close(fds[0]);
	turn(&f);
	fds[0] = connect_pair(&f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	turn(&f);
	CHECK_INT(f.closed, (int)ARRAY_SIZE(fds) + 1);
	teardown(&f);
}

TEST(server_knows_its_peer)
{
	struct varlink_conn *conn;
	struct fixture f;
	int fd;

	setup(&f);
	fd = connect_pair(&f, &conn);
	CHECK_INT(varlink_peer_of(conn)->uid, geteuid());
	CHECK(varlink_peer_in_group(varlink_peer_of(conn), getegid()));
	CHECK(!varlink_peer_in_group(varlink_peer_of(conn), 4000000000u));
	close(fd);
	teardown(&f);
}

/* ---- descriptors --------------------------------------------------------------------------------------- */

static void send_fds(int fd, const char *text, size_t len, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(16 * sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	CHECK_INT(sendmsg(fd, &m, MSG_NOSIGNAL), (int64_t)len);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(descriptor_comes_with_its_message)
{
	struct fixture f;
	int fd, one, before;

	setup(&f);
	fd = connect_pair(&f, NULL);
	one = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = open_descriptors();
	/* The first call has none; both may arrive in one read. */
	send_text(fd, CALL("{\"method\":\"t.Echo\"}"));
	send_fds(fd, CALL("{\"method\":\"t.Take\"}"), &one, 1);
	turn(&f);
	CHECK(f.last_fd >= 0);
	CHECK(fcntl(f.last_fd, F_GETFD) & FD_CLOEXEC);
	close(f.last_fd);
	send_text(fd, CALL("{\"method\":\"t.Take\"}"));
	turn(&f);
	CHECK_INT(f.last_fd, -ENODATA);
	CHECK_INT(open_descriptors(), before);
	close(fd);
	close(one);
	teardown(&f);
}

TEST(descriptors_too_many_or_unwanted_are_closed)
{
	int fds[12], fd, before;
	struct fixture f;

	setup(&f);
	fd = connect_pair(&f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = open_descriptors();
	send_fds(fd, CALL("{\"method\":\"t.Take\"}"), fds, ARRAY_SIZE(fds));
	turn(&f);
	CHECK(f.last_fd >= 0);
	close(f.last_fd);
	CHECK_INT(open_descriptors(), before);
	send_fds(fd, CALL("{\"method\":\"t.Echo\"}"), fds, 2);
	turn(&f);
	CHECK_INT(open_descriptors(), before);
	/* With a message that never ends, until the peer leaves. */
	send_fds(fd, "{", 1, fds, 1);
	turn(&f);
	CHECK_INT(open_descriptors(), before + 1);
	close(fd);
	turn(&f);
	CHECK_INT(open_descriptors(), before - 2);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	teardown(&f);
}
