/* Where pages may go, and why: each backend's sink in the guard's words. */
#include "cloud/guard.h"
#include "daemon/doctor.h"
#include "daemon/resolver.h"

static void ask(struct doctor *d, struct service *s, const struct backend_config *b)
{
	if (doctor_live(d))
		doctor_bedrock(d, s, b);
	if (doctor_paid(d))
		doctor_ask(d, s, b);
}

/* What only AWS can say, and has said or not. */
static void examine_resolved(struct doctor *d, struct service *s, const struct backend_config *b)
{
	char text[2300];
	bool well;

	if (!resolver_tell(s->resolver, b, &well, text, sizeof(text)))
		return;
	doctor_add(d, "residency", well ? FINDING_OK : FINDING_PROBLEM, well ? NULL : "pages wait until AWS says so; pageferryctl doctor --residency asks now",
		"backend %s: %s", b->name, text);
	ask(d, s, b);
}

static void examine_backend(struct doctor *d, struct service *s, const struct backend_config *b)
{
	_cleanup_buf_ struct buf url = {};
	struct guard_question q;
	struct guard_policy p;
	enum guard_answer a;
	char why[512];

	if (b->kind == KIND_OCR) {
		doctor_add(d, "residency", FINDING_OK, NULL, "backend %s: a program on this machine; pages do not leave it", b->name);
		return;
	}
	config_guard_policy(&s->config, &p);
	if (config_guard_page(b, &q, &url) < 0) {
		doctor_add(d, "residency", FINDING_PROBLEM, NULL, "backend %s: out of memory", b->name);
		return;
	}
	a = guard_check(&p, &q, why, sizeof(why));
	if (a == GUARD_NEEDS_RESOLVE) {
		examine_resolved(d, s, b);
		return;
	}
	doctor_add(d, "residency", a == GUARD_ALLOW ? FINDING_OK : FINDING_PROBLEM,
		a == GUARD_ALLOW ? NULL : "nothing is sent there; name what the sentence says instead", "backend %s: %s", b->name, why);
	if (b->kind == KIND_BEDROCK)
		ask(d, s, b);
}

void doctor_residency(struct doctor *d, struct service *s)
{
	if (s->config.lab)
		doctor_add(d, "residency", FINDING_WARNING, "remove Lab=yes from [Service] before real pages are scanned",
			"Lab=yes: loopback may stand in for AWS");
	doctor_add(d, "residency", FINDING_NOTE, NULL, "pages may be read in %s",
		s->config.melbourne ? "Sydney and Melbourne" : "Sydney only");
	for (size_t i = 0; i < s->config.n_backends; i++)
		examine_backend(d, s, &s->config.backends[i]);
}
