/*
 * A page file without a row. After a crash it is one that was never acknowledged: a person says what becomes of it. After
 * the database was lost it is one of those that were: it is queued again, unless an answer of it is in results/. Its comment
 * says what it is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/jpegcomment.h"
#include "daemon/spool_internal.h"

#define HEAD_BYTES ((size_t)256 << 10) /* APP0, comment, tables and frame header are within */
#define STEP_BYTES ((size_t)16 << 10)
#define TIME_BYTES ((size_t)8 << 10)

#define REASON_CRASH   "not acknowledged: the service ended while it was accepted"
#define REASON_ANSWERED                                                                                      \
	"rebuilt: the database was lost, an answer is in results/; pageferryctl retry asks again"

bool page_id_from_name(const char *name, char id[static PAGE_ID_SIZE])
{
	size_t len = strlen(name);

	if (len != PAGE_ID_LENGTH + strlen(".jpg") || !streq(name + PAGE_ID_LENGTH, ".jpg"))
		return false;
	memcpy(id, name, PAGE_ID_LENGTH);
	id[PAGE_ID_LENGTH] = 0;
	return page_id_valid(id);
}

/* Size and hash of the whole, and the front of it. -EBADMSG: not a regular file, too large, or its end is
 * missing. */
static int read_file(struct spool *s, const char *name, struct page_row *p, struct buf *head)
{
	_cleanup_close_ int fd = openat(s->pages, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t piece[STEP_BYTES], digest[SHA256_SIZE], last = 0, tail[2] = {};
	struct sha256 *h;
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > PAGE_BYTES_MAX)
		return -EBADMSG;
	r = sha256_new(&h);
	if (r < 0)
		return r;
	while ((n = read_full(fd, piece, STEP_BYTES)) > 0) {
		sha256_update(h, piece, (size_t)n);
		p->bytes += n;
		tail[0] = n > 1 ? piece[n - 2] : last;
		tail[1] = last = piece[n - 1];
		if (r >= 0 && head->len < HEAD_BYTES)
			r = buf_add(head, piece, (size_t)n);
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), p->sha256);
	if (n < 0 || r < 0)
		return n < 0 ? (int)n : r;
	return tail[0] == 0xff && tail[1] == 0xd9 ? 0 : -EBADMSG;
}

/* The hash of the file as it came, before our comment was put in; `head` is its front. */
static int hash_content(struct spool *s, const char *name, const struct buf *head, char ret[static SHA256_HEX_SIZE])
{
	_cleanup_close_ int fd = openat(s->pages, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t piece[STEP_BYTES], digest[SHA256_SIZE];
	size_t at, len;
	struct sha256 *h;
	ssize_t n;
	int r = jpeg_comment_find((const uint8_t *)buf_str(head), head->len, &at, &len);

	if (r < 0)
		return r;
	if (fd < 0 || lseek(fd, (off_t)(at + len), SEEK_SET) < 0)
		return -errno;
	r = sha256_new(&h);
	if (r < 0)
		return r;
	sha256_update(h, buf_str(head), at);
	while ((n = read_full(fd, piece, STEP_BYTES)) > 0)
		sha256_update(h, piece, (size_t)n);
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret);
	return (int)MIN(n, (ssize_t)0);
}

/* docs/architecture.md, "The page file's comment". */
static int read_comment(struct buf *text, const char *id, struct page_row *p, cJSON **ret)
{
	_cleanup_json_ cJSON *j = NULL;
	const char *trust, *document, *source;
	int64_t lane;
	int r;

	buf_consume(text, strlen("pageferry1 "));
	r = json_parse(buf_str(text), text->len, &j, NULL);
	if (r < 0)
		return r;
	trust = json_get_string(j, "trust");
	document = json_get_string(j, "doc");
	source = json_get_string(j, "src");
	if (!json_get_string(j, "id") || !streq(json_get_string(j, "id"), id) || !trust || !document ||
		!source)
		return -EBADMSG;
	if (json_get_i64(j, "t", &p->accepted_ms) < 0 || json_get_i64(j, "pos", &p->position) < 0 ||
		json_get_i64(j, "lane", &lane) < 0 || time_trust_parse(trust, &p->accepted_trust) < 0)
		return -EBADMSG;
	if (!page_id_valid(document) || p->position < 1 || (lane != LANE_NOW && lane != LANE_BACKLOG))
		return -EBADMSG;
	str_copy(p->id, sizeof(p->id), id);
	str_copy(p->document, sizeof(p->document), document);
	text_cut(p->source, sizeof(p->source), source);
	p->lane = (enum lane)lane;
	*ret = take_ptr(j);
	return 0;
}

