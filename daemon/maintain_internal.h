/* What the verbs of `pageferryd spool` share (maintain*.c). Nobody else includes this. */
#pragma once

#include "base/buf.h"
#include "daemon/spool_internal.h"

enum maintain_exit { MAINTAIN_WELL, MAINTAIN_WRONG, MAINTAIN_CANNOT };

struct maintain {
	char directory[4096];
	struct clock *clock; /* owned */
	bool deep, json, results_only, yes;
	bool from_files; /* the database cannot be read: what is known is from the page files */
	int state; /* -1: any */
	char **args; /* words after the verb; borrowed */
	size_t n_args;
};

/* ---- maintain.c: all of them say what is wrong on standard error -------------------------------- */
void maintain_say(const char *fmt, ...) _printf_(1, 2);
/* The spool to look at, under its lock; nothing in it is changed, s->db stays NULL, a folder that is not there is -1. */
int maintain_look(const struct maintain *m, struct spool **ret);
/* As root: the rights of the folder's owner from here on, so that what is made there belongs to the service. */
int maintain_become_owner(const struct maintain *m);
/* As the service opens it. */
int maintain_open(const struct maintain *m, struct spool **ret);
/* A question on the terminal, unless --yes. 0, or -ECANCELED. */
int maintain_ask(const struct maintain *m, const char *question);
int maintain_put(const struct buf *out); /* to standard output: an exit status */

/* ---- maintain_pages.c -------------------------------------------------------------------------- */
/* What is known of a page. Of one that only its file tells of, state, reason and name are "" and version 0. */
struct maintain_page {
	int64_t seq, bytes, accepted_ms, version;
	char id[PAGE_ID_SIZE], state[16], reason[240], name[256], sha256[SHA256_HEX_SIZE], type[33];
	bool file; /* it has not aged out */
};
typedef int (*maintain_page_fn)(struct maintain *m, struct spool *s, const struct maintain_page *p, void *ud);
/* Each page (of m->state) through fn, in the order of acceptance; without a database in that of the folder. */
int maintain_pages(struct maintain *m, struct spool *s, maintain_page_fn fn, void *ud);
int maintain_page_json(const struct maintain_page *p, cJSON *j);

/* ---- one file a verb ---------------------------------------------------------------------------- */
int maintain_fsck(struct maintain *m);
int maintain_ls(struct maintain *m);
int maintain_receipts(struct maintain *m);
int maintain_export(struct maintain *m);
int maintain_rebuild(struct maintain *m);
int maintain_quarantine(struct maintain *m);
