/*
 * The spool: page files, their rows, and the accept sequence. SQLite is the truth for rows; page bytes are files.
 * Nothing here knows of backends or sockets. All calls are synchronous: storage may stall the loop, that is measured.
 */
#pragma once

#include "base/clock.h"
#include "base/crypto.h"
#include "daemon/db.h"
#include "extract/doctype.h"

#define PAGE_ID_SIZE  24
#define ROUTE_MAX     8
#define BACKEND_NAME_SIZE 33

enum page_state { STATE_QUEUED, STATE_PROVISIONAL, STATE_DONE, STATE_HELD };
const char *page_state_name(enum page_state s);
int page_state_parse(const char *s, enum page_state *ret);
enum lane { LANE_NOW, LANE_BACKLOG };

/* A frozen job, loaded once and kept: few exist. */
struct spool_job {
	int64_t id;
	char hash[SHA256_HEX_SIZE];
	char type[33];                          /* as asked: "auto", "invoice" */
	char route[ROUTE_MAX][BACKEND_NAME_SIZE]; /* backends in order; [0] is the authoritative one */
	size_t n_route;
	char *json;            /* owned */
	struct typeset *types; /* owned */
};

/* One page's row, copied out; only `job` is borrowed. */
struct page_row {
	int64_t seq;
	char id[PAGE_ID_SIZE];
	char document[PAGE_ID_SIZE];
	int64_t position;
	const struct spool_job *job; /* borrowed from the spool, lives as long as it */
	enum lane lane;
	enum page_state state;
	char reason[240];
	int64_t accepted_ms;
	enum time_trust accepted_trust;
	char source[17];
	char name[256];   /* "" when none */
	int64_t owner;    /* uid, -1 unknown */
	char sha256[SHA256_HEX_SIZE];
	char content[SHA256_HEX_SIZE]; /* of the file without our comment; "" when that is not known */
	bool again;       /* the same content is paid for once more */
	int64_t bytes;
	uint32_t width, height;
	int64_t rung, tries, tried_ms, tried_boot_ms;
	int64_t retried;  /* attempts up to this one were before a person's last retry, and no longer count */
	bool tried_this_boot;
	int64_t version;
	bool aged_out; /* its file has aged out (KeepPages=) */
	int64_t leader;   /* 0: it is asked for itself; else the page that it goes with (daemon/document.h) */
};

struct spool_options {
	const char *directory;   /* StateDirectory=, exists and is ours */
	struct clock *clock;     /* borrowed */
	int64_t cap_bytes;       /* page bytes at most; 0: none */
	int64_t floor_bytes;     /* free space that stays free */
	int64_t floor_inodes;
};

struct spool;
/* Opens the spool and its database. Does not look at the pages: spool_reconcile() does, after READY. */
int spool_open(const struct spool_options *o, struct spool **ret, char *why, size_t why_size);
void spool_close(struct spool *s);
/* Was its file system read-only when it was opened? Then it is only looked at, until it is opened anew. */
bool spool_readonly(const struct spool *s);
struct db *spool_db(struct spool *s);
const char *spool_directory(const struct spool *s);
const char *spool_boot_id(const struct spool *s); /* /proc/sys/kernel/random/boot_id */

/* Was the database lost, and with it what had been spent (meta ledger_lost)? Then backends that cost wait until a
 * person confirms. 1, 0 or negative errno; one look at the database. */
int spool_ledger_lost(struct spool *s);
/* A person knows and wants them to go on. One commit; 0 (also when nothing was lost) or negative errno. */
int spool_confirm(struct spool *s);

/* One slice of recovery: empties tmp/, page file without row -> held "not acknowledged", row without file -> held
 * "lost", attempts left open -> closed as crashed, spent at their reservation, receipt "crashed"; files of what has aged out or
 * was dropped are removed, foreign ones set aside; what page files take is counted again.
 * 1: call again, 0: finished, negative errno. Each slice is bounded (256 items). */
int spool_reconcile(struct spool *s);
struct spool_reconciled {
	int64_t tmp_removed, not_acknowledged, rebuilt, lost, attempts_crashed, quarantined, leftovers;
};
const struct spool_reconciled *spool_reconciled(const struct spool *s);

/* Freezes a job: canonical JSON of type, route and typeset, stored once. */
int spool_job_freeze(struct spool *s, const char *type, const char *const *route, size_t n_route,
	const struct typeset *all, const struct spool_job **ret);
/* NULL if unknown or unreadable. Negative errno: it could not be read just now. */
int spool_job_by_id(struct spool *s, int64_t id, const struct spool_job **ret);

