/* fsck: each row of a page with its file, its job, its results and its export. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "daemon/maintain_fsck.h"

#define RESULT_MAX     ((size_t)16 << 20)
#define PROGRESS_EVERY 256

/* What is looked at of a row. */
struct row {
	int64_t seq, job, bytes, version;
	char id[PAGE_ID_SIZE], state[16], sha256[SHA256_HEX_SIZE];
	bool file;
};

static void found(struct fsck *k, const struct row *p, const char *code, enum remedy remedy, const char *what, const char *next)
{
	fsck_found(k, &(struct finding){code, remedy, p->id, what, next});
}

/* ---- the page file ------------------------------------------------------------------------------------------------------------ */

static void check_file(struct fsck *k, const struct row *p)
{
	/* A done one needs its file no more. */
	bool done = streq(p->state, "done");
	const char *again = done ? "its result is there; scan the paper again if the image is needed" :
				   "the next start holds it; scan the paper again, then pageferryctl drop";
	char name[PAGE_FILE_SIZE], hex[SHA256_HEX_SIZE];
	int64_t bytes;
	int r;

	page_file_name(p->id, name);
	r = fsck_hash(k->s->pages, name, &bytes, hex);
	if (!p->file) {
		if (r != -ENOENT && r != -EBADF)
			found(k, p, "page-file-aged", REMEDY_START, "its file has aged out and is still there", "the next start removes it");
		return;
	}
	if (r == -ENOENT || r == -EBADF)
		found(k, p, "page-file-missing", REMEDY_PERSON, "its page file is missing", again);
	else if (r == -EBADMSG)
		found(k, p, "page-file-foreign", REMEDY_PERSON, "what has its file's name is no regular file", again);
	else if (r < 0)
		found(k, p, "page-file-unreadable", REMEDY_PERSON, errno_text(r), "check the disk and the file's owner");
	else if (bytes != p->bytes || !streq(hex, p->sha256))
		found(k, p, "page-file-damaged", REMEDY_PERSON, "its page file is not what was accepted", again);
	k->files += r >= 0;
	k->bytes += r >= 0 ? bytes : 0;
}

/* ---- what was asked of it ----------------------------------------------------------------------------------------------------- */

static int check_job(struct fsck *k, const struct row *p)
{
	const struct spool_job *job;
	int r;

	if (streq(p->state, "done"))
		return 0;
	r = spool_job_by_id(k->s, p->job, &job);
	if (r >= 0 && !job)
		found(k, p, "page-job", REMEDY_PERSON, "what was asked of it cannot be read", "hand the page file in again: pageferryctl extract");
	return r;
}

/* ---- results ------------------------------------------------------------------------------------------------------------------ */

/* docs/result.schema.json, "required", in so far as a program can tell without it. */
static const char *result_problem(const struct row *p, const cJSON *j, int64_t version)
{
	static const char *const texts[] = {"document", "asked_type", "type", "state", "backend", "accepted", "answered", "trust", "cost_pico_usd"};
	int64_t n;
	bool b;

	if (json_get_i64(j, "pageferry", &n) < 0 || n != 1)
		return "a result is of another format";
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!json_get_string(j, texts[i]))
			return "a result lacks one of its members";
	if (json_get_i64(j, "position", &n) < 0 || json_get_bool(j, "authoritative", &b) < 0 || json_get_i64(j, "type_version", &n) < 0 ||
		!json_get_object(j, "fields") || !json_get_array(j, "problems"))
		return "a result lacks one of its members";
	if (!json_get_string(j, "page") || !streq(json_get_string(j, "page"), p->id) || json_get_i64(j, "version", &n) < 0 || n != version)
		return "a result is that of another page or version";
	if (!json_get_string(j, "content_sha256") || !streq(json_get_string(j, "content_sha256"), p->sha256))
		return "a result is that of another page file";
	return NULL;
}

/* The same, whatever its blanks. 1, 0, negative errno. */
static int same_json(const cJSON *a, const cJSON *b)
{
	_cleanup_buf_ struct buf one = {0}, two = {0};
	int r = json_print(a, false, &one);

	if (r >= 0)
		r = json_print(b, false, &two);
	return r < 0 ? r : streq(buf_str(&one), buf_str(&two));
}

