/*
 * Accepting a page. A page file's way is tmp/ID.jpg, written and hashed as it arrives; fsync; rename into
 * pages/; fsync of both folders; the row in one commit. Only after that is it told to be safe. Before the
 * commit a failure takes back what was created here and nothing else; a crash leaves a file in tmp/ (emptied
 * at start) or one in pages/ without a row.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "base/text.h"
#include "daemon/document.h"
#include "daemon/jpegcomment.h"
#include "daemon/spool_internal.h"
#include "daemon/taken.h"

#define ID_TRIES 64
#define HEAD_MAX ((size_t)128 << 10) /* SOI and APP0, until the comment can be put in */

struct spool_writer {
	struct spool_writer *next; /* in s->writers */
	struct spool *s;
	struct page_row row; /* as it will be */
	const struct taken_key *taken; /* borrowed; NULL: not from a watched folder */
	char document[DOCUMENT_NAME_SIZE]; /* of the open one that it is for; "": none */
	char file[PAGE_FILE_SIZE];
	int fd;
	struct sha256 *sent;    /* of the bytes as they came: what the helper hashed too */
	struct sha256 *written; /* of the file, with our comment */
	struct buf head;
	bool commented;
	bool in_pages; /* renamed: pages/ID.jpg is ours to take back */
	bool kept;     /* ... unless its row may be on the disk */
	uint8_t tail[2];
	int64_t bytes; /* of the file */
	int error;     /* the first failure; sticks */
};

/* ---- ids ------------------------------------------------------------------------------------- */

/* docs/architecture.md, "Page ids": UTC, and six characters of 5 bits each. */
static void page_id_format(int64_t realtime_ms, const uint8_t random[static 6], char out[static PAGE_ID_SIZE])
{
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
	time_t t =
		(time_t)CLAMP(realtime_ms / 1000, (int64_t)0, (int64_t)253402300799); /* to the end of 9999 */
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, PAGE_ID_SIZE, "%Y%m%dT%H%M%S-", &tm);
	for (size_t i = 0; i < 6; i++)
		out[16 + i] = alphabet[random[i] & 31];
	out[22] = 0;
}

