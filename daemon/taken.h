/*
 * Files of watched folders that were taken: table `taken`. A row is written in the commit that accepts the page, so a crash at
 * any moment takes no file twice; with Then=move it goes when the file has been moved away, with Then=leave when the file is gone.
 */
#pragma once

#include <sys/stat.h>

#include "daemon/spool.h"

#define TAKEN_NAME_SIZE  256
#define TAKEN_STAMP_SIZE 56

/* What names a file and its content. Borrowed until the page it belongs to is committed or aborted. */
struct taken_key {
	const char *folder; /* name of the [Watch] section */
	const char *name;   /* of the file, as it is on disk: any bytes */
	const char *stamp;
};

/* "52133:1795238000.120000000": size and mtime. Neither device nor inode: both change by themselves when a stick or a network
 * folder is mounted again. */
void taken_stamp(const struct stat *st, char out[static TAKEN_STAMP_SIZE]);

struct taken_row {
	char stamp[TAKEN_STAMP_SIZE];
	char page[PAGE_ID_SIZE]; /* "": the file was refused */
};
int taken_find(struct spool *s, const char *folder, const char *name, struct taken_row *ret); /* 1, 0 if there is none */
/* Instead of what was there; page "": refused. A commit of its own unless the caller has one open. */
int taken_put(struct spool *s, const struct taken_key *t, const char *page);
int taken_remove(struct spool *s, const char *folder, const char *name);
/* The folder's names after `after` ("": from the first), in order. Up to max; returns how many. */
ssize_t taken_names(struct spool *s, const char *folder, const char *after, char names[][TAKEN_NAME_SIZE], size_t max);
