/* Which pages a person means: the varlink type Filter, and the walk over those pages. */
#include "daemon/methods.h"

#include "base/parse.h"
#include "base/text.h"

/* ---- reading a filter ---------------------------------------------------------------------------------- */

static int read_state(const char *text, struct page_filter *f)
{
	enum page_state state;
	int r = page_state_parse(text, &state);

	if (r >= 0)
		f->state = (int)state;
	return r;
}

static int read_lane(const char *text, struct page_filter *f)
{
	f->lane = streq(text, "backlog") ? LANE_BACKLOG : LANE_NOW;
	return streq(text, "now") || streq(text, "backlog") ? 0 : -EINVAL;
}

static int read_type(const char *text, struct page_filter *f)
{
	int r = parse_name(text);

	return r < 0 ? r : str_copy(f->type, sizeof(f->type), text);
}

static int read_source(const char *text, struct page_filter *f)
{
	return *text ? str_copy(f->source, sizeof(f->source), text) : -EINVAL;
}

static int read_reason(const char *text, struct page_filter *f)
{
	return *text ? str_copy(f->reason, sizeof(f->reason), text) : -EINVAL;
}

static int read_since(const char *text, struct page_filter *f)
{
	return parse_timestamp(text, &f->since_ms);
}

static int read_until(const char *text, struct page_filter *f)
{
	return parse_timestamp(text, &f->until_ms);
}

static const struct {
	const char *name;
	int (*read)(const char *text, struct page_filter *f);
} members[] = {
	{"state", read_state},
	{"type", read_type},
	{"source", read_source},
	{"lane", read_lane},
	{"reason", read_reason},
	{"since", read_since},
	{"until", read_until},
};

/* A word that is not understood is refused: what was meant to narrow must never be passed over. */
static int read_member(const cJSON *j, struct page_filter *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (streq(j->string, members[i].name))
			return cJSON_IsNull(j) ? 0 : cJSON_IsString(j) ? members[i].read(j->valuestring, f) : -EINVAL;
	return -EINVAL;
}

int filter_parse(const cJSON *filter, struct page_filter *ret, const char **ret_wrong)
{
	struct page_filter f = {.state = -1, .lane = -1, .since_ms = INT64_MIN, .until_ms = INT64_MAX};
	const cJSON *j;

	cJSON_ArrayForEach (j, filter)
		if (read_member(j, &f) < 0) {
			*ret_wrong = j->string;
			return -EINVAL;
		}
	*ret = f;
	return 0;
}

static bool filter_matches(const struct page_filter *f, const struct page_row *p)
{
	return (f->state < 0 || f->state == (int)p->state) && (f->lane < 0 || f->lane == (int)p->lane) &&
	       p->accepted_ms >= f->since_ms && p->accepted_ms < f->until_ms &&
	       (!f->type[0] || streq(f->type, p->job->type)) && (!f->source[0] || streq(f->source, p->source)) &&
	       starts_with(p->reason, f->reason);
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

ssize_t page_walk_step(struct spool *s, struct page_walk *w, struct page_row *rows, size_t max)
{
	ssize_t n, kept = 0;

	if (page_walk_ended(w))
		return 0;
	n = spool_page_list(s, w->states[w->at], w->before, rows, max);
	if (n < 0)
		return n;
	if (n > 0) {
		w->before = rows[n - 1].seq;
		str_copy(w->looked_at, sizeof(w->looked_at), rows[n - 1].id);
	}
	for (ssize_t i = 0; i < n; i++)
		if (filter_matches(&w->filter, &rows[i])) {
			if (kept != i)
				rows[kept] = rows[i];
			kept++;
		}
	if ((size_t)n < max) {
		w->at++;
		w->before = 0;
	}
	return kept;
}
