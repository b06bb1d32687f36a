/* What one page may take: one thread, so much memory, so much time. A page that takes more ends this process,
 * and says so. */
#pragma once

#define LIMIT_MEMORY_MIB  1024
#define LIMIT_CPU_SECONDS 300

/* OpenMP reads its environment before main(): starts the program again with OMP_THREAD_LIMIT=1 unless it is
 * set so. Four threads take twice the CPU time for a slower page. Call first. */
void limits_single_thread(char **argv);
/* Address space and CPU time of this process from now on. 0 or negative errno. */
int limits_set(void);
/* While armed, running into a limit writes `line` to fd and exits 1; the library aborts when it gets no
 * memory. `fd` -1 disarms. */
void limits_arm(int fd);
