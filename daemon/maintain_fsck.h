/* The parts of fsck (maintain_fsck.c, maintain_rows.c, maintain_folders.c). Nobody else includes this. */
#pragma once

#include "daemon/maintain_internal.h"

/* What becomes of a finding by itself. */
enum remedy {
	REMEDY_START,  /* the next start of the service sets it right */
	REMEDY_PERSON, /* somebody has to do something */
	REMEDY_NONE,   /* worth knowing, not wrong: it does not count */
};

struct fsck {
	struct maintain *m;
	struct spool *s; /* s->db is NULL when it cannot be read */
	bool database_damaged;
	int64_t pages, files, bytes, found, heals, notes, quarantined;
	int64_t total; /* of pages, for the progress */
	int output;    /* the first failure to print */
};

struct finding {
	const char *code; /* stable word */
	enum remedy remedy;
	const char *subject; /* a page's id, a path in the spool, a number; from outside, made harmless here */
	const char *what, *next;
};
void fsck_found(struct fsck *k, const struct finding *f);
/* The content of a file of the spool, hashed. -EBADMSG: no regular file. */
int fsck_hash(int dirfd, const char *name, int64_t *ret_bytes, char hex[static SHA256_HEX_SIZE]);

/* Each 0 or negative errno: then nothing more can be said. */
int fsck_sql(struct fsck *k);     /* maintain_sql.c: what queries alone can tell */
int fsck_pages(struct fsck *k);   /* maintain_rows.c: rows, their files and their results */
int fsck_folders(struct fsck *k); /* maintain_folders.c: files, and whose they are */
