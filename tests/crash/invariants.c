/* What is true of every spool after its recovery, whatever happened before. */
#include "tests/crash/sequence.h"

#include <stdarg.h>

#include "base/json.h"
#include "daemon/receipt.h"

void problem(struct report *r, const char *fmt, ...)
{
	va_list ap;

	if (r->problem[0])
		return;
	va_start(ap, fmt);
	vsnprintf(r->problem, sizeof(r->problem), fmt, ap);
	va_end(ap);
}

int64_t count_rows(struct fixture *f, const char *sql)
{
	int64_t n = -1;

	return db_get_i64(f->spool->db, &n, sql, "") > 0 ? n : -1;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Each counts what must not be. */
static const struct {
	const char *what, *sql;
} never[] = {
	{"held without a reason", "SELECT count(*) FROM pages WHERE (state = 'held') != (coalesce(reason, '') != '')"},
	{"a current version that is no result",
		"SELECT count(*) FROM pages p WHERE version > 0 AND NOT EXISTS"
		" (SELECT 1 FROM results r WHERE r.page = p.seq AND r.version = p.version)"},
	{"answered without a version", "SELECT count(*) FROM pages WHERE state IN ('done', 'provisional') AND version = 0"},
	{"queued with a result", "SELECT count(*) FROM pages WHERE state = 'queued' AND seq IN (SELECT page FROM results)"},
	{"done, and its current result is a fallback's although there is another",
		"SELECT count(*) FROM pages p JOIN results r ON r.page = p.seq AND r.version = p.version WHERE p.state = 'done'"
		" AND NOT r.authoritative AND EXISTS (SELECT 1 FROM results o WHERE o.page = p.seq AND o.authoritative)"},
	{"a result that cannot be read", "SELECT count(*) FROM results WHERE NOT json_valid(json)"},
	{"a result whose attempt gave none",
		"SELECT count(*) FROM results r LEFT JOIN attempts a ON a.id = r.attempt WHERE a.outcome IS NOT 'done'"},
	{"an attempt that gave a result and has none",
		"SELECT count(*) FROM attempts a WHERE outcome = 'done' AND page IN (SELECT seq FROM pages)"
		" AND id NOT IN (SELECT attempt FROM results)"},
	{"an open attempt", "SELECT count(*) FROM attempts WHERE closed_ms IS NULL"},
	{"an attempt that is not reserved", "SELECT count(*) FROM attempts WHERE reserved_pusd = 0"},
	{"a crashed attempt that does not count as spent",
		"SELECT count(*) FROM attempts WHERE outcome = 'crashed' AND (billed != 'possibly' OR settled_pusd != reserved_pusd)"},
	{"an attempt without its receipts",
		"SELECT count(*) FROM attempts a WHERE (SELECT group_concat(kind) FROM (SELECT kind FROM receipts WHERE attempt = a.id"
		" ORDER BY seq)) != 'sent,' || CASE outcome WHEN 'crashed' THEN 'crashed' ELSE 'answered' END"},
	{"an attempt of no page",
		"SELECT count(*) FROM attempts WHERE page NOT IN (SELECT seq FROM pages UNION SELECT seq FROM gone)"},
	{"a page that is here and gone", "SELECT count(*) FROM pages JOIN gone USING (page)"},
	{"a result that is not delivered", "SELECT count(*) FROM deliveries WHERE done_ms IS NULL OR error IS NOT NULL"},
	{"a current result without a delivery",
		"SELECT count(*) FROM pages p WHERE version > 0 AND NOT EXISTS"
		" (SELECT 1 FROM deliveries d WHERE d.page = p.seq AND d.version = p.version)"},
	{"rows that point at none", "SELECT count(*) FROM pragma_foreign_key_check"},
	{"damage", "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check != 'ok'"},
};

static void check_rows(struct fixture *f, struct report *r)
{
	int64_t bad;

	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		int64_t n = count_rows(f, never[i].sql);

		if (n != 0)
			problem(r, "%s (%lld)", never[i].what, (long long)n);
	}
	if (receipt_verify(f->spool, &bad) < 0)
		problem(r, "the chain of receipts is broken");
}

