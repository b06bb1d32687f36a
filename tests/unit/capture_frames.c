/* The helper as its daemon sees it: a request on a socket, frames back, read with base/frame.h. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "base/frame.h"
#include "capture/helper.h"
#include "tests/unit/capture_make.h"

struct answer {
	unsigned int pages, rejects, ends;
	struct buf jpeg;
	char order[512]; /* one letter a frame: p d e r E */
	char reason[64], name[64];
	char verdict[32]; /* "" unless page sense was asked for */
	int64_t width, height;
	bool ok, hash_ok;
	int status; /* of the helper's process */
};

static void answer_free(struct answer *a)
{
	buf_free(&a->jpeg);
}
#define _cleanup_answer_ _cleanup_(answer_free)

static void note(struct answer *a, char c)
{
	size_t n = strlen(a->order);

	if (n + 1 < sizeof(a->order))
		a->order[n] = c;
}

static void keep_text(const cJSON *head, const char *name, char *out, size_t size)
{
	const char *s = json_get_string(head, name);

	CHECK(s);
	str_copy(out, size, s);
}

static void on_head(struct answer *a, const struct frame_piece *p)
{
	if (streq(p->type, "page")) {
		note(a, 'p');
		buf_clear(&a->jpeg);
		keep_text(p->head, "name", a->name, sizeof(a->name));
		CHECK_INT(json_get_i64(p->head, "width", &a->width), 0);
		CHECK_INT(json_get_i64(p->head, "height", &a->height), 0);
		CHECK(json_get_object(json_get_object(p->head, "capture"), "ms"));
	} else if (streq(p->type, "data")) {
		CHECK(p->bytes > 0 && p->bytes <= 65536);
		CHECK(a->jpeg.len > 0 || p->bytes >= 20);
		note(a, 'd');
	} else if (streq(p->type, "page-end")) {
		char hex[SHA256_HEX_SIZE];
		int64_t total, ms;

		sha256_hex_of(a->jpeg.data, a->jpeg.len, hex);
		a->hash_ok = streq(json_get_string(p->head, "sha256"), hex);
		CHECK_INT(json_get_i64(p->head, "bytes_total", &total), 0);
		CHECK_INT(total, a->jpeg.len);
		CHECK_INT(json_get_i64(json_get_object(p->head, "ms"), "total", &ms), 0);
		if (json_get(p->head, "sense"))
			keep_text(json_get_object(json_get_object(p->head, "sense"), "gate"), "verdict", a->verdict,
				sizeof(a->verdict));
		a->pages++;
		note(a, 'e');
	} else if (streq(p->type, "reject")) {
		keep_text(p->head, "reason", a->reason, sizeof(a->reason));
		CHECK(json_get_string(p->head, "message"));
		a->rejects++;
		note(a, 'r');
	} else {
		CHECK_STR(p->type, "end");
		CHECK_INT(json_get_bool(p->head, "ok", &a->ok), 0);
		if (!a->ok)
			keep_text(p->head, "reason", a->reason, sizeof(a->reason));
		a->ends++;
		note(a, 'E');
	}
}

static void read_answer(int fd, struct answer *a)
{
	struct frame_reader *r = NULL;
	char chunk[5000];
	ssize_t n;

	CHECK_INT(frame_reader_new(&r), 0);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		struct frame_piece p;
		int part;

		CHECK_INT(frame_reader_feed(r, chunk, (size_t)n), 0);
		while ((part = frame_reader_next(r, &p)) != FRAME_NONE) {
			CHECK(part > 0);
			if (part == FRAME_HEAD)
				on_head(a, &p);
			if (part == FRAME_DATA)
				CHECK_INT(buf_add(&a->jpeg, p.data, p.len), 0);
		}
	}
	CHECK_INT(n, 0);
	frame_reader_free(r);
}

static pid_t start(int *ret_fd)
{
	int pair[2];
	pid_t pid;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		signal(SIGPIPE, SIG_IGN);
		_exit(helper_main(pair[1], pair[1]) < 0 ? 3 : 0);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}

