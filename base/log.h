/*
 * Logging. Lines go to standard error ("<6>text" when it is the journal's stream, plain text else) or, once
 * journal_attach() (base/journal.h) was called, to the journal with fields. Never log keys, Authorization, page text or
 * answers. Text from outside goes through text_safe() (base/text.h) first.
 */
#pragma once

#include "base/util.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* One journal field: "PAGE_ID", "2026...". A NULL value leaves the field out. */
struct log_field {
	const char *name;
	const char *value;
};

/* What a line is handed to; `message_id` is a 32-digit hex id (docs/messages.md), or NULL. */
typedef void (*log_sink_fn)(enum log_level level, const char *message_id, const struct log_field *fields, size_t n,
	const char *text);

void log_set_level(enum log_level max);
/* NULL goes back to standard error. */
void log_set_sink(log_sink_fn sink);
/* Does $JOURNAL_STREAM name what standard error is? */
bool log_stderr_is_journal(void);
void log_line(enum log_level level, const char *fmt, ...) _printf_(2, 3);
void log_event(enum log_level level, const char *message_id, const struct log_field *fields, size_t n, const char *fmt, ...)
	_printf_(5, 6);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* strerror() for a negative errno, from a static table: safe to use twice in one call. */
const char *errno_text(int negative_errno);
