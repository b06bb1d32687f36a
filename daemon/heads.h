/*
 * Signed heads of the chain of receipts: every 100 receipts, after an hour, and at the end what there is is signed by the device's
 * key (docs/architecture.md, "Receipts"). What is signed is followed first: a chain that does not hold is not vouched for. The key
 * is made at the first need, in the spool's folder, and never written over. Steps HEAD_* of base/step.h.
 */
#pragma once

#include "daemon/spool.h"

#define HEAD_KEY_FILE "receipts.key"

struct heads;
int heads_new(struct spool *s, struct heads **ret);
void heads_free(struct heads *h); /* NULL is fine */
/* A slice: signs when it is time, or (`now`) whatever is not signed. 1: call again, 0: nothing is left to do, negative errno:
 * it cannot be signed, which was said. */
int heads_step(struct heads *h, bool now);
