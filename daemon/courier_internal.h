/*
 * Shared by the courier's files only:
 *   courier.c          which page goes where, and when to look again; deliveries
 *   courier_backend.c  a backend's state, its probe, and what is told of it
 *   courier_attempt.c  one page to one backend: from the question to the first byte
 *   courier_pages.c    requests of several pages of a document
 *   courier_render.c   what goes in a page's place, when the page itself is not for the backend
 *   courier_same.c     what was answered before is not asked again
 *   courier_dialogue.c a job that takes several requests, one after the other
 *   courier_settle.c   from the reply to the commit
 *   courier_progress.c what is told while an answer arrives
 *   courier_health.c, courier_route.c, courier_due.c  the rules, pure but for the queries
 */
#pragma once

#include "cloud/http.h"
#include "daemon/courier.h"
#include "daemon/courier_due.h"
#include "daemon/courier_health.h"
#include "daemon/courier_route.h"
#include "daemon/credentials.h"
#include "daemon/helper.h"
#include "daemon/ledger.h"
#include "daemon/pace.h"
#include "daemon/rate.h"
#include "daemon/render.h"

#define TRANSFER_GRACE_MS 30000 /* beyond its own deadline, before the watchdog is told */
#define NO_CLOCK         "the clock is known to be wrong: nothing is signed until it is set (timedatectl)"
#define BODY_HEX_SIZE    SHA256_HEX_SIZE

/* How much of something a backend takes, while this run of the service lasts; 0: nothing is known. */
struct learned_limit {
	uint64_t refused, most, taken;
};

struct backend {
	struct courier *courier;
	const struct backend_config *config;
	struct price per_request;    /* of a backend with a price of its own */
	struct openai_config openai; /* the configuration's with the API key */
	struct extractor extractor;
	struct health health;
	struct rate rate;
	struct rate_limit limit;
	struct pace pace;            /* what its throttling taught */
	int64_t need;                /* tokens of a page that had no room */
	size_t in_flight;
	int64_t answered, failed;
	int64_t answered_ms;         /* boottime of the last answer; 0: none since the start */
	int64_t spread_ms;           /* boottime until which pages from before the start wait; 0: none was there, or it is no network's */
	int64_t starting_ms;         /* boottime since when its model is being started; 0: it is not */
	struct provider *credentials; /* NULL: it needs none */
	int64_t no_credentials_ms;   /* boottime since when there are none; 0: there are */
	bool credentials_coming;     /* they are being got */
	uint64_t refused_generation; /* those that AWS refused; 0: none */
	bool counts_differ;          /* the last answer told its tokens twice, and not the same */
	bool unconfirmed;            /* it costs, the ledger was lost, and nobody has said yet that it may go on */
	uint32_t picks;              /* for the backlog's share */
	uint32_t picks_now;          /* of them of the lane of now */
	int64_t last_seq[2];         /* by lane: probes by page go round */
	struct learned_limit bytes, pixels, pixels_together; /* of a request's body, of a picture, of several in one request */
	/* what is told */
	enum backend_state shown;
	char reason[48], message[sizeof(((struct verdict *)0)->message)];
	/* the probe that is no page */
	struct request probe;
	struct http_transfer *probe_transfer;
	int64_t probe_deadline_ms;
};

/* How one of its pages goes. */
struct shape {
	struct job_image page;       /* as accepted */
	struct rendering rendering;  /* what goes in its place; its fd is -1: the page itself */
	unsigned int step, rendered_step; /* render_step(): wanted, of `rendering` */
	char failed[160];            /* why there is no rendering; "": there is, or none was wanted */
	struct buf told;             /* for the ledger; empty: the page itself goes */
};

