/*
 * A program that prints credentials. Source: AWS SDKs and Tools Reference Guide, "Process credential provider": the command
 * is split as a POSIX shell splits words, but there is no shell; the output is JSON of Version 1.
 */
#include "cloud/creds_process.h"

#include "base/text.h"

/* One word with its quotes taken away; *p goes behind it. */
static int take_word(const char **p, struct buf *out)
{
	char quote = 0;
	const char *s;

	for (s = *p; *s && (quote || !strchr(" \t", *s)); s++) {
		int r = 0;

		if (quote ? *s == quote : *s == '\'' || *s == '"')
			quote = quote ? 0 : *s;
		else if (*s == '\\' && quote != '\'' && (!quote || strchr("\"\\", s[1]))) {
			if (!s[1])
				return -EINVAL;
			r = buf_addc(out, *++s);
		} else
			r = buf_addc(out, *s);
		if (r < 0)
			return r;
	}
	*p = s;
	return quote ? -EINVAL : 0;
}

int creds_split_command(const char *command, char *argv[static CREDS_ARGS_MAX + 1])
{
	const char *p = command + strspn(command, " \t");
	size_t n = 0;
	int r = 0;

	for (; r >= 0 && *p; p += strspn(p, " \t")) {
		struct buf word = BUF_MAX(4096);

		r = n == CREDS_ARGS_MAX ? -E2BIG : take_word(&p, &word);
		if (r >= 0) {
			argv[n] = word.data ? buf_take(&word) : strdup("");
			r = argv[n] ? 0 : -ENOMEM;
			n += argv[n] != NULL;
		}
		buf_free(&word);
	}
	if (r >= 0 && (n == 0 || argv[0][0] != '/'))
		r = -EINVAL;
	for (size_t i = 0; r < 0 && i < n; i++)
		free(take_ptr(argv[i]));
	return r;
}

static int ask(const char *command, struct creds_step *ret)
{
	int r = creds_split_command(command, ret->argv);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return creds_fail(ret, "program", "the command is not an absolute path with at most %d words, quotes closed", CREDS_ARGS_MAX);
	ret->action = CREDS_RUN;
	return 0;
}

static int read_output(const struct reply *reply, struct creds *c, char *why, size_t size)
{
	cJSON *j = NULL;
	int64_t version = 0;
	int r = json_parse(reply->body, reply->len, &j, NULL);

	if (r == -ENOMEM)
		return r;
	if (r < 0 || !cJSON_IsObject(j)) {
		str_copy(why, size, "what it printed is no JSON object");
		r = -EBADMSG;
	} else if (json_get_i64(j, "Version", &version) < 0 || version != 1) {
		str_copy(why, size, "what it printed is not of Version 1");
		r = -EBADMSG;
	} else {
		r = creds_from_json(c, j, CREDS_AS_PROCESS, why, size);
	}
	creds_json_delete(j);
	return r;
}

static int take(const char *command, const struct reply *reply, struct creds_step *ret)
{
	char name[64], why[160];
	int r;

	text_safe_copy(name, sizeof(name), command);
	name[strcspn(name, " \t")] = '\0'; /* arguments may be secrets */
	if (reply->error != TRANSPORT_OK)
		return creds_fail(ret, "program", "program %s: %s", name, reply->detail);
	if (reply->status != 0)
		return creds_fail(ret, "program", "program %s ended with status %d; run it as the service's user to see why", name,
			reply->status);
	r = read_output(reply, &ret->creds, why, sizeof(why));
	if (r == -EBADMSG)
		return creds_fail(ret, "bad-credentials", "program %s: %s", name, why);
	str_format(ret->creds.source, sizeof(ret->creds.source), "program %s", name);
	ret->action = CREDS_HAVE;
	return r;
}

static int process_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	return in->reply ? take(c->command, in->reply, ret) : ask(c->command, ret);
}

const struct creds_source_ops creds_source_process = {.next = process_next};
