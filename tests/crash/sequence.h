/*
 * The crash-prone sequences and what must hold after any fault in them. sequence.c runs them; sequences.c is the list;
 * invariants.c looks at a spool after its recovery.
 */
#pragma once

#include "daemon/spool_internal.h"
#include "tests/fault.h"
#include "tests/unit/daemon_fixture.h"

#define RESERVE     5000 /* of an attempt of base_*() */
#define POINTS_MAX  16384
#define BASE_MAX    8
#define PROBLEM_MAX 400

/* What processes of one run tell each other: shared memory. */
struct report {
	char problem[PROBLEM_MAX]; /* "": none */
	bool hit;                  /* the sequence was begun */
	/* What the sequence was told, which then must be true whatever comes after. */
	bool acknowledged;
	char page[PAGE_ID_SIZE];
	int64_t number;
	/* of the run without a fault */
	int64_t count;
	struct fault_point points[POINTS_MAX];
	uint64_t steps[STEP_COUNT];
	/* of the base: pages that were accepted and must stay */
	size_t n_base;
	int64_t attempts; /* in the ledger of the base: none may go */
	char base[BASE_MAX][PAGE_ID_SIZE];
};

/* A problem is told once, the first one. */
void problem(struct report *r, const char *fmt, ...) _printf_(2, 3);

struct sequence {
	const char *name;
	const char *bugs[3]; /* planted by PAGEFERRY_BUG, each by itself; must be caught; ends with NULL */
	/* Makes the spool that it starts from. */
	void (*prepare)(struct fixture *f, struct report *r);
	/* Before the window, in each run; the spool is open unless `opens`. */
	void (*ready)(struct fixture *f, struct report *r);
	/* The sequence. 0 or negative errno; after a failure it is called once more, without a fault, and must succeed. */
	int (*run)(struct fixture *f, struct report *r);
	/* What must hold after the recovery, beside what always must. */
	void (*verify)(struct fixture *f, struct report *r);
	bool opens;   /* it opens the spool itself */
	bool lost;    /* a page's file was lost before */
	bool forgets; /* the ledger goes with its database */
	bool crashed; /* its base is of a process that was killed: with a -wal */
	int64_t held; /* pages that are held at its end, at most */
};
extern const struct sequence *const sequences[]; /* ends with NULL */
/* reads.c */
extern const struct sequence reads, by_hand, obstacles, suspect;
/* rebuild.c */
extern const struct sequence setaside_database, rebuild, migrate;
/* daily.c */
extern const struct sequence daily;
/* documents.c */
extern const struct sequence document_is_ended, document_is_split, document_is_sent, document_is_answered;

/* exchange.c: an exchange with a backend in a base; and, as steps of a sequence, page 2 or its document sent, and its answer recorded. */
void base_answer(struct fixture *f, int64_t seq, bool authoritative);
void base_attempt(struct fixture *f, int64_t seq);
void send_ready(struct fixture *f, struct report *r);
int send_run(struct fixture *f, struct report *r);
void close_ready(struct fixture *f, struct report *r);
int close_run(struct fixture *f, struct report *r);

/* sequences.c: what bases are made of, and the service's start until nothing is left to set right. */
int64_t base_page(struct fixture *f, struct report *r);
void base_done(struct fixture *f, struct report *r); /* a page that is done and delivered: nothing may touch it */
int start_run(struct fixture *f, struct report *r);

/* invariants.c: of an open spool whose recovery has ended; the second of one that is closed, in a process of its own. */
void check_invariants(struct fixture *f, struct report *r, const struct sequence *q);
void check_by_fsck(struct report *r, const struct sequence *q);
/* Is what the process keeps in memory what the database says? Nothing is left open? */
void check_memory(struct fixture *f, struct report *r);
int64_t count_rows(struct fixture *f, const char *sql);