/* One page at one backend; or several of a document, in one request. */
struct attempt {
	struct attempt *next;
	struct courier *courier;
	struct backend *backend;
	struct page_row row;
	size_t asked;                /* index in the route */
	int fd;                      /* the page file */
	bool too_large;
	struct page_row *more;       /* the pages that go with it, in their order; owned */
	int more_fds[JOB_IMAGES_MAX];
	size_t n_more;
	bool by_page;                /* they are read one by one, and joined: */
	size_t part;                 /* this one is out */
	struct typeset one_type;     /* what those after the first are read as; borrows */
	struct answer *joined;       /* of those before */
	struct buf joined_raw;
	size_t split_at;             /* its pages are divided here when it has ended; 0: they are not */
	struct shape shapes[JOB_IMAGES_MAX]; /* of `row`, then of `more` */
	size_t n_shapes;             /* so many go, as far as that is known */
	struct render *render;       /* on its way: */
	size_t rendering;            /* of the page at this place */
	unsigned int next_step;      /* render_step() that may do after this attempt */
	bool render_waits;           /* for its turn */
	bool smaller_next;           /* it was too large, and goes again smaller */
	char same_as[PAGE_ID_SIZE];  /* the page whose answer it takes over; "": none */
	struct job job;
	struct request req;
	struct creds creds;
	uint64_t creds_generation;
	const struct price *price;   /* NULL: nothing is paid */
	char host[256], body_hex[BODY_HEX_SIZE];
	char *resolved;              /* where its model leads; NULL: its name says it */
	struct attempt_open open;
	int64_t id;                  /* 0: not in the ledger yet */
	struct http_transfer *transfer;
	struct helper *helper;
	struct dialogue dialogue;    /* of a job that takes several requests */
	struct request more_req, coming; /* the one after the first that is out; the one that takes its place */
	sd_event_source *next_timer; /* when that goes */
	int64_t deadline_ms;         /* boottime */
	int64_t began_ms, tokens;    /* boottime; as counted for TokensPerMinute= */
	int64_t arrived, told_ms;    /* bytes of a streamed answer; boottime when that was told */
	/* after the reply, until the commit has succeeded */
	bool answered;
	bool decided;                /* what becomes of the page, in `close` */
	struct reply reply;          /* without what it borrowed */
	struct verdict verdict;
	struct answer *answer;
	struct attempt_close close;
	char hold_reason[240];
};

struct courier {
	struct service *service;
	struct backend backends[BACKENDS_MAX];
	size_t n_backends;
	struct attempt *attempts;
	size_t n_attempts;
	uint32_t salt;               /* so that devices with the same backlog do not try at the same moments */
	int64_t started_ms, wake_ms; /* boottime */
	int64_t wide_ms;             /* boottime until which no class is looked at deeply again */
	bool wide;                   /* in this turn they are */
	int64_t turn_ends_ms;        /* boottime */
	bool turn_held, turn_cut;    /* one was held; something was left for the next turn */
	int64_t start_seq;           /* the last page that was there when this run began */
	bool backlog_at_start;       /* and some of them waited: many devices may have begun at this moment */
	int64_t fresh_after, fresh_next; /* seq: pages behind the first were accepted just now */
	int64_t fresh_ms;            /* boottime when they were moved on */
	int64_t storage_wait_ms;     /* boottime until which the ledger is left alone after it failed */
	int64_t over_pusd;           /* a request of this cost was too much for the budget; 0: there is room */
	bool started, stopped;
	sd_event_source *turn, *timer;
	sd_event_source *delivery_turn, *delivery_timer;
	uint32_t delivery_failures;
	sd_event_source *settle_timer;
	struct sweep *sweeps;        /* requests that clear up behind a dialogue */
};

/* courier.c */
void courier_hold(struct courier *c, const struct page_row *row, const char *reason);
/* In the journal. */
void courier_say_held(const struct page_row *p);
void courier_deliver(struct courier *c);
/* The spool failed us: nothing is sent for a while. */
void courier_storage_failed(struct courier *c, int error);

/* The budget has no room for a request that may cost so much: paid backends are not asked until it has. */
void courier_over_budget(struct courier *c, int64_t need_pusd);

/* courier_start.c. What was there when this run began, */
void courier_find_backlog(struct courier *c);
/* and its moment at this backend. */
void backend_spread(struct backend *b, uint32_t random);
void courier_say_spread(const struct courier *c);
/* Is the page from before, and that moment still to come? */
bool backend_keeps_back(const struct backend *b, int64_t seq);
/* Somebody has handed one in since the start, or the time is over. */
bool courier_has_new_pages(const struct courier *c);
/* Nothing is wanted of it yet, not even credentials, which are a request too. */
bool backend_starts_later(const struct backend *b, bool new_pages);

