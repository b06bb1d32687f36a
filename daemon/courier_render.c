/*
 * What a backend gets in a page's place: when the page is too large for it, known beforehand or said by it, or when its document
 * type wants it otherwise. The attempt waits meanwhile, in flight already, with nothing of it written or sent.
 */
#include "daemon/courier_internal.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/step.h"
#include "base/text.h"

#define AT_ONCE    2 /* helpers that render: they take a processor each */
/* Renderings in memory, or on their way there, for as long as their requests take: room for so many of RENDERING_MAX. Pages that
 * are asked together have theirs from their first one on, however many they are. */
#define ALL_ROOM   8
#define GROUP_ROOM 4

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

static bool has_step(const struct attempt *a, size_t i, unsigned int step)
{
	struct render_how how;

	return render_step(&a->shapes[i].page, (int)a->courier->service->config.quality, step, &how);
}

/* A picture may be too large, or several together. */
static struct learned_limit *limit_of_pixels(struct attempt *a)
{
	return a->job.n_images > 1 ? &a->backend->pixels_together : &a->backend->pixels;
}

bool attempt_fits(struct attempt *a)
{
	bool last = a->job.n_images == 1 && !has_step(a, a->part, a->shapes[a->part].step + 1);

	return limit_holds(&a->backend->bytes, request_body_length(&a->req), last) && limit_holds(limit_of_pixels(a), pixels(&a->job), last);
}

/* The body's bytes or the pictures' size? Only 413 says which. */
static void learn(struct attempt *a, const struct reply *reply)
{
	const struct verdict *v = &a->verdict;
	struct backend *b = a->backend;
	bool bytes = reply->status == 413;

	if (v->page == PAGE_DONE) {
		limit_taken(&b->bytes, request_body_length(&a->req));
		limit_taken(limit_of_pixels(a), pixels(&a->job));
	}
	if (v->smaller && v->backend == BACKEND_OK && v->page == PAGE_NEXT)
		limit_refused(bytes ? &b->bytes : limit_of_pixels(a), bytes ? request_body_length(&a->req) : pixels(&a->job));
}

void attempt_learn_size(struct attempt *a, const struct reply *reply)
{
	struct verdict *v = &a->verdict;
	unsigned int step = a->shapes[0].step + 1;

	if (a->by_page)
		return;
	learn(a, reply);
	if (a->n_more > 0 || !v->smaller || v->backend != BACKEND_OK || (v->page != PAGE_NEXT && v->page != PAGE_RETRY))
		return;
	/* Less quality helps against bytes alone. */
	a->next_step = reply->status == 413 ? step : MAX(step, 2U);
	if (v->page != PAGE_NEXT || !has_step(a, 0, a->next_step))
		return;
	a->smaller_next = true;
	v->page = PAGE_RETRY;
}

/* ---- what each page goes as -------------------------------------------------------------------------------------------------- */

void attempt_shape_init(struct attempt *a, size_t i, int fd, const struct page_row *row)
{
	a->shapes[i].page = (struct job_image){
		.fd = fd,
		.bytes = (uint64_t)row->bytes,
		.width = row->width,
		.height = row->height,
	};
}

void attempt_shapes_clear(struct attempt *a, size_t keep)
{
	for (size_t i = keep; i < ARRAY_SIZE(a->shapes); i++) {
		rendering_clear(&a->shapes[i].rendering);
		buf_free(&a->shapes[i].told);
	}
}

void attempt_at_least(struct attempt *a, unsigned int step)
{
	struct shape *s = &a->shapes[0];

	s->step = MAX(s->step, step);
	while (s->step > 0 && !has_step(a, 0, s->step))
		s->step--;
}

static bool is_there(const struct shape *s)
{
	return s->rendering.image.fd >= 0 && s->rendered_step == s->step;
}

struct job_image attempt_image(const struct attempt *a, size_t i)
{
	const struct shape *s = &a->shapes[i];

