/* Watched folders on the loop: events of the kernel, turns, what came of the files, status. */
#include "daemon/watch_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/intake.h"
#include "daemon/messages.h"

#define FOLDER_EVENTS (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)
#define FAILURES_MAX  3 /* runs of the helper over one file, while others go well */
#define REFUSED_AGAIN 10 /* times Settle= until what gave no page is tried once more */

static int64_t watch_now_ms(const struct watch *w)
{
	return clock_boottime_ms(w->service->clock);
}

static const char *state_name(enum folder_state s)
{
	static const char *const names[] = {
		[FOLDER_WATCHING] = "watching",
		[FOLDER_MISSING] = "missing",
		[FOLDER_REFUSED] = "refused",
		[FOLDER_NO_ROOM] = "no-room",
		[FOLDER_WAITING] = "waiting",
		[FOLDER_CANNOT_MOVE] = "cannot-move",
	};

	return names[s];
}

/* ---- states ------------------------------------------------------------------------------------------------------------------ */

void watch_state(struct folder *f, enum folder_state state, const char *message)
{
	const struct log_field fields[] = {{"WATCH", f->config->name}};

	str_copy(f->message, sizeof(f->message), state == FOLDER_WATCHING ? "" : message);
	if (state == f->state)
		return;
	f->state = state;
	if (state == FOLDER_WATCHING)
		log_event(LOG_LEVEL_NOTICE, MESSAGE_WATCH_WELL, fields, ARRAY_SIZE(fields), "watched folder %s: its files are taken again",
			f->config->name);
	else
		log_event(LOG_LEVEL_WARNING, MESSAGE_WATCH_TROUBLE, fields, ARRAY_SIZE(fields), "watched folder %s: %s: %s",
			f->config->name, state_name(state), message);
}

/* Sentences are cut where they do not fit: a message, not a value. */
#define FORMAT_MESSAGE(out, fmt)                        \
	do {                                            \
		va_list ap_;                            \
                                                        \
		va_start(ap_, fmt);                     \
		vsnprintf(out, sizeof(out), fmt, ap_);  \
		va_end(ap_);                            \
	} while (0)

int watch_trouble(struct folder *f, enum folder_state state, const char *fmt, ...)
{
	char message[sizeof(f->message)];

	FORMAT_MESSAGE(message, fmt);
	watch_folder_forget(f);
	f->retry_ms = watch_now_ms(f->watch) + watch_backoff_ms(++f->troubles);
	watch_state(f, state, message);
	return -1;
}

void watch_hold(struct folder *f, enum folder_state state, const char *fmt, ...)
{
	char message[sizeof(f->message)];

	FORMAT_MESSAGE(message, fmt);
	f->hold_ms = watch_now_ms(f->watch) + watch_backoff_ms(++f->holds);
	watch_state(f, state, message);
}

void watch_well(struct folder *f)
{
	f->holds = f->troubles = 0;
	f->hold_ms = 0;
	watch_state(f, FOLDER_WATCHING, "");
}

size_t watch_flights(const struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_folders; i++)
		n += w->folders[i].flight.scan != 0;
	return n;
}

/* ---- turns ------------------------------------------------------------------------------------------------------------------- */

static int on_turn(sd_event_source *source, void *ud);

static void kick(struct watch *w)
{
	if (!w->stopped && loop_defer(w->service->event, &w->turn, SD_EVENT_PRIORITY_IDLE, on_turn, w) < 0)
		log_error("watched folders: out of memory");
}

static int on_timer(sd_event_source *source, uint64_t us, void *ud)
{
	kick(ud);
	return 0;
}

/* Each folder has its piece, and another one is the first each time: none keeps the others waiting. */
static int on_turn(sd_event_source *source, void *ud)
{
	struct watch *w = ud;
	int64_t now_ms = watch_now_ms(w), next_ms = INT64_MAX;
	bool more = false;

	if (w->stopped || w->service->stopping)
		return 0;
	for (size_t i = 0; i < w->n_folders; i++)
		more |= watch_folder_step(&w->folders[(w->next + i) % w->n_folders], now_ms);
	w->next++;
	if (more) {
		kick(w);
		return 0;
	}
	now_ms = watch_now_ms(w);
	for (size_t i = 0; i < w->n_folders; i++)
		next_ms = MIN(next_ms, watch_folder_next_ms(&w->folders[i], now_ms));
	return loop_timer(w->service->event, &w->timer, next_ms == INT64_MAX ? -1 : MAX(next_ms - now_ms, (int64_t)1), on_timer, w);
}

/* ---- events of the kernel ---------------------------------------------------------------------------------------------------- */

void watch_listen(struct folder *f)
{
	int r = f->watch->inotify;

	if (r >= 0) {
		f->wd = inotify_add_watch(f->watch->inotify, f->config->folder, FOLDER_EVENTS | IN_ONLYDIR);
		r = f->wd < 0 ? -errno : 0;
	}
	if (r >= 0)
		return;
	if (!f->said_no_events)
		log_warning("watched folder %s: no events (%s): it is looked at once a minute", f->config->name, errno_text(r));
	f->said_no_events = true;
}

