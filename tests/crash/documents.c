/* Documents of several pages: ended, split, answered by one request. All of their pages, or none, take each step. */
#include "daemon/document.h"

#include "tests/crash/sequence.h"

#define PAGES 3

static void prepare_open(struct fixture *f, struct report *r)
{
	struct spool_meta m = fixture_meta(f);
	struct page_row p;

	base_done(f, r);
	m.document_name = "lease";
	for (int i = 0; i < PAGES; i++) {
		f->now += 1000;
		CHECK_INT(fixture_try(f, &m, &p), 0);
		str_copy(r->base[r->n_base++], PAGE_ID_SIZE, p.id);
	}
}

static void prepare_ended(struct fixture *f, struct report *r)
{
	struct document d;

	prepare_open(f, r);
	CHECK_INT(document_find(f->spool, "lease", 1000, &d), 0);
	CHECK_INT(document_end(f->spool, d.id), 0);
}

static int end_run(struct fixture *f, struct report *r)
{
	struct document d;
	int res = document_find(f->spool, "lease", 1000, &d);

	if (res >= 0)
		res = document_end(f->spool, d.id);
	else if (res == -ENOENT)
		res = 0; /* committed, and then it failed */
	r->acknowledged = res >= 0;
	return res;
}

static void end_verify(struct fixture *f, struct report *r)
{
	int64_t open = count_rows(f, "SELECT count(*) FROM documents WHERE closed = 0");

	if (r->acknowledged && open != 0)
		problem(r, "a document that was ended is open");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE state = 'queued' AND rung = 0") != (open ? 0 : 1))
		problem(r, "its first page alone is due when it has ended, and none before");
	if (count_rows(f, "SELECT count(*) FROM pages WHERE leader = 2") != PAGES - 1)
		problem(r, "its pages are not together");
}

const struct sequence document_is_ended = {
	.name = "end a document",
	.bugs = {"document-two-commits"},
	.prepare = prepare_open,
	.run = end_run,
	.verify = end_verify,
};

static int split_run(struct fixture *f, struct report *r)
{
	int64_t n;
	int res = db_get_i64(f->spool->db, &n, "SELECT count(*) FROM pages WHERE leader = 2", "");

	if (res >= 0)
		res = n == PAGES - 1 ? group_split(f->spool, 2, 1) : 0;
	r->acknowledged = res >= 0;
	return res;
}

static void split_verify(struct fixture *f, struct report *r)
{
	int64_t due = count_rows(f, "SELECT count(*) FROM pages WHERE state = 'queued' AND rung = 0");

	if (due != 2 && (r->acknowledged || due != 1))
		problem(r, "%lld groups are due", (long long)due);
	if (count_rows(f, "SELECT count(*) FROM pages WHERE leader IS NOT NULL") != PAGES - due)
		problem(r, "a page is in no group");
}

const struct sequence document_is_split = {
	.name = "split a document",
	.prepare = prepare_ended,
	.run = split_run,
	.verify = split_verify,
};

/* ---- one request for all of it --------------------------------------------------------------- */

static void prepare_sent(struct fixture *f, struct report *r)
{
	prepare_ended(f, r);
	base_attempt(f, 2);
}

static void send_verify(struct fixture *f, struct report *r)
{
	if (count_rows(f, "SELECT count(*) FROM attempt_pages") != (PAGES * count_rows(f, "SELECT count(*) FROM attempts WHERE page = 2")))
		problem(r, "an attempt does not name each of its pages");
	if (count_rows(f, "SELECT count(*) FROM receipts WHERE attempt IN (SELECT attempt FROM attempt_pages)"
			  " AND json_array_length(body, '$.pages') IS NOT 3") != 0)
		problem(r, "a receipt does not name each of its pages");
	if (count_rows(f, "SELECT count(*) FROM attempt_pages p JOIN receipts r ON r.attempt = p.attempt WHERE json_extract(p.rendering, '$.sha256')"
			  " IS NOT json_extract(r.body, '$.pages[' || (p.place - 1) || '].rendering') OR (p.rendering IS NULL) = (p.place = 3)") != 0)
		problem(r, "ledger and receipts do not say the same of what went in a page's place");
	if (r->acknowledged && count_rows(f, "SELECT count(*) FROM attempt_pages") == 0)
		problem(r, "what may have been sent is not in the ledger");
}

const struct sequence document_is_sent = {
	.name = "send a document",
	.bugs = {"send-reserve-after"},
	.prepare = prepare_ended,
	.ready = send_ready,
	.run = send_run,
	.verify = send_verify,
};

static void answer_verify(struct fixture *f, struct report *r)
{
	int64_t done = count_rows(f, "SELECT count(*) FROM pages WHERE seq > 1 AND state = 'done'");

	if (done != PAGES && (r->acknowledged || done != 0))
		problem(r, "%lld pages of the document are done", (long long)done);
	if (count_rows(f, "SELECT count(*) FROM results WHERE page > 1") != (done ? 1 : 0))
		problem(r, "it has not the one result");
	if (done && count_rows(f, "SELECT count(*) FROM pages WHERE seq > 1 AND kept_ms IS NOT NULL") != PAGES)
		problem(r, "its pages are not kept from its delivery on");
	send_verify(f, r);
}

const struct sequence document_is_answered = {
	.name = "answer a document",
	.bugs = {"answer-two-commits"},
	.prepare = prepare_sent,
	.ready = close_ready,
	.run = close_run,
	.verify = answer_verify,
};
