/*
 * After the database was lost: the page files get their rows again in the order in which they were accepted, as far as that
 * is known: by the time in their comment, then by name. A folder gives its files in no order, and there may be a hundred
 * thousand: each walk collects the next names in a list of bounded size. An id starts with the time of acceptance in
 * seconds, so the lists follow one another; within a list the comment's milliseconds decide.
 */
#include <stdio.h>

#include "base/step.h"
#include "daemon/spool_internal.h"

#define BATCH 8192

struct entry {
	int64_t t;
	char id[PAGE_ID_SIZE];
};

struct rebuild {
	enum { STAGE_COLLECT, STAGE_LOOK, STAGE_ADOPT } stage;
	size_t n, at;
	bool more;              /* names were left out of this list */
	char done[PAGE_ID_SIZE]; /* the greatest of the list before */
	struct entry list[BATCH]; /* STAGE_COLLECT: a heap, the greatest name first */
};

void rebuild_free(struct rebuild *b)
{
	free(b);
}

/* ---- collecting ------------------------------------------------------------------------------ */

static void swap(struct entry *a, struct entry *b)
{
	struct entry t = *a;

	*a = *b;
	*b = t;
}

static void sift_up(struct entry *list, size_t i)
{
	for (; i > 0 && strcmp(list[i].id, list[(i - 1) / 2].id) > 0; i = (i - 1) / 2)
		swap(&list[i], &list[(i - 1) / 2]);
}

static void sift_down(struct entry *list, size_t n)
{
	for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && strcmp(list[child + 1].id, list[child].id) > 0)
			child++;
		if (strcmp(list[child].id, list[i].id) <= 0)
			return;
		swap(&list[i], &list[child]);
	}
}

/* Keeps the smallest names that are greater than those of the lists before. */
static int collect(struct spool *s, const char *name)
{
	struct rebuild *b = s->reconcile.rebuild;
	char id[PAGE_ID_SIZE];

	if (!page_id_from_name(name, id))
		return spool_adopt(s, name); /* which sets it aside */
	if (strcmp(id, b->done) <= 0)
		return 0;
	if (b->n < BATCH) {
		memcpy(b->list[b->n++].id, id, sizeof(id));
		sift_up(b->list, b->n - 1);
		return 0;
	}
	b->more = true;
	if (strcmp(id, b->list[0].id) < 0) {
		memcpy(b->list[0].id, id, sizeof(id));
		sift_down(b->list, b->n);
	}
	return 0;
}

static int collect_slice(struct spool *s)
{
	struct reconcile *c = &s->reconcile;
	struct rebuild *b = c->rebuild;
	int r = spool_walk_slice(s, s->pages, collect);

	if (r != 0)
		return r;
	closedir(c->dir);
	c->dir = NULL;
	if (b->n > 0)
		memcpy(b->done, b->list[0].id, sizeof(b->done));
	b->stage = STAGE_LOOK;
	b->at = 0;
	return 1;
}

/* ---- in order -------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->t != y->t ? (x->t > y->t) - (x->t < y->t) : strcmp(x->id, y->id);
}

/* A slice of the list through fn. 1: more, 0: the end, negative errno. */
static int list_slice(struct spool *s, int (*fn)(struct spool *s, struct entry *e, const char *name))
{
	int64_t started_ms = clock_boottime_ms(s->clock);
	struct rebuild *b = s->reconcile.rebuild;
	char name[PAGE_FILE_SIZE];
	int r;

	for (int i = 0; b->at < b->n && !spool_slice_over(s, i, started_ms); i++) {
		page_file_name(b->list[b->at].id, name);
		r = fn(s, &b->list[b->at], name);
		if (r < 0)
			return r;
		b->at++;
	}
	return b->at < b->n;
}

static int look(struct spool *s, struct entry *e, const char *name)
{
	e->t = page_file_time(s, name);
	return 0;
}

static int adopt(struct spool *s, struct entry *e, const char *name)
{
	return spool_adopt(s, name);
}

static int look_slice(struct spool *s)
{
	struct rebuild *b = s->reconcile.rebuild;
	int r = list_slice(s, look);

	if (r != 0)
		return r;
	qsort(b->list, b->n, sizeof(b->list[0]), by_time);
	b->stage = STAGE_ADOPT;
	b->at = 0;
	return 1;
}

static int adopt_slice(struct spool *s)
{
	struct rebuild *b = s->reconcile.rebuild;
	int r = list_slice(s, adopt);

	if (r != 0 || !b->more)
		return r;
	b->stage = STAGE_COLLECT;
	b->n = 0;
	b->more = false;
	return 1;
}

int rebuild_slice(struct spool *s)
{
	struct reconcile *c = &s->reconcile;

	/* Planted: cut off, the next start takes the rest for pages that were never acknowledged. */
	if (!c->rebuild && BUG("rebuild-finished-first"))
		spool_meta_set_i64(s, "rebuilt", 0);
	if (!c->rebuild)
		c->rebuild = calloc(1, sizeof(*c->rebuild));
	if (!c->rebuild)
		return -ENOMEM;
	switch (c->rebuild->stage) {
	case STAGE_COLLECT:
		return collect_slice(s);
	case STAGE_LOOK:
		return look_slice(s);
	default:
		return adopt_slice(s);
	}
}
