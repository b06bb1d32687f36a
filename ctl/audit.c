#include "ctl/audit.h"

#include <stdio.h>

#include "base/chain.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"

struct audit {
	struct ctl *c;
	struct chain chain;
	struct audit_report *report; /* NULL: none is wanted */
	bool print;
	int64_t since_ms, until_ms;  /* of a receipt's time; INT64_MIN, INT64_MAX: any */
};

/* ---- a line -------------------------------------------------------------------------------------------- */

static int take_body(struct audit *a, const cJSON *body)
{
	int64_t t = 0;

	json_get_i64(body, "t", &t);
	if (t < a->since_ms || t >= a->until_ms)
		return EXIT_WELL;
	return a->report && audit_report_add(a->report, body) < 0 ? EXIT_PAGE_FAILED : EXIT_WELL;
}

static int take_line(struct audit *a, const char *line, size_t len)
{
	const char *why = "there is no memory";
	cJSON *body = NULL;
	int r = chain_follow(&a->chain, line, len, &body, &why);

	if (r < 0) {
		ctl_say("the chain does not hold: what comes after receipt %lld %s", (long long)a->chain.seq, why);
		return EXIT_PAGE_FAILED;
	}
	r = take_body(a, body);
	cJSON_Delete(body);
	if (r == EXIT_WELL && a->print && (fwrite(line, 1, len, stdout) != len || putchar('\n') == EOF))
		return EXIT_PAGE_FAILED;
	return r;
}

/* ---- where they come from ------------------------------------------------------------------------------ */

static int from_stream(struct audit *a, FILE *f, const char *name)
{
	char line[CHAIN_LINE_MAX + 2];
	int r = EXIT_WELL;

	while (r == EXIT_WELL && fgets(line, sizeof(line), f)) {
		size_t len = strlen(line);

		if (len == 0 || line[len - 1] != '\n') {
			ctl_say("%s: it was cut off, or is no copy of receipts: what comes after receipt %lld is no whole line", name,
				(long long)a->chain.seq);
			return EXIT_PAGE_FAILED;
		}
		r = take_line(a, line, len - 1);
	}
	if (r == EXIT_WELL && ferror(f)) {
		ctl_say("%s: %s", name, errno_text(-errno));
		r = EXIT_PAGE_FAILED;
	}
	return r;
}

static int from_file(struct audit *a, const char *path)
{
	char safe[256];
	FILE *f;
	int r;

	text_safe_copy(safe, sizeof(safe), path);
	if (streq(path, "-"))
		return from_stream(a, stdin, "standard input");
	f = fopen(path, "re");
	if (!f) {
		ctl_say("%s: %s", safe, errno_text(-errno));
		return EXIT_USAGE;
	}
	r = from_stream(a, f, safe);
	fclose(f);
	return r;
}

/* One call's worth. */
static int from_reply(struct audit *a, const struct client_reply *reply, bool *ret_more)
{
	const cJSON *lines = json_get_array(reply->parameters, "lines"), *line;
	int r = EXIT_WELL;

	if (json_get_bool(reply->parameters, "more", ret_more) < 0 || !lines || (*ret_more && cJSON_GetArraySize(lines) == 0)) {
		ctl_say("the service's answer is not understood");
		return EXIT_PAGE_FAILED;
	}
	cJSON_ArrayForEach (line, lines) {
		if (r == EXIT_WELL)
			r = cJSON_IsString(line) ? take_line(a, line->valuestring, strlen(line->valuestring)) : EXIT_PAGE_FAILED;
	}
	return r;
}

static int from_service(struct audit *a)
{
	bool more = true;
	int r = EXIT_WELL;

	while (r == EXIT_WELL && more) {
		struct client_reply reply = {};
		cJSON *parameters = cJSON_CreateObject();

		if (!parameters || json_add_i64(parameters, "after", a->chain.seq) < 0) {
			cJSON_Delete(parameters);
			return EXIT_PAGE_FAILED;
		}
		r = ctl_call_take(a->c, "io.pageferry.Receipts", parameters, &reply);
		if (r != EXIT_WELL)
			return r;
		r = from_reply(a, &reply, &more);
		client_reply_clear(&reply);
	}
	return r;
}

/* ---- the verb ------------------------------------------------------------------------------------------ */

/* A day alone is its first moment. */
static int parse_time(const char *text, int64_t *ret)
{
	char full[48], safe[64];
	int r = text ? str_format(full, sizeof(full), strlen(text) == strlen("2026-11-21") ? "%sT00:00:00Z" : "%s", text) : 0;

	if (text && (r < 0 || parse_timestamp(full, ret) < 0)) {
		ctl_say("\"%s\" is no time like 2026-11-21 or 2026-11-21T09:30:00Z", text_safe_copy(safe, sizeof(safe), text));
		return -EINVAL;
	}
	return 0;
}

/* What was found, and what that cannot prove. */
static int say_holds(struct audit *a)
{
	_cleanup_buf_ struct buf out = {};

	if (a->c->options.json) {
		_cleanup_json_ cJSON *j = cJSON_CreateObject();

		if (!j || json_add_bool(j, "holds", true) < 0 || json_add_i64(j, "receipts", a->chain.seq) < 0 ||
			json_add_string(j, "hash", a->chain.hash) < 0 || json_add_bool(j, "signed", false) < 0)
			return EXIT_PAGE_FAILED;
		return ctl_put_json(j);
	}
	if (buf_addf(&out,
		    "the chain holds: %lld receipts, the last one's hash is\n%s\n"
		    "It is not signed: that no receipt was changed, removed or moved is proven only against a hash that was noted\n"
		    "elsewhere at the time. Whoever can write the database can cut receipts off its end, or write all of it anew.\n",
		    (long long)a->chain.seq, a->chain.hash) < 0)
		return EXIT_PAGE_FAILED;
	return ctl_put(&out);
}

static int run(struct audit *a, const char *word)
{
	const struct options *o = &a->c->options;
	bool verify = streq(word, "verify"), report = streq(word, "report");
	int r;

	a->print = streq(word, "export");
	if (!verify && !report && !a->print) {
		ctl_say("audit is followed by verify, report or export");
		return EXIT_USAGE;
	}
	if ((o->csv && (!report || o->json)) || (!report && (o->since || o->until))) {
		ctl_say("--since, --until and --csv belong to audit report; --csv and --json exclude each other");
		return EXIT_USAGE;
	}
	if (parse_time(o->since, &a->since_ms) < 0 || parse_time(o->until, &a->until_ms) < 0)
		return EXIT_USAGE;
	if (report && audit_report_new(&a->report) < 0)
		return EXIT_PAGE_FAILED;
	r = o->n_args > 1 ? from_file(a, o->args[1]) : from_service(a);
	if (r == EXIT_WELL && verify)
		r = say_holds(a);
	if (r == EXIT_WELL && report)
		r = audit_report_put(a->report, a->c);
	return r == EXIT_WELL && a->print && fflush(stdout) != 0 ? EXIT_PAGE_FAILED : r;
}

int verb_audit(struct ctl *c)
{
	struct audit a = {.c = c, .chain = CHAIN_BEGIN, .since_ms = INT64_MIN, .until_ms = INT64_MAX};
	int r = run(&a, c->options.args[0]);

	audit_report_free(a.report);
	return r;
}
