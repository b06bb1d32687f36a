/*
 * A profile of the shared files, and whatever it leads to: keys, a program, a token, or roles that are assumed with another
 * profile's credentials. Source: AWS SDKs and Tools Reference Guide, "Assume role credential provider"; as there, a profile that
 * others name with source_profile= gives its keys if it has some, and its role if not.
 */
#include "cloud/creds_shared.h"
#include "cloud/creds_sts.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"

#define ROLES_MAX 5
#define NAME_SIZE 65

struct role {
	char profile[NAME_SIZE], arn[CREDS_ARN_SIZE], external_id[1225], session_name[65];
	int64_t duration_ms;
};

struct profile_state {
	bool begun;
	char name[NAME_SIZE];         /* of the profile that is wanted */
	struct role roles[ROLES_MAX]; /* the first is the one that is wanted; the last is assumed first */
	size_t n_roles;               /* those still to be assumed */
	struct creds_config config;   /* of `source` */
	struct creds_source *source;  /* what the last role is assumed with; NULL when it has ended */
	struct creds creds;           /* what the next role is assumed with */
};

/* The two files, as they are now. */
struct shared_files {
	const char *paths[2]; /* the second one's keys win */
	char texts[2][CREDS_PATH_SIZE];
	char *data[2];        /* owned; NULL: there is no such file */
	size_t len[2];
};

/* ---- the files -------------------------------------------------------------------------------------------------------- */

static void files_clear(struct shared_files *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->data); i++)
		creds_text_free(take_ptr(f->data[i]), SHARED_FILE_MAX);
}

/* Of the configuration, else of the environment, else below HOME. */
static const char *path_of(const char *configured, const char *variable, const char *name, char *out, size_t size)
{
	const char *given = getenv(variable), *home = getenv("HOME");

	if (configured[0])
		return configured;
	if (given && *given)
		return given;
	return str_format(out, size, "%s/.aws/%s", home ? home : "", name) < 0 ? "" : out;
}

static int complain(struct creds_step *ret, const char *path, const char *what)
{
	char safe[120];

	creds_fail(ret, "bad-credentials", "file %s: %s", text_safe_copy(safe, sizeof(safe), path), what);
	return -EBADMSG;
}

/* 0, -ENOMEM, or -EBADMSG with the step as the end. */
static int files_read(const struct creds_config *c, struct shared_files *f, struct creds_step *ret)
{
	char safe[2][80];

	f->paths[0] = path_of(c->config_file, "AWS_CONFIG_FILE", "config", f->texts[0], sizeof(f->texts[0]));
	f->paths[1] = path_of(c->file, "AWS_SHARED_CREDENTIALS_FILE", "credentials", f->texts[1], sizeof(f->texts[1]));
	for (size_t i = 0; i < ARRAY_SIZE(f->paths); i++) {
		int r = creds_read_text(f->paths[i], SHARED_FILE_MAX, &f->data[i], &f->len[i]);

		if (r == -ENOMEM)
			return r;
		if (r < 0 && r != -ENOENT && r != -ENOTDIR)
			return complain(ret, f->paths[i],
				r == -EBADMSG ? "is not a text file" : r == -EFBIG ? "is larger than 64 KiB" : errno_text(r));
		text_safe_copy(safe[i], sizeof(safe[i]), f->paths[i]);
	}
	if (f->data[0] || f->data[1])
		return 0;
	creds_fail(ret, "no-credentials", "there is neither %s nor %s; ConfigFile= and File= say where they are", safe[0], safe[1]);
	return -EBADMSG;
}

static int profile_read(const struct shared_files *f, const char *name, struct shared_profile *p, struct creds_step *ret)
{
	char why[160], safe[NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(f->data); i++) {
		int r = f->data[i] ? shared_profile_read(f->data[i], f->len[i], name, p, why, sizeof(why)) : 0;

		if (r < 0)
			return r == -EBADMSG ? complain(ret, f->paths[i], why) : r;
	}
	if (p->found)
		return 0;
	creds_fail(ret, "bad-credentials", "there is no profile [%s] in the shared files", text_safe_copy(safe, sizeof(safe), name));
	return -EBADMSG;
}

/* ---- where it leads --------------------------------------------------------------------------------------------------- */

/* The end: the profile cannot be followed. */
static int bad(struct creds_step *ret, const char *profile, const char *what)
{
	char safe[NAME_SIZE];

	creds_fail(ret, "bad-credentials", "profile %s: %s", text_safe_copy(safe, sizeof(safe), profile), what);
	return -EBADMSG;
}

static bool has_keys(const struct shared_profile *p)
{
	return p->values[SHARED_ACCESS_KEY] || p->values[SHARED_SECRET_KEY];
}

static bool has_role(const struct shared_profile *p)
{
	return p->values[SHARED_ROLE_ARN] && !p->values[SHARED_TOKEN_FILE];
}

