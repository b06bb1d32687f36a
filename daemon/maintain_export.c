/*
 * pageferryd spool export: page files and results in a folder of their own, with a manifest. Each file is on the disk before
 * the manifest is, and the manifest gets its name last: a folder without manifest.json is an export that was cut off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/beside.h"
#include "daemon/maintain_internal.h"

#define RESULT_MAX ((size_t)16 << 20)
#define FLUSH_AT   ((size_t)64 << 10)
#define PART       "manifest.json.part"

struct export {
	int dirfd, pages, results, originals; /* of the new folder */
	int manifest;
	struct buf text; /* of the manifest, not written yet */
	int64_t n, damaged;
	struct buf done; /* ids of the pages in the manifest, one after the other; sorted once the database is given up */
	bool sorted;
	bool failed; /* of the new folder: no space, ... */
};

/* ---- files -------------------------------------------------------------------------------------------------------------------- */

static int put_file(int dirfd, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	int r = fd < 0 ? -errno : write_all(fd, data, len);

	return r < 0 ? r : fsync_retry(fd);
}

/* Copies and hashes. *ret_read: 0, or why the source cannot be read. Negative: the target cannot be written. */
static int copy_open(int from, int to, char hex[static SHA256_HEX_SIZE], int *ret_read)
{
	uint8_t piece[32768], digest[SHA256_SIZE];
	struct sha256 *h;
	ssize_t n;
	int r = sha256_new(&h);

	if (r < 0)
		return r;
	while (r >= 0 && (n = read_full(from, piece, sizeof(piece))) > 0) {
		sha256_update(h, piece, (size_t)n);
		r = write_all(to, piece, (size_t)n);
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), hex);
	*ret_read = r >= 0 && n < 0 ? (int)n : 0;
	return r < 0 ? r : fsync_retry(to);
}

