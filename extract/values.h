/*
 * Values as people write them on Australian pages. The parsers behind field_value_parse(), usable one by one.
 * All take the whole text (blanks around it allowed) or refuse it; 0, -EINVAL with why (at most why_size
 * bytes; may be NULL, 0) or -ENOMEM.
 */
#pragma once

#include <regex.h>

#include "base/util.h"

/* Dollars, at most 12 digits before the point, so that cents and their sums are exact in 64 bits. */
#define MONEY_MAX_DIGITS 12

/* "$1,234.50", "1 234.50", "-$3.00", "(3.00)", "3.00 DR" (negative), "3.00 CR", "AUD 12" -> cents. */
int money_parse(const char *text, int64_t *ret_cents, char *why, size_t why_size);
/* Cents as "-1234.50". */
void money_format(int64_t cents, char out[24]);
/* A value of kind money ("-1234.50" and nothing else) to cents. */
int money_cents(const char *value, int64_t *ret_cents);
/* "2.50" -> "2.5", "1,000" -> "1000"; at most 9 digits before and 6 after the point. */
int decimal_parse(const char *text, char out[24], char *why, size_t why_size);
int integer_parse(const char *text, int64_t *ret, char *why, size_t why_size);
/* 11 digits with blanks or hyphens between, "ABN" in front allowed. The checksum is not this parser's matter.
 */
int abn_parse(const char *text, char out[12], char *why, size_t why_size);
/* Day first ("21/11/2026", "21 Nov 26", "21.11.2026"), "Nov 21, 2026", ISO 8601; a weekday before and a time
 * of day after are allowed. Two-digit years are 1970 to 2069. -> "2026-11-21" */
int date_parse(const char *text, char out[11], char *why, size_t why_size);
/* YYYY-MM-DD and a day that exists (1000 to 9999). */
bool date_is_iso(const char *s);

/* "WHAT: TEXT" into why; returns -EINVAL. What the parsers here end in. */
int value_refuse(char *why, size_t why_size, const char *what, const char *text);

/* Trimmed, runs of blanks (also Unicode's) made one, control characters and invalid bytes dropped; owned,
 * NULL: no memory. */
char *text_normalise(const char *s, size_t len);
/* For comparing names: ASCII letters lower-cased and digits, other characters of ASCII dropped, non-ASCII
 * kept. Written to out, cut at size - 1 bytes. Returns the length. */
size_t text_key(const char *s, size_t len, char *out, size_t size);
/* regexec(), which glibc lets say "no match" when it is out of memory: 1, 0, or -ENOMEM. */
int text_matches(const regex_t *re, const char *s);
/* Does the text only say that there is nothing ("", "-", "n/a", "null")? */
bool text_is_nothing(const char *s);
