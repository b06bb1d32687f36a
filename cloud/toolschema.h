/* A document type's JSON Schema in the words that a server understands. What is left out here is enforced afterwards on
 * the answer (extract/schema.h), so nothing is believed that is not checked. */
#pragma once

#include "base/json.h"

/* Amazon Nova's tool schemas: type, properties, required, items; below the top also enum and description. Patterns,
 * lengths and the like may be refused by the service, so they are not sent; a date's form becomes its description.
 * Source: Amazon Nova user guide, "Tool use": the top level takes type, properties and required only. */
int tool_schema_nova(const cJSON *schema, cJSON **ret);
/* llama-server's grammar: everything that it can compile. Strings and arrays without a bound get one (an unbounded
 * string ends in a truncated answer), bounds stay under its limit of 2000 repetitions, and a pattern that its small reader
 * cannot take (not anchored, character classes, escaped letters) is left out. */
int tool_schema_llama(const cJSON *schema, cJSON **ret);
