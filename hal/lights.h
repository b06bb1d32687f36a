/*
 * The board's lights: what the operator sees. A pure table from the state of the service to three lights:
 *   captured  the page was taken (it may be lifted)      safe  it is on disk      delivered  its fields went where they go
 * and a board that shows them. The null board remembers only.
 */
#pragma once

#include "base/util.h"

/* ALARM: fast blink, a person is needed. DOUBLE: two short flashes and a pause, there is no room. TRIPLE: three, look at
 * the page before it is lifted. */
enum light { LIGHT_OFF, LIGHT_ON, LIGHT_BLINK, LIGHT_ALARM, LIGHT_DOUBLE, LIGHT_TRIPLE };

/* What the service knows at this moment. */
struct service_state {
	bool scanning;      /* a helper is at work */
	bool capture_failed; /* the last scan gave no page */
	bool look_again;     /* a page of the last scan seems blurred, cut off...: it is safe as it is */
	bool last_page_safe; /* the last page taken has its row committed */
	bool last_page_delivered;
	bool no_room;       /* scans are refused: the spool or the disk is full */
	bool storage_failed; /* the spool cannot be written */
	uint32_t waiting;   /* pages queued or provisional */
	uint32_t held;      /* pages that wait for a person */
	bool offline;       /* the authoritative backend is down */
};

struct lights {
	enum light captured, safe, delivered;
};

/* Total: every state gives exactly one row. "safe" is ON only if last_page_safe. */
struct lights lights_for(const struct service_state *s);
const char *light_name(enum light l);

struct board_ops {
	const char *name;
	int (*show)(void *ud, const struct lights *l);
};
extern const struct board_ops null_board; /* ud: struct lights * that receives what is shown, or NULL */
