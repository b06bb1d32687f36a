/* The methods of io.pageferry that change pages: which ones are meant, what becomes of them, and who may. */
#include "tests/unit/daemon_methods_world.h"

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
