/* Intake: runs of the capture helper, one on the source and one on files, and the queue before them. */
#include "daemon/intake_internal.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/messages.h"
#include "daemon/scanner.h"

#define FILES_WAIT_MAX   8
#define HANG_GRACE_MS    30000
#define WARM_GRACE_MS    10000 /* beyond the helper's own bound */
#define WATCH_WORD_MS    15000 /* one that watches says every 5 s that it does */
#define WATCH_AGAIN_MS   1000  /* before another is started, doubled each time */
#define WATCH_AGAIN_MAX_MS 60000

struct intake {
	struct service *service;
	struct intake_run *scan;                  /* the one on the source; NULL */
	struct intake_run *warm;                  /* parked: its helper keeps the camera on, or watches; NULL */
	sd_event_source *watch_timer;
	int64_t watch_again_ms;
	bool watch_later;  /* the timer runs */
	bool watch_over;   /* the source has no more frames */
	bool rest_refused; /* the page that rests was refused once: said once */
	struct intake_run *files[FILES_WAIT_MAX]; /* [0] runs, the others wait */
	size_t n_files;
	uint64_t last_number;
	sd_event_source *turn;
	bool stopped;
};

static void run_free(struct intake_run *r)
{
	if (!r)
		return;
	helper_cancel(r->helper);
	intake_page_drop(r);
	if (r->fd >= 0)
		close(r->fd);
	free(r->source);
	free(r->document);
	free(r->name);
	free((char *)r->taken.folder);
	free((char *)r->taken.name);
	free((char *)r->taken.stamp);
	free(r);
}

static void go_on(struct intake *i);

static void run_leave(struct intake *i, const struct intake_run *r)
{
	if (r == i->scan) {
		i->scan = NULL;
		return;
	}
	i->n_files--;
	for (size_t k = 0; k < i->n_files; k++)
		i->files[k] = i->files[k + 1];
}

/* Takes the run out of the intake, frees it (or keeps its helper warm), and says that it has ended. */
static void run_end(struct intake_run *r, bool warm, const char *reason, const char *message)
{
	struct intake *i = r->intake;
	struct event e = {.kind = EVENT_SCAN_ENDED, .scan = r->number, .reason = reason, .message = message,
		.glass = r->source != NULL};
	char name[256];

	run_leave(i, r);
	if (r->name) {
		text_safe_copy(name, sizeof(name), r->name);
		e.name = name;
	}
	if (reason)
		log_warning("%s ended: %s: %s (%u pages taken, %u not)", r->source ? "scan" : "file", reason, message, r->accepted,
			r->rejected);
	else
		log_info("%s ended: %u pages taken, %u not", r->source ? "scan" : "file", r->accepted, r->rejected);
	if (r->source)
		i->service->state.capture_failed = r->accepted == 0;
	if (r->source && reason)
		scanner_note(i->service->scanner, reason, message);
	r->parked = warm;
	if (warm)
		i->warm = r;
	else
		run_free(r);
	service_event(i->service, &e);
	go_on(i);
}

static const char *reason_of(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return "no-room";
	case -EROFS:
	case -EIO:
		return "storage";
	case -ETIMEDOUT:
		return "timeout";
	case -EBADMSG:
		return "damaged";
	case -ESTALE:
		return INTAKE_CHANGED;
	default:
		return "io";
	}
}

static int run_start(struct intake_run *r);

static int on_watch_timer(sd_event_source *source, uint64_t us, void *ud)
{
	struct intake *i = ud;

	i->watch_later = false;
	go_on(i);
	return 0;
}

/* What watched is gone; after a while another takes its place. */
static void watch_failed(struct intake *i, const char *reason, const char *message)
{
	if (reason)
		scanner_watch_failed(i->service->scanner, reason, message);
	i->watch_again_ms = CLAMP(i->watch_again_ms, WATCH_AGAIN_MS, WATCH_AGAIN_MAX_MS);
	i->watch_later = loop_timer(i->service->event, &i->watch_timer, i->watch_again_ms, on_watch_timer, i) >= 0;
	i->watch_again_ms *= 2;
}

static void parked_done(struct intake *i, int error, const char *why)
{
	struct intake_run *r = take_ptr(i->warm);
	bool camera = starts_with(r->source, "v4l2:");

	if (i->service->config.automatic && !i->stopped) {
		/* A camera is looked at again; a recording is over. */
		i->watch_over = error == 0 && !camera;
		watch_failed(i, error == 0 ? NULL : error == -EREMOTEIO ? r->end_reason : reason_of(error),
			error == -EREMOTEIO ? r->end_message : why);
	}
	run_free(r);
}

