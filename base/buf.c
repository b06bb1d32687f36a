#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define SIZE_FIRST ((size_t)64)

int buf_reserve(struct buf *b, size_t len, void **ret)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT, size = b->size ? b->size : SIZE_FIRST;
	char *p;

	if (b->len > max || len > max - b->len)
		return -EMSGSIZE;
	if (max == SIZE_MAX) /* room for the NUL */
		max--;
	while (size < b->len + len + 1)
		size = size > max / 2 ? max + 1 : size * 2;
	if (size != b->size) {
		p = realloc(b->data, size);
		if (!p)
			return -ENOMEM;
		b->data = p;
		b->size = size;
		b->data[b->len] = 0;
	}
	if (ret)
		*ret = b->data + b->len;
	return 0;
}

void buf_terminate(struct buf *b)
{
	if (b->data)
		b->data[b->len] = 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	void *p;
	int r = buf_reserve(b, len, &p);

	if (r < 0)
		return r;
	if (len > 0)
		memcpy(p, data, len);
	b->len += len;
	buf_terminate(b);
	return 0;
}

int buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	void *p;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EMSGSIZE;
	r = buf_reserve(b, (size_t)n, &p);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void buf_consume(struct buf *b, size_t len)
{
	if (len >= b->len) {
		buf_clear(b);
		return;
	}
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
	buf_terminate(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	buf_terminate(b);
}

void buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->size = 0;
}

void buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
	buf_free(b);
}

char *buf_take(struct buf *b)
{
	char *s = b->data ? b->data : calloc(1, 1);

	b->data = NULL;
	b->len = b->size = 0;
	return s;
}
