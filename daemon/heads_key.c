#include "daemon/heads_key.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/spool_internal.h"

#define KEY_BYTES_MAX 8192

void head_keys_forget(struct head_keys *k)
{
	signing_key_free(k->key);
	signing_key_free(k->next);
	k->key = k->next = NULL;
}

/* ---- making one ---------------------------------------------------------------------------------------- */

/* Under its name only when it is whole and on the disk; what is there is never replaced. */
static int key_write(struct spool *s, const char *name, const struct buf *pem)
{
	int dirfd = BUG("head-key-in-place") ? s->dirfd : s->tmp;
	_cleanup_close_ int fd = -1;
	int r;

	if (dirfd == s->tmp && unlinkat(s->tmp, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, buf_str(pem), pem->len / 2);
	STEP(HEAD_KEY_HALF);
	if (r >= 0)
		r = write_all(fd, buf_str(pem) + pem->len / 2, pem->len - pem->len / 2);
	if (r >= 0)
		r = fsync_retry(fd);
	if (r < 0 || dirfd == s->dirfd)
		return r;
	STEP(HEAD_KEY_WRITTEN);
	r = rename_durable(s->tmp, name, s->dirfd, name);
	if (r >= 0)
		STEP(HEAD_KEY_RENAMED);
	return r;
}

static int key_make(struct spool *s, const char *name)
{
	_cleanup_(buf_wipe) struct buf pem = {};
	struct signing_key *k;
	int r = signing_key_generate(&k);

	if (r < 0)
		return r;
	r = signing_key_print(k, &pem);
	signing_key_free(k);
	return r < 0 ? r : key_write(s, name, &pem);
}

static bool is_ours(const char *credential, const char *file)
{
	return !credential[0] && !file[0];
}

int head_keys_make_next(struct head_keys *k, char *why, size_t why_size)
{
	const struct receipts_config *c = k->config;
	int r;

	if (!is_ours(c->key_credential, c->key) || !is_ours(c->next_key_credential, c->next_key)) {
		str_format(why, why_size, "the configuration says where the key is: put the new one into NextKey= of [Receipts]");
		return -EOPNOTSUPP;
	}
	r = key_make(k->spool, HEAD_NEXT_FILE);
	if (r == -EEXIST) /* asked for before, and not yet done */
		r = 0;
	if (r < 0)
		str_format(why, why_size, "%s: %s", HEAD_NEXT_FILE, errno_text(r));
	return r;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/* 0, -ENOENT: there is none; else with a sentence. */
static int key_read(struct spool *s, const char *credential, const char *file, const char *own, struct signing_key **ret, char *why, size_t why_size)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_(buf_wipe) struct buf pem = {};
	const char *name = credential[0] ? credential : file[0] ? file : own;
	char path[512], said[120] = "";
	struct signing_key *k;
	int r;

	if (credential[0] && (!folder || str_format(path, sizeof(path), "%s/%s", folder, credential) < 0)) {
		str_format(why, why_size, "the service was started without the credential %s", credential);
		return -ENOKEY;
	}
	r = file_read(is_ours(credential, file) ? s->dirfd : AT_FDCWD, credential[0] ? path : name, KEY_BYTES_MAX, &pem);
	if (r == -ENOENT && is_ours(credential, file))
		return r;
	if (r < 0) {
		str_format(why, why_size, "%s: %s", name, errno_text(r));
		return r == -ENOENT ? -ENOKEY : r;
	}
	r = signing_key_parse(buf_str(&pem), pem.len, &k, said, sizeof(said));
	if (r >= 0 && signing_key_kind(k) != KEY_EC_P256) {
		signing_key_free(k);
		str_copy(said, sizeof(said), "is no EC key on P-256");
		r = -EBADMSG;
	}
	if (r < 0)
		str_format(why, why_size, "%s %s", name, said[0] ? said : errno_text(r));
	else
		*ret = k;
	return r;
}

static bool is_of(struct signing_key *k, const uint8_t public[static PUBLIC_KEY_SIZE])
{
	uint8_t own[PUBLIC_KEY_SIZE];

	return k && signing_key_public(k, own) >= 0 && memcmp(own, public, sizeof(own)) == 0;
}

int head_keys_changed(struct head_keys *k)
{
	const struct receipts_config *c = k->config;
	int r = 0;

	signing_key_free(k->key);
	k->key = take_ptr(k->next);
	if (is_ours(c->next_key_credential, c->next_key))
		r = replace_durable(k->spool->dirfd, HEAD_NEXT_FILE, k->spool->dirfd, HEAD_KEY_FILE);
	if (r >= 0)
		STEP(HEAD_KEY_CHANGED);
	return r;
}

/* What is found in the key's place is a key that never signed, or nothing, or not a key. */
static int make_instead(struct head_keys *k, int found, char *why, size_t why_size)
{
	struct spool *s = k->spool;
	int r = found;

	if (!is_ours(k->config->key_credential, k->config->key)) {
		if (found < 0)
			str_format(why, why_size, "the configuration says where the key is: put the new one there, Key= of [Receipts]");
		return found < 0 ? -EOPNOTSUPP : 0;
	}
	if (r < 0 && r != -ENOENT)
		r = quarantine_move(s, s->dirfd, HEAD_KEY_FILE, "it cannot be read as a key, and was replaced by a new one");
	if (r < 0 && r != -ENOENT)
		str_format(why, why_size, "%s: %s", HEAD_KEY_FILE, errno_text(r));
	else if (found < 0)
		r = key_make(s, HEAD_KEY_FILE);
	return r;
}

int head_keys_replace(struct head_keys *k, const struct chain *at, char *why, size_t why_size)
{
	const struct receipts_config *c = k->config;
	struct signing_key *key = NULL, *next = NULL;
	int r;

	if (at->heads == 0) {
		str_format(why, why_size, "nothing is signed yet: there is no key that could be lost");
		return -EEXIST;
	}
	key_read(k->spool, c->next_key_credential, c->next_key, HEAD_NEXT_FILE, &next, why, why_size);
	why[0] = '\0';
	r = key_read(k->spool, c->key_credential, c->key, HEAD_KEY_FILE, &key, why, why_size);
	if (is_of(key, at->key) || is_of(next, at->key)) {
		str_format(why, why_size, "the key that signed last is there: it hands over to another one with pageferryctl audit rotate");
		r = -EEXIST;
	} else if (r != -ENOMEM) {
		r = make_instead(k, r, why, why_size);
	}
	signing_key_free(key);
	signing_key_free(next);
	if (r >= 0) {
		head_keys_forget(k);
		k->replaces = true;
	}
	return r;
}

/* The one that the last head named. */
static int pick(struct head_keys *k, const struct chain *at, char *why, size_t why_size)
{
	if (at->heads == 0 || is_of(k->key, at->key)) {
		k->replaces = false; /* it is back */
		return k->key ? 0 : -ENOKEY;
	}
	/* Changed, and cut off before the file was. */
	if (is_of(k->next, at->key))
		return head_keys_changed(k);
	/* A change that was asked for too comes with the head after this one. */
	if (k->replaces && k->key) {
		signing_key_free(k->next);
		k->next = NULL;
		return 0;
	}
	str_format(why, why_size, "the key is %s: put the one back that signed head %lld", k->key ? "another one" : "missing", (long long)at->heads);
	return -EKEYREJECTED;
}

int head_keys_load(struct head_keys *k, const struct chain *at, char *why, size_t why_size)
{
	const struct receipts_config *c = k->config;
	struct spool *s = k->spool;
	int r;

	head_keys_forget(k);
	r = key_read(s, c->key_credential, c->key, HEAD_KEY_FILE, &k->key, why, why_size);
	/* A chain that has begun goes on by its own key alone. */
	if (r == -ENOENT && at->heads == 0) {
		r = key_make(s, HEAD_KEY_FILE);
		if (r >= 0)
			r = key_read(s, "", "", HEAD_KEY_FILE, &k->key, why, why_size);
		else
			str_format(why, why_size, "%s: %s", HEAD_KEY_FILE, errno_text(r));
	}
	if (r >= 0 || r == -ENOENT)
		r = key_read(s, c->next_key_credential, c->next_key, HEAD_NEXT_FILE, &k->next, why, why_size);
	if (r >= 0 || r == -ENOENT)
		r = pick(k, at, why, why_size);
	if (r >= 0 && k->next && is_of(k->next, at->key)) { /* done long ago */
		signing_key_free(k->next);
		k->next = NULL;
	}
	if (r < 0)
		head_keys_forget(k);
	return r;
}
