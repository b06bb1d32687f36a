/* The methods of io.pageferry over a real socket, with a real spool; intake and courier are stood in for
 * here. */
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/ledger.h"
#include "daemon/courier.h"
#include "daemon/doctor.h"
#include "daemon/intake.h"
#include "daemon/scanner.h"
#include "daemon/upkeep.h"
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
	int64_t answering;
} seen;

int scanner_json(const struct scanner *c, cJSON *obj)
{
	return 0;
}

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

int upkeep_change_key(struct upkeep *u, char *why, size_t why_size)
{
	if (seen.error < 0)
		str_copy(why, why_size, "the key is elsewhere");
	return seen.error;
}

int64_t courier_answering(const struct courier *c, int64_t seq)
{
	return seen.answering;
}

bool courier_is_over_budget(const struct courier *c)
{
	return true;
}

const char *event_kind_name(enum event_kind k)
{
	return k == EVENT_PAGE_ACCEPTED  ? "page-accepted"
	       : k == EVENT_PAGE_DONE    ? "page-done"
	       : k == EVENT_SCAN_ENDED   ? "scan-ended"
	       : k == EVENT_PAGE_QUEUED  ? "page-queued"
	       : k == EVENT_PAGE_HELD    ? "page-held"
	       : k == EVENT_PAGE_DROPPED ? "page-dropped"
					 : "other";
}

void service_event(struct service *s, const struct event *e)
{
	control_event(s->control, e);
}

/* A section that answers at once, and one that asks somebody first. */
static struct doctor *asking;

static void examine_now(struct doctor *d, struct service *s)
{
	doctor_add(d, "now", FINDING_OK, NULL, "all is %s", "well");
	if (doctor_live(d))
		doctor_add(d, "now", FINDING_NOTE, NULL, "live");
}

static void examine_later(struct doctor *d, struct service *s)
{
	asking = d;
	doctor_hold(d);
}

const struct doctor_section doctor_sections[] = {{"now", examine_now}, {"later", examine_later}, {}};

static void answer_later(void)
{
	doctor_add(asking, "later", FINDING_PROBLEM, "mend it", "it is broken");
	doctor_release(asking);
	asking = NULL;
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

	test_needs_peer_groups();
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
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":\"3\"}}", "\"parameter\":\"limit\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":201}}", "\"parameter\":\"limit\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":1.5}}", "\"parameter\":\"limit\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"state\":\"odd\"}}}",
			"\"parameter\":\"state\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"stat\":\"held\"}}}",
			"\"parameter\":\"stat\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"lane\":\"slow\"}}}",
			"\"parameter\":\"lane\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"since\":\"noon\"}}}",
			"\"parameter\":\"since\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"until\":5}}}",
			"\"parameter\":\"until\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"reason\":\"\"}}}",
			"\"parameter\":\"reason\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":[]}}", "\"parameter\":\"filter\""},
		{"{\"method\":\"io.pageferry.Drop\",\"parameters\":{\"pages\":[\"2030\"]}}",
			"\"parameter\":\"reason\""},
		{"{\"method\":\"io.pageferry.Drop\",\"parameters\":{\"pages\":[\"2030\"],\"reason\":\"\"}}",
			"\"parameter\":\"reason\""},
		{"{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"pages\":[],\"filter\":{}}}",
			"\"parameter\":\"pages\""},
		{"{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"pages\":[],\"cursor\":\"0:1\"}}",
			"\"parameter\":\"pages\""},
		{"{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"filter\":{\"state\":\"done\"}}}",
			"\"parameter\":\"state\""},
		{"{\"method\":\"io.pageferry.Release\",\"parameters\":{\"filter\":{\"state\":\"queued\"}}}",
			"\"parameter\":\"state\""},
		{"{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"filter\":{},\"cursor\":\"2:1\"}}",
			"\"parameter\":\"cursor\""},
		{"{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"filter\":{},\"cursor\":\"0:-1\"}}",
			"\"parameter\":\"cursor\""},
		{"{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"filter\":{},\"cursor\":\"01\"}}",
			"\"parameter\":\"cursor\""},
		{"{\"method\":\"io.pageferry.List\",\"parameters\":{\"before\":\"2030none\"}}", "NoSuchPage"},
		{"{\"method\":\"io.pageferry.Show\"}", "\"parameter\":\"page\""},
		{"{\"method\":\"io.pageferry.Show\",\"parameters\":{\"page\":\"2031\"}}",
			"NoSuchPage\",\"parameters\":{\"page\":\"2031\"}"},
		{"{\"method\":\"io.pageferry.Monitor\"}", "org.varlink.service.ExpectedMore"},
		{"{\"method\":\"io.pageferry.Monitor\",\"more\":true,\"parameters\":{\"pages\":[1]}}",
			"\"parameter\":\"pages\""},
		{"{\"method\":\"io.pageferry.Status\",\"upgrade\":true}", "MethodNotImplemented"},
		{"{\"method\":\"io.pageferry.Retry\"}", "\"parameter\":\"pages\""},
		{"{\"method\":\"io.pageferry.Scan\",\"parameters\":{\"source\":\"replay:/etc\"}}", "NoSuchSource"},
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

