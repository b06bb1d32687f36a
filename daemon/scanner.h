/* How the configured source does: known from scans, and from a look at it (the capture helper's verb `probe`) at start and,
 * while it does not do well, again and again. One log line a change, a counter, and a place in the status. */
#pragma once

#include "daemon/service.h"

int scanner_new(struct service *s, struct scanner **ret);
void scanner_free(struct scanner *c);
/* The first look, which also names controls that the camera does not have. */
void scanner_start(struct scanner *c);
/* Takes no more looks. */
void scanner_stop(struct scanner *c);
/* A look goes on: a scan waits for its end, a moment. */
bool scanner_looks(const struct scanner *c);
/* What came of a scan. reason: NULL when it gave a page, else the helper's word; words that say nothing about the source
 * change nothing. All take NULL for no scanner. */
void scanner_note(struct scanner *c, const char *reason, const char *message);
/* Watching it came to an end by itself: no scan has failed. */
void scanner_watch_failed(struct scanner *c, const char *reason, const char *message);
/* Adds member `scanner`. */
int scanner_json(const struct scanner *c, cJSON *obj);
