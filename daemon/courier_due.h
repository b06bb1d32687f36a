/* What is due, by the index pages_due: classes of pages that share state, lane, job, rung and tries, each in its order. */
#pragma once

#include "daemon/spool.h"

struct due_class {
	enum page_state state;
	int64_t lane, job, rung, tries;
};
/* The first class of a state: begin with lane -1. 1: *c is the next one, 0: no more, negative errno. O(log n). */
int due_class_next(struct spool *s, struct due_class *c);

struct due_page {
	int64_t seq;
	int64_t tried_ms, tried_boot_ms;
	bool tried_this_boot;
	int64_t retried;              /* as in struct page_row */
	uint64_t content;             /* the front of its hash; 0: not known, or it is paid for whatever was answered before */
	char answered[BACKEND_NAME_SIZE]; /* backend of the current result; "" without one */
};
uint64_t due_content(const char *hex); /* of 16 digits; 0: there is none */
/* The first pages of a class, the one tried longest ago first: their number, or negative errno. O(log n). */
ssize_t due_pages(struct spool *s, const struct due_class *c, struct due_page *ret, size_t max);
/* The same of those behind a seq that nobody has tried yet. */
ssize_t due_pages_after(struct spool *s, const struct due_class *c, int64_t seq, struct due_page *ret, size_t max);
/* What the attempts at this backend say, since a person's last retry. */
struct due_history {
	int64_t tries;    /* that count */
	int64_t unproved; /* that do not count, but may have been billed */
	bool cannot;      /* one of them said that it never will */
	int64_t smaller;  /* render_step() that may do, after one that was too large; 0: none was */
};
int due_history(struct spool *s, int64_t seq, int64_t retried, const char *backend, struct due_history *ret);

/* When a page may be tried again, boottime; `started_ms` is when this run of the service began, `random` the page's own
 * jitter. Stamps of another boot count only if the clock can be believed: else the wait begins with this run. Pure. */
struct due_when {
	int64_t tries, base_ms, cap_ms;
	uint32_t random;
	int64_t now_boot_ms, now_real_ms, started_ms;
	bool clock_believed;
};
int64_t due_time_ms(const struct due_page *p, const struct due_when *w);
