#include "ctl/options.h"

#include "base/parse.h"
#include "base/text.h"

#define SOCKET_DEFAULT "/run/pageferry/control"
#define WORDS_MAX      SIZE_MAX
#define WHICH          "PAGES"
#define WHICH_HELP     "\nPAGES: ids; or options that choose: all that fit; or --all."

const struct verb verbs[] = {
	{VERB_STATUS, "status", "", "what the service does now (without a verb, this)",
		"Prints the state of the service: pages by state, backends, lights, room and cost.", 0, 0},
	{VERB_SCAN, "scan", "", "take pages from the scanner and print their fields",
		"Takes pages from the configured source, waits for their answers and prints the fields as "
		"they are found.",
		0, 0},
	{VERB_EXTRACT, "extract", "FILE...", "hand in image files and print their fields",
		"Hands JPEG or PNG files to the service, waits for the answers and prints the fields as they "
		"are found.\n"
		"A file is opened here and passed on: the service opens no path.",
		1, WORDS_MAX},
	{VERB_DOCUMENT, "document", "end NAME|list", "documents of several pages that are open",
		"end: the document has its last page; its pages are asked together, in their order.\n"
		"list: your open documents. Pages come to one by scan and extract --document NAME.",
		1, 2},
	{VERB_LIST, "list", "", "pages, newest first", "Lists pages, newest first.", 0, 0},
	{VERB_SHOW, "show", "ID", "one page: its fields and what was asked of whom",
		"Shows one page with its attempts and its current fields. The start of an id is enough.", 1, 1},
	{VERB_CROP, "crop", "ID X Y WIDTH HEIGHT", "a part of the page at its source's resolution, as a JPEG",
		"Writes a part of one page to standard output: a JPEG, cut from what came from the source (KeepOriginal=yes) at its own "
		"resolution.\nThe numbers are pixels of the page, whose size show tells; the part is the least upright rectangle that has all of it.", 5, 5},
	{VERB_WATCH, "watch", "", "events as they happen, until interrupted", "Prints events as they happen.", 0, 0},
	{VERB_HOLD, "hold", WHICH, "waiting pages wait for a person",
		"Holds pages that wait, or are being asked about: they stay until they are released." WHICH_HELP, 0, WORDS_MAX},
	{VERB_RELEASE, "release", WHICH, "pages that were held by hand go on",
		"Lets pages that were held by hand go on where they were." WHICH_HELP, 0, WORDS_MAX},
	{VERB_RETRY, "retry", WHICH, "held or waiting pages are tried again now",
		"Makes held and waiting pages due at once; the count of tries starts again." WHICH_HELP, 0, WORDS_MAX},
	{VERB_DROP, "drop", WHICH " --why TEXT", "pages are deleted for good",
		"Deletes pages with their images and results, after asking; cost and receipts stay. Not while a page "
		"is being asked about.\nNeeds root or the group of those who manage." WHICH_HELP,
		0, WORDS_MAX},
	{VERB_CONFIRM, "confirm", "", "backends that cost go on after the database was lost",
		"After the database was lost it is not known what was spent, and backends that cost wait: this lets "
		"them go on.\n"
		"Needs root or the group of those who manage.",
		0, 0},
	{VERB_DOCTOR, "doctor", "[AREA...]", "what is well, what is not, and what to do",
		"Tells what the service finds of itself, its settings and those it speaks to; of the named areas, or of all.",
		0, WORDS_MAX},
	{VERB_AUDIT, "audit", "verify|report|export|key|rotate|replace [FILE...]", "receipts: does the chain hold, and what went where",
		"verify: follows the chain of receipts from the first one, and says where it breaks.\n"
		"report: the same, and what went where: requests, pages, bytes, tokens and cost.\n"
		"export: prints the receipts, for a copy that is kept elsewhere.\n"
		"key: prints the public key that signs them.\n"
		"rotate: the service makes a new key, and both keys sign that; needs root or the group of those who manage.\n"
		"replace: the key is lost for good: another one goes on, after asking, and the receipts say so for ever; needs the same.\n"
		"With FILEs (- is standard input): of such copies, or of the service's daily files, which are joined; without the service.",
		1, WORDS_MAX},
	{VERB_USAGE, "usage", "", "what was asked and what it cost, by day, model or type",
		"Prints what requests used and cost, by day (UTC) or as --by says; 31 days unless --since says otherwise.\n"
		"What is possibly billed, and what open requests may cost, is shown apart.",
		0, 0},
	{VERB_SPOOL, "spool", "VERB...", "a stopped service's spool: fsck, ls, export, rebuild, quarantine",
		"Runs \"pageferryd spool\" with the words that follow: looks at the spool of a stopped service, saves and "
		"mends it.\nIts verbs and options: pageferryctl spool help.",
		0, WORDS_MAX},
	{VERB_HELP, "help", "[VERB]", "this text, or that of a verb", "Prints help.", 0, 1},
	{},
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_COUNT, OPTION_DURATION };

