/*
 * Configuration files: INI read with libinih (its limits of line length and its missing line numbers mended by our own
 * reader), a main file and drop-ins "FILE.d/NAME.conf" in name order, where a later file overrides an earlier one.
 *
 * What is allowed is a table: one row a key. From it come parsing, defaults, range errors and --help-config.
 */
#pragma once

#include "base/buf.h"

/* Where a value came from, for messages. */
struct ini_where {
	const char *file;
	unsigned int line;
};

/* Parses `value` into `target` (the struct the table is used with, offset already applied).
 * Returns 0 or negative errno; on error may write what is allowed into `allowed` (shown as "expected ..."). */
typedef int (*ini_parse_fn)(const char *value, void *target, const void *arg, char *allowed, size_t allowed_size);

struct ini_key {
	const char *section;       /* "Spool"; "Backend *" stands for named sections like [Backend sydney] */
	const char *key;           /* "DirectoryCap" */
	ini_parse_fn parse;
	size_t offset;             /* of the field in the struct for that section */
	const void *arg;           /* handed to parse: bounds, enum names, sizes */
	const char *default_value; /* as it would be written; NULL: none (field left zero) */
	const char *help;          /* one sentence; units and range are part of it */
};

/* Ready-made parsers and their args. Strings are fixed arrays in the struct (truncation is an error). */
struct ini_range {
	int64_t min, max;
};
struct ini_enum {
	const char *const *names; /* NULL-terminated; the field is an int, the index */
};
struct ini_string {
	size_t size; /* of the array, NUL included */
};
int ini_parse_int64(const char *v, void *target, const void *range, char *allowed, size_t n);       /* int64_t */
int ini_parse_bytes(const char *v, void *target, const void *range, char *allowed, size_t n);       /* int64_t, bytes */
int ini_parse_duration_ms(const char *v, void *target, const void *range, char *allowed, size_t n); /* int64_t, ms */
int ini_parse_boolean(const char *v, void *target, const void *unused, char *allowed, size_t n);    /* bool */
int ini_parse_choice(const char *v, void *target, const void *ini_enum, char *allowed, size_t n);   /* int */
int ini_parse_text(const char *v, void *target, const void *ini_string, char *allowed, size_t n);   /* char[] */
int ini_parse_path(const char *v, void *target, const void *ini_string, char *allowed, size_t n);   /* char[], absolute */

/* Finds (or makes) the struct for a section: `section` is as in the table ("Spool", "Backend *"); name is NULL for a plain
 * section and "sydney" for [Backend sydney]. A named section gets its defaults where one ini_read() first meets it.
 * Returns NULL if there is no room or the name is bad (write why into `why`). */
typedef void *(*ini_section_fn)(void *ud, const char *section, const char *name, char *why, size_t why_size);

/* Told of every value that a file set (not of defaults), after it was parsed: `section` is the section's struct; `where` is
 * borrowed for the call. */
typedef void (*ini_seen_fn)(void *ud, const struct ini_key *key, void *section, const struct ini_where *where);

/* Told of a section (its name as in the file, and its struct) in which something could not be taken: what its keys say together
 * cannot be known. */
typedef void (*ini_wrong_fn)(void *ud, const char *name, const void *section);

struct ini_table {
	const struct ini_key *keys;
	size_t n_keys;
	ini_section_fn section;
	void *ud;
	ini_seen_fn seen; /* may be NULL; for checks across keys that name file and line */
	ini_wrong_fn wrong; /* may be NULL */
};

/* Writes every default of plain sections into their structs; ini_defaults_named() does it for one named section. */
void ini_defaults(const struct ini_table *t);
void ini_defaults_named(const struct ini_table *t, const char *section, void *target);
/* Reads FILE and FILE.d/NAME.conf. A missing main file is an error (-ENOENT) unless `optional`.
 * Unknown or duplicate (in one file) sections and keys, bad values and unreadable files are errors: negative errno, and
 * one line a problem "FILE:LINE: [Section] Key=: ... expected ..." is added to `errors` (all problems, not only the first). */
int ini_read(const struct ini_table *t, const char *file, bool optional, struct buf *errors);
/* One file's text from memory; `name` is for messages. What ini_read() uses, and what tests and fuzzers call. */
int ini_read_text(const struct ini_table *t, const char *name, const char *text, size_t len, struct buf *errors);
/* The reference text for --help-config: every section and key with default and help. */
int ini_help(const struct ini_table *t, struct buf *out);
