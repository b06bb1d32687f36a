/* A run: pages from a source, or one page from an input, through the pipeline into an emitter. */
#pragma once

#include "capture/pipeline.h"
#include "capture/source.h"

struct run_counts {
	unsigned int pages, rejected;
	bool failed; /* the run as a whole gave nothing: `end` said so */
};

/* For runs of more than one scan. */
struct run_stay {
	/* After the pages of a scan: is there to be another from the source that is open? 1; 0; -EBADMSG with why: the
	 * source gives nothing more; or negative errno. */
	int (*wait)(void *ud, struct page_source *s, struct reject *why);
	void *ud;
	bool wait_first; /* before the first one too */
};

/* Both send `end` unless nobody listens. 0, or the negative errno that ended the run. */
int run_source(const char *source, const struct source_options *so, const struct convert_options *o,
	const struct run_stay *stay, struct emit *e, struct run_counts *ret); /* stay: NULL for one scan */
int run_input(struct input *in, const char *name, const struct convert_options *o, struct emit *e,
	struct run_counts *ret);
/* A run that ends before it began. */
int run_refuse(struct emit *e, const char *reason, const char *message);