/* What the two kinds of assuming have in common. NULL, or what is wrong. */
static const char *read_role(const struct shared_profile *p, struct role *r)
{
	const char *arn = p->values[SHARED_ROLE_ARN], *id = p->values[SHARED_EXTERNAL_ID], *name = p->values[SHARED_SESSION_NAME];
	int64_t seconds = 0;

	if (!arn || !starts_with(arn, "arn:aws:iam::") || !strstr(arn, ":role/") || str_copy(r->arn, sizeof(r->arn), arn) < 0)
		return "role_arn is not of the form arn:aws:iam::ACCOUNT:role/NAME";
	if (str_copy(r->external_id, sizeof(r->external_id), id ? id : "") < 0)
		return "external_id is longer than 1224 characters";
	if (name && (strlen(name) < 2 || str_copy(r->session_name, sizeof(r->session_name), name) < 0))
		return "role_session_name has not 2 to 64 characters";
	if (p->values[SHARED_DURATION] && parse_i64(p->values[SHARED_DURATION], 900, 43200, &seconds) < 0)
		return "duration_seconds is not a number from 900 to 43200";
	r->duration_ms = seconds * 1000;
	return NULL;
}

/* What needs no other profile. NULL, or what is wrong with it. */
static const char *base_of(const struct shared_profile *p, const struct role *r, struct creds_config *x)
{
	if (p->values[SHARED_TOKEN_FILE]) {
		if (!r->arn[0])
			return "web_identity_token_file needs role_arn";
		x->kind = CREDS_WEB_IDENTITY;
		if (p->values[SHARED_TOKEN_FILE][0] != '/' ||
			str_copy(x->token_file, sizeof(x->token_file), p->values[SHARED_TOKEN_FILE]) < 0)
			return "web_identity_token_file is not an absolute path";
		str_copy(x->role_arn, sizeof(x->role_arn), r->arn);
		str_copy(x->session_name, sizeof(x->session_name), r->session_name);
		x->duration_ms = r->duration_ms;
		return NULL;
	}
	if (p->values[SHARED_PROCESS]) {
		x->kind = CREDS_PROCESS;
		if (str_copy(x->command, sizeof(x->command), p->values[SHARED_PROCESS]) < 0)
			return "credential_process is longer than 1023 bytes";
		return NULL;
	}
	return p->values[SHARED_SSO] ? "IAM Identity Center needs a person who signs in; use a role, or a program, instead"
				     : "it has neither keys nor role_arn, credential_process or web_identity_token_file";
}

static const char *named_source(const char *name, struct creds_config *x)
{
	static const struct {
		const char *name;
		enum creds_kind kind;
	} sources[] = {{"Environment", CREDS_ENVIRONMENT}, {"Ec2InstanceMetadata", CREDS_IMDS}, {"EcsContainer", CREDS_CONTAINER}};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		x->kind = (int)sources[i].kind;
		if (streq(sources[i].name, name))
			return NULL;
	}
	return "credential_source is not Environment, Ec2InstanceMetadata or EcsContainer";
}

/* A role: with what is it assumed? The next profile's name in `name`, or "" with the source in `x`. */
static const char *lead_on(const struct shared_profile *p, char name[static NAME_SIZE], struct creds_config *x)
{
	const char *profile = p->values[SHARED_SOURCE_PROFILE], *source = p->values[SHARED_CREDENTIAL_SOURCE];

	if (p->values[SHARED_MFA])
		return "mfa_serial needs a person; let the role be assumed without, by a certificate or a program";
	if (!profile == !source)
		return profile ? "it has both source_profile and credential_source" : "role_arn needs source_profile or credential_source";
	if (source) {
		name[0] = '\0';
		return named_source(source, x);
	}
	return str_copy(name, NAME_SIZE, profile) < 0 ? "source_profile is longer than 64 bytes" : NULL;
}

static bool was_there(const struct profile_state *st, const char *name)
{
	for (size_t i = 0; i < st->n_roles; i++)
		if (streq(st->roles[i].profile, name))
			return true;
	return false;
}

/* One profile of the way: *ret_end when it gives credentials by itself, which are in st->creds or come from st->config. */
static int follow_one(struct profile_state *st, const struct shared_profile *p, char name[static NAME_SIZE], bool *ret_end,
	struct creds_step *ret)
{
	bool keys = has_keys(p) && (st->n_roles > 0 || !has_role(p));
	struct role role = {};
	char why[160];
	const char *problem;
	int r;

	*ret_end = keys || !has_role(p);
	if (keys) {
		r = shared_profile_creds(p, &st->creds, why, sizeof(why));
		return r == -EBADMSG ? bad(ret, name, why) : r;
	}
	if (st->n_roles > 0 && was_there(st, name))
		return bad(ret, name, "source_profile leads back to it");
	if (st->n_roles == ROLES_MAX)
		return bad(ret, st->roles[0].profile, "more than 5 roles are to be assumed one by the other");
	str_copy(role.profile, sizeof(role.profile), name);
	problem = p->values[SHARED_ROLE_ARN] ? read_role(p, &role) : NULL;
	if (!problem)
		problem = *ret_end ? base_of(p, &role, &st->config) : lead_on(p, name, &st->config);
	if (problem)
		return bad(ret, role.profile, problem);
	if (!*ret_end)
		st->roles[st->n_roles++] = role;
	return 0;
}

