#include "capture/window.h"

#include <math.h>

#define LOBES      3
#define PLACE_BITS 32 /* fraction bits of a place on the axis */
#define TABLE_LOG2 8  /* entries of the table for one sample's distance: lines between them are right to 1e-5 */
#define TABLE_SIZE ((LOBES << TABLE_LOG2) + 2)
#define TABLE_BITS 24
#define INV_BITS   24 /* of one over the stretch */

struct filter {
	int32_t table[TABLE_SIZE]; /* Lanczos3 from distance 0 to LOBES, and zeros */
	int64_t origin, step;      /* PLACE_BITS */
	int64_t reach;             /* from a window's centre to its ends */
	int64_t inverse;           /* of the stretch, INV_BITS */
};

/* sin(3t) = 3 sin t - 4 sin^3 t: one sine for both factors. */
static double lanczos(double x)
{
	double t = M_PI * x / LOBES, s = sin(t);

	return x == 0 ? 1 : (3 * s - 4 * s * s * s) * s / (LOBES * t * t);
}

static void filter_init(struct filter *f, const struct scale_axis *a)
{
	double stretch = MAX(a->step, 1.0);

	for (int i = 0; i < LOBES << TABLE_LOG2; i++)
		f->table[i] = (int32_t)lrint(ldexp(lanczos(ldexp(i, -TABLE_LOG2)), TABLE_BITS));
	f->table[TABLE_SIZE - 2] = f->table[TABLE_SIZE - 1] = 0;
	f->origin = llrint(ldexp(a->origin, PLACE_BITS));
	f->step = llrint(ldexp(a->step, PLACE_BITS));
	f->reach = llrint(ldexp(LOBES * stretch, PLACE_BITS));
	f->inverse = llrint(ldexp(1 / stretch, INV_BITS));
}

/* The filter at `distance` (PLACE_BITS) from its centre; at most a little more than its reach. */
static int32_t filter_at(const struct filter *f, int64_t distance)
{
	const int drop = 8, bits = PLACE_BITS - drop + INV_BITS - TABLE_LOG2; /* fraction bits of an entry's place */
	int64_t at = ((distance < 0 ? -distance : distance) >> drop) * f->inverse;
	size_t i = (size_t)(at >> bits);
	int64_t part = (at >> (bits - 16)) & 0xffff;

	if (i >= TABLE_SIZE - 1)
		return 0;
	return (int32_t)(f->table[i] + (((f->table[i + 1] - f->table[i]) * part) >> 16));
}

/* A centre off the picture (crops, mirrored chroma) is taken at its edge: weights stay bounded. */
static int64_t centre_of(const struct filter *f, const struct scale_axis *a, uint32_t i)
{
	int64_t c = f->origin + (int64_t)i * f->step + f->step / 2;

	return CLAMP(c, 0, (int64_t)a->in << PLACE_BITS);
}

static void place(const struct filter *f, const struct scale_axis *a, uint32_t i, uint32_t *start, uint32_t *end)
{
	const int64_t half = (int64_t)1 << (PLACE_BITS - 1);
	int64_t centre = centre_of(f, a, i);
	int64_t lo = (centre - f->reach + half) >> PLACE_BITS, hi = (centre + f->reach + half) >> PLACE_BITS;

	lo = CLAMP(lo, 0, (int64_t)a->in - 1);
	*start = (uint32_t)lo;
	*end = (uint32_t)CLAMP(hi, lo + 1, (int64_t)a->in);
}

/* Weights that sum to one exactly: what rounding leaves over goes to the largest. */
static void fill(const struct filter *f, int64_t centre, uint32_t start, uint32_t n, unsigned int bits, int16_t *out)
{
	int64_t v[WINDOW_TAPS_MAX], sum = 0, half, one = (int64_t)1 << bits, left = one;
	uint32_t top = 0;

	for (uint32_t k = 0; k < n; k++) {
		v[k] = filter_at(f, ((2 * (int64_t)(start + k) + 1) << (PLACE_BITS - 1)) - centre);
		sum += v[k];
		top = v[k] > v[top] ? k : top;
	}
	if (n == 1)
		v[0] = sum = 1; /* the only one, however far */
	sum = MAX(sum, 1); /* which it is: a filter's middle weighs more than its ends */
	half = sum / 2;
	for (uint32_t k = 0; k < n; k++) {
		int64_t w = v[k] < 0 ? -((-v[k] * one + half) / sum) : (v[k] * one + half) / sum;

		out[k] = (int16_t)w;
		left -= w;
	}
	out[top] = (int16_t)(out[top] + left);
}

static int alloc(struct windows *w, const struct filter *f, const struct scale_axis *a)
{
	size_t n = (size_t)a->out + WINDOW_PAD;

	w->n = a->out;
	w->start = calloc(n, sizeof(*w->start));
	w->end = calloc(n, sizeof(*w->end));
	if (!w->start || !w->end)
		return -ENOMEM;
	w->taps = 2;
	for (uint32_t i = 0; i < n; i++) {
		place(f, a, MIN(i, a->out - 1), &w->start[i], &w->end[i]);
		w->start[i] &= ~1U;
		w->taps = MAX(w->taps, (w->end[i] - w->start[i] + 1) & ~1U);
	}
	if (w->taps > WINDOW_TAPS_MAX)
		return -EINVAL;
	w->weight = calloc(n, w->taps * sizeof(*w->weight));
	return w->weight ? 0 : -ENOMEM;
}

int windows_make(struct windows *w, const struct scale_axis *a, unsigned int bits)
{
	struct filter f;
	int r;

	if (a->in == 0 || a->out == 0 || !(a->step > 0) || !(a->step <= WINDOW_SHRINK_MAX) ||
		!(fabs(a->origin) <= UINT32_MAX / 4))
		return -EINVAL;
	filter_init(&f, a);
	r = alloc(w, &f, a);
	for (uint32_t i = 0; i < a->out && r >= 0; i++) {
		uint32_t start, end;

		place(&f, a, i, &start, &end);
		fill(&f, centre_of(&f, a, i), start, end - start, bits,
			w->weight + (size_t)i * w->taps + (start - w->start[i]));
	}
	return r;
}

size_t windows_batch(const struct windows *w, size_t i, size_t span)
{
	size_t end = ((size_t)w->n + 7) / 8 * 8, to = i + 8;

	while (to < end && w->start[to + 7] + w->taps - w->start[i] <= span)
		to += 8;
	return to;
}

void windows_free(struct windows *w)
{
	free(take_ptr(w->start));
	free(take_ptr(w->end));
	free(take_ptr(w->weight));
}
