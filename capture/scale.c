#include "capture/scale.h"

#include <math.h>

#include "capture/hot.h"
#include "capture/kernels.h"

#define BOX_MAX 4096 /* 4096 squared samples of 255 fill 32 bits */

struct scaler {
	const struct kernels *k;
	struct scale_axis ax, ay; /* after the boxes; of ax, only the samples that are looked at */
	struct windows wx, wy;
	bool keep_x, keep_y; /* nothing to do on that axis */
	scale_row_fn fn;
	void *ud;
	unsigned int tag;
	uint32_t first; /* sample of a row that is looked at */
	size_t stride;  /* of rows in slots and in `mid` */
	uint32_t n_slots;
	uint8_t *ring;    /* n_slots pairs of rows */
	uint8_t *upper;   /* the upper row of a pair, until the lower one is there */
	int16_t *mid;     /* KERNEL_ROWS rows that went down */
	uint32_t waiting; /* of them filled */
	uint8_t *out;     /* KERNEL_ROWS rows of the result */
	size_t out_stride;
	uint32_t seen, given; /* rows pushed (after the boxes), rows of the result */
	/* Boxes of `box` x `box` pixels averaged first; 1: none. */
	uint32_t box, box_rows, in_width, in_height, in_seen;
	uint32_t *sums;
	uint8_t *boxed;
};

/* ---- one axis alone ------------------------------------------------------------------------------ */
HOT static void widen(int16_t *restrict to, const uint8_t *restrict row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (int16_t)((row[i] - 128) * (1 << DOWN_BITS));
}

HOT static void narrow(uint8_t *restrict out, const int16_t *restrict mid, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int v = ((mid[i] + (1 << (DOWN_BITS - 1))) >> DOWN_BITS) + 128;

		out[i] = (uint8_t)CLAMP(v, 0, 255);
	}
}

/* ---- rows ---------------------------------------------------------------------------------------- */
static int give(struct scaler *s, const uint8_t *row)
{
	s->given++;
	return s->fn(s->ud, s->tag, row);
}

static int16_t *next_mid(struct scaler *s)
{
	return s->mid + s->waiting * s->stride;
}

/* One more row went down: they go across when there are enough of them, or no more to come. */
static int went_down(struct scaler *s)
{
	int r = 0;

	if (s->keep_x) {
		narrow(s->out, s->mid, s->ax.out);
		return give(s, s->out);
	}
	if (++s->waiting < KERNEL_ROWS && s->given + s->waiting < s->ay.out)
		return 0;
	s->k->across(s->out, s->out_stride, s->mid, s->stride, &s->wx);
	for (uint32_t i = 0; i < s->waiting && r >= 0; i++)
		r = give(s, s->out + i * s->out_stride);
	s->waiting = 0;
	return r;
}

static int push_kept(struct scaler *s, const uint8_t *row)
{
	if (s->seen++ < (uint32_t)s->ay.origin)
		return 0;
	if (s->keep_x)
		return give(s, row);
	widen(next_mid(s), row, s->ax.in);
	return went_down(s);
}

static uint8_t *slot(const struct scaler *s, uint32_t pair)
{
	return s->ring + (pair % s->n_slots) * 2 * s->stride;
}

static void go_down(struct scaler *s, uint32_t j)
{
	const uint8_t *slots[SLOTS_MAX];
	uint32_t first = s->wy.start[j] / 2, n = (s->wy.end[j] + 1) / 2 - first;

	for (uint32_t i = 0; i < n; i++)
		slots[i] = slot(s, first + i);
	s->k->down(next_mid(s), slots, s->wy.weight + (size_t)j * s->wy.taps, n, s->stride);
}

static uint32_t next_row(const struct scaler *s)
{
	return s->given + s->waiting;
}

static int push_row(struct scaler *s, const uint8_t *row)
{
	uint32_t y = s->seen, pair = y / 2;
	int r = 0;

	if (scaler_done(s))
		return 0;
	row += s->first;
	if (s->keep_y)
		return push_kept(s, row);
	s->seen++;
	if (pair < s->wy.start[next_row(s)] / 2)
		return 0;
	if (y % 2 == 0 && s->seen < s->ay.in) {
		memcpy(s->upper, row, s->ax.in);
		return 0;
	}
	s->k->pair(slot(s, pair), y % 2 ? s->upper : row, row, s->ax.in, s->stride);
	while (r >= 0 && next_row(s) < s->ay.out && s->wy.end[next_row(s)] <= 2 * pair + 2) {
		go_down(s, next_row(s));
		r = went_down(s);
	}
	return r;
}

/* ---- boxes --------------------------------------------------------------------------------------- */
static int flush_box(struct scaler *s)
{
	uint32_t n = (s->in_width + s->box - 1) / s->box;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t cells = MAX(MIN(s->box, s->in_width - i * s->box) * s->box_rows, 1U);

		s->boxed[i] = (uint8_t)((s->sums[i] + cells / 2) / cells);
	}
	memset(s->sums, 0, n * sizeof(*s->sums));
	s->box_rows = 0;
	return push_row(s, s->boxed);
}

