#include "cloud/creds.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"

#define FILE_MAX_BYTES ((size_t)64 << 10)
#define TOKEN_MAX      ((size_t)16 << 10)
#define SPARE_MS       60000

/* What a source said, before it is judged. Pointers borrow from the source. */
struct found {
	const char *key, *secret, *token, *expires;
	const char *elsewhere; /* a member of the profile that this program cannot follow */
};

void creds_clear(struct creds *c)
{
	if (c->token) {
		wipe(c->token, strlen(c->token));
		free(c->token);
	}
	wipe(c, sizeof(*c));
}

bool creds_fresh(const struct creds *c, int64_t now_ms)
{
	return *c->access_key && (!c->expires_ms || c->expires_ms - now_ms > SPARE_MS);
}

static int complain(char *why, size_t size, const char *source, const char *text)
{
	snprintf(why, size, "%s: %s", source, text);
	return -EBADMSG;
}

static bool all_graphic(const char *s)
{
	for (; *s; s++) {
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	}
	return true;
}

/* Copies a source's words into `c`; messages never quote them. */
static int fill(struct creds *c, const struct found *f, char *why, size_t size)
{
	if (!f->key && !f->secret && f->elsewhere) {
		snprintf(why, size, "%s: %s is not supported here; give aws_access_key_id and aws_secret_access_key",
			c->source, f->elsewhere);
		return -EBADMSG;
	}
	if (!f->key || !f->secret)
		return complain(why, size, c->source,
			!f->key && !f->secret ? "has neither access key nor secret key; give both"
			: f->key              ? "has an access key but no secret key; give both"
					      : "has a secret key but no access key; give both");
	if (!all_graphic(f->key) || str_copy(c->access_key, sizeof(c->access_key), f->key) < 1)
		return complain(why, size, c->source, "the access key is not 1 to 128 characters without blanks");
	if (!all_graphic(f->secret) || str_copy(c->secret_key, sizeof(c->secret_key), f->secret) < 1)
		return complain(why, size, c->source, "the secret key is not 1 to 256 characters without blanks");
	if (f->token && (!all_graphic(f->token) || strlen(f->token) > TOKEN_MAX))
		return complain(why, size, c->source, "the session token has blanks or is longer than 16 KiB");
	if (f->expires && parse_timestamp(f->expires, &c->expires_ms) < 0)
		return complain(why, size, c->source, "the expiry is not a time like 2026-11-21T03:12:05Z");
	if (f->token) {
		c->token = strdup(f->token);
		if (!c->token)
			return -ENOMEM;
	}
	return 0;
}

/* ---- INI, as the AWS CLI writes it ------------------------------------------------------------------------------- */

struct ini_state {
	const char *profile;
	bool in_profile, seen_profile;
	unsigned int line;
	struct found found;
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
		{"aws_access_key_id", &st->found.key},
		{"aws_secret_access_key", &st->found.secret},
		{"aws_session_token", &st->found.token},
		{"aws_security_token", &st->found.token},
		{"aws_credential_expiration", &st->found.expires},
		{"x_security_token_expires", &st->found.expires},
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
			st->found.elsewhere = elsewhere[i];
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
			snprintf(why, size, "%s: line %u: %s", c->source, st.line, problem);
			return -EBADMSG;
		}
	}
	if (!st.seen_profile) {
		snprintf(why, size, "%s: has no profile [%s]", c->source, profile);
		return -EBADMSG;
	}
	return fill(c, &st.found, why, size);
}

/* ---- JSON, as credential helpers print it ------------------------------------------------------------------------ */

static void wipe_strings(cJSON *j)
{
	for (; j; j = j->next) {
		if (j->valuestring)
			wipe(j->valuestring, strlen(j->valuestring));
		wipe_strings(j->child);
	}
}

