/* The methods of io.pageferry over a real socket, with a real spool; intake and courier are stood in for
 * here. */
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/courier.h"
#include "daemon/intake.h"
#include "daemon/methods.h"
#include "tests/unit/daemon_fixture.h"

struct world {
	struct fixture f;
	struct service service;
	int fd; /* a client */
	char answer[200000];
};

/* ---- what stands in for the other parts ---------------------------------------------------------------- */

static struct {
	int error; /* of intake_start() */
	int starts, kicks;
	struct intake_request last;
	char name[256], type[33];
	off_t size; /* of the file that was passed */
} seen;

int intake_start(
	struct intake *i, const struct intake_request *r, uint64_t *ret_scan, char *why, size_t why_size)
{
	struct stat st = {};

	if (seen.error < 0) {
		str_copy(why, why_size, "no room here");
		return seen.error;
	}
	if (r->fd >= 0)
		fstat(r->fd, &st);
	seen.last = *r;
	seen.size = st.st_size;
	str_copy(seen.name, sizeof(seen.name), r->name ? r->name : "");
	str_copy(seen.type, sizeof(seen.type), r->type);
	*ret_scan = (uint64_t)++seen.starts;
	return 0;
}

void courier_kick(struct courier *c)
{
	seen.kicks++;
}

int courier_backends_json(const struct courier *c, cJSON *array)
{
	cJSON *backend = cJSON_CreateObject();

	json_add_string(backend, "name", "ocr");
	return cJSON_AddItemToArray(array, backend) ? 0 : -ENOMEM;
}

int courier_backend_json(const struct courier *c, const char *name, cJSON **ret)
{
	*ret = cJSON_CreateObject();
	return json_add_string(*ret, "name", name);
}

const char *event_kind_name(enum event_kind k)
{
	return k == EVENT_PAGE_ACCEPTED ? "page-accepted"
	       : k == EVENT_PAGE_DONE   ? "page-done"
	       : k == EVENT_SCAN_ENDED  ? "scan-ended"
	       : k == EVENT_PAGE_QUEUED ? "page-queued"
					: "other";
}

void service_event(struct service *s, const struct event *e)
{
	control_event(s->control, e);
}

/* ---- the world ----------------------------------------------------------------------------------------- */

