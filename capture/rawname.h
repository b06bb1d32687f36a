/* Files of raw frames, whose names tell what is in them. */
#pragma once

#include "capture/image.h"

/* Does it end like a raw frame's? */
bool rawname_is_raw(const char *name);
/* Everything but the planes, from the file's name without its folder. */
int rawname_parse(const char *name, struct raw_frame *ret, struct reject *why);
