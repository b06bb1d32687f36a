#include "capture/scale.h"

#include <math.h>

#include "capture/hot.h"

#define LOBES   3
#define IN_BITS 7  /* fraction bits of a sample in the ring */
#define X_BITS  14 /* of the horizontal weights; 1.0 must fit in 16 bits signed */
#define Y_BITS                                                                                               \
	15 /* of the vertical weights, but one less where one reaches 1.0: at edges, or when chroma grows */
#define X_PAD 8 /* horizontal windows are padded with zero weights to a multiple of this */
#define Y_PAD 4 /* rows added at a time */
#define SHRINK_MAX                                                                                           \
	8 /* reductions beyond this average boxes of pixels first, so that windows stay bounded              \
	   */

/* For each sample of the result: which samples it is made of, and their weights. */
struct window {
	uint32_t *start;
	uint32_t *count;
	int16_t *weight; /* `taps` for each, zeros at the end */
	uint32_t taps;   /* a multiple of the pad */
	uint32_t widest;
};

struct scaler {
	struct scale_axis ax, ay; /* after the boxes */
	struct window wx, wy;
	bool keep_x, keep_y;  /* nothing to do on that axis */
	int mid_bits, x_bits; /* fraction bits between the two passes, and of the horizontal weights */
	scale_row_fn fn;
	void *ud;
	unsigned int tag;
	uint32_t ring_rows;
	int16_t *ring;     /* ring_rows rows of ax.in samples, as Q7 */
	int16_t *mid;      /* one row between the passes, with a window's worth of zeros behind it */
	int32_t *row_sums; /* one row of the result before rounding */
	uint8_t *out;
	uint32_t seen; /* rows pushed (after the boxes) */
	uint32_t given;
	/* Boxes of `box` x `box` pixels averaged first; 1: none. */
	uint32_t box, box_rows, in_width, in_height, in_seen;
	uint32_t *sums;
	uint8_t *boxed;
};

/* ---- weights ------------------------------------------------------------------------------------- */
static double lanczos(double x)
{
	double p = M_PI * x;

	if (x == 0)
		return 1;
	return fabs(x) < LOBES ? LOBES * sin(p) * sin(p / LOBES) / (p * p) : 0;
}

static void window_free(struct window *w)
{
	free(w->start);
	free(w->count);
	free(w->weight);
}

/* Weights as integers that sum to one exactly: what rounding leaves over goes to the largest. -ERANGE if that
 * does not fit. */
static int quantise(const double *f, uint32_t n, int bits, int16_t *out)
{
	double sum = 0;
	int32_t one = 1 << bits, left = one;
	uint32_t top = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += f[i];
	for (uint32_t i = 0; i < n; i++) {
		int32_t v = (int32_t)lrint(f[i] / sum * one);

		if (v > INT16_MAX || v < INT16_MIN)
			return -ERANGE;
		out[i] = (int16_t)v;
		left -= v;
		if (f[i] > f[top])
			top = i;
	}
	if (out[top] + left > INT16_MAX)
		return -ERANGE;
	out[top] = (int16_t)(out[top] + left);
	return 0;
}

static void place(const struct scale_axis *a, double stretch, uint32_t i, uint32_t *start, uint32_t *count)
{
	double centre = a->origin + (i + 0.5) * a->step, reach = LOBES * stretch;
	int64_t lo = (int64_t)floor(centre - reach + 0.5), hi = (int64_t)floor(centre + reach + 0.5);

	lo = CLAMP(lo, 0, (int64_t)a->in - 1);
	hi = CLAMP(hi, lo + 1, (int64_t)a->in);
	*start = (uint32_t)lo;
	*count = (uint32_t)(hi - lo);
}

static int window_alloc(struct window *w, const struct scale_axis *a, double stretch, uint32_t pad)
{
	w->start = calloc(a->out, sizeof(*w->start));
	w->count = calloc(a->out, sizeof(*w->count));
	if (!w->start || !w->count)
		return -ENOMEM;
	w->widest = 1;
	for (uint32_t i = 0; i < a->out; i++) {
		place(a, stretch, i, &w->start[i], &w->count[i]);
		w->widest = MAX(w->widest, w->count[i]);
	}
	w->taps = (w->widest + pad - 1) / pad * pad;
	w->weight = calloc(a->out, w->taps * sizeof(*w->weight));
	return w->weight ? 0 : -ENOMEM;
}

static int window_fill(struct window *w, const struct scale_axis *a, double stretch, int bits)
{
	double *f = calloc(w->widest, sizeof(*f));
	int r = f ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < a->out && r >= 0; i++) {
		double centre = a->origin + (i + 0.5) * a->step;

		for (uint32_t k = 0; k < w->count[i]; k++)
			f[k] = lanczos((w->start[i] + k + 0.5 - centre) / stretch);
		if (w->count[i] == 1)
			f[0] = 1; /* the only one, however far */
		r = quantise(f, w->count[i], bits, w->weight + (size_t)i * w->taps);
	}
	free(f);
	return r;
}

