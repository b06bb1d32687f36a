/* What the verbs of `pageferryd spool` share (maintain*.c). Nobody else includes this. */
#pragma once

#include "base/buf.h"
#include "daemon/spool_internal.h"

enum maintain_exit { MAINTAIN_WELL, MAINTAIN_WRONG, MAINTAIN_CANNOT };

struct maintain {
	char directory[4096];
	struct clock *clock; /* owned */
	bool deep, json, results_only, yes;
	int state; /* -1: any */
	char **args; /* words after the verb; borrowed */
	size_t n_args;
};

/* ---- maintain.c: all of them say what is wrong on standard error -------------------------------- */
void maintain_say(const char *fmt, ...) _printf_(1, 2);
/* The spool to look at, under its lock; nothing in it is changed, s->db stays NULL, a folder that is not there is -1. */
int maintain_look(const struct maintain *m, struct spool **ret);
/* As the service opens it; as root, with the rights of the folder's owner from here on. */
int maintain_open(const struct maintain *m, struct spool **ret);
/* A question on the terminal, unless --yes. 0, or -ECANCELED. */
int maintain_ask(const struct maintain *m, const char *question);
/* Appends text from outside for the terminal, and a JSON member; the comma is the caller's. */
int maintain_put(const struct buf *out); /* to standard output: an exit status */

/* ---- one file a verb ---------------------------------------------------------------------------- */
int maintain_fsck(struct maintain *m);
