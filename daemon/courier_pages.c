/*
 * Requests of several pages: what is in them, and how many of them a backend takes. Dividing them keeps each page's quality, so they are made
 * smaller only where one is too large by itself. A backend that takes fewer than there are
 * gets as many as it takes when it is the one whose answer counts: the others are split off. A fallback that takes fewer is passed
 * over, but for OCR: that reads page by page, on this machine, in one attempt, and what it read is joined.
 */
#include "daemon/courier_internal.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/document.h"
#include "extract/checks.h"

void attempt_pages_clear(struct attempt *a)
{
	for (size_t i = 0; i < a->n_more; i++)
		if (a->more_fds[i] >= 0)
			close(a->more_fds[i]);
	free(a->more);
	answer_free(a->joined);
	buf_free(&a->joined_raw);
}

/* Rows beyond those that go: of the group, but not of this request. */
static void let_go(struct attempt *a, size_t n_more)
{
	attempt_shapes_clear(a, n_more + 1);
	for (; a->n_more > n_more; a->n_more--)
		if (a->more_fds[a->n_more - 1] >= 0)
			close(a->more_fds[a->n_more - 1]);
}

static bool open_one(struct attempt *a, size_t i)
{
	int fd = attempt_open_file(a, &a->more[i]);

	a->more_fds[i] = fd;
	if (fd >= 0)
		attempt_shape_init(a, i + 1, fd, &a->more[i]);
	return fd >= 0;
}

bool attempt_open_pages(struct attempt *a)
{
	struct courier *c = a->courier;
	struct page_row rows[JOB_IMAGES_MAX];
	ssize_t n = group_rows(c->service->spool, a->row.seq, rows, JOB_IMAGES_MAX - 1);

	if (n < 0) {
		courier_storage_failed(c, (int)n);
		return false;
	}
	if (n == 0)
		return true;
	a->more = malloc((size_t)n * sizeof(*a->more));
	if (!a->more) {
		backend_trouble(a->backend, "local", errno_text(-ENOMEM));
		return false;
	}
	memcpy(a->more, rows, (size_t)n * sizeof(*a->more));
	for (size_t i = 0; i < (size_t)n; i++) {
		a->more_fds[i] = -1;
		a->n_more++;
		if (!open_one(a, i))
			return false;
	}
	return true;
}

bool attempt_pages_whole(struct attempt *a)
{
	for (size_t i = 0; i < a->n_more; i++)
		if (!attempt_is_whole_file(a, a->more_fds[i], &a->more[i]))
			return false;
	return true;
}

bool attempt_pages_same(const struct attempt *a)
{
	struct page_row rows[JOB_IMAGES_MAX];
	ssize_t n = group_rows(a->courier->service->spool, a->row.seq, rows, JOB_IMAGES_MAX);
	bool same = n == (ssize_t)a->n_more;

	for (size_t i = 0; same && i < a->n_more; i++)
		same = rows[i].seq == a->more[i].seq;
	return same;
}

/* ---- how many at once -------------------------------------------------------------------------------------------------------- */

static size_t most_pages(const struct attempt *a)
{
	static const size_t by_kind[] = {[KIND_BEDROCK] = JOB_IMAGES_MAX, [KIND_SAGEMAKER] = 1, [KIND_OPENAI] = 1, [KIND_OCR] = 1};
	const struct backend_config *b = a->backend->config;

	return b->pages_per_request > 0 ? (size_t)b->pages_per_request : by_kind[b->kind];
}

/* Is its answer the one that counts? */
static bool is_authoritative(const struct attempt *a)
{
	for (size_t i = (size_t)a->row.rung; i < a->asked; i++)
		if (backend_find(a->courier, a->row.job->route[i]))
			return false;
	return true;
}

/* Does it take the first n pages together, as they would go now? Negative: trouble, noted. */
static int takes(struct attempt *a, size_t n)
{
	a->job.n_images = n;
	return attempt_build(a) ? 1 : a->too_large ? 0 : -EIO;
}

/* One of them, by itself. */
static int takes_alone(struct attempt *a, size_t i)
{
	int r;

	a->part = i;
	a->job.images[0] = attempt_image(a, i);
	r = takes(a, 1);
	a->part = 0;
	a->job.images[0] = attempt_image(a, 0);
	return r;
}

/* The first so many that make a request which the backend takes; 1: of one page something else is tried. 0: trouble, noted. A page that
 * is too large by itself is no reason to divide them: it is to be rendered for it (`ret_render`), and then it is looked at again. */
static size_t count_taken(struct attempt *a, bool *ret_render)
{
	size_t most = MIN(a->n_more + 1, most_pages(a)), n = 0;
	int r = takes(a, most);

	if (r != 0)
		return r < 0 ? 0 : most;
	for (; n < most && (r = takes(a, n + 1)) > 0; n++)
		;
	if (r == 0)
		r = takes_alone(a, n);
	*ret_render = r == 0 && attempt_smaller(a, n);
	return r < 0 ? 0 : *ret_render ? n + 1 : MAX(n, (size_t)1);
}

static bool split(struct attempt *a, size_t keep)
{
	struct courier *c = a->courier;
	int r = group_split(c->service->spool, a->row.seq, keep);

	if (r < 0) {
		courier_storage_failed(c, r);
		return false;
	}
	log_info("page %s: %s takes %zu of the %zu pages of its document at once; the others go by themselves", a->row.id,
		a->backend->config->name, keep, a->n_more + 1);
	return true;
}

static void fill_images(struct attempt *a)
{
	for (size_t i = 0; i <= a->n_more; i++)
		a->job.images[i] = attempt_image(a, i);
	a->job.n_images = a->n_more + 1;
}

