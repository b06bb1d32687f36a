#include "daemon/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "daemon/loop.h"

#define PIECE_SIZE 4096
#define VARIABLES  8

struct program {
	sd_event *event;
	sd_event_source *io, *child, *timer;
	int fd;
	pid_t pid;
	struct buf out; /* its room is taken at once, so that no copy of a secret stays behind when it grows */
	program_done_fn done;
	void *ud;
	bool reaped, finishing;
	int status;
	enum transport_error error;
	const char *detail;
};

static void program_free(struct program *p)
{
	sd_event_source_disable_unref(p->io);
	sd_event_source_disable_unref(p->timer);
	if (p->child && p->reaped)
		sd_event_source_disable_unref(p->child);
	else if (p->child) {
		/* The loop keeps the source and reaps the child whenever it goes. */
		sd_event_source_set_userdata(p->child, NULL);
		sd_event_source_set_floating(p->child, true);
		sd_event_source_unref(p->child);
	}
	if (p->fd >= 0)
		close(p->fd);
	buf_wipe(&p->out);
	sd_event_unref(p->event);
	free(p);
}

static void note_error(struct program *p, enum transport_error error, const char *detail)
{
	if (p->error != TRANSPORT_OK)
		return;
	p->error = error;
	p->detail = detail;
}

static void stream_end(struct program *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	if (p->fd >= 0)
		close(take_fd(&p->fd));
}

/* Ends it and what it started, with no more output taken. */
static void stop(struct program *p)
{
	stream_end(p);
	kill(-p->pid, SIGKILL); /* also when it has gone itself, and a child of its own holds the pipe */
}

static void finish(struct program *p)
{
	struct reply r = {
		.error = p->error,
		.status = p->status,
		.body = buf_str(&p->out),
		.len = p->out.len,
	};

	if (p->finishing)
		return;
	p->finishing = true;
	if (p->detail)
		str_copy(r.detail, sizeof(r.detail), p->detail);
	p->done(p->ud, &r);
	program_free(p);
}

static int on_deadline(sd_event_source *source, uint64_t us, void *ud)
{
	struct program *p = ud;

	note_error(p, TRANSPORT_TIMEOUT, "it took too long and was ended");
	stop(p);
	/* One that hangs in the kernel is not waited for: the loop reaps it when it goes. */
	finish(p);
	return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *ud)
{
	struct program *p = ud;

	if (!p) {
		/* Left behind, gone now: the loop has reaped it and drops the source. */
		sd_event_source_set_floating(source, false);
		return 0;
	}
	p->reaped = true;
	p->status = si->si_status;
	if (si->si_code != CLD_EXITED)
		note_error(p, TRANSPORT_BROKEN, "it was killed by a signal");
	else if (si->si_status == 127)
		note_error(p, TRANSPORT_LOCAL, "it could not be started");
	if (p->fd < 0)
		finish(p);
	return 0;
}

static void take_output(struct program *p)
{
	char piece[PIECE_SIZE];
	ssize_t n;

	do
		n = read(p->fd, piece, sizeof(piece));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		stream_end(p);
	} else if (buf_add(&p->out, piece, (size_t)n) < 0) {
		note_error(p, TRANSPORT_TOO_LARGE, "it printed too much");
		stop(p);
	}
	wipe(piece, sizeof(piece));
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *ud)
{
	struct program *p = ud;

	take_output(p);
	if (p->fd < 0 && p->reaped)
		finish(p);
	return 0;
}

/* ---- start ---------------------------------------------------------------------------------------------------------------- */

extern char **environ;

/* The entries are borrowed. The folder of systemd credentials is a path that the program may need; keys stay here. */
static void make_environment(const char *env[static VARIABLES])
{
	static const char *const kept[] = {"PATH=", "HOME=", "CREDENTIALS_DIRECTORY=", "TZ="};
	size_t n = 0;

	env[n++] = "LANG=C.UTF-8";
	for (char **e = environ; e && *e && n < VARIABLES - 1; e++)
		for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
			if (starts_with(*e, kept[i])) {
				env[n++] = *e;
				break;
			}
	env[n] = NULL;
}

/* Between fork and exec only what is async-signal-safe. */
static _Noreturn void child(char *const *argv, const char *const *env, int out, int null, pid_t parent)
{
	static const int reset[] = {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || setpgid(0, 0) < 0)
		_exit(127);
	for (size_t i = 0; i < ARRAY_SIZE(reset); i++)
		signal(reset[i], SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
		dup2(null, STDERR_FILENO) < 0)
		_exit(127);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execve(argv[0], argv, (char *const *)env);
	_exit(127);
}

static int spawn(struct program *p, char *const *argv)
{
	const char *env[VARIABLES];
	pid_t parent = getpid();
	int ends[2];

	/* execve() fails in the child, where nobody can say why: look first. */
	if (access(argv[0], X_OK) < 0)
		return -errno;
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	p->fd = ends[0];
	_cleanup_close_ int theirs = ends[1];
	if (fd_nonblock(p->fd, true) < 0)
		return -errno;
	make_environment(env);
	p->pid = fork();
	if (p->pid < 0)
		return -errno;
	if (p->pid == 0)
		child(argv, env, theirs, null, parent);
	setpgid(p->pid, p->pid); /* whoever comes first; an error means that it has exec'd, and done it itself */
	return 0;
}

static int start(struct program *p, const struct program_options *o)
{
	void *room;
	int r = buf_reserve(&p->out, o->max_output, &room);

	if (r >= 0)
		r = spawn(p, o->argv);
	if (r < 0)
		return r;
	r = sd_event_add_child(p->event, &p->child, p->pid, WEXITED, on_child, p);
	if (r < 0) {
		/* Nobody would reap it else; it has only just started, so this wait is short. */
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		p->reaped = true;
		return r;
	}
	r = sd_event_add_io(p->event, &p->io, p->fd, EPOLLIN, on_io, p);
	return r < 0 ? r : loop_timer(p->event, &p->timer, o->timeout_ms, on_deadline, p);
}

int program_run(sd_event *e, const struct program_options *o, program_done_fn done, void *ud, struct program **ret)
{
	struct program *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->event = sd_event_ref(e);
	p->fd = -1;
	p->done = done;
	p->ud = ud;
	p->out = BUF_MAX(o->max_output);
	r = start(p, o);
	if (r < 0) {
		program_cancel(p);
		return r;
	}
	*ret = p;
	return 0;
}

void program_cancel(struct program *p)
{
	if (!p || p->finishing)
		return;
	if (p->pid > 0)
		stop(p);
	program_free(p);
}
