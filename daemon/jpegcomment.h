/* The page file's comment segment (docs/architecture.md). Pure; no decoding. */
#pragma once

#include "base/buf.h"

/* Where the comment goes in a JPEG that starts with `data`: after SOI, and after APP0 if that follows. Returns the offset,
 * -EBADMSG if it is no JPEG, -EAGAIN if len is too short to tell (20 bytes are enough). */
ssize_t jpeg_comment_offset(const uint8_t *data, size_t len);
/* Appends the segment FF FE, length, text. -EMSGSIZE over 65,533 bytes. */
int jpeg_comment_segment(const char *text, struct buf *out);
/* Finds our comment in the first bytes of a page file; -ENODATA if there is none, -ENOTSUP if only one of
 * another version. */
int jpeg_comment_read(const uint8_t *data, size_t len, struct buf *ret);
/* Where the segment with it is, its marker included: what the file is without it came as it is. Errors as above. */
int jpeg_comment_find(const uint8_t *data, size_t len, size_t *ret_at, size_t *ret_len);
/* Width and height as the frame header says them, for a row made again from its file; -ENODATA if it is not in `data`. */
int jpeg_dimensions(const uint8_t *data, size_t len, uint32_t *ret_width, uint32_t *ret_height);