TEST(status_tells_the_budget)
{
	struct world *w = begin();
	struct page_row p;
	struct attempt_open open = {.page = &p, .backend = "sydney", .body_sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", .reserved_pusd = 70};

	fixture_page(&w->f, &p);
	CHECK(!strstr(ask(w, "{\"method\":\"io.pageferry.Status\"}"), "\"budget\""));
	CHECK(ledger_open(w->f.spool, &open) > 0);
	w->service.config.budget = (struct budget_limits){.day_pusd = 100};
	w->service.config.over_budget = OVER_NEXT;
	/* 2030-01-02T03:04:05Z */
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Status\"}"),
		"\"budget\":{\"dayLimitPicoUsd\":\"100\",\"daySpentPicoUsd\":\"0\",\"monthSpentPicoUsd\":\"0\",\"reservedPicoUsd\":\"70\","
		"\"over\":true,\"whenOver\":\"next\",\"dayEndsInMs\":75355000}");
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
	str_format(call, sizeof(call), "\"more\":true,\"before\":\"%s\"}}|", p[1].id);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":2,\"filter\":{\"state\":null}}}"),
		call);
	CHECK(strstr(w->answer, p[2].id) < strstr(w->answer, p[1].id));
	CHECK(!strstr(w->answer, p[0].id));
	str_format(call, sizeof(call),
		"{\"method\":\"io.pageferry.List\",\"parameters\":{\"before\":\"%s\"}}", p[1].id);
	CHECK_HAS(ask(w, call), p[0].id);
	CHECK_HAS(w->answer, "\"more\":false}");
	CHECK(!strstr(w->answer, p[1].id));
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.List\",\"parameters\":{\"limit\":3}}"), "\"more\":false}");
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.List\",\"parameters\":{\"filter\":{\"state\":\"held\"}}}"),
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
	CHECK(!strstr(w->answer, "\"answering\""));
	seen.answering = 512;
	CHECK_HAS(ask(w, call), "\"answering\":512");
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

	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.Scan\",\"more\":true,\"parameters\":{\"again\":true}}"), "");
	CHECK_STR(seen.last.source, "replay:/pages");
	CHECK(seen.last.again);
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
	CHECK(!seen.last.again);
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

/* ---- Hold, Release, Retry, Drop ------------------------------------------------------------------------ */

/* Calls a method of the four; `parameters` with ' for ". */
static const char *act(struct world *w, const char *method, const char *parameters, ...)
{
	char format[1024], body[1024], call[1200];
	va_list ap;
	int n;

	str_format(format, sizeof(format), "{'method':'io.pageferry.%s','parameters':{%s}}", method, parameters);
	for (char *at = format; (at = strchr(at, '\''));)
		*at = '"';
	va_start(ap, parameters);
	n = vsnprintf(body, sizeof(body), format, ap);
	va_end(ap);
	CHECK(n > 0 && (size_t)n < sizeof(body));
	str_copy(call, sizeof(call), body);
	return ask(w, call);
}

static int64_t in_state(struct world *w, const char *state)
{
	int64_t n = -1;

	CHECK_INT(db_get_i64(spool_db(w->f.spool), &n, "SELECT count(*) FROM pages WHERE state = ?", "s", state), 1);
	return n;
}

static void pages_make(struct world *w, struct page_row *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fixture_page(&w->f, &p[i]);
}

