/* One page from planes to a finished JPEG: decode -> scale -> upright -> encode -> emit, a band at a time. */
#pragma once

#include "capture/emit.h"
#include "capture/image.h"
#include "capture/orient.h"
#include "capture/quad.h"

#define MAX_SIDE_DEFAULT 2048
#define MAX_SIDE_MIN     16
#define MAX_SIDE_MAX     16384
#define QUALITY_DEFAULT  85

/* Another picture of the page, which the crop was seen on. */
struct crop_of {
	uint32_t width, height; /* pixels; 0: there is none */
	bool has_corners;
	struct point corner[4]; /* where its corners lie on this one, upright, from the top left clockwise; else they are this one's */
};

struct convert_options {
	uint32_t max_side; /* of the result, pixels; a page is never made larger */
	int quality;
	unsigned int rotate; /* quarters clockwise, after the EXIF orientation */
	bool square;         /* lay the page straight and cut it out of its frame, where that is certain; not with a crop */
	struct flatten_options flatten;
	bool has_crop;
	struct orient_rect crop; /* of the upright page, in its own pixels or in those of `crop_of` */
	struct crop_of crop_of;
	struct image_limits limits;
	struct sense_options sense; /* off unless asked for */
	bool original;              /* what came from the source goes beside the page (capture/original.h) */
};
#define CONVERT_OPTIONS_DEFAULT                                                                              \
	((struct convert_options){                                                                           \
		.max_side = MAX_SIDE_DEFAULT, .quality = QUALITY_DEFAULT, .limits = IMAGE_LIMITS_DEFAULT})

/* What will be done with a page, decided from its header. */
struct convert_plan {
	struct orient orient;
	struct orient_rect crop;        /* of the stored picture */
	uint32_t width, height;         /* of the result as stored, before it is turned */
	uint32_t out_width, out_height; /* of the result */
	unsigned int eighths;
};
int convert_plan(const struct image *im, const struct convert_options *o, struct convert_plan *ret,
	struct reject *why);

/* Encodes the page into `e`: page, data..., page_end. info: index, name and us.grab/open/total (so far) set
 * by the caller. 0; -EBADMSG: why says what is wrong with the page (perhaps after `page` was sent: send a
 * reject); or an error that ends the run. */
int page_convert(struct image *im, const struct convert_options *o, struct page_info *info, struct emit *e,
	struct reject *why);
