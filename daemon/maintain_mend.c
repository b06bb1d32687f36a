/* pageferryd spool rebuild, and what lies in quarantine/. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/text.h"
#include "daemon/maintain_internal.h"

#define REASON_SUFFIX ".reason"
#define REASON_MAX    ((size_t)8192)
#define RESTORED      "restored: brought back from quarantine/; pageferryctl retry asks for its fields"

/* ---- rebuild ------------------------------------------------------------------------------------------------------------------ */

/* The mark that the service heeds too: cut off here, the next start does the same. */
static int mark(const struct maintain *m)
{
	struct spool *s;
	char why[512];
	int r = maintain_look(m, &s);

	if (r < 0)
		return r;
	if (db_open_readonly(m->directory, &s->db, why, sizeof(why)) == -ENOTSUP) {
		maintain_say("%s", why);
		r = -ENOTSUP;
	}
	if (r >= 0)
		r = maintain_ask(m, "The database, with all answers, costs and receipts, is set aside in quarantine/, and a new one made "
				    "from the page files. Is that what you want?");
	if (r >= 0)
		r = spool_mark(s, "asked for with pageferryd spool rebuild");
	spool_close(s);
	return r;
}

int maintain_rebuild(struct maintain *m)
{
	const struct spool_reconciled *n;
	struct spool *s;
	int r = maintain_become_owner(m);

	if (r >= 0)
		r = mark(m);
	if (r >= 0)
		r = maintain_open(m, &s);
	if (r < 0)
		return r;
	while ((r = spool_reconcile(s)) > 0)
		;
	n = spool_reconciled(s);
	printf("%" PRIi64 " pages found by their files, %" PRIi64 " things set aside in quarantine/\n", n->rebuilt, n->quarantined);
	if (r < 0)
		maintain_say("the rebuild stopped (%s); the next start of the service goes on with it", errno_text(r));
	else if (spool_ledger_lost(s) > 0)
		puts("What was spent is not known now: backends that cost wait until: pageferryctl confirm");
	spool_close(s);
	return r;
}

/* ---- quarantine --------------------------------------------------------------------------------------------------------------- */

static bool is_reason(const char *name)
{
	size_t len = strlen(name), suffix = strlen(REASON_SUFFIX);

	return len > suffix && streq(name + len - suffix, REASON_SUFFIX);
}

/* The text beside it, "" when there is none. */
static void read_reason(const struct spool *s, const char *name, struct buf *ret)
{
	char file[300];

	if (str_format(file, sizeof(file), "%s" REASON_SUFFIX, name) < 0 || file_read(s->quarantine, file, REASON_MAX, ret) < 0)
		buf_clear(ret);
}