/* Is there room for one more page? 0, or -ENOSPC / -EDQUOT / -EROFS / -EIO with a sentence for people. */
int spool_room(struct spool *s, char *why, size_t why_size);
int64_t spool_bytes_free(struct spool *s);
/* After a failure: does a small commit succeed again? 0 or negative errno. */
int spool_probe(struct spool *s);
/* Counts again what page files take, in slices: 1: call again, 0: finished (a difference was logged and corrected). */
int spool_recount(struct spool *s);

/* ---- accept: begin, write..., commit or abort. Steps ACCEPT_* of base/step.h ------------------------------------------ */
struct spool_writer;
struct taken_key;
struct spool_meta {
	const struct spool_job *job;
	enum lane lane;
	const char *source;   /* "scan", "file", "watch" */
	const char *name;     /* may be NULL */
	int64_t owner;        /* uid, -1 */
	const char *document; /* NULL: a document of its own */
	const char *document_name; /* of the open document, new or not, that it belongs to; NULL: of none */
	int64_t position;     /* from 1 */
	bool again;           /* to be paid for even if the same content was answered before */
	const struct taken_key *taken; /* of a watched folder's file: noted in the same commit (daemon/taken.h); may be NULL */
};
int spool_page_begin(struct spool *s, const struct spool_meta *m, struct spool_writer **ret);
/* It will be held for a person from the start, in the commit that accepts it. */
void spool_page_begin_held(struct spool_writer *w, const char *reason);
/* The JPEG's next bytes; the comment segment is put in after SOI and APP0 (daemon/jpegcomment.h). */
int spool_page_write(struct spool_writer *w, const void *data, size_t len);
/* Checks start, end and the helper's hash (of its own bytes; may be NULL), then: fsync, fsync dir, rename, fsync dir, row,
 * commit. Frees w always. 0 and the row, -EBADMSG (not a whole JPEG), or errno; on failure nothing is left behind. */
int spool_page_commit(struct spool_writer *w, uint32_t width, uint32_t height, const char *sha256_hex, const char *capture_json,
	struct page_row *ret);
void spool_page_abort(struct spool_writer *w); /* NULL is fine */

/* ---- rows -------------------------------------------------------------------------------------------------------------- */
/* By id or an unambiguous start of one (at least 4 characters). 0, -ENOENT, -ENOTUNIQ. */
int spool_page_find(struct spool *s, const char *id, struct page_row *ret);
int spool_page_get(struct spool *s, int64_t seq, struct page_row *ret);
/* Newest first, before seq (0: from the newest), of one state (-1: any). Up to limit rows; returns how many. */
ssize_t spool_page_list(struct spool *s, int state, int64_t before_seq, struct page_row *rows, size_t limit);
/* Opens the page file for reading. The descriptor or negative errno; -ENODATA: it has aged out, -EBADMSG: not as accepted. */
int spool_page_open(struct spool *s, const struct page_row *p);
/* Has the open page file the content that was accepted? Reads all of it. 0, -EBADMSG, or errno. */
int spool_page_verify(int fd, const struct page_row *p);
/* Held by a person's need, with a reason; or queued again (a provisional page stays that) with tries 0 and rung 0. -ENOENT: no
 * such page, or its file is missing; -EALREADY: it is done; -EBADMSG: its file or its job cannot be read. */
int spool_page_hold(struct spool *s, int64_t seq, const char *reason);
/* From now on it is asked what `job` says, when its own route leads nowhere; NULL: what it was. */
int spool_page_retry(struct spool *s, int64_t seq, const struct spool_job *job);
/* From now on it is paid for even if the same content was answered before. */
int spool_page_pay_again(struct spool *s, int64_t seq);
/* A person held it, and lets it go on where it was: tries and rung stay. It is provisional if it has an answer.
 * -EALREADY: it is not held; -EPERM: not by a person. */
#define HELD_BY_HAND "by hand:" /* how the reason begins then */
int spool_page_release(struct spool *s, int64_t seq);
/* A page that is no longer kept. 0, -ENOENT, -ENOTUNIQ, as spool_page_find(). */
struct spool_gone {
	int64_t seq;
	char id[PAGE_ID_SIZE];
	char reason[240];
	int64_t gone_ms;
};
int spool_gone_find(struct spool *s, const char *id, struct spool_gone *ret);
struct spool_counts {
	int64_t queued, provisional, done, held;
};
/* Counted once over an index, then kept. */
int spool_counts(struct spool *s, struct spool_counts *ret);
/* Results on their way out; counted each time. */
int spool_undelivered(struct spool *s, int64_t *ret);