int scaler_push(struct scaler *s, const uint8_t *row)
{
	if (s->box == 1)
		return push_row(s, row);
	if (s->in_seen == s->in_height)
		return 0;
	for (uint32_t i = 0, x = 0; x < s->in_width; i++) {
		uint32_t end = MIN(s->in_width, x + s->box), sum = 0;

		for (; x < end; x++)
			sum += row[x];
		s->sums[i] += sum;
	}
	s->box_rows++;
	s->in_seen++;
	return s->box_rows == s->box || s->in_seen == s->in_height ? flush_box(s) : 0;
}

/* The smallest power of two that leaves at most WINDOW_SHRINK_MAX for Lanczos on both axes. */
static void choose_box(struct scaler *s)
{
	s->box = 1;
	s->in_width = s->ax.in;
	s->in_height = s->ay.in;
	while (MAX(s->ax.step, s->ay.step) / s->box > WINDOW_SHRINK_MAX && s->box < BOX_MAX)
		s->box *= 2;
	for (struct scale_axis *a = &s->ax; a; a = a == &s->ax ? &s->ay : NULL) {
		a->in = (a->in + s->box - 1) / s->box;
		a->origin /= s->box;
		a->step /= s->box;
	}
}

/* ---- life ---------------------------------------------------------------------------------------- */
static bool is_whole(const struct scale_axis *a)
{
	return a->step == 1 && a->origin >= 0 && a->origin == floor(a->origin) && a->origin + a->out <= a->in;
}

/* Of a row, what no window needs is not looked at. */
static void narrow_down(struct scaler *s)
{
	uint32_t end;

	if (!s->wx.start) { /* kept as it is */
		s->first = (uint32_t)s->ax.origin;
		s->ax.in = s->ax.out;
		return;
	}
	s->first = s->wx.start[0];
	end = s->wx.end[s->ax.out - 1];
	for (uint32_t i = 0; i < s->ax.out + WINDOW_PAD; i++) {
		s->wx.start[i] -= s->first;
		s->wx.end[i] -= s->first;
	}
	s->ax.in = end - s->first;
}

static int alloc_rows(struct scaler *s)
{
	uint32_t rows = s->keep_x ? 1 : KERNEL_ROWS;

	s->stride = (s->ax.in + KERNEL_PAD - 1) / KERNEL_PAD * KERNEL_PAD;
	s->out_stride = ((size_t)s->ax.out + 7) / 8 * 8;
	s->out = malloc(rows * s->out_stride);
	s->mid = calloc(rows * s->stride + ACROSS_SLACK, sizeof(*s->mid));
	if (!s->mid || !s->out)
		return -ENOMEM;
	if (!s->keep_y) {
		s->n_slots = MAX((s->wy.taps + 1) / 2, 1U);
		s->ring = malloc(s->n_slots * 2 * s->stride);
		s->upper = malloc(MAX(s->ax.in, 1U));
		if (!s->ring || !s->upper)
			return -ENOMEM;
	}
	if (s->box > 1) {
		size_t n = (s->in_width + s->box - 1) / s->box;

		s->sums = calloc(n, sizeof(*s->sums));
		s->boxed = malloc(n);
		if (!s->sums || !s->boxed)
			return -ENOMEM;
	}
	return 0;
}

static int scaler_init(struct scaler *s)
{
	int r = 0;

	choose_box(s);
	s->keep_x = is_whole(&s->ax);
	s->keep_y = is_whole(&s->ay);
	if (!s->keep_x)
		r = windows_make(&s->wx, &s->ax, ACROSS_WEIGHT_BITS);
	if (r >= 0 && !s->keep_y)
		r = windows_make(&s->wy, &s->ay, DOWN_WEIGHT_BITS);
	if (r < 0)
		return r;
	narrow_down(s);
	return alloc_rows(s);
}

int scaler_new_on(const struct kernels *k, const struct scale_axis *x, const struct scale_axis *y, scale_row_fn fn,
	void *ud, unsigned int tag, struct scaler **ret)
{
	struct scaler *s;
	int r;

	if (x->in == 0 || x->out == 0 || y->in == 0 || y->out == 0 || !(x->step > 0) || !(y->step > 0))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct scaler){.k = k, .ax = *x, .ay = *y, .fn = fn, .ud = ud, .tag = tag};
	r = scaler_init(s);
	if (r < 0) {
		scaler_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int scaler_new(const struct scale_axis *x, const struct scale_axis *y, scale_row_fn fn, void *ud, unsigned int tag,
	struct scaler **ret)
{
	return scaler_new_on(kernels_best(), x, y, fn, ud, tag, ret);
}

bool scaler_done(const struct scaler *s)
{
	return s->given == s->ay.out;
}

void scaler_free(struct scaler *s)
{
	if (!s)
		return;
	windows_free(&s->wx);
	windows_free(&s->wy);
	free(s->ring);
	free(s->upper);
	free(s->mid);
	free(s->out);
	free(s->sums);
	free(s->boxed);
	free(s);
}