TEST(hold_and_release)
{
	struct world *w = begin();
	struct page_row p[3], q;
	char want[160];

	pages_make(w, p, 3);
	answer_page(w, &p[1]);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET rung = 1, tries = 2, tried_ms = 9 WHERE seq = ?", "i",
			  p[0].seq),
		0);
	CHECK_INT(spool_page_hold(w->f.spool, p[2].seq, "poison"), 0);
	act(w, "Hold", "'pages':['%s','%s','%s','20310000'],'reason':'wait\\u001b[2J'", p[0].id, p[1].id, p[2].id);
	str_format(want, sizeof(want),
		"{\"parameters\":{\"pages\":[\"%s\"],\"unchanged\":[{\"page\":\"%s\",\"message\":\"it is done\"}",
		p[0].id, p[1].id);
	CHECK_HAS(w->answer, want);
	CHECK_HAS(w->answer, "\"message\":\"it is held already: poison\"");
	CHECK_HAS(w->answer, "{\"page\":\"20310000\",\"message\":\"there is no such page\"}],\"unchangedCount\":3}}|");
	CHECK_INT(spool_page_get(w->f.spool, p[0].seq, &q), 0);
	CHECK_INT(q.state, STATE_HELD);
	str_format(want, sizeof(want), "[2J (uid %u)", (unsigned int)geteuid());
	CHECK(starts_with(q.reason, "by hand: wait"));
	CHECK(!strchr(q.reason, '\033'));
	CHECK_HAS(q.reason, want);
	CHECK_INT(seen.kicks, 1);

	act(w, "Release", "'pages':['%s','%s','%s']", p[0].id, p[1].id, p[2].id);
	CHECK_HAS(w->answer, "\"message\":\"it is not held\"");
	CHECK_HAS(w->answer, "\"message\":\"it was not held by hand, use retry: poison\"");
	CHECK_INT(spool_page_get(w->f.spool, p[0].seq, &q), 0);
	CHECK_INT(q.state, STATE_QUEUED);
	CHECK_STR(q.reason, "");
	CHECK_INT(q.rung, 1);
	CHECK_INT(q.tries, 2);
	CHECK_INT(q.tried_ms, 9);
	end(w);
}

/* What waits for a better answer goes on waiting for that. */
TEST(release_of_a_provisional_page)
{
	struct world *w = begin();
	struct page_row p;

	fixture_page(&w->f, &p);
	answer_page(w, &p);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET state = 'provisional'", ""), 0);
	CHECK_HAS(act(w, "Hold", "'filter':{}"), p.id);
	CHECK_INT(in_state(w, "held"), 1);
	CHECK_HAS(act(w, "Release", "'filter':{}"), p.id);
	CHECK_INT(in_state(w, "provisional"), 1);
	end(w);
}

TEST(retry)
{
	struct world *w = begin();
	struct page_row p[3];
	char want[160];

	pages_make(w, p, 3);
	CHECK_INT(spool_page_hold(w->f.spool, p[0].seq, "tries"), 0);
	answer_page(w, &p[1]);
	act(w, "Retry", "'pages':['%s','%s','%s']", p[0].id, p[1].id, p[2].id);
	str_format(want, sizeof(want), "{\"parameters\":{\"pages\":[\"%s\",\"%s\"],\"unchanged\":[{\"page\":\"%s\",",
		p[0].id, p[2].id, p[1].id);
	CHECK_HAS(w->answer, want);
	CHECK_HAS(w->answer, "nothing to try again");
	CHECK_INT(seen.kicks, 1);
	CHECK_INT(in_state(w, "held"), 0);
	CHECK_INT(fixture_sql(&w->f, "SELECT sum(again) FROM pages"), 0);
	CHECK_HAS(act(w, "Retry", "'pages':['%s'],'again':true", p[2].id), p[2].id);
	CHECK_INT(fixture_sql(&w->f, "SELECT sum(again * seq) FROM pages"), p[2].seq);
	CHECK_INT(seen.kicks, 2);
	/* Nothing was changed, nobody is woken. */
	CHECK_HAS(act(w, "Retry", "'filter':{}"), "{\"pages\":[],\"unchanged\":[],\"unchangedCount\":0}");
	CHECK_INT(seen.kicks, 2);
	end(w);
}

