/* Frozen jobs: what was asked of a page when it was accepted. Few exist; each is loaded once and kept. */
#include <stdio.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "daemon/spool_internal.h"

static void job_free(struct spool_job *j)
{
	typeset_free(j->types);
	free(j->json);
	free(j);
}

void spool_jobs_free(struct spool *s)
{
	for (size_t i = 0; i < s->n_jobs; i++)
		job_free(s->jobs[i]);
	free(s->jobs);
}

static bool job_readable(const struct spool_job *j)
{
	return j->types != NULL;
}

/* Takes the job when it returns 0. */
static int job_keep(struct spool *s, struct spool_job *j)
{
	struct spool_job **grown = reallocarray(s->jobs, s->n_jobs + 1, sizeof(struct spool_job *));

	if (!grown)
		return -ENOMEM;
	s->jobs = grown;
	s->jobs[s->n_jobs++] = j;
	return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int read_route(const cJSON *json, struct spool_job *j)
{
	const cJSON *name, *route = json_get_array(json, "route");

	cJSON_ArrayForEach (name, route) {
		if (!cJSON_IsString(name) || parse_name(name->valuestring) < 0 || j->n_route == ROUTE_MAX)
			return -EBADMSG;
		str_copy(j->route[j->n_route++], BACKEND_NAME_SIZE, name->valuestring);
	}
	return j->n_route > 0 ? 0 : -EBADMSG;
}

/* Is it one that this program understands? Fills type and route; *ret_typeset borrows from json. */
static int read_json(const cJSON *json, struct spool_job *j, const char **ret_typeset)
{
	const char *type = json_get_string(json, "type"), *typeset = json_get_string(json, "typeset");
	uint8_t hash[SHA256_SIZE];
	int64_t v;

	if (json_get_i64(json, "v", &v) < 0 || v != 1 || !type || !typeset)
		return -EBADMSG;
	if (parse_name(type) < 0 || hex_decode(typeset, hash, sizeof(hash)) < 0)
		return -EBADMSG;
	str_copy(j->type, sizeof(j->type), type);
	*ret_typeset = typeset;
	return read_route(json, j);
}

/* The row's texts into j; -EBADMSG if they cannot be read. */
static int job_fill(struct spool_job *j, const char *json_text, const char *types_text)
{
	_cleanup_json_ cJSON *json = NULL;
	const char *typeset;
	char why[240] = "";
	int r;

	j->n_route = 0;
	j->json = strdup(json_text);
	if (!j->json)
		return -ENOMEM;
	sha256_hex_of(json_text, strlen(json_text), j->hash);
	r = json_parse(json_text, strlen(json_text), &json, NULL);
	if (r >= 0)
		r = read_json(json, j, &typeset);
	if (r >= 0)
		r = typeset_parse(types_text, strlen(types_text), &j->types, why, sizeof(why));
	if (r < 0 && r != -ENOMEM)
		log_warning("job %lld cannot be read: %s", (long long)j->id, why[0] ? why : errno_text(r));
	return r;
}

static int job_read(struct spool *s, struct spool_job *j)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(s->db, &st,
		"SELECT j.json, t.json FROM jobs j LEFT JOIN typesets t ON t.hash = j.typeset"
		" WHERE j.id = ?",
		"i", j->id);
	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = job_fill(j, stmt_text(st, 0), stmt_text(st, 1));
	if (r == -ENOMEM)
		return r;
	if (r < 0) { /* kept as unreadable: it is looked at once */
		str_copy(j->type, sizeof(j->type), "unknown");
		j->n_route = 0;
	}
	return 0;
}

static int job_load(struct spool *s, int64_t id, const struct spool_job **ret)
{
	struct spool_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->id = id;
	r = job_read(s, j);
	if (r >= 0)
		r = job_keep(s, j);
	if (r < 0) {
		job_free(j);
		return r;
	}
	*ret = j;
	return 0;
}

