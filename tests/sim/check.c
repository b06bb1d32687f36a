/* What must be so: after every event, at every send, every hour, at every start and at the end. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json.h"
#include "daemon/document.h"

#define STORM_AN_HOUR  40 /* requests to a backend that answers none: backoff of 2 s to 15 min takes about 20 in its first hour */
#define STORM_A_LIFE   16 /* and it begins again with each life */
#define UNPROVED_TIMES 10 /* as in courier_settle.c */
#define GROUP_MOST     "20" /* JOB_IMAGES_MAX */

static int64_t number(const char *sql, int64_t a, const char *text)
{
	int64_t v = 0;
	int r = text ? db_get_i64(spool_db(sim_service.spool), &v, sql, "is", a, text)
		     : db_get_i64(spool_db(sim_service.spool), &v, sql, "i", a);

	if (r < 0)
		sim_fail("the database says %s to %s", errno_text(r), sql);
	return v;
}

static void none(const char *sql, const char *what)
{
	int64_t n = sim_sql(sql);

	if (n != 0)
		sim_fail("%" PRIi64 " %s", n, what);
}

/* ---- after every event ------------------------------------------------------------------------------------------------------- */

/* One that was refused before it was sent gets into the ledger when it is closed. */
static int64_t known_to_ledger(const struct courier *c)
{
	int64_t n = 0;

	for (const struct attempt *a = c->attempts; a; a = a->next)
		n += a->id != 0;
	return n;
}

/* One state for all pages of a group; none of it is due by itself; its first page leads. */
static void check_groups(void)
{
	none("SELECT count(*) FROM pages p LEFT JOIN pages l ON l.seq = p.leader WHERE p.leader IS NOT NULL AND (l.seq IS NULL OR l.leader IS NOT NULL"
	     " OR p.state != l.state OR p.rung != -1 OR p.document != l.document OR (p.position, p.seq) < (l.position, l.seq))",
		"pages are not as the one they go with");
	none("SELECT count(*) FROM (SELECT 1 FROM pages WHERE leader IS NOT NULL GROUP BY leader HAVING count(*) >= " GROUP_MOST ")",
		"groups are larger than a request may be");
	none("SELECT count(*) FROM pages p JOIN documents d ON d.id = p.document WHERE d.closed AND p.leader IS NULL AND p.rung < 0",
		"pages of a document that was ended wait for its end");
}

void check_event(void)
{
	const struct courier *c = sim_service.courier;
	int64_t open;

	if (!sim_service.spool_reconciled || !c)
		return;
	if (world->events % 16 == 0)
		check_groups();
	/* An attempt is open only while it is in flight. */
	open = sim_sql("SELECT count(*) FROM attempts WHERE closed_ms IS NULL");
	if (open != known_to_ledger(c))
		sim_fail("%" PRIi64 " attempts are open, and %" PRIi64 " in flight", open, known_to_ledger(c));
	for (size_t i = 0; i < c->n_backends; i++)
		if (c->backends[i].in_flight > (size_t)c->backends[i].config->concurrency)
			sim_fail("%zu requests are with %s at once", c->backends[i].in_flight, c->backends[i].config->name);
}

/* ---- at every send --------------------------------------------------------------------------------------------------------------- */

static int index_of(const struct backend *b)
{
	return streq(b->config->name, "sydney") ? SYDNEY : streq(b->config->name, "jetson") ? JETSON : OCR;
}

/* Of the same kind as a page never tried: is one of that lane waiting, behind `after`, that this backend would take? Its
 * seq, 0: none. */
static int64_t untried_waits(const struct attempt *a, enum lane lane, int64_t after)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r = db_query(spool_db(sim_service.spool), &st,
		"SELECT seq, content FROM pages WHERE state = 'queued' AND lane = ? AND job = ? AND rung = 0 AND tries = 0 AND tried_ms = 0"
		" AND seq > ? ORDER BY seq", "iii", (int64_t)lane, a->row.job->id, after);

	while (r >= 0 && (r = stmt_next(st)) > 0) {
		int64_t seq = stmt_i64(st, 0);
		uint64_t content = due_content(stmt_text(st, 1)); /* it waits for one of the same content */
		bool out = false;

		for (const struct attempt *i = a->courier->attempts; i; i = i->next)
			out |= i != a && (i->row.seq == seq || (i->backend->extractor.ops->paid && due_content(i->row.content) == content));
		if (!out && seq != a->backend->health.solo_seq && !backend_keeps_back(a->backend, seq))
			return seq;
	}
	return 0;
}

