/*
 * One exchange with Bedrock after another, without spool and courier: for each line on standard input a request for the page is
 * built, signed and sent over the daemon's own transport and loop, and what the reply means is printed: OUTCOME TRANSPORT-ERROR
 * STATUS BILLED ANSWERED. For tests of replies by the thousand.
 *
 *   exchange HOST:PORT CA-FILE PAGE.jpg
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/bedrock.h"
#include "cloud/body.h"
#include "cloud/creds.h"
#include "daemon/loop.h"

static const char types_text[] =
	"[{\"name\":\"universal\",\"title\":\"Any\",\"version\":2,\"prompt\":\"p\",\"schema\":{\"type\":\"object\","
	"\"additionalProperties\":false,\"required\":[\"word\"],\"properties\":{\"word\":{\"type\":\"string\",\"maxLength\":50}}},"
	"\"fields\":[{\"name\":\"word\",\"title\":\"Word\",\"kind\":\"text\",\"required\":true,\"labels\":[\"Word\"]}]}]";

static const struct creds creds = {.access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

static struct {
	sd_event *event;
	struct clock *clock;
	struct loop_http *http;
	struct bedrock_config config;
	struct extractor extractor;
	struct typeset *types;
	struct job job;
	bool done;
} x;

static void on_reply(void *ud, const struct reply *r)
{
	struct verdict v = {};

	x.done = true;
	if (x.extractor.ops->decode(&x.extractor, &x.job, r, &v) < 0)
		exit(2);
	printf("%s %d %d %d %d\n", page_outcome_name(v.page), r->error, r->status, v.billed, v.answer != NULL);
	verdict_clear(&v);
}

static int exchange(void)
{
	struct http_transfer *transfer;
	struct request req = {};
	int64_t now;
	int r;

	r = x.extractor.ops->build(&x.extractor, &x.job, &req);
	if (r >= 0)
		r = body_hash(&req);
	if (r >= 0)
		r = clock_signing_time(x.clock, &now);
	if (r >= 0)
		r = x.extractor.ops->sign(&x.extractor, &creds, now, &req);
	x.done = false;
	if (r >= 0)
		r = http_send(loop_http(x.http), &req, on_reply, NULL, &transfer);
	while (r >= 0 && !x.done)
		r = sd_event_run(x.event, UINT64_MAX);
	request_free(&req);
	return r;
}

static int open_all(char *argv[])
{
	char why[200];
	struct stat st;
	int r;

	x.config = (struct bedrock_config){.model = "amazon.nova-pro-v1:0", .region = "ap-southeast-2", .timeout_ms = 20000, .connect_timeout_ms = 20000};
	x.extractor = (struct extractor){.ops = &bedrock_extractor, .backend = "sydney", .config = &x.config};
	x.job = (struct job){.page_id = "p", .n_images = 1};
	x.job.images[0] = (struct job_image){.fd = open(argv[3], O_RDONLY | O_CLOEXEC), .width = 1000, .height = 1400};
	if (x.job.images[0].fd < 0 || fstat(x.job.images[0].fd, &st) < 0)
		return -errno;
	x.job.images[0].bytes = (uint64_t)st.st_size;
	r = str_copy(x.config.connect_to, sizeof(x.config.connect_to), argv[1]);
	if (r >= 0)
		r = str_copy(x.config.ca_file, sizeof(x.config.ca_file), argv[2]);
	if (r >= 0)
		r = typeset_parse(types_text, strlen(types_text), &x.types, why, sizeof(why));
	x.job.types = x.types;
	if (r >= 0)
		r = sd_event_new(&x.event);
	if (r >= 0)
		r = clock_new(NULL, NULL, &x.clock);
	return r < 0 ? r : loop_http_new(x.event, x.clock, &(struct http_options){.user_agent = "pageferry/test"}, &x.http);
}

int main(int argc, char *argv[])
{
	char line[16];
	int r = argc == 4 ? open_all(argv) : -EINVAL;

	setlinebuf(stdout);
	while (r >= 0 && fgets(line, sizeof(line), stdin))
		r = exchange();
	loop_http_free(x.http);
	clock_free(x.clock);
	sd_event_unref(x.event);
	typeset_free(x.types);
	return r < 0 ? 2 : 0;
}
