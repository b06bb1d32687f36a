/* A file with keys, INI as the AWS command line writes it or JSON; or a systemd credential of the same content. */
#include "cloud/creds_source.h"

#include "base/log.h"
#include "base/text.h"

#define FILE_MAX_BYTES ((size_t)64 << 10)

/* ---- INI, as the AWS CLI writes it ------------------------------------------------------------------------------- */

struct ini_state {
	const char *profile;
	bool in_profile, seen_profile;
	unsigned int line;
	struct creds_words words;
	const char *elsewhere; /* a member of the profile that this source cannot follow */
};

static char *strip(char *s)
{
	size_t len;

	s += strspn(s, " \t\r");
	len = strlen(s);
	while (len && strchr(" \t\r", s[len - 1]))
		s[--len] = '\0';
	return s;
}

static const char *ini_section(struct ini_state *st, char *line)
{
	char *name, *close = strchr(line, ']');

	if (!close)
		return "a section without ']'";
	*close = '\0';
	name = strip(line + 1);
	if (starts_with(name, "profile "))
		name = strip(name + 8);
	st->in_profile = streq(name, st->profile);
	if (st->in_profile && st->seen_profile)
		return "the profile stands there twice";
	st->seen_profile |= st->in_profile;
	return NULL;
}

static const char *ini_member(struct ini_state *st, const char *key, const char *value)
{
	static const char *const elsewhere[] = {"role_arn", "credential_process", "sso_session", "sso_start_url",
		"web_identity_token_file", "source_profile"};
	const struct {
		const char *name;
		const char **target;
	} known[] = {
		{"aws_access_key_id", &st->words.key},
		{"aws_secret_access_key", &st->words.secret},
		{"aws_session_token", &st->words.token},
		{"aws_security_token", &st->words.token},
		{"aws_credential_expiration", &st->words.expires},
		{"x_security_token_expires", &st->words.expires},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!streq(key, known[i].name))
			continue;
		if (*known[i].target)
			return "the key stands in the profile twice";
		*known[i].target = *value ? value : NULL;
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		if (streq(key, elsewhere[i]))
			st->elsewhere = elsewhere[i];
	}
	return NULL;
}

/* One line, changed in place. NULL, or what is wrong with it. */
static const char *ini_line(struct ini_state *st, char *line)
{
	bool indented = *line == ' ' || *line == '\t';
	char *s = strip(line), *eq;

	if (!*s || *s == '#' || *s == ';')
		return NULL;
	if (*s == '[' && !indented)
		return ini_section(st, s);
	if (indented || !st->in_profile)
		return NULL; /* a nested block ("s3 =" and its lines), or somebody else's section */
	eq = strchr(s, '=');
	if (!eq)
		return "not of the form KEY = VALUE";
	*eq = '\0';
	return ini_member(st, strip(s), strip(eq + 1));
}

static int parse_ini(char *text, const char *profile, struct creds *c, char *why, size_t size)
{
	struct ini_state st = {.profile = profile};
	char *next, *line;

	for (line = text; line; line = next) {
		const char *problem;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		st.line++;
		problem = ini_line(&st, line);
		if (problem) {
			str_format(why, size, "line %u: %s", st.line, problem);
			return -EBADMSG;
		}
	}
	if (!st.seen_profile) {
		str_format(why, size, "has no profile [%s]", profile);
		return -EBADMSG;
	}
	if (!st.words.key && !st.words.secret && st.elsewhere) {
		str_format(why, size, "%s is not followed by this source; use Source=assume-role, process or web-identity, or give aws_access_key_id and "
			"aws_secret_access_key", st.elsewhere);
		return -EBADMSG;
	}
	return creds_fill(c, &st.words, why, size);
}

/* ---- JSON, as credential helpers print it ------------------------------------------------------------------------ */

static int parse_json(const char *text, size_t len, struct creds *c, char *why, size_t size)
{
	cJSON *j = NULL;
	int r = json_parse(text, len, &j, NULL);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		str_copy(why, size, "is neither a JSON object nor a file with [profiles]");
		return -EBADMSG;
	}
	r = creds_from_json(c, j, json_get(j, "Token") ? CREDS_AS_METADATA : CREDS_AS_PROCESS, why, size);
	creds_json_delete(j);
	return r;
}

/* ---- the two sources --------------------------------------------------------------------------------------------- */

/* Reads `path`; `absent` is what to say when it is not there. */
static int load(const struct creds_config *c, const char *path, const char *absent, struct creds_step *ret)
{
	const char *profile = c->profile[0] ? c->profile : "default";
	char *text = NULL, why[160] = "";
	size_t len = 0;
	int r = creds_read_text(path, FILE_MAX_BYTES, &text, &len);

	if (r == -ENOENT)
		return creds_fail(ret, "no-credentials", "%s: %s", ret->creds.source, absent);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return creds_fail(ret, "bad-credentials", "%s: %s", ret->creds.source,
			r == -EBADMSG ? "is not a text file" : r == -EFBIG ? "is larger than 64 KiB" : errno_text(r));
	if (text[strspn(text, " \t\r\n")] == '{')
		r = parse_json(text, len, &ret->creds, why, sizeof(why));
	else
		r = parse_ini(text, profile, &ret->creds, why, sizeof(why));
	creds_text_free(text, FILE_MAX_BYTES);
	if (r == -EBADMSG)
		return creds_fail(ret, "bad-credentials", "%s: %s", ret->creds.source, why);
	ret->action = CREDS_HAVE;
	return r;
}

/* A path or name for messages: harmless, cut to fit. */
static void name_source(struct creds *c, const char *kind, const char *name)
{
	char safe[sizeof(c->source) - 24];

	text_safe_copy(safe, sizeof(safe), name);
	str_format(c->source, sizeof(c->source), "%s %s", kind, safe);
}

static int file_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	name_source(&ret->creds, "file", c->file);
	return load(c, c->file, "there is no such file", ret);
}

static int systemd_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	static const char absent[] = "the service was started without it; give it with LoadCredential= in a drop-in, and restart";
	char path[512];
	int r;

	name_source(&ret->creds, "systemd credential", c->credential);
	r = creds_systemd_path(c->credential, path, sizeof(path));
	if (r < 0)
		return creds_fail(ret, "no-credentials", "%s: %s", ret->creds.source, absent);
	return load(c, path, absent, ret);
}

const struct creds_source_ops creds_source_file = {.local = true, .next = file_next};
const struct creds_source_ops creds_source_systemd = {.local = true, .next = systemd_next};
