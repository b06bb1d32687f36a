/* The helper's whole run over a socket pair: one request, its frames, its exit status. */
#include "ocr/serve.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/fileio.h"
#include "base/frame.h"
#include "tests/unit/test.h"

struct run {
	struct frame_reader *reader;
	struct buf payload; /* of the frame `words` */
	char end[400];      /* the frame `end` as text */
	int words, width, height, status;
};

static struct buf page_load(void)
{
	struct buf b = {};
	char path[200];

	str_format(path, sizeof(path), "%socr/small.jpg", test_data());
	CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &b), 0);
	return b;
}

static void take_piece(struct run *r, const struct frame_piece *p, int part)
{
	_cleanup_buf_ struct buf text = {};

	if (part == FRAME_DATA)
		CHECK_INT(buf_add(&r->payload, p->data, p->len), 0);
	if (part != FRAME_HEAD)
		return;
	if (streq(p->type, "words")) {
		r->words = json_get(p->head, "words")->valueint;
		r->width = json_get(p->head, "width")->valueint;
		r->height = json_get(p->head, "height")->valueint;
	}
	if (streq(p->type, "end")) {
		CHECK_INT(json_print(p->head, false, &text), 0);
		str_copy(r->end, sizeof(r->end), buf_str(&text));
	}
}

/* The request must fit the socket's buffer, for both ends are ours. */
static struct run serve_with(const char *head, const struct buf *page)
{
	struct run r = {};
	int fd[2], part = 0, size = 1 << 20;
	char piece[4096];
	ssize_t n;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	CHECK_INT(write_all(fd[0], head, strlen(head)), 0);
	if (page)
		CHECK_INT(write_all(fd[0], page->data, page->len), 0);
	shutdown(fd[0], SHUT_WR);
	r.status = serve(fd[1], fd[1], NULL);
	close(fd[1]);
	CHECK_INT(frame_reader_new(&r.reader), 0);
	while ((n = read(fd[0], piece, sizeof(piece))) > 0) {
		struct frame_piece p;

		CHECK_INT(frame_reader_feed(r.reader, piece, (size_t)n), 0);
		while ((part = frame_reader_next(r.reader, &p)) > FRAME_NONE)
			take_piece(&r, &p, part);
		CHECK_INT(part, FRAME_NONE);
	}
	close(fd[0]);
	frame_reader_free(r.reader);
	return r;
}

static struct run serve_page_as(const char *language, int64_t max_pixels, size_t cut)
{
	struct buf page = page_load();
	char head[200];
	struct run r;

	page.len -= cut;
	str_format(head, sizeof(head),
		"{\"type\":\"request\",\"verb\":\"ocr\",\"language\":\"%s\",\"max_pixels\":%lld,\"bytes\":%"
		"zu}\n",
		language, (long long)max_pixels, page.len);
	r = serve_with(head, &page);
	buf_free(&page);
	return r;
}

static bool has_word(const cJSON *words, const char *text)
{
	const cJSON *w;

	cJSON_ArrayForEach (w, words)
		if (json_get_string(w, "t") && streq(json_get_string(w, "t"), text))
			return true;
	return false;
}

TEST(a_page_becomes_words)
{
	static const char *const want[] = {"TAX", "INVOICE", "Description", "Qty", "Amount", "Copper", "pipe",
		"2", "$50.00", "Safety", "14", "$140.00", "1", "$90.00"};
	struct run r = serve_page_as("eng", 1000000, 0);
	cJSON *words;

	CHECK_STR(r.end, "{\"type\":\"end\",\"ok\":true}");
	CHECK_INT(r.status, 0);
	CHECK_INT(r.width, 800);
	CHECK_INT(r.height, 420);
	CHECK_INT(json_parse(r.payload.data, r.payload.len, &words, NULL), 0);
	CHECK_INT(cJSON_GetArraySize(words), r.words);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (!has_word(words, want[i]))
			test_fail(__FILE__, __LINE__, "%s was not read", want[i]);
	cJSON_Delete(words);
	buf_free(&r.payload);
}

static void check_reason(const struct run *r, const char *reason)
{
	char want[80];

	CHECK_INT(r->status, 1);
	CHECK_INT((int64_t)r->payload.len, 0);
	str_format(want, sizeof(want), "{\"type\":\"end\",\"ok\":false,\"reason\":\"%s\",", reason);
	if (!starts_with(r->end, want))
		test_fail(__FILE__, __LINE__, "got %s, want %s", r->end, want);
}

TEST(pages_that_cannot_be_read)
{
	struct run r = serve_page_as("eng", 1000, 0);

	check_reason(&r, "too-large");
	r = serve_page_as("eng", 1000000, 500);
	check_reason(&r, "truncated");
	r = serve_with("{\"type\":\"request\",\"verb\":\"ocr\",\"bytes\":4}\n",
		&(struct buf){.data = (char[]){"abcd"}, .len = 4});
	check_reason(&r, "not-an-image");
	r = serve_with("{\"type\":\"request\",\"verb\":\"ocr\"}\n", NULL);
	check_reason(&r, "not-an-image");
	r = serve_with("{\"type\":\"request\",\"verb\":\"ocr\",\"bytes\":99999999}\n", NULL);
	check_reason(&r, "too-large");
}

TEST(languages)
{
	struct run r = serve_page_as("nosuch", 1000000, 0);

	check_reason(&r, "language");
	CHECK(strstr(r.end, "tesseract-ocr-"));
	r = serve_page_as("../../eng", 1000000, 0);
	check_reason(&r, "language");
	r = serve_page_as("", 1000000, 0);
	check_reason(&r, "language");
}

TEST(requests_that_are_none)
{
	static const char *const heads[] = {"", "garbage\n", "{\"type\":\"request\",\"verb\":\"scan\"}\n",
		"{\"type\":\"other\"}\n",
		"{\"type\":\"request\",\"verb\":\"ocr\",\"max_pixels\":\"x\",\"bytes\":1}\na",
		"{\"type\":\"request\",\"verb\":\"ocr\",\"max_pixels\":0,\"bytes\":1}\na",
		"{\"type\":\"request\",\"verb\":\"ocr\",\"bytes\":100}\ncut off"};

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct run r = serve_with(heads[i], NULL);

		check_reason(&r, "request");
	}
}
