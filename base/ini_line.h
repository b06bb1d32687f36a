/* An INI file line by line: for the configuration, and for files of others that are written in the same way. */
#pragma once

#include "base/buf.h"

/* One line of a file, taken apart. */
enum ini_line_kind { INI_LINE_END, INI_LINE_SECTION, INI_LINE_KEY, INI_LINE_BAD };

struct ini_line {
	unsigned int number;  /* from 1 */
	bool indented;        /* it began with a blank: to some it belongs to the key before it */
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
/* Overwrites what the last lines left behind: for files with secrets. */
void ini_lines_wipe(struct ini_lines *l);
