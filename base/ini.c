#include "base/ini.h"

#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/ini_internal.h"
#include "base/log.h"
#include "base/text.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define DROPINS_MAX    256
#define SECTIONS_MAX   64  /* sections in all files together */
#define PROBLEMS_MAX   100 /* told; more are only counted */
#define SHOWN_COLUMNS  60  /* of an offending text */

/* A section that some file has named. */
struct seen_section {
	char *name;
	void *target;           /* its struct */
	unsigned int file;      /* the last file that opened it ... */
	unsigned int line;      /* ... and where */
	unsigned int *key_file; /* by row of the table: the last file with that key ... */
	unsigned int *key_line; /* ... and its line */
};

/* One reading of a configuration: several files. */
struct reading {
	const struct ini_table *table;
	struct buf *errors;
	unsigned int problems;
	struct seen_section sections[SECTIONS_MAX];
	size_t n_sections;
	/* the file at hand */
	const char *file;
	unsigned int file_number; /* from 1 */
	struct ini_lines lines;
	struct ini_line line;
	struct seen_section *section; /* NULL: before the first, or in one that was refused */
	bool refused;                 /* the section was refused: its keys are not told one by one */
	int error;                    /* -ENOMEM of the reader */
};

/* One line of `errors`. `key` and `value` may be NULL; all three are text from the file. */
static void problem(struct reading *x, const char *section, const char *key, const char *value,
	const char *what, const char *expected)
{
	char safe_section[SHOWN_COLUMNS + 1], safe_key[SHOWN_COLUMNS + 1],
		safe_value[4 * SHOWN_COLUMNS + 1] = "";
	struct buf *e = x->errors;

	if (x->section && x->table->wrong)
		x->table->wrong(x->table->ud, x->section->name, x->section->target);
	if (++x->problems > PROBLEMS_MAX)
		return;
	buf_addf(e, "%s:%u: ", x->file, x->line.number);
	if (section)
		buf_addf(e, "[%s] ", text_safe_copy(safe_section, sizeof(safe_section), section));
	if (key)
		buf_addf(e, "%s", text_safe_copy(safe_key, sizeof(safe_key), key));
	if (key && value)
		buf_addf(e, "=%s", text_safe_copy(safe_value, sizeof(safe_value), value));
	buf_addf(e, "%s%s", key ? ": " : "", what);
	if (expected && *expected)
		buf_addf(e, "; expected %s", expected);
	buf_addc(e, '\n');
}

/* A problem of a whole file. */
static int file_problem(struct reading *x, const char *file, const char *what)
{
	if (++x->problems <= PROBLEMS_MAX)
		buf_addf(x->errors, "%s: %s\n", file, what);
	return -EINVAL;
}

static const char *what_is_wrong(int error)
{
	switch (error) {
	case -EINVAL:
		return "this value is not valid";
	case -ERANGE:
		return "this value is out of range";
	case -ENOBUFS:
	case -ENAMETOOLONG:
		return "this value is too long";
	default:
		return errno_text(error);
	}
}

/* ---- sections ------------------------------------------------------------------------------------------ */

static const struct ini_key *row_of_section(
	const struct ini_table *t, const char *name, const char **ret_name)
{
	for (size_t i = 0; i < t->n_keys; i++)
		if (ini_section_matches(t->keys[i].section, name, ret_name))
			return &t->keys[i];
	return NULL;
}

/* How far a known name may be from a mistyped one: one letter in three, two at most. */
static unsigned int edits_allowed(const char *name)
{
	return (unsigned int)MIN(strlen(name) / 3, (size_t)2);
}

/* The known section that looks most like `name`, or NULL. [Backend] alone finds "Backend *". */
static const char *nearest_section(const struct ini_table *t, const char *name)
{
	const char *best = NULL;
	unsigned int limit = edits_allowed(name);

	for (size_t i = 0; i < t->n_keys; i++) {
		const char *s = t->keys[i].section;
		size_t len = strlen(s);
		unsigned int d = ini_distance(name, s, limit);

		if (ini_section_named(s) && strncmp(name, s, len - 2) == 0 && name[len - 2] == 0)
			return s;
		if (d <= limit) {
			best = s;
			limit = d > 0 ? d - 1 : 0;
			if (d == 0)
				break;
		}
	}
	return best;
}

