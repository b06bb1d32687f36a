/* Allocations that fail, one at a time: for tests that go through all of them. Included by one file of a program, whose
 * definitions come before the C library's, for the libraries that it uses too. */
#pragma once

#include "tests/unit/test.h"

static int64_t memory_countdown; /* until the one that fails; 0: none does */
static int64_t memory_blocks __attribute__((unused)); /* allocated and not freed */

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_SKIP() test_skip("the sanitizer has the allocator")
#else
#define MEMORY_SKIP() ((void)0)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static bool memory_denied(void)
{
	if (memory_countdown == 0 || --memory_countdown > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	void *p = memory_denied() ? NULL : __libc_malloc(size);

	memory_blocks += p != NULL;
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = memory_denied() ? NULL : __libc_calloc(n, size);

	memory_blocks += p != NULL;
	return p;
}

void *realloc(void *old, size_t size)
{
	void *p = memory_denied() ? NULL : __libc_realloc(old, size);

	memory_blocks += p && !old;
	return p;
}

void free(void *p)
{
	int error = errno;

	memory_blocks -= p != NULL;
	__libc_free(p);
	errno = error;
}
#endif

/* The n-th allocation from here on fails (n from 1), and those after it do not. */
static inline void memory_fail_at(int64_t n)
{
	memory_countdown = n;
}

/* From here on none fails, until memory_fail_at() of what is returned: around what the test itself allocates. */
static inline int64_t memory_hold(void)
{
	int64_t left = memory_countdown;

	memory_countdown = 0;
	return left;
}

/* From here on none fails. Has one? */
static inline bool memory_failed(void)
{
	bool failed = memory_countdown == 0;

	memory_countdown = 0;
	return failed;
}
