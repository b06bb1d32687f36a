#include "daemon/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "daemon/loop.h"
#include "daemon/spawn.h"

#define PIECE_SIZE 4096

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

/* The folder of systemd credentials is a path that the program may need; keys stay here. */
static int start_process(struct program *p, char *const *argv)
{
	static const char *const set[] = {"LANG=C.UTF-8", NULL};
	static const char *const kept[] = {"PATH=", "HOME=", "CREDENTIALS_DIRECTORY=", "TZ=", NULL};
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int ends[2];

	if (null < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	p->fd = ends[0];
	_cleanup_close_ int theirs = ends[1];
	if (fd_nonblock(p->fd, true) < 0)
		return -errno;
	return spawn(&(struct spawn){.argv = argv, .set = set, .kept = kept, .in = null, .out = theirs, .err = null, .group = true},
		&p->pid);
}

static int start(struct program *p, const struct program_options *o)
{
	void *room;
	int r = buf_reserve(&p->out, o->max_output, &room);

	if (r >= 0)
		r = start_process(p, o->argv);
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
