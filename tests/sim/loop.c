/* daemon/loop.h over virtual time, and the system calls whose outcome the simulation decides. */
#include "tests/sim/sim.h"

#include <dlfcn.h>
#include <sqlite3.h>
#include <sys/random.h>

/* The courier only hands these on. */
struct sd_event_source {
	struct sd_event_source *next;
	int64_t due_t; /* INT64_MAX: off */
	int64_t priority;
	uint64_t turn; /* of those due at once: in order */
	sd_event_time_handler_t on_time;
	sd_event_handler_t on_turn;
	void *ud;
};

static struct sd_event_source *sources;
static uint64_t turns;

static int source_new(sd_event_source **ret)
{
	sd_event_source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->next = sources;
	sources = s;
	*ret = s;
	return 0;
}

static void arm(sd_event_source *s, int64_t due_t)
{
	s->due_t = due_t;
	s->turn = turns++;
}

int loop_timer(sd_event *e, sd_event_source **source, int64_t ms, sd_event_time_handler_t fn, void *ud)
{
	if (ms < 0) {
		if (*source)
			(*source)->due_t = INT64_MAX;
		return 0;
	}
	if (!*source && source_new(source) < 0)
		return -ENOMEM;
	(*source)->on_time = fn;
	(*source)->ud = ud;
	arm(*source, world->t + ms);
	return 0;
}

int loop_defer(sd_event *e, sd_event_source **source, int64_t priority, sd_event_handler_t fn, void *ud)
{
	if (!*source && source_new(source) < 0)
		return -ENOMEM;
	(*source)->on_turn = fn;
	(*source)->ud = ud;
	(*source)->priority = priority;
	if ((*source)->due_t > world->t || (*source)->due_t == 0)
		arm(*source, world->t);
	return 0;
}

int loop_notify(const char *state)
{
	return 0;
}

struct http *loop_http(struct loop_http *l)
{
	return NULL;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *s)
{
	sd_event_source **p = &sources;

	while (s && *p && *p != s)
		p = &(*p)->next;
	if (s && *p)
		*p = s->next;
	free(s);
	return NULL;
}

bool loop_run_ready(void)
{
	sd_event_source *best = NULL;

	for (sd_event_source *s = sources; s; s = s->next)
		if (s->due_t <= world->t && (!best || s->priority < best->priority ||
						    (s->priority == best->priority && s->turn < best->turn)))
			best = s;
	if (!best)
		return false;
	best->due_t = INT64_MAX;
	hiccups_arm(true);
	if (best->on_time)
		best->on_time(best, (uint64_t)world->t * 1000, best->ud);
	else
		best->on_turn(best, best->ud);
	hiccups_arm(false);
	return true;
}

int64_t loop_next_t(void)
{
	int64_t t = INT64_MAX;

	for (const sd_event_source *s = sources; s; s = s->next)
		t = MIN(t, s->due_t);
	return t;
}

/* ---- system calls: these definitions come before the C library's, for SQLite too --------------------------------------------- */

/* May this write go on? It may be the end of this life, too. */
static bool disk_fails(void)
{
	if (world && world->kill_at_write > 0 && --world->kill_at_write == 0) {
		sim_log("killed in the middle of writing");
		sim_exit(LIFE_KILLED);
	}
	if (!world || !world->disk_errno)
		return false;
	errno = world->disk_errno;
	return true;
}

ssize_t getrandom(void *out, size_t len, unsigned int flags)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)sim_random();
	return (ssize_t)len;
}

/* No power fails here: what is written stays. */
int fsync(int fd)
{
	return disk_fails() ? -1 : 0;
}

int fdatasync(int fd)
{
	return disk_fails() ? -1 : 0;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	return disk_fails() ? -1 : real(fd, data, len, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
	static ssize_t (*real)(int, const void *, size_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	return fd > 2 && disk_fails() ? -1 : real(fd, data, len);
}

/* ---- hiccups: one call fails, and the next works again ------------------------------------------------------------------------ */

static bool armed;

bool hiccups_arm(bool on)
{
	bool was = armed;

	armed = on;
	return was;
}

static bool hiccup(bool memory)
{
	if (!armed || !world || world->hiccup_memory != memory || world->hiccup == 0 || --world->hiccup > 0)
		return false;
	hiccups_arm(false); /* the log is not part of it */
	sim_log("a hiccup");
	for (int i = 0; i < SIM_BACKENDS; i++)
		world->backends[i].fair_since_t = world->t;
	hiccups_arm(true);
	return true;
}

int sqlite3_step(sqlite3_stmt *st)
{
	static const int errors[] = {SQLITE_IOERR, SQLITE_FULL, SQLITE_NOMEM};
	static int (*real)(sqlite3_stmt *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
	/* A rollback ends no less than SQLite has ended by itself. */
	if (armed && !starts_with(sqlite3_sql(st), "ROLLBACK") && hiccup(false))
		return errors[world->t % (int64_t)ARRAY_SIZE(errors)];
	return real(st);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static bool no_memory(void)
{
	if (!hiccup(true))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return no_memory() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return no_memory() ? NULL : __libc_realloc(p, size);
}
