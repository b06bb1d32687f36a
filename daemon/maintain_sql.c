/* What queries alone tell of a spool's database: a table of them, each row that one gives is a finding. */
#include <stdio.h>

#include "daemon/maintain_fsck.h"
#include "daemon/receipt.h"

#define PAGE_OF "coalesce((SELECT page FROM pages p WHERE p.seq = a.page), (SELECT page FROM gone g WHERE g.seq = a.page))"

static const char keep_it[] = "keep a copy of the spool, and ask whoever maintains the service";

static const struct {
	const char *code, *sql; /* the first column is the subject */
	const char *what, *next;
	enum remedy remedy;
} queries[] = {
	{"meta", "SELECT 'spool.db' WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'spool_id')", "the making of the database was cut off",
		"the next start completes it", REMEDY_START},
	{"rebuild-unfinished", "SELECT 'spool.db' FROM meta WHERE key = 'rebuilt' AND value <> '0'",
		"the database is being made again from the page files", "the next start goes on with it", REMEDY_START},
	{"ledger-lost", "SELECT 'spool.db' FROM meta WHERE key = 'ledger_lost' AND value <> '0'",
		"what was spent before the database was lost is not known", "pageferryctl confirm lets paid backends go on", REMEDY_NONE},
	{"page-state",
		"SELECT page FROM pages WHERE state NOT IN ('queued', 'provisional', 'done', 'held')"
		" OR (state = 'held') <> (reason IS NOT NULL) OR reason = ''",
		"is not in exactly one state, or is held without a reason", keep_it, REMEDY_PERSON},
	{"page-version",
		"SELECT page FROM pages WHERE version <> (SELECT coalesce(max(version), 0) FROM results r WHERE r.page = pages.seq)"
		" OR version <> (SELECT count(*) FROM results r WHERE r.page = pages.seq)",
		"its versions are not those of its results", keep_it, REMEDY_PERSON},
	{"page-unanswered", "SELECT page FROM pages WHERE state IN ('done', 'provisional') AND version = 0 AND leader IS NULL", "is answered without a result",
		keep_it, REMEDY_PERSON},
	{"page-leader",
		"SELECT p.page FROM pages p LEFT JOIN pages l ON l.seq = p.leader WHERE p.leader IS NOT NULL AND (p.rung >= 0 OR"
		" (l.seq IS NULL AND p.state <> 'done') OR l.leader IS NOT NULL OR l.document <> p.document OR l.state <> p.state)",
		"goes with another page, and is not as that is", keep_it, REMEDY_PERSON},
	{"page-waits", "SELECT page FROM pages WHERE rung < 0 AND leader IS NULL AND document NOT IN (SELECT id FROM documents WHERE closed = 0)",
		"waits for the end of a document that has ended", keep_it, REMEDY_PERSON},
	{"page-gone", "SELECT page FROM pages WHERE page IN (SELECT page FROM gone) OR seq IN (SELECT seq FROM gone)",
		"is there and gone at once", keep_it, REMEDY_PERSON},
	{"page-document", "SELECT page FROM pages WHERE document NOT IN (SELECT id FROM documents)", "belongs to no document", keep_it,
		REMEDY_PERSON},
	{"delivery-missing",
		"SELECT page FROM pages WHERE version > 0 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.page = pages.seq AND"
		" d.version = pages.version)",
		"no delivery of its result is noted", "the next start does so if its export is missing", REMEDY_START},
	{"delivery-open", "SELECT p.page FROM deliveries d JOIN pages p ON p.seq = d.page WHERE d.done_ms IS NULL", "its result is not delivered yet",
		"the service does so", REMEDY_NONE},
	{"attempt-open", "SELECT coalesce(" PAGE_OF ", 'attempt ' || a.id) FROM attempts a WHERE a.closed_ms IS NULL",
		"a request was out when the service ended", "the next start counts it as spent, and asks again", REMEDY_START},
	{"attempt-page", "SELECT 'attempt ' || a.id FROM attempts a WHERE a.page <> 0 AND " PAGE_OF " IS NULL", "a request of a page that never was", keep_it,
		REMEDY_PERSON},
	{"attempt-unspent",
		"SELECT 'attempt ' || id FROM attempts WHERE outcome = 'crashed' AND (settled_pusd IS NOT reserved_pusd"
		" OR billed IS NOT CASE WHEN reserved_pusd > 0 THEN 'possibly' ELSE 'no' END)",
		"a request that was cut off does not count as spent", keep_it, REMEDY_PERSON},
	{"usage",
		"SELECT 'day ' || date(day * 86400, 'unixepoch') || ' of ' || backend FROM (SELECT coalesce(day, closed_ms / 86400000) AS day,"
		" backend, settled_pusd AS pusd, 1 AS n FROM attempts WHERE closed_ms IS NOT NULL"
		" UNION ALL SELECT day, backend, -settled_pusd, -attempts FROM usage) GROUP BY day, backend"
		" HAVING sum(pusd) <> 0 OR sum(n) <> 0",
		"its cost is not the sum of its attempts", keep_it, REMEDY_PERSON},
	{"attempt-receipts",
		/* One that was over before there was a body to send has none that it was sent. */
		"SELECT 'attempt ' || id FROM attempts a WHERE (SELECT count(*) FROM receipts r WHERE r.attempt = a.id AND (r.kind = 'sent'"
		" OR (r.kind = 'answered' AND json_valid(r.body) AND json_extract(r.body, '$.body') IS NULL))) <> 1"
		" OR (SELECT count(*) FROM receipts r WHERE r.attempt = a.id AND r.kind <> 'sent') <> (a.closed_ms IS NOT NULL)",
		"its receipts are not one when it was sent and one when it ended", keep_it, REMEDY_PERSON},
};