#define WAITING  (VERB_SCAN | VERB_EXTRACT)
#define CHANGING (VERB_HOLD | VERB_RELEASE | VERB_RETRY | VERB_DROP)
#define FILTERED (VERB_LIST | CHANGING)
#define SPEAKING (VERB_ALL & ~VERB_SPOOL) /* to the service */

static const struct option {
	const char *name, *arg;
	unsigned int verbs;
	enum option_kind kind;
	size_t offset;
	const char *help;
	const char *const choices[5];
} options[] = {
	{"type", "TYPE", WAITING | FILTERED, OPTION_TEXT, offsetof(struct options, type), "document type, or auto", {}},
	{"source", "SOURCE", VERB_SCAN | FILTERED, OPTION_TEXT, offsetof(struct options, source),
		"a configured source; of pages: where they are from (scan, file, watch)", {}},
	{"lane", "LANE", VERB_EXTRACT | FILTERED, OPTION_TEXT, offsetof(struct options, lane),
		"now (as if scanned now) or backlog (behind those)", {"now", "backlog"}},
	{"again", NULL, WAITING | VERB_RETRY, OPTION_FLAG, offsetof(struct options, again),
		"pay again for what was answered before", {}},
	{"document", "NAME", WAITING, OPTION_TEXT, offsetof(struct options, document),
		"the pages belong to this document, which stays open for more: nothing is asked, or waited for, before its end", {}},
	{"end", NULL, WAITING, OPTION_FLAG, offsetof(struct options, end), "with --document: these are its last pages", {}},
	{"no-wait", NULL, WAITING, OPTION_FLAG, offsetof(struct options, no_wait),
		"do not wait for answers: print the ids of the pages when they are safe", {}},
	{"authoritative", NULL, WAITING, OPTION_FLAG, offsetof(struct options, authoritative),
		"a fallback's answer is printed but not enough: wait for the first backend's", {}},
	{"state", "STATE", FILTERED, OPTION_TEXT, offsetof(struct options, state),
		"only these: queued, provisional, done or held", {"queued", "provisional", "done", "held"}},
	{"reason", "TEXT", FILTERED, OPTION_TEXT, offsetof(struct options, reason),
		"only pages that are held for a reason that begins so", {}},
	{"since", "TIME", FILTERED | VERB_AUDIT | VERB_USAGE, OPTION_TEXT, offsetof(struct options, since),
		"only pages accepted (report: receipts written; usage: days) at or after TIME (2026-11-21, 2026-11-21T09:30:00Z)", {}},
	{"until", "TIME", FILTERED | VERB_AUDIT | VERB_USAGE, OPTION_TEXT, offsetof(struct options, until),
		"only pages accepted, receipts written, or days, before TIME", {}},
	{"by", "WHAT", VERB_USAGE, OPTION_TEXT, offsetof(struct options, by), "day (the default), month, backend, model or type",
		{"day", "month", "backend", "model", "type"}},
	{"key", "FILE", VERB_AUDIT, OPTION_TEXT, offsetof(struct options, key),
		"signed heads must be of these public keys (PEM, one or several)", {}},
	{"heads", "FILE", VERB_AUDIT, OPTION_TEXT, offsetof(struct options, heads),
		"these signed heads, kept elsewhere, must be in the chain", {}},
	{"directory", "DIR", VERB_AUDIT, OPTION_TEXT, offsetof(struct options, directory),
		"of a stopped service's spool, which is only looked at", {}},
	{"csv", NULL, VERB_AUDIT | VERB_USAGE, OPTION_FLAG, offsetof(struct options, csv), "report, usage: a table for spreadsheets", {}},
	{"limit", "N", VERB_LIST, OPTION_COUNT, offsetof(struct options, limit), "at most N pages (20)", {}},
	{"all", NULL, CHANGING, OPTION_FLAG, offsetof(struct options, all),
		"every page that waits (hold), is held (release, retry), or is there (drop)", {}},
	{"why", "TEXT", VERB_HOLD | VERB_DROP | VERB_AUDIT, OPTION_TEXT, offsetof(struct options, why),
		"the reason, which is kept; drop and audit replace must have one", {}},
	{"residency", NULL, VERB_DOCTOR, OPTION_FLAG, offsetof(struct options, residency),
		"where pages would go, asked of AWS as it is now", {}},
	{"ask", NULL, VERB_DOCTOR, OPTION_FLAG, offsetof(struct options, ask),
		"with --residency: ask each Bedrock model one small question, without any page, which is paid for", {}},
	{"yes", NULL, VERB_DROP | VERB_AUDIT, OPTION_FLAG, offsetof(struct options, yes), "do not ask", {}},
	{"timeout", "TIME", SPEAKING & ~VERB_HELP, OPTION_DURATION, offsetof(struct options, timeout_ms),
		"give up waiting after TIME (90, 30s, 5min); what was handed in goes on", {}},
	{"json", NULL, SPEAKING & ~VERB_HELP, OPTION_FLAG, offsetof(struct options, json),
		"one JSON object a line, for programs", {}},
	{"ascii", NULL, SPEAKING, OPTION_FLAG, offsetof(struct options, ascii), "nothing but ASCII", {}},
	{"socket", "PATH", SPEAKING, OPTION_TEXT, offsetof(struct options, socket),
		"the service's socket ($PAGEFERRY_SOCKET, or " SOCKET_DEFAULT ")", {}},
	{"help", NULL, VERB_ALL, OPTION_FLAG, offsetof(struct options, help), "this text", {}},
	{"version", NULL, SPEAKING, OPTION_FLAG, offsetof(struct options, version), "the version", {}},
};

