/* spool: the daemon's own code looks after the spool of a stopped service; here it is only found and run. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/log.h"
#include "ctl/audit.h"

#define DAEMON "pageferryd"

/* Installed, or beside this program as a build leaves it. */
static int find_daemon(char *out, size_t size)
{
	char self[4096];
	ssize_t n;

	if (access(PAGEFERRY_LIBEXECDIR "/" DAEMON, X_OK) == 0)
		return str_copy(out, size, PAGEFERRY_LIBEXECDIR "/" DAEMON);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -errno;
	self[n] = 0;
	if (strrchr(self, '/'))
		strrchr(self, '/')[1] = 0;
	return str_format(out, size, "%s" DAEMON, self);
}

int verb_spool(int argc, char **argv)
{
	char path[4096];
	int r = find_daemon(path, sizeof(path));

	if (r >= 0) {
		/* argv[1] is "spool", and argv ends with NULL. */
		argv[0] = (char *)DAEMON;
		execv(path, argv);
		r = -errno;
	}
	ctl_say("cannot run " DAEMON ": %s", errno_text(r));
	return EXIT_UNREACHABLE;
}

int spool_receipts(const char *directory, FILE **ret, pid_t *ret_pid)
{
	char path[4096];
	int fds[2] = {-1, -1}, r = find_daemon(path, sizeof(path));
	FILE *f = NULL;
	pid_t pid = -1;

	if (r >= 0 && pipe2(fds, O_CLOEXEC) < 0)
		r = -errno;
	if (r >= 0) {
		f = fdopen(fds[0], "re");
		pid = f ? fork() : -1;
		r = pid < 0 ? -errno : 0;
	}
	if (pid == 0) {
		if (dup2(fds[1], STDOUT_FILENO) >= 0)
			execl(path, DAEMON, "spool", "receipts", "--directory", directory, (char *)NULL);
		_exit(127);
	}
	closep(&fds[1]);
	if (r >= 0) {
		*ret = f;
		*ret_pid = pid;
		return 0;
	}
	if (f)
		fclose(f);
	else
		closep(&fds[0]);
	ctl_say("cannot run " DAEMON ": %s", errno_text(r));
	return r;
}

int spool_receipts_end(FILE *f, pid_t pid)
{
	int status;

	fclose(f);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}
