#include "ctl/wait.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "base/log.h"

#define BUSY_PAUSE_MS 500

static void failed(struct wait *w, int code)
{
	if (w->code == EXIT_WELL || code == EXIT_NOT_ALLOWED)
		w->code = code;
}

/* ---- pages --------------------------------------------------------------------------------------------- */

static struct waited_page *page_find(struct wait *w, const char *id)
{
	for (size_t i = w->n_pages; i-- > 0;)
		if (streq(w->pages[i].id, id))
			return &w->pages[i];
	return NULL;
}

static int page_add(struct wait *w, const cJSON *page)
{
	struct waited_page *pages = reallocarray(w->pages, w->n_pages + 1, sizeof(*pages)), *p;

	if (!pages)
		return -ENOMEM;
	w->pages = pages;
	p = &pages[w->n_pages];
	*p = (struct waited_page){.since_ms = client_now_ms()};
	if (str_copy(p->id, sizeof(p->id), text_of(page, "id")) <= 0)
		return -EBADMSG;
	p->title = strdup(w->title ? w->title : page_title(page));
	if (!p->title)
		return -ENOMEM;
	w->n_pages++;
	return w->monitor ? 0 : wait_print_accepted(w, p, page);
}

static void page_finish(struct wait *w, struct waited_page *p)
{
	p->finished = true;
	w->n_finished++;
}

/* A page has come to a state that ends the waiting, or gives something to print. */
static int page_changed(
	struct wait *w, struct waited_page *p, const char *state, const cJSON *page, const cJSON *result)
{
	bool provisional = streq(state, "provisional");
	int r;

	if (p->finished)
		return 0;
	if (streq(state, "held")) {
		page_finish(w, p);
		w->n_held++;
		failed(w, EXIT_PAGE_FAILED);
		return wait_print_held(w, p, page);
	}
	if (!streq(state, "done") && !provisional)
		return 0;
	r = wait_print_answer(w, p, page, result, provisional);
	if (provisional && w->c->options.authoritative)
		return r;
	page_finish(w, p);
	w->n_done++;
	w->n_provisional += provisional;
	return r;
}

static int page_dropped(struct wait *w, struct waited_page *p)
{
	if (p->finished)
		return 0;
	page_finish(w, p);
	failed(w, EXIT_PAGE_FAILED);
	return wait_print_rejected(w, p->title, "dropped", "a person dropped it before it was answered");
}

