/* A program that prints credentials. */
#pragma once

#include "cloud/creds_source.h"

/* Splits as a POSIX shell does, without expanding anything; argv is owned, NULL-ended if it came as zeroes. -EINVAL: quotes
 * are open, or the first word is not an absolute path; -E2BIG, -ENOMEM. */
int creds_split_command(const char *command, char *argv[static CREDS_ARGS_MAX + 1]);
