/* Where pages come from. A source is named "SCHEME:WHERE"; each scheme is a file of its own with a struct
 * page_source_ops. */
#pragma once

#include "capture/emit.h"
#include "capture/glance.h"
#include "capture/image.h"

struct page_source;

#define SOURCE_CONTROLS_SIZE 512

typedef void (*source_notice_fn)(void *ud, const char *control, const char *problem);
struct source_options {
	const char *controls;    /* of a camera: "name=value name=value"; "": none */
	source_notice_fn notice; /* told of controls that cannot be set; may be NULL */
	void *notice_ud;
	struct image_limits limits; /* larger frames are not asked for, larger pictures not looked at */
};
#define SOURCE_OPTIONS_DEFAULT ((struct source_options){.controls = "", .limits = IMAGE_LIMITS_DEFAULT})

/* One page as it comes, borrowed from the source until the next call. */
struct page_item {
	char name[256];
	struct input *input;    /* encoded, or NULL: then */
	struct raw_frame frame; /* a raw frame */
	int64_t grab_us;
	struct page_grab grab;
};

struct page_source_ops {
	const char *scheme; /* "replay" */
	/* -EBADMSG with why: nothing can come from there. */
	int (*open)(const char *where, const struct source_options *o, struct page_source **ret, struct reject *why);
	/* 1 and a page; 0: no more; -EBADMSG with why: this page (ret->name) gave nothing, ask again for the
	 * others. */
	int (*next)(struct page_source *s, struct page_item *ret, struct reject *why);
	/* Another scan: next() gives pages again; after a glance the page that was seen. */
	void (*again)(struct page_source *s);
	/* The next frame at a glance, for those who wait for a page. 1; 0: no more will come; or as next(). */
	int (*glance)(struct page_source *s, struct glance *ret, struct reject *why);
	void (*close)(struct page_source *s);
};

/* The start of every source. */
struct page_source {
	const struct page_source_ops *ops;
};

int source_open(const char *name, const struct source_options *o, struct page_source **ret, struct reject *why);
void source_close(struct page_source *s); /* NULL is fine */

extern const struct page_source_ops replay_source;
extern const struct page_source_ops v4l2_source;
