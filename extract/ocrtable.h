/* Rows of a table or of a receipt's items. Private to the OCR mapping. */
#pragma once

#include "extract/ocrlabel.h"

struct ocr_rows {
	cJSON *json;       /* owned: array of objects */
	size_t first, end; /* words[first..end) hold them, not only them */
	int confidence;
};

/* A field of kind rows: under a line of column labels, or, by the hint {"rule": "items"}, lines that end in
 * an amount above the first total. `scalars` are the hits of the type's other labels: where rows end. Words
 * of rows are claimed. 1 with ret filled, 0 when there are none, -ENOMEM. */
int ocr_table_read(struct layout *l, const struct doctype *t, const struct field_spec *f,
	const struct label_hits *scalars, struct ocr_rows *ret);
void ocr_rows_free(struct ocr_rows *r);

/* ocritems.c */
int ocr_items_read(struct layout *l, const struct doctype *t, const struct field_spec *f,
	const struct label_hits *scalars, struct ocr_rows *ret);
/* Does the row begin with a label of the type, or with one of a money field anywhere in it? */
const struct label_hit *ocr_row_label(const struct layout *l, size_t row, const struct label_hits *scalars);
