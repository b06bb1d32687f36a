/* What cannot be kept where it is goes to quarantine/, whole, with a text NAME.reason beside it: nothing is
 * ever deleted. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/spool_internal.h"

#define NAME_KEPT_MAX 180 /* longer names get one of their hash: a file name is 255 bytes at most */
#define TRIES_MAX     100

/* What ends so is a reason's name: it could be written over. */
static bool reason_name(const char *name)
{
	size_t len = strlen(name), suffix = strlen(".reason");

	return len >= suffix && streq(name + len - suffix, ".reason");
}

/* The n-th name for it, from its own; with ".reason" it fits. */
static void nth_name(const char *name, unsigned int n, char out[static 256])
{
	char hash[SHA256_HEX_SIZE];

	if (strlen(name) > NAME_KEPT_MAX || reason_name(name)) {
		sha256_hex_of(name, strlen(name), hash);
		name = hash;
	}
	if (n > 0)
		str_format(out, 256, "%s.%u", name, n);
	else
		str_copy(out, 256, name);
}

static int write_reason(struct spool *s, const char *target, const char *name, const char *reason)
{
	_cleanup_buf_ struct buf text = {};
	char file[256], stamp[TIMESTAMP_SIZE], safe[256];
	struct stamp now = spool_stamp(s);
	int r;

	timestamp_format(now.ms, false, stamp);
	str_format(file, sizeof(file), "%s.reason", target);
	r = buf_addf(&text, "%s\nwas: %s\nset aside: %s (%s)\n", reason,
		text_safe_copy(safe, sizeof(safe), name), stamp, time_trust_name(now.trust));
	return r < 0 ? r : spool_file_write(s, s->quarantine, file, buf_str(&text), text.len);
}

int quarantine_move(struct spool *s, int dirfd, const char *name, const char *reason)
{
	char target[256], safe[256];
	struct stat st;
	int r;

	/* Tried again after a failed sync, it may be there already. */
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	for (unsigned int n = 0; n < TRIES_MAX; n++) {
		nth_name(name, n, target);
		if (fstatat(s->quarantine, target, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		/* The reason first: cut off between the two, the next start finds the file where it was. */
		r = BUG("setaside-reason-after") ? 0 : write_reason(s, target, name, reason);
		if (r >= 0)
			r = rename_durable(dirfd, name, s->quarantine, target);
		if (r >= 0 && BUG("setaside-reason-after"))
			r = write_reason(s, target, name, reason);
		if (r >= 0)
			log_line(spool_log_level(++s->set_aside), "set aside as quarantine/%s: %s",
				text_safe_copy(safe, sizeof(safe), target), reason);
		return r;
	}
	return -EEXIST;
}

/* The main file goes last: as long as it is there, the damage is found again after a crash. */
static const char *const database_parts[] = {"-wal", "-shm", ""};

/* Is nothing of a database there under that stem? A reason that a crash left alone is written again. 1, 0 or negative errno. */
static int stem_is_free(struct spool *s, const char *stem)
{
	char part[80];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(database_parts); i++) {
		str_format(part, sizeof(part), "%s%s", stem, database_parts[i]);
		if (fstatat(s->quarantine, part, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
		if (errno != ENOENT)
			return -errno;
	}
	return 1;
}

int quarantine_database(struct spool *s, const char *reason)
{
	char stem[64], part[80], file[32];
	int r = 0;

	/* One stem for the three, so that SQLite's tools find them together. */
	for (unsigned int n = 1; r == 0; n++) {
		str_format(stem, sizeof(stem), "spool.db.%u", n);
		r = stem_is_free(s, stem);
	}
	if (r >= 0 && !BUG("setaside-reason-after"))
		r = write_reason(s, stem, "spool.db", reason);
	STEP(SETASIDE_REASON_WRITTEN);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(database_parts); i++) {
		str_format(file, sizeof(file), "spool.db%s", database_parts[i]);
		str_format(part, sizeof(part), "%s%s", stem, database_parts[i]);
		r = rename_durable(s->dirfd, file, s->quarantine, part);
		if (r == -ENOENT)
			r = 0;
		if (i == 0)
			STEP(SETASIDE_WAL_MOVED);
	}
	if (r >= 0 && BUG("setaside-reason-after"))
		r = write_reason(s, stem, "spool.db", reason);
	STEP(SETASIDE_MOVED);
	return r;
}
