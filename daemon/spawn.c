/* Between fork and exec only what is async-signal-safe: libcurl may have a resolver thread. */
#include "daemon/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ENVIRONMENT_MAX 32

extern char **environ;

static bool is_kept(const char *entry, const char *const *kept)
{
	for (; *kept; kept++)
		if (starts_with(entry, *kept))
			return true;
	return false;
}

/* It knows nothing else of the service's environment, where credentials may be. The entries are borrowed. */
static void make_environment(const struct spawn *s, const char *env[static ENVIRONMENT_MAX])
{
	size_t n = 0;

	for (const char *const *e = s->set; *e && n < ENVIRONMENT_MAX - 1; e++)
		env[n++] = *e;
	for (char **e = environ; e && *e && n < ENVIRONMENT_MAX - 1; e++)
		if (is_kept(*e, s->kept))
			env[n++] = *e;
	env[n] = NULL;
}

static _Noreturn void child(const struct spawn *s, const char *const *env, pid_t parent)
{
	static const int reset[] = {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	sigset_t none;

	/* The parent may be gone before the request for its death signal: then nobody would ever end us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || (s->group && setpgid(0, 0) < 0))
		_exit(127);
	for (size_t i = 0; i < ARRAY_SIZE(reset); i++)
		signal(reset[i], SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || dup2(s->in, STDIN_FILENO) < 0 || dup2(s->out, STDOUT_FILENO) < 0 ||
		(s->err >= 0 && dup2(s->err, STDERR_FILENO) < 0))
		_exit(127);
	/* All is opened close-on-exec; this is for libraries that do not. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execve(s->argv[0], s->argv, (char *const *)env);
	_exit(127);
}

int spawn(const struct spawn *s, pid_t *ret_pid)
{
	const char *env[ENVIRONMENT_MAX];
	pid_t pid, parent = getpid();

	/* execve() fails in the child, where nobody can say why: look first. */
	if (access(s->argv[0], X_OK) < 0)
		return -errno;
	make_environment(s, env);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(s, env, parent);
	if (s->group)
		setpgid(pid, pid); /* whoever comes first; an error means that it has exec'd, and done it itself */
	*ret_pid = pid;
	return 0;
}