void watch_deaf(struct folder *f)
{
	if (f->wd >= 0)
		inotify_rm_watch(f->watch->inotify, f->wd);
	f->wd = -1;
}

static void on_name(struct folder *f, uint32_t mask, const char *name)
{
	struct watch_file *file = watch_table_find(&f->table, name);
	bool lost = false;

	if (mask & (IN_DELETE | IN_MOVED_FROM)) {
		if (file)
			watch_table_remove(&f->table, file);
		/* The kernel says so: the folder is there and the file is not. */
		if (f->config->then == THEN_LEAVE)
			f->prune = f->proven = true;
		return;
	}
	file = watch_table_add(&f->table, name, watch_now_ms(f->watch), true, &lost);
	if (!file || lost)
		f->rescan = true;
	if (!file)
		return;
	file->writing = mask & (IN_CREATE | IN_MODIFY);
	file->written = mask & IN_MODIFY;
	file->ready = file->looked = false;
	file->next_ms = watch_now_ms(f->watch) + (file->writing ? f->config->settle_ms : 0);
}

/* One of the events that were lost may have told that a file was closed: nothing is known from then on, as at the start. */
static void events_lost(struct folder *f)
{
	for (size_t i = 0; i < f->table.n; i++)
		f->table.files[i].writing = false;
	f->rescan = true;
}

