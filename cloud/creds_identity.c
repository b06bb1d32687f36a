#include "cloud/creds_identity.h"

#include "base/clock.h"
#include "base/log.h"

static int path_of(const char *name, char *path, size_t size)
{
	if (name[0] == '/')
		return str_copy(path, size, name) < 0 ? -ENAMETOOLONG : 0;
	return creds_systemd_path(name, path, size);
}

static int end(struct creds_step *step, const char *reason, const char *what, const char *name, const char *text)
{
	creds_fail(step, reason, "%s %s: %s", what, name, text);
	return -EBADMSG;
}

static int read_pem(
	const char *what, const char *name, bool secret, char **ret, size_t *ret_len, struct creds_step *step)
{
	char path[512];
	int r = path_of(name, path, sizeof(path));

	if (r == -ENOKEY)
		r = -ENOENT;
	if (r >= 0)
		r = secret ? creds_read_secret(path, CREDS_PEM_MAX, ret, ret_len) :
			     creds_read_text(path, CREDS_PEM_MAX, ret, ret_len);
	switch (r) {
	case -ENOMEM:
		return r;
	case -ENOENT:
		return end(step, "no-credentials", what, name,
			name[0] == '/' ? "there is no such file"
				       : "the service was started without this systemd credential; give it with LoadCredential= in "
					 "a drop-in, and restart");
	case -EPERM:
		return end(step, "key-permissions", what, name,
			"others may read it: chmod 0600 (or 0640 with the service's group), and take a new key if it was exposed");
	case -EBADMSG:
		return end(step, "bad-credentials", what, name, "is not a text file");
	case -EFBIG:
		return end(step, "bad-credentials", what, name, "is larger than 64 KiB");
	default:
		return r < 0 ? end(step, "bad-credentials", what, name, errno_text(r)) : 0;
	}
}

static int load_key(const struct creds_config *c, struct creds_identity *i, struct creds_step *step)
{
	char why[160];
	size_t len;
	int r = read_pem("Key=", c->key, true, &i->key_pem, &len, step);

	if (r < 0)
		return r;
	r = signing_key_parse(i->key_pem, len, &i->key, why, sizeof(why));
	return r == -EBADMSG ? end(step, "bad-credentials", "Key=", c->key, why) : r;
}

static int load_certificates(const struct creds_config *c, struct creds_identity *i, struct creds_step *step)
{
	char why[160];
	size_t len;
	int r = read_pem("Certificate=", c->certificate, false, &i->cert_pem, &len, step);

	if (r < 0)
		return r;
	r = certificates_parse(i->cert_pem, len, &i->certs, why, sizeof(why));
	return r == -EBADMSG ? end(step, "bad-credentials", "Certificate=", c->certificate, why) : r;
}

int creds_identity_load(const struct creds_config *c, struct creds_identity *ret, struct creds_step *step)
{
	struct creds_identity i = {};
	int r = load_certificates(c, &i, step);

	if (r >= 0)
		r = load_key(c, &i, step);
	if (r >= 0 && !certificates_match(&i.certs, i.key))
		r = end(step, "bad-credentials", "Key=", c->key, "does not belong to the first certificate of Certificate=");
	if (r < 0) {
		creds_identity_clear(&i);
		return r;
	}
	*ret = i;
	return 0;
}

void creds_identity_clear(struct creds_identity *i)
{
	creds_text_free(i->cert_pem, CREDS_PEM_MAX);
	creds_text_free(i->key_pem, CREDS_PEM_MAX);
	certificates_clear(&i->certs);
	signing_key_free(i->key);
	*i = (struct creds_identity){};
}

void creds_identity_dates(const struct creds_identity *i, int64_t now_ms, char *out, size_t size)
{
	char when[TIMESTAMP_SIZE];

	out[0] = '\0';
	for (size_t n = 0; n < i->certs.n; n++) {
		const struct certificate *one = &i->certs.list[n];
		bool early = now_ms / 1000 < one->not_before;

		if (!early && now_ms / 1000 <= one->not_after)
			continue;
		timestamp_format((early ? one->not_before : one->not_after) * 1000, false, when);
		str_format(out, size, early ? " The certificate is valid only from %s: is the clock right?"
					    : " The certificate has expired on %s: give the device a new one", when);
		return;
	}
}
