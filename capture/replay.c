/* replay:PATH gives a file, or the JPEG and PNG files of a folder in the order of their names. */
#include "capture/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/log.h"
#include "capture/watch.h"

#define FILES_MAX 10000

struct replay {
	struct page_source source;
	int dirfd;    /* owned; AT_FDCWD for a single file */
	char **names; /* owned */
	size_t n, at;
	int fd; /* owned: of the page given last */
	struct input input;
};

static inline struct replay *replay_of(struct page_source *s)
{
	return (struct replay *)s;
}

static bool wanted(const char *name)
{
	static const char *const endings[] = {".jpg", ".jpeg", ".png"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; name[0] != '.' && dot && i < ARRAY_SIZE(endings); i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
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
		return reject_set(why, REJECT_EMPTY, "no .jpg, .jpeg or .png file in %s", where);
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

static int replay_open(const char *where, struct page_source **ret, struct reject *why)
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
	*ret = &s->source;
	return 0;
}

/* O_NONBLOCK: a FIFO must not hold us up before we know what it is. */
static int open_page(struct replay *s, const char *path, struct reject *why)
{
	struct stat st;

	closep(&s->fd);
	s->fd = openat(s->dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return reject_set(why, REJECT_IO, "cannot open it: %s", errno_text(-errno));
	if (!S_ISREG(st.st_mode))
		return reject_set(why, REJECT_IO, "not a regular file");
	input_close(&s->input);
	return input_from_file(&s->input, s->fd);
}

static int replay_next(struct page_source *source, struct page_item *ret, struct reject *why)
{
	struct replay *s = replay_of(source);
	int64_t from = watch_us();
	const char *path, *slash;
	int r;

	if (s->at == s->n)
		return 0;
	path = s->names[s->at++];
	slash = strrchr(path, '/');
	*ret = (struct page_item){};
	if (str_copy(ret->name, sizeof(ret->name), slash ? slash + 1 : path) < 0)
		return reject_set(why, REJECT_IO, "its name is too long");
	r = open_page(s, path, why);
	if (r < 0)
		return r;
	ret->input = &s->input;
	ret->grab_us = watch_us() - from;
	return 1;
}

const struct page_source_ops replay_source = {
	.scheme = "replay",
	.open = replay_open,
	.next = replay_next,
	.close = replay_close,
};