static void unknown_section(struct reading *x, const char *name)
{
	/* Not looked for when nobody will read it. */
	const char *near = x->problems < PROBLEMS_MAX ? nearest_section(x->table, name) : NULL;
	char hint[128] = "";

	if (near && ini_section_named(near))
		str_format(hint, sizeof(hint), "[%.*sNAME]", (int)strlen(near) - 1, near);
	else if (near)
		str_format(hint, sizeof(hint), "[%s]", near);
	problem(x, name, NULL, NULL, "there is no such section", hint);
}

static void seen_free(struct seen_section *s)
{
	free(s->name);
	free(s->key_file);
	free(s->key_line);
	*s = (struct seen_section){};
}

/* Makes a section's place in the list; its struct gets its defaults when it is a named one. */
static struct seen_section *section_new(
	struct reading *x, const char *full, const char *row, const char *name)
{
	struct seen_section *s = &x->sections[x->n_sections];
	char why[128] = "this section is not allowed here";
	void *target;

	if (x->n_sections == SECTIONS_MAX) {
		problem(x, full, NULL, NULL, "there are too many sections", NULL);
		return NULL;
	}
	target = x->table->section(x->table->ud, row, name, why, sizeof(why));
	if (!target) {
		problem(x, full, NULL, NULL, why, NULL);
		return NULL;
	}
	s->name = strdup(full);
	s->key_file = calloc(x->table->n_keys, sizeof(unsigned int));
	s->key_line = calloc(x->table->n_keys, sizeof(unsigned int));
	if (!s->name || !s->key_file || !s->key_line) {
		seen_free(s);
		x->error = -ENOMEM;
		return NULL;
	}
	s->target = target;
	if (name)
		ini_defaults_named(x->table, row, target);
	x->n_sections++;
	return s;
}

/* "Backend   sydney" is "Backend sydney". */
static const char *plain_name(char out[static 128], const char *row, const char *name, const char *full)
{
	if (!name || str_format(out, 128, "%.*s%s", (int)strlen(row) - 1, row, name) < 0)
		return full;
	return out;
}

