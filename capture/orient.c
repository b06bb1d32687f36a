#include "capture/orient.h"

#include "capture/kernels.h"

#define STRIP 8 /* columns turned at a time, as kernels do */

struct orient orient_of(unsigned int exif)
{
	/* EXIF 2.32, 4.6.4: which visual side the stored row 0 and column 0 are. */
	static const struct orient table[] = {
		[1] = {false, false, false},
		[2] = {true, false, false},
		[3] = {true, true, false},
		[4] = {false, true, false},
		[5] = {false, false, true},
		[6] = {false, true, true},
		[7] = {true, true, true},
		[8] = {true, false, true},
	};

	return exif >= 1 && exif <= 8 ? table[exif] : table[1];
}

struct orient orient_turned(struct orient o, unsigned int quarters)
{
	for (; quarters; quarters--)
		o = (struct orient){.transpose = !o.transpose,
			.mirror_x = o.mirror_x != o.transpose,
			.mirror_y = o.mirror_y == o.transpose};
	return o;
}

bool orient_keeps_rows(const struct orient *o)
{
	return !o->transpose && !o->mirror_y;
}

struct orient_rect orient_to_stored(
	const struct orient *o, uint32_t width, uint32_t height, const struct orient_rect *upright)
{
	struct orient_rect r = *upright;

	if (o->transpose)
		r = (struct orient_rect){upright->y, upright->x, upright->height, upright->width};
	if (o->mirror_x)
		r.x = width - r.x - r.width;
	if (o->mirror_y)
		r.y = height - r.y - r.height;
	return r;
}

void orient_mirror_row(uint8_t *restrict to, const uint8_t *restrict from, size_t n)
{
	kernels_best()->reverse(to, from, n);
}

int orient_store_init(struct orient_store *s, uint32_t width, uint32_t height)
{
	s->data = malloc((size_t)width * height);
	s->strip = malloc((size_t)STRIP * MAX(width, height));
	if (!s->data || !s->strip)
		return -ENOMEM;
	s->k = kernels_best();
	s->width = width;
	s->height = height;
	s->filled = 0;
	return 0;
}

void orient_store_add(struct orient_store *s, const uint8_t *row)
{
	if (s->filled < s->height)
		memcpy(s->data + (size_t)s->filled++ * s->width, row, s->width);
}

static int give_rows(struct orient_store *s, const struct orient *o, uint32_t first, uint32_t n,
	orient_row_fn fn, void *ud, unsigned int tag)
{
	int r = 0;

	for (uint32_t i = first; i < first + n && r >= 0; i++) {
		const uint8_t *row = s->data + (size_t)(o->mirror_y ? s->height - 1 - i : i) * s->width;

		if (o->mirror_x)
			orient_mirror_row(s->strip, row, s->width);
		r = fn(ud, tag, o->mirror_x ? s->strip : row);
	}
	return r;
}

/* Column x of the upright page's row: its samples from top to bottom of the stored picture, or the other way round. */
static void turn_one(struct orient_store *s, const struct orient *o, uint32_t x, uint8_t *to, uint32_t from)
{
	for (uint32_t j = from; j < s->height; j++)
		to[j] = s->data[(size_t)(o->mirror_y ? s->height - 1 - j : j) * s->width + x];
}

/* `n` columns, at most STRIP, from upright row `first` on, into rows of s->height samples. */
static void turn(struct orient_store *s, const struct orient *o, uint32_t first, uint32_t n)
{
	ptrdiff_t height = s->height, width = s->width;
	uint32_t eights = n == STRIP ? s->height / STRIP * STRIP : 0; /* of rows: the kernel turns eight by eight */
	uint32_t left = o->mirror_x ? s->width - first - n : first;
	const uint8_t *from = s->data + left + (o->mirror_y ? (height - 1) * width : 0);

	if (eights)
		s->k->turn(o->mirror_x ? s->strip + (STRIP - 1) * height : s->strip, o->mirror_x ? -height : height,
			from, o->mirror_y ? -width : width, eights);
	for (uint32_t i = 0; i < n; i++)
		turn_one(s, o, o->mirror_x ? s->width - 1 - first - i : first + i, s->strip + i * (size_t)height, eights);
}

static int give_columns(struct orient_store *s, const struct orient *o, uint32_t first, uint32_t n,
	orient_row_fn fn, void *ud, unsigned int tag)
{
	uint32_t end = first + n;

	for (; first < end; first += STRIP) {
		uint32_t here = MIN(STRIP, end - first);

		turn(s, o, first, here);
		for (uint32_t i = 0; i < here; i++) {
			int r = fn(ud, tag, s->strip + (size_t)i * s->height);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int orient_store_give(struct orient_store *s, const struct orient *o, uint32_t first, uint32_t n,
	orient_row_fn fn, void *ud, unsigned int tag)
{
	uint32_t rows = o->transpose ? s->width : s->height;

	if (s->filled < s->height)
		return -EPROTO;
	if (first >= rows)
		return 0;
	n = MIN(n, rows - first);
	return (o->transpose ? give_columns : give_rows)(s, o, first, n, fn, ud, tag);
}

void orient_store_free(struct orient_store *s)
{
	free(take_ptr(s->data));
	free(take_ptr(s->strip));
}
