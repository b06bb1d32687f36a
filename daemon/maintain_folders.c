/* fsck: what lies in the spool's folders, and whose it is. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "daemon/beside.h"
#include "daemon/maintain_fsck.h"

#define TYPES_MAX TYPESET_BYTES_MAX

static void found(struct fsck *k, const char *folder, const char *name, const char *code, enum remedy remedy, const char *what, const char *next)
{
	char path[300];

	if (str_format(path, sizeof(path), "%s%s%s", folder, folder[0] ? "/" : "", name) < 0)
		str_copy(path, sizeof(path), folder);
	fsck_found(k, &(struct finding){code, remedy, path, what, next});
}

/* The id of "ID" with a suffix; false when the name is none of ours. */
static bool id_of(const char *name, const char *suffix, char id[static PAGE_ID_SIZE])
{
	size_t len = strlen(name);

	if (len != PAGE_ID_LENGTH + strlen(suffix) || !streq(name + PAGE_ID_LENGTH, suffix))
		return false;
	memcpy(id, name, PAGE_ID_LENGTH);
	id[PAGE_ID_LENGTH] = 0;
	return page_id_valid(id);
}

/* Is the page known? 1 in pages, 2 in gone, 0 neither; also without a database. */
static int known(struct fsck *k, const char *id)
{
	int64_t n;
	int r;

	if (!k->s->db || k->database_damaged)
		return 1;
	r = db_get_i64(k->s->db, &n, "SELECT 1 FROM pages WHERE page = ? UNION ALL SELECT 2 FROM gone WHERE page = ? LIMIT 1", "ss", id, id);
	return r > 0 ? (int)n : r;
}

/* Without a row the file itself says what becomes of it. */
static void orphan(struct fsck *k, const char *name, const char *id)
{
	_cleanup_json_ cJSON *job = NULL;
	struct page_row p;
	int r = page_file_describe(k->s, name, id, &p, &job);

	if (r == -ENOTSUP)
		found(k, "pages", name, "file-newer", REMEDY_PERSON, "is of a newer pageferry", "it is left as it is until that is installed");
	else
		found(k, "pages", name, "file-without-row", REMEDY_START, "is in no row: it was never acknowledged, or its row is lost",
			r < 0 ? "the next start sets it aside in quarantine/: it does not say what it is" : "the next start holds it");
}

static int page_file(struct fsck *k, const char *name)
{
	char id[PAGE_ID_SIZE];
	int r;

	if (!id_of(name, ".jpg", id)) {
		found(k, "pages", name, "foreign-file", REMEDY_START, "is no page file", "the next start sets it aside in quarantine/");
		return 0;
	}
	r = known(k, id);
	if (r == 0)
		orphan(k, name, id);
	if (r == 2)
		found(k, "pages", name, "file-gone", REMEDY_START, "its page is gone, its file is still there", "the next start removes it");
	return r < 0 ? r : 0;
}

static int tmp_file(struct fsck *k, const char *name)
{
	found(k, "tmp", name, "tmp-file", REMEDY_START, "was being written when the service ended", "the next start removes it");
	return 0;
}

static int result_file(struct fsck *k, const char *name)
{
	char id[PAGE_ID_SIZE];
	int r;

	if (!id_of(name, ".json", id)) {
		found(k, "results", name, "foreign-file", REMEDY_START, "is no result", "the next start sets it aside in quarantine/");
		return 0;
	}
	r = known(k, id);
	if (r == 0)
		found(k, "results", name, "export-foreign", REMEDY_NONE, "is the result of no page that the database knows", "it stays");
	if (r == 2)
		found(k, "results", name, "export-gone", REMEDY_START, "its page is gone, its result is still there", "the next start removes it");
	return r < 0 ? r : 0;
}

static int beside_file(struct fsck *k, const char *name)
{
	char id[PAGE_ID_SIZE];
	enum beside_kind kind;
	int r;

	if (!beside_from_name(name, id, &kind)) {
		found(k, "beside", name, "foreign-file", REMEDY_START, "belongs to no page", "the next start sets it aside in quarantine/");
		return 0;
	}
	r = !k->s->db || k->database_damaged ? 1 : beside_page(k->s, id);
	if (r == 0)
		found(k, "beside", name, "file-gone", REMEDY_START, "its page's file is gone, it is still there", "the next start removes it");
	if (r == -ENOENT)
		found(k, "beside", name, "foreign-file", REMEDY_START, "lies beside a page that nothing is known of",
			"the next start sets it aside in quarantine/");
	return r == -ENOENT ? 0 : MIN(r, 0);
}

