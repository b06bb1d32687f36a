/*
 * One plane, made smaller with Lanczos3 in integers, over a ring of rows: memory does not depend on the height.
 * Down first, with weights of 10 bits, to 7 fraction bits; then across, eight rows at once, with weights of 14
 * bits (capture/kernels.h).
 */
#pragma once

#include "capture/window.h"

typedef int (*scale_row_fn)(void *ud, unsigned int tag, const uint8_t *row);

struct kernels;
struct scaler;
/* `fn` is called for each row of the result, in order; what it returns below 0 comes back from the push. */
int scaler_new(const struct scale_axis *x, const struct scale_axis *y, scale_row_fn fn, void *ud, unsigned int tag,
	struct scaler **ret);
/* The same with a set of kernels other than the best. */
int scaler_new_on(const struct kernels *k, const struct scale_axis *x, const struct scale_axis *y, scale_row_fn fn,
	void *ud, unsigned int tag, struct scaler **ret);
/* The next row of x->in samples. Rows that no window needs are passed over. */
int scaler_push(struct scaler *s, const uint8_t *row);
/* True when all rows of the result were given. */
bool scaler_done(const struct scaler *s);
void scaler_free(struct scaler *s); /* NULL is fine */
