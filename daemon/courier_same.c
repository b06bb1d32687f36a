/* The same content is not paid for twice: a page takes over the answer that another of the same content has had. */
#include "daemon/courier_internal.h"

#include "base/log.h"
#include "base/step.h"

bool courier_same_is_out(const struct courier *c, uint64_t content)
{
	for (const struct attempt *a = c->attempts; a && content; a = a->next)
		if (a->backend->extractor.ops->paid && due_content(a->row.content) == content)
			return true;
	return false;
}

/* As if the backend had just said so; what it said then is read and checked as it is today. */
static int take_over(struct attempt *a, struct ledger_same *same)
{
	struct verdict *v = &a->verdict;
	int r;

	verdict_set(v, PAGE_DONE, BACKEND_OK, REASON_SAME, "answered as page %s was, whose content is the same: nothing was sent", same->page);
	v->answer = take_ptr(same->raw);
	v->type = typeset_find(a->job.types, same->type);
	r = v->type ? attempt_read_answer(a) : -ENOENT;
	if (r >= 0 && v->page == PAGE_DONE) {
		str_copy(a->same_as, sizeof(a->same_as), same->page);
		return 1;
	}
	/* It cannot be read any more: it is asked for anew. */
	answer_free(take_ptr(a->answer));
	verdict_clear(v);
	*v = (struct verdict){};
	return r == -ENOMEM ? r : 0;
}

bool attempt_same(struct attempt *a)
{
	const struct backend *b = a->backend;
	struct ledger_same same = {};
	int r;

	if (!b->extractor.ops->paid || a->row.again || !a->row.content[0] || !b->config->model[0] || BUG("courier-pays-twice"))
		return false;
	/* The first one's answer is awaited. */
	if (courier_same_is_out(a->courier, due_content(a->row.content)))
		return true;
	r = ledger_same(a->courier->service->spool, &a->row, b->config->model, &same);
	if (r > 0)
		r = take_over(a, &same);
	free(same.raw);
	if (r < 0)
		courier_storage_failed(a->courier, r);
	return r != 0;
}
