/* What the guard refuses leaves a receipt too: that somebody wanted it to go there, and that nothing went. */
#include "daemon/courier_internal.h"

#include "base/log.h"
#include "cloud/url.h"

void attempt_note_refused(struct attempt *a, const char *why)
{
	const struct backend *b = a->backend;
	struct attempt_open open = {
		.page = &a->row,
		.backend = b->config->name,
		.model = a->req.model,
		.region = a->req.region,
		.body_bytes = -1,
	};
	struct verdict v = {};
	const struct attempt_close close = {
		.page = &a->row,
		.open = &open,
		.verdict = &v,
		.state = a->row.state,
		.rung = a->row.rung,
	};
	struct url u;
	int r;

	/* Once: it is asked again and again while it is refused. */
	if (streq(b->reason, "residency"))
		return;
	if (a->req.url && !a->req.unix_socket && url_split(a->req.url, &u, NULL, 0) >= 0)
		open.host = str_copy(a->host, sizeof(a->host), u.host) >= 0 ? a->host : NULL;
	verdict_set(&v, PAGE_UNTOUCHED, BACKEND_DOWN, "residency", "%s", why);
	r = ledger_close(a->courier->service->spool, &close, NULL);
	if (r < 0)
		log_warning("that the guard refused backend %s is in no receipt: %s", b->config->name, errno_text(r));
	verdict_clear(&v);
}
