#include "tests/unit/test.h"

#include "ctl/options.h"

#define ARGS(...) ((const char *[]){"pageferryctl", __VA_ARGS__, NULL})

static char why_text[256];

/* NULL when it was understood, else why not. */
static const char *parse(const char *const *argv, struct options *o)
{
	_cleanup_buf_ struct buf why = {};
	int argc = 0;

	while (argv[argc])
		argc++;
	if (options_parse(argc, argv, o, &why) >= 0)
		return NULL;
	CHECK(why.len > 0);
	str_copy(why_text, sizeof(why_text), buf_str(&why));
	return why_text;
}

TEST(defaults)
{
	const char *none[] = {"pageferryctl", NULL};
	struct options o;

	unsetenv("PAGEFERRY_SOCKET");
	CHECK_STR(parse(none, &o), NULL);
	CHECK_INT(o.verb, VERB_STATUS);
	CHECK_STR(o.socket, "/run/pageferry/control");
	CHECK_INT(o.timeout_ms, -1);
	options_clear(&o);
	setenv("PAGEFERRY_SOCKET", "/tmp/x", 1);
	CHECK_STR(parse(ARGS("--json"), &o), NULL);
	CHECK_STR(o.socket, "/tmp/x");
	CHECK(o.json);
	options_clear(&o);
	CHECK_STR(parse(ARGS("--socket", "/tmp/y"), &o), NULL);
	CHECK_STR(o.socket, "/tmp/y");
	options_clear(&o);
}

TEST(words_and_options_in_any_order)
{
	struct options o;

	CHECK_STR(parse(ARGS("--type", "invoice", "extract", "a.jpg", "--lane=backlog", "--timeout=2min",
				"--", "--odd.jpg"),
			  &o),
		NULL);
	CHECK_INT(o.verb, VERB_EXTRACT);
	CHECK_STR(o.type, "invoice");
	CHECK_STR(o.lane, "backlog");
	CHECK_INT(o.timeout_ms, 120000);
	CHECK_INT(o.n_args, 2);
	CHECK_STR(o.args[0], "a.jpg");
	CHECK_STR(o.args[1], "--odd.jpg");
	options_clear(&o);
}

TEST(wrong_use)
{
	static const char *const wrong[][4] = {{"frobnicate"}, {"--frobnicate"}, {"-x"}, {"-h"}, {"extract"}, {"show"},
		{"show", "a", "b"}, {"status", "x"}, {"retry"}, {"retry", "a", "--all"}, {"list", "--state", "odd"},
		{"list", "--limit", "0"}, {"list", "--limit", "1x"}, {"list", "--limit"}, {"list", "--why", "x"},
		{"status", "--no-wait"}, {"extract", "a", "--lane", "slow"}, {"watch", "--json=yes"},
		{"watch", "--timeout", "soon"}, {"watch", "--timeout", "-1"}, {"watch", "--js"},
		{"status", "--socket="}, {"hold"}, {"release"}, {"hold", "a", "--all"}, {"hold", "a", "--source=scan"},
		{"hold", "--why", "x"}, {"drop", "a"}, {"drop", "--all"}, {"drop", "--why", "x"},
		{"hold", "a", "--yes"}, {"retry", "a", "--why=x"}, {"confirm", "a"}, {"hold", "--state", "odd"}, {"status", "--residency"},
		{"hold", "--reason="}, {"hold", "a", "--again"}, {"usage", "x"}, {"usage", "--by", "hour"}, {"list", "--by", "day"}};
	struct options o;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *argv[] = {
			"pageferryctl", wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], NULL};

		if (!parse(argv, &o))
			test_fail(__FILE__, __LINE__, "understood: %s %s", wrong[i][0],
				wrong[i][1] ? wrong[i][1] : "");
	}
}

/* All is never meant by leaving something out: pages are named, or there is a filter, or --all. */
/* It is handed on as it is when it is the first word; before it an option would be lost, or the verb do nothing. */
TEST(options_before_spool_are_refused)
{
	struct options o;

	CHECK_STR(parse(ARGS("--socket", "/tmp/x", "spool", "ls"), &o), "spool has no option --socket");
	CHECK_STR(parse(ARGS("--json", "spool", "ls"), &o), "spool has no option --json");
	CHECK_STR(parse(ARGS("spool", "--help"), &o), NULL);
	CHECK(o.help);
	options_clear(&o);
}

TEST(which_pages_are_changed)
{
	struct options o;

	CHECK_STR(parse(ARGS("hold", "a", "b", "--why", "blank"), &o), NULL);
	CHECK_INT(o.verb, VERB_HOLD);
	CHECK_INT(o.n_args, 2);
	CHECK_STR(o.why, "blank");
	options_clear(&o);
	CHECK_STR(parse(ARGS("release", "--all"), &o), NULL);
	options_clear(&o);
	CHECK_STR(parse(ARGS("retry", "--reason", "no-backend:", "--since=2026-11-21"), &o), NULL);
	CHECK_STR(o.reason, "no-backend:");
	CHECK_STR(o.since, "2026-11-21");
	options_clear(&o);
	CHECK_STR(parse(ARGS("drop", "--state", "done", "--lane", "backlog", "--until", "2026-11-21T00:00:00Z", "--yes",
				"--why", "old"),
			  &o),
		NULL);
	CHECK(o.yes);
	CHECK_STR(o.state, "done");
	options_clear(&o);
}

TEST(complaints_are_harmless)
{
	struct options o;

	CHECK(!strchr(parse(ARGS("\033[2Jverb"), &o), '\033'));
	CHECK(!strchr(parse(ARGS("--\033[2J"), &o), '\033'));
}

TEST(help_of_every_verb)
{
	for (const struct verb *v = verbs; v->name; v++) {
		_cleanup_buf_ struct buf all = {}, one = {};

		CHECK(verb_find(v->name) == v);
		CHECK_INT(options_help(NULL, &all), 0);
		CHECK_INT(options_help(v, &one), 0);
		CHECK(strstr(buf_str(&all), v->summary));
		CHECK(strstr(buf_str(&one), v->help));
		CHECK(!strstr(buf_str(&one), "--socket PATH") == (v->id == VERB_SPOOL));
		CHECK(!strstr(buf_str(&one), "--no-wait") == !(v->id & (VERB_SCAN | VERB_EXTRACT)));
		CHECK(!strstr(buf_str(&one), "--reason") ==
			!(v->id & (VERB_LIST | VERB_HOLD | VERB_RELEASE | VERB_RETRY | VERB_DROP)));
	}
	CHECK(!verb_find("nothing"));
}

TEST(help_is_asked_for)
{
	struct options o;

	CHECK_STR(parse(ARGS("--help"), &o), NULL);
	CHECK_INT(o.verb, VERB_HELP);
	options_clear(&o);
	/* Nothing else needs to be right then. */
	CHECK_STR(parse(ARGS("extract", "--help"), &o), NULL);
	CHECK_INT(o.verb, VERB_EXTRACT);
	CHECK(o.help);
	options_clear(&o);
	CHECK_STR(parse(ARGS("help", "list"), &o), NULL);
	CHECK_STR(o.args[0], "list");
	options_clear(&o);
}