/* From the profile that is wanted to what has credentials. */
static int follow(const struct shared_files *f, struct profile_state *st, char name[static NAME_SIZE], struct creds_step *ret)
{
	bool end = false;
	int r = 0;

	while (r >= 0 && !end && name[0]) {
		struct shared_profile p = {};

		r = profile_read(f, name, &p, ret);
		if (r >= 0)
			r = follow_one(st, &p, name, &end, ret);
		shared_profile_clear(&p);
	}
	return r;
}

/* ---- its steps -------------------------------------------------------------------------------------------------------- */

static int plan(const struct creds_config *c, struct profile_state *st, struct creds_step *ret)
{
	const char *variable = getenv("AWS_PROFILE"), *wanted = c->profile[0] ? c->profile : variable && *variable ? variable : "default";
	struct shared_files f = {};
	char name[NAME_SIZE];
	int r;

	text_safe_copy(st->name, sizeof(st->name), wanted);
	st->config = (struct creds_config){.kind = -1, .timeout_ms = c->timeout_ms};
	str_copy(st->config.region, sizeof(st->config.region), c->region);
	str_copy(st->config.endpoint, sizeof(st->config.endpoint), c->endpoint);
	str_copy(st->config.connect_to, sizeof(st->config.connect_to), c->connect_to);
	str_copy(st->config.ca_file, sizeof(st->config.ca_file), c->ca_file);
	if (str_copy(name, sizeof(name), wanted) < 0)
		return bad(ret, wanted, "the name is longer than 64 bytes");
	r = files_read(c, &f, ret);
	if (r >= 0)
		r = follow(&f, st, name, ret);
	files_clear(&f);
	return r;
}

/* STS is asked for the next role, with what is there. */
static int ask_role(const struct creds_config *c, struct profile_state *st, const struct creds_input *in, struct creds_step *ret)
{
	const struct role *r = &st->roles[st->n_roles - 1];
	const struct sts_role role = {
		.arn = r->arn,
		.session_name = r->session_name,
		.external_id = r->external_id,
		.duration_ms = r->duration_ms,
	};

	return sts_ask(c, &role, &st->creds, in->signing_s, ret);
}

/* Credentials have come: they are the end, or assume the next role. */
static int take(const struct creds_config *c, struct profile_state *st, const struct creds_input *in, struct creds_step *ret)
{
	char from[sizeof(ret->creds.source)];

	if (st->n_roles == 0) {
		str_copy(from, sizeof(from), ret->creds.source);
		str_format(ret->creds.source, sizeof(ret->creds.source), "profile %.40s%s%.40s", st->name, from[0] ? ", " : "", from);
		return 0;
	}
	creds_clear(&st->creds);
	st->creds = ret->creds;
	wipe(&ret->creds, sizeof(ret->creds));
	creds_step_clear(ret);
	return ask_role(c, st, in, ret);
}

static int begin(const struct creds_config *c, struct profile_state *st, const struct creds_input *in, struct creds_step *ret)
{
	int r = plan(c, st, ret);

	if (r < 0) {
		ret->local = true;
		return r == -EBADMSG ? 0 : r;
	}
	if (st->config.kind >= 0) {
		/* What is on this machine has no region: its Date teaches nothing. */
		if (st->config.kind != CREDS_WEB_IDENTITY)
			st->config.region[0] = st->config.endpoint[0] = '\0';
		r = creds_source_new(&st->config, &st->source);
		return r < 0 ? r : creds_source_next(st->source, in, ret);
	}
	if (st->n_roles > 0)
		return ask_role(c, st, in, ret);
	ret->local = true;
	ret->action = CREDS_HAVE;
	ret->creds = st->creds;
	wipe(&st->creds, sizeof(st->creds));
	return 0;
}

static int profile_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	struct profile_state *st = state;
	int r;

	if (!st->begun) {
		st->begun = true;
		r = begin(c, st, in, ret);
	} else if (st->source) {
		r = creds_source_next(st->source, in, ret);
	} else {
		st->n_roles--;
		r = sts_reply(c, in->reply, false, st->roles[st->n_roles].arn, ret);
	}
	if (r < 0 || (ret->action != CREDS_HAVE && ret->action != CREDS_FAILED))
		return r;
	creds_source_free(take_ptr(st->source));
	return ret->action == CREDS_HAVE ? take(c, st, in, ret) : 0;
}

static void profile_clear(void *state)
{
	struct profile_state *st = state;

	creds_source_free(st->source);
	creds_clear(&st->creds);
}

const struct creds_source_ops creds_source_profile = {
	.state_size = sizeof(struct profile_state), .next = profile_next, .clear = profile_clear};
