#include <inttypes.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/fields.h"
#include "ctl/table.h"

static int line(struct buf *out, const struct look *l, const char *name, const char *value)
{
	int r;

	if (!*value)
		return 0;
	r = format_styled(out, l, STYLE_DIM, name);
	if (r >= 0)
		r = buf_addf(out, "%*s", (int)(10 - MIN(strlen(name), 9)), "");
	if (r >= 0)
		r = format_text(out, l, value, 0);
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_page(const cJSON *page, const struct look *l, struct buf *out)
{
	_cleanup_buf_ struct buf time = {}, cost = {}, size = {}, original = {}, answering = {};
	int64_t kept, bytes = 0, width = 0, height = 0;
	char looks[32];
	int r;

	json_get_i64(page, "bytes", &bytes);
	json_get_i64(page, "width", &width);
	json_get_i64(page, "height", &height);
	r = format_time(&time, json_get_string(page, "accepted"));
	if (r >= 0)
		r = buf_addf(&time, " UTC (%s)", text_of(page, "trust"));
	if (r >= 0)
		r = buf_addf(&size, "%" PRId64 " x %" PRId64 ", ", width, height);
	if (r >= 0)
		r = format_bytes(&size, bytes);
	if (r >= 0 && json_get_i64(page, "originalBytes", &kept) >= 0)
		r = format_bytes(&original, kept);
	if (r >= 0 && json_get_i64(page, "answering", &kept) >= 0)
		r = format_bytes(&answering, kept);
	if (r >= 0)
		r = format_money_text(&cost, json_get_string(page, "costPicoUsd"));
	if (r < 0)
		return r;
	if (line(out, l, "page", text_of(page, "id")) < 0 ||
		line(out, l, "name", text_of(page, "name")) < 0 ||
		line(out, l, "state", text_of(page, "state")) < 0 ||
		line(out, l, "reason", text_of(page, "reason")) < 0 ||
		line(out, l, "type", text_of(page, "type")) < 0 ||
		line(out, l, "accepted", buf_str(&time)) < 0 || line(out, l, "image", buf_str(&size)) < 0 ||
		line(out, l, "original", buf_str(&original)) < 0 ||
		line(out, l, "looks", page_looks(page, looks, sizeof(looks))) < 0 ||
		line(out, l, "answering", buf_str(&answering)) < 0 || line(out, l, "cost", buf_str(&cost)) < 0)
		return -ENOMEM;
	return 0;
}

/* "1.2 s" of a member in ms, or nothing. */
static int seconds_cell(struct table *t, const cJSON *a)
{
	_cleanup_buf_ struct buf text = {};
	int64_t ms;

	if (json_get_i64(a, "durationMs", &ms) >= 0 && format_seconds(&text, ms) < 0)
		return -ENOMEM;
	return table_cell(t, STYLE_PLAIN, buf_str(&text));
}

/* Settled, or "up to" what is reserved; "possibly" where no reply said what it took. */
static int cost_cell(struct table *t, const cJSON *a)
{
	const char *settled = json_get_string(a, "settledPicoUsd");
	_cleanup_buf_ struct buf text = {};
	int r = settled ? 0 : buf_adds(&text, "up to ");

	if (r >= 0)
		r = format_money_text(&text, settled ? settled : json_get_string(a, "reservedPicoUsd"));
	if (r >= 0 && streq(text_of(a, "billed"), "possibly"))
		r = buf_adds(&text, " possibly");
	return r < 0 ? r : table_cell(t, STYLE_PLAIN, buf_str(&text));
}

static int tokens_cell(struct table *t, const cJSON *a)
{
	int64_t in, out;
	char text[48] = "";

	if (json_get_i64(a, "tokensInput", &in) >= 0 && json_get_i64(a, "tokensOutput", &out) >= 0)
		str_format(text, sizeof(text), "%" PRId64 " / %" PRId64, in, out);
	return table_cell(t, STYLE_PLAIN, text);
}

/* What went in the page's place. */
static int add_rendering(const cJSON *rendering, struct buf *note)
{
	int64_t width, height;

	if (json_get_string(rendering, "failed"))
		return buf_addf(note, "%sno rendering: %s", note->len ? "; " : "", json_get_string(rendering, "failed"));
	if (json_get_i64(rendering, "width", &width) < 0 || json_get_i64(rendering, "height", &height) < 0)
		return 0;
	return buf_addf(note, "%srendered, %" PRId64 " x %" PRId64, note->len ? "; " : "", width, height);
}

static int add_attempt(struct table *t, const cJSON *a)
{
	const char *outcome = text_of(a, "outcome");
	_cleanup_buf_ struct buf time = {}, note = {};
	int r;

	r = format_time(&time, json_get_string(a, "opened"));
	if (r >= 0 && *text_of(a, "reason"))
		r = buf_addf(&note, "%s%s%s", text_of(a, "reason"), *text_of(a, "message") ? ": " : "",
			text_of(a, "message"));
	if (r >= 0)
		r = add_rendering(json_get_object(a, "rendering"), &note);
	if (r >= 0)
		r = table_row(t);
	if (r >= 0)
		r = table_cell(t, STYLE_DIM, buf_str(&time));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_of(a, "backend"));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_of(a, "model"));
	if (r >= 0)
		r = table_cell(t, streq(outcome, "done") ? STYLE_GOOD : STYLE_WARN,
			*outcome ? outcome : "under way");
	if (r >= 0)
		r = seconds_cell(t, a);
	if (r >= 0)
		r = tokens_cell(t, a);
	if (r >= 0)
		r = cost_cell(t, a);
	return r < 0 ? r : table_cell(t, STYLE_PLAIN, buf_str(&note));
}

