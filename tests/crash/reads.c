/*
 * What the service reads, and what a person changes, with the same faults: a read that fails says so, and never gives less
 * than it was asked for; tried again it gives all of it. And a start with things in its way.
 */
#include "daemon/courier_due.h"
#include "daemon/keep.h"
#include "daemon/ledger.h"
#include "daemon/receipt.h"
#include "daemon/taken.h"
#include "tests/crash/sequence.h"

#define ROWS 8

/* ---- reads ----------------------------------------------------------------------------------- */

static const char *const other_route[] = {"ocr"};

/* Pages in each state, two jobs, one page that is gone, and files that were taken. */
static void reads_prepare(struct fixture *f, struct report *r)
{
	const struct spool_job *other;

	base_done(f, r);
	base_answer(f, base_page(f, r), false);
	base_attempt(f, 2);
	base_page(f, r);
	base_page(f, r);
	base_page(f, r);
	CHECK_INT(spool_page_hold(f->spool, 3, HELD_BY_HAND " a test"), 0);
	CHECK_INT(spool_job_freeze(f->spool, "auto", other_route, 1, f->types, &other), 0);
	CHECK_INT(spool_page_retry(f->spool, 4, other), 0);
	CHECK_INT(keep_drop(f->spool, 5, "dropped by uid 0: a test"), 0);
	CHECK_INT(taken_put(f->spool, &(struct taken_key){"inbox", "a.jpg", "1:2.3"}, r->base[0]), 0);
	CHECK_INT(taken_put(f->spool, &(struct taken_key){"inbox", "b.jpg", "4:5.6"}, ""), 0);
}

static int read_sums(struct fixture *f, struct report *r, struct buf *out)
{
	struct spool_counts c;
	struct budget_sums sums;
	int64_t undelivered, cost, receipts = 0, bad, res;
	int lost, open = 0;

	res = spool_counts(f->spool, &c);
	if (res >= 0)
		res = spool_undelivered(f->spool, &undelivered);
	if (res >= 0)
		res = lost = spool_ledger_lost(f->spool);
	if (res >= 0)
		res = budget_sums(f->spool, &sums);
	if (res >= 0)
		res = ledger_page_cost(f->spool, 2, &cost);
	if (res >= 0)
		res = open = ledger_page_open(f->spool, 2);
	if (res >= 0)
		res = receipts = receipt_verify(f->spool, &bad);
	if (res < 0)
		return (int)res;
	return buf_addf(out, "%lld %lld %lld %lld, %lld, %d, %lld %lld, %lld %d, %lld\n", (long long)c.queued, (long long)c.provisional,
		(long long)c.done, (long long)c.held, (long long)undelivered, lost, (long long)(sums.day_pusd + sums.open_pusd), (long long)sums.possibly_pusd, (long long)cost,
		open, (long long)receipts);
}

/* That there is room is no more than a guess, but where it cannot be told it is not told. */
static int read_room(struct fixture *f, struct report *r, struct buf *out)
{
	int64_t bytes = spool_bytes_free(f->spool);
	int res = bytes < 0 ? (int)bytes : spool_room(f->spool, f->why, sizeof(f->why));

	return res < 0 ? res : buf_addf(out, "room %d\n", bytes > 0);
}

static int add_row(struct fixture *f, const struct page_row *p, struct buf *out)
{
	char backend[BACKEND_NAME_SIZE];
	int r = ledger_answered(f->spool, p, backend);

	if (r < 0)
		return r;
	return buf_addf(out, "%lld %s %s %lld %s %s [%s] %s %s %s %lld %lld %s\n", (long long)p->seq, p->id, p->document,
		(long long)p->position, p->job->route[0], page_state_name(p->state), p->reason, p->source, p->name, p->sha256,
		(long long)p->bytes, (long long)p->version, backend);
}