static void on_done(void *ud, int error, const char *why)
{
	struct intake_run *r = ud;
	char reason[48] = "", message[240];

	r->helper = NULL;
	if (r == r->intake->warm) {
		parked_done(r->intake, error, why);
		return;
	}
	/* It ended just when it was asked for more. */
	if (r->continued && !r->heard && error != -ETIMEDOUT) {
		r->continued = false;
		r->end_reason[0] = '\0';
		if (run_start(r) >= 0)
			return;
	}
	if (error == 0 && r->writer) {
		error = -EBADMSG;
		why = "the last page was never finished";
	}
	intake_page_drop(r);
	if (error == 0) {
		run_end(r, false, NULL, NULL);
		return;
	}
	str_copy(reason, sizeof(reason), error == -EREMOTEIO && r->end_reason[0] ? r->end_reason : reason_of(error));
	text_safe_copy(message, sizeof(message), r->failure[0] ? r->failure : error == -EREMOTEIO ? r->end_message : why);
	run_end(r, false, reason, message);
}

int intake_idle(struct intake_run *r)
{
	struct intake *i = r->intake;
	const struct config *c = &i->service->config;

	if (!c->automatic && (r != i->scan || !c->keep_warm_ms))
		return -EBADMSG;
	/* It crossed with the request: after a scan it says so when it has told what came of it. */
	if (r->continued && !r->heard)
		return 0;
	helper_extend(r->helper, c->automatic ? WATCH_WORD_MS : c->keep_warm_ms + WARM_GRACE_MS);
	if (r == i->scan) {
		run_end(r, true, NULL, NULL);
		return 0;
	}
	scanner_note(i->service->scanner, NULL, NULL);
	i->watch_again_ms = WATCH_AGAIN_MS;
	i->rest_refused = false;
	return 0;
}

int intake_rests(struct intake_run *r)
{
	struct intake *i = r->intake;
	const struct config *c = &i->service->config;
	struct intake_request q = {.source = c->source, .fd = -1, .type = c->type, .lane = LANE_NOW, .owner = getuid()};
	char why[256] = "";
	uint64_t scan;

	if (r == i->scan) /* it crossed with a scan that a person began */
		return 0;
	if (!c->automatic)
		return -EBADMSG;
	helper_extend(r->helper, WATCH_WORD_MS);
	scanner_note(i->service->scanner, NULL, NULL);
	/* It is told again while the page rests; that there is no room was said. */
	if (i->stopped || i->scan || (i->rest_refused && spool_room(i->service->spool, why, sizeof(why)) < 0))
		return 0;
	i->rest_refused = intake_start(i, &q, &scan, why, sizeof(why)) < 0;
	return 0;
}

/* What is looked for on its pages. */
static int add_sense(const struct config *c, cJSON *head)
{
	char words[64];
	int e;

	str_format(words, sizeof(words), "%s%s%s%s", c->glass_gate ? ",gate" : "", c->blank_pages != BLANK_IGNORE ? ",blank" : "",
		c->page_hash ? ",hash" : "", c->thumbnails ? ",thumbnail" : "");
	e = json_add_bool(head, "original", c->keep_original);
	if (e < 0)
		return e;
	return json_add_string(head, "sense", words[0] ? words + 1 : "none");
}

static int make_request(const struct intake_run *r, cJSON *head)
{
	const struct config *c = &r->intake->service->config;
	int e = json_add_string(head, "type", "request");

	if (e >= 0)
		e = json_add_string(head, "verb", r->watch ? "watch" : r->source ? "scan" : "ingest");
	if (e >= 0 && r->source)
		e = json_add_string(head, "source", r->source);
	if (e >= 0 && r->source && c->controls[0])
		e = json_add_string(head, "controls", c->controls);
	if (e >= 0 && r->source && c->automatic)
		e = json_add_bool(head, "watch", true);
	if (e >= 0 && r->source && c->keep_warm_ms && !c->automatic)
		e = json_add_i64(head, "warm_ms", c->keep_warm_ms);
	if (e >= 0 && !r->source)
		e = json_add_string(head, "name", r->name ? r->name : "");
	if (e >= 0)
		e = json_add_i64(head, "max_side", c->max_side);
	if (e >= 0)
		e = add_sense(c, head);
	if (e >= 0)
		e = json_add_i64(head, "max_pixels", c->max_pixels);
	if (e >= 0)
		e = json_add_i64(head, "quality", c->quality);
	if (e >= 0 && r->source)
		e = json_add_i64(head, "rotate", c->rotate % 4 * 90);
	return e < 0 ? e : json_add_bool(head, "square", c->square);
}

