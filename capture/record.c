#include "capture/record.h"

#include <math.h>

#include "capture/square.h"

/* Two decimals are enough for people and machines. */
static int add_rounded(cJSON *j, const char *name, double v)
{
	return json_add_take(j, name, cJSON_CreateNumber(round(v * 100) / 100));
}

static int corners_json(const struct square_plan *p, cJSON **ret)
{
	cJSON *all = cJSON_CreateArray();
	int r = all ? 0 : -ENOMEM;

	for (int i = 0; i < 8 && r >= 0; i++) {
		const struct point *c = &p->corner[i / 2];
		cJSON *n = cJSON_CreateNumber(round((i % 2 ? c->y : c->x) * 10) / 10);

		r = n && cJSON_AddItemToArray(all, n) ? 0 : -ENOMEM;
	}
	if (r < 0)
		cJSON_Delete(all);
	else
		*ret = all;
	return r;
}

static int square_json(const struct square_plan *p, cJSON **ret)
{
	static const char *const names[] = {"nothing", "cropped", "deskewed"};
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *corners = NULL;
	int r = j ? json_add_string(j, "done", names[p->done]) : -ENOMEM;

	if (p->why)
		r = r < 0 ? r : json_add_string(j, "why", p->why);
	if (p->lines)
		r = r < 0 ? r : json_add_string(j, "lines", p->lines);
	r = r < 0 ? r : add_rounded(j, "certainty", p->done == SQUARE_DESKEWED ? p->lines_certainty : p->certainty);
	if (p->done != SQUARE_NOTHING) {
		r = r < 0 ? r : add_rounded(j, "angle", p->angle);
		r = r < 0 ? r : corners_json(p, &corners);
		r = r < 0 ? r : json_add_take(j, "quad", corners);
	}
	if (r >= 0)
		*ret = take_ptr(j);
	return r;
}

static int flatten_json(const struct flatten_options *asked, const struct flatten_result *f, cJSON **ret)
{
	const int paper[2] = {(int)f->darkest, (int)f->brightest}, cast[2] = {f->cast_b, f->cast_r};
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = j ? 0 : -ENOMEM;

	if (asked->flatten) {
		r = r < 0 ? r : json_add_take(j, "paper", cJSON_CreateIntArray(paper, 2));
		r = r < 0 ? r : json_add_take(j, "cast", cJSON_CreateIntArray(cast, 2));
	}
	if (asked->contrast)
		r = r < 0 ? r : add_rounded(j, "gain", f->gain);
	if (r >= 0)
		*ret = take_ptr(j);
	return r;
}

int record_done(const struct page_info *p, cJSON **ret)
{
	_cleanup_json_ cJSON *j = NULL;
	bool flattened = p->flatten_asked.flatten || p->flatten_asked.contrast;
	cJSON *square = NULL, *flatten = NULL;
	int r;

	if (!p->square && !flattened)
		return 0;
	j = cJSON_CreateObject();
	r = j ? 0 : -ENOMEM;
	if (p->square) {
		r = r < 0 ? r : square_json(p->square, &square);
		r = r < 0 ? r : json_add_take(j, "square", square);
	}
	if (flattened) {
		r = r < 0 ? r : flatten_json(&p->flatten_asked, &p->flatten, &flatten);
		r = r < 0 ? r : json_add_take(j, "flatten", flatten);
	}
	if (r < 0)
		return r;
	*ret = take_ptr(j);
	return 1;
}