/* courier_backend.c */
struct backend *backend_find(struct courier *c, const char *name);
int backend_init(struct courier *c, const struct backend_config *config);
void backend_clear(struct backend *b);
/* Its state for a page; no side effect. */
enum rung_state backend_rung(struct backend *b, int64_t seq);
enum backend_state backend_state(const struct backend *b);
/* May one of so many tokens start now? If not, the backend waits until it may. */
bool backend_has_tokens(struct backend *b, int64_t tokens);
/* When that changes by itself, boottime; INT64_MAX: it does not. */
int64_t backend_rate_wake_ms(struct backend *b);
/* So long until one of so many tokens may start; 0: now. It counts: only for the minute and the pace. */
int64_t backend_minute_wait_ms(struct backend *b, int64_t tokens);
void backend_count(struct backend *b, int64_t tokens);
/* A request of it starts. */
void backend_begin(struct backend *b, int64_t tokens);
/* One that began then has been answered, and took so many. */
void backend_tokens(struct backend *b, int64_t began_ms, int64_t counted, int64_t actual);
/* What the end of one that began then says of its pace. */
void backend_paced(struct backend *b, int64_t began_ms, const struct verdict *v);
/* Is the ledger lost and not confirmed? Then one that costs is down. */
void backend_confirmed(struct backend *b, bool lost);
/* Has it credentials, and is it known where its model leads? Until then it waits, and no page is begun. */
bool backend_has_credentials(struct backend *b);
void backend_clock_set(struct backend *b);
/* Starts its own probe when the time has come. */
void backend_probe_if_due(struct backend *b);
/* Something is wrong on our side of this backend (credentials, price, guard): down, and said once. */
void backend_trouble(struct backend *b, const char *reason, const char *message);
/* An exchange has ended: what the page is charged. `v` may be NULL (a probe went well). */
enum page_outcome backend_ended(struct backend *b, int64_t seq, const struct verdict *v, const struct reply *reply);

/* courier_attempt.c */
/* Takes the page to the backend, unless the page or the backend turns out to be in trouble, which is noted. 0, or negative
 * errno: the ledger cannot be written. */
int attempt_start(struct courier *c, struct backend *b, size_t asked, int64_t seq);
void attempt_free(struct attempt *a);
/* The same from the question on, with a row that is fresh. Takes the attempt. */
int attempt_go(struct attempt *a);
/* In flight from now on; and no more. */
void attempt_link(struct attempt *a);
void attempt_unlink(struct attempt *a);
/* Is the page's file what was accepted? If not, the page is held. */
bool attempt_is_whole(struct attempt *a);
/* What the backends of a route are to a page that stands on `rung`, as far as it matters for who is asked now. */
void attempt_rungs(struct courier *c, const struct spool_job *job, const struct due_page *p, size_t rung,
	enum rung_state rungs[static ROUTE_MAX]);
/* All of it, for a row. */
int attempt_row_rungs(struct courier *c, const struct page_row *row, enum rung_state rungs[static ROUTE_MAX]);
/* The index of the backend that gave the current answer; n_route: none of the route. */
size_t attempt_answered_index(const struct spool_job *job, const char *backend);

/* Its parts, for requests of several pages. */
int attempt_open_file(struct attempt *a, const struct page_row *row);
bool attempt_is_whole_file(struct attempt *a, int fd, const struct page_row *row);
bool attempt_build(struct attempt *a);
void attempt_http_reply(void *ud, const struct reply *reply);
int attempt_transmit(struct attempt *a);