/* Sends `line` with a passed descriptor (or -1) and a payload, reads everything. */
static void ask(const char *line, int passed, const struct buf *payload, struct answer *ret)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec v = {(void *)line, strlen(line)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int fd, status;
	pid_t pid = start(&fd);

	if (passed >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)&control;

		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		c->cmsg_len = CMSG_LEN(sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	CHECK_INT(sendmsg(fd, &m, MSG_NOSIGNAL), strlen(line));
	if (payload)
		CHECK_INT(write_all(fd, payload->data, payload->len), 0);
	read_answer(fd, ret);
	close(fd);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	ret->status = WEXITSTATUS(status);
	CHECK_INT(ret->ends, 1);
	CHECK(ret->order[strlen(ret->order) - 1] == 'E');
}

static int memfile(const void *data, size_t len)
{
	int fd = memfd_create("page", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, data, len), 0);
	return fd; /* its position is at the end: the helper must not mind */
}

static void put_file(const char *folder, const char *name, const void *data, size_t len)
{
	char path[512];
	int fd;

	str_format(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, data, len), 0);
	close(fd);
}

TEST(ingest_a_passed_file)
{
	_cleanup_pic_ struct pic in = pic_page(900, 700, 3), out = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_answer_ struct answer a = {};
	int fd;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2, .quality = 99}, &jpeg);
	fd = memfile(jpeg.data, jpeg.len);
	ask("{\"type\":\"request\",\"verb\":\"ingest\",\"name\":\"my "
	    "page.jpg\",\"max_side\":800,\"quality\":99}\n",
		fd, NULL, &a);
	close(fd);
	CHECK(a.ok);
	CHECK_INT(a.status, 0);
	CHECK_INT(a.pages, 1);
	CHECK(a.hash_ok);
	CHECK_STR(a.name, "my page.jpg");
	CHECK(a.order[1] == 'd' && a.order[2] == 'd'); /* larger than one piece */
	out = read_jpeg(&a.jpeg, NULL, NULL);
	CHECK_INT(out.w, 800);
	CHECK_INT(out.h, a.height);
}

