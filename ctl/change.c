/* hold, release, retry, drop: what a person changes about pages, by id or by filter; and confirm. */
#include <stdio.h>

#include "base/text.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

#define NAMED_MAX 256 /* ids of one call */
#define LIST_MAX  200 /* pages of one List */

static const struct change_verb {
	enum verb_id id;
	const char *method, *done; /* "3 pages DONE" */
} change_verbs[] = {
	{VERB_HOLD, "io.pageferry.Hold", "held"},
	{VERB_RELEASE, "io.pageferry.Release", "released"},
	{VERB_RETRY, "io.pageferry.Retry", "to be tried again"},
	{VERB_DROP, "io.pageferry.Drop", "dropped"},
};

struct changes {
	struct ctl *c;
	const struct change_verb *verb;
	int64_t changed, unchanged;
	struct table *left; /* those that were left as they were, and why: as many as the service tells */
};

static const char *plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- which pages --------------------------------------------------------------------------------------- */

/* The service would drop a message that is not UTF-8 without a word. */
static int add_text(cJSON *obj, const char *name, const char *value)
{
	if (!value)
		return 0;
	return utf8_valid(value, strlen(value)) ? json_add_string(obj, name, value) : -EINVAL;
}

/* A day alone is its first moment. */
static int add_time(cJSON *obj, const char *name, const char *value)
{
	char full[48];

	if (!value || strlen(value) != strlen("2026-11-21"))
		return add_text(obj, name, value);
	str_format(full, sizeof(full), "%sT00:00:00Z", value);
	return add_text(obj, name, full);
}

cJSON *filter_of(const struct options *o)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || add_text(j, "state", o->state) < 0 || add_text(j, "type", o->type) < 0 ||
		add_text(j, "source", o->source) < 0 || add_text(j, "lane", o->lane) < 0 ||
		add_text(j, "reason", o->reason) < 0 || add_time(j, "since", o->since) < 0 ||
		add_time(j, "until", o->until) < 0) {
		ctl_say("the filter has a word that is no text");
		return NULL;
	}
	return take_ptr(j);
}

/* The next ids, NAMED_MAX at most; NULL, said: one cannot be an id. */
static cJSON *named(const char *const *ids, size_t n)
{
	_cleanup_json_ cJSON *pages = cJSON_CreateArray();

	for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
		cJSON *id = utf8_valid(ids[i], strlen(ids[i])) ? cJSON_CreateString(ids[i]) : NULL;

		if (!cJSON_AddItemToArray(pages, id)) {
			ctl_say("that is no id of a page");
			return NULL;
		}
	}
	return take_ptr(pages);
}

/* ---- one call ------------------------------------------------------------------------------------------ */

static int add_left(struct changes *h, const cJSON *unchanged)
{
	const cJSON *u;
	int r = 0;

	cJSON_ArrayForEach (u, unchanged) {
		if (r >= 0)
			r = table_row(h->left);
		if (r >= 0)
			r = table_cell(h->left, STYLE_PLAIN, text_of(u, "page"));
		if (r >= 0)
			r = table_cell(h->left, STYLE_WARN, text_of(u, "message"));
	}
	return r;
}

static int take_reply(struct changes *h, const cJSON *parameters)
{
	int64_t unchanged = 0;

	json_get_i64(parameters, "unchangedCount", &unchanged);
	h->changed += cJSON_GetArraySize(json_get_array(parameters, "pages"));
	h->unchanged += unchanged;
	if (h->c->options.json)
		return ctl_put_json(parameters);
	return add_left(h, json_get_array(parameters, "unchanged")) < 0 ? EXIT_PAGE_FAILED : EXIT_WELL;
}

/* Takes `which` (named "pages" or "filter"). `cursor` is where it goes on, and becomes the next one; "": the end. */
static int call_take(struct changes *h, const char *name, cJSON *which, char *cursor, size_t size)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	struct client_reply reply = {};
	int r;

	if (!which)
		return EXIT_USAGE;
	if (json_add_take(j, name, which) < 0 || add_text(j, "reason", h->c->options.why) < 0 ||
		(*cursor && add_text(j, "cursor", cursor) < 0) || (h->c->options.again && json_add_bool(j, "again", true) < 0)) {
		ctl_say("the reason is no text");
		return EXIT_USAGE;
	}
	r = ctl_call_take(h->c, h->verb->method, take_ptr(j), &reply);
	if (r != EXIT_WELL)
		return r;
	r = take_reply(h, reply.parameters);
	str_copy(cursor, size, text_of(reply.parameters, "cursor"));
	client_reply_clear(&reply);
	return r;
}

static int change_named(struct changes *h, const char *const *ids, size_t n)
{
	int r = EXIT_WELL;

	for (size_t i = 0; i < n && r == EXIT_WELL; i += NAMED_MAX) {
		char cursor[64] = "";

		r = call_take(h, "pages", named(ids + i, n - i), cursor, sizeof(cursor));
	}
	return r;
}

static int change_filtered(struct changes *h)
{
	char cursor[64] = "";
	int r;

	do {
		r = call_take(h, "filter", filter_of(&h->c->options), cursor, sizeof(cursor));
	} while (r == EXIT_WELL && *cursor);
	return r;
}

/* ---- drop asks ----------------------------------------------------------------------------------------- */

struct ids {
	char **id; /* owned, as are the words */
	size_t n, size;
};

static void ids_clear(struct ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		free(ids->id[i]);
	free(ids->id);
}

