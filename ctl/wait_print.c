#include <stdio.h>

#include "base/text.h"
#include "ctl/fields.h"
#include "ctl/wait.h"

static int put(struct wait *w, const struct buf *out)
{
	wait_progress_clear(w);
	return ctl_put(out) == EXIT_WELL ? 0 : -ECANCELED;
}

/* {"file":...,"page":...} and what the caller adds. Both may be NULL. */
static cJSON *record(const char *title, const cJSON *page)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || (title && json_add_string(j, "file", title) < 0) ||
		(page && json_add_take(j, "page", cJSON_Duplicate(page, true)) < 0))
		return NULL;
	return take_ptr(j);
}

static int put_record(const cJSON *j)
{
	return ctl_put_json(j) == EXIT_WELL ? 0 : -ECANCELED;
}

/* "invoice.jpg  20261121T031205-7kq2mx  ": what every line of a page starts with. */
static int start(const struct look *l, const struct waited_page *p, struct buf *out)
{
	int r = format_styled(out, l, STYLE_BOLD, p->title);

	if (r >= 0)
		r = buf_adds(out, "  ");
	if (r >= 0)
		r = format_styled(out, l, STYLE_DIM, p->id);
	return r < 0 ? r : buf_adds(out, "  ");
}

static int answer_json(
	const struct waited_page *p, const cJSON *page, const cJSON *result, bool provisional, int64_t ms)
{
	_cleanup_json_ cJSON *j = record(p->title, page);

	if (!j || json_add_bool(j, "provisional", provisional) < 0 || json_add_i64(j, "ms", ms) < 0 ||
		(result && json_add_take(j, "result", cJSON_Duplicate(result, true)) < 0))
		return -ENOMEM;
	return put_record(j);
}

/* "invoice, complete  (ocr, 1.2 s, US$0)" */
static int answer_head(
	const struct look *l, const cJSON *page, const cJSON *result, int64_t ms, struct buf *out)
{
	const char *type = json_get_string(result, "type"), *state = text_of(result, "state");
	int r = format_text(out, l, type ? type : text_of(page, "type"), 40);

	if (r >= 0 && *state)
		r = buf_adds(out, ", ");
	if (r >= 0)
		r = format_styled(out, l, streq(state, "complete") ? STYLE_GOOD : STYLE_WARN, state);
	if (r >= 0)
		r = buf_adds(out, "  (");
	if (r >= 0)
		r = format_text(out, l, text_of(page, "backend"), 40);
	if (r >= 0)
		r = buf_adds(out, ", ");
	if (r >= 0)
		r = format_seconds(out, ms);
	if (r >= 0)
		r = buf_adds(out, ", ");
	if (r >= 0)
		r = format_money_text(out, json_get_string(page, "costPicoUsd"));
	return r < 0 ? r : buf_addc(out, ')');
}

/* Is the answer of the document that this page leads printed elsewhere? Not when the page was handed in before us. */
static bool told_elsewhere(struct wait *w, const char *leader)
{
	if (streq(w->leader, leader))
		return true;
	for (size_t i = 0; i < w->n_pages; i++)
		if (streq(w->pages[i].id, leader))
			return true;
	str_copy(w->leader, sizeof(w->leader), leader);
	return false;
}

int wait_print_answer(
	struct wait *w, const struct waited_page *p, const cJSON *page, const cJSON *result, bool provisional)
{
	const struct look *l = &w->c->look;
	int64_t ms = client_now_ms() - p->since_ms;
	_cleanup_buf_ struct buf out = {};
	int r;

	if (w->c->options.json)
		return answer_json(p, page, result, provisional, ms);
	r = start(l, p, &out);
	if (r >= 0 && *text_of(page, "leader")) {
		r = buf_adds(&out, "is of one document with ");
		if (r >= 0)
			r = format_text(&out, l, text_of(page, "leader"), 40);
		if (r >= 0 && told_elsewhere(w, text_of(page, "leader"))) {
			r = buf_addc(&out, '\n');
			return r < 0 ? r : put(w, &out);
		}
		if (r >= 0)
			r = buf_adds(&out, ": ");
	}
	if (r >= 0)
		r = answer_head(l, page, result, ms, &out);
	if (r >= 0 && provisional)
		r = format_styled(&out, l, STYLE_WARN, "  PROVISIONAL: the answer of a fallback");
	if (r >= 0)
		r = buf_addc(&out, '\n');
	if (r >= 0)
		r = result ? fields_print(result, l, 2, &out)
			   : buf_adds(&out, "  (the fields may not be read, or there are none)\n");
	return r < 0 ? r : put(w, &out);
}

