/* Helpers around cJSON: capped parsing, typed access without surprises, compact printing. */
#pragma once

#include <cjson/cJSON.h>

#include "base/buf.h"

#define JSON_MAX_DEPTH 64
#define _cleanup_json_ _cleanup_(json_freep)

static inline void json_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

/* Parses the whole text (nothing but blanks may follow). UTF-8 is checked, depth capped at JSON_MAX_DEPTH, NUL bytes and
 * duplicate member names refused. 0 and an owned tree, -EBADMSG or -ENOMEM. `ret_offset` (may be NULL) gets where it broke. */
int json_parse(const char *text, size_t len, cJSON **ret, size_t *ret_offset);
/* Like json_parse() but only the first value of the text; *ret_used gets its length. For values inside prose. */
int json_parse_prefix(const char *text, size_t len, cJSON **ret, size_t *ret_used);

/* Member access; j may be NULL or not an object (then nothing is there). Names are case-sensitive. */
const cJSON *json_get(const cJSON *j, const char *name);
const char *json_get_string(const cJSON *j, const char *name); /* borrowed; NULL if absent or not a string */
/* 0, -ENOENT (absent or null), -EBADMSG (not an integer, or not within +-(2^53 - 1)). */
int json_get_i64(const cJSON *j, const char *name, int64_t *ret);
int json_get_bool(const cJSON *j, const char *name, bool *ret);
const cJSON *json_get_object(const cJSON *j, const char *name); /* NULL unless an object */
const cJSON *json_get_array(const cJSON *j, const char *name);  /* NULL unless an array */

/* Building; all return 0 or -ENOMEM. A NULL string adds null. */
int json_add_string(cJSON *obj, const char *name, const char *value);
int json_add_i64(cJSON *obj, const char *name, int64_t value); /* written as digits, exact */
int json_add_bool(cJSON *obj, const char *name, bool value);
/* Adds `item` and takes it, also on failure. */
int json_add_take(cJSON *obj, const char *name, cJSON *item);
/* Compact, or with tabs when `pretty`, appended to out: 0, -ENOMEM (also when j is NULL) or -EMSGSIZE. Numbers come back
 * exactly; bytes that are not UTF-8 become U+FFFD. */
int json_print(const cJSON *j, bool pretty, struct buf *out);
/* Appends `s` as a JSON string with its quotes (same errors). */
int json_quote(struct buf *out, const char *s, size_t len);