static void connect_client(struct world *w)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	str_copy(a.sun_path, sizeof(a.sun_path), w->service.config.control_socket);
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(w->fd >= 0);
	CHECK_INT(connect(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static struct world *begin(void)
{
	struct world *w = calloc(1, sizeof(*w));
	struct service *s = &w->service;
	char why[256];

	memset(&seen, 0, sizeof(seen));
	fixture_begin(&w->f);
	s->clock = w->f.clock;
	s->spool = w->f.spool;
	s->types = w->f.types;
	s->courier = (struct courier *)&seen; /* never looked into */
	s->intake = (struct intake *)&seen;
	CHECK(sd_event_new(&s->event) >= 0);
	str_format(s->config.control_socket, sizeof(s->config.control_socket), "%s/control", test_tmpdir());
	str_copy(s->config.source, sizeof(s->config.source), "replay:/pages");
	str_copy(s->config.type, sizeof(s->config.type), "auto");
	CHECK_INT(control_new(s, &s->control, why, sizeof(why)), 0);
	connect_client(w);
	return w;
}

static void end(struct world *w)
{
	close(w->fd);
	control_free(w->service.control);
	sd_event_unref(w->service.event);
	fixture_end(&w->f);
	free(w);
}

static void turn(struct world *w)
{
	while (sd_event_run(w->service.event, 0) > 0)
		;
}

/* Everything that came, NULs as '|'. */
static const char *answers(struct world *w)
{
	size_t len = 0;
	ssize_t n;

	for (;;) {
		turn(w);
		n = recv(w->fd, w->answer + len, sizeof(w->answer) - 1 - len, MSG_DONTWAIT);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	for (size_t i = 0; i < len; i++)
		if (!w->answer[i])
			w->answer[i] = '|';
	w->answer[len] = 0;
	return w->answer;
}

static void say(struct world *w, const char *text)
{
	CHECK_INT(send(w->fd, text, strlen(text) + 1, MSG_NOSIGNAL), (int64_t)strlen(text) + 1);
}

static const char *ask(struct world *w, const char *text)
{
	say(w, text);
	return answers(w);
}

static void say_with_fd(struct world *w, const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text) + 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	CHECK_INT(sendmsg(w->fd, &m, MSG_NOSIGNAL), (int64_t)iov.iov_len);
}

#define CHECK_HAS(text, part)                                                                                \
	do {                                                                                                 \
		const char *_t = (text);                                                                     \
		if (!strstr(_t, part))                                                                       \
			test_fail(__FILE__, __LINE__, "no %s in: %.600s", part, _t);                         \
	} while (0)

/* Gives the page an answer, past the courier. */
static void answer_page(struct world *w, struct page_row *p)
{
	struct db *d = spool_db(w->f.spool);

	CHECK_INT(db_exec(d,
			  "INSERT INTO attempts (id, page, backend, opened_ms, opened_trust, reserved_pusd, "
			  "closed_ms, outcome, "
			  "billed, settled_pusd) VALUES (7, ?, 'sydney', 1, 'trusted', 9, 2, 'done', 'yes', "
			  "1230000000)",
			  "i", p->seq),
		0);
	CHECK_INT(db_exec(d,
			  "INSERT INTO results (page, version, attempt, authoritative, type, created_ms, "
			  "json, raw) "
			  "VALUES (?, 1, 7, 1, 'universal', 3, "
			  "'{\"fields\":{\"word\":{\"value\":\"secret\"}}}', 'r')",
			  "i", p->seq),
		0);
	CHECK_INT(db_exec(d, "UPDATE pages SET state = 'done', version = 1 WHERE seq = ?", "i", p->seq), 0);
	CHECK_INT(spool_page_get(w->f.spool, p->seq, p), 0);
}

/* ---- org.varlink.service, dispatch --------------------------------------------------------------------- */

TEST(introspection)
{
	struct world *w = begin();

	CHECK_HAS(ask(w, "{\"method\":\"org.varlink.service.GetInfo\"}"),
		"\"interfaces\":[\"org.varlink.service\",\"io.pageferry\"]");
	CHECK_HAS(w->answer, "\"product\":\"pageferryd\"");
	CHECK_HAS(ask(w, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
			 "\"interface\":\"io.pageferry\"}}"),
		"interface io.pageferry\\n");
	for (const struct method *m = methods; m->name; m++) {
		char line[64];

		str_format(line, sizeof(line), "\\nmethod %s(", m->name);
		CHECK_HAS(w->answer, line);
		for (const struct param *p = m->params; p->name; p++)
			CHECK_HAS(w->answer, p->name);
	}
	CHECK_HAS(ask(w, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
			 "\"interface\":\"x.y\"}}"),
		"{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x.y\"}"
		"}");
	end(w);
}

TEST(wrong_calls)
{
	static const struct {
		const char *call, *answer;
	} wrong[] = {
		{"{\"method\":\"x.y.Z\"}",
			"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x.y\"}"},
		{"{\"method\":\"io.pageferry.Nothing\"}",
			"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"io.pageferry."
			"Nothing"},
		{"{\"method\":\"Status\"}", "MethodNotFound"},
		{"{\"method\":\"io.pageferry.Status\",\"parameters\":{\"x\":1}}",
			"InvalidParameter\",\"parameters\":{\"parameter\":\"x\"}"},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":\"3\"}}",
			"\"parameter\":\"limit\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":201}}",
			"\"parameter\":\"limit\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":1.5}}",
			"\"parameter\":\"limit\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"state\":\"odd\"}}",
			"\"parameter\":\"state\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"before\":\"2030none\"}}", "NoSuchPage"},
		{"{\"method\":\"io.pageferry.Show\"}", "\"parameter\":\"page\""},
		{"{\"method\":\"io.pageferry.Show\",\"parameters\":{\"page\":\"2031\"}}",
			"NoSuchPage\",\"parameters\":{\"page\":\"2031\"}"},
		{"{\"method\":\"io.pageferry.Monitor\"}", "org.varlink.service.ExpectedMore"},
		{"{\"method\":\"io.pageferry.Monitor\",\"more\":true,\"parameters\":{\"pages\":[1]}}",
			"\"parameter\":\"pages\""},
		{"{\"method\":\"io.pageferry.Status\",\"upgrade\":true}", "MethodNotImplemented"},
		{"{\"method\":\"io.pageferry.Retry\"}", "\"parameter\":\"pages\""},
		{"{\"method\":\"io.pageferry.Scan\",\"parameters\":{\"source\":\"replay:/etc\"}}",
			"NoSuchSource"},
		{"{\"method\":\"io.pageferry.Scan\",\"parameters\":{\"type\":\"odd\"}}",
			"NoSuchType\",\"parameters\":{\"known\":[\"auto\",\"universal\"],\"type\":\"odd\"}"},
		{"{\"method\":\"io.pageferry.Submit\",\"parameters\":{\"file\":0}}", "BadDescriptor"},
	};
	struct world *w = begin();

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK_HAS(ask(w, wrong[i].call), wrong[i].answer);
	CHECK_INT(seen.starts, 0);
	end(w);
}