static int print_attempts(const cJSON *attempts, const struct look *l, struct buf *out)
{
	static const char *const titles[] = {"asked (UTC)", "backend", "model", "outcome", ">took",
		">tokens in/out", ">cost", "note", NULL};
	_cleanup_table_ struct table *t = NULL;
	const cJSON *a;
	int r = table_new(titles, &t);

	cJSON_ArrayForEach (a, attempts)
		if (r >= 0)
			r = add_attempt(t, a);
	if (r >= 0 && table_rows(t))
		r = buf_addc(out, '\n');
	return r < 0 ? r : table_print(t, l, true, 0, 0, out); /* the note, which comes last, says what to do */
}

static int print_result(const cJSON *results, const struct look *l, struct buf *out)
{
	int n = cJSON_GetArraySize(results), r;
	const cJSON *last = n ? cJSON_GetArrayItem(results, n - 1) : NULL;

	if (!last)
		return 0;
	r = buf_addf(out, "\nanswer %d: ", n);
	if (r >= 0)
		r = format_text(out, l, text_of(last, "type"), 40);
	if (r >= 0)
		r = buf_adds(out, ", ");
	if (r >= 0)
		r = format_text(out, l, text_of(last, "state"), 40);
	if (r >= 0)
		r = buf_addc(out, '\n');
	return r < 0 ? r : fields_print(last, l, 2, out);
}

int verb_show(struct ctl *c)
{
	cJSON *parameters = cJSON_CreateObject();
	struct client_reply reply = {};
	_cleanup_buf_ struct buf out = {};
	int r;

	if (json_add_string(parameters, "page", c->options.args[0]) < 0) {
		cJSON_Delete(parameters);
		return EXIT_PAGE_FAILED;
	}
	r = ctl_call_take(c, "io.pageferry.Show", parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	if (c->options.json)
		r = ctl_put_json(reply.parameters);
	else if (print_page(json_get_object(reply.parameters, "page"), &c->look, &out) < 0 ||
		 print_attempts(json_get_array(reply.parameters, "attempts"), &c->look, &out) < 0 ||
		 print_result(json_get_array(reply.parameters, "results"), &c->look, &out) < 0)
		r = EXIT_PAGE_FAILED;
	else
		r = ctl_put(&out);
	client_reply_clear(&reply);
	return r;
}
