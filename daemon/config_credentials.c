/* What a row of the table cannot tell of [Credentials NAME]: which keys belong to which source, and which must be there. */
#include "daemon/config_internal.h"

#include "cloud/creds_process.h"

#define FOR(k)   (1u << (k))
#define STS      (FOR(CREDS_ASSUME_ROLE) | FOR(CREDS_WEB_IDENTITY))
#define DEVICE   (FOR(CREDS_IOT) | FOR(CREDS_ROLES_ANYWHERE))
#define REGIONAL (STS | DEVICE | FOR(CREDS_API_KEY) | FOR(CREDS_PROFILE))
#define SENDS    (REGIONAL & ~FOR(CREDS_API_KEY))
#define ASKED    (SENDS | FOR(CREDS_PROCESS) | FOR(CREDS_CONTAINER) | FOR(CREDS_IMDS))

/* Keys by the sources that have them, and of those the ones without which a source is nothing. */
static const struct {
	const char *key;
	unsigned int kinds, needed;
} key_kinds[] = {
	{"Credential", FOR(CREDS_SYSTEMD) | FOR(CREDS_API_KEY), 0},
	{"File", FOR(CREDS_FILE) | FOR(CREDS_API_KEY) | FOR(CREDS_PROFILE), FOR(CREDS_FILE)},
	{"ConfigFile", FOR(CREDS_PROFILE), 0},
	{"Profile", FOR(CREDS_SYSTEMD) | FOR(CREDS_FILE) | FOR(CREDS_PROFILE), 0},
	{"Command", FOR(CREDS_PROCESS), FOR(CREDS_PROCESS)},
	{"RoleArn", STS | FOR(CREDS_ROLES_ANYWHERE), STS | FOR(CREDS_ROLES_ANYWHERE)},
	{"SourceCredentials", FOR(CREDS_ASSUME_ROLE), FOR(CREDS_ASSUME_ROLE)},
	{"ExternalId", FOR(CREDS_ASSUME_ROLE), 0},
	{"SessionName", STS | FOR(CREDS_ROLES_ANYWHERE), 0},
	{"Duration", STS | FOR(CREDS_ROLES_ANYWHERE), 0},
	{"TokenFile", FOR(CREDS_WEB_IDENTITY) | FOR(CREDS_CONTAINER), FOR(CREDS_WEB_IDENTITY)},
	{"Certificate", DEVICE, DEVICE},
	{"Key", DEVICE, DEVICE},
	{"RoleAlias", FOR(CREDS_IOT), FOR(CREDS_IOT)},
	{"ThingName", FOR(CREDS_IOT), 0},
	{"TrustAnchorArn", FOR(CREDS_ROLES_ANYWHERE), FOR(CREDS_ROLES_ANYWHERE)},
	{"ProfileArn", FOR(CREDS_ROLES_ANYWHERE), FOR(CREDS_ROLES_ANYWHERE)},
	{"Version1", FOR(CREDS_IMDS), 0},
	{"Region", REGIONAL, 0},
	{"Endpoint", SENDS | FOR(CREDS_CONTAINER) | FOR(CREDS_IMDS), FOR(CREDS_IOT)},
	{"Timeout", ASKED, 0},
	{"ConnectTo", SENDS | FOR(CREDS_IMDS) | FOR(CREDS_CONTAINER), 0},
	{"CAFile", SENDS | FOR(CREDS_CONTAINER), 0},
};

static void check_keys(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	for (size_t i = 0; i < ARRAY_SIZE(key_kinds); i++) {
		bool seen = config_seen_find(rd, c, key_kinds[i].key);

		if (seen && !(key_kinds[i].kinds & FOR(c->kind)))
			config_problem(rd, c, title, key_kinds[i].key, "source %s has no such key", creds_kind_names[c->kind]);
		if (!seen && (key_kinds[i].needed & FOR(c->kind)))
			config_problem(rd, c, title, NULL, "%s= is missing; source %s needs it", key_kinds[i].key,
				creds_kind_names[c->kind]);
	}
}

static void check_lab(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	if (rd->config->lab)
		return;
	if (c->connect_to[0])
		config_problem(rd, c, title, "ConnectTo", "only with Lab=yes in [Service]");
	if (c->ca_file[0])
		config_problem(rd, c, title, "CAFile", "only with Lab=yes in [Service]");
}

static void complete(struct config_reading *rd, struct creds_config *c, const char *title)
{
	if (c->kind == CREDS_SYSTEMD && !c->credential[0])
		str_copy(c->credential, sizeof(c->credential), c->name);
	if ((REGIONAL & FOR(c->kind)) && !c->region[0])
		str_copy(c->region, sizeof(c->region), "ap-southeast-2");
	if (((STS | FOR(CREDS_PROFILE)) & FOR(c->kind)) && !c->endpoint[0])
		str_format(c->endpoint, sizeof(c->endpoint), "https://sts.%s.amazonaws.com/", c->region);
	if (strchr(c->credential, '/') || c->credential[0] == '.')
		config_problem(rd, c, title, "Credential", "the name of a credential has no '/' and does not begin with '.'");
}

