/* Shared by helper.c and helper_stay.c only. */
#pragma once

#include <sys/types.h>

#include "base/frame.h"
#include "capture/arrival.h"
#include "capture/run.h"

#define HELPER_CHUNK ((size_t)32 << 10)

struct helper {
	int in_fd, out_fd;
	int passed_fd; /* owned, or -1: the file to ingest */
	struct frame_reader *reader;
	const uint8_t *piece; /* the payload's part in hand, borrowed from the reader */
	size_t left;
	bool done; /* the request frame is complete */
	/* of a run that stays */
	int64_t started_ms, warm_ms, tell_ms;
	struct arrival arrival;
};

/* As read(); passed descriptors are kept. */
ssize_t helper_receive(struct helper *h, void *to, size_t len);
/* One frame of the helper's own; takes the head. */
int helper_say(struct helper *h, cJSON *head, const char *type);
/* struct run_stay's wait, ud = the helper. */
int helper_stay_warm(void *ud, struct page_source *s, struct reject *why);
int helper_stay_watching(void *ud, struct page_source *s, struct reject *why);