/* Returns the bits of the weights: `bits` or one less. */
static int window_init(struct window *w, const struct scale_axis *a, int bits, uint32_t pad)
{
	double stretch = MAX(a->step, 1.0);
	int r = window_alloc(w, a, stretch, pad);

	if (r >= 0)
		r = window_fill(w, a, stretch, bits);
	if (r == -ERANGE)
		r = window_fill(w, a, stretch, --bits);
	return r < 0 ? r : bits;
}

/* ---- kernels ------------------------------------------------------------------------------------- */
/* Signed 16 x 16 bits, upper half: one instruction on every vector unit, as long as both sides are 16 bits
 * wide already. */
static inline int16_t high_half(int16_t p, int16_t w)
{
	return (int16_t)((p * w) >> 16);
}

HOT static void add_rows(
	int16_t *restrict acc, const int16_t *const rows[Y_PAD], const int16_t w[Y_PAD], size_t n)
{
	const int16_t *restrict a = rows[0], *restrict b = rows[1], *restrict c = rows[2],
				*restrict d = rows[3];
	int16_t wa = w[0], wb = w[1], wc = w[2], wd = w[3];

	for (size_t i = 0; i < n; i++)
		acc[i] = (int16_t)(acc[i] + high_half(a[i], wa) + high_half(b[i], wb) + high_half(c[i], wc) +
				   high_half(d[i], wd));
}

HOT static void fill16(int16_t *acc, int16_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acc[i] = v;
}

HOT static void widen(int16_t *restrict to, const uint8_t *restrict row, size_t n, int bits)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (int16_t)(row[i] << bits);
}

HOT static void narrow(uint8_t *restrict out, const int16_t *restrict mid, size_t n, int bits)
{
	for (size_t i = 0; i < n; i++) {
		int v = (mid[i] + (1 << (bits - 1))) >> bits;

		out[i] = (uint8_t)CLAMP(v, 0, 255);
	}
}

static inline __attribute__((always_inline)) void dots(int32_t *restrict sums, const int16_t *restrict mid,
	const uint32_t *restrict start, const int16_t *restrict weight, size_t n, size_t taps)
{
	for (size_t i = 0; i < n; i++) {
		const int16_t *p = mid + start[i], *w = weight + i * taps;
		int32_t sum = 0;

#pragma GCC unroll 1 /* unrolled, it would not become one multiply-and-add of vectors */
		for (size_t k = 0; k < taps; k++)
			sum += p[k] * w[k];
		sums[i] = sum;
	}
}

/* The usual widths get loops of known length. */
HOT static void horizontal(int32_t *restrict sums, const int16_t *restrict mid,
	const uint32_t *restrict start, const int16_t *restrict weight, size_t n, size_t taps)
{
	switch (taps) {
	case 8:
		dots(sums, mid, start, weight, n, 8);
		break;
	case 16:
		dots(sums, mid, start, weight, n, 16);
		break;
	case 24:
		dots(sums, mid, start, weight, n, 24);
		break;
	default:
		dots(sums, mid, start, weight, n, taps);
		break;
	}
}

HOT static void round_sums(uint8_t *restrict out, const int32_t *restrict sums, size_t n, int bits)
{
	for (size_t i = 0; i < n; i++) {
		int v = (sums[i] + (1 << (bits - 1))) >> bits;

		out[i] = (uint8_t)CLAMP(v, 0, 255);
	}
}

/* ---- rows ---------------------------------------------------------------------------------------- */
static const int16_t *ring_row(const struct scaler *s, uint32_t y)
{
	return s->ring + (size_t)(y % s->ring_rows) * s->ax.in;
}

static void vertical(struct scaler *s, uint32_t j)
{
	uint32_t start = s->wy.start[j], count = s->wy.count[j];
	const int16_t *weight = s->wy.weight + (size_t)j * s->wy.taps;

	/* Each high half is rounded down, by a half on average. */
	fill16(s->mid, (int16_t)(count / 2), s->ax.in);
	for (uint32_t k = 0; k < count; k += Y_PAD) {
		const int16_t *rows[Y_PAD];

		for (uint32_t m = 0; m < Y_PAD; m++)
			rows[m] = ring_row(s, start + MIN(k + m, count - 1));
		add_rows(s->mid, rows, weight + k, s->ax.in);
	}
}

static int give(struct scaler *s, const uint8_t *row)
{
	s->given++;
	return s->fn(s->ud, s->tag, row);
}

static int give_mid(struct scaler *s)
{
	if (s->keep_x) {
		narrow(s->out, s->mid, s->ax.out, s->mid_bits);
	} else {
		horizontal(s->row_sums, s->mid, s->wx.start, s->wx.weight, s->ax.out, s->wx.taps);
		round_sums(s->out, s->row_sums, s->ax.out, s->x_bits + s->mid_bits);
	}
	return give(s, s->out);
}

