#include "ctl/audit.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/chain.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/text.h"

/* A file of receipts, and where in which chain it begins. */
struct part {
	const char *path;
	char chain[CHAIN_ID_SIZE]; /* "": nothing in it is signed */
	int64_t seq, head;
};

#define FILE_MAX ((size_t)64 << 20)

struct audit {
	struct ctl *c;
	struct chain chain;           /* that is being followed */
	struct chain *chains;         /* owned: those that were, to their ends */
	size_t n_chains;
	struct audit_report *report; /* NULL: none is wanted */
	bool print;
	uint8_t keys[AUDIT_KEYS_MAX][PUBLIC_KEY_SIZE]; /* of --key */
	size_t n_keys;
	struct audit_loss *losses;          /* owned */
	size_t n_losses;
	struct audit_kept *kept;            /* owned */
	size_t n_kept;
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

static void find_kept(struct audit *a)
{
	for (size_t i = 0; i < a->n_kept; i++)
		a->kept[i].found |= a->kept[i].number == a->chain.heads && streq(a->kept[i].hash, a->chain.head_hash);
}

static int add_loss(struct audit *a)
{
	struct audit_loss *all = reallocarray(a->losses, a->n_losses + 1, sizeof(*all));

	if (!all)
		return EXIT_PAGE_FAILED;
	a->losses = all;
	a->losses[a->n_losses++] = (struct audit_loss){a->n_chains, a->chain.loss};
	return EXIT_WELL;
}

static int take_line(struct audit *a, const char *line, size_t len)
{
	const char *why = "there is no memory";
	int64_t heads = a->chain.heads, losses = a->chain.key_losses;
	cJSON *body = NULL;
	int r = chain_follow(&a->chain, line, len, &body, &why);

	if (r < 0) {
		ctl_say("the chain does not hold: what comes after receipt %lld %s", (long long)a->chain.seq, why);
		return EXIT_PAGE_FAILED;
	}
	if (!body)
		find_kept(a);
	r = body ? take_body(a, body) : a->chain.key_losses > losses ? add_loss(a) : EXIT_WELL;
	/* Where two files meet a head stands twice. */
	if (!body && heads == a->chain.heads)
		return r;
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

static FILE *open_file(const char *path)
{
	FILE *f = streq(path, "-") ? stdin : fopen(path, "re");
	char safe[256];

	if (!f)
		ctl_say("%s: %s", text_safe_copy(safe, sizeof(safe), path), errno_text(-errno));
	return f;
}

static int from_file(struct audit *a, const char *path)
{
	FILE *f = open_file(path);
	char safe[256];
	int r;

	if (!f)
		return EXIT_USAGE;
	r = from_stream(a, f, f == stdin ? "standard input" : text_safe_copy(safe, sizeof(safe), path));
	if (f != stdin)
		fclose(f);
	return r;
}

/* The chain that was followed has come to its end here. */
static int end_chain(struct audit *a)
{
	struct chain *all = reallocarray(a->chains, a->n_chains + 1, sizeof(*all));

	if (!all)
		return EXIT_PAGE_FAILED;
	a->chains = all;
	a->chains[a->n_chains++] = a->chain;
	return EXIT_WELL;
}

static void begin_chain(struct audit *a, bool in_parts)
{
	a->chain = CHAIN_BEGIN;
	a->chain.in_parts = in_parts;
	a->chain.keys = a->keys;
	a->chain.n_keys = a->n_keys;
}

/* ---- files of days, joined ----------------------------------------------------------------------------- */

/* The first line says where it begins, the first head of which chain it is. False: enough is known. */
static bool look_at_line(struct part *p, const char *line, size_t len)
{
	_cleanup_json_ cJSON *j = NULL;
	struct chain c;

	if (chain_head_read(line, len, &c) == 0) {
		str_copy(p->chain, sizeof(p->chain), c.id);
		if (p->seq < 0) {
			p->seq = c.seq;
			p->head = c.heads;
		}
		return false;
	}
	if (p->seq < 0 && (json_parse(line, len, &j, NULL) < 0 || json_get_i64(json_get_object(j, "receipt"), "seq", &p->seq) < 0))
		p->seq = 0;
	return true;
}

/* What is wrong with the file is said when it is followed. */
static int look_at(struct part *p)
{
	char line[CHAIN_LINE_MAX + 2];
	FILE *f = open_file(p->path);
	size_t len;

	p->seq = -1;
	if (!f)
		return EXIT_USAGE;
	while (fgets(line, sizeof(line), f) && (len = strlen(line)) > 0 && look_at_line(p, line, len - (line[len - 1] == '\n')))
		;
	fclose(f);
	return EXIT_WELL;
}

static int by_place(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int c = strcmp(x->chain, y->chain);

	if (c)
		return c;
	if (x->seq != y->seq)
		return x->seq > y->seq ? 1 : -1;
	return (x->head > y->head) - (x->head < y->head);
}

static int follow_parts(struct audit *a, const struct part *parts, size_t n)
{
	int r = EXIT_WELL;

	for (size_t i = 0; r == EXIT_WELL && i < n; i++) {
		if (i == 0 || !streq(parts[i].chain, parts[i - 1].chain))
			begin_chain(a, true);
		r = from_file(a, parts[i].path);
		if (r == EXIT_WELL && (i + 1 == n || !streq(parts[i].chain, parts[i + 1].chain)))
			r = end_chain(a);
	}
	return r;
}

/* In any order: each says where it belongs. */
static int from_files(struct audit *a, const char *const *paths, size_t n)
{
	_cleanup_free_ struct part *parts = calloc(n, sizeof(*parts));
	int r = parts ? EXIT_WELL : EXIT_PAGE_FAILED;

	for (size_t i = 0; r == EXIT_WELL && i < n; i++) {
		parts[i].path = paths[i];
		if (n > 1 && streq(paths[i], "-")) {
			ctl_say("standard input cannot be one of several files");
			return EXIT_USAGE;
		}
		r = n > 1 ? look_at(&parts[i]) : EXIT_WELL;
	}
	if (r == EXIT_WELL && n > 1)
		qsort(parts, n, sizeof(*parts), by_place);
	return r == EXIT_WELL ? follow_parts(a, parts, n) : r;
}

/* ---- the service, or its spool while it is stopped ----------------------------------------------------- */

static int from_spool(struct audit *a, const char *directory)
{
	FILE *f;
	pid_t pid;
	int r = spool_receipts(directory, &f, &pid);

	if (r < 0)
		return EXIT_UNREACHABLE;
	begin_chain(a, false);
	r = from_stream(a, f, directory);
	/* What was wrong it has said itself. */
	if (spool_receipts_end(f, pid) != 0)
		return EXIT_PAGE_FAILED;
	return r == EXIT_WELL ? end_chain(a) : r;
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

	begin_chain(a, false);
	while (r == EXIT_WELL && more) {
		struct client_reply reply = {};
		cJSON *parameters = cJSON_CreateObject();

		if (!parameters || json_add_i64(parameters, "after", a->chain.seq) < 0 ||
			json_add_i64(parameters, "heads", a->chain.heads) < 0) {
			cJSON_Delete(parameters);
			return EXIT_PAGE_FAILED;
		}
		r = ctl_call_take(a->c, "io.pageferry.Receipts", parameters, &reply);
		if (r != EXIT_WELL)
			return r;
		r = from_reply(a, &reply, &more);
		client_reply_clear(&reply);
	}
	return r == EXIT_WELL ? end_chain(a) : r;
}

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

/* ---- what it is held against --------------------------------------------------------------------------- */

static int read_text(const char *path, struct buf *out)
{
	char safe[256];
	int r = file_read(AT_FDCWD, path, FILE_MAX, out);

	if (r < 0)
		ctl_say("%s: %s", text_safe_copy(safe, sizeof(safe), path), errno_text(r));
	return r;
}

/* One key after another: of a chain whose key was lost, all that signed it. */
static int read_keys(struct audit *a, const char *path)
{
	static const char end[] = "-----END PUBLIC KEY-----";
	_cleanup_buf_ struct buf pem = {};
	int r = read_text(path, &pem);
	const char *at, *after;

	if (r < 0)
		return r;
	for (at = buf_str(&pem); r >= 0 && a->n_keys < AUDIT_KEYS_MAX && (after = strstr(at, end)); at = after + strlen(end)) {
		_cleanup_buf_ struct buf one = {};

		r = buf_add(&one, at, (size_t)(after - at) + strlen(end));
		if (r >= 0)
			r = buf_addc(&one, '\n');
		if (r >= 0)
			r = public_key_parse(buf_str(&one), one.len, a->keys[a->n_keys++]);
	}
	if (r < 0 || a->n_keys == 0 || at[strspn(at, " \t\r\n")]) {
		ctl_say("that is no public EC key on P-256 in PEM, nor %d of them at most", AUDIT_KEYS_MAX);
		return r < 0 ? r : -EBADMSG;
	}
	return 0;
}

static int add_kept(struct audit *a, const char *line, size_t len)
{
	struct audit_kept k = {}, *all;
	struct chain c;

	if (chain_head_read(line, len, &c) < 0) {
		ctl_say("a signed head in that file is damaged");
		return -EBADMSG;
	}
	k.number = c.heads;
	str_copy(k.hash, sizeof(k.hash), c.head_hash);
	str_copy(k.chain, sizeof(k.chain), c.id);
	all = reallocarray(a->kept, a->n_kept + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	a->kept = all;
	a->kept[a->n_kept++] = k;
	return 0;
}

/* Lines of a copy, or of the journal, in which heads stand at the end. */
static int read_kept(struct audit *a, const char *path)
{
	_cleanup_buf_ struct buf text = BUF_MAX(FILE_MAX + 1);
	char *line, *rest = NULL;
	int r = read_text(path, &text);

	line = r >= 0 && text.data ? strtok_r(text.data, "\n", &rest) : NULL;
	for (; r >= 0 && line; line = strtok_r(NULL, "\n", &rest)) {
		const char *head = strstr(line, "{\"head\":");

		r = head ? add_kept(a, head, strlen(head)) : 0;
	}
	if (r >= 0 && a->n_kept == 0) {
		ctl_say("there are no signed heads in that file");
		r = -ENODATA;
	}
	return r;
}

/* ---- the verb ------------------------------------------------------------------------------------------ */

static int put_key(const struct audit *a)
{
	_cleanup_buf_ struct buf out = {};

	if (a->n_chains == 0 || a->chains[a->n_chains - 1].heads == 0) {
		ctl_say("no head is signed yet");
		return EXIT_PAGE_FAILED;
	}
	return public_key_print(a->chains[a->n_chains - 1].key, &out) < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int follow_all(struct audit *a)
{
	const struct options *o = &a->c->options;

	if (o->directory)
		return from_spool(a, o->directory);
	return o->n_args > 1 ? from_files(a, o->args + 1, o->n_args - 1) : from_service(a);
}

static int conclude(struct audit *a, const char *word)
{
	const struct audit_found found = {a->chains, a->n_chains, a->kept, a->n_kept, a->losses, a->n_losses, a->n_keys > 0};
	int r = audit_judge(&found);

	if (r == EXIT_WELL && streq(word, "key"))
		return put_key(a);
	if (r == EXIT_WELL && streq(word, "verify"))
		return audit_put_proof(a->c, &found);
	return r == EXIT_WELL && a->report ? audit_report_put(a->report, a->c) : r;
}

static int run(struct audit *a, const char *word)
{
	const struct options *o = &a->c->options;
	bool report = streq(word, "report");
	int r;

	a->print = streq(word, "export");
	if (!report && !a->print && !streq(word, "verify") && !streq(word, "key")) {
		ctl_say("audit is followed by verify, report, export, key, rotate or replace");
		return EXIT_USAGE;
	}
	if (o->directory && o->n_args > 1) {
		ctl_say("--directory takes the place of files");
		return EXIT_USAGE;
	}
	if (o->why || o->yes) {
		ctl_say("--why and --yes belong to audit replace");
		return EXIT_USAGE;
	}
	if ((o->csv && (!report || o->json)) || (!report && (o->since || o->until))) {
		ctl_say("--since, --until and --csv belong to audit report; --csv and --json exclude each other");
		return EXIT_USAGE;
	}
	if (parse_time(o->since, &a->since_ms) < 0 || parse_time(o->until, &a->until_ms) < 0)
		return EXIT_USAGE;
	if ((o->key && read_keys(a, o->key) < 0) || (o->heads && read_kept(a, o->heads) < 0))
		return EXIT_USAGE;
	if (report && audit_report_new(&a->report) < 0)
		return EXIT_PAGE_FAILED;
	r = follow_all(a);
	return r == EXIT_WELL && a->print && fflush(stdout) != 0 ? EXIT_PAGE_FAILED : r == EXIT_WELL ? conclude(a, word) : r;
}

int verb_audit(struct ctl *c)
{
	struct audit a = {.c = c, .since_ms = INT64_MIN, .until_ms = INT64_MAX};
	const char *word = c->options.args[0];
	int r = streq(word, "rotate") ? audit_rotate(c) : streq(word, "replace") ? audit_replace(c) : run(&a, word);

	audit_report_free(a.report);
	free(a.chains);
	free(a.kept);
	free(a.losses);
	return r;
}
