/* replay:PATH gives a file, or the page images of a folder in the order of their names: JPEG, PNG, PNM, and raw frames
 * (capture/rawname.h). */
#include "capture/rawname.h"
#include "capture/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/log.h"
#include "capture/look.h"
#include "capture/watch.h"

#define FILES_MAX 10000
#define GLANCE_MS 100 /* from one file to the next, when they are looked at as frames */

struct replay {
	struct page_source source;
	int dirfd;    /* owned; AT_FDCWD for a single file */
	char **names; /* owned */
	size_t n, at, end; /* names; the next; behind the last that is given */
	struct image_limits limits;
	bool glanced;      /* somebody looks at them as at a camera's frames */
	int fd; /* owned: of the page given last */
	struct input input;
	uint8_t *raw; /* owned: the raw frame given last */
};

static inline struct replay *replay_of(struct page_source *s)
{
	return (struct replay *)s;
}

static bool wanted(const char *name)
{
	static const char *const endings[] = {".jpg", ".jpeg", ".png", ".pnm", ".pgm", ".ppm"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; name[0] != '.' && dot && i < ARRAY_SIZE(endings); i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return name[0] != '.' && rawname_is_raw(name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct replay *s, const char *name)
{
	if (s->n % 64 == 0) {
		char **more = realloc(s->names, (s->n + 64) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->names = more;
	}
	s->names[s->n] = strdup(name);
	if (!s->names[s->n])
		return -ENOMEM;
	s->n++;
	return 0;
}

static int list_folder(struct replay *s, const char *where, struct reject *why)
{
	int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		r = reject_set(why, REJECT_IO, "cannot list %s: %s", where, errno_text(-errno));
		closep(&fd);
		return r;
	}
	for (errno = 0; r >= 0 && (e = readdir(d)); errno = 0) {
		if (!wanted(e->d_name))
			continue;
		r = s->n < FILES_MAX
			    ? add_name(s, e->d_name)
			    : reject_set(why, REJECT_TOO_LARGE, "more than %d pages in %s", FILES_MAX, where);
	}
	if (r >= 0 && errno != 0)
		r = reject_set(why, REJECT_IO, "cannot list %s: %s", where, errno_text(-errno));
	closedir(d);
	if (r >= 0 && s->n == 0)
		return reject_set(why, REJECT_EMPTY, "no page image in %s", where);
	if (r >= 0)
		qsort(s->names, s->n, sizeof(*s->names), by_name);
	return r;
}

static void replay_close(struct page_source *source)
{
	struct replay *s = replay_of(source);

	for (size_t i = 0; i < s->n; i++)
		free(s->names[i]);
	free(s->names);
	closep(&s->fd);
	closep(&s->dirfd);
	input_close(&s->input);
	free(s->raw);
	free(s);
}

static int look(struct replay *s, const char *where, struct reject *why)
{
	struct stat st;

	if (stat(where, &st) < 0)
		return reject_set(why, errno == ENOENT ? REJECT_NO_DEVICE : REJECT_IO, "cannot open %s: %s",
			where, errno_text(-errno));
	if (!S_ISDIR(st.st_mode)) {
		s->dirfd = AT_FDCWD;
		return add_name(s, where);
	}
	s->dirfd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0)
		return reject_set(why, REJECT_IO, "cannot open %s: %s", where, errno_text(-errno));
	return list_folder(s, where, why);
}

static int replay_open(const char *where, const struct source_options *o, struct page_source **ret, struct reject *why)
{
	struct replay *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->source.ops = &replay_source;
	s->fd = s->dirfd = -1;
	s->input.fd = -1;
	r = look(s, where, why);
	if (r < 0) {
		replay_close(&s->source);
		return r;
	}
	s->end = s->n;
	s->limits = o->limits;
	*ret = &s->source;
	return 0;
}

/* O_NONBLOCK: a FIFO must not hold us up before we know what it is. */
static int open_page(struct replay *s, const char *path, off_t *ret_size, struct reject *why)
{
	struct stat st;

	closep(&s->fd);
	s->fd = openat(s->dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return reject_set(why, REJECT_IO, "cannot open it: %s", errno_text(-errno));
	if (!S_ISREG(st.st_mode))
		return reject_set(why, REJECT_IO, "not a regular file");
	*ret_size = st.st_size;
	return 0;
}

static int read_raw(struct replay *s, size_t size, struct reject *why)
{
	size_t have = 0;

	free(s->raw);
	s->raw = malloc(size);
	if (!s->raw)
		return -ENOMEM;
	while (have < size) {
		ssize_t n = pread(s->fd, s->raw + have, size - have, (off_t)have);

		if (n < 0 && errno != EINTR)
			return reject_set(why, REJECT_IO, "reading failed: %s", errno_text(-errno));
		if (n == 0)
			return reject_set(why, REJECT_TRUNCATED, "the frame is short: %zu bytes", have);
		have += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int take_raw(struct replay *s, off_t size, struct page_item *ret, struct reject *why)
{
	struct raw_frame *f = &ret->frame;
	int r = rawname_parse(ret->name, f, why);

	if (r >= 0)
		r = image_check_size(f->width, f->height, &s->limits, why);
	if (r < 0)
		return r;
	if (size <= 0)
		return reject_set(why, REJECT_EMPTY, "the file is empty");
	if ((uint64_t)size > INPUT_MAX)
		return image_input_failed(-EFBIG, why);
	r = read_raw(s, (size_t)size, why);
	if (r >= 0)
		r = raw_frame_lay_out(f, s->raw, (size_t)size, raw_format_row(f->format, f->width), why);
	return r < 0 ? r : raw_frame_is_all(f, (size_t)size, why);
}

static int take_encoded(struct replay *s, struct page_item *ret)
{
	int r;

	input_close(&s->input);
	r = input_from_file(&s->input, s->fd);
	if (r >= 0)
		ret->input = &s->input;
	return r;
}

/* The next page of those up to `end`. */
static int take_next(struct replay *s, struct page_item *ret, struct reject *why)
{
	const char *path, *slash;
	off_t size = 0;
	int r;

	if (s->at >= s->end)
		return 0;
	path = s->names[s->at++];
	slash = strrchr(path, '/');
	*ret = (struct page_item){};
	if (str_copy(ret->name, sizeof(ret->name), slash ? slash + 1 : path) < 0)
		return reject_set(why, REJECT_IO, "its name is too long");
	r = open_page(s, path, &size, why);
	if (r >= 0)
		r = rawname_is_raw(ret->name) ? take_raw(s, size, ret, why) : take_encoded(s, ret);
	return r < 0 ? r : 1;
}

static int replay_next(struct page_source *source, struct page_item *ret, struct reject *why)
{
	int64_t from = watch_us();
	int r = take_next(replay_of(source), ret, why);

	if (r > 0)
		ret->grab_us = watch_us() - from;
	return r;
}

/* As if the files were frames of a camera. */
static int replay_glance(struct page_source *source, struct glance *ret, struct reject *why)
{
	struct replay *s = replay_of(source);
	struct page_item item;
	int r;

	s->glanced = true;
	s->end = s->n;
	r = take_next(s, &item, why);
	if (r <= 0)
		return r;
	r = item.input ? look_at_encoded(item.input, &s->limits, ret, why) : look_at_raw(&item.frame, ret, why);
	ret->at_ms = (int64_t)s->at * GLANCE_MS;
	return r < 0 ? r : 1;
}

static void replay_again(struct page_source *source)
{
	struct replay *s = replay_of(source);

	if (s->glanced)
		s->end = s->at--;
	else
		s->at = 0;
}

const struct page_source_ops replay_source = {
	.scheme = "replay",
	.open = replay_open,
	.next = replay_next,
	.again = replay_again,
	.glance = replay_glance,
	.close = replay_close,
};
