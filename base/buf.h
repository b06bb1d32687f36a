/* A growable byte buffer with a cap. Zero-initialised is empty and valid; the content is always followed by a NUL. */
#pragma once

#include "base/util.h"

struct buf {
	char *data;  /* owned; NULL while empty */
	size_t len;  /* bytes in use, without the NUL */
	size_t size; /* bytes allocated */
	size_t max;  /* len never exceeds this; 0 means BUF_MAX_DEFAULT */
};

#define BUF_MAX_DEFAULT ((size_t)64 << 20)
#define BUF_MAX(n)      ((struct buf){.max = (n)})
#define _cleanup_buf_   _cleanup_(buf_free)

/* All return 0, -ENOMEM, or -EMSGSIZE when the cap would be passed (the content is unchanged then). */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
/* Makes room for `len` more bytes and points *ret at it; follow with b->len += used (and buf_terminate()). */
int buf_reserve(struct buf *b, size_t len, void **ret);
void buf_terminate(struct buf *b);
/* Drops `len` bytes from the front. */
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);
void buf_free(struct buf *b);
/* Like buf_free() but overwrites the content first: for secrets. */
void buf_wipe(struct buf *b);
/* The content as an owned string (never NULL unless out of memory); the buffer is empty after. */
char *buf_take(struct buf *b);
/* "" while empty. */
static inline const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}
