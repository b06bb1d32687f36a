#include "capture/source.h"

static const struct page_source_ops *const sources[] = {&v4l2_source, &replay_source};

int source_open(const char *name, const struct source_options *o, struct page_source **ret, struct reject *why)
{
	const char *colon = strchr(name, ':');
	size_t len = colon ? (size_t)(colon - name) : 0;

	for (size_t i = 0; colon && i < ARRAY_SIZE(sources); i++)
		if (strlen(sources[i]->scheme) == len && memcmp(sources[i]->scheme, name, len) == 0)
			return sources[i]->open(colon + 1, o, ret, why);
	return reject_set(why, REJECT_NO_DEVICE,
		"no such source: \"%s\"; expected v4l2:DEVICE, v4l2:auto or replay:PATH", name);
}

void source_close(struct page_source *s)
{
	if (s)
		s->ops->close(s);
}
