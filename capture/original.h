/*
 * What came from the source, kept at its own size beside the page that was made of it: a JPEG byte by byte as it came, anything
 * else as a JPEG of high quality.
 */
#pragma once

#include "capture/pipeline.h"
#include "capture/source.h"

#define ORIGINAL_QUALITY 95

/* After page_end. 0, or negative errno of the emitter; an original that cannot be read again is passed over with a warning. */
int original_give(const struct page_item *item, const struct convert_options *o, struct emit *e);