	return is_there(s) ? s->rendering.image : s->page;
}

static bool type_wants(const struct attempt *a)
{
	const struct doctype *t = a->job.types->types[0];

	return t->image_flatten || t->image_contrast;
}

/* The first that is to be rendered; n_shapes: none is. */
static size_t next_wanted(const struct attempt *a)
{
	size_t i = 0;

	for (; i < a->n_shapes; i++) {
		const struct shape *s = &a->shapes[i];

		if (!is_there(s) && !s->failed[0] && (s->step > 0 || type_wants(a)))
			break;
	}
	return i;
}

bool attempt_wants_rendering(const struct attempt *a)
{
	return next_wanted(a) < a->n_shapes;
}

bool attempt_smaller(struct attempt *a, size_t i)
{
	struct shape *s = &a->shapes[i];

	if (s->failed[0] && s->step > 0)
		return false;
	/* What its type wants of it comes first. */
	if (!s->failed[0] && !is_there(s) && type_wants(a))
		return true;
	if (!has_step(a, i, s->step + 1))
		return false;
	s->step++;
	s->failed[0] = '\0';
	return true;
}

/* ---- rendering --------------------------------------------------------------------------------------------------------------- */

/* Room that it has, or needs before its first rendering. */
static size_t room_of(const struct attempt *a)
{
	return a->n_more > 0 ? GROUP_ROOM : 1;
}

static bool has_room(const struct attempt *a)
{
	bool has = a->render;

	for (size_t i = 0; i <= a->n_more && !has; i++)
		has = a->shapes[i].rendering.image.fd >= 0;
	return has;
}

/* What is left for the next one. */
static uint64_t room_left(const struct attempt *a)
{
	uint64_t all = room_of(a) * RENDERING_MAX;

	for (size_t i = 0; i <= a->n_more; i++)
		all -= MIN(all, a->shapes[i].rendering.image.bytes);
	return MIN(all, RENDERING_MAX);
}

/* The one that has waited longest; before it those that have their room, which others wait for. */
static struct attempt *longest_waiting(struct courier *c, size_t room)
{
	struct attempt *with_room = NULL, *without = NULL;

	for (struct attempt *a = c->attempts; a; a = a->next) {
		if (a->render_waits && has_room(a))
			with_room = a;
		else if (a->render_waits)
			without = a;
	}
	return with_room ? with_room : without && room_of(without) <= room ? without : NULL;
}

static void begin(struct attempt *a);

void attempt_render_turn(struct courier *c)
{
	struct attempt *next;

	do {
		size_t running = 0, room = ALL_ROOM;

		for (struct attempt *a = c->attempts; a; a = a->next) {
			running += a->render != NULL;
			room -= has_room(a) ? room_of(a) : 0;
		}
		next = running < AT_ONCE ? longest_waiting(c, room) : NULL;
		if (next)
			begin(next);
	} while (next);
}

/* Is it still for this backend? A person may have dealt with it meanwhile, and the backend may have gone. */
static bool still_wanted(const struct attempt *a, const struct page_row *before)
{
	const struct page_row *now = &a->row;

	if (now->state != STATE_QUEUED && now->state != STATE_PROVISIONAL)
		return false;
	return now->job == before->job && now->retried == before->retried && (int64_t)a->asked >= now->rung && attempt_pages_same(a) &&
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
	if (r < 0 && r != -ENOENT) /* a person may have dropped it */
		courier_storage_failed(c, r);
	courier_kick(c);
}