static int copy_file(int from_dirfd, const char *name, int to_dirfd, char hex[static SHA256_HEX_SIZE], int *ret_read)
{
	_cleanup_close_ int from = openat(from_dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), to = -1;
	struct stat st;

	*ret_read = from < 0 || fstat(from, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EBADMSG;
	if (*ret_read < 0)
		return 0;
	to = openat(to_dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	return to < 0 ? -errno : copy_open(from, to, hex, ret_read);
}

/* ---- a page ------------------------------------------------------------------------------------------------------------------- */

/* Why it is not as it was accepted, or NULL. */
static int export_file(struct export *x, struct spool *s, const struct maintain_page *p, const char **ret_problem)
{
	char name[PAGE_FILE_SIZE], hex[SHA256_HEX_SIZE];
	int unread, r;

	*ret_problem = NULL;
	if (!p->file) {
		*ret_problem = "its file has aged out";
		return 0;
	}
	page_file_name(p->id, name);
	r = copy_file(s->pages, name, x->pages, hex, &unread);
	if (r < 0)
		return r;
	if (unread < 0 || !streq(hex, p->sha256)) {
		*ret_problem = unread < 0 ? errno_text(unread) : "its file is not what was accepted";
		x->damaged++;
	}
	STEP(EXPORT_PAGE_COPIED);
	return 0;
}

/* In *ret_name, borrowed from `name`; NULL: none was kept, or it cannot be read. */
static int export_original(struct export *x, struct spool *s, const struct maintain_page *p, char name[static BESIDE_NAME_SIZE],
	const char **ret_name)
{
	char hex[SHA256_HEX_SIZE];
	int unread, r;

	*ret_name = NULL;
	beside_file_name(p->id, BESIDE_ORIGINAL, name);
	if (x->originals < 0 || beside_size(s, p->id, BESIDE_ORIGINAL) == 0)
		return 0;
	r = copy_file(s->beside, name, x->originals, hex, &unread);
	if (r >= 0 && unread >= 0)
		*ret_name = name;
	else if (r >= 0)
		unlinkat(x->originals, name, 0); /* a part of it is none; there may be nothing */
	return r;
}

static int add_result(cJSON *list, const char *name)
{
	cJSON *item = cJSON_CreateString(name);

	return item && cJSON_AddItemToArray(list, item) ? 0 : -ENOMEM;
}

static int results_from_rows(struct export *x, struct spool *s, const struct maintain_page *p, cJSON *list)
{
	char name[PAGE_ID_SIZE + 32];
	struct stmt *st;
	int r = db_query(s->db, &st, "SELECT version, json FROM results WHERE page = ? ORDER BY version", "i", p->seq);

	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		const char *json = stmt_text(st, 1);

		str_format(name, sizeof(name), "%s.%lld.json", p->id, (long long)stmt_i64(st, 0));
		r = put_file(x->results, name, json, strlen(json));
		x->failed |= r < 0;
		if (r >= 0)
			r = add_result(list, name);
		if (r < 0)
			break;
	}
	stmt_done(st);
	return r;
}

/* What was delivered is the current one. */
static int result_from_file(struct export *x, struct spool *s, const struct maintain_page *p, cJSON *list)
{
	char name[PAGE_ID_SIZE + 8], hex[SHA256_HEX_SIZE];
	int unread, r;

	str_format(name, sizeof(name), "%s.json", p->id);
	r = copy_file(s->results, name, x->results, hex, &unread);
	x->failed |= r < 0;
	return r < 0 || unread < 0 ? r : add_result(list, name);
}

static int flush(struct export *x)
{
	int r = write_all(x->manifest, buf_str(&x->text), x->text.len);

	buf_clear(&x->text);
	return r;
}

static int add_entry(
	struct export *x, const struct maintain_page *p, const char *problem, const char *original, cJSON **results)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? maintain_page_json(p, j) : -ENOMEM;

	if (r >= 0)
		r = json_add_string(j, "problem", problem);
	if (r >= 0 && original)
		r = json_add_string(j, "original", original);
	if (r >= 0)
		r = json_add_take(j, "results", take_ptr(*results));
	if (r >= 0)
		r = buf_adds(&x->text, x->n++ ? ",\n" : "\n");
	if (r >= 0)
		r = json_print(j, false, &x->text);
	return r < 0 || x->text.len < FLUSH_AT ? r : flush(x);
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, PAGE_ID_LENGTH);
}

/* Damage was met half way: those before it are in the manifest. */
static bool is_done(struct export *x, const char *id)
{
	size_t n = x->done.len / PAGE_ID_LENGTH;

	if (n > 0 && !x->sorted)
		qsort(x->done.data, n, PAGE_ID_LENGTH, by_id);
	x->sorted = true;
	return n > 0 && bsearch(id, x->done.data, n, PAGE_ID_LENGTH, by_id);
}