static const char types_again[] = "the next start writes it from the database";

/* A rebuild finds there what was asked of a page. */
static int type_file(struct fsck *k, const char *name)
{
	char hash[SHA256_HEX_SIZE], got[SHA256_HEX_SIZE];
	int64_t bytes, one;
	int r;

	if (strlen(name) != SHA256_HEX_SIZE - 1 + 5 || !streq(name + SHA256_HEX_SIZE - 1, ".json")) {
		found(k, "types", name, "types-foreign", REMEDY_NONE, "is no file of document types", "it stays");
		return 0;
	}
	text_cut(hash, sizeof(hash), name);
	if (fsck_hash(k->s->types, name, &bytes, got) == 0 && streq(hash, got))
		return 0;
	r = !k->s->db || k->database_damaged ? 0 : db_get_i64(k->s->db, &one, "SELECT 1 FROM typesets WHERE hash = ?", "s", hash);
	if (r > 0)
		found(k, "types", name, "types-damaged", REMEDY_START, "is not what its name says", types_again);
	else if (r == 0)
		found(k, "types", name, "types-damaged", REMEDY_PERSON, "is not what its name says, nor are these types in the database",
			"put it back from a copy: pages that need it are in quarantine/ else; or remove it");
	return r;
}

static int quarantined(struct fsck *k, const char *name)
{
	size_t len = strlen(name);

	k->quarantined += len < 7 || !streq(name + len - 7, ".reason");
	return 0;
}

static int top_file(struct fsck *k, const char *name)
{
	static const char *const ours[] = {"spool.db", "spool.db-wal", "spool.db-shm", "damaged", "receipts.key", "receipts.key.next",
		"receipts.head", "receipts", "pages", "tmp", "types", "results", "beside",
		"quarantine"};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (streq(name, ours[i]))
			return 0;
	found(k, "", name, "foreign-file", REMEDY_NONE, "is nothing of pageferryd's", "it stays");
	return 0;
}

static int walk(struct fsck *k, int dirfd, int (*fn)(struct fsck *k, const char *name))
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r >= 0 && (errno = 0, e = readdir(d)))
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = fn(k, e->d_name);
	if (r >= 0)
		r = -errno;
	closedir(d);
	return r;
}

/* The typesets that rows point at are files, too. */
static int type_rows(struct fsck *k)
{
	char name[SHA256_HEX_SIZE + 8];
	struct stmt *st;
	struct stat f;
	int r;

	if (!k->s->db || k->database_damaged)
		return 0;
	r = db_query(k->s->db, &st, "SELECT hash FROM typesets", "");
	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0)
		if (str_format(name, sizeof(name), "%s.json", stmt_text(st, 0)) < 0 || fstatat(k->s->types, name, &f, AT_SYMLINK_NOFOLLOW) < 0)
			found(k, "types", name, "types-missing", REMEDY_START, "document types in use have no file: a rebuild would lack them",
				types_again);
	return r;
}

int fsck_folders(struct fsck *k)
{
	const struct {
		const char *name;
		int dirfd;
		int (*fn)(struct fsck *k, const char *name);
	} folders[] = {
		{"pages", k->s->pages, page_file},
		{"tmp", k->s->tmp, tmp_file},
		{"types", k->s->types, type_file},
		{"results", k->s->results, result_file},
		{"beside", k->s->beside, beside_file},
		{"quarantine", k->s->quarantine, quarantined},
	};
	int r = walk(k, k->s->dirfd, top_file);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); i++) {
		if (folders[i].dirfd < 0 && streq(folders[i].name, "beside") &&
			faccessat(k->s->dirfd, "beside", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			continue; /* of an older version, which had none */
		if (folders[i].dirfd >= 0)
			r = walk(k, folders[i].dirfd, folders[i].fn);
		else
			found(k, "", folders[i].name, "folder-missing", REMEDY_START, "is no folder that can be read",
				"the next start makes it, and sets aside what is in its place");
	}
	return r < 0 ? r : type_rows(k);
}