static void open_section(struct reading *x, const char *raw)
{
	const char *name, *full;
	const struct ini_key *row = row_of_section(x->table, raw, &name);
	char plain[128], what[64];
	struct seen_section *s = NULL;

	x->section = NULL;
	x->refused = true;
	if (!row || (name && !*name)) {
		unknown_section(x, raw);
		return;
	}
	full = plain_name(plain, row->section, name, raw);
	for (size_t i = 0; i < x->n_sections; i++)
		if (streq(x->sections[i].name, full))
			s = &x->sections[i];
	if (!s)
		s = section_new(x, full, row->section, name);
	if (!s)
		return;
	if (s->file == x->file_number) {
		str_format(what, sizeof(what), "this section was opened before, in line %u", s->line);
		problem(x, full, NULL, NULL, what, NULL);
	} else {
		s->line = x->line.number;
	}
	s->file = x->file_number;
	x->section = s;
	x->refused = false;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

static void unknown_key(struct reading *x, const char *section, const char *key)
{
	const struct ini_table *t = x->table;
	const char *near = NULL, *elsewhere = NULL, *unused;
	unsigned int limit = edits_allowed(key);
	char hint[160] = "";

	for (size_t i = 0; i < t->n_keys && x->problems < PROBLEMS_MAX; i++) {
		const struct ini_key *k = &t->keys[i];
		unsigned int d;

		if (!ini_section_matches(k->section, section, &unused)) {
			if (streq(k->key, key))
				elsewhere = k->section;
			continue;
		}
		d = ini_distance(key, k->key, limit);
		if (d <= limit && (!near || d < limit)) {
			near = k->key;
			limit = d;
		}
	}
	if (near)
		str_format(hint, sizeof(hint), "%s=", near);
	else if (elsewhere)
		str_format(hint, sizeof(hint), "it in section [%s]", elsewhere);
	problem(x, section, key, NULL, "there is no such key", hint);
}

static const struct ini_key *row_of_key(const struct ini_table *t, const char *section, const char *key)
{
	const char *unused;

	for (size_t i = 0; i < t->n_keys; i++)
		if (streq(t->keys[i].key, key) && ini_section_matches(t->keys[i].section, section, &unused))
			return &t->keys[i];
	return NULL;
}

static void set_key(struct reading *x, const char *key, const char *value)
{
	struct seen_section *s = x->section;
	const struct ini_key *row;
	char allowed[256] = "", what[64];
	size_t i;
	int r;

	if (!s) {
		if (!x->refused)
			problem(x, NULL, key, value, "this key is before the first section", NULL);
		return;
	}
	row = row_of_key(x->table, s->name, key);
	if (!row) {
		unknown_key(x, s->name, key);
		return;
	}
	i = (size_t)(row - x->table->keys);
	if (s->key_file[i] == x->file_number) {
		str_format(what, sizeof(what), "this key was set before, in line %u", s->key_line[i]);
		problem(x, s->name, key, value, what, NULL);
		return;
	}
	s->key_file[i] = x->file_number;
	s->key_line[i] = x->line.number;
	r = row->parse(value, (char *)s->target + row->offset, row->arg, allowed, sizeof(allowed));
	if (r < 0)
		problem(x, s->name, key, value, what_is_wrong(r), allowed);
	else if (x->table->seen)
		x->table->seen(x->table->ud, row, s->target,
			&(struct ini_where){.file = x->file, .line = x->line.number});
}

/* ---- libinih ------------------------------------------------------------------------------------------- */

/*
 * What libinih does with a line depends on its version: 55 cuts it at 199 bytes and takes the rest for a new
 * line, " ;" starts a comment in a value, names are cut at 49 bytes, an indented line repeats the key before
 * it, and the handler is told no line number. So this reader takes a line apart itself, remembers it in
 * x->line, and hands libinih a short line of the same kind that every version reads alike; the handler,
 * called before the next line is asked for, uses what was remembered. A section without keys reaches no
 * handler, so sections are opened here.
 */
static char *surrogate_line(char *str, int size, void *stream)
{
	struct reading *x = stream;

	for (;;) {
		int kind = ini_lines_next(&x->lines, &x->line);

		if (kind < 0)
			x->error = kind;
		if (kind < 0 || x->error < 0)
			return NULL;
		switch (kind) {
		case INI_LINE_SECTION:
			open_section(x, x->line.section);
			return str_copy(str, (size_t)size, "[section]\n") < 0 ? NULL : str;
		case INI_LINE_KEY:
			return str_copy(str, (size_t)size, "key=value\n") < 0 ? NULL : str;
		case INI_LINE_BAD:
			problem(x, x->section ? x->section->name : NULL, x->line.key, NULL, x->line.problem,
				NULL);
			break;
		default:
			return NULL;
		}
	}
}

static int on_key(void *ud, const char *section, const char *name, const char *value)
{
	struct reading *x = ud;

	set_key(x, x->line.key, x->line.value);
	return 1;
}

static int read_text(struct reading *x, const char *name, const char *text, size_t len)
{
	unsigned int before = x->problems;
	int r;

	x->file = name;
	x->file_number++;
	x->section = NULL;
	x->refused = false;
	if (len > FILE_MAX_BYTES)
		return file_problem(x, name, "the file is longer than 1 MiB");
	ini_lines_init(&x->lines, text, len);
	r = ini_parse_stream(surrogate_line, x, on_key, x);
	buf_free(&x->lines.line);
	if (x->error < 0)
		return x->error;
	if (r != 0) /* it had nothing but surrogate lines to complain about */
		return file_problem(x, name, "the INI library cannot read it");
	return x->problems > before ? -EINVAL : 0;
}

static void reading_free(struct reading *x)
{
	if (x->problems > PROBLEMS_MAX)
		buf_addf(x->errors, "and %u more problems\n", x->problems - PROBLEMS_MAX);
	for (size_t i = 0; i < x->n_sections; i++)
		seen_free(&x->sections[i]);
	free(x);
}

static struct reading *reading_new(const struct ini_table *t, struct buf *errors)
{
	struct reading *x = calloc(1, sizeof(*x));

	if (x) {
		x->table = t;
		x->errors = errors;
	}
	return x;
}

int ini_read_text(
	const struct ini_table *t, const char *name, const char *text, size_t len, struct buf *errors)
{
	struct reading *x = reading_new(t, errors);
	int r;

	if (!x)
		return -ENOMEM;
	r = read_text(x, name, text, len);
	reading_free(x);
	return r;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* Links are followed: an administrator may keep the file elsewhere, or mask a drop-in with a link to
 * /dev/null. */
static int slurp(const char *path, struct buf *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n;
	void *p;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	r = buf_reserve(ret, FILE_MAX_BYTES + 1, &p); /* the byte more shows a file that is too long */
	if (r < 0)
		return r;
	n = read_full(fd, p, FILE_MAX_BYTES + 1);
	if (n < 0)
		return (int)n;
	ret->len = (size_t)n;
	buf_terminate(ret);
	return 0;
}

static int read_file(struct reading *x, const char *path, bool optional)
{
	_cleanup_buf_ struct buf text = {};
	int r = slurp(path, &text);

	if (r == -ENOENT && optional)
		return 0;
	if (r < 0) {
		file_problem(x, path, errno_text(r));
		return r;
	}
	return read_text(x, path, buf_str(&text), text.len);
}

static int is_dropin(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > 5 && e->d_name[0] != '.' && streq(e->d_name + len - 5, ".conf");
}

/* Not alphasort(): the order must not depend on the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_dropins(struct reading *x, const char *file)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct dirent **names = NULL;
	int n, r = 0;

	if (str_format(dir, sizeof(dir), "%s.d", file) < 0)
		return file_problem(x, file, "the name is too long");
	n = scandir(dir, &names, is_dropin, by_name);
	if (n < 0) {
		if (errno == ENOENT)
			return 0;
		r = -errno;
		file_problem(x, dir, errno_text(r));
		return r;
	}
	if (n > DROPINS_MAX)
		r = file_problem(x, dir, "there are more than 256 files");
	for (int i = 0; i < n; i++) {
		int e = -EINVAL;

		if (n > DROPINS_MAX)
			e = 0;
		else if (str_format(path, sizeof(path), "%s/%s", dir, names[i]->d_name) < 0)
			file_problem(x, dir, "a file's name is too long");
		else
			e = read_file(x, path, false);
		r = r < 0 ? r : e;
		free(names[i]);
	}
	free(names);
	return r;
}

int ini_read(const struct ini_table *t, const char *file, bool optional, struct buf *errors)
{
	struct reading *x = reading_new(t, errors);
	int r, e;

	if (!x)
		return -ENOMEM;
	r = read_file(x, file, optional);
	e = read_dropins(x, file); /* also after an error: all problems are told at once */
	reading_free(x);
	return r < 0 ? r : e;
}

/* ---- defaults ------------------------------------------------------------------------------------------ */

static void set_default(const struct ini_key *k, void *target)
{
	char allowed[256] = "";

	if (!k->default_value)
		return;
	if (k->parse(k->default_value, (char *)target + k->offset, k->arg, allowed, sizeof(allowed)) < 0) {
		/* The table itself is wrong: every start would fail, so the first test sees it. */
		log_error("[%s] %s=: the default \"%s\" is not valid; expected %s", k->section, k->key,
			k->default_value, allowed);
		abort();
	}
}

void ini_defaults(const struct ini_table *t)
{
	char why[128];

	for (size_t i = 0; i < t->n_keys; i++) {
		const struct ini_key *k = &t->keys[i];
		void *target = ini_section_named(k->section)
				       ? NULL
				       : t->section(t->ud, k->section, NULL, why, sizeof(why));

		if (target)
			set_default(k, target);
	}
}

void ini_defaults_named(const struct ini_table *t, const char *section, void *target)
{
	for (size_t i = 0; i < t->n_keys; i++)
		if (streq(t->keys[i].section, section))
			set_default(&t->keys[i], target);
}
