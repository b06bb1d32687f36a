/* What the files of the spool share (spool.c, accept.c, pages.c, jobs.c, reconcile.c, adopt.c, quarantine.c, keep.c, room.c)
 * and their tests see. Nobody else includes this. */
#pragma once

#include <dirent.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/budget.h"
#include "daemon/keep.h"

#define PAGE_ID_LENGTH    22                  /* "20261121T031205-7kq2mx" */
#define PAGE_FILE_SIZE    (PAGE_ID_SIZE + 4)  /* with ".jpg" */
#define PAGE_BYTES_MAX    ((int64_t)64 << 20) /* a page file; 2048 px take less than 4 MiB */
#define PAGE_ROOM         ((int64_t)4 << 20)  /* what one more page is taken to need */
#define TYPESET_BYTES_MAX ((size_t)4 << 20)
#define RECONCILE_SLICE   256
#define RECONCILE_SLICE_MS 200 /* files are read, commits made: after this the loop has its turn */

/* A stamp as it is stored: realtime with what is known of its truth. */
struct stamp {
	int64_t ms;
	enum time_trust trust;
};

enum reconcile_phase {
	PHASE_TMP,
	PHASE_ATTEMPTS,
	PHASE_TYPES,
	PHASE_ROWS,
	PHASE_FILES,
	PHASE_BESIDE,
	PHASE_RESULTS,
	PHASE_COUNT,
	PHASE_FINISHED,
};

struct reconcile {
	enum reconcile_phase phase;
	int64_t attempt_max; /* the newest attempt when the spool was opened: later ones are this run's */
	size_t state;        /* PHASE_ROWS: which state is walked */
	int64_t cursor;      /* seq or attempt id, by phase */
	DIR *dir;            /* phases that walk a folder: where it is */
	struct rebuild *rebuild; /* PHASE_FILES after the database was lost; owned */
	int64_t beside_bytes; /* PHASE_BESIDE: found so far */
	int64_t skipped; /* page files that could not be looked at */
	struct spool_reconciled counts;
};

/* A count of the bytes of page files, in slices. */
struct recount {
	bool running;
	int64_t cursor; /* seq of the last row counted */
	int64_t sum;
};

struct spool {
	char *directory;
	int dirfd; /* its lock is the spool's */
	bool readonly; /* only looked at: nothing may be written */
	int pages, tmp, types, results, beside, quarantine; /* descriptors of the folders */
	struct db *db;
	struct clock *clock; /* borrowed */
	int64_t cap_bytes, floor_bytes, floor_inodes;
	int64_t pages_bytes; /* sum of the bytes of rows whose file is there */
	struct recount recount;
	int64_t beside_bytes; /* in beside/: counted after each start, then kept */
	int64_t stamp_ms;    /* last trusted stamp in meta */
	bool rebuilt;        /* the database was made anew beside page files */
	bool verified;       /* it seemed damaged; read as a whole in this run, it was sound, */
	int64_t verified_boot_ms; /* at this boottime */
	char boot_id[40];
	struct spool_job **jobs; /* loaded so far */
	size_t n_jobs;
	struct spool_counts counts;
	bool counts_known;
	struct spool_writer *writers; /* open ones: their files in tmp/ are in use */
	struct beside_writer *besides; /* the same */
	int64_t set_aside;            /* how often something was moved to quarantine/ */
	int64_t newer;                /* page files of a newer version, left where they are */
	bool keep_looked;             /* the keep clock was moved in this run, */
	int64_t keep_boot_ms;         /* at this boottime; */
	bool keep_off;                /* the time before this boot is not counted yet */
	struct keep_counts kept;
	struct budget_clock budget;
	int64_t stuck_files; /* that could not be removed */
	struct reconcile reconcile;
	void (*random)(void *out, size_t len); /* random_bytes(), unless a test wants a collision */
};

/* ---- spool.c --------------------------------------------------------------------------------- */
struct stamp spool_stamp(const struct spool *s);
/* Opens the folders as they are; what is none is -1. */
void spool_look_folders(struct spool *s);
/* Opens s->directory and takes the lock. */
int spool_lock(struct spool *s, char *why, size_t why_size);
/* Keeps a trusted stamp as the clock's next floor; inside the caller's transaction. */
int spool_stamp_save(struct spool *s);
/* Writes a whole file durably: tmp/NAME, fsync, then over dirfd/NAME. */
int spool_file_write(struct spool *s, int dirfd, const char *name, const void *data, size_t len);
/* The first half of it, tmp/NAME only. */
int spool_tmp_write(struct spool *s, const char *name, const void *data, size_t len);
int spool_meta_get_i64(struct spool *s, const char *key, int64_t *ret); /* 1, 0 if unset */
int spool_meta_set_i64(struct spool *s, const char *key, int64_t value);
int spool_meta_set(struct spool *s, const char *key, const char *value);

/* ---- accept.c -------------------------------------------------------------------------------- */
struct spool_writer *spool_writer_next(const struct spool_writer *w);
/* Is tmp/NAME a page that is being written? */
bool spool_is_writing(const struct spool *s, const char *tmp_name);

/* ---- beside.c -------------------------------------------------------------------------------- */
bool beside_is_writing(const struct spool *s, const char *tmp_name);
/* Of all that is being written; not in beside_bytes yet. */
int64_t beside_writing_bytes(const struct spool *s);
/* May something lie beside this page? 1: it has its file, 0: it has let it go, -ENOENT: nothing is known of it. */
int beside_page(struct spool *s, const char *id);
/* A file that was found in beside/ goes with its page, or is counted. */
int beside_check(struct spool *s, const char *name);

