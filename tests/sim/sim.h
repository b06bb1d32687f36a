/*
 * The courier over virtual time: the real courier, ledger, spool, delivery and SQLite; a simulated clock, loop, transport and
 * OCR helper; backends with weather, a person, a disk that fails at times. Each life of the service is a child process, which
 * ends in order or is killed, between two events or in the middle of a commit; the world outlives it, in shared memory.
 */
#pragma once

#include "daemon/courier_internal.h"
#include "daemon/spool_internal.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)
#define FIRST_REAL_MS INT64_C(1893553445000) /* 2030-01-02T03:04:05Z: true time at t = 0 */

enum { SYDNEY, JETSON, OCR, SIM_BACKENDS };

enum weather {
	FINE,
	NO_CONNECTION,
	SILENT,   /* takes the page, answers nothing */
	SICK,     /* 5xx; its own probe is fine */
	THROTTLE,
	DENIED,
	CUT,      /* the connection ends in the middle of the answer */
	GARBAGE,  /* 200 and no answer in it: such a page is charged */
	SLOW,
	WEATHERS,
};

/* What is special about a page. */
enum trait { PLAIN, TOO_LONG, REFUSED, BREAKS_SYDNEY, UNREADABLE, HUGE, TRAITS };

/* How a life ends. */
enum { LIFE_DONE = 0, LIFE_FAILED = 1, LIFE_KILLED = 42, LIFE_STOPPED = 43, LIFE_NO_START = 44 };

enum happening { SCAN, BACKLOG, WEATHER_SYDNEY, WEATHER_JETSON, WEATHER_OCR, CLOCK, SUSPEND, KILL, PERSON, DISK, HICCUP, LEDGER, DOCUMENT, HOURLY, HAPPENINGS };

#define PER_MINUTE      15 /* RequestsPerMinute= of sydney */
#define PROGRESS_HOURS  3 /* enough for some hundred pages, 4 at a time, and what backoff may be left */
#define KEEP_PAGES_MS   (2 * DAY_MS)
#define KEEP_RESULTS_MS (4 * DAY_MS)

#define PAGES_MAX  12288
#define SERVED_MAX 200000
#define LOG_LINES  96
#define LOG_WIDTH  180

/* A request that reached a backend. */
struct served {
	int64_t attempt, seq, cost_pusd;
	int backend;
	bool billed;
};

struct world {
	uint64_t seed, random;
	int64_t t;           /* true time since the beginning, ms */
	int64_t boot_t;      /* when this boot was */
	int64_t end_t;       /* the bad times end */
	int boots, lives, kills;
	int day;             /* of day.c: another kind of world; 0: none of them */
	bool calm;           /* they have ended: no more happenings, everything drains */
	bool final;          /* the life that drains has begun */
	/* the clock: realtime is true time plus error */
	int64_t clock_error_ms;
	bool synchronised;
	/* happenings: when each is next, and how far apart on average (0: never) */
	int64_t at[HAPPENINGS], mean[HAPPENINGS];
	/* backends */
	struct {
		enum weather weather;
		int percent;          /* of requests that meet it */
		int64_t since_t;
		int64_t last_send_t;
		int64_t fair_since_t; /* as far as the world goes */
		int down_sends;       /* in this hour, in weather that is all bad */
		int run, run_lane;    /* in a row from one lane while the other waited */
		uint32_t picks;
		int64_t failed;
		int64_t requests, cost_pusd;
	} backends[SIM_BACKENDS];
	int hour_lives;
	bool with_jetson;
	bool flatten;        /* the type wants its pages so: all go as renderings */
	size_t most_images;  /* that sydney takes; more are refused by their size */
	int64_t tries, tries_max, config_changes;
	bool ledger_lost;
	int64_t confirm_t;
	/* storage */
	int disk_errno;      /* what writing gives; 0: it works */
	int64_t disk_until_t;
	int hiccup;          /* so many calls on, one step of SQLite or one allocation fails; 0: no */
	bool hiccup_memory;  /* an allocation */
	int kill_at_write;   /* this many writes or syncs on, the life ends; 0: no */
	/* what was promised */
	int64_t accepted;
	int64_t last_retry_t;                /* of a person */
	int64_t newest_seq[PROGRESS_HOURS];  /* of the hours before, the last one first */
	struct {
		bool accepted, gone, file_gone;
		int64_t delivered_t; /* its last result was, or it was accepted */
		char id[PAGE_ID_SIZE];
	} pages[PAGES_MAX];
	int64_t n_served;
	struct served served[SERVED_MAX];
	/* what happened */
	int64_t events, at_this_time, last_event_t;
	uint32_t log_next;
	char log[LOG_LINES][LOG_WIDTH];
	bool failed;
	char failure[320];
};
extern struct world *world;

/* main.c */
uint32_t sim_random(void);
int64_t sim_between(int64_t low, int64_t high); /* both included */
bool sim_chance(int percent);
int64_t sim_around(int64_t mean);
void sim_log(const char *fmt, ...) _printf_(1, 2);
/* Ends the life. */
_Noreturn void sim_exit(int how);
/* Says why, and ends the life. */
_Noreturn void sim_fail(const char *fmt, ...) _printf_(1, 2);

/* loop.c: sources that the courier makes, and the requests that are out */
bool loop_run_ready(void);         /* runs one that is due now */
int64_t loop_next_t(void);         /* when one will be; INT64_MAX: never */

/* Only the service's own calls count, not those of the simulation: it arms them around its turns. What was. */
bool hiccups_arm(bool on);

/* backends.c */
bool transfers_run(void);          /* ends one that is due now, or lets it arrive */
int64_t transfers_next_t(void);
size_t transfers_out(int backend, int64_t seq); /* of a page (0: any) at a backend (-1: any) */
bool weather_is_bad(enum weather w);
const char *weather_name(enum weather w);

/* life.c */
extern struct service sim_service;
int life_run(const char *directory);
int64_t sim_sql(const char *sql); /* one number */

/* world.c: what happens to it */
int64_t world_next_t(void);
void world_happen(void);
void world_begin(int64_t days);
void world_wait_for_disk(void);
void world_calm(void);
void world_person_clears(void);
void world_documents_end(void);

int world_take_plain_page(enum lane lane); /* for sydney alone */

/* day.c: a day at a server with quotas */
int day_find(const char *name);    /* its number, or -ENOENT */
const char *day_name(int day);     /* NULL: there is none */
void day_begin(void);
int day_config(char *out, size_t size); /* keys of sydney */
void day_arrivals(void);
bool day_over(void);
void day_done(int64_t seq);
void day_check_send(const struct attempt *a);
bool day_refuses(int64_t seq);
void day_answered(int64_t seq, int64_t tokens);
const char *day_refusal(void);
const char *day_hint(void);        /* NULL: none */
void day_check_end(void);

/* check.c: what must be so */
void check_event(void);            /* after every event */
void check_send(const struct attempt *a);
void check_probe(const struct backend *b);
void check_arrival(const struct attempt *a, int backend, bool billed, int64_t cost_pusd);
void check_hour(void);
void check_aged(void);             /* after pages have aged out */
void check_spool(void);            /* everything that is stored */
void check_end(void);
