/* audit rotate and replace: another key signs the receipts. */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "ctl/audit.h"

/* `parameters` is taken. */
static int ask_service(struct ctl *c, const char *method, cJSON *parameters, const char *done)
{
	struct client_reply reply = {};
	_cleanup_buf_ struct buf out = {};
	int r;

	if (!parameters)
		return EXIT_PAGE_FAILED;
	r = ctl_call_take(c, method, parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	client_reply_clear(&reply);
	return buf_adds(&out, done) < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static bool is_alone(const struct ctl *c, const char *word)
{
	const struct options *o = &c->options;
	bool alone = o->n_args == 1 && !o->directory && !o->key && !o->heads && !o->csv && !o->since && !o->until;

	if (!alone)
		ctl_say("audit %s is asked of the service, and takes no files and nothing to look for", word);
	return alone;
}

int audit_rotate(struct ctl *c)
{
	if (!is_alone(c, "rotate"))
		return EXIT_USAGE;
	if (c->options.why || c->options.yes) {
		ctl_say("--why and --yes belong to audit replace");
		return EXIT_USAGE;
	}
	return ask_service(c, "io.pageferry.ChangeKey", cJSON_CreateObject(),
		"a new key is made; it signs from the next head on, which the old one signs too: see pageferryctl audit key\n");
}

static bool is_wanted(void)
{
	char answer[16] = "";

	fputs("Is the key that signed the receipts lost for good? Another one goes on without its signature, and the receipts say so for ever:\n"
	      "what the old key has not signed, nobody but you vouches for. If there is a copy of it, put that back instead. [y/N] ",
		stderr);
	return fgets(answer, sizeof(answer), stdin) && (streq(answer, "y\n") || streq(answer, "yes\n"));
}

int audit_replace(struct ctl *c)
{
	const struct options *o = &c->options;
	_cleanup_json_ cJSON *parameters = NULL;

	if (!is_alone(c, "replace"))
		return EXIT_USAGE;
	if (!o->why || !utf8_valid(o->why, strlen(o->why))) {
		ctl_say("audit replace says --why TEXT");
		return EXIT_USAGE;
	}
	if (!o->yes && !isatty(STDIN_FILENO)) {
		ctl_say("audit replace asks, but standard input is no terminal; --yes replaces without asking");
		return EXIT_USAGE;
	}
	if (!o->yes && !is_wanted()) {
		ctl_say("nothing was replaced");
		return EXIT_PAGE_FAILED;
	}
	parameters = cJSON_CreateObject();
	if (!parameters || json_add_string(parameters, "reason", o->why) < 0)
		return EXIT_PAGE_FAILED;
	return ask_service(c, "io.pageferry.ReplaceKey", take_ptr(parameters),
		"another key signs from the next head on, which says that the old one is lost: add it to those you keep (pageferryctl audit key)\n");
}
