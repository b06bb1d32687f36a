/*
 * Checks outside the model. A document type lists them (docs/document-types.md):
 *   {"check": "abn", "field": F}                                     modulus 89 (Australian Business Register)
 *   {"check": "gst", "gst": F, "total": F, ["net": F], ["mixed": true]}
 *                                      net + gst = total, or gst is total/11 rounded to the cent +-1; mixed: or less
 *   {"check": "sum", "rows": F, "column": C, "total": F, ["plus": F], ["minus": F]}
 *   {"check": "lines", "rows": F, "quantity": C, "price": C, "amount": C}
 *   {"check": "balance", "rows": F, "amount"|("debit","credit"): C, "balance": C, "opening": F, "closing": F}
 * A check that holds makes the fields it ties together `verified`; one that fails names itself in their problem; one
 * whose fields are absent says nothing. Amounts are exact integers in cents.
 */
#pragma once

#include "extract/answer.h"

/* Is the type's list of checks well-formed? 0 or -EINVAL with why. */
int checks_lint(const struct doctype *t, char *why, size_t why_size);
int checks_run(struct answer *a);
/* 11 digits, blanks allowed between; the weighted sum of digits (first less one) is divisible by 89. */
bool abn_valid(const char *s);
