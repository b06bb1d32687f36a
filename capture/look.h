/* Pictures at a glance. */
#pragma once

#include "capture/glance.h"
#include "capture/image.h"

/* 0, or -EBADMSG: it is not whole. */
int look_at_raw(const struct raw_frame *f, struct glance *ret, struct reject *why);
/* All of it is decoded, though as small as the decoder can: what is damaged anywhere shows. */
int look_at_encoded(struct input *in, const struct image_limits *limits, struct glance *ret, struct reject *why);
