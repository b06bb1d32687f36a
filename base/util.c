#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>

int str_format(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= size ? -ENOBUFS : n;
}

int str_copy(char *out, size_t size, const char *s)
{
	size_t len = strlen(s);

	if (len >= size) {
		if (size > 0)
			out[0] = 0;
		return -ENOBUFS;
	}
	memcpy(out, s, len + 1);
	return (int)len;
}
