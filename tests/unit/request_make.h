/* For tests that make requests by hand. */
#pragma once

#include "extract/extractor.h"

static inline int add_text(struct request *r, const char *text)
{
	_cleanup_buf_ struct buf b = {};
	int e = buf_adds(&b, text);

	return e < 0 ? e : request_add_literal_take(r, &b);
}