/* A helper that kept the camera on takes this scan too, if it is for the same source and still there. */
static bool run_continue(struct intake_run *r)
{
	struct intake_run *warm = r->source ? take_ptr(r->intake->warm) : NULL;
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	bool done = false;

	if (warm && head && streq(warm->source, r->source) && json_add_string(head, "type", "next") >= 0 &&
		helper_next(warm->helper, head, r->service->config.helper_timeout_ms, r) >= 0) {
		r->helper = take_ptr(warm->helper);
		done = r->continued = true;
	}
	run_free(warm);
	return done;
}

static int run_start(struct intake_run *r)
{
	struct service *s = r->intake->service;
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	char program[HELPER_PROGRAM_SIZE];
	struct helper_options o;
	int e = head ? make_request(r, head) : -ENOMEM;

	if (e >= 0)
		e = helper_capture(s, program, &o);
	if (e < 0)
		return e;
	e = helper_start(s->event, &o, head, r->fd, intake_frame, on_done, r, &r->helper);
	if (e < 0)
		str_format(r->failure, sizeof(r->failure), "%s: %s", o.socket ? o.socket : program, errno_text(e));
	return e;
}

static void run_begin(struct intake_run *r)
{
	struct service *s = r->intake->service;
	char message[240];
	int e;

	r->started = true;
	r->deadline_ms = clock_boottime_ms(s->clock) + s->config.helper_timeout_ms;
	/* The helper first: to whoever hears of the start, the scan is under way. */
	e = run_continue(r) ? 0 : run_start(r);
	service_event(s, &(struct event){
		.kind = EVENT_SCAN_STARTED, .scan = r->number, .name = r->name, .glass = r->source != NULL});
	if (e < 0) {
		text_safe_copy(message, sizeof(message), r->failure);
		run_end(r, false, "io", message);
	}
}

/* With Auto= something always watches, but for a while after it failed. */
static void watch_begin(struct intake *i)
{
	struct intake_run *r;

	if (!i->service->config.automatic || i->warm || i->scan || i->stopped || i->watch_later || i->watch_over ||
		scanner_looks(i->service->scanner))
		return;
	r = calloc(1, sizeof(*r));
	if (r) {
		*r = (struct intake_run){.intake = i, .service = i->service, .fd = -1, .parked = true, .watch = true};
		r->source = strdup(i->service->config.source);
	}
	if (r && r->source && run_start(r) >= 0) {
		i->warm = r;
		return;
	}
	watch_failed(i, "io", r && r->failure[0] ? r->failure : "out of memory");
	run_free(r);
}

/* From the loop, never from inside intake_start(): one start a turn. */
static int on_turn(sd_event_source *source, void *ud)
{
	struct intake *i = ud;

	if (i->scan && !i->scan->started && !scanner_looks(i->service->scanner))
		run_begin(i->scan);
	else if (i->n_files > 0 && !i->files[0]->started)
		run_begin(i->files[0]);
	if ((i->scan && !i->scan->started && !scanner_looks(i->service->scanner)) || (i->n_files > 0 && !i->files[0]->started))
		go_on(i);
	else
		watch_begin(i);
	return 0;
}

static void go_on(struct intake *i)
{
	if (loop_defer(i->service->event, &i->turn, SD_EVENT_PRIORITY_NORMAL, on_turn, i) < 0)
		log_error("intake: out of memory; what waits starts with the next request");
}

void intake_wake(struct intake *i)
{
	go_on(i);
}

bool intake_on_source(const struct intake *i)
{
	return i->scan || i->warm;
}

int intake_new(struct service *s, struct intake **ret)
{
	struct intake *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->service = s;
	*ret = i;
	return 0;
}

void intake_free(struct intake *i)
{
	if (!i)
		return;
	run_free(i->scan);
	run_free(i->warm);
	for (size_t k = 0; k < i->n_files; k++)
		run_free(i->files[k]);
	sd_event_source_disable_unref(i->turn);
	sd_event_source_disable_unref(i->watch_timer);
	free(i);
}

/* Nothing of it was taken. */
static void refuse_after_all(struct intake *i, struct intake_run *r)
{
	struct event e = {.kind = EVENT_SCAN_ENDED, .scan = r->number, .reason = "stopped", .message = "the service is stopping"};

	run_free(r);
	service_event(i->service, &e);
}

