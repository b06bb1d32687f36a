#include "daemon/beside.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/spool_internal.h"

#define BESIDE_BYTES_MAX ((int64_t)256 << 20) /* as much as a file that is taken in may have */
#define ROOM_EVERY       ((int64_t)4 << 20)   /* so often it is synced, and asked whether there is room for more */

struct beside_writer {
	struct beside_writer *next; /* in s->besides */
	struct spool *s;
	enum beside_kind kind;
	char file[BESIDE_NAME_SIZE];
	int fd;
	struct sha256 *hash;
	int64_t bytes, room; /* written; asked for */
};

static const char *const kind_names[] = {"thumbnail", "original"};

int beside_kind_parse(const char *name, enum beside_kind *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (streq(name, kind_names[i])) {
			*ret = (enum beside_kind)i;
			return 0;
		}
	return -EINVAL;
}

void beside_file_name(const char *id, enum beside_kind k, char out[static BESIDE_NAME_SIZE])
{
	str_format(out, BESIDE_NAME_SIZE, "%.*s.%s.jpg", PAGE_ID_LENGTH, id, kind_names[k]);
}

bool beside_from_name(const char *name, char id[static PAGE_ID_SIZE], enum beside_kind *ret)
{
	char want[BESIDE_NAME_SIZE];

	if (strlen(name) <= PAGE_ID_LENGTH)
		return false;
	memcpy(id, name, PAGE_ID_LENGTH);
	id[PAGE_ID_LENGTH] = 0;
	if (!page_id_valid(id))
		return false;
	for (enum beside_kind k = 0; k < BESIDE_KINDS; k++) {
		beside_file_name(id, k, want);
		if (streq(name, want)) {
			*ret = k;
			return true;
		}
	}
	return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

bool beside_is_writing(const struct spool *s, const char *tmp_name)
{
	for (const struct beside_writer *w = s->besides; w; w = w->next)
		if (streq(w->file, tmp_name))
			return true;
	return false;
}

int64_t beside_writing_bytes(const struct spool *s)
{
	int64_t n = 0;

	for (const struct beside_writer *w = s->besides; w; w = w->next)
		n += w->bytes;
	return n;
}

static void writer_free(struct beside_writer *w)
{
	struct beside_writer **p = &w->s->besides;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	closep(&w->fd);
	sha256_free(w->hash);
	free(w);
}

/* Synced on the way, for an original is large: the loop must not wait for all of it at the end. */
static int ask_room(struct beside_writer *w)
{
	char why[200];
	int r = 0;

	if (w->bytes < w->room)
		return 0;
	if (w->bytes > 0)
		r = fsync_retry(w->fd);
	if (r >= 0)
		r = spool_room(w->s, why, sizeof(why));
	w->room = w->bytes + ROOM_EVERY;
	return r;
}

int beside_begin(struct spool *s, const char *id, enum beside_kind k, struct beside_writer **ret)
{
	struct beside_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->s = s;
	w->kind = k;
	w->fd = -1;
	beside_file_name(id, k, w->file);
	r = ask_room(w);
	if (r >= 0)
		r = sha256_new(&w->hash);
	if (r >= 0) {
		w->fd = openat(s->tmp, w->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
		r = w->fd < 0 ? -errno : 0;
	}
	if (r < 0) {
		writer_free(w);
		return r;
	}
	w->next = s->besides;
	s->besides = w;
	*ret = w;
	return 0;
}

int beside_write(struct beside_writer *w, const void *data, size_t len)
{
	int r = w->bytes + (int64_t)len > BESIDE_BYTES_MAX ? -EFBIG : ask_room(w);

	if (r >= 0)
		r = write_all(w->fd, data, len);
	if (r < 0)
		return r;
	sha256_update(w->hash, data, len);
	w->bytes += (int64_t)len;
	return 0;
}

enum beside_kind beside_kind_of(const struct beside_writer *w)
{
	return w->kind;
}

int beside_page(struct spool *s, const char *id)
{
	char file[PAGE_FILE_SIZE];
	int64_t kept;
	int r = db_get_i64(s->db, &kept, "SELECT file FROM pages WHERE page = ? UNION ALL SELECT 0 FROM gone WHERE page = ?", "ss", id, id);

	if (r != 0)
		return r < 0 ? r : kept != 0;
	/* A page file without a row is there when it could not be looked at, or is of a newer version. */
	page_file_name(id, file);
	return faccessat(s->pages, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 1 : -ENOENT;
}

int beside_commit(struct beside_writer *w, const char *sha256_hex)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE], id[PAGE_ID_SIZE];
	struct spool *s = w->s;
	int r;

	sha256_final(w->hash, digest);
	hex_encode(digest, sizeof(digest), hex);
	text_cut(id, sizeof(id), w->file);
	r = streq(hex, sha256_hex) ? beside_page(s, id) : -EBADMSG;
	if (r == 0) /* dropped, or aged out, while this arrived */
		r = -ENOENT;
	if (r >= 0)
		r = fsync_retry(w->fd);
	if (r >= 0)
		r = rename_durable(s->tmp, w->file, s->beside, w->file);
	if (r < 0) {
		beside_abort(w);
		return r;
	}
	s->beside_bytes += w->bytes;
	writer_free(w);
	return 0;
}

void beside_abort(struct beside_writer *w)
{
	if (!w)
		return;
	unlinkat(w->s->tmp, w->file, 0);
	writer_free(w);
}

/* ---- looking, and letting go ----------------------------------------------------------------- */

static int64_t size_of(struct spool *s, const char *name)
{
	struct stat st;

	return fstatat(s->beside, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

int64_t beside_size(struct spool *s, const char *id, enum beside_kind k)
{
	char name[BESIDE_NAME_SIZE];

	beside_file_name(id, k, name);
	return size_of(s, name);
}

int beside_open(struct spool *s, const char *id, enum beside_kind k)
{
	char name[BESIDE_NAME_SIZE];
	int fd;

	beside_file_name(id, k, name);
	if (size_of(s, name) == 0)
		return -ENOENT;
	fd = openat(s->beside, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int remove_name(struct spool *s, const char *name)
{
	int64_t bytes = size_of(s, name);

	if (unlinkat(s->beside, name, 0) < 0)
		return -errno;
	s->beside_bytes = MAX(s->beside_bytes - bytes, (int64_t)0);
	return 0;
}

void beside_remove(struct spool *s, const char *id)
{
	char name[BESIDE_NAME_SIZE];

	if (!page_id_valid(id))
		return;
	for (enum beside_kind k = 0; k < BESIDE_KINDS; k++) {
		int r;

		beside_file_name(id, k, name);
		r = remove_name(s, name);
		if (r < 0 && r != -ENOENT)
			log_line(spool_log_level(++s->stuck_files), "%s cannot be removed: %s", name, errno_text(r));
	}
}

/* ---- recovery -------------------------------------------------------------------------------- */

static int aside(struct spool *s, const char *name, const char *reason)
{
	if (quarantine_move(s, s->beside, name, reason) >= 0)
		s->reconcile.counts.quarantined++;
	return 0;
}

int beside_check(struct spool *s, const char *name)
{
	char id[PAGE_ID_SIZE];
	enum beside_kind k;
	struct stat st;
	int r;

	if (!beside_from_name(name, id, &k))
		return aside(s, name, "found in beside/, not made by pageferryd");
	if (fstatat(s->beside, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISREG(st.st_mode))
		return aside(s, name, "found in beside/, not a regular file");
	r = beside_page(s, id);
	if (r == -ENOENT)
		return aside(s, name, "lay beside a page that nothing is known of");
	if (r > 0)
		s->reconcile.beside_bytes += st.st_size;
	else if (r == 0 && unlinkat(s->beside, name, 0) == 0)
		s->reconcile.counts.leftovers++;
	return MIN(r, 0);
}