const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (streq(v->name, name))
			return v;
	return NULL;
}

static const struct verb *verb_by_id(enum verb_id id)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (v->id == id)
			return v;
	return NULL;
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

/* `word` comes from a shell or a file name: it is made harmless. */
static int complain(struct buf *why, const char *format, const char *word)
{
	char safe[128];

	buf_clear(why);
	buf_addf(why, "%s \"%s\"", format, text_safe_copy(safe, sizeof(safe), word));
	return -EINVAL;
}

static const struct option *option_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0)
			return &options[i];
	return NULL;
}

static bool is_choice(const struct option *x, const char *value)
{
	size_t n = 0;

	for (; n < ARRAY_SIZE(x->choices) && x->choices[n]; n++)
		if (streq(x->choices[n], value))
			return true;
	return n == 0;
}

static int set_value(const struct option *x, const char *value, struct options *o, struct buf *why)
{
	void *field = (char *)o + x->offset;
	int r = 0;

	switch (x->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		break;
	case OPTION_TEXT:
		*(const char **)field = value;
		r = *value && is_choice(x, value) ? 0 : -EINVAL;
		break;
	case OPTION_COUNT:
		r = parse_i64(value, 1, 1000000, field);
		break;
	case OPTION_DURATION:
		r = parse_duration(value, 1, INT64_C(365) * 86400000, field);
		break;
	}
	if (r < 0) {
		complain(why, "not understood:", value);
		buf_addf(why, " for --%s (%s)", x->name, x->help);
	}
	return r;
}

/* One word that starts with "--". Moves *i when its value is the next word. */
static int parse_option(
	int argc, const char *const *argv, int *i, struct options *o, unsigned int *used, struct buf *why)
{
	const char *word = argv[*i] + 2, *equals = strchr(word, '=');
	const struct option *x = option_find(word, equals ? (size_t)(equals - word) : strlen(word));
	const char *value = equals ? equals + 1 : NULL;

	if (!x)
		return complain(why, "unknown option", argv[*i]);
	if (x->kind == OPTION_FLAG && value)
		return complain(why, "no value is taken:", argv[*i]);
	if (x->kind != OPTION_FLAG && !value) {
		if (*i + 1 >= argc)
			return complain(why, "a value is missing:", argv[*i]);
		value = argv[++*i];
	}
	*used |= 1u << (unsigned int)(x - options);
	return set_value(x, value, o, why);
}

