/* A table with aligned columns, whatever the width of its characters. */
#pragma once

#include "ctl/format.h"

#define TABLE_COLUMNS_MAX 12

struct table;

/* Titles (at least one) end with NULL; one that starts with '>' is a column of numbers, aligned to the right.
 */
int table_new(const char *const *titles, struct table **ret);
void table_free(struct table *t);
static inline void table_freep(struct table **t)
{
	table_free(*t);
}
#define _cleanup_table_ _cleanup_(table_freep)
/* Adds a row, then its cells from left to right; the text is copied and made harmless when it is printed.
 * NULL: empty. */
int table_row(struct table *t);
int table_cell(struct table *t, enum style style, const char *text);
size_t table_rows(const struct table *t);
/* Appends it. Columns that are empty in every row are left out, titles too when `titles` is false. `indent`
 * blanks before each line. A cell is cut at `cell_max` columns (0: never). */
int table_print(const struct table *t, const struct look *l, bool titles, size_t indent, size_t cell_max,
	struct buf *out);
