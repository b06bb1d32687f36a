/*
 * One value out of a small XML reply of AWS (STS, S3): elements, attributes, text, the five entities and numeric ones. What
 * such replies do not have is refused: DOCTYPE, CDATA, comments, processing instructions after the first, mixed-up tags.
 */
#pragma once

#include "base/buf.h"

/* The text of the element at `path` ("AssumeRoleResponse/AssumeRoleResult/Credentials/Expiration"), appended to `out`. The
 * whole text is checked. 0, -ENOENT (no such element), -EBADMSG (not such XML, or the element is there twice or has others
 * inside), or an error of `out`. */
int xml_get(const char *text, size_t len, const char *path, struct buf *out);
