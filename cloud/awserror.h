/*
 * One table from (transport error, HTTP status, AWS error type, words of the message) to what it means for page and
 * backend: cloud/awserror_rows.c, printed in docs/errors.md. Every row is tested.
 */
#pragma once

#include "extract/extractor.h"

/* Judges every reply that is not a 200: sets page, backend, wait, billed, delay, reason, message, and
 * what else the row says. 0 or -ENOMEM. */
int aws_error_judge(const struct reply *r, struct verdict *ret);
/* The same of an exception or error within an event stream that began with a 200: `type` is its :exception-type or
 * :error-code, `payload` its JSON (may be NULL). What was answered before it is no answer. */
int aws_error_judge_event(const struct reply *r, const char *type, const char *payload, size_t len, struct verdict *ret);
/* Transport errors alone, for every HTTP extractor. Returns 1 if it judged, 0 if there is a status to look at. */
int transport_judge(const struct reply *r, struct verdict *ret);
