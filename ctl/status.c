#include <inttypes.h>

#include "ctl/ctl.h"
#include "ctl/table.h"

#define SLOW_MS 2000 /* a disk that takes longer for a commit is worth a word */

static int64_t number(const cJSON *j, const char *name)
{
	int64_t n = 0;

	json_get_i64(j, name, &n);
	return n;
}

static const char *text_or(const cJSON *j, const char *name, const char *none)
{
	const char *s = json_get_string(j, name);

	return s ? s : none;
}

/* "name      value": the value is built by the caller right after. */
static int start_line(struct buf *out, const struct look *l, const char *name)
{
	int r = format_styled(out, l, STYLE_DIM, name);

	return r < 0 ? r : buf_addf(out, "%*s", (int)(10 - MIN(strlen(name), 9)), "");
}

static int print_head(const cJSON *s, const struct look *l, struct buf *out)
{
	int r = buf_adds(out, "pageferryd ");

	if (r >= 0)
		r = format_text(out, l, text_or(s, "version", "?"), 40);
	if (r >= 0)
		r = buf_adds(out, ", up ");
	if (r >= 0)
		r = format_duration(out, number(s, "uptimeMs"));
	if (r >= 0 && cJSON_IsTrue(json_get(s, "lab")))
		r = format_styled(out, l, STYLE_WARN, "   LAB: settings for tests are allowed");
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_spool(const cJSON *s, const struct look *l, struct buf *out)
{
	char slow[80];
	int r = start_line(out, l, "spool");

	if (r >= 0)
		r = format_text(out, l, text_or(s, "spool", "?"), 0);
	if (r >= 0)
		r = buf_adds(out, ", ");
	if (r >= 0)
		r = format_bytes(out, number(s, "freeBytes"));
	if (r >= 0)
		r = buf_adds(out, " free");
	if (r >= 0 && !cJSON_IsTrue(json_get(s, "room")))
		r = format_styled(out, l, STYLE_BAD, ": NO ROOM, pages are refused");
	if (r >= 0 && number(s, "stallMaxMs") >= SLOW_MS) {
		str_format(slow, sizeof(slow), ", SLOW: it has kept the service for %lld ms", (long long)number(s, "stallMaxMs"));
		r = format_styled(out, l, STYLE_WARN, slow);
	}
	if (r >= 0 && json_get_string(s, "roomReason"))
		r = buf_adds(out, ": ");
	if (r >= 0 && json_get_string(s, "roomReason"))
		r = format_text(out, l, json_get_string(s, "roomReason"), 0);
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_ledger(const cJSON *s, const struct look *l, struct buf *out)
{
	int r;

	if (!cJSON_IsTrue(json_get(s, "ledgerLost")))
		return 0;
	r = start_line(out, l, "LOST");
	if (r >= 0)
		r = format_styled(out, l, STYLE_BAD,
			"the database was lost, and what was spent: backends that cost wait for pageferryctl confirm");
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_counts(const cJSON *s, const struct look *l, struct buf *out)
{
	static const struct {
		const char *name, *text;
		enum style style; /* when it is not zero */
	} counts[] = {{"queued", " queued", STYLE_PLAIN}, {"provisional", " provisional", STYLE_PLAIN},
		{"done", " done", STYLE_PLAIN}, {"held", " held", STYLE_BAD},
		{"undelivered", " undelivered", STYLE_WARN}};
	const cJSON *c = json_get_object(s, "counts");
	int r = start_line(out, l, "pages");

	for (size_t i = 0; i < ARRAY_SIZE(counts) && r >= 0; i++) {
		int64_t n = number(c, counts[i].name);
		char text[48];

		str_format(text, sizeof(text), "%" PRId64 "%s", n, counts[i].text);
		r = i ? buf_adds(out, ", ") : 0;
		if (r >= 0)
			r = format_styled(out, l, n ? counts[i].style : STYLE_PLAIN, text);
	}
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_lights(const cJSON *s, const struct look *l, struct buf *out)
{
	static const char *const names[] = {"captured", "safe", "delivered"};
	const cJSON *lights = json_get_object(s, "lights");
	int r = start_line(out, l, "lights");

	for (size_t i = 0; i < ARRAY_SIZE(names) && r >= 0; i++) {
		const char *state = text_or(lights, names[i], "?");

		r = buf_addf(out, "%s%s ", i ? ", " : "", names[i]);
		if (r >= 0)
			r = format_styled(out, l,
				streq(state, "on")      ? STYLE_GOOD
				: streq(state, "alarm") || streq(state, "double") ? STYLE_BAD
										  : STYLE_PLAIN,
				state);
	}
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_scanner(const cJSON *s, const struct look *l, struct buf *out)
{
	const cJSON *scanner = json_get_object(s, "scanner");
	const char *state = text_or(scanner, "state", "?"), *message = json_get_string(scanner, "message");
	bool well = streq(state, "ok") || streq(state, "unknown");
	int r;

	if (!scanner)
		return 0;
	r = start_line(out, l, "scanner");
	if (r >= 0)
		r = format_styled(out, l, well ? STYLE_PLAIN : STYLE_BAD, state);
	if (r >= 0)
		r = buf_adds(out, ": ");
	if (r >= 0)
		r = format_text(out, l, message && !well ? message : text_or(scanner, "source", "?"), 0);
	if (r >= 0 && !well)
		r = buf_adds(out, ", for ");
	if (r >= 0 && !well)
		r = format_duration(out, number(scanner, "forMs"));
	if (r >= 0 && number(scanner, "failures"))
		r = buf_addf(out, "; %" PRId64 " scans failed", number(scanner, "failures"));
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_cost(const cJSON *s, const struct look *l, struct buf *out)
{
	const char *possibly = json_get_string(s, "possiblyBilledPicoUsd");
	bool wrong = streq(text_or(s, "clock", ""), "untrusted");
	int r = start_line(out, l, "today");

	if (r >= 0)
		r = format_money_text(out, json_get_string(s, "spentPicoUsd"));
	if (r >= 0 && possibly && !streq(possibly, "0")) {
		r = buf_adds(out, ", of it possibly billed ");
		if (r >= 0)
			r = format_money_text(out, possibly);
	}
	if (r >= 0)
		r = buf_adds(out, "; clock ");
	if (r >= 0)
		r = format_styled(out, l, wrong ? STYLE_BAD : STYLE_PLAIN, text_or(s, "clock", "?"));
	if (r >= 0 && wrong)
		r = format_styled(out, l, STYLE_BAD, ": it is known to be wrong, and nothing is signed until it is set");
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_budget_of(const cJSON *b, const char *limit, const char *spent, const char *what, struct buf *out)
{
	const char *text = json_get_string(b, limit);
	int r = 0;

	if (!text)
		return 0;
	r = format_money_text(out, json_get_string(b, spent));
	if (r >= 0)
		r = buf_adds(out, " of ");
	if (r >= 0)
		r = format_money_text(out, text);
	return r < 0 ? r : buf_addf(out, " %s, ", what);
}

static int print_budget(const cJSON *s, const struct look *l, struct buf *out)
{
	const cJSON *b = json_get_object(s, "budget");
	bool over = false;
	int r;

	if (!b)
		return 0;
	json_get_bool(b, "over", &over);
	r = start_line(out, l, "budget");
	if (r >= 0)
		r = print_budget_of(b, "dayLimitPicoUsd", "daySpentPicoUsd", "today", out);
	if (r >= 0)
		r = print_budget_of(b, "monthLimitPicoUsd", "monthSpentPicoUsd", "this month", out);
	if (r >= 0)
		r = format_money_text(out, json_get_string(b, "reservedPicoUsd"));
	if (r >= 0)
		r = buf_adds(out, " reserved");
	if (r >= 0 && over)
		r = buf_adds(out, "; ");
	if (r >= 0 && over)
		r = format_styled(out, l, STYLE_WARN, streq(text_or(b, "whenOver", ""), "next") ? "no room: pages go down their route" : "no room: pages wait");
	if (r >= 0 && over)
		r = buf_adds(out, "; the day ends in ");
	if (r >= 0 && over)
		r = format_duration(out, number(b, "dayEndsInMs"));
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_route(const cJSON *s, const struct look *l, struct buf *out)
{
	const cJSON *route = json_get_array(s, "route"), *j;
	int r = start_line(out, l, "route");
	bool first = true;

	cJSON_ArrayForEach (j, route) {
		if (r < 0 || !cJSON_IsString(j))
			continue;
		r = first ? 0 : buf_adds(out, ", then ");
		if (r >= 0)
			r = format_text(out, l, j->valuestring, 40);
		first = false;
	}
	return r < 0 ? r : buf_addc(out, '\n');
}

static int number_cell(struct table *t, int64_t n)
{
	char text[24];

	str_format(text, sizeof(text), "%" PRId64, n);
	return table_cell(t, STYLE_PLAIN, text);
}

static bool is_well(const cJSON *b)
{
	return streq(text_or(b, "state", "?"), "ok");
}

/* "model-access, again in 5 min": what is to be done has a line of its own below, since it is not to be cut. */
static int note_cell(struct table *t, const cJSON *b)
{
	_cleanup_buf_ struct buf note = {};
	int64_t ms = number(b, "retryInMs"), slowed = number(b, "slowedTo");
	int r = is_well(b) ? 0 : buf_adds(&note, text_or(b, "reason", ""));

	if (r >= 0 && !is_well(b) && ms > 0)
		r = buf_adds(&note, ", again in ");
	if (r >= 0 && !is_well(b) && ms > 0)
		r = format_duration(&note, ms);
	if (r >= 0 && slowed > 0)
		r = buf_addf(&note, "%sslowed to %" PRId64 " a minute", note.len ? ", " : "", slowed);
	return r < 0 ? r : table_cell(t, STYLE_PLAIN, buf_str(&note));
}

static int add_backend(struct table *t, const cJSON *b)
{
	const char *state = text_or(b, "state", "?");
	int r = table_row(t);

	if (r >= 0)
		r = table_cell(t, STYLE_BOLD, text_or(b, "name", "?"));
	if (r >= 0)
		r = table_cell(t,
			streq(state, "ok")     ? STYLE_GOOD
			: streq(state, "busy") ? STYLE_WARN
					       : STYLE_BAD,
			state);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_or(b, "kind", ""));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_or(b, "model", ""));
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, text_or(b, "region", ""));
	if (r >= 0)
		r = number_cell(t, number(b, "inFlight"));
	if (r >= 0)
		r = number_cell(t, number(b, "answered"));
	if (r >= 0)
		r = number_cell(t, number(b, "failed"));
	return r < 0 ? r : note_cell(t, b);
}

/* What happened and what to do, whole. */
static int print_advice(const cJSON *b, const struct look *l, struct buf *out)
{
	int r = format_text(out, l, text_or(b, "name", "?"), 40);

	if (r >= 0)
		r = buf_adds(out, ": ");
	if (r >= 0)
		r = format_text(out, l, json_get_string(b, "message"), 0);
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_backends(const cJSON *s, const struct look *l, struct buf *out)
{
	static const char *const titles[] = {"backend", "state", "kind", "model", "region", ">in flight",
		">answered", ">failed", "note", NULL};
	const cJSON *backends = json_get_array(s, "backends"), *b;
	_cleanup_table_ struct table *t = NULL;
	int r = table_new(titles, &t);

	cJSON_ArrayForEach (b, backends)
		if (r >= 0)
			r = add_backend(t, b);
	if (r >= 0 && table_rows(t))
		r = buf_addc(out, '\n');
	if (r >= 0)
		r = table_print(t, l, true, 0, 80, out);
	cJSON_ArrayForEach (b, backends)
		if (r >= 0 && !is_well(b) && *text_or(b, "message", ""))
			r = print_advice(b, l, out);
	return r;
}

static int add_watch(struct table *t, const cJSON *w)
{
	const char *state = text_or(w, "state", "?");
	int r = table_row(t);

	if (r >= 0)
		r = table_cell(t, STYLE_BOLD, text_or(w, "name", "?"));
	if (r >= 0)
		r = table_cell(t, streq(state, "watching") ? STYLE_GOOD : STYLE_BAD, state);
	if (r >= 0)
		r = number_cell(t, number(w, "waiting"));
	if (r >= 0)
		r = number_cell(t, number(w, "taken"));
	if (r >= 0)
		r = number_cell(t, number(w, "rejected"));
	return r < 0 ? r : table_cell(t, STYLE_PLAIN, text_or(w, "message", text_or(w, "folder", "")));
}

/* Nothing without a watched folder. */
static int print_watches(const cJSON *s, const struct look *l, struct buf *out)
{
	static const char *const titles[] = {"watch", "state", ">waiting", ">taken", ">rejected", "folder", NULL};
	const cJSON *watches = json_get_array(s, "watches"), *w;
	_cleanup_table_ struct table *t = NULL;
	int r = cJSON_GetArraySize(watches) > 0 ? table_new(titles, &t) : 0;

	if (!t)
		return r;
	cJSON_ArrayForEach (w, watches)
		if (r >= 0)
			r = add_watch(t, w);
	if (r >= 0)
		r = buf_addc(out, '\n');
	return r < 0 ? r : table_print(t, l, true, 0, 80, out);
}

int verb_status(struct ctl *c)
{
	static int (*const parts[])(const cJSON *, const struct look *, struct buf *) = {print_head, print_spool,
		print_ledger, print_counts, print_lights, print_scanner, print_cost, print_budget, print_route, print_backends, print_watches};
	struct client_reply reply = {};
	_cleanup_buf_ struct buf out = {};
	int r = ctl_call_take(c, "io.pageferry.Status", NULL, &reply);

	if (r != EXIT_WELL)
		return r;
	if (c->options.json) {
		r = ctl_put_json(reply.parameters);
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
			if (parts[i](reply.parameters, &c->look, &out) < 0)
				r = EXIT_PAGE_FAILED;
		if (r == EXIT_WELL)
			r = ctl_put(&out);
	}
	client_reply_clear(&reply);
	return r;
}