static int list_one(const struct spool *s, const char *name)
{
	_cleanup_buf_ struct buf reason = {0}, line = {0};
	struct stat st;
	size_t first;
	int r;

	if (fstatat(s->quarantine, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	read_reason(s, name, &reason);
	first = strcspn(buf_str(&reason), "\n");
	r = text_safe(&line, name, strlen(name), 0);
	if (r >= 0)
		r = buf_addf(&line, "  %lld bytes  ", (long long)st.st_size);
	if (r >= 0)
		r = text_safe(&line, first ? buf_str(&reason) : "no reason is noted", first ? first : 18, 0);
	if (r >= 0)
		r = buf_addc(&line, '\n');
	return r < 0 ? r : maintain_put(&line) == MAINTAIN_WELL ? 0 : -EPIPE;
}

static int list(const struct spool *s)
{
	struct dirent **names = NULL;
	int n = scandirat(s->quarantine, ".", &names, NULL, alphasort), r = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;

		if (r >= 0 && !streq(name, ".") && !streq(name, "..") && !is_reason(name))
			r = list_one(s, name);
		free(names[i]);
	}
	free(names);
	return r;
}

static int show(const struct spool *s, const char *name)
{
	_cleanup_buf_ struct buf reason = {0}, out = {0};
	int r = list_one(s, name);

	read_reason(s, name, &reason);
	for (const char *p = buf_str(&reason); r >= 0 && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		r = text_safe(&out, p, strcspn(p, "\n"), 0);
		if (r >= 0)
			r = buf_addc(&out, '\n');
	}
	return r < 0 ? r : maintain_put(&out);
}

/* It goes first: a reason without what it is about is nothing, the other way round it would be a riddle. */
static int forget(struct spool *s, const char *name)
{
	char file[300];
	int r = str_format(file, sizeof(file), "%s" REASON_SUFFIX, name);

	return r < 0 ? r : unlink_durable(s->quarantine, file);
}

static int drop(const struct maintain *m, struct spool *s, const char *name)
{
	char question[400], safe[256];
	int r;

	str_format(question, sizeof(question), "quarantine/%s is deleted for good. Is that what you want?", text_safe_copy(safe, sizeof(safe), name));
	r = maintain_ask(m, question);
	if (r < 0)
		return r;
	r = unlinkat(s->quarantine, name, 0) < 0 ? -errno : forget(s, name);
	if (r == -EISDIR)
		maintain_say("it is a folder: look into it, and remove it by hand");
	return r;
}

/* ID.jpg, or ID.jpg.N. */
static bool page_name(const char *name, char file[static PAGE_FILE_SIZE], char id[static PAGE_ID_SIZE])
{
	size_t len = PAGE_ID_LENGTH + strlen(".jpg");

	if (strlen(name) < len || (name[len] && name[len] != '.'))
		return false;
	memcpy(file, name, len);
	file[len] = 0;
	return page_id_from_name(file, id);
}

/* The file of a page that is gone would not be brought back but removed. */
static int wanted(struct spool *s, const char *id)
{
	int64_t one;
	int r = db_get_i64(s->db, &one, "SELECT 1 FROM pages WHERE page = ? AND file = 0 UNION ALL SELECT 1 FROM gone WHERE page = ?", "ss", id,
		id);

	if (r > 0)
		maintain_say("page %s was dropped or has aged out: hand the file in again if it is needed", id);
	return r > 0 ? -ECANCELED : r;
}

/* Back into pages/, as the service would find it there: what it does not take goes to quarantine/ again. */
static int restore(struct spool *s, const char *name)
{
	char file[PAGE_FILE_SIZE], id[PAGE_ID_SIZE];
	struct page_row p;
	int r;

	if (!page_name(name, file, id)) {
		maintain_say("it is no page file: only those are brought back");
		return -EINVAL;
	}
	r = wanted(s, id);
	if (r >= 0)
		r = rename_durable(s->quarantine, name, s->pages, file);
	if (r >= 0)
		r = forget(s, name);
	if (r >= 0)
		r = spool_adopt(s, file);
	if (r >= 0)
		r = spool_page_find(s, id, &p);
	if (r == -ENOENT)
		maintain_say("it does not say what it is, and is in quarantine/ again");
	if (r >= 0 && p.state == STATE_HELD)
		r = spool_page_hold(s, p.seq, RESTORED);
	if (r >= 0)
		printf("page %s is %s again\n", id, page_state_name(p.state));
	return r;
}

static int with_name(struct maintain *m, const char *verb, const char *name)
{
	bool restores = streq(verb, "restore");
	struct spool *s;
	int r;

	if (strchr(name, '/') || streq(name, ".") || streq(name, "..") || is_reason(name))
		return -EINVAL;
	r = maintain_become_owner(m);
	if (r >= 0)
		r = restores ? maintain_open(m, &s) : maintain_look(m, &s);
	if (r < 0)
		return r;
	r = restores ? restore(s, name) : streq(verb, "drop") ? drop(m, s, name) : show(s, name);
	spool_close(s);
	if (r < 0 && r != -ECANCELED)
		maintain_say("%s: %s", verb, errno_text(r));
	return r;
}

int maintain_quarantine(struct maintain *m)
{
	const char *verb = m->n_args > 0 ? m->args[0] : "ls";
	struct spool *s;
	int r;

	if (m->n_args == 2 && (streq(verb, "show") || streq(verb, "restore") || streq(verb, "drop")))
		return with_name(m, verb, m->args[1]);
	if (m->n_args > 1 || !streq(verb, "ls")) {
		maintain_say("expected: quarantine [ls | show NAME | restore NAME | drop NAME]");
		return -EINVAL;
	}
	r = maintain_look(m, &s);
	if (r < 0)
		return r;
	r = s->quarantine < 0 ? 0 : list(s);
	spool_close(s);
	return r;
}
