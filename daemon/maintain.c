/* `pageferryd spool VERB`: options, the lock, and whose rights the work is done with. */
#include "daemon/maintain.h"

#include <getopt.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "daemon/config.h"
#include "daemon/maintain_internal.h"

static const char usage[] =
	"Usage: pageferryd spool VERB [-c FILE | --directory DIR] [OPTIONS]\n"
	"\n"
	"Looks at a spool, saves and mends it. The service must be stopped.\n"
	"\n"
	"Verbs:\n"
	"  fsck                     say what is not as it should be, and what to do; changes nothing\n"
	"  ls                       list the pages, oldest first\n"
	"  receipts                 print the receipts and their signed heads, a line each (pageferryctl audit --directory)\n"
	"  export DEST              copy pages and results into the new folder DEST, with a manifest\n"
	"  rebuild                  set the database aside, and make a new one from the page files\n"
	"  quarantine [ls]          list what was set aside, and why\n"
	"  quarantine show NAME     the same of one thing, in full\n"
	"  quarantine restore NAME  bring a page file back; the page is held\n"
	"  quarantine drop NAME     delete it for good\n"
	"\n"
	"Options:\n"
	"  -c, --config FILE        take the folder from FILE instead of " CONFIG_FILE "\n"
	"      --directory DIR      the spool's folder\n"
	"      --deep               fsck: check every entry of the database's indexes too\n"
	"      --json               fsck, ls: one JSON object a line\n"
	"      --results-only       export: no page files\n"
	"      --state STATE        ls, export: only pages that are queued, provisional, done or held\n"
	"      --yes                rebuild, quarantine drop: do not ask\n"
	"      --help               print this, and exit\n"
	"\n"
	"Exit status: 0 all is well; 1 something is wrong with the spool; 2 wrong use, or it cannot be done.\n";

static const struct verb {
	const char *name;
	int (*run)(struct maintain *m);
	size_t min_args, max_args; /* words after it */
} verbs[] = {
	{"fsck", maintain_fsck, 0, 0},
	{"ls", maintain_ls, 0, 0},
	{"receipts", maintain_receipts, 0, 0},
	{"export", maintain_export, 1, 1},
	{"rebuild", maintain_rebuild, 0, 0},
	{"quarantine", maintain_quarantine, 0, 2},
};

