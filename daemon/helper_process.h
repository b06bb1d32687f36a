/* Where a helper's stream comes from: a child of ours or a unit's socket. */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* fork+exec with a socket pair as standard input and output: our end (non-blocking) in *ret_fd, the child in *ret_pid. */
int helper_spawn(const char *program, int *ret_fd, pid_t *ret_pid);
/* Connects to a listening UNIX socket without waiting: the descriptor or negative errno. */
int helper_connect(const char *path);
/* Sends up to len bytes, with `pass_fd` attached to the first when it is >= 0. The count or negative errno. */
ssize_t helper_transmit(int fd, const void *data, size_t len, int pass_fd);