static int check_verb(const struct options *o, unsigned int used, struct buf *why)
{
	const struct verb *v = verb_by_id(o->verb);
	/* All is never meant by leaving something out. */
	bool filtered = o->all || o->state || o->type || o->source || o->lane || o->reason || o->since || o->until;

	if (o->help || o->version)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (used & 1u << i && !(options[i].verbs & o->verb)) {
			buf_addf(why, "%s has no option --%s", v->name, options[i].name);
			return -EINVAL;
		}
	if (o->end && !o->document) {
		buf_adds(why, "--end is said with --document NAME");
		return -EINVAL;
	}
	if (o->n_args > v->max_args)
		return complain(why,
			v->max_args ? "one word too many:" : "no words are taken:", o->args[v->max_args]);
	if (o->n_args < v->min_args || (o->verb & CHANGING && !o->n_args == !filtered) ||
		(o->verb == VERB_DROP && !o->why)) {
		buf_addf(why, "expected: pageferryctl %s %s%s", v->name, v->args,
			o->verb & CHANGING ? " (ids, or options that choose, or --all)" : "");
		return -EINVAL;
	}
	return 0;
}

static int parse_words(
	int argc, const char *const *argv, struct options *o, unsigned int *used, struct buf *why)
{
	bool only_words = false;

	for (int i = 1; i < argc; i++) {
		const struct verb *v;
		int r;

		if (!only_words && streq(argv[i], "--")) {
			only_words = true;
		} else if (!only_words && starts_with(argv[i], "--")) {
			r = parse_option(argc, argv, &i, o, used, why);
			if (r < 0)
				return r;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			return complain(why, streq(argv[i], "-h") ? "did you mean --help?" : "unknown option",
				argv[i]);
		} else if (!o->verb) {
			v = verb_find(argv[i]);
			if (!v)
				return complain(why, "unknown verb", argv[i]);
			o->verb = v->id;
		} else {
			o->args[o->n_args++] = argv[i];
		}
	}
	return 0;
}

int options_parse(int argc, const char *const *argv, struct options *ret, struct buf *why)
{
	const char *socket = getenv("PAGEFERRY_SOCKET");
	struct options o = {.socket = socket && *socket ? socket : SOCKET_DEFAULT, .timeout_ms = -1};
	unsigned int used = 0;
	int r;

	o.args = calloc((size_t)argc + 1, sizeof(*o.args));
	if (!o.args)
		return -ENOMEM;
	r = parse_words(argc, argv, &o, &used, why);
	if (!o.verb)
		o.verb = o.help && r >= 0 ? VERB_HELP : VERB_STATUS;
	if (r >= 0)
		r = check_verb(&o, used, why);
	if (r < 0) {
		options_clear(&o);
		return r;
	}
	/* There is no answer before its end. */
	o.no_wait |= o.document && !o.end;
	*ret = o;
	return 0;
}

void options_clear(struct options *o)
{
	free(o->args);
	*o = (struct options){};
}

/* ---- help ---------------------------------------------------------------------------------------------- */

static int help_options(unsigned int mask, struct buf *out)
{
	int r = buf_adds(out, "\nOptions:\n");

	for (size_t i = 0; i < ARRAY_SIZE(options) && r >= 0; i++) {
		char left[40];

		if (!(options[i].verbs & mask))
			continue;
		str_format(left, sizeof(left), "--%s%s%s", options[i].name, options[i].arg ? " " : "",
			options[i].arg ? options[i].arg : "");
		r = buf_addf(out, "  %-18s %s\n", left, options[i].help);
	}
	return r;
}

static int help_all(struct buf *out)
{
	int r = buf_adds(
		out, "pageferryctl [VERB] [OPTIONS]: speaks to the page service pageferryd\n\nVerbs:\n");

	for (const struct verb *v = verbs; v->name && r >= 0; v++) {
		char left[40];

		str_format(left, sizeof(left), "%s %s", v->name, v->args);
		r = buf_addf(out, "  %-22s %s\n", left, v->summary);
	}
	if (r >= 0)
		r = help_options(VERB_HELP, out);
	return r < 0 ? r
		     : buf_adds(out, "\nOf a verb: pageferryctl VERB --help\n\n"
				     "Exit status: 0 all is well; 1 something failed for a page; 2 wrong "
				     "use; 3 the service cannot be reached;\n"
				     "4 not allowed; 5 the timeout has passed.\n");
}

int options_help(const struct verb *v, struct buf *out)
{
	int r;

	if (!v)
		return help_all(out);
	r = buf_addf(
		out, "pageferryctl %s%s%s [OPTIONS]\n\n%s\n", v->name, *v->args ? " " : "", v->args, v->help);
	return r < 0 ? r : help_options(v->id, out);
}