static void on_event(struct watch *w, const struct inotify_event *e)
{
	for (size_t i = 0; i < w->n_folders; i++) {
		struct folder *f = &w->folders[i];

		if (e->mask & IN_Q_OVERFLOW)
			events_lost(f);
		if (e->wd < 0 || f->wd != e->wd)
			continue;
		if (e->mask & IN_IGNORED)
			f->wd = -1;
		if (e->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
			watch_folder_forget(f);
		else if (e->len > 0 && !(e->mask & IN_ISDIR) && watch_name_fits(e->name))
			on_name(f, e->mask, e->name);
	}
}

static int on_inotify(sd_event_source *source, int fd, uint32_t revents, void *ud)
{
	char data[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct watch *w = ud;
	ssize_t n = read(fd, data, sizeof(data)), at = 0;

	while (n > 0 && at + (ssize_t)sizeof(struct inotify_event) <= n) {
		const struct inotify_event *e = (const struct inotify_event *)(data + at);

		on_event(w, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	kick(w);
	return 0;
}

/* ---- what came of a file ----------------------------------------------------------------------------------------------------- */

static void try_again(struct folder *f, struct watch_file *file, int64_t ms)
{
	if (file)
		watch_file_wait(file, watch_now_ms(f->watch), ms);
	else
		f->rescan = true;
}

/* The file itself is at fault; but what gave no page may still have been on its way, from a writer that cannot be seen. */
static void refuse(struct folder *f, struct watch_file *file, const char *reason, const char *message)
{
	int r;

	if (file && !file->refused) {
		file->refused = true;
		try_again(f, file, f->config->settle_ms * REFUSED_AGAIN);
		watch_well(f);
		return;
	}
	r = watch_finish_refused(f, reason, message);
	if (file)
		file->next_ms = watch_now_ms(f->watch); /* gone, or another by now */
	if (r < 0)
		watch_hold(f, FOLDER_CANNOT_MOVE, "%s: a file that was refused cannot be put aside: %s", f->config->folder, errno_text(r));
	else
		watch_well(f);
}

/* No word about the file: the helper or the spool failed. A file that kills the helper again and again, while it does well by
 * others, is at fault after all. */
static void failed(struct folder *f, struct watch_file *file, const char *reason, const char *message)
{
	int64_t now_ms = watch_now_ms(f->watch);

	if (file && ++file->failures == 1)
		file->failed_since_ms = now_ms;
	if (file && file->failures >= FAILURES_MAX && f->well_ms > file->failed_since_ms) {
		file->refused = true;
		refuse(f, file, reason, message);
		return;
	}
	try_again(f, file, file ? watch_backoff_ms(file->failures) : 0);
	watch_hold(f, streq(reason, "no-room") ? FOLDER_NO_ROOM : FOLDER_WAITING, "%s: %s", reason, message);
}

static void taken(struct folder *f, struct watch_file *file)
{
	int r = watch_finish_taken(f);

	f->taken++;
	if (r > 0) {
		f->rescan |= f->prune && !f->proven; /* a crash may have left rows of files that were moved */
		f->proven = true;
	}
	f->well_ms = watch_now_ms(f->watch);
	if (r < 0) {
		try_again(f, file, 0);
		watch_hold(f, FOLDER_CANNOT_MOVE, "%s: a file that was taken cannot be moved away: %s", f->config->folder, errno_text(r));
		return;
	}
	/* Untouched since it was taken: done with it. Else it is looked at. */
	if (file && file->next_ms == INT64_MAX)
		watch_table_remove(&f->table, file);
	watch_well(f);
}

static void ended(struct folder *f, const struct event *e)
{
	struct watch_file *file = watch_table_find(&f->table, f->flight.name);
	const char *message = e->message ? e->message : "";

	if (f->flight.page[0]) {
		taken(f, file);
	} else if (f->flight.refused) {
		f->well_ms = watch_now_ms(f->watch);
		refuse(f, file, f->flight.reason, f->flight.message);
	} else if (e->reason && streq(e->reason, INTAKE_CHANGED)) {
		if (file)
			file->looked = false;
		try_again(f, file, 0);
	} else if (!f->watch->stopped) {
		failed(f, file, e->reason ? e->reason : "io", message[0] ? message : "no page came of it");
	}
	f->flight.scan = 0;
}

/* Reasons that speak of the machine and not of the file. */
static bool is_of_file(const char *reason)
{
	static const char *const others[] = {"io", "no-device", "busy", "timeout", NULL};

	for (size_t i = 0; others[i]; i++)
		if (streq(reason, others[i]))
			return false;
	return true;
}

static void on_flight(struct folder *f, const struct event *e)
{
	struct flight *l = &f->flight;

	switch (e->kind) {
	case EVENT_PAGE_ACCEPTED:
		str_copy(l->page, sizeof(l->page), e->page->id);
		break;
	case EVENT_PAGE_REJECTED:
		l->refused = e->reason && is_of_file(e->reason);
		str_copy(l->reason, sizeof(l->reason), e->reason ? e->reason : "");
		str_copy(l->message, sizeof(l->message), e->message ? e->message : "");
		break;
	case EVENT_SCAN_ENDED:
		ended(f, e);
		break;
	default:
		break;
	}
}

void watch_event(struct watch *w, const struct event *e)
{
	if (!e->scan)
		return;
	for (size_t i = 0; i < w->n_folders; i++)
		if (w->folders[i].flight.scan == e->scan)
			on_flight(&w->folders[i], e);
	if (e->kind == EVENT_SCAN_ENDED)
		kick(w);
}

/* ---- from start to end ------------------------------------------------------------------------------------------------------- */

static int open_inotify(struct watch *w)
{
	int r;

	w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->inotify < 0) {
		w->inotify = -errno; /* said for each folder */
		return 0;
	}
	r = sd_event_add_io(w->service->event, &w->io, w->inotify, EPOLLIN, on_inotify, w);
	return r < 0 ? r : sd_event_source_set_priority(w->io, SD_EVENT_PRIORITY_IDLE);
}

int watch_new(struct service *s, struct watch **ret)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->service = s;
	w->n_folders = s->config.n_watches;
	for (size_t i = 0; i < w->n_folders; i++) {
		w->folders[i].watch = w;
		w->folders[i].config = &s->config.watches[i];
		w->folders[i].wd = -1;
	}
	/* Who opens a file for writing at the moment that we ask for a lease on it makes the kernel send this. */
	signal(SIGIO, SIG_IGN);
	w->inotify = -1;
	r = w->n_folders > 0 ? open_inotify(w) : 0;
	if (r >= 0 && w->n_folders > 0)
		r = loop_defer(s->event, &w->turn, SD_EVENT_PRIORITY_IDLE, on_turn, w);
	if (r < 0) {
		watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_stop(struct watch *w)
{
	w->stopped = true;
	sd_event_source_disable_unref(w->io);
	w->io = NULL;
	loop_timer(w->service->event, &w->timer, -1, on_timer, w);
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_folders; i++)
		watch_folder_forget(&w->folders[i]);
	sd_event_source_disable_unref(w->io);
	sd_event_source_disable_unref(w->turn);
	sd_event_source_disable_unref(w->timer);
	if (w->inotify >= 0)
		close(w->inotify);
	free(w);
}

static int folder_json(const struct folder *f, cJSON *j)
{
	char safe[sizeof(f->message)];

	if (json_add_string(j, "name", f->config->name) < 0 ||
		json_add_string(j, "folder", text_safe_copy(safe, sizeof(safe), f->config->folder)) < 0 ||
		json_add_string(j, "state", state_name(f->state)) < 0 || json_add_i64(j, "waiting", (int64_t)f->table.n) < 0 ||
		json_add_i64(j, "taken", f->taken) < 0 || json_add_i64(j, "rejected", f->rejected) < 0)
		return -ENOMEM;
	return f->message[0] ? json_add_string(j, "message", text_safe_copy(safe, sizeof(safe), f->message)) : 0;
}

int watch_json(const struct watch *w, cJSON *array)
{
	for (size_t i = 0; i < w->n_folders; i++) {
		_cleanup_json_ cJSON *j = cJSON_CreateObject();

		if (!j || folder_json(&w->folders[i], j) < 0 || !cJSON_AddItemToArray(array, j))
			return -ENOMEM;
		j = NULL;
	}
	return 0;
}
