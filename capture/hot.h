/*
 * Marks the few loops that take the time. They are plain C that the compiler vectorises; on x86-64 it makes a
 * second version for AVX2 that is chosen when the program is loaded. All versions give the same bits
 * (integers only).
 */
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define HOT __attribute__((optimize("O3"), target_clones("avx2", "default")))
#else
#define HOT __attribute__((optimize("O3")))
#endif
#else
#define HOT
#endif