void intake_stop(struct intake *i)
{
	i->stopped = true;
	run_free(take_ptr(i->warm));
	if (i->scan && !i->scan->started)
		refuse_after_all(i, take_ptr(i->scan));
	while (i->n_files > 0 && !i->files[i->n_files - 1]->started)
		refuse_after_all(i, i->files[--i->n_files]);
}

static int refuse(struct intake *i, const struct intake_request *q, char *why, size_t why_size)
{
	int e;

	if (i->stopped) {
		str_format(why, why_size, "the service is stopping");
		return -ESHUTDOWN;
	}
	if (q->source && i->scan) {
		str_format(why, why_size, "a scan is running");
		return -EBUSY;
	}
	if (!q->source && i->n_files == FILES_WAIT_MAX) {
		str_format(why, why_size, "%d files are waiting", FILES_WAIT_MAX);
		return -EBUSY;
	}
	e = spool_room(i->service->spool, why, why_size);
	if (e < 0) {
		log_event(LOG_LEVEL_WARNING, MESSAGE_SCAN_REFUSED, NULL, 0, "refused before the shutter: %s", why);
		service_lights(i->service);
	}
	return e;
}

static int copy_key(const struct taken_key *k, struct taken_key *ret)
{
	ret->folder = strdup(k->folder);
	ret->name = strdup(k->name);
	ret->stamp = strdup(k->stamp);
	return ret->folder && ret->name && ret->stamp ? 0 : -ENOMEM;
}

static int run_fill(struct intake_run *r, const struct intake_request *q, const struct spool_job *job)
{
	r->job = job;
	r->lane = q->lane;
	r->again = q->again;
	r->owner = q->owner;
	if (q->name && !(r->name = strdup(q->name)))
		return -ENOMEM;
	if (q->document && !(r->document = strdup(q->document)))
		return -ENOMEM;
	if (q->source)
		return (r->source = strdup(q->source)) ? 0 : -ENOMEM;
	if (q->taken && copy_key(q->taken, &r->taken) < 0)
		return -ENOMEM;
	r->fd = fcntl(q->fd, F_DUPFD_CLOEXEC, 3);
	return r->fd < 0 ? -errno : 0;
}

static int freeze(struct intake *i, const char *type, const struct spool_job **ret, char *why, size_t why_size)
{
	const struct config *c = &i->service->config;
	const char *route[ROUTE_MAX];
	int e;

	for (size_t k = 0; k < c->n_route; k++)
		route[k] = c->route[k];
	e = spool_job_freeze(i->service->spool, type, route, c->n_route, i->service->types, ret);
	if (e == -ENOENT)
		str_format(why, why_size, "there is no document type of this name");
	else if (e < 0)
		str_format(why, why_size, "the job cannot be stored: %s", errno_text(e));
	return e;
}

int intake_start(struct intake *i, const struct intake_request *q, uint64_t *ret_scan, char *why, size_t why_size)
{
	const struct spool_job *job = q->job;
	struct intake_run *r;
	int e = refuse(i, q, why, why_size);

	if (e >= 0 && !job)
		e = freeze(i, q->type, &job, why, why_size);
	if (e < 0)
		return e;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->intake = i;
	r->service = i->service;
	r->fd = -1;
	e = run_fill(r, q, job);
	if (e >= 0)
		e = loop_defer(i->service->event, &i->turn, SD_EVENT_PRIORITY_NORMAL, on_turn, i);
	if (e < 0) {
		str_format(why, why_size, "%s", errno_text(e));
		run_free(r);
		return e;
	}
	*ret_scan = r->number = ++i->last_number;
	if (q->source)
		i->scan = r;
	else
		i->files[i->n_files++] = r;
	return 0;
}

bool intake_busy(const struct intake *i)
{
	return i->scan || i->n_files > 0;
}

static bool is_for(const struct intake_run *r, const char *document, int64_t owner)
{
	return r && r->document && r->owner == owner && streq(r->document, document);
}

bool intake_has_document(const struct intake *i, const char *name, int64_t owner)
{
	if (is_for(i->scan, name, owner))
		return true;
	for (size_t k = 0; k < i->n_files; k++)
		if (is_for(i->files[k], name, owner))
			return true;
	return false;
}

static bool overdue(const struct intake_run *r, int64_t now_ms)
{
	return r && r->started && now_ms > r->deadline_ms + HANG_GRACE_MS;
}

const char *intake_hangs(const struct intake *i)
{
	int64_t now_ms = clock_boottime_ms(i->service->clock);

	if (overdue(i->scan, now_ms) || (i->n_files > 0 && overdue(i->files[0], now_ms)))
		return "intake: a helper is past its deadline";
	return NULL;
}
