#include "ctl/audit.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/chain.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/text.h"

/* A head that was kept elsewhere. */
struct kept {
	int64_t number;
	char hash[SHA256_HEX_SIZE];
	bool found;
};

#define FILE_MAX ((size_t)64 << 20)

struct audit {
	struct ctl *c;
	struct chain chain;
	struct audit_report *report; /* NULL: none is wanted */
	bool print;
	uint8_t key[PUBLIC_KEY_SIZE]; /* of --key */
	struct kept *kept;            /* owned */
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

static int take_line(struct audit *a, const char *line, size_t len)
{
	const char *why = "there is no memory";
	cJSON *body = NULL;
	int r = chain_follow(&a->chain, line, len, &body, &why);

	if (r < 0) {
		ctl_say("the chain does not hold: what comes after receipt %lld %s", (long long)a->chain.seq, why);
		return EXIT_PAGE_FAILED;
	}
	if (!body)
		find_kept(a);
	r = body ? take_body(a, body) : EXIT_WELL;
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

/* ---- what it is held against --------------------------------------------------------------------------- */

static int read_text(const char *path, struct buf *out)
{
	char safe[256];
	int r = file_read(AT_FDCWD, path, FILE_MAX, out);

	if (r < 0)
		ctl_say("%s: %s", text_safe_copy(safe, sizeof(safe), path), errno_text(r));
	return r;
}

static int read_key(struct audit *a, const char *path)
{
	_cleanup_buf_ struct buf pem = {};
	int r = read_text(path, &pem);

	if (r < 0)
		return r;
	r = public_key_parse(buf_str(&pem), pem.len, a->key);
	if (r < 0)
		ctl_say("that is no public EC key on P-256 in PEM");
	a->chain.only_key = a->key;
	return r;
}

static int add_kept(struct audit *a, const char *line, size_t len)
{
	struct kept k = {}, *all;

	if (chain_head_read(line, len, &k.number, k.hash) < 0)
		return 0; /* receipts, of a whole copy */
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

static int judge_kept(const struct audit *a)
{
	for (size_t i = 0; i < a->n_kept; i++) {
		if (a->kept[i].found)
			continue;
		ctl_say("head %lld, which was kept elsewhere, is not in the chain: receipts were cut off or written anew, or the database is "
			"an older copy or another one",
			(long long)a->kept[i].number);
		return EXIT_PAGE_FAILED;
	}
	return EXIT_WELL;
}

/* ---- what was found, and what that cannot prove --------------------------------------------------------- */

static int holds_json(const struct audit *a)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	const struct chain *c = &a->chain;
	char print[SHA256_HEX_SIZE];

	sha256_hex_of(c->key, sizeof(c->key), print);
	if (!j || json_add_bool(j, "holds", true) < 0 || json_add_i64(j, "receipts", c->seq) < 0 || json_add_string(j, "hash", c->hash) < 0 ||
		json_add_i64(j, "signed", c->signed_seq) < 0 || json_add_i64(j, "heads", c->heads) < 0 ||
		json_add_string(j, "key", c->heads ? print : NULL) < 0 || json_add_bool(j, "keyGiven", c->only_key != NULL) < 0 ||
		json_add_i64(j, "headsKept", (int64_t)a->n_kept) < 0)
		return EXIT_PAGE_FAILED;
	return ctl_put_json(j);
}

static int add_proof(const struct audit *a, struct buf *out)
{
	const struct chain *c = &a->chain;
	char print[SHA256_HEX_SIZE], time[TIMESTAMP_SIZE];
	int r;

	if (c->heads == 0)
		return buf_adds(out, "Nothing is signed: whoever can write the database can change it all unseen. The hash proves it once it was noted elsewhere.\n");
	sha256_hex_of(c->key, sizeof(c->key), print);
	timestamp_format(c->signed_ms, false, time);
	r = buf_addf(out, "Signed up to receipt %lld: head %lld, %s, by the key\n%s\n", (long long)c->signed_seq, (long long)c->heads, time, print);
	if (r >= 0 && c->signed_seq < c->seq)
		r = buf_addf(out, "The last %lld are not signed yet: these could be changed or cut off unseen.\n", (long long)(c->seq - c->signed_seq));
	if (r >= 0 && !c->only_key)
		r = buf_adds(out, "That key is what the heads themselves say: give the one that you know with --key.\n");
	if (r >= 0 && a->n_kept == 0)
		r = buf_adds(out, "The key lies on the device: who is root there can sign another history, or put an older one back. Heads that were kept\n"
				  "elsewhere show that: --heads.\n");
	return r;
}

static int say_holds(struct audit *a)
{
	_cleanup_buf_ struct buf out = {};

	if (a->c->options.json)
		return holds_json(a);
	if (buf_addf(&out, "the chain holds: %lld receipts, the last one's hash is\n%s\n", (long long)a->chain.seq, a->chain.hash) < 0 ||
		add_proof(a, &out) < 0)
		return EXIT_PAGE_FAILED;
	return ctl_put(&out);
}

static int put_key(struct audit *a)
{
	_cleanup_buf_ struct buf out = {};

	if (a->chain.heads == 0) {
		ctl_say("no head is signed yet");
		return EXIT_PAGE_FAILED;
	}
	return public_key_print(a->chain.key, &out) < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int run(struct audit *a, const char *word)
{
	const struct options *o = &a->c->options;
	bool verify = streq(word, "verify"), report = streq(word, "report"), key = streq(word, "key");
	int r;

	a->print = streq(word, "export");
	if (!verify && !report && !key && !a->print) {
		ctl_say("audit is followed by verify, report, export or key");
		return EXIT_USAGE;
	}
	if ((o->csv && (!report || o->json)) || (!report && (o->since || o->until))) {
		ctl_say("--since, --until and --csv belong to audit report; --csv and --json exclude each other");
		return EXIT_USAGE;
	}
	if (parse_time(o->since, &a->since_ms) < 0 || parse_time(o->until, &a->until_ms) < 0)
		return EXIT_USAGE;
	if ((o->key && read_key(a, o->key) < 0) || (o->heads && read_kept(a, o->heads) < 0))
		return EXIT_USAGE;
	if (report && audit_report_new(&a->report) < 0)
		return EXIT_PAGE_FAILED;
	r = o->n_args > 1 ? from_file(a, o->args[1]) : from_service(a);
	if (r == EXIT_WELL)
		r = judge_kept(a);
	if (r == EXIT_WELL && key)
		r = put_key(a);
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
	free(a.kept);
	return r;
}
