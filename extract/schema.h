/*
 * JSON Schema, the subset that document types may use; all of it is enforced:
 *   type, properties, required, additionalProperties (boolean), items (one schema), enum, const, minLength, maxLength
 *   (in code points), maxItems, pattern (POSIX extended regular expression, anchored by its author), format: "date".
 * description and title are allowed and ignored. Anything else is refused by schema_lint(), so that no keyword is
 * believed enforced that is not. Source: JSON Schema 2020-12, validation vocabulary.
 */
#pragma once

#include "base/json.h"

/* Is every keyword in the subset and well-formed? 0, -EINVAL with "path: what" in `why`, or -ENOMEM. */
int schema_lint(const cJSON *schema, char *why, size_t why_size);

/* One violation: `path` like "lines[2].amount". Return non-zero to stop early. */
typedef int (*schema_violation_fn)(void *ud, const char *path, const char *what);

/* Number of violations (0: valid), or negative errno. The schema must have passed schema_lint(). */
int schema_validate(const cJSON *schema, const cJSON *value, schema_violation_fn fn, void *ud);
