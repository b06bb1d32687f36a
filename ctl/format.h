/* Small values as people read them, and how the output looks: colours, marks, width. */
#pragma once

#include "base/json.h"

/* How to write to this terminal (or pipe). */
struct look {
	bool terminal; /* lines may be written over */
	bool colour;
	bool ascii; /* nothing but ASCII: not a UTF-8 locale, or --ascii */
};
/* Escape sequences only on a terminal whose $TERM is not "dumb"; no colours when $NO_COLOR is set
 * (no-color.org). */
struct look look_detect(int fd, bool ascii);
/* Columns of the terminal; 80 when it does not say. */
size_t look_columns(int fd);

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD };
/* Appends text of ours or of others, made harmless; the style wraps it. */
int format_styled(struct buf *out, const struct look *l, enum style style, const char *text);
/* Appends text from outside: harmless, and with '?' for what is not ASCII when the look says so. max_columns
 * as in text_safe(). */
int format_text(struct buf *out, const struct look *l, const char *text, size_t max_columns);
/* The same of a name whose end matters as much as its beginning: cut in the middle. */
int format_middle(struct buf *out, const struct look *l, const char *text, size_t max_columns);

/* "US$0.00123": five digits below a dollar, two above; what would show as zero is "<US$0.00001". */
int format_money(struct buf *out, int64_t pusd);
/* From a string of digits, as the service sends it; "?" if it is none. */
int format_money_text(struct buf *out, const char *digits);
/* "0.00123": US dollars, exact, two decimals or more; and the same with "US$" before it. */
int format_decimal(struct buf *out, int64_t pusd);
int format_money_exact(struct buf *out, int64_t pusd);
int format_bytes(struct buf *out, int64_t bytes);    /* "1.2 MiB" */
int format_seconds(struct buf *out, int64_t ms);     /* "1.2 s" */
int format_duration(struct buf *out, int64_t ms);    /* "3 d 4 h", "12 min", "5 s" */
int format_time(struct buf *out, const char *stamp); /* "2026-11-21T03:12:05.123Z" -> "2026-11-21 03:12:05" */
