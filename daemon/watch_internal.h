/* Shared by watch.c, watch_folder.c and watch_finish.c only. */
#pragma once

#include <dirent.h>

#include "daemon/taken.h"
#include "daemon/watch.h"
#include "daemon/watch_rules.h"

#define FLIGHTS_MAX 2 /* of all folders in intake's queue, which has 8 places: the others are for submitters */

enum folder_state {
	FOLDER_WATCHING,
	/* nothing can be seen of it */
	FOLDER_MISSING,
	FOLDER_REFUSED, /* it may not be used: in the spool, or watched twice */
	/* its files wait */
	FOLDER_NO_ROOM,
	FOLDER_WAITING,  /* intake is busy, or the capture helper fails */
	FOLDER_CANNOT_MOVE,
};

/* The file that is with intake. */
struct flight {
	uint64_t scan; /* its number there; 0: none */
	char name[TAKEN_NAME_SIZE], stamp[TAKEN_STAMP_SIZE];
	dev_t dev; /* of the folder it is in */
	ino_t ino;
	char page[PAGE_ID_SIZE]; /* "": none came of it yet */
	bool refused;
	char reason[48], message[240]; /* why */
};

struct folder {
	struct watch *watch;
	const struct watch_config *config;
	enum folder_state state;
	char message[320];

	bool placed; /* dev and ino are the folder's, and it was found fit */
	dev_t dev;
	ino_t ino;
	int wd; /* of inotify; -1: no events */
	struct watch_table table;
	struct flight flight;

	DIR *walk;   /* a walk is under way; with a full table it waits */
	bool rescan; /* a walk is wanted */
	int64_t rescan_ms; /* the next by itself */
	unsigned int walks;
	bool prune, pruning; /* rows of files that are gone: wanted after the next walk; under way */
	bool proven;         /* its files are surely those of the rows: it is no empty mount point */
	char prune_after[TAKEN_NAME_SIZE];

	int64_t retry_ms, hold_ms; /* boottime: nothing is looked at, nothing is taken before */
	uint32_t troubles, holds;  /* in a row */
	int64_t well_ms;           /* boottime when the helper last did well by one of its files */
	bool said_odd, said_unreadable, said_no_events;
	int64_t taken, rejected; /* since the start */
};

struct watch {
	struct service *service;
	int inotify; /* negative errno: no events */
	sd_event_source *io, *turn, *timer;
	struct folder folders[WATCH_FOLDERS_MAX];
	size_t n_folders, next; /* next: who comes first in the next turn */
	bool stopped;
};

/* ---- watch.c */
/* Said in the log when the state is another one than before. */
void watch_state(struct folder *f, enum folder_state state, const char *message);
/* The folder is left alone for a while, longer with each time in a row. Returns -1. */
int watch_trouble(struct folder *f, enum folder_state state, const char *fmt, ...) _printf_(3, 4);
/* Its files wait for a while, likewise. */
void watch_hold(struct folder *f, enum folder_state state, const char *fmt, ...) _printf_(3, 4);
/* A file came to its end. */
void watch_well(struct folder *f);
size_t watch_flights(const struct watch *w);
/* Events of the folder, from now on; without them it is looked at once a minute. */
void watch_listen(struct folder *f);
void watch_deaf(struct folder *f);

/* ---- watch_folder.c */
/* A bounded piece of work; is there more at once? */
bool watch_folder_step(struct folder *f, int64_t now_ms);
int64_t watch_folder_next_ms(const struct folder *f, int64_t now_ms);
void watch_folder_forget(struct folder *f);

/* ---- watch_finish.c: 0 or negative errno. The first two are for f->flight. */
/* 1: done with it; 0: another folder is in the place of its own, and its row stays. */
int watch_finish_taken(struct folder *f);
int watch_finish_refused(struct folder *f, const char *reason, const char *message);
/* A file that has a row. */
int watch_finish_known(struct folder *f, int dirfd, const char *name, const struct taken_row *row);
/* Can files be moved there? A sentence if not. */
int watch_can_move(struct folder *f, int dirfd, char *why, size_t why_size);