TEST(page_sense_when_it_is_asked_for)
{
	_cleanup_pic_ struct pic in = pic_page(900, 700, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_answer_ struct answer a = {}, b = {};
	int fd;

	make_jpeg(&in, (struct jpeg_make){.h = 2, .v = 2}, &jpeg);
	fd = memfile(jpeg.data, jpeg.len);
	ask("{\"type\":\"request\",\"verb\":\"ingest\",\"sense\":\"gate,blank\"}\n", fd, NULL, &a);
	CHECK(a.ok);
	CHECK_STR(a.verdict, "cut-off"); /* its writing fills the frame */
	ask("{\"type\":\"request\",\"verb\":\"ingest\",\"sense\":\"none\"}\n", fd, NULL, &b);
	CHECK(b.ok);
	CHECK_STR(b.verdict, "");
	close(fd);
}

TEST(ingest_refuses_what_is_no_file)
{
	_cleanup_answer_ struct answer a = {}, b = {}, c = {};
	int pair[2], fd = memfile("", 0);

	ask("{\"type\":\"request\",\"verb\":\"ingest\"}\n", -1, NULL, &a);
	CHECK(!a.ok);
	CHECK_STR(a.reason, "bad-request");
	CHECK_INT(pipe2(pair, O_CLOEXEC), 0);
	ask("{\"type\":\"request\",\"verb\":\"ingest\"}\n", pair[0], NULL, &b);
	CHECK(!b.ok);
	CHECK_STR(b.reason, "io");
	ask("{\"type\":\"request\",\"verb\":\"ingest\"}\n", fd, NULL, &c);
	CHECK(c.ok);
	CHECK_STR(c.order, "rE");
	CHECK_STR(c.reason, "empty");
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

TEST(transcode_a_payload)
{
	_cleanup_pic_ struct pic in = pic_corners(400, 300), out = {};
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_answer_ struct answer a = {};
	char line[256];

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	str_format(line, sizeof(line),
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[200,0,200,150],\"max_side\":100,"
		"\"bytes\":%zu}\n",
		jpeg.len);
	ask(line, -1, &jpeg, &a);
	CHECK(a.ok && a.hash_ok);
	out = read_jpeg(&a.jpeg, NULL, NULL);
	CHECK_INT(out.w, 100);
	CHECK_INT(out.h, 75);
	CHECK(near_colour(pic_at(&out, 50, 40), corner_colours[1], 10));
}

/* Seen on a picture of half the size; and on one that was cut out of this one, turned upside down. */
TEST(a_crop_that_was_seen_on_another_picture)
{
	static const struct {
		const char *members;
		uint32_t w, h;
		int colour;
	} cases[] = {
		{"\"crop\":[110,10,80,50],\"crop_of\":[200,150]", 160, 100, 1},
		{"\"crop\":[0,0,1,1],\"crop_of\":[40,30]", 10, 10, 0},
		{"\"crop\":[0,0,3,1],\"crop_of\":[3,3]", 400, 100, -1},
		{"\"crop\":[1,1,1,1],\"crop_of\":[3,3]", 134, 100, -1},
		{"\"crop\":[10,10,30,20],\"crop_of\":[100,50],\"quad\":[400,300,200,300,200,200,400,200]", 60, 40, 3},
		{"\"crop\":[0,0,100,50],\"crop_of\":[100,50],\"quad\":[-50,-20,150,-20,150,80,-50,80]", 150, 80, 0},
	};
	_cleanup_pic_ struct pic in = pic_corners(400, 300);
	_cleanup_buf_ struct buf jpeg = {};

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_answer_ struct answer a = {};
		_cleanup_pic_ struct pic out = {};
		char line[300];

		str_format(line, sizeof(line), "{\"type\":\"request\",\"verb\":\"transcode\",%s,\"bytes\":%zu}\n", cases[i].members, jpeg.len);
		ask(line, -1, &jpeg, &a);
		CHECK(a.ok && a.hash_ok);
		out = read_jpeg(&a.jpeg, NULL, NULL);
		CHECK_INT(out.w, cases[i].w);
		CHECK_INT(out.h, cases[i].h);
		if (cases[i].colour >= 0)
			CHECK(near_colour(pic_at(&out, out.w / 2, out.h / 2), corner_colours[cases[i].colour], 14));
	}
}

TEST(a_crop_that_is_elsewhere_is_refused)
{
	static const char request[] = "{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[0,0,10,10],\"crop_of\":[100,50],"
				      "\"quad\":[-200,0,-100,0,-100,100,-200,100],\"bytes\":%zu}\n";
	_cleanup_pic_ struct pic in = pic_corners(400, 300);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_answer_ struct answer a = {};
	char line[300];

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	str_format(line, sizeof(line), request, jpeg.len);
	ask(line, -1, &jpeg, &a);
	CHECK_INT(a.pages, 0);
	CHECK_STR(a.reason, "unsupported");
}

TEST(the_request_bounds_the_pixels)
{
	_cleanup_pic_ struct pic in = pic_corners(400, 300);
	_cleanup_buf_ struct buf jpeg = {};
	char line[256];

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	for (unsigned int more = 0; more <= 1; more++) {
		_cleanup_answer_ struct answer a = {};

		str_format(line, sizeof(line),
			"{\"type\":\"request\",\"verb\":\"transcode\",\"max_pixels\":%u,\"bytes\":%zu}\n", 119999 + more,
			jpeg.len);
		ask(line, -1, &jpeg, &a);
		CHECK(a.ok);
		CHECK_INT(a.pages, more);
		if (!more)
			CHECK_STR(a.reason, "too-large");
	}
}

/* A payload that is no picture is read to its end all the same, so that the connection is not reset under the
 * answer. */
TEST(a_bad_payload_is_drained)
{
	_cleanup_buf_ struct buf junk = {};
	_cleanup_answer_ struct answer a = {};
	void *p;

	CHECK_INT(buf_reserve(&junk, 3000000, &p), 0);
	memset(p, 'x', 3000000);
	junk.len = 3000000;
	ask("{\"type\":\"request\",\"verb\":\"transcode\",\"bytes\":3000000}\n", -1, &junk, &a);
	CHECK(a.ok);
	CHECK_STR(a.order, "rE");
	CHECK_STR(a.reason, "not-an-image");
}

TEST(scan_a_folder_with_bad_pages)
{
	const char *folder = test_tmpdir();
	_cleanup_pic_ struct pic in = pic_page(300, 200, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_answer_ struct answer a = {};
	char line[512];

	make_jpeg(&in, (struct jpeg_make){}, &jpeg);
	put_file(folder, "1.jpg", jpeg.data, jpeg.len);
	put_file(folder, "2.JPEG", jpeg.data, jpeg.len / 2);
	put_file(folder, "3.png", "", 0);
	put_file(folder, "4.jpg", jpeg.data, jpeg.len);
	put_file(folder, "4.json", "{}", 2);
	put_file(folder, ".5.jpg", jpeg.data, jpeg.len);
	str_format(line, sizeof(line), "%s/6.jpg", folder);
	CHECK_INT(mkdir(line, 0700), 0);
	str_format(line, sizeof(line), "{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"replay:%s\"}\n",
		folder);
	ask(line, -1, NULL, &a);
	CHECK(a.ok);
	CHECK_INT(a.pages, 2);
	CHECK_INT(a.rejects, 3);
	CHECK_STR(a.order, "pderrpderE");
	CHECK_STR(a.name, "4.jpg");
	CHECK_STR(a.reason, "io"); /* the folder named like a page */
}

/* A page whose damage shows only after its first piece was sent is taken back. */
TEST(a_late_reject_takes_the_page_back)
{
	_cleanup_pic_ struct pic in = pic_page(1800, 1800, 3);
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_answer_ struct answer a = {};
	int fd;

	make_jpeg(&in, (struct jpeg_make){.quality = 98}, &jpeg);
	fd = memfile(jpeg.data, jpeg.len - 1000);
	ask("{\"type\":\"request\",\"verb\":\"ingest\",\"quality\":98}\n", fd, NULL, &a);
	close(fd);
	CHECK(a.ok);
	CHECK_INT(a.pages, 0);
	CHECK_INT(a.rejects, 1);
	CHECK(a.order[0] == 'p');
	CHECK_STR(a.reason, "truncated");
}

TEST(bad_requests)
{
	static const char *const bad[] = {
		"{\"type\":\"page\"}\n",
		"{\"type\":\"request\",\"verb\":\"fly\"}\n",
		"{\"type\":\"request\"}\n",
		"{\"type\":\"request\",\"verb\":\"scan\"}\n",
		"{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"replay:/\",\"max_side\":0}\n",
		"{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"replay:/\",\"max_side\":\"big\"}\n",
		"{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"replay:/\",\"quality\":101}\n",
		"{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"replay:/\",\"max_pixels\":0}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,-4]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4.5]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop_of\":[10,10]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"quad\":[0,0,1,0,1,1,0,1]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"crop_of\":[0,9]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"crop_of\":[9]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"crop_of\":[1e9,9]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,9,4],\"crop_of\":[9,9]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"crop_of\":[9,9],\"quad\":[0,0,1,0,1,1,0]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"crop_of\":[9,9],\"quad\":[0,0,1,0,1,1,0,\"a\"]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"crop\":[1,2,3,4],\"crop_of\":[9,9],\"quad\":[0,0,9,9,9,0,0,9]}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"sense\":\"smell\"}\n",
		"{\"type\":\"request\",\"verb\":\"transcode\",\"sense\":true}\n",
		"not json\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_answer_ struct answer a = {};

		ask(bad[i], -1, NULL, &a);
		CHECK(!a.ok);
		CHECK_STR(a.reason, "bad-request");
		CHECK_STR(a.order, "E");
	}
}

TEST(no_such_source)
{
	_cleanup_answer_ struct answer a = {}, b = {};

	ask("{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"replay:/nonexistent/place\"}\n", -1, NULL,
		&a);
	CHECK(!a.ok);
	CHECK_STR(a.reason, "no-device");
	ask("{\"type\":\"request\",\"verb\":\"scan\",\"source\":\"escl:printer\"}\n", -1, NULL, &b);
	CHECK(!b.ok);
	CHECK_STR(b.reason, "no-device");
}

/* Whoever asked is gone: the helper ends by itself and says nothing. */
TEST(the_asker_goes_away)
{
	int fd, status;
	pid_t pid = start(&fd);

	close(fd);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 3);
}

/* Standard input and output may be pipes too. */
TEST(over_pipes)
{
	static const char line[] = "{\"type\":\"request\",\"verb\":\"fly\"}\n";
	int in[2], out[2], status;
	_cleanup_answer_ struct answer a = {};
	pid_t pid;

	CHECK_INT(pipe2(in, O_CLOEXEC), 0);
	CHECK_INT(pipe2(out, O_CLOEXEC), 0);
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(in[1]);
		_exit(helper_main(in[0], out[1]) < 0 ? 3 : 0);
	}
	close(in[0]);
	close(out[1]);
	CHECK_INT(write_all(in[1], line, sizeof(line) - 1), 0);
	read_answer(out[0], &a);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(WEXITSTATUS(status), 0);
	CHECK_STR(a.order, "E");
	close(in[1]);
	close(out[0]);
}