TEST(rights)
{
	const gid_t look = 4000001, manage = 4000002, more[] = {7, manage};
	const unsigned int all = RIGHT_LOOK | RIGHT_READ | RIGHT_SUBMIT | RIGHT_MANAGE;
	struct control c = {.look = look, .manage = manage};

	CHECK_INT(control_rights(&c, &(struct varlink_peer){.uid = 0, .gid = 5}), all);
	CHECK_INT(control_rights(&c, &(struct varlink_peer){.uid = geteuid(), .gid = 5}), all);
	CHECK_INT(control_rights(&c, &(struct varlink_peer){.uid = 4000, .gid = 5}), 0);
	CHECK_INT(control_rights(&c, &(struct varlink_peer){.uid = 4000, .gid = look}),
		RIGHT_LOOK | RIGHT_READ | RIGHT_SUBMIT);
	CHECK_INT(control_rights(&c, &(struct varlink_peer){.uid = 4000, .gid = manage}), all);
	CHECK_INT(control_rights(&c,
			  &(struct varlink_peer){
				  .uid = 4000, .gid = 5, .groups = (gid_t *)more, .n_groups = 2}),
		all);
	/* Without the groups on the system nobody else may do anything, not even a peer whose group is -1. */
	c.look = c.manage = (gid_t)-1;
	CHECK_INT(control_rights(&c, &(struct varlink_peer){.uid = 4000, .gid = (gid_t)-1}), 0);
}

/* ---- Status, List, Show -------------------------------------------------------------------------------- */

TEST(status)
{
	struct world *w = begin();
	struct page_row p;

	fixture_page(&w->f, &p);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Status\"}"),
		"\"counts\":{\"queued\":1,\"provisional\":0,");
	CHECK_HAS(w->answer, "\"room\":true");
	CHECK_HAS(w->answer, "\"backends\":[{\"name\":\"ocr\"}]");
	CHECK_HAS(w->answer, "\"lights\":{\"captured\":");
	CHECK_HAS(w->answer, "\"spentPicoUsd\":\"0\"");
	end(w);
}

TEST(list_in_portions)
{
	struct world *w = begin();
	struct page_row p[3];
	char call[160];

	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.List\"}"),
		"{\"parameters\":{\"pages\":[],\"more\":false}}|");
	for (size_t i = 0; i < 3; i++)
		fixture_page(&w->f, &p[i]);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":2,\"state\":null}}"),
		"\"more\":true");
	CHECK(strstr(w->answer, p[2].id) < strstr(w->answer, p[1].id));
	CHECK(!strstr(w->answer, p[0].id));
	str_format(call, sizeof(call),
		"{\"method\":\"io.pageferry.List\",\"parameters\":{\"before\":\"%s\"}}", p[1].id);
	CHECK_HAS(ask(w, call), p[0].id);
	CHECK_HAS(w->answer, "\"more\":false");
	CHECK(!strstr(w->answer, p[1].id));
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.List\",\"parameters\":{\"state\":\"held\"}}"),
		"\"pages\":[]");
	end(w);
}