/* ---- pages.c --------------------------------------------------------------------------------- */
bool page_id_valid(const char *id);
void page_file_name(const char *id, char out[static PAGE_FILE_SIZE]);
/* Adds the document if need be and the row; inside the caller's transaction. Fills p->seq. `document`: the name of the open
 * document that it is for, in which it gets its place; NULL: what the row says. */
int page_row_insert(struct spool *s, struct page_row *p, const char *document, const char *capture_json);
/* After a commit that changed a page's state (from -1: the page is new). */
void spool_counts_moved(struct spool *s, int from, int to);
void spool_counts_forget(struct spool *s);
/* After a commit that failed and may have been done all the same: what is remembered of the rows is read again. */
void spool_memory_forget(struct spool *s);
/* Copies text, cut between characters when it does not fit. */
void text_cut(char *out, size_t size, const char *text);

/* ---- document.c ------------------------------------------------------------------------------ */
/* The row becomes the next of the owner's open document of that name, if there is one. Asked when a page begins, for its file,
 * and again with its row: others may have come meanwhile. */
int document_join(struct spool *s, struct page_row *p, const char *name);
/* The row's document and its place in it, group and state; inside the transaction that inserts the row. */
int document_place(struct spool *s, struct page_row *p, const char *name, int64_t *ret_id);
/* Those that go with a leader get its state, in its transaction: how many they are, for group_moved() after the commit. */
int group_state(struct spool *s, int64_t leader, enum page_state after, const char *reason);
void group_moved(struct spool *s, int n, enum page_state before, enum page_state after);
/* The page cannot be asked for good: it is held, and by itself from now on; the others of its group are held, too. */
int group_take_out(struct spool *s, const struct page_row *p, const char *reason);

/* ---- jobs.c ---------------------------------------------------------------------------------- */
/* The job of a page file's comment, made again if the database lacks it. -ENOENT: its typeset is nowhere. */
int spool_job_restore(struct spool *s, const cJSON *job, const struct spool_job **ret);
/* An unreadable job gives one without route and types: that is damage. Negative errno: it could not be read just now. */
int spool_job_or_unreadable(struct spool *s, int64_t id, const struct spool_job **ret);
void spool_jobs_free(struct spool *s);
/* The files in types/ as the database has them: a rebuild needs them. One a call: 1, 0 when all are there. */
int spool_types_restore(struct spool *s);

/* Recovery says each kind of thing a few times and then only counts. */
static inline enum log_level spool_log_level(int64_t times)
{
	return times <= 10 ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG;
}

/* ---- room.c ---------------------------------------------------------------------------------- */
/* In the transaction that adds (or, negative, removes) a page file. */
int spool_bytes_add(struct spool *s, int64_t delta);
/* After that commit, when it was removed. */
void spool_bytes_gone(struct spool *s, int64_t seq, int64_t bytes);

/* ---- reconcile.c ----------------------------------------------------------------------------- */
/* A slice of a folder through fn, at c->dir. 1: more, 0: the end, negative errno. */
int spool_walk_slice(struct spool *s, int dirfd, int (*fn)(struct spool *s, const char *name));
bool spool_slice_over(const struct spool *s, int items, int64_t started_ms);

/* ---- spool_database.c ------------------------------------------------------------------------ */
int spool_database_open(struct spool *s, char *why, size_t why_size);
/* What the spool knows of itself; of a new database what it is, first. -EUCLEAN: the database is damaged after all. */
int spool_meta_load(struct spool *s);
int spool_meta_read(struct spool *s);
/* Notes beside the database that it may be damaged: the next start reads all of it, and sets it aside if it is.
 * Soon after it was read so and found sound: the next start sets it aside. */
int spool_mark_damaged(struct spool *s);
int spool_mark(struct spool *s, const char *why); /* the same for another reason */

/* ---- mend.c ---------------------------------------------------------------------------------- */
/* Before the folders are opened: what is in the place of one is moved beside it; after: from there to quarantine/. */
int mend_folders(struct spool *s);
void mend_folders_finish(struct spool *s);
/* -EUCLEAN and why: the database is to be set aside. */
int mend_database(struct spool *s, char *why, size_t why_size);
/* Can the page file be read, now at least? */
struct stat;
bool mend_page_file(struct spool *s, const char *name, const struct stat *st);

/* ---- rebuild.c ------------------------------------------------------------------------------- */
/* PHASE_FILES after the database was lost: the page files in the order of acceptance. */
int rebuild_slice(struct spool *s);
void rebuild_free(struct rebuild *b);

/* ---- adopt.c, quarantine.c ------------------------------------------------------------------- */
/* A page file without row: a row from its comment, else it is set aside. One whose row says that it is gone is removed. */
int spool_adopt(struct spool *s, const char *name);
/* The id that a page file's name promises; false: no name of ours. */
bool page_id_from_name(const char *name, char id[static PAGE_ID_SIZE]);
/* The row as the file tells it, without its job (given as in the comment; owned) and state. -EBADMSG, -ENODATA: it does not
 * tell; -ENOTSUP: a newer version wrote it. */
int page_file_describe(struct spool *s, const char *name, const char *id, struct page_row *ret, cJSON **ret_job);
/* When it was accepted, by its first bytes; INT64_MAX when it does not tell. */
int64_t page_file_time(struct spool *s, const char *name);
/* Moves dirfd/NAME to quarantine/ and writes down why. */
int quarantine_move(struct spool *s, int dirfd, const char *name, const char *reason);
/* The database with its -wal and -shm. */
int quarantine_database(struct spool *s, const char *reason);
