/* What is true of every spool after its recovery, whatever happened before. */
#include "tests/crash/sequence.h"

#include <stdarg.h>

#include "base/json.h"
#include "daemon/maintain_internal.h"

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
	{"queued with a result", "SELECT count(*) FROM pages WHERE state = 'queued' AND seq IN (SELECT page FROM results)"},
	{"done, and its current result is a fallback's although there is another",
		"SELECT count(*) FROM pages p JOIN results r ON r.page = p.seq AND r.version = p.version WHERE p.state = 'done'"
		" AND NOT r.authoritative AND EXISTS (SELECT 1 FROM results o WHERE o.page = p.seq AND o.authoritative)"},
	{"a result whose attempt gave none",
		"SELECT count(*) FROM results r LEFT JOIN attempts a ON a.id = r.attempt WHERE a.outcome IS NOT 'done'"},
	{"an attempt that gave a result and has none",
		"SELECT count(*) FROM attempts a WHERE outcome = 'done' AND page IN (SELECT seq FROM pages)"
		" AND id NOT IN (SELECT attempt FROM results)"},
	{"an attempt that is not reserved", "SELECT count(*) FROM attempts WHERE reserved_pusd = 0"},
	{"a result that is not delivered", "SELECT count(*) FROM deliveries WHERE done_ms IS NULL OR error IS NOT NULL"},
};

static void check_rows(struct fixture *f, struct report *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		int64_t n = count_rows(f, never[i].sql);

		if (n != 0)
			problem(r, "%s (%lld)", never[i].what, (long long)n);
	}
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

/* A thing and its reason go together. */
static void quarantine_file(struct report *r, const char *name)
{
	size_t len = strlen(name), tail = strlen(".reason");
	char other[300];

	if (len > tail && streq(name + len - tail, ".reason")) {
		str_format(other, sizeof(other), "%.*s-wal", (int)(len - tail), name);
		if (starts_with(name, "spool.db.") && fixture_exists("quarantine", other, ""))
			return;
		str_format(other, sizeof(other), "%.*s", (int)(len - tail), name);
	} else if (starts_with(name, "spool.db.") && strchr(name, '-'))
		str_format(other, sizeof(other), "%.*s.reason", (int)(strchr(name, '-') - name), name);
	else
		str_format(other, sizeof(other), "%s.reason", name);
	if (!fixture_exists("quarantine", other, ""))
		problem(r, "quarantine/%s is there without %s", name, other);
}

static void check_quarantine(struct report *r)
{
	struct dirent *e;
	char path[256];
	DIR *d;

	fixture_path(path, "quarantine", "", "");
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			quarantine_file(r, e->d_name);
	closedir(d);
}

void check_invariants(struct fixture *f, struct report *r, const struct sequence *q)
{
	check_rows(f, r);
	check_base(f, r, q);
	check_quarantine(r);
	check_memory(f, r);
}

/* ---- what an operator would see -------------------------------------------------------------- */

/* One line of its JSON. Notes are not wrong; a page whose file was lost before may be told. */
static void finding(struct report *r, const struct sequence *q, const char *line)
{
	_cleanup_json_ cJSON *j = NULL;
	const char *code;

	if (json_parse(line, strlen(line), &j, NULL) < 0) {
		problem(r, "fsck: %s", line);
		return;
	}
	code = json_get_string(j, "finding");
	if (!code || streq(json_get_string(j, "remedy"), "note") || (q->lost && streq(code, "page-file-missing")))
		return;
	problem(r, "fsck: %s: %s: %s", code, json_get_string(j, "subject"), json_get_string(j, "what"));
}

void check_by_fsck(struct report *r, const struct sequence *q)
{
	struct maintain m = {.deep = true, .json = true, .state = -1};
	_cleanup_buf_ struct buf out = BUF_MAX(1 << 20);
	char path[300], *line, *rest;
	int status;

	str_format(path, sizeof(path), "%s.fsck", test_tmpdir());
	CHECK(freopen(path, "w", stdout));
	CHECK_INT(str_copy(m.directory, sizeof(m.directory), test_tmpdir()) < 0, false);
	CHECK_INT(clock_new(&fixture_clock, &(struct fixture){.now = FIXTURE_NOW}, &m.clock), 0);
	status = maintain_fsck(&m);
	clock_free(m.clock);
	fflush(stdout);
	CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &out), 0);
	if (status == MAINTAIN_CANNOT || out.len == 0)
		problem(r, "fsck cannot look");
	for (line = strtok_r((char *)buf_str(&out), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		finding(r, q, line);
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
