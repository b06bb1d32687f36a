/* Programs that print credentials, as small shell scripts: what they print, how they end, what they see. */
#include "daemon/program.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define LONG_MS 60000 /* no test waits for it */

static struct run {
	sd_event *event;
	int done; /* how often it was called */
	enum transport_error error;
	int status;
	char detail[160], text[4096];
	size_t len;
} run;

static void on_done(void *ud, const struct reply *r)
{
	CHECK(ud == &run);
	run.done++;
	run.error = r->error;
	run.status = r->status;
	run.len = r->len;
	str_copy(run.detail, sizeof(run.detail), r->detail);
	str_copy(run.text, sizeof(run.text), r->body);
	sd_event_exit(run.event, 0);
}

static void begin(void)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	run = (struct run){0};
	CHECK(sd_event_new(&run.event) >= 0);
}

static void end(void)
{
	run.event = sd_event_unref(run.event);
	CHECK(waitpid(-1, NULL, WNOHANG) <= 0); /* nobody is left to be reaped */
}

static int start(const char *script, int64_t timeout_ms, struct program **ret)
{
	char shell[] = "/bin/sh", dash_c[] = "-c", text[1024], word[] = "two words";
	char *argv[] = {shell, dash_c, text, word, NULL};

	CHECK(str_copy(text, sizeof(text), script) >= 0);
	return program_run(run.event, &(struct program_options){.argv = argv, .timeout_ms = timeout_ms, .max_output = 1000}, on_done, &run, ret);
}

/* As far as its end. */
static void ends(const char *script, int64_t timeout_ms)
{
	struct program *p;

	begin();
	CHECK_INT(start(script, timeout_ms, &p), 0);
	CHECK(sd_event_loop(run.event) >= 0);
	CHECK_INT(run.done, 1);
}

TEST(what_it_prints)
{
	ends("printf '{\"a\":%s}' \"$0\"; exit 0", LONG_MS);
	CHECK(run.error == TRANSPORT_OK && run.status == 0);
	CHECK_STR(run.text, "{\"a\":two words}");
	end();
	ends("echo secret >&2; exit 3", LONG_MS); /* standard error is thrown away */
	CHECK(run.error == TRANSPORT_OK && run.status == 3 && run.len == 0);
	end();
	ends("if read x; then echo input; fi; echo end", LONG_MS);
	CHECK_STR(run.text, "end\n");
	end();
}

TEST(it_dies)
{
	ends("echo half; kill -9 $$", LONG_MS);
	CHECK(run.error == TRANSPORT_BROKEN);
	CHECK_STR(run.detail, "it was killed by a signal");
	end();
}

TEST(it_prints_too_much)
{
	ends("head -c 1000 /dev/zero | tr '\\0' x", LONG_MS);
	CHECK(run.error == TRANSPORT_OK && run.len == 1000);
	end();
	ends("while :; do echo 0123456789012345678901234567890123456789; done", LONG_MS);
	CHECK(run.error == TRANSPORT_TOO_LARGE && run.len <= 1000);
	CHECK_STR(run.detail, "it printed too much");
	end();
}

/* The process that `path` names is gone; the loop's turns reap what is ours. */
static bool is_gone(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC), status;
	pid_t pid;

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	pid = (pid_t)atoi(text);
	CHECK(pid > 1);
	sd_event_run(run.event, 0);
	(void)waitpid(pid, &status, WNOHANG);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void wait_gone(const char *path)
{
	while (!is_gone(path)) /* the kernel ends it; the test's own deadline bounds this */
		sched_yield();
}

TEST(it_hangs_and_takes_its_children_with_it)
{
	char script[512], mine[300], its[300];

	CHECK(str_format(mine, sizeof(mine), "%s/pid", test_tmpdir()) > 0);
	CHECK(str_format(its, sizeof(its), "%s/child", test_tmpdir()) > 0);
	CHECK(str_format(script, sizeof(script), "trap '' TERM; echo $$ >%s; sleep 1000 & echo $! >%s.new; mv %s.new %s; echo half; wait", mine, its,
		      its, its) > 0);
	ends(script, 300);
	CHECK(run.error == TRANSPORT_TIMEOUT);
	CHECK_STR(run.detail, "it took too long and was ended");
	wait_gone(mine);
	run.event = sd_event_unref(run.event);
}

/* It has ended itself, and a child of its own holds the pipe: what it printed is not taken for whole. */
TEST(a_child_that_holds_the_pipe)
{
	ends("sleep 1000 & echo half", 300);
	CHECK(run.error == TRANSPORT_TIMEOUT);
	run.event = sd_event_unref(run.event);
}

TEST(what_it_sees)
{
	int fd = open("/dev/null", O_RDONLY); /* not close-on-exec, as a library's */

	CHECK(fd > 2);
	setenv("AWS_SECRET_ACCESS_KEY", "wJalr", 1);
	setenv("LD_PRELOAD_OF_OURS", "x", 1);
	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	ends("env | cut -d= -f1 | grep -v -e ^PWD$ -e ^_$ -e ^SHLVL$ -e ^OLDPWD$ | sort | tr '\\n' ' '; ls /proc/self/fd | tr '\\n' ' '", LONG_MS);
	CHECK(run.error == TRANSPORT_OK);
	CHECK(strstr(run.text, "CREDENTIALS_DIRECTORY ") && strstr(run.text, "LANG ") && strstr(run.text, "PATH "));
	CHECK(!strstr(run.text, "AWS") && !strstr(run.text, "LD_"));
	CHECK(strstr(run.text, "0 1 2 3 ") && !strstr(run.text, " 4 ")); /* 3 is what ls reads */
	end();
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("CREDENTIALS_DIRECTORY");
	close(fd);
}

TEST(what_cannot_be_started)
{
	char none[] = "/nowhere/program", folder[300], *argv[] = {none, NULL};
	struct program_options o = {.argv = argv, .timeout_ms = LONG_MS, .max_output = 1000};
	struct program *p = NULL;

	begin();
	CHECK_INT(program_run(run.event, &o, on_done, &run, &p), -ENOENT);
	CHECK(str_format(folder, sizeof(folder), "%s/plain", test_tmpdir()) > 0);
	test_write(AT_FDCWD, folder, "no program\n", 0700);
	argv[0] = folder;
	CHECK_INT(program_run(run.event, &o, on_done, &run, &p), 0); /* what it is, only exec finds out */
	CHECK(sd_event_loop(run.event) >= 0);
	CHECK(run.done == 1 && run.error == TRANSPORT_LOCAL);
	CHECK_STR(run.detail, "it could not be started");
	end();
}

TEST(cancelled)
{
	char script[400], mine[300];
	struct program *p;

	begin();
	CHECK(str_format(mine, sizeof(mine), "%s/pid2", test_tmpdir()) > 0);
	CHECK(str_format(script, sizeof(script), "echo $$ >%s.new; mv %s.new %s; exec sleep 1000", mine, mine, mine) > 0);
	CHECK_INT(start(script, LONG_MS, &p), 0);
	while (access(mine, F_OK) < 0)
		sd_event_run(run.event, 1000);
	program_cancel(p);
	wait_gone(mine);
	CHECK_INT(run.done, 0);
	program_cancel(NULL);
	run.event = sd_event_unref(run.event);
}
