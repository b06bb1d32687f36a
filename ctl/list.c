#include "ctl/ctl.h"
#include "ctl/table.h"

#define LIMIT_DEFAULT 20
#define CALL_MAX      200 /* pages of one call: the service gives no more */

static enum style state_style(const char *state)
{
	return streq(state, "done")          ? STYLE_GOOD
	       : streq(state, "held")        ? STYLE_BAD
	       : streq(state, "provisional") ? STYLE_WARN
					     : STYLE_PLAIN;
}

static int add_page(struct table *t, const cJSON *page)
{
	_cleanup_buf_ struct buf time = {}, cost = {};
	const char *state = text_of(page, "state");
	char looks[32];
	int r;

	r = format_time(&time, json_get_string(page, "accepted"));
	if (r >= 0)
		r = format_money_text(&cost, json_get_string(page, "costPicoUsd"));
	if (r >= 0)
		r = table_row(t);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_of(page, "id"));
	if (r >= 0)
		r = table_cell(t, state_style(state), state);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_of(page, "type"));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_of(page, "name"));
	if (r >= 0)
		r = table_cell(t, STYLE_DIM, buf_str(&time));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_of(page, "backend"));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, buf_str(&cost));
	if (r >= 0)
		r = table_cell(t, STYLE_WARN, page_looks(page, looks, sizeof(looks)));
	return r < 0 ? r : table_cell(t, STYLE_PLAIN, text_of(page, "reason"));
}

static int put_pages(struct ctl *c, const cJSON *pages, struct table *t)
{
	const cJSON *page;
	int r = EXIT_WELL;

	cJSON_ArrayForEach (page, pages) {
		if (c->options.json)
			r = ctl_put_json(page);
		else if (add_page(t, page) < 0)
			r = EXIT_PAGE_FAILED;
		if (r != EXIT_WELL)
			break;
	}
	return r;
}

static cJSON *list_parameters(const struct ctl *c, const char *before, int64_t limit)
{
	cJSON *j = cJSON_CreateObject();

	if (!j || json_add_i64(j, "limit", limit) < 0 ||
		json_add_take(j, "filter", filter_of(&c->options)) < 0 ||
		(*before && json_add_string(j, "before", before) < 0)) {
		cJSON_Delete(j);
		return NULL;
	}
	return j;
}

/* One call's worth; *left counts down and is 0 when there is no more. `before` is where it goes on. */
static int list_some(struct ctl *c, char *before, size_t before_size, int64_t *left, struct table *t)
{
	cJSON *parameters = list_parameters(c, before, MIN(*left, CALL_MAX));
	struct client_reply reply = {};
	const cJSON *pages;
	int r;

	if (!parameters)
		return EXIT_USAGE;
	r = ctl_call_take(c, "io.pageferry.List", parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	pages = json_get_array(reply.parameters, "pages");
	r = put_pages(c, pages, t);
	*left -= cJSON_GetArraySize(pages);
	if (str_copy(before, before_size, text_of(reply.parameters, "before")) <= 0)
		*left = 0;
	client_reply_clear(&reply);
	return r;
}

int verb_list(struct ctl *c)
{
	static const char *const titles[] = {
		"page", "state", "type", "name", "accepted (UTC)", "backend", ">cost", "looks", "reason", NULL};
	int64_t left = c->options.limit ? c->options.limit : LIMIT_DEFAULT;
	_cleanup_table_ struct table *t = NULL;
	_cleanup_buf_ struct buf out = {};
	char before[64] = "";
	int r = table_new(titles, &t) < 0 ? EXIT_PAGE_FAILED : EXIT_WELL;

	while (r == EXIT_WELL && left > 0)
		r = list_some(c, before, sizeof(before), &left, t);
	if (c->options.json)
		return r;
	if (r == EXIT_WELL && !table_rows(t))
		r = buf_adds(&out, "no pages\n") < 0 ? EXIT_PAGE_FAILED : EXIT_WELL;
	if (table_print(t, &c->look, true, 0, 60, &out) < 0)
		return EXIT_PAGE_FAILED;
	return r == EXIT_WELL ? ctl_put(&out) : r;
}
