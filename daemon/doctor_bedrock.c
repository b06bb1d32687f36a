/* Asks Bedrock's control plane about a backend's model, for pageferryctl doctor --residency: no page, no cost. */
#include "base/log.h"
#include "cloud/bedrock_control.h"
#include "daemon/bedrock_ask.h"
#include "daemon/doctor.h"

#define AREA "residency"

/* One question on its way. */
struct bedrock_look {
	struct bedrock_look *next;
	struct doctor *doctor; /* held */
	struct service *service;
	const struct backend_config *backend;
	bool guardrail; /* it is asked about, not the model */
	struct bedrock_ask *ask;
};

static const char *subject(const struct bedrock_look *l)
{
	return l->guardrail ? l->backend->bedrock.guardrail : l->backend->model;
}

static void look_end(struct bedrock_look *l)
{
	struct bedrock_look **at = &l->service->looks;
	struct doctor *d = l->doctor;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
	doctor_release(d);
}

void doctor_bedrock_end(struct service *s)
{
	while (s->looks) {
		bedrock_ask_cancel(s->looks->ask);
		look_end(s->looks);
	}
}

static void tell_refusal(struct bedrock_look *l, const struct reply *r)
{
	const char *name = l->backend->name, *what = subject(l);

	if (r->status == 403)
		doctor_add(l->doctor, AREA, FINDING_WARNING,
			"allow bedrock:GetFoundationModel, bedrock:GetInferenceProfile and bedrock:GetGuardrail to these credentials; configs/iam has "
			"the policy",
			"backend %s: AWS does not let these credentials ask about %s (403)", name, what);
	else if (r->status == 404)
		doctor_add(l->doctor, AREA, FINDING_PROBLEM, "name one that there is in this region",
			"backend %s: %s knows no %s (404)", name, l->backend->bedrock.region, what);
	else
		doctor_add(l->doctor, AREA, FINDING_WARNING, "ask again later", "backend %s: %s answers %d about %s", name,
			l->backend->bedrock.region, r->status, what);
}

static bool proves(const struct bedrock_look *l, const struct reply *r, char *why, size_t why_size)
{
	const struct bedrock_config *b = &l->backend->bedrock;
	struct bedrock_leads leads;
	struct guard_policy p;

	config_guard_policy(&l->service->config, &p);
	if (l->guardrail)
		return bedrock_guardrail_stays(b->region, b->guardrail, b->guardrail_version, r->body, r->len, &leads, why, why_size);
	if (bedrock_is_profile(b->model))
		return bedrock_profile_stays(&p, b->model, r->body, r->len, &leads, why, why_size);
	return bedrock_model_served(b->model, r->body, r->len, why, why_size);
}

static void on_reply(void *ud, const struct reply *r)
{
	struct bedrock_look *l = ud;
	char why[1400];
	bool well;

	l->ask = NULL;
	if (r->error != TRANSPORT_OK) {
		doctor_add(l->doctor, AREA, FINDING_PROBLEM, "look at the network, names and certificates on the way to AWS",
			"backend %s: AWS cannot be asked about %s: %s", l->backend->name, subject(l), r->detail);
	} else if (r->status != 200) {
		tell_refusal(l, r);
	} else {
		doctor_add(l->doctor, AREA, FINDING_NOTE, NULL, "backend %s: bedrock in %s answers at %s, certificate %.16s",
			l->backend->name, l->backend->bedrock.region, r->address, r->peer_sha256);
		well = proves(l, r, why, sizeof(why));
		doctor_add(l->doctor, AREA, well ? FINDING_OK : FINDING_PROBLEM,
			well ? NULL : l->guardrail ? "name another guardrail, in Guardrail= of the backend" : "name another model, in Model= of the backend",
			"backend %s: AWS says that %s", l->backend->name, why);
	}
	look_end(l);
}

static int url_of(const struct bedrock_config *b, bool guardrail, char **ret)
{
	_cleanup_buf_ struct buf url = {};
	int r = guardrail ? bedrock_guardrail_url(b->region, b->guardrail, b->guardrail_version, &url)
			  : bedrock_control_url(b->region, b->model, &url);

	if (r < 0)
		return r;
	*ret = buf_take(&url);
	return *ret ? 0 : -ENOMEM;
}

static void look_at(struct doctor *d, struct service *s, const struct backend_config *b, bool guardrail)
{
	struct bedrock_look *l = calloc(1, sizeof(*l));
	char why[320] = "", *url = NULL;
	int r = l ? url_of(&b->bedrock, guardrail, &url) : -ENOMEM;

	if (r >= 0) {
		*l = (struct bedrock_look){.doctor = d, .service = s, .backend = b, .guardrail = guardrail};
		r = bedrock_ask(s, b, url, on_reply, l, &l->ask, why, sizeof(why));
	}
	if (r >= 0) {
		doctor_hold(d);
		l->next = s->looks;
		s->looks = l;
		return;
	}
	free(l);
	if (r == -EINVAL && !url) /* what runs in its own region, as the guard has said */
		return;
	doctor_add(d, AREA, FINDING_WARNING, "mend what it says, then ask again; pageferryctl status has more", "backend %s: AWS cannot be asked about %s: %s",
		b->name, guardrail ? b->bedrock.guardrail : b->model, why[0] ? why : errno_text(r));
}

void doctor_bedrock(struct doctor *d, struct service *s, const struct backend_config *b)
{
	look_at(d, s, b, false);
	if (b->bedrock.guardrail[0])
		look_at(d, s, b, true);
}
