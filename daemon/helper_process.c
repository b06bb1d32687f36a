/* Children and sockets. Between fork and exec only what is async-signal-safe: libcurl may have a resolver thread. */
#include "daemon/helper_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ENVIRONMENT_MAX 32

extern char **environ;

static bool variable_kept(const char *entry)
{
	static const char *const kept[] = {"PATH=", "TESSDATA_PREFIX=", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (starts_with(entry, kept[i]))
			return true;
#ifdef PAGEFERRY_FAULTS
	return starts_with(entry, "PAGEFERRY_");
#else
	return false;
#endif
}

/* A helper knows nothing of the service's environment, where credentials may be. The entries are borrowed. */
static void make_environment(const char *env[static ENVIRONMENT_MAX])
{
	size_t n = 0;

	env[n++] = "LANG=C.UTF-8";
	env[n++] = "OMP_THREAD_LIMIT=1"; /* Tesseract: more threads cost more than they give */
	for (char **e = environ; e && *e && n < ENVIRONMENT_MAX - 1; e++)
		if (variable_kept(*e))
			env[n++] = *e;
	env[n] = NULL;
}

static _Noreturn void child(const char *program, const char *const *env, int fd, pid_t parent)
{
	static const int reset[] = {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	const char *argv[] = {program, NULL};
	sigset_t none;

	/* The parent may be gone before the request for its death signal: then nobody would ever end us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	for (size_t i = 0; i < ARRAY_SIZE(reset); i++)
		signal(reset[i], SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(127);
	/* All is opened close-on-exec; this is for libraries that do not. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execve(program, (char *const *)argv, (char *const *)env);
	_exit(127);
}

int helper_spawn(const char *program, int *ret_fd, pid_t *ret_pid)
{
	const char *env[ENVIRONMENT_MAX];
	pid_t pid, parent = getpid();
	int pair[2];

	/* execve() fails in the child, where nobody can say why: look first. */
	if (access(program, X_OK) < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	_cleanup_close_ int ours = pair[0];
	_cleanup_close_ int theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	make_environment(env);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(program, env, theirs, parent);
	*ret_fd = take_fd(&ours);
	*ret_pid = pid;
	return 0;
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
