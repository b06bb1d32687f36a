/* scan and extract: what is handed in, and the pages whose answers are waited for. Shared by wait.c and
 * wait_print.c. */
#pragma once

#include "ctl/ctl.h"

struct waited_page {
	char id[40];
	char *title; /* owned: the file's name as given, or the page's */
	int64_t since_ms;
	bool finished;
};

struct wait {
	struct ctl *c;
	struct client *calls, *monitor; /* owned; no monitor with --no-wait */
	struct waited_page *pages;      /* owned */
	size_t n_pages, n_finished;
	size_t next_file;
	const char *title; /* of what is being handed in now; NULL: the scanner */
	bool calling;      /* a Submit or Scan is not answered yet */
	bool told;         /* something was said about what is handed in now */
	bool ending;       /* the document's end was said */
	bool handed_in;    /* nothing more is to be handed in */
	int64_t pause_ms;  /* boottime: the service was busy, not again before; 0: none */
	size_t n_done, n_provisional, n_held, n_rejected;
	int code;
	bool stop;
	char leader[40]; /* of the document whose answer was printed last at another of its pages */
	bool progress; /* a line on a terminal that is written over */
};

/* What is said of a page: its answer (result may be NULL), that it is held, that it is safe (--no-wait), that
 * none came of a file. -ECANCELED: nobody reads our output any more. */
int wait_print_answer(struct wait *w, const struct waited_page *p, const cJSON *page, const cJSON *result,
	bool provisional);
int wait_print_held(struct wait *w, const struct waited_page *p, const cJSON *page);
int wait_print_accepted(struct wait *w, const struct waited_page *p, const cJSON *page);
/* The page is safe, but a person should look at the paper before it is put away. */
void wait_print_doubt(struct wait *w, const char *title, const char *message);
int wait_print_rejected(struct wait *w, const char *title, const char *reason, const char *message);
void wait_print_summary(struct wait *w);
void wait_progress(struct wait *w); /* the line, on a terminal only */
void wait_progress_clear(struct wait *w);