static int parse_json(const char *text, size_t len, struct creds *c, char *why, size_t size)
{
	cJSON *j = NULL;
	struct found f = {};
	int r = json_parse(text, len, &j, NULL);

	if (r == -ENOMEM)
		return r;
	if (r < 0 || !cJSON_IsObject(j)) {
		r = complain(why, size, c->source, "is neither a JSON object nor a file with [profiles]");
	} else {
		f.key = json_get_string(j, "AccessKeyId");
		f.secret = json_get_string(j, "SecretAccessKey");
		f.token = json_get_string(j, "SessionToken");
		if (!f.token)
			f.token = json_get_string(j, "Token"); /* as the metadata services spell it */
		f.expires = json_get_string(j, "Expiration");
		r = fill(c, &f, why, size);
	}
	wipe_strings(j);
	cJSON_Delete(j);
	return r;
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* The text of a regular file, NUL-ended, in a block of FILE_MAX_BYTES + 1 that the caller wipes and frees. */
static int read_secret(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	text = malloc(FILE_MAX_BYTES + 1);
	if (!text)
		return -ENOMEM;
	n = read_full(fd, text, FILE_MAX_BYTES + 1);
	if (n < 0 || (size_t)n > FILE_MAX_BYTES) {
		wipe(text, FILE_MAX_BYTES + 1);
		free(text);
		return n < 0 ? (int)n : -EFBIG;
	}
	text[n] = '\0';
	*ret = text;
	*ret_len = (size_t)n;
	return 0;
}

static int load_file(const char *path, const char *profile, struct creds *c, char *why, size_t size)
{
	char *text = NULL;
	size_t len = 0;
	int r = read_secret(path, &text, &len);

	if (r == -ENOENT)
		return -ENOKEY;
	if (r < 0 || !text) {
		snprintf(why, size, "%s: cannot be read: %s", c->source, errno_text(r));
		return r;
	}
	if (memchr(text, '\0', len))
		r = complain(why, size, c->source, "is not a text file");
	else if (text[strspn(text, " \t\r\n")] == '{')
		r = parse_json(text, len, c, why, size);
	else
		r = parse_ini(text, profile, c, why, size);
	wipe(text, FILE_MAX_BYTES + 1);
	free(text);
	return r;
}

/* A path or name for messages: harmless, cut to fit. */
static void name_source(struct creds *c, const char *kind, const char *name)
{
	char safe[sizeof(c->source) - 24];

	text_safe_copy(safe, sizeof(safe), name);
	snprintf(c->source, sizeof(c->source), "%s %s", kind, safe);
}

static const char *profile_of(const struct creds_options *o)
{
	return o->profile && *o->profile ? o->profile : "default";
}

static int load_credential(const struct creds_options *o, struct creds *c, char *why, size_t size)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[512];

	if (!o->credential || !*o->credential)
		return -ENOKEY;
	name_source(c, "systemd credential", o->credential);
	if (strchr(o->credential, '/') || o->credential[0] == '.')
		return complain(
			why, size, c->source, "the name of a credential has no '/' and does not begin with '.'");
	if (!dir || !*dir)
		return -ENOKEY;
	if (str_format(path, sizeof(path), "%s/%s", dir, o->credential) < 0)
		return complain(why, size, c->source, "the path is too long");
	return load_file(path, profile_of(o), c, why, size);
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static int load_environment(struct creds *c, char *why, size_t size)
{
	struct found f = {
		.key = env("AWS_ACCESS_KEY_ID"),
		.secret = env("AWS_SECRET_ACCESS_KEY"),
		.token = env("AWS_SESSION_TOKEN"),
		.expires = env("AWS_CREDENTIAL_EXPIRATION"),
	};

	strcpy(c->source, "environment");
	if (!f.key && !f.secret)
		return -ENOKEY;
	if (!f.token)
		f.token = env("AWS_SECURITY_TOKEN");
	return fill(c, &f, why, size);
}

static void describe_nothing(const struct creds_options *o, char *why, size_t size)
{
	char file[128] = "(none configured)";

	if (o->file && *o->file)
		text_safe_copy(file, sizeof(file), o->file);
	snprintf(why, size,
		"no AWS credentials: systemd credential %s, file %s%s: none is there. Give the service one of them",
		o->credential && *o->credential ? o->credential : "(none configured)", file,
		o->environment ? ", environment AWS_ACCESS_KEY_ID" : "");
}

static int load_first(const struct creds_options *o, struct creds *c, char *why, size_t size)
{
	int r = load_credential(o, c, why, size);

	if (r == -ENOKEY && o->file && *o->file) {
		name_source(c, "file", o->file);
		r = load_file(o->file, profile_of(o), c, why, size);
	}
	if (r == -ENOKEY && o->environment)
		r = load_environment(c, why, size);
	if (r == -ENOKEY)
		describe_nothing(o, why, size);
	return r;
}

int creds_load(const struct creds_options *o, struct creds *ret, char *why, size_t why_size)
{
	struct creds c = {};
	int r;

	if (why_size)
		why[0] = '\0';
	r = load_first(o, &c, why, why_size);
	if (r < 0) {
		creds_clear(&c);
		return r;
	}
	*ret = c;
	wipe(&c, sizeof(c));
	return 0;
}
