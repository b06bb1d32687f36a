/* The methods of io.pageferry that tell, take pages and watch; who may call them; and the socket itself. */
#include "tests/unit/daemon_methods_world.h"

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

#define REPLACE(why) "{\"method\":\"io.pageferry.ReplaceKey\",\"parameters\":{\"reason\":\"" why "\"}}"
#define TEN "0123456789"

TEST(to_replace_the_key_needs_a_right_and_a_reason)
{
	struct world *w = begin();

	connect_as(w, 4242, true);
	CHECK_HAS(ask(w, REPLACE("it broke")), "io.pageferry.NotAllowed\",\"parameters\":{\"right\":\"manage\"");
	CHECK_STR(seen.loss, "");
	w->service.control->manage = 4242;
	CHECK_HAS(ask(w, "{\"method\":\"io.pageferry.ReplaceKey\"}"), "InvalidParameter\",\"parameters\":{\"parameter\":\"reason\"");
	CHECK_HAS(ask(w, REPLACE("")), "InvalidParameter\",\"parameters\":{\"parameter\":\"reason\"");
	CHECK_HAS(ask(w, REPLACE(TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN)), "InvalidParameter");
	CHECK_STR(seen.loss, "");
	CHECK_STR(ask(w, REPLACE("it broke\\u001b[2J")), "{\"parameters\":{}}|");
	CHECK(starts_with(seen.loss, "it broke\xef\xbf\xbd[2J by uid "));
	seen.error = -EEXIST;
	CHECK_HAS(ask(w, REPLACE("it broke")), "io.pageferry.NotNow\",\"parameters\":{\"message\":\"the key is there\"");
	seen.error = 0;
	end(w);
}