/* courier_pages.c */
/* The pages that go with it. False: it was dealt with. */
bool attempt_open_pages(struct attempt *a);
void attempt_pages_clear(struct attempt *a);
bool attempt_pages_whole(struct attempt *a);
/* How many of them go, and how, as far as that can be said before what must be rendered for it is. False: the attempt was taken. */
bool attempt_choose_pages(struct attempt *a);
/* Are they still the pages that go with it? */
bool attempt_pages_same(const struct attempt *a);
/* Less than all of them may be within the budget. True: they are divided, and the attempt was taken. */
bool attempt_halve(struct attempt *a);
/* A request that was too much for the backend: next time it has half of the pages. Before and after the commit that closes it. */
bool attempt_split_next(struct attempt *a);
void attempt_split_now(struct attempt *a);
/* One by one: a page's verdict is there. 1: the next page is out; 0: the verdict and the answer are those of all. */
int attempt_next_page(struct attempt *a);

/* courier_render.c */
void attempt_shape_init(struct attempt *a, size_t i, int fd, const struct page_row *row);
/* The first page was refused before: it goes at this step, or at the smallest there is. */
void attempt_at_least(struct attempt *a, unsigned int step);
/* What a page goes as now. */
struct job_image attempt_image(const struct attempt *a, size_t i);
/* Must one be made before the question is built? */
bool attempt_wants_rendering(const struct attempt *a);
/* Takes the attempt: it goes on, or ends, when the rendering is there. */
void attempt_render(struct attempt *a);
/* Whoever waits for a rendering and has room now. */
void attempt_render_turn(struct courier *c);
/* A page is too large for the backend as it is: it is wanted smaller. False: nothing smaller can be read any more, or made. */
bool attempt_smaller(struct attempt *a, size_t i);
void attempt_shapes_clear(struct attempt *a, size_t keep); /* those behind the first so many */
/* Is the request within what the backend has not refused yet? */
bool attempt_fits(struct attempt *a);
/* What the reply says of the page's size; a page that can be smaller is not passed on. */
void attempt_learn_size(struct attempt *a, const struct reply *reply);
/* JSON for the ledger, in `told` of each shape; nothing where the page itself goes and nothing else was wanted. */
int attempt_describe_renderings(struct attempt *a);

/* courier_same.c */
/* Is a page of this content (its hash's front; 0: none) out to a backend that is paid? Others of it wait for its answer. */
bool courier_same_is_out(const struct courier *c, uint64_t content);
/* Nothing is to be sent: a page of the same content is out, or was answered, which is noted (same_as). */
bool attempt_same(struct attempt *a);

/* courier_progress.c */
/* Before it is sent: an answer that arrives as a stream is told of. */
void attempt_follow(struct attempt *a);

/* courier_dialogue.c */
/* extractor_ops.proceed(): 1: another request is to come, and the attempt goes on; 0: the verdict is there; or negative errno. */
int attempt_proceed(struct attempt *a, const struct reply *reply);
/* What the dialogue left behind on the other side is removed, as well as that goes; nobody waits for it. */
void attempt_tidy(struct attempt *a);
void attempt_dialogue_clear(struct attempt *a);
void courier_sweeps_cancel(struct courier *c);

/* courier_settle.c */
/* The verdict's answer to typed and checked fields, or another verdict. */
int attempt_read_answer(struct attempt *a);
/* The verdict stands, and nothing leaves: closed without a request. Takes the attempt. */
void attempt_without_request(struct attempt *a);
/* The reply is here (or there will be none): judge, commit, tell. Frees the attempt, or keeps it until the commit succeeds. */
void attempt_reply(struct attempt *a, const struct reply *reply);
/* Nothing leaves, for the guard says no: a receipt of that, once (courier_refused.c). */
void attempt_note_refused(struct attempt *a, const char *why);
/* Nothing leaves: this backend can never take this page, the others of its route may. Takes the attempt. */
void attempt_refused(struct attempt *a, const char *reason, const char *message);
/* Nothing leaves: the rendering that this backend needs could not be made. It counts as a try. Takes the attempt. */
void attempt_not_rendered(struct attempt *a);
/* Nothing has left, through no fault of the page. */
void attempt_unsent(struct attempt *a, const char *reason, const char *message);
/* Ends without an answer, at stop: possibly billed. */
void attempt_abandon(struct attempt *a);
