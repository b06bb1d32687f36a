#include "ctl/usage.h"

#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"

#define GROUPS_MAX 100000

const struct usage_member usage_members[USAGE_COUNTS] = {
	[U_REQUESTS] = {"requests", "requests", false},
	[U_ANSWERS] = {"answers", "answers", false},
	[U_UNREPORTED] = {"unreported", "unreported", false},
	[U_PAGES] = {"pages", "pages", false},
	[U_REUSED] = {"reused", "reused", false},
	[U_INPUT] = {"tokensInput", "tokens_input", false},
	[U_OUTPUT] = {"tokensOutput", "tokens_output", false},
	[U_CACHED] = {"tokensCached", "tokens_cached", false},
	[U_COST] = {"costPicoUsd", "cost_usd", true},
	[U_POSSIBLY] = {"possiblyBilledPicoUsd", "possibly_billed_usd", true},
	[U_OPEN] = {"open", "open", false},
	[U_RESERVED] = {"reservedPicoUsd", "reserved_usd", true},
};

static int64_t count_of(const cJSON *row, enum usage_count i)
{
	int64_t v = 0;

	if (usage_members[i].money)
		parse_i64(text_of(row, usage_members[i].json), 0, INT64_MAX, &v);
	else
		json_get_i64(row, usage_members[i].json, &v);
	return MAX(v, (int64_t)0);
}

/* ---- summing up ---------------------------------------------------------------------------------------- */

static void key_of(const struct usage *u, const cJSON *row, char ret[static 256])
{
	if (streq(u->by, "month"))
		str_format(ret, 256, "%.7s", text_of(row, "day"));
	else
		str_format(ret, 256, "%.255s", text_of(row, u->by));
}

static struct usage_group *group_for(struct usage *u, const char *key)
{
	struct usage_group *groups;

	for (size_t i = u->n; i > 0; i--) /* days come in order: mostly it is the last */
		if (streq(u->groups[i - 1].key, key))
			return &u->groups[i - 1];
	groups = u->n < GROUPS_MAX ? reallocarray(u->groups, u->n + 1, sizeof(*groups)) : NULL;
	if (!groups)
		return NULL;
	u->groups = groups;
	groups[u->n] = (struct usage_group){};
	str_copy(groups[u->n].key, sizeof(groups[u->n].key), key);
	return &groups[u->n++];
}

static int add_up(struct usage *u, const cJSON *row)
{
	char key[256];
	struct usage_group *g;

	key_of(u, row, key);
	g = group_for(u, key);
	for (size_t i = 0; g && i < USAGE_COUNTS; i++)
		if (__builtin_add_overflow(g->n[i], count_of(row, i), &g->n[i]))
			g->n[i] = INT64_MAX;
	return g ? EXIT_WELL : EXIT_PAGE_FAILED;
}

/* A row of the service as it came. */
static int row_csv(const cJSON *row, struct buf *out)
{
	static const char *const names[] = {"day", "backend", "model", "type"};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(names); i++) {
		r = text_csv_cell(out, text_of(row, names[i]));
		if (r >= 0)
			r = buf_addc(out, ',');
	}
	for (size_t i = 0; r >= 0 && i < USAGE_COUNTS; i++) {
		r = usage_members[i].money ? format_decimal(out, count_of(row, i)) : buf_addf(out, "%lld", (long long)count_of(row, i));
		if (r >= 0)
			r = buf_adds(out, i + 1 < USAGE_COUNTS ? "," : "\r\n");
	}
	return r;
}

/* ---- what the service says ------------------------------------------------------------------------------ */

static int take_row(struct usage *u, const cJSON *row)
{
	_cleanup_buf_ struct buf out = {};

	if (u->by)
		return add_up(u, row);
	if (u->c->options.json)
		return ctl_put_json(row);
	return row_csv(row, &out) < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int take_rows(struct usage *u, const cJSON *rows)
{
	const cJSON *row;
	int r = rows ? EXIT_WELL : EXIT_PAGE_FAILED;

	cJSON_ArrayForEach (row, rows) {
		if (r == EXIT_WELL)
			r = take_row(u, row);
	}
	return r;
}

/* What is open, with the last reply alone: it is the same in each. */
static int take_reply(struct usage *u, const cJSON *reply, char *cursor, size_t size)
{
	const char *next = text_of(reply, "cursor");
	int r = take_rows(u, json_get_array(reply, "usage"));

	str_format(u->since, sizeof(u->since), "%.10s", text_of(reply, "since"));
	if (r == EXIT_WELL && !*next)
		r = take_rows(u, json_get_array(reply, "open"));
	if (r == EXIT_WELL && ((*next && streq(next, cursor)) || str_copy(cursor, size, next) < 0))
		r = EXIT_PAGE_FAILED;
	if (r != EXIT_WELL)
		ctl_say("the service's answer is not understood");
	return r;
}

static cJSON *parameters_of(const struct options *o, const char *cursor)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || (o->since && json_add_string(j, "since", o->since) < 0) || (o->until && json_add_string(j, "until", o->until) < 0) ||
		(*cursor && json_add_string(j, "cursor", cursor) < 0))
		return NULL;
	return take_ptr(j);
}

static int ask(struct usage *u)
{
	char cursor[512] = "";
	int r;

	do {
		struct client_reply reply = {};
		cJSON *parameters = parameters_of(&u->c->options, cursor);

		r = parameters ? ctl_call_take(u->c, "io.pageferry.Usage", parameters, &reply) : EXIT_PAGE_FAILED;
		if (r != EXIT_WELL)
			return r;
		r = take_reply(u, reply.parameters, cursor, sizeof(cursor));
		client_reply_clear(&reply);
	} while (r == EXIT_WELL && *cursor);
	return r;
}

/* ---- the verb ------------------------------------------------------------------------------------------ */

static bool is_day(const char *text)
{
	char full[24], safe[64];
	int64_t ms;

	if (!text || (strlen(text) == 10 && str_format(full, sizeof(full), "%sT00:00:00Z", text) > 0 && parse_timestamp(full, &ms) >= 0))
		return true;
	ctl_say("\"%s\" is no day like 2026-11-21", text_safe_copy(safe, sizeof(safe), text));
	return false;
}

static int put_csv_titles(void)
{
	_cleanup_buf_ struct buf out = {};
	int r = buf_adds(&out, "day,backend,model,type");

	for (size_t i = 0; r >= 0 && i < USAGE_COUNTS; i++)
		r = buf_addf(&out, ",%s", usage_members[i].csv);
	if (r >= 0)
		r = buf_adds(&out, "\r\n");
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

int verb_usage(struct ctl *c)
{
	const struct options *o = &c->options;
	struct usage u = {.c = c, .by = o->by};
	int r = EXIT_WELL;

	if (o->csv && o->json) {
		ctl_say("--csv and --json exclude each other");
		return EXIT_USAGE;
	}
	if (!is_day(o->since) || !is_day(o->until))
		return EXIT_USAGE;
	if (!u.by && !o->csv && !o->json)
		u.by = "day";
	if (!u.by && o->csv)
		r = put_csv_titles();
	if (r == EXIT_WELL)
		r = ask(&u);
	if (r == EXIT_WELL && u.by)
		r = usage_put(&u);
	free(u.groups);
	return r;
}