static int ids_add(struct ids *ids, const char *id)
{
	if (ids->n == ids->size) {
		size_t size = ids->size ? ids->size * 2 : LIST_MAX;
		char **grown = reallocarray(ids->id, size, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		ids->id = grown;
		ids->size = size;
	}
	ids->id[ids->n] = strdup(id);
	if (!ids->id[ids->n])
		return -ENOMEM;
	ids->n++;
	return 0;
}

/* One List: its ids, and the next `before` ("": the end). */
static int ids_some(struct ctl *c, struct ids *ids, char *before, size_t size)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	struct client_reply reply = {};
	const cJSON *page;
	int r;

	if (json_add_take(j, "filter", filter_of(&c->options)) < 0 || json_add_i64(j, "limit", LIST_MAX) < 0 ||
		(*before && json_add_string(j, "before", before) < 0))
		return EXIT_USAGE;
	r = ctl_call_take(c, "io.pageferry.List", take_ptr(j), &reply);
	if (r != EXIT_WELL)
		return r;
	cJSON_ArrayForEach (page, json_get_array(reply.parameters, "pages"))
		if (r == EXIT_WELL && ids_add(ids, text_of(page, "id")) < 0)
			r = EXIT_PAGE_FAILED;
	str_copy(before, size, text_of(reply.parameters, "before"));
	client_reply_clear(&reply);
	return r;
}

static bool asked(size_t n)
{
	char answer[16] = "";

	fprintf(stderr,
		"Drop %zu page%s for good? Their images and results are deleted; cost and receipts stay. [y/N] ", n,
		plural((int64_t)n));
	return fgets(answer, sizeof(answer), stdin) && (streq(answer, "y\n") || streq(answer, "yes\n"));
}

/* What is asked for is what is dropped: a page that comes meanwhile and fits the filter too is not. */
static int ask_and_drop(struct changes *h)
{
	const struct options *o = &h->c->options;
	struct ids ids = {};
	char before[64] = "";
	int r = EXIT_WELL;

	if (!isatty(STDIN_FILENO)) {
		ctl_say("drop asks, but standard input is no terminal; --yes drops without asking");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < o->n_args && r == EXIT_WELL; i++)
		r = ids_add(&ids, o->args[i]) < 0 ? EXIT_PAGE_FAILED : EXIT_WELL;
	if (!o->n_args)
		do {
			r = ids_some(h->c, &ids, before, sizeof(before));
		} while (r == EXIT_WELL && *before);
	if (r == EXIT_WELL && ids.n && !asked(ids.n)) {
		ctl_say("nothing was dropped");
		r = EXIT_PAGE_FAILED;
	}
	if (r == EXIT_WELL)
		r = change_named(h, (const char *const *)ids.id, ids.n);
	ids_clear(&ids);
	return r;
}

/* ---- the verbs ----------------------------------------------------------------------------------------- */

/* Also when a later call failed: what was changed before stays changed. */
static int put_changes(struct changes *h)
{
	_cleanup_buf_ struct buf out = {};
	int64_t more = h->unchanged - (int64_t)table_rows(h->left);
	int r;

	r = buf_addf(&out, "%lld page%s %s\n", (long long)h->changed, plural(h->changed), h->verb->done);
	if (r >= 0 && h->unchanged)
		r = buf_addf(&out, "%lld page%s left as %s:\n", (long long)h->unchanged, plural(h->unchanged),
			h->unchanged == 1 ? "it was" : "they were");
	if (r >= 0)
		r = table_print(h->left, &h->c->look, false, 2, 0, &out);
	if (r >= 0 && more > 0)
		r = buf_addf(&out, "  and %lld more\n", (long long)more);
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int change(struct changes *h)
{
	const struct options *o = &h->c->options;

	if (o->verb == VERB_DROP && !o->yes)
		return ask_and_drop(h);
	return o->n_args ? change_named(h, o->args, o->n_args) : change_filtered(h);
}

int verb_change(struct ctl *c)
{
	static const char *const titles[] = {"page", "why", NULL};
	struct changes h = {.c = c};
	int r, put = EXIT_WELL;

	for (size_t i = 0; i < ARRAY_SIZE(change_verbs); i++)
		if (change_verbs[i].id == c->options.verb)
			h.verb = &change_verbs[i];
	if (table_new(titles, &h.left) < 0)
		return EXIT_PAGE_FAILED;
	r = change(&h);
	if (!c->options.json && (r == EXIT_WELL || h.changed || h.unchanged))
		put = put_changes(&h);
	table_free(h.left);
	return r != EXIT_WELL ? r : put != EXIT_WELL || h.unchanged ? EXIT_PAGE_FAILED : EXIT_WELL;
}

int verb_confirm(struct ctl *c)
{
	struct client_reply reply = {};
	_cleanup_buf_ struct buf out = {};
	int r = ctl_call_take(c, "io.pageferry.Confirm", NULL, &reply);

	if (r != EXIT_WELL)
		return r;
	if (c->options.json)
		r = ctl_put_json(reply.parameters);
	else if (buf_adds(&out, cJSON_IsTrue(json_get(reply.parameters, "confirmed"))
					? "backends that cost go on; what was spent before is not known\n"
					: "nothing was waiting to be confirmed\n") < 0)
		r = EXIT_PAGE_FAILED;
	else
		r = ctl_put(&out);
	client_reply_clear(&reply);
	return r;
}
