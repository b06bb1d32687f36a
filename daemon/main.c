/* pageferryd: arguments, the process's own state, and the service. Always in the foreground. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/journal.h"
#include "base/log.h"
#include "daemon/maintain.h"
#include "daemon/service.h"

static const char usage[] =
	"Usage: pageferryd [-c FILE] [--check-config | --help-config]\n"
	"       pageferryd spool VERB [OPTIONS]\n"
	"\n"
	"Carries pages from the scanner to a model and their fields back. Runs in the foreground.\n"
	"\n"
	"  -c, --config FILE   read FILE and FILE.d/*.conf instead of " CONFIG_FILE "\n"
	"      --check-config  check configuration and document types, print every problem, and exit\n"
	"      --help-config   print every section and key with its default, and exit\n"
	"      --debug         log more\n"
	"      --help          print this, and exit\n"
	"      --version       print the version, and exit\n"
	"\n"
	"To look at a stopped service's spool, save and mend it: pageferryd spool --help\n";

enum mode { MODE_RUN, MODE_CHECK, MODE_HELP_CONFIG, MODE_HELP, MODE_VERSION, MODE_WRONG };

struct arguments {
	enum mode mode;
	const char *file; /* NULL: the default one, which may be missing */
};

static void parse_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 'k'},
		{"help-config", no_argument, NULL, 'r'},
		{"debug", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int o;

	while ((o = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		switch (o) {
		case 'c':
			a->file = optarg;
			break;
		case 'k':
			a->mode = MODE_CHECK;
			break;
		case 'r':
			a->mode = MODE_HELP_CONFIG;
			break;
		case 'd':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'h':
			a->mode = MODE_HELP;
			return;
		case 'v':
			a->mode = MODE_VERSION;
			return;
		default:
			a->mode = MODE_WRONG;
			return;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "pageferryd: unexpected argument: %s\n", argv[optind]);
		a->mode = MODE_WRONG;
	}
}

static int read_config(const struct arguments *a, struct config *c, struct buf *errors)
{
	int r = config_read(a->file ? a->file : CONFIG_FILE, !a->file, c, errors);

	if (r < 0 && errors->len == 0)
		buf_addf(errors, "%s: %s\n", a->file ? a->file : CONFIG_FILE, errno_text(r));
	return r;
}

/* Where an application profile leads, and what that costs, is known once AWS was asked. */
static void say_unpriced(const struct config *c, const struct prices *prices)
{
	for (size_t i = 0; i < c->n_backends; i++) {
		const struct backend_config *b = &c->backends[i];

		if ((b->kind == KIND_SAGEMAKER || b->kind == KIND_BEDROCK) && b->price_per_request_pusd < 0 &&
			!strstr(b->model, "application-inference-profile/") && !prices_find(prices, b->model, b->region))
			printf("[Backend %s]: it will not be asked: there is no price for %s in %s; PricePerRequest=, or the file of Prices=, says one\n",
				b->name, b->model, b->region);
	}
}

static int check_config(const struct arguments *a)
{
	_cleanup_free_ struct config *c = calloc(1, sizeof(*c));
	_cleanup_buf_ struct buf errors = {0};
	struct typeset *types = NULL;
	struct prices *prices = NULL;
	int r = c ? read_config(a, c, &errors) : -ENOMEM;

	if (r >= 0) {
		r = types_load(c, &types, &errors);
		if (prices_read(c->prices, &prices, &errors) < 0 && r >= 0)
			r = -EINVAL;
	}
	if (r >= 0)
		say_unpriced(c, prices);
	typeset_free(types);
	prices_free(prices);
	fputs(r < 0 ? buf_str(&errors) : "configuration is right\n", r < 0 ? stderr : stdout);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int help_config(void)
{
	_cleanup_buf_ struct buf text = {0};

	if (config_help(&text) < 0)
		return EXIT_FAILURE;
	fputs(buf_str(&text), stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Before the first thread: libcurl's resolver inherits the mask, so signals come to the loop alone. */
static void set_up_process(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(027);
#ifndef __SANITIZE_ADDRESS__
	/* No core dump, no tracer: keys are in this memory. The leak checker is a tracer. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
}

static int run(const struct arguments *a)
{
	_cleanup_free_ struct service *s = calloc(1, sizeof(*s));
	_cleanup_buf_ struct buf errors = {0};
	char why[512];
	int r;

	if (!s)
		return EXIT_FAILURE;
	set_up_process();
	journal_attach();
	r = read_config(a, &s->config, &errors);
	if (r < 0) {
		/* One line a problem, one log line each. */
		for (char *rest = NULL, *line = strtok_r(errors.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			log_error("%s", line);
		return EXIT_FAILURE;
	}
	r = service_init(s, why, sizeof(why));
	if (r < 0)
		log_error("cannot start: %s", why);
	else
		r = service_run(s);
	service_clear(s);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments a = {.mode = MODE_RUN};

	if (argc > 1 && streq(argv[1], "spool"))
		return maintain_main(argc - 1, argv + 1);
	parse_arguments(argc, argv, &a);
	switch (a.mode) {
	case MODE_RUN:
		return run(&a);
	case MODE_CHECK:
		return check_config(&a);
	case MODE_HELP_CONFIG:
		return help_config();
	case MODE_HELP:
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case MODE_VERSION:
		puts("pageferryd " PAGEFERRY_VERSION);
		return EXIT_SUCCESS;
	case MODE_WRONG:
		break;
	}
	fputs("Try: pageferryd --help\n", stderr);
	return 2;
}
