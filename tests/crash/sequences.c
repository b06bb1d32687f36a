/* The crash-prone sequences: what each starts from, how it is run, and what must hold after it. */
#include "daemon/delivery.h"
#include "daemon/keep.h"
#include "daemon/ledger.h"
#include "daemon/maintain_internal.h"
#include "daemon/taken.h"
#include "tests/crash/sequence.h"

/* ---- what the bases are made of -------------------------------------------------------------- */

int64_t base_page(struct fixture *f, struct report *r)
{
	struct page_row p;

	fixture_page(f, &p);
	CHECK(r->n_base < BASE_MAX);
	str_copy(r->base[r->n_base++], PAGE_ID_SIZE, p.id);
	return p.seq;
}

static void base_deliver(struct fixture *f)
{
	CHECK_INT(delivery_run(f->spool, 10, NULL, NULL), 0);
}

/* A page that is done and delivered: nothing may touch it. */
void base_done(struct fixture *f, struct report *r)
{
	base_answer(f, base_page(f, r), true);
	base_deliver(f);
}

/* ---- accept ---------------------------------------------------------------------------------- */

static struct buf jpeg;

static void accept_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
}

static void accept_ready(struct fixture *f, struct report *r)
{
	fixture_jpeg(&jpeg, 3000);
}

static int accept_run(struct fixture *f, struct report *r)
{
	static const struct taken_key taken = {"inbox", "a.jpg", "1:2.3"};
	struct spool_meta m = fixture_meta(f);
	struct spool_writer *w;
	struct page_row p;
	int res;

	m.taken = &taken;
	res = spool_page_begin(f->spool, &m, &w);
	if (res < 0)
		return res;
	res = spool_page_write(w, jpeg.data, jpeg.len);
	if (res < 0) {
		spool_page_abort(w);
		return res;
	}
	res = spool_page_commit(w, 100, 200, NULL, "{\"ms\":1}", &p);
	if (res < 0)
		return res;
	str_copy(r->page, sizeof(r->page), p.id);
	r->acknowledged = true;
	buf_free(&jpeg);
	return 0;
}

static void accept_verify(struct fixture *f, struct report *r)
{
	int64_t n;

	if (r->acknowledged && db_get_i64(f->spool->db, &n, "SELECT 1 FROM pages WHERE page = ? AND state = 'queued'", "s", r->page) != 1)
		problem(r, "acknowledged page %s is not queued", r->page);
	if (count_rows(f, "SELECT count(*) FROM taken") != count_rows(f, "SELECT count(*) FROM pages WHERE state = 'queued'"))
		problem(r, "a file is taken without its page, or the page without it");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'held' AND reason NOT LIKE 'not acknowledged%'") != 0)
		problem(r, "held for another reason");
}

static const struct sequence accept = {
	.name = "accept",
	.bugs = {"accept-commit-before-rename"},
	.prepare = accept_prepare,
	.ready = accept_ready,
	.run = accept_run,
	.verify = accept_verify,
	.held = 1,
};

/* ---- open attempt ---------------------------------------------------------------------------- */

static void send_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_page(f, r);
}

static void send_verify(struct fixture *f, struct report *r)
{
	int64_t n;

	if (r->acknowledged && db_get_i64(f->spool->db, &n, "SELECT 1 FROM attempts WHERE id = ? AND settled_pusd = ?", "ii", r->number,
				       (int64_t)RESERVE) != 1)
		problem(r, "what may have been sent is not in the ledger");
}

static const struct sequence send_attempt = {
	.name = "open attempt",
	.bugs = {"send-reserve-after"},
	.prepare = send_prepare,
	.ready = send_ready,
	.run = send_run,
	.verify = send_verify,
};

/* ---- answer, supersede ----------------------------------------------------------------------- */

static void answer_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_attempt(f, base_page(f, r));
}

static void supersede_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_answer(f, base_page(f, r), false);
	base_deliver(f);
	base_attempt(f, 2);
}

