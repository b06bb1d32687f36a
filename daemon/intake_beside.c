/* What goes beside a page that was accepted: frames beside, beside-end. Whatever goes wrong with it is logged, and nothing more:
 * the page is safe. */
#include "base/log.h"
#include "daemon/intake_internal.h"

void intake_beside_drop(struct intake_run *r)
{
	beside_abort(take_ptr(r->beside));
	r->beside_failed = false;
}

static int give_up(struct intake_run *r, const char *what, int error)
{
	log_warning("page %s: its %s is not kept: %s", r->last_page, what, errno_text(error));
	beside_abort(take_ptr(r->beside));
	r->beside_failed = true;
	return 0;
}

int intake_beside_data(struct intake_run *r, const struct frame_piece *piece)
{
	const char *what = json_get_string(piece->head, "what");
	enum beside_kind k;
	int e;

	if (!what || beside_kind_parse(what, &k) < 0)
		return -EBADMSG;
	if (!r->last_page[0] || r->beside_failed)
		return 0;
	if (r->beside && beside_kind_of(r->beside) != k)
		intake_beside_drop(r); /* it was never ended */
	e = r->beside ? 0 : beside_begin(r->service->spool, r->last_page, k, &r->beside);
	if (e >= 0)
		e = beside_write(r->beside, piece->data, piece->len);
	return e < 0 ? give_up(r, what, e) : 0;
}

int intake_beside_end(struct intake_run *r, const cJSON *head)
{
	const char *sha256 = json_get_string(head, "sha256"), *what = json_get_string(head, "what");
	enum beside_kind k;
	int e;

	if (!sha256 || !what || beside_kind_parse(what, &k) < 0)
		return -EBADMSG;
	r->beside_failed = false;
	if (!r->beside)
		return 0;
	if (beside_kind_of(r->beside) != k) {
		intake_beside_drop(r);
		return 0;
	}
	e = beside_commit(take_ptr(r->beside), sha256);
	if (e < 0) {
		give_up(r, what, e);
		r->beside_failed = false;
	}
	return 0;
}
