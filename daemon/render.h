/*
 * Renderings: what a backend gets in a page's place when the page as it was accepted is not for it: smaller, or with its light
 * evened out. The capture helper makes them (transcode), beside the loop; they lie in memory without a name and go with their
 * descriptor, so that nothing of them is left by a crash. The page in the spool stays as it was accepted.
 */
#pragma once

#include "base/crypto.h"
#include "daemon/service.h"
#include "extract/extractor.h"

#define RENDERING_MAX ((uint64_t)8 << 20) /* bytes of one */

/* Below these letters cannot be read any more: pixels of the longer and of the shorter side (A4 at 87 dpi). */
#define RENDER_LONG_MIN  1024
#define RENDER_SHORT_MIN 720

struct render_how {
	uint32_t max_side; /* pixels */
	int quality;
	bool flatten, contrast;
	uint64_t max_bytes; /* of what comes; 0: RENDERING_MAX */
	/* Of the original beside a page: what lies here on the page. */
	bool cut;
	uint32_t x, y, width, height, page_width, page_height; /* pixels of the page */
	int64_t rotate;    /* degrees, as when the page was made of it */
	const cJSON *quad; /* where the page's corners lie on it; NULL: they are its own */
};

/* How large and how good the page is at a step: 0 as it was accepted, 1 less good, then smaller by three tenths each, to the
 * least that can be read. False: there is no such step. Pure. */
bool render_step(const struct job_image *page, int quality, unsigned int step, struct render_how *ret);

struct rendering {
	struct job_image image; /* fd is the rendering's own; -1: there is none */
	char sha256[SHA256_HEX_SIZE];
	cJSON *sense; /* owned: what the helper says it did; NULL: nothing */
};
#define RENDERING_NONE ((struct rendering){.image.fd = -1})
void rendering_clear(struct rendering *r);

struct render;
/* Called once, from the loop. 0 and the rendering, which is the callee's from then on; or negative errno and why, for people:
 * -EMSGSIZE: it is over max_bytes. */
typedef void (*render_done_fn)(void *ud, int error, const char *why, struct rendering *r);
/* `page` is as accepted; its descriptor is borrowed until the end. */
int render_start(struct service *s, const struct job_image *page, const struct render_how *how, render_done_fn done, void *ud,
	struct render **ret);
void render_cancel(struct render *r); /* without calling back; NULL is fine */