static void close_verify(struct fixture *f, struct report *r, int64_t version)
{
	int64_t results = count_rows(f, "SELECT count(*) FROM results WHERE page = 2");
	struct page_row p;

	CHECK_INT(spool_page_get(f->spool, 2, &p), 0);
	if (r->acknowledged && (p.state != STATE_DONE || p.version != version))
		problem(r, "the answer is lost: the page is %s, version %lld", page_state_name(p.state), (long long)p.version);
	if (p.version != results)
		problem(r, "version %lld of %lld results", (long long)p.version, (long long)results);
}

static void answer_verify(struct fixture *f, struct report *r)
{
	close_verify(f, r, 1);
}

static void supersede_verify(struct fixture *f, struct report *r)
{
	close_verify(f, r, 2);
}

static const struct sequence answer = {
	.name = "answer",
	.bugs = {"answer-two-commits", "usage-forgotten"},
	.prepare = answer_prepare,
	.ready = close_ready,
	.run = close_run,
	.verify = answer_verify,
};

static const struct sequence supersede = {
	.name = "supersede",
	.bugs = {"supersede-version-first"},
	.prepare = supersede_prepare,
	.ready = close_ready,
	.run = close_run,
	.verify = supersede_verify,
};

/* ---- deliver --------------------------------------------------------------------------------- */

static void deliver_prepare(struct fixture *f, struct report *r)
{
	base_answer(f, base_page(f, r), false);
	base_deliver(f);
	base_answer(f, 1, true); /* over the export of the first */
	base_answer(f, base_page(f, r), true);
}

static int deliver_run(struct fixture *f, struct report *r)
{
	int res = delivery_run(f->spool, 10, NULL, NULL);

	return res > 0 ? -EAGAIN : res;
}

static const struct sequence deliver = {
	.name = "deliver",
	.bugs = {"deliver-commit-before-rename"},
	.prepare = deliver_prepare,
	.run = deliver_run,
};

/* ---- set aside ------------------------------------------------------------------------------- */

static void setaside_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	fixture_put("pages", "foreign.jpg", "not ours", 8);
}

static int setaside_run(struct fixture *f, struct report *r)
{
	int res = quarantine_move(f->spool, f->spool->pages, "foreign.jpg", "a test");

	return res == -ENOENT ? 0 : res; /* moved, and then the folder could not be synced */
}

static void setaside_verify(struct fixture *f, struct report *r)
{
	if (!fixture_exists("quarantine", "foreign.jpg", ""))
		problem(r, "what was set aside is lost");
	if (fixture_files("quarantine") != 2)
		problem(r, "%d files in quarantine/", fixture_files("quarantine"));
}

static const struct sequence setaside = {
	.name = "set aside",
	.bugs = {"setaside-reason-after"},
	.prepare = setaside_prepare,
	.run = setaside_run,
	.verify = setaside_verify,
};

/* ---- age out, drop --------------------------------------------------------------------------- */

#define DAY INT64_C(86400000)

/* Two that are done and delivered, and one that never ages. */
static void keep_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_done(f, r);
	base_page(f, r);
	CHECK_INT(spool_meta_set_i64(f->spool, "keep_ms", 400 * DAY), 0);
}

static int keep_all(struct fixture *f, const struct keep_options *o)
{
	int res;

	while ((res = keep_run(f->spool, o, 1)) > 0)
		;
	return res;
}

static int age_files_run(struct fixture *f, struct report *r)
{
	int res = keep_all(f, &(struct keep_options){.pages_ms = 30 * DAY, .results_ms = 500 * DAY});

	r->acknowledged = res >= 0;
	return res;
}

static void age_files_verify(struct fixture *f, struct report *r)
{
	if (count_rows(f, "SELECT count(*) FROM pages") != 3 || count_rows(f, "SELECT count(*) FROM pages WHERE state = 'done'") != 2)
		problem(r, "a page went with its file");
	if (r->acknowledged && count_rows(f, "SELECT count(*) FROM pages WHERE file = 1") != 1)
		problem(r, "what aged out is there again");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'queued' AND file = 1") != 1)
		problem(r, "a page that was not done has aged out");
}