static bool was_rendered(const struct attempt *a)
{
	bool was = false;

	for (size_t i = 0; i <= a->n_more; i++)
		was |= a->shapes[i].rendering.image.fd >= 0 || a->shapes[i].failed[0];
	return was;
}

static void check_order(const struct attempt *a)
{
	bool fresh = a->row.lane == LANE_NOW && a->row.seq > a->courier->fresh_after;
	int64_t first;

	/* Probes go round; and a rendering takes its time. */
	if (a->backend->health.breaker.down_since_ms != 0 || a->asked != 0 || was_rendered(a))
		return;
	/* What was scanned just now may go before what lies in its lane for longer. */
	first = untried_waits(a, a->row.lane, fresh ? a->courier->fresh_after : 0);
	if (first && first < a->row.seq)
		sim_fail("page %" PRIi64 " goes to %s before page %" PRIi64, a->row.seq, a->backend->config->name, first);
}

/* Three in a row from the lane of now while the backlog waits, one in a row from the backlog while a page of now waits. */
static void check_lanes(const struct attempt *a, bool untried)
{
	struct backend *b = a->backend;
	int i = index_of(b), lane = (int)a->row.lane;
	bool in_turn = b->picks == world->backends[i].picks + 1 && b->failed == world->backends[i].failed;

	world->backends[i].picks = b->picks;
	world->backends[i].failed = b->failed;
	if (!untried || was_rendered(a) || !untried_waits(a, a->row.lane == LANE_NOW ? LANE_BACKLOG : LANE_NOW, 0)) {
		world->backends[i].run = 0;
		return;
	}
	world->backends[i].run = in_turn && world->backends[i].run_lane == lane ? world->backends[i].run + 1 : 1;
	world->backends[i].run_lane = lane;
	if (world->backends[i].run > (lane == LANE_NOW ? 3 : 1))
		sim_fail("%d pages in a row from lane %d to %s, while one of the other lane waits", world->backends[i].run, lane,
			b->config->name);
}

static void check_tries(const struct attempt *a)
{
	int64_t most = (world->config_changes ? world->tries_max : a->backend->config->tries) + (world->config_changes > 0);
	struct due_history h;

	if (index_of(a->backend) != SYDNEY)
		most = a->backend->config->tries + 1;
	if (due_history(sim_service.spool, a->row.seq, a->row.retried, a->backend->config->name, &h) < 0)
		sim_fail("the attempts cannot be counted");
	if (h.tries >= most)
		sim_fail("page %" PRIi64 " goes to %s after %" PRIi64 " tries", a->row.seq, a->backend->config->name, h.tries);
	if (h.unproved > most * UNPROVED_TIMES)
		sim_fail("page %" PRIi64 " was paid for %" PRIi64 " times for nothing", a->row.seq, h.unproved);
	if (h.cannot && a->asked > (size_t)a->row.rung && h.tries > 0 && !world->config_changes)
		sim_fail("page %" PRIi64 " goes to %s, which cannot do it", a->row.seq, a->backend->config->name);
}

/* In no minute of a life more than is allowed. */
static void check_rate(int backend)
{
	static int64_t sent_t[PER_MINUTE];
	static size_t n;

	if (backend != SYDNEY || world->day)
		return;
	if (n >= PER_MINUTE && world->t - sent_t[n % PER_MINUTE] < 60000)
		sim_fail("more than RequestsPerMinute= went to sydney in %" PRIi64 " ms", world->t - sent_t[n % PER_MINUTE]);
	sent_t[n++ % PER_MINUTE] = world->t;
}

