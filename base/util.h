/* Small helpers that every file may use: cleanup attributes, array sizes, byte order. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))
#define CLAMP(x, l, h) MIN(MAX(x, l), h)
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _cleanup_(f)  __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

static inline void freep(void *p)
{
	free(*(void **)p);
}

/* Closes *fd if it is >= 0; errno is kept. */
static inline void closep(const int *fd)
{
	if (*fd >= 0) {
		int e = errno;
		close(*fd);
		errno = e;
	}
}

/* Hands the pointer or descriptor on to a caller and disarms its cleanup. */
#define take_ptr(p)                    \
	({                             \
		__typeof__(p) _t = (p);    \
		(p) = NULL;            \
		_t;                    \
	})
static inline int take_fd(int *fd)
{
	int t = *fd;
	*fd = -1;
	return t;
}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* snprintf() into an array that must hold the whole text. Returns its length, or -ENOBUFS if it did not fit. */
int str_format(char *out, size_t size, const char *fmt, ...) _printf_(3, 4);
/* Copies a string into an array of `size` bytes. Returns its length, or -ENOBUFS (out is "" then). */
int str_copy(char *out, size_t size, const char *s);
