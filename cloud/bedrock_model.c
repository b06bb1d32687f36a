/* What is known of a model by its id. Sources: Amazon Nova user guide, "Image understanding"; Anthropic, "Vision"; Bedrock
 * API reference, "Converse". */
#include "cloud/bedrock_internal.h"

#define NOVA_REQUEST   UINT64_C(25000000)
#define CLAUDE_REQUEST UINT64_C(20000000)
#define IMAGE_MAX      UINT64_C(3750000)
#define IMAGES_MAX     20
#define SIDE_MAX       8000
#define OUTPUT_ANY     65536

/* By a part of the id: profiles and ARNs of system-defined models have it too. First match wins. */
static const struct {
	const char *part;
	enum bedrock_family family;
	int64_t output_tokens;
} known[] = {
	{"amazon.nova-", FAMILY_NOVA, 5000},
	{"anthropic.claude-3-5-", FAMILY_CLAUDE, 8192},
	{"anthropic.claude-3-7-", FAMILY_CLAUDE, 64000},
	{"anthropic.claude-3-", FAMILY_CLAUDE, 4096},
	{"anthropic.claude-", FAMILY_CLAUDE, 64000},
};

bool bedrock_is_flex(const struct bedrock_config *c, const struct job *j)
{
	return j->backlog && c->backlog_tier == BEDROCK_FLEX;
}

static enum bedrock_api form_of(enum bedrock_family f)
{
	return f == FAMILY_NOVA ? BEDROCK_NOVA : f == FAMILY_CLAUDE ? BEDROCK_CLAUDE : BEDROCK_CONVERSE;
}

bool bedrock_api_fits(const struct bedrock_config *c)
{
	enum bedrock_api api = (enum bedrock_api)c->api;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strstr(c->model, known[i].part))
			return api == BEDROCK_AUTO || api == BEDROCK_CONVERSE || api == form_of(known[i].family);
	}
	return true;
}

void bedrock_model_of(const struct bedrock_config *c, struct bedrock_model *ret)
{
	struct bedrock_model m = {.api = (enum bedrock_api)c->api, .family = FAMILY_OTHER};

	m.limits = (struct bedrock_limits){CLAUDE_REQUEST, IMAGE_MAX, IMAGES_MAX, SIDE_MAX, OUTPUT_ANY};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!strstr(c->model, known[i].part))
			continue;
		m.family = known[i].family;
		m.limits.output_tokens = known[i].output_tokens;
		break;
	}
	/* an ARN that says nothing of its model: the form that the operator named does */
	if (m.family == FAMILY_OTHER && m.api == BEDROCK_NOVA) {
		m.family = FAMILY_NOVA;
		m.limits.output_tokens = 5000;
	} else if (m.family == FAMILY_OTHER && m.api == BEDROCK_CLAUDE) {
		m.family = FAMILY_CLAUDE;
	}
	if (m.api == BEDROCK_AUTO)
		m.api = form_of(m.family);
	if (m.family == FAMILY_NOVA) {
		m.limits.request_bytes = NOVA_REQUEST;
		if (m.api == BEDROCK_NOVA)
			m.limits.image_bytes = NOVA_REQUEST;
	}
	*ret = m;
}

static uint64_t patches(uint64_t w, uint64_t h, uint64_t side)
{
	return ((w + side - 1) / side) * ((h + side - 1) / side);
}

/*
 * Nova: its published estimates are 1.5 to 2 tokens a thousand pixels (900x450: 800, 1300x1300: 2600); two a thousand and
 * a thousand more holds for all of them. Claude: a token for 28 by 28 pixels or for 750 of them, whichever is published for
 * the model; both, the larger taken and a tenth added; that large images are scaled down is not counted on. Others: patches
 * of 16 by 16 pixels, and 2000 more.
 */
uint64_t bedrock_image_tokens(enum bedrock_family f, const struct job_image *i)
{
	uint64_t w = i->width ? i->width : 2048, h = i->height ? i->height : 2048, n;

	switch (f) {
	case FAMILY_NOVA:
		return w * h / 500 + 1000;
	case FAMILY_CLAUDE:
		n = MAX(w * h / 750, patches(w, h, 28));
		return n + n / 10 + 100;
	case FAMILY_OTHER:
		break;
	}
	return patches(w, h, 16) + 2000;
}
