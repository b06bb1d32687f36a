#include "capture/v4l2_io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "capture/watch.h"

/* O_NONBLOCK: waiting is done in poll(), where it is bounded. */
static int io_open(void *ud, const char *path)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int io_close(void *ud, int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static int io_ioctl(void *ud, int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static void *io_map(void *ud, int fd, size_t len, off_t offset)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

static void io_unmap(void *ud, void *p, size_t len)
{
	munmap(p, len);
}

static int io_poll(void *ud, struct pollfd *p, int timeout_ms)
{
	int r = poll(p, 1, timeout_ms);

	return r < 0 ? -errno : r;
}

static int64_t io_now_ms(void *ud)
{
	return watch_us() / 1000;
}

const struct v4l2_io v4l2_system_io = {
	.open = io_open,
	.close = io_close,
	.ioctl = io_ioctl,
	.map = io_map,
	.unmap = io_unmap,
	.poll = io_poll,
	.now_ms = io_now_ms,
};
