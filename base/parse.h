/* Strict parsers: the whole text or an error, never a prefix. All return 0, -EINVAL (not of the form) or -ERANGE. */
#pragma once

#include "base/util.h"

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* yes/no, true/false, on/off, 1/0 in any case. */
int parse_bool(const char *s, bool *ret);
/* Bytes: digits with an optional K, M, G, T (powers of 1024) suffix. */
int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* Milliseconds: sums of NUMBER UNIT with ms, s, min, h, d, w ("1h 30min"); a bare number is seconds. */
int parse_duration(const char *s, int64_t min_ms, int64_t max_ms, int64_t *ret_ms);
/* A decimal like "-1234.50" times 10^scale as an exact integer ("0.84", 6 -> 840000); more digits than scale: -EINVAL. */
int parse_decimal(const char *s, unsigned int scale, int64_t *ret);
/* A day of the Gregorian calendar. */
bool date_exists(int year, int month, int day);
/* ISO 8601 / RFC 3339 in UTC or with offset ("2026-11-21T00:00:00Z") to milliseconds since 1970. */
int parse_timestamp(const char *s, int64_t *ret_ms);
/* RFC 9110 IMF-fixdate ("Sat, 21 Nov 2026 00:00:00 GMT") to milliseconds since 1970. */
int parse_http_date(const char *s, int64_t *ret_ms);
/* A name as in the configuration: [a-z0-9][a-z0-9-]{0,31}. */
int parse_name(const char *s);
/* The n-th word of a space- or comma-separated list; *state starts as the list. 1 with ret filled, 0 at the end,
 * -ENOBUFS if the word does not fit. */
int parse_word(const char **state, char *ret, size_t size);
