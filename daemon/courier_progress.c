/* An answer that arrives as a stream is told of while it does: at once, and then about once a second. */
#include "daemon/courier_internal.h"

#define TELL_EVERY_MS 1000

static void on_progress(void *ud, uint64_t answered)
{
	struct attempt *a = ud;
	struct service *s = a->courier->service;
	int64_t now = clock_boottime_ms(s->clock);
	bool first = a->arrived == 0;

	a->arrived = (int64_t)MIN(answered, (uint64_t)INT64_MAX);
	if (!first && now - a->told_ms < TELL_EVERY_MS)
		return;
	a->told_ms = now;
	service_event(s, &(struct event){.kind = EVENT_ANSWERING, .page = &a->row, .backend = a->backend->config->name});
}

void attempt_follow(struct attempt *a)
{
	if (!a->req.stream)
		return;
	a->req.stream->progress = on_progress;
	a->req.stream->ud = a;
}

int64_t courier_answering(const struct courier *c, int64_t seq)
{
	for (const struct attempt *a = c->attempts; a; a = a->next)
		if (a->row.seq == seq && !a->answered && a->arrived > 0)
			return a->arrived;
	return 0;
}