TEST(show)
{
	struct world *w = begin();
	struct page_row p, q;
	char call[160];

	fixture_page(&w->f, &p);
	answer_page(w, &p);
	str_format(call, sizeof(call), "{\"method\":\"io.pageferry.Show\",\"parameters\":{\"page\":\"%s\"}}",
		p.id);
	CHECK_HAS(ask(w, call), "\"state\":\"done\"");
	CHECK_HAS(w->answer, "\"backend\":\"sydney\",\"costPicoUsd\":\"1230000000\"");
	CHECK_HAS(w->answer, "\"secret\"");
	CHECK_HAS(w->answer, "\"accepted\":\"2030-01-02T03:04:05.000Z\"");
	fixture_page(&w->f, &q);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Show\",\"parameters\":{\"page\":\"2030\"}}"),
		"io.pageferry.Ambiguous");
	end(w);
}

/* What a page's row holds is not trusted to be UTF-8; what is sent is. */
TEST(strings_are_utf8)
{
	struct world *w = begin();
	struct page_row p;

	fixture_page(&w->f, &p);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET name = ? WHERE seq = ?", "si",
			  "a\xff\033[2Jb", p.seq),
		0);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.List\"}"), p.id);
	CHECK(utf8_valid(w->answer, strlen(w->answer)));
	end(w);
}

/* ---- Scan, Submit -------------------------------------------------------------------------------------- */

static void accepted(struct world *w, uint64_t scan, struct page_row *p)
{
	fixture_page(&w->f, p);
	service_event(&w->service, &(struct event){.kind = EVENT_PAGE_ACCEPTED, .page = p, .scan = scan});
}

TEST(scan_with_more)
{
	struct world *w = begin();
	struct page_row p;
	char pages[64];

	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.Scan\",\"more\":true}"), "");
	CHECK_STR(seen.last.source, "replay:/pages");
	accepted(w, 99, &p); /* of another scan */
	CHECK_STR(answers(w), "");
	accepted(w, 1, &p);
	CHECK_HAS(answers(w), "{\"parameters\":{\"event\":{\"kind\":\"page-accepted\"");
	CHECK_HAS(w->answer, "},\"continues\":true}|");
	service_event(&w->service, &(struct event){.kind = EVENT_SCAN_ENDED, .scan = 1});
	str_format(pages, sizeof(pages), ",\"pages\":[\"%s\"]}}|", p.id);
	CHECK_HAS(answers(w), pages);
	CHECK_HAS(w->answer, "\"kind\":\"scan-ended\"");
	/* Its events are over. */
	accepted(w, 1, &p);
	CHECK_STR(answers(w), "");
	end(w);
}

TEST(scan_without_more)
{
	struct world *w = begin();
	struct page_row p;

	ask(w, "{\"method\":\"io.pageferry.Scan\"}");
	accepted(w, 1, &p);
	CHECK_STR(answers(w), "");
	/* A call behind it waits. */
	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.List\"}"), "");
	service_event(&w->service,
		&(struct event){.kind = EVENT_SCAN_ENDED, .scan = 1, .reason = "io", .message = "it broke"});
	CHECK_HAS(answers(w), "\"reason\":\"io\",\"message\":\"it broke\"},\"pages\":[\"");
	CHECK_HAS(w->answer, "|{\"parameters\":{\"pages\":[{");
	end(w);
}