static const struct sequence age_files = {
	.name = "age out files",
	.bugs = {"age-unlink-before-commit"},
	.prepare = keep_prepare,
	.run = age_files_run,
	.verify = age_files_verify,
};

static int age_pages_run(struct fixture *f, struct report *r)
{
	int res = keep_all(f, &(struct keep_options){.results_ms = 300 * DAY});

	r->acknowledged = res >= 0;
	return res;
}

static void age_pages_verify(struct fixture *f, struct report *r)
{
	if (r->acknowledged && count_rows(f, "SELECT count(*) FROM gone") != 2)
		problem(r, "what aged out is not gone");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'queued'") != 1)
		problem(r, "a page that was not done has aged out");
}

static const struct sequence age_pages = {
	.name = "age out pages",
	.bugs = {"age-unlink-before-commit"},
	.prepare = keep_prepare,
	.run = age_pages_run,
	.verify = age_pages_verify,
};

static int drop_run(struct fixture *f, struct report *r)
{
	int res = keep_drop(f->spool, 2, "dropped by uid 0: a test");

	res = res == -ENOENT ? 0 : res; /* committed, and then it failed */
	r->acknowledged = res >= 0;
	return res;
}

static void drop_verify(struct fixture *f, struct report *r)
{
	if (r->acknowledged && count_rows(f, "SELECT count(*) FROM gone WHERE seq = 2") != 1)
		problem(r, "what was dropped is not gone");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE seq IN (1, 3)") != 2)
		problem(r, "another page was dropped");
}

static const struct sequence drop = {
	.name = "drop",
	.bugs = {"drop-unlink-before-commit"},
	.prepare = keep_prepare,
	.run = drop_run,
	.verify = drop_verify,
};

/* ---- the start --------------------------------------------------------------------------- */

/* As the service does, until nothing is left to set right. */
int start_run(struct fixture *f, struct report *r)
{
	int64_t cursor = 0;
	int res = 0;

	if (!f->spool)
		res = fixture_open_spool(f, 0);
	while (res >= 0 && (res = spool_reconcile(f->spool)) > 0)
		;
	while (res >= 0 && (res = delivery_reconcile(f->spool, &cursor)) > 0)
		;
	return res < 0 ? res : deliver_run(f, r);
}

static void start_prepare(struct fixture *f, struct report *r)
{
	char path[256];
	struct page_row p;

	base_done(f, r);
	base_attempt(f, base_page(f, r));
	base_answer(f, base_page(f, r), false);
	base_page(f, r); /* 4: its file is lost */
	fixture_page(f, &p);
	CHECK_INT(db_exec(f->spool->db, "DELETE FROM pages WHERE seq = ?", "i", p.seq), 0);
	CHECK_INT(spool_bytes_add(f->spool, -p.bytes), 0);
	fixture_path(path, "pages", r->base[3], ".jpg");
	CHECK_INT(unlink(path), 0);
	fixture_path(path, "results", r->base[0], ".json");
	CHECK_INT(unlink(path), 0);
	fixture_put("tmp", "leftover.jpg", "x", 1);
	fixture_put("pages", "foreign.jpg", "not ours", 8);
}

/* What could not be taken in at once is not left for the next start, unless that was said. */
static int start_whole_run(struct fixture *f, struct report *r)
{
	int res = start_run(f, r);

	fault_disarm(); /* the count below is no part of it */
	if (res >= 0 && f->spool->reconcile.skipped == 0 && count_rows(f, "SELECT count(*) FROM pages") != 5)
		problem(r, "%lld pages when recovery has ended", (long long)count_rows(f, "SELECT count(*) FROM pages"));
	return res;
}

