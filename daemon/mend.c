/*
 * What stands in the way of a start: something else where a folder or a part of the database should be, or a mode that keeps
 * the service out. The one is moved to quarantine/, the other set right where it is ours. What cannot be mended is said by
 * whoever meets it next.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "daemon/spool_internal.h"

#define ASIDE_TRIES 10 /* a folder that was put in the way again and again while nothing could be moved on */

static const char *const folders[] = {"pages", "tmp", "types", "results", "beside", "quarantine"};

/* "pages.aside.0": between where it lay and quarantine/, which may itself have been in the way. */
static void aside_name(const char *name, unsigned int n, char out[static 32])
{
	str_format(out, 32, "%s.aside.%u", name, n);
}

/* A mode that shuts us out of what is ours. */
static void open_mode(int dirfd, const char *name, const struct stat *st, mode_t need, mode_t mode)
{
	if ((st->st_mode & need) == need || st->st_uid != geteuid())
		return;
	if (fchmodat(dirfd, name, mode, 0) == 0)
		log_warning("%s could not be used with mode %03o: it has %03o again", name, (unsigned int)st->st_mode & 0777, (unsigned int)mode);
}

static int clear_way(struct spool *s, const char *name)
{
	char aside[32];
	struct stat st;
	int r = -EEXIST;

	if (fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode)) {
		open_mode(s->dirfd, name, &st, 0700, 0750);
		return 0;
	}
	for (unsigned int n = 0; n < ASIDE_TRIES && r == -EEXIST; n++) {
		aside_name(name, n, aside);
		r = rename_durable(s->dirfd, name, s->dirfd, aside);
	}
	return r;
}

int mend_folders(struct spool *s)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); i++)
		r = clear_way(s, folders[i]);
	return r;
}

/* Where it is cut off, or fails, the next start finds it. */
void mend_folders_finish(struct spool *s)
{
	char aside[32];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		for (unsigned int n = 0; n < ASIDE_TRIES; n++) {
			aside_name(folders[i], n, aside);
			if (fstatat(s->dirfd, aside, &st, AT_SYMLINK_NOFOLLOW) == 0)
				quarantine_move(s, s->dirfd, aside, "was in the place of a folder of the spool");
		}
}

/* 1: it is there, and no regular file; 0; negative errno. */
static int look_at(struct spool *s, const char *name)
{
	struct stat st;

	if (fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode))
		return 1;
	open_mode(s->dirfd, name, &st, 0600, 0640);
	return 0;
}

int mend_database(struct spool *s, char *why, size_t why_size)
{
	static const char *const parts[] = {"spool.db", "spool.db-wal"};
	int r;

	/* These two say nothing that is not known without them. */
	r = look_at(s, "spool.db-shm");
	if (r > 0)
		r = quarantine_move(s, s->dirfd, "spool.db-shm", "was in the place of SQLite's index of the -wal");
	if (r >= 0)
		r = look_at(s, "damaged");
	if (r > 0)
		r = quarantine_move(s, s->dirfd, "damaged", "was in the place of the mark for a damaged database");
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		r = look_at(s, parts[i]);
		if (r > 0)
			str_format(why, why_size, "%s is not a regular file", parts[i]);
		else if (r == 0 && faccessat(s->dirfd, parts[i], R_OK | W_OK, AT_EACCESS) < 0 && errno == EACCES)
			str_format(why, why_size, "%s is not for the service to read and write", parts[i]);
		else
			continue;
		return -EUCLEAN;
	}
	return r;
}

bool mend_page_file(struct spool *s, const char *name, const struct stat *st)
{
	open_mode(s->pages, name, st, 0400, 0640);
	return faccessat(s->pages, name, R_OK, AT_EACCESS) == 0 || errno != EACCES;
}
