/* Shared by intake.c (runs) and intake_page.c (what their helpers send) only. */
#pragma once

#include "daemon/beside.h"
#include "daemon/helper_program.h"
#include "daemon/intake.h"
#include "daemon/taken.h"

/* One run of the capture helper, waiting or going on. */
struct intake_run {
	struct intake *intake;
	struct service *service;
	uint64_t number;
	char *source; /* owned; NULL: a file */
	char *document; /* owned; name of the open document; NULL: none */
	char *name;   /* owned; as the submitter called it; may be NULL */
	int fd;       /* owned; -1: none */
	struct taken_key taken; /* owned strings; name NULL: not from a watched folder */
	const struct spool_job *job;
	enum lane lane;
	bool again;
	int64_t owner;
	struct helper *helper;
	bool started;
	bool continued; /* its helper has served a scan before: it may be gone by now */
	bool heard;     /* something of this scan has come */
	bool parked;    /* its scan has ended, or there was none: its helper stays for the next */
	bool watch;     /* it began without a scan: to watch */
	int64_t deadline_ms; /* boottime */
	unsigned int accepted, rejected;

	/* the page that is arriving; writer NULL: none */
	struct spool_writer *writer;
	int64_t index;
	char page_name[256];
	uint32_t width, height;
	cJSON *capture; /* owned; what the helper says it did; NULL: nothing */
	uint64_t bytes;
	bool failed;   /* it was refused while it arrived: its pieces are let go by */

	char last_page[PAGE_ID_SIZE]; /* accepted last, and no other has begun since; "": none */
	struct beside_writer *beside; /* what arrives for it; NULL: nothing */
	bool beside_failed;           /* its pieces are let go by */

	/* how it ended, for people */
	char end_reason[48], end_message[240], failure[240];
};

/* The run's helper has given all pages and waits for another scan; or it watches, and all is well. */
int intake_idle(struct intake_run *r);
/* It watches, and a page has come to rest: a scan begins if there is room. */
int intake_rests(struct intake_run *r);

/* helper_frame_fn for ud = the run. */
int intake_frame(void *ud, enum frame_part part, const struct frame_piece *piece);
/* intake_beside.c: frames beside and beside-end. What is not whole is gone. */
int intake_beside_data(struct intake_run *r, const struct frame_piece *piece);
int intake_beside_end(struct intake_run *r, const cJSON *head);
void intake_beside_drop(struct intake_run *r);
/* The page that is arriving is gone without a trace; harmless without one. */
void intake_page_drop(struct intake_run *r);
