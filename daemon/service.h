/*
 * The service: what the parts share, and how they tell each other what happened. main.c makes one; every part borrows it.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/loop.h"
#include "daemon/prices.h"
#include "daemon/spool.h"
#include "hal/lights.h"

struct courier;
struct credentials;
struct bedrock_look;
struct resolver;
struct doctor_ask;
struct intake;
struct control;
struct scanner;
struct watch;
struct upkeep;

/* One thing that happened; strings and rows are borrowed for the call. */
enum event_kind {
	EVENT_SCAN_STARTED,
	EVENT_SCAN_ENDED,     /* reason/message when it failed */
	EVENT_PAGE_ACCEPTED,  /* page: it is safe. reason, message: it seems not to have come out well; NULL: nothing to say */
	EVENT_PAGE_REJECTED,  /* name, reason, message: no page came of it */
	EVENT_ATTEMPT_STARTED, /* page, backend */
	EVENT_ANSWERING,      /* page, backend: more of a streamed answer has come */
	EVENT_ATTEMPT_ENDED,  /* page, backend, reason, message */
	EVENT_PAGE_PROVISIONAL,
	EVENT_PAGE_DONE,
	EVENT_PAGE_HELD,
	EVENT_PAGE_QUEUED,
	EVENT_PAGE_DROPPED,   /* page: as it was */
	EVENT_DELIVERED,
	EVENT_BACKEND,        /* backend: its state changed */
	EVENT_LIGHTS,
};
struct event {
	enum event_kind kind;
	const struct page_row *page; /* NULL when it is about no page */
	const char *backend, *name, *reason, *message;
	uint64_t scan;               /* which scan or submission; 0: none */
	bool look_again;             /* of a page: a person should look at the paper before it is lifted */
	bool glass;                  /* of a scan: the page lay on the glass, and the lights speak of it; not of a file */
};
const char *event_kind_name(enum event_kind k);

struct service {
	struct config config;
	sd_event *event;
	struct clock *clock;
	struct spool *spool;
	struct loop_http *http;
	struct prices *prices;
	struct typeset *types;       /* all installed document types, "universal" first */
	struct credentials *credentials;
	struct bedrock_look *looks;  /* of the doctor, on their way */
	struct doctor_ask *asks;     /* the same, paid */
	struct resolver *resolver;
	struct courier *courier;
	struct intake *intake;
	struct scanner *scanner;
	struct control *control;
	struct watch *watch;
	struct upkeep *upkeep;
	struct service_state state;  /* for the lights */
	struct lights lights;
	int64_t last_seq;            /* the page taken last; 0: none yet */
	int64_t started_ms;          /* boottime */
	int64_t stall_ms;            /* the longest that one piece of work kept the loop, since the start */
	bool stopping, damaged;
	int write_error;             /* how the spool did when it was last used: 0 or negative errno */
	/* service.c's own */
	struct loop_watchdog *watchdog;
	struct clockset *clockset;
	sd_event_source *reconcile, *reconcile_timer, *stop_timer, *stop_check, *status_timer;
	bool spool_reconciled;
	int64_t delivery_cursor;
	char status[96];             /* as last told to the service manager */
	bool status_pending;
};

/* Opens everything in order: `why` names what failed. service_clear() also takes a half-built one. */
int service_init(struct service *s, char *why, size_t why_size);
void service_clear(struct service *s);
/* READY, recovery in slices, and the loop until it is told to stop. 0, or negative errno (-EUCLEAN: the database is damaged). */
int service_run(struct service *s);
/* The document types of both folders into s->types; a local one wins by its name. One line a problem. */
int types_load(const struct config *c, struct typeset **ret, struct buf *errors);
/* How the spool did when it was last used: 0 or negative errno. Shown by the lights; a damaged database ends the service. */
void service_storage(struct service *s, int error);
/* The state for the lights, again from the spool and the courier; shows them when they changed. */
void service_lights(struct service *s);

/* Tells control (monitors, waiting calls), courier (work) and lights. The one way parts hear of each other. */
void service_event(struct service *s, const struct event *e);
/* The same of every page that is asked together with the event's (daemon/document.h). */
void service_group_event(struct service *s, const struct event *e);
