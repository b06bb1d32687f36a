#include "daemon/taken.h"

#include "daemon/spool_internal.h"

void taken_stamp(const struct stat *st, char out[static TAKEN_STAMP_SIZE])
{
	str_format(out, TAKEN_STAMP_SIZE, "%lld:%lld.%09ld", (long long)st->st_size, (long long)st->st_mtim.tv_sec,
		(long)st->st_mtim.tv_nsec);
}

int taken_find(struct spool *s, const char *folder, const char *name, struct taken_row *ret)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(s->db, &st, "SELECT stamp, page FROM taken WHERE folder = ? AND name = ?", "ss", folder, name);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	text_cut(ret->stamp, sizeof(ret->stamp), stmt_text(st, 0));
	text_cut(ret->page, sizeof(ret->page), stmt_text(st, 1));
	return 1;
}

int taken_put(struct spool *s, const struct taken_key *t, const char *page)
{
	return db_exec(s->db, "INSERT OR REPLACE INTO taken (folder, name, stamp, page) VALUES (?, ?, ?, ?)", "ssss", t->folder,
		t->name, t->stamp, page);
}

int taken_remove(struct spool *s, const char *folder, const char *name)
{
	return db_exec(s->db, "DELETE FROM taken WHERE folder = ? AND name = ?", "ss", folder, name);
}

ssize_t taken_names(struct spool *s, const char *folder, const char *after, char names[][TAKEN_NAME_SIZE], size_t max)
{
	struct stmt *st;
	size_t n = 0;
	int r;

	r = db_query(s->db, &st, "SELECT name FROM taken WHERE folder = ? AND name > ? ORDER BY name LIMIT ?", "ssi", folder, after,
		(int64_t)max);
	while (r >= 0 && (r = stmt_next(st)) > 0)
		if (str_copy(names[n], TAKEN_NAME_SIZE, stmt_text(st, 0)) >= 0)
			n++;
	return r < 0 ? r : (ssize_t)n;
}
