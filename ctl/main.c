/* pageferryctl: the operator's command line, over the control socket. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "ctl/ctl.h"

static const struct {
	enum verb_id id;
	int (*run)(struct ctl *c);
} runs[] = {
	{VERB_STATUS, verb_status},
	{VERB_SCAN, verb_wait_pages},
	{VERB_EXTRACT, verb_wait_pages},
	{VERB_LIST, verb_list},
	{VERB_SHOW, verb_show},
	{VERB_CROP, verb_crop},
	{VERB_WATCH, verb_watch},
	{VERB_HOLD, verb_change},
	{VERB_RELEASE, verb_change},
	{VERB_RETRY, verb_change},
	{VERB_DROP, verb_change},
	{VERB_CONFIRM, verb_confirm},
	{VERB_DOCTOR, verb_doctor},
	{VERB_AUDIT, verb_audit},
	{VERB_USAGE, verb_usage},
	{VERB_DOCUMENT, verb_document},
};

static int help(const struct options *o)
{
	_cleanup_buf_ struct buf out = {};
	const struct verb *v = NULL;

	if (o->verb == VERB_HELP && o->n_args) {
		v = verb_find(o->args[0]);
		if (!v) {
			ctl_say("there is no such verb; see pageferryctl --help");
			return EXIT_USAGE;
		}
	} else if (o->verb != VERB_HELP) {
		for (v = verbs; v->id != o->verb; v++)
			;
	}
	return options_help(v, &out) < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int run(struct ctl *c)
{
	if (c->options.version) {
		puts("pageferryctl " PAGEFERRY_VERSION);
		return EXIT_WELL;
	}
	if (c->options.help || c->options.verb == VERB_HELP)
		return help(&c->options);
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		if (runs[i].id == c->options.verb)
			return runs[i].run(c);
	ctl_say("spool is the first word, and its options follow: pageferryctl spool help");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	_cleanup_buf_ struct buf why = {};
	struct ctl c = {};
	int r;

	setlocale(LC_CTYPE, "");
	if (argc > 1 && streq(argv[1], "spool") && !(argc > 2 && streq(argv[2], "--help")))
		return verb_spool(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(argc, (const char *const *)argv, &c.options, &why) < 0) {
		ctl_say("%s; see pageferryctl --help", buf_str(&why));
		return EXIT_USAGE;
	}
	c.look = look_detect(STDOUT_FILENO, c.options.ascii);
	c.deadline_ms = c.options.timeout_ms < 0 ? -1 : client_now_ms() + c.options.timeout_ms;
	r = run(&c);
	options_clear(&c.options);
	return r;
}
