/* A file with keys, INI as the AWS command line writes it or JSON; or a systemd credential of the same content. */
#include "cloud/creds_shared.h"
#include "cloud/creds_source.h"

#include "base/log.h"
#include "base/text.h"

static int parse_ini(const char *text, size_t len, const char *name, struct creds *c, char *why, size_t size)
{
	struct shared_profile p = {};
	int r = shared_profile_read(text, len, name, &p, why, size);

	if (r >= 0 && !p.found) {
		str_format(why, size, "has no profile [%s]", name);
		r = -EBADMSG;
	} else if (r >= 0 && !p.values[SHARED_ACCESS_KEY] && !p.values[SHARED_SECRET_KEY] &&
		   (p.values[SHARED_ROLE_ARN] || p.values[SHARED_PROCESS] || p.values[SHARED_SSO])) {
		str_copy(why, size, "the profile has no keys but says where to get some, which Source=profile follows");
		r = -EBADMSG;
	} else if (r >= 0) {
		r = shared_profile_creds(&p, c, why, size);
	}
	shared_profile_clear(&p);
	return r;
}

/* As credential helpers print it. */
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

/* Reads `path`; `absent` is what to say when it is not there. */
static int load(const struct creds_config *c, const char *path, const char *absent, struct creds_step *ret)
{
	const char *profile = c->profile[0] ? c->profile : "default";
	char *text = NULL, why[160] = "";
	size_t len = 0;
	int r = creds_read_text(path, SHARED_FILE_MAX, &text, &len);

	ret->local = true;
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
		r = parse_ini(text, len, profile, &ret->creds, why, sizeof(why));
	creds_text_free(text, SHARED_FILE_MAX);
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

	ret->local = true;
	name_source(&ret->creds, "systemd credential", c->credential);
	r = creds_systemd_path(c->credential, path, sizeof(path));
	if (r < 0)
		return creds_fail(ret, "no-credentials", "%s: %s", ret->creds.source, absent);
	return load(c, path, absent, ret);
}

const struct creds_source_ops creds_source_file = {.next = file_next};
const struct creds_source_ops creds_source_systemd = {.next = systemd_next};
