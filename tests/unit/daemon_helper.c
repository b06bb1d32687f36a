/* Helpers as small shell scripts: what they say, how they end, how long they take. */
#include "daemon/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "tests/unit/test.h"

struct run {
	sd_event *event;
	struct helper *helper;
	int done;      /* how often it was called */
	int error;
	char why[256];
	char types[512]; /* of the frames, each with a blank */
	char data[256];
	int stop_with; /* returned by the frame callback for "page" */
	enum transport_error transport;
	char detail[160];
	bool sent;
	size_t reply_len;
};

static struct run run;

static const char *script(const char *body)
{
	static char path[512];
	char text[4096];

	CHECK(str_format(path, sizeof(path), "%s/helper", test_tmpdir()) > 0);
	CHECK(str_format(text, sizeof(text), "#!/bin/sh\n%s\n", body) > 0);
	test_write(AT_FDCWD, path, text, 0700);
	return path;
}

static void begin(void)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	signal(SIGPIPE, SIG_IGN);
	run = (struct run){0};
	CHECK(sd_event_new(&run.event) >= 0);
}

static int on_frame(void *ud, enum frame_part part, const struct frame_piece *piece)
{
	struct run *r = ud;

	if (part == FRAME_HEAD) {
		strncat(r->types, piece->type, sizeof(r->types) - strlen(r->types) - 2);
		strcat(r->types, " ");
		return streq(piece->type, "page") ? r->stop_with : 0;
	}
	if (part == FRAME_DATA)
		strncat(r->data, piece->data, MIN(piece->len, sizeof(r->data) - strlen(r->data) - 1));
	return 0;
}

static void on_done(void *ud, int error, const char *why)
{
	struct run *r = ud;

	r->done++;
	r->error = error;
	str_copy(r->why, sizeof(r->why), why);
	sd_event_exit(r->event, 0);
}

static void on_reply(void *ud, const struct reply *reply)
{
	struct run *r = ud;

	r->done++;
	r->transport = reply->error;
	r->sent = reply->sent;
	r->reply_len = reply->len;
	str_copy(r->detail, sizeof(r->detail), reply->detail);
	str_copy(r->types, sizeof(r->types), reply->body);
	sd_event_exit(r->event, 0);
}

static int start(const char *program, int64_t timeout_ms, int fd)
{
	struct helper_options o = {.program = program, .name = "test", .timeout_ms = timeout_ms};
	_cleanup_json_ cJSON *head = cJSON_CreateObject();

	CHECK_INT(json_add_string(head, "type", "request"), 0);
	return helper_start(run.event, &o, head, fd, on_frame, on_done, &run, &run.helper);
}

static void loop(void)
{
	CHECK(sd_event_loop(run.event) >= 0);
	CHECK_INT(run.done, 1);
}

