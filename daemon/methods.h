/*
 * The methods of io.pageferry, behind the control socket: what control.c (socket, rights, dispatch),
 * methods*.c (what each does) and methods_json.c (rows and events as JSON) share. For those files alone.
 */
#pragma once

#include "daemon/control.h"
#include "daemon/varlink.h"

#define INTERFACE         "io.pageferry"
#define NAME_MAX_LEN      255 /* of a file's name, as the page keeps it */
#define MONITOR_PAGES_MAX 256 /* pages that a monitor, or a call that changes some, may name */
#define LIST_LIMIT_MAX    200
#define CHANGES_MAX       1000 /* pages that one call changes */
#define UNCHANGED_MAX     100  /* of those that it could not change, so many are told with the reason */
#define LOOK_MAX          4096 /* rows that one List looks at */
#define QUOTA_PAGES       200  /* waiting pages of one uid that has not the right to manage */

/* What a peer may do; a method needs one of them. */
enum {
	RIGHT_LOOK = 1 << 0,   /* names, states, counts */
	RIGHT_READ = 1 << 1,   /* fields of pages */
	RIGHT_SUBMIT = 1 << 2, /* scans, files, retries: spends money */
	RIGHT_MANAGE = 1 << 3, /* everything, and no quota */
};

/* A call that is answered later: by events, or in slices. At most one a connection, which has it as its
 * userdata. */
struct pending {
	struct pending *next;
	struct control *control; /* borrowed */
	struct varlink_conn *conn;
	enum { PENDING_MONITOR, PENDING_SCAN, PENDING_CHANGE, PENDING_DOCTOR, PENDING_CROP } kind;
	bool more;
	unsigned int rights;
	uint64_t scan; /* PENDING_SCAN: whose events */
	cJSON *pages;  /* owned, array of ids: the filter (NULL: all), or what was accepted */
	uint64_t lost; /* PENDING_MONITOR: events that were not told since the last one that was */
	struct change *change; /* owned; PENDING_CHANGE */
	struct doctor *doctor; /* PENDING_DOCTOR: what examines for it */
	struct crop *crop;     /* owned; PENDING_CROP */
};

struct control {
	struct service *service;
	struct varlink_server *server;
	struct pending *pending;
	gid_t look, manage; /* (gid_t)-1: there is no such group */
	char path[108];     /* of our own socket, to be removed; "" for one that was passed to us */
	dev_t dev;
	ino_t ino;
};

struct param {
	const char *name; /* NULL ends a list */
	enum { PARAM_STRING, PARAM_INT, PARAM_STRINGS, PARAM_OBJECT, PARAM_BOOL } kind;
	bool required;
};

struct method {
	const char *name;
	unsigned int right;
	bool needs_more;
	void (*call)(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
	struct param params[7];
};
extern const struct method methods[]; /* ends with a NULL name */

/* ---- methods.c: the page that a call names, or it is answered with what is wrong */
bool method_find_page(struct control *c, struct varlink_conn *conn, const char *id, struct page_row *ret);

/* ---- methods_crop.c */
void method_crop(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void crop_free(struct crop *k); /* NULL is fine */

/* ---- control.c */
unsigned int control_rights(const struct control *c, const struct varlink_peer *p);
/* Has the peer this right too? If not the call is answered with NotAllowed. */
bool control_require(struct varlink_conn *conn, unsigned int rights, unsigned int right);
/* Answers with what a function built: takes `parameters`. error < 0: storage failed, the peer is told;
 * -ENOMEM: it is dropped. */
void control_reply_take(struct varlink_conn *conn, int error, cJSON *parameters);
/* io.pageferry.NAME with one parameter (key NULL: none). */
void control_fail(struct varlink_conn *conn, const char *name, const char *key, const char *value);
void control_invalid(struct varlink_conn *conn, const char *parameter);
/* A pending call on this connection: owned by the control, freed when it is answered or the peer leaves. */
struct pending *pending_new(
	struct control *c, struct varlink_conn *conn, const struct varlink_call *call, int kind);
void pending_free(struct control *c, struct pending *p);

/* io.pageferry.NoRoom for what the spool could not write. */
void control_fail_room(struct varlink_conn *conn, int error, const char *why);

/* ---- methods_filter.c: which pages are meant */

struct page_filter {
	int state, lane; /* -1: any */
	int64_t since_ms, until_ms; /* of acceptance; `until` itself is not meant */
	char type[33], source[17];  /* "": any */
	char reason[128];           /* how the reason of a held page begins; "": any */
};
/* The varlink type Filter (NULL: every page). 0, or -EINVAL with the member that is wrong in *ret_wrong. */
int filter_parse(const cJSON *filter, struct page_filter *ret, const char **ret_wrong);

/* A walk, newest first, over the pages of each state in turn: by an index, and in steps of bounded cost. */
struct page_walk {
	struct page_filter filter;
	int states[3]; /* -1: of any state, all at once */
	size_t n_states;
	size_t at;      /* n_states: it has ended */
	int64_t before; /* seq; 0: from the newest */
	char looked_at[PAGE_ID_SIZE]; /* the last one */
};
/* Looks at up to `max` rows, and keeps those that are meant: how many, or negative errno. */
ssize_t page_walk_step(struct spool *s, struct page_walk *w, struct page_row *rows, size_t max);
static inline bool page_walk_ended(const struct page_walk *w)
{
	return w->at == w->n_states;
}

/* ---- methods_change.c */
void method_hold(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void method_release(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void method_retry(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void method_drop(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void method_confirm(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void change_free(struct change *h); /* NULL is fine */

/* ---- methods_json.c. Strings of every object are valid UTF-8, whatever the row holds. */
int page_json(struct service *s, const struct page_row *p, cJSON **ret);
int lights_json(const struct lights *l, cJSON **ret);
/* The varlink type Event without `result`. */
int event_json(struct service *s, const struct event *e, cJSON **ret);
/* The text of the page's current result, appended. 1, 0 if it has none, or negative errno. */
int result_text(struct service *s, const struct page_row *p, struct buf *out);
int json_add_safe(cJSON *obj, const char *name, const char *value);
int json_add_money(cJSON *obj, const char *name, int64_t pusd); /* digits in a string */

/* ---- doctor.c */
void method_doctor(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);

/* ---- methods_usage.c */
void method_usage(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);

/* ---- methods_submit.c */
void method_scan(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void method_submit(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);

/* ---- methods_document.c */
struct intake_request;
/* May the request's document have its pages? If so its type and job are the document's; if not the call is answered. `type`: as
 * the peer gave it; NULL. */
bool document_may_take(struct control *c, struct varlink_conn *conn, const char *type, struct intake_request *q);
void method_end_document(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
void method_documents(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);

/* ---- methods_monitor.c */
void method_monitor(struct control *c, struct varlink_conn *conn, const struct varlink_call *call);
/* The connection took all that was queued: a monitor that lost events is told. */
void monitor_drained(struct control *c, struct pending *p);
