/* The command line: one table of options, each with the verbs that know it. */
#pragma once

#include "base/buf.h"

enum verb_id {
	VERB_STATUS = 1 << 0,
	VERB_SCAN = 1 << 1,
	VERB_EXTRACT = 1 << 2,
	VERB_LIST = 1 << 3,
	VERB_SHOW = 1 << 4,
	VERB_WATCH = 1 << 5,
	VERB_RETRY = 1 << 6,
	VERB_HELP = 1 << 7,
	VERB_SPOOL = 1 << 8, /* handed on as it is: ctl/spool.c */
	VERB_HOLD = 1 << 9,
	VERB_RELEASE = 1 << 10,
	VERB_DROP = 1 << 11,
	VERB_CONFIRM = 1 << 12,
	VERB_DOCTOR = 1 << 13,
	VERB_AUDIT = 1 << 14,
	VERB_USAGE = 1 << 15,
	VERB_CROP = 1 << 16,
	VERB_DOCUMENT = 1 << 17,
	VERB_ALL = (1 << 18) - 1,
};

struct options {
	enum verb_id verb;
	const char *socket;
	const char *document;
	const char *type, *source, *lane, *state; /* NULL: not given; borrowed from argv */
	const char *reason, *since, *until, *why;
	int64_t limit;                            /* 0: not given */
	int64_t timeout_ms;                       /* -1: none */
	bool end, json, ascii, no_wait, authoritative, all, yes, help, version, residency, ask, csv, again;
	const char *key, *heads, *directory, *by;
	const char **args; /* owned array of borrowed words after the verb */
	size_t n_args;
};

struct verb {
	enum verb_id id;
	const char *name, *args, *summary, *help;
	size_t min_args, max_args;
};
extern const struct verb verbs[]; /* ends with a NULL name */

/* 0, or -EINVAL with a sentence in `why`. Options may stand anywhere before "--". */
int options_parse(int argc, const char *const *argv, struct options *ret, struct buf *why);
void options_clear(struct options *o);
const struct verb *verb_find(const char *name); /* NULL if there is none */
/* The help of one verb, or of all (NULL). */
int options_help(const struct verb *v, struct buf *out);
