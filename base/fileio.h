/* Durable file operations. Names are relative to a directory descriptor; links are never followed. */
#pragma once

#include "base/buf.h"

/* Loops over EINTR and short writes. 0 or negative errno. */
int write_all(int fd, const void *data, size_t len);
/* Up to len bytes; short only at end of file. Returns the count or negative errno. */
ssize_t read_full(int fd, void *data, size_t len);
/* The whole file, at most `max` bytes (-EFBIG beyond). */
int file_read(int dirfd, const char *name, size_t max, struct buf *ret);
/* fsync() of a file or directory descriptor; EINTR looped. */
int fsync_retry(int fd);
int fsync_dir(int dirfd);
/* renameat2(RENAME_NOREPLACE) and fsync of the target directory (and of the source's when it is another one). */
int rename_durable(int from_dirfd, const char *from, int to_dirfd, const char *to);
/* Like rename_durable() but replaces what is there: for exports that can be made again. */
int replace_durable(int from_dirfd, const char *from, int to_dirfd, const char *to);
/* unlinkat() and fsync of the directory; a missing file is no error. */
int unlink_durable(int dirfd, const char *name);
/* mkdirat() if missing, then opens it (O_DIRECTORY, no links). The descriptor, or negative errno. */
int dir_open(int dirfd, const char *name, unsigned int mode);
/* Sets FD_CLOEXEC / O_NONBLOCK. */
int fd_nonblock(int fd, bool on);
