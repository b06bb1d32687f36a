/* Between doctype.c and typeset.c. */
#pragma once

#include "extract/doctype.h"

#define DOCTYPE_TEXT_MAX (256 * 1024)

/* doctype_parse() of an already parsed file. Takes json, also on failure. */
int doctype_from_json_take(cJSON *json, struct doctype **ret, char *why, size_t why_size);
