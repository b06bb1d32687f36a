/* Intake: from a source or a passed file to accepted pages. One scan at a time on the source; files beside it. */
#pragma once

#include "daemon/service.h"

int intake_new(struct service *s, struct intake **ret);
void intake_free(struct intake *i);

struct intake_request {
	const char *source; /* configured source to scan, or NULL with a file */
	int fd;             /* file to ingest, or -1; duplicated */
	const char *name;   /* as the submitter calls it; may be NULL */
	const struct taken_key *taken; /* of a watched folder's file; NULL: of a submitter's. Copied */
	const char *type;   /* document type or "auto" */
	const char *document;        /* name of the open document, new or not, that the pages belong to; NULL: each is one */
	const struct spool_job *job; /* of that document, when it has pages; NULL: one is made of type and route */
	enum lane lane;
	bool again;         /* what was answered before is paid for again */
	int64_t owner;      /* uid */
};
/* Refused before the shutter: -ENOSPC and friends (no room), -EBUSY (a scan is running, or 8 files wait), -ENOENT (no such
 * type), with a sentence. Else 0 and the number under which events come; EVENT_SCAN_ENDED is the last, never from inside. */
int intake_start(struct intake *i, const struct intake_request *r, uint64_t *ret_scan, char *why, size_t why_size);
bool intake_busy(const struct intake *i);
/* Is a page of this owner's open document coming, or waiting to? */
bool intake_has_document(const struct intake *i, const char *name, int64_t owner);
/* Does a run use the source, or wait for it? */
bool intake_on_source(const struct intake *i);
/* What held a scan back is over. */
void intake_wake(struct intake *i);
/* A file that is taken while it changes is not accepted: EVENT_SCAN_ENDED has this reason then. */
#define INTAKE_CHANGED "changed"
/* Takes nothing new; what runs goes on until intake_free(). */
void intake_stop(struct intake *i);
/* For the watchdog: NULL, or what is past its own deadline. */
const char *intake_hangs(const struct intake *i);
