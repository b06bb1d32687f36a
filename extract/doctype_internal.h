/* Between doctype.c, doctype_ask.c and typeset.c. */
#pragma once

#include "extract/doctype.h"

#define DOCTYPE_TEXT_MAX (256 * 1024)

/* t->ask, from the members of t->json; the schema must have been read. 0, -EBADMSG with why, or -ENOMEM. */
int doctype_read_ask(struct doctype *t, char *why, size_t why_size);
/* doctype_parse() of an already parsed file. Takes json, also on failure. */
int doctype_from_json_take(cJSON *json, struct doctype **ret, char *why, size_t why_size);