/* 1, 0 or negative errno. */
static int has_export(const struct spool *s, const char *id)
{
	char name[PAGE_ID_SIZE + 8];

	str_format(name, sizeof(name), "%s.json", id);
	if (faccessat(s->results, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int page_file_describe(struct spool *s, const char *name, const char *id, struct page_row *ret, cJSON **ret_job)
{
	_cleanup_buf_ struct buf head = {}, text = {};
	_cleanup_json_ cJSON *comment = NULL;
	struct page_row p = {.owner = -1};
	int64_t v;
	int r;

	r = read_file(s, name, &p, &head);
	if (r >= 0)
		r = jpeg_comment_read((const uint8_t *)buf_str(&head), head.len, &text);
	if (r >= 0)
		r = read_comment(&text, id, &p, &comment);
	if (r >= 0)
		r = jpeg_dimensions((const uint8_t *)buf_str(&head), head.len, &p.width, &p.height);
	if (r >= 0)
		r = hash_content(s, name, &head, p.content);
	if (r < 0)
		return r;
	if (json_get_i64(json_get_object(comment, "job"), "v", &v) == 0 && v > 1)
		return -ENOTSUP;
	*ret_job = cJSON_DetachItemFromObjectCaseSensitive(comment, "job");
	*ret = p;
	return 0;
}

int64_t page_file_time(struct spool *s, const char *name)
{
	_cleanup_close_ int fd = openat(s->pages, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_buf_ struct buf text = {};
	_cleanup_json_ cJSON *j = NULL;
	uint8_t head[TIME_BYTES];
	int64_t t;
	ssize_t n = fd < 0 ? -errno : read_full(fd, head, sizeof(head));

	if (n <= 0 || jpeg_comment_read(head, (size_t)n, &text) < 0)
		return INT64_MAX;
	buf_consume(&text, strlen("pageferry1 "));
	if (json_parse(buf_str(&text), text.len, &j, NULL) < 0 || json_get_i64(j, "t", &t) < 0)
		return INT64_MAX;
	return t;
}

/* Has the page an answer, or one that it was asked together with? 1, 0 or negative errno. */
static int is_answered(struct spool *s, const struct page_row *p)
{
	int r = has_export(s, p->id);
	int64_t one;

	if (r != 0 || !s->rebuilt || p->position < 2)
		return r;
	/* Those before it have their rows: the answer is named after the first. */
	return db_get_i64(s->db, &one,
		"SELECT 1 FROM pages WHERE document = (SELECT id FROM documents WHERE document = ?) AND state = 'held' AND reason = ? LIMIT 1",
		"ss", p->document, REASON_ANSWERED);
}

static int describe(struct spool *s, const char *name, const char *id, struct page_row *p)
{
	_cleanup_json_ cJSON *job = NULL;
	int r = page_file_describe(s, name, id, p, &job);

	if (r >= 0)
		r = spool_job_restore(s, job, &p->job);
	if (r >= 0)
		r = is_answered(s, p);
	if (r < 0)
		return r;
	p->state = s->rebuilt && r == 0 ? STATE_QUEUED : STATE_HELD;
	if (p->state == STATE_HELD)
		str_copy(p->reason, sizeof(p->reason), s->rebuilt ? REASON_ANSWERED : REASON_CRASH);
	return 0;
}

static void tell(struct spool *s, const struct page_row *p)
{
	struct spool_reconciled *c = &s->reconcile.counts;
	int64_t n = s->rebuilt ? ++c->rebuilt : ++c->not_acknowledged;

	if (p->state == STATE_HELD)
		log_line(spool_log_level(n), "page %s is held: %s", p->id, p->reason);
	else
		log_line(spool_log_level(n), "page %s is queued again: the database was lost", p->id);
}

static int insert(struct spool *s, struct page_row *p)
{
	int r;

	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = page_row_insert(s, p, NULL, NULL);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	STEP(REBUILD_PAGE_INSERTED);
	r = db_commit(s->db);
	if (r < 0) {
		spool_memory_forget(s);
		return r;
	}
	STEP(REBUILD_PAGE_COMMITTED);
	s->pages_bytes += p->bytes;
	spool_counts_moved(s, -1, (int)p->state);
	tell(s, p);
	return 0;
}

/* A file that cannot be moved away is left where it is: that must not stop the start. */
static int set_aside(struct spool *s, const char *name, const char *reason)
{
	int r = quarantine_move(s, s->pages, name, reason);

	if (r >= 0)
		s->reconcile.counts.quarantined++;
	else
		log_warning("a file in pages/ cannot be set aside: %s", errno_text(r));
	return 0;
}

/* The row that said so is committed; a crash came before the file was removed. */
static int remove_leftover(struct spool *s, const char *name)
{
	if (unlinkat(s->pages, name, 0) == 0)
		s->reconcile.counts.leftovers++;
	else if (errno != ENOENT)
		log_line(spool_log_level(++s->stuck_files), "%s cannot be removed: %s", name, errno_text(-errno));
	return 0;
}

int spool_adopt(struct spool *s, const char *name)
{
	char id[PAGE_ID_SIZE];
	struct page_row p;
	int64_t kept;
	int r;

	if (!page_id_from_name(name, id))
		return set_aside(s, name, "found in pages/, not a page file of pageferryd");
	r = db_get_i64(s->db, &kept, "SELECT file FROM pages WHERE page = ? UNION ALL SELECT 0 FROM gone WHERE page = ?", "ss",
		id, id);
	if (r != 0)
		return r < 0 ? r : kept ? 0 : remove_leftover(s, name);
	r = describe(s, name, id, &p);
	switch (r) {
	case 0:
		return insert(s, &p);
	case -EBADMSG:
	case -ENODATA:
		return set_aside(s, name, "a page file without a row that does not say what it is");
	case -ENOTSUP:
		/* Neither changed nor moved: a version that knows it takes it in. */
		log_line(spool_log_level(++s->newer), "page file %s is of a newer pageferry: it is left as it is", name);
		return 0;
	case -ENOENT:
		return set_aside(s, name, "a page file without a row whose document types are gone");
	default:
		log_warning("page %s: %s", id, errno_text(r));
		/* A file system says -EUCLEAN too, of this one file: that must not stop the others. */
		if (r == -ENOSPC || r == -EROFS || (r == -EUCLEAN && db_damaged(s->db)))
			return r;
		/* Storage trouble, or no memory: it stays where it is, and the next start finds it again. */
		s->reconcile.skipped++;
		return 0;
	}
}