int spool_job_or_unreadable(struct spool *s, int64_t id, const struct spool_job **ret)
{
	static const struct spool_job unreadable = {.type = "unknown"};
	int r;

	for (size_t i = 0; i < s->n_jobs; i++)
		if (s->jobs[i]->id == id) {
			*ret = s->jobs[i];
			return 0;
		}
	r = job_load(s, id, ret);
	if (r == -ENOENT)
		*ret = &unreadable;
	return r == -ENOENT ? 0 : r;
}

int spool_job_by_id(struct spool *s, int64_t id, const struct spool_job **ret)
{
	const struct spool_job *j;
	int r = spool_job_or_unreadable(s, id, &j);

	if (r < 0)
		return r;
	*ret = job_readable(j) ? j : NULL;
	return 0;
}

/* ---- freezing -------------------------------------------------------------------------------- */

/* Members in this order, no blanks: equal jobs have equal texts. */
static int job_print(
	const char *type, const char *const *route, size_t n_route, const char *typeset_hash, struct buf *out)
{
	int r;

	r = buf_adds(out, "{\"v\":1,\"type\":");
	if (r >= 0)
		r = json_quote(out, type, strlen(type));
	if (r >= 0)
		r = buf_adds(out, ",\"route\":[");
	for (size_t i = 0; r >= 0 && i < n_route; i++) {
		if (i > 0)
			r = buf_addc(out, ',');
		if (r >= 0)
			r = json_quote(out, route[i], strlen(route[i]));
	}
	return r < 0 ? r : buf_addf(out, "],\"typeset\":\"%s\"}", typeset_hash);
}

static int typeset_file(const char *hash, char *out, size_t size)
{
	return str_format(out, size, "%s.json", hash);
}

/* The file for a rebuild, before any page can name it. */
static int typeset_store(struct spool *s, const char *hash, const char *json, size_t len)
{
	char name[SHA256_HEX_SIZE + 8];
	_cleanup_buf_ struct buf there = {};
	int r;

	typeset_file(hash, name, sizeof(name));
	if (file_read(s->types, name, TYPESET_BYTES_MAX, &there) >= 0 && there.len == len &&
		memcmp(buf_str(&there), json, len) == 0)
		return fsync_dir(s->types);
	r = spool_file_write(s, s->types, name, json, len);
	if (r == -EISDIR && quarantine_move(s, s->types, name, "was in the place of document types") >= 0)
		r = spool_file_write(s, s->types, name, json, len);
	return r;
}

int spool_types_restore(struct spool *s)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	char hash[SHA256_HEX_SIZE];
	int r = db_query(s->db, &st, "SELECT hash, json FROM typesets ORDER BY hash LIMIT 1 OFFSET ?", "i", s->reconcile.cursor);

	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r;
	s->reconcile.cursor++;
	sha256_hex_of(stmt_text(st, 1), strlen(stmt_text(st, 1)), hash);
	if (!streq(hash, stmt_text(st, 0)))
		return 1;
	r = typeset_store(s, hash, stmt_text(st, 1), strlen(stmt_text(st, 1)));
	if (r < 0) /* a full disk must not keep the pages from being looked at */
		log_warning("types/%s.json cannot be written: %s", hash, errno_text(r));
	return 1;
}

static int job_insert(struct spool *s, const char *hash, const char *json, const char *typeset_hash,
	const struct buf *types, int64_t *ret_id)
{
	int r;

	/* A row that is there has these texts, or it is damaged: then it is mended. */
	r = db_exec(s->db,
		"INSERT INTO typesets (hash, json) VALUES (?, ?)"
		" ON CONFLICT (hash) DO UPDATE SET json = excluded.json",
		"st", typeset_hash, buf_str(types), types->len);
	if (r >= 0)
		r = db_exec(s->db,
			"INSERT INTO jobs (hash, json, typeset) VALUES (?, ?, ?)"
			" ON CONFLICT (hash) DO UPDATE SET json = excluded.json, typeset = excluded.typeset",
			"sss", hash, json, typeset_hash);
	if (r >= 0)
		r = db_get_i64(s->db, ret_id, "SELECT id FROM jobs WHERE hash = ?", "s", hash);
	return r < 0 ? r : r == 0 ? -EIO : 0;
}

