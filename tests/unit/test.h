/* Unit tests: TEST(name) { CHECK(...); }. Each file is a program of its own; it prints "ok NAME", "not ok NAME: why" or
 * "skip NAME: why" for each test, which tests/run counts. A failed CHECK ends that test only. */
#pragma once

#include <setjmp.h>
#include <stdio.h>

#include "base/util.h"

typedef void (*test_fn)(void);
void test_register(const char *name, test_fn fn);
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...) _printf_(3, 4);
_Noreturn void test_skip(const char *why);
/* Skips the test where peers of sockets have no groups: emulators of a processor do not know SO_PEERGROUPS. */
void test_needs_peer_groups(void);
void test_check_str(const char *file, int line, const char *expr, const char *got, const char *want);
void test_check_int(const char *file, int line, const char *expr, int64_t got, int64_t want);
/* Step of a loop over very many cases: n where the processor is emulated (EMULATED=1, tests/run --under), which is some
 * 30 times slower; else 1. */
unsigned int test_stride(unsigned int n);
/* Folder of tests/data, with a slash. */
const char *test_data(void);
/* A fresh empty folder, removed after the test. */
const char *test_tmpdir(void);
/* Writes a file, in place of what is there; fails the test if it cannot. */
void test_write(int dirfd, const char *name, const char *text, unsigned int mode);

#define TEST(name)                                                                  \
	static void test_##name(void);                                              \
	__attribute__((constructor)) static void register_##name(void)              \
	{                                                                           \
		test_register(#name, test_##name);                                  \
	}                                                                           \
	static void test_##name(void)

#define CHECK(cond)                                                                 \
	do {                                                                        \
		if (!(cond))                                                        \
			test_fail(__FILE__, __LINE__, "%s", #cond);                 \
	} while (0)
#define CHECK_STR(got, want) test_check_str(__FILE__, __LINE__, #got, got, want)
#define CHECK_INT(got, want) test_check_int(__FILE__, __LINE__, #got, got, want)
