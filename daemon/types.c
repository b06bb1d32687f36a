/* The installed document types: the shipped folder and the operator's own. */
#include "daemon/service.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "base/log.h"

#define TYPE_FILE_MAX ((size_t)256 << 10)

static int only_json(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && len > 5 && streq(e->d_name + len - 5, ".json");
}

/* A type of the same name takes the other's place. Takes t in every case. */
static int keep(struct typeset *s, struct doctype *t)
{
	for (size_t i = 0; i < s->n_types; i++)
		if (streq(s->types[i]->name, t->name)) {
			doctype_free(s->types[i]);
			s->types[i] = t;
			return 0;
		}
	if (s->n_types == TYPESET_MAX) {
		doctype_free(t);
		return -E2BIG;
	}
	s->types[s->n_types++] = t;
	return 0;
}

static int load_file(int dirfd, const char *folder, const char *name, struct typeset *s, struct buf *errors)
{
	_cleanup_buf_ struct buf text = BUF_MAX(TYPE_FILE_MAX);
	struct doctype *t = NULL;
	char why[320] = "";
	int r = file_read(dirfd, name, TYPE_FILE_MAX, &text);

	if (r >= 0)
		r = doctype_parse(buf_str(&text), text.len, &t, why, sizeof(why));
	if (r >= 0)
		r = keep(s, t);
	if (r < 0)
		buf_addf(errors, "%s/%s: %s\n", folder, name, why[0] ? why : r == -E2BIG ? "too many document types" : errno_text(r));
	return r;
}

static int load_folder(const char *folder, bool optional, struct typeset *s, struct buf *errors)
{
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int n, r = 0, e;

	if (fd < 0 && errno == ENOENT && optional)
		return 0;
	n = fd < 0 ? -1 : scandirat(fd, ".", &names, only_json, alphasort);
	if (n < 0) {
		r = -errno;
		buf_addf(errors, "%s: %s\n", folder, errno_text(r));
		return r;
	}
	for (int i = 0; i < n; i++) {
		e = load_file(fd, folder, names[i]->d_name, s, errors);
		if (e < 0 && r == 0)
			r = e;
		free(names[i]);
	}
	free(names);
	return r;
}

static void universal_first(struct typeset *s)
{
	for (size_t i = 1; i < s->n_types; i++)
		if (streq(s->types[i]->name, "universal")) {
			struct doctype *t = s->types[i];

			for (; i > 0; i--)
				s->types[i] = s->types[i - 1];
			s->types[0] = t;
			return;
		}
}

int types_load(const struct config *c, struct typeset **ret, struct buf *errors)
{
	struct typeset *s = calloc(1, sizeof(*s));
	int r, e;

	if (!s || !(s->types = calloc(TYPESET_MAX, sizeof(struct doctype *)))) {
		free(s);
		return -ENOMEM;
	}
	r = load_folder(c->documents, false, s, errors);
	e = load_folder(c->documents_local, true, s, errors);
	if (r >= 0)
		r = e;
	if (r >= 0 && !typeset_find(s, "universal")) {
		buf_addf(errors, "%s: there is no document type \"universal\"\n", c->documents);
		r = -ENOENT;
	}
	if (r >= 0 && !streq(c->type, "auto") && !typeset_find(s, c->type)) {
		buf_addf(errors, "[Capture] Type=%s: there is no such document type\n", c->type);
		r = -ENOENT;
	}
	if (r < 0) {
		typeset_free(s);
		return r;
	}
	universal_first(s);
	*ret = s;
	return 0;
}