/* All that go with it, in their order; none is out in another request, nor before its document has ended. */
static void check_together(const struct attempt *a)
{
	struct page_row rows[JOB_IMAGES_MAX];
	ssize_t n = group_rows(sim_service.spool, a->row.seq, rows, JOB_IMAGES_MAX);

	if (n != (ssize_t)a->n_more || (!a->by_page && a->job.n_images != a->n_more + 1))
		sim_fail("page %" PRIi64 " goes with %zu pages in %zu pictures, and %zd are in its group", a->row.seq, a->n_more, a->job.n_images, n);
	for (size_t i = 0; i < a->n_more; i++) {
		if (rows[i].seq != a->more[i].seq || rows[i].position <= (i ? rows[i - 1].position : a->row.position))
			sim_fail("page %" PRIi64 " is not in its place with page %" PRIi64, a->more[i].seq, a->row.seq);
		for (const struct attempt *other = a->courier->attempts; other; other = other->next)
			for (size_t k = 0; other != a && k <= other->n_more; k++)
				if ((k ? other->more[k - 1].seq : other->row.seq) == a->more[i].seq)
					sim_fail("page %" PRIi64 " is in two requests at once", a->more[i].seq);
	}
	/* One that was not acknowledged, and that a person has taken up all the same, goes by itself. */
	if (world->pages[a->row.seq].accepted && number("SELECT count(*) FROM documents d JOIN pages p ON p.document = d.id WHERE p.seq = ? AND NOT d.closed", a->row.seq, NULL) > 0)
		sim_fail("page %" PRIi64 " is asked before its document's end", a->row.seq);
}

/* The same content is not paid for twice, nor is it out twice. Of documents other suites tell. */
static void check_same(const struct attempt *a)
{
	if (a->n_more == 0 && number("SELECT count(*) FROM pages p JOIN jobs k ON k.id = p.job JOIN pages t INDEXED BY pages_content ON t.content = p.content AND t.version > 0"
		   " AND t.seq != p.seq"
		   " JOIN jobs j ON j.id = t.job AND j.typeset = k.typeset JOIN results r ON r.page = t.seq JOIN attempts x ON x.id = r.attempt"
		   " WHERE p.seq = ? AND x.backend = ? AND t.leader IS NULL AND NOT EXISTS (SELECT 1 FROM attempt_pages m WHERE m.attempt = x.id)", a->row.seq, a->backend->config->name) > 0)
		sim_fail("page %" PRIi64 " is paid for, and its content was before", a->row.seq);
	for (const struct attempt *i = a->courier->attempts; i; i = i->next)
		if (i != a && i->backend == a->backend && streq(i->row.content, a->row.content))
			sim_fail("page %" PRIi64 " is paid for while its content is out as page %" PRIi64, a->row.seq, i->row.seq);
}

void check_send(const struct attempt *a)
{
	const struct page_row *p = &a->row;
	bool untried = p->state == STATE_QUEUED && p->tries == 0 && p->rung == 0 && p->tried_ms == 0;
	int i = index_of(a->backend);
	int64_t signing_s;

	sim_log("page %" PRIi64 " (lane %d, %s, rung %" PRIi64 ", tries %" PRIi64 ") goes to %s", p->seq, (int)p->lane,
		page_state_name(p->state), p->rung, p->tries, a->backend->config->name);
	world->backends[i].last_send_t = world->t;
	if (p->state != STATE_QUEUED && p->state != STATE_PROVISIONAL)
		sim_fail("page %" PRIi64 " is sent, and is %s", p->seq, page_state_name(p->state));
	if (transfers_out(-1, p->seq) > 0)
		sim_fail("page %" PRIi64 " is sent twice at once", p->seq);
	if ((int64_t)transfers_out(i, 0) >= a->backend->config->concurrency)
		sim_fail("more than Concurrency= at %s", a->backend->config->name);
	for (size_t k = 0; i == SYDNEY && k < a->job.n_images; k++)
		if (MAX(a->job.images[k].width, a->job.images[k].height) > 8000)
			sim_fail("page %" PRIi64 " goes to sydney with %u pixels a side", p->seq, a->job.images[k].width);
	check_together(a);
	if (a->part > 0)
		return; /* the same request goes on */
	if (a->backend->extractor.ops->sign && clock_signing_time(sim_service.clock, &signing_s) < 0)
		sim_fail("page %" PRIi64 " goes to %s, signed by a clock that is known to be wrong", p->seq, a->backend->config->name);
	if (world->ledger_lost && a->backend->extractor.ops->paid)
		sim_fail("page %" PRIi64 " goes to %s, which costs, while the ledger is lost", p->seq, a->backend->config->name);
	if (a->backend->health.breaker.state == BREAKER_PROBING && transfers_out(i, 0) > 0)
		sim_fail("page %" PRIi64 " goes to %s beside the probe", p->seq, a->backend->config->name);
	check_rate(i);
	if (a->backend->extractor.ops->paid)
		check_same(a);
	if (world->day)
		day_check_send(a);
	if (untried)
		check_order(a);
	check_lanes(a, untried);
	check_tries(a);
}