static int delivered(struct fsck *k, const struct row *p)
{
	int64_t open;
	int r = db_get_i64(k->s->db, &open, "SELECT 1 FROM deliveries WHERE page = ? AND version = ? AND done_ms IS NULL", "ii", p->seq, p->version);

	return r < 0 ? r : !r;
}

static int check_export(struct fsck *k, const struct row *p, const cJSON *current)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_json_ cJSON *j = NULL;
	char name[PAGE_ID_SIZE + 8];
	int r = delivered(k, p);

	if (r <= 0)
		return r;
	str_format(name, sizeof(name), "%s.json", p->id);
	r = k->s->results < 0 ? -ENOENT : file_read(k->s->results, name, RESULT_MAX, &text);
	if (r == -ENOENT) {
		found(k, p, "export-missing", REMEDY_START, "its file in results/ is missing", "the next start makes it again");
		return 0;
	}
	if (r >= 0)
		r = json_parse(buf_str(&text), text.len, &j, NULL);
	if (r < 0 && r != -ENOMEM)
		found(k, p, "export-damaged", REMEDY_PERSON, "its file in results/ cannot be read", "remove that; the next start makes it again");
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = same_json(j, current);
	if (r == 0)
		found(k, p, "export-differs", REMEDY_PERSON, "its file in results/ is not its result", "remove that; the next start makes it again");
	return r;
}

static int check_result(struct fsck *k, const struct row *p, int64_t version, const char *text)
{
	_cleanup_json_ cJSON *j = NULL;
	const char *problem;
	int r = json_parse(text, strlen(text), &j, NULL);

	if (r == -ENOMEM)
		return r;
	problem = r < 0 ? "a result is no JSON" : result_problem(p, j, version);
	if (problem)
		found(k, p, "result", REMEDY_PERSON, problem, "pageferryctl show; hand the page file in again if its fields are needed");
	return r < 0 || version != p->version ? 0 : check_export(k, p, j);
}

static int check_results(struct fsck *k, const struct row *p)
{
	struct stmt *st;
	int r = db_query(k->s->db, &st, "SELECT version, json FROM results WHERE page = ? ORDER BY version", "i", p->seq);

	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		r = check_result(k, p, stmt_i64(st, 0), stmt_text(st, 1));
		if (r < 0)
			break;
	}
	stmt_done(st);
	return r;
}

/* ---- the walk ----------------------------------------------------------------------------------------------------------------- */

static int check_row(struct fsck *k, const struct row *p)
{
	int r;

	if (!page_id_valid(p->id)) {
		found(k, p, "page-id", REMEDY_PERSON, "is no id of a page", "keep a copy of the spool, and ask whoever maintains the service");
		return 0;
	}
	check_file(k, p);
	r = check_job(k, p);
	return r < 0 ? r : check_results(k, p);
}

static void progress(const struct fsck *k)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%lld of %lld pages%s", (long long)k->pages, (long long)k->total, k->pages == k->total ? "\r\033[K" : "");
}

int fsck_pages(struct fsck *k)
{
	struct stmt *st;
	int r = db_get_i64(k->s->db, &k->total, "SELECT count(*) FROM pages", "");

	if (r >= 0)
		r = db_query(k->s->db, &st, "SELECT seq, page, state, sha256, bytes, version, file, job FROM pages ORDER BY seq", "");
	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		struct row p = {.seq = stmt_i64(st, 0), .bytes = stmt_i64(st, 4), .version = stmt_i64(st, 5), .file = stmt_i64(st, 6) != 0,
			.job = stmt_i64(st, 7)};

		text_cut(p.id, sizeof(p.id), stmt_text(st, 1));
		text_cut(p.state, sizeof(p.state), stmt_text(st, 2));
		text_cut(p.sha256, sizeof(p.sha256), stmt_text(st, 3));
		r = check_row(k, &p);
		if (r < 0)
			break;
		if (++k->pages % PROGRESS_EVERY == 0 || k->pages == k->total)
			progress(k);
	}
	stmt_done(st);
	return r;
}
