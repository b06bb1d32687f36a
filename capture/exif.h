/* The one thing we want from EXIF: which way up the picture is. */
#pragma once

#include "base/util.h"

/* The orientation, 1 to 8, from a TIFF structure (what follows "Exif\0\0" in APP1); 1 when it says nothing
 * usable. */
unsigned int exif_orientation(const uint8_t *tiff, size_t len);
