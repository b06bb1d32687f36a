/* Single fields: values beside or below their labels, and by hints where there is no label. Private to the
 * OCR mapping. */
#pragma once

#include "extract/ocrlabel.h"
#include "extract/ocrvalue.h"

/* What was found for one field of the type. */
struct ocr_found {
	struct ocr_value value; /* json NULL: nothing */
	bool by_label;          /* false: by a hint, so no evidence of the place's meaning */
};

/* Chooses among all values at labels: the best candidate first, no word serves two fields. found[] has the
 * type's n_fields. 0 or -ENOMEM. */
int ocr_fields_by_label(
	struct layout *l, const struct doctype *t, const struct label_hits *hits, struct ocr_found *found);
/* ocrhint.c: the rules of the type's "ocr" member for fields that are still empty. */
int ocr_fields_by_hint(
	struct layout *l, const struct doctype *t, const struct label_hits *hits, struct ocr_found *found);