/* An unreadable job that was mended: filled in where it is, as rows point at it. */
static int job_mend(struct spool *s, int64_t id, const char *json, const struct buf *types)
{
	for (size_t i = 0; i < s->n_jobs; i++) {
		struct spool_job *j = s->jobs[i];

		if (j->id != id || job_readable(j))
			continue;
		free(take_ptr(j->json));
		return job_fill(j, json, buf_str(types));
	}
	return 0;
}

/* The job of that text, from memory, the database, or made now. */
static int job_obtain(struct spool *s, const char *json, const char *typeset_hash, const struct buf *types,
	const struct spool_job **ret)
{
	const struct spool_job *job;
	char hash[SHA256_HEX_SIZE];
	int64_t id;
	int r;

	sha256_hex_of(json, strlen(json), hash);
	for (size_t i = 0; i < s->n_jobs; i++)
		if (job_readable(s->jobs[i]) && streq(s->jobs[i]->hash, hash)) {
			*ret = s->jobs[i];
			return 0;
		}
	r = typeset_store(s, typeset_hash, buf_str(types), types->len);
	if (r < 0)
		return r;
	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = job_insert(s, hash, json, typeset_hash, types, &id);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	r = db_commit(s->db);
	if (r >= 0)
		r = job_mend(s, id, json, types);
	if (r < 0)
		return r;
	r = spool_job_or_unreadable(s, id, &job);
	if (r < 0)
		return r;
	if (!job_readable(job))
		return -EBADMSG;
	*ret = job;
	return 0;
}

int spool_job_freeze(struct spool *s, const char *type, const char *const *route, size_t n_route,
	const struct typeset *all, const struct spool_job **ret)
{
	_cleanup_buf_ struct buf types = BUF_MAX(TYPESET_BYTES_MAX), json = {};
	char hash[SHA256_HEX_SIZE];
	int r;

	if (n_route == 0 || n_route > ROUTE_MAX || strlen(type) >= sizeof((*ret)->type))
		return -EINVAL;
	for (size_t i = 0; i < n_route; i++)
		if (parse_name(route[i]) < 0)
			return -EINVAL;
	r = typeset_select(all, type, &types);
	if (r < 0)
		return r;
	sha256_hex_of(buf_str(&types), types.len, hash);
	r = job_print(type, route, n_route, hash, &json);
	return r < 0 ? r : job_obtain(s, buf_str(&json), hash, &types, ret);
}

/* A typeset by its hash: from the database, else from types/. The content must have that hash. */
static int typeset_find_text(struct spool *s, const char *hash, struct buf *ret)
{
	char name[SHA256_HEX_SIZE + 8], got[SHA256_HEX_SIZE];
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(s->db, &st, "SELECT json FROM typesets WHERE hash = ?", "s", hash);
	if (r >= 0)
		r = stmt_next(st);
	if (r < 0)
		return r;
	if (r > 0)
		return buf_adds(ret, stmt_text(st, 0));
	typeset_file(hash, name, sizeof(name));
	r = file_read(s->types, name, TYPESET_BYTES_MAX, ret);
	if (r < 0)
		return r;
	sha256_hex_of(buf_str(ret), ret->len, got);
	return streq(got, hash) ? 0 : -EBADMSG;
}

int spool_job_restore(struct spool *s, const cJSON *job, const struct spool_job **ret)
{
	_cleanup_buf_ struct buf types = BUF_MAX(TYPESET_BYTES_MAX), json = {};
	const char *route[ROUTE_MAX], *typeset;
	struct spool_job seen = {};
	int r;

	r = read_json(job, &seen, &typeset);
	if (r < 0)
		return r;
	for (size_t i = 0; i < seen.n_route; i++)
		route[i] = seen.route[i];
	r = typeset_find_text(s, typeset, &types);
	if (r >= 0)
		r = job_print(seen.type, route, seen.n_route, typeset, &json);
	return r < 0 ? r : job_obtain(s, buf_str(&json), typeset, &types, ret);
}

