/* What the service finds of itself, worst news marked. */
#include "ctl/ctl.h"

static enum style style_of(const char *level)
{
	return streq(level, "ok")        ? STYLE_GOOD
	       : streq(level, "note")    ? STYLE_PLAIN
	       : streq(level, "warning") ? STYLE_WARN
					 : STYLE_BAD;
}

static int print_finding(const cJSON *f, const struct look *l, struct buf *out)
{
	const char *level = text_of(f, "level"), *advice = json_get_string(f, "advice");
	int r = format_styled(out, l, style_of(level), level);

	if (r >= 0)
		r = buf_addf(out, "%*s", (int)(9 - MIN(strlen(level), 8)), "");
	if (r >= 0)
		r = format_styled(out, l, STYLE_DIM, text_of(f, "area"));
	if (r >= 0)
		r = buf_adds(out, ": ");
	if (r >= 0)
		r = format_text(out, l, text_of(f, "what"), 0);
	if (r >= 0 && advice)
		r = buf_adds(out, "\n         -> ");
	if (r >= 0 && advice)
		r = format_text(out, l, advice, 0);
	return r < 0 ? r : buf_addc(out, '\n');
}

/* Puts them; the code: is one a problem? */
static int put_findings(struct ctl *c, const cJSON *reply)
{
	const cJSON *findings = json_get_array(reply, "findings"), *f;
	_cleanup_buf_ struct buf out = {};
	int code = EXIT_WELL, r;

	cJSON_ArrayForEach (f, findings) {
		if (streq(text_of(f, "level"), "problem"))
			code = EXIT_PAGE_FAILED;
		if (!c->options.json && print_finding(f, &c->look, &out) < 0)
			return EXIT_PAGE_FAILED;
	}
	r = c->options.json ? ctl_put_json(reply) : ctl_put(&out);
	return r == EXIT_WELL ? code : r;
}

static int add_areas(struct ctl *c, cJSON *parameters)
{
	cJSON *areas;

	if (!c->options.n_args && !c->options.residency)
		return 0;
	areas = cJSON_AddArrayToObject(parameters, "areas");
	for (size_t i = 0; i < c->options.n_args && areas; i++)
		if (!cJSON_AddItemToArray(areas, cJSON_CreateString(c->options.args[i])))
			return -ENOMEM;
	if (c->options.residency && !cJSON_AddItemToArray(areas, cJSON_CreateString("residency")))
		return -ENOMEM;
	return areas ? 0 : -ENOMEM;
}

int verb_doctor(struct ctl *c)
{
	cJSON *parameters;
	struct client_reply reply = {};
	int r;

	if (c->options.ask && !c->options.residency) {
		ctl_say("--ask goes with --residency");
		return EXIT_USAGE;
	}
	parameters = cJSON_CreateObject();
	r = parameters ? add_areas(c, parameters) : -ENOMEM;
	if (r >= 0 && c->options.residency)
		r = json_add_bool(parameters, "live", true);
	if (r >= 0 && c->options.ask)
		r = json_add_bool(parameters, "ask", true);
	if (r < 0) {
		cJSON_Delete(parameters);
		return EXIT_PAGE_FAILED;
	}
	r = ctl_call_take(c, "io.pageferry.Doctor", parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	r = put_findings(c, reply.parameters);
	client_reply_clear(&reply);
	return r;
}