static int push_kept(struct scaler *s, const uint8_t *row)
{
	uint32_t first = (uint32_t)s->ay.origin;

	if (s->seen++ < first)
		return 0;
	if (s->keep_x)
		return give(s, row + (uint32_t)s->ax.origin);
	widen(s->mid, row, s->ax.in, s->mid_bits);
	return give_mid(s);
}

static int push_row(struct scaler *s, const uint8_t *row)
{
	int r = 0;

	if (scaler_done(s))
		return 0;
	if (s->keep_y)
		return push_kept(s, row);
	/* Rows above the first window (a crop) need not be kept, but copying them is simpler and cheap. */
	widen(s->ring + (size_t)(s->seen % s->ring_rows) * s->ax.in, row, s->ax.in, IN_BITS);
	s->seen++;
	while (r >= 0 && s->given < s->ay.out && s->wy.start[s->given] + s->wy.count[s->given] <= s->seen) {
		vertical(s, s->given);
		r = give_mid(s);
	}
	return r;
}

/* ---- boxes --------------------------------------------------------------------------------------- */
static int flush_box(struct scaler *s)
{
	for (uint32_t i = 0; i < s->ax.in; i++) {
		uint32_t across = MIN(s->box, s->in_width - i * s->box),
			 cells = MAX(across * s->box_rows, 1U);

		s->boxed[i] = (uint8_t)((s->sums[i] + cells / 2) / cells);
	}
	memset(s->sums, 0, s->ax.in * sizeof(*s->sums));
	s->box_rows = 0;
	return push_row(s, s->boxed);
}

int scaler_push(struct scaler *s, const uint8_t *row)
{
	if (s->box == 1)
		return push_row(s, row);
	if (s->in_seen == s->in_height)
		return 0;
	for (uint32_t i = 0; i < s->in_width; i++)
		s->sums[i / s->box] += row[i];
	s->box_rows++;
	s->in_seen++;
	return s->box_rows == s->box || s->in_seen == s->in_height ? flush_box(s) : 0;
}

/* The smallest power of two that leaves at most SHRINK_MAX for Lanczos on both axes. */
static void choose_box(struct scaler *s)
{
	s->box = 1;
	s->in_width = s->ax.in;
	s->in_height = s->ay.in;
	/* 2^24 boxed samples of 255 fill 32 bits: 4096 squared. */
	while (MAX(s->ax.step, s->ay.step) / s->box > SHRINK_MAX && s->box < 2048)
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

static int alloc_rows(struct scaler *s)
{
	/* A window may be read up to its padded width behind the last sample. */
	s->mid = calloc((size_t)s->ax.in + s->wx.taps + 16, sizeof(*s->mid));
	s->out = malloc(s->ax.out);
	s->row_sums = malloc(s->ax.out * sizeof(*s->row_sums));
	s->ring_rows = MAX(s->wy.widest, 1U);
	if (!s->keep_y)
		s->ring = malloc((size_t)s->ring_rows * s->ax.in * sizeof(*s->ring));
	if (s->box > 1) {
		s->sums = calloc(s->ax.in, sizeof(*s->sums));
		s->boxed = malloc(s->ax.in);
	}
	return s->mid && s->out && s->row_sums && (s->ring || s->keep_y) && (s->boxed || s->box == 1) &&
			       (s->sums || s->box == 1)
		       ? 0
		       : -ENOMEM;
}

static int scaler_init(struct scaler *s)
{
	int r;

	choose_box(s);
	s->mid_bits = IN_BITS + Y_BITS - 16;
	s->keep_y = is_whole(&s->ay);
	/* With the vertical pass in between, only a row that starts at the left is kept as it is. */
	s->keep_x = is_whole(&s->ax) && (s->keep_y || s->ax.origin == 0);
	if (!s->keep_x) {
		r = window_init(&s->wx, &s->ax, X_BITS, X_PAD);
		if (r < 0)
			return r;
		s->x_bits = r;
	}
	if (!s->keep_y) {
		r = window_init(&s->wy, &s->ay, Y_BITS, Y_PAD);
		if (r < 0)
			return r;
		s->mid_bits = IN_BITS + r - 16;
	}
	return alloc_rows(s);
}

int scaler_new(const struct scale_axis *x, const struct scale_axis *y, scale_row_fn fn, void *ud,
	unsigned int tag, struct scaler **ret)
{
	struct scaler *s;
	int r;

	if (x->in == 0 || x->out == 0 || y->in == 0 || y->out == 0 || !(x->step > 0) || !(y->step > 0))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->ax = *x;
	s->ay = *y;
	s->fn = fn;
	s->ud = ud;
	s->tag = tag;
	r = scaler_init(s);
	if (r < 0) {
		scaler_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

bool scaler_done(const struct scaler *s)
{
	return s->given == s->ay.out;
}

void scaler_free(struct scaler *s)
{
	if (!s)
		return;
	window_free(&s->wx);
	window_free(&s->wy);
	free(s->ring);
	free(s->mid);
	free(s->out);
	free(s->row_sums);
	free(s->sums);
	free(s->boxed);
	free(s);
}
