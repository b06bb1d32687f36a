/* Text from pages, models and the network, made harmless before anybody sees it. */
#pragma once

#include "base/buf.h"

/* Length of the valid UTF-8 sequence at s (1..4), or 0 if there is none within len. Overlong forms, surrogates and
 * values over U+10FFFF are not valid (RFC 3629). */
size_t utf8_sequence(const char *s, size_t len, uint32_t *ret_codepoint);
bool utf8_valid(const char *s, size_t len);
/* Appends s for a terminal or a log line: control characters (C0, C1, DEL), invalid bytes, and characters that change
 * the direction of writing or are invisible become U+FFFD or a blank (for tab, CR and LF); at most max_columns
 * characters, the last "…" when cut (0: no limit). */
int text_safe(struct buf *out, const char *s, size_t len, size_t max_columns);
/* The same into an array, for log lines. Always NUL-ended. Returns out. */
const char *text_safe_copy(char *out, size_t size, const char *s);
/* Columns that s takes in a terminal (wcwidth by our own small table: 0, 1 or 2 a character). */
size_t text_columns(const char *s);
/* A CSV cell (RFC 4180 quoting) where a leading = + - @ tab or CR of a non-number is defused with a quote. */
int text_csv_cell(struct buf *out, const char *s);