/* Is the name free in pages/ and in the table? tmp/ is tried by creating. 1, 0 or negative errno. */
static int id_is_free(struct spool *s, const char *id, const char *file)
{
	int64_t one;
	int r;

	if (faccessat(s->pages, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	r = db_get_i64(s->db, &one, "SELECT 1 FROM pages WHERE page = ? UNION ALL SELECT 1 FROM gone WHERE page = ?", "ss", id,
		id);
	return r < 0 ? r : r == 0;
}

/* Chooses the id and creates tmp/ID.jpg. */
static int create_file(struct spool_writer *w)
{
	struct spool *s = w->s;
	uint8_t random[6];
	int r;

	for (unsigned int i = 0; i < ID_TRIES; i++) {
		s->random(random, sizeof(random));
		page_id_format(w->row.accepted_ms, random, w->row.id);
		page_file_name(w->row.id, w->file);
		r = id_is_free(s, w->row.id, w->file);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		w->fd = openat(s->tmp, w->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
		if (w->fd >= 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

/* ---- the open writers ------------------------------------------------------------------------ */

struct spool_writer *spool_writer_next(const struct spool_writer *w)
{
	return w->next;
}

bool spool_is_writing(const struct spool *s, const char *tmp_name)
{
	for (const struct spool_writer *w = s->writers; w; w = w->next)
		if (streq(w->file, tmp_name))
			return true;
	return beside_is_writing(s, tmp_name);
}

static void writer_free(struct spool_writer *w)
{
	struct spool_writer **p = &w->s->writers;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	closep(&w->fd);
	sha256_free(w->sent);
	sha256_free(w->written);
	buf_free(&w->head);
	free(w);
}

/* Takes back the one file that this writer created, where it is now. */
static void take_back(struct spool_writer *w)
{
	int r = 0;

	if (w->kept)
		return;
	if (!w->in_pages && unlinkat(w->s->tmp, w->file, 0) < 0)
		r = -errno;
	/* Not in tmp/ any more: the rename told of a failure, and was done. */
	if (w->in_pages || r == -ENOENT)
		r = unlink_durable(w->s->pages, w->file);
	if (r < 0)
		log_warning("page %s: its file cannot be taken back: %s", w->row.id, errno_text(r));
}

void spool_page_abort(struct spool_writer *w)
{
	if (!w)
		return;
	take_back(w);
	writer_free(w);
}

/* ---- begin ----------------------------------------------------------------------------------- */

static int fill_row(struct spool_writer *w, const struct spool_meta *m)
{
	struct stamp now = spool_stamp(w->s);

	w->row = (struct page_row){
		.position = m->position,
		.job = m->job,
		.lane = m->lane,
		.state = STATE_QUEUED,
		.accepted_ms = now.ms,
		.accepted_trust = now.trust,
		.owner = m->owner,
		.again = m->again,
	};
	if (m->name)
		text_safe_copy(w->row.name, sizeof(w->row.name), m->name);
	if (m->document)
		str_copy(w->row.document, sizeof(w->row.document), m->document);
	return str_copy(w->row.source, sizeof(w->row.source), m->source) < 0 ? -EINVAL : 0;
}

int spool_page_begin(struct spool *s, const struct spool_meta *m, struct spool_writer **ret)
{
	struct spool_writer *w;
	int r;

	if (!m->job || !m->job->types || m->position < 1 || (m->document && !page_id_valid(m->document)) ||
		(m->document_name && !document_name_valid(m->document_name)))
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->s = s;
	w->fd = -1;
	w->taken = m->taken;
	if (m->document_name)
		str_copy(w->document, sizeof(w->document), m->document_name);
	w->head.max = HEAD_MAX;
	r = fill_row(w, m);
	if (r >= 0 && m->document_name)
		r = document_join(s, &w->row, w->document);
	if (r >= 0)
		r = sha256_new(&w->sent);
	if (r >= 0)
		r = sha256_new(&w->written);
	if (r >= 0)
		r = create_file(w);
	if (r < 0) {
		writer_free(w);
		return r;
	}
	STEP(ACCEPT_TMP_CREATED);
	str_copy(w->row.document, sizeof(w->row.document), w->row.document[0] ? w->row.document : w->row.id);
	w->next = s->writers;
	s->writers = w;
	*ret = w;
	return 0;
}

void spool_page_begin_held(struct spool_writer *w, const char *reason)
{
	w->row.state = STATE_HELD;
	text_cut(w->row.reason, sizeof(w->row.reason), reason);
}

/* ---- write ----------------------------------------------------------------------------------- */

static int put(struct spool_writer *w, const void *data, size_t len)
{
	bool first = w->bytes == 0;
	const uint8_t *p = data;
	int r;

	if (len == 0)
		return 0;
	if (w->bytes + (int64_t)len > PAGE_BYTES_MAX)
		return -EFBIG;
	r = write_all(w->fd, data, len);
	if (r < 0)
		return r;
	sha256_update(w->written, data, len);
	w->bytes += (int64_t)len;
	w->tail[0] = len > 1 ? p[len - 2] : w->tail[1];
	w->tail[1] = p[len - 1];
	if (first)
		STEP(ACCEPT_PARTLY_WRITTEN);
	return 0;
}

/* docs/architecture.md, "The page file's comment". */
static int comment_text(const struct page_row *p, struct buf *out)
{
	int r;

	r = buf_addf(out,
		"pageferry1 "
		"{\"id\":\"%s\",\"t\":%lld,\"trust\":\"%s\",\"doc\":\"%s\",\"pos\":%lld,\"lane\":%d,\"src\":",
		p->id, (long long)p->accepted_ms, time_trust_name(p->accepted_trust), p->document,
		(long long)p->position, (int)p->lane);
	if (r >= 0)
		r = json_quote(out, p->source, strlen(p->source));
	return r < 0 ? r : buf_addf(out, ",\"job\":%s}", p->job->json);
}

/* Head, comment, and what of the head comes after it; once enough has arrived to know where the comment goes.
 */
static int put_comment(struct spool_writer *w)
{
	_cleanup_buf_ struct buf text = {}, segment = {};
	ssize_t at;
	int r;

	at = jpeg_comment_offset((const uint8_t *)buf_str(&w->head), w->head.len);
	if (at == -EAGAIN || (at >= 0 && (size_t)at > w->head.len))
		return 0;
	if (at < 0)
		return (int)at;
	r = comment_text(&w->row, &text);
	if (r >= 0)
		r = jpeg_comment_segment(buf_str(&text), &segment);
	if (r >= 0)
		r = put(w, w->head.data, (size_t)at);
	if (r >= 0)
		r = put(w, segment.data, segment.len);
	if (r >= 0)
		r = put(w, w->head.data + at, w->head.len - (size_t)at);
	if (r < 0)
		return r;
	w->commented = true;
	buf_free(&w->head);
	return 0;
}

static int write_piece(struct spool_writer *w, const void *data, size_t len)
{
	int r;

	if (w->commented)
		return put(w, data, len);
	r = buf_add(&w->head, data, len);
	if (r == -EMSGSIZE) { /* a large first piece: the front of it is enough */
		size_t room = HEAD_MAX - w->head.len;

		r = buf_add(&w->head, data, room);
		if (r >= 0)
			r = put_comment(w);
		return r < 0 ? r : !w->commented ? -EBADMSG : put(w, (const char *)data + room, len - room);
	}
	return r < 0 ? r : put_comment(w);
}

int spool_page_write(struct spool_writer *w, const void *data, size_t len)
{
	if (w->error < 0)
		return w->error;
	sha256_update(w->sent, data, len);
	w->error = write_piece(w, data, len);
	return w->error;
}

/* ---- commit ---------------------------------------------------------------------------------- */

/* Is it a whole JPEG (it starts and ends as one), and what the helper says it sent? Fills the row's hash. */
static int check_content(struct spool_writer *w, const char *sha256_hex)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];

	if (w->error < 0)
		return w->error;
	if (!w->commented || w->tail[0] != 0xff || w->tail[1] != 0xd9) /* EOI */
		return -EBADMSG;
	sha256_final(w->sent, digest);
	hex_encode(digest, sizeof(digest), hex);
	if (sha256_hex && !streq(hex, sha256_hex))
		return -EBADMSG;
	str_copy(w->row.content, sizeof(w->row.content), hex);
	sha256_final(w->written, digest);
	hex_encode(digest, sizeof(digest), w->row.sha256);
	w->row.bytes = w->bytes;
	return 0;
}

static int move_to_pages(struct spool_writer *w)
{
	int r;

	STEP(ACCEPT_WRITTEN);
	if (!BUG("accept-no-fsync")) {
		r = fsync_retry(w->fd);
		if (r < 0)
			return r;
	}
	STEP(ACCEPT_SYNCED);
	if (renameat2(w->s->tmp, w->file, w->s->pages, w->file, RENAME_NOREPLACE) < 0)
		return -errno;
	w->in_pages = true;
	STEP(ACCEPT_RENAMED);
	if (!BUG("accept-no-dir-fsync")) {
		r = fsync_dir(w->s->pages);
		if (r >= 0)
			r = fsync_dir(w->s->tmp);
		if (r < 0)
			return r;
	}
	STEP(ACCEPT_DIR_SYNCED);
	return 0;
}

/*
 * A COMMIT that failed may be on the disk all the same: all of it was written and only the sync failed, say. The next start
 * would find the row, and no file if that was taken back. Another commit settles it, as it is written over the failed one.
 * 1: the row is there; 0: it is not and will not be; negative errno: nobody knows.
 */
static int row_is_there(struct spool_writer *w)
{
	struct db *db = w->s->db;
	int64_t one;
	int r, there;

	r = db_begin(db);
	if (r < 0)
		return r;
	there = db_get_i64(db, &one, "SELECT 1 FROM pages WHERE page = ?", "s", w->row.id);
	r = there < 0 ? there : spool_probe(w->s);
	if (r < 0) {
		db_rollback(db);
		return r;
	}
	r = db_commit(db);
	return r < 0 ? r : there;
}

static int commit_row(struct spool_writer *w, const char *capture_json)
{
	struct spool *s = w->s;
	int r;

	r = db_begin(s->db);
	if (r < 0)
		return r;
	r = page_row_insert(s, &w->row, w->document[0] ? w->document : NULL, capture_json);
	if (r >= 0 && w->taken && !BUG("watch-forget-taken"))
		r = taken_put(s, w->taken, w->row.id);
	if (r >= 0)
		r = spool_stamp_save(s);
	if (r < 0) {
		db_rollback(s->db);
		return r;
	}
	STEP(ACCEPT_ROW_INSERTED);
	r = db_commit(s->db);
	if (r < 0) {
		int there = row_is_there(w);

		/* Unknown: the file stays, and the next start finds it with its row or without. */
		w->kept = there < 0;
		if (w->kept)
			spool_memory_forget(s);
		if (there <= 0)
			return r;
		log_warning("page %s: its commit failed (%s), and is on the disk", w->row.id, errno_text(r));
	}
	STEP(ACCEPT_COMMITTED);
	s->pages_bytes += w->row.bytes;
	spool_counts_moved(s, -1, (int)w->row.state);
	return 0;
}

/* The order that everything rests on. The planted bugs are the two ways to get it wrong. */
static int make_safe(struct spool_writer *w, const char *capture_json)
{
	int r;

	if (BUG("accept-commit-before-rename")) {
		r = commit_row(w, capture_json);
		return r < 0 ? r : move_to_pages(w);
	}
	r = move_to_pages(w);
	if (r < 0 || BUG("accept-ack-before-commit"))
		return r;
	return commit_row(w, capture_json);
}

int spool_page_commit(struct spool_writer *w, uint32_t width, uint32_t height, const char *sha256_hex,
	const char *capture_json, struct page_row *ret)
{
	int r;

	w->row.width = width;
	w->row.height = height;
	r = check_content(w, sha256_hex);
	if (r >= 0)
		r = make_safe(w, capture_json);
	if (r < 0) {
		spool_page_abort(w);
		return r;
	}
	if (ret)
		*ret = w->row;
	writer_free(w);
	return 0;
}
