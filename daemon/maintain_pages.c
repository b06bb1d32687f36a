/* The pages of a spool one after the other, from the database or, where it cannot be read, from the page files; and `ls`. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/text.h"
#include "daemon/maintain_internal.h"


/* ---- from the database -------------------------------------------------------------------------------------------------------- */

static int job_type(const char *json, char *out, size_t size)
{
	_cleanup_json_ cJSON *j = NULL;
	int r = json_parse(json, strlen(json), &j, NULL);

	text_cut(out, size, r >= 0 && json_get_string(j, "type") ? json_get_string(j, "type") : "");
	return r == -ENOMEM ? r : 0;
}

static int from_rows(struct maintain *m, struct spool *s, maintain_page_fn fn, void *ud)
{
	const char *state = m->state < 0 ? "" : page_state_name((enum page_state)m->state);
	struct stmt *st;
	int r = db_query(s->db, &st,
		"SELECT p.seq, p.page, p.state, p.reason, p.name, p.sha256, p.bytes, p.accepted_ms, p.version, p.file, j.json"
		" FROM pages p LEFT JOIN jobs j ON j.id = p.job WHERE ? = '' OR p.state = ? ORDER BY p.seq",
		"ss", state, state);

	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		struct maintain_page p = {.seq = stmt_i64(st, 0), .bytes = stmt_i64(st, 6), .accepted_ms = stmt_i64(st, 7),
			.version = stmt_i64(st, 8), .file = stmt_i64(st, 9) != 0};

		text_cut(p.id, sizeof(p.id), stmt_text(st, 1));
		text_cut(p.state, sizeof(p.state), stmt_text(st, 2));
		text_cut(p.reason, sizeof(p.reason), stmt_text(st, 3));
		text_cut(p.name, sizeof(p.name), stmt_text(st, 4));
		text_cut(p.sha256, sizeof(p.sha256), stmt_text(st, 5));
		r = job_type(stmt_text(st, 10), p.type, sizeof(p.type));
		if (r >= 0 && page_id_valid(p.id))
			r = fn(m, s, &p, ud);
		if (r < 0)
			break;
	}
	stmt_done(st);
	return r;
}

/* ---- from the files ----------------------------------------------------------------------------------------------------------- */

static int one_file(struct maintain *m, struct spool *s, const char *name, maintain_page_fn fn, void *ud)
{
	_cleanup_json_ cJSON *job = NULL;
	struct maintain_page p = {.file = true};
	struct page_row row;
	int r;

	if (!page_id_from_name(name, p.id))
		return 0;
	r = page_file_describe(s, name, p.id, &row, &job);
	if (r < 0) {
		maintain_say("pages/%s is left out: it does not say what it is", name);
		return r == -ENOMEM ? r : 0;
	}
	text_cut(p.type, sizeof(p.type), json_get_string(job, "type") ? json_get_string(job, "type") : "");
	text_cut(p.sha256, sizeof(p.sha256), row.sha256);
	p.bytes = row.bytes;
	p.accepted_ms = row.accepted_ms;
	return fn(m, s, &p, ud);
}

static int from_files(struct maintain *m, struct spool *s, maintain_page_fn fn, void *ud)
{
	int fd = openat(s->pages, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r >= 0 && (errno = 0, e = readdir(d)))
		r = one_file(m, s, e->d_name, fn, ud);
	if (r >= 0)
		r = -errno;
	closedir(d);
	return r;
}

int maintain_pages(struct maintain *m, struct spool *s, maintain_page_fn fn, void *ud)
{
	char why[512] = "";
	int r = db_open_readonly(m->directory, &s->db, why, sizeof(why));

	if (r >= 0) {
		r = from_rows(m, s, fn, ud);
		if (r >= 0 || !db_damaged(s->db))
			return r;
		str_copy(why, sizeof(why), "it is damaged");
	} else if (r == -ENOTSUP) {
		maintain_say("%s", why);
		return r;
	}
	m->from_files = true;
	maintain_say("the database cannot be read (%s): pages are taken from their files, without state, name and earlier answers", why);
	if (m->state >= 0) {
		maintain_say("--state: the states are in the database");
		return -EUCLEAN;
	}
	return from_files(m, s, fn, ud);
}

/* ---- ls ----------------------------------------------------------------------------------------------------------------------- */

int maintain_page_json(const struct maintain_page *p, cJSON *j)
{
	char stamp[TIMESTAMP_SIZE];
	int r;

	timestamp_format(p->accepted_ms, true, stamp);
	r = json_add_string(j, "page", p->id);
	if (r >= 0)
		r = json_add_string(j, "state", p->state[0] ? p->state : NULL);
	if (r >= 0)
		r = json_add_string(j, "reason", p->reason[0] ? p->reason : NULL);
	if (r >= 0)
		r = json_add_string(j, "name", p->name[0] ? p->name : NULL);
	if (r >= 0)
		r = json_add_string(j, "type", p->type);
	if (r >= 0)
		r = json_add_string(j, "accepted", stamp);
	if (r >= 0)
		r = json_add_i64(j, "bytes", p->bytes);
	return r < 0 ? r : json_add_string(j, "sha256", p->sha256);
}

static int row_json(const struct maintain_page *p, struct buf *out)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? maintain_page_json(p, j) : -ENOMEM;

	return r < 0 ? r : json_print(j, false, out);
}

static int row_text(const struct maintain_page *p, struct buf *out)
{
	char stamp[TIMESTAMP_SIZE];
	int r;

	timestamp_format(p->accepted_ms, false, stamp);
	r = buf_addf(out, "%-22s  %-11s  %9lld  %s  ", p->id, p->state[0] ? p->state : "?", (long long)p->bytes, stamp);
	if (r >= 0)
		r = text_safe(out, p->name, strlen(p->name), 0);
	if (r >= 0 && p->reason[0])
		r = buf_adds(out, p->name[0] ? "; " : "");
	return r < 0 ? r : text_safe(out, p->reason, strlen(p->reason), 0);
}

static int ls_page(struct maintain *m, struct spool *s, const struct maintain_page *p, void *ud)
{
	_cleanup_buf_ struct buf line = {0};
	int r = m->json ? row_json(p, &line) : row_text(p, &line);

	if (r >= 0)
		r = buf_addc(&line, '\n');
	if (r < 0)
		return r;
	return maintain_put(&line) == MAINTAIN_WELL ? 0 : -EPIPE;
}

int maintain_ls(struct maintain *m)
{
	struct spool *s;
	int r = maintain_look(m, &s);

	if (r < 0)
		return r;
	r = maintain_pages(m, s, ls_page, NULL);
	spool_close(s);
	if (r < 0 && r != -EPIPE)
		maintain_say("the pages cannot be listed: %s", errno_text(r));
	return r < 0 ? r : m->from_files ? MAINTAIN_WRONG : MAINTAIN_WELL;
}