/* A page whose file is gone does not stop the others, and is told of. */
TEST(retry_of_a_lost_page)
{
	struct world *w = begin();
	char want[160], file[PAGE_FILE_SIZE];
	struct page_row p[3];

	pages_make(w, p, 3);
	for (size_t i = 0; i < 3; i++)
		CHECK_INT(spool_page_hold(w->f.spool, p[i].seq, "lost: gone"), 0);
	page_file_name(p[1].id, file);
	CHECK_INT(unlinkat(w->f.spool->pages, file, 0), 0);
	act(w, "Retry", "'filter':{}");
	str_format(want, sizeof(want), "{\"pages\":[\"%s\",\"%s\"],\"unchanged\":[{\"page\":\"%s\",", p[2].id, p[0].id,
		p[1].id);
	CHECK_HAS(w->answer, want);
	CHECK_HAS(w->answer, "its file or its job is gone: lost: gone");
	CHECK_INT(in_state(w, "held"), 1);
	end(w);
}

/* Its own route leads nowhere: it gets today's, and keeps its type. */
TEST(retry_finds_another_route)
{
	struct world *w = begin();
	struct config *c = &w->service.config;
	const struct spool_job *before;
	struct page_row p[2];

	pages_make(w, p, 2);
	before = p[0].job;
	c->n_backends = c->n_route = 1;
	str_copy(c->backends[0].name, sizeof(c->backends[0].name), "melbourne");
	str_copy(c->route[0], sizeof(c->route[0]), "melbourne");
	CHECK_INT(spool_page_hold(w->f.spool, p[0].seq, "no-backend: none of its route"), 0);
	CHECK_HAS(act(w, "Retry", "'filter':{'reason':'no-backend:'}"), p[0].id);
	CHECK_INT(spool_page_get(w->f.spool, p[0].seq, &p[0]), 0);
	CHECK(p[0].job != before);
	CHECK_STR(p[0].job->type, before->type);
	CHECK_INT((int64_t)p[0].job->n_route, 1);
	CHECK_STR(p[0].job->route[0], "melbourne");
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM typesets"), 1);
	/* One backend of its own that is still there is enough to keep its route. */
	str_copy(c->backends[0].name, sizeof(c->backends[0].name), "ocr");
	CHECK_HAS(act(w, "Retry", "'pages':['%s']", p[1].id), p[1].id);
	CHECK_INT(spool_page_get(w->f.spool, p[1].seq, &p[1]), 0);
	CHECK(p[1].job == before);
	end(w);
}

