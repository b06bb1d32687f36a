#include "daemon/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "daemon/methods.h"

#define FINDINGS_MAX 500

struct doctor {
	cJSON *findings; /* owned; NULL: memory ran out */
	size_t held;
	bool live, paid;
	doctor_done_fn done; /* NULL: nobody waits any more */
	void *ud;
};

static const char *level_name(enum finding_level l)
{
	static const char *const names[] = {
		[FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_WARNING] = "warning", [FINDING_PROBLEM] = "problem"};

	return names[l];
}

static int finding_json(const char *area, enum finding_level level, const char *what, const char *advice, cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || json_add_string(j, "area", area) < 0 || json_add_string(j, "level", level_name(level)) < 0 ||
		json_add_safe(j, "what", what) < 0 || (advice && json_add_safe(j, "advice", advice) < 0))
		return -ENOMEM;
	*ret = take_ptr(j);
	return 0;
}

void doctor_add(struct doctor *d, const char *area, enum finding_level level, const char *advice, const char *what_fmt, ...)
{
	char what[1024];
	cJSON *j = NULL;
	va_list ap;

	if (!d->findings || cJSON_GetArraySize(d->findings) >= FINDINGS_MAX)
		return;
	va_start(ap, what_fmt);
	vsnprintf(what, sizeof(what), what_fmt, ap);
	va_end(ap);
	if (finding_json(area, level, what, advice, &j) < 0 || !cJSON_AddItemToArray(d->findings, j)) {
		cJSON_Delete(j);
		cJSON_Delete(d->findings);
		d->findings = NULL;
	}
}

bool doctor_live(const struct doctor *d)
{
	return d->live;
}

bool doctor_paid(const struct doctor *d)
{
	return d->paid;
}

void doctor_hold(struct doctor *d)
{
	d->held++;
}

void doctor_release(struct doctor *d)
{
	if (--d->held > 0)
		return;
	if (d->done)
		d->done(d->ud, take_ptr(d->findings));
	cJSON_Delete(d->findings);
	free(d);
}

void doctor_cancel(struct doctor *d)
{
	if (d)
		d->done = NULL; /* what it asked others for may still come; the last one frees it */
}

static bool is_wanted(const cJSON *areas, const char *area)
{
	const cJSON *j;

	cJSON_ArrayForEach (j, areas)
		if (streq(j->valuestring, area))
			return true;
	return !areas;
}

static const char *unknown_area(const cJSON *areas)
{
	const cJSON *j;

	cJSON_ArrayForEach (j, areas) {
		const struct doctor_section *s = doctor_sections;

		while (s->area && !streq(s->area, j->valuestring))
			s++;
		if (!s->area)
			return j->valuestring;
	}
	return NULL;
}

int doctor_start(struct service *s, const struct doctor_options *o, doctor_done_fn done, void *ud, struct doctor **ret,
	const char **ret_wrong)
{
	struct doctor *d;

	*ret_wrong = unknown_area(o->areas);
	if (*ret_wrong)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	*d = (struct doctor){.findings = cJSON_CreateArray(), .live = o->live, .paid = o->paid, .done = done, .ud = ud};
	*ret = d; /* before any answer: who is called back knows it */
	doctor_hold(d);
	for (const struct doctor_section *x = doctor_sections; x->area; x++)
		if (is_wanted(o->areas, x->area))
			x->examine(d, s);
	doctor_release(d);
	return 0;
}

/* ---- the method ---------------------------------------------------------------------------------------------------------- */

static void on_findings(void *ud, cJSON *findings)
{
	struct pending *p = ud;
	struct control *c = p->control;
	struct varlink_conn *conn = p->conn;
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	int r = findings ? json_add_take(j, "findings", findings) : -ENOMEM;

	p->doctor = NULL;
	pending_free(c, p);
	control_reply_take(conn, r, take_ptr(j));
}

static void no_such_area(struct varlink_conn *conn, const char *area)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *known = cJSON_AddArrayToObject(j, "known");

	if (!known || json_add_safe(j, "area", area) < 0) {
		varlink_drop(conn);
		return;
	}
	for (const struct doctor_section *x = doctor_sections; x->area; x++)
		cJSON_AddItemToArray(known, cJSON_CreateString(x->area));
	varlink_error_take(conn, INTERFACE ".NoSuchArea", take_ptr(j));
}

void method_doctor(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	struct doctor_options o = {.areas = json_get_array(call->parameters, "areas")};
	const char *wrong = NULL;
	struct pending *p;

	json_get_bool(call->parameters, "live", &o.live);
	json_get_bool(call->parameters, "ask", &o.paid);
	if ((o.live || o.paid) && !control_require(conn, control_rights(c, varlink_peer_of(conn)), RIGHT_SUBMIT))
		return;
	p = pending_new(c, conn, call, PENDING_DOCTOR);
	if (!p) {
		varlink_drop(conn);
		return;
	}
	if (doctor_start(c->service, &o, on_findings, p, &p->doctor, &wrong) >= 0)
		return;
	pending_free(c, p);
	if (wrong)
		no_such_area(conn, wrong);
	else
		varlink_drop(conn);
}
