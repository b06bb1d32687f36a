/* White text on a dark bar (a table's head) is black on white after this; the rest of the page stays as it
 * is. */
#pragma once

#include "ocr/grey.h"

/* In place. 0 or -ENOMEM. */
int grey_flatten(struct grey *g);
/* Paints a box over with its surroundings' usual grey, so that it is not read again. */
void grey_erase(struct grey *g, int x, int y, int w, int h);