TEST(drop)
{
	struct world *w = begin();
	struct page_row p[3];
	char file[PAGE_FILE_SIZE], call[300];

	pages_make(w, p, 3);
	answer_page(w, &p[1]);
	CHECK_INT(db_exec(spool_db(w->f.spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd) VALUES (?, "
			  "'sydney', 1, 'trusted', 5)",
			  "i", p[2].seq),
		0);
	act(w, "Drop", "'pages':['%s','%s','%s'],'reason':'blank'", p[0].id, p[1].id, p[2].id);
	str_format(call, sizeof(call),
		"\"pages\":[\"%s\",\"%s\"],\"unchanged\":[{\"page\":\"%s\",\"message\":\"a request for it is out",
		p[0].id, p[1].id, p[2].id);
	CHECK_HAS(w->answer, call);
	page_file_name(p[0].id, file);
	CHECK(!fixture_exists("pages", file, ""));
	page_file_name(p[2].id, file);
	CHECK(fixture_exists("pages", file, ""));
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM pages"), 1);
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM gone"), 2);
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM attempts"), 2);
	/* It is remembered with what it has cost. */
	act(w, "Show", "'page':'%s'", p[1].id);
	str_format(call, sizeof(call),
		"{\"error\":\"io.pageferry.Gone\",\"parameters\":{\"page\":\"%s\",\"reason\":\"dropped by uid %u: "
		"blank\",\"time\":\"2030-01-02T03:04:05Z\","
		"\"costPicoUsd\":\"1230000000\"}}|",
		p[1].id, (unsigned int)geteuid());
	CHECK_STR(w->answer, call);
	CHECK_HAS(act(w, "Retry", "'pages':['%s']", p[1].id), "it is gone: dropped by uid");
	/* A list goes on where it stood, also when the page there has gone meanwhile. */
	fixture_page(&w->f, &p[0]);
	CHECK_HAS(act(w, "List", "'before':'%s'", p[1].id), "\"pages\":[],\"more\":false");
	/* Once its request is answered it may go. */
	CHECK_INT(db_exec(spool_db(w->f.spool),
			  "UPDATE attempts SET closed_ms = 2, outcome = 'retry' WHERE closed_ms IS NULL", ""),
		0);
	CHECK_HAS(act(w, "Drop", "'filter':{},'reason':'all'"), "\"unchanged\":[],\"unchangedCount\":0}}|");
	CHECK_INT(fixture_sql(&w->f, "SELECT count(*) FROM pages"), 0);
	CHECK_INT(fixture_files("pages"), 0);
	end(w);
}

TEST(changes_are_told)
{
	struct world *w = begin();
	struct page_row p;
	int monitor, calls;

	fixture_page(&w->f, &p);
	ask(w, "{\"method\":\"io.pageferry.Monitor\",\"more\":true}");
	monitor = w->fd;
	connect_client(w);
	calls = w->fd;
	act(w, "Hold", "'filter':{},'reason':'x'");
	act(w, "Release", "'filter':{}");
	act(w, "Drop", "'filter':{},'reason':'x'");
	w->fd = monitor;
	CHECK_HAS(answers(w), "\"kind\":\"page-held\"");
	CHECK_HAS(w->answer, "\"reason\":\"by hand: x (uid ");
	CHECK_HAS(w->answer, "\"kind\":\"page-queued\"");
	CHECK_HAS(w->answer, "\"kind\":\"page-dropped\"");
	CHECK(strstr(strstr(w->answer, "page-dropped"), p.id));
	close(calls);
	end(w);
}

/* Many in one call, more by the cursor; what cannot be changed is passed over once. */
TEST(many_by_filter)
{
	enum { MANY = CHANGES_MAX + 60 };
	struct world *w = begin();
	struct page_row p;
	const char *cursor;
	char at[32];

	CHECK_INT(db_exec(spool_db(w->f.spool), "PRAGMA synchronous = OFF", ""), 0);
	for (int i = 0; i < MANY; i++)
		fixture_page(&w->f, &p);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET lane = seq % 2", ""), 0);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET state = 'provisional' WHERE seq <= 50", ""), 0);
	act(w, "Hold", "'filter':{'lane':'backlog'}");
	CHECK_INT(in_state(w, "held"), MANY / 2);
	CHECK(!strstr(w->answer, "cursor"));
	act(w, "Release", "'filter':{}");
	act(w, "Hold", "'filter':{}");
	CHECK_INT(in_state(w, "held"), CHANGES_MAX);
	cursor = strstr(w->answer, "\"cursor\":\"");
	CHECK(cursor);
	str_copy(at, sizeof(at), "");
	CHECK(sscanf(cursor, "\"cursor\":\"%30[0-9:]", at) == 1);
	act(w, "Hold", "'filter':{},'cursor':'%s'", at);
	CHECK_INT(in_state(w, "held"), MANY);
	CHECK(!strstr(w->answer, "cursor"));
	end(w);
}

/* More than there is room to tell are counted. */
TEST(what_is_left_is_told_up_to_a_bound)
{
	enum { MANY = UNCHANGED_MAX + 20 };
	struct world *w = begin();
	struct page_row p;
	int n = 0;

	for (int i = 0; i < MANY; i++) {
		fixture_page(&w->f, &p);
		CHECK_INT(spool_page_hold(w->f.spool, p.seq, "poison"), 0);
	}
	act(w, "Release", "'filter':{}");
	CHECK_HAS(w->answer, "\"unchangedCount\":120}}|");
	for (const char *at = w->answer; (at = strstr(at, "use retry")); at++)
		n++;
	CHECK_INT(n, UNCHANGED_MAX);
	end(w);
}

/* A peer that leaves ends its call; the pages that were changed stay so. */
TEST(a_peer_that_leaves)
{
	struct world *w = begin();
	struct page_row p;

	for (int i = 0; i < 30; i++)
		fixture_page(&w->f, &p);
	say(w, "{\"method\":\"io.pageferry.Hold\",\"parameters\":{\"filter\":{}}}");
	for (int i = 0; i < 100 && !in_state(w, "held"); i++)
		sd_event_run(w->service.event, 0);
	close(w->fd);
	turn(w);
	CHECK(in_state(w, "held") > 0);
	CHECK(in_state(w, "held") < 30);
	CHECK(!w->service.control->pending);
	connect_client(w);
	CHECK_HAS(act(w, "Hold", "'filter':{}"), "\"unchangedCount\":0");
	CHECK_INT(in_state(w, "held"), 30);
	end(w);
}

