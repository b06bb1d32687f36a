/* One request from the daemon: page in, words out (docs/architecture.md, "Helper framing"). */
#pragma once

#include "ocr/tess.h"

#define SERVE_JPEG_MAX ((size_t)64 << 20)

/* Reads the request from `in`, writes the frames to `out`; `data` is the folder of the language data or NULL.
 * Returns the exit status: 0 when the "end" frame was ok, 1 when it names a reason, 3 when it could not be
 * written. */
int serve(int in, int out, const char *data);
/* One page in memory, by hand and for serve(). As tess_read(). */
int serve_page(const struct tess_options *o, const struct buf *jpeg, int64_t max_pixels,
	struct grey *ret_size, struct page_words *ret, struct ocr_fail *fail);
