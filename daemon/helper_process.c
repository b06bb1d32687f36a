/* Children and sockets. */
#include "daemon/helper_process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/spawn.h"

int helper_spawn(const char *program, int *ret_fd, pid_t *ret_pid)
{
	static const char *const set[] = {"LANG=C.UTF-8", "OMP_THREAD_LIMIT=1", NULL}; /* Tesseract: more threads cost more than they give */
	static const char *const kept[] = {"PATH=", "TESSDATA_PREFIX=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
#ifdef PAGEFERRY_FAULTS
		"PAGEFERRY_",
#endif
		NULL};
	char *argv[] = {(char *)(uintptr_t)program, NULL};
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	_cleanup_close_ int ours = pair[0];
	_cleanup_close_ int theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = spawn(&(struct spawn){.argv = argv, .set = set, .kept = kept, .in = theirs, .out = theirs, .err = -1}, ret_pid);
	if (r >= 0)
		*ret_fd = take_fd(&ours);
	return r;
}

int helper_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (str_copy(address.sun_path, sizeof(address.sun_path), path) < 0)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A UNIX socket connects at once or, with a full backlog, not at all (EAGAIN). */
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}

ssize_t helper_transmit(int fd, const void *data, size_t len, int pass_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (pass_fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}