TEST(submit)
{
	struct world *w = begin();
	char path[256];
	int fd;

	fixture_put("", "file", "0123456789", 10);
	fixture_path(path, "", "file", "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	say_with_fd(w,
		"{\"method\":\"io.pageferry.Submit\",\"parameters\":{\"file\":0,\"name\":\"a\\u001b["
		"2J\\u202e.jpg\","
		"\"type\":\"universal\",\"lane\":\"backlog\"}}",
		fd);
	CHECK_STR(answers(w), "");
	close(fd);
	CHECK_INT(seen.starts, 1);
	CHECK_INT(seen.size, 10);
	CHECK_INT(seen.last.lane, LANE_BACKLOG);
	CHECK_INT(seen.last.owner, geteuid());
	CHECK_STR(seen.type, "universal");
	CHECK(!strchr(seen.name, '\033') && utf8_valid(seen.name, strlen(seen.name)));
	end(w);
}

static const char *submit_fd(struct world *w, int fd, const char *index)
{
	char call[100];

	str_format(call, sizeof(call), "{\"method\":\"io.pageferry.Submit\",\"parameters\":{\"file\":%s}}",
		index);
	say_with_fd(w, call, fd);
	close(fd);
	return answers(w);
}

TEST(submit_wrong_descriptors)
{
	struct world *w = begin();
	int pipes[2];
	char path[256];

	fixture_put("", "file", "x", 1);
	fixture_path(path, "", "file", "");
	CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
	CHECK_HAS(submit_fd(w, pipes[0], "0"), "BadDescriptor");
	close(pipes[1]);
	CHECK_HAS(submit_fd(w, open("/dev/zero", O_RDONLY | O_CLOEXEC), "0"), "no regular file");
	CHECK_HAS(submit_fd(w, open(test_tmpdir(), O_RDONLY | O_CLOEXEC), "0"), "no regular file");
	CHECK_HAS(submit_fd(w, open(path, O_WRONLY | O_CLOEXEC), "0"), "not open for reading");
	CHECK_HAS(submit_fd(w, open(path, O_PATH | O_CLOEXEC), "0"), "BadDescriptor");
	CHECK_HAS(submit_fd(w, open(path, O_RDONLY | O_CLOEXEC), "1"), "BadDescriptor");
	CHECK_INT(seen.starts, 0);
	end(w);
}

TEST(refusals)
{
	static const struct {
		int error;
		const char *answer;
	} refusals[] = {{-ENOSPC, "io.pageferry.NoRoom\",\"parameters\":{\"reason\":\"full\",\"message\":"
				  "\"no room here\"}"},
		{-EROFS, "\"reason\":\"read-only\""},
		{-EBUSY, "io.pageferry.Busy\",\"parameters\":{\"message\":\"no room here\"}"},
		{-ENOENT, "io.pageferry.NoSuchType"}, {-ESHUTDOWN, "io.pageferry.NotNow"}};
	struct world *w = begin();

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		seen.error = refusals[i].error;
		CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Scan\",\"more\":true}"), refusals[i].answer);
	}
	w->service.stopping = true;
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Scan\"}"), "io.pageferry.NotNow");
	end(w);
}

/* A client that is another user, of the group that may look and submit, or of none. */
static void connect_as(struct world *w, id_t id, bool in_group)
{
	if (geteuid() != 0)
		test_skip("needs root, to be somebody else");
	close(w->fd);
	CHECK_INT(chmod(test_tmpdir(), 0755), 0);
	CHECK_INT(chmod(w->service.config.control_socket, 0666), 0);
	if (in_group)
		w->service.control->look = id;
	CHECK(setegid(id) == 0 && seteuid(id) == 0);
	connect_client(w);
	CHECK(seteuid(0) == 0 && setegid(0) == 0);
}

TEST(strangers_may_only_introspect)
{
	struct world *w = begin();

	connect_as(w, 4242, false);
	for (const struct method *m = methods; m->name; m++) {
		char call[100];

		str_format(call, sizeof(call), "{\"method\":\"io.pageferry.%s\",\"more\":true}", m->name);
		CHECK_HAS(ask(w, call), "{\"error\":\"io.pageferry.NotAllowed\",\"parameters\":{\"right\":\"");
	}
	CHECK_HAS(ask(w, "{\"method\":\"org.varlink.service.GetInfo\"}"), "pageferryd");
	CHECK_INT(seen.starts, 0);
	end(w);
}

