/*
 * When is a file of a watched folder complete? Names and looks, pure: no I/O and no clock, so that it is tested with virtual time.
 *
 * A file is ready when two looks, Settle= apart or more, saw the same, and when nobody is known to write it. Who writes is known
 * from the folder's events (begun or written and not yet closed), and, where the kernel tells (a lease), for certain.
 */
#pragma once

#include "base/util.h"

#define WATCH_FILES_MAX 256 /* files of one folder that are looked at together; the others wait in the folder */

/* Is it the name of a page: .jpg, .jpeg or .png in any case, and not of something that is hidden or on its way? */
bool watch_name_fits(const char *name);

/* What a look sees. */
struct watch_look {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
};
bool watch_look_same(const struct watch_look *a, const struct watch_look *b);

/* Does somebody write it? As far as the kernel can tell. */
enum watch_writer { WRITER_UNKNOWN, WRITER_NONE, WRITER_SOME };

struct watch_file {
	char *name; /* owned */
	bool looked;
	struct watch_look look;
	int64_t since_ms; /* boottime of the first look that saw this */
	int64_t next_ms;  /* boottime of the next look */
	bool ready;       /* to be taken, as far as looks can tell */
	bool writing;     /* events: begun or written, and not closed since */
	bool written;     /* events, when `writing`: it was written under this name, not only begun */
	uint32_t waits;   /* how often it was put off in a row */
	uint32_t failures;        /* runs of the helper that died over it */
	int64_t failed_since_ms;  /* boottime of the first of them */
	bool refused;             /* once: it may still have been on its way */
};

struct watch_table {
	struct watch_file *files; /* owned; WATCH_FILES_MAX of them when not NULL */
	size_t n;
};
void watch_table_clear(struct watch_table *t);
struct watch_file *watch_table_find(const struct watch_table *t, const char *name);
/* The entry of that name, made if need be and looked at from `now` on. NULL: no room (or memory). `must`: what is only
 * waiting to be looked at makes room, and is found again by the next walk: *ret_lost then. */
struct watch_file *watch_table_add(struct watch_table *t, const char *name, int64_t now_ms, bool must, bool *ret_lost);
void watch_table_remove(struct watch_table *t, struct watch_file *f);
/* The ready one that the helper died over least often, of those the one written first, then by name. NULL: none. */
struct watch_file *watch_table_oldest(const struct watch_table *t);
/* One that is to be looked at now; NULL: none. */
struct watch_file *watch_table_due(const struct watch_table *t, int64_t now_ms);
/* When the next look is due; INT64_MAX: none. */
int64_t watch_table_next_ms(const struct watch_table *t);

/* A look at it: ready, or when to look again. */
void watch_file_seen(struct watch_file *f, const struct watch_look *look, int64_t now_ms, int64_t settle_ms);
/* It is ready by its looks; may it be taken? If not it is put off: looked at again later and later. */
bool watch_file_free(struct watch_file *f, enum watch_writer w, int64_t now_ms, int64_t settle_ms);
/* To be looked at again after `ms`. */
void watch_file_wait(struct watch_file *f, int64_t now_ms, int64_t ms);

/* 100 ms, doubled with each of n failures in a row (1..), 30 s at most. */
int64_t watch_backoff_ms(uint32_t n);

/* Where a taken file goes: its own name, or when that is there already "STEM.TAG.EXT", then "STEM.TAG-2.EXT" ... (n = 0, 1,
 * 2 ...); cut so that `room` more bytes fit behind it. 0 or -ENAMETOOLONG. */
int watch_target_name(const char *name, const char *tag, unsigned int n, size_t room, char *out, size_t size);
