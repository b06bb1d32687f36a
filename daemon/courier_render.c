/*
 * What a backend gets in a page's place: when the page is too large for it, known beforehand or said by it, or when its document
 * type wants it otherwise. The attempt waits meanwhile, in flight already, with nothing of it written or sent.
 */
#include "daemon/courier_internal.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"

#define AT_ONCE   2 /* helpers that render: they take a processor each */
#define ALIVE_MAX 8 /* renderings in memory, or on their way there, for as long as their requests take */

/* ---- what a backend takes, as far as it has said so -------------------------------------------------------------------------- */

/* Refused once: that much never again, and three quarters of it rather not, unless more was taken since. */
static void limit_refused(struct learned_limit *l, uint64_t n)
{
	if (l->taken >= n)
		l->taken = 0;
	l->refused = n;
	l->most = MAX(n - n / 4, l->taken);
}

static void limit_taken(struct learned_limit *l, uint64_t n)
{
	l->taken = MAX(l->taken, n);
	if (l->refused && n >= l->refused)
		*l = (struct learned_limit){.taken = n}; /* it takes more now */
	l->most = l->refused ? MAX(l->most, l->taken) : 0;
}

static bool limit_holds(const struct learned_limit *l, uint64_t n, bool last)
{
	return !l->refused || (last ? n < l->refused : n <= l->most);
}

static uint64_t pixels(const struct job *j)
{
	uint64_t n = 0;

	for (size_t i = 0; i < j->n_images; i++)
		n += (uint64_t)j->images[i].width * j->images[i].height;
	return n;
}

static bool has_step(const struct attempt *a, unsigned int step)
{
	struct render_how how;

	return render_step(&a->page, (int)a->courier->service->config.quality, step, &how);
}

bool attempt_fits(const struct attempt *a)
{
	const struct backend *b = a->backend;
	bool last = !has_step(a, a->step + 1);

	return limit_holds(&b->bytes, request_body_length(&a->req), last) && limit_holds(&b->pixels, pixels(&a->job), last);
}

/* The body's bytes or the picture's size? Only 413 says which. Less quality helps against bytes alone. */
void attempt_learn_size(struct attempt *a, const struct reply *reply)
{
	struct verdict *v = &a->verdict;
	struct backend *b = a->backend;
	bool bytes = reply->status == 413;

	if (v->page == PAGE_DONE) {
		limit_taken(&b->bytes, request_body_length(&a->req));
		limit_taken(&b->pixels, pixels(&a->job));
	}
	if (!v->smaller || v->backend != BACKEND_OK || (v->page != PAGE_NEXT && v->page != PAGE_RETRY))
		return;
	a->next_step = bytes ? a->step + 1 : MAX(a->step + 1, 2U);
	if (v->page != PAGE_NEXT)
		return;
	limit_refused(bytes ? &b->bytes : &b->pixels, bytes ? request_body_length(&a->req) : pixels(&a->job));
	if (!has_step(a, a->next_step))
		return;
	a->smaller_next = true;
	v->page = PAGE_RETRY;
}

/* ---- rendering --------------------------------------------------------------------------------------------------------------- */

static bool type_wants(const struct attempt *a)
{
	const struct doctype *t = a->job.types->types[0];

	return t->image_flatten || t->image_contrast;
}

bool attempt_wants_rendering(struct attempt *a)
{
	while (a->step > 0 && !has_step(a, a->step))
		a->step--; /* the smallest there is, once more */
	if (a->rendering.image.fd >= 0 && a->rendered_step == a->step) {
		a->job.images[0] = a->rendering.image;
		return false;
	}
	return a->step > 0 || (type_wants(a) && !a->render_failed[0]);
}

static void begin(struct attempt *a);

/* The one that has waited longest begins, when there is room. */
static void next_turn(struct courier *c)
{
	struct attempt *oldest;

	do {
		size_t running = 0, alive = 0;

		oldest = NULL;
		for (struct attempt *a = c->attempts; a; a = a->next) {
			running += a->render != NULL;
			alive += a->render || a->rendering.image.fd >= 0;
			if (a->render_waits)
				oldest = a;
		}
		if (!oldest || running >= AT_ONCE || (alive >= ALIVE_MAX && oldest->rendering.image.fd < 0))
			return;
		begin(oldest);
	} while (oldest);
}