static int read_lists(struct fixture *f, struct report *r, struct buf *out)
{
	struct page_row rows[ROWS];

	for (int state = -1; state <= STATE_HELD; state++)
		for (int64_t before = 0; before <= 3; before += 3) {
			ssize_t n = spool_page_list(f->spool, state, before, rows, ROWS);
			int res = n < 0 ? (int)n : buf_addf(out, "state %d before %lld\n", state, (long long)before);

			for (ssize_t i = 0; res >= 0 && i < n; i++)
				res = add_row(f, &rows[i], out);
			if (res < 0)
				return res;
		}
	return 0;
}

static int read_page(struct fixture *f, struct report *r, struct buf *out)
{
	_cleanup_close_ int fd = -1;
	struct page_row p;
	int res;

	res = spool_page_find(f->spool, r->base[1], &p);
	if (res >= 0)
		res = add_row(f, &p, out);
	if (res >= 0)
		res = fd = spool_page_open(f->spool, &p);
	if (res >= 0)
		res = spool_page_verify(fd, &p);
	if (res < 0)
		return res;
	res = spool_page_find(f->spool, "2030", &p);
	if (res != -ENOTUNIQ)
		return res < 0 ? res : -EBADMSG;
	return 0;
}

static int read_gone(struct fixture *f, struct report *r, struct buf *out)
{
	struct spool_gone g;
	int res = spool_gone_find(f->spool, r->base[4], &g);

	if (res >= 0)
		res = buf_addf(out, "gone %lld %s %s %lld\n", (long long)g.seq, g.id, g.reason, (long long)g.gone_ms);
	if (res < 0)
		return res;
	res = spool_gone_find(f->spool, r->base[0], &g);
	return res == -ENOENT ? 0 : res < 0 ? res : -EBADMSG;
}

static int read_json(struct fixture *f, struct report *r, struct buf *out)
{
	_cleanup_json_ cJSON *attempts = cJSON_CreateArray(), *results = cJSON_CreateArray();
	int res;

	if (!attempts || !results)
		return -ENOMEM;
	res = ledger_attempts_json(f->spool, 2, attempts);
	if (res >= 0)
		res = ledger_results_json(f->spool, 2, results);
	if (res >= 0)
		res = json_print(attempts, false, out);
	return res < 0 ? res : json_print(results, false, out);
}

static int add_due(struct buf *out, const struct due_page *pages, ssize_t n)
{
	int r = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; r >= 0 && i < n; i++)
		r = buf_addf(out, " %lld (%s)", (long long)pages[i].seq, pages[i].answered);
	return r;
}

static int read_class(struct fixture *f, const struct due_class *c, struct buf *out)
{
	struct due_page pages[ROWS];
	int r;

	r = buf_addf(out, "\nclass %d %lld %lld %lld %lld:", c->state, (long long)c->lane, (long long)c->job, (long long)c->rung,
		(long long)c->tries);
	if (r >= 0)
		r = add_due(out, pages, due_pages(f->spool, c, pages, ROWS));
	if (r >= 0)
		r = add_due(out, pages, due_pages_after(f->spool, c, 1, pages, ROWS));
	return r;
}

static int read_due(struct fixture *f, struct report *r, struct buf *out)
{
	struct due_history h;
	int res = 0;

	for (int state = 0; res >= 0 && state <= STATE_HELD; state++) {
		struct due_class c = {.state = (enum page_state)state, .lane = -1};

		while ((res = due_class_next(f->spool, &c)) > 0) {
			res = read_class(f, &c, out);
			if (res < 0)
				return res;
		}
	}
	if (res >= 0)
		res = due_history(f->spool, 2, 0, "ocr", &h);
	if (res < 0)
		return res;
	return buf_addf(out, "\nhistory %lld %lld %d\n", (long long)h.tries, (long long)h.unproved, h.cannot);
}