/* Accepted before: here, or gone by a sequence that may. */
static void check_base(struct fixture *f, struct report *r, const struct sequence *q)
{
	int64_t one, held = count_rows(f, "SELECT count(*) FROM pages WHERE state = 'held'");

	for (size_t i = 0; i < r->n_base; i++)
		if (db_get_i64(f->spool->db, &one, "SELECT 1 FROM pages WHERE page = ?1 UNION SELECT 1 FROM gone WHERE page = ?1", "s",
			    r->base[i]) != 1)
			problem(r, "page %s is lost", r->base[i]);
	if (count_rows(f, "SELECT count(*) FROM attempts") < r->attempts)
		problem(r, "the ledger has lost attempts");
	if (held > q->held)
		problem(r, "%lld pages are held", (long long)held);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void each_file(const char *folder, struct fixture *f, struct report *r,
	void (*fn)(struct fixture *f, struct report *r, const char *name))
{
	struct dirent *e;
	char path[256];
	DIR *d;

	fixture_path(path, folder, "", "");
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			fn(f, r, e->d_name);
	closedir(d);
}

static void page_file(struct fixture *f, struct report *r, const char *name)
{
	_cleanup_buf_ struct buf data = BUF_MAX(1 << 20);
	char hash[SHA256_HEX_SIZE];
	int64_t one;

	CHECK_INT(file_read(f->spool->pages, name, 1 << 20, &data), 0);
	sha256_hex_of(buf_str(&data), data.len, hash);
	if (db_get_i64(f->spool->db, &one, "SELECT 1 FROM pages WHERE page || '.jpg' = ? AND sha256 = ? AND bytes = ? AND file = 1", "ssi",
		    name, hash, (int64_t)data.len) != 1)
		problem(r, "pages/%s is no row's", name);
}

static void result_file(struct fixture *f, struct report *r, const char *name)
{
	_cleanup_buf_ struct buf data = BUF_MAX(1 << 20);
	_cleanup_json_ cJSON *j = NULL;
	int64_t version, want = 0;

	CHECK_INT(file_read(f->spool->results, name, 1 << 20, &data), 0);
	if (json_parse(buf_str(&data), data.len, &j, NULL) < 0 || json_get_i64(j, "version", &version) < 0) {
		problem(r, "results/%s cannot be read", name);
		return;
	}
	if (db_get_i64(f->spool->db, &want, "SELECT version FROM pages WHERE page || '.json' = ?", "s", name) != 1)
		problem(r, "results/%s is no row's", name);
	else if (want != version)
		problem(r, "results/%s is version %lld, the page's is %lld", name, (long long)version, (long long)want);
}

static void tmp_file(struct fixture *f, struct report *r, const char *name)
{
	problem(r, "tmp/%s is left", name);
}

/* A thing and its reason go together. */
static void quarantine_file(struct fixture *f, struct report *r, const char *name)
{
	size_t len = strlen(name), tail = strlen(".reason");
	char other[300];

	if (len > tail && streq(name + len - tail, ".reason"))
		str_format(other, sizeof(other), "%.*s", (int)(len - tail), name);
	else if (starts_with(name, "spool.db.") && strchr(name, '-'))
		str_format(other, sizeof(other), "%.*s.reason", (int)(strchr(name, '-') - name), name);
	else
		str_format(other, sizeof(other), "%s.reason", name);
	if (!fixture_exists("quarantine", other, ""))
		problem(r, "quarantine/%s is there without %s", name, other);
}

static void check_files(struct fixture *f, struct report *r)
{
	int64_t want;

	each_file("tmp", f, r, tmp_file);
	each_file("pages", f, r, page_file);
	each_file("results", f, r, result_file);
	each_file("quarantine", f, r, quarantine_file);
	want = count_rows(f, "SELECT count(*) FROM pages WHERE file = 1 AND coalesce(reason, '') NOT LIKE 'lost%'");
	if (fixture_files("pages") != want)
		problem(r, "%d page files for %lld rows", fixture_files("pages"), (long long)want);
	want = count_rows(f, "SELECT count(*) FROM pages WHERE version > 0");
	if (fixture_files("results") != want)
		problem(r, "%d exports for %lld results", fixture_files("results"), (long long)want);
}

void check_invariants(struct fixture *f, struct report *r, const struct sequence *q)
{
	check_rows(f, r);
	check_base(f, r, q);
	check_files(f, r);
	check_memory(f, r);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void check_memory(struct fixture *f, struct report *r)
{
	static const char *const states[] = {"queued", "provisional", "done", "held"};
	struct spool_counts c;
	int64_t bytes;

	if (f->spool->writers)
		problem(r, "a writer is left open");
	if (db_begin(f->spool->db) < 0)
		problem(r, "a transaction cannot be begun");
	db_rollback(f->spool->db);
	if (spool_counts(f->spool, &c) < 0) {
		problem(r, "pages cannot be counted");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		const int64_t got[] = {c.queued, c.provisional, c.done, c.held};
		int64_t want = -1;

		db_get_i64(f->spool->db, &want, "SELECT count(*) FROM pages WHERE state = ?", "s", states[i]);
		if (want != got[i])
			problem(r, "%lld pages are %s, memory says %lld", (long long)want, states[i], (long long)got[i]);
	}
	bytes = count_rows(f, "SELECT coalesce(sum(bytes), 0) FROM pages WHERE file = 1");
	if (bytes != f->spool->pages_bytes)
		problem(r, "pages have %lld bytes, memory says %lld", (long long)bytes, (long long)f->spool->pages_bytes);
}
