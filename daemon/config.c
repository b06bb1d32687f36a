/* Reading the configuration. Its keys are in config_keys.c, checks across keys in config_check.c. */
#include "daemon/config_internal.h"

#include <fcntl.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/parse.h"

static struct backend_config *backend_make(struct config_reading *rd, const char *name, char *why, size_t why_size)
{
	struct config *c = rd->config;
	struct backend_config *b;

	if (c->n_backends == BACKENDS_MAX) {
		str_format(why, why_size, "more than %d backends", BACKENDS_MAX);
		return NULL;
	}
	b = &c->backends[c->n_backends++];
	str_copy(b->name, sizeof(b->name), name);
	ini_defaults_named(&rd->table, CONFIG_BACKEND_SECTION, b);
	b->kind = streq(name, "ocr") ? KIND_OCR : -1;
	b->price_per_request_pusd = -1;
	return b;
}

static struct watch_config *watch_section(struct config_reading *rd, const char *name, char *why, size_t why_size)
{
	struct config *c = rd->config;
	struct watch_config *w;

	for (size_t i = 0; i < c->n_watches; i++)
		if (streq(c->watches[i].name, name))
			return &c->watches[i];
	if (c->n_watches == WATCH_FOLDERS_MAX) {
		str_format(why, why_size, "more than %d watched folders", WATCH_FOLDERS_MAX);
		return NULL;
	}
	w = &c->watches[c->n_watches++];
	str_copy(w->name, sizeof(w->name), name);
	ini_defaults_named(&rd->table, CONFIG_WATCH_SECTION, w);
	return w;
}

static struct creds_config *credentials_section(struct config_reading *rd, const char *name, char *why, size_t why_size)
{
	struct config *c = rd->config;
	struct creds_config *x;

	for (size_t i = 0; i < c->n_credentials; i++)
		if (streq(c->credentials[i].name, name))
			return &c->credentials[i];
	if (c->n_credentials == CREDENTIALS_MAX) {
		str_format(why, why_size, "more than %d sections of credentials", CREDENTIALS_MAX);
		return NULL;
	}
	x = &c->credentials[c->n_credentials++];
	str_copy(x->name, sizeof(x->name), name);
	ini_defaults_named(&rd->table, CONFIG_CREDENTIALS_SECTION, x);
	x->kind = streq(name, "aws") ? CREDS_SYSTEMD : -1;
	return x;
}

static void *find_section(void *ud, const char *section, const char *name, char *why, size_t why_size)
{
	struct config_reading *rd = ud;

	if (!name)
		return rd->config;
	if (parse_name(name) < 0) {
		str_format(why, why_size, "a name has 1 to 32 of a-z, 0-9 and -, and does not start with -");
		return NULL;
	}
	if (streq(section, CONFIG_WATCH_SECTION))
		return watch_section(rd, name, why, why_size);
	if (streq(section, CONFIG_CREDENTIALS_SECTION))
		return credentials_section(rd, name, why, why_size);
	for (size_t i = 0; i < rd->config->n_backends; i++)
		if (streq(rd->config->backends[i].name, name))
			return &rd->config->backends[i];
	return backend_make(rd, name, why, why_size);
}

static void note_seen(void *ud, const struct ini_key *key, void *section, const struct ini_where *where)
{
	struct config_reading *rd = ud;
	struct config_seen *s;

	if (rd->n_seen == ARRAY_SIZE(rd->seen))
		return; /* messages then lack a line number; nothing else depends on it but unused keys */
	s = &rd->seen[rd->n_seen++];
	s->key = key;
	s->section = section;
	s->line = where->line;
	str_copy(s->file, sizeof(s->file), where->file);
}

static void note_wrong(void *ud, const char *name, const void *section)
{
	struct config_reading *rd = ud;
	struct config_wrong *w;

	if (!config_is_sound(rd, section, name) || rd->n_wrong == ARRAY_SIZE(rd->wrong))
		return;
	w = &rd->wrong[rd->n_wrong++];
	w->section = section;
	str_copy(w->name, sizeof(w->name), name); /* each name of the table fits */
}

static void reading_init(struct config_reading *rd, struct config *c)
{
	rd->config = c;
	rd->table = (struct ini_table){config_keys, config_keys_count, find_section, rd, note_seen, note_wrong};
}

int config_read(const char *file, bool optional, struct config *ret, struct buf *errors)
{
	_cleanup_free_ struct config_reading *rd = calloc(1, sizeof(*rd));
	_cleanup_free_ struct config *c = calloc(1, sizeof(*c));
	char why[80];
	int r, e;

	if (!rd || !c)
		return -ENOMEM;
	reading_init(rd, c);
	rd->file = file;
	rd->errors = errors;
	ini_defaults(&rd->table);
	if (!backend_make(rd, "ocr", why, sizeof(why)) || !credentials_section(rd, "aws", why, sizeof(why)))
		return -ENOSPC;
	r = ini_read(&rd->table, file, optional, errors);
	if (r < 0 && r != -EINVAL)
		return r;
	e = config_check(rd); /* also after an error: all that can be told is told at once */
	if (r < 0 || e < 0)
		return r < 0 ? r : e;
	*ret = *c;
	return 0;
}

int config_help(struct buf *out)
{
	_cleanup_free_ struct config_reading *rd = calloc(1, sizeof(*rd));
	_cleanup_free_ struct config *c = calloc(1, sizeof(*c));

	if (!rd || !c)
		return -ENOMEM;
	reading_init(rd, c);
	return ini_help(&rd->table, out);
}

const struct backend_config *config_backend(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_backends; i++)
		if (streq(c->backends[i].name, name))
			return &c->backends[i];
	return NULL;
}

const struct creds_config *config_credentials(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_credentials; i++)
		if (streq(c->credentials[i].name, name))
			return &c->credentials[i];
	return NULL;
}

static int key_read(const char *path, char *out, size_t size)
{
	struct buf b = BUF_MAX(size - 1);
	int r = file_read(AT_FDCWD, path, size - 1, &b);

	while (r >= 0 && b.len > 0 && strchr(" \t\r\n", b.data[b.len - 1]))
		b.len--;
	if (r >= 0 && (b.len == 0 || memchr(b.data, '\0', b.len) || memchr(b.data, '\n', b.len)))
		r = -EBADMSG;
	if (r >= 0) {
		memcpy(out, b.data, b.len);
		out[b.len] = '\0';
		r = 0;
	}
	buf_wipe(&b);
	return r;
}

int config_api_key(const struct backend_config *b, char *out, size_t size, char *why, size_t why_size)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_SIZE + 80];
	int r;

	out[0] = '\0';
	if (b->api_key_credential[0]) {
		if (!folder || str_format(path, sizeof(path), "%s/%s", folder, b->api_key_credential) < 0) {
			str_format(why, why_size, "the service was started without the credential %s", b->api_key_credential);
			return -ENOKEY;
		}
	} else if (b->api_key_file[0]) {
		str_copy(path, sizeof(path), b->api_key_file);
	} else {
		return 0;
	}
	r = key_read(path, out, size);
	if (r < 0)
		str_format(why, why_size, "API key in %s: %s", path, r == -EBADMSG ? "not one line" : errno_text(r));
	return r;
}