void check_probe(const struct backend *b)
{
	sim_log("a probe goes to %s", b->config->name);
	world->backends[index_of(b)].last_send_t = world->t;
}

/* What may have been billed is in the ledger before. */
void check_arrival(const struct attempt *a, int backend, bool billed, int64_t cost_pusd)
{
	if (number("SELECT count(*) FROM attempts WHERE id = ? AND closed_ms IS NULL", a->id, NULL) != 1)
		sim_fail("attempt %" PRIi64 " reaches %s and is not open in the ledger", a->id, a->backend->config->name);
	if (number("SELECT reserved_pusd FROM attempts WHERE id = ?", a->id, NULL) < cost_pusd)
		sim_fail("attempt %" PRIi64 " costs more than was reserved", a->id);
	if (world->n_served == SERVED_MAX)
		sim_fail("more requests than the simulation has room for");
	world->served[world->n_served++] = (struct served){.attempt = a->id, .seq = a->row.seq, .cost_pusd = cost_pusd,
		.backend = backend, .billed = billed};
	world->backends[backend].cost_pusd += cost_pusd;
}

/* ---- every hour --------------------------------------------------------------------------------------------------------------------- */

static void check_storm(int b)
{
	if (world->backends[b].down_sends > STORM_AN_HOUR + STORM_A_LIFE * (world->hour_lives + 1))
		sim_fail("%d requests in an hour to backend %d, which is down (%s)", world->backends[b].down_sends, b,
			weather_name(world->backends[b].weather));
}

/* Nothing has been in sydney's way for so long: then none is left for it of the pages from before, but those that make it fail. */
static void check_progress(void)
{
	int64_t since = MAX(world->backends[SYDNEY].fair_since_t, world->last_retry_t), s, n;

	if (world->backends[SYDNEY].weather != FINE || world->disk_errno || world->ledger_lost || !sim_service.spool_reconciled ||
		clock_signing_time(sim_service.clock, &s) < 0 || world->t - since < PROGRESS_HOURS * HOUR_MS)
		return;
	n = number("SELECT count(*) FROM pages p JOIN jobs j ON j.id = p.job WHERE p.state IN ('queued', 'provisional') AND p.rung = 0"
		   " AND p.seq <= ? AND NOT EXISTS (SELECT 1 FROM pages g WHERE (g.seq = p.seq OR g.leader = p.seq) AND g.name LIKE '3%') AND j.json LIKE '%\"route\":[\"sydney\"%'",
		world->newest_seq[PROGRESS_HOURS - 1], NULL);
	if (n > 0)
		sim_fail("%" PRIi64 " pages wait for sydney, which has been fine for hours", n);
}

void check_hour(void)
{
	for (int b = 0; b < SIM_BACKENDS; b++)
		check_storm(b);
	if (!world->day)
		check_progress();
	memmove(&world->newest_seq[1], &world->newest_seq[0], sizeof(world->newest_seq) - sizeof(world->newest_seq[0]));
	world->newest_seq[0] = sim_sql("SELECT coalesce(max(seq), 0) FROM pages");
}

/* ---- what is stored ---------------------------------------------------------------------------------------------------------------- */

/* By true time, whatever the clock of the day said. */
static void check_age(int64_t seq, const char *what, int64_t least_ms)
{
	int64_t age = world->t - world->pages[seq].delivered_t;

	if (age < least_ms)
		sim_fail("the %s of page %" PRIi64 " aged out after %" PRIi64 " hours", what, seq, age / HOUR_MS);
}

void check_aged(void)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r = db_query(spool_db(sim_service.spool), &st, "SELECT seq, 1 FROM gone UNION ALL SELECT seq, 0 FROM pages WHERE file = 0", "");

	while (r >= 0 && (r = stmt_next(st)) > 0) {
		int64_t seq = stmt_i64(st, 0);
		bool gone = stmt_i64(st, 1);

		if (seq >= PAGES_MAX || (gone ? world->pages[seq].gone : world->pages[seq].file_gone))
			continue;
		check_age(seq, gone ? "result" : "file", gone ? KEEP_RESULTS_MS : KEEP_PAGES_MS);
		if (gone)
			world->pages[seq].gone = true;
		else
			world->pages[seq].file_gone = true;
	}
}