/* Each member of a filter narrows. */
TEST(filters)
{
	static const struct {
		const char *filter;
		int64_t seq;
	} cases[] = {{"'state':'done'", 1}, {"'type':'universal'", 2}, {"'source':'watch'", 3}, {"'lane':'backlog'", 4},
		{"'reason':'poison:'", 5}, {"'until':'2026-01-01T00:00:00Z'", 6}, {"'since':'2040-01-01T00:00:00Z'", 7},
		{"'state':'held','reason':'poison','lane':'now'", 5}, {"'state':'queued','reason':'poison'", 0},
		{"'reason':'oison'", 0}, {"'since':'2040-01-01T00:00:00Z','until':'2041-01-01T00:00:00Z'", 7},
		{"'since':'2041-01-01T00:00:00Z'", 0}, {"'until':'2020-01-01T00:00:00Z'", 0}};
	static const char *const route[] = {"ocr"};
	struct world *w = begin();
	const struct spool_job *universal;
	struct page_row p[8];

	pages_make(w, p, 8);
	CHECK_INT(spool_job_freeze(w->f.spool, "universal", route, 1, w->f.types, &universal), 0);
	answer_page(w, &p[0]);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET job = ? WHERE seq = 2", "i", universal->id), 0);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET source = 'watch' WHERE seq = 3", ""), 0);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET lane = 1 WHERE seq = 4", ""), 0);
	CHECK_INT(spool_page_hold(w->f.spool, 5, "poison: it cannot be read"), 0);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET accepted_ms = 1600000000000 WHERE seq = 6", ""), 0);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET accepted_ms = 2208988800000 WHERE seq = 7", ""),
		0); /* 2040-01-01T00:00:00Z */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char filter[200];

		str_format(filter, sizeof(filter), "'filter':{%s}", cases[i].filter);
		act(w, "List", filter);
		for (int64_t seq = 1; seq <= 8; seq++)
			if (!strstr(w->answer, p[seq - 1].id) != (cases[i].seq != seq))
				test_fail(__FILE__, __LINE__, "%s: page %d: %.300s", filter, (int)seq, w->answer);
	}
	end(w);
}

/* What few pages fit is looked for in portions. */
TEST(a_list_with_a_sparse_filter)
{
	enum { MANY = LOOK_MAX + 50 };
	struct world *w = begin();
	struct page_row p;
	char before[PAGE_ID_SIZE];
	const char *at;

	fixture_page(&w->f, &p);
	CHECK_INT(db_exec(spool_db(w->f.spool), "UPDATE pages SET source = 'watch'", ""), 0);
	CHECK_INT(db_exec(spool_db(w->f.spool),
			  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
			  " INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, "
			  "accepted_trust, source, sha256, bytes, width, height)"
			  " SELECT printf('20300102T030405-%06d', i), document, 1, job, 0, 'queued', 1, 'trusted', "
			  "'file', '', 1, 1, 1 FROM n, pages WHERE seq = 1",
			  "i", (int64_t)MANY),
		0);
	act(w, "List", "'filter':{'source':'watch'}");
	CHECK_HAS(w->answer, "{\"pages\":[],\"more\":true,\"before\":\"");
	at = strstr(w->answer, "before") + strlen("before\":\"");
	str_format(before, sizeof(before), "%.22s", at);
	CHECK_HAS(act(w, "List", "'filter':{'source':'watch'},'before':'%s'", before), p.id);
	CHECK_HAS(w->answer, "\"more\":false}");
	end(w);
}