TEST(a_share_for_each_user)
{
	struct world *w = begin();
	struct spool_meta m = fixture_meta(&w->f);
	struct page_row p;

	connect_as(w, 4242, true);
	m.owner = 4242;
	for (int i = 0; i < QUOTA_PAGES; i++)
		CHECK_INT(fixture_try(&w->f, &m, &p), 0);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Scan\",\"more\":true}"), "io.pageferry.Busy");
	CHECK_INT(spool_page_hold(w->f.spool, p.seq, "x"), 0);
	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.Scan\",\"more\":true}"), "");
	CHECK_INT(seen.starts, 1);
	CHECK_INT(seen.last.owner, 4242);
	end(w);
}

/* ---- Monitor ------------------------------------------------------------------------------------------- */

TEST(monitor_with_fields)
{
	struct world *w = begin();
	struct page_row p;

	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.Monitor\",\"more\":true}"), "");
	fixture_page(&w->f, &p);
	answer_page(w, &p);
	service_event(&w->service, &(struct event){.kind = EVENT_PAGE_DONE, .page = &p, .backend = "sydney"});
	CHECK_HAS(answers(w),
		",\"result\":{\"fields\":{\"word\":{\"value\":\"secret\"}}}}},\"continues\":true}|");
	CHECK_HAS(w->answer, "\"backend\":{\"name\":\"sydney\"}");
	/* A reader of states alone gets no fields. */
	w->service.control->pending->rights = RIGHT_LOOK;
	service_event(&w->service, &(struct event){.kind = EVENT_PAGE_DONE, .page = &p});
	CHECK_HAS(answers(w), "page-done");
	CHECK(!strstr(w->answer, "secret"));
	end(w);
}

TEST(monitor_of_some_pages)
{
	struct world *w = begin();
	struct page_row p[2];
	char call[160];

	fixture_page(&w->f, &p[0]);
	fixture_page(&w->f, &p[1]);
	str_format(call, sizeof(call),
		"{\"method\":\"io.pageferry.Monitor\",\"more\":true,\"parameters\":{\"pages\":[\"%s\"]}}",
		p[1].id);
	ask(w, call);
	service_event(&w->service, &(struct event){.kind = EVENT_PAGE_QUEUED, .page = &p[0]});
	service_event(&w->service, &(struct event){.kind = EVENT_LIGHTS});
	CHECK_STR(answers(w), "");
	service_event(&w->service, &(struct event){.kind = EVENT_PAGE_QUEUED, .page = &p[1]});
	CHECK_HAS(answers(w), p[1].id);
	end(w);
}

