/* Documents of several pages that are open: which there are, and that one has its last page. */
#include <stdio.h>

#include "base/log.h"
#include "ctl/ctl.h"

static int print_end(const struct ctl *c, const char *name, const cJSON *reply)
{
	_cleanup_buf_ struct buf out = {};
	const cJSON *pages = json_get_array(reply, "pages");
	int n = cJSON_GetArraySize(pages), r;

	if (c->options.json)
		return ctl_put_json(reply);
	r = format_text(&out, &c->look, name, 64);
	if (r >= 0)
		r = buf_addf(&out, ": %d page%s, asked as ", n, n == 1 ? "" : "s");
	if (r >= 0)
		r = format_text(&out, &c->look, text_of(reply, "document"), 40);
	if (r >= 0)
		r = buf_addc(&out, '\n');
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int end(struct ctl *c, const char *name)
{
	cJSON *parameters = cJSON_CreateObject();
	struct client_reply reply = {};
	int r;

	if (!parameters || json_add_string(parameters, "name", name) < 0) {
		cJSON_Delete(parameters);
		ctl_say("the name is not UTF-8");
		return EXIT_USAGE;
	}
	r = ctl_call_take(c, "io.pageferry.EndDocument", parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	r = print_end(c, name, reply.parameters);
	client_reply_clear(&reply);
	return r;
}

static int add_line(const struct ctl *c, const cJSON *d, struct buf *out)
{
	int64_t pages = 0;
	int r;

	json_get_i64(d, "pages", &pages);
	r = format_text(out, &c->look, text_of(d, "name"), 64);
	if (r >= 0)
		r = buf_addf(out, "  %lld page%s  ", (long long)pages, pages == 1 ? "" : "s");
	if (r >= 0)
		r = format_text(out, &c->look, text_of(d, "type"), 40);
	if (r >= 0)
		r = buf_adds(out, "  ");
	if (r >= 0)
		r = format_text(out, &c->look, text_of(d, "document"), 40);
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_list(const struct ctl *c, const cJSON *reply)
{
	const cJSON *documents = json_get_array(reply, "documents"), *d;
	_cleanup_buf_ struct buf out = {};
	int r = 0;

	cJSON_ArrayForEach (d, documents) {
		if (c->options.json)
			r = ctl_put_json(d) == EXIT_WELL ? r : -EPIPE;
		else if (r >= 0)
			r = add_line(c, d, &out);
	}
	if (!c->options.json && !documents->child)
		r = buf_adds(&out, "no document is open\n");
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int list(struct ctl *c)
{
	struct client_reply reply = {};
	int r = ctl_call_take(c, "io.pageferry.Documents", cJSON_CreateObject(), &reply);

	if (r != EXIT_WELL)
		return r;
	r = json_get_array(reply.parameters, "documents") ? print_list(c, reply.parameters) : EXIT_UNREACHABLE;
	client_reply_clear(&reply);
	return r;
}

int verb_document(struct ctl *c)
{
	const char *const *args = c->options.args;

	if (c->options.n_args == 2 && streq(args[0], "end"))
		return end(c, args[1]);
	if (c->options.n_args == 1 && streq(args[0], "list"))
		return list(c);
	ctl_say("document end NAME, or document list; see pageferryctl document --help");
	return EXIT_USAGE;
}