/* Members of the group hold, release and retry; what cannot be undone needs the right to manage. */
TEST(drop_and_confirm_need_a_right)
{
	struct world *w = begin();
	struct page_row p;

	fixture_page(&w->f, &p);
	CHECK_INT(spool_meta_set_i64(w->f.spool, "ledger_lost", 1), 0);
	connect_as(w, 4242, true);
	CHECK_HAS(act(w, "Drop", "'filter':{},'reason':'x'"),
		"io.pageferry.NotAllowed\",\"parameters\":{\"right\":\"manage\"");
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Confirm\"}"),
		"io.pageferry.NotAllowed\",\"parameters\":{\"right\":\"manage\"");
	CHECK_INT(spool_ledger_lost(w->f.spool), 1);
	CHECK_HAS(act(w, "Hold", "'filter':{}"), p.id);
	CHECK_INT(spool_page_get(w->f.spool, p.seq, &p), 0);
	CHECK_STR(p.reason, "by hand: no reason given (uid 4242)");
	CHECK_HAS(act(w, "Release", "'filter':{}"), p.id);
	CHECK_INT(in_state(w, "queued"), 1);
	/* Of the group that manages. */
	w->service.control->manage = 4242;
	CHECK_HAS(act(w, "Drop", "'filter':{},'reason':'x'"), p.id);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Confirm\"}"), "{\"confirmed\":true}");
	end(w);
}

TEST(confirm)
{
	struct world *w = begin();

	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Confirm\"}"), "{\"confirmed\":false}");
	CHECK_INT(seen.kicks, 0);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Status\"}"), "\"ledgerLost\":false");
	CHECK_INT(spool_meta_set_i64(w->f.spool, "ledger_lost", 1), 0);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Status\"}"), "\"ledgerLost\":true");
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Confirm\"}"), "{\"confirmed\":true}");
	CHECK_INT(seen.kicks, 1);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.Status\"}"), "\"ledgerLost\":false");
	end(w);
}

/* A spool that cannot be written: the call says so. */
TEST(changes_that_cannot_be_written)
{
	struct world *w = begin();
	struct page_row p;

	fixture_page(&w->f, &p);
	CHECK_INT(db_exec(spool_db(w->f.spool), "PRAGMA query_only = ON", ""), 0);
	CHECK_HAS(act(w, "Hold", "'filter':{}"), "io.pageferry.NoRoom");
	CHECK_INT(db_exec(spool_db(w->f.spool), "PRAGMA query_only = OFF", ""), 0);
	CHECK_INT(in_state(w, "queued"), 1);
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

/* ---- Doctor ---------------------------------------------------------------------------------------------- */

#define DOCTOR(parameters) "{\"method\":\"io.pageferry.Doctor\",\"parameters\":{" parameters "}}"

TEST(doctor)
{
	struct world *w = begin();

	CHECK_STR(ask(w, DOCTOR("\"areas\":[\"now\"]")),
		"{\"parameters\":{\"findings\":[{\"area\":\"now\",\"level\":\"ok\",\"what\":\"all is well\"}]}}|");
	CHECK_HAS(ask(w, DOCTOR("\"areas\":[\"now\"],\"live\":true")), "\"what\":\"live\"}");
	CHECK_HAS(ask(w, DOCTOR("\"areas\":[\"now\",\"liver\"]")), "NoSuchArea\",\"parameters\":{\"known\":[\"now\",");
	CHECK_HAS(ask(w, DOCTOR("\"live\":1")), "\"parameter\":\"live\"");
	/* of all areas: waits for the one that has to ask, and so does the next call */
	CHECK_STR(ask(w, DOCTOR("") ), "");
	answer_later();
	CHECK_HAS(answers(w), "{\"area\":\"later\",\"level\":\"problem\",\"what\":\"it is broken\",\"advice\":\"mend it\"}");
	end(w);
}

TEST(the_peer_of_a_doctor_leaves)
{
	struct world *w = begin();

	CHECK_STR(ask(w, DOCTOR("")), "");
	close(w->fd);
	connect_client(w);
	CHECK_HAS(ask(w, DOCTOR("\"areas\":[\"now\"]")), "all is well");
	answer_later(); /* nobody is told, and all is freed */
	CHECK_STR(answers(w), "");
	end(w);
}

TEST(to_change_the_key_needs_a_right)
{
	struct world *w = begin();

	connect_as(w, 4242, true);
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.ChangeKey\"}"), "io.pageferry.NotAllowed\",\"parameters\":{\"right\":\"manage\"");
	w->service.control->manage = 4242;
	CHECK_STR(ask(w, "{\"method\":\"io.pageferry.ChangeKey\"}"), "{\"parameters\":{}}|");
	seen.error = -EOPNOTSUPP;
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.ChangeKey\"}"), "io.pageferry.NotNow\",\"parameters\":{\"message\":\"the key is elsewhere\"");
	seen.error = 0;
	end(w);
}