/* Each is in a request of its own. */
static bool choose_one_by_one(struct attempt *a)
{
	int r = 0;

	a->by_page = true;
	a->n_shapes = a->n_more + 1;
	for (size_t i = 0; i < a->n_shapes && r >= 0; i++) {
		r = takes_alone(a, i);
		if (r == 0)
			attempt_smaller(a, i);
	}
	if (r < 0)
		attempt_free(a);
	return r >= 0;
}

bool attempt_choose_pages(struct attempt *a)
{
	bool render = false;
	size_t n;

	if (a->n_more == 0)
		return true;
	if (a->backend->config->kind == KIND_OCR)
		return choose_one_by_one(a);
	fill_images(a);
	n = a->n_shapes = count_taken(a, &render);
	if (n == a->n_more + 1 || render)
		return true;
	if (n > 0 && !is_authoritative(a)) {
		attempt_refused(a, "too-many-pages", "it does not take the pages of the document in one request");
		return false;
	}
	if (n == 0 || !split(a, n)) {
		attempt_free(a);
		return false;
	}
	let_go(a, n - 1);
	fill_images(a);
	if (n == 1 && a->shapes[0].step > 0)
		a->shapes[0].failed[0] = '\0'; /* by itself it is tried again */
	return true;
}

bool attempt_halve(struct attempt *a)
{
	struct courier *c = a->courier;

	if (a->n_more == 0 || !is_authoritative(a))
		return false;
	split(a, (a->n_more + 1) / 2);
	attempt_free(a);
	courier_kick(c);
	return true;
}

/* ---- refused as a whole ------------------------------------------------------------------------------------------------------ */

bool attempt_split_next(struct attempt *a)
{
	struct verdict *v = &a->verdict;

	if (a->n_more == 0 || a->by_page || v->page != PAGE_NEXT || v->backend != BACKEND_OK || !is_authoritative(a))
		return false;
	if (!v->smaller && !streq(v->reason, "truncated") && !streq(v->reason, "too-large"))
		return false;
	a->split_at = (a->n_more + 1) / 2;
	a->smaller_next = true; /* no try: it has a bound of its own */
	v->page = PAGE_RETRY;
	return true;
}

void attempt_split_now(struct attempt *a)
{
	int r;

	if (a->split_at == 0)
		return;
	r = group_split(a->courier->service->spool, a->row.seq, a->split_at);
	if (r < 0)
		log_warning("page %s: the pages of its document are not divided (%s): they are asked together once more", a->row.id, errno_text(r));
}

/* ---- page by page ------------------------------------------------------------------------------------------------------------ */

/* Those after the first that was read are of the same type. */
static void same_type(struct attempt *a, const struct doctype *type)
{
	const struct typeset *all = a->row.job->types;

	for (size_t i = 0; i < all->n_types; i++)
		if (all->types[i] == type)
			a->one_type = (struct typeset){.types = &all->types[i], .n_types = 1};
	a->job.types = &a->one_type;
}

static int join(struct attempt *a)
{
	struct verdict *v = &a->verdict;
	int r = buf_addf(&a->joined_raw, "%s\n", v->answer);

	if (r >= 0 && !a->joined)
		same_type(a, a->answer->type);
	return r < 0 ? r : answer_join(&a->joined, take_ptr(a->answer), (uint32_t)a->part + 1);
}

/* The next page's question is out: 1; 0: it could not be. */
static int ask_next(struct attempt *a)
{
	struct reply none = {.error = TRANSPORT_LOCAL};
	int r;

	a->job.images[0] = attempt_image(a, a->part);
	if (!attempt_build(a)) {
		verdict_set(&a->verdict, PAGE_NEXT, BACKEND_OK, "too-large", "page %zu of the document is larger than this backend takes", a->part + 1);
		return 0;
	}
	a->deadline_ms = clock_boottime_ms(a->courier->service->clock) + a->req.timeout_ms + TRANSFER_GRACE_MS;
	r = attempt_transmit(a);
	if (r >= 0)
		return 1;
	str_copy(none.detail, sizeof(none.detail), errno_text(r));
	r = a->backend->extractor.ops->decode(&a->backend->extractor, &a->job, &none, &a->verdict);
	return MIN(r, 0);
}

/* All pages were looked at: what was read of them is the answer. */
static int conclude(struct attempt *a)
{
	struct verdict *v = &a->verdict;

	if (!a->joined)
		return 0; /* of none: the last page's verdict says why */
	verdict_clear(v);
	*v = (struct verdict){.type = a->joined->type};
	v->answer = buf_take(&a->joined_raw);
	if (!v->answer)
		return -ENOMEM;
	a->answer = take_ptr(a->joined);
	verdict_set(v, PAGE_DONE, BACKEND_OK, "answered", "%zu pages were read one by one", a->n_more + 1);
	return checks_run(a->answer);
}

int attempt_next_page(struct attempt *a)
{
	struct verdict *v = &a->verdict;
	int r = v->page == PAGE_DONE ? join(a) : 0;

	/* A page on which nothing was found is one of several: the others may tell. */
	if (r < 0 || (v->page != PAGE_DONE && (v->page != PAGE_NEXT || v->backend != BACKEND_OK)))
		return r;
	while (a->part < a->n_more) {
		a->part++;
		verdict_clear(v);
		*v = (struct verdict){0};
		r = ask_next(a);
		if (r != 0)
			return r;
		if (v->page != PAGE_NEXT || v->backend != BACKEND_OK)
			return 0;
	}
	return conclude(a);
}
