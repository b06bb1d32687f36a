#include "daemon/watch_rules.h"

#include <strings.h>

#define FIRST_MS     100
#define LONGEST_MS   30000
#define LOOK_MIN_MS  10
#define FILE_NAME_MAX 255

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);

	return n > e && strcasecmp(name + n - e, end) == 0;
}

/* What is on its way has such an end (.part, .tmp, .filepart, .crdownload, ~) after .jpg: it does not fit then. */
bool watch_name_fits(const char *name)
{
	static const char *const ends[] = {".jpg", ".jpeg", ".png"};

	if (name[0] == '.' || strlen(name) > FILE_NAME_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends_with(name, ends[i]))
			return true;
	return false;
}

bool watch_look_same(const struct watch_look *a, const struct watch_look *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* ---- the table --------------------------------------------------------------------------------------------------------------- */

void watch_table_clear(struct watch_table *t)
{
	while (t->n > 0)
		watch_table_remove(t, &t->files[t->n - 1]);
	free(t->files);
	t->files = NULL;
}

struct watch_file *watch_table_find(const struct watch_table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (streq(t->files[i].name, name))
			return &t->files[i];
	return NULL;
}

void watch_table_remove(struct watch_table *t, struct watch_file *f)
{
	free(f->name);
	*f = t->files[--t->n];
}

/* One of which nothing is known that the next walk would not find again. */
static struct watch_file *dispensable(const struct watch_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->files[i].writing && !t->files[i].failures && !t->files[i].refused)
			return &t->files[i];
	return NULL;
}

struct watch_file *watch_table_add(struct watch_table *t, const char *name, int64_t now_ms, bool must, bool *ret_lost)
{
	struct watch_file *f = watch_table_find(t, name);
	char *copy;

	if (f)
		return f;
	if (!t->files && !(t->files = calloc(WATCH_FILES_MAX, sizeof(*t->files))))
		return NULL;
	if (t->n == WATCH_FILES_MAX) {
		f = must ? dispensable(t) : NULL;
		if (!f)
			return NULL;
		watch_table_remove(t, f);
		*ret_lost = true;
	}
	copy = strdup(name);
	if (!copy)
		return NULL;
	f = &t->files[t->n++];
	*f = (struct watch_file){.name = copy, .next_ms = now_ms};
	return f;
}

/* What killed the helper comes behind what did not: it must not keep the others waiting. */
static bool is_before(const struct watch_file *a, const struct watch_file *b)
{
	if (a->failures != b->failures)
		return a->failures < b->failures;
	if (a->look.mtime_ns != b->look.mtime_ns)
		return a->look.mtime_ns < b->look.mtime_ns;
	return strcmp(a->name, b->name) < 0;
}

struct watch_file *watch_table_oldest(const struct watch_table *t)
{
	struct watch_file *best = NULL;

	for (size_t i = 0; i < t->n; i++)
		if (t->files[i].ready && (!best || is_before(&t->files[i], best)))
			best = &t->files[i];
	return best;
}

struct watch_file *watch_table_due(const struct watch_table *t, int64_t now_ms)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->files[i].ready && t->files[i].next_ms <= now_ms)
			return &t->files[i];
	return NULL;
}

int64_t watch_table_next_ms(const struct watch_table *t)
{
	int64_t next_ms = INT64_MAX;

	for (size_t i = 0; i < t->n; i++)
		if (!t->files[i].ready)
			next_ms = MIN(next_ms, t->files[i].next_ms);
	return next_ms;
}

/* ---- one file ---------------------------------------------------------------------------------------------------------------- */

void watch_file_seen(struct watch_file *f, const struct watch_look *look, int64_t now_ms, int64_t settle_ms)
{
	int64_t wait_ms = MAX(settle_ms, LOOK_MIN_MS);

	f->ready = false;
	if (!f->looked || !watch_look_same(&f->look, look)) {
		f->looked = true;
		f->look = *look;
		f->since_ms = now_ms;
		f->next_ms = now_ms + wait_ms;
		f->failures = f->waits = 0;
		f->refused = false;
		return;
	}
	f->ready = now_ms - f->since_ms >= settle_ms;
	f->next_ms = f->since_ms + wait_ms;
}

bool watch_file_free(struct watch_file *f, enum watch_writer w, int64_t now_ms, int64_t settle_ms)
{
	if (w == WRITER_NONE)
		f->writing = false;
	if (w != WRITER_SOME && !f->writing)
		return true;
	f->waits++;
	watch_file_wait(f, now_ms, MAX(settle_ms, watch_backoff_ms(f->waits)));
	return false;
}

void watch_file_wait(struct watch_file *f, int64_t now_ms, int64_t ms)
{
	f->ready = false;
	f->next_ms = now_ms + ms;
}

int64_t watch_backoff_ms(uint32_t n)
{
	return MIN((int64_t)FIRST_MS << MIN(n > 0 ? n - 1 : 0, 20u), (int64_t)LONGEST_MS);
}

int watch_target_name(const char *name, const char *tag, unsigned int n, size_t room, char *out, size_t size)
{
	const char *dot = strrchr(name, '.');
	size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name), rest;
	const char *end = name + stem;
	char middle[64];
	int r;

	if (n < 2)
		r = str_format(middle, sizeof(middle), "%s%s", n ? "." : "", n ? tag : "");
	else
		r = str_format(middle, sizeof(middle), ".%s-%u", tag, n);
	if (r < 0)
		return -ENAMETOOLONG;
	rest = strlen(middle) + strlen(end) + room;
	if (rest >= FILE_NAME_MAX)
		return -ENAMETOOLONG;
	stem = MIN(stem, FILE_NAME_MAX - rest);
	while (stem > 0 && stem < (size_t)(end - name) && ((unsigned char)name[stem] & 0xc0) == 0x80)
		stem--; /* not inside a character */
	return str_format(out, size, "%.*s%s%s", (int)stem, name, middle, end) < 0 ? -ENAMETOOLONG : 0;
}
