/*
 * Documents of several pages. While one is open, whoever brings its pages names it, and none of them is asked. When it is
 * ended its pages are asked together: in groups of JOB_IMAGES_MAX at most, in their order. The first of a group is its leader:
 * requests, attempts, costs and results are the leader's; the others (pages.leader) are in them and have the leader's state.
 * A page that is held from the start (a blank one) is in no group.
 */
#pragma once

#include "daemon/spool.h"

#define DOCUMENT_NAME_SIZE 65
#define DOCUMENT_PAGES_MAX 1000
#define DOCUMENTS_OPEN_MAX 64

/* An open document. */
struct document {
	int64_t id;
	char document[PAGE_ID_SIZE];   /* the id of its first page */
	char name[DOCUMENT_NAME_SIZE];
	int64_t owner;
	int64_t pages, last_position;
	const struct spool_job *job;   /* of its pages; borrowed from the spool */
};
/* A name of 1 to 64 bytes of UTF-8 without control characters. */
bool document_name_valid(const char *name);
/* The owner's open document of that name: 0 or -ENOENT. */
int document_find(struct spool *s, const char *name, int64_t owner, struct document *ret);
/* All that are open, oldest first: how many, or negative errno. */
ssize_t document_list(struct spool *s, struct document *ret, size_t max);
/* No more pages will come: what has come is due. One commit. 0, or -EALREADY: it is not open. */
int document_end(struct spool *s, int64_t id);

/* Ends those that have had no page for `idle_ms` (boottime, of this run), but for one that `busy` says is being added to:
 * how many, or negative errno. `ages` is kept by the caller, zeros at first. */
struct document_ages {
	size_t n;
	struct {
		int64_t id, pages, since_ms;
	} of[DOCUMENTS_OPEN_MAX];
};
int document_end_idle(struct spool *s, struct document_ages *ages, int64_t idle_ms, bool (*busy)(void *ud, const struct document *d),
	void *ud);

/* ---- pages that are asked together --------------------------------------------------------------------------------- */
static inline int64_t group_leader(const struct page_row *p)
{
	return p->leader ? p->leader : p->seq;
}
/* The pages that go with a leader, in order, without itself: how many, or negative errno. */
ssize_t group_rows(struct spool *s, int64_t leader, struct page_row *ret, size_t max);
/* Those that share requests and state with the page, without itself. */
ssize_t group_others(struct spool *s, const struct page_row *p, struct page_row *ret, size_t max);
/* The request that is asked next takes the first `keep` pages of the group (2 or more are in it): the others become a group of
 * their own that waits. One commit. */
int group_split(struct spool *s, int64_t leader, size_t keep);
