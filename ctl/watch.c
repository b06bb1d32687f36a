#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/watch.h"

static enum style kind_style(const char *kind)
{
	return streq(kind, "page-done")                                                          ? STYLE_GOOD
	       : streq(kind, "page-held") || streq(kind, "page-rejected") || streq(kind, "lost") ? STYLE_BAD
	       : streq(kind, "page-provisional") || streq(kind, "page-dropped")                  ? STYLE_WARN
						 : STYLE_PLAIN;
}

/* ", WORD" or nothing. */
static int add_part(struct buf *out, const struct look *l, const char *lead, const char *text)
{
	int r = *text ? buf_adds(out, lead) : 0;

	return r < 0 || !*text ? r : format_text(out, l, text, 200);
}

static int add_backend(struct buf *out, const struct look *l, const cJSON *backend)
{
	int r = backend ? add_part(out, l, "  ", text_of(backend, "name")) : 0;

	if (r >= 0 && backend)
		r = add_part(out, l, " ", text_of(backend, "state"));
	return r;
}

static int add_lights(struct buf *out, const struct look *l, const cJSON *lights)
{
	static const char *const names[] = {"captured", "safe", "delivered"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && r >= 0 && lights; i++) {
		r = buf_addf(out, "%s%s ", i ? ", " : "  ", names[i]);
		if (r >= 0)
			r = format_text(out, l, text_of(lights, names[i]), 16);
	}
	return r;
}

/* What a page has cost when it has its answer, or will get none. */
static int add_cost(struct buf *out, const char *kind, const cJSON *page)
{
	const char *cost = text_of(page, "costPicoUsd");
	int r;

	if (!*cost || streq(cost, "0") || (!streq(kind, "page-held") && !streq(kind, "page-done")))
		return 0;
	r = buf_adds(out, "  ");
	return r < 0 ? r : format_money_text(out, cost);
}

/* How much of an answer has come. */
static int add_answering(struct buf *out, const cJSON *page)
{
	int64_t bytes;
	int r;

	if (json_get_i64(page, "answering", &bytes) < 0)
		return 0;
	r = buf_adds(out, "  ");
	return r < 0 ? r : format_bytes(out, bytes);
}

int event_print(const cJSON *event, const struct look *l, struct buf *out)
{
	const cJSON *page = json_get_object(event, "page");
	const char *time = text_of(event, "time"), *kind = text_of(event, "kind");
	char clock[13]; /* "03:12:05.123" */
	int r;

	snprintf(clock, sizeof(clock), "%s", strlen(time) >= 19 ? time + 11 : time);
	r = format_text(out, l, clock, 0);
	if (r >= 0)
		r = buf_adds(out, "  ");
	if (r >= 0)
		r = format_styled(out, l, kind_style(kind), kind);
	if (r >= 0 && page)
		r = buf_addf(out, "%*s", (int)(18 - MIN(strlen(kind), 16)), "");
	if (r >= 0 && page)
		r = format_text(out, l, text_of(page, "id"), 40);
	if (r >= 0 && page)
		r = add_part(out, l, "  ", text_of(page, "name"));
	if (r >= 0 && !streq(text_of(event, "name"), text_of(page, "name")))
		r = add_part(out, l, "  ", text_of(event, "name"));
	if (r >= 0)
		r = add_backend(out, l, json_get_object(event, "backend"));
	if (r >= 0)
		r = add_lights(out, l, json_get_object(event, "lights"));
	if (r >= 0)
		r = add_part(out, l, "  ", text_of(event, "reason"));
	if (r >= 0)
		r = add_part(out, l, ": ", text_of(event, "message"));
	if (r >= 0)
		r = add_answering(out, page);
	if (r >= 0)
		r = add_cost(out, kind, page);
	return r < 0 ? r : buf_addc(out, '\n');
}

static int put_event(struct ctl *c, const cJSON *event)
{
	_cleanup_buf_ struct buf out = {};

	if (!event)
		return EXIT_WELL;
	if (c->options.json)
		return ctl_put_json(event);
	return event_print(event, &c->look, &out) < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

/* Until the service goes, the reader of our output goes, or the time is up (which is a good end here). */
int verb_watch(struct ctl *c)
{
	struct client *client = NULL;
	int r = ctl_connect(c, &client);

	if (r != EXIT_WELL)
		return r;
	r = client_send_take(client, "io.pageferry.Monitor", NULL, true, -1);
	while (r >= 0) {
		struct client_reply reply = {};

		r = client_wait(client, c->deadline_ms, &reply);
		if (r < 0)
			break;
		r = reply.error ? ctl_error_reply(&reply, NULL)
				: put_event(c, json_get_object(reply.parameters, "event"));
		client_reply_clear(&reply);
		if (r != EXIT_WELL) {
			client_free(client);
			return r;
		}
	}
	client_free(client);
	return r == -ETIMEDOUT ? EXIT_WELL : ctl_exchange_failed(c, r);
}
