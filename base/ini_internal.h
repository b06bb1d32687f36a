/* What the parts of the configuration reader (ini.c, ini_line.c, ini_help.c) share. */
#pragma once

#include "base/ini.h"

/* One line of a file, taken apart. */
enum ini_line_kind { INI_LINE_END, INI_LINE_SECTION, INI_LINE_KEY, INI_LINE_BAD };

struct ini_line {
	unsigned int number;  /* from 1 */
	const char *section;  /* INI_LINE_SECTION: what is between the brackets */
	const char *key;      /* INI_LINE_KEY */
	const char *value;
	const char *problem;  /* INI_LINE_BAD; `key` is then the offending text or NULL */
};

struct ini_lines {
	const char *text;
	size_t len, off;
	unsigned int number;
	struct buf line; /* the current line: what struct ini_line points into */
};

void ini_lines_init(struct ini_lines *l, const char *text, size_t len);
/* The next line that says something: blank lines and comments are passed over. enum ini_line_kind, or -ENOMEM. */
int ini_lines_next(struct ini_lines *l, struct ini_line *ret);

/* "Backend *" stands for any "Backend NAME": does `row` stand for the section `name`? *ret_name gets NAME, or NULL for a
 * plain section. */
bool ini_section_matches(const char *row, const char *name, const char **ret_name);
static inline bool ini_section_named(const char *row)
{
	size_t len = strlen(row);

	return len > 2 && streq(row + len - 2, " *");
}
/* Edits (insert, delete, replace, swapping case is free) that make a from b; more than `limit` is told as limit + 1. */
unsigned int ini_distance(const char *a, const char *b, unsigned int limit);