/* Is it still for this backend? A person may have dealt with it meanwhile, and the backend may have gone. */
static bool still_wanted(const struct attempt *a, const struct page_row *before)
{
	const struct page_row *now = &a->row;

	if (now->state != STATE_QUEUED && now->state != STATE_PROVISIONAL)
		return false;
	return now->job == before->job && now->retried == before->retried && (int64_t)a->asked >= now->rung &&
		backend_rung(a->backend, now->seq) == RUNG_READY;
}

static void go_on(struct attempt *a)
{
	struct courier *c = a->courier;
	struct page_row before = a->row;
	int r = spool_page_get(c->service->spool, a->row.seq, &a->row);

	if (r >= 0 && !c->stopped && still_wanted(a, &before))
		r = attempt_go(a);
	else
		attempt_free(a);
	if (r < 0)
		courier_storage_failed(c, r);
	courier_kick(c);
}

/* The page as accepted goes where only its light was to be evened out; too large, it waits and is tried again. */
static void failed(struct attempt *a, int error, const char *why)
{
	const struct log_field fields[] = {{"PAGE_ID", a->row.id}, {"BACKEND", a->backend->config->name}};

	text_safe_copy(a->render_failed, sizeof(a->render_failed), why);
	log_event(LOG_LEVEL_WARNING, NULL, fields, ARRAY_SIZE(fields), "page %s: no rendering for %s: %s", a->row.id,
		a->backend->config->name, a->render_failed);
	if (error == -EMSGSIZE && has_step(a, a->step + 1)) {
		a->step++;
		go_on(a);
	} else if (a->step == 0) {
		go_on(a);
	} else if (attempt_is_whole(a)) {
		attempt_not_rendered(a);
	} else {
		attempt_free(a);
	}
}

static void on_rendered(void *ud, int error, const char *why, struct rendering *r)
{
	struct attempt *a = ud;
	struct courier *c = a->courier;

	a->render = NULL;
	attempt_unlink(a);
	if (error < 0) {
		failed(a, error, why);
	} else {
		rendering_clear(&a->rendering);
		a->rendering = *r;
		a->rendered_step = a->step;
		a->render_failed[0] = '\0';
		STEP(SEND_RENDERED);
		go_on(a);
	}
	next_turn(c);
}

static void begin(struct attempt *a)
{
	struct service *s = a->courier->service;
	const struct doctype *t = a->job.types->types[0];
	struct render_how how;
	int r;

	a->render_waits = false;
	a->deadline_ms = clock_boottime_ms(s->clock) + s->config.helper_timeout_ms + TRANSFER_GRACE_MS;
	render_step(&a->page, (int)s->config.quality, a->step, &how);
	how.flatten = t->image_flatten;
	how.contrast = t->image_contrast;
	r = render_start(s, &a->page, &how, on_rendered, a, &a->render);
	if (r < 0)
		on_rendered(a, r, errno_text(r), NULL);
}

void attempt_render(struct attempt *a)
{
	attempt_link(a);
	a->render_waits = true;
	a->deadline_ms = INT64_MAX;
	next_turn(a->courier);
}

bool attempt_render_smaller(struct attempt *a)
{
	if (!has_step(a, a->step + 1))
		return false;
	a->step++;
	attempt_render(a);
	return true;
}

/* ---- what is told of it ------------------------------------------------------------------------------------------------------ */

static int describe(const struct attempt *a, cJSON *j)
{
	const struct rendering *n = &a->rendering;
	int r = json_add_i64(j, "step", a->step);

	if (n->image.fd < 0)
		return r < 0 ? r : json_add_string(j, "failed", a->render_failed);
	r = r < 0 ? r : json_add_string(j, "sha256", n->sha256);
	r = r < 0 ? r : json_add_i64(j, "bytes", (int64_t)n->image.bytes);
	r = r < 0 ? r : json_add_i64(j, "width", n->image.width);
	r = r < 0 ? r : json_add_i64(j, "height", n->image.height);
	if (r >= 0 && n->sense)
		r = json_add_take(j, "sense", cJSON_Duplicate(n->sense, true));
	return r;
}

int attempt_describe_rendering(const struct attempt *a, struct buf *out)
{
	_cleanup_json_ cJSON *j = NULL;
	int r;

	if (a->rendering.image.fd < 0 && !a->render_failed[0])
		return 0;
	j = cJSON_CreateObject();
	r = j ? describe(a, j) : -ENOMEM;
	return r < 0 ? r : json_print(j, false, out);
}