/* Events were lost: the state of each page that is waited for is asked. */
static int resync(struct wait *w)
{
	for (size_t i = 0; i < w->n_pages; i++) {
		struct client_reply reply = {};
		cJSON *parameters;
		const cJSON *page, *results;
		int r;

		if (w->pages[i].finished)
			continue;
		parameters = cJSON_CreateObject();
		if (json_add_string(parameters, "page", w->pages[i].id) < 0)
			return -ENOMEM;
		r = ctl_call_take(w->c, "io.pageferry.Show", parameters, &reply);
		if (r == EXIT_PAGE_FAILED) { /* which was said: it is gone */
			failed(w, r);
			page_finish(w, &w->pages[i]);
			continue;
		}
		if (r != EXIT_WELL) {
			failed(w, r);
			w->stop = true;
			return 0;
		}
		page = json_get_object(reply.parameters, "page");
		results = json_get_array(reply.parameters, "results");
		r = page_changed(w, &w->pages[i], text_of(page, "state"), page,
			cJSON_GetArrayItem(results, cJSON_GetArraySize(results) - 1));
		client_reply_clear(&reply);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the monitor's events ------------------------------------------------------------------------------ */

static int monitor_event(struct wait *w, const cJSON *event)
{
	const cJSON *page = json_get_object(event, "page");
	const char *kind = text_of(event, "kind");
	struct waited_page *p = page ? page_find(w, text_of(page, "id")) : NULL;

	if (streq(kind, "lost"))
		return resync(w);
	if (!p)
		return 0;
	if (streq(kind, "page-done"))
		return page_changed(w, p, "done", page, json_get_object(event, "result"));
	if (streq(kind, "page-provisional"))
		return page_changed(w, p, "provisional", page, json_get_object(event, "result"));
	if (streq(kind, "page-held"))
		return page_changed(w, p, "held", page, NULL);
	return streq(kind, "page-dropped") ? page_dropped(w, p) : 0;
}

static int monitor_replies(struct wait *w)
{
	struct client_reply reply = {};
	int r;

	while ((r = client_next(w->monitor, &reply)) > 0) {
		if (reply.error) {
			failed(w, ctl_error_reply(&reply, NULL));
			w->stop = true;
		} else {
			r = monitor_event(w, json_get_object(reply.parameters, "event"));
		}
		client_reply_clear(&reply);
		if (r < 0 || w->stop)
			break;
	}
	return MIN(r, 0);
}

/* ---- handing in ---------------------------------------------------------------------------------------- */

static cJSON *submit_parameters(const struct options *o, const char *file)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	const char *base = file && strrchr(file, '/') ? strrchr(file, '/') + 1 : file;

	if (!j || (o->type && json_add_string(j, "type", o->type) < 0) || (o->again && json_add_bool(j, "again", true) < 0) ||
		(o->document && json_add_string(j, "document", o->document) < 0))
		return NULL;
	if (!file)
		return o->source && json_add_string(j, "source", o->source) < 0 ? NULL : take_ptr(j);
	if (json_add_i64(j, "file", 0) < 0 || json_add_string(j, "name", base) < 0 ||
		(o->lane && json_add_string(j, "lane", o->lane) < 0))
		return NULL;
	return take_ptr(j);
}

static int hand_in(struct wait *w, const char *file, int fd)
{
	cJSON *parameters = submit_parameters(&w->c->options, file);

	if (!parameters)
		return -ENOMEM;
	w->title = file;
	w->calling = true;
	w->told = false;
	return client_send_take(
		w->calls, file ? "io.pageferry.Submit" : "io.pageferry.Scan", parameters, true, fd);
}

/* The next file; one that cannot be opened is said and passed over. */
static int hand_in_file(struct wait *w)
{
	const char *file = w->c->options.args[w->next_file];
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	w->pause_ms = 0;
	if (fd >= 0)
		return hand_in(w, file, fd);
	w->next_file++;
	w->n_rejected++;
	failed(w, EXIT_PAGE_FAILED);
	return wait_print_rejected(w, file, "io", errno_text(-errno));
}

/* A document of which a page is missing is left open: it may still come. */
static int end_document(struct wait *w)
{
	_cleanup_json_ cJSON *parameters = NULL;

	w->ending = true;
	if (w->n_rejected > 0) {
		ctl_say("the document stays open, for not all of it was taken: pageferryctl document end");
		w->stop = true;
		return 0;
	}
	parameters = cJSON_CreateObject();
	if (!parameters || json_add_string(parameters, "name", w->c->options.document) < 0)
		return -ENOMEM;
	w->title = NULL;
	w->calling = true;
	return client_send_take(w->calls, "io.pageferry.EndDocument", take_ptr(parameters), false, -1);
}

static int hand_in_next(struct wait *w)
{
	bool scan = w->c->options.verb == VERB_SCAN;

	if (w->calling || w->handed_in || (w->pause_ms && w->pause_ms > client_now_ms()))
		return 0;
	if (scan && w->next_file == 0) {
		w->next_file = 1;
		return hand_in(w, NULL, -1);
	}
	if (!scan && w->next_file < w->c->options.n_args)
		return hand_in_file(w);
	if (w->c->options.end && !w->ending)
		return end_document(w);
	w->handed_in = true;
	return 0;
}

/* ---- replies to what was handed in --------------------------------------------------------------------- */

static int page_taken(struct wait *w, const cJSON *event, const char *name)
{
	const cJSON *page = json_get_object(event, "page");
	const char *doubt = text_of(event, "message");
	int r;

	if (*doubt)
		wait_print_doubt(w, w->title ? w->title : name, doubt);
	r = page_add(w, page);
	/* One that is held from the start may have had its event before we knew it. */
	if (r >= 0 && w->monitor && streq(text_of(page, "state"), "held"))
		r = page_changed(w, &w->pages[w->n_pages - 1], "held", page, NULL);
	return r;
}

static int call_event(struct wait *w, const cJSON *event)
{
	const char *kind = text_of(event, "kind"), *reason = text_of(event, "reason"),
		   *name = json_get_string(event, "name");

	if (streq(kind, "page-accepted")) {
		w->told = true;
		return page_taken(w, event, name);
	}
	if (!streq(kind, "page-rejected") && (!streq(kind, "scan-ended") || !*reason || w->told))
		return 0;
	w->told = true;
	w->n_rejected++;
	failed(w, EXIT_PAGE_FAILED);
	return wait_print_rejected(w, w->title ? w->title : name, reason, text_of(event, "message"));
}

/* Busy is a reason to wait with files; everything else ends this file. */
static int call_error(struct wait *w, const struct client_reply *reply)
{
	_cleanup_buf_ struct buf text = {};
	int code;

	w->calling = false;
	if (streq(reply->error, "io.pageferry.Busy") && w->title) {
		w->pause_ms = client_now_ms() + BUSY_PAUSE_MS;
		return 0;
	}
	w->next_file++;
	w->n_rejected++;
	wait_progress_clear(w);
	code = ctl_error_reply(reply, w->title);
	failed(w, code);
	w->stop |= code != EXIT_PAGE_FAILED;
	if (!w->c->options.json)
		return 0;
	return ctl_error_text(reply, &text) < 0
		       ? -ENOMEM
		       : wait_print_rejected(w, w->title, reply->error, buf_str(&text));
}

static int call_replies(struct wait *w)
{
	struct client_reply reply = {};
	int r;

	while ((r = client_next(w->calls, &reply)) > 0) {
		if (reply.error) {
			r = call_error(w, &reply);
		} else {
			r = call_event(w, json_get_object(reply.parameters, "event"));
			if (!reply.continues) {
				w->calling = false;
				w->next_file += w->title != NULL;
			}
		}
		client_reply_clear(&reply);
		if (r < 0)
			break;
	}
	return MIN(r, 0);
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static int poll_timeout(const struct wait *w)
{
	int64_t until = w->c->deadline_ms;

	if (w->pause_ms && !w->calling && (until < 0 || w->pause_ms < until))
		until = w->pause_ms;
	return until < 0 ? -1 : (int)CLAMP(until - client_now_ms(), 0, 3600000);
}

/* The monitor is read first and its events are looked at last: a page's acceptance was then surely seen
 * before. */
static int wait_turn(struct wait *w)
{
	struct pollfd p[2] = {{.fd = client_fd(w->calls), .events = POLLIN},
		{.fd = w->monitor ? client_fd(w->monitor) : -1, .events = POLLIN}};
	int r = poll(p, 2, poll_timeout(w));

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (w->c->deadline_ms >= 0 && client_now_ms() >= w->c->deadline_ms)
		return -ETIMEDOUT;
	r = w->monitor && p[1].revents ? client_read(w->monitor) : 0;
	while (r >= 0 && (r = client_read(w->calls)) > 0)
		;
	if (r >= 0)
		r = call_replies(w);
	if (r >= 0 && w->monitor)
		r = monitor_replies(w);
	return r;
}

static bool finished(const struct wait *w)
{
	return w->stop || (w->handed_in && !w->calling && (!w->monitor || w->n_finished == w->n_pages));
}

static int wait_loop(struct wait *w)
{
	int r = 0;

	while (r >= 0) {
		r = hand_in_next(w);
		if (r < 0 || finished(w))
			break;
		wait_progress(w);
		r = w->calling || w->handed_in || w->pause_ms ? wait_turn(w) : 0;
	}
	return r;
}

/* The monitor is on before anything is handed in: a call on the other connection that is answered after it
 * was sent makes sure that the service has seen both. */
static int start_monitor(struct wait *w)
{
	struct client_reply reply = {};
	int r;

	r = client_send_take(w->monitor, "io.pageferry.Monitor", NULL, true, -1);
	if (r >= 0)
		r = client_send_take(w->calls, "org.varlink.service.GetInfo", NULL, false, -1);
	if (r >= 0)
		r = client_wait(w->calls, w->c->deadline_ms, &reply);
	client_reply_clear(&reply);
	return r;
}

static int time_is_up(const struct wait *w)
{
	size_t n = w->n_pages - w->n_finished;

	if (n == 0)
		ctl_say("no answer in time");
	else
		ctl_say("%zu page%s not answered in time; the service goes on (pageferryctl list)", n,
			n == 1 ? " was" : "s were");
	return EXIT_TIMED_OUT;
}

static int wait_run(struct wait *w)
{
	int r = ctl_connect(w->c, &w->calls);

	if (r == EXIT_WELL && !w->c->options.no_wait)
		r = ctl_connect(w->c, &w->monitor);
	if (r != EXIT_WELL)
		return r;
	r = w->monitor ? start_monitor(w) : 0;
	if (r >= 0)
		r = wait_loop(w);
	wait_print_summary(w);
	if (r == -ETIMEDOUT)
		return time_is_up(w);
	if (r == -ECANCELED)
		return EXIT_PAGE_FAILED;
	return r < 0 ? ctl_exchange_failed(w->c, r) : w->code;
}

int verb_wait_pages(struct ctl *c)
{
	struct wait w = {.c = c};
	int r = wait_run(&w);

	for (size_t i = 0; i < w.n_pages; i++)
		free(w.pages[i].title);
	free(w.pages);
	client_free(w.calls);
	client_free(w.monitor);
	return r;
}