/* Where the parts of IAM Roles Anywhere are is told by their ARNs. */
static void check_arns(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	const struct {
		const char *key, *service, *region, *arn;
	} arns[] = {
		{"TrustAnchorArn", "rolesanywhere", c->region, c->trust_anchor_arn},
		{"ProfileArn", "rolesanywhere", c->region, c->profile_arn},
		{"RoleArn", "iam", NULL, c->role_arn},
	};
	struct guard_policy policy;
	char why[320];

	if (c->kind != CREDS_ROLES_ANYWHERE)
		return;
	config_guard_policy(rd->config, &policy);
	for (size_t i = 0; i < ARRAY_SIZE(arns); i++) {
		if (arns[i].arn[0] && !guard_check_arn(&policy, arns[i].service, arns[i].region, arns[i].arn, why, sizeof(why)))
			config_problem(rd, c, title, arns[i].key, "%s", why);
	}
}

/* A Bedrock API key works for Bedrock alone, and a short-term one where it was made. */
static void check_api_key(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	for (size_t i = 0; c->kind == CREDS_API_KEY && i < rd->config->n_backends; i++) {
		const struct backend_config *b = &rd->config->backends[i];

		if (!streq(b->credentials, c->name))
			continue;
		if (b->kind == KIND_BEDROCK && b->bedrock.region[0] && !streq(b->bedrock.region, c->region))
			config_problem(rd, c, title, "Region", "is not the one of backend %s, which uses this key", b->name);
		if (b->kind == KIND_SAGEMAKER)
			config_problem(rd, c, title, "Source", "backend %s is a SageMaker endpoint, which does not take a Bedrock API key; "
				"give it keys of AWS", b->name);
	}
	for (size_t i = 0; c->kind == CREDS_API_KEY && i < rd->config->n_credentials; i++) {
		const struct creds_config *other = &rd->config->credentials[i];

		if (streq(other->source_credentials, c->name))
			config_problem(rd, other, title, "SourceCredentials", "%s is a Bedrock API key, which STS does not take", c->name);
	}
}

/* What the guard would say of every request: better now. */
static void check_residency(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	const struct guard_question q = {
		.sink = GUARD_STS,
		.url = c->endpoint,
		.connect_to = c->connect_to[0] ? c->connect_to : NULL,
		.region = c->region,
	};
	struct guard_policy p;
	char why[320];

	if (!((STS | FOR(CREDS_PROFILE)) & FOR(c->kind)))
		return;
	config_guard_policy(rd->config, &p);
	if (guard_check(&p, &q, why, sizeof(why)) != GUARD_ALLOW)
		config_problem(rd, c, title, config_seen_find(rd, c, "Endpoint") ? "Endpoint" : NULL, "%s", why);
	if (c->role_arn[0] && !guard_check_arn(&p, "iam", NULL, c->role_arn, why, sizeof(why)))
		config_problem(rd, c, title, "RoleArn", "%s", why);
}

static void check_command(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	char *argv[CREDS_ARGS_MAX + 1] = {NULL};

	if (!c->command[0])
		return;
	if (creds_split_command(c->command, argv) < 0)
		config_problem(rd, c, title, "Command", "an absolute path with at most %d words and closed quotes is needed",
			CREDS_ARGS_MAX);
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
}

/* Roles are assumed with roles: does it come back to where it began? */
static void check_loop(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	const struct creds_config *x = c;

	for (size_t i = 0; i <= rd->config->n_credentials && x && x->kind == CREDS_ASSUME_ROLE && x->source_credentials[0]; i++) {
		x = config_credentials(rd->config, x->source_credentials);
		if (!x)
			config_problem(rd, c, title, "SourceCredentials", "there is no such section");
		else if (x == c)
			config_problem(rd, c, title, "SourceCredentials", "it leads back to itself");
		if (x == c)
			return;
	}
}

/* What the laboratory and the residency say to it, when those are known. */
static void check_allowed(struct config_reading *rd, const struct creds_config *c, const char *title)
{
	if (!config_is_sound(rd, rd->config, "Service") || !config_is_sound(rd, rd->config, "Residency"))
		return;
	check_lab(rd, c, title);
	check_arns(rd, c, title);
	check_residency(rd, c, title);
}

void config_check_credentials(struct config_reading *rd)
{
	for (size_t i = 0; i < rd->config->n_credentials; i++) {
		struct creds_config *c = &rd->config->credentials[i];
		char title[sizeof(c->name) + 16];

		str_format(title, sizeof(title), "Credentials %s", c->name);
		if (!config_is_sound(rd, c, title))
			continue;
		if (c->kind < 0)
			config_problem(rd, c, title, NULL, "Source= is missing");
		else if (!creds_source_ops((enum creds_kind)c->kind))
			config_problem(rd, c, title, "Source", "this version does not know %s", creds_kind_names[c->kind]);
		else {
			check_keys(rd, c, title);
			complete(rd, c, title);
			check_api_key(rd, c, title);
			check_allowed(rd, c, title);
			check_command(rd, c, title);
			check_loop(rd, c, title);
		}
	}
}
