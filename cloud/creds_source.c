/* What all sources share. */
#include "cloud/creds_source.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "base/text.h"

struct creds_source {
	const struct creds_config *config;
	const struct creds_source_ops *ops;
	max_align_t state[];
};

const char *const creds_kind_names[CREDS_KINDS + 1] = {
	[CREDS_SYSTEMD] = "systemd-credential",
	[CREDS_FILE] = "file",
	[CREDS_ENVIRONMENT] = "environment",
	[CREDS_PROCESS] = "process",
	[CREDS_ASSUME_ROLE] = "assume-role",
	[CREDS_WEB_IDENTITY] = "web-identity",
	[CREDS_CONTAINER] = "container",
	[CREDS_IMDS] = "imds",
	[CREDS_IOT] = "iot",
	[CREDS_ROLES_ANYWHERE] = "roles-anywhere",
	[CREDS_API_KEY] = "api-key",
	[CREDS_PROFILE] = "profile",
};

const struct creds_source_ops *creds_source_ops(enum creds_kind k)
{
	static const struct creds_source_ops *const all[CREDS_KINDS] = {
		[CREDS_SYSTEMD] = &creds_source_systemd,
		[CREDS_FILE] = &creds_source_file,
		[CREDS_ENVIRONMENT] = &creds_source_environment,
		[CREDS_PROCESS] = &creds_source_process,
		[CREDS_ASSUME_ROLE] = &creds_source_assume_role,
		[CREDS_WEB_IDENTITY] = &creds_source_web_identity,
		[CREDS_CONTAINER] = &creds_source_container,
		[CREDS_IMDS] = &creds_source_imds,
		[CREDS_IOT] = &creds_source_iot,
		[CREDS_ROLES_ANYWHERE] = &creds_source_roles_anywhere,
		[CREDS_API_KEY] = &creds_source_api_key,
		[CREDS_PROFILE] = &creds_source_profile,
	};

	return (size_t)k < CREDS_KINDS ? all[k] : NULL;
}

int creds_source_new(const struct creds_config *c, struct creds_source **ret)
{
	const struct creds_source_ops *ops = creds_source_ops((enum creds_kind)c->kind);
	struct creds_source *s;

	if (!ops)
		return -EOPNOTSUPP;
	s = calloc(1, sizeof(*s) + ops->state_size);
	if (!s)
		return -ENOMEM;
	s->config = c;
	s->ops = ops;
	*ret = s;
	return 0;
}

void creds_source_free(struct creds_source *s)
{
	if (!s)
		return;
	if (s->ops->clear)
		s->ops->clear(s->state);
	wipe(s->state, s->ops->state_size);
	free(s);
}

int creds_source_next(struct creds_source *s, const struct creds_input *in, struct creds_step *ret)
{
	struct creds_step step = {};
	int r = s->ops->next(s->config, s->state, in, &step);

	if (r < 0) {
		creds_step_clear(&step);
		return r;
	}
	*ret = step;
	wipe(&step, sizeof(step));
	return 0;
}

void creds_step_clear(struct creds_step *s)
{
	request_free(&s->request);
	for (size_t i = 0; i < CREDS_ARGS_MAX && s->argv[i]; i++)
		free(s->argv[i]);
	creds_clear(&s->creds);
	*s = (struct creds_step){};
}

int creds_fail(struct creds_step *s, const char *reason, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->action = CREDS_FAILED;
	str_copy(s->reason, sizeof(s->reason), reason);
	text_safe_copy(s->message, sizeof(s->message), text);
	return 0;
}

static int read_file(const char *path, size_t max, mode_t refused, char **ret, size_t *ret_len)
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
	if (st.st_mode & refused)
		return -EPERM;
	text = calloc(1, max + 2);
	if (!text)
		return -ENOMEM;
	n = read_full(fd, text, max + 1);
	if (n >= 0 && (size_t)n > max)
		n = -EFBIG;
	else if (n >= 0 && memchr(text, '\0', (size_t)n))
		n = -EBADMSG;
	if (n < 0) {
		creds_text_free(text, max);
		return (int)n;
	}
	*ret = text;
	*ret_len = (size_t)n;
	return 0;
}

int creds_read_text(const char *path, size_t max, char **ret, size_t *ret_len)
{
	return read_file(path, max, 0, ret, ret_len);
}

int creds_read_secret(const char *path, size_t max, char **ret, size_t *ret_len)
{
	return read_file(path, max, S_IWGRP | S_IRWXO, ret, ret_len);
}

void creds_text_free(char *text, size_t max)
{
	if (text)
		wipe(text, max + 1);
	free(text);
}

int creds_systemd_path(const char *name, char *path, size_t size)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (!folder || !*folder)
		return -ENOKEY;
	return str_format(path, size, "%s/%s", folder, name) < 0 ? -ENAMETOOLONG : 0;
}