static void check_accepted(void)
{
	for (int64_t seq = 1; seq < PAGES_MAX; seq++)
		if (world->pages[seq].accepted && !world->pages[seq].gone &&
			number("SELECT count(*) FROM pages WHERE seq = ? AND page = ?", seq, world->pages[seq].id) != 1)
			sim_fail("page %s was accepted and is gone", world->pages[seq].id);
}

static void check_served(void)
{
	for (int64_t i = 0; i < world->n_served; i++) {
		const struct served *s = &world->served[i];

		if (number("SELECT page FROM attempts WHERE id = ?", s->attempt, NULL) != s->seq)
			sim_fail("attempt %" PRIi64 " of page %" PRIi64 " was served and is not in the ledger", s->attempt, s->seq);
		if (s->cost_pusd > 0 && number("SELECT CASE WHEN closed_ms IS NULL THEN reserved_pusd WHEN billed = 'no' THEN 0"
					       " ELSE settled_pusd END FROM attempts WHERE id = ?", s->attempt, NULL) < s->cost_pusd)
			sim_fail("attempt %" PRIi64 " was billed, and the ledger has less", s->attempt);
	}
}

void check_spool(void)
{
	check_aged();
	check_accepted();
	check_served();
	none("SELECT count(*) FROM pages WHERE state NOT IN ('queued', 'provisional', 'done', 'held')", "pages in no state");
	none("SELECT count(*) FROM pages WHERE (state = 'held') != (coalesce(reason, '') != '')", "pages held without a reason");
	none("SELECT count(*) FROM pages p JOIN pages l ON l.seq = coalesce(p.leader, p.seq) WHERE p.state IN ('done', 'provisional') AND NOT EXISTS"
	     " (SELECT 1 FROM results r WHERE r.page = l.seq AND r.version = l.version AND json_valid(r.json) AND r.json LIKE '%hello%'"
	     " AND (p.seq = l.seq OR EXISTS (SELECT 1 FROM attempt_pages m WHERE m.attempt = r.attempt AND m.page = p.seq)))",
		"pages are answered without a result");
	check_groups();
	none("SELECT count(*) FROM attempts a WHERE outcome = 'done' AND page IN (SELECT seq FROM pages) AND (SELECT count(*) FROM results r WHERE r.attempt = a.id) != 1",
		"answers are not recorded exactly once");
	none("SELECT count(*) FROM results r JOIN attempts a ON a.id = r.attempt WHERE a.outcome != 'done'", "results of no answer");
	/* Recovery that begins once more finds the courier at work. */
	if (sim_sql("SELECT count(*) FROM attempts WHERE closed_ms IS NULL") != known_to_ledger(sim_service.courier))
		sim_fail("attempts are open after recovery");
}

/* ---- the end -------------------------------------------------------------------------------------------------------------------------- */

static void check_exports(void)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r = db_query(spool_db(sim_service.spool), &st, "SELECT page FROM pages WHERE state = 'done' AND leader IS NULL", "");

	while (r >= 0 && (r = stmt_next(st)) > 0) {
		char path[PATH_SIZE + 64];
		struct stat s;

		str_format(path, sizeof(path), "%s/results/%s.json", spool_directory(sim_service.spool), stmt_text(st, 0));
		if (stat(path, &s) < 0 || s.st_size == 0)
			sim_fail("page %s is done, and its result is not in results/", stmt_text(st, 0));
	}
}

void check_end(void)
{
	int64_t bad;

	check_exports();
	none("SELECT count(*) FROM pages WHERE state IN ('queued', 'provisional')", "pages are left");
	none("SELECT count(*) FROM deliveries WHERE done_ms IS NULL", "results are not delivered");
	none("SELECT count(*) FROM pages WHERE state = 'held' AND (reason LIKE 'lost%' OR reason LIKE 'damaged%' OR reason LIKE 'job%')",
		"pages lost or damaged");
	if (receipt_verify(sim_service.spool, &bad) < 0)
		sim_fail("the chain of receipts breaks at %" PRIi64, bad);
	if (sim_sql("SELECT (SELECT count(*) FROM pages WHERE state = 'done') + (SELECT count(*) FROM gone)") * 10 < world->accepted * 7)
		sim_fail("of %" PRIi64 " pages only %" PRIi64 " are done", world->accepted,
			sim_sql("SELECT count(*) FROM pages WHERE state = 'done'"));
}