/* A monitor that does not read loses events and is told so; it is not dropped. */
TEST(monitor_that_does_not_read)
{
	struct world *w = begin();
	struct page_row p;
	static char all[8 << 20];
	size_t len = 0;
	ssize_t n;

	ask(w, "{\"method\":\"io.pageferry.Monitor\",\"more\":true}");
	fixture_page(&w->f, &p);
	for (int i = 0; i < 3000; i++)
		service_event(&w->service, &(struct event){.kind = EVENT_PAGE_QUEUED, .page = &p});
	do {
		turn(w);
		n = recv(w->fd, all + len, sizeof(all) - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	CHECK(len < sizeof(all) - 1);
	CHECK(memmem(all, len, "\"kind\":\"lost\"", 13));
	service_event(&w->service, &(struct event){.kind = EVENT_PAGE_QUEUED, .page = &p});
	CHECK_HAS(answers(w), "page-queued");
	end(w);
}

/* ---- Retry --------------------------------------------------------------------------------------------- */

TEST(retry)
{
	struct world *w = begin();
	struct page_row p[3];
	char call[160];

	for (size_t i = 0; i < 3; i++)
		fixture_page(&w->f, &p[i]);
	CHECK_INT(spool_page_hold(w->f.spool, p[0].seq, "tries"), 0);
	answer_page(w, &p[1]);
	str_format(call, sizeof(call),
		"{\"method\":\"io.pageferry.Retry\",\"parameters\":{\"pages\":[\"%s\"]}}", p[1].id);
	CHECK_HAS(ask(w, call), "io.pageferry.NotNow");
	str_format(call, sizeof(call),
		"{\"method\":\"io.pageferry.Retry\",\"parameters\":{\"pages\":[\"%s\",\"%s\"]}}", p[0].id,
		p[2].id);
	ask(w, call);
	str_format(call, sizeof(call), "{\"parameters\":{\"pages\":[\"%s\",\"%s\"]}}|", p[0].id, p[2].id);
	CHECK_STR(w->answer, call);
	CHECK_INT(seen.kicks, 1);
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM pages WHERE state = 'held'"), 0);
	end(w);
}

/* A page whose file is gone does not stop the others, and is told of when it was meant. */
TEST(retry_of_a_lost_page)
{
	struct world *w = begin();
	char call[160], file[PAGE_FILE_SIZE];
	struct page_row p[3];

	for (size_t i = 0; i < 3; i++) {
		fixture_page(&w->f, &p[i]);
		CHECK_INT(spool_page_hold(w->f.spool, p[i].seq, "lost: gone"), 0);
	}
	page_file_name(p[1].id, file);
	CHECK_INT(unlinkat(w->f.spool->pages, file, 0), 0);
	str_format(call, sizeof(call),
		"{\"method\":\"io.pageferry.Retry\",\"parameters\":{\"pages\":[\"%s\"]}}", p[1].id);
	ask(w, call);
	CHECK_HAS(w->answer, "io.pageferry.NotNow");
	CHECK_HAS(w->answer, "lost: gone");
	ask(w, "{\"method\":\"io.pageferry.Retry\",\"parameters\":{\"all\":true}}");
	str_format(call, sizeof(call), "{\"parameters\":{\"pages\":[\"%s\",\"%s\"]}}|", p[2].id, p[0].id);
	CHECK_STR(w->answer, call);
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM pages WHERE state = 'held'"), 1);
	end(w);
}

TEST(retry_all)
{
	struct world *w = begin();
	struct page_row p;

	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.Retry\",\"parameters\":{\"all\":true}}"),
		"{\"parameters\":{\"pages\":[]}}|");
	for (int i = 0; i < 30; i++) {
		fixture_page(&w->f, &p);
		CHECK_INT(spool_page_hold(w->f.spool, p.seq, "tries"), 0);
	}
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Retry\",\"parameters\":{\"all\":true}}"), p.id);
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM pages WHERE state = 'queued'"), 30);
	end(w);
}

/* ---- the socket ---------------------------------------------------------------------------------------- */

TEST(the_socket_is_ours_alone)
{
	struct world *w = begin();
	struct control *second = NULL;
	char why[256], path[256];
	struct stat st;

	CHECK_INT(stat(w->service.config.control_socket, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0660);
	CHECK_INT(control_new(&w->service, &second, why, sizeof(why)), -EADDRINUSE);
	CHECK_HAS(why, "cannot listen on ");
	CHECK_INT(stat(w->service.config.control_socket, &st), 0);
	end(w);
	/* What is no socket is not removed. */
	fixture_path(path, "", "other", "");
	fixture_put("", "other", "x", 1);
	w = begin();
	str_copy(w->service.config.control_socket, sizeof(w->service.config.control_socket), path);
	CHECK_INT(control_new(&w->service, &second, why, sizeof(why)), -EADDRINUSE);
	CHECK_INT(stat(path, &st), 0);
	end(w);
}

TEST(a_stale_socket_is_replaced)
{
	struct world *w = begin();
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct control *second = NULL;
	char why[256];
	struct stat st;
	int fd;

	str_format(a.sun_path, sizeof(a.sun_path), "%s/stale", test_tmpdir());
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	str_copy(w->service.config.control_socket, sizeof(w->service.config.control_socket), a.sun_path);
	CHECK_INT(control_new(&w->service, &second, why, sizeof(why)), 0);
	control_free(second);
	CHECK(stat(a.sun_path, &st) < 0);
	end(w);
}
