/* A stopwatch for the `ms` of a page's record. */
#pragma once

#include <time.h>

#include "base/util.h"

static inline int64_t watch_read(clockid_t id)
{
	struct timespec t = {};

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Microseconds of elapsed time, and of this process's processor time. */
static inline int64_t watch_us(void)
{
	return watch_read(CLOCK_MONOTONIC);
}

static inline int64_t watch_cpu_us(void)
{
	return watch_read(CLOCK_PROCESS_CPUTIME_ID);
}