static int export_page(struct maintain *m, struct spool *s, const struct maintain_page *p, void *ud)
{
	_cleanup_json_ cJSON *results = cJSON_CreateArray();
	struct export *x = ud;
	const char *problem = NULL, *original = NULL;
	char name[PAGE_FILE_SIZE], original_name[BESIDE_NAME_SIZE] = "";
	int r = results ? 0 : -ENOMEM;

	if (m->from_files && is_done(x, p->id))
		return 0;
	page_file_name(p->id, name);
	if (r >= 0 && x->pages >= 0) {
		r = export_file(x, s, p, &problem);
		if (r >= 0)
			r = export_original(x, s, p, original_name, &original);
		x->failed |= r < 0;
	}
	if (r >= 0)
		r = m->from_files ? result_from_file(x, s, p, results) : results_from_rows(x, s, p, results);
	if (r >= 0)
		r = add_entry(x, p, problem, original, &results);
	if (r >= 0 && !m->from_files)
		r = buf_add(&x->done, p->id, PAGE_ID_LENGTH);
	/* It is in no manifest yet: when its row was damage, it comes again by its file. */
	if (r < 0 && x->pages >= 0)
		unlinkat(x->pages, name, 0);
	if (r < 0 && x->originals >= 0)
		unlinkat(x->originals, original_name, 0);
	return r;
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------------- */

/* The new folder: made, or there and empty. */
static int make_folder(struct maintain *m, struct export *x)
{
	char stamp[TIMESTAMP_SIZE];
	int r = 0;

	if (mkdir(m->args[0], 0750) < 0 && errno != EEXIST)
		return -errno;
	x->dirfd = open(m->args[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* It fails when something of that name is there. */
	if (x->dirfd < 0 || mkdirat(x->dirfd, "results", 0750) < 0 ||
		(!m->results_only && (mkdirat(x->dirfd, "pages", 0750) < 0 || mkdirat(x->dirfd, "originals", 0750) < 0)))
		return -errno;
	x->results = openat(x->dirfd, "results", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	x->pages = m->results_only ? -1 : openat(x->dirfd, "pages", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	x->originals = m->results_only ? -1 : openat(x->dirfd, "originals", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	x->manifest = openat(x->dirfd, BUG("export-manifest-first") ? "manifest.json" : PART, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (x->results < 0 || ((x->pages < 0 || x->originals < 0) && !m->results_only) || x->manifest < 0)
		r = -errno;
	timestamp_format(clock_realtime_ms(m->clock), false, stamp);
	return r < 0 ? r : buf_addf(&x->text, "{\"pageferry_export\":1,\"made\":\"%s\",\"pages\":[", stamp);
}

static int finish(struct maintain *m, struct export *x)
{
	int r = buf_addf(&x->text, "\n],\n\"count\":%lld,\"damaged\":%lld,\"database\":%s}\n", (long long)x->n, (long long)x->damaged,
		m->from_files ? "false" : "true");

	if (r >= 0)
		r = flush(x);
	if (r >= 0)
		r = fsync_retry(x->manifest);
	STEP(EXPORT_MANIFEST_WRITTEN);
	if (r >= 0 && x->pages >= 0)
		r = fsync_dir(x->pages);
	if (r >= 0 && x->originals >= 0)
		r = fsync_dir(x->originals);
	if (r >= 0)
		r = fsync_dir(x->results);
	STEP(EXPORT_FOLDERS_SYNCED);
	if (r >= 0 && !BUG("export-manifest-first"))
		r = rename_durable(x->dirfd, PART, x->dirfd, "manifest.json");
	STEP(EXPORT_MANIFEST_RENAMED);
	return r;
}

static int run(struct maintain *m, struct spool *s, struct export *x)
{
	int r = make_folder(m, x);

	if (r < 0) {
		char safe[256];

		maintain_say("%s: %s", text_safe_copy(safe, sizeof(safe), m->args[0]),
			r == -EEXIST ? "there is something of an export in it: name an empty folder" : errno_text(r));
		return r;
	}
	r = maintain_pages(m, s, export_page, x);
	if (r >= 0)
		r = finish(m, x);
	if (r < 0)
		maintain_say("the export failed%s: %s", x->failed ? " to write" : "", errno_text(r));
	return r;
}

int maintain_export(struct maintain *m)
{
	struct export x = {.dirfd = -1, .pages = -1, .results = -1, .originals = -1, .manifest = -1};
	struct spool *s;
	int r = maintain_look(m, &s);

	if (r < 0)
		return r;
	r = run(m, s, &x);
	if (r >= 0)
		printf("%lld pages, %lld not whole\n", (long long)x.n, (long long)x.damaged);
	spool_close(s);
	buf_free(&x.text);
	buf_free(&x.done);
	closep(&x.manifest);
	closep(&x.pages);
	closep(&x.results);
	closep(&x.originals);
	closep(&x.dirfd);
	return r < 0 ? r : x.damaged > 0 || m->from_files ? MAINTAIN_WRONG : MAINTAIN_WELL;
}