static void end(void)
{
	run.event = sd_event_unref(run.event);
	/* No zombie is left. */
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

#define END_OK "echo '{\"type\":\"end\",\"ok\":true}'"

TEST(frames_arrive_and_it_ends_well)
{
	begin();
	CHECK_INT(start(script("read line; printf '{\"type\":\"page\",\"index\":1}\\n{\"type\":\"data\",\"bytes\":3}\\nabc'; " END_OK),
			  10000, -1), 0);
	loop();
	CHECK_INT(run.error, 0);
	CHECK_STR(run.types, "page data end ");
	CHECK_STR(run.data, "abc");
	end();
}

TEST(request_line_and_descriptor_arrive)
{
	int fd;
	char path[512];

	begin();
	CHECK(str_format(path, sizeof(path), "%s/file", test_tmpdir()) > 0);
	test_write(AT_FDCWD, path, "content", 0600);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	/* A shell cannot take a descriptor from a message; it can say what it read. */
	CHECK_INT(start(script("read line; echo \"$line\"; " END_OK), 10000, fd), 0);
	close(fd);
	loop();
	CHECK_INT(run.error, 0);
	CHECK_STR(run.types, "request end ");
	end();
}

TEST(reported_trouble_is_passed_on)
{
	begin();
	CHECK_INT(start(script("echo '{\"type\":\"end\",\"ok\":false,\"reason\":\"no-device\",\"message\":\"nothing there\"}'"), 10000, -1),
		0);
	loop();
	CHECK_INT(run.error, -EREMOTEIO);
	CHECK_STR(run.why, "no-device: nothing there");
	end();
}

TEST(stream_without_end_was_cut_off)
{
	begin();
	CHECK_INT(start(script("echo '{\"type\":\"page\",\"index\":1}'; exit 0"), 10000, -1), 0);
	loop();
	CHECK_INT(run.error, -EPIPE);
	end();
}

TEST(killed_helper_is_told_with_its_signal)
{
	begin();
	CHECK_INT(start(script("echo '{\"type\":\"page\",\"index\":1}'; kill -9 $$"), 10000, -1), 0);
	loop();
	CHECK_INT(run.error, -EPIPE);
	CHECK(strstr(run.why, "signal 9"));
	end();
}

TEST(deadline_ends_it)
{
	begin();
	CHECK_INT(start(script("exec sleep 600"), 50, -1), 0);
	loop();
	CHECK_INT(run.error, -ETIMEDOUT);
	end();
}

TEST(deadline_ends_it_when_only_the_process_is_left)
{
	begin();
	CHECK_INT(start(script(END_OK "; exec sleep 600 <&- >&-"), 200, -1), 0);
	loop();
	CHECK_INT(run.error, -ETIMEDOUT);
	end();
}

TEST(callback_can_end_it)
{
	begin();
	run.stop_with = -ENOSPC;
	CHECK_INT(start(script("echo '{\"type\":\"page\",\"index\":1}'; exec sleep 600"), 10000, -1), 0);
	loop();
	CHECK_INT(run.error, -ENOSPC);
	end();
}

TEST(garbage_ends_it)
{
	begin();
	CHECK_INT(start(script("echo hello; exec sleep 600"), 10000, -1), 0);
	loop();
	CHECK_INT(run.error, -EBADMSG);
	end();
}

TEST(frames_after_the_end_are_an_error)
{
	begin();
	CHECK_INT(start(script(END_OK "; " END_OK "; exec sleep 600"), 10000, -1), 0);
	loop();
	CHECK_INT(run.error, -EBADMSG);
	end();
}

TEST(missing_program_is_told_at_once)
{
	begin();
	CHECK_INT(start("/nonexistent/helper", 10000, -1), -ENOENT);
	CHECK_INT(run.done, 0);
	end();
}

TEST(program_that_cannot_be_run)
{
	char path[512];

	begin();
	CHECK(str_format(path, sizeof(path), "%s/helper", test_tmpdir()) > 0);
	test_write(AT_FDCWD, path, "#!/nonexistent/interpreter\n", 0700);
	CHECK_INT(start(path, 10000, -1), 0);
	loop();
	CHECK_INT(run.error, -ENOEXEC);
	end();
}

TEST(cancel_calls_nobody_back_and_leaves_no_zombie)
{
	pid_t pid;

	begin();
	CHECK_INT(start(script("exec sleep 600"), 10000, -1), 0);
	helper_cancel(run.helper);
	/* The loop reaps what is left; wait for that, at most ten seconds. */
	for (int i = 0; i < 100; i++) {
		siginfo_t si = {0};

		if (waitid(P_ALL, 0, &si, WEXITED | WNOWAIT | WNOHANG) < 0 && errno == ECHILD)
			break;
		CHECK(sd_event_run(run.event, 100000) >= 0);
	}
	pid = waitpid(-1, NULL, WNOHANG);
	CHECK(pid == -1 && errno == ECHILD);
	CHECK_INT(run.done, 0);
	end();
}

TEST(environment_is_its_own)
{
	begin();
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	CHECK_INT(start(script("echo \"{\\\"type\\\":\\\"x$AWS_SECRET_ACCESS_KEY-$LANG\\\"}\"; " END_OK), 10000, -1), 0);
	loop();
	unsetenv("AWS_SECRET_ACCESS_KEY");
	CHECK_STR(run.types, "x-C.UTF-8 end ");
	end();
}

/* It was started a moment ago, and has read nothing yet. */
TEST(another_request_goes_behind_the_first)
{
	_cleanup_json_ cJSON *next = cJSON_CreateObject();

	begin();
	CHECK_INT(json_add_string(next, "type", "next"), 0);
	CHECK_INT(start(script("read a; read b; case $a$b in *request*next*) printf '{\"type\":\"end\",\"ok\":true}\\n';; esac"), 10000, -1), 0);
	CHECK_INT(helper_next(run.helper, next, 10000, &run), 0);
	loop();
	CHECK_INT(run.error, 0);
	CHECK_STR(run.types, "end ");
	end();
}

/* ---- requests by segments ------------------------------------------------------------------------------------------------- */

static void send_request(const char *body, size_t input, size_t max_reply, int64_t timeout_ms)
{
	struct helper_options o = {.program = script(body), .name = "test", .timeout_ms = timeout_ms};
	struct request req = {.helper = "test", .max_reply = max_reply};
	_cleanup_buf_ struct buf text = {};

	for (size_t i = 0; i < input; i++)
		CHECK_INT(buf_addc(&text, 'a'), 0);
	CHECK_INT(request_add_literal_take(&req, &text), 0);
	CHECK_INT(helper_send(run.event, &o, &req, on_reply, &run, &run.helper), 0);
	loop();
	request_free(&req);
}

TEST(large_input_goes_through_while_output_comes)
{
	begin();
	send_request("head -c 3000000 | wc -c", 3000000, 100, 10000);
	CHECK_INT(run.transport, TRANSPORT_OK);
	CHECK_INT(atoi(run.types), 3000000);
	CHECK(run.sent);
	end();
}

TEST(helper_that_does_not_read_may_still_answer)
{
	begin();
	send_request("echo no", 3000000, 100, 10000);
	CHECK_INT(run.transport, TRANSPORT_OK);
	CHECK_STR(run.types, "no\n");
	end();
}

TEST(reply_is_capped)
{
	begin();
	send_request("head -c 200 /dev/zero; exec sleep 600", 1, 100, 10000);
	CHECK_INT(run.transport, TRANSPORT_TOO_LARGE);
	end();
}

TEST(crash_without_a_word_is_broken)
{
	begin();
	send_request("kill -9 $$", 1, 100, 10000);
	CHECK_INT(run.transport, TRANSPORT_BROKEN);
	end();
	begin();
	send_request("exec sleep 600", 1, 100, 50);
	CHECK_INT(run.transport, TRANSPORT_TIMEOUT);
	end();
}

/* ---- a unit's socket -------------------------------------------------------------------------------------------------------- */

TEST(socket_mode_speaks_to_who_listens)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct helper_options o = {.name = "test", .timeout_ms = 10000};
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	static const char answer[] = "{\"type\":\"end\",\"ok\":true}\n";
	int listener, peer;

	begin();
	CHECK(str_format(address.sun_path, sizeof(address.sun_path), "%s/socket", test_tmpdir()) > 0);
	o.socket = address.sun_path;
	CHECK_INT(json_add_string(head, "type", "request"), 0);
	CHECK_INT(helper_start(run.event, &o, head, -1, on_frame, on_done, &run, &run.helper), -ENOENT);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0);
	CHECK_INT(helper_start(run.event, &o, head, listener, on_frame, on_done, &run, &run.helper), 0);
	peer = accept(listener, NULL, NULL);
	CHECK(peer >= 0);
	CHECK_INT(write_all(peer, answer, strlen(answer)), 0);
	CHECK(shutdown(peer, SHUT_WR) == 0);
	loop();
	CHECK_INT(run.error, 0);
	CHECK_STR(run.types, "end ");
	close(peer);
	close(listener);
	end();
}

