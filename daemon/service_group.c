/* An event of pages that are asked together. */
#include "daemon/document.h"
#include "daemon/service.h"
#include "extract/extractor.h"

void service_group_event(struct service *s, const struct event *e)
{
	struct page_row others[JOB_IMAGES_MAX];
	struct event other = *e;
	ssize_t n = group_others(s->spool, e->page, others, ARRAY_SIZE(others));

	service_event(s, e);
	for (ssize_t i = 0; i < n; i++) {
		other.page = &others[i];
		other.reason = e->reason && others[i].state == STATE_HELD ? others[i].reason : e->reason;
		service_event(s, &other);
	}
}
