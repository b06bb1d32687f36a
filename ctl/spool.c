/* spool: the daemon's own code looks after the spool of a stopped service; here it is only found and run. */
#include "base/log.h"
#include "ctl/ctl.h"

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