/* ---- a page in, frames out ------------------------------------------------------------------------------------------------ */

static void convert(const char *body, size_t input, int64_t timeout_ms)
{
	struct helper_options o = {.program = script(body), .name = "test", .timeout_ms = timeout_ms};
	struct request req = {.helper = "test"};
	_cleanup_buf_ struct buf text = {};

	for (size_t i = 0; i < input; i++)
		CHECK_INT(buf_addc(&text, 'a'), 0);
	CHECK_INT(request_add_literal_take(&req, &text), 0);
	CHECK_INT(helper_convert(run.event, &o, &req, on_frame, on_done, &run, &run.helper), 0);
	loop();
	request_free(&req);
}

TEST(page_goes_in_and_frames_come_out)
{
	begin();
	convert("n=$(wc -c <<EOF\n$(head -c 2000000)\nEOF\n)\nprintf '{\"type\":\"data\",\"bytes\":7}\\n%s{\"type\":\"end\",\"ok\":true}\\n' $((n - 1))",
		2000000, 10000);
	CHECK_INT(run.error, 0);
	CHECK_STR(run.types, "data end ");
	CHECK_STR(run.data, "2000000");
	end();
}

TEST(conversion_that_ends_badly)
{
	begin();
	convert("printf '{\"type\":\"end\",\"ok\":false,\"reason\":\"damaged\",\"message\":\"no page\"}\\n'", 10, 10000);
	CHECK_INT(run.error, -EREMOTEIO);
	CHECK_STR(run.why, "damaged: no page");
	end();
	begin();
	convert("exec sleep 600", 10, 50);
	CHECK_INT(run.error, -ETIMEDOUT);
	end();
	begin();
	convert("printf hello", 10, 10000);
	CHECK(run.error < 0);
	end();
	begin();
	run.stop_with = -EMSGSIZE;
	convert("printf '{\"type\":\"page\"}\\n'; exec sleep 600", 10, 10000);
	CHECK_INT(run.error, -EMSGSIZE);
	end();
}