static int found_rows(struct fsck *k, struct stmt *st, size_t i)
{
	struct finding f = {queries[i].code, queries[i].remedy, NULL, queries[i].what, queries[i].next};
	int r;

	while ((r = stmt_next(st)) > 0) {
		f.subject = stmt_text(st, 0);
		fsck_found(k, &f);
	}
	return r;
}

/* SQLite's own checks: a row each, in words of its own. The column that says what is the n-th. */
static int pragma(struct fsck *k, const char *sql, int column, const char *code)
{
	struct finding f = {code, REMEDY_PERSON, "spool.db", NULL,
		"pageferryctl spool export what can be read, then pageferryctl spool rebuild"};
	struct stmt *st;
	int r = db_query(k->s->db, &st, sql, "");

	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		f.what = stmt_text(st, column);
		if (!streq(f.what, "ok"))
			fsck_found(k, &f);
	}
	return r;
}

static int receipts(struct fsck *k)
{
	struct finding f = {.code = "receipts", .remedy = REMEDY_PERSON, .what = "the chain of receipts, or of its signed heads, does not hold from here on", .next = keep_it};
	char subject[40];
	int64_t bad = 0, n = receipt_verify(k->s, &bad);

	/* -EUCLEAN is the chain's too. */
	if (n != -EUCLEAN || db_damaged(k->s->db))
		return n < 0 ? (int)n : 0;
	str_format(subject, sizeof(subject), "receipt %lld", (long long)bad);
	f.subject = subject;
	fsck_found(k, &f);
	return 0;
}

int fsck_sql(struct fsck *k)
{
	struct stmt *st;
	int r;

	r = pragma(k, k->m->deep ? "PRAGMA integrity_check(20)" : "PRAGMA quick_check(20)", 0, "database-inconsistent");
	if (r >= 0)
		r = pragma(k, "SELECT 'a row of ' || \"table\" || ' points at none of ' || parent FROM pragma_foreign_key_check", 0,
			"foreign-key");
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(queries); i++) {
		r = db_query(k->s->db, &st, queries[i].sql, "");
		if (r >= 0)
			r = found_rows(k, st, i);
	}
	return r < 0 ? r : receipts(k);
}
