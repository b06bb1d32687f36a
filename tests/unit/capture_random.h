/* Numbers that are the same at every run. */
#pragma once

#include <stdint.h>

static uint32_t random_state;

static inline double uniform(double from, double to)
{
	random_state = random_state * 1664525 + 1013904223;
	return from + (to - from) * (random_state >> 8) / (1 << 24);
}