void maintain_say(const char *fmt, ...)
{
	va_list ap;

	fputs("pageferryd spool: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int maintain_put(const struct buf *out)
{
	bool well = fwrite(buf_str(out), 1, out->len, stdout) == out->len;

	return well && fflush(stdout) == 0 ? MAINTAIN_WELL : MAINTAIN_CANNOT;
}

int maintain_ask(const struct maintain *m, const char *question)
{
	char line[16];

	if (m->yes)
		return 0;
	if (!isatty(STDIN_FILENO)) {
		maintain_say("%s Say --yes if so.", question);
		return -ECANCELED;
	}
	fprintf(stderr, "%s [y/N] ", question);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y') ? 0 : -ECANCELED;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

static int locked(struct spool *s)
{
	char why[512];
	int r = spool_lock(s, why, sizeof(why));

	if (r == -EBUSY)
		maintain_say("the service is running on %s: stop it first (systemctl stop pageferry), or ask it (pageferryctl list)",
			s->directory);
	else if (r < 0)
		maintain_say("%s", why);
	return r;
}

int maintain_look(const struct maintain *m, struct spool **ret)
{
	struct spool *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->dirfd = s->pages = s->tmp = s->types = s->results = s->beside = s->quarantine = -1;
	s->clock = m->clock;
	s->readonly = true;
	s->directory = strdup(m->directory);
	r = s->directory ? locked(s) : -ENOMEM;
	if (r < 0) {
		spool_close(s);
		return r;
	}
	spool_look_folders(s);
	*ret = s;
	return 0;
}

int maintain_become_owner(const struct maintain *m)
{
	struct stat st;
	int r = 0;

	if (geteuid() != 0)
		return 0;
	if (stat(m->directory, &st) < 0)
		r = -errno;
	else if (st.st_uid != 0 && (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
					   setresuid(st.st_uid, st.st_uid, st.st_uid) < 0))
		r = -errno;
	if (r < 0)
		maintain_say("%s: %s", m->directory, errno_text(r));
	return r;
}

int maintain_open(const struct maintain *m, struct spool **ret)
{
	const struct spool_options o = {.directory = m->directory, .clock = m->clock};
	char why[512] = "";
	int r = spool_open(&o, ret, why, sizeof(why));

	if (r < 0)
		maintain_say("%s", why[0] ? why : errno_text(r));
	return r;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------------------- */

static int read_directory(const char *file, struct maintain *m)
{
	_cleanup_free_ struct config *c = calloc(1, sizeof(*c));
	_cleanup_buf_ struct buf errors = {0};
	int r = c ? config_read(file ? file : CONFIG_FILE, !file, c, &errors) : -ENOMEM;

	if (r < 0) {
		fputs(buf_str(&errors), stderr);
		maintain_say("the configuration does not say where the spool is; --directory does");
		return r;
	}
	return str_copy(m->directory, sizeof(m->directory), c->directory);
}

static int parse_state(const char *text, struct maintain *m)
{
	enum page_state state;
	char safe[64];

	if (page_state_parse(text, &state) < 0) {
		maintain_say("\"%s\" is no state: queued, provisional, done or held", text_safe_copy(safe, sizeof(safe), text));
		return -EINVAL;
	}
	m->state = (int)state;
	return 0;
}

/* 0, 1 for --help, or -EINVAL. */
static int parse_arguments(int argc, char **argv, struct maintain *m, const char **ret_file)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"directory", required_argument, NULL, 'D'},
		{"deep", no_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'},
		{"results-only", no_argument, NULL, 'r'},
		{"state", required_argument, NULL, 's'},
		{"yes", no_argument, NULL, 'y'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int o, r = 0;

	while (r == 0 && (o = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		if (o == 'c')
			*ret_file = optarg;
		else if (o == 'D')
			r = str_copy(m->directory, sizeof(m->directory), optarg) < 0 ? -EINVAL : 0;
		else if (o == 's')
			r = parse_state(optarg, m);
		else if (o == 'h')
			r = 1;
		else if (o == '?')
			r = -EINVAL;
		m->deep |= o == 'd';
		m->json |= o == 'j';
		m->results_only |= o == 'r';
		m->yes |= o == 'y';
	}
	m->args = argv + optind;
	m->n_args = (size_t)(argc - optind);
	return r;
}

static int run(struct maintain *m)
{
	const char *name = m->n_args > 0 ? m->args[0] : "";
	char safe[64];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!streq(verbs[i].name, name))
			continue;
		m->args++;
		m->n_args--;
		if (m->n_args < verbs[i].min_args || m->n_args > verbs[i].max_args)
			break;
		r = clock_new(NULL, NULL, &m->clock);
		if (r >= 0)
			r = verbs[i].run(m);
		clock_free(m->clock);
		return r < 0 ? MAINTAIN_CANNOT : r;
	}
	if (name[0])
		maintain_say("not understood: \"%s\"", text_safe_copy(safe, sizeof(safe), name));
	fputs("Try: pageferryd spool --help\n", stderr);
	return MAINTAIN_CANNOT;
}

int maintain_main(int argc, char **argv)
{
	struct maintain m = {.state = -1};
	const char *file = NULL;
	int r = parse_arguments(argc, argv, &m, &file);

	if (r > 0 || (r >= 0 && m.n_args == 1 && streq(m.args[0], "help"))) {
		fputs(usage, stdout);
		return MAINTAIN_WELL;
	}
	umask(027);
	log_set_level(LOG_LEVEL_WARNING);
	if (r >= 0 && !m.directory[0])
		r = read_directory(file, &m);
	return r < 0 ? MAINTAIN_CANNOT : run(&m);
}
