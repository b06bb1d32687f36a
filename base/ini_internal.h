/* What the parts of the configuration reader (ini.c, ini_line.c, ini_help.c) share. */
#pragma once

#include "base/ini.h"
#include "base/ini_line.h"

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
