/*
 * One plane, made smaller with Lanczos3 in fixed point, over a ring of rows: memory does not depend on the
 * height. Vertical first: 8-bit samples (as Q7) times Q15 weights, high half kept, which gives Q6 (in some
 * cases Q14 and Q5); then horizontal with Q14 weights in 32 bits. Windows are cut at the plane's edges and
 * their weights made to sum to one again.
 */
#pragma once

#include "base/util.h"

/* Sample i of the result has its centre at origin + (i + 0.5) * step, in samples of the input. */
struct scale_axis {
	uint32_t in, out;
	double origin, step;
};

typedef int (*scale_row_fn)(void *ud, unsigned int tag, const uint8_t *row);

struct scaler;
/* `fn` is called for each row of the result, in order; what it returns below 0 comes back from the push. */
int scaler_new(const struct scale_axis *x, const struct scale_axis *y, scale_row_fn fn, void *ud,
	unsigned int tag, struct scaler **ret);
/* The next row of x->in samples. Rows that no window needs are passed over. */
int scaler_push(struct scaler *s, const uint8_t *row);
/* True when all rows of the result were given. */
bool scaler_done(const struct scaler *s);
void scaler_free(struct scaler *s); /* NULL is fine */
