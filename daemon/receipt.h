/* Receipts: a hash chain of what was sent where and what came back (docs/architecture.md, "Receipts"). */
#pragma once

#include "base/json.h"
#include "daemon/spool.h"

struct receipt {
	const char *kind; /* "sent", "answered", "crashed" */
	int64_t attempt;
	const char *rendering_sha256; /* NULL: the page itself went */
	const char *pages; /* JSON array, where there are several: {"page":ID,"content":HASH} of each, and "rendering":HASH; NULL */
	const char *page, *content_sha256, *body_sha256, *backend;
	const char *host, *region, *model, *tier, *resolved; /* may be NULL */
	int64_t bytes; /* of the request's body; -1: not known */
	bool lab;
	/* "answered" only */
	const char *address; /* may be NULL */
	const char *peer_sha256, *request_id, *outcome, *reason; /* may be NULL */
	int status;
	int64_t tokens_input, tokens_output, tokens_cached; /* -1: not reported */
	int64_t cost_pusd;
};
/* Adds a row inside the caller's transaction. 0 or negative errno. */
int receipt_add(struct spool *s, const struct receipt *r);

/* One line (base/chain.h), and what its row says; borrowed for the call. */
struct receipt_line {
	const char *text;
	size_t len;
	int64_t head, seq, attempt; /* head: number of a signed head; 0: it is a receipt */
	const char *kind;
};
typedef int (*receipt_fn)(void *ud, const struct receipt_line *line);
/* Each receipt after a seq, and each signed head after that many, through fn, in order; until it returns something other than 0,
 * which is returned. */
int receipt_each(struct spool *s, int64_t after, int64_t heads, receipt_fn fn, void *ud);
/* The receipts after a seq, and the signed heads after that many, as lines (base/chain.h), added to the array: 512 or `max_bytes`
 * of them; are there more? */
int receipt_lines(struct spool *s, int64_t after, int64_t heads, size_t max_bytes, cJSON *lines, bool *ret_more);
/* The day, UTC, since 1970 of a receipt's or head's body; -1: its time is not trusted. */
int64_t receipt_day(const cJSON *body);
/* Walks the chain with its signed heads: the number of rows, or -EUCLEAN with the first bad seq in *ret_bad. */
int64_t receipt_verify(struct spool *s, int64_t *ret_bad);
