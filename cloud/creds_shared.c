#include "cloud/creds_shared.h"

#include <strings.h>

#include "base/crypto.h"
#include "base/ini_line.h"

static const struct {
	const char *name;
	enum shared_key key;
} names[] = {
	{"aws_access_key_id", SHARED_ACCESS_KEY},
	{"aws_secret_access_key", SHARED_SECRET_KEY},
	{"aws_session_token", SHARED_TOKEN},
	{"aws_security_token", SHARED_TOKEN}, /* what it was called first */
	{"aws_credential_expiration", SHARED_EXPIRES},
	{"x_security_token_expires", SHARED_EXPIRES},
	{"role_arn", SHARED_ROLE_ARN},
	{"source_profile", SHARED_SOURCE_PROFILE},
	{"credential_source", SHARED_CREDENTIAL_SOURCE},
	{"external_id", SHARED_EXTERNAL_ID},
	{"role_session_name", SHARED_SESSION_NAME},
	{"duration_seconds", SHARED_DURATION},
	{"credential_process", SHARED_PROCESS},
	{"web_identity_token_file", SHARED_TOKEN_FILE},
	{"mfa_serial", SHARED_MFA},
	{"sso_session", SHARED_SSO},
	{"sso_start_url", SHARED_SSO},
};

static void drop(char **value)
{
	if (*value)
		wipe(*value, strlen(*value));
	free(take_ptr(*value));
}

void shared_profile_clear(struct shared_profile *p)
{
	for (size_t i = 0; i < SHARED_KEYS; i++)
		drop(&p->values[i]);
	p->found = false;
}

/* NAME, "profile NAME", and the name in quotes. */
static bool is_wanted(const char *section, const char *name)
{
	size_t len;

	if (streq(section, name))
		return true;
	if (starts_with(section, "profile") && (section[7] == ' ' || section[7] == '\t'))
		section += 7 + strspn(section + 7, " \t");
	len = strlen(section);
	if (len >= 2 && (*section == '"' || *section == '\'') && section[len - 1] == *section)
		return strlen(name) == len - 2 && strncmp(section + 1, name, len - 2) == 0;
	return streq(section, name);
}

/* One reading of one text. */
struct reading {
	struct shared_profile *profile;
	const char *name;
	bool in, seen;              /* the profile */
	bool keys[SHARED_KEYS];     /* that this text gave */
};

/* NULL, what is wrong with it, or "" when memory ran out. */
static const char *take_key(struct reading *x, const struct ini_line *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char **value = &x->profile->values[names[i].key];

		if (strcasecmp(line->key, names[i].name) != 0)
			continue;
		if (x->keys[names[i].key] && names[i].key != SHARED_SSO)
			return "the key stands in the profile twice";
		x->keys[names[i].key] = true;
		drop(value);
		*value = *line->value ? strdup(line->value) : NULL;
		return *line->value && !*value ? "" : NULL;
	}
	return NULL; /* of no concern */
}

static const char *take_line(struct reading *x, int kind, const struct ini_line *line)
{
	/* Lines below "s3 =" and the like; and other sections are somebody else's. */
	if (line->indented || (kind != INI_LINE_SECTION && !x->in && !(kind == INI_LINE_BAD && line->key && *line->key == '[')))
		return NULL;
	if (kind == INI_LINE_BAD)
		return line->problem;
	if (kind == INI_LINE_KEY)
		return take_key(x, line);
	x->in = is_wanted(line->section, x->name);
	if (x->in && x->seen)
		return "the profile stands there twice";
	x->seen |= x->in;
	return NULL;
}

int shared_profile_read(const char *text, size_t len, const char *name, struct shared_profile *p, char *why, size_t why_size)
{
	struct reading x = {.profile = p, .name = name};
	const char *problem = NULL;
	struct ini_lines lines;
	struct ini_line line;
	int kind;

	ini_lines_init(&lines, text, len);
	kind = buf_reserve(&lines.line, MIN(len, SHARED_FILE_MAX), NULL); /* in one block: growing would leave copies behind */
	while (kind >= 0 && !problem && (kind = ini_lines_next(&lines, &line)) > INI_LINE_END)
		problem = take_line(&x, kind, &line);
	ini_lines_wipe(&lines);
	if (kind < 0 || (problem && !*problem))
		return -ENOMEM;
	p->found |= x.seen;
	if (!problem)
		return 0;
	str_format(why, why_size, "line %u: %s", line.number, problem);
	return -EBADMSG;
}

int shared_profile_creds(const struct shared_profile *p, struct creds *c, char *why, size_t why_size)
{
	return creds_fill(c, &(struct creds_words){
		.key = p->values[SHARED_ACCESS_KEY],
		.secret = p->values[SHARED_SECRET_KEY],
		.token = p->values[SHARED_TOKEN],
		.expires = p->values[SHARED_EXPIRES],
	}, why, why_size);
}
