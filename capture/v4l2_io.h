/* The system calls of the v4l2 source, so that a test can put a made-up driver in their place. */
#pragma once

#include <poll.h>
#include <sys/types.h>

#include "capture/source.h"

struct v4l2_io {
	int (*open)(void *ud, const char *path); /* descriptor or negative errno */
	int (*close)(void *ud, int fd);
	int (*ioctl)(void *ud, int fd, unsigned long request, void *arg); /* 0 or negative errno */
	void *(*map)(void *ud, int fd, size_t len, off_t offset);         /* NULL on failure */
	void (*unmap)(void *ud, void *p, size_t len);
	int (*poll)(void *ud, struct pollfd *p, int timeout_ms); /* as poll(), negative errno */
	int64_t (*now_ms)(void *ud);
	void *ud;
};

extern const struct v4l2_io v4l2_system_io;
/* Opens what a source's name says behind "v4l2:" through `io` (copied). */
int v4l2_open_with(const struct v4l2_io *io, const char *where, const struct source_options *o, struct page_source **ret,
	struct reject *why);