/* The page as accepted goes where only its light was to be evened out; too large, it waits and is tried again. */
static void failed(struct attempt *a, int error, const char *why)
{
	const struct page_row *p = a->rendering == 0 ? &a->row : &a->more[a->rendering - 1];
	const struct log_field fields[] = {{"PAGE_ID", p->id}, {"BACKEND", a->backend->config->name}};
	struct shape *s = &a->shapes[a->rendering];

	text_safe_copy(s->failed, sizeof(s->failed), why);
	log_event(LOG_LEVEL_WARNING, NULL, fields, ARRAY_SIZE(fields), "page %s: no rendering for %s: %s", p->id, a->backend->config->name,
		s->failed);
	if (error == -EMSGSIZE && has_step(a, a->rendering, s->step + 1)) {
		s->step++;
		s->failed[0] = '\0';
	}
}

static void take(struct attempt *a, struct rendering *r)
{
	struct shape *s = &a->shapes[a->rendering];

	s->rendering = *r;
	s->rendered_step = s->step;
	STEP(SEND_RENDERED);
}

static void on_rendered(void *ud, int error, const char *why, struct rendering *r)
{
	struct attempt *a = ud;
	struct courier *c = a->courier;

	a->render = NULL;
	if (r)
		take(a, r);
	else
		failed(a, error, why);
	if (!c->stopped && attempt_wants_rendering(a)) {
		begin(a); /* it has its room */
		return;
	}
	attempt_unlink(a);
	if (a->n_more > 0 || a->shapes[0].step == 0 || !a->shapes[0].failed[0])
		go_on(a);
	else if (attempt_is_whole(a))
		attempt_not_rendered(a);
	else
		attempt_free(a);
	attempt_render_turn(c);
}

static void begin(struct attempt *a)
{
	struct service *s = a->courier->service;
	const struct doctype *t = a->job.types->types[0];
	struct render_how how;
	struct shape *shape;
	int r;

	a->render_waits = false;
	a->rendering = next_wanted(a);
	shape = &a->shapes[a->rendering];
	rendering_clear(&shape->rendering);
	a->deadline_ms = clock_boottime_ms(s->clock) + s->config.helper_timeout_ms + TRANSFER_GRACE_MS;
	render_step(&shape->page, (int)s->config.quality, shape->step, &how);
	how.flatten = t->image_flatten;
	how.contrast = t->image_contrast;
	how.max_bytes = MAX(room_left(a), UINT64_C(1));
	r = render_start(s, &shape->page, &how, on_rendered, a, &a->render);
	if (r < 0)
		on_rendered(a, r, errno_text(r), NULL);
}

void attempt_render(struct attempt *a)
{
	attempt_link(a);
	a->render_waits = true;
	a->deadline_ms = INT64_MAX;
	attempt_render_turn(a->courier);
}

/* ---- what is told of it ------------------------------------------------------------------------------------------------------ */

static int describe(const struct shape *s, cJSON *j)
{
	const struct rendering *n = &s->rendering;
	int r = json_add_i64(j, "step", s->step);

	if (n->image.fd < 0)
		return r < 0 ? r : json_add_string(j, "failed", s->failed);
	r = r < 0 ? r : json_add_string(j, "sha256", n->sha256);
	r = r < 0 ? r : json_add_i64(j, "bytes", (int64_t)n->image.bytes);
	r = r < 0 ? r : json_add_i64(j, "width", n->image.width);
	r = r < 0 ? r : json_add_i64(j, "height", n->image.height);
	if (r >= 0 && n->sense)
		r = json_add_take(j, "sense", cJSON_Duplicate(n->sense, true));
	return r;
}

static int tell_of(struct shape *s)
{
	_cleanup_json_ cJSON *j = NULL;
	int r;

	buf_clear(&s->told);
	if (s->rendering.image.fd < 0 && !s->failed[0])
		return 0;
	j = cJSON_CreateObject();
	r = j ? describe(s, j) : -ENOMEM;
	return r < 0 ? r : json_print(j, false, &s->told);
}

int attempt_describe_renderings(struct attempt *a)
{
	int r = 0;

	for (size_t i = 0; i <= a->n_more && r >= 0; i++)
		r = tell_of(&a->shapes[i]);
	return r;
}
