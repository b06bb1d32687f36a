#include "capture/emit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/text.h"
#include "capture/record.h"

#define NAME_SIZE 256

struct emit_files {
	struct emit emit;
	int dirfd;        /* borrowed */
	const char *name; /* borrowed, or NULL */
	int fd;           /* the file being written, or -1 */
	bool told;        /* what went wrong was said */
	char target[NAME_SIZE], tmp[NAME_SIZE];
	uint64_t bytes;
};

static inline struct emit_files *files_of(struct emit *e)
{
	return (struct emit_files *)e;
}

static void drop(struct emit_files *f)
{
	if (f->fd < 0)
		return;
	close(take_fd(&f->fd));
	unlinkat(f->dirfd, f->tmp, 0);
}

static int cannot_write(struct emit_files *f, const char *name, int r)
{
	char safe[NAME_SIZE];

	f->told = true;
	log_error("cannot write %s: %s", text_safe_copy(safe, sizeof(safe), name), errno_text(r));
	return r;
}

/* a.jpg stays a.jpg; a.png becomes a.png.jpg, so that both may lie in one folder. */
static int choose_names(struct emit_files *f, const char *page)
{
	const char *slash = strrchr(page, '/'), *base = slash ? slash + 1 : page, *dot = strrchr(base, '.');
	bool jpg = dot && streq(dot, ".jpg");
	int r;

	r = f->name ? str_copy(f->target, sizeof(f->target), f->name)
		    : str_format(f->target, sizeof(f->target), "%s%s", base, jpg ? "" : ".jpg");
	if (r < 0)
		return -ENAMETOOLONG;
	r = str_format(f->tmp, sizeof(f->tmp), ".%.200s.%ld.tmp", f->target, (long)getpid());
	return r < 0 ? -ENAMETOOLONG : 0;
}

static int files_page(struct emit *e, const struct page_info *p)
{
	struct emit_files *f = files_of(e);
	struct stat st;
	int r = choose_names(f, p->name);

	if (r < 0)
		return cannot_write(f, f->name ? f->name : p->name, r);
	/* An older result is replaced; a device (as root), link or folder of that name is not. */
	if (fstatat(f->dirfd, f->target, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
		return cannot_write(f, f->target, S_ISDIR(st.st_mode) ? -EISDIR : -EEXIST);
	drop(f);
	f->bytes = 0;
	f->fd = openat(f->dirfd, f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	return f->fd < 0 ? cannot_write(f, f->target, -errno) : 0;
}

static int files_data(struct emit *e, const void *data, size_t len)
{
	struct emit_files *f = files_of(e);
	int r = write_all(f->fd, data, len);

	f->bytes += len;
	return r < 0 ? cannot_write(f, f->target, r) : 0;
}

/* The record as it is sent to the daemon, for a person who looks at thresholds. */
static int print_sense(const struct sense_result *s)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf text = {};
	int r = sense_json(s, &j);

	r = r < 0 ? r : json_print(j, false, &text);
	if (r >= 0)
		printf("  sense %s\n", buf_str(&text));
	return r;
}

static int print_done(const struct page_info *p)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf text = {};
	int r = record_done(p, &j);

	if (r > 0)
		r = json_print(j, false, &text);
	if (r >= 0 && text.len)
		printf("  done %s\n", buf_str(&text));
	return r < 0 ? r : 0;
}

static int files_page_end(struct emit *e, const struct page_info *p)
{
	struct emit_files *f = files_of(e);
	char safe[NAME_SIZE];
	int r;

	if (close(take_fd(&f->fd)) < 0 || renameat(f->dirfd, f->tmp, f->dirfd, f->target) < 0) {
		r = -errno;
		unlinkat(f->dirfd, f->tmp, 0);
		return cannot_write(f, f->target, r);
	}
	printf("%s: %ux%u -> %ux%u, %" PRIu64 " KB, %" PRIi64 " ms (decode %" PRIi64 ", scale %" PRIi64
	       ", encode %" PRIi64 "), processor %" PRIi64 " ms\n",
		text_safe_copy(safe, sizeof(safe), f->target), p->source_width, p->source_height, p->width,
		p->height, (f->bytes + 500) / 1000, p->us.total / 1000, p->us.decode / 1000,
		p->us.scale / 1000, p->us.encode / 1000, p->us.cpu / 1000);
	r = print_done(p);
	return r >= 0 && sense_asked(&p->sense.asked) ? print_sense(&p->sense) : r;
}

static int files_reject(struct emit *e, unsigned int index, const char *name, const struct reject *why)
{
	char safe[NAME_SIZE];

	drop(files_of(e));
	log_warning("%s: rejected (%s): %s", text_safe_copy(safe, sizeof(safe), name),
		reject_name(why->reason), why->message);
	return 0;
}

static int files_end(struct emit *e, bool ok, const char *reason, const char *message)
{
	if (!ok && !files_of(e)->told)
		log_error("%s (%s)", message, reason);
	return fflush(stdout) == 0 ? 0 : cannot_write(files_of(e), "standard output", -errno);
}

static void files_free(struct emit *e)
{
	drop(files_of(e));
	free(e);
}

static const struct emit_ops files_ops = {
	.page = files_page,
	.data = files_data,
	.page_end = files_page_end,
	.reject = files_reject,
	.end = files_end,
	.free = files_free,
};

int emit_files_new(int dirfd, const char *name, struct emit **ret)
{
	struct emit_files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->emit.ops = &files_ops;
	f->dirfd = dirfd;
	f->name = name;
	f->fd = -1;
	*ret = &f->emit;
	return 0;
}

void emit_free(struct emit *e)
{
	if (e)
		e->ops->free(e);
}
