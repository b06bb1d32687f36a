/* pageferryd spool fsck: the invariants of a spool, checked from outside. Nothing is changed. */
#include "daemon/maintain_fsck.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/text.h"

static const char *const remedies[] = {
	[REMEDY_START] = "start",
	[REMEDY_PERSON] = "person",
	[REMEDY_NONE] = "note",
};

/* ---- output ------------------------------------------------------------------------------------------------------------------- */

static int print_json(const struct finding *f, struct buf *out)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_string(j, "finding", f->code) < 0 || json_add_string(j, "remedy", remedies[f->remedy]) < 0 ||
		json_add_string(j, "subject", f->subject) < 0 || json_add_string(j, "what", f->what) < 0 ||
		json_add_string(j, "next", f->next) < 0)
		return -ENOMEM;
	return json_print(j, false, out);
}

static int print_text(const struct finding *f, struct buf *out)
{
	int r = text_safe(out, f->subject, strlen(f->subject), 0);

	return r < 0 ? r : buf_addf(out, ": %s (%s)", f->what, f->next);
}

void fsck_found(struct fsck *k, const struct finding *f)
{
	_cleanup_buf_ struct buf line = {0};

	k->found += f->remedy != REMEDY_NONE;
	k->heals += f->remedy == REMEDY_START;
	k->notes += f->remedy == REMEDY_NONE;
	if ((k->m->json ? print_json(f, &line) : print_text(f, &line)) < 0 || buf_addc(&line, '\n') < 0 ||
		maintain_put(&line) != MAINTAIN_WELL)
		k->output = -EIO;
}

/* After a failed call on the database: damage is a finding, and the rest of it is left out. Returns r unless it is that. */
static int fsck_database(struct fsck *k, int r)
{
	const struct finding f = {"database-damaged", REMEDY_START, "spool.db", "the database is damaged",
		"the next start sets it aside in quarantine/ and makes a new one from the page files"};

	if (r >= 0 || !k->s->db || !db_damaged(k->s->db))
		return r;
	if (!k->database_damaged)
		fsck_found(k, &f);
	k->database_damaged = true;
	return 0;
}

static int summary(const struct fsck *k)
{
	_cleanup_buf_ struct buf out = {0};
	int r;

	if (k->m->json)
		r = buf_addf(&out,
			"{\"summary\":true,\"pages\":%" PRIi64 ",\"files\":%" PRIi64 ",\"bytes\":%" PRIi64 ",\"quarantined\":%" PRIi64
			",\"findings\":%" PRIi64 ",\"heal_at_start\":%" PRIi64 ",\"notes\":%" PRIi64 "}\n",
			k->pages, k->files, k->bytes, k->quarantined, k->found, k->heals, k->notes);
	else
		r = buf_addf(&out,
			"%" PRIi64 " pages, %" PRIi64 " page files of %" PRIi64 " MiB, %" PRIi64 " things in quarantine/: %" PRIi64
			" findings, %" PRIi64 " of which the next start sets right\n",
			k->pages, k->files, k->bytes >> 20, k->quarantined, k->found, k->heals);
	return r < 0 ? r : maintain_put(&out) == MAINTAIN_WELL ? 0 : -EIO;
}

/* ---- helpers of the checks ---------------------------------------------------------------------------------------------------- */

int fsck_hash(int dirfd, const char *name, int64_t *ret_bytes, char hex[static SHA256_HEX_SIZE])
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t piece[16384], digest[SHA256_SIZE];
	int64_t bytes = 0;
	struct sha256 *h;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	n = sha256_new(&h);
	if (n < 0)
		return (int)n;
	while ((n = read_full(fd, piece, sizeof(piece))) > 0) {
		sha256_update(h, piece, (size_t)n);
		bytes += n;
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), hex);
	*ret_bytes = bytes;
	return n < 0 ? (int)n : 0;
}

/* ---- the database ------------------------------------------------------------------------------------------------------------- */

static const char rebuilds[] = "the next start sets it aside in quarantine/ and makes a new one from the page files";

/* 1: it can be read; 0: a finding says why not; negative errno: nothing can be checked. */
static int open_database(struct fsck *k)
{
	struct finding f = {.remedy = REMEDY_START, .subject = "spool.db", .next = rebuilds};
	char why[512] = "";
	struct stat st;
	int r;

	if (fstatat(k->s->dirfd, "damaged", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		f.code = "damaged-mark";
		f.what = "the service found the database damaged";
		if (st.st_size == 0)
			f.next = "the next start reads all of it, and keeps it if it is sound";
		fsck_found(k, &f);
		f = (struct finding){.remedy = REMEDY_START, .subject = "spool.db", .next = rebuilds};
	}
	r = db_open_readonly(k->m->directory, &k->s->db, why, sizeof(why));
	if (r >= 0)
		return 1;
	f.what = why;
	if (r == -ENOENT)
		f.code = "database-missing";
	else if (r == -EMEDIUMTYPE)
		f.code = "database-foreign";
	else if (r == -EUCLEAN)
		f.code = "database-damaged";
	else
		maintain_say("%s", why);
	if (f.code)
		fsck_found(k, &f);
	return f.code ? 0 : r;
}

static int run_checks(struct fsck *k)
{
	int r = open_database(k);

	if (r > 0) {
		r = fsck_database(k, fsck_sql(k));
		if (r >= 0 && !k->database_damaged)
			r = fsck_database(k, fsck_pages(k));
	}
	if (r >= 0)
		r = fsck_database(k, fsck_folders(k));
	return r < 0 ? r : k->output;
}

int maintain_fsck(struct maintain *m)
{
	struct fsck k = {.m = m};
	int r = maintain_look(m, &k.s);

	if (r < 0)
		return r;
	r = run_checks(&k);
	if (r >= 0)
		r = summary(&k);
	else
		maintain_say("it cannot be checked: %s", errno_text(r));
	spool_close(k.s);
	return r < 0 ? r : k.found > 0 ? MAINTAIN_WRONG : MAINTAIN_WELL;
}
