/*
 * Attempts, reservations and results: what may have been billed is on disk before the first byte leaves.
 * Each call is ONE commit. Steps SEND_* and ANSWER_* of base/step.h.
 */
#pragma once

#include "daemon/receipt.h"
#include "extract/answer.h"
#include "extract/extractor.h"

struct attempt_open {
	const struct page_row *page; /* NULL: it is about none, and ledger_close_bare() ends it */
	const struct page_row *more; /* that are in the same request, in their order; the page is the first */
	size_t n_more;
	const char *backend, *model, *region, *host;
	const char *tier, *resolved; /* as in struct request; may be NULL */
	/* Of the page, then of `more`. */
	struct {
		const char *json;   /* what went in its place, or why nothing did; NULL: nothing was to */
		const char *sha256; /* hex; NULL: the page itself went */
	} renderings[JOB_IMAGES_MAX];
	const char *body_sha256; /* hex */
	int64_t body_bytes;
	int64_t reserved_pusd;
	const char *priced; /* the date of the price; NULL: it has none */
	const struct budget_limits *budget; /* NULL: none */
	bool lab;
};
/* Attempt opened, worst case reserved, receipt "sent": one commit. The attempt's id, or negative errno; -EDQUOT: the budget has no
 * room for it now, -EFBIG: nor ever has. */
int64_t ledger_open(struct spool *s, const struct attempt_open *a);

struct attempt_close {
	int64_t attempt;                 /* 0: it was never opened, and nothing left: no receipt "sent" */
	const struct page_row *page;
	const struct attempt_open *open; /* as opened, for the receipt */
	const struct verdict *verdict;
	const struct reply *reply;       /* may be NULL */
	int64_t settled_pusd;
	bool charged;                    /* counts as a try of the page */
	unsigned int next_step;          /* it was too large: render_step() that may do; 0: it was not */
	enum page_state state;           /* the page's after this */
	const char *hold_reason;         /* when state is STATE_HELD */
	int64_t rung;                    /* the page's after this */
	bool authoritative;
	const char *same_as;             /* nothing was asked: it is the answer of this page, whose content is the same; NULL: no */
	const struct answer *answer;     /* NULL: no new result */
	const char *raw;                 /* what the backend said; NULL without an answer */
};
/* Result version, attempt closed, cost settled, receipt "answered", delivery rows, page state: one commit.
 * 0 and the page's new version (0: none) in *ret_version. -EALREADY: closed before; -ENOENT: no such attempt.
 * The page's row is read again: what a person did meanwhile (held, retried) goes before state and rung here; the result is
 * kept in any case. When the rung moves, the page's tries start again at 0. */
int ledger_close(struct spool *s, const struct attempt_close *c, int64_t *ret_version);

/* The same for an attempt that is about no page: `page`, and what becomes of it, is not looked at. */
int ledger_close_bare(struct spool *s, const struct attempt_close *c);

/* The newest answer that a page of the same content has had from this model to the same question (its frozen types). */
#define REASON_SAME "same-content" /* of the attempt that takes it over, which has sent nothing */
struct ledger_same {
	char page[PAGE_ID_SIZE];
	char type[33];
	char *raw; /* owned */
};
/* 1, 0 (there is none) or negative errno. */
int ledger_same(struct spool *s, const struct page_row *p, const char *model, struct ledger_same *ret);

/* A page's attempts as the varlink type Attempt, oldest first, added to the array. */
int ledger_attempts_json(struct spool *s, int64_t seq, cJSON *array);
/* A page's cost: settled plus open. */
int ledger_page_cost(struct spool *s, int64_t seq, int64_t *ret_pusd);
/* Is a request for this page out, or was one cut off that is not yet settled? 1, 0 or negative errno. */
int ledger_page_open(struct spool *s, int64_t seq);
/* The backend that gave the page's current result: 1, 0 ("") if it has none, or negative errno. */
int ledger_answered(struct spool *s, const struct page_row *p, char ret[static BACKEND_NAME_SIZE]);
/* Result versions (docs/result.schema.json), oldest first, added to the array. */
int ledger_results_json(struct spool *s, int64_t seq, cJSON *array);