int wait_print_held(struct wait *w, const struct waited_page *p, const cJSON *page)
{
	const struct look *l = &w->c->look;
	_cleanup_buf_ struct buf out = {};
	int r;

	if (w->c->options.json) {
		_cleanup_json_ cJSON *j = record(p->title, page);

		return j ? put_record(j) : -ENOMEM;
	}
	r = start(l, p, &out);
	if (r >= 0)
		r = format_styled(&out, l, STYLE_BAD, "held: ");
	if (r >= 0)
		r = format_text(&out, l, text_of(page, "reason"), 300);
	if (r >= 0)
		r = buf_adds(&out, "  (");
	if (r >= 0)
		r = format_money_text(&out, json_get_string(page, "costPicoUsd"));
	if (r >= 0)
		r = buf_adds(&out, ")\n");
	return r < 0 ? r : put(w, &out);
}

int wait_print_accepted(struct wait *w, const struct waited_page *p, const cJSON *page)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf out = {};
	int r;

	if (w->c->options.json) {
		j = record(p->title, page);
		return j ? put_record(j) : -ENOMEM;
	}
	r = format_text(&out, &w->c->look, p->id, 0);
	if (r >= 0)
		r = buf_adds(&out, "  ");
	if (r >= 0)
		r = format_text(&out, &w->c->look, p->title, 0);
	if (r >= 0)
		r = buf_addc(&out, '\n');
	return r < 0 ? r : put(w, &out);
}

void wait_print_doubt(struct wait *w, const char *title, const char *message)
{
	char safe_title[160], safe_message[300];

	wait_progress_clear(w);
	ctl_say("%s: %s", text_safe_copy(safe_title, sizeof(safe_title), title ? title : "scan"),
		text_safe_copy(safe_message, sizeof(safe_message), message));
}

int wait_print_rejected(struct wait *w, const char *title, const char *reason, const char *message)
{
	_cleanup_json_ cJSON *j = NULL;
	char safe_title[160], safe_reason[64], safe_message[300];

	if (w->c->options.json) {
		j = record(title, NULL);
		if (!j || json_add_string(j, "error", reason) < 0 ||
			json_add_string(j, "message", message) < 0)
			return -ENOMEM;
		return put_record(j);
	}
	wait_progress_clear(w);
	ctl_say("%s: %s: %s", text_safe_copy(safe_title, sizeof(safe_title), title ? title : "scan"),
		text_safe_copy(safe_reason, sizeof(safe_reason), reason),
		text_safe_copy(safe_message, sizeof(safe_message), message));
	return 0;
}

void wait_print_summary(struct wait *w)
{
	const char *s = w->n_pages == 1 ? "" : "s";
	_cleanup_buf_ struct buf out = {};

	wait_progress_clear(w);
	if (w->c->options.json || w->n_pages + w->n_rejected < 2)
		return;
	if (w->c->options.no_wait)
		buf_addf(&out, "%zu page%s safe", w->n_pages, s);
	else
		buf_addf(&out, "\n%zu page%s: %zu answered", w->n_pages, s, w->n_done);
	if (w->n_provisional)
		buf_addf(&out, " (%zu of them by a fallback)", w->n_provisional);
	if (w->n_held)
		buf_addf(&out, ", %zu held", w->n_held);
	if (w->n_rejected)
		buf_addf(&out, ", %zu not taken", w->n_rejected);
	if (buf_addc(&out, '\n') == 0)
		ctl_put(&out);
}

void wait_progress_clear(struct wait *w)
{
	if (w->progress)
		fputs("\r\033[K", stderr);
	w->progress = false;
}

void wait_progress(struct wait *w)
{
	const char *what = w->handed_in ? "" : w->pause_ms ? "the service is busy" : "handing in";

	if (w->c->options.json || !w->c->look.terminal || !isatty(STDERR_FILENO))
		return;
	wait_progress_clear(w);
	if (w->n_pages)
		fprintf(stderr, "%zu of %zu page%s answered%s", w->n_finished, w->n_pages,
			w->n_pages == 1 ? "" : "s", *what ? ", " : "");
	fputs(what, stderr);
	w->progress = true;
}
