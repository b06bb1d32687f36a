/* A result (docs/result.schema.json) as a person reads it. */
#pragma once

#include "ctl/format.h"

/* Appends one line a field: name, value, proof and what proved it; rows as a small table below. */
int fields_print(const cJSON *result, const struct look *l, size_t indent, struct buf *out);
