/* The program as pageferryd's helper: one request on a stream, pages back on it (docs/architecture.md,
 * "Helper framing"). */
#pragma once

/* Reads one request from in_fd and answers it on out_fd. 0 when `end` was sent (with ok or not), or negative
 * errno. */
int helper_main(int in_fd, int out_fd);