static int read_taken(struct fixture *f, struct report *r, struct buf *out)
{
	char names[ROWS][TAKEN_NAME_SIZE];
	ssize_t n = taken_names(f->spool, "inbox", "", names, ROWS);
	int res = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; res >= 0 && i < n; i++) {
		struct taken_row row = {};

		res = taken_find(f->spool, "inbox", names[i], &row);
		if (res >= 0)
			res = buf_addf(out, "%s: %d %s %s\n", names[i], res, row.stamp, row.page);
	}
	return res;
}

/* A text that does not end in a NUL where it lies: it is copied when it is looked at. */
static int read_text(struct fixture *f, struct report *r, struct buf *out)
{
	struct stmt *st;
	int res = db_query(f->spool->db, &st, "SELECT ?", "t", "text that goes on", (size_t)4);

	if (res >= 0)
		res = stmt_next(st);
	if (res < 0)
		return res;
	res = buf_addf(out, "%s\n", stmt_text(st, 0));
	stmt_done(st);
	return res;
}

static int read_all(struct fixture *f, struct report *r, struct buf *out)
{
	static int (*const fn[])(struct fixture *f, struct report *r, struct buf *out) = {
		read_sums, read_room, read_lists, read_page, read_gone, read_json, read_due, read_taken, read_text};
	int res = 0;

	for (size_t i = 0; res >= 0 && i < ARRAY_SIZE(fn); i++)
		res = fn[i](f, r, out);
	return res;
}

static char expected[16384];

/* What is there; then the spool is opened anew, so that nothing of it is in memory. */
static void reads_ready(struct fixture *f, struct report *r)
{
	_cleanup_buf_ struct buf out = BUF_MAX(sizeof(expected) - 1);

	CHECK_INT(read_all(f, r, &out), 0);
	CHECK(str_copy(expected, sizeof(expected), buf_str(&out)) > 0);
	spool_close(take_ptr(f->spool));
	CHECK_INT(fixture_open_spool(f, 0), 0);
}

static int reads_run(struct fixture *f, struct report *r)
{
	_cleanup_buf_ struct buf out = BUF_MAX(sizeof(expected) - 1);
	int res = read_all(f, r, &out);
	size_t same = 0;

	if (res < 0 || streq(buf_str(&out), expected))
		return res;
	while (expected[same] && expected[same] == buf_str(&out)[same])
		same++;
	problem(r, "a read that did not fail gives \"%.60s\" instead of \"%.60s\"", buf_str(&out) + same, expected + same);
	return 0;
}

static void reads_verify(struct fixture *f, struct report *r)
{
	if (count_rows(f, "SELECT count(*) FROM pages") != 4 || count_rows(f, "SELECT count(*) FROM taken") != 2)
		problem(r, "a read has changed what is there");
}

const struct sequence reads = {
	.name = "reads",
	.prepare = reads_prepare,
	.ready = reads_ready,
	.run = reads_run,
	.verify = reads_verify,
	.held = 1,
};

/* ---- what a person changes ------------------------------------------------------------------- */

static void by_hand_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_page(f, r);
	CHECK_INT(spool_meta_set_i64(f->spool, "ledger_lost", 1), 0);
}

/* Held, let go, held, asked again, asked elsewhere; and they may go on. */
static int by_hand_run(struct fixture *f, struct report *r)
{
	const struct taken_key taken = {"inbox", "a.jpg", "1:2.3"};
	const struct spool_job *job;
	int res;

	res = spool_page_hold(f->spool, 2, HELD_BY_HAND " a test");
	if (res >= 0)
		res = spool_page_release(f->spool, 2);
	if (res >= 0)
		res = spool_page_hold(f->spool, 2, HELD_BY_HAND " a test");
	if (res >= 0)
		res = spool_page_retry(f->spool, 2, NULL);
	if (res >= 0)
		res = spool_job_freeze(f->spool, "auto", other_route, 1, f->types, &job);
	if (res >= 0)
		res = spool_page_retry(f->spool, 2, job);
	if (res >= 0)
		res = taken_put(f->spool, &taken, r->base[1]);
	if (res >= 0)
		res = taken_remove(f->spool, taken.folder, taken.name);
	if (res >= 0)
		res = spool_confirm(f->spool);
	r->acknowledged = res >= 0;
	return res;
}