static void start_verify(struct fixture *f, struct report *r)
{
	if (count_rows(f, "SELECT count(*) FROM pages") != 5)
		problem(r, "%lld pages", (long long)count_rows(f, "SELECT count(*) FROM pages"));
	if (count_rows(f, "SELECT count(*) FROM pages WHERE reason LIKE 'lost%'") != 1 ||
		count_rows(f, "SELECT count(*) FROM pages WHERE reason LIKE 'not acknowledged%'") != 1)
		problem(r, "what is held is not what was lost and what was not acknowledged");
	if (!fixture_exists("quarantine", "foreign.jpg", ""))
		problem(r, "what was set aside is lost");
}

static const struct sequence start = {
	.name = "start",
	.bugs = {"start-two-commits"},
	.prepare = start_prepare,
	.run = start_whole_run,
	.verify = start_verify,
	.opens = true,
	.lost = true,
	.held = 2,
};

/* ---- export ---------------------------------------------------------------------------------- */

static void export_prepare(struct fixture *f, struct report *r)
{
	base_done(f, r);
	base_page(f, r);
}

/* Each try into a folder of its own, in the spool's: fsck leaves it alone. */
static void export_folder(char out[static 256], int n)
{
	str_format(out, 256, "%s/export-%d", test_tmpdir(), n);
}

static int export_run(struct fixture *f, struct report *r)
{
	static char folder[256];
	static int tries;
	char *args[] = {folder, NULL};
	struct maintain m = {.clock = f->clock, .state = -1, .args = args, .n_args = 1};
	int res;

	export_folder(folder, ++tries);
	CHECK(str_copy(m.directory, sizeof(m.directory), test_tmpdir()) > 0);
	res = maintain_export(&m);
	if (res != MAINTAIN_WELL)
		return res < 0 ? res : -EIO;
	r->number = tries;
	r->acknowledged = true;
	return 0;
}

static void exported_file(struct fixture *f, struct report *r, int dirfd, const char *page)
{
	_cleanup_buf_ struct buf there = BUF_MAX(1 << 20), here = BUF_MAX(1 << 20);
	char name[PAGE_FILE_SIZE + 8];

	str_format(name, sizeof(name), "pages/%s.jpg", page);
	if (file_read(dirfd, name, 1 << 20, &there) < 0 || file_read(f->spool->dirfd, name, 1 << 20, &here) < 0 || there.len != here.len ||
		memcmp(buf_str(&there), buf_str(&here), there.len) != 0)
		problem(r, "the export lacks page %s", page);
}

/* A folder with a manifest is a whole export, or says itself what is not. */
static void export_verify(struct fixture *f, struct report *r)
{
	char folder[256];

	for (int n = 1; n <= 2; n++) {
		_cleanup_buf_ struct buf text = BUF_MAX(1 << 20);
		_cleanup_json_ cJSON *j = NULL;
		_cleanup_close_ int dirfd = -1;
		int64_t count, damaged;

		export_folder(folder, n);
		dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dirfd < 0 || file_read(dirfd, "manifest.json", 1 << 20, &text) < 0) {
			if (r->acknowledged && r->number == n)
				problem(r, "the export is lost");
			continue;
		}
		if (json_parse(buf_str(&text), text.len, &j, NULL) < 0 || json_get_i64(j, "count", &count) < 0 ||
			json_get_i64(j, "damaged", &damaged) < 0 || count != 2)
			problem(r, "the export has a manifest and is not whole");
		else
			for (size_t i = 0; damaged == 0 && i < r->n_base; i++)
				exported_file(f, r, dirfd, r->base[i]);
	}
}

static const struct sequence export = {
	.name = "export",
	.bugs = {"export-manifest-first"},
	.prepare = export_prepare,
	.run = export_run,
	.verify = export_verify,
	.opens = true,
};

const struct sequence *const sequences[] = {&accept, &send_attempt, &answer, &supersede, &deliver, &setaside, &age_files, &age_pages, &drop,
	&start, &setaside_database, &rebuild, &migrate, &export, &reads, &by_hand, &obstacles, &suspect, &daily,
	&document_is_ended, &document_is_split, &document_is_sent, &document_is_answered, NULL};
