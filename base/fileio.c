#include "base/fileio.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define READ_STEP ((size_t)64 << 10)

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t read_full(int fd, void *data, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)data + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* One byte more than allowed is asked for: that is how a file that is too large shows. */
static int read_up_to(int fd, size_t max, size_t expected, struct buf *b)
{
	for (size_t step = MIN(expected, max) + 1;; step = READ_STEP) {
		ssize_t n;
		void *p;
		int r;

		step = MIN(step, max - b->len + 1);
		r = buf_reserve(b, step, &p);
		if (r < 0)
			return r;
		n = read_full(fd, p, step);
		if (n < 0)
			return (int)n;
		b->len += (size_t)n;
		buf_terminate(b);
		if (b->len > max)
			return -EFBIG;
		if ((size_t)n < step)
			return 0;
	}
}

int file_read(int dirfd, const char *name, size_t max, struct buf *ret)
{
	_cleanup_close_ int fd = -1;
	struct buf b = BUF_MAX(MIN(max, SIZE_MAX - 2) + 1);
	struct stat st;
	int r;

	/* O_NONBLOCK: a pipe put there by somebody must not hang us. */
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (st.st_size > 0 && (uint64_t)st.st_size > max)
		return -EFBIG;
	r = read_up_to(fd, MIN(max, SIZE_MAX - 2), (size_t)st.st_size, &b);
	if (r < 0) {
		buf_wipe(&b); /* may be a key */
		return r;
	}
	buf_free(ret);
	b.max = ret->max;
	*ret = b;
	return 0;
}

int fsync_retry(int fd)
{
	while (fsync(fd) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int fsync_dir(int dirfd)
{
	_cleanup_close_ int fd = -1;

	if (dirfd != AT_FDCWD)
		return fsync_retry(dirfd);
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fsync_retry(fd);
}

/* fsync of the directory that `name` is in: dirfd itself, unless the name has a slash. */
static int fsync_parent(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	_cleanup_close_ int fd = -1;
	char parent[PATH_MAX];

	if (!slash)
		return fsync_dir(dirfd);
	if ((size_t)(slash - name) + 2 > sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, name, (size_t)(slash - name) + 1);
	parent[slash - name + 1] = 0;
	fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fsync_retry(fd);
}

/* The target's directory first: the new name must be durable before the old one is durably gone. */
static int fsync_both(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	int r = fsync_parent(to_dirfd, to);

	if (r < 0 || (from_dirfd == to_dirfd && !strchr(from, '/') && !strchr(to, '/')))
		return r;
	return fsync_parent(from_dirfd, from);
}

static int rename_noreplace(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	if (renameat2(from_dirfd, from, to_dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without that flag (9p, some FUSE): link() does not replace either. */
	if (linkat(from_dirfd, from, to_dirfd, to, 0) < 0)
		return -errno;
	return unlinkat(from_dirfd, from, 0) < 0 ? -errno : 0;
}

int rename_durable(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	int r = rename_noreplace(from_dirfd, from, to_dirfd, to);

	return r < 0 ? r : fsync_both(from_dirfd, from, to_dirfd, to);
}

int replace_durable(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	if (renameat(from_dirfd, from, to_dirfd, to) < 0)
		return -errno;
	return fsync_both(from_dirfd, from, to_dirfd, to);
}

int unlink_durable(int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	/* Also when it was gone: whoever unlinked it may not have lived to sync. */
	return fsync_parent(dirfd, name);
}

int dir_open(int dirfd, const char *name, unsigned int mode)
{
	int fd, r;

	if (mkdirat(dirfd, name, (mode_t)mode) == 0) {
		r = fsync_parent(dirfd, name);
		if (r < 0)
			return r;
	} else if (errno != EEXIST) {
		return -errno;
	}
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int fd_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);

	if (flags < 0 || fd_flags < 0)
		return -errno;
	if (fcntl(fd, F_SETFD, fd_flags | FD_CLOEXEC) < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}