static void by_hand_verify(struct fixture *f, struct report *r)
{
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'done'") != 1)
		problem(r, "another page was changed");
	if (!r->acknowledged)
		return;
	if (count_rows(f, "SELECT count(*) FROM pages p JOIN jobs j ON j.id = p.job WHERE p.seq = 2 AND p.state = 'queued'"
			  " AND j.json LIKE '%\"route\":[\"ocr\"]%'") != 1)
		problem(r, "the page is not queued with its new route");
	if (count_rows(f, "SELECT count(*) FROM taken") != 0 || spool_ledger_lost(f->spool) != 0)
		problem(r, "what was told is not so");
}

const struct sequence by_hand = {
	.name = "by hand",
	.prepare = by_hand_prepare,
	.run = by_hand_run,
	.verify = by_hand_verify,
	.held = 1,
};

/* ---- a start with things in its way ---------------------------------------------------------- */

#define LONG_NAME                                                                                                               \
	"a-name-of-more-than-180-bytes-"                                                                                        \
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"                  \
	"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

/* Files where folders should be, folders where files should be, and names that quarantine/ cannot keep. */
static void obstacles_prepare(struct fixture *f, struct report *r)
{
	char path[256];

	base_done(f, r);
	spool_close(take_ptr(f->spool));
	fixture_path(path, "results", r->base[0], ".json");
	CHECK_INT(unlink(path), 0);
	for (size_t i = 0; i < 2; i++) {
		static const char *const folders[] = {"results", "quarantine"};

		str_format(path, sizeof(path), "%s/%s", test_tmpdir(), folders[i]);
		CHECK_INT(rmdir(path), 0);
		fixture_put(".", folders[i], "in the way", 10);
	}
	for (size_t i = 0; i < 2; i++) {
		static const char *const files[] = {"spool.db-shm", "damaged"};

		str_format(path, sizeof(path), "%s/%s", test_tmpdir(), files[i]);
		CHECK_INT(mkdir(path, 0750), 0);
	}
	fixture_put("pages", "a.reason", "x", 1);
	fixture_put("pages", LONG_NAME, "x", 1);
}

/* Two names of files, two that were in the place of folders, two folders; each with its reason. */
static void obstacles_verify(struct fixture *f, struct report *r)
{
	if (fixture_files("quarantine") != 12)
		problem(r, "%d files in quarantine/", fixture_files("quarantine"));
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'done'") != 1 || count_rows(f, "SELECT count(*) FROM attempts") != 1 ||
		spool_ledger_lost(f->spool) != 0)
		problem(r, "the database was given up");
	if (!fixture_exists("results", r->base[0], ".json"))
		problem(r, "the result is not there again");
}

const struct sequence obstacles = {
	.name = "obstacles",
	.prepare = obstacles_prepare,
	.run = start_run,
	.verify = obstacles_verify,
	.opens = true,
	.forgets = true, /* its base is closed, so it cannot be asked; obstacles_verify() looks */
};

/* ---- a start with a database that seems damaged, and is sound ---------------------------------- */

static void suspect_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_page(f, r);
	CHECK_INT(spool_mark_damaged(f->spool), 0);
}

static void suspect_verify(struct fixture *f, struct report *r)
{
	if (fixture_files("quarantine") != 0 || spool_ledger_lost(f->spool) != 0)
		problem(r, "the database was given up");
	if (r->acknowledged && fixture_exists("", "damaged", ""))
		problem(r, "it is suspected still");
}

static int suspect_run(struct fixture *f, struct report *r)
{
	int res = start_run(f, r);

	r->acknowledged = res >= 0;
	return res;
}

const struct sequence suspect = {
	.name = "suspect",
	.prepare = suspect_prepare,
	.run = suspect_run,
	.verify = suspect_verify,
	.opens = true,
};
